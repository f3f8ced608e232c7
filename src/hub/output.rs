//! What comes out of a hub.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Answer, CloseReason, ConnId, Marker, Personal, PipeKey, Publication, ShardId};
use crate::ring::{AskId, Flush, RingMessage};
use crate::storage::{Job, StoredMessage};

#[derive(Debug)]
pub enum Output {
    /// The connection may begin; or not, and may try again after so many seconds.
    Admitted {
        conn: ConnId,
        address: IpAddr,
        wait_s: Option<u16>,
    },
    Answer {
        conn: ConnId,
        answer: Answer,
    },
    /// All of these publications, in this order, in one write to each of these connections.
    FanOut {
        publications: Arc<[Arc<Publication>]>,
        conns: Vec<ConnId>,
    },
    Ring {
        to: ShardId,
        message: RingMessage,
    },
    /// The same, but only once every fan-out polled before it was handed to the sockets; `to` may be this shard.
    RingAfterFanOut {
        to: ShardId,
        message: RingMessage,
    },
    /// A user's queue, or a part of it, in one write; then [`Input::QueueWritten`].
    Queue {
        flush: Box<Flush>,
        to: ShardId,
    },
    /// To each of these connections; then [`Input::PersonalWritten`].
    Personal {
        personal: Arc<Personal>,
        conns: Vec<ConnId>,
        ask: AskId,
        to: ShardId,
    },
    /// The answer to [`Input::Resubscribe`] for one pipe, in one write.
    Subscribed(Box<Subscribed>),
    /// The answer to [`Input::ReadHistory`], in one write.
    History {
        conn: ConnId,
        key: PipeKey,
        marker: Marker,
        messages: Vec<StoredMessage>,
    },
    Store(Job),
    /// The same for a browser of this address.
    Ask {
        job: Job,
        address: IpAddr,
    },
    /// Somebody at this address seems to guess keys: so many were wrong. Told once a minute.
    KeysGuessed {
        address: IpAddr,
        wrong: u32,
    },
    Close {
        conn: ConnId,
        reason: CloseReason,
    },
    /// The connection is not busy any more: its next command may come.
    Resume {
        conn: ConnId,
    },
}

/// A connection's beginning in a pipe: what it missed, then the answer, then what came meanwhile.
#[derive(Debug)]
pub struct Subscribed {
    pub conn: ConnId,
    pub key: Arc<PipeKey>,
    pub missed: Vec<StoredMessage>,
    /// [`Answer::Subscribed`].
    pub answer: Answer,
    pub live: Vec<Arc<Publication>>,
}
