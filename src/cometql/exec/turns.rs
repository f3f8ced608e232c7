//! How much a session may do in a turn of the shard, so that whoever sends much, or asks for what takes long, delays
//! nobody but itself.
//!
//! A session that has done enough rests: nothing more is read from it and begun for it before everybody else had their
//! turn. What waits for owners or storage is not counted, as it holds up nobody meanwhile.

use crate::cometql::budget::STEPS_MAX;
use crate::cometql::plan::Plan;
use crate::model::ConnId;

use super::Exec;
use super::session::Session;
use super::stage::Stage;

/// What a session may do in a turn, in steps of a query about the server; it ends with the statement that reaches this.
/// The longest such query is a turn's work.
const SESSION_WORK_MAX: u32 = STEPS_MAX;

/// A statement, or another command: 64 of them are a turn's work.
pub(super) const STATEMENT_WORK: u32 = SESSION_WORK_MAX / 64;

/// A publication that goes out at once; a turn's work are as many as a session may have under way.
pub(super) const PUBLICATION_WORK: u32 = SESSION_WORK_MAX / 1024;

/// Steps of queries about the server of all sessions together; beyond, none is begun in this turn.
const QUERIES_WORK_MAX: u32 = 2 * STEPS_MAX;

/// Rows of one session that are looked at and written in a turn, in the same steps: about half a millisecond.
pub(super) const ROWS_WORK: u32 = STEPS_MAX / 80;

/// The same of all sessions together, queries about the server included; beyond, no further session looks at rows:
/// two milliseconds, for that long a publication that comes meanwhile waits.
const ALL_ROWS_WORK_MAX: u32 = STEPS_MAX / 20;

#[derive(Debug, Default)]
pub(super) struct Turn {
    number: u32,
    /// Steps of queries and for rows, of all sessions.
    queries: u32,
    resting: Vec<ConnId>,
    /// Those that rest because of what others did. They come first in the next turn.
    put_off: Vec<ConnId>,
}

#[cfg(test)]
impl Turn {
    pub(super) fn used_up() -> Self {
        Self { queries: QUERIES_WORK_MAX, ..Self::default() }
    }
}

impl Exec {
    /// Whether any session waits for the answer to a statement.
    pub fn owes_answers(&self) -> bool {
        self.all_sessions().any(|session| !session.queue.is_empty())
    }

    /// The next turn of the shard begins: sessions that had done enough may go on. Whether there are any; then the turn is
    /// to come without waiting for anything else. To be called once in a turn, after everything else.
    pub fn next_turn(&mut self) -> bool {
        self.turn.number = self.turn.number.wrapping_add(1);
        self.turn.queries = 0;
        let mut resting = std::mem::take(&mut self.turn.put_off);
        resting.append(&mut self.turn.resting);
        let any = !resting.is_empty();
        for id in resting {
            let Some(mut session) = self.take(id) else { continue };
            session.rests = false;
            if session.can_go_on() && !session.startable {
                session.startable = true;
                self.startable.push_back(id);
            }
            self.touch(&mut session);
            self.put_back(session);
        }
        any
    }

    pub(super) fn spend(&mut self, session: &mut Session, work: u32) {
        if session.turn != self.turn.number {
            (session.turn, session.work) = (self.turn.number, 0);
        }
        session.work = session.work.saturating_add(work);
        if session.work >= SESSION_WORK_MAX {
            self.rest(session);
        }
    }

    pub(super) fn spend_on_query(&mut self, session: &mut Session, steps: u32) {
        self.turn.queries = self.turn.queries.saturating_add(steps);
        self.spend(session, steps);
    }

    /// Whether nothing more is to be begun for the session in this turn.
    pub(super) fn has_done_enough(&mut self, session: &mut Session) -> bool {
        let most = match session.queue.front().map(|front| &front.stage) {
            Some(Stage::Planned(plan)) if matches!(**plan, Plan::Catalog(_)) => QUERIES_WORK_MAX,
            Some(Stage::Gathering(_)) => QUERIES_WORK_MAX,
            Some(Stage::Streaming(stream)) if !stream.is_idle() => ALL_ROWS_WORK_MAX,
            _ => u32::MAX,
        };
        if !session.rests && self.turn.queries >= most {
            session.rests = true;
            self.turn.put_off.push(session.id);
        }
        session.rests
    }

    /// Whether the session's next command must wait.
    pub(super) fn must_wait(&self, session: &Session) -> bool {
        session.rests || session.holds_back(self.config.pipeline_max)
    }

    pub(super) fn rest(&mut self, session: &mut Session) {
        if !session.rests {
            session.rests = true;
            self.turn.resting.push(session.id);
        }
    }

    pub(super) fn turn_bytes(&self) -> usize {
        (self.turn.resting.capacity() + self.turn.put_off.capacity()) * size_of::<ConnId>()
    }
}
