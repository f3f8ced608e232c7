//! A browser: real frames arrive in pieces of any size; what they hold is checked against its subscriptions.

use std::collections::{BTreeMap, VecDeque};

use encke::model::{Answer, ConnId, Publication, UserId};
use serde_json::Value;

/// One subscription of one connection, from the command that began it to the one that ended it.
#[derive(Default)]
struct Heard {
    last_position: Option<u64>,
    last_message: String,
    /// Positions that were skipped, and how many of its own publications the connection may have to thank for that.
    skipped: u64,
    published: u64,
}

pub(super) struct BrowserClient {
    pub(super) id: ConnId,
    pub(super) shard: usize,
    pub(super) user: UserId,
    pub(super) alive: bool,
    pub(super) greeted: bool,
    pub(super) authorised: bool,
    /// The messages whose delivery reports are due or unread.
    awaits_report: VecDeque<String>,
    subscriptions: BTreeMap<String, Heard>,
    /// Frames written by the server and not read by the client yet, with what the model says they hold.
    from_server: VecDeque<u8>,
    expected: VecDeque<String>,
    pub(super) received: usize,
}

impl BrowserClient {
    pub(super) fn new(id: ConnId, shard: usize, user: UserId) -> Self {
        Self {
            id,
            shard,
            user,
            alive: true,
            greeted: false,
            authorised: false,
            awaits_report: VecDeque::new(),
            subscriptions: BTreeMap::new(),
            from_server: VecDeque::new(),
            expected: VecDeque::new(),
            received: 0,
        }
    }

    pub(super) fn subscribe(&mut self, pipes: &[String]) {
        self.subscriptions.retain(|pipe, _| pipes.contains(pipe));
        for pipe in pipes {
            self.subscriptions.entry(pipe.clone()).or_default();
        }
    }

    pub(super) fn is_subscribed(&self, pipe: &str) -> bool {
        self.subscriptions.contains_key(pipe)
    }

    pub(super) fn last_message(&self, pipe: &str) -> Option<&str> {
        self.subscriptions.get(pipe).map(|heard| heard.last_message.as_str())
    }

    pub(super) fn publishes(&mut self, pipe: &str, message: &str) {
        self.awaits_report.push_back(message.to_owned());
        if let Some(heard) = self.subscriptions.get_mut(pipe) {
            heard.published += 1;
        }
    }

    pub(super) fn unread_bytes(&self) -> usize {
        self.from_server.len()
    }

    /// The server hands a publication to the connection.
    pub(super) fn handed(&mut self, publication: &Publication) {
        let pipe = publication.pipe.name.as_str();
        let heard = self.subscriptions.get_mut(pipe).unwrap_or_else(|| panic!("{pipe} was never subscribed"));
        if let Some(last) = heard.last_position {
            assert!(publication.number > last, "{pipe}: number {} after {last}", publication.number);
            heard.skipped += publication.number - last - 1;
            assert!(
                heard.skipped <= heard.published,
                "{pipe}: {} follows {last}, but only {} were its own",
                publication.number,
                heard.published
            );
        }
        heard.last_position = Some(publication.number);
        heard.last_message = publication.message.to_string();
        self.expected.push_back(publication.message.to_string());
    }

    /// The server answers; who it let in decides what may be subscribed.
    pub(super) fn answered(&mut self, answer: &Answer) {
        if let Answer::ServerInfo { authorised, .. } = answer {
            self.authorised = *authorised;
        }
    }

    pub(super) fn written(&mut self, bytes: &[u8]) {
        self.from_server.extend(bytes);
    }

    /// Reads up to so many bytes' worth of whole frames; returns the delivery reports among them.
    pub(super) fn read(&mut self, most: usize) -> Vec<(String, u64)> {
        let mut reports = Vec::new();
        let mut budget = most;
        while let Some((frame_bytes, json)) = self.frame() {
            if frame_bytes > budget {
                break;
            }
            budget -= frame_bytes;
            self.from_server.drain(..frame_bytes);
            let value: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
            let data = &value["data"];
            match (value["pipe"].as_str(), value["event"].as_str()) {
                (Some("sys"), Some("serverInfo")) => {
                    assert!(!self.greeted, "serverInfo comes once and first");
                    self.greeted = true;
                }
                (Some(pipe), Some("answer")) if pipe.starts_with("_answer_to_") => {
                    let expected = self.awaits_report.pop_front().expect("a report that nobody awaits");
                    assert_eq!(data["message"].as_str(), Some(expected.as_str()));
                    reports.push((expected, data["number_messages"].as_u64().expect("a number")));
                }
                _ => {
                    assert!(self.greeted, "serverInfo comes first");
                    let expected = self.expected.pop_front().expect("a publication that was not handed over");
                    assert_eq!(data.as_str(), Some(expected.as_str()));
                    self.received += 1;
                }
            }
        }
        reports
    }

    pub(super) fn has_read_everything(&self) -> bool {
        self.from_server.is_empty() && self.expected.is_empty() && self.awaits_report.is_empty() && self.greeted
    }

    /// The first whole frame: its bytes and text.
    fn frame(&self) -> Option<(usize, String)> {
        let byte = |at: usize| self.from_server.get(at).copied();
        assert!(byte(0).is_none_or(|first| first == 0x81), "only whole text frames");
        let (head, length) = match byte(1)? {
            126 => (4, usize::from(byte(2)?) << 8 | usize::from(byte(3)?)),
            127 => panic!("no simulated message is that long"),
            length => (2, usize::from(length)),
        };
        (self.from_server.len() >= head + length).then(|| {
            let text = self.from_server.range(head..head + length).copied().collect();
            (head + length, String::from_utf8(text).expect("UTF-8"))
        })
    }
}
