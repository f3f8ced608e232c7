//! `encke doctor`: what of this machine would hold the server up, before it does.
//!
//! A check is a pure function from a [`Case`] - the configuration, and a [`System`] that the edge has gathered - to a
//! [`Finding`]. What the kernel tells is kept as the text of its files, so that a test is a machine with one file changed. Nothing
//! here changes anything.

mod certificate;
mod connections;
mod data;
mod kernel;
mod memory;
mod report;
mod service;
mod system;

use crate::config::{Config, Problem, Severity};

pub use certificate::Certificate;
pub use report::Report;
pub use system::{Data, Folder, Port, Server, System, TEXT_BYTES_MAX, Unit, files, holder, memory_limits};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// The server works, and less well than it could, or not for as many.
    Warning,
    /// The server does not start, loses what it holds, or does not reach the connections that were asked for.
    Error,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    /// One sentence without its end.
    pub reason: String,
    /// What helps: a command for a shell, or lines for a file.
    pub remedy: Option<String>,
}

fn ok(reason: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Ok, reason: reason.into(), remedy: None }
}

fn warning(reason: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Warning, reason: reason.into(), remedy: Some(remedy.into()) }
}

fn error(reason: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Error, reason: reason.into(), remedy: Some(remedy.into()) }
}

/// The configuration as it was read, or why it was not.
#[derive(Clone, Debug)]
pub struct Read {
    /// As people write the path.
    pub file: String,
    /// A sentence, if there is nothing to read; the defaults are looked at then.
    pub problems: Result<Vec<Problem>, String>,
}

/// What checks look at.
pub struct Case<'a> {
    pub config: &'a Config,
    pub read: &'a Read,
    pub system: &'a System,
    /// Browsers' connections, on all shards, that the machine is to hold.
    pub connections: u64,
}

/// Connections that are asked for if nobody says how many.
pub const CONNECTIONS: u64 = 10_000;

type Check = fn(&Case<'_>) -> Finding;

/// All checks, in the order of the report.
const CHECKS: &[(&str, Check)] = &[
    ("configuration", configuration),
    ("data folder", data::folder),
    ("file system", data::file_system),
    ("disk space", data::space),
    ("disk speed", data::speed),
    ("program", service::program),
    ("unit", service::unit),
    ("ports", service::ports),
    ("descriptors", connections::descriptors),
    ("fs.nr_open", connections::nr_open),
    ("fs.file-max", connections::file_max),
    ("accept queue", connections::accept_queue),
    ("handshake queue", connections::handshake_queue),
    ("local ports", connections::local_ports),
    ("conntrack", connections::conntrack),
    ("io_uring", kernel::io_uring),
    ("descriptor tables", kernel::own_tables),
    ("TCP memory", memory::tcp),
    ("socket buffers", memory::buffers),
    ("memory", memory::whole),
    ("overcommit", memory::overcommit),
    ("huge pages", memory::huge_pages),
    ("certificate", certificate::certificate),
    ("core dumps", kernel::core_dumps),
    ("clock", kernel::clock),
    ("clock steps", kernel::clock_steps),
];

/// Looks at everything. Without `connections` it is [`CONNECTIONS`], or fewer if `[ws] connections_max` allows no more.
pub fn examine(config: &Config, read: &Read, system: &System, connections: Option<u64>) -> Report {
    let shards = shards(config, system);
    let allowed = shards.saturating_mul(config.ws.connections_max as u64);
    let connections = connections.unwrap_or_else(|| CONNECTIONS.min(allowed));
    let case = Case { config, read, system, connections };
    let findings = CHECKS.iter().map(|(name, check)| (*name, check(&case))).collect();
    Report { file: read.file.clone(), connections, findings }
}

/// Threads that hold connections.
fn shards(config: &Config, system: &System) -> u64 {
    match config.ws.thread_num {
        0 => system.cores.max(1),
        number => u64::from(number),
    }
}

fn configuration(case: &Case<'_>) -> Finding {
    let file = &case.read.file;
    let problems = match &case.read.problems {
        Ok(problems) => problems,
        Err(sentence) => return error(sentence, "encke sample-config >comet.ini; encke --conf comet.ini"),
    };
    let help = format!("encke check-config --conf {file}");
    let of = |severity| problems.iter().filter(move |problem| problem.severity() == severity);
    let (errors, warnings) = (of(Severity::Error).count(), of(Severity::Warning).count());
    if let Some(first) = of(Severity::Error).next() {
        return error(format!("{errors} errors, the first: {}", first.in_file(file)), help);
    }
    match of(Severity::Warning).next() {
        Some(first) => warning(format!("{warnings} warnings, the first: {}", first.in_file(file)), help),
        None => ok(format!("{file} has no errors")),
    }
}

/// A number of bytes, for people.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut amount = number as f64 / 1024.0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(amount < 10.0 && amount.fract() >= 0.05);
    format!("{amount:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;
