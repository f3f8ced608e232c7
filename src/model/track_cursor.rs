//! Where a list that comes in pages goes on.

use std::fmt;

use super::ShardId;

/// Where a list of a `track_` pipe's subscribers goes on: with this shard's, before this slot. The default begins it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackCursor {
    pub shard: ShardId,
    pub before: Option<u32>,
}

impl TrackCursor {
    /// What [`Display`](fmt::Display) writes; the empty text begins a list.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let (shard, before) = text.split_once('-')?;
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return None;
        }
        let before = if before.is_empty() { None } else { Some(before.parse().ok()?) };
        Some(Self { shard: ShardId(shard.parse().ok()?), before })
    }
}

impl fmt::Display for TrackCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.shard)?;
        self.before.map_or(Ok(()), |before| before.fmt(f))
    }
}
