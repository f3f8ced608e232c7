//! What storage holds, as a naive model: maps, and the rules of `storage` said once more.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{PipeName, Position};
use crate::storage::{Missed, Outcome, Page, Place, Read, Request, Since, StoredMessage, Write};

/// Rows of a queue or history that storage gives at once here, so that nearly every list comes in several parts.
const ROWS_AT_ONCE: usize = 3;

#[derive(Default)]
pub(super) struct Database {
    pub(super) hashes: BTreeMap<u32, String>,
    /// When users were seen last.
    pub(super) times: BTreeMap<u32, i64>,
    pub(super) queues: BTreeMap<u32, BTreeMap<Place, StoredMessage>>,
    /// All personal messages that ever waited.
    pub(super) queued: BTreeSet<String>,
    pub(super) revoked: BTreeSet<String>,
    /// Personal messages that a backend deleted while they waited.
    pub(super) thrown_away: Vec<String>,
    pub(super) settings: BTreeMap<String, u32>,
    pub(super) histories: BTreeMap<String, BTreeMap<Place, StoredMessage>>,
    /// Every message that ever came into a history, by pipe.
    pub(super) log: BTreeMap<String, Vec<StoredMessage>>,
    pub(super) logged: BTreeSet<String>,
    /// How often a history lost what was in it by something other than new messages, by pipe.
    pub(super) cuts: BTreeMap<String, u64>,
    /// Up to here something is gone, by pipe.
    pub(super) begun: BTreeMap<String, Position>,
    /// What it was asked for and did not have, by pipe and position.
    pub(super) gaps: BTreeSet<(String, u64)>,
    pub(super) departed: usize,
}

impl Database {
    /// Whether a token is revoked of which this is signed.
    pub(super) fn is_revoked(&self, signed: &str) -> bool {
        self.revoked.iter().any(|token| token.strip_prefix(signed).is_some_and(|rest| rest.starts_with('.')))
    }

    pub(super) fn run(&mut self, request: Request) -> Outcome {
        match request {
            Request::Write(writes) => {
                Outcome::Written { rows: writes.into_iter().map(|write| self.write(write)).sum() }
            }
            Request::Read { read, .. } => self.read(read),
        }
    }

    /// The messages of a pipe's history, oldest first.
    pub(super) fn history(&self, pipe: &str) -> Vec<&StoredMessage> {
        let length = self.length(pipe) as usize;
        let all: Vec<_> = self.histories.get(pipe).into_iter().flat_map(BTreeMap::values).collect();
        all[all.len().saturating_sub(length)..].to_vec()
    }

    fn write(&mut self, write: Write) -> u64 {
        match write {
            Write::PutHash { user, hash, .. } => {
                self.hashes.insert(user.get(), hash.into());
                1
            }
            Write::DeleteHash { user, .. } => u64::from(self.hashes.remove(&user.get()).is_some()),
            Write::PutLastSeen { user, time, .. } => {
                let before = self.times.insert(user.get(), time);
                assert!(before.is_none_or(|before| before <= time), "an earlier time came later");
                self.departed += 1;
                1
            }
            Write::PutQueued { user, message, .. } => {
                self.queued.insert(message.message.to_string());
                let before = self.queues.entry(user.get()).or_default().insert(message.place(), message);
                assert!(before.is_none(), "two messages in one place");
                1
            }
            Write::DeleteQueue { user, .. } => {
                let queue = self.queues.remove(&user.get()).unwrap_or_default();
                self.thrown_away.extend(queue.values().map(|message| message.message.to_string()));
                queue.len() as u64
            }
            Write::DeleteQueued { user, ids, .. } => {
                let queue = self.queues.entry(user.get()).or_default();
                let before = queue.len();
                queue.retain(|_, message| !ids.contains(&message.id));
                (before - queue.len()) as u64
            }
            Write::PutHistory { pipe, message, trim } => {
                let pipe = pipe.name.as_str();
                let length = self.length(pipe);
                if length == 0 {
                    return 0;
                }
                let log = self.log.entry(pipe.to_owned()).or_default();
                let in_order = log.last().is_none_or(|last| last.place() < message.place());
                assert!(in_order, "{pipe}: the history has another order than the pipe");
                log.push(message.clone());
                self.logged.insert(message.message.to_string());
                self.histories.entry(pipe.to_owned()).or_default().insert(message.place(), message);
                if trim {
                    self.trim(pipe, length);
                }
                1
            }
            Write::PutKey { .. } => 1,
            Write::PutRevoked { token, .. } => u64::from(self.revoked.insert(token.into())),
            Write::DeleteHistory { pipe } => self.cut(pipe.name.as_str(), 0),
            Write::PutSetting { pipe, length, begun } => {
                let pipe = pipe.name.as_str();
                if self.length(pipe) == 0 {
                    self.begins(pipe, begun);
                }
                self.settings.insert(pipe.to_owned(), length);
                self.cut(pipe, length);
                1
            }
            Write::DeleteSetting { pipe, begun } => {
                self.cut(pipe.name.as_str(), 0);
                self.begins(pipe.name.as_str(), begun);
                u64::from(self.settings.remove(pipe.name.as_str()).is_some())
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn cut(&mut self, pipe: &str, length: u32) -> u64 {
        *self.cuts.entry(pipe.to_owned()).or_default() += 1;
        self.trim(pipe, length)
    }

    fn trim(&mut self, pipe: &str, length: u32) -> u64 {
        let Some(history) = self.histories.get_mut(pipe) else { return 0 };
        let surplus = history.len().saturating_sub(length as usize);
        let gone: Vec<_> = (0..surplus).filter_map(|_| history.pop_first()).collect();
        let newest = gone.last().and_then(|(place, _)| place.id.position());
        if let Some(newest) = newest {
            self.begins(pipe, newest);
        }
        surplus as u64
    }

    fn begins(&mut self, pipe: &str, position: Position) {
        let begun = self.begun.entry(pipe.to_owned()).or_default();
        *begun = position.max(*begun);
    }

    fn length(&self, pipe: &str) -> u32 {
        self.settings.get(pipe).copied().unwrap_or_else(|| default_length(pipe))
    }

    /// All that was missed, or nothing of it: what is gone, or beyond the length and not trimmed yet, or too much to be read
    /// at once. The newest in any case.
    fn missed(&mut self, since: &Since, most: Page) -> Missed {
        let (pipe, until) = (since.pipe.name.as_str(), since.until);
        let mut missed = since.after.map(|after| self.missed_behind(pipe, after, until, most)).unwrap_or_default();
        if since.newest as usize > missed.rows.len() {
            let mut bytes = 0;
            let history = self.history(pipe).into_iter().rev().filter(|row| row.id.position() <= Some(until));
            let fits = |row: &&StoredMessage| {
                let fits = bytes == 0 || bytes < most.bytes;
                bytes += row.message.len() + row.event.as_str().len();
                fits
            };
            let newest = since.newest.min(most.rows) as usize;
            missed.rows = history.take(newest).take_while(fits).cloned().collect();
            missed.rows.reverse();
        }
        missed
    }

    fn missed_behind(&mut self, pipe: &str, after: Position, until: Position, most: Page) -> Missed {
        let is_behind = |message: &&StoredMessage| {
            let position = message.id.position();
            position > Some(after) && position <= Some(until)
        };
        let all = self.histories.get(pipe).into_iter().flat_map(BTreeMap::values).filter(is_behind).count();
        let rows: Vec<StoredMessage> = self.history(pipe).into_iter().filter(is_behind).cloned().collect();
        let bytes: usize = rows.iter().map(|row| row.message.len() + row.event.as_str().len()).sum();
        let is_all = rows.len() == all && self.length(pipe) > 0 && Some(&after) >= self.begun.get(pipe);
        let fits = rows.len() <= most.rows as usize && (bytes <= most.bytes || rows.len() == 1);
        if is_all && fits {
            return Missed { rows, complete: true };
        }
        self.gaps.insert((pipe.to_owned(), after.0));
        Missed::default()
    }

    fn read(&mut self, read: Read) -> Outcome {
        match read {
            Read::Hashes { users, .. } => {
                let found =
                    users.into_iter().filter_map(|user| Some((user, self.hashes.get(&user.get())?.as_str().into())));
                Outcome::Texts(found.collect())
            }
            Read::UserData { .. } => Outcome::Texts(Vec::new()),
            Read::LastSeen { users, .. } => {
                let found = users.into_iter().filter_map(|user| Some((user, *self.times.get(&user.get())?)));
                Outcome::Times(found.collect())
            }
            Read::Login { user, token, .. } => {
                let hash = self.hashes.get(&user.get()).map(|hash| hash.as_str().into());
                Outcome::Login { hash, revoked: token.is_some_and(|signed| self.is_revoked(&signed)) }
            }
            Read::Settings { pipes, .. } => {
                let length = |pipe: &PipeName| self.settings.get(pipe.as_str()).copied();
                Outcome::Lengths(pipes.into_iter().filter_map(|pipe| Some((pipe.clone(), length(&pipe)?))).collect())
            }
            Read::Queue { user, after, .. } => {
                page(self.queues.get(&user.get()).into_iter().flat_map(BTreeMap::values), after)
            }
            Read::History { pipe, after, .. } => page(self.history(pipe.name.as_str()), after),
            Read::Missed { pipes, page } => {
                Outcome::Missed(pipes.iter().map(|since| self.missed(since, page)).collect())
            }
            Read::NewestHistory { pipe, page } => {
                let rows = self.history(pipe.name.as_str());
                let first = rows.len().saturating_sub(page.rows as usize);
                Outcome::Messages { rows: rows[first..].iter().copied().cloned().collect(), more: false }
            }
            other => unreachable!("{other:?}"),
        }
    }
}

/// What a pipe without a setting keeps.
pub(super) fn default_length(pipe: &str) -> u32 {
    if pipe.starts_with("trust_") { 10_000 } else { 0 }
}

fn page<'a>(rows: impl IntoIterator<Item = &'a StoredMessage>, after: Option<Place>) -> Outcome {
    let rows = rows.into_iter().filter(|message| after.is_none_or(|after| message.place() > after));
    let mut rows: Vec<StoredMessage> = rows.take(ROWS_AT_ONCE + 1).cloned().collect();
    let more = rows.len() > ROWS_AT_ONCE;
    rows.truncate(ROWS_AT_ONCE);
    Outcome::Messages { rows, more }
}
