//! Storage: requests and completions as values. The engines behind them run on the storage thread only.
//!
//! A shard hands over a [`Job`] and goes on; the answer comes back as a [`Completion`] with the same ticket. A write
//! is acknowledged only when it is committed.

use crate::model::{DevId, UserId};

/// Chosen by whoever asks; comes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub ticket: Ticket,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `bytes_max`: what the rows may weigh together, texts only; beyond it: [`StorageError::TooLarge`].
    Read { read: Read, bytes_max: usize },
    /// All of them in one transaction.
    Write(Vec<Write>),
}

/// Rows come back in the order of the ids asked for; ids without a row are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Hashes { dev: DevId, users: Vec<UserId> },
    UserData { dev: DevId, users: Vec<UserId> },
    LastSeen { dev: DevId, users: Vec<UserId> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    PutHash { dev: DevId, user: UserId, hash: Box<str> },
    DeleteHash { dev: DevId, user: UserId },
    PutUserData { dev: DevId, user: UserId, data: Box<str> },
    DeleteUserData { dev: DevId, user: UserId },
    PutLastSeen { dev: DevId, user: UserId, time: i64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub ticket: Ticket,
    pub result: Result<Outcome, StorageError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    Texts(Vec<(UserId, Box<str>)>),
    Times(Vec<(UserId, i64)>),
}

/// The text is for the log and the backend, never for browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// Peer: the rows of a read weigh more than it may have. What was read of them is dropped.
    TooLarge { bytes_max: usize },
    /// Environment: the engine refused or lost the request.
    Failed(String),
    /// Environment: too many requests wait already; nothing was done.
    Overloaded,
}

/// What the results of one group may weigh before it ends; the last result comes on top.
pub const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

pub mod sqlite;

#[cfg(test)]
mod tests;

/// An engine, on the storage thread. It may block; nobody waits for it but those who asked.
pub trait Store {
    /// Carries out jobs in order and commits them as one group: every [`Outcome::Written`] among the completions is
    /// on disk when this returns. A job that fails leaves nothing behind and does not harm the others. A group ends early when its results weigh [`GROUP_BYTES_MAX`]: there are completions
    /// for the first jobs then, for one at least, and the others are to be handed in again.
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion>;

    /// For the banner and `SHOW STATUS`: engine and place.
    fn describe(&self) -> String;
}
