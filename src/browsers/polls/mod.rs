//! Connections without a socket, which browsers poll for: what waits for each until it is acknowledged, and who waits for
//! it. Knows neither HTTP nor the hub; time and secrets are arguments.
//!
//! ```text
//!  open --> live --no poll for a minute, too much unacknowledged, ended by the hub--> over --a minute--> (gone)
//! ```
//!
//! One that is over stays for a minute, so that its page can be told why, unless its place is wanted: see `room`.
//!
//! What waits for all of them has a maximum too. Messages that many wait for count in part, as they do in the queues of
//! sockets; with too much, whoever holds most ends.

mod room;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use shards::{Holders, Shares};

use subtle::ConstantTimeEq;

use crate::ledger::tree;
use crate::model::{ConnId, ShardId, SharedBytes, Time, WireForm};
use crate::ring::{Flush, PollOutcome};
use crate::ws;

use super::wanted::Order;
use room::{Rank, Room, Standing};

/// How long a poll waits for a message.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// The same for pages whose script gives up after half a minute.
pub(super) const OLD_WAIT_MAX: Duration = Duration::from_secs(25);
/// How long a connection lives without a poll.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How long it may take for a part of a user's queue: other devices of the user, and who writes to it, wait for that.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(30);
/// Messages of one connection that are not acknowledged.
pub(super) const MESSAGES_MAX: usize = 1000;
/// Commands of one connection that wait for the answer to another one.
const COMMANDS_MAX: usize = 16;

/// The largest number with which a page may begin.
const COUNT_FROM_MAX: u64 = u64::MAX / 2;

const CROWDED: &str = "too much waits for all pages together, and most of it for this one; please begin anew";
const OVERFLOW: &str = "too many messages were not acknowledged; please begin anew";
const UNTAKEN: &str = "messages of the user's queue were not acknowledged for 30 seconds; please begin anew";
const PUSHED_OUT: &str = "too many connections, and this one made room for another; please begin anew";
const IDLE: &str = "nobody polled for a minute; please begin anew";
const UNKNOWN: &str = "there is no such connection; please begin anew";
const REPLACED: &[u8] = b"[]";

/// Who waits for an answer: a shard, and the connection there that the request came on.
pub(super) type Asker = (ShardId, ConnId);

/// A part of a user's queue, and the shard that wants to know whether it was taken.
pub(super) type Part = (Box<Flush>, ShardId);

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "all of them are maxima, as their names say elsewhere")]
pub(crate) struct PollLimits {
    pub(crate) connections_max: usize,
    pub(crate) bytes_max: usize,
    /// Of all connections together.
    pub(crate) bytes_of_all_max: usize,
}

pub(super) struct Polls {
    limits: PollLimits,
    places: Vec<Place>,
    free: Vec<u32>,
    timers: BTreeSet<(Time, u32)>,
    /// Those that somebody waits for and that have something since.
    ready: Vec<u32>,
    /// Those that are over and of which the hub does not know it.
    over: VecDeque<u32>,
    answers: VecDeque<(Asker, PollOutcome)>,
    /// What waits, shared messages counted in part; and for whom.
    held: usize,
    holders: Holders<u32>,
    /// What all of them hold, as it is in memory.
    kept: Kept,
    room: Room,
    /// Those that have made room and keep their places until the hub has heard of it.
    leaving: usize,
}

#[derive(Default)]
struct Place {
    generation: u32,
    polled: Option<Box<Polled>>,
}

struct Polled {
    secret: u128,
    form: WireForm,
    /// Messages acknowledged, and sent at least once: the first of `waiting` is number `acknowledged + 1`.
    acknowledged: u64,
    sent: u64,
    waiting: VecDeque<Message>,
    bytes: usize,
    /// The part of them that counts as held for it alone.
    held: usize,
    holder: Option<shards::Place>,
    /// Who opened it.
    address: IpAddr,
    standing: Standing,
    asker: Option<Asker>,
    commands: VecDeque<(Option<Asker>, Order)>,
    /// A part of the user's queue, which counts as taken when this message is acknowledged; and how long that may take.
    flush: Option<(u64, Box<Flush>, ShardId)>,
    flush_until: Time,
    over: Option<&'static str>,
    hub_knows: bool,
    /// Its place is somebody else's as soon as the hub knows that it is over.
    leaves: bool,
    due: Time,
    manner: Manner,
}

/// How a page takes its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// All that a WebSocket would get, counted from the first on.
    #[default]
    Whole,
    /// Publications only, counted from wherever the page begins with its first poll.
    Uncounted,
    Counted,
    /// Publications only, and one answer.
    Once,
}

/// What waits for all of them.
#[derive(Default)]
struct Kept {
    shares: Shares,
    /// Bytes that one connection alone has, and places in the lists of all.
    own: usize,
    places: usize,
}

impl Kept {
    fn take(&mut self, message: &Message) {
        match message.start {
            OWN => self.own += ARC_BYTES + message.bytes.len(),
            _ => self.shares.take(&message.bytes),
        }
    }

    fn give(&mut self, message: &Message) {
        match message.start {
            OWN => self.own -= ARC_BYTES + message.bytes.len(),
            _ => self.shares.give(&message.bytes),
        }
    }

    fn bytes(&self) -> usize {
        self.shares.bytes() + self.own + self.places * size_of::<Message>()
    }
}

/// Counts of those who hold them, before shared bytes.
const ARC_BYTES: usize = 2 * size_of::<usize>();

/// Stands for the start of what is not shared: all of it.
const OWN: u32 = u32::MAX;

/// The JSON behind `start`: what stands before it is the head of the frame that others share.
struct Message {
    bytes: SharedBytes,
    start: u32,
    /// What counts as held: the bytes divided by those who had them when it came.
    charge: u32,
}

impl Message {
    fn new(bytes: &SharedBytes, start: usize) -> Self {
        let charge = size_of::<Self>() + bytes.len() / SharedBytes::strong_count(bytes).max(1);
        Self { bytes: bytes.clone(), start: start as u32, charge: u32::try_from(charge).unwrap_or(u32::MAX) }
    }

    /// Of one connection alone.
    fn own(json: &[u8]) -> Self {
        let charge = size_of::<Self>() + json.len();
        Self { bytes: json.into(), start: OWN, charge: u32::try_from(charge).unwrap_or(u32::MAX) }
    }

    fn json(&self) -> &[u8] {
        let start = if self.start == OWN { 0 } else { self.start as usize };
        self.bytes.get(start..).unwrap_or_default()
    }
}

impl Polled {
    fn is_untaken(&self, now: Time) -> bool {
        self.flush.is_some() && self.flush_until <= now
    }
}

impl Polls {
    pub(super) fn set_limits(&mut self, limits: PollLimits) {
        self.limits = limits;
    }

    pub(super) fn new(limits: PollLimits) -> Self {
        Self {
            limits,
            places: Vec::new(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            ready: Vec::new(),
            over: VecDeque::new(),
            answers: VecDeque::new(),
            held: 0,
            holders: Holders::default(),
            kept: Kept::default(),
            room: Room::default(),
            leaving: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = self.free.capacity() + self.ready.capacity() + self.over.capacity();
        self.kept.bytes()
            + self.places.capacity() * size_of::<Place>()
            + self.len() * size_of::<Polled>()
            + tree::<(Time, u32)>(self.timers.len())
            + lists * size_of::<u32>()
            + self.answers.capacity() * size_of::<(Asker, PollOutcome)>()
            + self.holders.bytes()
            + self.room.bytes()
    }

    /// Of one connection.
    pub(super) fn held_bytes(&self, conn: ConnId) -> usize {
        let place = self.places.get((conn.index.wrapping_sub(ConnId::POLLED_FIRST)) as usize);
        let polled = place.filter(|place| place.generation == conn.generation).and_then(|place| place.polled.as_ref());
        let places = |polled: &Polled| (polled.waiting.capacity() - polled.waiting.len()) * size_of::<Message>();
        polled.map_or(0, |polled| PLACE_BYTES + polled.held + places(polled))
    }

    /// `None`: there are as many as there may be, and none of them makes room for one more of this address.
    pub(super) fn open(&mut self, form: WireForm, secret: u128, address: IpAddr, now: Time) -> Option<ConnId> {
        while self.len() - self.leaving >= self.limits.connections_max {
            let index = self.room.first(address)?;
            self.make_leave(index, now);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        });
        let due = after(now, IDLE_MAX);
        let standing = self.room.add(index, address);
        let place = self.places.get_mut(index as usize)?;
        place.generation = place.generation.wrapping_add(1).max(1);
        place.polled = Some(Box::new(Polled {
            secret,
            form,
            acknowledged: 0,
            sent: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            held: 0,
            holder: None,
            address,
            standing,
            asker: None,
            commands: VecDeque::new(),
            flush: None,
            flush_until: Time::default(),
            over: None,
            hub_knows: false,
            leaves: false,
            due,
            manner: Manner::default(),
        }));
        self.timers.insert((due, index));
        Some(ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation })
    }

    /// Somebody else gets its place.
    fn make_leave(&mut self, index: u32, now: Time) {
        let Some(place) = self.places.get_mut(index as usize) else { return };
        let conn = ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation };
        let Some(polled) = place.polled.as_mut() else { return };
        self.room.remove(index, polled.address, polled.standing);
        if polled.hub_knows {
            return self.free(index);
        }
        polled.leaves = true;
        self.leaving += 1;
        self.end(conn, PUSHED_OUT, now);
    }

    /// Nobody will ask for it any more, and the hub does not know it.
    fn free(&mut self, index: u32) {
        let Some(place) = self.places.get_mut(index as usize) else { return };
        let Some(polled) = place.polled.take() else { return };
        self.timers.remove(&(polled.due, index));
        self.room.remove(index, polled.address, polled.standing);
        self.leaving -= usize::from(polled.leaves);
        self.free.push(index);
    }

    /// Of one that was just opened.
    pub(super) fn set_manner(&mut self, conn: ConnId, manner: Manner) {
        if let Some((_, polled)) = self.find(conn) {
            polled.manner = manner;
        }
    }

    /// Whether its page reads more than publications.
    pub(super) fn takes_answers(&mut self, conn: ConnId) -> bool {
        self.find(conn).is_some_and(|(_, polled)| polled.manner == Manner::Whole)
    }

    /// The form of one that lives.
    pub(super) fn form(&self, conn: ConnId) -> Option<WireForm> {
        let place = self.places.get(conn.index.checked_sub(ConnId::POLLED_FIRST)? as usize)?;
        let polled = place.polled.as_ref().filter(|polled| polled.over.is_none())?;
        (place.generation == conn.generation).then_some(polled.form)
    }

    pub(super) fn queued_bytes(&self, conn: ConnId) -> usize {
        let place = conn.index.checked_sub(ConnId::POLLED_FIRST).and_then(|index| self.places.get(index as usize));
        place
            .filter(|place| place.generation == conn.generation)
            .and_then(|place| place.polled.as_ref())
            .map_or(0, |polled| polled.bytes)
    }

    fn find(&mut self, conn: ConnId) -> Option<(u32, &mut Polled)> {
        let index = conn.index.checked_sub(ConnId::POLLED_FIRST)?;
        let place = self.places.get_mut(index as usize).filter(|place| place.generation == conn.generation)?;
        Some((index, place.polled.as_mut()?))
    }

    /// The one that the secret proves. Errors: what to tell whoever asked.
    fn admit(&mut self, conn: ConnId, secret: u128) -> Result<(u32, &mut Polled), PollOutcome> {
        let (index, polled) = self.find(conn).ok_or(PollOutcome::Gone(UNKNOWN))?;
        let is_its = bool::from(polled.secret.ct_eq(&secret));
        match polled.over {
            _ if !is_its => Err(PollOutcome::Gone(UNKNOWN)),
            Some(why) => Err(PollOutcome::Gone(why)),
            None => Ok((index, polled)),
        }
    }

    /// Somebody polls and has everything up to `sequence`. Returns the part of the queue that is taken by that.
    pub(super) fn poll(&mut self, conn: ConnId, secret: u128, asker: Asker, sequence: u64, now: Time) -> Option<Part> {
        let (index, polled) = match self.admit(conn, secret) {
            Ok(found) => found,
            Err(outcome) => {
                self.answers.push_back((asker, outcome));
                return None;
            }
        };
        if polled.manner == Manner::Uncounted {
            // Whatever the page says, there is room to count on.
            let begin = sequence.min(COUNT_FROM_MAX);
            (polled.manner, polled.acknowledged, polled.sent) = (Manner::Counted, begin, begin);
        }
        if sequence < polled.acknowledged || sequence > polled.sent {
            self.answers.push_back((asker, PollOutcome::OutOfOrder));
            return None;
        }
        let (before, places) = (polled.held, polled.waiting.capacity());
        let mut gone = Vec::new();
        while polled.acknowledged < sequence {
            polled.acknowledged += 1;
            if let Some(message) = polled.waiting.pop_front() {
                polled.bytes -= weight(&message);
                polled.held -= message.charge as usize;
                gone.push(message);
            }
        }
        if polled.waiting.is_empty() && places > PLACES_MIN {
            polled.waiting = VecDeque::new();
        }
        let freed_places = places - polled.waiting.capacity();
        let freed = before - polled.held;
        let is_taken = polled.flush.as_ref().is_some_and(|(last, ..)| *last <= sequence);
        let taken = if is_taken { polled.flush.take() } else { None };
        let replaced = polled.asker.replace(asker);
        let has_messages = !polled.waiting.is_empty();
        let wait_max = if polled.manner == Manner::Whole { WAIT_MAX } else { OLD_WAIT_MAX };
        self.held -= freed;
        for message in &gone {
            self.kept.give(message);
        }
        self.kept.places -= freed_places;
        self.note(index, Some(Rank::Polled));
        self.answers.extend(replaced.map(|asker| (asker, PollOutcome::Messages(REPLACED.into()))));
        self.set_due(index, after(now, wait_max));
        if has_messages {
            self.ready.push(index);
        }
        taken.map(|(_, flush, to)| (flush, to))
    }

    /// A command that waits for its turn; see [`next_command`](Self::next_command). Without a secret it is our own.
    pub(super) fn command(&mut self, conn: ConnId, secret: Option<u128>, asker: Option<Asker>, order: Order) {
        let refused = match secret {
            Some(secret) => self.admit(conn, secret).err(),
            None => None,
        };
        let refused = refused.or_else(|| match self.find(conn) {
            Some((_, polled)) if polled.commands.len() < COMMANDS_MAX => {
                polled.commands.push_back((asker, order));
                None
            }
            Some(_) => Some(PollOutcome::Busy),
            None => Some(PollOutcome::Gone(UNKNOWN)),
        });
        self.answers.extend(asker.zip(refused));
    }

    pub(super) fn has_commands(&mut self, conn: ConnId) -> bool {
        self.find(conn).is_some_and(|(_, polled)| !polled.commands.is_empty())
    }

    /// Who sent it hears that it was begun.
    pub(super) fn next_command(&mut self, conn: ConnId) -> Option<Order> {
        let (_, polled) = self.find(conn)?;
        let (asker, order) = polled.commands.pop_front()?;
        if polled.commands.is_empty() {
            polled.commands = VecDeque::new();
        }
        self.answers.extend(asker.map(|asker| (asker, PollOutcome::Begun)));
        Some(order)
    }

    /// Keeps a message, of which `frame` is the whole frame; false if there is nobody for it.
    pub(super) fn push_frame(&mut self, conn: ConnId, frame: &SharedBytes, now: Time) -> bool {
        let start = frame.len() - ws::payload_of(frame).len();
        self.push(conn, Message::new(frame, start), now)
    }

    pub(super) fn push_json(&mut self, conn: ConnId, json: &[u8], now: Time) -> bool {
        self.push(conn, Message::own(json), now)
    }

    /// The same, of what others may wait for too.
    pub(super) fn push_shared(&mut self, conn: ConnId, json: &SharedBytes, now: Time) -> bool {
        self.push(conn, Message::new(json, 0), now)
    }

    fn push(&mut self, conn: ConnId, message: Message, now: Time) -> bool {
        let bytes_max = self.limits.bytes_max;
        let Some((_, polled)) = self.find(conn).filter(|(_, polled)| polled.over.is_none()) else { return false };
        let weight = weight(&message);
        // One message is always taken, as one write is.
        let is_full = polled.waiting.len() >= MESSAGES_MAX || polled.bytes + weight > bytes_max;
        if is_full && !polled.waiting.is_empty() {
            self.end(conn, OVERFLOW, now);
            return false;
        }
        self.kept.take(&message);
        let Some((index, polled)) = self.find(conn) else { return false };
        let was_empty = polled.waiting.is_empty();
        let (charge, places) = (message.charge as usize, polled.waiting.capacity());
        polled.waiting.push_back(message);
        let more_places = polled.waiting.capacity() - places;
        polled.bytes += weight;
        polled.held += charge;
        let is_awaited = polled.asker.is_some();
        self.held += charge;
        self.kept.places += more_places;
        self.note(index, None);
        if was_empty && is_awaited {
            self.ready.push(index);
        }
        self.held <= self.limits.bytes_of_all_max || self.relieve(conn, now)
    }

    /// What this one holds has changed, and its rank as well if one is named.
    fn note(&mut self, index: u32, rank: Option<Rank>) {
        let place = self.places.get_mut(index as usize);
        let Some(polled) = place.and_then(|place| place.polled.as_mut()) else { return };
        polled.holder = self.holders.put(index, polled.holder, counted(polled.held));
        if let Some(rank) = rank {
            polled.standing = self.room.change(index, polled.address, polled.standing, rank);
        }
    }

    /// Ends whoever holds most until all hold no more than they may. Whether this one still lives.
    fn relieve(&mut self, conn: ConnId, now: Time) -> bool {
        while self.held > self.limits.bytes_of_all_max
            && let Some(index) = self.holders.first()
            && let Some(place) = self.places.get(index as usize)
        {
            let conn = ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation };
            self.end(conn, CROWDED, now);
        }
        self.find(conn).is_some_and(|(_, polled)| polled.over.is_none())
    }

    /// A part of the queue was pushed. It counts as taken when the last of it is acknowledged.
    pub(super) fn keep_flush(&mut self, conn: ConnId, flush: Box<Flush>, to: ShardId, now: Time) -> Result<(), Part> {
        match self.find(conn).filter(|(_, polled)| polled.over.is_none()) {
            Some((index, polled)) => {
                let last = polled.acknowledged + polled.waiting.len() as u64;
                polled.flush = Some((last, flush, to));
                polled.flush_until = after(now, FLUSH_TIME_MAX);
                let due = polled.due;
                self.set_due(index, due);
                Ok(())
            }
            None => Err((flush, to)),
        }
    }

    /// Nothing more for this one; its page is told why.
    pub(super) fn end(&mut self, conn: ConnId, why: &'static str, now: Time) {
        let Some((index, polled)) = self.find(conn).filter(|(_, polled)| polled.over.is_none()) else { return };
        polled.over = Some(why);
        polled.bytes = 0;
        let freed = std::mem::take(&mut polled.held);
        let waiting = std::mem::take(&mut polled.waiting);
        let commands = std::mem::take(&mut polled.commands);
        let askers = polled.asker.take().into_iter().chain(commands.into_iter().filter_map(|(asker, _)| asker));
        self.answers.extend(askers.map(|asker| (asker, PollOutcome::Gone(why))));
        self.held -= freed;
        for message in &waiting {
            self.kept.give(message);
        }
        self.kept.places -= waiting.capacity();
        self.note(index, Some(Rank::Over));
        self.over.push_back(index);
        self.set_due(index, after(now, IDLE_MAX));
    }

    /// One that is over, to be told to the hub at once, and what of its queue it did not take.
    pub(super) fn next_over(&mut self) -> Option<(ConnId, Option<Part>)> {
        let index = self.over.pop_front()?;
        let place = self.places.get_mut(index as usize)?;
        let conn = ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation };
        let polled = place.polled.as_mut()?;
        polled.hub_knows = true;
        let untaken = polled.flush.take().map(|(_, flush, to)| (flush, to));
        if polled.leaves {
            self.free(index);
        }
        Some((conn, untaken))
    }

    /// Whether the hub has not heard of the end of some.
    pub(super) fn has_over(&self) -> bool {
        !self.over.is_empty()
    }

    /// All that live.
    pub(super) fn live(&self) -> Vec<ConnId> {
        self.live_in(0..self.places())
    }

    /// All places, taken or not.
    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Those that live in some of the places.
    pub(super) fn live_in(&self, places: Range<u32>) -> Vec<ConnId> {
        let live = |index: u32| {
            let place = self.places.get(index as usize)?;
            place.polled.as_ref().filter(|polled| polled.over.is_none())?;
            Some(ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation })
        };
        places.filter_map(live).collect()
    }

    pub(super) fn next_answer(&mut self) -> Option<(Asker, PollOutcome)> {
        self.answers.pop_front()
    }

    /// Answers everybody for whom something came.
    pub(super) fn answer_ready(&mut self, now: Time) {
        for index in std::mem::take(&mut self.ready) {
            self.answer(index, now);
        }
    }

    fn answer(&mut self, index: u32, now: Time) {
        let place = self.places.get_mut(index as usize);
        let Some(polled) = place.and_then(|place| place.polled.as_mut()) else { return };
        let Some(asker) = polled.asker.take() else { return };
        polled.sent = polled.acknowledged + polled.waiting.len() as u64;
        let mut body = Vec::with_capacity(polled.bytes + 2);
        for message in &polled.waiting {
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(message.json());
        }
        if body.is_empty() {
            body.push(b'[');
        }
        body.push(b']');
        self.answers.push_back((asker, PollOutcome::Messages(body.into())));
        if polled.manner == Manner::Once {
            let conn = ConnId { index: ConnId::POLLED_FIRST + index, generation: self.generation(index) };
            return self.end(conn, IDLE, now);
        }
        self.set_due(index, after(now, IDLE_MAX));
    }

    fn generation(&self, index: u32) -> u32 {
        self.places.get(index as usize).map_or(0, |place| place.generation)
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(due, _)| *due)
    }

    #[cfg(test)]
    pub(super) fn untaken_due(&self) -> Option<Time> {
        let polled = self.places.iter().filter_map(|place| place.polled.as_ref());
        polled.filter(|polled| polled.flush.is_some() && polled.over.is_none()).map(|polled| polled.flush_until).min()
    }

    pub(super) fn time_passed(&mut self, now: Time) {
        while let Some((_, index)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            let Some(place) = self.places.get_mut(index as usize) else { return };
            let conn = ConnId { index: ConnId::POLLED_FIRST + index, generation: place.generation };
            match &mut place.polled {
                Some(polled) if polled.over.is_none() && polled.is_untaken(now) => self.end(conn, UNTAKEN, now),
                Some(polled) if polled.over.is_none() && polled.asker.is_some() => self.answer(index, now),
                Some(polled) if polled.over.is_none() => self.end(conn, IDLE, now),
                // Its place is not anybody else's before the hub has heard of its end.
                Some(polled) if !polled.hub_knows => self.set_due(index, after(now, Duration::from_secs(1))),
                Some(_) => self.free(index),
                None => return,
            }
        }
    }

    fn set_due(&mut self, index: u32, due: Time) {
        let place = self.places.get_mut(index as usize);
        let Some(polled) = place.and_then(|place| place.polled.as_mut()) else { return };
        self.timers.remove(&(polled.due, index));
        let flush = polled.flush.as_ref().filter(|_| polled.over.is_none());
        let due = flush.map_or(due, |_| due.min(polled.flush_until));
        polled.due = due;
        self.timers.insert((due, index));
    }
}

/// What a connection takes for which nothing waits: its place, and those in the lists of times and of addresses.
const PLACE_BYTES: usize =
    size_of::<Place>() + size_of::<Polled>() + 2 * size_of::<(Time, u32)>() + 2 * size_of::<(Standing, u32)>();

/// A list of messages that is empty keeps so many places.
const PLACES_MIN: usize = 4;

/// What a message counts; one that is empty is not free.
fn weight(message: &Message) -> usize {
    size_of::<Message>() + message.json().len()
}

/// What of its bytes makes a connection one that holds much.
fn counted(held: usize) -> usize {
    if held < HELD_MIN { 0 } else { held }
}

/// Whoever holds less is not looked for: all together hold no more than some 64 MiB.
const HELD_MIN: usize = 1_024;

fn after(now: Time, duration: Duration) -> Time {
    now + duration.as_micros() as u64
}

#[cfg(test)]
mod tests;
