//! A drain as the control thread has it: what it tells the shards, what it sees of them, and when the server stops afterwards.

use std::time::{Duration, Instant};

use shards::Waker;
use tracing::info;

use crate::drain::{Course, Drain, Phase};
use crate::metrics::Counters;

use super::board::Board;
use super::clock;
use super::notice::Notice;

/// How often it is looked how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long nobody must have been there, until that is believed.
const NOBODY_FOR: Duration = Duration::from_millis(500);

/// How long sessions have for their goodbye.
const SESSIONS_TIME_MAX: Duration = Duration::from_secs(2);

pub struct Draining {
    /// For all shards.
    told: Notice<Option<Drain>>,
    wakers: Vec<Waker>,
    board: Board,
    plan: Option<Plan>,
}

struct Plan {
    drain: Drain,
    then_stop: bool,
    phase: Phase,
    /// Since when it shows nobody while connections leave.
    nobody_since: Option<Instant>,
    /// When it was empty.
    empty_since: Option<Instant>,
}

impl Draining {
    pub(super) fn new(told: Notice<Option<Drain>>, wakers: Vec<Waker>, board: Board) -> Self {
        Self { told, wakers, board, plan: None }
    }

    /// As `SET GLOBAL offline_mode` has it.
    pub(super) fn set(&mut self, value: Option<&str>) -> Result<String, String> {
        Ok(match Course::parse(value.unwrap_or("off"))? {
            Some(course) => self.begin(course),
            None => self.cancel(),
        })
    }

    /// Begins; one that goes on begins anew.
    pub fn begin(&mut self, course: Course) -> String {
        let Course { notice, over, then_stop } = course;
        let begun = clock::now(Instant::now()).time;
        let (notice_us, over_us) = (notice.as_micros() as u64, over.as_micros() as u64);
        let drain = Drain { begun, notice: notice_us, over: over_us, is_empty: false };
        self.plan = Some(Plan { drain, then_stop, phase: Phase::Notice, nobody_since: None, empty_since: None });
        self.tell(Some(drain));
        let (notice, over) = (notice.as_secs(), over.as_secs());
        let end = if then_stop { ", then the server stops" } else { "" };
        format!("draining: in {notice} s {} connections begin to leave, over {over} s{end}", self.connections())
    }

    /// Whoever is here stays.
    pub fn cancel(&mut self) -> String {
        if self.plan.take().is_none() {
            return "no drain is under way".to_owned();
        }
        self.tell(None);
        "the drain is given up: connections and sessions are welcome again".to_owned()
    }

    /// Whether one is under way at whose end the server stops.
    pub fn ends_with_stop(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.then_stop)
    }

    /// When [`Self::look`] is to be called; `None`: there is nothing to see.
    pub fn due(&self) -> Option<Instant> {
        self.plan.as_ref().map(|_| Instant::now() + LOOK_INTERVAL)
    }

    /// Sees how far it is. Whether the server is to stop now.
    pub fn look(&mut self) -> bool {
        let now = Instant::now();
        let (connections, sessions) = (self.connections(), self.board.cometql().sessions);
        let Some(plan) = &mut self.plan else { return false };
        let phase = plan.drain.phase(clock::now(now).time);
        if phase == Phase::Leaving && connections == 0 {
            // What the shards tell may be a moment old.
            if now >= *plan.nobody_since.get_or_insert(now) + NOBODY_FOR {
                plan.drain.is_empty = true;
                let drain = plan.drain;
                self.tell(Some(drain));
            }
            return false;
        }
        plan.nobody_since = None;
        if phase != plan.phase {
            plan.phase = phase;
            info!(phase = phase.as_str(), connections, sessions, "draining");
        }
        if phase != Phase::Empty {
            return false;
        }
        let since = *plan.empty_since.get_or_insert(now);
        plan.then_stop && (connections + sessions == 0 || now >= since + SESSIONS_TIME_MAX)
    }

    /// In one line, for people; `None` while there is none.
    pub fn status(&self) -> Option<String> {
        let plan = self.plan.as_ref()?;
        Some(format!("draining ({}), {} connections are left", plan.phase.as_str(), self.connections()))
    }

    /// What goes on, in one line.
    pub(super) fn figures(&self) -> String {
        format!("{} connections, {} sessions", self.connections(), self.board.cometql().sessions)
    }

    fn connections(&self) -> u64 {
        self.board.browsers().iter().map(|Counters { connections, .. }| connections).sum()
    }

    fn tell(&self, drain: Option<Drain>) {
        self.told.put_up(drain.into());
        self.wakers.iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_and_given_up() {
        let told = Notice::default();
        let mut reader = told.reader();
        let mut draining = Draining::new(told, Vec::new(), Board::new(1));
        assert!(draining.due().is_none() && draining.status().is_none() && !draining.look());
        assert_eq!(draining.set(Some("off")).as_deref(), Ok("no drain is under way"));
        let course = Course { notice: Duration::ZERO, over: Duration::from_mins(1), then_stop: true };
        draining.begin(course);
        assert!(draining.ends_with_stop() && draining.due().is_some());
        assert!(reader.news().is_some_and(|drain| drain.is_some_and(|drain| drain.over == 60_000_000)));
        // Nobody is there, so nothing is waited for.
        while !draining.plan.as_ref().is_some_and(|plan| plan.drain.is_empty) {
            assert!(!draining.look());
            std::thread::yield_now();
        }
        assert!(reader.news().is_some_and(|drain| drain.is_some_and(|drain| drain.is_empty)));
        assert!(draining.look(), "and then it stops");
        draining.cancel();
        assert_eq!(reader.news().as_deref(), Some(&None));
        assert!(!draining.look());
    }
}
