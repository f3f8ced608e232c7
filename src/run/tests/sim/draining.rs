//! Drains at any moment, which are given up before everything comes to rest: whoever is sent away comes back by itself, and what
//! the others check holds for it as for anybody else.

use crate::drain::Drain;

use super::world::World;

impl World {
    /// Begins a drain, or gives up the one that goes on.
    pub(super) fn drain_or_not(&mut self) {
        if self.is_draining {
            return self.end_drain();
        }
        let [notice, over] = [[0, 0, 3_000_000], [0, 2_000_000, 20_000_000]].map(|of| of[self.random.below(3)]);
        self.totals.drains += 1;
        self.tell_drain(Some(Drain { begun: self.now.time, notice, over, is_empty: false }));
    }

    pub(super) fn end_drain(&mut self) {
        if self.is_draining {
            self.tell_drain(None);
        }
    }

    fn tell_drain(&mut self, drain: Option<Drain>) {
        self.is_draining = drain.is_some();
        // Sessions stay: the model knows of each what it owes.
        let connection_shards = self.cometql();
        for shard in &mut self.shards[..connection_shards] {
            shard.set_drain(drain);
        }
    }

    /// A page is asked to go elsewhere, and knows no other server. Some go and come back at once, others wait until they are told
    /// goodbye.
    pub(super) fn page_is_asked_to_move(&mut self, at: usize) {
        self.totals.asked_to_move += 1;
        self.pages[at].goes = self.random.chance(50);
    }
}
