//! What a shard knows of its own connections: who they are, which pipes they are subscribed to, what leaves for them.

pub(in crate::hub) mod conns;
pub(in crate::hub) mod details;
pub(in crate::hub) mod fan_out;
pub(in crate::hub) mod interests;
pub(in crate::hub) mod login;
pub(in crate::hub) mod members;
pub(in crate::hub) mod pipes;
pub(in crate::hub) mod places;
pub(in crate::hub) mod questions;
pub(in crate::hub) mod report;
pub(in crate::hub) mod subscriptions;
pub(in crate::hub) mod users;
pub(in crate::hub) mod watch;
