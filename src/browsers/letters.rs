//! What goes to one connection and takes more than an answer: queues, personal messages, histories, what was missed.

use crate::hub::{Input, Subscribed};
use crate::jsapi::{self, HistoryEntry};
use crate::model::{
    Answer, ConnId, Marker, Personal, PipeKey, PipeName, ShardId, SharedBytes, Time, UnixTime, WireForm,
};
use crate::ring::{AskId, Flush, Replies, RingMessage};
use crate::storage::StoredMessage;
use crate::ws;

use super::PRODUCT;
use super::effects::Effects;
use super::fan_out::fan_out_to_polled;
use super::polls::Polls;
use super::recent::{Kind, Made, Messages, Shape};
use super::{Browser, Browsers, append, append_publication, browser};

/// Microseconds that a connection may take for one part of a queue.
const FLUSH_TIME_MAX: u64 = 5_000_000;

impl Browsers {
    pub(super) fn write_queue(&mut self, io: &mut impl Effects, mut flush: Box<Flush>, mut to: ShardId) {
        if let Some(form) = self.polls.form(flush.conn) {
            for StoredMessage { time, event, message, .. } in &flush.messages {
                self.scratch.clear();
                jsapi::encode_personal(event, message, Some(UnixTime(*time)), form, &mut self.scratch);
                self.polls.push_json(flush.conn, &self.scratch, io.now().time);
            }
            match self.polls.keep_flush(flush.conn, flush, to, io.now().time) {
                Ok(()) => return,
                Err(back) => (flush, to) = back,
            }
        }
        let conn = flush.conn;
        if let Some(browser) = browser(io, conn) {
            self.scratch.clear();
            for StoredMessage { time, event, message, .. } in &flush.messages {
                append(&mut self.scratch, browser, None, |out| {
                    jsapi::encode_personal(event, message, Some(UnixTime(*time)), browser.form, out);
                });
            }
            io.write(conn, &self.scratch);
        }
        let taken = io.can_send(conn);
        if taken && io.queued_bytes(conn) > 0 {
            // Taken is what the socket has. The next part waits for that too, so no queue makes a slow consumer by itself.
            let until = io.now().time + FLUSH_TIME_MAX;
            self.flushing.insert(conn, until, (flush, to));
            return io.tell_when_drained(conn);
        }
        self.hub.handle(Input::QueueWritten { flush, to, taken }, io.now());
    }

    pub(super) fn write_personal(
        &mut self,
        io: &mut impl Effects,
        personal: &Personal,
        conns: Vec<ConnId>,
        ask: AskId,
        to: ShardId,
    ) {
        let mut connections = 0;
        for conn in conns {
            let Some(browser) = browser(io, conn) else {
                if let Some(form) = self.polls.form(conn) {
                    let frame = personal.frame(form, |personal| jsapi::frame_personal(personal, form));
                    connections += u32::from(self.polls.push_frame(conn, frame, io.now().time));
                }
                continue;
            };
            let form = browser.form;
            let frame = personal.frame(form, |personal| jsapi::frame_personal(personal, form));
            if browser.phase.is_events() {
                self.scratch.clear();
                append(&mut self.scratch, browser, None, |out| out.extend_from_slice(ws::payload_of(frame)));
                io.write(conn, &self.scratch);
            } else {
                io.write_shared(conn, frame);
            }
            connections += u32::from(io.can_send(conn));
        }
        self.hub.handle(Input::PersonalWritten { ask, to, connections }, io.now());
    }

    pub(super) fn write_history(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        key: &PipeKey,
        marker: Marker,
        messages: &[StoredMessage],
    ) {
        let browser = browser(io, conn);
        let now = io.now().time;
        let Some(form) = browser.map(|browser| browser.form).or_else(|| self.polls.form(conn)) else { return };
        let told = Told { key, form, kind: Kind::Log(Some(marker).filter(|_| form == WireForm::Legacy)) };
        let Some(browser) = browser else { return self.push_told(conn, &told, messages, now) };
        if let Some(bytes) = self.made(&told, browser, messages, now) {
            return io.write_shared(conn, &bytes);
        }
        self.scratch.clear();
        told.append(browser, messages, &mut self.scratch);
        io.write(conn, &self.scratch);
    }

    /// A long answer, made once for everybody who asks for the same; `None`: it is none.
    fn made(
        &mut self,
        told: &Told<'_>,
        browser: Browser,
        messages: &[StoredMessage],
        now: Time,
    ) -> Option<SharedBytes> {
        let length: usize = messages.iter().map(StoredMessage::bytes).sum();
        let which = Messages::of(messages).filter(|_| length >= SHARED_MIN)?;
        let shape = if browser.phase.is_events() { Shape::Events } else { Shape::Frames };
        Some(self.recent.get(told.made(shape, which), now, || {
            let mut bytes = Vec::with_capacity(length * 2);
            told.append(browser, messages, &mut bytes);
            bytes.into()
        }))
    }

    /// For a connection without a socket, which acknowledges message by message: each made once for everybody.
    fn push_told(&mut self, conn: ConnId, told: &Told<'_>, messages: &[StoredMessage], now: Time) {
        for message in messages {
            let Some(which) = Messages::of(std::slice::from_ref(message)) else { continue };
            let json = self.recent.get(told.made(Shape::Json, which), now, || {
                let mut json = Vec::new();
                told.encode(message, &mut json);
                json.into()
            });
            self.polls.push_shared(conn, &json, now);
        }
    }

    /// What it missed, the answer, and what came meanwhile.
    pub(super) fn write_subscribed(&mut self, io: &mut impl Effects, subscribed: Subscribed) {
        let Subscribed { conn, key, missed, answer, live } = subscribed;
        let now = io.now();
        self.counters.answers += 1;
        let Some(browser) = browser(io, conn) else {
            let Some(form) = self.polls.form(conn) else { return };
            self.push_told(conn, &Told { key: &key, form, kind: Kind::Missed }, &missed, now.time);
            if self.polls.takes_answers(conn) {
                self.scratch.clear();
                jsapi::encode_answer(&answer, form, now.unix, PRODUCT, &mut self.scratch);
                self.polls.push_json(conn, &self.scratch, now.time);
            }
            return fan_out_to_polled(&mut self.polls, &live, conn, now.time);
        };
        let form = browser.form;
        let told = Told { key: &key, form, kind: Kind::Missed };
        self.scratch.clear();
        match self.made(&told, browser, &missed, now.time) {
            Some(bytes) => io.write_shared(conn, &bytes),
            None => told.append(browser, &missed, &mut self.scratch),
        }
        let event_id = match &answer {
            Answer::Subscribed { pipe, position, .. } => position.map(|position| (pipe, position)),
            _ => None,
        };
        append(&mut self.scratch, browser, event_id, |out| {
            jsapi::encode_answer(&answer, form, now.unix, PRODUCT, out);
        });
        for publication in &live {
            append_publication(&mut self.scratch, browser, publication);
        }
        io.write(conn, &self.scratch);
    }
}

/// Messages of a history, as one browser is told of them.
struct Told<'a> {
    key: &'a PipeKey,
    form: WireForm,
    kind: Kind,
}

impl Told<'_> {
    fn made(&self, shape: Shape, messages: Messages) -> Made {
        let Self { key, form, kind } = self;
        Made { dev: key.dev, pipe: key.name.clone(), form: *form, kind: kind.clone(), shape, messages }
    }

    fn append(&self, browser: Browser, messages: &[StoredMessage], out: &mut Vec<u8>) {
        for message in messages {
            let position = message.id.position().filter(|_| self.kind == Kind::Missed);
            let event_id = position.map(|position| (&self.key.name, position));
            append(out, browser, event_id, |out| self.encode(message, out));
        }
    }

    fn encode(&self, message: &StoredMessage, out: &mut Vec<u8>) {
        let entry = history_entry(&self.key.name, message);
        match &self.kind {
            Kind::Missed => jsapi::encode_missed(&entry, self.form, out),
            Kind::Log(marker) => jsapi::encode_history(&entry, &marker.clone().unwrap_or_default(), self.form, out),
        }
    }
}

/// What waits to be sent is known here only.
pub(super) fn fill_in_queues(io: &impl Effects, polls: &Polls, message: &mut RingMessage) {
    if let RingMessage::Answered(answered) = message
        && let Replies::Connections { connections, .. } = &mut answered.replies
    {
        for connection in connections {
            let conn = connection.conn;
            let queued = if conn.is_polled() { polls.queued_bytes(conn) } else { io.queued_bytes(conn) };
            connection.queued_bytes = queued as u64;
        }
    }
}

/// Bytes of messages from which on an answer is worth a look whether somebody else has just been given it.
const SHARED_MIN: usize = 16 * 1024;

fn history_entry<'a>(pipe: &'a PipeName, message: &'a StoredMessage) -> HistoryEntry<'a> {
    let StoredMessage { id, time, event, message, sender } = message;
    let (event, time) = (event.as_str(), UnixTime(*time));
    HistoryEntry { pipe, event, message, sender: *sender, time, position: id.position() }
}
