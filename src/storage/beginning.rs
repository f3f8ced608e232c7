//! What a server has to know of its storage before it begins: where positions go on, and which histories there are.
//!
//! Positions must go on behind all that were ever given, or what is published now stands before older messages and is the
//! first to go. A clock that was ahead for a while leaves such positions behind. They are found in the newest messages, and
//! in a mark that follows the clock while the server runs: not every position that was given is in a message.

use std::ops::ControlFlow::Continue;

use super::begun::{self, Begun};
use super::expiry;
use super::statements::{Connection, Row, Value, first, last_beyond, settings, values};
use super::{KEYS_KEPT_S, PipeSetting, Place, StoredKey};
use crate::model::{DevId, PipeClass, PipeKey, PipeName, Position, UnixTime};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    pub settings: Vec<PipeSetting>,
    /// Every position that may have been given before is at most this one, whatever the clock says later.
    pub behind: Position,
    /// Seconds that the newest of what is stored is ahead of the clock.
    pub ahead_s: u64,
    /// `None` where others may write into the tables.
    pub trusted: Option<Trusted>,
    /// Those that are not old yet.
    pub keys: Vec<StoredKey>,
}

impl Beginning {
    /// What each owner has to know, of the pipes that it owns.
    pub fn split(self, owners: usize, owner: impl Fn(&PipeKey) -> usize) -> Vec<Self> {
        let Self { settings, behind, ahead_s, trusted, keys } = self;
        let of_all = trusted.as_ref().map(|Trusted { more, begun, .. }| Trusted {
            pipes: Vec::new(),
            more: more.clone(),
            begun: *begun,
        });
        let one = Self { settings: Vec::new(), behind, ahead_s, trusted: of_all, keys: Vec::new() };
        let mut parts = vec![one; owners];
        for setting in settings {
            if let Some(part) = parts.get_mut(owner(&setting.pipe)) {
                part.settings.push(setting);
            }
        }
        for key in keys {
            if let Some(part) = parts.get_mut(owner(&key.pipe)) {
                part.keys.push(key);
            }
        }
        for pipe in trusted.map(|trusted| trusted.pipes).unwrap_or_default() {
            if let Some(trusted) = parts.get_mut(owner(&pipe)).and_then(|part| part.trusted.as_mut()) {
                trusted.pipes.push(pipe);
            }
        }
        parts
    }
}

/// The histories of `trust_` pipes without a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Pipes that have messages, or that lost some by a removal which concerned them alone.
    pub pipes: Vec<PipeKey>,
    /// Tenants that have more such pipes than are listed here.
    pub more: Vec<DevId>,
    /// The history of a pipe that is not listed is whole behind this position.
    pub begun: Position,
}

/// `now`: unix seconds, by the clock that positions are made from.
pub(super) fn read<C: Connection>(db: &mut C, now: i64) -> Result<Beginning, C::Error> {
    let (settings, trusted) = (settings(db)?, trusted(db)?);
    let mark = |db: &mut C, mark| begun::get(db, mark).map(|mark| mark.map_or(0, |mark| mark.time().0));
    let (noted, before) = (mark(db, Begun::Clock)?, mark(db, Begun::Behind)?);
    let mut newest = noted;
    for sql in C::NEWEST {
        newest = newest.max(first(db, sql, &[], |row| row.int(0))?.unwrap_or_default());
    }
    if let Some(trusted) = &trusted {
        for pipe in &trusted.pipes {
            newest = newest.max(last_beyond(db, pipe, 0)?.map_or(0, |Place { time, .. }| time));
        }
    }
    let behind = go_on(now, newest, noted, before);
    if behind >= now {
        begun::raise(db, Begun::Behind, Position::last_of(UnixTime(behind)))?;
    }
    begun::raise(db, Begun::Clock, Position::last_of(UnixTime(now)))?;
    Ok(Beginning {
        settings,
        // Also where the clock is right: before an owner gives its first position somebody may set the clock back.
        behind: Position::last_of(UnixTime(behind)),
        ahead_s: u64::try_from(newest.saturating_sub(now)).unwrap_or_default(),
        trusted,
        keys: keys(db, now)?,
    })
}

/// Keys that a start reads.
const KEYS_MAX: u32 = 1_000_000;

fn keys<C: Connection>(db: &mut C, now: i64) -> Result<Vec<StoredKey>, C::Error> {
    let key = |row: &dyn Row| {
        let dev = DevId(u32::try_from(row.int(0)?).ok()?);
        let name = PipeName::new(row.text(1)?.as_bytes()).ok()?;
        Some(StoredKey { pipe: PipeKey { dev, name }, key: row.text(2)?.into(), time: row.int(3)? })
    };
    let sql = "SELECT dev_id, name, idempotency_key, time FROM pipes_keys WHERE time > ? ORDER BY time DESC LIMIT ?";
    let mut keys = Vec::new();
    db.query(sql, values![now.saturating_sub(KEYS_KEPT_S), KEYS_MAX], &mut |row| {
        keys.extend(key(row));
        Continue(())
    })?;
    Ok(keys)
}

/// Behind which second positions go on. `newest`: that of the newest of what is stored, the mark of the clock included;
/// `noted`: that of the mark alone; `before`: where positions went on at the last start that found the clock not ahead.
pub(crate) fn go_on(now: i64, newest: i64, noted: i64, before: i64) -> i64 {
    // The last second in which there may be a position, if the clock has not caught up since that start.
    let counted = before.saturating_add(1);
    if newest <= now && counted < now {
        // The clock is right, as far as anybody can know: all positions were given before now, and not long after the mark.
        newest.max(before).saturating_add(CLOCK_INTERVAL_S).min(now.saturating_sub(1)).max(newest)
    } else if newest <= counted {
        // A position without a clock is one more than the last: those have not come further than `counted`. But the clock may
        // have caught up since then and have been set back after that, which a mark in the future tells: positions by the
        // clock have come no further than the time at which the mark would have been set again.
        let by_clock = if newest > now { noted.saturating_add(CLOCK_INTERVAL_S) } else { 0 };
        counted.max(by_clock)
    } else {
        // With the clock they went on since the mark was set.
        newest.saturating_add(CLOCK_INTERVAL_S)
    }
}

/// Sets the mark of the clock. To be called now and then while the server runs: it is never older than [`CLOCK_INTERVAL_S`]
/// when a position is given. Something is written in any case.
pub(super) fn note_clock<C: Connection>(db: &mut C, now: i64) -> Result<(), C::Error> {
    let now = Position::last_of(UnixTime(now));
    let mark = begun::get(db, Begun::Clock)?.unwrap_or_default().max(now);
    begun::put(db, Begun::Clock, mark)
}

/// Seconds from one noting of the clock to the next.
pub(super) const CLOCK_INTERVAL_S: i64 = 600;

/// The pipes are found one by one in the order of their names, so this takes some microseconds for each.
fn trusted<C: Connection>(db: &mut C) -> Result<Option<Trusted>, C::Error> {
    if !C::ALONE {
        return Ok(None);
    }
    let mut trusted = Trusted { begun: begun::of_all_trusted(db)?, ..Trusted::default() };
    let mut dev = DevId(0);
    loop {
        let mut after: Option<String> = None;
        while let Some(name) = expiry::next_trusted(db, dev, after.as_deref())? {
            trusted.add(dev, &name);
            if trusted.more.contains(&dev) {
                break;
            }
            after = Some(name);
        }
        let sql = "SELECT MIN(dev_id) FROM pipe_messages WHERE dev_id > ?";
        match first(db, sql, values![dev], |row| u32::try_from(row.int(0)?).ok())? {
            Some(next) => dev = DevId(next),
            None => break,
        }
    }
    db.query("SELECT dev_id, name FROM pipes_begun WHERE dev_id >= 0", &[], &mut |row| {
        if let (Some(dev), Some(name)) = (row.int(0).and_then(|dev| u32::try_from(dev).ok()), row.text(1)) {
            trusted.add(DevId(dev), name);
        }
        Continue(())
    })?;
    Ok(Some(trusted))
}

impl Trusted {
    fn add(&mut self, dev: DevId, name: &str) {
        let Some(name) = PipeName::new(name.as_bytes()).ok().filter(|name| name.class() == PipeClass::Trust) else {
            return;
        };
        match () {
            () if self.more.contains(&dev) => {}
            () if self.pipes.len() < TRUSTED_MAX => self.pipes.push(PipeKey { dev, name }),
            () => self.more.push(dev),
        }
    }
}

/// `trust_` pipes that are listed at a start, of all tenants.
const TRUSTED_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn positions_go_on_behind_the_newest() {
        assert!(go_on(NOW, 0, 0, 0) <= CLOCK_INTERVAL_S, "a new database");
        assert_eq!(go_on(NOW, NOW - 7200, 0, 0), NOW - 7200 + CLOCK_INTERVAL_S);
        assert_eq!(go_on(NOW, NOW - 5, 0, 0), NOW - 1, "what was given since then is not after the start");
        assert_eq!(go_on(NOW, NOW, 0, 0), NOW);
        let ahead = NOW + 7200;
        let behind = go_on(NOW, ahead, 0, 0);
        assert_eq!(behind, ahead + CLOCK_INTERVAL_S);
        // One start after the other: they go no further than they must.
        let last = (0..100).fold(behind, |before, start| go_on(NOW + start, before + start % 2, 0, before));
        assert!(last <= behind + 200, "{last}");
        // The clock went ahead once more.
        assert_eq!(go_on(NOW, behind + 100, 0, behind), behind + 100 + CLOCK_INTERVAL_S);
    }

    /// The newest of what is stored may be older than the positions that were told: nothing was published since, or it was
    /// deleted.
    #[test]
    fn positions_go_on_behind_those_that_are_in_no_message() {
        for (now, newest, before) in [(NOW, NOW, NOW + 9), (NOW, NOW - 600, NOW), (NOW, 0, NOW - 1)] {
            let behind = go_on(now, newest, 0, before);
            assert!(behind > before, "{behind} {before}");
            assert_eq!(go_on(now, behind, 0, behind), behind + 1, "and so on at the next start");
        }
        assert_eq!(go_on(NOW, NOW - 10, 0, NOW - 2), NOW - 1, "the clock has caught up");
    }

    /// The clock catches up with positions that were counted, positions go on by the clock, and before the mark is set again
    /// the server ends and the clock is set back.
    #[test]
    fn positions_go_on_behind_those_of_a_clock_that_had_caught_up() {
        let (ahead, by_clock) = (NOW + 80_000, NOW + 80_058);
        let noted = ahead - 240;
        let behind = go_on(NOW, ahead + 1, noted, ahead);
        assert!(behind >= by_clock, "{behind}");
        assert_eq!(behind, noted + CLOCK_INTERVAL_S);
        let next = go_on(NOW + 1, ahead + 1, noted, behind);
        assert_eq!(next, behind + 1, "one start after the other, no further than they must");
        // A start right after the last one is no such thing.
        assert_eq!(go_on(NOW + 1, NOW, NOW, NOW), NOW + 1);
    }
}
