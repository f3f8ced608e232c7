//! What a browser publishes, on its way to the owner of the pipe, and past the owner of its publisher if somebody counts.

use std::sync::Arc;

use crate::model::{
    Answer, ApiError, ConnId, DevId, EventName, PipeClass, PipeError, PipeKey, PipeName, Publication, PublicationKind,
    ShardId, UserId,
};
use crate::ring::{Publisher, RingMessage, Submit};

use super::super::effects::Effects;
use super::Local;
use super::report::Report;

/// A browser's message, before anybody has looked whether it may be published.
#[derive(Debug)]
pub(in crate::hub) struct BrowserMessage {
    pub(in crate::hub) pipe: PipeName,
    pub(in crate::hub) event: EventName,
    pub(in crate::hub) message: Box<str>,
    pub(in crate::hub) hide_sender: bool,
}

impl Local {
    pub(in crate::hub) fn publish(&mut self, conn: ConnId, message: BrowserMessage, effects: &mut Effects) {
        let Some(entry) = self.conn(conn) else { return };
        let BrowserMessage { pipe, event, message, hide_sender } = message;
        let (dev, user) = (entry.dev, entry.user);
        let refused = match pipe.class() {
            PipeClass::WebAuthorised if hide_sender => Some(PipeError::WrongClass),
            PipeClass::WebAuthorised if user.is_anonymous() => Some(PipeError::NeedsAuthorisation),
            PipeClass::Web | PipeClass::WebAuthorised => None,
            _ => Some(PipeError::WrongClass),
        };
        if let Some(error) = refused {
            return self.answer(conn, Answer::Error(ApiError::Pipe(error)), effects);
        }
        let mut publication = Publication::new(Arc::new(PipeKey { dev, name: pipe }), event, message);
        publication.sender = Some(if hide_sender { UserId::ANONYMOUS } else { user });
        publication.origin = Some((self.config.shard, conn));
        publication.report = true;
        self.conns.set_busy(conn, true);
        self.reports.insert(conn, Report::default());
        self.submit(conn, user, Box::new(publication), effects);
    }

    fn submit(&self, conn: ConnId, user: UserId, publication: Box<Publication>, effects: &mut Effects) {
        let (to, message) = match self.publisher(conn, publication.pipe.dev, user) {
            None => {
                let to = self.config.placement.owner_of_pipe(&publication.pipe);
                (to, RingMessage::Publish { publication, statement: None })
            }
            Some(publisher) => {
                let submit = Submit { publisher, publication };
                (self.owner_of(publisher), RingMessage::Submit(Box::new(submit)))
            }
        };
        effects.send(to, message);
    }

    /// The publisher publishes too fast.
    pub(in crate::hub) fn not_published(&mut self, conn: ConnId, wait_ms: u32, effects: &mut Effects) {
        // Gone: the connection ended while its message was on its way.
        if self.reports.remove(&conn).is_some() {
            effects.counters.publications_refused += 1;
            self.answer(conn, Answer::Error(ApiError::TooFast { wait_ms }), effects);
            self.resume(conn, effects);
        }
    }

    /// A change of a `track_` pipe costs the user who makes it what a publication costs.
    pub(super) fn count_change(&self, conn: ConnId, publication: &Publication, effects: &mut Effects) {
        let PublicationKind::Track { user, .. } = publication.kind else { return };
        if let Some(publisher) = self.publisher(conn, publication.pipe.dev, user) {
            effects.send(self.owner_of(publisher), RingMessage::Count { publisher });
        }
    }

    /// As whom the connection's publications are counted, if they are.
    fn publisher(&self, conn: ConnId, dev: DevId, user: UserId) -> Option<Publisher> {
        let limits = &self.config.limits;
        match limits.publications_per_user_per_s {
            0 => None,
            _ if user.is_anonymous() => {
                self.known_address(conn).and_then(|it| limits.counted(it)).map(Publisher::Anonymous)
            }
            _ => Some(Publisher::User(dev, user)),
        }
    }

    fn owner_of(&self, publisher: Publisher) -> ShardId {
        match publisher {
            Publisher::User(dev, user) => self.config.placement.owner_of_user(dev, user),
            Publisher::Anonymous(address) => self.config.placement.owner_of_address(address),
        }
    }
}
