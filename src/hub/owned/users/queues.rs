//! The offline queues of users, and how a connection is given one.
//!
//! A connection that logs in is given what is in the user's queue, in pieces, and is *registered* with the last one: from
//! then on it gets personal messages as they come. While storage is read for one of the user's connections, personal
//! messages are held here; so the queue comes before them, and nothing comes twice or falls between. The reading itself waits
//! for the messages that are on their way to the user's other connections: one of these may be gone, and what it did not take
//! comes back and is queued. Read before that, the queue would give it to the new connection behind what is newer.
//!
//! ```text
//!  UserCame --> waiting --all are taken or queued--> reading
//!
//!  reading --Flush, more to come--> written --Flushed--> reading ...
//!     |                                 | not taken: as above, for another connection
//!     +--Flush, the last: registered--> written --Flushed--> (nothing under way)
//! ```
//!
//! A message is taken off the queue when a connection has taken it, and put there when none has. Reports never cause
//! messages on rings but replies, only work for storage: what follows from them is sent when storage has answered.

use crate::model::{ConnId, MessageId, Now, ShardId, UserId};
use crate::ring::{Flush, Refusal, RingMessage, StatementId};
use crate::storage::{Completion, Outcome, Page, Place, Read, StorageError, StoredMessage, Write};

use super::super::super::effects::{Asker, Effects};
use super::super::pipes::shrink;
use super::personal::PersonalMessage;
use super::{Device, DeviceState, Users, Who};

/// What storage was asked for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A page of the queue.
    Queue(Who),
    /// To put a message into it.
    Queued { who: Who, sender: (ShardId, StatementId) },
    /// To delete messages that were taken.
    TakenOff { who: Who, ids: Vec<MessageId> },
}

/// A connection is being given the queue.
#[derive(Debug)]
pub(super) struct Flushing {
    shard: ShardId,
    conn: ConnId,
    pub(super) step: Step,
    /// Something was put into the queue that the reading may have missed.
    again: bool,
    /// Personal messages that came meanwhile.
    pub(super) held: Vec<PersonalMessage>,
    pub(super) held_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Storage is asked when it is known what became of all that is on its way to the user.
    Waiting,
    /// Storage was asked.
    Reading,
    /// The connection's shard is to report, and more is to come before anything new.
    Part,
    /// The connection's shard is to report, and was given everything: what is new follows.
    Last,
}

impl Flushing {
    fn is_written(&self) -> bool {
        matches!(self.step, Step::Part | Step::Last)
    }

    /// Whether no other connection gets personal messages.
    pub(super) fn is_alone(&self, devices: &[Device]) -> bool {
        let is_another = |device: &Device| !device.is(self.shard, self.conn);
        !devices.iter().any(|device| device.state == DeviceState::Registered && is_another(device))
    }

    fn take_held(&mut self) -> Vec<PersonalMessage> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}

impl Users {
    /// Reads the queue for the first connection that has not been given it, if nothing is under way.
    pub(super) fn start_flush(&mut self, who: Who, effects: &mut Effects) {
        if self.flushes.contains_key(&who) {
            return;
        }
        let Some(entry) = self.here.get(&who) else { return };
        let registered = entry.devices.iter().filter(|device| device.state == DeviceState::Registered).count();
        let next = entry.devices.iter().find(|device| device.state == DeviceState::New).copied();
        if let Some(device) = next.filter(|_| registered < self.config.devices_max) {
            self.read_queue(who, device, Vec::new(), None, effects);
        }
    }

    fn read_queue(
        &mut self,
        who: Who,
        device: Device,
        held: Vec<PersonalMessage>,
        after: Option<Place>,
        effects: &mut Effects,
    ) {
        let Device { shard, conn, .. } = device;
        let before = self.flushes.get(&who);
        // Reading from the beginning finds everything that is there by now.
        let again = after.is_some() && before.is_some_and(|flush| flush.again);
        let held_bytes = held.iter().map(PersonalMessage::bytes).sum();
        // Nothing new is sent to the user until then, so this does not last.
        let waits = after.is_none() && self.sent_to.contains_key(&who);
        let step = if waits { Step::Waiting } else { Step::Reading };
        self.flushes.insert(who, Flushing { shard, conn, step, again, held, held_bytes });
        if !waits {
            self.ask_for_queue(who, after, effects);
        }
    }

    pub(super) fn ask_for_queue(&mut self, who: Who, after: Option<Place>, effects: &mut Effects) {
        if let Some(ids) = self.undeleted.take(who) {
            self.take_off(who, ids, effects);
        }
        let (dev, user) = who;
        let ticket = effects.read(Asker::Users, Read::Queue { dev, user, after, page: FLUSH_PAGE });
        self.waiting.insert(ticket.0, Waiting::Queue(who));
    }

    pub(in super::super) fn stored(&mut self, completion: Completion, now: Now, effects: &mut Effects) {
        match (self.waiting.remove(&completion.ticket.0), completion.result) {
            (Some(Waiting::Queue(who)), result) => self.queue_read(who, result, now, effects),
            (Some(Waiting::Queued { who, sender }), result) => self.queued(who, sender, result, effects),
            (Some(Waiting::TakenOff { who, ids }), Err(_)) => self.not_taken_off(who, ids, now, effects),
            (Some(Waiting::TakenOff { .. }), Ok(_)) => {}
            (None, _) => never!("storage answers each job of a user once"),
        }
    }

    /// Storage says what waits for the user.
    fn queue_read(&mut self, who: Who, result: Result<Outcome, StorageError>, now: Now, effects: &mut Effects) {
        let (Some(entry), Some(flush)) = (self.here.get_mut(&who), self.flushes.get_mut(&who)) else {
            return never!("a user stays while the queue is read");
        };
        if flush.step != Step::Reading {
            return never!("a queue is read once at a time");
        }
        let (shard, conn) = (flush.shard, flush.conn);
        let Some(device) = entry.devices.iter_mut().find(|device| device.is(shard, conn)) else {
            return self.flush_another(who, effects);
        };
        // If storage does not answer, the messages stay where they are, and are looked for again; those that come meanwhile
        // are delivered all the same.
        let (mut messages, more) = if let Ok(Outcome::Messages { rows, more }) = result {
            (rows, more)
        } else {
            self.unread.insert(who);
            self.retry_at.get_or_insert(now.time + RETRY_AFTER);
            (Vec::new(), false)
        };
        let last = messages.last().map(StoredMessage::place);
        // Storage answers in order: what it failed to take off before this reading is known by now.
        self.undeleted.leave_out(who, &mut messages);
        if more && messages.is_empty() {
            let (device, held) = (*device, flush.take_held());
            return self.read_queue(who, device, held, last, effects);
        }
        flush.step = if more { Step::Part } else { Step::Last };
        if !more {
            device.state = DeviceState::Registered;
        }
        self.hand_out(who, shard, conn, messages, more, effects);
    }

    /// The connection is given a part of the queue, and with the last part what was held meanwhile.
    fn hand_out(
        &mut self,
        who: Who,
        shard: ShardId,
        conn: ConnId,
        messages: Vec<StoredMessage>,
        more: bool,
        effects: &mut Effects,
    ) {
        let ((dev, user), nothing) = (who, messages.is_empty());
        let flush = Flush { dev, user, conn, messages, register: !more, end: None };
        effects.send(shard, RingMessage::Flush(Box::new(flush)));
        // What is held is behind what is still in the queue. Without another connection the queue is where it goes, and comes
        // from.
        let is_alone = match (self.here.get(&who), self.flushes.get(&who)) {
            (Some(user), Some(flush)) => flush.is_alone(&user.devices),
            _ => false,
        };
        if !more || is_alone {
            for message in self.take_held(who) {
                if more {
                    self.queue(who, message, effects);
                } else {
                    self.deliver(who, message, effects);
                }
            }
        }
        if nothing {
            self.end_flush(who, effects);
        }
    }

    /// Takes out what was held for the user.
    fn take_held(&mut self, who: Who) -> Vec<PersonalMessage> {
        let held = self.flushes.get_mut(&who).map(Flushing::take_held).unwrap_or_default();
        self.held_bytes -= held.iter().map(PersonalMessage::bytes).sum::<usize>();
        held
    }

    /// The connection that was given messages says whether it has taken them.
    pub(in super::super) fn flushed(&mut self, from: ShardId, flush: Flush, taken: bool, effects: &mut Effects) {
        let Flush { dev, user, conn, messages, register, .. } = flush;
        let who = (dev, user);
        let last = messages.last().map(StoredMessage::place);
        if taken {
            let ids = messages.iter().map(|message| message.id).collect();
            self.take_off(who, ids, effects);
        }
        // Gone, or passed over for another one meanwhile.
        let (Some(entry), Some(state)) = (self.here.get_mut(&who), self.flushes.get_mut(&who)) else { return };
        if !state.is_written() || state.conn != conn {
            return;
        }
        match (taken, register) {
            (true, true) => self.end_flush(who, effects),
            (true, false) => {
                let (device, held) = (Device { shard: from, conn, state: DeviceState::New }, state.take_held());
                self.read_queue(who, device, held, last, effects);
            }
            (false, _) => {
                for device in entry.devices.iter_mut().filter(|device| device.is(from, conn)) {
                    device.state = DeviceState::Leaving;
                }
                self.flush_another(who, effects);
            }
        }
    }

    /// A connection has been given everything: the next one's turn.
    fn end_flush(&mut self, who: Who, effects: &mut Effects) {
        let again = self.take_flush(who).is_some_and(|flush| flush.again);
        let Some(entry) = self.here.get(&who) else { return };
        if entry.devices.is_empty() {
            return self.forget(who);
        }
        self.start_flush(who, effects);
        if again {
            self.flush_registered(who, effects);
        }
    }

    fn take_flush(&mut self, who: Who) -> Option<Flushing> {
        let flush = self.flushes.remove(&who);
        shrink(&mut self.flushes);
        flush
    }

    /// Something was queued although the user is here: for one of the registered connections.
    fn flush_registered(&mut self, who: Who, effects: &mut Effects) {
        let Some(entry) = self.here.get(&who) else { return };
        if let Some(flush) = self.flushes.get_mut(&who) {
            flush.again = true;
            return;
        }
        let registered = entry.devices.iter().find(|device| device.state == DeviceState::Registered).copied();
        if let Some(device) = registered {
            self.read_queue(who, device, Vec::new(), None, effects);
        }
    }

    /// The connection under way is gone: its messages are for another one, or stay.
    fn flush_another(&mut self, who: Who, effects: &mut Effects) {
        let held = self.take_flush(who).map(|flush| flush.held).unwrap_or_default();
        if let Some(entry) = self.here.get(&who) {
            let with = |state| entry.devices.iter().find(move |device| device.state == state).copied();
            if let Some(device) = with(DeviceState::New).or_else(|| with(DeviceState::Registered)) {
                return self.read_queue(who, device, held, None, effects);
            }
            if entry.devices.is_empty() {
                self.forget(who);
            }
        }
        self.held_bytes -= held.iter().map(PersonalMessage::bytes).sum::<usize>();
        for message in held {
            self.queue(who, message, effects);
        }
    }

    // Putting in and taking off

    pub(super) fn queue(&mut self, who: Who, message: PersonalMessage, effects: &mut Effects) {
        let PersonalMessage { id, time, expires, personal, sender } = message;
        let ((dev, user), event, message) = (who, personal.event.clone(), personal.message.clone());
        let message = StoredMessage { id, time, event, message, sender: UserId::ANONYMOUS, expires };
        let ticket = effects.write(Asker::Users, Write::PutQueued { dev, user, message });
        self.waiting.insert(ticket.0, Waiting::Queued { who, sender });
    }

    fn queued(
        &mut self,
        who: Who,
        (to, statement): (ShardId, StatementId),
        result: Result<Outcome, StorageError>,
        effects: &mut Effects,
    ) {
        match result {
            Ok(_) => {
                effects.counters.personal_queued += 1;
                effects.send(to, RingMessage::Accepted { statement, rows: 0 });
            }
            Err(error) => {
                let refusal = Box::new(Refusal::Storage(error));
                effects.send(to, RingMessage::Refused { statement, refusal });
            }
        }
        self.flush_registered(who, effects);
    }

    fn take_off(&mut self, who: Who, ids: Vec<MessageId>, effects: &mut Effects) {
        let (dev, user) = who;
        let ticket = effects.write(Asker::Users, Write::DeleteQueued { dev, user, ids: ids.clone() });
        self.waiting.insert(ticket.0, Waiting::TakenOff { who, ids });
    }

    /// They would come again with the next login, so they are remembered until then.
    fn not_taken_off(&mut self, who: Who, ids: Vec<MessageId>, now: Now, effects: &mut Effects) {
        self.retry_later(now);
        let count = ids.len() as u64;
        if !self.undeleted.add(who, ids) {
            effects.counters.repeats_possible += count;
        }
    }

    // Trying again

    fn retry_later(&mut self, now: Now) {
        self.retry_at.get_or_insert(now.time + RETRY_AFTER);
    }

    /// Tries again what storage did not do.
    pub(super) fn retry_queues(&mut self, now: Now, effects: &mut Effects) {
        if self.retry_at.is_none_or(|at| at > now.time) {
            return;
        }
        self.retry_at = None;
        let unread: Vec<Who> = self.unread.iter().take(RETRIES_AT_A_TIME).copied().collect();
        for who in unread {
            self.unread.remove(&who);
            self.flush_registered(who, effects);
        }
        let undeleted: Vec<Who> = self.undeleted.users().take(RETRIES_AT_A_TIME).collect();
        for who in undeleted {
            if let Some(ids) = self.undeleted.take(who) {
                self.take_off(who, ids, effects);
            }
        }
        if !self.unread.is_empty() || !self.undeleted.is_empty() {
            self.retry_later(now);
        }
    }
}

/// Microseconds until storage is asked again for what it did not do, and users asked for at a time.
const RETRY_AFTER: u64 = 1_000_000;
const RETRIES_AT_A_TIME: usize = 256;

/// What one connection is given of a queue at a time. Far below what makes a consumer slow.
const FLUSH_PAGE: Page = Page { rows: 128, bytes: 64 * 1024 };
