//! What is kept of each connection in the shard's slab: a few bytes, because a shard has very many. What only some of them
//! have is kept in maps.
//!
//! ```text
//!  Head --101--> Open --close, error--> (gone)
//!   ^ |            ^ frames, while the hub is not busy with the connection
//!   | +--static file--> File --answer--+
//!   | +--long body--> Body --all of it-+
//!   | +--anything else: an answer------+--> (gone, unless the connection stays)
//!   |                                  v
//!   +------------- all is sent ------ Sending
//! ```
//!
//! A request for Server-Sent Events goes to Subscribing and is looked at once more there, when the hub knows who asked; then
//! to Events, where nothing is read any more.
//!
//! While a connection is in File or Sending, it is not read: requests are answered one after the other.

use crate::model::{ConnId, WireForm};
use crate::ws;

use super::effects::Effects;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its request, or the login of a session, is not complete.
    #[default]
    Head,
    /// The owner of its address is asked whether it may begin a connection.
    Admission,
    /// Its file is being looked for.
    File,
    /// Its request has a body that is collected.
    Body,
    /// An answer is on its way, and another request may follow.
    Sending,
    Open,
    /// Gets Server-Sent Events, and its request is read once more for the pipes it wants.
    Subscribing,
    /// Gets Server-Sent Events.
    Events,
    /// Its request waits for a connection without a socket to get something, or for statements to be carried out.
    Polling,
}

impl Phase {
    /// Whether it has not shown yet what it is for.
    pub(crate) fn is_half_open(self) -> bool {
        matches!(self, Self::Head | Self::Admission | Self::Body | Self::File | Self::Sending)
    }

    /// Whether what stands behind the request has to wait.
    pub(super) fn is_answering(self) -> bool {
        matches!(self, Self::Admission | Self::File | Self::Sending)
    }

    pub(super) fn is_events(self) -> bool {
        matches!(self, Self::Subscribing | Self::Events)
    }
}

/// What the edge keeps per connection, in the shard's slab. Of a session it is the phase only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) phase: Phase,
    pub(super) form: WireForm,
    /// Its library reconnects only if the connection just drops: it must never see a close frame.
    pub(super) classic: bool,
    /// A ping was sent and nothing has come since.
    pub(super) pinged: bool,
    /// Messages may be compressed, for a client that can look back so far.
    pub(super) deflate: Option<ws::Window>,
    /// A fragmented message is open, see `Browsers::fragments`.
    pub(super) fragments: bool,
    /// Plain requests that it was answered.
    pub(super) requests: u8,
}

pub(super) fn browser(io: &mut impl Effects, conn: ConnId) -> Option<Browser> {
    browser_mut(io, conn).copied()
}

pub(super) fn browser_mut(io: &mut impl Effects, conn: ConnId) -> Option<&mut Browser> {
    io.state(conn)
}

pub(super) fn is_half_open(io: &mut impl Effects, conn: ConnId) -> bool {
    browser(io, conn).is_some_and(|browser| browser.phase.is_half_open())
}
