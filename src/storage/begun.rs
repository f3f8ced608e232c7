//! Behind which position each history is whole, and what was missed behind one. Whatever takes a message out of a history leaves its mark here, but for the
//! length: that a history was cut at its length is to be seen in itself.
//!
//! Table `pipes_begun`. Marks only grow, so a message that is gone is never forgotten.

use std::collections::HashSet;
use std::ops::ControlFlow::Continue;

use super::statements::{
    Connection, Filling, Value, fill, first, last_beyond, lasts, length, message, of_name, values,
};
use super::{Missed, Outcome, Page, Place, Retention, Since, StoredMessage};
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
    /// No mark, but the latest time by which positions were given.
    Clock,
    /// No mark, but where positions went on when the clock was found to be behind them.
    Behind,
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
            Self::Clock => (Self::NOBODY.into(), "clock"),
            Self::Behind => (Self::NOBODY.into(), "behind"),
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

/// What clients missed that had certain positions last: of each pipe all of it, or nothing.
pub(super) fn missed<C: Connection>(
    db: &mut C,
    pipes: &[Since],
    page: Page,
    retention: &Retention,
) -> Result<Outcome, C::Error> {
    // Where an owner cannot know which pipes have a history, most that are asked for may have none.
    let known = if C::ALONE || pipes.len() < 2 { None } else { Some((known_names(db, pipes)?, of_all_trusted(db)?)) };
    let missed = pipes.iter().map(|since| match &known {
        Some((names, begun)) if !names.contains(&since.pipe.name.as_str().to_ascii_lowercase()) => {
            let is_whole = |after| since.pipe.name.class() == PipeClass::Trust && after >= *begun;
            let complete = since.after.is_some_and(is_whole);
            Ok(Missed { rows: Vec::new(), complete })
        }
        _ => missed_of(db, since, page, retention),
    });
    missed.collect::<Result<_, _>>().map(Outcome::Missed)
}

/// The names among these that have a row anywhere, in small letters: tables may take `News` for `news`, and tell either.
fn known_names<C: Connection>(db: &mut C, pipes: &[Since]) -> Result<HashSet<String>, C::Error> {
    const AT_ONCE: usize = 32;
    let mut names = HashSet::new();
    for pipes in pipes.chunks(AT_ONCE) {
        let Some(last) = pipes.last() else { break };
        let dev = last.pipe.dev;
        if pipes.iter().any(|since| since.pipe.dev != dev) {
            names.extend(pipes.iter().map(|since| since.pipe.name.as_str().to_ascii_lowercase()));
            continue;
        }
        // As many places each time, so that few different statements are prepared.
        let padded = pipes.iter().chain(std::iter::repeat(last)).take(AT_ONCE);
        let values: Vec<Value<'_>> =
            std::iter::once(dev.into()).chain(padded.map(|since| (&since.pipe.name).into())).collect();
        let places = vec!["?"; AT_ONCE].join(", ");
        for (table, column) in [("pipe_messages", "pipe_name"), ("pipes_settings", "name"), ("pipes_begun", "name")] {
            let sql = format!("SELECT DISTINCT {column} FROM {table} WHERE dev_id = ? AND {column} IN ({places})");
            db.query(&sql, &values, &mut |row| {
                names.extend(row.text(0).map(str::to_ascii_lowercase));
                Continue(())
            })?;
        }
    }
    Ok(names)
}

fn missed_of<C: Connection>(db: &mut C, since: &Since, page: Page, retention: &Retention) -> Result<Missed, C::Error> {
    let length = length(db, &since.pipe, retention)?;
    let mut missed = Missed::default();
    if let Some(after) = since.after.filter(|_| length > 0) {
        missed = missed_behind(db, since, after, page, length)?;
    }
    let rows = since.newest.min(length).min(page.rows);
    if rows as usize > missed.rows.len() {
        // What was missed is the newest of these.
        missed.rows = newest_of(db, since, Page { rows, ..page })?;
    }
    Ok(missed)
}

/// Behind all messages of this position, whoever sent them.
fn place_behind(position: Position) -> Place {
    Place { time: position.time().0, id: MessageId::new(position, u64::MAX) }
}

fn missed_behind<C: Connection>(
    db: &mut C,
    Since { pipe, until, .. }: &Since,
    after: Position,
    page: Page,
    length: u32,
) -> Result<Missed, C::Error> {
    let gap = Missed::default();
    let (place, last) = (place_behind(after), place_behind(*until));
    if after < of_pipe(db, pipe)? || !reaches_back(db, pipe, place, length)? {
        return Ok(gap);
    }
    let sql = format!(
        "SELECT id, time, event, message, user_id, expires FROM pipe_messages \
         WHERE {} AND {time} >= ? AND (time, id) > (?, ?) AND {time} <= ? AND (time, id) <= (?, ?) AND {} \
         ORDER BY time, id LIMIT ?",
        of_name::<C>("pipe_name"),
        lasts::<C>(),
        time = C::TIME
    );
    let from: &[Value<'_>] = values![pipe.dev, &pipe.name, &pipe.name, place.time, place.time, place.id];
    let to: &[Value<'_>] = values![last.time, last.time, last.id];
    let Filling { rows, more, .. } = fill(db, page, &sql, &[from, to].concat(), message)?;
    Ok(if more { gap } else { Missed { rows, complete: true } })
}

fn newest_of<C: Connection>(
    db: &mut C,
    Since { pipe, until, .. }: &Since,
    page: Page,
) -> Result<Vec<StoredMessage>, C::Error> {
    let sql = format!(
        "SELECT id, time, event, message, user_id, expires FROM pipe_messages \
         WHERE {} AND {} <= ? AND (time, id) <= (?, ?) AND {} ORDER BY time DESC, id DESC LIMIT ?",
        of_name::<C>("pipe_name"),
        C::TIME,
        lasts::<C>()
    );
    let Place { time, id } = place_behind(*until);
    let mut rows = fill(db, page, &sql, values![pipe.dev, &pipe.name, &pipe.name, time, time, id], message)?.rows;
    rows.reverse();
    Ok(rows)
}

/// Whether no message behind this place went because of the length: the oldest go first, and none goes before there are
/// more than so many.
fn reaches_back<C: Connection>(db: &mut C, pipe: &PipeKey, place: Place, length: u32) -> Result<bool, C::Error> {
    let sql = format!(
        "SELECT 1 FROM pipe_messages WHERE {} AND time <= ? AND (time, id) <= (?, ?) LIMIT 1",
        of_name::<C>("pipe_name")
    );
    let Place { time, id } = place;
    let older = first(db, &sql, values![pipe.dev, &pipe.name, &pipe.name, time, time, id], |_| Some(()))?;
    Ok(older.is_some() || last_beyond(db, pipe, length - 1)?.is_none())
}

/// Some messages go from a history that is whole without them. From now on it is not to be seen any more that it was full.
pub(super) fn shorter<C: Connection>(db: &mut C, pipe: &PipeKey, retention: &Retention) -> Result<(), C::Error> {
    let length = length(db, pipe, retention)?;
    match length.checked_sub(1).map(|before| last_beyond(db, pipe, before)).transpose()?.flatten() {
        Some(oldest) => raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), behind(oldest)),
        None => Ok(()),
    }
}

pub(super) fn of_pipe<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<Position, C::Error> {
    let sql = format!(
        "SELECT MAX(begun) FROM (SELECT begun FROM pipes_begun WHERE {} \
         UNION ALL SELECT begun FROM pipes_begun WHERE dev_id = ? AND name IN (?, ?)) AS marks",
        of_name::<C>("name")
    );
    let (nobody, database) = Begun::Database.key();
    let trusted = pipe.name.class() == PipeClass::Trust;
    let (_, also) = if trusted { Begun::Trusted.key() } else { Begun::Database.key() };
    let name = (&pipe.name).into();
    let values = &[pipe.dev.into(), name, name, nobody, database.into(), also.into()];
    Ok(first(db, &sql, values, |row| row.int(0))?.map(position).unwrap_or_default())
}

/// Behind which position all `trust_` pipes are whole that have no mark of their own.
pub(super) fn of_all_trusted<C: Connection>(db: &mut C) -> Result<Position, C::Error> {
    let (database, trusted) = (get(db, Begun::Database)?, get(db, Begun::Trusted)?);
    Ok(database.max(trusted).unwrap_or_default())
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
    delete(db, pipe.dev.into(), pipe.name.as_str())
}

pub(super) fn get<C: Connection>(db: &mut C, whose: Begun<'_>) -> Result<Option<Position>, C::Error> {
    let (dev, name) = whose.key();
    let sql = format!("SELECT begun FROM pipes_begun WHERE {}", of_name::<C>("name"));
    Ok(first(db, &sql, &[dev, name.into(), name.into()], |row| row.int(0))?.map(position))
}

pub(super) fn put<C: Connection>(db: &mut C, whose: Begun<'_>, begun: Position) -> Result<(), C::Error> {
    let (dev, name) = whose.key();
    delete(db, dev, name)?;
    db.execute("INSERT INTO pipes_begun (dev_id, name, begun) VALUES (?, ?, ?)", &[dev, name.into(), begun.into()])
        .map(|_| ())
}

fn delete<C: Connection>(db: &mut C, dev: Value<'_>, name: &str) -> Result<(), C::Error> {
    let sql = format!("DELETE FROM pipes_begun WHERE {}", of_name::<C>("name"));
    db.execute(&sql, &[dev, name.into(), name.into()]).map(|_| ())
}

/// The last position of the second before this one, or where positions went on that are ahead of the clock.
fn clock<C: Connection>(db: &mut C) -> Result<Position, C::Error> {
    let now = Position::last_of(UnixTime(seconds(db)? - 1));
    let ahead = get(db, Begun::Behind)?.max(get(db, Begun::Clock)?);
    Ok(now.max(ahead.unwrap_or_default()))
}

fn seconds<C: Connection>(db: &mut C) -> Result<i64, C::Error> {
    first(db, &format!("SELECT {}", C::NOW), &[], |row| row.int(0)).map(Option::unwrap_or_default)
}

fn position(number: i64) -> Position {
    Position(number.unsigned_abs())
}
