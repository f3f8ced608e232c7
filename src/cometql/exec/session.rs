//! One CometQL session: who it is, and its statements that are not answered yet.

use std::collections::{BTreeMap, VecDeque};

use crate::cometql::budget::Budget;
use crate::cometql::errors::Error;
use crate::cometql::json::Results;
use crate::cometql::plan::{self, Plan, Reply};
use crate::cometql::rows::Row;
use crate::cometql::session::{Database, Memory, SessionView, User};
use crate::cometql::sql::{Prepared, Statement, StringEscapes};
use crate::cometql::wire::Connection;
use crate::model::{CloseReason, ConnId, DevId, ShardId, UnixTime};
use crate::storage::{Outcome, StorageError};

use super::answers::storage_failure;
use super::cursor::Cursor;
use super::script::Script;
use super::stage::{Entry, Gathering, Stage, Start};
use super::tenants::Reach;
use super::told::Label;
use super::{ExecConfig, Peer, Tls};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Login,
    /// A health probe that proved no password: it may ping and nothing else.
    Probe,
    Ready,
}

/// As whom a login wants to be let in, and where it wants to go.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) user: Box<[u8]>,
    pub(super) database: Option<Box<[u8]>>,
}

/// One allocation, and no other while it is idle and nothing is prepared: pieces of many sessions among what statements
/// take and free would leave holes, each larger than what it holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnId,
    pub(super) peer: Peer,
    pub(super) wire: Connection,
    pub(super) phase: Phase,
    /// Of a login that is not decided yet.
    pub(super) asked: Option<Box<Asked>>,
    pub(super) dev: DevId,
    /// What its login proved.
    pub(super) reach: Reach,
    /// The tenant among whose sessions it is counted.
    pub(super) bound_to: Option<DevId>,
    pub(super) user: User,
    /// As `SELECT DATABASE()` tells it.
    pub(super) database: Option<&'static str>,
    pub(super) memory: Memory,
    /// As it was configured when the session began: a client goes on quoting as it does.
    pub(super) escapes: StringEscapes,
    pub(super) queue: VecDeque<Entry>,
    /// The number of the entry at the front of the queue.
    first: u32,
    /// The last sequence number written.
    pub(super) sequence: u8,
    /// `None` while nothing is prepared.
    pub(super) prepared: Option<Box<PreparedStatements>>,
    /// Answers of this turn.
    pub(super) out: Vec<u8>,
    /// Bytes handed to the edge since all of them were known to be sent.
    pub(super) unsent: usize,
    /// The edge will say when they are.
    pub(super) draining: bool,
    /// Bytes of rows that it holds, as they are counted for all sessions.
    pub(super) held: usize,
    /// Bytes of what its client sent, as they are counted for all sessions.
    pub(super) kept: u32,
    /// What it has done in the turn of this number, in steps of a query about the server.
    pub(super) work: u32,
    pub(super) turn: u32,
    /// In the list of sessions that go on in the next turn.
    pub(super) rests: bool,
    /// When it was last heard of.
    pub(super) heard: UnixTime,
    /// In the list of sessions with something to write.
    pub(super) touched: bool,
    /// In the list of sessions whose next statement may begin.
    pub(super) startable: bool,
    /// The edge hands in nothing until it is told.
    pub(super) paused: bool,
    pub(super) closing: Option<CloseReason>,
    /// Of a session without a socket, whose answers are JSON.
    pub(super) batch: Option<Box<BatchState>>,
}

/// The prepared statements of a session.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements {
    all: BTreeMap<u32, (Prepared, Label)>,
    /// Bytes of all of them, estimated.
    bytes: usize,
}

/// Who waits for the answer to a batch, and how far it is.
#[derive(Debug)]
pub(super) struct BatchState {
    pub(super) from: ShardId,
    pub(super) asker: ConnId,
    pub(super) results: Results,
}

impl Session {
    pub(super) fn new(id: ConnId, peer: Peer, wire: Connection) -> Self {
        Self {
            id,
            peer,
            wire,
            phase: Phase::Login,
            asked: None,
            dev: DevId::default(),
            reach: Reach::default(),
            bound_to: None,
            user: User::default(),
            database: None,
            memory: Memory::NEW,
            escapes: StringEscapes::Mysql,
            queue: VecDeque::new(),
            first: 0,
            sequence: 0,
            prepared: None,
            out: Vec::new(),
            unsent: 0,
            draining: false,
            held: 0,
            kept: 0,
            work: 0,
            turn: 0,
            rests: false,
            heard: UnixTime::default(),
            touched: false,
            startable: false,
            paused: false,
            closing: None,
            batch: None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.wire.held_bytes()
            + self.out.capacity()
            + self.queue.capacity() * size_of::<Entry>()
            + self.prepared_bytes()
            + self.memory.bytes()
            + self.rows_bytes()
            + self.script_bytes()
    }

    /// Of the statements that are not read yet, which stand at the end.
    fn script_bytes(&self) -> usize {
        match self.queue.back().map(|last| &last.stage) {
            Some(Stage::Script(script)) => script.bytes(),
            _ => 0,
        }
    }

    /// Of the answer that is under way: nothing but the front streams.
    pub(super) fn rows_bytes(&self) -> usize {
        match self.queue.front().map(|front| &front.stage) {
            Some(Stage::Streaming(stream)) => stream.bytes(),
            Some(Stage::Gathering(gathering)) => gathering.bytes + gathering.cursor.bytes(),
            _ => 0,
        }
    }

    /// The answer under way holds too much, if it is one that has to.
    pub(super) fn fail_rows(&mut self, error: Error) {
        match self.queue.front_mut().map(|front| &mut front.stage) {
            Some(Stage::Streaming(stream)) if stream.rows.sorts() && !stream.cursor.is_waiting() => {
                stream.rows.abandon();
                stream.failure = Some(error);
            }
            Some(Stage::Gathering(gathering)) => gathering.fail(error),
            _ => {}
        }
    }

    pub(super) fn prepared(&self, id: u32) -> Option<&Prepared> {
        self.prepared.as_ref()?.all.get(&id).map(|(statement, _)| statement)
    }

    pub(super) fn prepared_label(&self, id: u32) -> Option<Label> {
        self.prepared.as_ref()?.all.get(&id).map(|(_, label)| *label)
    }

    pub(super) fn prepared_bytes(&self) -> usize {
        self.prepared.as_ref().map_or(0, |prepared| prepared.bytes)
    }

    pub(super) fn remember(&mut self, id: u32, statement: Prepared, label: Label) {
        let prepared = self.prepared.get_or_insert_default();
        prepared.bytes += statement.bytes();
        prepared.all.insert(id, (statement, label));
    }

    pub(super) fn forget(&mut self, id: u32) {
        let Some(prepared) = &mut self.prepared else { return };
        if let Some((statement, _)) = prepared.all.remove(&id) {
            prepared.bytes -= statement.bytes();
        }
        if prepared.all.is_empty() {
            self.prepared = None;
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.prepared = None;
    }

    /// `budget`: what computing may cost, as [`SessionView::budget`] says.
    pub(super) fn view<'a>(&'a self, unix: UnixTime, config: &'a ExecConfig, budget: &'a Budget) -> SessionView<'a> {
        SessionView {
            dev: self.dev,
            database: self.database,
            user: self.user,
            connection: self.wire.id(),
            unix,
            limits: &config.statements,
            tls: config.tls != Tls::Off,
            server: &config.server,
            budget,
            memory: &self.memory,
            escapes: self.escapes,
        }
    }

    /// The plan of a lone statement.
    pub(super) fn plan(&self, statement: Statement, view: &SessionView<'_>) -> Result<Plan, Error> {
        if self.queue.is_empty() { plan::plan(&statement, view) } else { plan::plan_behind(statement, view) }
    }

    /// A row of `SHOW FULL PROCESSLIST`. What it does is never told: statements hold data.
    pub(super) fn process(&self, busy: bool, now: UnixTime) -> Row {
        let command = match (self.phase, busy) {
            (Phase::Login, _) => "Connect",
            (_, false) => "Sleep",
            (_, true) => "Query",
        };
        // Who has said nothing yet has no such time.
        let heard = if self.heard == UnixTime::default() { now } else { self.heard };
        let silent = now.0.saturating_sub(heard.0).max(0);
        let database = self.database.map_or_else(|| format!("db_{}", self.dev), str::to_owned);
        let (id, user) = (self.wire.id().to_string(), self.user.to_string());
        let host = match self.peer {
            Peer::Address(address) => address.to_string(),
            Peer::Trusted => "localhost".to_owned(),
        };
        let silent = silent.to_string();
        [&id, &*user, &host, &database, command, &silent, "", ""].map(Box::from).into()
    }

    pub(super) fn use_database(&mut self, database: Database) {
        database.choose(&mut self.dev, &mut self.database);
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
        self.queue.len() >= pipeline_max || !self.overlaps()
    }

    /// Whether nothing but publications and personal messages is under way, with which others may overlap.
    pub(super) fn overlaps(&self) -> bool {
        // What was pushed last tells: nothing else lets anything be pushed after it.
        self.queue.back().is_none_or(|entry| match &entry.stage {
            Stage::Ordering(orders) => orders.overlap,
            Stage::Ready(_) => true,
            _ => false,
        })
    }

    /// Whether the client has so much to read that nothing is begun for it and no row fetched. A batch is answered as a
    /// whole, and what that may weigh has a bound of its own.
    pub(super) fn is_held_up(&self) -> bool {
        self.batch.is_none() && self.unsent.saturating_add(self.out.len()) >= UNSENT_MAX
    }

    /// Whether the statement at the front waits for nothing but its turn.
    pub(super) fn can_go_on(&self) -> bool {
        !self.is_held_up()
            && match self.queue.front().map(|front| &front.stage) {
                Some(Stage::Script(_) | Stage::Planned(_)) => true,
                Some(Stage::Streaming(stream)) => !stream.cursor.is_waiting(),
                Some(Stage::Gathering(gathering)) => !gathering.cursor.is_waiting(),
                _ => false,
            }
    }

    /// What is not read yet, if nothing stands before it.
    pub(super) fn take_script(&mut self) -> Option<(Start, Box<Script>)> {
        let front = self.queue.pop_front_if(|front| matches!(front.stage, Stage::Script(_)))?;
        let Stage::Script(script) = front.stage else {
            never!("what is not read yet is a script");
            return None;
        };
        Some((front.start, script))
    }

    /// The plan of the statement at the front if that is not begun; [`Session::begun`] says what it has become.
    pub(super) fn take_planned(&mut self) -> Option<Plan> {
        let front = self.queue.front_mut().filter(|front| matches!(front.stage, Stage::Planned(_)))?;
        let Stage::Planned(plan) = std::mem::replace(&mut front.stage, Stage::Ready(Vec::new())) else {
            never!("what is not begun is a plan");
            return None;
        };
        Some(*plan)
    }

    /// What the statement at the front gathers, to be gone on with; [`Session::begun`] says what it has become.
    pub(super) fn take_gathering(&mut self) -> Option<Box<Gathering>> {
        let front = self.queue.front_mut().filter(|front| matches!(front.stage, Stage::Gathering(_)))?;
        let Stage::Gathering(gathering) = std::mem::replace(&mut front.stage, Stage::Ready(Vec::new())) else {
            never!("what gathers is a gathering");
            return None;
        };
        Some(gathering)
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
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// An owner has done what the statement asked of it, or not.
    pub(super) fn ordered(&mut self, number: u32, result: Result<u32, Error>) {
        let place = number.wrapping_sub(self.first) as usize;
        if let Some(Entry { stage: Stage::Ordering(orders), .. }) = self.queue.get_mut(place) {
            orders.left = orders.left.saturating_sub(1);
            match (result, &mut orders.reply) {
                (Ok(rows), Reply::Ok { affected, .. }) if orders.counted => *affected += u64::from(rows),
                (Ok(_), _) => {}
                (Err(error), _) => {
                    orders.refusal.get_or_insert(error);
                }
            }
        }
    }

    /// What a statement published was published before.
    pub(super) fn repeated(&mut self, number: u32) {
        let place = number.wrapping_sub(self.first) as usize;
        if let Some(Entry { stage: Stage::Ordering(orders), .. }) = self.queue.get_mut(place) {
            orders.repeated = true;
        }
        self.ordered(number, Ok(0));
    }

    /// The statement at the front fetches rows and has heard something.
    pub(super) fn heard(&mut self, change: impl FnOnce(&mut Cursor)) {
        match self.queue.front_mut().map(|front| &mut front.stage) {
            Some(Stage::Streaming(stream)) => {
                change(&mut stream.cursor);
                stream.heard();
            }
            Some(Stage::Gathering(gathering)) => {
                change(&mut gathering.cursor);
                gathering.heard();
            }
            _ => {}
        }
    }

    pub(super) fn killed(&mut self, found: bool) {
        // Gone: a batch that was itself ended by KILL has an empty queue.
        let Some(Entry { stage: Stage::Killing(number), .. }) = self.queue.front() else { return };
        let done = Ok(Reply::Ok { affected: 0, insert_id: 0 });
        let result = if found { done } else { Err(self.no_connection(*number)) };
        self.begun(Stage::Done(result));
    }

    pub(super) fn stored(&mut self, result: Result<Outcome, StorageError>) {
        // Gone: the statement of a batch that was ended by KILL.
        let Some(entry) = self.queue.front_mut() else { return };
        match (&mut entry.stage, result) {
            (Stage::Writing { reply, counted }, Ok(outcome)) => {
                let reply = match outcome {
                    Outcome::Written { rows } if *counted => Reply::Ok { affected: rows, insert_id: 0 },
                    _ => std::mem::replace(reply, Reply::Ok { affected: 0, insert_id: 0 }),
                };
                entry.stage = Stage::Done(Ok(reply));
            }
            (Stage::Writing { .. }, Err(error)) => entry.stage = Stage::Failed(storage_failure(&error)),
            (_, result) => self.heard(|cursor| cursor.stored(result)),
        }
    }

    // Result sets that go out bit by bit
}

/// Bytes that a client may have unread before it is waited for. What is sent comes on top: one row, or one answer that is
/// made at once.
pub(super) const UNSENT_MAX: usize = 256 * 1024;

// Of the 1,024 bytes that an idle session may cost, the rest is for its places in maps and for the allocator.
const _: () = assert!(size_of::<Session>() <= 272);
