//! What is tried. Each attack is a few lines that a stranger could write, at a price next to nothing.

mod files;
mod histories;
mod keys;
mod polls;
mod presence;
mod statements;

use super::Field;
use crate::cometql::CometQl;
use crate::error::Error;
use crate::socket::Socket;
use socket2::SockRef;
use std::net::SocketAddr;

/// One kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Attack {
    /// Statements of a tenant that take a parser long
    NestedSql,
    /// Statements of a tenant that compare texts with long patterns, page by page
    LikePages,
    /// Packets of a tenant that are begun and never finished
    UnfinishedPackets,
    /// Recoveries of a thousand pipes that do not exist
    TrustRecoveries,
    /// Polls that are given what they missed and never come back
    PollHistory,
    /// Connections that nobody polls for
    PollFlood,
    /// Answers to `pipe_log` that nobody reads
    LogReaders,
    /// A large file that nobody reads
    FileReaders,
    /// Parts of a large file that nobody reads
    RangeReaders,
    /// Coming and going in the good clients' pipe all the time
    TrackChurn,
    /// Keys of users, one after the other
    KeyGuessing,
}

impl Attack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NestedSql => "nested-sql",
            Self::LikePages => "like-pages",
            Self::UnfinishedPackets => "unfinished-packets",
            Self::TrustRecoveries => "trust-recoveries",
            Self::PollHistory => "poll-history",
            Self::PollFlood => "poll-flood",
            Self::LogReaders => "log-readers",
            Self::FileReaders => "file-readers",
            Self::RangeReaders => "range-readers",
            Self::TrackChurn => "track-churn",
            Self::KeyGuessing => "key-guessing",
        }
    }

    /// Attackers at the same time.
    pub(super) fn workers(self) -> usize {
        match self {
            Self::NestedSql | Self::FileReaders | Self::RangeReaders | Self::LogReaders => 2,
            Self::UnfinishedPackets => 12,
            Self::LikePages | Self::TrustRecoveries => 40,
            Self::PollHistory | Self::PollFlood | Self::TrackChurn | Self::KeyGuessing => 4,
        }
    }

    /// What must be there before it begins; by the backend, or by the attacker.
    pub(super) fn prepare(self, field: &Field, backend: &mut CometQl) -> Result<(), Error> {
        match self {
            Self::LikePages => histories::fill(&mut statements::log_in(field)?, statements::PIPE, 9),
            Self::PollHistory => polls::prepare(field, backend),
            Self::LogReaders => histories::prepare(backend),
            _ => Ok(()),
        }
    }

    /// One round of one attacker. An error is the server's refusal.
    pub(super) fn act(self, field: &Field, worker: usize) -> Result<(), Error> {
        match self {
            Self::NestedSql => statements::nest(field),
            Self::LikePages => statements::compare(field),
            Self::UnfinishedPackets => statements::leave_unfinished(field),
            Self::TrustRecoveries => histories::recover(field, worker),
            Self::PollHistory => polls::take_histories(field),
            Self::PollFlood => polls::flood(field),
            Self::LogReaders => histories::ask_and_not_read(field),
            Self::FileReaders => files::ask_and_not_read(field),
            Self::RangeReaders => files::ask_for_parts(field, worker),
            Self::TrackChurn => presence::come_and_go(field),
            Self::KeyGuessing => keys::guess(field, worker),
        }
    }
}

/// A connection for which our own system keeps next to nothing.
fn deaf(address: SocketAddr) -> Result<Socket, Error> {
    let socket = Socket::connect(address)?;
    make_deaf(&socket)?;
    Ok(socket)
}

fn make_deaf(socket: &Socket) -> Result<(), Error> {
    SockRef::from(socket.stream()).set_recv_buffer_size(DEAF_BYTES).map_err(Error::io("make a buffer small"))
}

const DEAF_BYTES: usize = 16 * 1024;
