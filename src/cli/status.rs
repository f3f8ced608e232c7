//! `encke status`: how the running server is, on one screen or as JSON.

use super::client::{Answers, Client, ClientError, Column, Done, Door, QueryError};
use super::conf::Loaded;
use super::keeper::failed;
use screen::Status;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

mod screen;

pub(crate) fn run(loaded: &Loaded, as_json: bool) -> ExitCode {
    let status = match Door::of_server(loaded).and_then(|door| ask(&door)) {
        Ok(status) => status,
        Err(error) => return failed(&error),
    };
    let text = if as_json { status.json().to_string() + "\n" } else { status.screen() };
    // Nobody may be reading; the exit status says whether all is well.
    let _ = io::stdout().write_all(text.as_bytes());
    if status.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ask(door: &Door<'_>) -> Result<Status, ClientError> {
    let mut client = Client::connect(door)?;
    let figures = pairs(rows(&mut client, "SHOW GLOBAL STATUS")?);
    let variables = pairs(rows(&mut client, "SHOW VARIABLES")?);
    let warnings = rows(&mut client, "SHOW LOG")?.into_iter().flatten().collect();
    let resident = client.process().and_then(resident);
    Ok(Status { door: door.place().to_string(), figures, variables, warnings, resident })
}

fn resident(process: rustix::process::Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

pub(crate) fn rows(client: &mut Client, query: &str) -> Result<Vec<Vec<String>>, ClientError> {
    let mut taken = Rows::default();
    match client.query(query.as_bytes(), &mut taken) {
        Ok(()) => Ok(taken.0),
        Err(QueryError::Client(error)) => Err(error),
        Err(QueryError::Output(error)) => Err(ClientError::Lost(error)),
    }
}

/// Names and their values.
pub(crate) fn pairs(rows: Vec<Vec<String>>) -> BTreeMap<String, String> {
    let pair = |row: Vec<String>| {
        let mut cells = row.into_iter();
        Some((cells.next()?, cells.next()?))
    };
    rows.into_iter().filter_map(pair).collect()
}

/// All rows of an answer.
#[derive(Default)]
struct Rows(Vec<Vec<String>>);

impl Answers for Rows {
    fn begin(&mut self, _: &[Column]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: &[Option<&[u8]>]) -> io::Result<()> {
        let text = |cell: Option<&[u8]>| String::from_utf8_lossy(cell.unwrap_or_default()).into_owned();
        self.0.push(cells.iter().copied().map(text).collect());
        Ok(())
    }

    fn end(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn done(&mut self, _: &Done) -> io::Result<()> {
        Ok(())
    }
}
