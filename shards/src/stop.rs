//! The end of the server, agreed on by all shards.
//!
//! A stopping shard passes [`PHASES`] barriers. It arrives at the first when its connections are gone and nothing waits
//! in its backlog, so all that the ends of connections had to say is in the rings. It arrives at each further one when
//! the one before was passed by all shards and its own rings are empty. A message causes only messages of higher
//! levels, of which there are three: what was in the rings at the first barrier has had all its consequences when the
//! last is passed. A shard that cannot wait, because its grace time is over or it broke, passes them all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::host::{End, Host};
use crate::io::Io;
use crate::shard::{Acceptor, Shard};
use crate::waker::Waker;

/// One for the connections, one for each level of messages.
const PHASES: usize = 4;

/// What all shards and the thread that started them share.
#[derive(Debug)]
pub(crate) struct Stopping {
    requested: AtomicBool,
    /// By shard: how many barriers it has arrived at.
    arrived: Vec<AtomicUsize>,
    wakers: Vec<Waker>,
}

impl Stopping {
    pub(crate) fn new(wakers: Vec<Waker>) -> Arc<Self> {
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
pub(crate) struct Leaving {
    pub(crate) shard: u16,
    pub(crate) stopping: Arc<Stopping>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.stopping.arrive(self.shard, PHASES);
        self.stopping.request();
    }
}

/// One shard's part in it.
#[derive(Debug)]
pub(crate) struct Stop {
    stopping: Arc<Stopping>,
    grace: Duration,
    /// When the grace time is over, once the stop was noticed.
    until: Option<Instant>,
    arrived: usize,
}

impl Stop {
    pub(crate) fn new(stopping: Arc<Stopping>, grace: Duration) -> Self {
        Self { stopping, grace, until: None, arrived: 0 }
    }

    /// When the shard must look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until
    }
}

impl<H: Host> Shard<H> {
    /// Does what a requested stop demands in this turn. Returns whether this turn is the last.
    pub(crate) fn follow_stop(&mut self) -> bool {
        if !self.stop.stopping.is_requested() {
            return false;
        }
        let now = self.core.turn_time;
        let until = match self.stop.until {
            Some(until) => until,
            None => self.begin_stop(now),
        };
        if now >= until {
            let conns: Vec<_> = self.core.slab.tokens().collect();
            for conn in conns {
                self.core.end(conn, End::Stopped);
            }
            return true;
        }
        if !self.stop.stopping.have_passed(self.stop.arrived) {
            return false;
        }
        if self.stop.arrived == PHASES {
            return true;
        }
        // Only now, after it was seen that the others have arrived, do empty rings mean that all they sent is done.
        let is_empty = self.core.slab.len() == 0 && !self.core.endpoint.congested();
        if is_empty && !self.core.endpoint.can_receive() {
            self.stop.arrived += 1;
            self.stop.stopping.arrive(self.core.number, self.stop.arrived);
        }
        // The last connection may have ended in this very turn: look again instead of sleeping until the grace is over.
        self.again |= is_empty;
        false
    }

    fn begin_stop(&mut self, now: Instant) -> Instant {
        let until = now + self.stop.grace;
        self.stop.until = Some(until);
        self.acceptor = Acceptor::default();
        self.host.stopping(&mut Io::new(&mut self.core));
        self.tell_ends();
        until
    }
}
