//! The retention: removes what is too old, a bounded piece at a time.
//!
//! How many messages a queue or history may have is not held here but by whoever writes into it.

use std::collections::BTreeSet;
use std::ops::ControlFlow::Continue;

use super::begun::{self, Begun};
use super::statements::{Connection, NEVER, QueueLengths, Row, Value, first, of_name, setting, values};
use super::{Expired, Retention};
use crate::model::{DevId, PipeName, Position, UnixTime};

/// Rows that one call of [`expire`] removes from a table.
pub(super) const ROWS_MAX: usize = 500;
/// Pipes that one call of [`expire`] looks at.
const PIPES_MAX: usize = 200;

/// Where the look at the `trust_` pipes has come to.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    dev: DevId,
    /// The last pipe of this tenant that was looked at.
    after: Option<String>,
}

/// How the names of pipes begin that have history without a setting.
const TRUST: &str = "trust_";

pub(super) fn expire<C: Connection>(
    db: &mut C,
    now: i64,
    retention: &Retention,
    sweep: &mut Sweep,
    lengths: &mut QueueLengths,
) -> Result<Expired, C::Error> {
    let mut expired = Expired::default();
    let before = |seconds: u64| now.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX));
    if retention.queue_seconds > 0 {
        expired.queued = db.execute(C::EXPIRE_QUEUED, values![before(retention.queue_seconds)])?;
        if expired.queued > 0 {
            lengths.forget();
        }
    }
    expired.tokens = db.execute("DELETE FROM revoked_tokens WHERE time > ? AND time < ?", values![NEVER, now])?;
    expired.more = expired.queued >= ROWS_MAX as u64;
    if retention.trust_seconds > 0 {
        let before = before(retention.trust_seconds);
        let more;
        (expired.history, more) = sweep_trust(db, before, sweep)?;
        if expired.history > 0 {
            begun::raise(db, Begun::Trusted, Position::last_of(UnixTime(before.saturating_sub(1))))?;
        }
        expired.more |= more;
    }
    Ok(expired)
}

/// Looks at some pipes, in their order; tables have no index by age that would leave out the pipes with a setting. Returns
/// how many messages went, and whether there are more pipes.
fn sweep_trust<C: Connection>(db: &mut C, before: i64, sweep: &mut Sweep) -> Result<(u64, bool), C::Error> {
    let mut removed = 0;
    for _ in 0..PIPES_MAX {
        if let Some(name) = next_trusted(db, sweep)? {
            removed += sweep_pipe(db, sweep.dev, &name, before)?;
            for name in others_alike(db, sweep.dev, &name, before)? {
                removed += sweep_pipe(db, sweep.dev, &name, before)?;
            }
            sweep.after = Some(name);
        } else {
            let sql = "SELECT MIN(dev_id) FROM pipe_messages WHERE dev_id > ?";
            let next = first(db, sql, values![sweep.dev], |row| u32::try_from(row.int(0)?).ok())?;
            *sweep = Sweep { dev: next.map(DevId).unwrap_or_default(), after: None };
            if next.is_none() {
                return Ok((removed, false));
            }
        }
        if removed >= ROWS_MAX as u64 {
            break;
        }
    }
    Ok((removed, true))
}

/// Nothing goes from a pipe with a setting, or from one that is no `trust_` pipe: where names compare without case, one
/// that we do not mean comes along.
fn sweep_pipe<C: Connection>(db: &mut C, dev: DevId, name: &str, before: i64) -> Result<u64, C::Error> {
    let is_kept = match PipeName::new(name.as_bytes()) {
        Ok(name) => setting(db, dev, &name)?.is_some(),
        Err(_) => false,
    };
    if is_kept || !name.starts_with(TRUST) {
        return Ok(0);
    }
    let sql = format!("DELETE FROM pipe_messages WHERE {} AND time < ?", of_name::<C>("pipe_name"));
    db.execute(&sql, values![dev, name, name, before])
}

fn next_trusted<C: Connection>(db: &mut C, sweep: &Sweep) -> Result<Option<String>, C::Error> {
    let name = |row: &dyn Row| row.text(0).map(str::to_owned);
    let next = if let Some(after) = &sweep.after {
        let sql = "SELECT MIN(pipe_name) FROM pipe_messages WHERE dev_id = ? AND pipe_name > ?";
        first(db, sql, values![sweep.dev, after.as_str()], name)?
    } else {
        let sql = "SELECT MIN(pipe_name) FROM pipe_messages WHERE dev_id = ? AND pipe_name >= ?";
        first(db, sql, values![sweep.dev, TRUST], name)?
    };
    let begins = |name: &String| name.get(..TRUST.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(TRUST));
    Ok(next.filter(begins))
}

/// Other names that the table takes for the same, as far as they have something that is too old: [`next_trusted`] tells only
/// one of them. For [`sweep_pipe`] has been at this one, there is seldom anything to be read.
fn others_alike<C: Connection>(db: &mut C, dev: DevId, name: &str, before: i64) -> Result<BTreeSet<String>, C::Error> {
    let mut names = BTreeSet::new();
    let sql = "SELECT pipe_name FROM pipe_messages WHERE dev_id = ? AND pipe_name = ? AND time < ?";
    db.query(sql, values![dev, name, before], &mut |row| {
        if let Some(other) = row.text(0).filter(|other| *other != name && !names.contains(*other)) {
            names.insert(other.to_owned());
        }
        Continue(())
    })?;
    Ok(names)
}
