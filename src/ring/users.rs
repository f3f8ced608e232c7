//! What shards tell each other of users: their personal messages and queues, what ends them, whose turn it is.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{CloseReason, ConnId, DevId, Personal, Publication, UserId};
use crate::storage::StoredMessage;

use super::{AskId, StatementId};

/// Users of one tenant whose hashes were deleted by one statement.
#[derive(Debug)]
pub struct EndedUsers {
    pub dev: DevId,
    /// Sorted, each once.
    users: Box<[UserId]>,
}

impl EndedUsers {
    pub fn new(dev: DevId, mut users: Vec<UserId>) -> Self {
        users.sort_unstable();
        users.dedup();
        Self { dev, users: users.into() }
    }

    pub fn users(&self) -> &[UserId] {
        &self.users
    }

    pub fn contains(&self, user: UserId) -> bool {
        self.users.binary_search(&user).is_ok()
    }
}

/// A user's key that was tried.
#[derive(Debug)]
pub struct KeyTried {
    pub address: IpAddr,
    pub dev: DevId,
    pub user: UserId,
    pub was_right: bool,
}

/// Whether a user's key may be tried.
#[derive(Debug)]
pub struct AskKey {
    pub id: AskId,
    pub address: IpAddr,
    pub dev: DevId,
    pub user: UserId,
}

#[derive(Debug)]
pub struct Send {
    pub dev: DevId,
    pub user: UserId,
    pub personal: Arc<Personal>,
    /// In the queue it waits for so many seconds.
    pub expires_in: Option<u32>,
    pub statement: StatementId,
}

/// A part of a user's queue, for one connection.
#[derive(Debug)]
pub struct Flush {
    pub dev: DevId,
    pub user: UserId,
    pub conn: ConnId,
    /// In their order.
    pub messages: Vec<StoredMessage>,
    /// Nothing is left: from now on the connection gets personal messages as they come.
    pub register: bool,
    /// The connection cannot be one of the user's: it ends for this reason, and nothing is reported.
    pub end: Option<CloseReason>,
}

/// Whose publications are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Publisher {
    User(DevId, UserId),
    Anonymous(IpAddr),
}

/// A publication on its way to the owner of its publisher.
#[derive(Debug)]
pub struct Submit {
    pub publisher: Publisher,
    pub publication: Box<Publication>,
}
