//! Which of the owned pipes have most publications. Counted only while somebody looks at the server's figures.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::PipeKey;

use super::super::tops::{Top, put};

/// Pipes counted at a time; the rarest makes room, and its count goes to the newcomer: so no busy pipe is missed, and none
/// counts less than it is. Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements".
const COUNTED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Busiest {
    counts: HashMap<Arc<PipeKey>, u64, RandomState>,
}

impl Busiest {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { counts: HashMap::with_hasher(hasher) }
    }

    /// A publication of the pipe.
    pub(super) fn count(&mut self, pipe: &Arc<PipeKey>) {
        if let Some(count) = self.counts.get_mut(pipe) {
            *count += 1;
            return;
        }
        let mut count = 1;
        if self.counts.len() >= COUNTED_MAX
            && let Some((rarest, least)) = self.counts.iter().min_by_key(|(_, count)| **count)
        {
            count += least;
            let rarest = rarest.clone();
            self.counts.remove(&rarest);
        }
        self.counts.insert(pipe.clone(), count);
    }

    /// Since the last time.
    pub(super) fn take(&mut self) -> Vec<Top> {
        let mut busiest = Vec::new();
        for (pipe, count) in self.counts.drain() {
            put(&mut busiest, &pipe, count);
        }
        busiest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, PipeName};

    fn pipe(number: usize) -> Arc<PipeKey> {
        Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(format!("pipe_{number}").as_bytes()).unwrap() })
    }

    #[test]
    fn busy_pipes_are_never_missed() {
        let mut busiest = Busiest::new(RandomState::with_seeds(1, 2, 3, 4));
        // Twelve busy ones among thousands that are published to once each.
        for round in 0..1000 {
            (0..12).for_each(|busy| (0..=busy).for_each(|_| busiest.count(&pipe(busy))));
            (0..4).for_each(|rare| busiest.count(&pipe(100 + round * 4 + rare)));
        }
        assert_eq!(busiest.counts.len(), COUNTED_MAX);
        let top = busiest.take();
        let names: Vec<_> = top.iter().map(|(pipe, _)| pipe.clone()).collect();
        assert_eq!(names, (2..12).rev().map(pipe).collect::<Vec<_>>());
        for ((_, count), busy) in top.iter().zip((2..12_u64).rev()) {
            assert!(*count >= 1000 * (busy + 1), "{count} for {busy}");
        }
    }
}
