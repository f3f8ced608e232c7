//! What a wing of the hub does to the world: it sends, stores, asks and tells. Nothing is carried out here; the hub's user
//! polls the [`Output`]s, and the hub itself takes what is for its own shard.
//!
//! A wing gets this instead of the hub, so it cannot reach into the books of the other one.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::model::{CloseReason, ConnId, ShardId};
use crate::ring::{AskId, Level, OneInterest, RingMessage};
use crate::storage::{Job, Read, Request, Ticket, Write};

use super::interests::Interests;
use super::readings::Readings;
use super::{HubCounters, Output};

/// Whose an answer of storage is. It stands in the lowest bits of the ticket, so nobody has to look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A connection of this shard.
    Local,
    /// The history or the setting of an owned pipe.
    Pipes,
    /// Those who come back to owned pipes.
    Recoveries,
    /// The queues of owned users.
    Users,
    /// The times of users who have gone.
    Departed,
}

const ASKER_BITS: u32 = 3;

impl Asker {
    /// `None` for a ticket that no hub gave.
    pub(super) fn of(ticket: Ticket) -> Option<Self> {
        const ALL: [Asker; 5] = [Asker::Local, Asker::Pipes, Asker::Recoveries, Asker::Users, Asker::Departed];
        ALL.get((ticket.0 & ((1 << ASKER_BITS) - 1)) as usize).copied()
    }

    fn ticket(self, number: u64) -> Ticket {
        Ticket(number << ASKER_BITS | self as u64)
    }
}

pub(super) struct Effects {
    shard: ShardId,
    outputs: VecDeque<Output>,
    /// Ring messages to this very shard: handled before [`super::Hub::handle`] returns.
    here: VecDeque<RingMessage>,
    interests: Interests,
    /// Histories that are to be read.
    pub(super) readings: Readings,
    pub(super) counters: HubCounters,
    /// The last one given, to storage or to another shard.
    number: u64,
}

impl Effects {
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            outputs: VecDeque::new(),
            here: VecDeque::new(),
            interests: Interests::default(),
            readings: Readings::default(),
            counters: HubCounters::default(),
            number: 0,
        }
    }

    pub(super) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.put(Output::Close { conn, reason });
    }

    // Rings

    pub(super) fn send(&mut self, to: ShardId, message: RingMessage) {
        // What stands on interests comes behind them.
        if message.level() == Level::Request
            && let Some(message) = self.interests.take(to)
        {
            self.outputs.push_back(Output::Ring { to, message });
        }
        if to == self.shard {
            self.here.push_back(message);
        } else {
            self.outputs.push_back(Output::Ring { to, message });
        }
    }

    /// Tells the owner of a pipe how many subscribers this shard has, together with what else it is to be told.
    pub(super) fn tell_interest(&mut self, to: ShardId, interest: OneInterest) {
        if to == self.shard {
            let (pipe, subscribers, interest) = interest;
            self.here.push_back(RingMessage::Interest { pipe, subscribers, interest });
        } else {
            self.interests.add(to, interest);
        }
    }

    /// For a question to another shard. No ticket has the same number: whoever asks may wait for both in one list.
    pub(super) fn ask_id(&mut self) -> AskId {
        AskId(self.ticket(Asker::Local).0)
    }

    // Storage

    pub(super) fn write(&mut self, asker: Asker, write: Write) -> Ticket {
        self.write_all(asker, vec![write])
    }

    /// All of them or none.
    pub(super) fn write_all(&mut self, asker: Asker, writes: Vec<Write>) -> Ticket {
        self.job(asker, Request::Write(writes))
    }

    pub(super) fn read(&mut self, asker: Asker, read: Read) -> Ticket {
        self.job(asker, Request::Read { read, bytes_max: ONE_ROW })
    }

    /// For somebody at this address, who takes turns with others.
    pub(super) fn read_for(&mut self, address: IpAddr, asker: Asker, read: Read, bytes_max: usize) -> Ticket {
        let ticket = self.ticket(asker);
        let job = Job { ticket, request: Request::Read { read, bytes_max } };
        self.outputs.push_back(Output::Ask { job, address });
        ticket
    }

    fn job(&mut self, asker: Asker, request: Request) -> Ticket {
        let ticket = self.ticket(asker);
        self.outputs.push_back(Output::Store(Job { ticket, request }));
        ticket
    }

    /// For a job that is put by its owner.
    pub(super) fn ticket(&mut self, asker: Asker) -> Ticket {
        self.number += 1;
        asker.ticket(self.number)
    }

    // For the hub

    pub(super) fn pop_here(&mut self) -> Option<RingMessage> {
        self.here.pop_front()
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| {
            let (to, message) = self.interests.pop()?;
            Some(Output::Ring { to, message })
        })
    }
}

/// A hub reads single rows only, unless it says otherwise, and what one may weigh was settled when it was written.
pub(super) const ONE_ROW: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, PipeKey, PipeName};
    use crate::ring::InterestId;
    use std::sync::Arc;

    #[test]
    fn a_ticket_says_whose_it_is() {
        let mut effects = Effects::new(ShardId(0));
        for asker in [Asker::Local, Asker::Pipes, Asker::Recoveries, Asker::Users, Asker::Departed] {
            let (one, other) = (effects.ticket(asker), effects.ticket(asker));
            assert!(one != other && effects.ask_id().0 != other.0);
            assert_eq!([one, other].map(Asker::of), [Some(asker); 2]);
        }
        assert_eq!(Asker::of(Ticket(7)), None);
    }

    #[test]
    fn a_request_comes_behind_the_interests_that_it_stands_on() {
        let mut effects = Effects::new(ShardId(0));
        let pipe = Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(b"news").unwrap() });
        for to in [1, 2] {
            effects.tell_interest(ShardId(to), (pipe.clone(), 1, InterestId(1)));
        }
        effects.send(ShardId(2), RingMessage::StopRecovering { conn: ConnId::default() });
        let told: Vec<(u16, bool)> = std::iter::from_fn(|| effects.poll())
            .map(|output| match output {
                Output::Ring { to, message } => (to.0, matches!(message, RingMessage::Interest { .. })),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [(2, true), (2, false), (1, true)]);
    }
}
