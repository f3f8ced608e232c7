//! Whether all parts of the server still turn. Each raises a number of its own whenever it does, and the control thread has them
//! do so now and then: a part that stands still is named, and nobody is told that the server is alive.
//!
//! Nothing is woken for this unless somebody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shards::Waker;

/// The numbers of the shards, and storage's behind them.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    turned: Arc<[AtomicU64]>,
    /// How often storage looks up, which has no waker.
    beat: Option<Duration>,
}

impl Pulse {
    pub(super) fn new(shards: u16, beat: Option<Duration>) -> Self {
        Self { turned: (0..=shards).map(|_| AtomicU64::new(0)).collect(), beat }
    }

    pub(super) fn shard_turned(&self, shard: u16) {
        self.raise(usize::from(shard));
    }

    pub(super) fn storage_turned(&self) {
        self.raise(self.turned.len() - 1);
    }

    /// The longest that storage may sleep; `None`: as long as it likes.
    pub(super) fn sleep_max(&self) -> Option<Duration> {
        self.beat.map(|beat| beat / 2)
    }

    fn raise(&self, part: usize) {
        if let Some(turned) = self.turned.get(part) {
            turned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The control thread's view of it.
pub(super) struct Watch {
    pulse: Pulse,
    wakers: Vec<Waker>,
    /// `None` before the first look, of which nothing follows.
    seen: Option<Vec<u64>>,
}

impl Watch {
    pub(super) fn new(pulse: Pulse, wakers: Vec<Waker>) -> Self {
        Self { pulse, wakers, seen: None }
    }

    /// Those that have not turned since the last look, by name, and has all of them turn for the next one.
    pub(super) fn look(&mut self) -> Vec<String> {
        let turned: Vec<u64> = self.pulse.turned.iter().map(|turned| turned.load(Ordering::Relaxed)).collect();
        let before = self.seen.replace(turned.clone()).unwrap_or_default();
        self.wakers.iter().for_each(Waker::wake);
        let storage = turned.len() - 1;
        let still = turned.iter().zip(before).enumerate().filter(|(_, (now, before))| *now == before);
        let name = |part| if part == storage { "storage".to_owned() } else { format!("shard {part}") };
        still.map(|(part, _)| name(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_still_is_named() {
        let pulse = Pulse::new(3, Some(Duration::from_secs(10)));
        let mut watch = Watch::new(pulse.clone(), Vec::new());
        assert!(watch.look().is_empty(), "nobody was asked before");
        pulse.shard_turned(0);
        pulse.shard_turned(2);
        assert_eq!(watch.look(), ["shard 1", "storage"]);
        (0..3).for_each(|shard| pulse.shard_turned(shard));
        pulse.storage_turned();
        assert!(watch.look().is_empty());
        assert_eq!(watch.look(), ["shard 0", "shard 1", "shard 2", "storage"]);
        // A part that is not there.
        pulse.shard_turned(9);
    }
}
