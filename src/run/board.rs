//! What every part of the server has counted, where whoever reports finds it: parts have names here, not positions.
//!
//! Each part writes its own place some times a second, and readers copy. Nobody waits long for a lock of a few hundred bytes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Counters;
use crate::model::ShardId;

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A connection shard.
    Browsers(ShardId),
    CometQl,
    Storage,
}

/// The places of all parts. A copy is the same board.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Places>);

#[derive(Debug, Default)]
struct Places {
    browsers: Box<[Mutex<Counters>]>,
    cometql: Mutex<Counters>,
    storage: Mutex<Counters>,
    /// What is nobody's: threads beside the shards, and what was made at the start and stays.
    process: Mutex<Counters>,
}

impl Board {
    pub(super) fn new(connection_shards: u16) -> Self {
        let browsers = (0..connection_shards).map(|_| Mutex::default()).collect();
        Self(Arc::new(Places { browsers, ..Places::default() }))
    }

    pub(super) fn put(&self, part: Part, counters: Counters) {
        let place = match part {
            Part::Browsers(shard) => self.0.browsers.get(usize::from(shard.0)),
            Part::CometQl => Some(&self.0.cometql),
            Part::Storage => Some(&self.0.storage),
        };
        let Some(place) = place else {
            never!("every connection shard has a place on the board");
            return;
        };
        *place.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    /// Of the connection shards, in their order.
    pub(super) fn browsers(&self) -> Vec<Counters> {
        self.0.browsers.iter().map(copy).collect()
    }

    pub(super) fn cometql(&self) -> Counters {
        copy(&self.0.cometql)
    }

    pub(super) fn storage(&self) -> Counters {
        copy(&self.0.storage)
    }

    pub(super) fn process(&self) -> Counters {
        copy(&self.0.process)
    }

    /// Of all parts together.
    pub(super) fn all(&self) -> Counters {
        let mut all = Counters::default();
        self.browsers()
            .iter()
            .chain([&self.cometql(), &self.storage(), &self.process()])
            .for_each(|part| all.merge(part));
        all
    }

    /// Of all parts, by the names of their threads; the process has none.
    pub(super) fn parts(&self) -> Vec<(String, Counters)> {
        let browsers = self.browsers().into_iter().enumerate().map(|(shard, part)| (format!("browsers-{shard}"), part));
        let others = [("cometql", self.cometql()), ("storage", self.storage()), ("", self.process())];
        browsers.chain(others.map(|(name, part)| (name.to_owned(), part))).collect()
    }

    /// Changes what is told of the process.
    pub(super) fn of_process(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.0.process.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn copy(place: &Mutex<Counters>) -> Counters {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
