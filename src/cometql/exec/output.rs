//! What comes out of the sessions' core.

use std::net::IpAddr;

use crate::cometql::introspection::Figures;
use crate::cometql::rows::Row;
use crate::cometql::sql::Instruction;
use crate::model::{CloseReason, ConnId, DevId, ShardId};
use crate::ring::{AskId, RingMessage};
use crate::storage::Job;

use super::told::Told;

#[derive(Debug)]
pub enum Output {
    /// All answers of a turn to one session.
    Write {
        session: ConnId,
        bytes: Vec<u8>,
    },
    Ring {
        to: ShardId,
        message: RingMessage,
    },
    Store(Job),
    /// Answered by [`Exec::carried_out`](super::Exec::carried_out) with the same number.
    Instruct {
        number: u64,
        instruction: Instruction,
    },
    /// What memory is for is to be told by [`Exec::ledger`](super::Exec::ledger).
    AskLedger(AskId),
    /// After what was written before has been sent.
    Close {
        session: ConnId,
        reason: CloseReason,
    },
    /// The session may be read again.
    Resume {
        session: ConnId,
    },
    /// [`Exec::drained`] is to be called once everything written to the session is sent.
    TellWhenDrained {
        session: ConnId,
    },
    /// The password was proved: the session's time to log in is over.
    LoggedIn {
        session: ConnId,
    },
    /// For the log.
    Told(Box<Told>),
    /// Logins from this address are refused for a time that grows from now on.
    HeldOff {
        address: IpAddr,
    },
}

/// Who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever has this address and knows a password.
    Address(IpAddr),
    /// A process of this machine and of the server's own user, or of the machine's: it needs no password.
    Trusted,
}

/// Gives the rows of live figures for a tenant: what only the edge knows.
pub type LiveRows<'a> = &'a dyn Fn(Figures, DevId) -> Vec<Row>;

/// What a session's bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Received {
    /// The rest is to be handed in again with what follows it.
    pub used: usize,
    /// Nothing is to be handed in before [`Output::Resume`].
    pub pause: bool,
    /// What follows the used bytes is ciphertext: after [`Exec::tls_started`] its plain text is to be handed in. What
    /// was polled before that is written as it is, all that comes later enciphered.
    pub start_tls: bool,
}
