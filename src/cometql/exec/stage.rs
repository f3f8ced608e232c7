//! A statement that is not answered yet, and how far it is.

use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::Catalog;
use crate::cometql::plan::{Plan, Reply};
use crate::cometql::rows::{Row, RowStream, weight};
use crate::cometql::wire::PausedRows;

use super::cursor::Cursor;
use super::script::Script;
use super::told::Note;

/// With which sequence number an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    At(u8),
    /// A further result of the same query.
    Continued,
}

impl Start {
    /// The number behind which the answer begins; `last`: that of the answer before.
    pub(super) fn sequence(self, last: u8) -> u8 {
        match self {
            Self::At(sequence) => sequence,
            Self::Continued => last,
        }
    }
}

/// Small, since a session may have a thousand: what is large is boxed.
#[derive(Debug)]
pub(super) enum Stage {
    /// Statements that are not read yet; nothing is pushed behind them.
    Script(Box<Script>),
    Planned(Box<Plan>),
    /// Owners have yet to say so many times whether it is done; then the reply, or the first refusal.
    Ordering(Orders),
    /// Storage has yet to commit; `counted`: the rows that it touches are told.
    Writing {
        reply: Reply,
        counted: bool,
    },
    /// A shard has yet to say whether it has this connection.
    Killing(u64),
    /// Whoever keeps the server's files has yet to do it.
    Instructing,
    Streaming(Box<Stream>),
    Gathering(Box<Gathering>),
    Failed(Error),
    Done(Result<Reply, Error>),
    Ready(Vec<u8>),
}

/// What owners were told to do.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) left: u32,
    pub(super) refusal: Option<Error>,
    pub(super) reply: Reply,
    /// The rows that owners tell of are added to the reply.
    pub(super) counted: bool,
    /// Further ones may be sent before these are done.
    pub(super) overlap: bool,
    /// Some were done before.
    pub(super) repeated: bool,
}

/// A query about the server that needs the list of sessions and connections, which comes in pieces.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) catalog: Box<Catalog>,
    pub(super) cursor: Cursor,
    pub(super) rows: Vec<Row>,
    pub(super) failure: Option<Error>,
    pub(super) bytes: usize,
}

impl Gathering {
    pub(super) fn new(catalog: Box<Catalog>, cursor: Cursor) -> Self {
        Self { catalog, cursor, rows: Vec::new(), failure: None, bytes: 0 }
    }

    /// Error: 11, for more rows than such a query may look at.
    pub(super) fn push(&mut self, rows: Vec<Row>) {
        self.bytes += rows.iter().map(weight).sum::<usize>();
        self.rows.extend(rows);
        if self.rows.len() > PROCESSES_MAX {
            self.fail(Error::new(Code::TooLong, TOO_MANY_PROCESSES));
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        (self.rows, self.bytes) = (Vec::new(), 0);
        self.failure = Some(error);
    }

    /// After an answer.
    pub(super) fn heard(&mut self) {
        if !self.cursor.is_waiting() {
            match self.cursor.take() {
                Ok(rows) => self.push(rows),
                Err(error) => self.fail(error),
            }
        }
    }
}

/// Rows of a list of sessions and connections that a query about the server may take: each costs some ten of its steps.
const PROCESSES_MAX: usize = 10_000;

const TOO_MANY_PROCESSES: &str = "There are more than 10000 sessions and connections: SHOW FULL PROCESSLIST lists them \
                                  all, and so does SELECT from `connections`";

/// A result set whose rows go out as they come.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) cursor: Cursor,
    pub(super) rows: RowStream,
    /// Once its columns are written to a client of the protocol.
    pub(super) paused: Option<PausedRows>,
    pub(super) failure: Option<Error>,
    /// Rows that were written.
    pub(super) written: u64,
}

impl Stream {
    pub(super) fn new(cursor: Cursor, rows: RowStream) -> Self {
        Self { cursor, rows, paused: None, failure: None, written: 0 }
    }

    /// One more row is written.
    pub(super) fn count(&mut self) {
        self.written += 1;
    }

    /// They are looked at in the session's turn, not when they come.
    pub(super) fn push(&mut self, rows: Result<Vec<Row>, Error>) {
        match rows {
            Ok(rows) => self.rows.push(rows),
            Err(error) => self.failure = Some(error),
        }
    }

    /// After an answer.
    pub(super) fn heard(&mut self) {
        if !self.cursor.is_waiting() {
            let rows = self.cursor.take();
            self.push(rows);
        }
    }

    /// Whether there is nothing to look at and nothing to write.
    pub(super) fn is_idle(&self) -> bool {
        !self.rows.is_looking() && !self.rows.has_next()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.cursor.bytes() + self.rows.bytes()
    }
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
    /// It is told when it is answered.
    pub(super) note: Option<Box<Note>>,
}

impl Entry {
    pub(super) fn ready(bytes: Vec<u8>) -> Self {
        Self { start: Start::Continued, more: false, binary: false, stage: Stage::Ready(bytes), note: None }
    }

    pub(super) fn script(start: Start, script: Box<Script>) -> Self {
        Self { start, more: false, binary: false, stage: Stage::Script(script), note: None }
    }
}
