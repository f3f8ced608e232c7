//! The load generator: arguments in, one line per result out, exit code 1 if any result does not count.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use loadtest::bench::report::Report;
use loadtest::bench::{
    Target, compare, fanout, floor, idle, inserts, latency, many, offline, presence, roundtrip, sessions, siege, slow,
    storm,
};
use loadtest::{Error, system};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Load generator for the comet server: many browsers, one backend, everything counted.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What idle subscribed connections cost: CPU to connect, memory, CPU to hold
    Idle(idle::Options),
    /// One pipe, N subscribers, W publications under way
    Fanout(fanout::Options),
    /// The bare send loop that fan-out is measured against; needs no server
    Floor(floor::Options),
    /// Server and bare loop alternating in one run, with medians and ratios
    CompareFanout(compare::Options),
    /// INSERTs without subscribers
    Inserts(inserts::Options),
    /// An INSERT against `SELECT 1`, one statement under way, alternating in one run
    Roundtrip(roundtrip::Options),
    /// INSERTs that storage commits, each for a user who is not there
    Offline(offline::Options),
    /// What logged-in idle `CometQL` sessions cost
    IdleSessions(sessions::Options),
    /// Very many connections, one broadcast
    Many(many::Options),
    /// Publications by the clock
    Latency(latency::Options),
    /// Everybody is dropped at once and comes back
    Storm(storm::Options),
    /// Readers that have stopped, and what they cost the others
    Slow(slow::Options),
    /// One attack after the other against a server that has work to do
    Siege(siege::Options),
    /// A pipe that tells who comes and goes, with few members and with many
    Presence(presence::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::default();
    let outcome = run(&arguments, &mut report).and_then(|()| write(&arguments, &report));
    match outcome {
        Ok(()) if report.is_failed() => ExitCode::from(1),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments, report: &mut Report) -> Result<(), Error> {
    system::raise_descriptor_limit();
    let target = &arguments.target;
    match &arguments.command {
        Command::Idle(options) => idle::run(target, options, report),
        Command::Fanout(options) => fanout::run(target, options, report),
        Command::Floor(options) => floor::run(target.limit(), target.client_core, options, report),
        Command::CompareFanout(options) => compare::run(target, options, report),
        Command::Inserts(options) => inserts::run(target, options, report),
        Command::Roundtrip(options) => roundtrip::run(target, options, report),
        Command::Offline(options) => offline::run(target, options, report),
        Command::IdleSessions(options) => sessions::run(target, options, report),
        Command::Many(options) => many::run(target, options, report),
        Command::Latency(options) => latency::run(target, options, report),
        Command::Storm(options) => storm::run(target, options, report),
        Command::Slow(options) => slow::run(target, options, report),
        Command::Siege(options) => siege::run(target, options, report),
        Command::Presence(options) => presence::run(target, options, report),
    }
}

fn write(arguments: &Arguments, report: &Report) -> Result<(), Error> {
    let Some(path) = &arguments.target.json else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    report.write_json(path, &without_password(std::env::args().skip(1)), now)
}

/// The arguments for the record; a password has no place there.
fn without_password(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut after_option = false;
    words
        .filter(|word| !std::mem::replace(&mut after_option, word == "--password") && !word.starts_with("--password"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_recorded() {
        let check = |words: &str, expected: &str| {
            let found = without_password(words.split(' ').map(str::to_owned));
            assert_eq!(found.join(" "), expected);
        };
        check("idle --password secret --pipe p", "idle --pipe p");
        check("--password=secret idle", "idle");
        check("idle --password", "idle");
    }

    #[test]
    fn the_last_of_two_arguments_counts() {
        // The drivers give their values first and the caller's after them.
        let arguments =
            Arguments::parse_from(["loadtest", "--tenant", "1", "--tenant=2", "idle", "--pipe=a", "--pipe=b"]);
        assert_eq!(arguments.target.tenant, 2);
        assert!(matches!(arguments.command, Command::Idle(options) if options.pipe == "b"));
    }

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
