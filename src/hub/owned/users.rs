//! The users this shard owns: where their connections are, and what waits for them.
//!
//! A connection that logs in is given what is in the user's queue, in pieces, and is *registered* with the last one: from
//! then on it gets personal messages as they come. While storage is read for one of the user's connections, personal
//! messages wait here; so the queue comes before them, and nothing comes twice or falls between. The reading itself waits
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

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{
    CloseReason, ConnId, DevId, EventName, MessageId, Now, Personal, PipeKey, PipeName, Publication, PublicationKind,
    ShardId, Time, UnixTime, UserId,
};
use crate::storage::{Job, Outcome, Page, Place, Read, Request, StorageError, StoredMessage, Write};

use super::super::few::Few;
use super::super::{Hub, Output, Waiting};
use super::leaving::Leaving;
use super::pipes::shrink;
use crate::ring::{AskId, Flush, Refusal, Send};
use crate::ring::{RingMessage, StatementId};

/// A connection of a user, on whichever shard.
#[derive(Clone, Copy, Debug)]
struct Device {
    shard: ShardId,
    conn: ConnId,
    state: DeviceState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceState {
    /// Was not given the queue yet, or is one too many.
    New,
    Registered,
    /// Did not take what it was given, so its end is about to be told.
    Leaving,
}

impl Device {
    fn is(&self, shard: ShardId, conn: ConnId) -> bool {
        (self.shard, self.conn) == (shard, conn)
    }
}

const _: () = assert!(size_of::<OwnedUser>() <= 16, "a user who is here must stay small");

#[derive(Debug, Default)]
struct OwnedUser {
    /// In the order in which they came; never empty, unless a flush is under way.
    devices: Few<Device>,
}

/// A connection is being given the queue.
#[derive(Debug)]
struct Flushing {
    shard: ShardId,
    conn: ConnId,
    step: Step,
    /// Something was put into the queue that the reading may have missed.
    again: bool,
    /// Personal messages that came meanwhile.
    held: Vec<Letter>,
    held_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Storage is asked when it is known what became of all that is on its way to the user.
    Waiting,
    /// Storage was asked.
    Reading,
    /// The connection's shard is to report, and more is to come before anything new.
    Part,
    /// The connection's shard is to report, and was given everything: what is new follows.
    Last,
}

/// A personal message on its way.
#[derive(Debug)]
pub(in crate::hub) struct Letter {
    id: MessageId,
    time: i64,
    personal: Arc<Personal>,
    sender: (ShardId, StatementId),
}

impl Letter {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.personal.event.as_str().len() + self.personal.message.len()
    }
}

/// A letter that shards have been given.
#[derive(Debug)]
struct Sent {
    dev: DevId,
    user: UserId,
    letter: Letter,
    shards_left: usize,
    taken: u32,
}

#[derive(Debug)]
pub(in crate::hub) struct Mailboxes {
    users: HashMap<(DevId, UserId), OwnedUser, RandomState>,
    /// Of those who are given their queues now.
    flushes: HashMap<(DevId, UserId), Flushing, RandomState>,
    /// No more than statements are under way.
    sent: HashMap<AskId, Sent, RandomState>,
    /// How many of these are to whom.
    sent_to: HashMap<(DevId, UserId), u32, RandomState>,
    devices: usize,
    pub(in crate::hub) leaving: Leaving,
    /// Messages that connections have taken, but storage did not take off the queue. They are not for another one.
    undeleted: HashMap<(DevId, UserId), BTreeSet<MessageId>, RandomState>,
    undeleted_count: usize,
    /// Users of whom a reading of the queue failed.
    unread: HashSet<(DevId, UserId), RandomState>,
    /// When to try again what storage did not do.
    retry_at: Option<Time>,
    /// Of all letters that are held.
    held_bytes: usize,
}

impl Mailboxes {
    pub(in crate::hub) fn new(hasher: RandomState) -> Self {
        Self {
            users: HashMap::with_hasher(hasher.clone()),
            flushes: HashMap::with_hasher(hasher.clone()),
            sent: HashMap::with_hasher(hasher.clone()),
            sent_to: HashMap::with_hasher(hasher.clone()),
            devices: 0,
            leaving: Leaving::new(hasher.clone()),
            undeleted: HashMap::with_hasher(hasher.clone()),
            undeleted_count: 0,
            unread: HashSet::with_hasher(hasher),
            retry_at: None,
            held_bytes: 0,
        }
    }

    pub(in crate::hub) fn next_deadline(&self) -> Option<Time> {
        self.retry_at
    }

    fn retry_later(&mut self, now: Now) {
        self.retry_at.get_or_insert(now.time + RETRY_AFTER);
    }

    pub(in crate::hub) fn bytes(&self) -> usize {
        self.users.capacity() * (size_of::<((DevId, UserId), OwnedUser)>() + 1)
            + self.flushes.capacity() * size_of::<((DevId, UserId), Flushing)>()
            + self.devices.saturating_sub(self.users.len()) * size_of::<Device>()
            + self.sent.capacity() * size_of::<(AskId, Sent)>()
            + self.sent_to.capacity() * size_of::<((DevId, UserId), u32)>()
            + self.undeleted_count * size_of::<MessageId>()
            + self.unread.capacity() * size_of::<(DevId, UserId)>()
            + self.held_bytes
            + self.leaving.bytes()
    }

    #[cfg(test)]
    pub(in crate::hub) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.sent.is_empty() && self.sent_to.is_empty() && self.devices == 0
    }

    fn take_flush(&mut self, dev: DevId, user: UserId) -> Option<Flushing> {
        let flush = self.flushes.remove(&(dev, user));
        shrink(&mut self.flushes);
        flush
    }

    pub(in crate::hub) fn is_online(&self, dev: DevId, user: UserId) -> bool {
        self.users.get(&(dev, user)).is_some_and(|user| !user.devices.is_empty()) || self.leaving.contains(dev, user)
    }
}

impl Hub {
    pub(in crate::hub) fn user_came(&mut self, dev: DevId, user: UserId, shard: ShardId, conn: ConnId) {
        let entry = self.mailboxes.users.entry((dev, user)).or_default();
        let first = entry.devices.is_empty();
        if entry.devices.len() >= self.config.connections_per_user_max {
            // So many of one user are no user's; and each one's coming and going costs a look at the others.
            let end = Some(CloseReason::Limited);
            let flush = Flush { dev, user, conn, messages: Vec::new(), register: false, end };
            return self.send(shard, RingMessage::Flush(Box::new(flush)));
        }
        entry.devices.push(Device { shard, conn, state: DeviceState::New });
        self.mailboxes.devices += 1;
        // Whoever comes back in time was never away.
        if first && !self.mailboxes.leaving.take(dev, user) {
            self.announce_presence(dev, user, true);
        }
        self.start_flush(dev, user);
    }

    pub(in crate::hub) fn user_went(&mut self, dev: DevId, user: UserId, shard: ShardId, conn: ConnId, now: Now) {
        let Some(entry) = self.mailboxes.users.get_mut(&(dev, user)) else { return };
        let Some(place) = entry.devices.iter().position(|device| device.is(shard, conn)) else { return };
        entry.devices.remove(place);
        self.mailboxes.devices -= 1;
        if entry.devices.is_empty() {
            if !self.mailboxes.flushes.contains_key(&(dev, user)) {
                self.forget_user(dev, user);
            }
            let grace = self.config.offline_grace;
            if grace == 0 || !self.mailboxes.leaving.add(dev, user, now.time + grace, now.unix) {
                self.user_left(dev, user, now.unix);
            }
        } else {
            // Somebody beyond the limit may have a place now.
            self.start_flush(dev, user);
        }
    }

    /// The user counts as offline from now on, and is gone since then.
    pub(in crate::hub) fn user_left(&mut self, dev: DevId, user: UserId, since: UnixTime) {
        if self.config.save_last_seen {
            self.departed.add(dev, user, since);
        }
        self.announce_presence(dev, user, false);
    }

    fn forget_user(&mut self, dev: DevId, user: UserId) {
        self.mailboxes.users.remove(&(dev, user));
        self.mailboxes.unread.remove(&(dev, user));
        shrink(&mut self.mailboxes.users);
    }

    /// Reads the queue for the first connection that has not been given it, if nothing is under way.
    fn start_flush(&mut self, dev: DevId, user: UserId) {
        if self.mailboxes.flushes.contains_key(&(dev, user)) {
            return;
        }
        let Some(entry) = self.mailboxes.users.get(&(dev, user)) else { return };
        let registered = entry.devices.iter().filter(|device| device.state == DeviceState::Registered).count();
        let next = entry.devices.iter().find(|device| device.state == DeviceState::New).copied();
        if let Some(device) = next.filter(|_| registered < self.config.devices_max) {
            self.read_queue(dev, user, device, Vec::new(), None);
        }
    }

    fn read_queue(&mut self, dev: DevId, user: UserId, device: Device, held: Vec<Letter>, after: Option<Place>) {
        let Device { shard, conn, .. } = device;
        let before = self.mailboxes.flushes.get(&(dev, user));
        // Reading from the beginning finds everything that is there by now.
        let again = after.is_some() && before.is_some_and(|flush| flush.again);
        let held_bytes = held.iter().map(Letter::bytes).sum();
        // Nothing new is sent to the user until then, so this does not last.
        let waits = after.is_none() && self.mailboxes.sent_to.contains_key(&(dev, user));
        let step = if waits { Step::Waiting } else { Step::Reading };
        let flush = Flushing { shard, conn, step, again, held, held_bytes };
        self.mailboxes.flushes.insert((dev, user), flush);
        if !waits {
            self.ask_for_queue(dev, user, after);
        }
    }

    fn ask_for_queue(&mut self, dev: DevId, user: UserId, after: Option<Place>) {
        if let Some(ids) = self.mailboxes.undeleted.remove(&(dev, user)) {
            self.mailboxes.undeleted_count -= ids.len();
            self.take_off_queue(dev, user, ids.into_iter().collect());
        }
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, Waiting::Queue { dev, user });
        self.store(ticket, Read::Queue { dev, user, after, page: FLUSH_PAGE });
    }

    /// Storage says what waits for the user.
    pub(in crate::hub) fn queue_read(
        &mut self,
        dev: DevId,
        user: UserId,
        result: Result<Outcome, StorageError>,
        now: Now,
    ) {
        let Some(entry) = self.mailboxes.users.get_mut(&(dev, user)) else { return };
        let flush = self.mailboxes.flushes.get_mut(&(dev, user));
        let Some(flush) = flush.filter(|flush| flush.step == Step::Reading) else { return };
        let (shard, conn) = (flush.shard, flush.conn);
        let Some(device) = entry.devices.iter_mut().find(|device| device.is(shard, conn)) else {
            return self.flush_another(dev, user);
        };
        // If storage does not answer, the messages stay where they are, and are looked for again; those that come meanwhile
        // are delivered all the same.
        let (mut messages, more) = if let Ok(Outcome::Messages { rows, more }) = result {
            (rows, more)
        } else {
            self.mailboxes.unread.insert((dev, user));
            self.mailboxes.retry_at.get_or_insert(now.time + RETRY_AFTER);
            (Vec::new(), false)
        };
        let last = messages.last().map(StoredMessage::place);
        // Storage answers in order: what it failed to take off before this reading is known by now.
        if let Some(taken) = self.mailboxes.undeleted.get(&(dev, user)) {
            messages.retain(|message| !taken.contains(&message.id));
        }
        if more && messages.is_empty() {
            let (device, held) = (*device, flush.take_held());
            return self.read_queue(dev, user, device, held, last);
        }
        flush.step = if more { Step::Part } else { Step::Last };
        let nothing = messages.is_empty();
        if !more {
            device.state = DeviceState::Registered;
        }
        // They are behind what is still in the queue. Without another device the queue is where they go, and come from.
        let mut held = Vec::new();
        if !more || is_alone(&entry.devices, flush) {
            held = flush.take_held();
            self.mailboxes.held_bytes -= held.iter().map(Letter::bytes).sum::<usize>();
        }
        let flush = Flush { dev, user, conn, messages, register: !more, end: None };
        self.send(shard, RingMessage::Flush(Box::new(flush)));
        for letter in held {
            if more {
                self.queue(dev, user, letter);
            } else {
                self.deliver(dev, user, letter);
            }
        }
        if nothing {
            self.end_flush(dev, user);
        }
    }

    /// The connection that was given messages says whether it has taken them.
    pub(in crate::hub) fn flushed(&mut self, from: ShardId, flush: Flush, taken: bool) {
        let Flush { dev, user, conn, messages, register, .. } = flush;
        let last = messages.last().map(StoredMessage::place);
        if taken {
            let ids = messages.iter().map(|message| message.id).collect();
            self.take_off_queue(dev, user, ids);
        }
        let Some(entry) = self.mailboxes.users.get_mut(&(dev, user)) else { return };
        let state = self.mailboxes.flushes.get_mut(&(dev, user));
        let Some(state) = state.filter(|state| state.is_written() && state.conn == conn) else { return };
        match (taken, register) {
            (true, true) => self.end_flush(dev, user),
            (true, false) => {
                let held = state.take_held();
                self.read_queue(dev, user, Device { shard: from, conn, state: DeviceState::New }, held, last);
            }
            (false, _) => {
                for device in entry.devices.iter_mut().filter(|device| device.is(from, conn)) {
                    device.state = DeviceState::Leaving;
                }
                self.flush_another(dev, user);
            }
        }
    }

    /// A connection has been given everything: the next one's turn.
    fn end_flush(&mut self, dev: DevId, user: UserId) {
        let again = self.mailboxes.take_flush(dev, user).is_some_and(|flush| flush.again);
        let Some(entry) = self.mailboxes.users.get(&(dev, user)) else { return };
        if entry.devices.is_empty() {
            return self.forget_user(dev, user);
        }
        self.start_flush(dev, user);
        if again {
            self.flush_registered(dev, user);
        }
    }

    /// Something was queued although the user is here: for one of the registered connections.
    fn flush_registered(&mut self, dev: DevId, user: UserId) {
        let Some(entry) = self.mailboxes.users.get(&(dev, user)) else { return };
        if let Some(flush) = self.mailboxes.flushes.get_mut(&(dev, user)) {
            flush.again = true;
            return;
        }
        let registered = entry.devices.iter().find(|device| device.state == DeviceState::Registered).copied();
        if let Some(device) = registered {
            self.read_queue(dev, user, device, Vec::new(), None);
        }
    }

    /// The connection under way is gone: its messages are for another one, or stay.
    fn flush_another(&mut self, dev: DevId, user: UserId) {
        let held = self.mailboxes.take_flush(dev, user).map(|flush| flush.held).unwrap_or_default();
        let Some(entry) = self.mailboxes.users.get(&(dev, user)) else { return };
        let with = |state| entry.devices.iter().find(move |device| device.state == state).copied();
        if let Some(device) = with(DeviceState::New).or_else(|| with(DeviceState::Registered)) {
            return self.read_queue(dev, user, device, held, None);
        }
        if entry.devices.is_empty() {
            self.forget_user(dev, user);
        }
        self.mailboxes.held_bytes -= held.iter().map(Letter::bytes).sum::<usize>();
        for letter in held {
            self.queue(dev, user, letter);
        }
    }

    fn take_off_queue(&mut self, dev: DevId, user: UserId, ids: Vec<MessageId>) {
        let ticket = self.draw_ticket();
        let write = Write::DeleteQueued { dev, user, ids: ids.clone() };
        self.waiting.insert(ticket.0, Waiting::TakenOff { dev, user, ids });
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Write(vec![write]) }));
    }

    /// They would come again with the next login, so they are remembered until then.
    pub(in crate::hub) fn not_taken_off(&mut self, dev: DevId, user: UserId, ids: Vec<MessageId>, now: Now) {
        self.mailboxes.retry_later(now);
        if self.mailboxes.undeleted_count + ids.len() <= UNDELETED_MAX {
            self.mailboxes.undeleted_count += ids.len();
            self.mailboxes.undeleted.entry((dev, user)).or_default().extend(ids);
        } else {
            self.counters.repeats_possible += ids.len() as u64;
        }
    }

    /// Tries again what storage did not do.
    pub(in crate::hub) fn retry_queues(&mut self, now: Now) {
        if self.mailboxes.retry_at.is_none_or(|at| at > now.time) {
            return;
        }
        self.mailboxes.retry_at = None;
        let unread: Vec<_> = self.mailboxes.unread.iter().take(RETRIES_AT_A_TIME).copied().collect();
        for (dev, user) in unread {
            self.mailboxes.unread.remove(&(dev, user));
            self.flush_registered(dev, user);
        }
        let undeleted: Vec<_> = self.mailboxes.undeleted.keys().take(RETRIES_AT_A_TIME).copied().collect();
        for (dev, user) in undeleted {
            if let Some(ids) = self.mailboxes.undeleted.remove(&(dev, user)) {
                self.mailboxes.undeleted_count -= ids.len();
                self.take_off_queue(dev, user, ids.into_iter().collect());
            }
        }
        if !self.mailboxes.unread.is_empty() || !self.mailboxes.undeleted.is_empty() {
            self.mailboxes.retry_later(now);
        }
    }

    // Personal messages

    pub(in crate::hub) fn send_personal(&mut self, from: ShardId, send: Send, now: Now) {
        let Send { dev, user, personal, statement } = send;
        if user.is_anonymous() {
            return self.send(from, RingMessage::Accepted { statement, rows: 0 });
        }
        let position = self.owned.next_position(now);
        let (id, time) = (self.owned.message_id(position), position.time().0);
        self.deliver(dev, user, Letter { id, time, personal, sender: (from, statement) });
    }

    /// To the registered connections; to the queue if there are none.
    fn deliver(&mut self, dev: DevId, user: UserId, letter: Letter) {
        let entry = self.mailboxes.users.get_mut(&(dev, user));
        let mut shards: Vec<ShardId> = Vec::new();
        if let Some(entry) = entry {
            let flush = self.mailboxes.flushes.get_mut(&(dev, user));
            if let Some(flush) = flush.filter(|flush| flush.step != Step::Last) {
                if flush.step == Step::Part && is_alone(&entry.devices, flush) && flush.held.is_empty() {
                    // Whoever takes the queue slowly finds it there, and nobody waits for that.
                    return self.queue(dev, user, letter);
                }
                if flush.held_bytes + letter.bytes() > HELD_BYTES_MAX {
                    let (to, statement) = letter.sender;
                    let refusal = Box::new(Refusal::Storage(StorageError::Overloaded));
                    return self.send(to, RingMessage::Refused { statement, refusal });
                }
                flush.held_bytes += letter.bytes();
                self.mailboxes.held_bytes += letter.bytes();
                flush.held.push(letter);
                return;
            }
            let registered = entry.devices.iter().filter(|device| device.state == DeviceState::Registered);
            shards.extend(registered.map(|device| device.shard));
            shards.sort_unstable();
            shards.dedup();
        }
        if shards.is_empty() {
            return self.queue(dev, user, letter);
        }
        let ask = AskId(self.draw_ticket().0);
        for shard in &shards {
            let message = RingMessage::Personal { dev, user, personal: letter.personal.clone(), ask };
            self.send(*shard, message);
        }
        self.mailboxes.sent.insert(ask, Sent { dev, user, letter, shards_left: shards.len(), taken: 0 });
        *self.mailboxes.sent_to.entry((dev, user)).or_default() += 1;
    }

    pub(in crate::hub) fn personal_taken(&mut self, ask: AskId, connections: u32) {
        let Some(sent) = self.mailboxes.sent.get_mut(&ask) else { return };
        sent.taken += connections;
        sent.shards_left -= 1;
        if sent.shards_left > 0 {
            return;
        }
        let Some(Sent { dev, user, letter, taken, .. }) = self.mailboxes.sent.remove(&ask) else { return };
        if taken == 0 {
            self.queue(dev, user, letter);
        } else {
            let (to, statement) = letter.sender;
            self.counters.personal_deliveries += u64::from(taken);
            self.send(to, RingMessage::Accepted { statement, rows: 0 });
        }
        self.sent_is_known(dev, user);
    }

    /// What became of a letter is known; after the last one the queue is read, if that waits for it.
    fn sent_is_known(&mut self, dev: DevId, user: UserId) {
        let Entry::Occupied(mut count) = self.mailboxes.sent_to.entry((dev, user)) else { return };
        *count.get_mut() -= 1;
        if *count.get() > 0 {
            return;
        }
        count.remove();
        let flush = self.mailboxes.flushes.get_mut(&(dev, user));
        if let Some(flush) = flush.filter(|flush| flush.step == Step::Waiting) {
            flush.step = Step::Reading;
            self.ask_for_queue(dev, user, None);
        }
    }

    fn queue(&mut self, dev: DevId, user: UserId, letter: Letter) {
        let Letter { id, time, personal, sender } = letter;
        let (event, message) = (personal.event.clone(), personal.message.clone());
        let message = StoredMessage { id, time, event, message, sender: UserId::ANONYMOUS };
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, Waiting::Queued { dev, user, sender });
        let request = Request::Write(vec![Write::PutQueued { dev, user, message }]);
        self.outputs.push_back(Output::Store(Job { ticket, request }));
    }

    pub(in crate::hub) fn queued(
        &mut self,
        dev: DevId,
        user: UserId,
        (to, statement): (ShardId, StatementId),
        result: Result<Outcome, StorageError>,
    ) {
        match result {
            Ok(_) => {
                self.counters.personal_queued += 1;
                self.send(to, RingMessage::Accepted { statement, rows: 0 });
            }
            Err(error) => {
                let refusal = Box::new(Refusal::Storage(error));
                self.send(to, RingMessage::Refused { statement, refusal });
            }
        }
        self.flush_registered(dev, user);
    }

    // Presence

    fn announce_presence(&mut self, dev: DevId, user: UserId, online: bool) {
        if !(if online { self.config.announce_online } else { self.config.announce_offline }) {
            return;
        }
        let word = if online { "online" } else { "offline" };
        let name = PipeName::new(format!("user_status_{user}").as_bytes());
        let (Ok(name), Ok(event)) = (name, EventName::new(word.as_bytes())) else { return };
        let pipe = Arc::new(PipeKey { dev, name });
        let to = self.config.placement.owner_of_pipe(&pipe);
        let mut publication = Publication::new(pipe, event, word.into());
        publication.kind = PublicationKind::Presence;
        self.send(to, RingMessage::Announce { publication: Box::new(publication) });
    }
}

/// Whether no other connection gets personal messages.
fn is_alone(devices: &[Device], flush: &Flushing) -> bool {
    let is_another = |device: &Device| !device.is(flush.shard, flush.conn);
    !devices.iter().any(|device| device.state == DeviceState::Registered && is_another(device))
}

impl Flushing {
    fn is_written(&self) -> bool {
        matches!(self.step, Step::Part | Step::Last)
    }

    fn take_held(&mut self) -> Vec<Letter> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}

/// Personal messages to one user that wait while a connection is given the queue; beyond, they are refused.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Microseconds until storage is asked again for what it did not do, and users asked for at a time.
const RETRY_AFTER: u64 = 1_000_000;
const RETRIES_AT_A_TIME: usize = 256;

/// Messages remembered because storage did not delete them; beyond, they may come twice.
const UNDELETED_MAX: usize = 100_000;

/// What one connection is given of a queue at a time. Far below what makes a consumer slow.
const FLUSH_PAGE: Page = Page { rows: 128, bytes: 64 * 1024 };
