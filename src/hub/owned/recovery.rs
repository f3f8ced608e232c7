//! What a client missed while it was away, seen from the owner of the pipes.
//!
//! The owner gives the new subscriber a position and reads the history up to there. Storage writes what it was given before it
//! reads, so everything that was published before is found, and everything published later has a larger position and is on
//! the subscriber's shard already when the answer comes, behind an earlier message of the same ring.
//!
//! The pipes of one command are read some at a time, one job after the other: so a thousand names take as long as they do, and
//! nobody else waits for them.

use std::net::IpAddr;

use crate::model::{ConnId, Now, PipeClass, PipeKey, Position, ShardId};
use crate::storage::{Job, Missed, Outcome, Page, Read, Request, Since, StorageError, StoredMessage};

use super::super::{Hub, Output, Waiting};
use super::recovering::Reading;
use crate::ring::RingMessage;
use crate::ring::{Recover, Recovered};

/// Storage is asked for what a new subscriber missed.
#[derive(Debug)]
pub(in crate::hub) struct Missing {
    to: ShardId,
    conn: ConnId,
    address: IpAddr,
    bytes_max: usize,
    /// What the client had last of each pipe, and the answer as it is if there is a gap.
    asked: Vec<(Position, Recovered)>,
    /// Those that storage is asked for next; the last ones come first.
    left: Vec<(Position, Recovered)>,
}

impl Missing {
    pub(in crate::hub) fn whose(&self) -> (ShardId, ConnId) {
        (self.to, self.conn)
    }
}

/// What an owner knows of a history without asking storage.
pub(in crate::hub) enum Past {
    /// Nothing was missed.
    Whole,
    Gap,
    Stored,
}

impl super::pipes::Owned {
    /// What there is behind a position that a client has of a pipe.
    pub(in crate::hub) fn past(&self, pipe: &PipeKey, after: Position) -> Past {
        if !self.keeps(pipe) || after < self.kept_since(pipe) {
            return Past::Gap;
        }
        match &self.trusted {
            Some(trusted) if !self.has_own_length(pipe) && !trusted.may_have(pipe) => {
                if trusted.is_whole(after) {
                    Past::Whole
                } else {
                    Past::Gap
                }
            }
            _ => Past::Stored,
        }
    }

    /// Whether a history may have something in it.
    pub(in crate::hub) fn may_have_history(&self, pipe: &PipeKey) -> bool {
        let is_trusted = pipe.name.class() == PipeClass::Trust && !self.has_own_length(pipe);
        self.keeps(pipe) && (!is_trusted || self.trusted.as_ref().is_none_or(|trusted| trusted.may_have(pipe)))
    }
}

impl Hub {
    /// Behind the interest of the subscriber's shard, so nothing later than the positions passes it by.
    pub(in crate::hub) fn recover(&mut self, from: ShardId, recover: Recover, now: Now) {
        let Recover { conn, address, bytes_max, pipes } = recover;
        let (mut known, mut left) = (Vec::new(), Vec::new());
        for (pipe, after) in pipes {
            let (position, is_kept) = (self.owned.next_position(now), self.owned.keeps(&pipe));
            let mut answer =
                Recovered { pipe, conn, missed: Vec::new(), position, is_kept, recovered: after.map(|_| false) };
            // Nobody was given a position that does not exist yet: it is from another server.
            match after.filter(|after| *after <= position).map(|after| (after, self.owned.past(&answer.pipe, after))) {
                Some((after, Past::Stored)) => left.push((after, answer)),
                Some((_, Past::Whole)) => {
                    answer.recovered = Some(true);
                    known.push(answer);
                }
                Some((_, Past::Gap)) | None => known.push(answer),
            }
        }
        if !known.is_empty() {
            self.tell_recovered(from, known);
        }
        left.reverse();
        self.ask_for_missed(Missing { to: from, conn, address, bytes_max, asked: Vec::new(), left }, now);
    }

    /// Asks storage for the next pipes of a command, if there are more, or has them wait for their turn.
    pub(in crate::hub) fn ask_for_missed(&mut self, missing: Missing, now: Now) {
        let whose = missing.whose();
        if missing.left.is_empty() {
            self.missing.remove(&whose);
            return;
        }
        self.missing.insert(whose, None);
        let Some(Reading::Recovery(missing)) = self.recovering.begin(Reading::Recovery(Box::new(missing))) else {
            return;
        };
        self.read_missed(missing, now);
    }

    fn read_missed(&mut self, mut missing: Box<Missing>, now: Now) {
        let rest = missing.left.len().saturating_sub(PIPES_AT_ONCE);
        missing.asked = missing.left.split_off(rest);
        missing.asked.reverse();
        let bytes = missing.bytes_max / 2;
        let page = Page { rows: (bytes / ENVELOPE_BYTES).max(1) as u32, bytes };
        let mut pipes = Vec::with_capacity(missing.asked.len());
        for (after, answer) in &mut missing.asked {
            // Those that had to wait get later positions: so less has to be kept beside for them.
            answer.position = self.owned.next_position(now);
            pipes.push(Since { pipe: (*answer.pipe).clone(), after: *after, until: answer.position });
        }
        let (ticket, address) = (self.draw_ticket(), missing.address);
        self.missing.insert(missing.whose(), Some(ticket.0));
        self.waiting.insert(ticket.0, Waiting::Missed(missing));
        let job = Job { ticket, request: Request::Read { read: Read::Missed { pipes, page }, bytes_max: bytes } };
        self.outputs.push_back(Output::Ask { job, address });
    }

    pub(in crate::hub) fn missed_read(
        &mut self,
        mut missing: Missing,
        result: Result<Outcome, StorageError>,
        now: Now,
    ) {
        let missed = if let Ok(Outcome::Missed(missed)) = result { missed } else { Vec::new() };
        let bytes = missed.iter().flat_map(|missed| &missed.rows).map(StoredMessage::bytes).sum();
        let found = missed.into_iter().chain(std::iter::repeat_with(Missed::default));
        let mut told = Vec::with_capacity(missing.asked.len());
        for ((after, mut answer), Missed { rows, complete }) in
            std::mem::take(&mut missing.asked).into_iter().zip(found)
        {
            // What was delivered and not stored is in no history. Its failure is known by now: it came before this answer.
            if complete && after >= self.owned.kept_since(&answer.pipe) {
                answer.missed = rows;
                answer.recovered = Some(true);
            }
            told.push(answer);
        }
        self.tell_recovered(missing.to, told);
        self.reading_ended(bytes, now);
        self.ask_for_missed(missing, now);
    }

    fn tell_recovered(&mut self, to: ShardId, answers: Vec<Recovered>) {
        let asked = |answer: &&Recovered| answer.recovered.is_some();
        self.counters.recoveries += answers.iter().filter(asked).count() as u64;
        self.counters.recoveries_failed +=
            answers.iter().filter(|answer| answer.recovered == Some(false)).count() as u64;
        self.send(to, RingMessage::Recovered(answers));
    }

    /// The connection has gone: nobody waits for what it missed.
    pub(in crate::hub) fn stop_recovering(&mut self, from: ShardId, conn: ConnId) {
        // One that waits for its turn is passed over then.
        let ticket = self.missing.remove(&(from, conn)).flatten();
        if let Some(Waiting::Missed(missing)) = ticket.and_then(|ticket| self.waiting.get_mut(&ticket)) {
            missing.left = Vec::new();
        }
    }
}

/// What a missed message takes on the wire besides its texts, about.
const ENVELOPE_BYTES: usize = 192;
/// Histories that are looked into by one job: about as much work as a page of a long one.
const PIPES_AT_ONCE: usize = 32;
