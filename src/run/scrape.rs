//! What `/metrics` tells: the board, what was decided at the start, and what the system knows of the process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::metrics::{Format, Page};

use super::board::Board;
use super::process;

pub(super) struct Scrape {
    engine: &'static str,
    storage: &'static str,
    board: Board,
    /// Whether each shard has a table of descriptors of its own; known once they run.
    shards_have_tables: AtomicBool,
}

impl Scrape {
    pub(super) fn new(engine: &'static str, storage: &'static str, board: Board) -> Self {
        Self { engine, storage, board, shards_have_tables: AtomicBool::new(false) }
    }

    pub(super) fn set_shards_have_tables(&self, they_have: bool) {
        self.shards_have_tables.store(they_have, Ordering::Relaxed);
    }

    /// Whichever shard is asked answers from the copies on the board: nobody is asked and nothing is waited for.
    pub(super) fn page(&self, format: Format, stopping: bool) -> String {
        let (shards, others) =
            (self.board.browsers(), [self.board.cometql(), self.board.storage(), self.board.process()]);
        let page = Page {
            version: env!("CARGO_PKG_VERSION"),
            engine: self.engine,
            storage: self.storage,
            stopping,
            shards: &shards,
            others: &others,
            process: process::read(self.shards_have_tables.load(Ordering::Relaxed)),
        };
        page.encode(format)
    }
}
