//! The pipes this shard owns: their order, which shards have subscribers of them, and how a publication goes its way.
//!
//! [`Pipes::publish`] is the heart of the server: it gives a publication its place in the pipe's order, hands it to every
//! shard with subscribers, and has it put into the history, if the pipe keeps one. It is delivered before it is stored and
//! acknowledged after it, so subscribers do not wait for a disk and publishers are told only what holds.
//!
//! ```text
//!  published --> ordered --Deliver--> shards with subscribers
//!                  | no history               | keeps a history
//!                  v                          v
//!                acknowledged <--committed-- storage --failed--> refused, and noted as missing in the history
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{ConnId, EventName, MessageId, Now, PipeKey, Position, Publication, ShardId};
use crate::ring::{InterestId, LengthChange, Refusal, RingMessage, SetLength, StatementId};
use crate::storage::{Beginning, Completion, Outcome, StorageError, StoredMessage, Write, expires};

use super::super::HubConfig;
use super::super::effects::{Asker, Effects};
use super::histories::{Histories, Keep};
use super::keys::{Keys, Look, Name, Sender};

/// Exists while there are subscribers.
#[derive(Debug)]
struct OwnedPipe {
    /// By shard: subscribers and the interest they belong to.
    shards: Box<[(u32, InterestId)]>,
    /// Publications so far.
    number: u64,
}

/// A statement that publishes.
pub(super) struct Asked {
    pub(super) sender: Sender,
    /// What it publishes under, for the first time.
    pub(super) key: Option<Name>,
}

/// A publication that was delivered, and who is to be told that it holds.
#[derive(Debug)]
struct Delivered {
    /// Of one that storage was handed.
    pipe: Option<Arc<PipeKey>>,
    position: Position,
    statement: Option<(ShardId, StatementId)>,
    /// The key that it was published under.
    key: Option<Name>,
    /// The publishing browser's shard and connection, and the shards that got it.
    report: Option<(ShardId, ConnId, Arc<Publication>, u16)>,
}

/// What storage was asked for.
#[derive(Debug)]
enum Waiting {
    /// To put a publication into the history.
    History(Box<Delivered>),
    /// To change a setting.
    Length { pipe: PipeKey, length: Option<u32>, sender: (ShardId, StatementId) },
}

#[derive(Debug)]
pub(super) struct Pipes {
    shards: usize,
    subscribed: HashMap<Arc<PipeKey>, OwnedPipe, RandomState>,
    histories: Histories,
    keys: Keys,
    /// The last one given, in whichever pipe or queue.
    position: Position,
    /// Tells the ids of messages of this shard from those of others.
    seed: u64,
    waiting: HashMap<u64, Waiting, RandomState>,
    /// The pipe whose subscribers are asked for at any time, and how many they are.
    watched: Option<Arc<PipeKey>>,
    watchers: u32,
}

impl Pipes {
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            shards: config.placement.connection_shards() as usize,
            subscribed: HashMap::with_hasher(config.placement.hasher()),
            histories: Histories::new(config.settings_max, config.tenant_settings_max, config.placement.hasher()),
            keys: Keys::new(config.placement.hasher()),
            position: Position::default(),
            seed: config.given_out.ids_of(config.shard),
            waiting: HashMap::with_hasher(config.placement.hasher()),
            watched: None,
            watchers: 0,
        }
    }

    /// What storage had at the start. Positions go on behind those that were given before, whatever the clock says.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        let Beginning { settings, behind, trusted, keys, .. } = beginning;
        self.keys.begin(keys);
        self.histories.begin(settings, trusted, self.position);
        self.position = self.position.max(behind);
    }

    pub(super) fn histories(&self) -> &Histories {
        &self.histories
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.subscribed.capacity() * (size_of::<(Arc<PipeKey>, OwnedPipe)>() + 1)
            + self.subscribed.len() * self.shards * size_of::<(u32, InterestId)>()
            + self.histories.bytes()
            + self.keys.bytes()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<(u64, Waiting)>()
    }

    // Publications

    /// Whether a statement's publication is to be published, because it was not before.
    pub(super) fn look_for_key(
        &mut self,
        publication: &mut Publication,
        sender: Sender,
        now: Now,
        effects: &mut Effects,
    ) -> ControlFlow<(), Asked> {
        let key = publication.wishes.as_mut().and_then(|wishes| wishes.key.take());
        let Some(key) = key else { return Continue(Asked { sender, key: None }) };
        let (to, statement) = sender;
        match self.keys.look(&publication.pipe, key, sender, now.unix) {
            Look::New(name) => return Continue(Asked { sender, key: Some(name) }),
            Look::Waits => {}
            Look::Repeated => effects.send(to, RingMessage::Repeated { statement }),
            Look::Full => {
                let refusal = Box::new(Refusal::TooManyKeys);
                effects.send(to, RingMessage::Refused { statement, refusal });
            }
        }
        Break(())
    }

    /// Gives the publication its place and hands it to whoever has subscribers. It is acknowledged when it is in the history,
    /// if the pipe has one.
    pub(super) fn publish(
        &mut self,
        publication: Box<Publication>,
        asked: Option<Asked>,
        now: Now,
        effects: &mut Effects,
    ) {
        let (statement, key) = asked.map_or((None, None), |Asked { sender, key }| (Some(sender), key));
        let (publication, keep) = self.order(publication, now);
        let mut shards = 0;
        for (shard, interest) in self.interested_shards(&publication.pipe) {
            shards += 1;
            effects.send(shard, RingMessage::Deliver { publication: publication.clone(), interest });
        }
        let pipe = keep.map(|_| publication.pipe.clone());
        let origin = publication.origin.filter(|_| publication.report);
        let report = origin.map(|(origin, conn)| (origin, conn, publication.clone(), shards));
        let put_key = key.as_ref().map(|name| {
            let (pipe, key) = (**name).clone();
            Write::PutKey { pipe, key, time: now.unix.0 }
        });
        let delivered = Delivered { pipe, position: publication.position, statement, key, report };
        match keep {
            None => self.acknowledge(delivered, Ok(()), effects),
            Some(keep) => {
                let writes = std::iter::once(self.put_history(&publication, keep)).chain(put_key).collect();
                let ticket = effects.write_all(Asker::Pipes, writes);
                self.waiting.insert(ticket.0, Waiting::History(Box::new(delivered)));
            }
        }
    }

    /// Gives the publication its time and its place in the pipe's order, and says whether it has to be stored.
    fn order(&mut self, mut publication: Box<Publication>, now: Now) -> (Arc<Publication>, Option<Keep>) {
        publication.position = self.next_position(now);
        // Positions never go back, but the clock may: then it says when this was, not they.
        publication.time = now.unix;
        if let Some(pipe) = self.subscribed.get_mut(&publication.pipe) {
            pipe.number += 1;
            publication.number = pipe.number;
        }
        let keep = self.histories.keep(&publication);
        publication.kept = keep.is_some();
        (Arc::from(publication), keep)
    }

    fn put_history(&self, publication: &Publication, keep: Keep) -> Write {
        Write::PutHistory {
            pipe: (*publication.pipe).clone(),
            message: StoredMessage {
                id: self.message_id(publication.position),
                // The order of a history is that of its times first.
                time: publication.position.time().0,
                event: stored_event(&publication.event),
                message: publication.message.clone(),
                sender: publication.sender.unwrap_or_default(),
                expires: expires(publication.time, publication.wishes.as_ref().and_then(|wishes| wishes.expires_in)),
            },
            trim: keep.trim,
        }
    }

    fn acknowledge(&mut self, delivered: Delivered, stored: Result<(), StorageError>, effects: &mut Effects) {
        let Delivered { pipe, position, statement, key, report } = delivered;
        if let (Err(_), Some(pipe)) = (&stored, pipe) {
            self.histories.not_kept(&pipe, position);
        }
        if let Some((origin, conn, publication, shards)) = report {
            effects.send(origin, RingMessage::Fanned { conn, publication, shards, stored: stored.is_ok() });
        }
        // Who repeats what is not in the history may try a third time: subscribers have it, so they may get it twice.
        let repeated = key.map(|key| self.keys.settle(&key, stored.is_ok())).unwrap_or_default();
        for (to, statement) in repeated {
            let message = match &stored {
                Ok(()) => RingMessage::Repeated { statement },
                Err(error) => answer(statement, Err(error.clone())),
            };
            effects.send(to, message);
        }
        if let Some((to, statement)) = statement {
            effects.send(to, answer(statement, stored.map(|()| 0)));
        }
    }

    /// A place behind all that were given before.
    pub(super) fn next_position(&mut self, now: Now) -> Position {
        self.position = self.position.next(now.unix_micros());
        self.position
    }

    pub(super) fn message_id(&self, position: Position) -> MessageId {
        MessageId::new(position, self.seed)
    }

    pub(super) fn stored(&mut self, completion: Completion, effects: &mut Effects) {
        match self.waiting.remove(&completion.ticket.0) {
            Some(Waiting::History(delivered)) => {
                effects.counters.history_messages += u64::from(completion.result.is_ok());
                self.acknowledge(*delivered, completion.result.map(|_| ()), effects);
            }
            Some(Waiting::Length { pipe, length, sender }) => {
                self.length_set(&pipe, length, sender, completion.result, effects);
            }
            None => never!("storage answers each job of a pipe once"),
        }
    }

    // Settings

    /// Through the owner, so that it knows what holds before the statement is answered.
    pub(super) fn set_length(&mut self, from: ShardId, set: SetLength, now: Now, effects: &mut Effects) {
        let SetLength { pipe, change, statement } = set;
        if matches!(change, LengthChange::Put(_) | LengthChange::Add(_)) && !self.histories.has_room_for(&pipe) {
            let refusal = Box::new(Refusal::TooManySettings);
            return effects.send(from, RingMessage::Refused { statement, refusal });
        }
        self.histories.change_begins(&pipe);
        let (key, begun) = (pipe.clone(), self.next_position(now));
        let (length, write) = match change {
            LengthChange::Put(length) => (Some(length), Write::PutSetting { pipe: key, length, begun }),
            LengthChange::Add(length) => {
                (Some(length), Write::IfAbsent(Box::new(Write::PutSetting { pipe: key, length, begun })))
            }
            LengthChange::Update(length) => (Some(length), Write::UpdateSetting { pipe: key, length, begun }),
            LengthChange::Remove => (None, Write::DeleteSetting { pipe: key, begun }),
        };
        let ticket = effects.write(Asker::Pipes, write);
        self.waiting.insert(ticket.0, Waiting::Length { pipe, length, sender: (from, statement) });
    }

    fn length_set(
        &mut self,
        pipe: &PipeKey,
        length: Option<u32>,
        (to, statement): (ShardId, StatementId),
        result: Result<Outcome, StorageError>,
        effects: &mut Effects,
    ) {
        let rows = result.map(|outcome| if let Outcome::Written { rows } = outcome { rows as u32 } else { 0 });
        // Otherwise there was nothing to update, or something that stays.
        if rows.as_ref().is_ok_and(|rows| *rows > 0 || length.is_none()) {
            self.histories.set_length(pipe.clone(), length, self.position);
        }
        self.histories.change_ended(pipe);
        effects.send(to, answer(statement, rows));
    }

    // Subscribers

    fn interested_shards(&self, key: &PipeKey) -> impl Iterator<Item = (ShardId, InterestId)> {
        let shards = self.subscribed.get(key).map(|pipe| &*pipe.shards).unwrap_or_default();
        shards
            .iter()
            .enumerate()
            .filter(|(_, (subscribers, _))| *subscribers > 0)
            .map(|(shard, (_, interest))| (ShardId(shard as u16), *interest))
    }

    pub(super) fn subscribers(&self, key: &PipeKey) -> u32 {
        self.subscribed.get(key).map_or(0, |pipe| pipe.shards.iter().map(|(subscribers, _)| subscribers).sum())
    }

    /// The same, or 0 if a shard before this one has any: so a pipe is told of once, however many shards are asked.
    pub(super) fn subscribers_from(&self, key: &PipeKey, shard: ShardId) -> u32 {
        let before =
            |pipe: &OwnedPipe| pipe.shards.iter().take(shard.0.into()).any(|(subscribers, _)| *subscribers > 0);
        if self.subscribed.get(key).is_some_and(before) { 0 } else { self.subscribers(key) }
    }

    /// A shard has so many subscribers now.
    pub(super) fn interest(&mut self, key: &Arc<PipeKey>, from: ShardId, subscribers: u32, interest: InterestId) {
        let pipe = self
            .subscribed
            .entry(key.clone())
            .or_insert_with(|| OwnedPipe { shards: vec![(0, InterestId::default()); self.shards].into(), number: 0 });
        if let Some(shard) = pipe.shards.get_mut(from.0 as usize) {
            *shard = (subscribers, interest);
        } else {
            never!("only connection shards have subscribers");
        }
        if pipe.shards.iter().all(|(subscribers, _)| *subscribers == 0) {
            self.subscribed.remove(key);
            shrink(&mut self.subscribed);
        }
        if self.watched.as_ref() == Some(key) {
            self.watchers = self.subscribers(key);
        }
    }

    pub(super) fn watch(&mut self, pipe: Arc<PipeKey>) {
        self.watchers = self.subscribers(&pipe);
        self.watched = Some(pipe);
    }

    pub(super) fn watchers(&self) -> u32 {
        self.watchers
    }
}

/// What a statement is told.
fn answer(statement: StatementId, rows: Result<u32, StorageError>) -> RingMessage {
    match rows {
        Ok(rows) => RingMessage::Accepted { statement, rows },
        Err(error) => RingMessage::Refused { statement, refusal: Box::new(Refusal::Storage(error)) },
    }
}

/// Libraries show a missing event under this name, and so do the histories of CppComet.
fn stored_event(event: &EventName) -> EventName {
    if event.as_str().is_empty() { EventName::new(b"undefined").unwrap_or_default() } else { event.clone() }
}

/// Gives memory back after a crowd has left; a table that is a quarter full keeps room to grow without moving.
pub(super) fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V, RandomState>) {
    if map.capacity() > 1024 && map.len() * 8 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}
