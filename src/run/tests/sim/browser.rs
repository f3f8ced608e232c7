//! A browser: real bytes leave and arrive in pieces of any size; what it hears is checked against its subscriptions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Position, Publication, PublicationKind};

/// One subscription of one connection, from the command that began it to the one that ended it.
#[derive(Default)]
struct Heard {
    last: Option<(u64, Position)>,
    last_message: String,
    /// Numbers that were skipped, and how many of its own publications the connection may have to thank for that.
    skipped: u64,
    published: u64,
    /// By browser: whether it was said last to have come into the pipe.
    is_in: BTreeMap<String, bool>,
}

impl Heard {
    /// Comings and goings take turns.
    fn watch(&mut self, publication: &Publication) {
        let event = publication.event.as_str();
        match &publication.kind {
            PublicationKind::Message | PublicationKind::Figures => {}
            PublicationKind::Presence => assert_ne!(self.last_message, event, "told twice: {event}"),
            PublicationKind::Track { uuid, .. } => {
                let comes = event == "subscription";
                let before = self.is_in.insert(uuid.to_string(), comes);
                assert_ne!(before, Some(comes), "{event} of {uuid} twice");
            }
        }
    }
}

/// What it has sent, until the server has carried it out.
enum Command {
    Subscribe(Vec<String>),
    Publish {
        pipe: String,
        message: String,
    },
    /// Whose answer is no answer of its own or none that can be counted on: what follows it tells that it is over.
    Log,
    Question(Question),
}

/// What is answered in the order in which it was asked.
#[derive(Debug)]
enum Question {
    /// With the question for a history before it, if there was one.
    Count(Option<LogAsk>),
    TrackUsers,
    /// And whether the user is here, if that is known.
    Status(u32, Option<bool>),
}

/// What a pipe's history was when a browser asked for it.
#[derive(Clone, Debug)]
pub(super) struct LogAsk {
    pub(super) pipe: String,
    /// Messages that ever came into it, those in it, and how often it was cut.
    pub(super) logged: usize,
    pub(super) kept: usize,
    pub(super) cuts: u64,
}

/// What the world has to judge of what a browser hears.
#[derive(Debug)]
pub(super) enum Told {
    /// So many connections got the message.
    Report { message: String, connections: u64 },
    /// Subscribers got the message, and the history did not.
    NotStored { message: String },
    /// A history; without messages if storage failed.
    Log { ask: LogAsk, messages: Option<Vec<String>> },
    /// User and browser of each subscriber of a pipe.
    TrackUsers(Vec<(u32, String)>),
    /// Storage failed.
    NoStatus,
}

pub(super) struct BrowserClient {
    pub(super) shard: usize,
    pub(super) socket: usize,
    pub(super) user: u32,
    /// The browser's id as others see it.
    pub(super) uuid: String,
    /// Its key, if that is a token, and until when it is good.
    pub(super) token: Option<(String, i64)>,
    pub(super) alive: bool,
    /// It still speaks.
    pub(super) speaks: bool,
    /// When it stopped speaking.
    pub(super) left_at: Option<i64>,
    to_server: VecDeque<u8>,
    commands: VecDeque<Command>,
    greeted: bool,
    pub(super) authorised: bool,
    /// The messages whose delivery reports are due or unread, and the counts that are.
    awaits_report: VecDeque<String>,
    questions: VecDeque<Question>,
    /// The part of a history that has come so far.
    log: Option<Vec<String>>,
    /// Personal messages that were written to it and not read.
    expected_letters: VecDeque<String>,
    /// All that were written to it.
    pub(super) letters: BTreeSet<String>,
    /// Those from its queue of which the server does not know whether they were sent.
    pub(super) unsent_letters: Vec<String>,
    subscriptions: BTreeMap<String, Heard>,
    /// How often it left a pipe that tells of it.
    left: u64,
    upgraded: bool,
    from_server: VecDeque<u8>,
    /// What the server has handed to the connection and the client has not read.
    expected: VecDeque<String>,
    /// It was here when the server began to stop.
    pub(super) stopped_with: bool,
    pub(super) received: usize,
}

impl BrowserClient {
    pub(super) fn new(shard: usize, socket: usize, user: u32, key: &str, number: usize) -> Self {
        let uuid = format!("browser{number}");
        let request = format!(
            "GET /ws/sesion={key}&myid={user}&devid=1&v=4.09&uuid={uuid}&api=js HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        Self {
            shard,
            socket,
            user,
            uuid,
            token: None,
            alive: true,
            speaks: true,
            left_at: None,
            to_server: request.into_bytes().into(),
            commands: VecDeque::new(),
            greeted: false,
            authorised: false,
            awaits_report: VecDeque::new(),
            questions: VecDeque::new(),
            log: Some(Vec::new()),
            expected_letters: VecDeque::new(),
            letters: BTreeSet::new(),
            unsent_letters: Vec::new(),
            subscriptions: BTreeMap::new(),
            left: 0,
            upgraded: false,
            from_server: VecDeque::new(),
            expected: VecDeque::new(),
            stopped_with: false,
            received: 0,
        }
    }

    // What it does

    /// So many of the bytes that it wants to send.
    pub(super) fn sends(&mut self, most: usize) -> Vec<u8> {
        super::take(&mut self.to_server, most)
    }

    pub(super) fn outstanding(&self) -> usize {
        self.commands.len() + self.awaits_report.len() + self.questions.len()
    }

    pub(super) fn subscribe(&mut self, pipes: Vec<String>) {
        self.frame(1, format!("subscription\n{}", pipes.join("\n")).as_bytes());
        self.commands.push_back(Command::Subscribe(pipes));
    }

    pub(super) fn publish(&mut self, pipe: &str, message: String, hide_sender: bool) {
        let at = if hide_sender { "@" } else { "" };
        self.frame(1, format!("web_pipe2\n{at}{pipe}\nsaid\n*\n{message}").as_bytes());
        self.commands.push_back(Command::Publish { pipe: pipe.to_owned(), message });
    }

    pub(super) fn count(&mut self, pipe: &str) {
        self.frame(1, format!("pipe_count\n{pipe}\nhow_many").as_bytes());
        self.commands.push_back(Command::Question(Question::Count(None)));
    }

    /// The answer to a count ends that of the history, which has no end of its own.
    pub(super) fn log(&mut self, ask: LogAsk, counted: &str) {
        self.frame(1, format!("pipe_log\n{}\nlog", ask.pipe).as_bytes());
        self.commands.push_back(Command::Log);
        self.frame(1, format!("pipe_count\n{counted}\nhow_many").as_bytes());
        self.commands.push_back(Command::Question(Question::Count(Some(ask))));
    }

    pub(super) fn track_users(&mut self, pipe: &str) {
        self.frame(1, format!("track_pipe_users\n{pipe}\nwho").as_bytes());
        self.commands.push_back(Command::Question(Question::TrackUsers));
    }

    /// The answer to a count follows, since storage may fail and then there is none.
    pub(super) fn status(&mut self, user: u32, is_here: Option<bool>, counted: &str) {
        self.frame(1, format!("user_status\n{user}").as_bytes());
        self.commands.push_back(Command::Question(Question::Status(user, is_here)));
        self.count(counted);
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.to_server.extend(masked_frame(opcode, payload));
    }

    // What the server does with it

    pub(super) fn let_in(&mut self) {
        self.authorised = true;
    }

    pub(super) fn carried_out(&mut self) {
        match self.commands.pop_front().expect("a command that was not sent") {
            Command::Subscribe(mut pipes) => {
                pipes.retain(|name| !name.starts_with("private_") || self.authorised);
                let left = self.subscriptions.extract_if(.., |pipe, _| !pipes.contains(pipe));
                self.left += left.filter(|(pipe, _)| pipe.starts_with("track_")).count() as u64;
                for pipe in pipes {
                    // Nobody is told of itself: neither that it comes nor of earlier times, which may be said after it has come back.
                    let published = if pipe.starts_with("track_") { 1 + 2 * self.left } else { 0 };
                    self.subscriptions.entry(pipe).or_insert(Heard { published, ..Heard::default() });
                }
            }
            Command::Publish { pipe, message } => {
                self.awaits_report.push_back(message);
                if let Some(heard) = self.subscriptions.get_mut(&pipe) {
                    heard.published += 1;
                }
            }
            Command::Log => {}
            Command::Question(question) => self.questions.push_back(question),
        }
    }

    /// Whether every publication that was handed to its connection has come.
    pub(super) fn has_all(&self) -> bool {
        self.expected.is_empty()
    }

    pub(super) fn handed(&mut self, publications: &[Arc<Publication>]) {
        for publication in publications {
            let pipe = publication.pipe.name.as_str();
            let heard = self.subscriptions.get_mut(pipe).unwrap_or_else(|| panic!("{pipe} was never subscribed"));
            let number = publication.number;
            if let Some((last, position)) = heard.last {
                assert!(number > last, "{pipe}: number {number} after {last}");
                assert!(publication.position > position, "{pipe}: positions are in another order than numbers");
                heard.skipped += number - last - 1;
                assert!(
                    heard.skipped <= heard.published,
                    "{pipe}: {number} follows {last}, but only {} were its own",
                    heard.published
                );
            }
            heard.watch(publication);
            heard.last = Some((number, publication.position));
            heard.last_message = text_of(publication);
            self.expected.push_back(text_of(publication));
        }
    }

    /// A personal message was written to it.
    pub(super) fn written(&mut self, letter: &str) {
        assert!(self.letters.insert(letter.to_owned()), "{letter} comes to one connection twice");
        self.expected_letters.push_back(letter.to_owned());
    }

    // What it hears

    /// Takes what has arrived.
    pub(super) fn reads(&mut self, bytes: &[u8]) -> Vec<Told> {
        self.from_server.extend(bytes);
        if !self.upgraded && !self.reads_head() {
            return Vec::new();
        }
        let mut reports = Vec::new();
        while let Some((opcode, payload)) = next_frame(&mut self.from_server) {
            match opcode {
                1 => reports.extend(self.hears(&payload)),
                9 => self.frame(10, &payload),
                other => panic!("opcode {other}"),
            }
        }
        reports
    }

    fn hears(&mut self, json: &[u8]) -> Option<Told> {
        let value: Value = serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}"));
        let data = &value["data"];
        match (value["pipe"].as_str(), value["event"].as_str()) {
            (Some("sys"), Some("serverInfo")) => {
                assert!(!self.greeted, "serverInfo comes once and first");
                self.greeted = true;
            }
            (Some("_answer_pipe_count"), _) => {
                let unanswered = self.questions.pop_front_if(|question| matches!(question, Question::Status(..)));
                let Some(Question::Count(ask)) = self.questions.pop_front() else {
                    panic!("a count that nobody awaits")
                };
                let messages = self.log.replace(Vec::new());
                if let Some(ask) = ask {
                    return Some(Told::Log { ask, messages });
                }
                assert!(messages.is_some_and(|messages| messages.is_empty()), "a history that nobody awaits");
                return unanswered.map(|_| Told::NoStatus);
            }
            (Some("_answer_user_status"), _) => {
                let Some(Question::Status(user, is_here)) = self.questions.pop_front() else {
                    panic!("a status that nobody awaits")
                };
                let seconds = data["last_online_time"].as_i64().expect("a number");
                assert!(is_here.is_none_or(|here| here == (seconds == 0)), "user {user} was here {seconds} s ago");
            }
            (Some("_answer"), Some("answer")) => {
                let question = self.questions.pop_front();
                assert!(matches!(question, Some(Question::TrackUsers)), "a list that nobody awaits");
                let entry = |entry: &Value| {
                    let user = entry["user_id"].as_u64().expect("a number") as u32;
                    (user, entry["uuid"].as_str().expect("a text").to_owned())
                };
                return Some(Told::TrackUsers(data.as_array().expect("a list").iter().map(entry).collect()));
            }
            (Some("sys"), Some("error")) if value["marker"].is_null() => {
                let message = self.awaits_report.pop_front().expect("an error that nobody awaits");
                return Some(Told::NotStored { message });
            }
            (Some("sys"), Some("error")) => {
                assert_eq!(value["marker"], "log", "only storage can fail");
                self.log = None;
            }
            (Some("msg"), _) => {
                let expected = self.expected_letters.pop_front().expect("a personal message that was not written");
                assert_eq!(data.as_str(), Some(expected.as_str()));
            }
            (Some(_), _) if value["history"].as_bool() == Some(true) => {
                let log = self.log.as_mut().expect("a history that could not be read");
                log.push(data.as_str().expect("a text").to_owned());
            }
            (Some(pipe), Some("answer")) if pipe.starts_with("_answer_to_") => {
                let expected = self.awaits_report.pop_front().expect("a report that nobody awaits");
                assert_eq!(data["message"].as_str(), Some(expected.as_str()));
                let connections = data["number_messages"].as_u64().expect("a number");
                return Some(Told::Report { message: expected, connections });
            }
            _ => {
                assert!(self.greeted, "serverInfo comes first");
                let expected = self.expected.pop_front().expect("a publication that was not handed over");
                assert_eq!(text_received(&value), expected);
                self.received += 1;
            }
        }
        None
    }

    fn reads_head(&mut self) -> bool {
        let bytes = self.from_server.make_contiguous();
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        if bytes.starts_with(b"HTTP/1.1 503") {
            // Amid a drain; the end follows.
            self.speaks = false;
            return false;
        }
        assert!(bytes.starts_with(b"HTTP/1.1 101"));
        self.from_server.drain(..end + 4);
        self.upgraded = true;
        true
    }

    // How it stands

    /// Whether it was let in, speaks and waits for nothing.
    pub(super) fn can_ask(&self) -> bool {
        self.alive && self.speaks && self.greeted && self.outstanding() == 0
    }

    pub(super) fn is_subscribed(&self, pipe: &str) -> bool {
        self.subscriptions.contains_key(pipe)
    }

    /// Of each browser that came or went since it is subscribed: whether it is in the pipe.
    pub(super) fn is_in(&self, pipe: &str) -> Option<&BTreeMap<String, bool>> {
        self.subscriptions.get(pipe).map(|heard| &heard.is_in)
    }

    pub(super) fn last_message(&self, pipe: &str) -> Option<&str> {
        self.subscriptions.get(pipe).map(|heard| heard.last_message.as_str())
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let spoken = !self.speaks || (self.to_server.is_empty() && self.outstanding() == 0 && self.greeted);
        spoken && self.from_server.is_empty() && self.expected.is_empty() && self.expected_letters.is_empty()
    }
}

/// All that a browser is to learn of a publication.
fn text_of(publication: &Publication) -> String {
    match &publication.kind {
        PublicationKind::Track { user, uuid } => format!("{} {user} {uuid}", publication.event.as_str()),
        _ => publication.message.to_string(),
    }
}

fn text_received(value: &Value) -> String {
    let data = &value["data"];
    if let Some(text) = data.as_str() {
        return text.to_owned();
    }
    let (event, uuid) = (value["event"].as_str().unwrap_or_default(), data["uuid"].as_str().unwrap_or_default());
    format!("{event} {} {uuid}", data["user_id"])
}

pub(super) fn masked_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0xfe);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ (at as u8 % 4 + 1)));
    frame
}

/// The first frame, if it is whole: its opcode and payload.
pub(super) fn next_frame(bytes: &mut VecDeque<u8>) -> Option<(u8, Vec<u8>)> {
    let byte = |at: usize| bytes.get(at).copied();
    let (first, head, length) = match (byte(0)?, byte(1)?) {
        (first, 126) => (first, 4, usize::from(byte(2)?) << 8 | usize::from(byte(3)?)),
        (_, 127) => panic!("no simulated message is that long"),
        (first, length) => (first, 2, usize::from(length)),
    };
    if bytes.len() < head + length {
        return None;
    }
    assert_eq!(first & 0xf0, 0x80, "only whole frames");
    let frame = super::take(bytes, head + length);
    Some((first & 0xf, frame[head..].to_vec()))
}
