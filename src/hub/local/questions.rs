//! What a browser asks about pipes and users, other than who is in them.

use crate::model::{Answer, ApiError, ConnId, LastSeen, Marker, PipeClass, PipeError, PipeKey, PipeName, UserId};
use crate::storage::Read;

use super::super::{Hub, Ticket, Waiting};
use crate::ring::{Ask, AskId, Question, RingMessage};

impl Hub {
    /// Whether storage or other shards were asked for something that is not there yet: an answer, a delivery report.
    pub fn owes_answers(&self) -> bool {
        !self.waiting.is_empty() || !self.reports.is_empty()
    }

    pub(in crate::hub) fn count_pipe(&mut self, conn: ConnId, pipe: PipeName, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        let key = PipeKey { dev: entry.dev, name: pipe };
        if !matches!(key.name.class(), PipeClass::Web | PipeClass::Track) {
            self.answer(conn, Answer::Error(ApiError::Pipe(PipeError::WrongClass)));
            return;
        }
        let to = self.config.placement.owner_of_pipe(&key);
        let Ticket(ask) = self.wait(conn, Waiting::Count { conn, marker });
        let ask = Ask { id: AskId(ask), question: Question::PipeCounts(vec![key]) };
        self.send(to, RingMessage::Ask(Box::new(ask)));
    }

    pub(in crate::hub) fn read_user_data(&mut self, conn: ConnId, user: UserId, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        let ticket = self.wait(conn, Waiting::UserData { conn, user, marker });
        self.ask_storage(conn, ticket, Read::UserData { dev, users: vec![user] });
    }

    /// The owner knows who is here; only for the others storage is asked.
    pub(in crate::hub) fn read_user_status(&mut self, conn: ConnId, user: UserId) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        let to = self.config.placement.owner_of_user(dev, user);
        let Ticket(ask) = self.wait(conn, Waiting::Online { conn, user });
        let ask = Ask { id: AskId(ask), question: Question::Online(dev, vec![user]) };
        self.send(to, RingMessage::Ask(Box::new(ask)));
    }

    pub(in crate::hub) fn online_known(&mut self, conn: ConnId, user: UserId, online: bool) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        if online {
            self.answer(conn, Answer::UserStatus { user, last_seen: LastSeen::Online });
            return self.resume(conn);
        }
        let ticket = self.wait(conn, Waiting::LastSeen { conn, user });
        self.ask_storage(conn, ticket, Read::LastSeen { dev, users: vec![user] });
    }
}
