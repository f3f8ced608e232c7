//! What a client missed while it was away, seen from the owner of the pipes.
//!
//! The owner gives the new subscriber a position and reads the history up to there. Storage writes what it was given before it
//! reads, so everything that was published before is found, and everything published later has a larger position and is on
//! the subscriber's shard already when the answer comes, behind an earlier message of the same ring.
//!
//! The pipes of one command are read some at a time, one job after the other: so a thousand names take as long as they do, and
//! nobody else waits for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::model::{ConnId, Had, Now, ShardId};
use crate::ring::{Recover, Recovered, RingMessage};
use crate::storage::{Completion, Missed, Outcome, Page, Read, Since, StoredMessage};

use super::super::effects::{Asker, Effects};
use super::super::readings::{Missing, Reading};
use super::histories::Past;
use super::pipes::Pipes;

/// Who waits for what it missed.
#[derive(Debug)]
pub(super) struct Recoveries {
    /// New subscribers, by the tickets of their readings; `None`: one whose turn has not come.
    whose: HashMap<(ShardId, ConnId), Option<u64>, RandomState>,
    /// What storage was asked for.
    waiting: HashMap<u64, Box<Missing>, RandomState>,
}

impl Recoveries {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { whose: HashMap::with_hasher(hasher.clone()), waiting: HashMap::with_hasher(hasher) }
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.whose.capacity() * size_of::<((ShardId, ConnId), Option<u64>)>()
            + self.waiting.capacity() * size_of::<(u64, Box<Missing>)>()
            + self.waiting.len() * size_of::<Missing>()
    }

    /// Behind the interest of the subscriber's shard, so nothing later than the positions passes it by.
    pub(super) fn recover(
        &mut self,
        from: ShardId,
        recover: Recover,
        pipes: &mut Pipes,
        now: Now,
        effects: &mut Effects,
    ) {
        let Recover { conn, address, bytes_max, pipes: wanted } = recover;
        let (mut known, mut left) = (Vec::new(), Vec::new());
        for (pipe, had) in wanted {
            let (position, has_history) = (pipes.next_position(now), pipes.histories().has(&pipe));
            // Nobody was given a position that does not exist yet: it is from another server.
            let given = had.position.filter(|after| *after <= position);
            let past = given.map(|after| pipes.histories().past(&pipe, after));
            let has_newest = had.newest > 0 && pipes.histories().may_have_history(&pipe);
            let recovered = had.position.map(|_| matches!(past, Some(Past::Whole)));
            let had = Had { position: given.filter(|_| !matches!(past, Some(Past::Gap))), ..had };
            let answer = Recovered { pipe, conn, missed: Vec::new(), position, has_history, recovered, has_newest };
            match past {
                _ if has_newest => left.push((had, answer)),
                Some(Past::Stored) => left.push((had, answer)),
                Some(Past::Whole | Past::Gap) | None => known.push(answer),
            }
        }
        if !known.is_empty() {
            tell(from, known, effects);
        }
        left.reverse();
        let missing = Missing { to: from, conn, address, bytes_max, asked: Vec::new(), left };
        if !missing.left.is_empty() {
            self.wait(Box::new(missing), effects);
        }
    }

    fn wait(&mut self, missing: Box<Missing>, effects: &mut Effects) {
        self.whose.insert(missing.whose(), None);
        effects.readings.add(Reading::Recovery(missing));
    }

    /// Storage is asked for the next pipes of a command, whose turn it is.
    pub(super) fn begin_reading(
        &mut self,
        mut missing: Box<Missing>,
        pipes: &mut Pipes,
        now: Now,
        effects: &mut Effects,
    ) {
        // Gone while it waited.
        let Entry::Occupied(mut entry) = self.whose.entry(missing.whose()) else {
            return effects.readings.not_wanted();
        };
        let rest = missing.left.len().saturating_sub(PIPES_AT_ONCE);
        missing.asked = missing.left.split_off(rest);
        missing.asked.reverse();
        let bytes = missing.bytes_max / 2;
        let page = Page { rows: (bytes / ENVELOPE_BYTES).max(1) as u32, bytes };
        let mut since = Vec::with_capacity(missing.asked.len());
        for (had, answer) in &mut missing.asked {
            // Those that had to wait get later positions: so less has to be held for them.
            answer.position = pipes.next_position(now);
            let Had { position: after, newest } = *had;
            since.push(Since { pipe: (*answer.pipe).clone(), after, until: answer.position, newest });
        }
        let read = Read::Missed { pipes: since, page };
        let ticket = effects.read_for(missing.address, Asker::Recoveries, read, bytes);
        entry.insert(Some(ticket.0));
        self.waiting.insert(ticket.0, missing);
    }

    pub(super) fn stored(&mut self, completion: Completion, pipes: &Pipes, effects: &mut Effects) {
        let Some(mut missing) = self.waiting.remove(&completion.ticket.0) else {
            return never!("storage answers each reading of histories once");
        };
        let (missed, is_read) =
            if let Ok(Outcome::Missed(missed)) = completion.result { (missed, true) } else { (Vec::new(), false) };
        let bytes = missed.iter().flat_map(|missed| &missed.rows).map(StoredMessage::bytes).sum();
        let found = missed.into_iter().chain(std::iter::repeat_with(Missed::default));
        let mut told = Vec::with_capacity(missing.asked.len());
        for ((had, mut answer), Missed { rows, complete }) in std::mem::take(&mut missing.asked).into_iter().zip(found)
        {
            // What was delivered and not stored is in no history. Its failure is known by now: it came before this answer.
            let kept_since = pipes.histories().kept_since(&answer.pipe);
            let is_whole = complete && had.position.is_some_and(|after| after >= kept_since);
            let is_doubtful = rows.first().and_then(|row| row.id.position()).is_some_and(|oldest| oldest < kept_since);
            if is_whole {
                answer.recovered = Some(true);
            } else if answer.has_newest {
                // Between these, or behind them, there may be some that are not stored.
                answer.recovered = answer.recovered.or((is_doubtful || !is_read).then_some(false));
            }
            if is_whole || answer.has_newest {
                answer.missed = rows;
            }
            told.push(answer);
        }
        tell(missing.to, told, effects);
        effects.readings.ended(bytes);
        if missing.left.is_empty() {
            self.whose.remove(&missing.whose());
        } else {
            // Behind the others who wait.
            self.wait(missing, effects);
        }
    }

    /// The connection has gone: nobody waits for what it missed.
    pub(super) fn stop(&mut self, from: ShardId, conn: ConnId) {
        // One that waits for its turn is passed over then.
        let ticket = self.whose.remove(&(from, conn)).flatten();
        if let Some(missing) = ticket.and_then(|ticket| self.waiting.get_mut(&ticket)) {
            missing.left = Vec::new();
        }
    }
}

fn tell(to: ShardId, answers: Vec<Recovered>, effects: &mut Effects) {
    let count = |wanted: fn(&Recovered) -> bool| answers.iter().filter(|answer| wanted(answer)).count() as u64;
    effects.counters.recoveries += count(|answer| answer.recovered.is_some());
    effects.counters.recoveries_failed += count(|answer| answer.recovered == Some(false));
    effects.send(to, RingMessage::Recovered(answers));
}

/// What a missed message takes on the wire besides its texts, about.
const ENVELOPE_BYTES: usize = 192;
/// Histories that are looked into by one job: about as much work as a page of a long one.
const PIPES_AT_ONCE: usize = 32;
