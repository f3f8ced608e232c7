//! Questions from shard to shard, and their answers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ConnId, DevId, PipeKey, PipeName, ShardId, UnixTime, UserId};

/// Chosen by whoever asks; comes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

#[derive(Debug)]
pub struct Ask {
    pub id: AskId,
    pub question: Question,
}

#[derive(Debug)]
pub enum Question {
    /// Subscribers of each pipe, all owned by the shard asked.
    PipeCounts(Vec<PipeKey>),
    /// Whether the history of a pipe may have something in it.
    HasHistory(PipeKey),
    /// Whether each user has a connection, all owned by the shard asked.
    Online(DevId, Vec<UserId>),
    /// Subscribers of a pipe on the shard asked, newest first, at most so many, from behind a slot on.
    Members { pipe: PipeKey, before: Option<u32>, rows: u32 },
    /// Connections of a tenant on the shard asked, from behind a place on, at most so many.
    Connections { dev: DevId, after: Option<u32>, rows: u32 },
    /// Names of a tenant's pipes with subscribers on the shard asked, from behind a place on, at most so many.
    Pipes { dev: DevId, after: Option<u32>, rows: u32 },
    /// Subscribers of each pipe, all owned by the shard asked; 0 for one that has some on a shard before this one.
    PipeCountsFrom { shard: ShardId, pipes: Vec<PipeKey> },
    /// What connections of the shard asked take, of one tenant or of all, in some places from behind one on.
    Held { dev: Option<DevId>, after: Option<u32> },
    /// End this connection of the shard asked.
    Kill { dev: DevId, conn: ConnId },
}

#[derive(Debug)]
pub struct Answered {
    pub id: AskId,
    pub replies: Replies,
}

/// In the order of the question.
#[derive(Debug)]
pub enum Replies {
    Counts(Vec<u32>),
    Online(Vec<bool>),
    HasHistory(bool),
    /// `next`: where to go on, if there are more.
    Members {
        members: Vec<Member>,
        next: Option<u32>,
    },
    /// `next`: where to go on, if there are more.
    Connections {
        connections: Vec<ConnectionInfo>,
        next: Option<u32>,
    },
    /// `next`: where to go on, if there are more.
    Pipes {
        names: Vec<PipeName>,
        next: Option<u32>,
    },
    /// `next`: where to go on, if there are more.
    Held {
        held: Vec<HeldByTenant>,
        next: Option<u32>,
    },
    /// Whether there was such a connection.
    Killed(bool),
}

/// One subscriber of a pipe, as its handshake described itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    pub uuid: Box<str>,
    pub details: Arc<Headers>,
    pub address: IpAddr,
}

/// What a browser's request said about it. Shared by all connections that say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Headers {
    pub agent: Box<str>,
    pub origin: Box<str>,
    pub language: Box<str>,
}

/// One browser connection, for whoever watches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    pub shard: u16,
    pub conn: ConnId,
    pub user: UserId,
    pub address: IpAddr,
    /// Pipes it is subscribed to.
    pub pipes: u32,
    /// Since when.
    pub since: UnixTime,
    /// Bytes that wait to be sent; filled in at the edge.
    pub queued_bytes: u64,
    /// Bytes that the server holds for it. The hub knows a part of it, the edge the rest.
    pub memory: u64,
}

/// Connections of one tenant, and the bytes that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldByTenant {
    pub dev: DevId,
    pub connections: u32,
    pub bytes: u64,
}
