//! Whole sessions as bytes: a script of what arrives, and what must leave. Packets are written and read by hand here,
//! so that a mistake of `wire` cannot hide.

mod batch;
mod ends;
mod every;
mod instruct;
mod kept;
mod leaving;
mod logins;
mod memories;
mod memory;
mod order;
mod statements;
pub(super) mod tables;
mod tenants;
mod work;

use super::*;
use crate::cometql::introspection::Figures;
use crate::cometql::rows::Row;
use crate::cometql::session::{Server, StatementLimits};
use crate::cometql::sql::{Instruction, StringEscapes};
use crate::cometql::wire::{self, Method};
use crate::model::{Time, UnixTime, UserId};
use crate::ring::{Placement, Question, Refusal, Replies};
use crate::storage::{Job, Outcome, Read, Request, StorageError, Write};
use sha1::{Digest, Sha1};
use std::net::{IpAddr, Ipv4Addr};

const NOW: Now = Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 };
const PASSWORD: &str = "correct horse";
const SALT: [u8; 20] = [7; 20];
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Bench {
    exec: Exec,
    input: Vec<u8>,
    paused: bool,
    /// What [`Bench::take`] has not seen yet.
    unread: Vec<u8>,
    rings: Vec<(ShardId, RingMessage)>,
    jobs: Vec<Job>,
    ledger: Vec<AskId>,
    closed: Vec<(ConnId, CloseReason)>,
    held_off: Vec<IpAddr>,
    told: Vec<Told>,
    instructions: Vec<(u64, Instruction)>,
    /// The last write.
    written: Vec<u8>,
    /// The session waits for its client to read.
    undrained: bool,
    now: Now,
}

fn id(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

impl Bench {
    /// A session that has connected and has not logged in.
    fn greeted() -> Self {
        Self::greeted_with(Tls::Off)
    }

    fn greeted_with(tls: Tls) -> Self {
        let config = ExecConfig {
            tenants: Tenants::default(),
            placement: Placement::new(2, [1, 2, 3, 4]),
            password: PASSWORD.into(),
            packets: wire::Limits::default(),
            statements: StatementLimits {
                query_bytes_max: 10_000,
                result_bytes_max: 50_000,
                dev_max: 9,
                lists_tables: false,
                ..StatementLimits::default()
            },
            escapes: StringEscapes::Mysql,
            server: Server {
                version: wire::SERVER_VERSION,
                host_name: "a-machine".into(),
                port: Arc::new(3310.into()),
                settings: Arc::default(),
            },
            method: Method::Native,
            pipeline_max: 4,
            tenant_sessions_max: 2,
            tenants_sessions_max: 3,
            held_bytes_max: 60_000,
            kept_bytes_max: usize::MAX,
            login_attempts_max: 3,
            delete_counts: false,
            tls,
            tell: Tell::Texts,
        };
        let mut exec = Exec::new(config);
        exec.opened(id(0), Peer::Address(HERE), SALT);
        let mut bench = Self {
            exec,
            input: Vec::new(),
            paused: false,
            unread: Vec::new(),
            rings: Vec::new(),
            jobs: Vec::new(),
            ledger: Vec::new(),
            closed: Vec::new(),
            held_off: Vec::new(),
            told: Vec::new(),
            instructions: Vec::new(),
            written: Vec::new(),
            undrained: false,
            now: NOW,
        };
        bench.turn();
        bench.unread.clear();
        bench
    }

    fn logged_in() -> Self {
        let mut bench = Self::greeted();
        bench.log_in("1", PASSWORD, Some("CometQL_v1"));
        assert_eq!(bench.take(), ["ok 0 0"]);
        bench
    }

    fn log_in(&mut self, user: &str, password: &str, database: Option<&str>) {
        let response = if password.is_empty() { Vec::new() } else { response(password) };
        self.log_in_with(user, &response, database);
    }

    fn log_in_with(&mut self, user: &str, response: &[u8], database: Option<&str>) {
        let flags: u32 = 0x200 | 0x8000 | 0x1_0000 | 0x8_0000 | if database.is_some() { 8 } else { 0 };
        let mut body = flags.to_le_bytes().to_vec();
        body.extend([0, 0, 0, 1, 45]);
        body.extend([0; 23]);
        body.extend(user.bytes().chain([0]));
        body.push(response.len() as u8);
        body.extend(response);
        body.extend(database.unwrap_or_default().bytes().chain([0]));
        self.packet(1, &body);
    }

    fn packet(&mut self, sequence: u8, body: &[u8]) {
        let length = body.len().to_le_bytes();
        self.input.extend([length[0], length[1], length[2], sequence]);
        self.input.extend(body);
        self.feed();
    }

    fn query(&mut self, sql: &str) {
        let body: Vec<u8> = [3].into_iter().chain(sql.bytes()).collect();
        self.packet(0, &body);
    }

    fn feed(&mut self) {
        if !self.paused {
            let received = self.exec.receive(id(0), &self.input, self.now, &live);
            self.input.drain(..received.used);
            self.paused = received.pause;
        }
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            while self.exec.go_on(&live) {}
            self.end_turn();
            if !self.exec.next_turn() {
                return;
            }
        }
    }

    fn end_turn(&mut self) {
        self.exec.end_turn();
        while let Some(output) = self.exec.poll_output() {
            match output {
                Output::Write { bytes, .. } => {
                    self.unread.extend(&bytes);
                    self.written = bytes;
                }
                Output::Ring { to, message } => self.rings.push((to, message)),
                Output::Store(job) => self.jobs.push(job),
                Output::AskLedger(id) => self.ledger.push(id),
                Output::Close { session, reason } => self.closed.push((session, reason)),
                Output::Resume { .. } => {
                    self.paused = false;
                    self.feed();
                }
                Output::TellWhenDrained { .. } => self.undrained = true,
                Output::HeldOff { address } => self.held_off.push(address),
                Output::Told(told) => self.told.push(*told),
                Output::Instruct { number, instruction } => self.instructions.push((number, instruction)),
                Output::LoggedIn { .. } => {}
            }
        }
    }

    /// Whose order the nth message is.
    fn statement(&self, nth: usize) -> StatementId {
        match &self.rings[nth].1 {
            RingMessage::Publish { statement: Some(statement), .. } => *statement,
            RingMessage::Send(send) => send.statement,
            RingMessage::SetLength(set) => set.statement,
            other => panic!("no order: {other:?}"),
        }
    }

    fn refuse(&mut self, nth: usize, refusal: Refusal) {
        let message = RingMessage::Refused { statement: self.statement(nth), refusal: Box::new(refusal) };
        self.exec.ring(message);
        self.turn();
    }

    /// The owner does what the nth message orders.
    fn accept(&mut self, nth: usize) {
        let message = RingMessage::Accepted { statement: self.statement(nth), rows: 1 };
        self.exec.ring(message);
        self.turn();
    }

    fn complete(&mut self, result: Result<Outcome, StorageError>) {
        let job = self.jobs.remove(0);
        self.exec.stored(Completion { ticket: job.ticket, result });
        self.turn();
    }

    /// Answers as short texts: `ok 0 0`, `error 15`, `rows a,b: 1,2 | 3,4`, `bytes ...`.
    fn take(&mut self) -> Vec<String> {
        decode(&std::mem::take(&mut self.unread))
    }

    fn check(&mut self, sql: &str, expected: &str) {
        self.query(sql);
        assert_eq!(self.take(), [expected], "{sql}");
    }
}

fn response(password: &str) -> Vec<u8> {
    // A byte of 7 maps to the salt byte 8.
    let salt = [8; 20];
    let once = Sha1::digest(password);
    let mask = Sha1::new().chain_update(salt).chain_update(Sha1::digest(once)).finalize();
    once.iter().zip(mask).map(|(left, right)| left ^ right).collect()
}

fn live(figures: Figures, dev: DevId) -> Vec<Row> {
    match figures {
        Figures::Status(_) => vec![vec!["uptime".into(), "12".into()], vec!["id".into(), dev.to_string().into()]],
        Figures::Log => vec![vec!["a warning".into()]],
        Figures::Processlist | Figures::Processes => Vec::new(),
    }
}

/// Text results only; enough to say what a client would see.
fn decode(bytes: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while let [a, b, c, _, tail @ ..] = rest {
        let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        packets.push(&tail[..length]);
        rest = &tail[length..];
    }
    let texts = |packet: &[u8]| {
        let (mut texts, mut at) = (Vec::new(), 0);
        while at < packet.len() {
            let length = usize::from(packet[at]);
            texts.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + length]).into_owned());
            at += 1 + length;
        }
        texts
    };
    let mut answers = Vec::new();
    let mut packets = packets.into_iter();
    while let Some(packet) = packets.next() {
        match packet[0] {
            // The answer to PREPARE has twelve bytes.
            0 if packet.len() > 7 && packet.len() != 12 => {
                answers.push(format!("told {}", texts(&packet[7..]).concat()));
            }
            0 => answers.push(format!("ok {} {}", packet[1], packet[2])),
            0xff => answers.push(format!("error {}", u16::from_le_bytes([packet[1], packet[2]]))),
            0xfe => answers.push("eof".to_owned()),
            columns if packet.len() == 1 => {
                let names: Vec<String> = packets
                    .by_ref()
                    .take(usize::from(columns))
                    .map(|definition| texts(&definition[4..])[3].clone())
                    .collect();
                assert_eq!(packets.next().map(|packet| packet[0]), Some(0xfe));
                let mut rows = Vec::new();
                let mut broken = None;
                for packet in packets.by_ref() {
                    match packet[0] {
                        0xfe => break,
                        0xff => {
                            broken = Some(format!("error {}", u16::from_le_bytes([packet[1], packet[2]])));
                            break;
                        }
                        _ => rows.push(texts(packet).join(",")),
                    }
                }
                answers.push(format!("rows {}: {}", names.join(","), rows.join(" | ")));
                answers.extend(broken);
            }
            _ => answers.push(format!("bytes {}", String::from_utf8_lossy(packet))),
        }
    }
    answers
}

const INSERT: &str = "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'e', 'm')";

impl Bench {
    /// Another client in the place of the one before, which is gone.
    fn next_client(&mut self, address: IpAddr) {
        self.exec.closed(id(0));
        self.input.clear();
        self.exec.opened(id(0), Peer::Address(address), SALT);
        self.turn();
        self.unread.clear();
    }
}
