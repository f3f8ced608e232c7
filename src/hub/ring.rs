//! What crosses from shard to shard. Small, owned, and each of a [`Level`] that says what handling it may cause.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{CloseReason, ConnId, DevId, Personal, PipeKey, Position, Publication, UnixTime, UserId};
use crate::storage::{StorageError, StoredMessage};

use super::interests::OneInterest;
use super::limits::{Publisher, Submit};

/// Handling a message of one level causes ring messages of later levels only. That is why full rings cannot lock
/// each other: see the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Request,
    Announce,
    Deliver,
    Report,
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
    /// To the owner of the pipe. `statement` wants an [`RingMessage::Accepted`] or [`RingMessage::Refused`].
    Publish { publication: Box<Publication>, statement: Option<StatementId> },
    /// To the owner of the pipe: how many subscribers the sending shard has now, in this interest.
    Interest { pipe: Arc<PipeKey>, subscribers: u32, interest: InterestId },
    /// The same for many pipes.
    Interests(Vec<OneInterest>),
    /// To the owner of some pipes, behind the interests of the same shard: a new subscriber of them, who wants to know from which
    /// positions on it gets everything. Each pipe is answered once, in some [`RingMessage::Recovered`].
    Recover(Box<Recover>),
    /// To the owner of pipes that a connection is a new subscriber of: it has gone.
    StopRecovering { conn: ConnId },
    /// To the owner of the pipe: so many publications are to be kept from now on; `None` forgets setting and history.
    SetLength(Box<SetLength>),
    /// To the owner of the user: one more authorised connection.
    UserCame { dev: DevId, user: UserId, conn: ConnId },
    /// To the owner of the user: one connection less.
    UserWent { dev: DevId, user: UserId, conn: ConnId },
    /// To the owner of the user: a personal message.
    Send(Box<Send>),
    /// To every connection shard: the hashes of these users are gone, and with them what let their connections in.
    EndUsers(Arc<EndedUsers>),
    /// To every connection shard: nobody may be here with this token any longer.
    EndToken { dev: DevId, token: Arc<str> },
    /// To an owner, or to a shard about its own connections.
    Ask(Box<Ask>),
    /// To the shard that has a connection without a socket: a request for it, which arrived elsewhere. Handling it causes
    /// nothing: it is noted, and begun like bytes that arrive.
    Poll(Box<Poll>),
    /// To the owner of the publisher: its message, if it may publish one now.
    Submit(Box<Submit>),
    /// To the owner of the publisher: a publication that it is not asked for. Handling it causes nothing.
    Count { publisher: Publisher },
    /// To the owner of the address: may this connection of the sending shard begin?
    Admit { address: IpAddr, conn: ConnId },
    /// To the owner of the address: a connection that was admitted is no more.
    AddressLeft { address: IpAddr },
    /// To the owner of an address: what became of a user's key that was tried from there.
    KeyTried(KeyTried),
    /// To the owner of an address from which keys seem to be guessed: may this user's key be tried from there? One
    /// [`RingMessage::KeyAnswer`] for each.
    AskKey(Box<AskKey>),
    /// To the CometQL shard: statements that came by HTTP. Handling it causes nothing: it is noted, and begun like bytes
    /// that arrive. One [`RingMessage::BatchDone`] for each.
    Batch(Box<Batch>),
    /// From the owner of a user to the owner of a pipe: publish that the user came or went, or what the user submitted.
    Announce { publication: Box<Publication> },
    /// From the owner of the pipe to a shard with subscribers, for the interest that the owner knew then.
    Deliver { publication: Arc<Publication>, interest: InterestId },
    /// From the owner of the pipe to the shard of a new subscriber, between the deliveries before and behind its position.
    Recovered(Vec<Recovered>),
    /// From the owner of the user to a shard with connections of the user.
    Personal { dev: DevId, user: UserId, personal: Arc<Personal>, ask: AskId },
    /// From the owner of the user to the shard of a connection that has just logged in: what waited for it.
    Flush(Box<Flush>),
    /// To the owner of the user: so many connections of the sending shard took the message.
    PersonalTaken { ask: AskId, connections: u32 },
    /// To the owner of the user: whether the connection took its messages.
    Flushed { flush: Box<Flush>, taken: bool },
    /// To the CometQL shard: what the statement asked of the owner is done and holds. `rows`: settings that are new, changed
    /// or gone.
    Accepted { statement: StatementId, rows: u32 },
    /// To the CometQL shard: it is not, or not wholly.
    Refused { statement: StatementId, refusal: Box<Refusal> },
    /// To the publishing browser's shard: so many shards will say [`RingMessage::Delivered`].
    Fanned { conn: ConnId, publication: Arc<Publication>, shards: u16, stored: bool },
    /// To the publishing browser's shard: so many connections of the sending shard got it.
    Delivered { conn: ConnId, connections: u32 },
    /// To the shard of the publisher: too fast.
    NotPublished { conn: ConnId, wait_ms: u32 },
    /// To the shard where the connection waits.
    Admitted { address: IpAddr, conn: ConnId, wait_s: Option<u16> },
    /// To whoever asked.
    KeyAnswer { id: AskId, may_be_tried: bool },
    /// To every connection shard: keys seem to be guessed from this address, so its owner is to be asked for a while.
    Wary { address: IpAddr },
    /// To whoever asked.
    Answered(Box<Answered>),
    /// To the shard where the request arrived.
    Polled(Box<Polled>),
    /// To the shard where the request arrived.
    BatchDone(Box<BatchDone>),
}

const _: () = assert!(size_of::<RingMessage>() <= 32, "rings are sized for small messages");

impl RingMessage {
    pub fn level(&self) -> Level {
        match self {
            Self::Publish { .. }
            | Self::Interest { .. }
            | Self::Interests(_)
            | Self::Recover(_)
            | Self::StopRecovering { .. }
            | Self::SetLength(_)
            | Self::UserCame { .. }
            | Self::UserWent { .. }
            | Self::Send(_)
            | Self::EndUsers(_)
            | Self::EndToken { .. }
            | Self::Ask(_)
            | Self::Poll(_)
            | Self::Submit(_)
            | Self::Count { .. }
            | Self::Admit { .. }
            | Self::AddressLeft { .. }
            | Self::KeyTried(_)
            | Self::AskKey(_)
            | Self::Batch(_) => Level::Request,
            Self::Announce { .. } => Level::Announce,
            Self::Deliver { .. } | Self::Recovered(_) | Self::Personal { .. } | Self::Flush(_) => Level::Deliver,
            Self::PersonalTaken { .. } | Self::Flushed { .. } => Level::Report,
            Self::Accepted { .. }
            | Self::Refused { .. }
            | Self::Fanned { .. }
            | Self::Delivered { .. }
            | Self::NotPublished { .. }
            | Self::Admitted { .. }
            | Self::KeyAnswer { .. }
            | Self::Wary { .. }
            | Self::Answered(_)
            | Self::Polled(_)
            | Self::BatchDone(_) => Level::Reply,
        }
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
    /// A command of the browser protocol.
    Command(Box<str>),
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
    /// It acknowledges what was never sent, or forgets what it had acknowledged.
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

#[derive(Debug)]
pub struct Recover {
    pub conn: ConnId,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// What the frames of the missed messages of one pipe may take, about.
    pub bytes_max: usize,
    /// Pipes, each with what the client had last; `None`: it wants nothing of the past.
    pub pipes: Vec<(Arc<PipeKey>, Option<Position>)>,
}

#[derive(Debug)]
pub struct Recovered {
    pub pipe: Arc<PipeKey>,
    pub conn: ConnId,
    /// Everything up to the position that the client missed, if that is known; otherwise nothing.
    pub missed: Vec<StoredMessage>,
    pub position: Position,
    /// Whether the pipe has a history.
    pub is_kept: bool,
    /// Whether nothing is missing in between; `None` if the client did not ask.
    pub recovered: Option<bool>,
}

#[derive(Debug)]
pub struct SetLength {
    pub pipe: PipeKey,
    pub change: LengthChange,
    pub statement: StatementId,
}

/// What becomes of a pipe's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthChange {
    /// So many publications are to be kept.
    Put(u32),
    /// The same if there is no setting.
    Add(u32),
    /// The same if there is a setting.
    Update(u32),
    /// Setting and history go.
    Remove,
}

#[derive(Debug)]
pub struct Send {
    pub dev: DevId,
    pub user: UserId,
    pub personal: Arc<Personal>,
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

/// Why an owner did not do what a statement asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Storage(StorageError),
    /// There are as many pipes with a setting as there may be.
    TooManySettings,
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
    /// Whether the history of a pipe may have something in it.
    HasHistory(PipeKey),
    /// Whether each user has a connection, all owned by the shard asked.
    Online(DevId, Vec<UserId>),
    /// Subscribers of a pipe on the shard asked, newest first, at most so many, from behind a slot on.
    Members { pipe: PipeKey, before: Option<u32>, rows: u32 },
    /// Connections of a tenant on the shard asked, from behind a place on, at most so many.
    Connections { dev: DevId, after: Option<u32>, rows: u32 },
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
}
