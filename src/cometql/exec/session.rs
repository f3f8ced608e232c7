//! One CometQL session: who it is, and its statements that are not answered yet.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::cometql::errors::{Code, Error};
use crate::cometql::plan::{Database, Plan, Reply, ResultColumn, ResultSet, SessionView, StatementLimits, too_large};
use crate::cometql::sql::Prepared;
use crate::cometql::wire::{self, Column, Connection};
use crate::model::{CloseReason, ConnId, DevId, Now};
use crate::storage::{Outcome, StorageError};

use super::gather::Gather;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Login,
    /// A health probe that proved no password: it may ping and nothing else.
    Probe,
    Ready,
}

/// With which sequence number an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    At(u8),
    /// A further result of the same query.
    Continued,
}

/// Small, since every session keeps room for a few: what is large is boxed.
#[derive(Debug)]
pub(super) enum Stage {
    Planned(Box<Plan>),
    /// Owners have yet to accept so many publications.
    Publishing {
        left: u32,
    },
    /// Storage has yet to commit.
    Writing(Reply),
    Gathering(Box<Gather>),
    Failed(Error),
    Done(Result<Reply, Error>),
    Ready(Vec<u8>),
}

/// A statement or command that is not answered yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) start: Start,
    /// Another result of the same query follows.
    pub(super) more: bool,
    /// The rows go out in binary form.
    pub(super) binary: bool,
    pub(super) stage: Stage,
}

impl Entry {
    pub(super) fn ready(bytes: Vec<u8>) -> Self {
        Self { start: Start::Continued, more: false, binary: false, stage: Stage::Ready(bytes) }
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnId,
    /// Where it came from.
    pub(super) address: IpAddr,
    pub(super) wire: Connection,
    pub(super) phase: Phase,
    /// User and database of a login that is not decided yet.
    pub(super) asked_user: Box<[u8]>,
    pub(super) asked_database: Option<Box<[u8]>>,
    pub(super) dev: DevId,
    pub(super) user: Box<str>,
    /// As `SELECT DATABASE()` tells it.
    pub(super) database: Option<&'static str>,
    pub(super) queue: VecDeque<Entry>,
    /// The number of the entry at the front of the queue.
    first: u32,
    /// The last sequence number written.
    sequence: u8,
    pub(super) prepared: BTreeMap<u32, Prepared>,
    /// Bytes of all of them, estimated.
    pub(super) prepared_bytes: usize,
    /// Answers of this turn.
    pub(super) out: Vec<u8>,
    /// In the list of sessions with something to write.
    pub(super) touched: bool,
    /// In the list of sessions whose next statement may begin.
    pub(super) startable: bool,
    /// The edge hands in nothing until it is told.
    pub(super) paused: bool,
    pub(super) closing: Option<CloseReason>,
}

impl Session {
    pub(super) fn new(id: ConnId, address: IpAddr, wire: Connection) -> Self {
        Self {
            id,
            address,
            wire,
            phase: Phase::Login,
            asked_user: Box::default(),
            asked_database: None,
            dev: DevId::default(),
            user: Box::default(),
            database: None,
            queue: VecDeque::new(),
            first: 0,
            sequence: 0,
            prepared: BTreeMap::new(),
            prepared_bytes: 0,
            out: Vec::new(),
            touched: false,
            startable: false,
            paused: false,
            closing: None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.wire.held_bytes()
            + self.out.capacity()
            + self.queue.capacity() * size_of::<Entry>()
            + self.prepared_bytes
    }

    pub(super) fn remember(&mut self, id: u32, statement: Prepared) {
        self.prepared_bytes += statement.bytes();
        self.prepared.insert(id, statement);
    }

    pub(super) fn forget(&mut self, id: u32) {
        if let Some(statement) = self.prepared.remove(&id) {
            self.prepared_bytes -= statement.bytes();
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.prepared.clear();
        self.prepared_bytes = 0;
    }

    pub(super) fn view<'a>(&'a self, now: Now, limits: &'a StatementLimits) -> SessionView<'a> {
        SessionView {
            dev: self.dev,
            database: self.database,
            user: &self.user,
            connection: self.wire.id(),
            unix: now.unix,
            limits,
            version: wire::SERVER_VERSION,
        }
    }

    pub(super) fn use_database(&mut self, database: Database) {
        match database {
            Database::CometQl => self.database = Some("CometQL_v1"),
            Database::Tenant(dev) => self.dev = dev,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Nothing more is read; what was asked before is still answered.
    pub(super) fn close_when_answered(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    /// Whether the next command must wait for answers to earlier ones.
    pub(super) fn holds_back(&self, pipeline_max: usize) -> bool {
        self.queue.len() >= pipeline_max || !self.only_publishes()
    }

    /// Whether nothing but publications is under way, with which another one may overlap.
    pub(super) fn only_publishes(&self) -> bool {
        // What was pushed last tells: nothing but a publication lets anything be pushed after it.
        self.queue.back().is_none_or(|entry| matches!(entry.stage, Stage::Publishing { .. } | Stage::Ready(_)))
    }

    /// Whether the statement at the front waits for nothing but its beginning.
    pub(super) fn has_planned(&self) -> bool {
        matches!(self.queue.front(), Some(Entry { stage: Stage::Planned(_), .. }))
    }

    /// The plan of the statement at the front if that is not begun; [`Session::begun`] says what it has become.
    pub(super) fn take_planned(&mut self) -> Option<Plan> {
        let front = self.queue.front_mut().filter(|front| matches!(front.stage, Stage::Planned(_)))?;
        match std::mem::replace(&mut front.stage, Stage::Ready(Vec::new())) {
            Stage::Planned(plan) => Some(*plan),
            _ => None,
        }
    }

    pub(super) fn begun(&mut self, stage: Stage) {
        if let Some(front) = self.queue.front_mut() {
            front.stage = stage;
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.queue.push_back(entry);
    }

    /// The number that the next entry pushed will have.
    pub(super) fn next_number(&self) -> u32 {
        self.first.wrapping_add(self.queue.len() as u32)
    }

    /// The number of the entry that was just taken from the front.
    pub(super) fn front_number(&self) -> u32 {
        self.first
    }

    pub(super) fn popped(&mut self) {
        self.first = self.first.wrapping_add(1);
        if self.queue.is_empty() && self.queue.capacity() > IDLE_QUEUE {
            self.queue = VecDeque::new();
        }
    }

    pub(super) fn accepted(&mut self, number: u32) {
        let place = number.wrapping_sub(self.first) as usize;
        if let Some(Entry { stage: Stage::Publishing { left }, .. }) = self.queue.get_mut(place) {
            *left = left.saturating_sub(1);
        }
    }

    pub(super) fn gathered(&mut self, change: impl FnOnce(&mut Gather)) {
        let Some(entry) = self.queue.front_mut() else { return };
        if let Stage::Gathering(gather) = &mut entry.stage {
            change(gather);
        }
        let complete = matches!(&entry.stage, Stage::Gathering(gather) if gather.is_complete());
        if complete && let Stage::Gathering(gather) = std::mem::replace(&mut entry.stage, Stage::Ready(Vec::new())) {
            entry.stage = Stage::Done(gather.finish().map(Reply::Rows));
        }
    }

    pub(super) fn stored(&mut self, result: Result<Outcome, StorageError>) {
        let Some(entry) = self.queue.front_mut() else { return };
        match (&entry.stage, result) {
            (Stage::Writing(_), Ok(_)) => {
                if let Stage::Writing(reply) = std::mem::replace(&mut entry.stage, Stage::Ready(Vec::new())) {
                    entry.stage = Stage::Done(Ok(reply));
                }
            }
            (Stage::Writing(_), Err(error)) => entry.stage = Stage::Failed(storage_failure(&error)),
            (Stage::Gathering(_), result) => self.gathered(|gather| gather.stored(result)),
            _ => {}
        }
    }

    /// Writes the answer to the entry that was taken from the front.
    pub(super) fn answer(&mut self, start: Start, more: bool, binary: bool, result: Result<Reply, Error>) {
        let sequence = match start {
            Start::At(sequence) => sequence,
            Start::Continued => self.sequence,
        };
        self.popped();
        let mut reply = self.wire.reply(sequence, &mut self.out);
        self.sequence = match result {
            Ok(Reply::Ok { affected, insert_id }) => {
                reply.ok(affected, insert_id, more);
                reply.sequence()
            }
            Ok(Reply::Rows(rows)) => write_rows(reply, &rows, more, binary),
            Err(error) => {
                reply.error(error.code.number(), &error.text);
                // After an error nothing follows, whatever was announced.
                while self.queue.front().is_some_and(is_continued) {
                    self.queue.pop_front();
                    self.first = self.first.wrapping_add(1);
                }
                return;
            }
        };
    }
}

/// A session that had no more entries than this under way keeps the room for them.
const IDLE_QUEUE: usize = 4;

// Of the 1,024 bytes that an idle session may cost, the rest is for its places in maps and for the allocator.
const _: () = assert!(size_of::<Session>() + IDLE_QUEUE * size_of::<Entry>() <= 640);

fn is_continued(entry: &Entry) -> bool {
    entry.start == Start::Continued && !matches!(entry.stage, Stage::Ready(_))
}

pub(super) fn columns(columns: &[ResultColumn]) -> Vec<Column> {
    let column = |column: &ResultColumn| {
        let name = column.name.clone();
        if column.number { Column::number(name) } else { Column::text(name) }
    };
    columns.iter().map(column).collect()
}

fn write_rows(reply: wire::Reply<'_>, rows: &ResultSet, more: bool, binary: bool) -> u8 {
    let columns = columns(&rows.columns);
    let mut writer = if binary { reply.start_binary(&columns) } else { reply.start(&columns) };
    for row in &rows.rows {
        writer.row(row.iter().map(Option::as_deref));
    }
    writer.end(more).sequence()
}

pub(super) fn storage_failure(error: &StorageError) -> Error {
    match error {
        StorageError::TooLarge { bytes_max } => too_large(*bytes_max),
        StorageError::Failed(text) => Error::new(Code::Internal, format!("Storage failed: {text}")),
        StorageError::Overloaded => Error::new(Code::Internal, "Storage has too much to do: try again"),
        StorageError::Unavailable(text) => Error::new(Code::Internal, format!("Storage cannot be reached: {text}")),
    }
}
