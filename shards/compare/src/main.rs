//! The same small broadcast server on several runtimes: memory per idle connection and CPU per delivery.
//!
//! Every server is a process of its own on one core, this process is its clients on another. A server sends one frame
//! to all connections for each byte that any of them sends. See README.md.

mod client;
mod servers;

use client::Client;
use loadtest::process::{Process, machine_busy_ns};
use loadtest::system;
use servers::{FRAME, Server, servers};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
/// Subscribers. The memory per connection is taken at the larger number.
const FEW: usize = 1_000;
const MANY: usize = 10_000;
/// Connections that are there before memory is first looked at: what a first use allocates is not theirs.
const WARM: usize = 100;
/// Deliveries per measurement.
const DELIVERIES: usize = 400_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", name] => serve(name),
        ["--rounds", rounds, names @ ..] => rounds.parse().map_err(Into::into).and_then(|rounds| run(rounds, names)),
        [first, ..] if first.starts_with('-') => Err("usage: compare [--rounds N] [SERVER ...]".into()),
        names => run(5, names),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The server's process: serves until the process that started it ends.
fn serve(name: &str) -> Outcome<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    system::pin_to_core(Some(SERVER_CORE))?;
    system::raise_descriptor_limit();
    (find(name)?.serve)()
}

fn find(name: &str) -> Outcome<Server> {
    let unknown = || format!("no server {name}, only: {}", servers().map(|server| server.name).join(", "));
    servers().into_iter().find(|server| server.name == name).ok_or_else(|| unknown().into())
}

/// Rounds are outermost, so that whatever else happens on the machine meets all servers alike.
fn run(rounds: u32, names: &[&str]) -> Outcome<()> {
    system::pin_to_core(Some(CLIENT_CORE))?;
    system::raise_descriptor_limit();
    let wanted: Vec<Server> = if names.is_empty() {
        servers().into()
    } else {
        names.iter().map(|name| find(name)).collect::<Outcome<_>>()?
    };
    let mut rows: Vec<(Server, [Vec<f64>; 4])> =
        wanted.into_iter().map(|server| (server, Default::default())).collect();
    let mut foreign = Vec::new();
    for round in 1..=rounds {
        for (server, columns) in &mut rows {
            let measure = |connections| {
                measure(server.name, connections)
                    .map_err(|error| format!("{}, {connections} connections: {error}", server.name))
            };
            let (few, many) = (measure(FEW)?, measure(MANY)?);
            let cells = [many.process_mb, many.bytes_per_connection, few.us_per_delivery, many.us_per_delivery];
            eprintln!("round {round}, {}: {cells:.2?}", server.name);
            foreign.extend([few.foreign_share, many.foreign_share]);
            columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        }
    }
    println!("| server | process, MB | bytes per idle connection | us per delivery, {FEW} | us per delivery, {MANY} |");
    println!("|---|---|---|---|---|");
    for (Server { about, .. }, [process, bytes, few, many]) in &rows {
        let (process, bytes) = (median(process), median(bytes));
        println!("| {about} | {process:.1} | {bytes:.0} | {} | {} |", spread(few), spread(many));
    }
    println!("\nOther programs kept {} of a core busy meanwhile.", spread(&foreign));
    Ok(())
}

struct Measured {
    /// Resident memory with the first few connections.
    process_mb: f64,
    bytes_per_connection: f64,
    us_per_delivery: f64,
    /// What neither server nor clients used, as a share of a core: much of it spoils the measurement.
    foreign_share: f64,
}

fn measure(name: &str, connections: usize) -> Outcome<Measured> {
    let started = Started::new(name)?;
    let mut client = Client::new(started.address, FRAME.len())?;
    client.connect(WARM)?;
    started.process.settle(PATIENCE)?;
    client.publish(10)?;
    started.process.settle(PATIENCE)?;
    let before = started.process.memory()?;

    client.connect(connections - WARM)?;
    started.process.settle(PATIENCE)?;
    let after = started.process.memory()?;

    client.publish(2)?;
    let cpu_before = started.process.settle(PATIENCE)?;
    let publications = DELIVERIES / connections;
    let (busy, own, begun) = (machine_busy_ns(), Process::ourselves().cpu()?, Instant::now());
    client.publish(publications)?;
    let (busy_after, own_after, elapsed) = (machine_busy_ns(), Process::ourselves().cpu()?, begun.elapsed());
    let cpu = started.process.settle(PATIENCE)?.since(&cpu_before);
    let known = own_after.since(&own).total_ns + cpu.total_ns;
    let foreign = busy_after.zip(busy).map_or(0, |(after, before)| (after - before).saturating_sub(known));

    let grown_kib = after.anonymous_kib.saturating_sub(before.anonymous_kib);
    Ok(Measured {
        process_mb: before.rss_kib as f64 / 1024.0,
        bytes_per_connection: grown_kib as f64 * 1024.0 / (connections - WARM) as f64,
        us_per_delivery: cpu.total_ns as f64 / 1000.0 / (publications * connections) as f64,
        foreign_share: foreign as f64 / elapsed.as_nanos() as f64,
    })
}

/// A running server, killed at the end.
struct Started {
    child: Child,
    process: Process,
    address: SocketAddr,
}

impl Started {
    fn new(name: &str) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?).args(["serve", name]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(|_| "it did not start");
        let process = Process::new(child.id());
        // Made first, so that an error ends the child as well.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut started = Self { child, process: process?, address: nowhere };
        started.address = address?;
        Ok(started)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Median, least and most.
fn spread(values: &[f64]) -> String {
    let [least, most] =
        [values.iter().copied().fold(f64::NAN, f64::min), values.iter().copied().fold(f64::NAN, f64::max)];
    format!("{:.2} ({least:.2}-{most:.2})", median(values))
}
