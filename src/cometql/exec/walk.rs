//! A table that is looked through: its keys are looked for a page at a time, and the rows of those keys are then fetched as
//! if a WHERE had named them. So a page costs what its rows cost, whatever the table holds.
//!
//! Users and pipes with rows in storage come in the order of their keys. Pipes with subscribers stand in no order
//! anywhere: each shard names its own in the order of their places, and the owner of a pipe knows whether a shard before
//! has named it.

use crate::cometql::plan::{Every, Source};
use crate::model::{DevId, PipeName, ShardId, UserId};
use crate::ring::{Placement, Question};
use crate::storage::{PipeTable, Read, UserTable};

/// Keys that are looked for at once.
const KEYS: u32 = 256;

#[derive(Debug)]
pub(super) struct Walk {
    every: Every,
    next: Next,
    /// Rows of histories so far.
    pub(super) number: u64,
}

/// Where the next keys are looked for.
#[derive(Debug)]
enum Next {
    Users(UserTable, Option<UserId>),
    Names(PipeTable, Option<Box<str>>),
    Places { shard: u16, after: Option<u32> },
    End,
}

/// What is to be asked for keys.
pub(super) enum Search {
    Storage(Read),
    Shard(ShardId, Question),
    End,
}

impl Walk {
    pub(super) fn new(every: Every) -> Self {
        let next = match every {
            Every::PipeCounts => Next::Places { shard: 0, after: None },
            // Their rows have no user 0; its place is before all others.
            Every::Hashes => Next::Users(UserTable::Hashes, Some(UserId::ANONYMOUS)),
            Every::UserData => Next::Users(UserTable::Data, Some(UserId::ANONYMOUS)),
            Every::LastSeen => Next::Users(UserTable::Times, None),
            Every::Queues => Next::Users(UserTable::Queues, None),
            Every::Histories => Next::Names(PipeTable::Histories, None),
            Every::Lengths => Next::Names(PipeTable::Settings, None),
        };
        Self { every, next, number: 0 }
    }

    pub(super) fn search(&self, dev: DevId, placement: &Placement) -> Search {
        match &self.next {
            Next::Users(table, after) => Search::Storage(Read::Users { dev, table: *table, after: *after, rows: KEYS }),
            Next::Names(table, after) => {
                Search::Storage(Read::Names { dev, table: *table, after: after.clone(), rows: KEYS })
            }
            Next::Places { shard, .. } if *shard >= placement.connection_shards() => Search::End,
            Next::Places { shard, after } => {
                Search::Shard(ShardId(*shard), Question::Pipes { dev, after: *after, rows: KEYS })
            }
            Next::End => Search::End,
        }
    }

    /// These users are next; the rows to be fetched for them.
    pub(super) fn users(&mut self, users: Vec<UserId>, after: Option<UserId>) -> Source {
        self.next = match (&self.next, after) {
            (Next::Users(table, _), Some(after)) => Next::Users(*table, Some(after)),
            _ => Next::End,
        };
        match self.every {
            Every::Hashes => Source::Hashes(users),
            Every::UserData => Source::UserData(users),
            Every::LastSeen => Source::LastSeen(users),
            _ => Source::Queues(users),
        }
    }

    /// The same with pipes that have rows in storage.
    pub(super) fn names(&mut self, names: Vec<PipeName>, after: Option<Box<str>>) -> Source {
        self.next = match (&self.next, after) {
            (Next::Names(table, _), Some(after)) => Next::Names(*table, Some(after)),
            _ => Next::End,
        };
        if self.every == Every::Lengths { Source::Lengths(names) } else { Source::Histories(names) }
    }

    /// A shard has named pipes up to a place, or all of its own; says which shard.
    pub(super) fn named(&mut self, place: Option<u32>) -> ShardId {
        let Next::Places { shard, after } = &mut self.next else {
            never!("a shard names pipes when it was asked for them");
            return ShardId::default();
        };
        let asked = ShardId(*shard);
        *after = place;
        *shard += u16::from(place.is_none());
        asked
    }
}
