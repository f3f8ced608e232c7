//! What the core of browsers asks of whoever runs it, and what it has done to its connections. The edge implements it for
//! the runtime of a shard; every call is resolved when the server is compiled.
//!
//! Nothing here blocks, and nothing fails on a peer's account: an effect on a connection that has gone is none.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::http::WithPassword;
use crate::hub::Tops;
use crate::metrics::Format;
use crate::model::{ConnId, Now, Publication, ShardId, SharedBytes, Time};
use crate::ring::RingMessage;
use crate::storage::{Completion, Job};

use super::Browser;
use super::file::{Asker, FileAnswer};

/// What is wrong with storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Whether nobody who comes can be let in.
    pub(crate) keeps_out: bool,
    /// One line.
    pub(crate) text: &'static str,
}

pub(crate) trait Effects {
    /// Both clocks, the same for all inputs of a turn.
    fn now(&self) -> Now;

    // Connections

    fn state(&mut self, conn: ConnId) -> Option<&mut Browser>;
    fn is_open(&self, conn: ConnId) -> bool;
    fn can_send(&self, conn: ConnId) -> bool;
    fn open_connections(&self) -> Vec<ConnId>;
    /// All places that connections have or had.
    fn places(&self) -> u32;
    /// Those that are open in some of the places.
    fn open_in(&self, places: Range<u32>) -> Vec<ConnId>;
    /// `None` for one that has gone.
    fn peer_address(&self, conn: ConnId) -> Option<IpAddr>;
    /// What waits to be sent.
    fn queued_bytes(&self, conn: ConnId) -> usize;
    /// What the shard holds for it: its place, and what waits.
    fn held_bytes(&self, conn: ConnId) -> usize;

    fn write(&mut self, conn: ConnId, bytes: &[u8]);
    fn write_shared(&mut self, conn: ConnId, bytes: &SharedBytes);
    fn write_part(&mut self, conn: ConnId, bytes: &SharedBytes, part: Range<usize>);
    /// The last that the connection gets: it ends when that is sent, or when the time is over.
    fn write_last(&mut self, conn: ConnId, bytes: &SharedBytes, part: Range<usize>, within: Duration);
    /// `publications` are what `bytes` hold, for who watches.
    fn fan_out(&mut self, conns: Vec<ConnId>, bytes: SharedBytes, publications: &[Arc<Publication>]);
    /// The publications are kept for a connection without a socket; for who watches.
    fn fan_out_to_polled(&mut self, publications: &[Arc<Publication>]);
    /// Whether a fan-out is not written yet.
    fn fan_out_pending(&self) -> bool;

    fn close(&mut self, conn: ConnId);
    fn close_after_flush(&mut self, conn: ConnId);
    /// What the connection sends stays unread until it is resumed.
    fn pause(&mut self, conn: ConnId);
    fn resume(&mut self, conn: ConnId);
    /// No further connection is read in this turn.
    fn read_no_more(&mut self);
    /// The core hears of it once when all that was written is sent.
    fn tell_when_drained(&mut self, conn: ConnId);

    fn deadline_after(&mut self, conn: ConnId, after: Duration);
    fn idle_timeout(&mut self, conn: ConnId, duration: Duration);
    fn no_timeout(&mut self, conn: ConnId);

    // Shards

    /// On the ring of the message's own level.
    fn send(&mut self, to: ShardId, message: RingMessage);
    /// Whether a ring is full: what comes from outside has to wait.
    fn congested(&self) -> bool;
    /// Whether this shard takes nothing from its rings.
    fn hold(&mut self, held: bool);

    // Storage, files, random numbers

    /// `asker`: the address of the browser that wants it. The error is the answer to a job that storage does not take.
    fn store(&mut self, job: Job, asker: Option<IpAddr>) -> Result<(), Completion>;
    /// The next answer of storage.
    fn completion(&mut self) -> Option<Completion>;
    fn storage_trouble(&self) -> Option<Trouble>;
    /// False if too many requests for files wait already.
    #[must_use]
    fn read_file(&mut self, asker: Asker) -> bool;
    fn file_answer(&mut self) -> Option<FileAnswer>;
    /// 128 bits that nobody can guess; `None` while the system has none.
    fn secret(&mut self) -> Option<u128>;

    // For people

    /// Somebody at this address tries keys of users, and was wrong so many times.
    fn keys_guessed(&mut self, address: IpAddr, wrong: u32);
    /// Whether somebody looks at the server's figures, as the shard that owns their pipe has said.
    fn is_watched(&self) -> bool;
    fn set_watched(&mut self, watched: bool);
    /// This shard's part of the figures beside its counters.
    fn put_tops(&mut self, tops: Tops);
    /// The figures of all shards as a message.
    fn figures(&self, now: Time) -> Box<str>;
    /// What a viewer of them who knows the password asks for besides.
    fn dashboard(&self, _wanted: WithPassword) -> Option<Box<[u8]>> {
        None
    }
    /// And as a page for scrapers.
    fn metrics(&self, format: Format, stopping: bool) -> String;
}
