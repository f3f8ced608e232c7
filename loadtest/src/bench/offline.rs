//! `offline`: writes that storage has to commit, each for a user of its own who is not there.

use super::Target;
use super::inserts::{FIRST_NUMBER, Load, Template};
use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::rest;
use crate::error::Error;
use crate::process::Process;
use crate::publication::PublicationShape;
use crate::system;
use std::time::{Duration, Instant};

/// Committed INSERTs per second.
pub const BAR: f64 = 50_000.0;
/// INSERTs of the round that warms up what storage keeps.
const WARM_UP: Duration = Duration::from_millis(200);
/// Rows that are looked up at the end: the last ones.
const LOOKED_UP: u32 = 200;

/// Which INSERTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// Personal messages; nobody is there to take them
    #[value(name = "users_messages")]
    Messages,
    /// Keys of users: the smallest write there is
    #[value(name = "users_auth")]
    Keys,
    /// Publications, which storage sees nothing of: what the same load costs without it
    #[value(name = "pipes_messages")]
    Publications,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "users_messages",
            Self::Keys => "users_auth",
            Self::Publications => "pipes_messages",
        }
    }

    fn template(self, size: usize) -> Result<Template, Error> {
        let shape = PublicationShape::new("bench_offline", "tick", size)?;
        Ok(match self {
            Self::Messages => Template::numbered(
                "INSERT INTO users_messages (id, event, message) VALUES (",
                &format!(",'tick','{}')", shape.message(0)),
            ),
            Self::Keys => {
                Template::numbered("INSERT INTO users_auth (id, hash) VALUES (", ",'0123456789abcdef0123456789abcdef')")
            }
            Self::Publications => Template::fixed(&shape.insert(0)),
        })
    }
}

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
    #[arg(long, value_enum, default_value_t = Table::Messages)]
    pub table: Table,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    // An hour of the bar a hundred times over would use up the numbers of users.
    if options.connections == 0 || options.pipeline == 0 || !(0.0..=600.0).contains(&options.seconds) {
        return Err(Error::usage("offline needs a connection, a pipeline of at least 1 and at most ten minutes"));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let template = options.table.template(options.size)?;
    let mut load = Load::prepare(target, options.connections, options.pipeline, template)?;
    load.run(WARM_UP, target.limit())?;
    let (ok, errors) = (load.ok, load.errors);
    rest();
    let written = || process.map(Process::written_bytes).transpose();
    let written_before = written()?;
    let meter = Meter::start(process)?;
    let start = Instant::now();
    load.run(Duration::from_secs_f64(options.seconds), target.limit())?;
    let elapsed = start.elapsed();
    rest();
    let reading = meter.stop()?;
    let inserts = load.ok - ok;
    let per_second = ratio(inserts as f64, elapsed.as_secs_f64());
    let mut record = Record::new("offline");
    record.text("table", options.table.name());
    record.count("connections", options.connections as u64).count("pipeline", options.pipeline as u64);
    record.count("size_bytes", options.size as u64).count("inserts", inserts).count("errors", load.errors - errors);
    record.number("inserts_per_second", per_second).number("bar", BAR);
    record.text("verdict", if per_second >= BAR { "met" } else { "missed" });
    reading.tell(&mut record, "insert", inserts);
    if let (Some(before), Some(after)) = (written_before, written()?) {
        record.number("written_bytes_per_insert", ratio(after.saturating_sub(before) as f64, inserts as f64));
    }
    if let Some(error) = &load.first_error {
        record.fail(format!("the server answered with an error: {error}"));
    }
    if inserts == 0 {
        record.fail("no INSERT was answered");
    }
    look_up(target, options.table, &load, &mut record)?;
    report.add(record);
    Ok(())
}

/// What was acknowledged must be there: the rows of the last users.
fn look_up(target: &Target, table: Table, load: &Load, record: &mut Record) -> Result<(), Error> {
    if table == Table::Publications || load.errors > 0 {
        return Ok(());
    }
    let first = load.next.saturating_sub(LOOKED_UP).max(FIRST_NUMBER);
    let users: Vec<String> = (first..load.next).map(|user| user.to_string()).collect();
    let query = format!("SELECT id FROM {} WHERE id IN ({})", table.name(), users.join(","));
    let mut found: Vec<String> = target.log_in()?.rows(&query)?.into_iter().flatten().flatten().collect();
    found.sort_unstable();
    if found != users {
        record.fail(format!("of the last {} acknowledged rows {} were found", users.len(), found.len()));
    }
    Ok(())
}
