//! Texts and numbers without a meaning that are shown to others.
//!
//! They are made with a key of their own and a hash that cannot be turned around. The hashers of maps and of the placement can
//! be: whoever saw what they give, and knew for what, could find out their seeds and aim names at one shard or one bucket.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::model::{ConnId, ShardId};

/// One key for each start. Never shown.
#[derive(Clone)]
pub struct GivenOut {
    key: [u8; 32],
}

impl fmt::Debug for GivenOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenOut")
    }
}

impl GivenOut {
    /// `key`: generated at random at every start, and used for nothing else.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// What tells the ids of messages of this shard from those of others.
    pub(super) fn ids_of(&self, shard: ShardId) -> u64 {
        self.hash(*b"ids", shard, ConnId::default()) as u64
    }

    /// A key for a page that came with a token: it opens nothing, and no other connection is told the same.
    pub(super) fn key_of(&self, shard: ShardId, conn: ConnId) -> Box<str> {
        format!("{:032x}", self.hash(*b"key", shard, conn)).into()
    }

    /// All parts but the label have a fixed length, and the labels are equally long.
    fn hash(&self, label: [u8; 3], shard: ShardId, conn: ConnId) -> u128 {
        let hash = Sha256::new()
            .chain_update(self.key)
            .chain_update(label)
            .chain_update(shard.0.to_le_bytes())
            .chain_update(conn.index.to_le_bytes())
            .chain_update(conn.generation.to_le_bytes());
        // Half of it, as one number.
        let bytes: [u8; 32] = hash.finalize().into();
        bytes.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_is_told_apart_and_tells_nothing() {
        let [one, other] = [[1; 32], [2; 32]].map(GivenOut::new);
        let conn = |index, generation| ConnId { index, generation };
        let keys = [
            one.key_of(ShardId(0), conn(1, 1)),
            one.key_of(ShardId(0), conn(1, 2)),
            one.key_of(ShardId(0), conn(2, 1)),
            one.key_of(ShardId(1), conn(1, 1)),
            other.key_of(ShardId(0), conn(1, 1)),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
            assert!(!keys[..at].contains(key));
        }
        assert_ne!(one.ids_of(ShardId(0)), one.ids_of(ShardId(1)));
        assert_ne!(one.ids_of(ShardId(0)), other.ids_of(ShardId(0)));
        assert_eq!(format!("{one:?}"), "GivenOut");
    }
}
