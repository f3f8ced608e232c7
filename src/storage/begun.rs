//! Behind which position each history is whole. Whatever takes a message out of a history leaves its mark here, but for the
//! length: that a history was cut at its length is to be seen in itself.
//!
//! Table `pipes_begun`. Marks only grow, so a message that is gone is never forgotten.

use super::statements::{Connection, Value, first, values};
use super::{Place, Retention};
use crate::model::{DevId, PipeClass, PipeKey, Position, UnixTime};

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
    let length = Position(retention.trust_messages_max.into());
    let before = get(db, Begun::TrustedLength)?;
    if before.is_some_and(|before| length > before) {
        let now = clock(db)?;
        raise(db, Begun::Trusted, now)?;
    }
    if before == Some(length) { Ok(()) } else { put(db, Begun::TrustedLength, length) }
}

/// No history is whole but behind this moment.
pub(super) fn now<C: Connection>(db: &mut C) -> Result<(), C::Error> {
    let now = clock(db)?;
    raise(db, Begun::Database, now)
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
