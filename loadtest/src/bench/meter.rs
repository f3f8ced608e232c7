//! CPU over a stretch of time: the server's, our own, and what others on the machine used meanwhile.

use super::report::Record;
use super::statistics::ratio;
use crate::error::Error;
use crate::process::{CpuTime, Process, machine_busy_ns};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Meter {
    server: Option<Process>,
    start: Instant,
    server_before: Option<CpuTime>,
    own_before: CpuTime,
    machine_before: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Reading {
    pub elapsed: Duration,
    /// Of all threads of the server, if its process is known.
    pub server: Option<CpuTime>,
    /// What neither the server nor we used, as a share of one core: much of it spoils a measurement.
    pub foreign_share: Option<f64>,
}

impl Meter {
    pub fn start(server: Option<Process>) -> Result<Self, Error> {
        Ok(Self {
            server,
            start: Instant::now(),
            server_before: server.map(Process::cpu).transpose()?,
            own_before: Process::ourselves().cpu()?,
            machine_before: machine_busy_ns(),
        })
    }

    /// Run times of sleeping threads are exact: let the machine rest before.
    pub fn stop(&self) -> Result<Reading, Error> {
        let elapsed = self.start.elapsed();
        let server = self.server.map(Process::cpu).transpose()?;
        let server = server.zip(self.server_before.as_ref()).map(|(after, before)| after.since(before));
        let ours = Process::ourselves().cpu()?.since(&self.own_before).total_ns;
        let known = ours + server.as_ref().map_or(0, |cpu| cpu.total_ns);
        let foreign_share = machine_busy_ns().zip(self.machine_before).map(|(after, before)| {
            let foreign = after.saturating_sub(before).saturating_sub(known);
            ratio(foreign as f64, elapsed.as_nanos() as f64)
        });
        Ok(Reading { elapsed, server, foreign_share })
    }
}

impl Reading {
    /// Microseconds of the server's CPU for each of `count`.
    pub fn server_us_per(&self, count: u64) -> Option<f64> {
        self.server.as_ref().map(|cpu| ratio(cpu.total_ns as f64 / 1e3, count as f64))
    }

    /// The facts of this stretch, `each` naming what was counted.
    pub fn tell(&self, record: &mut Record, each: &str, count: u64) {
        if let (Some(us), Some(cpu)) = (self.server_us_per(count), &self.server) {
            record.number(&format!("server_cpu_us_per_{each}"), us);
            let share = ratio(cpu.total_ns as f64, self.elapsed.as_nanos() as f64);
            record.number("server_cores_busy", share);
            record.threads("server", cpu);
        }
        if let Some(share) = self.foreign_share {
            record.number("foreign_cores_busy", share);
        }
    }
}
