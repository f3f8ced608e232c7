//! What owners are told of the subscribers of their pipes: all that one command changes, in one message to each owner. One for each name would
//! fill the rings, and whoever waits for an answer that comes over them would wait for every name of everybody.

use std::collections::BTreeMap;

use crate::model::ShardId;

use super::super::{Hub, Output};
use super::pipes::Interest;
use crate::ring::{Level, OneInterest, RingMessage};

/// What is not said yet, by owner. It is empty whenever all outputs were polled.
#[derive(Debug, Default)]
pub(in crate::hub) struct Interests(BTreeMap<ShardId, Vec<OneInterest>>);

impl Interests {
    /// What is to be told to some owner.
    pub(in crate::hub) fn pop(&mut self) -> Option<Output> {
        self.0.pop_first().map(|(to, interests)| message(to, interests))
    }
}

fn message(to: ShardId, mut interests: Vec<OneInterest>) -> Output {
    let only = if interests.len() == 1 { interests.pop() } else { None };
    let message = match only {
        Some((pipe, subscribers, interest)) => RingMessage::Interest { pipe, subscribers, interest },
        None => RingMessage::Interests(interests),
    };
    Output::Ring { to, message }
}

impl Hub {
    pub(in crate::hub) fn tell_interest(&mut self, interest: Interest) {
        let Interest { key: pipe, subscribers, id: interest } = interest;
        let to = self.config.placement.owner_of_pipe(&pipe);
        if to == self.config.shard {
            return self.send(to, RingMessage::Interest { pipe, subscribers, interest });
        }
        self.interests.0.entry(to).or_default().push((pipe, subscribers, interest));
    }

    pub(in crate::hub) fn send(&mut self, to: ShardId, message: RingMessage) {
        // What stands on interests comes behind them.
        if message.level() == Level::Request
            && let Some(interests) = self.interests.0.remove(&to)
        {
            self.outputs.push_back(self::message(to, interests));
        }
        super::super::send(&self.config, &mut self.local, &mut self.outputs, to, message);
    }
}
