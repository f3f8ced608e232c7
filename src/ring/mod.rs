//! What crosses from shard to shard: small values that own what they carry. Each kind of message has a [`Level`], which says
//! what may be sent while the message is handled.

mod ask;
mod by_http;
mod pipes;
mod placement;
mod users;

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ConnId, DevId, Personal, PipeKey, Publication, UserId};
use crate::storage::StorageError;

pub use ask::{Answered, Ask, AskId, ConnectionInfo, Headers, HeldByTenant, Member, Question, Replies};
pub use by_http::{Batch, BatchAnswer, BatchDone, BatchWish, Outcome as PollOutcome, Poll, Polled, Wish};
pub use pipes::{InterestId, LengthChange, OneInterest, Recover, Recovered, SetLength, TRACK_CAME, TRACK_WENT};
pub use placement::Placement;
pub use users::{AskKey, EndedUsers, Flush, KeyTried, Publisher, Send, Submit};

/// The order in which messages cause each other: whoever handles a message of one level sends messages of later levels only.
/// That is why full rings cannot lock each other; the proof stands in `shards/src/mesh.rs`.
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

#[derive(Debug)]
pub enum RingMessage {
    /// To the owner of the pipe. `statement` wants an [`RingMessage::Accepted`] or [`RingMessage::Refused`].
    Publish { publication: Box<Publication>, statement: Option<StatementId> },
    /// To the owner of the pipe: how many subscribers the sending shard has now, in this interest.
    Interest { pipe: Arc<PipeKey>, subscribers: u32, interest: InterestId },
    /// To the owner of some pipes: as [`RingMessage::Interest`], for each of them.
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
    /// To the owner of the address: may this connection of the sending shard begin? `counting`: in which counting of
    /// connections by address it counts then; 0: in none.
    Admit { address: IpAddr, conn: ConnId, counting: u16 },
    /// To the owner of the address: a connection that was admitted, or reported, is no more.
    AddressLeft { address: IpAddr, counting: u16 },
    /// To the owner of the address: so many connections of the sending shard were there before the counting began.
    AddressHas { address: IpAddr, connections: u32, counting: u16 },
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
    /// To the CometQL shard: what the statement published was published before, under the same key, and holds.
    Repeated { statement: StatementId },
    /// To the CometQL shard: what the statement asked of the owner is not done, or not wholly.
    Refused { statement: StatementId, refusal: Box<Refusal> },
    /// To the publishing browser's shard: so many shards will say [`RingMessage::Delivered`].
    Fanned { conn: ConnId, publication: Arc<Publication>, shards: u16, stored: bool },
    /// To the publishing browser's shard: so many connections of the sending shard got it.
    Delivered { conn: ConnId, connections: u32 },
    /// To the shard of the publisher: its user publishes too fast, and the message was dropped.
    NotPublished { conn: ConnId, wait_ms: u32 },
    /// To the shard where a connection waits to begin: whether it may, or after how many seconds it may try again.
    /// `counting` as it was asked.
    Admitted { address: IpAddr, conn: ConnId, wait_s: Option<u16>, counting: u16 },
    /// To the shard that sent [`RingMessage::AskKey`].
    KeyAnswer { id: AskId, may_be_tried: bool },
    /// To every connection shard: keys seem to be guessed from this address, so its owner is to be asked for a while.
    Wary { address: IpAddr },
    /// To the shard that sent [`RingMessage::Ask`].
    Answered(Box<Answered>),
    /// To the shard where a [`RingMessage::Poll`] arrived: what its answer is.
    Polled(Box<Polled>),
    /// To the shard where the statements of a [`RingMessage::Batch`] arrived: what came out of them.
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
            | Self::AddressHas { .. }
            | Self::KeyTried(_)
            | Self::AskKey(_)
            | Self::Batch(_) => Level::Request,
            Self::Announce { .. } => Level::Announce,
            Self::Deliver { .. } | Self::Recovered(_) | Self::Personal { .. } | Self::Flush(_) => Level::Deliver,
            Self::PersonalTaken { .. } | Self::Flushed { .. } => Level::Report,
            Self::Accepted { .. }
            | Self::Repeated { .. }
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

/// Why an owner did not do what a statement asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Storage(StorageError),
    /// There are as many pipes with a setting as there may be.
    TooManySettings,
    /// There are as many keys of publications as there may be.
    TooManyKeys,
}
