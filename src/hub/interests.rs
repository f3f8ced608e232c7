//! What owners are told of the subscribers of their pipes: all that one command changes, in one message to each owner. One for each name would
//! fill the rings, and whoever waits for an answer that comes over them would wait for every name of everybody.

use std::collections::BTreeMap;

use crate::model::ShardId;
use crate::ring::{OneInterest, RingMessage};

/// What is not said yet, by owner. It is empty whenever all outputs were polled.
#[derive(Debug, Default)]
pub(super) struct Interests(BTreeMap<ShardId, Vec<OneInterest>>);

impl Interests {
    pub(super) fn add(&mut self, to: ShardId, interest: OneInterest) {
        self.0.entry(to).or_default().push(interest);
    }

    /// What is to be told to this owner.
    pub(super) fn take(&mut self, to: ShardId) -> Option<RingMessage> {
        self.0.remove(&to).map(message)
    }

    /// What is to be told to some owner.
    pub(super) fn pop(&mut self) -> Option<(ShardId, RingMessage)> {
        self.0.pop_first().map(|(to, interests)| (to, message(interests)))
    }
}

fn message(mut interests: Vec<OneInterest>) -> RingMessage {
    let only = if interests.len() == 1 { interests.pop() } else { None };
    match only {
        Some((pipe, subscribers, interest)) => RingMessage::Interest { pipe, subscribers, interest },
        None => RingMessage::Interests(interests),
    }
}
