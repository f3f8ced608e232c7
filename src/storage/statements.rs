//! What the SQL engines do for each request, in the SQL that all of them understand. An engine brings a [`Connection`];
//! transactions and groups are its own business.
//!
//! Tables and columns have the names of `db.sql`. A row that holds what this server would never have written - a name with
//! other characters, an id that is no UUID - is left out of what is read.

mod keys;
mod messages;
mod reads;
mod writes;

use std::ops::ControlFlow::{self, Break};

use super::groups::{Results, weight};
use super::{Job, Outcome, Request, Retention, StorageError, Write};
use crate::model::{DevId, MessageId, PipeName, Position, UserId};

pub(super) use messages::QueueLengths;
use reads::run_read;
pub(super) use reads::{Filling, fill, last_beyond, lasts, length, message, place, setting, settings};
use writes::run_writes;
pub(super) use writes::{delete_from_history, delete_of_pipe};

/// What stands for "never" in column `time` of `revoked_tokens`, as CppComet wrote it into every row.
pub(super) const NEVER: i64 = 9_999_999;
/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    Id(MessageId),
}

impl From<DevId> for Value<'_> {
    fn from(dev: DevId) -> Self {
        Self::Int(dev.0.into())
    }
}

impl From<UserId> for Value<'_> {
    fn from(user: UserId) -> Self {
        Self::Int(user.get().into())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<Position> for Value<'_> {
    fn from(position: Position) -> Self {
        Self::Int(position.0.cast_signed())
    }
}

impl From<MessageId> for Value<'_> {
    fn from(id: MessageId) -> Self {
        Self::Id(id)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a PipeName> for Value<'a> {
    fn from(name: &'a PipeName) -> Self {
        Self::Text(name.as_str())
    }
}

macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$(Value::from($value)),*] };
}
pub(super) use values;

/// A row of a result; columns count from 0. `None` for NULL and for what has another type.
pub(super) trait Row {
    fn int(&self, column: usize) -> Option<i64>;
    fn text(&self, column: usize) -> Option<&str>;
    fn id(&self, column: usize) -> Option<MessageId>;
}

/// An open transaction, or a connection where none is needed.
pub(super) trait Connection {
    type Error;
    /// Ends an INSERT that leaves a row with the same key as it is, and then changes none.
    const OR_KEEP: &'static str;
    /// Column `time` where a condition on it must not keep the engine from searching by `(time, id)`.
    const TIME: &'static str;
    /// Unix seconds.
    const NOW: &'static str;
    /// Statements that read the time of the newest message in the queues and in the histories, as far as an index tells it.
    const NEWEST: [&'static str; 2];
    /// Behind a text, has names compared with it byte by byte. Some tables compare without case.
    const EXACTLY: &'static str;
    /// Removes at most [`super::expiry::ROWS_MAX`] personal messages older than a time, the oldest first.
    const EXPIRE_QUEUED: &'static str;
    /// Removes at most as many personal messages that have expired at a time.
    const EXPIRE_ENDED_QUEUED: &'static str;
    /// Removes at most [`super::expiry::ROWS_MAX`] revoked tokens whose time lies between two.
    const EXPIRE_TOKENS: &'static str;
    /// Removes at most as many keys of publications that are older than a time.
    const EXPIRE_KEYS: &'static str;
    /// Removes messages of one pipe - [`of_name`] - that are older than a time, the oldest first; the last parameter says
    /// how many.
    const EXPIRE_HISTORY: &'static str;
    /// Whether a message is found by its id alone.
    const ID_IS_KEY: bool;
    /// Whether a comparison of several columns at once is looked up in an index.
    const COMPARES_ROWS: bool;
    /// Whether a statement of many rows costs much less than many statements.
    const BATCHES: bool;
    /// Whether nobody else changes the tables.
    const ALONE: bool;

    /// Returns how many rows were changed. Parameters are `?`.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Self::Error>;

    /// Hands over row by row until `each` breaks.
    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// The condition for the rows of a name, which stands for two parameters. Tables that CppComet made take `News` for
/// `news`: their index finds the rows of both, and the second comparison leaves those that are meant.
pub(super) fn of_name<C: Connection>(column: &str) -> String {
    format!("dev_id = ? AND {column} = ? AND {column} = ? {}", C::EXACTLY)
}

/// The first row's value.
pub(super) fn first<C: Connection, T>(
    db: &mut C,
    sql: &str,
    values: &[Value<'_>],
    of: impl Fn(&dyn Row) -> Option<T>,
) -> Result<Option<T>, C::Error> {
    let mut found = None;
    db.query(sql, values, &mut |row| {
        found = of(row);
        Break(())
    })?;
    Ok(found)
}

/// The results of the first jobs, as many as the budget of bytes allows, and what is left of it then. `refusal`: what is
/// wrong with a job of writes that would fail, and the others with it.
pub(super) fn run_jobs<'jobs, C: Connection>(
    db: &mut C,
    jobs: &'jobs [Job],
    mut budget: usize,
    retention: &Retention,
    lengths: &mut QueueLengths,
    refusal: &dyn Fn(&Job) -> Option<StorageError>,
) -> Result<(Results, usize), C::Error> {
    let mut results = Results::with_capacity(jobs.len());
    let mut rest = jobs;
    while let Some(job) = rest.first()
        && budget > 0
    {
        if let Request::Read { read, bytes_max } = &job.request {
            let outcome = run_read(db, read, *bytes_max, retention)?;
            let result = outcome.ok_or(StorageError::TooLarge { bytes_max: *bytes_max });
            budget = budget.saturating_sub(result.as_ref().map_or(0, weight));
            results.push(result);
            rest = rest.get(1..).unwrap_or_default();
        } else {
            // All writes up to the next read, whosever they are.
            let of = |job: &'jobs Job| match &job.request {
                Request::Write(writes) => Some(refusal(job).map_or(Ok(writes.as_slice()), Err)),
                Request::Read { .. } => None,
            };
            let groups: Vec<Result<&[Write], StorageError>> = rest.iter().map_while(of).collect();
            let writes: Vec<&Write> = groups.iter().flatten().copied().flatten().collect();
            let mut rows = run_writes(db, &writes, retention, lengths)?.into_iter();
            rest = rest.get(groups.len()..).unwrap_or_default();
            let mut outcome = |group: &[Write]| Outcome::Written { rows: rows.by_ref().take(group.len()).sum() };
            results.extend(groups.into_iter().map(|group| group.map(&mut outcome)));
        }
    }
    Ok((results, budget))
}
