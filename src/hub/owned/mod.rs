//! What a shard owns for all shards: the order and history of its pipes, its users and their queues, what addresses may do.

pub(in crate::hub) mod departed;
pub(in crate::hub) mod guesses;
pub(in crate::hub) mod history;
pub(in crate::hub) mod leaving;
pub(in crate::hub) mod limits;
pub(in crate::hub) mod pace;
pub(in crate::hub) mod pipes;
pub(in crate::hub) mod recovering;
pub(in crate::hub) mod recovery;
pub(in crate::hub) mod trusted;
pub(in crate::hub) mod users;
