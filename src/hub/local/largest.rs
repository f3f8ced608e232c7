//! Which pipes have most subscribers on this shard. Looked for only while somebody looks at the server's figures.

use super::super::tops::{Top, put};
use super::Local;
use super::pipes::Pipes;

/// Pipes looked at in one step of the search for those with most subscribers.
const SCANNED_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(in crate::hub) struct Largest {
    /// Where the search goes on.
    next: usize,
    found: Vec<Top>,
    /// What the last whole search found.
    told: Vec<Top>,
}

impl Largest {
    fn search(&mut self, pipes: &Pipes) -> Vec<Top> {
        let scanned = self.next.saturating_add(SCANNED_MAX);
        for (pipe, subscribers) in pipes.between(self.next, scanned) {
            put(&mut self.found, pipe, subscribers.into());
        }
        self.next = scanned;
        if scanned >= pipes.end() {
            self.next = 0;
            self.told = std::mem::take(&mut self.found);
        }
        self.told.clone()
    }
}

impl Local {
    pub(in crate::hub) fn search_largest(&mut self, on: bool) {
        self.largest = on.then(Box::default);
    }

    pub(in crate::hub) fn largest(&mut self) -> Vec<Top> {
        self.largest.as_mut().map(|largest| largest.search(&self.pipes)).unwrap_or_default()
    }
}
