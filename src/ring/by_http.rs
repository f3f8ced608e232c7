//! Requests by HTTP that another shard carries out: polls, and statements.

use std::fmt;
use std::net::IpAddr;

use crate::model::ConnId;

/// One request for a connection without a socket.
#[derive(Debug)]
pub struct Poll {
    /// The connection that the request came on, of the shard where it arrived.
    pub asker: ConnId,
    /// The connection that it is for, and the proof that whoever asks may.
    pub conn: ConnId,
    pub secret: u128,
    pub wish: Wish,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// All up to `seq` has arrived; whatever is there beyond, or comes in a while. With `pipes` these are its
    /// subscriptions from now on; the second text names positions.
    Messages { seq: u64, pipes: Option<(Box<str>, Box<str>)> },
    /// Something to publish; the pipe may have `@` before it. Whether it may be is judged where the connection is.
    Publish { pipe: Box<str>, event: Box<str>, message: Box<str> },
}

/// What became of it.
#[derive(Debug)]
pub struct Polled {
    pub asker: ConnId,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A JSON array.
    Messages(Box<[u8]>),
    /// The command was begun; its answer is a message.
    Begun,
    /// There is no such connection any more, for this reason if it is known.
    Gone(&'static str),
    /// The request acknowledges what was never sent, or forgets what an earlier one had acknowledged.
    OutOfOrder,
    /// Too many commands wait.
    Busy,
}

/// A request by HTTP to carry out statements, or to check a password only.
pub struct Batch {
    /// The connection that the request came on, of the shard where it arrived.
    pub asker: ConnId,
    /// Where the request came from, for the count of wrong passwords.
    pub address: IpAddr,
    /// As at a login of the MySQL protocol.
    pub user: Box<str>,
    pub database: Option<Box<str>>,
    pub password: Box<[u8]>,
    pub wish: BatchWish,
}

/// All but the password, so that no log and no panic can tell it.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asker, address, user, database, password: _, wish } = self;
        f.debug_struct("Batch")
            .field("asker", asker)
            .field("address", address)
            .field("user", user)
            .field("database", database)
            .field("wish", wish)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum BatchWish {
    /// Statements as text, separated by semicolons.
    Text(Box<[u8]>),
    /// Single statements with the values of their placeholders, as JSON. It is read where the password is known to be right.
    Json(Box<[u8]>),
    /// Nothing but to know whether this is the server's password.
    Password,
}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchDone {
    pub asker: ConnId,
    pub answer: BatchAnswer,
}

/// As HTTP tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAnswer {
    pub status: u16,
    /// Seconds after which to ask again, where the status says so.
    pub retry_after: Option<u64>,
    /// JSON.
    pub body: Box<[u8]>,
}
