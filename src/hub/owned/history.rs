//! Publications that are kept: the way into the history and out of it again.

use crate::model::{ConnId, EventName, Marker, Now, PipeError, PipeKey, PipeName, Publication, ShardId};
use crate::storage::{Job, Outcome, Page, Read, Request, StorageError, StoredMessage, Write};

use super::super::{Answer, ApiError, Hub, Kept, Output, PipeClass, Ticket, Waiting};
use super::recovering::Reading;
use crate::ring::{Ask, AskId, Question, RingMessage, StatementId};
use crate::ring::{LengthChange, Refusal, SetLength};

impl Hub {
    /// The owner gives the publication its place and hands it to whoever has subscribers. It is acknowledged when it
    /// is in the history, if the pipe has one.
    pub(in crate::hub) fn publish_owned(
        &mut self,
        publication: Box<Publication>,
        statement: Option<(ShardId, StatementId)>,
        now: Now,
    ) {
        let (publication, keep) = self.owned.accept(publication, now);
        let mut shards = 0;
        for (shard, interest) in self.owned.interested_shards(&publication.pipe) {
            shards += 1;
            let message = RingMessage::Deliver { publication: publication.clone(), interest };
            super::super::send(&self.config, &mut self.local, &mut self.outputs, shard, message);
        }
        let report = publication.origin.filter(|_| publication.report);
        let pipe = keep.map(|_| publication.pipe.clone());
        let report = report.map(|(origin, conn)| (origin, conn, publication.clone(), shards));
        let kept = Kept { pipe, position: publication.position, statement, report };
        let Some(keep) = keep else { return self.acknowledge(kept, Ok(())) };
        let write = Write::PutHistory {
            pipe: (*publication.pipe).clone(),
            message: StoredMessage {
                id: self.owned.message_id(publication.position),
                // The order of a history is that of its times first.
                time: publication.position.time().0,
                event: stored_event(&publication.event),
                message: publication.message.clone(),
                sender: publication.sender.unwrap_or_default(),
            },
            trim: keep.trim,
        };
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, Waiting::Kept(Box::new(kept)));
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Write(vec![write]) }));
    }

    pub(in crate::hub) fn acknowledge(&mut self, kept: Kept, stored: Result<(), StorageError>) {
        let Kept { pipe, position, statement, report } = kept;
        if let (Err(_), Some(pipe)) = (&stored, pipe) {
            self.owned.not_kept(&pipe, position);
        }
        if let Some((origin, conn, publication, shards)) = report {
            self.send(origin, RingMessage::Fanned { conn, publication, shards, stored: stored.is_ok() });
        }
        if let Some((to, statement)) = statement {
            let message = match stored {
                Ok(()) => RingMessage::Accepted { statement, rows: 0 },
                Err(error) => RingMessage::Refused { statement, refusal: Box::new(Refusal::Storage(error)) },
            };
            self.send(to, message);
        }
    }

    /// Through the owner, so that it knows what holds before the statement is answered.
    pub(in crate::hub) fn set_length(&mut self, from: ShardId, set: SetLength, now: Now) {
        let SetLength { pipe, change, statement } = set;
        if matches!(change, LengthChange::Put(_) | LengthChange::Add(_)) && !self.owned.has_room_for(&pipe) {
            let refusal = Box::new(Refusal::TooManySettings);
            return self.send(from, RingMessage::Refused { statement, refusal });
        }
        let (key, begun) = (pipe.clone(), self.owned.next_position(now));
        let (length, write) = match change {
            LengthChange::Put(length) => (Some(length), Write::PutSetting { pipe: key, length, begun }),
            LengthChange::Add(length) => {
                (Some(length), Write::IfAbsent(Box::new(Write::PutSetting { pipe: key, length, begun })))
            }
            LengthChange::Update(length) => (Some(length), Write::UpdateSetting { pipe: key, length, begun }),
            LengthChange::Remove => (None, Write::DeleteSetting { pipe: key, begun }),
        };
        self.owned.change_begins(&pipe);
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, Waiting::Length { pipe, length, sender: (from, statement) });
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Write(vec![write]) }));
    }

    pub(in crate::hub) fn length_set(
        &mut self,
        pipe: PipeKey,
        length: Option<u32>,
        (to, statement): (ShardId, StatementId),
        result: Result<Outcome, StorageError>,
    ) {
        let key = pipe.clone();
        let message = match result {
            Ok(outcome) => {
                let rows = if let Outcome::Written { rows } = outcome { rows as u32 } else { 0 };
                // There was nothing to update, or something that stays.
                if rows > 0 || length.is_none() {
                    self.owned.set_length(pipe, length);
                }
                RingMessage::Accepted { statement, rows }
            }
            Err(error) => RingMessage::Refused { statement, refusal: Box::new(Refusal::Storage(error)) },
        };
        self.owned.change_ended(&key);
        self.send(to, message);
    }

    pub(in crate::hub) fn read_history(&mut self, conn: ConnId, pipe: PipeName, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        if pipe.class() == PipeClass::Private && entry.user.is_anonymous() {
            return self.answer(conn, Answer::Error(ApiError::Pipe(PipeError::NeedsAuthorisation)));
        }
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        let to = self.config.placement.owner_of_pipe(&key);
        let Ticket(ask) = self.wait(conn, Waiting::HasHistory { conn, pipe, marker });
        let ask = Ask { id: AskId(ask), question: Question::HasHistory(key) };
        self.send(to, RingMessage::Ask(Box::new(ask)));
    }

    /// Names without a history are not looked for in storage: whoever asks for such has it do nothing.
    pub(in crate::hub) fn history_looked_for(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        has_history: bool,
    ) {
        let Some(entry) = self.conns.get(conn).filter(|_| has_history) else { return self.resume(conn) };
        let key = PipeKey { dev: entry.dev, name: pipe.clone() };
        // The connection is busy still, whether storage is asked now or later.
        let Some(Reading::Log { pipe, marker, .. }) = self.recovering.begin(Reading::Log { conn, pipe, marker }) else {
            return;
        };
        let page = Page { rows: HISTORY_ROWS_MAX, bytes: self.config.history_bytes_max };
        let ticket = self.wait(conn, Waiting::History { conn, pipe, marker });
        self.ask_storage(conn, ticket, Read::NewestHistory { pipe: key, page });
    }

    pub(in crate::hub) fn history_read(
        &mut self,
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        result: Result<Outcome, StorageError>,
        now: Now,
    ) {
        let bytes = match &result {
            Ok(Outcome::Messages { rows, .. }) => rows.iter().map(StoredMessage::bytes).sum(),
            _ => 0,
        };
        let dev = self.conns.get(conn).map(|entry| entry.dev);
        match result {
            Ok(Outcome::Messages { rows: messages, .. }) => {
                let key = dev.map(|dev| PipeKey { dev, name: pipe });
                self.outputs.extend(key.map(|key| Output::History { conn, key, marker, messages }));
            }
            Ok(_) => {}
            Err(_) => self.answer(conn, Answer::Error(ApiError::Unavailable { marker })),
        }
        self.resume(conn);
        self.reading_ended(bytes, now);
    }
}

/// What `pipe_log` answers with at most.
const HISTORY_ROWS_MAX: u32 = 99;

/// Libraries show a missing event under this name, and so do the histories of CppComet.
fn stored_event(event: &EventName) -> EventName {
    if event.as_str().is_empty() { EventName::new(b"undefined").unwrap_or_default() } else { event.clone() }
}
