//! What a hub must know of the server around it.

use crate::model::ShardId;
use crate::ring::Placement;
use crate::token::TokenKeys;

use super::{GivenOut, Limits};

/// What a hub must know of the server around it.
#[derive(Clone, Debug)]
pub struct HubConfig {
    pub shard: ShardId,
    pub placement: Placement,
    /// Pipes one connection may subscribe to; the names beyond are refused with an error each command.
    pub pipes_per_connection_max: usize,
    /// Pipes with subscribers on this shard; beyond, new names are refused.
    pub pipes_max: usize,
    /// Bytes of messages that may wait for [`Hub::end_turn`]; with more the hub is full.
    pub arrivals_bytes_max: usize,
    /// Whether the time of a user's last connection is stored when it closes.
    pub save_last_seen: bool,
    /// Whether `user_status_` pipes tell of users who come, and of those who go.
    pub announce_online: bool,
    pub announce_offline: bool,
    /// Connections of one user that get personal messages; further ones wait for a place.
    pub devices_max: usize,
    /// Connections of one user, whatever they get; further ones are ended.
    pub connections_per_user_max: usize,
    pub limits: Limits,
    /// Microseconds that a user whose last connection went counts as online still.
    pub offline_grace: u64,
    /// Pipes with a setting that this shard owns; beyond, new settings are refused.
    pub settings_max: usize,
    /// Those of one tenant among them.
    pub tenant_settings_max: usize,
    /// Bytes of one answer to a question for history; of a longer one the oldest are left out.
    pub history_bytes_max: usize,
    /// What tokens are checked with.
    pub tokens: TokenKeys,
    /// Makes what is shown to others and means nothing.
    pub given_out: GivenOut,
    /// Users whose time may wait for storage; beyond, it is lost and counted.
    pub departed_max: usize,
}
