//! Connections that leave for another server, or to be spread anew: all of them in a [`Drain`], and without one each that is
//! as old as a connection may get.
//!
//! | Connection | when it is its turn |
//! |---|---|
//! | of `api=js2`, by whatever way | is asked to move; told goodbye if it is there still when the time for that is over |
//! | any other WebSocket, stream of events, or one that is polled for | told goodbye, see `goodbye` |
//! | idle, between two plain requests | ended, in a drain |
//!
//! How old a connection is, is known from what the hub keeps of it for backends who ask. So nothing is kept for that: the
//! places of the slab are walked through, slowly enough that even if all are too old at once they leave one after the other.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::drain::{CHANCES, Drain, Phase as DrainPhase, Slots, chance};
use crate::jsapi;
use crate::model::{CloseReason, ConnId, Time, UnixTime, WireForm};

use super::effects::Effects;
use super::{Browsers, Phase, browser};

/// Connections that leave in one turn: more than are due unless the shard stood still.
const PER_TURN: usize = 256;

/// How long one that is asked to move because of its age has for it, in microseconds.
const AGED_WITHIN: u64 = 10_000_000;

/// How often some places of the walk are looked at, in microseconds.
const STEP: u64 = 1_000_000;

/// A walk through all places takes this part of the greatest age, and so many seconds at least.
const WALKS_PER_AGE: u64 = 8;
const WALK_MIN: u64 = 12;
const _: () = assert!(WALK_MIN * 1_000_000 > AGED_WITHIN, "else some would be asked twice");

/// Microseconds until it is looked again whether the rings have room and the fan-outs are out.
const RETRY_AFTER: u64 = 10_000;

/// Microseconds until a connection that was busy is looked at again.
const ASK_AGAIN_AFTER: u64 = 100_000;

/// What a page that would come is told to wait, in seconds: long enough to be sent elsewhere, if there is an elsewhere.
pub(super) const COME_BACK_S: u16 = 2;

#[derive(Debug, Default)]
pub(super) struct Leaving {
    drain: Option<Drain>,
    /// Of all that were there when the phase of leaving began.
    slots: Option<Slots<ConnId>>,
    /// Who was asked to move, by the time at which it has to have done so; and who waits to be asked.
    asked: BTreeSet<(Time, ConnId, Step)>,
    walk: Walk,
    /// When those that are there still in an empty server are ended.
    sweep: Option<Time>,
    /// Not before this.
    retry: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// It was busy, perhaps with its login; so it is looked at again, and told goodbye at this time in any case.
    AskUntil(Time),
    End,
}

/// Looks for connections that are too old.
#[derive(Debug, Default)]
struct Walk {
    /// Places whose turn is over.
    sockets: u32,
    polled: u32,
    due: Time,
}

impl Leaving {
    pub(super) fn bytes(&self) -> usize {
        self.slots.as_ref().map_or(0, Slots::bytes) + self.asked.len() * size_of::<(Time, ConnId, Step)>()
    }

    /// Whether those who would come are sent elsewhere.
    pub(super) fn refuses(&self, now: Time) -> bool {
        self.drain.is_some_and(|drain| drain.phase(now) > DrainPhase::Notice)
    }

    /// Whether balancers are to send nobody here.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    fn next(&self, ages: bool) -> Option<Time> {
        let begin = self.drain.filter(|_| self.slots.is_none()).map(|drain| drain.leaving_at());
        let slot = self.slots.as_ref().and_then(Slots::due);
        let asked = self.asked.first().map(|(due, ..)| *due);
        let walk = (ages && self.drain.is_none()).then_some(self.walk.due);
        [begin, slot, asked, walk, self.sweep].into_iter().flatten().min()
    }
}

impl Browsers {
    /// A drain begins, is another one than was said before, or is over.
    pub(crate) fn set_drain(&mut self, io: &impl Effects, drain: Option<Drain>) {
        let now = io.now().time;
        let leaving = &mut self.leaving;
        // One that was only cut short goes on where it is.
        let same = leaving.drain.zip(drain).is_some_and(|(old, new)| old == Drain { is_empty: old.is_empty, ..new });
        if !same {
            (leaving.slots, leaving.sweep) = (None, None);
        }
        leaving.drain = drain;
        leaving.retry = now;
        // Whoever was asked already moves: nothing is gained by taking that back.
    }

    /// When [`Self::go_on_with_leaving`] has something to do.
    pub(super) fn leaving_due(&self) -> Option<Time> {
        if self.stopping {
            return None;
        }
        self.leaving.next(!self.config.connection_age_max.is_zero()).map(|due| due.max(self.leaving.retry))
    }

    /// Before anything else at the end of a turn, and when nothing that is meant for those who leave is on its way. What
    /// follows from their leaving is work from outside.
    pub(super) fn go_on_with_leaving(&mut self, io: &mut impl Effects) {
        let now = io.now().time;
        if self.leaving_due().is_none_or(|due| due > now) {
            return;
        }
        if io.congested() || io.fan_out_pending() {
            self.leaving.retry = now + RETRY_AFTER;
            return;
        }
        self.begin_to_leave(io, now);
        self.walk_on(io, now);
        for _ in 0..PER_TURN {
            if io.congested() {
                break;
            }
            let drain = self.leaving.drain;
            if let Some(conn) = self.leaving.slots.as_mut().and_then(|slots| slots.take(now)) {
                self.let_leave(io, conn, drain.map_or(AGED_WITHIN, |drain| drain.within()), true);
            } else if self.leaving.asked.first().is_some_and(|(due, ..)| *due <= now)
                && let Some((_, conn, step)) = self.leaving.asked.pop_first()
            {
                match step {
                    Step::AskUntil(until) if until > now => self.let_leave(io, conn, until - now, false),
                    Step::AskUntil(_) | Step::End => self.dismiss(io, conn, CloseReason::Moved),
                }
            } else {
                break;
            }
        }
    }

    fn begin_to_leave(&mut self, io: &mut impl Effects, now: Time) {
        let Some(drain) = self.leaving.drain.filter(|drain| now >= drain.leaving_at()) else { return };
        if self.leaving.slots.is_none() {
            let all = [io.open_connections(), self.polls.live()].concat();
            let seed = u64::from(self.config.hub.shard.0);
            self.leaving.slots = Some(Slots::new(all, drain.leaving_at(), drain.over, seed));
            self.leaving.sweep = Some(drain.empty_at());
        }
        // Some had been let in and were nobody yet when the others got their slots.
        if self.leaving.sweep.is_some_and(|sweep| sweep <= now) {
            self.leaving.sweep = Some(now + STEP);
            let left = [io.open_connections(), self.polls.live()].concat();
            for conn in left {
                self.let_leave(io, conn, 0, true);
            }
        }
    }

    /// `idle`: whoever waits between two requests goes as well. Without time for a move nobody is asked to.
    fn let_leave(&mut self, io: &mut impl Effects, conn: ConnId, within: u64, idle: bool) {
        let can_move = if conn.is_polled() {
            self.polls.form(conn) == Some(WireForm::Extended) && self.polls.takes_answers(conn)
        } else {
            let Some(browser) = browser(io, conn).filter(|_| io.is_open(conn)) else { return };
            match browser.phase {
                Phase::Open | Phase::Subscribing | Phase::Events => browser.form == WireForm::Extended,
                Phase::Head if idle && browser.requests > 0 => {
                    return self.drop_connection(io, conn, CloseReason::HttpDone);
                }
                // Its request is answered, and that is the last one.
                _ => return,
            }
        };
        if !can_move || within == 0 {
            return self.dismiss(io, conn, CloseReason::Moved);
        }
        let now = io.now().time;
        if self.hub.is_busy(conn) {
            self.leaving.asked.insert((now + ASK_AGAIN_AFTER.min(within), conn, Step::AskUntil(now + within)));
            return;
        }
        let Some(to) = self.recipient(io, conn) else { return };
        self.begin_letter(io, to);
        self.put(io, to, None, |out| jsapi::encode_moving(within / 1_000, out));
        self.send_letter(io);
        self.counters.asked_to_move += 1;
        self.leaving.asked.insert((now + within, conn, Step::End));
    }

    // Ages

    fn walk_on(&mut self, io: &mut impl Effects, now: Time) {
        let most = self.config.connection_age_max;
        if most.is_zero() || self.leaving.walk.due > now || self.leaving.drain.is_some() {
            return;
        }
        self.leaving.walk.due = now + STEP;
        let steps = walk_length(most) * 1_000_000 / STEP;
        let sockets = next_places(&mut self.leaving.walk.sockets, io.places(), steps);
        let polled = next_places(&mut self.leaving.walk.polled, self.polls.places(), steps);
        let unix = io.now().unix;
        for conn in [io.open_in(sockets), self.polls.live_in(polled)].concat() {
            if self.hub.since(conn).is_some_and(|since| is_too_old(conn, since, unix, most)) {
                self.let_leave(io, conn, AGED_WITHIN, false);
            }
        }
    }
}

/// Seconds.
fn walk_length(most: Duration) -> u64 {
    (most.as_secs() / WALKS_PER_AGE).max(WALK_MIN)
}

/// The places that are looked at in one of so many steps.
fn next_places(done: &mut u32, places: u32, steps: u64) -> Range<u32> {
    let count = u64::from(places).div_ceil(steps.max(1)) as u32;
    let first = if *done >= places { 0 } else { *done };
    let end = (first + count).min(places);
    *done = end;
    first..end
}

/// Each has a greatest age of its own, which is between three quarters of it and the whole: those that came together, after a
/// restart for instance, do not leave together. Those who are looked at a walk later are not older than they may be either.
fn is_too_old(conn: ConnId, since: UnixTime, now: UnixTime, most: Duration) -> bool {
    let most = most.as_secs().saturating_sub(walk_length(most)).max(1);
    let spread = most / 4 * chance(u64::from(conn.index), u64::from(conn.generation)) / CHANCES;
    now.0 - since.0 >= most.saturating_sub(spread) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_comes_to_every_place_once() {
        for (places, steps) in [(0, 8), (1, 8), (7, 8), (1024, 450), (50_000, 450), (u32::MAX / 2, 8)] {
            let mut done = 0;
            let mut looked_at = 0;
            for _ in 0..steps {
                let range = next_places(&mut done, places, steps);
                assert_eq!(u64::from(range.start), looked_at % u64::from(places.max(1)));
                looked_at += u64::from(range.end - range.start);
                if looked_at == u64::from(places) {
                    break;
                }
            }
            assert_eq!(looked_at, u64::from(places));
        }
    }

    #[test]
    fn ages_are_spread_and_none_is_above_the_greatest() {
        let most = Duration::from_hours(1);
        let age_of = |index| {
            let conn = ConnId { index, generation: 1 };
            (0..=3_600).find(|age| is_too_old(conn, UnixTime(1_000), UnixTime(1_000 + age), most)).expect("an age")
        };
        let ages: Vec<i64> = (0..1_000).map(age_of).collect();
        let (least, greatest) = (ages.iter().min().copied(), ages.iter().max().copied());
        assert!(least >= Some(2_300) && greatest <= Some(3_600 - 450), "{least:?} to {greatest:?}");
        let early = ages.iter().filter(|age| **age < 2_756).count();
        assert!((400..600).contains(&early), "{early} of 1,000 in the first half");
        // A clock that was set back makes nobody old.
        assert!(!is_too_old(ConnId::default(), UnixTime(9_000), UnixTime(1_000), most));
    }
}
