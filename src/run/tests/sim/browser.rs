//! A browser: real bytes leave and arrive in pieces of any size; what it hears is checked against its subscriptions.

use std::collections::{BTreeMap, VecDeque};
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
}

/// What it has sent, until the server has carried it out.
enum Command {
    Subscribe(Vec<String>),
    Publish { pipe: String, message: String },
    Count,
}

pub(super) struct BrowserClient {
    pub(super) shard: usize,
    pub(super) socket: usize,
    pub(super) user: u32,
    /// The browser's id as others see it.
    pub(super) uuid: String,
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
    awaits_count: usize,
    subscriptions: BTreeMap<String, Heard>,
    /// How often it left a pipe that tells of it.
    left: u64,
    upgraded: bool,
    from_server: VecDeque<u8>,
    /// What the server has handed to the connection and the client has not read.
    expected: VecDeque<String>,
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
            alive: true,
            speaks: true,
            left_at: None,
            to_server: request.into_bytes().into(),
            commands: VecDeque::new(),
            greeted: false,
            authorised: false,
            awaits_report: VecDeque::new(),
            awaits_count: 0,
            subscriptions: BTreeMap::new(),
            left: 0,
            upgraded: false,
            from_server: VecDeque::new(),
            expected: VecDeque::new(),
            received: 0,
        }
    }

    // What it does

    /// So many of the bytes that it wants to send.
    pub(super) fn sends(&mut self, most: usize) -> Vec<u8> {
        super::take(&mut self.to_server, most)
    }

    pub(super) fn outstanding(&self) -> usize {
        self.commands.len() + self.awaits_report.len() + self.awaits_count
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
        self.commands.push_back(Command::Count);
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.to_server.push_back(0x80 | opcode);
        match payload.len() {
            length @ 0..126 => self.to_server.push_back(0x80 | length as u8),
            length => {
                self.to_server.push_back(0xfe);
                self.to_server.extend((length as u16).to_be_bytes());
            }
        }
        self.to_server.extend([1, 2, 3, 4]);
        self.to_server.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ (at as u8 % 4 + 1)));
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
                    // Nobody is told of itself: that it comes, and that it left, as may be said after it has come back.
                    let published = if pipe.starts_with("track_") { 1 + self.left } else { 0 };
                    self.subscriptions.entry(pipe).or_insert(Heard { published, ..Heard::default() });
                }
            }
            Command::Publish { pipe, message } => {
                self.awaits_report.push_back(message);
                if let Some(heard) = self.subscriptions.get_mut(&pipe) {
                    heard.published += 1;
                }
            }
            Command::Count => self.awaits_count += 1,
        }
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
            heard.last = Some((number, publication.position));
            heard.last_message = text_of(publication);
            self.expected.push_back(text_of(publication));
        }
    }

    // What it hears

    /// Takes what has arrived; returns the delivery reports among it.
    pub(super) fn reads(&mut self, bytes: &[u8]) -> Vec<(String, u64)> {
        self.from_server.extend(bytes);
        if !self.upgraded && !self.reads_head() {
            return Vec::new();
        }
        let mut reports = Vec::new();
        while let Some((opcode, payload)) = self.next_frame() {
            match opcode {
                1 => reports.extend(self.hears(&payload)),
                9 => self.frame(10, &payload),
                other => panic!("opcode {other}"),
            }
        }
        reports
    }

    fn hears(&mut self, json: &[u8]) -> Option<(String, u64)> {
        let value: Value = serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}"));
        let data = &value["data"];
        match (value["pipe"].as_str(), value["event"].as_str()) {
            (Some("sys"), Some("serverInfo")) => {
                assert!(!self.greeted, "serverInfo comes once and first");
                self.greeted = true;
            }
            (Some("_answer_pipe_count"), _) => {
                assert!(self.awaits_count > 0, "a count that nobody awaits");
                self.awaits_count -= 1;
            }
            (Some(pipe), Some("answer")) if pipe.starts_with("_answer_to_") => {
                let expected = self.awaits_report.pop_front().expect("a report that nobody awaits");
                assert_eq!(data["message"].as_str(), Some(expected.as_str()));
                return Some((expected, data["number_messages"].as_u64().expect("a number")));
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
        assert!(bytes.starts_with(b"HTTP/1.1 101"));
        self.from_server.drain(..end + 4);
        self.upgraded = true;
        true
    }

    /// The first frame, if it is whole: its opcode and payload.
    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let byte = |at: usize| self.from_server.get(at).copied();
        let (first, head, length) = match (byte(0)?, byte(1)?) {
            (first, 126) => (first, 4, usize::from(byte(2)?) << 8 | usize::from(byte(3)?)),
            (_, 127) => panic!("no simulated message is that long"),
            (first, length) => (first, 2, usize::from(length)),
        };
        if self.from_server.len() < head + length {
            return None;
        }
        assert_eq!(first & 0xf0, 0x80, "only whole frames");
        let frame = super::take(&mut self.from_server, head + length);
        Some((first & 0xf, frame[head..].to_vec()))
    }

    // How it stands

    pub(super) fn is_subscribed(&self, pipe: &str) -> bool {
        self.subscriptions.contains_key(pipe)
    }

    pub(super) fn last_message(&self, pipe: &str) -> Option<&str> {
        self.subscriptions.get(pipe).map(|heard| heard.last_message.as_str())
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let spoken = !self.speaks || (self.to_server.is_empty() && self.outstanding() == 0 && self.greeted);
        spoken && self.from_server.is_empty() && self.expected.is_empty()
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
    match data.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let (event, uuid) =
                (value["event"].as_str().unwrap_or_default(), data["uuid"].as_str().unwrap_or_default());
            format!("{event} {} {uuid}", data["user_id"])
        }
    }
}
