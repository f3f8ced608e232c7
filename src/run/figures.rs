//! Publishes the server's figures once a second, while somebody subscribes to the pipe that they go to.
//!
//! The pipe's name has 128 random bits, and whoever knows it may look: it is told for the password. Its owner sees that
//! there are subscribers, and says so to the other shards; while there are none, a turn costs each shard one look at a flag.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::figures::Figures;
use crate::hub::{Hub, Tops};
use crate::metrics::Counters;
use crate::model::{DevId, EventName, PipeKey, PipeName, Publication, PublicationKind, ShardId, Time};
use crate::ring::Placement;

use super::PRODUCT;
use super::host::Board;

/// Between two messages, in microseconds.
const INTERVAL: u64 = 1_000_000;

/// What the shards share.
pub(super) struct Watch {
    pipe: Arc<PipeKey>,
    watched: AtomicBool,
    /// By connection shard, written once a second while somebody looks.
    tops: Box<[Mutex<Tops>]>,
    board: Board,
    node_name: String,
}

impl Watch {
    /// `secret` must come from a cryptographic source.
    pub(super) fn new(secret: u128, placement: &Placement, board: Board, node_name: String) -> Self {
        let name = PipeName::new(format!("sys_figures_{secret:032x}").as_bytes());
        #[expect(clippy::expect_used, reason = "44 letters and digits are a name")]
        let name = name.expect("a name");
        Self {
            pipe: Arc::new(PipeKey { dev: DevId(0), name }),
            watched: AtomicBool::new(false),
            tops: (0..placement.connection_shards()).map(|_| Mutex::default()).collect(),
            board,
            node_name,
        }
    }

    pub(super) fn pipe_name(&self) -> &str {
        self.pipe.name.as_str()
    }

    /// The message of now.
    fn message(&self, now: Time) -> Box<str> {
        let copy = |place: &Mutex<Counters>| place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counters: Vec<Counters> = self.board.iter().map(copy).collect();
        let copy = |place: &Mutex<Tops>| place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tops: Vec<Tops> = self.tops.iter().map(copy).collect();
        let figures = Figures {
            product: PRODUCT,
            node: &self.node_name,
            uptime_ms: now.0 / 1000,
            resident_bytes: resident_bytes().unwrap_or_default(),
            processor_us: processor_us().unwrap_or_default(),
            counters: &counters,
            tops: &tops,
        };
        figures.message().into()
    }
}

/// One shard's part.
pub(super) struct ShardFigures {
    watch: Arc<Watch>,
    shard: ShardId,
    is_owner: bool,
    /// When to tell the figures next; `None` while nobody looks.
    due: Option<Time>,
}

impl ShardFigures {
    pub(super) fn new(watch: Arc<Watch>, shard: ShardId, placement: &Placement, hub: &mut Hub) -> Self {
        let is_owner = placement.owner_of_pipe(&watch.pipe) == shard;
        if is_owner {
            hub.watch_subscribers(watch.pipe.clone());
        }
        Self { watch, shard, is_owner, due: None }
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// At the end of a turn: whether somebody looks.
    pub(super) fn notice(&mut self, hub: &mut Hub, now: impl FnOnce() -> Time) {
        if self.is_owner {
            let watched = hub.watchers() > 0;
            if watched != self.due.is_some() {
                self.watch.watched.store(watched, Ordering::Relaxed);
            }
        }
        let watched = self.watch.watched.load(Ordering::Relaxed);
        if watched == self.due.is_some() {
            return;
        }
        hub.count_tops(watched);
        // The first message at once.
        self.due = watched.then(now);
        self.put(Tops::default());
    }

    /// The rings are full: a little later, when they may not be.
    pub(super) fn put_off(&mut self, now: Time) {
        self.due = self.due.map(|_| now + INTERVAL / 20);
    }

    /// What is to be published now, if this shard is the one that does it.
    pub(super) fn tell(&mut self, hub: &mut Hub, now: Time) -> Option<Box<Publication>> {
        self.due = self.due.map(|_| now + INTERVAL);
        self.put(hub.take_tops());
        if !self.is_owner {
            return None;
        }
        let event = EventName::new(b"figures").unwrap_or_default();
        let mut publication = Publication::new(self.watch.pipe.clone(), event, self.watch.message(now));
        publication.kind = PublicationKind::Figures;
        Some(Box::new(publication))
    }

    fn put(&self, mut tops: Tops) {
        // The pipe itself is none of those that anybody wants to see.
        tops.largest.retain(|(pipe, _)| *pipe != self.watch.pipe);
        if let Some(place) = self.watch.tops.get(usize::from(self.shard.0)) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = tops;
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Of all threads.
fn processor_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold blanks. Behind it, user time is the 12th field and system time the 13th.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Some(ticks.iter().sum::<u64>() * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}
