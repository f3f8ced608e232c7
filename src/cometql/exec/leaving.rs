//! Sessions that are sent elsewhere: each finishes what it has asked, and is told in the place of its next answer.

use crate::cometql::errors::{Code, Error};
use crate::model::{CloseReason, ConnId};

use super::session::{Phase, Session};
use super::stage::Entry;
use super::{Exec, Peer};

impl Exec {
    /// From now on sessions are sent away, those that are here and those that log in; or they are welcome again.
    pub fn send_away(&mut self, away: bool) {
        if std::mem::replace(&mut self.sends_away, away) || !away {
            return;
        }
        let all: Vec<ConnId> = self.sessions.iter().flatten().map(|session| session.id).collect();
        for id in all {
            self.with(id, Session::send_away);
        }
    }

    /// Whoever uses the server's own socket is no backend, and may give up what goes on.
    pub(super) fn go_elsewhere(&self, session: &Session) -> Result<(), Error> {
        if self.sends_away && session.peer != Peer::Trusted {
            Err(Error::new(Code::ServerLeft, GO_ELSEWHERE))
        } else {
            Ok(())
        }
    }
}

impl Session {
    fn send_away(&mut self) {
        if self.is_closing() || self.phase != Phase::Ready || self.peer == Peer::Trusted {
            return;
        }
        // As if its next command had been read.
        let mut answer = Vec::new();
        self.wire.reply(0, &mut answer).error(Code::ServerLeft.number(), GO_ELSEWHERE);
        self.push(Entry::ready(answer));
        self.close_when_answered(CloseReason::Moved);
    }
}

const GO_ELSEWHERE: &str = "This server sends its sessions elsewhere";
