//! How many histories are read at a time, for clients that come back and for those that ask.
//!
//! What was read is in memory until its client has it, and storage reads faster than shards write. So only so many readings
//! are under way that their results are a few megabytes, judged by the last ones; the others wait here, for next to nothing.
//! Logins and writes wait for no more than these readings, and whoever publishes for no more than their results.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::model::{ConnId, Had, Marker, PipeName, ShardId};
use crate::ring::Recovered;

/// What a history is read for.
#[derive(Debug)]
pub(super) enum Reading {
    /// Of some pipes of one command.
    Recovery(Box<Missing>),
    Log {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
}

/// What a new subscriber of owned pipes missed, and wants to have.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) to: ShardId,
    pub(super) conn: ConnId,
    pub(super) address: IpAddr,
    pub(super) bytes_max: usize,
    /// What storage was asked for: what the client had of each pipe, and the answer as it is if there is a gap.
    pub(super) asked: Vec<(Had, Recovered)>,
    /// Those that storage is asked for next; the last ones come first.
    pub(super) left: Vec<(Had, Recovered)>,
}

impl Missing {
    pub(super) fn whose(&self) -> (ShardId, ConnId) {
        (self.to, self.conn)
    }
}

/// Bytes of results that are under way, about.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Readings under way, whatever their results weigh.
const READINGS_MIN: usize = 8;
const READINGS_MAX: usize = 1_024;

/// Room that stays when nobody waits any more.
const ROOM_MIN: usize = 64;

/// What a result is taken to weigh before there was one.
const FIRST_GUESS: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Readings {
    under_way: usize,
    /// What a result weighs, by the last ones.
    weight: usize,
    /// At most one command of each connection.
    waiting: VecDeque<Reading>,
}

impl Default for Readings {
    fn default() -> Self {
        Self { under_way: 0, weight: FIRST_GUESS, waiting: VecDeque::new() }
    }
}

impl Readings {
    pub(super) fn bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Reading>()
    }

    /// It begins when [`Readings::next`] gives it out.
    pub(super) fn add(&mut self, reading: Reading) {
        self.waiting.push_back(reading);
    }

    /// The next one that may begin. It is under way from now on, until one is [`ended`](Readings::ended).
    pub(super) fn next(&mut self) -> Option<Reading> {
        if self.under_way >= room(self.weight) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.under_way += 1;
        if self.waiting.is_empty() && self.waiting.capacity() > ROOM_MIN {
            self.waiting.shrink_to(ROOM_MIN);
        }
        Some(next)
    }

    /// A reading had a result of so many bytes.
    pub(super) fn ended(&mut self, bytes: usize) {
        self.one_less();
        // Large results count at once, small ones by and by.
        self.weight = bytes.max((self.weight * 7 + bytes) / 8);
    }

    /// A reading was given out and need not be done: whoever wanted it has gone.
    pub(super) fn not_wanted(&mut self) {
        self.one_less();
    }

    fn one_less(&mut self) {
        if let Some(left) = self.under_way.checked_sub(1) {
            self.under_way = left;
        } else {
            never!("a reading that ends has begun");
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
    fn read(readings: &mut Readings, count: u32, bytes: usize) -> usize {
        let mut under_way: VecDeque<u32> = VecDeque::new();
        let mut order = Vec::new();
        for number in 0..count {
            readings.add(log(number));
            under_way.extend(readings.next().iter().map(index));
        }
        let mut most = 0;
        while let Some(first) = under_way.pop_front() {
            order.push(first);
            readings.ended(bytes);
            while let Some(next) = readings.next() {
                under_way.push_back(index(&next));
            }
            most = most.max(under_way.len());
        }
        assert_eq!(order, (0..count).collect::<Vec<_>>(), "everybody, in their order");
        assert_eq!((readings.under_way, readings.waiting.len()), (0, 0));
        assert!(readings.waiting.capacity() <= ROOM_MIN);
        most
    }

    #[test]
    fn so_many_are_read_that_their_results_are_a_few_megabytes() {
        let mut readings = Readings::default();
        assert!(read(&mut readings, 2_000, 250_000) <= BYTES_MAX / FIRST_GUESS, "the first ones are guessed");
        let most = read(&mut readings, 2_000, 250_000);
        assert!(most * 250_000 <= BYTES_MAX, "{most} under way");
        assert!(read(&mut readings, 5_000, 1_000) > 256, "small ones are read many at a time");
        assert_eq!(room(usize::MAX), READINGS_MIN);
        assert_eq!(room(0), READINGS_MAX);
    }
}
