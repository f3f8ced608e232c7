//! The turns of the simulated shards, and what is seen of each of them.

use std::sync::Arc;

use crate::model::{Publication, ShardId};
use crate::run::host::token;

use super::seen::Seen;
use super::world::{Client, World};

/// The bounds of a round of fan-outs, as ARCHITECTURE.md names them.
const PIPES_PER_ROUND: usize = 8;
const SENDERS_PER_ROUND: usize = 16;
const BYTES_PER_ROUND: usize = 128 * 1024;

impl World {
    /// A turn of the shard, if it would not sleep on. Whether it took one.
    pub(super) fn wake(&mut self, shard: usize) -> bool {
        let would_turn = self.shards[shard].would_turn(self.now);
        if would_turn {
            self.turn(shard);
        }
        would_turn
    }

    /// The same, but now and then it wakes up for no reason, as the kernel may have it.
    pub(super) fn wake_perhaps(&mut self, shard: usize) {
        if !self.wake(shard) && self.random.chance(5) && !self.shards[shard].bare().is_over() {
            self.totals.woken_for_nothing += 1;
            self.turn(shard);
        }
    }

    fn turn(&mut self, shard: usize) {
        let refusals = self.shards[shard].storage_refusals();
        self.shards[shard].turn(self.now);
        if self.shards[shard].storage_refusals() > refusals {
            self.record.storage_failed(self.now, self.tick);
        }
        for seen in self.shards[shard].take_seen() {
            self.watch(shard, seen);
        }
    }

    fn watch(&mut self, shard: usize, seen: Seen) {
        let socket = match &seen {
            Seen::Formed { publications } => return self.check_round(shard, publications),
            Seen::HandedToPolled { publications } => return self.handed(publications),
            Seen::Ended { socket } if shard == self.cometql() => {
                let at = self.sessions.iter().position(|session| session.socket == *socket);
                let at = at.expect("a session that was opened");
                self.sessions[at].alive = false;
                return self.session_ended(at);
            }
            Seen::Drained { .. } | Seen::LetGo { .. } if shard == self.cometql() => return,
            Seen::Commands { socket, .. }
            | Seen::LetIn { socket }
            | Seen::Handed { socket, .. }
            | Seen::LetGo { socket }
            | Seen::Ended { socket }
            | Seen::Letters { socket, .. }
            | Seen::Drained { socket } => *socket,
        };
        if let Seen::Handed { publications, .. } = &seen {
            self.totals.joined += publications.len() - 1;
            self.handed(publications);
        }
        let at = match self.client_of[shard][socket] {
            Client::Browser(at) => at,
            Client::Http(at) => {
                if matches!(seen, Seen::Ended { .. }) {
                    self.http[at].alive = false;
                }
                return;
            }
            Client::Page => return,
        };
        match seen {
            Seen::Ended { .. } => {
                self.browsers[at].alive = false;
                self.user_ended(at);
            }
            Seen::LetGo { .. } => {
                self.browsers[at].left_at.get_or_insert(self.now.unix.0);
            }
            Seen::Letters { bytes, open, sent, .. } => self.letters_written(at, bytes, open, sent),
            Seen::Drained { .. } => self.letters_sent(at),
            Seen::LetIn { .. } => self.browsers[at].let_in(),
            Seen::Commands { count, .. } => (0..count).for_each(|_| self.browsers[at].carried_out()),
            Seen::Handed { publications, .. } => self.browsers[at].handed(&publications),
            Seen::Formed { .. } | Seen::HandedToPolled { .. } => {}
        }
    }

    /// The publications are on their way to one connection.
    fn handed(&mut self, publications: &[Arc<Publication>]) {
        for publication in publications {
            *self.deliveries.entry(publication.message.to_string()).or_default() += 1;
            self.record.publication(publication);
        }
    }

    fn check_round(&self, shard: usize, publications: &[Arc<Publication>]) {
        let mut publications = publications.to_vec();
        publications.sort_by_key(|publication| (publication.pipe.name.to_string(), publication.number));
        publications.dedup_by(|left, right| Arc::ptr_eq(left, right));
        let count = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        let pipes = count(publications.iter().map(|publication| publication.pipe.name.to_string()).collect());
        // Who is gone gets nothing, so it needs no write of its own.
        let shard_of_round = self.shards[shard].bare();
        let is_here =
            |(origin, conn): &(ShardId, _)| usize::from(origin.0) == shard && shard_of_round.is_open(token(*conn));
        let local = publications.iter().filter_map(|publication| publication.origin.filter(is_here));
        let senders = count(local.map(|(_, conn)| format!("{conn:?}")).collect());
        let bytes: usize = publications.iter().skip(1).map(|publication| publication.message.len()).sum();
        assert!(pipes <= PIPES_PER_ROUND, "a turn joined {pipes} pipes");
        assert!(senders <= SENDERS_PER_ROUND, "a turn joined {senders} senders");
        assert!(bytes <= BYTES_PER_ROUND, "a turn joined {bytes} bytes");
    }
}
