//! One thread of a crowd: its epoll, its connections, and the loops that open them and read from them.

use super::connection::{Connection, Prepared, State};
use super::{Command, ConnectPlan, ConnectSummary, ReceivePlan, ReceiveSummary, Report, histogram};
use crate::error::Error;
use crate::frame;
use crate::process::Process;
use crate::publication::Verdict;
use crate::system;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// Readiness notices taken at a time.
const EVENTS_MAX: usize = 1024;
/// One buffer for all connections of the thread.
const BUFFER_BYTES: usize = 64 << 10;
/// Pongs hide nothing, but a client must mask.
const PONG_MASK: [u8; 4] = [1, 2, 3, 4];
/// How often a waiting loop looks at its limits.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(
    number: usize,
    core: Option<usize>,
    started: &Sender<Result<(), Error>>,
    commands: &Receiver<Command>,
) {
    // The table is split before this thread opens anything: see there for the rule.
    let prepared = system::own_descriptor_table()
        .and_then(|()| system::pin_to_core(core))
        .and_then(|()| Poll::new().map_err(Error::io("create an epoll")));
    let poll = match prepared {
        Ok(poll) => poll,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    let mut worker = Worker {
        number,
        poll,
        events: Events::with_capacity(EVENTS_MAX),
        buffer: vec![0; BUFFER_BYTES],
        connections: Vec::new(),
        unread: Vec::new(),
    };
    // A coordinator that no longer listens has given up; its next act is to drop the commands.
    while let Ok(command) = commands.recv() {
        match command {
            Command::Connect { plan, first, reply } => {
                let _ = reply.send(worker.connect(&plan, first));
            }
            Command::Receive { plan, reports } => {
                let summary = worker.receive(&plan, &reports);
                let _ = reports.send(Report::Done { worker: worker.number, summary: Box::new(summary) });
            }
            Command::Close { reply } => {
                worker.connections = Vec::new();
                worker.unread = Vec::new();
                let _ = reply.send(());
            }
        }
    }
}

struct Worker {
    number: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// The place is the token.
    connections: Vec<Connection>,
    /// Open connections with something to read that was announced while others were connecting: an edge-triggered
    /// readiness is told once.
    unread: Vec<usize>,
}

impl Worker {
    /// Opens `plan.connections` connections, numbered in the crowd from `first`, or fails with the first failure.
    fn connect(&mut self, plan: &ConnectPlan, first: usize) -> Result<ConnectSummary, Error> {
        let prepared = Prepared::new(plan);
        let (begin, base) = (Instant::now(), self.connections.len());
        let mut starts: Vec<Instant> = Vec::with_capacity(plan.connections);
        let mut handshake_us = histogram();
        let mut open = 0;
        self.connections.reserve_exact(plan.connections);
        while open < plan.connections {
            while starts.len() < plan.connections && starts.len() - open < plan.under_way_max.max(1) {
                let mut connection = Connection::start(&prepared, first + starts.len())?;
                let token = Token(base + starts.len());
                let both = Interest::READABLE | Interest::WRITABLE;
                let registered = self.poll.registry().register(&mut connection.stream, token, both);
                registered.map_err(Error::io("register a connection with epoll"))?;
                self.connections.push(connection);
                starts.push(Instant::now());
            }
            poll(&mut self.poll, &mut self.events, LOOK)?;
            for event in &self.events {
                let index = event.token().0;
                let Some(place) = index.checked_sub(base) else { continue };
                let Some(connection) = self.connections.get_mut(index) else { continue };
                if connection.state == State::Open {
                    self.unread.push(index);
                    continue;
                }
                if connection.open_further(&prepared, first + place, &mut self.buffer)? {
                    handshake_us
                        .saturating_record(starts.get(place).map_or(0, |start| start.elapsed().as_micros() as u64));
                    open += 1;
                }
            }
            if begin.elapsed() > plan.limit {
                return Err(self.unopened(plan, base));
            }
        }
        Ok(ConnectSummary { elapsed: begin.elapsed(), handshake_us })
    }

    fn unopened(&self, plan: &ConnectPlan, base: usize) -> Error {
        let count = |state| self.connections.iter().skip(base).filter(|connection| connection.state == state).count();
        let waiting_for = format!(
            "{} connections to open: {} are open, {} wait for TCP, {} for the answer to the handshake, {} for serverInfo",
            plan.connections,
            count(State::Open),
            count(State::Connecting),
            count(State::Head),
            count(State::ServerInfo)
        );
        Error::TimedOut { waiting_for, limit: plan.limit }
    }

    /// Reads until every connection has every publication and the lingering is over, or nothing comes any more.
    fn receive(&mut self, plan: &ReceivePlan, reports: &Sender<Report>) -> ReceiveSummary {
        let thread = system::thread_number();
        let cpu = |thread| Process::ourselves().thread_cpu_ns(thread).unwrap_or(0);
        let cpu_before = cpu(thread);
        let subscribers = self.connections.iter().filter(|connection| connection.state == State::Open).count();
        let mut receipt = Receipt {
            plan,
            subscribers: subscribers as u32,
            arrived: vec![0; plan.publications as usize],
            complete: 0,
            summary: ReceiveSummary::new(),
            pongs: Vec::new(),
        };
        for connection in &mut self.connections {
            connection.ledger.begin(plan.first);
        }
        for index in self.unread.drain(..) {
            if let Some(connection) = self.connections.get_mut(index) {
                receipt.read(connection, &mut self.buffer, true);
            }
        }
        let mut last_progress = Instant::now();
        let mut delivered = 0;
        let mut told = 0;
        loop {
            let done = receipt.complete == plan.publications;
            let patience = if done { plan.linger } else { plan.stall_limit };
            let left = patience.saturating_sub(last_progress.elapsed());
            if left.is_zero() {
                break;
            }
            if let Err(error) = poll(&mut self.poll, &mut self.events, left.min(LOOK)) {
                receipt.summary.tally.trouble(|| error.to_string());
                break;
            }
            for event in &self.events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    receipt.read(connection, &mut self.buffer, event.is_read_closed() || event.is_error());
                }
            }
            if receipt.summary.tally.delivered > delivered {
                delivered = receipt.summary.tally.delivered;
                last_progress = Instant::now();
            }
            if receipt.complete > told {
                told = receipt.complete;
                let _ = reports.send(Report::Complete { worker: self.number, count: told });
            }
        }
        let mut summary = receipt.summary;
        summary.cpu_ns = cpu(thread).saturating_sub(cpu_before);
        summary
    }
}

/// What arrives during one receiving.
struct Receipt<'a> {
    plan: &'a ReceivePlan,
    subscribers: u32,
    /// How many connections have each publication.
    arrived: Vec<u32>,
    /// Publications, from the first, that all connections have.
    complete: u32,
    summary: ReceiveSummary,
    /// Answers to the pings of one read.
    pongs: Vec<u8>,
}

impl Receipt<'_> {
    /// Reads until the socket is dry. A short read shows that it is, unless the peer's end stands behind the bytes:
    /// the readiness is edge-triggered and would not tell again.
    fn read(&mut self, connection: &mut Connection, buffer: &mut [u8], ends: bool) {
        while connection.state == State::Open {
            match connection.stream.read(buffer) {
                Ok(0) => self.end(connection, "the server closed it"),
                Ok(count) => {
                    self.summary.reads += 1;
                    self.summary.bytes += count as u64;
                    self.take(connection, buffer.get(..count).unwrap_or_default());
                    if count < buffer.len() && !ends {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end(connection, &error.to_string()),
            }
        }
    }

    fn end(&mut self, connection: &mut Connection, why: &str) {
        connection.state = State::Ended;
        self.summary.tally.ended += 1;
        self.summary.tally.trouble(|| format!("a connection ended: {why}"));
    }

    fn take(&mut self, connection: &mut Connection, bytes: &[u8]) {
        let now = Instant::now();
        let result = connection.frames(bytes, |ledger, frame| {
            if frame.opcode == frame::PING {
                frame::write_client_frame(&mut self.pongs, true, frame::PONG, frame.payload, PONG_MASK);
                return;
            }
            let is_text = frame.fin && frame.opcode == frame::TEXT;
            if let Some(sequence) = self.plan.shape.check(frame.payload).filter(|_| is_text) {
                self.note(ledger.note(sequence), sequence, now);
                return;
            }
            self.summary.tally.foreign += 1;
            self.summary.tally.trouble(|| {
                let text = String::from_utf8_lossy(frame.payload);
                format!("a frame of opcode {} with {text:?}", frame.opcode)
            });
        });
        if let Err(error) = result {
            self.end(connection, &error.to_string());
        }
        if !self.pongs.is_empty() {
            // A socket that is too full for a pong belongs to a server that does not read.
            if let Err(error) = connection.stream.write_all(&self.pongs) {
                self.end(connection, &format!("a pong was not taken: {error}"));
            }
            self.pongs.clear();
        }
    }

    fn note(&mut self, verdict: Verdict, sequence: u32, now: Instant) {
        let tally = &mut self.summary.tally;
        match verdict {
            Verdict::Repeated => {
                tally.repeated += 1;
                return;
            }
            Verdict::InOrder => {}
            Verdict::AfterGap | Verdict::Late => tally.disordered += 1,
        }
        let index = sequence.wrapping_sub(self.plan.first);
        let Some(count) = self.arrived.get_mut(index as usize) else {
            tally.foreign += 1;
            tally.trouble(|| format!("publication {sequence}, which is not of this round"));
            return;
        };
        *count += 1;
        tally.delivered += 1;
        self.summary.last_arrival = Some(now);
        if let Some(us) = self.plan.times.latency_us(index, now) {
            self.summary.latency_us.saturating_record(us);
        }
        while self.arrived.get(self.complete as usize).is_some_and(|count| *count >= self.subscribers) {
            self.complete += 1;
        }
    }
}

fn poll(poll: &mut Poll, events: &mut Events, limit: Duration) -> Result<(), Error> {
    match poll.poll(events, Some(limit)) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(Error::io("wait for readiness")(error)),
        _ => Ok(()),
    }
}
