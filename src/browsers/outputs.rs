//! What the hub wants done, and how a message is written to a connection.

use crate::hub::{Input, Output};
use crate::jsapi;
use crate::model::{Answer, ConnId, PipeName, Position, Publication, SharedBytes, WireForm};
use crate::ring::{Replies, RingMessage};
use crate::{http, ws};

use super::effects::Effects;
use super::fan_out::fan_out;
use super::{Browser, Browsers};

impl Browsers {
    pub(super) fn input(&mut self, io: &mut impl Effects, input: Input) {
        self.hub.handle(input, io.now());
        self.carry_out(io);
        if self.hub.is_full() {
            io.hold(true);
        }
    }

    pub(super) fn carry_out(&mut self, io: &mut impl Effects) {
        while let Some(output) = self.hub.poll_output() {
            if output.writes_alone() {
                self.send_letter(io);
            }
            match output {
                Output::Admitted { conn, address, wait_s } => self.admission_known(io, conn, address, wait_s),
                Output::Answer { conn, answer } => self.put_in_letter(io, conn, &answer),
                Output::FanOut { publications, conns } => {
                    fan_out(io, &mut self.polls, &mut self.deflater, &publications, conns);
                }
                Output::Ring { to, mut message } => {
                    if let RingMessage::Answered(answered) = &mut message
                        && let Replies::Connections { connections, .. } = &mut answered.replies
                    {
                        self.fill_in(io, connections);
                    }
                    io.send(to, message);
                }
                Output::Queue { flush, to } => self.write_queue(io, flush, to),
                Output::Personal { personal, conns, ask, to } => self.write_personal(io, &personal, conns, ask, to),
                Output::Subscribed(subscribed) => self.write_subscribed(io, *subscribed),
                Output::History { conn, key, marker, messages } => {
                    self.write_history(io, conn, &key, marker, &messages);
                }
                Output::RingAfterFanOut { to, message } => self.deferred.push_back((to, message)),
                Output::Store(job) => self.store(io, job, None),
                Output::Ask { job, address } => self.store(io, job, Some(address)),
                Output::KeysGuessed { address, wrong } => io.keys_guessed(address, wrong),
                Output::Close { conn, reason } => self.dismiss(io, conn, reason),
                Output::Resume { conn } => self.resume(io, conn),
            }
        }
        self.send_letter(io);
    }

    pub(super) fn answer(&mut self, io: &mut impl Effects, conn: ConnId, answer: &Answer) {
        self.put_in_letter(io, conn, answer);
        self.send_letter(io);
    }

    /// Puts an answer into the letter to the connection; [`send_letter`](Self::send_letter) sends it.
    pub(super) fn put_in_letter(&mut self, io: &mut impl Effects, conn: ConnId, answer: &Answer) {
        let Some(to) = self.recipient(io, conn) else { return };
        self.begin_letter(io, to);
        if let Some((_, head)) = self.head_of.take_if(|(owner, _)| *owner == conn) {
            self.scratch.extend_from_slice(&head);
        }
        if self.put_answer(io, to, None, answer) {
            self.counters.answers += 1;
        }
    }
}

impl Output {
    /// Whether it may write to connections without the letter, whose bytes come before.
    fn writes_alone(&self) -> bool {
        match self {
            Self::Answer { .. }
            | Self::Subscribed(_)
            | Self::Ring { .. }
            | Self::RingAfterFanOut { .. }
            | Self::Store(_)
            | Self::Ask { .. }
            | Self::KeysGuessed { .. }
            | Self::Resume { .. } => false,
            Self::Admitted { .. }
            | Self::FanOut { .. }
            | Self::Queue { .. }
            | Self::Personal { .. }
            | Self::History { .. }
            | Self::Close { .. } => true,
        }
    }
}

pub(super) fn append_publication(out: &mut Vec<u8>, browser: Browser, publication: &Publication) {
    let frame = frame(publication, browser.form);
    let event_id = publication.kept.then_some((&publication.pipe.name, publication.position));
    append(out, browser, event_id, |out| out.extend_from_slice(ws::payload_of(&frame)));
}

/// Appends one message as the connection's transport wants it. `event_id` is where it stands in a history.
pub(super) fn append(
    out: &mut Vec<u8>,
    browser: Browser,
    event_id: Option<(&PipeName, Position)>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    if browser.phase.is_events() {
        let event_id = event_id.map(|(pipe, position)| format!("{pipe}:{position}"));
        http::append_event(out, event_id.as_deref(), write);
    } else {
        ws::append_text_frame(out, write);
    }
}

pub(super) fn frame(publication: &Publication, form: WireForm) -> SharedBytes {
    publication.frame(form, |publication| jsapi::frame_publication(publication, form)).clone()
}
