//! How many histories are read at a time, for clients that come back and for those that ask.
//!
//! What was read is in memory until its client has it, and storage reads faster than shards write. So only so many readings
//! are under way that their results are a few megabytes, judged by the last ones; the others wait here, for next to nothing.
//! Logins and writes wait for no more than these readings, and whoever publishes for no more than their results.

use std::collections::VecDeque;

use crate::model::{ConnId, Marker, Now, PipeName};

use super::super::Hub;
use super::recovery::Missing;

/// What a history is read for.
#[derive(Debug)]
pub(in crate::hub) enum Reading {
    /// Of some pipes of one command.
    Recovery(Box<Missing>),
    Log {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
}

/// Bytes of results that are under way, about.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Readings under way, whatever their results weigh.
const READINGS_MIN: usize = 8;
const READINGS_MAX: usize = 1_024;

/// Room that stays when nobody waits any more.
const KEPT_MAX: usize = 64;

/// What a result is taken to weigh before there was one.
const FIRST_GUESS: usize = 16 * 1024;

#[derive(Debug)]
pub(in crate::hub) struct Recovering {
    under_way: usize,
    /// What a result weighs, by the last ones.
    weight: usize,
    /// At most one command of each connection.
    waiting: VecDeque<Reading>,
}

impl Default for Recovering {
    fn default() -> Self {
        Self { under_way: 0, weight: FIRST_GUESS, waiting: VecDeque::new() }
    }
}

impl Recovering {
    pub(in crate::hub) fn bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Reading>()
    }

    /// Gives it back if it may be read now; it waits otherwise.
    pub(in crate::hub) fn begin(&mut self, reading: Reading) -> Option<Reading> {
        if self.has_room() {
            self.under_way += 1;
            return Some(reading);
        }
        self.waiting.push_back(reading);
        None
    }

    /// A reading had a result of so many bytes.
    pub(in crate::hub) fn ended(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_sub(1);
        // Large results count at once, small ones by and by.
        self.weight = bytes.max((self.weight * 7 + bytes) / 8);
    }

    /// The next one that may begin.
    fn next(&mut self) -> Option<Reading> {
        let next = if self.has_room() { self.waiting.pop_front()? } else { return None };
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_MAX {
            self.waiting.shrink_to(KEPT_MAX);
        }
        Some(next)
    }

    fn has_room(&self) -> bool {
        self.under_way < room(self.weight)
    }
}

impl Hub {
    /// A history was read for somebody: the next one's turn.
    pub(in crate::hub) fn reading_ended(&mut self, bytes: usize, now: Now) {
        self.recovering.ended(bytes);
        while let Some(reading) = self.recovering.next() {
            match reading {
                // Without an entry its connection has gone.
                Reading::Recovery(missing) if self.missing.contains_key(&missing.whose()) => {
                    self.ask_for_missed(*missing, now);
                }
                Reading::Recovery(_) => {}
                Reading::Log { conn, pipe, marker } => self.history_looked_for(conn, pipe, marker, true),
            }
        }
    }
}

fn room(weight: usize) -> usize {
    (BYTES_MAX / weight.max(1)).clamp(READINGS_MIN, READINGS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(index: u32) -> Reading {
        let pipe = PipeName::new(b"news").unwrap();
        Reading::Log { conn: ConnId { index, generation: 1 }, pipe, marker: Marker::default() }
    }

    fn index(reading: &Reading) -> u32 {
        let Reading::Log { conn, .. } = reading else { panic!("{reading:?}") };
        conn.index
    }

    /// Reads all of so many with results of so many bytes. Returns the most that were under way.
    fn read(recovering: &mut Recovering, count: u32, bytes: usize) -> usize {
        let mut under_way: VecDeque<u32> = VecDeque::new();
        let mut order = Vec::new();
        for number in 0..count {
            under_way.extend(recovering.begin(log(number)).iter().map(index));
        }
        let mut most = 0;
        while let Some(first) = under_way.pop_front() {
            order.push(first);
            recovering.ended(bytes);
            while let Some(next) = recovering.next() {
                under_way.extend(recovering.begin(next).iter().map(index));
            }
            most = most.max(under_way.len());
        }
        assert_eq!(order, (0..count).collect::<Vec<_>>(), "everybody, in their order");
        assert_eq!((recovering.under_way, recovering.waiting.len()), (0, 0));
        assert!(recovering.waiting.capacity() <= KEPT_MAX);
        most
    }

    #[test]
    fn so_many_are_read_that_their_results_are_a_few_megabytes() {
        let mut recovering = Recovering::default();
        assert!(read(&mut recovering, 2_000, 250_000) <= BYTES_MAX / FIRST_GUESS, "the first ones are guessed");
        let most = read(&mut recovering, 2_000, 250_000);
        assert!(most * 250_000 <= BYTES_MAX, "{most} under way");
        assert!(read(&mut recovering, 5_000, 1_000) > 256, "small ones are read many at a time");
        assert_eq!(room(usize::MAX), READINGS_MIN);
        assert_eq!(room(0), READINGS_MAX);
    }
}
