//! Which connections a token let in, and when each of them has to end.

use std::collections::BTreeSet;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{ConnId, Now, Time, UnixTime};

/// Connections that a token let in.
#[derive(Debug)]
pub(super) struct Tokens {
    /// By the last second in which each is valid; and the token's hash.
    conns: Aged<ConnId, u64, UnixTime>,
    by_token: BTreeSet<(u64, ConnId)>,
    /// When the first of them expires, or earlier.
    due: Option<Time>,
}

impl Tokens {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { conns: Aged::new(hasher), by_token: BTreeSet::new(), due: None }
    }

    pub(super) fn bytes(&self) -> usize {
        self.conns.bytes() + self.by_token.len() * 2 * size_of::<(u64, ConnId)>()
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    pub(super) fn insert(&mut self, conn: ConnId, token: u64, expires: UnixTime, now: Now) {
        if let Some(before) = self.conns.insert(conn, expires, token) {
            self.by_token.remove(&(before, conn));
        }
        self.by_token.insert((token, conn));
        self.set_due(now);
    }

    /// A token is good through the second that it names.
    fn set_due(&mut self, now: Now) {
        // A token may name any second; whoever signs one that lies beyond all clocks has it last as long as they do.
        let seconds = self.conns.next_moment().map(|expires| expires.0.saturating_sub(now.unix.0).saturating_add(1));
        self.due = seconds.map(|seconds| now.time + u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000));
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        if let Some(token) = self.conns.remove(&conn) {
            self.by_token.remove(&(token, conn));
        }
    }

    pub(super) fn with(&self, token: u64) -> impl Iterator<Item = ConnId> {
        let last = ConnId { index: u32::MAX, generation: u32::MAX };
        self.by_token.range((token, ConnId::default())..=(token, last)).map(|(_, conn)| *conn)
    }

    /// A connection whose token is not valid any longer. After the last one the time is known at which there is another.
    pub(super) fn pop_expired(&mut self, now: Now) -> Option<ConnId> {
        self.due.filter(|due| *due <= now.time)?;
        let Some((conn, token)) = self.conns.pop_due(UnixTime(now.unix.0.saturating_sub(1))) else {
            self.set_due(now);
            return None;
        };
        self.by_token.remove(&(token, conn));
        Some(conn)
    }
}
