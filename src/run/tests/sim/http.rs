//! A backend that publishes by HTTP: one request after the other, of several statements each.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::model::Time;

use super::kernel::Peer;
use super::session::{Owed, PASSWORD};
use super::world::{Client, PIPES, World};

pub(super) struct HttpClient {
    pub(super) shard: usize,
    pub(super) socket: usize,
    pub(super) alive: bool,
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// The messages of the request under way, and when it began.
    owed: Option<(Vec<String>, Time)>,
}

/// Microseconds after which the server says that it has no answer yet.
const PATIENCE: u64 = 120_000_000;

impl HttpClient {
    pub(super) fn new(shard: usize, socket: usize) -> Self {
        Self { shard, socket, alive: true, to_server: VecDeque::new(), from_server: Vec::new(), owed: None }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.owed.is_none()
    }

    /// Each message with its pipe.
    pub(super) fn publish(&mut self, messages: Vec<(&str, String)>, now: Time) {
        let sql = "INSERT INTO pipes_messages (name, event, message) VALUES (?, 'e', ?)";
        let statement = |(pipe, message): &(&str, String)| json!({ "sql": sql, "params": [pipe, message] });
        let body = messages.iter().map(statement).collect::<Value>().to_string();
        let head = format!(
            "POST /cometql?user=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {PASSWORD}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.to_server.extend(head.bytes().chain(body.bytes()));
        self.owed = Some((messages.into_iter().map(|(_, message)| message).collect(), now));
    }

    /// So many of the bytes that it wants to send.
    pub(super) fn sends(&mut self, most: usize) -> Vec<u8> {
        super::take(&mut self.to_server, most)
    }

    /// Takes what has arrived: if the answer is whole, the messages that were published, and whether those are all.
    pub(super) fn reads(&mut self, bytes: &[u8], now: Time) -> Option<(Vec<String>, bool)> {
        self.from_server.extend_from_slice(bytes);
        let head_end = memchr::memmem::find(&self.from_server, b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.from_server[..head_end].to_vec()).expect("a head");
        let waited = self.owed.as_ref().map_or(0, |(_, began)| now.0 - began.0);
        let gave_up = waited >= PATIENCE && head.starts_with("HTTP/1.1 503 ");
        assert!(gave_up || head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let end = head_end + length.parse::<usize>().expect("a length");
        if self.from_server.len() < end {
            return None;
        }
        let answer: Value = serde_json::from_slice(&self.from_server[head_end..end]).expect("JSON");
        assert_eq!(self.from_server.len(), end, "more than was asked for");
        self.from_server.clear();
        let (mut messages, _) = self.owed.take().expect("an answer that nobody owed");
        if gave_up {
            // Nothing is known of them.
            return Some((Vec::new(), true));
        }
        let results = answer["results"].as_array().expect("results");
        let failed = results.iter().position(|result| !result["error"].is_null());
        if let Some(failed) = failed {
            assert_eq!((failed + 1, &results[failed]["error"]["number"]), (results.len(), &500.into()), "{answer}");
            messages.truncate(failed);
        } else {
            assert_eq!(results.len(), messages.len(), "{answer}");
        }
        Some((messages, failed.is_none()))
    }
}

impl World {
    /// Somebody comes who asks by HTTP, perhaps in the place of another one.
    pub(super) fn open_http(&mut self) {
        let (shard, room) = (self.random.below(self.cometql()), self.room());
        let socket = self.shards[shard].kernel().connect(room);
        self.client_of[shard].push(Client::Http(self.http.len()));
        self.http.push(HttpClient::new(shard, socket));
        let alive: Vec<usize> = (0..self.http.len()).filter(|at| self.http[*at].alive).collect();
        if let Some(at) = self.random.pick(&alive).copied().filter(|_| alive.len() > 3) {
            let client = &mut self.http[at];
            client.alive = false;
            self.shards[client.shard].kernel().client_leaves(client.socket, Peer::Gone);
        }
    }

    pub(super) fn publish_by_http(&mut self) {
        let resting = |client: &HttpClient| client.alive && client.is_at_rest();
        let fit: Vec<usize> = (0..self.http.len()).filter(|at| resting(&self.http[*at])).collect();
        let Some(at) = self.random.pick(&fit).copied() else { return };
        let messages: Vec<_> = (0..=self.random.below(4))
            .map(|_| {
                let (pipe, message) = (PIPES[self.random.below(PIPES.len())], self.message());
                self.sent(pipe, &message);
                (pipe, message)
            })
            .collect();
        let now = self.now.time;
        self.http[at].publish(messages, now);
    }

    /// Whether anything was sent or read.
    pub(super) fn http_goes_on(&mut self, at: usize, most: usize) -> bool {
        let client = &mut self.http[at];
        if !client.alive {
            return false;
        }
        let kernel = self.shards[client.shard].kernel();
        let sent = client.sends(most);
        if !sent.is_empty() {
            kernel.client_sends(client.socket, &sent);
        }
        let read = kernel.client_reads(client.socket, most);
        let answered = client.reads(&read, self.now.time);
        if kernel.client_sees_end(client.socket) {
            client.alive = false;
            kernel.client_leaves(client.socket, Peer::Gone);
        }
        if let Some((published, all)) = answered {
            self.totals.by_http += 1;
            self.answered(Owed::Published(published), true);
            if !all {
                self.assert_that_storage_failed();
            }
        }
        !sent.is_empty() || !read.is_empty()
    }
}
