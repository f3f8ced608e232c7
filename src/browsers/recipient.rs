//! Who gets something: a connection with a socket, or one that is polled for. What is different for the two stands here, so
//! that nobody who has something to say needs to know which it is.
//!
//! What is put for a socket goes out in one write. A page gets messages of their own, because it acknowledges them one by
//! one, and they wait for its next request.

use std::slice;
use std::sync::Arc;

use crate::jsapi;
use crate::model::{Answer, ConnId, PipeName, Position, Publication, SharedBytes, WireForm};
use crate::ws;

use super::effects::Effects;
use super::fan_out::fan_out_to_polled;
use super::polls::Polls;
use super::{Browser, Browsers, PRODUCT, append, append_publication, browser};

/// A letter that has become so long is sent before more is put into it.
const LETTER_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Recipient {
    Socket(ConnId, Browser),
    Page(ConnId, WireForm),
}

impl Recipient {
    pub(super) fn form(self) -> WireForm {
        match self {
            Self::Socket(_, browser) => browser.form,
            Self::Page(_, form) => form,
        }
    }
}

impl Browsers {
    /// `None` if it has gone.
    pub(super) fn recipient(&self, io: &mut impl Effects, conn: ConnId) -> Option<Recipient> {
        if conn.is_polled() {
            return self.polls.form(conn).map(|form| Recipient::Page(conn, form));
        }
        browser(io, conn).map(|browser| Recipient::Socket(conn, browser))
    }

    /// Puts one message behind what was put before. `event_id` is where it stands in a history.
    pub(super) fn put(
        &mut self,
        io: &impl Effects,
        to: Recipient,
        event_id: Option<(&PipeName, Position)>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        match to {
            Recipient::Socket(_, browser) => append(&mut self.scratch, browser, event_id, write),
            Recipient::Page(conn, _) => {
                self.scratch.clear();
                write(&mut self.scratch);
                self.polls.push_json(conn, &self.scratch, io.now().time);
                self.scratch.clear();
            }
        }
    }

    /// Puts an answer, unless it is for a page that reads publications only. Whether it was put.
    pub(super) fn put_answer(
        &mut self,
        io: &impl Effects,
        to: Recipient,
        event_id: Option<(&PipeName, Position)>,
        answer: &Answer,
    ) -> bool {
        if let Recipient::Page(conn, _) = to
            && !self.polls.takes_answers(conn)
        {
            return false;
        }
        let now = io.now().unix;
        self.put(io, to, event_id, |out| jsapi::encode_answer(answer, to.form(), now, PRODUCT, out));
        true
    }

    pub(super) fn put_publication(&mut self, io: &impl Effects, to: Recipient, publication: &Arc<Publication>) {
        match to {
            Recipient::Socket(_, browser) => append_publication(&mut self.scratch, browser, publication),
            Recipient::Page(conn, _) => {
                fan_out_to_polled(&mut self.polls, slice::from_ref(publication), conn, io.now().time);
            }
        }
    }

    /// What is put from now on goes to this recipient: behind what was put for the same connection before, as long as the
    /// letter is short. A command with a thousand names has a thousand answers, and a system call for each would be most of
    /// their price.
    pub(super) fn begin_letter(&mut self, io: &mut impl Effects, to: Recipient) {
        let conn = match to {
            Recipient::Socket(conn, _) => Some(conn),
            Recipient::Page(..) => None,
        };
        if conn.is_none() || self.letter_to != conn || self.scratch.len() >= LETTER_BYTES {
            self.send_letter(io);
            self.scratch.clear();
            self.letter_to = conn;
        }
    }

    /// What was put is on its way.
    pub(super) fn send_letter(&mut self, io: &mut impl Effects) {
        if let Some(conn) = self.letter_to.take()
            && !self.scratch.is_empty()
        {
            io.write(conn, &self.scratch);
        }
    }

    /// Sends one message that others get too, of which `frame` is the whole frame. Whether it was taken.
    pub(super) fn send_shared(&mut self, io: &mut impl Effects, to: Recipient, frame: &SharedBytes) -> bool {
        match to {
            Recipient::Page(conn, _) => self.polls.push_frame(conn, frame, io.now().time),
            Recipient::Socket(conn, browser) if browser.phase.is_events() => {
                self.scratch.clear();
                append(&mut self.scratch, browser, None, |out| out.extend_from_slice(ws::payload_of(frame)));
                io.write(conn, &self.scratch);
                io.can_send(conn)
            }
            Recipient::Socket(conn, _) => {
                io.write_shared(conn, frame);
                io.can_send(conn)
            }
        }
    }

    /// It may say more.
    pub(super) fn resume(&mut self, io: &mut impl Effects, conn: ConnId) {
        if conn.is_polled() {
            self.polls_resumed.push_back(conn);
        } else {
            io.resume(conn);
        }
    }
}

/// What waits to be sent, or to be acknowledged.
pub(super) fn queued_bytes(io: &impl Effects, polls: &Polls, conn: ConnId) -> usize {
    if conn.is_polled() { polls.queued_bytes(conn) } else { io.queued_bytes(conn) }
}
