//! What crosses from shard to shard. Small, owned, and each of a [`Level`] that says what handling it may cause.

use std::sync::Arc;

use crate::model::{ConnId, DevId, PipeKey, Publication, UserId};

/// Handling a message of one level causes ring messages of later levels only. That is why full rings cannot lock
/// each other: see the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Request,
    Deliver,
    Reply,
}

/// A statement of a CometQL session that awaits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatementId {
    pub session: ConnId,
    /// Counted per session, from 0, wrapping.
    pub number: u32,
}

/// One unbroken time in which a shard has subscribers of a pipe. When the last one leaves and a new one comes, that is
/// another interest: what was on its way for the old one must not reach the new subscriber, who would hear one
/// publication, miss those that nobody sent while no interest was known, and then hear on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterestId(pub u32);

/// Chosen by whoever asks; comes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

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

#[derive(Debug)]
pub enum RingMessage {
    /// To the owner of the pipe. `statement` wants an [`RingMessage::Accepted`].
    Publish { publication: Box<Publication>, statement: Option<StatementId> },
    /// To the owner of the pipe: how many subscribers the sending shard has now, in this interest.
    Interest { pipe: Arc<PipeKey>, subscribers: u32, interest: InterestId },
    /// To the owner of the user: one more authorised connection.
    UserCame { dev: DevId, user: UserId },
    /// To the owner of the user: one connection less.
    UserWent { dev: DevId, user: UserId },
    /// To every connection shard: the hashes of these users are gone, and with them what let their connections in.
    EndUsers(Arc<EndedUsers>),
    /// To an owner.
    Ask(Box<Ask>),
    /// From the owner of the pipe to a shard with subscribers, for the interest that the owner knew then.
    Deliver { publication: Arc<Publication>, interest: InterestId },
    /// To the CometQL shard: the publication has its place in the pipe's order.
    Accepted { statement: StatementId },
    /// To the publishing browser's shard: so many shards will say [`RingMessage::Delivered`].
    Fanned { conn: ConnId, publication: Arc<Publication>, shards: u16 },
    /// To the publishing browser's shard: so many connections of the sending shard got it.
    Delivered { conn: ConnId, connections: u32 },
    /// To whoever asked.
    Answered(Box<Answered>),
}

const _: () = assert!(size_of::<RingMessage>() <= 32, "rings are sized for small messages");

impl RingMessage {
    pub fn level(&self) -> Level {
        match self {
            Self::Publish { .. }
            | Self::Interest { .. }
            | Self::EndUsers(_)
            | Self::UserCame { .. }
            | Self::UserWent { .. }
            | Self::Ask(_) => Level::Request,
            Self::Deliver { .. } => Level::Deliver,
            Self::Accepted { .. } | Self::Fanned { .. } | Self::Delivered { .. } | Self::Answered(_) => Level::Reply,
        }
    }
}

#[derive(Debug)]
pub struct Ask {
    pub id: AskId,
    pub question: Question,
}

#[derive(Debug)]
pub enum Question {
    /// Subscribers of each pipe, all owned by the shard asked.
    PipeCounts(Vec<PipeKey>),
    /// Whether each user has a connection, all owned by the shard asked.
    Online(DevId, Vec<UserId>),
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
}
