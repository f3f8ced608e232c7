//! Which private pipes are for which connection, where tokens say so.
//!
//! Only connections whose tokens name some stand here, and those of one token share what it says. A token that is over or revoked
//! ends its connections, so no right outlives it.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{ConnId, PipeClass, PipeName, Rights, UserId};

use super::Local;

#[derive(Debug)]
pub(super) struct AllRights {
    of_conns: HashMap<ConnId, Arc<Rights>, RandomState>,
    /// Bytes of what is shared, each counted once.
    shared_bytes: usize,
}

impl AllRights {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { of_conns: HashMap::with_hasher(hasher), shared_bytes: 0 }
    }

    /// `alike`: connections that came with the same token.
    pub(super) fn insert(&mut self, conn: ConnId, rights: &Rights, mut alike: impl Iterator<Item = ConnId>) {
        let known = alike.find_map(|other| self.of_conns.get(&other)).filter(|known| ***known == *rights).cloned();
        let shared = known.unwrap_or_else(|| {
            self.shared_bytes += rights.bytes();
            Arc::new(rights.clone())
        });
        self.of_conns.insert(conn, shared);
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(gone) = self.of_conns.remove(&conn) else { return };
        if Arc::strong_count(&gone) == 1 {
            self.shared_bytes -= gone.bytes();
        }
        if self.of_conns.len() * 8 < self.of_conns.capacity() {
            self.of_conns.shrink_to(self.of_conns.len() * 2);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.of_conns.is_empty() && self.shared_bytes == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.of_conns.capacity() * (size_of::<(ConnId, Arc<Rights>)>() + 1) + self.shared_bytes
    }
}

/// Why a pipe is not for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFor {
    /// It is for users.
    Anonymous,
    /// It is for those whose token names it.
    NotNamed,
}

impl Local {
    /// Whether the connection may hear what is published in this pipe, and read its history.
    pub(super) fn may_hear(&self, conn: ConnId, user: UserId, pipe: &PipeName) -> Result<(), NotFor> {
        if pipe.class() != PipeClass::Private {
            return Ok(());
        }
        if user.is_anonymous() {
            return Err(NotFor::Anonymous);
        }
        let is_named = || self.rights.of_conns.get(&conn).is_some_and(|rights| rights.name(pipe.as_str()));
        if self.config.tokens.name_pipes() && !is_named() { Err(NotFor::NotNamed) } else { Ok(()) }
    }
}
