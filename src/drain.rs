//! A drain: connections leave this server for another one, spread over some time, so that neither side feels a storm.
//!
//! ```text
//!  Notice --notice--> Leaving --over--> Empty
//! ```
//!
//! * In *notice* nothing changes but the answer at `/ready`: balancers need some probes until they send nobody here any more.
//! * In *leaving* nobody new is let in, and connections leave one after the other, each in its [slot](Slots). A client that can
//!   is asked to move and has the time [`Drain::within`] for it; whoever cannot is ended at once.
//! * When the server is *empty* backends are told to go as well. They are the last because whoever has not left yet still
//!   wants what they publish.
//!
//! Pure: time is an argument. When a drain begins, and that it is given up, is said from outside.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Time;

/// Shortest and longest time that a client has for its move, in microseconds.
const WITHIN_MIN: u64 = 5_000_000;
const WITHIN_MAX: u64 = 10_000_000;

/// What a drain takes unless somebody says otherwise: balancers ask some times in ten seconds.
const NOTICE: Duration = Duration::from_secs(10);
const OVER: Duration = Duration::from_mins(2);

/// The longest of both.
const LENGTH_S_MAX: u64 = 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Notice = 1,
    Leaving,
    Empty,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Leaving => "leaving",
            Self::Empty => "empty",
        }
    }
}

/// When it began and how long its parts are, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    pub begun: Time,
    pub notice: u64,
    pub over: u64,
    /// Somebody has seen that nobody is there any more, before the time for it was over.
    pub is_empty: bool,
}

impl Drain {
    pub fn phase(&self, now: Time) -> Phase {
        match () {
            () if self.is_empty => Phase::Empty,
            () if now < self.leaving_at() => Phase::Notice,
            () if now < self.empty_at() => Phase::Leaving,
            () => Phase::Empty,
        }
    }

    pub fn leaving_at(&self) -> Time {
        self.begun + self.notice
    }

    /// When nobody is there any more: the slots are over, and so is the time of the last one who was asked to move.
    pub fn empty_at(&self) -> Time {
        self.slots_end() + self.within()
    }

    pub fn slots_end(&self) -> Time {
        self.leaving_at() + self.over
    }

    /// How long a client that was asked to move may stay.
    pub fn within(&self) -> u64 {
        (self.over / 8).clamp(WITHIN_MIN, WITHIN_MAX)
    }
}

/// How it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub notice: Duration,
    pub over: Duration,
    pub then_stop: bool,
}

impl Default for Course {
    fn default() -> Self {
        Self { notice: NOTICE, over: OVER, then_stop: false }
    }
}

impl Course {
    /// Before a stop that is to take so long: a sixth of it for balancers, but no more than they need.
    pub fn before_stop(all: Duration) -> Self {
        let notice = (all / 6).min(NOTICE);
        // The last to be asked have an eighth of the rest.
        Self { notice, over: all.saturating_sub(notice) * 8 / 9, then_stop: true }
    }

    /// `ON`, and perhaps `notice=10`, `over=120` and `stop`, with commas between. `None`: `OFF`.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut words = text.split(',').map(|word| word.trim().to_ascii_lowercase());
        match words.next().unwrap_or_default().as_str() {
            "on" | "1" => {}
            "off" | "0" if words.next().is_none() => return Ok(None),
            other => return Err(format!("{other:?} is neither ON nor OFF")),
        }
        let mut course = Self::default();
        for word in words {
            match word.split_once('=') {
                Some(("notice", seconds)) => course.notice = seconds_of(seconds)?,
                Some(("over", seconds)) => course.over = seconds_of(seconds)?,
                None if word == "stop" => course.then_stop = true,
                _ => return Err(format!("{word:?} is none of notice=SECONDS, over=SECONDS and stop")),
            }
        }
        Ok(Some(course))
    }
}

fn seconds_of(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds <= LENGTH_S_MAX);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is no number of seconds up to {LENGTH_S_MAX}"))
}

/// Who leaves when: one after the other over some time, in equal steps of which half is chance, so that the shards of a server do
/// not move in step.
#[derive(Debug, Default)]
pub struct Slots<K> {
    /// The next one first.
    left: VecDeque<K>,
    total: u64,
    begin: Time,
    length: u64,
    seed: u64,
}

impl<K> Slots<K> {
    /// `seed`: of each shard its own.
    pub fn new(all: Vec<K>, begin: Time, length: u64, seed: u64) -> Self {
        Self { total: all.len() as u64, left: all.into(), begin, length, seed }
    }

    /// When it is the turn of the next one.
    pub fn due(&self) -> Option<Time> {
        let place = self.total - self.left.len() as u64;
        if self.left.is_empty() {
            return None;
        }
        let share = u128::from(2 * CHANCES * place + chance(self.seed, place)) * u128::from(self.length);
        Some(self.begin + (share / u128::from(2 * CHANCES * self.total)) as u64)
    }

    /// The next one, if it is its turn.
    pub fn take(&mut self, now: Time) -> Option<K> {
        if self.due()? > now { None } else { self.left.pop_front() }
    }

    pub fn bytes(&self) -> usize {
        self.left.capacity() * size_of::<K>()
    }
}

pub const CHANCES: u64 = 1 << 16;

/// A number below [`CHANCES`] that has nothing to do with its neighbours'.
pub fn chance(seed: u64, place: u64) -> u64 {
    // The end of SplitMix64.
    let mut mixed = (seed.rotate_left(32) ^ place).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % CHANCES
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn drain(notice: u64, over: u64) -> Drain {
        Drain { begun: Time(5 * SECOND), notice: notice * SECOND, over: over * SECOND, is_empty: false }
    }

    #[test]
    fn one_phase_follows_the_other() {
        let drain = drain(10, 80);
        let at = |seconds: u64| drain.phase(Time(seconds * SECOND)).as_str();
        assert_eq!(
            [at(5), at(14), at(15), at(95), at(104), at(105)],
            ["notice", "notice", "leaving", "leaving", "leaving", "empty"]
        );
        assert_eq!(Drain { is_empty: true, ..drain }.phase(Time(20 * SECOND)), Phase::Empty);
    }

    #[test]
    fn a_move_has_an_eighth_of_the_time_within_bounds() {
        assert_eq!([0, 60, 1_000].map(|over| drain(0, over).within()), [5 * SECOND, 7_500_000, 10 * SECOND]);
    }

    #[test]
    fn values_of_offline_mode() {
        let course = |notice, over, then_stop| {
            Some(Course { notice: Duration::from_secs(notice), over: Duration::from_secs(over), then_stop })
        };
        for (text, expected) in [
            ("ON", course(10, 120, false)),
            ("1", course(10, 120, false)),
            ("on, notice=0, over=5, STOP", course(0, 5, true)),
            ("OFF", None),
            ("0", None),
        ] {
            assert_eq!(Course::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "perhaps", "off, stop", "on, over", "on, over=-1", "on, over=86401", "on, notice=a", "on,"] {
            assert!(Course::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_stop_has_its_drain_within_its_time() {
        for seconds in [1, 60, 3_600] {
            let all = Duration::from_secs(seconds);
            let Course { notice, over, then_stop } = Course::before_stop(all);
            let within = (over / 8).clamp(Duration::from_secs(5), Duration::from_secs(10));
            assert!(then_stop && notice + over + within <= all + Duration::from_secs(5), "{seconds}");
        }
    }

    #[test]
    fn slots_are_even_and_all_within_the_time() {
        for (total, length) in [(1_u64, 1), (7, 20), (20_000, 20), (100_000, 3_600)] {
            let mut slots = Slots::new((0..total).collect(), Time(SECOND), length * SECOND, 3);
            let mut in_second = vec![0_u64; length as usize];
            let mut before = Time::default();
            for expected in 0..total {
                let due = slots.due().expect("somebody is left");
                assert!(due >= before && due - Time(SECOND) < length * SECOND, "{total} {length}");
                assert_eq!(slots.take(Time(due.0 - 1)), None);
                assert_eq!(slots.take(due), Some(expected));
                in_second[((due - Time(SECOND)) / SECOND) as usize] += 1;
                before = due;
            }
            assert_eq!((slots.due(), slots.take(Time(u64::MAX))), (None, None));
            let most = total.div_ceil(length) + 1;
            assert!(in_second.iter().all(|count| *count <= most), "{total} {length}: {in_second:?}");
        }
    }

    #[test]
    fn shards_do_not_move_in_step() {
        let due = |seed| {
            let mut slots = Slots::new(vec![(); 100], Time(0), SECOND, seed);
            std::iter::from_fn(move || {
                let due = slots.due()?;
                slots.take(due).map(|()| due)
            })
        };
        let same = due(0).zip(due(1)).filter(|(one, other)| one == other).count();
        assert!(same < 3, "{same} of 100 at the same moment");
    }
}
