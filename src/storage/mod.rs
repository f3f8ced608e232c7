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
    Read(Read),
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

/// Always the environment's fault; the text is for the log and the backend, never for browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The engine refused or lost the request.
    Failed(String),
    /// Too many requests wait already; nothing was done.
    Overloaded,
}

pub mod sqlite;

#[cfg(test)]
mod tests;

/// An engine, on the storage thread. It may block; nobody waits for it but those who asked.
pub trait Store {
    /// Carries out a batch in order and commits it as one group: every [`Outcome::Written`] among the completions is
    /// on disk when this returns. If the group cannot be committed, every job of it fails and nothing of it is kept.
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion>;

    /// For the banner and `SHOW STATUS`: engine and place.
    fn describe(&self) -> String;
}
