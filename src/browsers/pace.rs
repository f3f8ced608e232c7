//! How many commands a connection may send in a second. Whoever sends more is not read until the second is over: the
//! rest waits in the sockets, and in the end at the client. Nobody is closed for it.

use std::collections::HashMap;
use std::time::Duration;

use ahash::RandomState;

use crate::model::{ConnId, Time};

/// The pace of a shard's connections. Those that send nothing have no part in it.
#[derive(Debug)]
pub(super) struct Pace {
    /// Commands per second and connection; 0: as many as they like.
    commands_max: u32,
    second: u64,
    /// What connections have used of this second, of the shard's connections at most.
    used: HashMap<ConnId, u32, RandomState>,
    /// Who waits for the next second; more than once if something else woke it too early.
    slowed: Vec<ConnId>,
    due: Option<Time>,
}

impl Pace {
    pub(super) fn new(commands_max: u32, hasher: RandomState) -> Self {
        Self { commands_max, second: 0, used: HashMap::with_hasher(hasher), slowed: Vec::new(), due: None }
    }

    pub(super) fn set_commands_max(&mut self, commands_max: u32) {
        self.commands_max = commands_max;
        if commands_max == 0 {
            self.used = HashMap::with_hasher(self.used.hasher().clone());
        }
    }

    /// Whether the connection has to wait for the next second before its next command; if so, it is told then.
    pub(super) fn has_to_wait(&mut self, conn: ConnId, now: Time) -> bool {
        if self.commands_max == 0 || self.second != second(now) {
            return false;
        }
        let waits = self.used.get(&conn).is_some_and(|used| *used >= self.commands_max);
        if waits {
            self.slowed.push(conn);
            self.due.get_or_insert(Time((self.second + 1) * SECOND));
        }
        waits
    }

    /// One more command.
    pub(super) fn charge(&mut self, conn: ConnId, now: Time) {
        if self.commands_max == 0 {
            return;
        }
        if self.second != second(now) {
            self.second = second(now);
            self.used.clear();
        }
        *self.used.entry(conn).or_default() += 1;
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Those whose second is over.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<ConnId> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.due = None;
        std::mem::take(&mut self.slowed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.slowed.capacity() * size_of::<ConnId>() + self.used.capacity() * size_of::<(ConnId, u32)>()
    }
}

/// In the unit of [`Time`].
const SECOND: u64 = Duration::from_secs(1).as_micros() as u64;

fn second(now: Time) -> u64 {
    now.0 / SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_commands() {
        let mut pace = Pace::new(3, RandomState::with_seed(1));
        let at = |second: u64| Time(second * SECOND + 5);
        let [hasty, calm] = [1, 2].map(|index| ConnId { index, generation: 1 });
        for _ in 0..3 {
            assert!(!pace.has_to_wait(hasty, at(7)));
            pace.charge(hasty, at(7));
        }
        assert!(pace.has_to_wait(hasty, at(7)) && !pace.has_to_wait(calm, at(7)));
        assert_eq!(pace.due(), Some(Time(8 * SECOND)));
        assert_eq!(pace.take_due(at(7)), []);
        assert_eq!(pace.take_due(at(8)), [hasty]);
        assert_eq!((pace.due(), pace.take_due(at(9))), (None, Vec::new()));
        assert!(!pace.has_to_wait(hasty, at(8)));
        pace.charge(hasty, at(8));
        assert!(!pace.has_to_wait(hasty, at(8)));
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let mut pace = Pace::new(0, RandomState::with_seed(1));
        let conn = ConnId { index: 1, generation: 1 };
        (0..1000).for_each(|_| pace.charge(conn, Time(5)));
        assert!(!pace.has_to_wait(conn, Time(5)));
        assert_eq!((pace.bytes(), pace.due()), (0, None));
    }
}
