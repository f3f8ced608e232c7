//! The numbers by which lists and KILL name connections. Sessions have 32 bits, counted; a browser connection's number
//! holds its shard, its place there and the generation of that place, so it never means another connection.

use crate::model::{ConnId, ShardId};

/// Bit 62 to 55: the shard, from 1 on, so that the number is above all of sessions. 54 to 29: the place; then the generation.
const PLACE_BITS: u32 = 26;
const GENERATION_BITS: u32 = 29;

/// The number of a browser connection. Beyond 254 shards, 67 million places or 536 million generations of one, it names
/// no connection.
pub(super) fn number_of(shard: ShardId, conn: ConnId) -> u64 {
    let cut = |value: u32, bits: u32| u64::from(value) & ((1 << bits) - 1);
    (u64::from(shard.0) + 1) << (PLACE_BITS + GENERATION_BITS)
        | cut(conn.index, PLACE_BITS) << GENERATION_BITS
        | cut(conn.generation, GENERATION_BITS)
}

/// The browser connection of this number, if it can be one's.
pub(super) fn conn_of(number: u64) -> Option<(ShardId, ConnId)> {
    let cut = |value: u64, bits: u32| (value & ((1 << bits) - 1)) as u32;
    let shard = u16::try_from(number >> (PLACE_BITS + GENERATION_BITS)).ok()?.checked_sub(1)?;
    let conn = ConnId { index: cut(number >> GENERATION_BITS, PLACE_BITS), generation: cut(number, GENERATION_BITS) };
    Some((ShardId(shard), conn))
}

#[test]
fn numbers_name_their_connections() {
    for (shard, index, generation) in [(0, 0, 1), (0, 7, 9), (253, (1 << 26) - 1, (1 << 29) - 1), (3, 1_000_000, 77)] {
        let conn = ConnId { index, generation };
        let number = number_of(ShardId(shard), conn);
        assert_eq!(conn_of(number), Some((ShardId(shard), conn)));
        assert!(number > u64::from(u32::MAX) && i64::try_from(number).is_ok(), "{number}");
    }
    assert_eq!(conn_of(u64::from(u32::MAX)), None);
}
