//! Removals that may be large - whole queues, whole histories, many ids - cut into pieces, so that others' jobs run between
//! them.
//!
//! What is removed is what was there when the first piece began; what comes meanwhile has a later place and stays. A history
//! says with its first piece that it is not whole any more, so nobody takes one that is half gone for all there was.

use std::ops::ControlFlow::{Break, Continue};

use super::begun::{self, Begun};
use super::statements::{
    Connection, QueueLengths, Value, delete_from_history, first, last_beyond, of_name, place, values,
};
use super::{Place, Request, Write};
use crate::model::{DevId, MessageId, PipeKey, PipeName, UserId};

/// A job that removes much, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// What is not gone yet; the last one comes first.
    left: Vec<Target>,
    rows: u64,
    /// Whether the job itself has to be carried out when everything is gone.
    then_job: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Queue {
        dev: DevId,
        user: UserId,
        until: Option<Place>,
    },
    /// All but the newest, as many as `keep` says.
    History {
        pipe: PipeKey,
        keep: u32,
        until: Option<Place>,
    },
    Ids {
        dev: DevId,
        pipes: Option<Vec<PipeName>>,
        ids: Vec<MessageId>,
    },
}

impl Removal {
    /// `None` if the request is no such job.
    pub fn of(request: &Request) -> Option<Self> {
        let Request::Write(writes) = request else { return None };
        let then_job = match writes.as_slice() {
            [Write::PutSetting { .. } | Write::UpdateSetting { .. } | Write::DeleteSetting { .. }] => true,
            _ if writes.iter().any(is_setting) => return None,
            _ => false,
        };
        let left = writes.iter().rev().map(Target::of).collect::<Option<Vec<Target>>>()?;
        (!left.is_empty()).then_some(Self { left, rows: 0, then_job })
    }

    pub fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    #[cfg(test)]
    pub fn finish(&mut self) {
        self.left.clear();
    }

    /// For a job without anything else to do: the rows that went.
    pub fn rows(&self) -> Option<u64> {
        (!self.then_job).then_some(self.rows)
    }
}

fn is_setting(write: &Write) -> bool {
    matches!(write, Write::PutSetting { .. } | Write::UpdateSetting { .. } | Write::DeleteSetting { .. })
}

impl Target {
    fn of(write: &Write) -> Option<Self> {
        Some(match write {
            Write::DeleteQueue { dev, user } => Self::Queue { dev: *dev, user: *user, until: None },
            Write::DeleteHistory { pipe } | Write::DeleteSetting { pipe, .. } => {
                Self::History { pipe: pipe.clone(), keep: 0, until: None }
            }
            Write::PutSetting { pipe, length, .. } | Write::UpdateSetting { pipe, length, .. } => {
                Self::History { pipe: pipe.clone(), keep: *length, until: None }
            }
            Write::DeleteFromHistory { dev, pipes, ids } if ids.len() > IDS_AT_ONCE => {
                Self::Ids { dev: *dev, pipes: pipes.clone(), ids: ids.clone() }
            }
            _ => return None,
        })
    }
}

/// Carries out one piece, of the first removals if they are small, in the transaction that `db` is in.
pub(super) fn run<C: Connection>(
    db: &mut C,
    removals: &mut [Removal],
    lengths: &mut QueueLengths,
) -> Result<(), C::Error> {
    let mut room = Room { rows: ROWS_AT_ONCE, bytes: BYTES_AT_ONCE };
    for removal in removals {
        while let Some(target) = removal.left.last_mut() {
            if room.rows == 0 || room.bytes == 0 {
                return Ok(());
            }
            let (rows, is_done) = target.piece(db, lengths, &mut room)?;
            removal.rows += rows;
            if is_done {
                removal.left.pop();
            }
        }
    }
    Ok(())
}

/// What a piece may remove still.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Target {
    /// Removes some. Returns how many, and whether nothing is left.
    fn piece<C: Connection>(
        &mut self,
        db: &mut C,
        lengths: &mut QueueLengths,
        room: &mut Room,
    ) -> Result<(u64, bool), C::Error> {
        // Nothing to remove costs a little as well.
        room.rows -= 1;
        match self {
            Self::Queue { dev, user, until } => {
                if until.is_none() {
                    *until = newest_queued(db, *dev, *user)?;
                }
                let rows = Rows {
                    table: "users_messages",
                    of: "dev_id = ? AND user_id = ?".to_owned(),
                    key: values![*dev, *user].to_vec(),
                };
                let piece = rows.remove(db, *until, room)?;
                if let Some(length) = lengths.get_mut(*dev, *user) {
                    *length = length.saturating_sub(piece.0);
                }
                Ok(piece)
            }
            Self::History { pipe, keep, until } => {
                if until.is_none() {
                    *until = begin(db, pipe, *keep)?;
                }
                if until.is_none() && *keep > 0 {
                    return Ok((0, true));
                }
                let rows = Rows {
                    table: "pipe_messages",
                    of: of_name::<C>("pipe_name"),
                    key: values![pipe.dev, &pipe.name, &pipe.name].to_vec(),
                };
                rows.remove(db, *until, room)
            }
            Self::Ids { dev, pipes, ids } => {
                let rest = ids.len().saturating_sub(IDS_AT_ONCE);
                let now = ids.get(rest..).unwrap_or_default();
                let rows = delete_from_history(db, *dev, pipes.as_deref(), now)?;
                room.rows = 0;
                ids.truncate(rest);
                Ok((rows, ids.is_empty()))
            }
        }
    }
}

/// The newest message that goes, if one does. From now on the history is not whole up to there.
fn begin<C: Connection>(db: &mut C, pipe: &PipeKey, keep: u32) -> Result<Option<Place>, C::Error> {
    let last = last_beyond(db, pipe, keep)?;
    if let Some(last) = last {
        begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun::behind(last))?;
    }
    Ok(last)
}

fn newest_queued<C: Connection>(db: &mut C, dev: DevId, user: UserId) -> Result<Option<Place>, C::Error> {
    let sql =
        "SELECT time, id FROM users_messages WHERE dev_id = ? AND user_id = ? ORDER BY time DESC, id DESC LIMIT 1";
    first(db, sql, values![dev, user], place)
}

/// The messages of one queue or history.
struct Rows<'a> {
    table: &'static str,
    of: String,
    key: Vec<Value<'a>>,
}

impl Rows<'_> {
    /// Removes the oldest up to a place, as many as there is room for. Without a place all go: what is there is nothing, or
    /// was not written by a server and has no place.
    fn remove<C: Connection>(
        &self,
        db: &mut C,
        until: Option<Place>,
        room: &mut Room,
    ) -> Result<(u64, bool), C::Error> {
        let Self { table, of, key } = self;
        let Some(last) = until else {
            return Ok((db.execute(&format!("DELETE FROM {table} WHERE {of}"), key)?, true));
        };
        let up_to = format!("{of} AND {} <= ? AND (time, id) <= (?, ?)", C::TIME);
        let up_to_place = |place: Place| {
            let ends: &[Value<'_>] = values![place.time, place.time, place.id];
            [key.as_slice(), ends].concat()
        };
        let sql = format!(
            "SELECT time, id, OCTET_LENGTH(message) FROM {table} WHERE {up_to} ORDER BY time, id LIMIT {ROWS_AT_ONCE}"
        );
        let (mut now, mut is_last) = (None, true);
        db.query(&sql, &up_to_place(last), &mut |row| {
            now = place(row).or(now);
            room.rows = room.rows.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(row.int(2).unwrap_or_default().unsigned_abs() as usize);
            is_last = room.rows > 0 && room.bytes > 0;
            if is_last { Continue(()) } else { Break(()) }
        })?;
        // Among rows without a place there is none to stop at.
        let now = now.filter(|_| !is_last).unwrap_or(last);
        let rows = db.execute(&format!("DELETE FROM {table} WHERE {up_to}"), &up_to_place(now))?;
        Ok((rows, now >= last))
    }
}

/// What one piece removes at most, about: some milliseconds of work, and little beside the commit.
const ROWS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;
/// Ids of one piece; a job with no more is one of the others.
const IDS_AT_ONCE: usize = 500;
