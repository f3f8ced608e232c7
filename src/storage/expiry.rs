//! The retention: removes what is too old, a bounded piece at a time.
//!
//! How many messages a queue or history may have is not held here but by whoever writes into it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::Continue;

use super::beginning;
use super::begun::{self, Begun};
use super::statements::{Connection, NEVER, QueueLengths, Row, Value, delete_of_pipe, first, setting, values};
use super::{Expired, KEYS_KEPT_S, Retention};
use crate::model::{DevId, MessageId, PipeKey, PipeName, Position, UnixTime};

/// Rows that one call of [`expire`] removes from a table.
pub(super) const ROWS_MAX: u64 = 500;
/// Pipes that one call of [`expire`] looks at.
const PIPES_MAX: usize = 200;
/// Seconds that a revoked token stays after its end. A clock that is ahead for less takes no token off the list that is good
/// again when the clock is set right.
const TOKENS_KEPT_S: i64 = 24 * 60 * 60;

/// Where the look at the `trust_` pipes has come to, and that at the tokens.
#[derive(Debug)]
pub(super) struct Sweep {
    dev: DevId,
    /// The last pipe of this tenant that was looked at.
    after: Option<String>,
    tokens: Tokens,
    /// When the clock was noted last, unix seconds.
    clock_noted: i64,
}

/// How tokens are found that are over.
#[derive(Debug)]
enum Tokens {
    ByTime,
    /// All are looked at in the order of their keys, from behind this one on: the table has no index by time.
    ByKey(Option<(i64, String)>),
}

impl Sweep {
    pub(super) fn new(has_tokens_by_time: bool) -> Self {
        let tokens = if has_tokens_by_time { Tokens::ByTime } else { Tokens::ByKey(None) };
        Self { dev: DevId::default(), after: None, tokens, clock_noted: 0 }
    }
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
    // This is called once a minute.
    if now >= sweep.clock_noted.saturating_add(beginning::CLOCK_INTERVAL_S - 60) {
        beginning::note_clock(db, now)?;
        sweep.clock_noted = now;
    }
    let before = |seconds: u64| now.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX));
    if retention.queue_seconds > 0 {
        expired.queued = db.execute(C::EXPIRE_QUEUED, values![before(retention.queue_seconds)])?;
        if expired.queued > 0 {
            lengths.forget();
        }
    }
    expired.more = expired.queued >= ROWS_MAX;
    sweep_ended(db, now, retention, lengths, &mut expired)?;
    let more;
    (expired.tokens, more) = sweep_tokens(db, now.saturating_sub(TOKENS_KEPT_S), &mut sweep.tokens)?;
    expired.more |= more;
    expired.more |= db.execute(C::EXPIRE_KEYS, values![now.saturating_sub(KEYS_KEPT_S)])? >= ROWS_MAX;
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

/// Removes messages that have expired, which nobody is given any more.
fn sweep_ended<C: Connection>(
    db: &mut C,
    now: i64,
    retention: &Retention,
    lengths: &mut QueueLengths,
    expired: &mut Expired,
) -> Result<(), C::Error> {
    let queued = db.execute(C::EXPIRE_ENDED_QUEUED, values![now])?;
    if queued > 0 {
        lengths.forget();
    }
    let sql =
        "SELECT dev_id, pipe_name, id FROM pipe_messages WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT ?";
    let mut ended: BTreeMap<(u32, String), Vec<MessageId>> = BTreeMap::new();
    let mut seen = 0;
    db.query(sql, values![now, ROWS_MAX.cast_signed()], &mut |row| {
        seen += 1;
        let dev = row.int(0).and_then(|dev| u32::try_from(dev).ok());
        if let (Some(dev), Some(name), Some(id)) = (dev, row.text(1), row.id(2)) {
            ended.entry((dev, name.to_owned())).or_default().push(id);
        }
        Continue(())
    })?;
    let mut history = 0;
    for ((dev, name), ids) in ended {
        let dev = DevId(dev);
        if let Ok(name) = PipeName::new(name.as_bytes()) {
            begun::shorter(db, &PipeKey { dev, name }, retention)?;
        }
        history += delete_of_pipe(db, dev, &name, &ids)?;
    }
    expired.queued += queued;
    expired.history += history;
    expired.more |= queued >= ROWS_MAX || seen >= ROWS_MAX && history > 0;
    Ok(())
}

/// Returns how many went, and whether there may be more.
fn sweep_tokens<C: Connection>(db: &mut C, now: i64, tokens: &mut Tokens) -> Result<(u64, bool), C::Error> {
    let after = match tokens {
        Tokens::ByTime => {
            let removed = db.execute(C::EXPIRE_TOKENS, values![NEVER, now])?;
            return Ok((removed, removed >= ROWS_MAX));
        }
        Tokens::ByKey(after) => after,
    };
    let (dev, token) = after.as_ref().map_or((i64::MIN, ""), |(dev, token)| (*dev, token.as_str()));
    let behind = "(dev_id > ? OR (dev_id = ? AND token > ?))";
    let sql = format!(
        "SELECT dev_id, token FROM revoked_tokens WHERE {behind} ORDER BY dev_id, token LIMIT 1 OFFSET {}",
        ROWS_MAX - 1
    );
    let last = first(db, &sql, values![dev, dev, token], |row| row.int(0).zip(row.text(1).map(str::to_owned)))?;
    let sql = format!("DELETE FROM revoked_tokens WHERE time > ? AND time < ? AND {behind}");
    let mut values = values![NEVER, now, dev, dev, token].to_vec();
    let removed = if let Some((dev, token)) = &last {
        values.extend_from_slice(values![*dev, *dev, token.as_str()]);
        db.execute(&format!("{sql} AND (dev_id < ? OR (dev_id = ? AND token <= ?))"), &values)?
    } else {
        db.execute(&sql, &values)?
    };
    *after = last;
    Ok((removed, after.is_some()))
}

/// Looks at some pipes, in their order; tables have no index by age that would leave out the pipes with a setting. Returns
/// how many messages went, and whether there are more pipes.
fn sweep_trust<C: Connection>(db: &mut C, before: i64, sweep: &mut Sweep) -> Result<(u64, bool), C::Error> {
    let mut removed = 0;
    for _ in 0..PIPES_MAX {
        if let Some(name) = next_trusted(db, sweep.dev, sweep.after.as_deref())? {
            removed += sweep_pipe(db, sweep.dev, &name, before, ROWS_MAX - removed)?;
            if removed < ROWS_MAX {
                for other in others_alike(db, sweep.dev, &name, before)? {
                    removed += sweep_pipe(db, sweep.dev, &other, before, ROWS_MAX - removed)?;
                }
            }
            if removed >= ROWS_MAX {
                // Perhaps not all: the next piece begins with the same pipe.
                break;
            }
            sweep.after = Some(name);
        } else {
            let sql = "SELECT MIN(dev_id) FROM pipe_messages WHERE dev_id > ?";
            let next = first(db, sql, values![sweep.dev], |row| u32::try_from(row.int(0)?).ok())?;
            (sweep.dev, sweep.after) = (next.map(DevId).unwrap_or_default(), None);
            if next.is_none() {
                return Ok((removed, false));
            }
        }
    }
    Ok((removed, true))
}

/// Nothing goes from a pipe with a setting, or from one that is no `trust_` pipe: where names compare without case, one
/// that we do not mean comes along.
fn sweep_pipe<C: Connection>(db: &mut C, dev: DevId, name: &str, before: i64, rows_max: u64) -> Result<u64, C::Error> {
    let is_kept = match PipeName::new(name.as_bytes()) {
        Ok(name) => setting(db, dev, &name)?.is_some(),
        Err(_) => false,
    };
    if is_kept || !name.starts_with(TRUST) {
        return Ok(0);
    }
    db.execute(C::EXPIRE_HISTORY, values![dev, name, name, before, rows_max.cast_signed()])
}

/// The next name of a `trust_` pipe with messages. By its order and not as the smallest: in CppComet's tables, which have no
/// index of tenant and pipe, MySQL would look at all messages for that.
pub(super) fn next_trusted<C: Connection>(
    db: &mut C,
    dev: DevId,
    after: Option<&str>,
) -> Result<Option<String>, C::Error> {
    let name = |row: &dyn Row| row.text(0).map(str::to_owned);
    let next = if let Some(after) = after {
        let sql = "SELECT pipe_name FROM pipe_messages WHERE dev_id = ? AND pipe_name > ? ORDER BY pipe_name LIMIT 1";
        first(db, sql, values![dev, after], name)?
    } else {
        let sql = "SELECT pipe_name FROM pipe_messages WHERE dev_id = ? AND pipe_name >= ? ORDER BY pipe_name LIMIT 1";
        first(db, sql, values![dev, TRUST], name)?
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
