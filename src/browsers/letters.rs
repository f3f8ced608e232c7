//! What goes to one connection and takes more than an answer: queues, personal messages, histories, what was missed.

use crate::hub::{Input, Subscribed};
use crate::jsapi::{self, HistoryEntry};
use crate::model::{
    Answer, ConnId, Marker, Personal, PipeKey, PipeName, ShardId, SharedBytes, Time, UnixTime, WireForm,
};
use crate::ring::{AskId, Flush};
use crate::storage::StoredMessage;

use super::effects::Effects;
use super::recent::{Kind, Made, Messages, Shape};
use super::recipient::Recipient;
use super::{Browser, Browsers, append};

/// Microseconds that a connection may take for one part of a queue.
const FLUSH_TIME_MAX: u64 = 5_000_000;

impl Browsers {
    pub(super) fn write_queue(&mut self, io: &mut impl Effects, mut flush: Box<Flush>, mut to: ShardId) {
        let conn = flush.conn;
        let recipient = self.recipient(io, conn);
        if let Some(recipient) = recipient {
            self.begin_letter(io, recipient);
            for StoredMessage { time, event, message, .. } in &flush.messages {
                let time = Some(UnixTime(*time));
                self.put(io, recipient, None, |out| {
                    jsapi::encode_personal(event, message, time, recipient.form(), out);
                });
            }
            self.send_letter(io);
        }
        if let Some(Recipient::Page(..)) = recipient {
            match self.polls.keep_flush(conn, flush, to, io.now().time) {
                Ok(()) => return,
                Err(back) => (flush, to) = back,
            }
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
            let Some(recipient) = self.recipient(io, conn) else { continue };
            let form = recipient.form();
            let frame = personal.frame(form, |personal| jsapi::frame_personal(personal, form));
            connections += u32::from(self.send_shared(io, recipient, frame));
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
        let Some(to) = self.recipient(io, conn) else { return };
        let form = to.form();
        let kind = Kind::Log(Some(marker).filter(|_| form == WireForm::Legacy));
        self.begin_letter(io, to);
        self.put_told(io, to, &Told { key, form, kind }, messages);
        self.send_letter(io);
    }

    /// Puts messages of a history, which come first. A long answer is sent at once, as it is made for everybody.
    fn put_told(&mut self, io: &mut impl Effects, to: Recipient, told: &Told<'_>, messages: &[StoredMessage]) {
        let now = io.now().time;
        match to {
            Recipient::Page(conn, _) => self.push_told(conn, told, messages, now),
            Recipient::Socket(conn, browser) => match self.made(told, browser, messages, now) {
                Some(bytes) => {
                    self.send_letter(io);
                    io.write_shared(conn, &bytes);
                    self.begin_letter(io, to);
                }
                None => told.append(browser, messages, &mut self.scratch),
            },
        }
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
        self.counters.answers += 1;
        let Some(to) = self.recipient(io, conn) else { return };
        self.begin_letter(io, to);
        self.put_told(io, to, &Told { key: &key, form: to.form(), kind: Kind::Missed }, &missed);
        let event_id = match &answer {
            Answer::Subscribed { pipe, position, .. } => position.map(|position| (pipe, position)),
            _ => None,
        };
        self.put_answer(io, to, event_id, &answer);
        for publication in &live {
            self.put_publication(io, to, publication);
        }
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

/// Bytes of messages from which on an answer is worth a look whether somebody else has just been given it.
const SHARED_MIN: usize = 16 * 1024;

fn history_entry<'a>(pipe: &'a PipeName, message: &'a StoredMessage) -> HistoryEntry<'a> {
    let StoredMessage { id, time, event, message, sender, expires: _ } = message;
    let (event, time) = (event.as_str(), UnixTime(*time));
    HistoryEntry { pipe, event, message, sender: *sender, time, position: id.position() }
}
