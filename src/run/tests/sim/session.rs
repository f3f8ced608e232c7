//! A backend's side of a CometQL session: real packets out, real packets in, and which answers are still owed.

use std::collections::VecDeque;

use sha1::{Digest, Sha1};

pub(super) const PASSWORD: &str = "simulated";

/// What an answer has to look like.
#[derive(Debug)]
pub(super) enum Owed {
    /// A result set; checked against the model if it is given. Error 500 if storage fails and it is not.
    Rows(Option<Vec<Vec<String>>>),
    /// The same rows in any order.
    Bag(Vec<Vec<String>>),
    Error(u16),
    /// OK, or error 500 because storage failed; of all that follow too.
    Stored,
    /// These messages were published.
    Published(Vec<String>),
    /// This message was published under a key, or it is the one that was before.
    Keyed(Box<Keyed>),
    /// These personal messages were sent.
    Letters(Vec<String>),
    /// The pipe keeps so many publications now.
    Length(String, u32),
}

/// A publication under a key.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) pipe: String,
    pub(super) key: usize,
    pub(super) message: String,
    /// Unix seconds.
    pub(super) written: i64,
    /// The answer has a warning.
    pub(super) is_repeated: bool,
}

pub(super) struct SessionClient {
    pub(super) socket: usize,
    pub(super) alive: bool,
    pub(super) ready: bool,
    to_server: VecDeque<u8>,
    from_server: VecDeque<u8>,
    owed: VecDeque<Owed>,
    pub(super) answered: usize,
}

impl SessionClient {
    pub(super) fn new(socket: usize) -> Self {
        Self {
            socket,
            alive: true,
            ready: false,
            to_server: VecDeque::new(),
            from_server: VecDeque::new(),
            owed: VecDeque::new(),
            answered: 0,
        }
    }

    /// So many of the bytes that it wants to send.
    pub(super) fn sends(&mut self, most: usize) -> Vec<u8> {
        super::take(&mut self.to_server, most)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.ready && self.owed.is_empty() && self.to_server.is_empty() && self.from_server.is_empty()
    }

    pub(super) fn outstanding(&self) -> usize {
        self.owed.len()
    }

    pub(super) fn query(&mut self, sql: &str, owed: Owed) {
        let length = (sql.len() + 1).to_le_bytes();
        self.to_server.extend([length[0], length[1], length[2], 0, 3]);
        self.to_server.extend(sql.as_bytes());
        self.owed.push_back(owed);
    }

    /// Takes what has arrived; returns what was answered with OK (true) or with error 500.
    pub(super) fn reads(&mut self, bytes: &[u8]) -> Vec<(Owed, bool)> {
        self.from_server.extend(bytes);
        let mut answered = Vec::new();
        while if self.ready { self.read_answer(&mut answered) } else { self.log_in() } {}
        answered
    }

    /// What will never be answered, because the session ends.
    pub(super) fn take_owed(&mut self) -> impl Iterator<Item = Owed> {
        self.owed.drain(..)
    }

    /// One step of the login; false if more bytes are needed.
    fn log_in(&mut self) -> bool {
        let Some(packet) = self.packet() else { return false };
        if packet[0] == 0 {
            self.ready = true;
            return true;
        }
        assert_eq!(packet[0], 10, "a greeting or an OK");
        let version_end = packet.iter().position(|byte| *byte == 0).expect("a version") + 1;
        let mut salt = packet[version_end + 4..version_end + 12].to_vec();
        let second = version_end + 12 + 1 + 2 + 1 + 2 + 2 + 1 + 10;
        salt.extend_from_slice(&packet[second..second + 12]);
        let once = Sha1::digest(PASSWORD);
        let mask = Sha1::new().chain_update(&salt).chain_update(Sha1::digest(once)).finalize();
        let response = once.iter().zip(mask).map(|(left, right)| left ^ right);
        let flags: u32 = 0x1 | 0x200 | 0x8000;
        let mut body = flags.to_le_bytes().to_vec();
        body.extend([0, 0, 0, 1, 45]);
        body.extend([0; 23]);
        body.extend(b"1\0");
        body.push(20);
        body.extend(response);
        self.to_server.extend([body.len() as u8, 0, 0, 1]);
        self.to_server.extend(body);
        true
    }

    fn read_answer(&mut self, answered: &mut Vec<(Owed, bool)>) -> bool {
        let Some(first) = self.peek(0) else { return false };
        match first[0] {
            0 => {
                self.drop_packets(1);
                let mut owed = self.pay();
                if let Owed::Keyed(keyed) = &mut owed {
                    // Behind two small numbers and the status.
                    keyed.is_repeated = first[5..7] != [0, 0];
                }
                assert!(!matches!(owed, Owed::Rows(_) | Owed::Bag(_) | Owed::Error(_)), "OK instead of {owed:?}");
                answered.push((owed, true));
            }
            0xff => {
                let code = u16::from_le_bytes([first[1], first[2]]);
                self.drop_packets(1);
                match self.pay() {
                    Owed::Error(expected) => assert_eq!(code, expected),
                    owed @ (Owed::Rows(Some(_)) | Owed::Bag(_)) => panic!("error {code} instead of {owed:?}"),
                    owed => {
                        assert_eq!(code, 500, "instead of {owed:?}");
                        answered.push((owed, false));
                    }
                }
            }
            columns => {
                let Some(rows) = self.rows(usize::from(columns)) else { return false };
                let owed = self.pay();
                let Ok(rows) = rows else {
                    assert!(matches!(owed, Owed::Rows(None)), "an error amid {owed:?}");
                    answered.push((owed, false));
                    self.answered += 1;
                    return true;
                };
                match owed {
                    Owed::Rows(Some(expected)) => assert_eq!(rows, expected),
                    Owed::Rows(None) => {}
                    Owed::Bag(mut expected) => {
                        let mut rows = rows;
                        expected.sort_unstable();
                        rows.sort_unstable();
                        assert_eq!(rows, expected);
                    }
                    other => panic!("rows instead of {other:?}"),
                }
            }
        }
        self.answered += 1;
        true
    }

    fn pay(&mut self) -> Owed {
        self.owed.pop_front().expect("an answer that nobody owed")
    }

    /// The rows of the result set at the front, if it is whole; its end may be error 500.
    fn rows(&mut self, columns: usize) -> Option<Result<Vec<Vec<String>>, ()>> {
        let mut at = 1 + columns + 1;
        let mut rows = Vec::new();
        loop {
            let packet = self.peek(at)?;
            at += 1;
            if packet[0] == 0xfe && packet.len() < 9 {
                self.drop_packets(at);
                return Some(Ok(rows));
            }
            if packet[0] == 0xff {
                assert_eq!(packet[1..3], 500_u16.to_le_bytes());
                self.drop_packets(at);
                return Some(Err(()));
            }
            let (mut row, mut place) = (Vec::new(), 0);
            while place < packet.len() {
                let (head, length) = match packet[place] {
                    0xfc => (3, usize::from(packet[place + 1]) | usize::from(packet[place + 2]) << 8),
                    length => (1, usize::from(length)),
                };
                let text = &packet[place + head..place + head + length];
                row.push(String::from_utf8(text.to_vec()).expect("text"));
                place += head + length;
            }
            rows.push(row);
        }
    }

    fn packet(&mut self) -> Option<Vec<u8>> {
        let packet = self.peek(0)?;
        self.drop_packets(1);
        Some(packet)
    }

    /// The payload of the nth packet from the front.
    fn peek(&self, nth: usize) -> Option<Vec<u8>> {
        let mut at = 0;
        for _ in 0..nth {
            at += 4 + self.length(at)?;
        }
        let length = self.length(at)?;
        (self.from_server.len() >= at + 4 + length)
            .then(|| self.from_server.range(at + 4..at + 4 + length).copied().collect())
    }

    fn length(&self, at: usize) -> Option<usize> {
        let byte = |offset| self.from_server.get(at + offset).map(|byte| usize::from(*byte));
        Some(byte(0)? | byte(1)? << 8 | byte(2)? << 16)
    }

    fn drop_packets(&mut self, count: usize) {
        for _ in 0..count {
            let length = self.length(0).expect("a packet that was looked at");
            self.from_server.drain(..4 + length);
        }
    }
}
