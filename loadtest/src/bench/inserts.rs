//! `inserts`: INSERTs into a pipe without subscribers, over many sessions or pipelined over one.

use super::Target;
use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::rest;
use crate::error::Error;
use crate::packet;
use crate::publication::PublicationShape;
use crate::system;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::time::{Duration, Instant};

const COM_QUERY: u8 = 0x03;
const BUFFER_BYTES: usize = 64 << 10;
/// How often the loop looks at the clock when nothing comes.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// INSERTs under way on each connection
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value = "bench_inserts")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if options.connections == 0 || options.pipeline == 0 || !(0.0..=86_400.0).contains(&options.seconds) {
        return Err(Error::usage("inserts need a connection, a pipeline of at least 1 and at most a day"));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let shape = PublicationShape::new(&options.pipe, "tick", options.size)?;
    let mut load = Load::prepare(target, options.connections, options.pipeline, Template::fixed(&shape.insert(0)))?;
    let meter = Meter::start(process)?;
    let start = Instant::now();
    load.run(Duration::from_secs_f64(options.seconds), target.limit())?;
    let elapsed = start.elapsed();
    rest();
    let reading = meter.stop()?;
    let mut record = Record::new("inserts");
    record.count("connections", options.connections as u64).count("pipeline", options.pipeline as u64);
    record.count("size_bytes", options.size as u64).count("inserts", load.ok).count("errors", load.errors);
    record.number("inserts_per_second", ratio(load.ok as f64, elapsed.as_secs_f64()));
    reading.tell(&mut record, "insert", load.ok);
    if let Some(error) = &load.first_error {
        record.fail(format!("the server answered with an error: {error}"));
    }
    if load.ok == 0 {
        record.fail("no INSERT was answered");
    }
    report.add(record);
    Ok(())
}

/// The packet of an INSERT; the number in it, if it has one, is different in each.
#[derive(Debug)]
pub(super) struct Template {
    packet: Vec<u8>,
    digits: Range<usize>,
}

impl Template {
    /// Every INSERT is this one.
    pub(super) fn fixed(sql: &str) -> Self {
        let mut packet = Vec::new();
        packet::write_command(&mut packet, COM_QUERY, sql.as_bytes());
        Self { packet, digits: 0..0 }
    }

    /// The INSERTs are `before`, a number of ten digits and `after`.
    pub(super) fn numbered(before: &str, after: &str) -> Self {
        let template = Self::fixed(&format!("{before}{FIRST_NUMBER}{after}"));
        let end = template.packet.len() - after.len();
        Self { digits: end - NUMBER_DIGITS..end, ..template }
    }

    fn write(&self, mut number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.packet);
        let packet = out.get_mut(start..).unwrap_or_default();
        for digit in packet.get_mut(self.digits.clone()).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

/// The number in the first INSERT; it and all that follow have as many digits, and none exceeds what a user id may be.
pub(super) const FIRST_NUMBER: u32 = 1_000_000_000;
const NUMBER_DIGITS: usize = 10;

pub(super) struct Load {
    poll: Poll,
    sessions: Vec<Session>,
    template: Template,
    /// The number of the next INSERT.
    pub(super) next: u32,
    pipeline: usize,
    pub(super) ok: u64,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

/// One logged-in connection.
struct Session {
    stream: TcpStream,
    /// INSERTs sent, or begun, and not answered.
    under_way: usize,
    /// Packets begun, of which the first bytes are sent.
    packets: Vec<u8>,
    sent: usize,
    /// An incomplete answer.
    partial: Vec<u8>,
}

impl Load {
    pub(super) fn prepare(
        target: &Target,
        connections: usize,
        pipeline: usize,
        template: Template,
    ) -> Result<Self, Error> {
        let poll = Poll::new().map_err(Error::io("create an epoll"))?;
        let mut sessions = Vec::new();
        for number in 0..connections {
            let stream = target.log_in()?.into_stream()?;
            stream.set_nonblocking(true).map_err(Error::io("prepare a CometQL connection"))?;
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = poll.registry().register(&mut stream, Token(number), both);
            registered.map_err(Error::io("register a CometQL connection with epoll"))?;
            sessions.push(Session { stream, under_way: 0, packets: Vec::new(), sent: 0, partial: Vec::new() });
        }
        Ok(Self { poll, sessions, template, next: FIRST_NUMBER, pipeline, ok: 0, errors: 0, first_error: None })
    }

    /// Keeps every pipeline full for `duration`, then waits for the answers still owed.
    pub(super) fn run(&mut self, duration: Duration, limit: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut last_answer = start;
        for session in &mut self.sessions {
            session.fill(&self.template, &mut self.next, self.pipeline)?;
        }
        while self.sessions.iter().any(|session| session.under_way > 0) {
            match self.poll.poll(&mut events, Some(LOOK)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(Error::io("wait for readiness")(error));
                }
                _ => {}
            }
            // After the time is over nothing new is sent, only what was begun.
            let depth = if start.elapsed() < duration { self.pipeline } else { 0 };
            let answered = self.ok + self.errors;
            for event in &events {
                let Some(session) = self.sessions.get_mut(event.token().0) else { continue };
                loop {
                    match session.stream.read(&mut buffer) {
                        Ok(0) => return Err(Error::Closed { waiting_for: "the answer to an INSERT".into() }),
                        Ok(count) => {
                            let bytes = buffer.get(..count).unwrap_or_default();
                            let answers = session.take(bytes)?;
                            self.ok += answers.ok;
                            self.errors += answers.errors;
                            self.first_error = self.first_error.take().or(answers.first_error);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(Error::io("receive on a CometQL connection")(error)),
                    }
                    session.fill(&self.template, &mut self.next, depth)?;
                }
                session.fill(&self.template, &mut self.next, depth)?;
            }
            if self.ok + self.errors > answered {
                last_answer = Instant::now();
            } else if last_answer.elapsed() > limit {
                return Err(Error::TimedOut { waiting_for: "the answer to any INSERT".into(), limit });
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Answers {
    ok: u64,
    errors: u64,
    first_error: Option<String>,
}

impl Session {
    /// Begins as many INSERTs as bring the pipeline to `depth`, and sends as much as the socket takes.
    fn fill(&mut self, template: &Template, next: &mut u32, depth: usize) -> Result<(), Error> {
        while self.under_way < depth {
            self.under_way += 1;
            template.write(*next, &mut self.packets);
            *next += 1;
        }
        while let Some(rest @ [_, ..]) = self.packets.get(self.sent..) {
            match self.stream.write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("send on a CometQL connection")(error)),
            }
        }
        self.packets.clear();
        self.sent = 0;
        Ok(())
    }

    /// Counts the answers in `bytes`; each must be one packet with the number 1.
    fn take(&mut self, bytes: &[u8]) -> Result<Answers, Error> {
        let all = count_answers(&mut self.partial, bytes)?;
        let count = (all.ok + all.errors) as usize;
        self.under_way = self
            .under_way
            .checked_sub(count)
            .ok_or_else(|| Error::protocol(format!("{count} answers to {} INSERTs", self.under_way)))?;
        Ok(all)
    }
}

fn count_answers(partial: &mut Vec<u8>, bytes: &[u8]) -> Result<Answers, Error> {
    partial.extend_from_slice(bytes);
    let mut answers = Answers::default();
    let mut used = 0;
    loop {
        let rest = partial.get(used..).unwrap_or_default();
        let Some([low, middle, high, number]) = rest.first_chunk::<4>().copied() else { break };
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        let Some(payload) = rest.get(4..4 + length) else { break };
        used += 4 + length;
        match (number, payload.first()) {
            (1, Some(0x00)) => answers.ok += 1,
            (1, Some(0xFF)) => {
                answers.errors += 1;
                if answers.first_error.is_none() {
                    let error = packet::parse_error(payload).map_err(|error| Error::protocol(error.to_string()))?;
                    answers.first_error = Some(format!("{} {}", error.code, error.text));
                }
            }
            _ => {
                return Err(Error::protocol(format!("packet {number} with {payload:02x?} in answer to an INSERT")));
            }
        }
    }
    partial.drain(..used);
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_at_any_split() {
        let ok = b"\x07\0\0\x01\0\0\0\x02\0\0\0";
        let error = b"\x09\0\0\x01\xff\x0d\0#HY000";
        let all = [&ok[..], error, ok].concat();
        for cut in 0..all.len() {
            let mut partial = Vec::new();
            let first = count_answers(&mut partial, &all[..cut]).unwrap();
            let second = count_answers(&mut partial, &all[cut..]).unwrap();
            assert_eq!((first.ok + second.ok, first.errors + second.errors), (2, 1), "cut at {cut}");
            assert_eq!(first.first_error.or(second.first_error).as_deref(), Some("13 "));
            assert!(partial.is_empty());
        }
    }

    #[test]
    fn numbers_are_written_into_packets() {
        let template = Template::numbered("INSERT (", ",'x')");
        let mut bytes = Vec::new();
        template.write(FIRST_NUMBER, &mut bytes);
        template.write(2_147_483_647, &mut bytes);
        let expected = "\u{18}\0\0\0\u{3}INSERT (1000000000,'x')\u{18}\0\0\0\u{3}INSERT (2147483647,'x')";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        let mut bytes = Vec::new();
        Template::fixed("INSERT").write(7, &mut bytes);
        assert_eq!(bytes, b"\x07\0\0\0\x03INSERT");
    }

    #[test]
    fn anything_else_is_no_answer() {
        for bytes in [&b"\x01\0\0\x02\0"[..], b"\x01\0\0\x01\x05", b"\0\0\0\x01"] {
            assert!(count_answers(&mut Vec::new(), bytes).is_err(), "{bytes:02x?}");
        }
    }
}
