//! What each write changes in the database.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow::Continue;

use super::messages::{
    INSERT_HISTORY, INSERT_QUEUED, after_queued, delete_history, history_values, put_history, put_queued,
    queued_values, trim,
};
use super::reads::{last_beyond, length, setting};
use super::{Connection, NEVER, QueueLengths, Row, Value, first, of_name, values};
use crate::model::{DevId, MessageId, PipeClass, PipeKey, PipeName, Position, UserId};
use crate::storage::begun::{self, Begun};
use crate::storage::{Call, Place, Retention, Write};

/// Times are 32 bits wide in `db.sql`.
const TIME_MAX: i64 = i32::MAX as i64;

/// Ids in one statement; a shorter list repeats its last one, so that few different statements are prepared.
const IDS_MAX: usize = 100;

/// Returns for each write how many rows there are less or more, or have new values.
pub(super) fn run_writes<C: Connection>(
    db: &mut C,
    writes: &[&Write],
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<Vec<u64>, C::Error> {
    let mut rows = Vec::with_capacity(writes.len());
    let mut rest = writes;
    while let Some(first) = rest.first() {
        let alike = if C::BATCHES { alike(rest) } else { 1 };
        let (batch, behind) = rest.split_at(alike.max(1));
        if batch.len() > 1 {
            // A message that was there already counts as well: only one that is sent again is.
            let is_kept = run_batch(db, batch, retention, lengths)?;
            rows.extend(is_kept.into_iter().map(u64::from));
        } else {
            rows.push(run_write(db, first, retention, lengths)?);
        }
        rest = behind;
    }
    Ok(rows)
}

/// Writes that one statement may carry out, and about how many bytes.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How many of the first of these writes can be one statement.
fn alike(writes: &[&Write]) -> usize {
    let kind = |write: &Write| match write {
        Write::PutHash { .. } => Some(0),
        Write::PutUserData { .. } => Some(1),
        Write::PutLastSeen { .. } => Some(2),
        Write::PutQueued { .. } => Some(3),
        Write::PutHistory { .. } => Some(4),
        _ => None,
    };
    let Some(first) = writes.first().and_then(|write| kind(write)) else { return 1 };
    let mut bytes = 0;
    let fits = |write: &&&Write| {
        bytes += write.bytes();
        kind(write) == Some(first) && bytes <= BATCH_BYTES_MAX
    };
    writes.iter().take(BATCH_MAX).take_while(fits).count()
}

/// What [`alike`] has found, two at least. Returns which of them changed a row.
fn run_batch<C: Connection>(
    db: &mut C,
    writes: &[&Write],
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<Vec<bool>, C::Error> {
    let lengths_of_pipes = lengths_of_pipes(db, writes, retention)?;
    let length = |pipe: &PipeKey| lengths_of_pipes.get(pipe).copied().unwrap_or_default();
    let values: Vec<Vec<Value<'_>>> = writes
        .iter()
        .filter_map(|write| match write {
            Write::PutHash { dev, user, hash: text } | Write::PutUserData { dev, user, data: text } => {
                Some(vec![(*dev).into(), (*user).into(), (&**text).into()])
            }
            Write::PutLastSeen { dev, user, time } => Some(vec![(*dev).into(), (*user).into(), (*time).into()]),
            Write::PutQueued { dev, user, message } => Some(queued_values(*dev, *user, message).to_vec()),
            Write::PutHistory { pipe, message, .. } if length(pipe) > 0 => Some(history_values(pipe, message).to_vec()),
            _ => None,
        })
        .collect();
    let (into, end) = match writes.first() {
        Some(Write::PutHash { .. }) => ("REPLACE INTO users_auth (dev_id, user_id, hash)", ""),
        Some(Write::PutUserData { .. }) => ("REPLACE INTO users_data (dev_id, user_id, data)", ""),
        Some(Write::PutLastSeen { .. }) => ("REPLACE INTO users_time (dev_id, user_id, time)", ""),
        Some(Write::PutHistory { .. }) => (INSERT_HISTORY, C::OR_KEEP),
        _ => (INSERT_QUEUED, C::OR_KEEP),
    };
    let mut rest = values.as_slice();
    while let Some(columns) = rest.first().map(Vec::len) {
        // Powers of two, so that few different statements are prepared.
        let (now, later) = rest.split_at(1 << rest.len().ilog2());
        let row = format!("({})", vec!["?"; columns].join(", "));
        let sql = format!("{into} VALUES {} {end}", vec![row.as_str(); now.len()].join(", "));
        db.execute(&sql, &now.concat())?;
        rest = later;
    }
    let mut trimmed = HashSet::new();
    for write in writes {
        match write {
            Write::PutQueued { dev, user, .. } => after_queued(db, *dev, *user, 1, retention, lengths)?,
            Write::PutHistory { pipe, trim: true, .. } if length(pipe) > 0 && trimmed.insert(pipe) => {
                trim(db, pipe, length(pipe))?;
            }
            _ => {}
        }
    }
    let is_kept = |write: &&Write| !matches!(write, Write::PutHistory { pipe, .. } if length(pipe) == 0);
    Ok(writes.iter().map(is_kept).collect())
}

/// Of the pipes that these writes put something into.
fn lengths_of_pipes<'a, C: Connection>(
    db: &mut C,
    writes: &[&'a Write],
    retention: &Retention,
) -> Result<HashMap<&'a PipeKey, u32>, C::Error> {
    let mut lengths = HashMap::new();
    for write in writes {
        if let Write::PutHistory { pipe, .. } = write
            && !lengths.contains_key(pipe)
        {
            lengths.insert(pipe, length(db, pipe, retention)?);
        }
    }
    Ok(lengths)
}

/// Returns how many rows there are less or more, or have new values.
fn run_write<C: Connection>(
    db: &mut C,
    write: &Write,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<u64, C::Error> {
    match write {
        Write::IfAbsent(write) if is_there(db, write)? => Ok(0),
        Write::IfAbsent(write) => run_write(db, write, retention, lengths),
        Write::PutHash { dev, user, hash } => {
            replace(db, "users_auth (dev_id, user_id, hash) VALUES (?, ?, ?)", values![*dev, *user, &**hash])
        }
        Write::UpdateHash { dev, user, hash } => update(db, "users_auth", "hash", *dev, *user, hash),
        Write::DeleteHash { dev, user } => {
            db.execute("DELETE FROM users_auth WHERE dev_id = ? AND user_id = ?", values![*dev, *user])
        }
        Write::PutUserData { dev, user, data } => {
            replace(db, "users_data (dev_id, user_id, data) VALUES (?, ?, ?)", values![*dev, *user, &**data])
        }
        Write::UpdateUserData { dev, user, data } => update(db, "users_data", "data", *dev, *user, data),
        Write::DeleteUserData { dev, user } => {
            db.execute("DELETE FROM users_data WHERE dev_id = ? AND user_id = ?", values![*dev, *user])
        }
        Write::PutLastSeen { dev, user, time } => {
            replace(db, "users_time (dev_id, user_id, time) VALUES (?, ?, ?)", values![*dev, *user, *time])
        }
        Write::PutQueued { dev, user, message } => put_queued(db, *dev, *user, message, retention, lengths),
        Write::DeleteQueue { dev, user } => {
            let deleted =
                db.execute("DELETE FROM users_messages WHERE dev_id = ? AND user_id = ?", values![*dev, *user])?;
            lengths.set(*dev, *user, 0);
            Ok(deleted)
        }
        Write::DeleteQueued { dev, user, ids } => {
            let sql = "DELETE FROM users_messages WHERE dev_id = ? AND user_id = ? AND id IN";
            let deleted = delete_ids(db, sql, values![*dev, *user], ids)?;
            if let Some(length) = lengths.get_mut(*dev, *user) {
                *length = length.saturating_sub(deleted);
            }
            Ok(deleted)
        }
        Write::PutHistory { pipe, message, trim } => put_history(db, pipe, message, *trim, retention),
        Write::PutKey { pipe, key, time } => {
            let into = "pipes_keys (dev_id, name, idempotency_key, time) VALUES (?, ?, ?, ?)";
            replace(db, into, values![pipe.dev, &pipe.name, &**key, *time])
        }
        Write::DeleteHistory { pipe } => {
            if let Some(newest) = last_beyond(db, pipe, 0)? {
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun::behind(newest))?;
            }
            delete_history(db, pipe)
        }
        Write::DeleteFromHistory { dev, pipes, ids } => delete_from_history(db, *dev, pipes.as_deref(), ids),
        Write::UpdateSetting { pipe, .. } if setting(db, pipe.dev, &pipe.name)?.is_none() => Ok(0),
        Write::PutSetting { pipe, length: wanted, begun } | Write::UpdateSetting { pipe, length: wanted, begun } => {
            let (length, before) = (wanted, length(db, pipe, retention)?);
            if let Some(begun) = interrupted(db, pipe, before, *length, *begun)? {
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun)?;
            }
            delete_setting(db, pipe)?;
            let insert = "INSERT INTO pipes_settings (dev_id, name, type, length) VALUES (?, ?, '0', ?)";
            db.execute(insert, values![pipe.dev, &pipe.name, *length])?;
            trim(db, pipe, *length)?;
            Ok(1)
        }
        Write::DeleteSetting { pipe, begun } => {
            let newest = last_beyond(db, pipe, 0)?.map(begun::behind);
            delete_history(db, pipe)?;
            if pipe.name.class() == PipeClass::Trust {
                // Something may have been published since the deletion was asked for.
                let begun = newest.map_or(*begun, |newest| newest.max(*begun));
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun)?;
            } else {
                begun::forget(db, pipe)?;
            }
            delete_setting(db, pipe)
        }
        Write::PutRevoked { dev, token, expires } => {
            // One that is over already goes at the next look; one that outlives the column never does.
            let time = match expires {
                Some(time) if *time <= TIME_MAX => (*time).max(NEVER + 1),
                _ => NEVER,
            };
            replace(db, "revoked_tokens (dev_id, token, time) VALUES (?, ?, ?)", values![*dev, &**token, time])
        }
        Write::DeleteRevoked { dev, token } => {
            db.execute("DELETE FROM revoked_tokens WHERE dev_id = ? AND token = ?", values![*dev, &**token])
        }
        Write::PutCall { dev, call } => {
            let Call { name, user, caller, message, profile, stream, node, time } = call;
            delete_call(db, *dev, name, *user)?;
            let into = "INSERT INTO conference (dev_id, name, user_id, caller_id, message, profile, stream, node, time) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let values = values![*dev, &**name, *user, *caller, &**message, &**profile, &**stream, &**node, *time];
            db.execute(into, values)
        }
        Write::DeleteCall { dev, name, user } => delete_call(db, *dev, name, *user),
    }
}

// What has a name for its key is deleted and inserted, not replaced: where `News` and `news` are one key, the other one's
// row would go unasked. Now it is a duplicate, and refused.

fn delete_setting<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM pipes_settings WHERE {}", of_name::<C>("name"));
    db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name])
}

fn delete_call<C: Connection>(db: &mut C, dev: DevId, name: &str, user: UserId) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM conference WHERE {} AND user_id = ?", of_name::<C>("name"));
    db.execute(&sql, values![dev, name, name, user])
}

/// Behind which position a history is whole when its length changes, if that is not as before.
fn interrupted<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    before: u32,
    length: u32,
    begun: Position,
) -> Result<Option<Position>, C::Error> {
    if before == 0 {
        return Ok(Some(begun).filter(|_| length > 0));
    }
    // From now on it is not to be seen any more that it was full.
    let oldest = if length > before { last_beyond(db, pipe, before - 1)? } else { None };
    Ok(oldest.map(begun::behind))
}

/// Of these pipes only, if some are named.
pub(in crate::storage) fn delete_from_history<C: Connection>(
    db: &mut C,
    dev: DevId,
    pipes: Option<&[PipeName]>,
    ids: &[MessageId],
) -> Result<u64, C::Error> {
    let mut newest: HashMap<String, Position> = HashMap::new();
    for_ids(ids, |places, ids| {
        let sql = format!("SELECT pipe_name, time, id FROM pipe_messages WHERE dev_id = ? AND id IN {places}");
        let values: Vec<Value<'_>> = std::iter::once(dev.into()).chain(ids.map(Value::Id)).collect();
        db.query(&sql, &values, &mut |row| {
            let place = |row: &dyn Row| Some(Place { time: row.int(1)?, id: row.id(2)? });
            if let Some((name, place)) = row.text(0).zip(place(row)) {
                let position = newest.entry(name.to_owned()).or_default();
                *position = begun::behind(place).max(*position);
            }
            Continue(())
        })
    })?;
    let mut deleted = 0;
    for (name, position) in newest {
        if pipes.is_none_or(|pipes| pipes.iter().any(|pipe| pipe.as_str() == name)) {
            deleted += delete_of_pipe(db, dev, &name, ids)?;
            begun::raise(db, Begun::Pipe(dev, &name), position)?;
        }
    }
    Ok(deleted)
}

/// Without a mark that the history is not whole any more.
pub(in crate::storage) fn delete_of_pipe<C: Connection>(
    db: &mut C,
    dev: DevId,
    name: &str,
    ids: &[MessageId],
) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM pipe_messages WHERE {} AND id IN", of_name::<C>("pipe_name"));
    delete_ids(db, &sql, values![dev, name, name], ids)
}

/// A row that replaces the one with the same key counts once.
fn replace<C: Connection>(db: &mut C, into: &str, values: &[Value<'_>]) -> Result<u64, C::Error> {
    db.execute(&format!("REPLACE INTO {into}"), values)?;
    Ok(1)
}

/// Whether a row with the key of this write is there already.
fn is_there<C: Connection>(db: &mut C, write: &Write) -> Result<bool, C::Error> {
    let of_user = |table: &str| format!("SELECT 1 FROM {table} WHERE dev_id = ? AND user_id = ?");
    let found = match write {
        Write::PutHash { dev, user, .. } => first(db, &of_user("users_auth"), values![*dev, *user], |_| Some(()))?,
        Write::PutUserData { dev, user, .. } => first(db, &of_user("users_data"), values![*dev, *user], |_| Some(()))?,
        Write::PutSetting { pipe, .. } => setting(db, pipe.dev, &pipe.name)?.map(|_| ()),
        _ => None,
    };
    Ok(found.is_some())
}

/// How many rows there are is counted before: an engine may leave out those that stay as they are.
fn update<C: Connection>(
    db: &mut C,
    table: &str,
    column: &str,
    dev: DevId,
    user: UserId,
    text: &str,
) -> Result<u64, C::Error> {
    let of_user = "WHERE dev_id = ? AND user_id = ?";
    let found = first(db, &format!("SELECT 1 FROM {table} {of_user}"), values![dev, user], |_| Some(()))?;
    if found.is_some() {
        db.execute(&format!("UPDATE {table} SET {column} = ? {of_user}"), values![text, dev, user])?;
    }
    Ok(found.is_some().into())
}

fn delete_ids<C: Connection>(db: &mut C, sql: &str, key: &[Value<'_>], ids: &[MessageId]) -> Result<u64, C::Error> {
    let mut deleted = 0;
    for_ids(ids, |places, ids| {
        let values: Vec<Value<'_>> = key.iter().copied().chain(ids.map(Value::Id)).collect();
        deleted += db.execute(&format!("{sql} {places}"), &values)?;
        Ok(())
    })?;
    Ok(deleted)
}

/// Hands over the ids in portions, each with the places that a statement must have for it.
fn for_ids<E>(
    ids: &[MessageId],
    mut each: impl FnMut(&str, &mut dyn Iterator<Item = MessageId>) -> Result<(), E>,
) -> Result<(), E> {
    for ids in ids.chunks(IDS_MAX) {
        let places = if ids.len() == 1 { 1 } else { IDS_MAX };
        let last = ids.last().copied().into_iter();
        let mut padded = ids.iter().copied().chain(last.cycle()).take(places);
        each(&format!("({})", vec!["?"; places].join(", ")), &mut padded)?;
    }
    Ok(())
}
