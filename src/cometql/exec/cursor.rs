//! Where the rows of a SELECT come from: what is to be asked for next, and what the answers are worth.
//!
//! A cursor asks for a piece at a time, and for the next one only when it is told to. A long list - a queue, a history,
//! the subscribers of a pipe - comes in pages, so what is held of it is bounded however many rows there are.

use std::collections::BTreeMap;

use crate::cometql::errors::Error;
use crate::cometql::plan::Source;
use crate::cometql::rows::{Row, rows_of_counts, rows_of_texts, rows_of_times};
use crate::model::{DevId, PipeKey, PipeName, ShardId, UnixTime, UserId};
use crate::ring::{ConnectionInfo, Member, Placement, Question, Replies};
use crate::storage::{Call, Outcome, Page, Place, Read, StorageError, StoredMessage};

use super::answers::storage_failure;
use super::held::Held;
use super::numbers::number_of;
use super::tenants::Reach;
use super::walk::{Search, Walk};

#[derive(Debug)]
pub(super) struct Cursor {
    dev: DevId,
    left: Left,
    /// Behind those that are left, of a table that is looked through.
    walk: Option<Box<Walk>>,
    /// Answers that have not come yet.
    missing: usize,
    /// Of the piece that is being answered.
    rows: Vec<Row>,
    failure: Option<Error>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// To be sent; each is answered once. The places are those of the keys that a shard is asked about.
    Ask { questions: Vec<(ShardId, Vec<usize>, Question)>, read: Option<Read> },
    /// Rows of the sessions, as `SHOW FULL PROCESSLIST` has them at this time.
    Sessions(UnixTime),
    /// What memory is for is to be found out; answered once by [`Cursor::ledger`].
    Ledger,
    /// All was answered.
    End,
}

/// What is not asked for yet.
#[derive(Debug)]
enum Left {
    Nothing,
    /// The next keys of a table that is looked through.
    Keys,
    /// One row per name asked for; or, of those that this shard has named, per pipe with subscribers on none before.
    Counts {
        keys: Vec<PipeKey>,
        counts: Vec<u32>,
        named_by: Option<ShardId>,
    },
    /// One per user asked for; -1 until storage or an owner knows better.
    LastSeen {
        users: Vec<UserId>,
        times: Vec<i64>,
        online: Vec<bool>,
    },
    /// All in one piece.
    Once(Read),
    UserData {
        users: Vec<UserId>,
        at: usize,
    },
    Queues {
        users: Vec<UserId>,
        at: usize,
        after: Option<Place>,
    },
    Histories {
        pipes: Vec<PipeName>,
        at: usize,
        after: Option<Place>,
        number: u64,
    },
    AllRevoked {
        after: Option<Box<str>>,
    },
    Members {
        pipes: Vec<PipeName>,
        at: usize,
        shard: u16,
        before: Option<u32>,
    },
    Sessions(UnixTime),
    /// With a time the rows are those of a process list.
    Connections {
        processes: Option<UnixTime>,
        shard: u16,
        after: Option<u32>,
    },
    Held(Held),
    Ledger,
}

impl Left {
    fn new(dev: DevId, reach: Reach, source: Source) -> Self {
        match source {
            Source::Every(_) => Self::Nothing,
            Source::PipeCounts(names) => Self::counts(dev, names, None),
            Source::LastSeen(users) => {
                Self::LastSeen { times: vec![-1; users.len()], online: vec![false; users.len()], users }
            }
            Source::Hashes(users) => Self::Once(Read::Hashes { dev, users }),
            Source::UserData(users) => Self::UserData { users, at: 0 },
            Source::Queues(users) => Self::Queues { users, at: 0, after: None },
            Source::Histories(pipes) => Self::Histories { pipes, at: 0, after: None, number: 0 },
            Source::Lengths(pipes) => Self::Once(Read::Settings { dev, pipes }),
            Source::Members(pipes) => Self::Members { pipes, at: 0, shard: 0, before: None },
            Source::Revoked(tokens) => Self::Once(Read::Revoked { dev, tokens }),
            Source::AllRevoked => Self::AllRevoked { after: None },
            Source::Calls(names) => Self::Once(Read::Calls { dev, names }),
            Source::Connections => Self::Connections { processes: None, shard: 0, after: None },
            Source::Processes(now) => Self::Sessions(now),
            // What the whole process has concerns all tenants.
            Source::Memory if reach == Reach::Tenant => Self::Held(Held::by_shard(dev)),
            Source::Memory => Self::Ledger,
            Source::Tenants => Self::Held(Held::by_tenant((reach == Reach::Tenant).then_some(dev))),
        }
    }

    fn counts(dev: DevId, names: Vec<PipeName>, named_by: Option<ShardId>) -> Self {
        let keys: Vec<PipeKey> = names.into_iter().map(|name| PipeKey { dev, name }).collect();
        Self::Counts { counts: vec![0; keys.len()], keys, named_by }
    }
}

impl Cursor {
    /// `reach`: how far the session may look.
    pub(super) fn new(dev: DevId, reach: Reach, source: Source) -> Self {
        let walk = if let Source::Every(every) = source { Some(Box::new(Walk::new(every))) } else { None };
        Self { dev, left: Left::new(dev, reach, source), walk, missing: 0, rows: Vec::new(), failure: None }
    }

    /// Whether answers are on their way.
    pub(super) fn is_waiting(&self) -> bool {
        self.missing > 0
    }

    /// The rows of the piece that was answered.
    pub(super) fn take(&mut self) -> Result<Vec<Row>, Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut self.rows)),
        }
    }

    /// Not to be called while the cursor is waiting.
    pub(super) fn next(&mut self, placement: &Placement) -> Step {
        match (self.next_of_left(placement), &self.walk) {
            (Step::End, Some(walk)) => {
                let step = match walk.search(self.dev, placement) {
                    Search::Storage(read) => Step::Ask { questions: Vec::new(), read: Some(read) },
                    Search::Shard(shard, question) => {
                        Step::Ask { questions: vec![(shard, Vec::new(), question)], read: None }
                    }
                    Search::End => return Step::End,
                };
                (self.left, self.missing) = (Left::Keys, 1);
                step
            }
            (step, _) => step,
        }
    }

    fn next_of_left(&mut self, placement: &Placement) -> Step {
        let dev = self.dev;
        let read = |read| (Vec::new(), Some(read));
        let (questions, read) = match &mut self.left {
            Left::Nothing | Left::Keys => return Step::End,
            Left::Ledger => {
                self.missing = 1;
                return Step::Ledger;
            }
            Left::Held(held) => match held.question(placement) {
                Some((shard, question)) => (vec![(shard, Vec::new(), question)], None),
                None => return Step::End,
            },
            Left::Sessions(now) => {
                let now = *now;
                self.left = Left::Connections { processes: Some(now), shard: 0, after: None };
                return Step::Sessions(now);
            }
            Left::Counts { keys, named_by, .. } => {
                let ask = |places: &[usize]| {
                    let pipes = places.iter().filter_map(|place| keys.get(*place).cloned()).collect();
                    match *named_by {
                        Some(shard) => Question::PipeCountsFrom { shard, pipes },
                        None => Question::PipeCounts(pipes),
                    }
                };
                (by_owner(keys, |key| placement.owner_of_pipe(key), ask), None)
            }
            Left::LastSeen { users, .. } => {
                let ask = |places: &[usize]| {
                    Question::Online(dev, places.iter().filter_map(|place| users.get(*place).copied()).collect())
                };
                let questions = by_owner(users, |user| placement.owner_of_user(dev, *user), ask);
                (questions, Some(Read::LastSeen { dev, users: users.clone() }))
            }
            Left::Once(once) => read(once.clone()),
            Left::UserData { users, at } => {
                let piece = users.get(*at..users.len().min(*at + TEXTS)).unwrap_or_default().to_vec();
                read(Read::UserData { dev, users: piece })
            }
            Left::Queues { users, at, after } => {
                let Some(user) = users.get(*at).copied() else { return Step::End };
                read(Read::Queue { dev, user, after: *after, page: PAGE })
            }
            Left::Histories { pipes, at, after, .. } => {
                let Some(name) = pipes.get(*at).cloned() else { return Step::End };
                read(Read::History { pipe: PipeKey { dev, name }, after: *after, page: PAGE })
            }
            Left::AllRevoked { after } => read(Read::AllRevoked { dev, after: after.clone(), page: PAGE }),
            Left::Members { pipes, at, shard, before } => {
                let Some(name) = pipes.get(*at).cloned() else { return Step::End };
                let question = Question::Members { pipe: PipeKey { dev, name }, before: *before, rows: MEMBERS };
                (vec![(ShardId(*shard), Vec::new(), question)], None)
            }
            Left::Connections { shard, .. } if *shard >= placement.connection_shards() => return Step::End,
            Left::Connections { shard, after, .. } => {
                let question = Question::Connections { dev, after: *after, rows: MEMBERS };
                (vec![(ShardId(*shard), Vec::new(), question)], None)
            }
        };
        self.missing = questions.len() + usize::from(read.is_some());
        Step::Ask { questions, read }
    }

    /// A shard's answer about the keys in these places.
    pub(super) fn answered(&mut self, places: &[usize], replies: Replies, placement: &Placement) {
        self.missing = self.missing.saturating_sub(1);
        match (&mut self.left, replies) {
            (Left::Counts { counts, .. }, Replies::Counts(told)) => put(counts, places, &told),
            (Left::LastSeen { online, .. }, Replies::Online(told)) => put(online, places, &told),
            (Left::Members { pipes, at, shard, before }, Replies::Members { members, next }) => {
                if let Some(pipe) = pipes.get(*at) {
                    self.rows = members.into_iter().map(|member| row_of_member(pipe, member)).collect();
                }
                *before = next;
                if next.is_none() {
                    *shard += 1;
                    if *shard >= placement.connection_shards() {
                        (*at, *shard) = (*at + 1, 0);
                    }
                }
            }
            (Left::Connections { processes, shard, after }, Replies::Connections { connections, next }) => {
                let row = |connection| match *processes {
                    Some(now) => process_of_connection(&connection, self.dev, now),
                    None => row_of_connection(&connection),
                };
                self.rows = connections.into_iter().map(row).collect();
                *after = next;
                *shard += u16::from(next.is_none());
            }
            (Left::Held(held), Replies::Held { held: told, next }) => self.rows = held.told(told, next, placement),
            (left @ Left::Keys, Replies::Pipes { names, next }) => {
                *left = Left::Nothing;
                if let Some(walk) = self.walk.as_mut() {
                    let shard = walk.named(next);
                    if !names.is_empty() {
                        *left = Left::counts(self.dev, names, Some(shard));
                    }
                }
                return;
            }
            _ => never!("a shard answers what it was asked"),
        }
        self.complete();
    }

    /// What memory is for.
    pub(super) fn ledger(&mut self, rows: Vec<Row>) {
        self.missing = 0;
        (self.left, self.rows) = (Left::Nothing, rows);
    }

    pub(super) fn stored(&mut self, result: Result<Outcome, StorageError>) {
        self.missing = self.missing.saturating_sub(1);
        match (&mut self.left, result) {
            (_, Err(error)) => self.failure = Some(storage_failure(&error)),
            (Left::LastSeen { users, times, .. }, Ok(Outcome::Times(found))) => {
                let found: BTreeMap<UserId, i64> = found.into_iter().collect();
                for (user, time) in users.iter().zip(times) {
                    // A stored 0 is what a crash left behind: nobody knows.
                    *time = found.get(user).copied().filter(|seen| *seen > 0).unwrap_or(-1);
                }
            }
            (left @ Left::Once(_), Ok(outcome)) => {
                self.rows = rows_of(outcome);
                *left = Left::Nothing;
            }
            (left @ Left::UserData { .. }, Ok(outcome)) => {
                self.rows = rows_of(outcome);
                if let Left::UserData { users, at } = left {
                    *at += TEXTS;
                    if *at >= users.len() {
                        *left = Left::Nothing;
                    }
                }
            }
            (Left::Queues { users, at, after }, Ok(Outcome::Messages { rows, more })) => {
                *after = rows.last().filter(|_| more).map(StoredMessage::place);
                let user = users.get(*at).copied().unwrap_or_default();
                self.rows = rows.into_iter().map(|message| row_of_queue(user, message)).collect();
                *at += usize::from(after.is_none());
            }
            (Left::Histories { pipes, at, after, number }, Ok(Outcome::Messages { rows, more })) => {
                *after = rows.last().filter(|_| more).map(StoredMessage::place);
                if let Some(pipe) = pipes.get(*at) {
                    let numbers = *number..;
                    *number += rows.len() as u64;
                    if let Some(walk) = &mut self.walk {
                        walk.number = *number;
                    }
                    self.rows = numbers.zip(rows).map(|(at, message)| row_of_history(pipe, at, message)).collect();
                }
                *at += usize::from(after.is_none());
            }
            (left @ Left::AllRevoked { .. }, Ok(Outcome::Tokens { rows, more })) => {
                *left = match rows.last().filter(|_| more) {
                    Some(last) => Left::AllRevoked { after: Some(last.clone()) },
                    None => Left::Nothing,
                };
                self.rows = rows.into_iter().map(|token| vec![token]).collect();
            }
            (Left::Keys, Ok(keys)) => {
                if let Some(walk) = &mut self.walk {
                    self.left = left_of(self.dev, walk, keys);
                }
                return;
            }
            (_, Ok(_)) => never!("storage answers what it was asked"),
        }
        self.complete();
    }

    /// What only all answers together give.
    fn complete(&mut self) {
        if self.missing > 0 || !matches!(self.left, Left::Counts { .. } | Left::LastSeen { .. }) {
            return;
        }
        self.rows = match std::mem::replace(&mut self.left, Left::Nothing) {
            Left::Counts { keys, counts, named_by } => {
                let rows = keys.into_iter().map(|key| key.name).zip(counts.into_iter().map(u64::from));
                rows_of_counts(rows.filter(|(_, count)| named_by.is_none() || *count > 0))
            }
            Left::LastSeen { users, times, online } => {
                let times = times.into_iter().zip(online).map(|(time, online)| if online { 0 } else { time });
                rows_of_times(users.into_iter().zip(times))
            }
            _ => Vec::new(),
        };
    }

    /// Bytes of the keys that are left and of rows that were not taken.
    pub(super) fn bytes(&self) -> usize {
        let keys = match &self.left {
            Left::Counts { keys, .. } => keys.len() * (size_of::<PipeKey>() + NAME_BYTES),
            Left::Histories { pipes, .. } | Left::Members { pipes, .. } => {
                pipes.len() * (size_of::<PipeName>() + NAME_BYTES)
            }
            Left::LastSeen { users, .. } | Left::UserData { users, .. } | Left::Queues { users, .. } => {
                users.len() * 16
            }
            Left::Held(held) => held.bytes(),
            _ => 0,
        };
        keys + self.rows.iter().flatten().map(|cell| size_of::<Box<str>>() + cell.len()).sum::<usize>()
    }
}

/// What is left when these keys were found.
fn left_of(dev: DevId, walk: &mut Walk, keys: Outcome) -> Left {
    let (none, source) = match keys {
        Outcome::Users { rows, after } => (rows.is_empty(), walk.users(rows, after)),
        Outcome::Names { rows, after } => (rows.is_empty(), walk.names(rows, after)),
        _ => {
            never!("storage answers with keys when it was asked for them");
            return Left::Nothing;
        }
    };
    if none {
        return Left::Nothing;
    }
    let mut left = Left::new(dev, Reach::Tenant, source);
    if let Left::Histories { number, .. } = &mut left {
        *number = walk.number;
    }
    left
}

/// What is read of a long list at once.
const PAGE: Page = Page { rows: 1_000, bytes: 256 * 1024 };

/// Users whose texts are read at once: each may be large.
const TEXTS: usize = 16;

/// Subscribers or connections that a shard lists at once.
const MEMBERS: u32 = 512;

/// What a pipe's name takes on the heap, about.
const NAME_BYTES: usize = 24;

/// Groups the places of keys by the shard that owns them.
fn by_owner<K>(
    keys: &[K],
    owner: impl Fn(&K) -> ShardId,
    ask: impl Fn(&[usize]) -> Question,
) -> Vec<(ShardId, Vec<usize>, Question)> {
    let mut places: Vec<(ShardId, usize)> = keys.iter().enumerate().map(|(place, key)| (owner(key), place)).collect();
    places.sort_unstable();
    let groups = places.chunk_by(|left, right| left.0 == right.0);
    groups
        .filter_map(|group| {
            let places: Vec<usize> = group.iter().map(|(_, place)| *place).collect();
            let question = ask(&places);
            Some((group.first()?.0, places, question))
        })
        .collect()
}

fn put<T: Copy>(into: &mut [T], places: &[usize], values: &[T]) {
    for (place, value) in places.iter().zip(values) {
        if let Some(slot) = into.get_mut(*place) {
            *slot = *value;
        }
    }
}

fn text(value: &impl ToString) -> Box<str> {
    value.to_string().into()
}

/// Rows of what storage gives in one piece.
fn rows_of(outcome: Outcome) -> Vec<Row> {
    match outcome {
        Outcome::Texts(found) => rows_of_texts(found),
        Outcome::Lengths(found) => {
            found.into_iter().map(|(name, length)| vec![name.as_str().into(), text(&length)]).collect()
        }
        Outcome::Tokens { rows, .. } => rows.into_iter().map(|token| vec![token]).collect(),
        Outcome::Calls(calls) => calls.into_iter().map(row_of_call).collect(),
        _ => Vec::new(),
    }
}

fn row_of_call(call: Call) -> Row {
    let Call { name, user, caller, message, profile, stream, node, time: _ } = call;
    vec![name, text(&user), text(&caller), message, profile, stream, node]
}

fn row_of_queue(user: UserId, message: StoredMessage) -> Row {
    vec![text(&user), text(&message.id), message.event.as_str().into(), message.message]
}

fn row_of_history(pipe: &PipeName, number: u64, message: StoredMessage) -> Row {
    let StoredMessage { id, time, event, message, sender, expires: _ } = message;
    vec![text(&id), text(&time), pipe.as_str().into(), text(&number), event.as_str().into(), message, text(&sender)]
}

fn row_of_member(pipe: &PipeName, member: Member) -> Row {
    let Member { user, uuid, details, address } = member;
    let (agent, origin, language) = (details.agent.clone(), details.origin.clone(), details.language.clone());
    vec![pipe.as_str().into(), text(&user), uuid, agent, text(&address), origin, language]
}

fn row_of_connection(connection: &ConnectionInfo) -> Row {
    let ConnectionInfo { shard, conn, user, address, pipes, since, queued_bytes, memory } = connection;
    let id = number_of(ShardId(*shard), *conn);
    vec![text(&id), text(&user), text(&address), text(&pipes), text(&queued_bytes), text(&since.0), text(&memory)]
}

fn process_of_connection(connection: &ConnectionInfo, dev: DevId, now: UnixTime) -> Row {
    let ConnectionInfo { shard, conn, user, address, pipes, since, queued_bytes, memory: _ } = connection;
    let id = number_of(ShardId(*shard), *conn);
    let age = now.0.saturating_sub(since.0).max(0);
    let state = format!("pipes: {pipes}, queued bytes: {queued_bytes}");
    let command = "Browser".into();
    vec![
        text(&id),
        text(&user),
        text(&address),
        format!("db_{dev}").into(),
        command,
        text(&age),
        state.into(),
        "".into(),
    ]
}
