//! Publishes the server's figures once a second, while somebody subscribes to the pipe that they go to.
//!
//! The pipe's name has 128 random bits, and whoever knows it may look: it is told for the password. Its owner sees that
//! there are subscribers, and says so to the other shards; while there are none, a turn costs each shard one look at a flag.

use std::sync::Arc;

use crate::hub::{Hub, Tops};
use crate::model::{EventName, PipeKey, Publication, PublicationKind, ShardId, Time};
use crate::ring::Placement;

use super::effects::Effects;

/// Between two messages, in microseconds.
const INTERVAL: u64 = 1_000_000;

/// One shard's part.
pub(super) struct ShardFigures {
    pipe: Arc<PipeKey>,
    is_owner: bool,
    /// When to tell the figures next; `None` while nobody looks.
    due: Option<Time>,
}

impl ShardFigures {
    pub(super) fn new(pipe: Arc<PipeKey>, shard: ShardId, placement: &Placement, hub: &mut Hub) -> Self {
        let is_owner = placement.owner_of_pipe(&pipe) == shard;
        if is_owner {
            hub.watch_subscribers(pipe.clone());
        }
        Self { pipe, is_owner, due: None }
    }

    pub(super) fn pipe_name(&self) -> &str {
        self.pipe.name.as_str()
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// At the end of a turn: whether somebody looks.
    pub(super) fn notice(&mut self, io: &mut impl Effects, hub: &mut Hub) {
        if self.is_owner {
            let watched = hub.watchers() > 0;
            if watched != self.due.is_some() {
                io.set_watched(watched);
            }
        }
        let watched = io.is_watched();
        if watched == self.due.is_some() {
            return;
        }
        hub.count_tops(watched);
        // The first message at once.
        self.due = watched.then(|| io.now().time);
        self.put(io, Tops::default());
    }

    /// The rings are full: a little later, when they may not be.
    pub(super) fn put_off(&mut self, now: Time) {
        self.due = self.due.map(|_| now + INTERVAL / 20);
    }

    /// What is to be published now, if this shard is the one that does it.
    pub(super) fn tell(&mut self, io: &mut impl Effects, hub: &mut Hub, now: Time) -> Option<Box<Publication>> {
        self.due = self.due.map(|_| now + INTERVAL);
        self.put(io, hub.take_tops());
        if !self.is_owner {
            return None;
        }
        let event = EventName::new(b"figures").unwrap_or_default();
        let mut publication = Publication::new(self.pipe.clone(), event, io.figures(now));
        publication.kind = PublicationKind::Figures;
        Some(Box::new(publication))
    }

    fn put(&self, io: &mut impl Effects, mut tops: Tops) {
        // The pipe itself is none of those that anybody wants to see.
        tops.largest.retain(|(pipe, _)| *pipe != self.pipe);
        io.put_tops(tops);
    }
}
