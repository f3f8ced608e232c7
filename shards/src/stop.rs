//! The end of the server, agreed on by all shards.
//!
//! A stop has two halves. In the first one the shards read and accept nothing more, and what was handed in before is
//! answered and delivered as always. In the second one the connections are closed, which hosts do in
//! [`farewell`](crate::Host::farewell). So what was acknowledged before the stop reaches connections that are still open.
//!
//! In each half a shard passes one barrier and then one for each level of messages, [`PHASES`] in all:
//!
//! * it arrives at the first one of the first half when its host owes no answer, and at the first one of the second half
//!   when its connections are gone;
//! * it arrives at each of the others when all shards have arrived at the one before.
//!
//! In both cases its own rings and backlog must be empty, no fan-out must be pending, and nothing that a message has
//! caused may wait in its host.
//!
//! *Nothing is lost.* Let barrier 0 be the first one of a half. When all shards have arrived at barrier *k*, no message of a
//! level below *k* that comes of what was there at barrier 0 is in any ring. For *k* = 0 there is nothing to show. A message
//! of level *k* is caused by one of a lower level only, so once all have arrived at barrier *k* no more of them are sent;
//! and each shard handles those that are in its rings, and what they cause in its host, before it arrives at barrier
//! *k* + 1. Hence nothing is left behind the barrier of the last level. What ends of connections and timers cause
//! during the first half is left to the second one.
//!
//! Each half has half of the grace time. A shard whose time for the first one is over goes on to the second; one that
//! cannot wait any longer, because the grace time is over or it broke, passes all barriers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::host::{End, Host};
use crate::io::Io;
use crate::kernel::Signal;
use crate::mesh::Level;
use crate::shard::{Acceptor, Shard};
use crate::waker::Waker;

/// The barriers of one half: one for what it waits for, one for each level of messages.
const HALF: usize = 1 + Level::ALL.len();

const PHASES: usize = 2 * HALF;

/// What all shards and the thread that started them share.
#[derive(Debug)]
pub(crate) struct Stopping<S: Signal> {
    requested: AtomicBool,
    /// By shard: how many barriers it has arrived at.
    arrived: Vec<AtomicUsize>,
    wakers: Vec<Waker<S>>,
}

impl<S: Signal> Stopping<S> {
    pub(crate) fn new(wakers: Vec<Waker<S>>) -> Arc<Self> {
        let arrived = wakers.iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { requested: AtomicBool::new(false), arrived, wakers })
    }

    pub(crate) fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Whether all shards have arrived at the first `count` barriers. Sequentially consistent, as are the arrivals: of
    /// two shards that arrive last together, at least one sees both.
    fn have_passed(&self, count: usize) -> bool {
        self.arrived.iter().all(|arrived| arrived.load(Ordering::SeqCst) >= count)
    }

    fn arrive(&self, shard: u16, count: usize) {
        if let Some(arrived) = self.arrived.get(usize::from(shard)) {
            arrived.store(count, Ordering::SeqCst);
        }
        if self.have_passed(count) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// Held by the thread of a shard: when the thread ends, in whatever way, nobody waits for it, and the others stop too.
#[derive(Debug)]
pub(crate) struct Leaving<S: Signal> {
    pub(crate) shard: u16,
    pub(crate) stopping: Arc<Stopping<S>>,
}

impl<S: Signal> Drop for Leaving<S> {
    fn drop(&mut self) {
        self.stopping.arrive(self.shard, PHASES);
        self.stopping.request();
    }
}

/// One shard's part in it.
#[derive(Debug)]
pub(crate) struct Stop<S: Signal> {
    stopping: Arc<Stopping<S>>,
    grace: Duration,
    /// Once the stop was noticed.
    until: Option<Until>,
    arrived: usize,
}

/// When the time for something is over.
#[derive(Copy, Clone, Debug)]
struct Until {
    answers: Instant,
    all: Instant,
}

/// What a shard sees of itself at the end of a turn.
#[derive(Copy, Clone, Debug)]
pub(crate) struct View {
    pub(crate) now: Instant,
    /// Neither messages nor what they have caused wait here.
    pub(crate) settled: bool,
    /// The host owes nobody an answer.
    pub(crate) answered: bool,
    pub(crate) connections: u32,
}

/// What a shard does then.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    /// It came further, and looks again instead of sleeping: the others may have been there before.
    Again,
    Farewell,
    /// The grace time is over.
    EndAll,
    Over,
}

impl<S: Signal> Stop<S> {
    pub(crate) fn new(stopping: Arc<Stopping<S>>, grace: Duration) -> Self {
        Self { stopping, grace, until: None, arrived: 0 }
    }

    /// Whether nothing more may be read or accepted.
    pub(crate) fn has_begun(&self) -> bool {
        self.until.is_some()
    }

    /// When the shard must look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until.map(|until| if self.arrived < HALF { until.answers } else { until.all })
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        self.until = Some(Until { answers: now + self.grace / 2, all: now + self.grace });
    }

    pub(crate) fn step(&mut self, shard: u16, view: View) -> Step {
        let Some(until) = self.until else { return Step::Wait };
        if view.now >= until.all {
            return Step::EndAll;
        }
        if self.arrived < HALF && view.now >= until.answers {
            return self.arrive(shard, HALF, Step::Farewell);
        }
        if !self.stopping.have_passed(self.arrived) {
            return Step::Wait;
        }
        // Only now, after it was seen that the others have arrived, does an empty ring mean that all they sent is done.
        let may_arrive = match self.arrived {
            PHASES => return Step::Over,
            0 => view.answered,
            HALF => view.connections == 0,
            _ => true,
        };
        match self.arrived + 1 {
            _ if !may_arrive || !view.settled => Step::Wait,
            HALF => self.arrive(shard, HALF, Step::Farewell),
            next => self.arrive(shard, next, Step::Again),
        }
    }

    fn arrive(&mut self, shard: u16, count: usize, step: Step) -> Step {
        self.arrived = count;
        self.stopping.arrive(shard, count);
        step
    }
}

impl<H: Host> Shard<H> {
    /// Does what a requested stop demands in this turn. Returns whether this turn is the last.
    pub(crate) fn follow_stop(&mut self) -> bool {
        if !self.stop.stopping.is_requested() {
            return false;
        }
        if !self.stop.has_begun() {
            self.stop.begin(self.core.turn_time);
            (self.acceptor, self.door) = (Acceptor::default(), Acceptor::default());
            self.host.stopping(&mut Io::new(&mut self.core));
            self.tell_ends();
        }
        let view = self.view();
        match self.stop.step(self.core.number, view) {
            Step::Wait => {}
            Step::Again => self.again = true,
            Step::Farewell => {
                self.host.farewell(&mut Io::new(&mut self.core));
                self.tell_ends();
                self.again = true;
            }
            Step::EndAll => {
                let conns: Vec<_> = self.core.slab.tokens().collect();
                for conn in conns {
                    self.core.end(conn, End::Stopped);
                }
                return true;
            }
            Step::Over => return true,
        }
        false
    }

    fn view(&self) -> View {
        let core = &self.core;
        let is_empty = core.fan_outs.is_empty() && !core.endpoint.congested() && !core.endpoint.can_receive();
        View {
            now: core.turn_time,
            settled: is_empty && !self.host.has_work(),
            answered: !self.host.owes_answers(),
            connections: core.slab.len(),
        }
    }
}

#[cfg(test)]
mod tests;
