//! What goes into a hub.

use std::net::IpAddr;

use crate::model::{ConnId, DevId, EventName, Had, Marker, PipeName, Publication, ShardId, TrackCursor, UserId};
use crate::ring::{AskId, Flush, RingMessage};
use crate::storage::{Beginning, Completion};

use super::{Details, HubConfig};

/// What a browser's handshake said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub dev: DevId,
    pub user: UserId,
    /// A stored hash or a token; empty when the page gave none.
    pub key: Box<str>,
    pub details: Details,
}

#[derive(Debug)]
pub enum Input {
    /// Somebody wants to begin a connection. Answered by one [`Output::Admitted`], at once or later.
    Admit {
        conn: ConnId,
        address: IpAddr,
    },
    /// Somebody was admitted and did not become a connection.
    Release {
        address: IpAddr,
    },
    /// A browser finished its handshake. The first answer is always [`Answer::ServerInfo`].
    Connected {
        conn: ConnId,
        credentials: Credentials,
    },
    /// The connection is gone, whoever ended it.
    Disconnected {
        conn: ConnId,
    },
    /// The complete set of pipes that the connection wants from now on.
    Subscribe {
        conn: ConnId,
        pipes: Vec<PipeName>,
    },
    /// The same with the last position that the client has of each pipe. Every new pipe is answered by one
    /// [`Output::Subscribed`], and until the last one the connection is busy.
    Resubscribe {
        conn: ConnId,
        pipes: Vec<(PipeName, Had)>,
    },
    Publish {
        conn: ConnId,
        pipe: PipeName,
        event: EventName,
        message: Box<str>,
        hide_sender: bool,
    },
    CountPipe {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    ReadUserData {
        conn: ConnId,
        user: UserId,
        marker: Marker,
    },
    ReadUserStatus {
        conn: ConnId,
        user: UserId,
    },
    ReadHistory {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    ListTrackUsers {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    /// A part of such a list.
    PageTrackUsers {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
        cursor: TrackCursor,
    },
    /// [`Output::Queue`] was carried out; `taken`: the connection was there and still is.
    QueueWritten {
        flush: Box<Flush>,
        to: ShardId,
        taken: bool,
    },
    /// [`Output::Personal`] was carried out; `connections` of them were there and still are.
    PersonalWritten {
        ask: AskId,
        to: ShardId,
        connections: u32,
    },
    /// From now on this is configured. Shard, placement, maxima that cannot be configured and what was given out are as
    /// before.
    Reconfigured {
        config: Box<HubConfig>,
        /// Of connections that were admitted and have not begun.
        admitted: Vec<IpAddr>,
    },
    /// What storage has for this shard, told at the start.
    Begin(Box<Beginning>),
    Ring {
        from: ShardId,
        message: RingMessage,
    },
    Stored(Completion),
    /// The server itself publishes to a pipe that this shard owns.
    Announce {
        publication: Box<Publication>,
    },
    /// The server stops: all connections are about to end.
    Stopping,
}
