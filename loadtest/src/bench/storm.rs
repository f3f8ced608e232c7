//! `storm`: everybody is dropped at once and comes back while the backend goes on publishing. Each must prove again who
//! it is, and get what it missed of two pipes with history, once and in order, before what is new.

use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::rest;
use super::{Target, USER_KEY, add_users};
use crate::cometql::CometQl;
use crate::crowd::wait;
use crate::error::Error;
use crate::frame;
use crate::hello::{self, Hello};
use crate::process::{Memory, Process};
use crate::publication::{Ledger, PublicationShape, Verdict};
use crate::system;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds from the drop until everybody is back and has what it missed.
pub const BAR_SECONDS: f64 = 10.0;
/// What the server's memory may differ by from before, in percent.
pub const BAR_MEMORY_PERCENT: f64 = 5.0;

const PIPES: [&str; 2] = ["bench_storm_a", "bench_storm_b"];
/// How long the server may stay busy after its work is done.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// A server may keep what it has just used for a while.
const IDLE: Duration = Duration::from_secs(5);
/// How long a thread is waited for beyond the limit that it keeps itself.
const GRACE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
const BUFFER_BYTES: usize = 64 << 10;
const MASK: [u8; 4] = [9, 8, 7, 6];

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 20_000)]
    pub clients: usize,
    /// Publications in each pipe while everybody is away
    #[arg(long, default_value_t = 10)]
    pub missed: u32,
    /// Publications per second in each pipe while they come back
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    /// Connections that open at a time, over all threads
    #[arg(long, default_value_t = 1_000)]
    pub under_way: usize,
    /// How often everybody is dropped
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if options.clients == 0 || options.under_way == 0 || !(0.1..=1_000.0).contains(&options.rate) {
        return Err(Error::usage(
            "a storm needs clients, some of them under way, and 0.1 to 1000 publications per second",
        ));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let mut backend = Backend::prepare(target, options)?;
    let limit = target.limit() + Duration::from_millis(10) * options.clients as u32;
    let crowd = Crowd::start(target, options, limit)?;
    let settle = || {
        let rest = |process: Process| {
            thread::sleep(IDLE);
            process.settle(SETTLE_LIMIT)
        };
        process.map(rest).transpose()
    };
    let memory = || process.map(Process::memory).transpose();

    let first = crowd.each(limit + GRACE, |reply| Command::Connect { reply })?;
    backend.publish(options.missed)?;
    let came = crowd.each(limit + GRACE, |reply| Command::Expect { next: backend.next, reply })?;
    let mut record = Record::new("storm, before");
    record.count("clients", options.clients as u64).number("seconds", first.elapsed.as_secs_f64());
    first.add(came).tell(&mut record);
    let is_failed = record.is_failed();
    report.add(record);
    if is_failed {
        return Ok(());
    }
    // The first one warms the server up: before it, nothing was ever missed.
    let mut before: Option<(Memory, u64)> = None;
    for round in 0..=options.rounds.max(1) {
        rest();
        let meter = Meter::start(process)?;
        let start = Instant::now();
        crowd.each(limit + GRACE, |reply| Command::Drop { reply })?;
        backend.publish(options.missed)?;
        let (back, elapsed) = backend.publish_while(options.rate, || {
            let back = crowd.each(limit + GRACE, |reply| Command::Connect { reply })?;
            Ok((back, start.elapsed()))
        })?;
        let reading = meter.stop()?;
        backend.publish(1)?;
        let came = crowd.each(limit + GRACE, |reply| Command::Expect { next: backend.next, reply })?;
        settle()?;

        let mut record = Record::new(if round == 0 { "storm, warm-up" } else { "storm" });
        record.count("round", round.into()).count("clients", options.clients as u64);
        record.number("seconds", elapsed.as_secs_f64()).number("bar_seconds", BAR_SECONDS);
        record.number("connects_per_second", ratio(options.clients as f64, elapsed.as_secs_f64()));
        reading.tell(&mut record, "return", options.clients as u64);
        back.add(came).tell(&mut record);
        let mut is_met = elapsed.as_secs_f64() <= BAR_SECONDS;
        if let (Some((before, counted)), Some(after)) = (before, memory()?) {
            let percent = 100.0 * (ratio(after.rss_kib as f64, before.rss_kib as f64) - 1.0);
            record.count("counted_bytes_before", counted).count("counted_bytes_after", backend.counted_bytes()?);
            record.number("memory_percent", percent).number("bar_memory_percent", BAR_MEMORY_PERCENT);
            record.memory("before", before).memory("after", after);
            is_met &= percent.abs() <= BAR_MEMORY_PERCENT;
        }
        if round == 0 {
            before = memory()?.zip(Some(backend.counted_bytes()?));
        } else {
            record.text("verdict", if is_met { "met" } else { "missed" });
        }
        report.add(record);
    }
    Ok(())
}

/// What publishes in both pipes.
struct Backend {
    client: CometQl,
    shapes: [PublicationShape; 2],
    /// The next sequence number, in each pipe the same.
    next: u32,
}

impl Backend {
    fn prepare(target: &Target, options: &Options) -> Result<Self, Error> {
        let mut client = target.log_in()?;
        add_users(&mut client, options.clients)?;
        for pipe in PIPES {
            client.execute(&format!("INSERT INTO pipes_settings (name, length) VALUES ('{pipe}', 1000)"))?;
        }
        let shape = |pipe| PublicationShape::new(pipe, "tick", options.size);
        Ok(Self { client, shapes: [shape(PIPES[0])?, shape(PIPES[1])?], next: 0 })
    }

    fn publish(&mut self, publications: u32) -> Result<(), Error> {
        for _ in 0..publications {
            for shape in &self.shapes {
                self.client.execute(&shape.insert(self.next))?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// What the server knows that it holds.
    fn counted_bytes(&mut self) -> Result<u64, Error> {
        let rows = self.client.rows("SHOW GLOBAL STATUS LIKE 'encke_memory_%'")?;
        let number = |row: &Vec<Option<String>>| row.get(1)?.as_deref()?.parse::<u64>().ok();
        Ok(rows.iter().filter_map(number).sum())
    }

    /// Goes on publishing by the clock until `work` is done.
    fn publish_while<T>(&mut self, rate: f64, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    self.publish(1)?;
                    thread::sleep(Duration::from_secs_f64(1.0 / rate));
                }
                Ok(())
            });
            let outcome = work();
            is_done.store(true, Ordering::Relaxed);
            publisher.join().map_err(|_| Error::Worker { what: "the publisher panicked".into() })??;
            outcome
        })
    }
}

/// What the clients saw.
#[derive(Clone, Debug, Default)]
struct Outcome {
    elapsed: Duration,
    delivered: u64,
    /// Publications that came twice, or before or after one they should have followed or preceded.
    repeated: u64,
    disordered: u64,
    /// Clients that have not got all in time.
    behind: u64,
    unauthorised: u64,
    /// Pipes of which the server could not say what was missed.
    gaps: u64,
    /// Openings that the server ended, and that were tried again.
    retries: u64,
    /// Connections that ended although they were good.
    ended: u64,
    trouble: Option<String>,
}

impl Outcome {
    #[must_use]
    fn add(mut self, other: Self) -> Self {
        self.elapsed = self.elapsed.max(other.elapsed);
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
        self.behind += other.behind;
        self.unauthorised += other.unauthorised;
        self.gaps += other.gaps;
        self.retries += other.retries;
        self.ended += other.ended;
        self.trouble = self.trouble.or(other.trouble);
        self
    }

    fn tell(&self, record: &mut Record) {
        record.count("delivered", self.delivered).count("retries", self.retries);
        for (name, count) in [
            ("repeated", self.repeated),
            ("disordered", self.disordered),
            ("clients_behind", self.behind),
            ("unauthorised", self.unauthorised),
            ("gaps", self.gaps),
            ("ended_connections", self.ended),
        ] {
            record.count(name, count);
            if count > 0 {
                record.fail(format!("{name}: {count}"));
            }
        }
        if let Some(trouble) = &self.trouble {
            record.fail(trouble.clone());
        }
    }
}

enum Command {
    /// Everybody connects, proves who it is, and names what it has.
    Connect {
        reply: Sender<Outcome>,
    },
    /// Everybody reads until it has all before this sequence number.
    Expect {
        next: u32,
        reply: Sender<Outcome>,
    },
    Drop {
        reply: Sender<Outcome>,
    },
}

/// Threads with their part of the clients.
struct Crowd {
    workers: Vec<Sender<Command>>,
}

impl Crowd {
    fn start(target: &Target, options: &Options, limit: Duration) -> Result<Self, Error> {
        let threads = system::threads_for(options.clients);
        let mut workers = Vec::new();
        let mut first = 0;
        for number in 0..threads {
            let count = options.clients / threads + usize::from(number < options.clients % threads);
            let worker = Plan {
                target: target.ws,
                tenant: target.tenant,
                first,
                count,
                under_way: (options.under_way / threads).max(1),
                limit,
            };
            first += count;
            let (commands, received) = channel();
            let core = target.client_core;
            thread::Builder::new()
                .name(format!("storm-{number}"))
                .spawn(move || Worker::run(worker, core, &received))
                .map_err(Error::io("start a worker thread"))?;
            workers.push(commands);
        }
        Ok(Self { workers })
    }

    fn each(&self, limit: Duration, command: impl Fn(Sender<Outcome>) -> Command) -> Result<Outcome, Error> {
        let mut replies = Vec::new();
        for worker in &self.workers {
            let (reply, outcome) = channel();
            worker.send(command(reply)).map_err(|_| Error::Worker { what: "it takes no more commands".into() })?;
            replies.push(outcome);
        }
        replies
            .iter()
            .try_fold(Outcome::default(), |all, reply| Ok(all.add(wait(reply, limit, "the clients of a thread")?)))
    }
}

#[derive(Clone, Debug)]
struct Plan {
    target: SocketAddr,
    tenant: u32,
    first: usize,
    count: usize,
    under_way: usize,
    limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Away,
    Connecting,
    Head,
    ServerInfo,
    /// Waits for what the server says of its pipes.
    Subscribing,
    Back,
}

struct Client {
    stream: Option<TcpStream>,
    state: State,
    partial: Vec<u8>,
    /// What it has of each pipe: it remembers that over all connections.
    ledgers: [Ledger; 2],
    positions: [u64; 2],
    subscribed: u8,
}

struct Worker {
    plan: Plan,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// How often everybody has connected, so that no address waits for a closed connection.
    waves: usize,
    key: String,
}

impl Worker {
    fn run(plan: Plan, core: Option<usize>, commands: &Receiver<Command>) {
        let prepared = system::own_descriptor_table()
            .and_then(|()| system::pin_to_core(core))
            .and_then(|()| Poll::new().map_err(Error::io("create an epoll")));
        let trouble = |error: &Error| Outcome { trouble: Some(error.to_string()), ..Outcome::default() };
        let client = || Client {
            stream: None,
            state: State::Away,
            partial: Vec::new(),
            ledgers: [Ledger::new(0); 2],
            positions: [0; 2],
            subscribed: 0,
        };
        let mut worker = prepared.map(|poll| Self {
            clients: (0..plan.count).map(|_| client()).collect(),
            plan,
            poll,
            buffer: vec![0; BUFFER_BYTES],
            waves: 0,
            key: hello::key(1),
        });
        while let Ok(command) = commands.recv() {
            let (reply, outcome) = match (&mut worker, command) {
                (Ok(worker), Command::Connect { reply }) => (reply, worker.connect()),
                (Ok(worker), Command::Expect { next, reply }) => (reply, worker.expect(next)),
                (Ok(worker), Command::Drop { reply }) => {
                    for client in &mut worker.clients {
                        client.leave();
                    }
                    (reply, Ok(Outcome::default()))
                }
                (Err(error), Command::Connect { reply } | Command::Expect { reply, .. } | Command::Drop { reply }) => {
                    (reply, Ok(trouble(error)))
                }
            };
            let _ = reply.send(outcome.unwrap_or_else(|error| trouble(&error)));
        }
    }

    fn connect(&mut self) -> Result<Outcome, Error> {
        self.waves += 1;
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let mut waiting: Vec<usize> = (0..self.clients.len()).rev().collect();
        let mut under_way = 0;
        let mut back = 0;
        while back < self.clients.len() {
            while under_way < self.plan.under_way
                && let Some(place) = waiting.pop()
            {
                self.begin(place)?;
                under_way += 1;
            }
            self.look(&mut outcome, |place, change| match change {
                Change::Back => (back, under_way) = (back + 1, under_way - 1),
                // A browser tries again.
                Change::Refused => {
                    under_way -= 1;
                    waiting.push(place);
                }
                Change::None => {}
            })?;
            if start.elapsed() > self.plan.limit {
                outcome.behind += (self.clients.len() - back) as u64;
                break;
            }
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    fn expect(&mut self, next: u32) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let mut progress = (0, Instant::now());
        loop {
            let is_behind = |client: &&Client| client.ledgers.iter().any(|ledger| ledger.next() < next);
            let behind = self.clients.iter().filter(is_behind).count() as u64;
            if behind == 0 || progress.1.elapsed() > self.plan.limit {
                outcome.behind = behind;
                return Ok(outcome);
            }
            self.look(&mut outcome, |_, _| {})?;
            if outcome.delivered > progress.0 {
                progress = (outcome.delivered, Instant::now());
            }
        }
    }

    /// Begins the connection of one client.
    fn begin(&mut self, place: usize) -> Result<(), Error> {
        let (target, number) = (self.plan.target, self.plan.first + place);
        let begin = || {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            let source = number + self.waves * self.plan.count * 4;
            if let Some(source) = system::source_address(target, source, std::process::id()) {
                socket.bind(&source.into())?;
            }
            match socket.connect(&target.into()) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
                _ => Ok(socket),
            }
        };
        let socket = begin().map_err(Error::io(format!("connect to {target} as number {number}")))?;
        let mut stream = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(place), both);
        registered.map_err(Error::io("register a connection with epoll"))?;
        if let Some(client) = self.clients.get_mut(place) {
            client.leave();
            client.stream = Some(stream);
            client.state = State::Connecting;
        }
        Ok(())
    }

    /// Reads what there is; `tell` hears of clients that are back, and of those that were refused.
    fn look(&mut self, outcome: &mut Outcome, mut tell: impl FnMut(usize, Change)) -> Result<(), Error> {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(LOOK)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(Error::io("wait for readiness")(error));
            }
            _ => {}
        }
        for event in &events {
            let place = event.token().0;
            let Some(client) = self.clients.get_mut(place) else { continue };
            let was = client.state;
            let hello = Opening { plan: &self.plan, key: &self.key, number: self.plan.first + place };
            let is_lost = match client.advance(&hello, &mut self.buffer, outcome) {
                Ok(is_lost) => is_lost,
                Err(what) => {
                    outcome.trouble.get_or_insert(what);
                    true
                }
            };
            if is_lost {
                client.leave();
                match was {
                    State::Away => {}
                    State::Back => outcome.ended += 1,
                    _ => {
                        outcome.retries += 1;
                        tell(place, Change::Refused);
                    }
                }
            } else if was != State::Back && client.state == State::Back {
                tell(place, Change::Back);
            } else {
                tell(place, Change::None);
            }
        }
        Ok(())
    }
}

enum Change {
    None,
    Back,
    Refused,
}

struct Opening<'a> {
    plan: &'a Plan,
    key: &'a str,
    number: usize,
}

impl Client {
    fn leave(&mut self) {
        self.stream = None;
        self.state = State::Away;
        self.partial = Vec::new();
        self.subscribed = 0;
    }

    /// Whether the connection is lost. Errors: what the server did that it must not do.
    fn advance(&mut self, opening: &Opening<'_>, buffer: &mut [u8], outcome: &mut Outcome) -> Result<bool, String> {
        if self.state == State::Connecting {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            if !matches!(stream.take_error(), Ok(None)) {
                return Ok(true);
            }
            if stream.peer_addr().is_err() {
                return Ok(false);
            }
            let user = opening.number as u32 + 1;
            let uuid = format!("{:032x}", opening.number);
            let request = Hello::user(opening.plan.tenant, user, USER_KEY, &uuid);
            let request = request.encode(&opening.plan.target.to_string(), opening.key);
            if stream.write_all(&request).is_err() {
                return Ok(true);
            }
            self.state = State::Head;
        }
        loop {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            match stream.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    self.partial.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    self.take(opening, outcome)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(true),
            }
        }
    }

    fn take(&mut self, opening: &Opening<'_>, outcome: &mut Outcome) -> Result<(), String> {
        if self.state == State::Head {
            let head = hello::parse_response(&self.partial).map_err(|error| format!("{error:?}"))?;
            let Some(head) = head else { return Ok(()) };
            if !hello::is_upgrade(&head, opening.key) {
                return Err(format!("the handshake was refused with {}", head.status));
            }
            self.partial.drain(..head.bytes);
            self.state = State::ServerInfo;
        }
        let bytes = std::mem::take(&mut self.partial);
        let mut used = 0;
        while let Some(frame) =
            frame::parse(bytes.get(used..).unwrap_or_default()).map_err(|error| error.to_string())?
        {
            used += frame.bytes;
            if frame.opcode == frame::PING {
                self.send(frame::PONG, frame.payload);
                continue;
            }
            let message = serde_json::from_slice(frame.payload).map_err(|error| error.to_string())?;
            self.message(&message, outcome)?;
        }
        // One that is idle holds no memory besides itself.
        if used < bytes.len() {
            self.partial = bytes.get(used..).unwrap_or_default().to_vec();
        }
        Ok(())
    }

    fn message(&mut self, message: &Value, outcome: &mut Outcome) -> Result<(), String> {
        let text = |field: &str| message.get(field).and_then(Value::as_str).unwrap_or_default();
        let place = |pipe: &str| PIPES.iter().position(|known| *known == pipe);
        let position = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse().ok());
        if self.state == State::ServerInfo {
            outcome.unauthorised += u64::from(message.get("authorized") != Some(&Value::Bool(true)));
            let names: Vec<String> = (PIPES.iter().zip(self.positions))
                .map(|(pipe, position)| if position > 0 { format!("{pipe} {position}") } else { (*pipe).to_owned() })
                .collect();
            self.send(frame::TEXT, format!("subscription2\n{}", names.join("\n")).as_bytes());
            self.state = State::Subscribing;
            return Ok(());
        }
        if text("event") == "subscribed" {
            let data = message.get("data");
            let field = |name| data.and_then(|data| data.get(name));
            let Some(pipe) = field("pipe").and_then(Value::as_str).and_then(place) else {
                return Err(format!("a subscription that nobody asked for: {message}"));
            };
            outcome.gaps += u64::from(field("recovered") == Some(&Value::Bool(false)));
            self.keep(pipe, position(field("position")));
            self.subscribed += 1;
            if usize::from(self.subscribed) == PIPES.len() {
                self.state = State::Back;
            }
            return Ok(());
        }
        let sequence = text("data").get(..10).and_then(|digits| digits.parse().ok());
        let (Some(pipe), Some(sequence)) = (place(text("pipe")), sequence) else {
            return Err(format!("a message that nobody sent: {message}"));
        };
        self.keep(pipe, position(message.get("position")));
        match self.ledgers.get_mut(pipe).map(|ledger| ledger.note(sequence)) {
            Some(Verdict::InOrder) => outcome.delivered += 1,
            Some(Verdict::Repeated) => outcome.repeated += 1,
            _ => outcome.disordered += 1,
        }
        Ok(())
    }

    fn keep(&mut self, pipe: usize, position: Option<u64>) {
        if let (Some(last), Some(position)) = (self.positions.get_mut(pipe), position) {
            *last = position.max(*last);
        }
    }

    /// The few bytes of a client always fit into its socket's buffer; if not, the connection is about to end.
    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut bytes = Vec::new();
        frame::write_client_frame(&mut bytes, true, opcode, payload, MASK);
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_all(&bytes);
        }
    }
}
