//! A page that comes back: what a library does over all its connections, and what it has heard of each pipe. It knows
//! what a client can know and nothing else; what it says of the server is held against [`super::published`].
//!
//! It has one of the three transports. Over WebSocket and as Server-Sent Events it has one connection at a time; a page that
//! polls has as many requests under way as it likes, on any shard, and loses answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::model::Position;

use super::browser::{masked_frame, next_frame};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    WebSocket,
    Events,
    Polling,
}

/// How far behind the one id that a browser sends back its other pipes are asked for, as docs/transports.md says.
const DISORDER_S: u64 = 2;

/// What it knows of one pipe.
#[derive(Default)]
pub(super) struct View {
    /// The position that its library remembers.
    last: Option<u64>,
    pub(super) seen: Vec<Seen>,
    pub(super) texts: BTreeSet<String>,
    /// The pipe is not answered yet.
    asked: Option<Named>,
    /// Messages that were missed have come since it was asked for.
    has_missed: bool,
    /// Left and joined again on one connection: old messages may still come.
    rejoined: bool,
    /// Since when every message that is written reaches the page, or a gap is told.
    pub(super) whole_since: Option<u64>,
}

/// What was named when a pipe was asked for.
#[derive(Clone, Copy)]
struct Named {
    position: Option<u64>,
    /// So many of the newest were asked for as well, and have not come.
    newest: u64,
}

impl Named {
    /// As the protocol has it; nothing if nothing is named.
    fn text(self) -> Option<String> {
        let newest = if self.newest > 0 { format!("~{}", self.newest) } else { String::new() };
        let position = self.position.map(|position| position.to_string()).unwrap_or_default();
        Some(position + &newest).filter(|text| !text.is_empty())
    }
}

/// In a pipe, in its order.
#[derive(Debug)]
pub(super) enum Seen {
    Message(String),
    /// A new count begins behind this position.
    From(Option<u64>),
}

/// What the world has to judge.
#[derive(Debug)]
pub(super) enum Heard {
    Position {
        text: String,
        pipe: &'static str,
        position: u64,
    },
    /// All that was missed has come, so many messages.
    Recovered,
    Missed,
    /// One of the newest messages, which it asked for.
    Newest,
    Gap {
        pipe: &'static str,
        after: u64,
        asked_at: u64,
    },
    Report {
        message: String,
        connections: u64,
    },
    NotStored {
        message: String,
    },
    Letter {
        text: String,
        waited: bool,
    },
    /// The connection that it polls for is over.
    Over {
        why: String,
        heard_at: u64,
    },
    /// A poll was answered with what an earlier one had been answered with.
    Repeated,
    Replaced,
    Acknowledged,
    /// It should go elsewhere.
    Moving,
    /// It was sent elsewhere before it was let in.
    NotNow,
}

/// A request of a page that polls.
#[derive(Debug)]
enum Asked {
    Sign,
    /// `known`: messages that it was sent before.
    Poll {
        number: usize,
        seq: usize,
        known: usize,
        names_pipes: bool,
    },
    Publish {
        number: usize,
    },
}

/// One connection, from the client's side.
pub(super) struct Line {
    pub(super) shard: usize,
    pub(super) socket: usize,
    to_server: VecDeque<u8>,
    from_server: VecDeque<u8>,
    /// The head of the only answer was read.
    begun: bool,
    /// The server has said that it ends the connection, so nothing more may come.
    has_goodbye: bool,
    /// And when, in microseconds.
    asked: VecDeque<(Asked, u64)>,
}

impl Line {
    fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.to_server.is_empty()
    }
}

/// A connection that is polled for.
struct Polled {
    /// Tells it from earlier ones of the page.
    number: usize,
    id: String,
    /// Messages that the page has.
    seq: usize,
    /// All that it was ever sent, also those that it did not take.
    messages: Vec<Value>,
    /// The largest number that it named.
    named: usize,
    /// A request that named pipes was lost, or one that published: it may still be on its way.
    in_doubt: bool,
    /// The pipes are to be named again, because nobody knows whether they were heard.
    unsaid: bool,
    /// When the last request was made that was answered, in microseconds.
    heard_at: u64,
}

pub(super) struct Page {
    pub(super) transport: Transport,
    /// It speaks `api=js2`.
    extended: bool,
    /// It leaves it to the browser to name what it had last.
    by_event_id: bool,
    user: u32,
    authorised: bool,
    /// Personal messages that came on this connection.
    letters: BTreeSet<String>,
    fields: String,
    pub(super) wants: BTreeSet<&'static str>,
    pub(super) views: BTreeMap<&'static str, View>,
    /// Pipes that it ever wanted on this connection.
    had: BTreeSet<&'static str>,
    pub(super) lines: Vec<Line>,
    greeted: bool,
    event_id: Option<String>,
    polled: Option<Polled>,
    pub(super) signed: usize,
    /// When it asked for pipes last.
    asked_at: u64,
    own: BTreeSet<String>,
    /// What a backend published for it, so that it comes to the others only.
    spared: BTreeSet<String>,
    awaits_report: Option<String>,
    /// It will not come back.
    pub(super) has_quit: bool,
    /// It was asked to move, and leaves what it has.
    pub(super) goes: bool,
}

impl Page {
    pub(super) fn new(number: usize, transport: Transport, extended: bool, by_event_id: bool, user: u32) -> Self {
        let api = if extended { "js2" } else { "js" };
        Self {
            transport,
            extended,
            by_event_id,
            user,
            authorised: false,
            letters: BTreeSet::new(),
            fields: format!("sesion=key{user}&myid={user}&devid=1&v=4.09&uuid=page{number}&api={api}"),
            wants: BTreeSet::new(),
            views: BTreeMap::new(),
            had: BTreeSet::new(),
            lines: Vec::new(),
            greeted: false,
            event_id: None,
            polled: None,
            signed: 0,
            asked_at: 0,
            own: BTreeSet::new(),
            spared: BTreeSet::new(),
            awaits_report: None,
            has_quit: false,
            goes: false,
        }
    }

    // What it does

    pub(super) fn is_away(&self) -> bool {
        self.lines.is_empty() && self.polled.is_none()
    }

    /// Whether another request is to be made, because none waits.
    pub(super) fn has_to_poll(&self) -> bool {
        let waits = |line: &Line| line.asked.iter().any(|(asked, _)| !matches!(asked, Asked::Publish { .. }));
        self.transport == Transport::Polling && !self.lines.iter().any(waits)
    }

    /// A line on which nothing is under way.
    pub(super) fn idle_line(&self) -> Option<usize> {
        self.lines.iter().position(Line::is_idle)
    }

    pub(super) fn has_request(&self) -> bool {
        self.lines.iter().any(|line| !line.asked.is_empty())
    }

    /// The shard that has the connection which is polled for.
    pub(super) fn home(&self) -> Option<usize> {
        self.polled.as_ref().and_then(|polled| polled.id.split_once('-')?.0.parse().ok())
    }

    pub(super) fn names_event_id(&self) -> bool {
        self.by_event_id && self.event_id.is_some()
    }

    pub(super) fn add_line(&mut self, shard: usize, socket: usize) -> usize {
        self.lines.push(Line {
            shard,
            socket,
            to_server: VecDeque::new(),
            from_server: VecDeque::new(),
            begun: false,
            has_goodbye: false,
            asked: VecDeque::new(),
        });
        self.lines.len() - 1
    }

    /// A new connection of a WebSocket or of events.
    pub(super) fn connect(&mut self, shard: usize, socket: usize, tick: u64) {
        let line = self.add_line(shard, socket);
        self.begin_anew();
        let fields = self.fields.clone();
        let request = if self.transport == Transport::WebSocket {
            format!(
                "GET /ws/{fields} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
        } else {
            let event_id = self.event_id.clone().filter(|_| self.by_event_id);
            let header = event_id.as_deref().map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
            let fields = format!("{fields}&{}", self.ask_for(self.wants.clone(), tick));
            format!("GET /sse?{fields} HTTP/1.1\r\nHost: a\r\n{header}\r\n")
        };
        self.lines[line].to_server.extend(request.into_bytes());
        if self.transport == Transport::WebSocket {
            self.subscribe(self.wants.clone(), tick);
        }
    }

    /// Another set of pipes, over WebSocket.
    pub(super) fn subscribe(&mut self, wants: BTreeSet<&'static str>, tick: u64) {
        self.ask_for(wants, tick);
        let mut command = "subscription2".to_owned();
        for pipe in &self.wants {
            let view = &self.views[pipe];
            let had = view.asked.map_or(Some(Named { position: view.last, newest: 0 }), Some).and_then(Named::text);
            let had = had.map(|had| format!(" {had}")).unwrap_or_default();
            command.extend(["\n", pipe, &had]);
        }
        self.lines[0].to_server.extend(masked_frame(1, command.as_bytes()));
    }

    pub(super) fn may_change(&self) -> bool {
        let knows = match self.transport {
            Transport::WebSocket => self.greeted,
            Transport::Events => false,
            Transport::Polling => self.polled.as_ref().is_some_and(|polled| !polled.in_doubt) && !self.has_request(),
        };
        knows && self.extended && self.views.values().all(|view| view.asked.is_none())
    }

    /// From now on it is to be in these pipes. The fields of an address that say so.
    fn ask_for(&mut self, wants: BTreeSet<&'static str>, tick: u64) -> String {
        let before = std::mem::replace(&mut self.wants, wants);
        let (mut names, mut last) = (Vec::new(), Vec::new());
        let event_id = self.event_id.as_deref().filter(|_| self.by_event_id).and_then(|id| id.split_once(':'));
        let event_id = event_id.map(|(pipe, position)| (pipe, position.parse::<u64>().expect("a position")));
        let margin = Position::default().next(DISORDER_S * 1_000_000).0;
        for pipe in self.wants.iter().copied() {
            names.push(pipe);
            let is_new = !self.had.contains(pipe) || !before.contains(pipe);
            let view = self.views.entry(pipe).or_default();
            if let Some(named) = view.asked {
                // The request may not have arrived.
                last.extend(named.text().map(|had| format!("{pipe}:{had}")));
            } else if is_new && self.extended {
                view.rejoined |= self.had.contains(pipe);
                let mut after = view.last;
                if self.by_event_id {
                    let of_pipe = |(of, position)| if of == pipe { position } else { position - margin };
                    after = event_id.map(of_pipe);
                    // What the page had of the others is not known to the browser.
                    if after.is_some() && after > view.last {
                        view.seen.push(Seen::From(after));
                        view.whole_since = None;
                    }
                }
                let newest =
                    if after.is_none() && !self.by_event_id && tick.is_multiple_of(3) { 1 + tick % 4 } else { 0 };
                if newest > 0 {
                    view.seen.push(Seen::From(None));
                    view.whole_since = None;
                }
                let named = Named { position: after, newest };
                (view.asked, view.has_missed) = (Some(named), false);
                last.extend(named.text().map(|had| format!("{pipe}:{had}")));
            } else if is_new {
                // A publication that other subscribers of a shard still wait for comes to whoever joins them.
                view.texts.clear();
                view.seen.push(Seen::From(None));
                view.whole_since = None;
            }
            self.had.insert(pipe);
        }
        for left in before.difference(&self.wants) {
            self.views.get_mut(left).expect("a pipe that was wanted").whole_since = None;
        }
        self.asked_at = tick;
        let last = if self.by_event_id { String::new() } else { format!("&last={}", last.join(",")) };
        format!("pipes={}{last}", names.join(","))
    }

    /// Asks for messages, on one of its lines. What it has is acknowledged by that.
    pub(super) fn poll(&mut self, line: usize, wants: Option<BTreeSet<&'static str>>, now: u64, tick: u64) {
        let request = if let Some(polled) = &mut self.polled {
            let wants = wants.or_else(|| polled.unsaid.then(|| self.wants.clone()));
            let (id, number, seq) = (polled.id.clone(), polled.number, polled.seq);
            let known = polled.messages.len();
            polled.named = polled.named.max(seq);
            let names_pipes = wants.is_some();
            let pipes = wants.map(|wants| format!("&{}", self.ask_for(wants, tick))).unwrap_or_default();
            self.lines[line].asked.push_back((Asked::Poll { number, seq, known, names_pipes }, now));
            format!("GET /poll?id={id}&seq={seq}{pipes} HTTP/1.1\r\nHost: a\r\n\r\n")
        } else {
            self.begin_anew();
            let pipes = self.ask_for(self.wants.clone(), tick);
            let fields = format!("{}&{pipes}", self.fields);
            self.lines[line].asked.push_back((Asked::Sign, now));
            let sign = if tick.is_multiple_of(2) { "/sign" } else { "" };
            // A page that has no place for long addresses.
            if tick.is_multiple_of(3) {
                let length = fields.len();
                format!("POST /poll{sign} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{fields}")
            } else {
                format!("GET /poll{sign}?{fields} HTTP/1.1\r\nHost: a\r\n\r\n")
            }
        };
        self.lines[line].to_server.extend(request.into_bytes());
    }

    pub(super) fn may_publish(&self) -> bool {
        self.polled.is_some() && self.awaits_report.is_none()
    }

    pub(super) fn publish(&mut self, line: usize, pipe: &str, message: String, now: u64) {
        let Some(polled) = &mut self.polled else { return };
        let (id, length) = (&polled.id, message.len());
        let request = format!(
            "POST /poll/pub?id={id}&pipe={pipe}&event=say HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{message}"
        );
        self.lines[line].to_server.extend(request.into_bytes());
        self.lines[line].asked.push_back((Asked::Publish { number: polled.number }, now));
        self.own.insert(message.clone());
        self.awaits_report = Some(message);
    }

    /// On a new connection nothing of an old one can come.
    fn begin_anew(&mut self) {
        self.had.clear();
        (self.greeted, self.authorised) = (false, false);
        self.letters.clear();
        self.awaits_report = None;
        for view in self.views.values_mut() {
            (view.rejoined, view.asked) = (false, None);
        }
    }

    /// The line is gone, with what was under way on it. Whether the server may have a connection of which the page does
    /// not know.
    pub(super) fn lose_line(&mut self, line: usize) -> bool {
        let line = self.lines.remove(line);
        if self.transport != Transport::Polling {
            self.greeted = false;
            return false;
        }
        if let Some(polled) = &mut self.polled {
            for (asked, _) in &line.asked {
                let names = matches!(asked, Asked::Poll { names_pipes: true, .. });
                polled.unsaid |= names;
                polled.in_doubt |= names || matches!(asked, Asked::Publish { .. });
            }
        }
        line.asked.iter().any(|(asked, _)| matches!(asked, Asked::Sign))
    }

    /// It forgets its connection and begins anew. Whether the server has one still.
    pub(super) fn abandon(&mut self) -> bool {
        self.polled.take().is_some()
    }

    pub(super) fn sends(&mut self, line: usize, most: usize) -> Vec<u8> {
        super::take(&mut self.lines[line].to_server, most)
    }

    // What it hears

    /// `forgets`: a poll's answer is lost when the page has read it.
    pub(super) fn reads(&mut self, line: usize, bytes: &[u8], forgets: bool, tick: u64) -> Vec<Heard> {
        self.lines[line].from_server.extend(bytes);
        let mut heard = Vec::new();
        match self.transport {
            Transport::Polling => {
                while let Some((status, body)) = self.next_answer(line) {
                    self.answered(line, status, &body, forgets, tick, &mut heard);
                }
            }
            Transport::WebSocket => {
                if !self.begins(line, b"HTTP/1.1 101") {
                    return heard;
                }
                while let Some((opcode, payload)) = next_frame(&mut self.lines[line].from_server) {
                    assert!(!self.lines[line].has_goodbye, "opcode {opcode} behind a close frame");
                    match opcode {
                        1 => self.hears(&parse(&payload), tick, &mut heard),
                        8 => self.lines[line].has_goodbye = true,
                        9 => self.lines[line].to_server.extend(masked_frame(10, &payload)),
                        other => panic!("opcode {other}"),
                    }
                }
            }
            Transport::Events => {
                if !self.begins(line, b"HTTP/1.1 200") {
                    return heard;
                }
                while let Some(event) = until(&mut self.lines[line].from_server, b"\n\n") {
                    assert!(!self.lines[line].has_goodbye, "an event behind the last one");
                    if event.starts_with(b"event: close\ndata: {\"code\":1") {
                        self.lines[line].has_goodbye = true;
                    } else {
                        self.event(&event, tick, &mut heard);
                    }
                }
            }
        }
        heard
    }

    fn begins(&mut self, line: usize, status: &[u8]) -> bool {
        let line = &mut self.lines[line];
        if !line.begun
            && let Some(head) = until(&mut line.from_server, b"\r\n\r\n")
        {
            // Amid a drain nobody is let in, and the end follows.
            let is_let_in = !head.starts_with(b"HTTP/1.1 503");
            assert!(!is_let_in || head.starts_with(status), "{}", String::from_utf8_lossy(&head));
            line.begun = is_let_in;
        }
        line.begun
    }

    fn event(&mut self, event: &[u8], tick: u64, heard: &mut Vec<Heard>) {
        let mut data = None;
        for field in event.split(|byte| *byte == b'\n') {
            if let Some(id) = field.strip_prefix(b"id: ") {
                self.event_id = Some(String::from_utf8(id.to_vec()).expect("text"));
            } else if let Some(json) = field.strip_prefix(b"data: ") {
                assert!(data.is_none(), "one line of data");
                data = Some(json);
            } else {
                assert!(
                    matches!(field, b":" | b"" | b"retry: 2000" | b"retry: 500"),
                    "{}",
                    String::from_utf8_lossy(field)
                );
            }
        }
        if let Some(json) = data {
            self.hears(&parse(json), tick, heard);
        }
    }

    fn next_answer(&mut self, line: usize) -> Option<(u16, Vec<u8>)> {
        let bytes = self.lines[line].from_server.make_contiguous();
        let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..head]).expect("text");
        let status = text[9..12].parse().expect("a status");
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let length: usize = length.parse().expect("a number");
        if bytes.len() < head + length {
            return None;
        }
        let answer = super::take(&mut self.lines[line].from_server, head + length);
        Some((status, answer[head..].to_vec()))
    }

    fn answered(&mut self, line: usize, status: u16, body: &[u8], forgets: bool, tick: u64, heard: &mut Vec<Heard>) {
        let (asked, made_at) = self.lines[line].asked.pop_front().expect("an answer to a question");
        let body = parse(body);
        match (asked, status) {
            (Asked::Sign, 200) => {
                let begin = if body.is_array() { &body[0]["data"] } else { &body };
                assert_eq!(begin["seq"], 0);
                assert!(self.polled.is_none(), "a page has one connection");
                self.signed += 1;
                self.polled = Some(Polled {
                    number: self.signed,
                    id: begin["id"].as_str().expect("an id").to_owned(),
                    seq: 0,
                    messages: Vec::new(),
                    named: 0,
                    in_doubt: false,
                    unsaid: false,
                    heard_at: made_at,
                });
            }
            (Asked::Sign, 503) => heard.push(Heard::NotNow),
            // Of an earlier connection, which is over.
            (Asked::Poll { number, .. } | Asked::Publish { number }, 200 | 409 | 410)
                if self.polled.as_ref().is_none_or(|polled| polled.number != number) => {}
            (Asked::Poll { seq, known, names_pipes, .. }, 200) => {
                if let Some(polled) = &mut self.polled {
                    polled.heard_at = polled.heard_at.max(made_at);
                    polled.unsaid &= !names_pipes;
                }
                self.polled_for((seq, known), &body, forgets, tick, heard);
            }
            (Asked::Poll { .. } | Asked::Publish { .. }, 410) => {
                if let Some(polled) = self.polled.take() {
                    let why = body[0]["data"]["error"].as_str().expect("a reason").to_owned();
                    heard.push(Heard::Over { why, heard_at: polled.heard_at });
                }
            }
            // A later request, with more, was there first.
            (Asked::Poll { seq, .. }, 409) => {
                assert!(self.polled.as_ref().is_none_or(|polled| seq < polled.named), "{seq} is in order");
            }
            (Asked::Publish { .. }, 200) => assert_eq!(body, Value::Array(Vec::new())),
            (asked, status) => panic!("{status} for {asked:?}: {body}"),
        }
    }

    fn polled_for(
        &mut self,
        (seq, known): (usize, usize),
        body: &Value,
        forgets: bool,
        tick: u64,
        heard: &mut Vec<Heard>,
    ) {
        let messages = body.as_array().expect("a list");
        let Some(polled) = &mut self.polled else { return };
        if messages.is_empty() {
            heard.push(Heard::Replaced);
        }
        for (number, message) in (seq..).zip(messages) {
            if let Some(before) = polled.messages.get(number) {
                assert_eq!(before, message, "number {number} was another message before");
            } else {
                assert_eq!(polled.messages.len(), number, "a message was left out");
                polled.messages.push(message.clone());
            }
        }
        if seq < known && !messages.is_empty() {
            assert!(seq + messages.len() >= known, "what was sent before is not sent again");
            heard.push(Heard::Repeated);
        }
        if forgets {
            return;
        }
        let fresh = seq.max(polled.seq)..(seq + messages.len()).max(polled.seq);
        polled.seq = fresh.end;
        let fresh: Vec<Value> = polled.messages[fresh].to_vec();
        if !fresh.is_empty() {
            heard.push(Heard::Acknowledged);
        }
        for message in &fresh {
            self.hears(message, tick, heard);
        }
    }

    fn hears(&mut self, value: &Value, tick: u64, heard: &mut Vec<Heard>) {
        let data = &value["data"];
        let position = value["position"].as_str().map(|text| text.parse().expect("a position"));
        match (value["pipe"].as_str().expect("a pipe"), value["event"].as_str()) {
            ("sys", Some("serverInfo")) => {
                assert!(!self.greeted, "serverInfo comes once and first");
                self.greeted = true;
                self.authorised = value["authorized"].as_bool().expect("a truth");
            }
            _ if !self.greeted => panic!("serverInfo comes first, not {value}"),
            ("sys", Some("subscribed")) => {
                let position = data["position"].as_str().map(|text| text.parse().expect("a position"));
                self.subscribed(
                    data["pipe"].as_str().expect("a pipe"),
                    position,
                    data["recovered"].as_bool(),
                    tick,
                    heard,
                );
            }
            ("sys", Some("moving")) => {
                assert!(data["within_ms"].as_u64().is_some(), "{value}");
                heard.push(Heard::Moving);
            }
            ("msg", _) => {
                let text = data.as_str().expect("a text").to_owned();
                assert!(self.authorised && self.letters.insert(text.clone()), "{text} comes to one connection twice");
                heard.push(Heard::Letter { text, waited: value["fromQueue"].as_bool() == Some(true) });
            }
            ("sys", Some("error")) => {
                let message =
                    self.awaits_report.take().unwrap_or_else(|| panic!("an error that nobody awaits: {value}"));
                heard.push(Heard::NotStored { message });
            }
            (pipe, Some("answer")) if pipe.starts_with("_answer_to_") => {
                let message = self.awaits_report.take().expect("a report that nobody awaits");
                assert_eq!(data["message"].as_str(), Some(message.as_str()));
                let connections = data["number_messages"].as_u64().expect("a number");
                heard.push(Heard::Report { message, connections });
            }
            (pipe, _) => {
                let missed = value["fromQueue"].as_bool() == Some(true);
                self.publication(pipe, data.as_str().expect("a text"), position, missed, heard);
            }
        }
    }

    fn publication(&mut self, pipe: &str, text: &str, position: Option<u64>, missed: bool, heard: &mut Vec<Heard>) {
        assert!(missed || !self.spared.contains(text), "{text} in {pipe} is not for this browser");
        let pipe = *self.had.get(pipe).unwrap_or_else(|| panic!("{pipe} was not asked for on this connection"));
        heard.extend(position.map(|position| Heard::Position { text: text.to_owned(), pipe, position }));
        if !self.wants.contains(pipe) {
            return;
        }
        let view = self.views.get_mut(pipe).expect("a pipe that is wanted");
        let is_known = position.is_some_and(|position| view.last.is_some_and(|last| position <= last));
        if missed {
            let Some(named) = view.asked.as_mut().filter(|named| named.position.is_some() || named.newest > 0) else {
                panic!("{text} was missed in {pipe}, but nothing was asked for")
            };
            match named.position {
                Some(after) => assert!(position > Some(after), "{text} is not behind {after}"),
                None => named.newest -= 1,
            }
            view.has_missed = true;
            heard.push(if named.position.is_some() { Heard::Missed } else { Heard::Newest });
            // Only a browser that knows one id for all pipes asks for what the page has.
            assert!(!is_known || self.by_event_id, "{text} in {pipe} is known");
        } else if view.asked.is_some() {
            // From before the server heard that the page left. What came before it the page may have dropped, because it
            // did not want the pipe then; so it is missed, and comes again, or a gap is told.
            assert!(view.rejoined, "{text} comes to {pipe} before the answer");
            return;
        }
        if is_known {
            assert!(missed, "{text} comes to {pipe} too late");
            return;
        }
        assert!(view.texts.insert(text.to_owned()), "{text} comes to {pipe} twice");
        view.last = position.or(view.last);
        view.seen.push(Seen::Message(text.to_owned()));
    }

    fn subscribed(
        &mut self,
        pipe: &str,
        position: Option<u64>,
        recovered: Option<bool>,
        tick: u64,
        heard: &mut Vec<Heard>,
    ) {
        let (pipe, view) = self.views.iter_mut().find(|(name, _)| **name == pipe).expect("a pipe that was asked for");
        let asked = view.asked.take().unwrap_or_else(|| panic!("{pipe} is answered and was not asked for"));
        let after = asked.position;
        let has_newest = after.is_none() && view.has_missed;
        if after.is_none() && recovered.is_some() {
            assert!(view.seen.iter().any(|seen| matches!(seen, Seen::From(None))), "{pipe}: nothing was asked for");
            assert_eq!(recovered, Some(false));
        }
        assert!(recovered.is_some() || after.is_none(), "{pipe}: who names a position hears whether it can be");
        if has_newest && recovered.is_none() {
            // The next one comes right behind them.
            view.whole_since = Some(tick);
        } else if recovered == Some(true) {
            heard.push(Heard::Recovered);
            assert!(position >= after, "{pipe} went back");
        } else {
            assert!(!view.has_missed || has_newest, "{pipe}: a part of what was missed, and a gap");
            if has_newest {
                // Some may be missing between them.
                let first =
                    view.seen.iter().rposition(|seen| matches!(seen, Seen::From(None))).expect("it was asked for");
                for message in view.seen.split_off(first) {
                    view.seen.extend([Seen::From(None), message]);
                }
            }
            view.seen.push(Seen::From(position));
            view.whole_since = Some(tick);
            let asked_at = self.asked_at;
            heard.extend(after.map(|after| Heard::Gap { pipe, after, asked_at }));
        }
        view.last = position.map(|position| view.last.map_or(position, |last| last.max(position)));
    }

    // How it stands

    fn is_connected(&self) -> bool {
        self.greeted && !self.is_away() && (self.transport != Transport::Polling || self.polled.is_some())
    }

    pub(super) fn is_subscribed(&self, pipe: &str) -> bool {
        self.is_connected() && self.wants.contains(pipe)
    }

    pub(super) fn is_here_as(&self, user: u32) -> bool {
        self.is_connected() && self.authorised && self.user == user
    }

    pub(super) fn user(&self) -> u32 {
        self.user
    }

    /// Whether it may do without this message.
    pub(super) fn has_own(&self, text: &str) -> bool {
        self.own.contains(text) || self.spared.contains(text)
    }

    /// A backend publishes this and names the page as the one that has it already.
    pub(super) fn is_spared(&mut self, text: &str) {
        self.spared.insert(text.to_owned());
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let lines = self.lines.iter().all(|line| line.to_server.is_empty() && line.from_server.is_empty());
        let answered = self.views.values().all(|view| view.asked.is_none());
        let reported = self.awaits_report.is_none() || self.polled.as_ref().is_some_and(|polled| polled.in_doubt);
        self.has_quit || lines && answered && self.greeted && reported && !self.has_to_poll()
    }

    /// At rest it knows that it has all from now on.
    pub(super) fn rests(&mut self, tick: u64) {
        let is_connected = self.is_connected();
        for pipe in self.wants.iter().filter(|_| is_connected) {
            self.views.get_mut(pipe).expect("a pipe that is wanted").whole_since.get_or_insert(tick);
        }
    }
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

/// What stands before the first such mark, which goes too.
fn until(bytes: &mut VecDeque<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memmem::find(bytes.make_contiguous(), mark)?;
    let mut taken = super::take(bytes, end + mark.len());
    taken.truncate(end);
    Some(taken)
}
