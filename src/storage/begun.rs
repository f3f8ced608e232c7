//! Behind which position each history is whole, and what was missed behind one. Whatever takes a message out of a history leaves its mark here, but for the
//! length: that a history was cut at its length is to be seen in itself.
//!
//! Table `pipes_begun`. Marks only grow, so a message that is gone is never forgotten.

use super::statements::{Connection, Filling, Value, fill, first, last_beyond, length, message, values};
use super::{Outcome, Page, Place, Retention};
use crate::model::{DevId, MessageId, PipeClass, PipeKey, Position, UnixTime};

/// Whose mark.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begun<'a> {
    Pipe(DevId, &'a str),
    /// All pipes: when this database was made, or filled from another one.
    Database,
    /// All `trust_` pipes: up to where the retention has looked at them.
    Trusted,
    /// No mark, but how many messages a `trust_` pipe kept at most.
    TrustedLength,
}

impl Begun<'_> {
    /// No tenant has this number.
    const NOBODY: i64 = -1;

    fn key(&self) -> (Value<'_>, &str) {
        match self {
            Self::Pipe(dev, name) => ((*dev).into(), name),
            Self::Database => (Self::NOBODY.into(), ""),
            Self::Trusted => (Self::NOBODY.into(), "trust"),
            Self::TrustedLength => (Self::NOBODY.into(), "trust_messages_max"),
        }
    }
}

/// The position from which on a place is not missed any more. CppComet's ids have none, and the time of a message is all
/// that is known then.
pub(super) fn behind(place: Place) -> Position {
    place.id.position().unwrap_or_else(|| Position::last_of(UnixTime(place.time)))
}

/// To be called whenever an engine opens its database.
pub(super) fn opened<C: Connection>(db: &mut C, retention: &Retention) -> Result<(), C::Error> {
    if get(db, Begun::Database)?.is_none() {
        now(db)?;
    }
    // After the clock was set back, new positions are smaller than old ones. Until it has caught up nobody knows what is
    // behind a position.
    let newest = first(db, C::NEWEST, &[], |row| row.int(0))?.map(|time| Position::last_of(UnixTime(time)));
    if let Some(newest) = newest
        && newest > Position::last_of(UnixTime(seconds(db)?))
    {
        raise(db, Begun::Database, newest)?;
    }
    // In a `trust_` pipe that may keep more from now on it is not to be seen any more that it was full.
    let length_max = Position(retention.trust_messages_max.into());
    let before = get(db, Begun::TrustedLength)?;
    if before.is_some_and(|before| length_max > before) {
        let now = clock(db)?;
        raise(db, Begun::Trusted, now)?;
    }
    if before == Some(length_max) { Ok(()) } else { put(db, Begun::TrustedLength, length_max) }
}

/// No history is whole but behind this moment.
pub(super) fn now<C: Connection>(db: &mut C) -> Result<(), C::Error> {
    let now = clock(db)?;
    raise(db, Begun::Database, now)
}

/// What a client missed that had this position last: all of it, or nothing.
pub(super) fn missed<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    after: Position,
    page: Page,
    retention: &Retention,
) -> Result<Outcome, C::Error> {
    let gap = Outcome::Missed { rows: Vec::new(), complete: false };
    let length = length(db, pipe, retention)?;
    // Behind all messages of this position, whoever sent them.
    let place = Place { time: after.time().0, id: MessageId::new(after, u64::MAX) };
    if length == 0 || after < of_pipe(db, pipe)? || !reaches_back(db, pipe, place, length)? {
        return Ok(gap);
    }
    let sql = format!(
        "SELECT id, time, event, message, user_id FROM pipe_messages \
         WHERE dev_id = ? AND pipe_name = ? AND {} >= ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?",
        C::TIME
    );
    let values = values![pipe.dev, &pipe.name, place.time, place.time, place.id];
    let Filling { rows, more, .. } = fill(db, page, &sql, values, message)?;
    Ok(if more { gap } else { Outcome::Missed { rows, complete: true } })
}

/// Whether no message behind this place went because of the length: the oldest go first, and none goes before there are
/// more than so many.
fn reaches_back<C: Connection>(db: &mut C, pipe: &PipeKey, place: Place, length: u32) -> Result<bool, C::Error> {
    let sql = "SELECT 1 FROM pipe_messages \
         WHERE dev_id = ? AND pipe_name = ? AND time <= ? AND (time, id) <= (?, ?) LIMIT 1";
    let Place { time, id } = place;
    let older = first(db, sql, values![pipe.dev, &pipe.name, time, time, id], |_| Some(()))?;
    Ok(older.is_some() || last_beyond(db, pipe, length - 1)?.is_none())
}

pub(super) fn of_pipe<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<Position, C::Error> {
    let sql = "SELECT MAX(begun) FROM (SELECT begun FROM pipes_begun WHERE dev_id = ? AND name = ? \
         UNION ALL SELECT begun FROM pipes_begun WHERE dev_id = ? AND name IN (?, ?)) AS marks";
    let (nobody, database) = Begun::Database.key();
    let trusted = pipe.name.class() == PipeClass::Trust;
    let (_, also) = if trusted { Begun::Trusted.key() } else { Begun::Database.key() };
    let values = &[pipe.dev.into(), (&pipe.name).into(), nobody, database.into(), also.into()];
    Ok(first(db, sql, values, |row| row.int(0))?.map(position).unwrap_or_default())
}

/// Unless it stands higher already.
pub(super) fn raise<C: Connection>(db: &mut C, whose: Begun<'_>, begun: Position) -> Result<(), C::Error> {
    match get(db, whose)? {
        Some(before) if before >= begun => Ok(()),
        _ => put(db, whose, begun),
    }
}

/// A pipe that has no history has no mark.
pub(super) fn forget<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<(), C::Error> {
    db.execute("DELETE FROM pipes_begun WHERE dev_id = ? AND name = ?", values![pipe.dev, &pipe.name]).map(|_| ())
}

fn get<C: Connection>(db: &mut C, whose: Begun<'_>) -> Result<Option<Position>, C::Error> {
    let (dev, name) = whose.key();
    let sql = "SELECT begun FROM pipes_begun WHERE dev_id = ? AND name = ?";
    Ok(first(db, sql, &[dev, name.into()], |row| row.int(0))?.map(position))
}

fn put<C: Connection>(db: &mut C, whose: Begun<'_>, begun: Position) -> Result<(), C::Error> {
    let (dev, name) = whose.key();
    db.execute("REPLACE INTO pipes_begun (dev_id, name, begun) VALUES (?, ?, ?)", &[dev, name.into(), begun.into()])
        .map(|_| ())
}

/// The last position of the second before this one.
fn clock<C: Connection>(db: &mut C) -> Result<Position, C::Error> {
    seconds(db).map(|seconds| Position::last_of(UnixTime(seconds - 1)))
}

fn seconds<C: Connection>(db: &mut C) -> Result<i64, C::Error> {
    first(db, &format!("SELECT {}", C::NOW), &[], |row| row.int(0)).map(Option::unwrap_or_default)
}

fn position(number: i64) -> Position {
    Position(number.unsigned_abs())
}
