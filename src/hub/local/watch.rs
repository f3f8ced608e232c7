//! What is counted only while somebody looks at the server's figures: who publishes and who subscribes most.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{PipeKey, Publication, PublicationKind};

use super::super::Hub;
use super::pipes::Pipes;

/// Pipes in each list.
pub const TOP_MAX: usize = 10;

/// Pipes counted at a time; the rarest makes room, and its count goes to the newcomer: so no busy pipe is missed, and none
/// counts less than it is. Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements".
const COUNTED_MAX: usize = 64;

/// Pipes looked at in one step of the search for those with most subscribers.
const SCANNED_MAX: usize = 65_536;

/// A pipe and how many.
pub type Top = (Arc<PipeKey>, u64);

/// The pipes with most publications and those with most subscribers, each at most [`TOP_MAX`], most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tops {
    /// Of the pipes that this shard owns, publications since the last time.
    pub busiest: Vec<Top>,
    /// Subscribers on this shard. With more than 65,536 pipes a search takes several times.
    pub largest: Vec<Top>,
}

#[derive(Debug)]
pub(in crate::hub) struct Watch {
    counts: HashMap<Arc<PipeKey>, u64, RandomState>,
    /// Where the search goes on.
    next: usize,
    found: Vec<Top>,
    largest: Vec<Top>,
}

impl Watch {
    pub(in crate::hub) fn new(hasher: RandomState) -> Self {
        Self { counts: HashMap::with_hasher(hasher), next: 0, found: Vec::new(), largest: Vec::new() }
    }

    /// A publication of the pipe.
    pub(in crate::hub) fn count(&mut self, pipe: &Arc<PipeKey>) {
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

    fn take(&mut self, pipes: &Pipes) -> Tops {
        let mut busiest = Vec::new();
        for (pipe, count) in self.counts.drain() {
            put(&mut busiest, &pipe, count);
        }
        let scanned = self.next.saturating_add(SCANNED_MAX);
        for (pipe, subscribers) in pipes.between(self.next, scanned) {
            put(&mut self.found, pipe, subscribers.into());
        }
        self.next = scanned;
        if scanned >= pipes.end() {
            self.next = 0;
            self.largest = std::mem::take(&mut self.found);
        }
        Tops { busiest, largest: self.largest.clone() }
    }
}

/// Puts a pipe into its place among those with most.
fn put(top: &mut Vec<Top>, pipe: &Arc<PipeKey>, count: u64) {
    let place = top.partition_point(|(_, more)| *more >= count);
    if place < TOP_MAX {
        top.insert(place, (pipe.clone(), count));
        top.truncate(TOP_MAX);
    }
}

impl Hub {
    /// Only messages count; the server's own words about comings and goings do not.
    pub(in crate::hub) fn count_publication(&mut self, publication: &Publication) {
        if publication.kind != PublicationKind::Message {
            return;
        }
        self.counters.publications += 1;
        if let Some(watch) = &mut self.watch {
            watch.count(&publication.pipe);
        }
    }

    /// Says from now on, by [`Hub::watchers`], how many subscribers this pipe has. Its owner is this shard.
    pub fn watch_subscribers(&mut self, pipe: Arc<PipeKey>) {
        self.owned.watch(pipe);
    }

    pub fn watchers(&self) -> u32 {
        self.owned.watchers()
    }

    /// Begins or ends the counting for [`Hub::take_tops`].
    pub fn count_tops(&mut self, on: bool) {
        let hasher = self.config.placement.hasher();
        self.watch = on.then(|| Box::new(Watch::new(hasher)));
    }

    /// To be called about once a second while they are counted.
    pub fn take_tops(&mut self) -> Tops {
        self.watch.as_mut().map(|watch| watch.take(&self.pipes)).unwrap_or_default()
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
        let mut watch = Watch::new(RandomState::with_seeds(1, 2, 3, 4));
        // Twelve busy ones among thousands that are published to once each.
        for round in 0..1000 {
            (0..12).for_each(|busy| (0..=busy).for_each(|_| watch.count(&pipe(busy))));
            (0..4).for_each(|rare| watch.count(&pipe(100 + round * 4 + rare)));
        }
        assert_eq!(watch.counts.len(), COUNTED_MAX);
        let mut top = Vec::new();
        watch.counts.drain().for_each(|(pipe, count)| put(&mut top, &pipe, count));
        let names: Vec<_> = top.iter().map(|(pipe, _)| pipe.clone()).collect();
        assert_eq!(names, (2..12).rev().map(pipe).collect::<Vec<_>>());
        for ((_, count), busy) in top.iter().zip((2..12_u64).rev()) {
            assert!(*count >= 1000 * (busy + 1), "{count} for {busy}");
        }
    }

    #[test]
    fn the_largest_stay_in_order() {
        let mut top = Vec::new();
        for (number, count) in [3, 9, 1, 9, 4, 0, 8, 7, 2, 5, 6, 10].into_iter().enumerate() {
            put(&mut top, &pipe(number), count);
        }
        let counts: Vec<u64> = top.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [10, 9, 9, 8, 7, 6, 5, 4, 3, 2]);
    }
}
