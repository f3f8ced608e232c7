//! What a browser asks about pipes and users, other than who is in them.

use crate::model::{Answer, ApiError, ConnId, LastSeen, Marker, PipeClass, PipeError, PipeKey, PipeName, UserId};
use crate::ring::{Ask, Question, RingMessage};
use crate::storage::{Outcome, Page, Read, StorageError, StoredMessage};

use super::super::Output;
use super::super::effects::Effects;
use super::super::readings::Reading;
use super::Local;
use super::rights::NotFor;
use super::waiting::Waiting;

impl Local {
    pub(in crate::hub) fn count_pipe(&mut self, conn: ConnId, pipe: PipeName, marker: Marker, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        let key = PipeKey { dev: entry.dev, name: pipe };
        if !matches!(key.name.class(), PipeClass::Web | PipeClass::Track) {
            return self.answer(conn, Answer::Error(ApiError::Pipe(PipeError::WrongClass)), effects);
        }
        let to = self.config.placement.owner_of_pipe(&key);
        let id = self.wait(conn, Waiting::Count { conn, marker }, effects);
        let question = Question::PipeCounts(vec![key]);
        effects.send(to, RingMessage::Ask(Box::new(Ask { id, question })));
    }

    // Users

    pub(in crate::hub) fn read_user_data(&mut self, conn: ConnId, user: UserId, marker: Marker, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        let read = Read::UserData { dev: entry.dev, users: vec![user] };
        self.ask_storage(conn, Waiting::UserData { conn, user, marker }, read, effects);
    }

    /// The owner knows who is here; only for the others storage is asked.
    pub(in crate::hub) fn read_user_status(&mut self, conn: ConnId, user: UserId, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        let dev = entry.dev;
        let to = self.config.placement.owner_of_user(dev, user);
        let id = self.wait(conn, Waiting::Online { conn, user }, effects);
        let question = Question::Online(dev, vec![user]);
        effects.send(to, RingMessage::Ask(Box::new(Ask { id, question })));
    }

    pub(super) fn online_known(&mut self, conn: ConnId, user: UserId, online: bool, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        let dev = entry.dev;
        if online {
            self.answer(conn, Answer::UserStatus { user, last_seen: LastSeen::Online }, effects);
            return self.resume(conn, effects);
        }
        let read = Read::LastSeen { dev, users: vec![user] };
        self.ask_storage(conn, Waiting::LastSeen { conn, user }, read, effects);
    }

    // Histories

    pub(in crate::hub) fn read_history(&mut self, conn: ConnId, pipe: PipeName, marker: Marker, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        if let Err(why) = self.may_hear(conn, entry.user, &pipe) {
            let error = match why {
                NotFor::Anonymous => PipeError::NeedsAuthorisation,
                NotFor::NotNamed => PipeError::NotNamed,
            };
            return self.answer(conn, Answer::Error(ApiError::Pipe(error)), effects);
        }
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        let to = self.config.placement.owner_of_pipe(&key);
        let id = self.wait(conn, Waiting::HasHistory { conn, pipe, marker }, effects);
        effects.send(to, RingMessage::Ask(Box::new(Ask { id, question: Question::HasHistory(key) })));
    }

    /// Names without a history are not looked for in storage: whoever asks for such has it do nothing. The others wait for
    /// their turn, and the connection is busy until then.
    pub(super) fn history_looked_for(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        has_history: bool,
        effects: &mut Effects,
    ) {
        if has_history && self.conn(conn).is_some() {
            effects.readings.add(Reading::Log { conn, pipe, marker });
        } else {
            self.resume(conn, effects);
        }
    }

    /// It is the turn of this question for history.
    pub(in crate::hub) fn begin_reading(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.conn(conn) else { return effects.readings.not_wanted() };
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        let page = Page { rows: HISTORY_ROWS_MAX, bytes: self.config.history_bytes_max };
        let read = Read::NewestHistory { pipe: key, page };
        self.ask_storage(conn, Waiting::History { conn, pipe, marker }, read, effects);
    }

    pub(super) fn history_read(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        result: Result<Outcome, StorageError>,
        effects: &mut Effects,
    ) {
        let mut bytes = 0;
        match result {
            Ok(Outcome::Messages { rows: messages, .. }) => {
                bytes = messages.iter().map(StoredMessage::bytes).sum();
                if let Some(entry) = self.conn(conn) {
                    let key = PipeKey { dev: entry.dev, name: pipe };
                    effects.put(Output::History { conn, key, marker, messages });
                }
            }
            Ok(_) => {}
            Err(_) => self.answer(conn, Answer::Error(ApiError::Unavailable { marker }), effects),
        }
        self.resume(conn, effects);
        effects.readings.ended(bytes);
    }
}

/// What `pipe_log` answers with at most.
const HISTORY_ROWS_MAX: u32 = 99;
