//! Personal messages on their way to a user: to all connections that are registered, or into the queue if there are none.
//!
//! The shard of the connections says how many took the message. When none did, it goes into the queue; so a message is
//! acknowledged when somebody has it on the way or when it is stored.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::model::{MessageId, Now, Personal, Position, ShardId};
use crate::ring::{AskId, Refusal, RingMessage, Send, StatementId};
use crate::storage::{StorageError, expires};

use super::super::super::effects::Effects;
use super::queues::Step;
use super::{DeviceState, Users, Who};

/// A personal message, and the statement that waits for it.
#[derive(Debug)]
pub(super) struct PersonalMessage {
    pub(super) id: MessageId,
    pub(super) time: i64,
    /// As in storage.
    pub(super) expires: i64,
    pub(super) personal: Arc<Personal>,
    pub(super) sender: (ShardId, StatementId),
}

impl PersonalMessage {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.personal.event.as_str().len() + self.personal.message.len()
    }
}

/// A message that shards have been given.
#[derive(Debug)]
pub(super) struct Sent {
    who: Who,
    message: PersonalMessage,
    shards_left: usize,
    taken: u32,
}

/// Personal messages to one user that wait while a connection is given the queue; beyond, they are refused.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Users {
    /// Its place among everything for the user is given already.
    pub(in super::super) fn send_personal(
        &mut self,
        from: ShardId,
        send: Send,
        position: Position,
        id: MessageId,
        now: Now,
        effects: &mut Effects,
    ) {
        let Send { dev, user, personal, expires_in, statement } = send;
        let (time, expires) = (position.time().0, expires(now.unix, expires_in));
        let message = PersonalMessage { id, time, expires, personal, sender: (from, statement) };
        self.deliver((dev, user), message, effects);
    }

    /// To the registered connections; to the queue if there are none.
    pub(super) fn deliver(&mut self, who: Who, message: PersonalMessage, effects: &mut Effects) {
        let is_flushed = self.flushes.get(&who).is_some_and(|flush| flush.step != Step::Last);
        if is_flushed && self.here.contains_key(&who) {
            return self.hold(who, message, effects);
        }
        let shards = self.registered_shards(who);
        if shards.is_empty() {
            return self.queue(who, message, effects);
        }
        let ask = effects.ask_id();
        for shard in &shards {
            let (dev, user) = who;
            effects.send(*shard, RingMessage::Personal { dev, user, personal: message.personal.clone(), ask });
        }
        self.sent.insert(ask, Sent { who, message, shards_left: shards.len(), taken: 0 });
        *self.sent_to.entry(who).or_default() += 1;
    }

    /// Each shard with registered connections once.
    fn registered_shards(&self, who: Who) -> Vec<ShardId> {
        let devices = self.here.get(&who).map(|user| &*user.devices).unwrap_or_default();
        let registered = devices.iter().filter(|device| device.state == DeviceState::Registered);
        let mut shards: Vec<ShardId> = registered.map(|device| device.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// The user is being given the queue, which comes first.
    fn hold(&mut self, who: Who, message: PersonalMessage, effects: &mut Effects) {
        let (Some(user), Some(flush)) = (self.here.get(&who), self.flushes.get_mut(&who)) else {
            return never!("a message is held for a user who is being given the queue");
        };
        if flush.step == Step::Part && flush.is_alone(&user.devices) && flush.held.is_empty() {
            // Whoever takes the queue slowly finds it there, and nobody waits for that.
            return self.queue(who, message, effects);
        }
        let bytes = message.bytes();
        if flush.held_bytes + bytes > HELD_BYTES_MAX {
            let (to, statement) = message.sender;
            let refusal = Box::new(Refusal::Storage(StorageError::Overloaded));
            return effects.send(to, RingMessage::Refused { statement, refusal });
        }
        flush.held_bytes += bytes;
        self.held_bytes += bytes;
        flush.held.push(message);
    }

    /// A shard says how many connections took a message.
    pub(in super::super) fn personal_taken(&mut self, ask: AskId, connections: u32, effects: &mut Effects) {
        let Entry::Occupied(mut sent) = self.sent.entry(ask) else {
            return never!("each shard says once what became of a message");
        };
        let Sent { shards_left, taken, .. } = sent.get_mut();
        *taken += connections;
        *shards_left -= 1;
        if *shards_left > 0 {
            return;
        }
        let Sent { who, message, taken, .. } = sent.remove();
        if taken == 0 {
            self.queue(who, message, effects);
        } else {
            let (to, statement) = message.sender;
            effects.counters.personal_deliveries += u64::from(taken);
            effects.send(to, RingMessage::Accepted { statement, rows: 0 });
        }
        self.sent_is_known(who, effects);
    }

    /// What became of a message is known; after the last one the queue is read, if that waits for it.
    fn sent_is_known(&mut self, who: Who, effects: &mut Effects) {
        let Entry::Occupied(mut count) = self.sent_to.entry(who) else {
            return never!("a message that is known was on its way");
        };
        *count.get_mut() -= 1;
        if *count.get() > 0 {
            return;
        }
        count.remove();
        if let Some(flush) = self.flushes.get_mut(&who).filter(|flush| flush.step == Step::Waiting) {
            flush.step = Step::Reading;
            self.ask_for_queue(who, None, effects);
        }
    }
}
