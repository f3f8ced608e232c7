//! Turns that took long are told with what was in them, because a long turn of one shard is a wait for everybody on it.
//!
//! A clock is read once for each turn; what came in is counted meanwhile. Told is one turn a minute and shard, and how many
//! others there were.

use std::time::{Duration, Instant};

/// From here on a turn is long: people notice a tenth of a second.
const LONG: Duration = Duration::from_millis(100);

/// Between two lines of the log.
const EVERY: Duration = Duration::from_mins(1);

/// What came in since the last turn ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) accepted: u64,
    pub(super) reads: u64,
    pub(super) read_bytes: usize,
    /// The most of them at once.
    pub(super) longest_read: usize,
    pub(super) messages: u64,
    /// Of storage and of the files' thread.
    pub(super) completions: u64,
    pub(super) timeouts: u64,
    pub(super) ends: u64,
}

/// A turn to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LongTurn {
    pub(super) took: Duration,
    pub(super) inputs: Inputs,
    /// Long turns of which nothing was told since the last line.
    pub(super) untold: u64,
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) inputs: Inputs,
    told: Option<Instant>,
    untold: u64,
}

impl Turns {
    pub(super) fn read(&mut self, bytes: usize) {
        self.inputs.reads += 1;
        self.inputs.read_bytes += bytes;
        self.inputs.longest_read = self.inputs.longest_read.max(bytes);
    }

    /// The turn is over. What there is to tell of it.
    pub(super) fn ended(&mut self, began: Instant, now: Instant) -> Option<LongTurn> {
        let inputs = std::mem::take(&mut self.inputs);
        let took = now.saturating_duration_since(began);
        if took < LONG {
            return None;
        }
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(LongTurn { took, inputs, untold: std::mem::take(&mut self.untold) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_turn_a_minute_is_told() {
        let mut turns = Turns::default();
        let start = Instant::now();
        let mut turn = |at_s: u64, took_ms: u64| {
            turns.read(7);
            turns.read(3);
            let began = start + Duration::from_secs(at_s);
            turns.ended(began, began + Duration::from_millis(took_ms))
        };
        assert_eq!(turn(0, 99), None);
        let inputs = Inputs { reads: 2, read_bytes: 10, longest_read: 7, ..Inputs::default() };
        let told = |took_ms, untold| Some(LongTurn { took: Duration::from_millis(took_ms), inputs, untold });
        assert_eq!(turn(1, 100), told(100, 0));
        assert_eq!(turn(2, 5_000), None);
        assert_eq!(turn(30, 100), None);
        assert_eq!(turn(40, 1), None);
        assert_eq!(turn(70, 200), told(200, 2));
        assert_eq!(turn(140, 200), told(200, 0));
    }
}
