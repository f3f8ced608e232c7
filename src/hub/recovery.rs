//! What a client missed while it was away, seen from the owner of the pipe.
//!
//! The owner draws a position for the new subscriber and reads the history. Storage carries out jobs in their order, so
//! everything that was published before is found, and everything published later has a larger position and is on the
//! subscriber's shard already when the answer comes, behind an earlier message of the same ring.

use crate::model::{Now, Position, ShardId};
use crate::storage::{Job, Outcome, Page, Read, Request, StorageError, StoredMessage};

use super::recovering::Reading;
use super::ring::{Recover, Recovered};
use super::{Hub, Output, RingMessage, Waiting};

/// Storage is asked for what a new subscriber missed.
#[derive(Debug)]
pub(super) struct Missing {
    to: ShardId,
    after: Position,
    /// As it is if there is a gap.
    answer: Recovered,
}

impl Hub {
    /// Behind the interest of the subscriber's shard, so nothing later than the position passes it by.
    pub(super) fn recover(&mut self, from: ShardId, recover: Recover, now: Now) {
        let Recover { pipe, conn, after, bytes_max } = recover;
        let (position, is_kept) = (self.owned.next_position(now), self.owned.keeps(&pipe));
        let recovered = after.map(|_| false);
        let answer = Recovered { pipe: pipe.clone(), conn, missed: Vec::new(), position, is_kept, recovered };
        // Nobody was given a position that does not exist yet: it is from another server, or from before the clock was set.
        let Some(after) = after.filter(|after| is_kept && *after <= position) else {
            return self.send(from, RingMessage::Recovered(Box::new(answer)));
        };
        // One that has to wait gets a later position, when it is its turn.
        let recover = Recover { pipe: pipe.clone(), conn, after: Some(after), bytes_max };
        if self.recovering.begin(Reading::Recovery(from, recover)).is_none() {
            return;
        }
        let bytes = bytes_max / 2;
        let page = Page { rows: (bytes / ENVELOPE_BYTES).max(1) as u32, bytes };
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, Waiting::Missed(Box::new(Missing { to: from, after, answer })));
        let read = Read::Missed { pipe: (*pipe).clone(), after, page };
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Read { read, bytes_max: bytes } }));
    }

    pub(super) fn missed_read(&mut self, missing: Missing, result: Result<Outcome, StorageError>, now: Now) {
        let Missing { to, after, mut answer } = missing;
        let bytes = match &result {
            Ok(Outcome::Missed { rows, .. }) => rows.iter().map(StoredMessage::bytes).sum(),
            _ => 0,
        };
        // What was delivered and not stored is in no history. Its failure is known by now: it came before this answer.
        if let Ok(Outcome::Missed { rows, complete: true }) = result
            && after >= self.owned.kept_since(&answer.pipe)
        {
            answer.missed = rows;
            answer.recovered = Some(true);
        }
        self.counters.recoveries += 1;
        self.counters.recoveries_failed += u64::from(answer.recovered == Some(false));
        self.send(to, RingMessage::Recovered(Box::new(answer)));
        self.reading_ended(bytes, now);
    }
}

/// What a missed message takes on the wire besides its texts, about.
const ENVELOPE_BYTES: usize = 192;
