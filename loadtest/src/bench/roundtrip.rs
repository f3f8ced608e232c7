//! `roundtrip`: one CometQL connection, one statement under way: an INSERT, which its pipe's owner has to order, against
//! `SELECT 1`, which the shard that reads it answers itself. Blocks of both alternate, because absolute times wander.

use super::Target;
use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::{median, ratio};
use super::window::rest;
use crate::error::Error;
use crate::packet;
use crate::process::{CpuTime, Process};
use crate::publication::PublicationShape;
use crate::system;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const COM_QUERY: u8 = 0x03;
const SELECT: &str = "SELECT 1";
/// The most an INSERT may take, in time and in CPU, as a multiple of the SELECT.
pub const BAR: f64 = 1.2;
/// Statements of each kind before the first round.
const WARM_UP: u32 = 200;
const BUFFER_BYTES: usize = 4096;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds of one block of each kind
    #[arg(long, default_value_t = 40)]
    pub rounds: u32,
    /// Statements in each block
    #[arg(long, default_value_t = 2000)]
    pub block: u32,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value = "bench_roundtrip")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if options.rounds == 0 || options.block == 0 {
        return Err(Error::usage("a round trip needs a round and a statement"));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let insert = PublicationShape::new(&options.pipe, "tick", options.size)?.insert(0);
    let mut client = target.log_in()?;
    let rows = client.rows(SELECT)?;
    client.execute(&insert)?;
    let mut wire = Wire::new(client.into_stream()?, target.limit())?;
    // Column count, column, EOF, row, EOF; and OK.
    let mut kinds = [Kind::new(SELECT, 5), Kind::new(&insert, 1)];
    for kind in &mut kinds {
        kind.expected = wire.ask(&kind.statement, kind.packets)?.to_vec();
        wire.block(kind, WARM_UP)?;
    }
    let start = Meter::start(process)?;
    for round in 0..options.rounds {
        // Neither is always the one that comes second.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let Some(kind) = kinds.get_mut(which) else { continue };
            rest();
            let before = process.map(Process::cpu).transpose()?;
            let latency_us = wire.block(kind, options.block)?;
            rest();
            kind.latency_us.push(latency_us);
            if let (Some(before), Some(process)) = (before, process) {
                let cpu = process.cpu()?.since(&before);
                kind.cpu_us.push(cpu.total_ns as f64 / 1e3 / f64::from(options.block));
                kind.cpu.add(&cpu);
            }
        }
    }
    let foreign = start.stop()?.foreign_share;
    let [select, insert] = &kinds;
    let mut record = verdict(options, select, insert);
    if let Some(share) = foreign {
        record.number("foreign_cores_busy", share);
    }
    if rows != [[Some("1".to_owned())]] {
        record.fail(format!("{SELECT} was answered with {rows:?}"));
    }
    report.add(record);
    Ok(())
}

/// One of the two statements and what came of it, an element per round.
#[derive(Debug, Default)]
struct Kind {
    /// Its packet.
    statement: Vec<u8>,
    /// In an answer.
    packets: usize,
    /// Every answer is this one.
    expected: Vec<u8>,
    /// Median of each block.
    latency_us: Vec<f64>,
    cpu_us: Vec<f64>,
    /// Of all blocks.
    cpu: CpuTime,
}

impl Kind {
    fn new(sql: &str, packets: usize) -> Self {
        let mut statement = Vec::new();
        packet::write_command(&mut statement, COM_QUERY, sql.as_bytes());
        Self { statement, packets, ..Self::default() }
    }
}

fn verdict(options: &Options, select: &Kind, insert: &Kind) -> Record {
    let mut record = Record::new("roundtrip");
    record.count("rounds", u64::from(options.rounds)).count("block", u64::from(options.block));
    record.count("size_bytes", options.size as u64);
    record.rounds("select_us", &select.latency_us).rounds("insert_us", &insert.latency_us);
    tell_ratio(&mut record, "latency", &select.latency_us, &insert.latency_us);
    if !select.cpu_us.is_empty() {
        record.rounds("select_cpu_us", &select.cpu_us).rounds("insert_cpu_us", &insert.cpu_us);
        tell_ratio(&mut record, "cpu", &select.cpu_us, &insert.cpu_us);
        record.threads("select", &select.cpu).threads("insert", &insert.cpu);
    }
    record
}

/// The median of the ratios within each round, and whether it is good enough.
fn tell_ratio(record: &mut Record, name: &str, select: &[f64], insert: &[f64]) {
    let ratios: Vec<f64> = insert.iter().zip(select).map(|(insert, select)| ratio(*insert, *select)).collect();
    record.rounds(&format!("{name}_ratio"), &ratios).number(&format!("{name}_bar"), BAR);
    record.text(&format!("{name}_verdict"), if median(&ratios) <= BAR { "met" } else { "missed" });
}

/// A blocking stream without any more system calls than a statement needs.
struct Wire {
    stream: TcpStream,
    limit: Duration,
    buffer: Vec<u8>,
}

impl Wire {
    fn new(stream: TcpStream, limit: Duration) -> Result<Self, Error> {
        stream.set_read_timeout(Some(limit)).map_err(Error::io("set a read timeout"))?;
        Ok(Self { stream, limit, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Median time of `count` statements, one after the other, in microseconds.
    fn block(&mut self, kind: &Kind, count: u32) -> Result<f64, Error> {
        let mut times = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let start = Instant::now();
            let answer = self.ask(&kind.statement, kind.packets)?;
            times.push(start.elapsed().as_nanos() as f64 / 1e3);
            if answer != kind.expected {
                return Err(Error::protocol(format!("the same statement was answered with {answer:02x?}")));
            }
        }
        Ok(median(&times))
    }

    /// The answer, which consists of so many packets; an error is one packet.
    fn ask(&mut self, statement: &[u8], packets: usize) -> Result<&[u8], Error> {
        self.stream.write_all(statement).map_err(Error::io("send a statement"))?;
        let mut filled = 0;
        while !is_complete(self.buffer.get(..filled).unwrap_or_default(), packets) {
            let space = self.buffer.get_mut(filled..).unwrap_or_default();
            match self.stream.read(space) {
                Ok(0) => return Err(Error::Closed { waiting_for: "the answer to a statement".into() }),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let waiting_for = "the answer to a statement".into();
                    return Err(Error::TimedOut { waiting_for, limit: self.limit });
                }
                Err(error) => return Err(Error::io("receive an answer")(error)),
            }
        }
        Ok(self.buffer.get(..filled).unwrap_or_default())
    }
}

/// Whether so many packets are there, or one that is an error.
fn is_complete(bytes: &[u8], packets: usize) -> bool {
    let mut rest = bytes;
    for _ in 0..packets {
        let Some(([low, middle, high, _], after)) = rest.split_first_chunk::<4>() else { return false };
        let length = usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16;
        let Some((payload, after)) = after.split_at_checked(length) else { return false };
        if payload.first() == Some(&0xFF) {
            return true;
        }
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_packet() {
        let two = b"\x01\0\0\x01\x01\x02\0\0\x02ab";
        for cut in 0..two.len() {
            assert!(!is_complete(&two[..cut], 2), "cut at {cut}");
        }
        assert!(is_complete(two, 2));
        assert!(is_complete(b"\x01\0\0\x01\xff", 2));
    }

    #[test]
    fn the_verdict_is_of_the_median_ratio() {
        let options = Options { rounds: 3, block: 1, size: 10, pipe: "p".into() };
        let select = Kind { latency_us: vec![10.0, 20.0, 10.0], cpu_us: vec![5.0; 3], ..Kind::default() };
        let insert = Kind { latency_us: vec![11.0, 24.0, 90.0], cpu_us: vec![5.0, 6.5, 6.5], ..Kind::default() };
        let record = verdict(&options, &select, &insert);
        assert_eq!(record.value("latency_ratio"), Some(1.2));
        assert_eq!(record.value("cpu_ratio"), Some(1.3));
        let line = record.line();
        assert!(line.contains("latency_verdict met") && line.contains("cpu_verdict missed"), "{line}");
    }
}
