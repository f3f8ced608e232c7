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
pub(super) struct AllRights(HashMap<ConnId, Arc<Rights>, RandomState>);

impl AllRights {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self(HashMap::with_hasher(hasher))
    }

    /// `alike`: connections that came with the same token.
    pub(super) fn insert(&mut self, conn: ConnId, rights: &Rights, mut alike: impl Iterator<Item = ConnId>) {
        let known = alike.find_map(|other| self.0.get(&other)).filter(|known| ***known == *rights).cloned();
        self.0.insert(conn, known.unwrap_or_else(|| Arc::new(rights.clone())));
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        if self.0.remove(&conn).is_some() && self.0.len() * 8 < self.0.capacity() {
            self.0.shrink_to(self.0.len() * 2);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are shared are counted for each of their connections by its share.
    pub(super) fn bytes(&self) -> usize {
        let shares = self.0.values().map(|rights| rights.bytes() / Arc::strong_count(rights));
        self.0.capacity() * (size_of::<(ConnId, Arc<Rights>)>() + 1) + shares.sum::<usize>()
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
        let is_named = || self.rights.0.get(&conn).is_some_and(|rights| rights.name(pipe.as_str()));
        if self.config.tokens.name_pipes() && !is_named() { Err(NotFor::NotNamed) } else { Ok(()) }
    }
}
