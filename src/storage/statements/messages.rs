//! Messages come into queues and histories, and those beyond the maximum go.

use std::collections::HashMap;

use super::reads::{last_beyond, length};
use super::{Connection, Value, first, of_name, values};
use crate::model::{DevId, PipeKey, UserId};
use crate::storage::{Place, Retention, StoredMessage};

/// Users whose queue lengths are remembered.
const LENGTHS_MAX: usize = 65_536;

/// How many messages wait for users that were written to lately; saves counting them at each write. At least as many as
/// there are if nobody else removes them.
#[derive(Debug, Default)]
pub(in crate::storage) struct QueueLengths(HashMap<(DevId, UserId), u64>);

impl QueueLengths {
    /// After a transaction that was not committed nothing is known.
    pub(in crate::storage) fn forget(&mut self) {
        self.0.clear();
    }

    pub(in crate::storage) fn get_mut(&mut self, dev: DevId, user: UserId) -> Option<&mut u64> {
        self.0.get_mut(&(dev, user))
    }

    pub(super) fn set(&mut self, dev: DevId, user: UserId, length: u64) {
        if self.0.len() >= LENGTHS_MAX {
            self.0.clear();
        }
        self.0.insert((dev, user), length);
    }
}

pub(super) const INSERT_QUEUED: &str =
    "INSERT INTO users_messages (id, time, dev_id, user_id, event, message, expires)";

pub(super) fn queued_values(dev: DevId, user: UserId, message: &StoredMessage) -> [Value<'_>; 7] {
    let StoredMessage { id, time, event, message, expires, .. } = message;
    [
        (*id).into(),
        (*time).into(),
        dev.into(),
        user.into(),
        event.as_str().into(),
        (&**message).into(),
        (*expires).into(),
    ]
}

pub(super) fn put_queued<C: Connection>(
    db: &mut C,
    dev: DevId,
    user: UserId,
    message: &StoredMessage,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<u64, C::Error> {
    let sql = format!("{INSERT_QUEUED} VALUES (?, ?, ?, ?, ?, ?, ?) {}", C::OR_KEEP);
    let inserted = db.execute(&sql, &queued_values(dev, user, message))?;
    after_queued(db, dev, user, inserted, retention, lengths)?;
    Ok(inserted)
}

/// Keeps the count of a queue that got messages, and its bound.
pub(super) fn after_queued<C: Connection>(
    db: &mut C,
    dev: DevId,
    user: UserId,
    inserted: u64,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<(), C::Error> {
    let count = |db: &mut C| {
        let sql = "SELECT COUNT(*) FROM users_messages WHERE dev_id = ? AND user_id = ?";
        let count = first(db, sql, values![dev, user], |row| row.int(0))?;
        Ok(count.unwrap_or_default().unsigned_abs())
    };
    let max = u64::from(retention.queue_messages_max);
    let mut length = match lengths.0.get(&(dev, user)) {
        Some(length) => length + inserted,
        None => count(db)?,
    };
    // What others did is found out only now and then; a few messages more are less harm than counting all at each write.
    let slack = if C::ALONE { 0 } else { max / 64 };
    if length > max + slack {
        if !C::ALONE {
            length = count(db)?;
        }
        if length > max {
            trim_queue(db, dev, user, length - max)?;
            length = max;
        }
    }
    lengths.set(dev, user, length);
    Ok(())
}

/// Removes so many of the oldest.
fn trim_queue<C: Connection>(db: &mut C, dev: DevId, user: UserId, surplus: u64) -> Result<(), C::Error> {
    let sql = "SELECT time, id FROM users_messages WHERE dev_id = ? AND user_id = ? \
         ORDER BY time, id LIMIT 1 OFFSET ?";
    let offset = Value::Int(surplus.saturating_sub(1) as i64);
    let last =
        first(db, sql, &[dev.into(), user.into(), offset], |row| Some(Place { time: row.int(0)?, id: row.id(1)? }))?;
    if let Some(Place { time, id }) = last {
        let sql = format!(
            "DELETE FROM users_messages WHERE dev_id = ? AND user_id = ? AND {} <= ? AND (time, id) <= (?, ?)",
            C::TIME
        );
        db.execute(&sql, values![dev, user, time, time, id])?;
    }
    Ok(())
}

pub(super) const INSERT_HISTORY: &str =
    "INSERT INTO pipe_messages (id, time, dev_id, pipe_name, event, message, user_id, expires)";

pub(super) fn history_values<'a>(pipe: &'a PipeKey, message: &'a StoredMessage) -> [Value<'a>; 8] {
    let StoredMessage { id, time, event, message, sender, expires } = message;
    let (dev, name, event) = (pipe.dev.into(), (&pipe.name).into(), event.as_str().into());
    [(*id).into(), (*time).into(), dev, name, event, (&**message).into(), (*sender).into(), (*expires).into()]
}

/// Into a pipe that keeps none a message does not get, so that none is left behind when a setting is deleted while
/// publications are on their way.
pub(super) fn put_history<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    message: &StoredMessage,
    then_trim: bool,
    retention: &Retention,
) -> Result<u64, C::Error> {
    let length = length(db, pipe, retention)?;
    if length == 0 {
        return Ok(0);
    }
    let sql = format!("{INSERT_HISTORY} VALUES (?, ?, ?, ?, ?, ?, ?, ?) {}", C::OR_KEEP);
    let inserted = db.execute(&sql, &history_values(pipe, message))?;
    if then_trim {
        trim(db, pipe, length)?;
    }
    Ok(inserted)
}

pub(super) fn trim<C: Connection>(db: &mut C, pipe: &PipeKey, length: u32) -> Result<(), C::Error> {
    if length == 0 {
        delete_history(db, pipe)?;
    } else if let Some(Place { time, id }) = last_beyond(db, pipe, length)? {
        let sql = format!(
            "DELETE FROM pipe_messages WHERE {} AND {} <= ? AND (time, id) <= (?, ?)",
            of_name::<C>("pipe_name"),
            C::TIME
        );
        db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name, time, time, id])?;
    }
    Ok(())
}

pub(super) fn delete_history<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM pipe_messages WHERE {}", of_name::<C>("pipe_name"));
    db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name])
}
