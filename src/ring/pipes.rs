//! What shards tell each other of pipes: who is interested, what a newcomer missed, how much is kept.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ConnId, Had, PipeKey, Position};
use crate::storage::StoredMessage;

use super::StatementId;

/// One unbroken time in which a shard has subscribers of a pipe. When the last one leaves and a new one comes, that is
/// another interest: what was on its way for the old one must not reach the new subscriber, who would hear one
/// publication, miss those that nobody sent while no interest was known, and then hear on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterestId(pub u32);

#[derive(Debug)]
pub struct Recover {
    pub conn: ConnId,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// What the frames of the missed messages of one pipe may take, about.
    pub bytes_max: usize,
    pub pipes: Vec<(Arc<PipeKey>, Had)>,
}

#[derive(Debug)]
pub struct Recovered {
    pub pipe: Arc<PipeKey>,
    pub conn: ConnId,
    /// Everything up to the position that the client missed, if that is known; otherwise nothing but the newest ones, if it
    /// wants them.
    pub missed: Vec<StoredMessage>,
    pub position: Position,
    pub has_history: bool,
    /// Whether nothing is missing in between; `None` if the client did not ask.
    pub recovered: Option<bool>,
    /// The newest messages are among the missed.
    pub has_newest: bool,
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
    /// So many publications are to be kept, whether there was a setting or not.
    Put(u32),
    /// So many publications are to be kept provided that there is no setting yet.
    Add(u32),
    /// So many publications are to be kept provided that there is a setting already.
    Update(u32),
    /// Setting and history go.
    Remove,
}

/// A pipe, how many subscribers the sending shard has now, and in which interest.
pub type OneInterest = (Arc<PipeKey>, u32, InterestId);

/// The events of a `track_` pipe: somebody came, somebody went.
pub const TRACK_CAME: &str = "subscription";
pub const TRACK_WENT: &str = "unsubscription";
