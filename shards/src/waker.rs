//! Waking a shard from any thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::park::Parking;
use crate::table;

/// Wakes one shard. Cheap while the shard is awake: then no system call is made.
///
/// May be used from the threads that existed when the runtime was prepared, from those made later by such threads, and
/// from the runtime's own shards; not from a shard of another runtime that was started earlier, whose descriptor table
/// does not know this waker: that stops the thread instead of writing into somebody else's file.
#[derive(Clone, Debug)]
pub struct Waker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parking: Parking,
    /// Never read: it is watched edge-triggered, so every write wakes. Taken out only by `drop`.
    eventfd: Option<OwnedFd>,
    home: u64,
    made: u64,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let inner = Inner {
            parking: Parking::new(),
            eventfd: Some(eventfd),
            home: table::current(),
            made: table::next_in_sequence(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The host's `woken` is called soon, once for any number of calls before it.
    pub fn wake(&self) {
        if self.inner.parking.notify() {
            self.inner.write();
        }
    }

    /// Rings of this shard got messages. Returns whether a wake was written.
    pub(crate) fn wake_for_messages(&self) -> bool {
        let parked = self.inner.parking.unpark();
        if parked {
            self.inner.write();
        }
        parked
    }

    pub(crate) fn parking(&self) -> &Parking {
        &self.inner.parking
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.eventfd.as_ref().map(AsFd::as_fd)
    }
}

impl Inner {
    /// Whether the eventfd's number means the eventfd in this thread.
    fn is_known_here(&self) -> bool {
        let table = table::current();
        table == self.home || table > self.made
    }

    fn write(&self) {
        assert!(self.is_known_here(), "a waker was used in a thread whose descriptor table is older than the waker");
        if let Some(eventfd) = &self.eventfd {
            // Fails only when the counter is full, and then the eventfd is readable already.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a foreign table the number may mean another file by now. Leaving it open costs one descriptor of a thread
        // that ends soon.
        if table::current() != self.home
            && let Some(eventfd) = self.eventfd.take()
        {
            let _ = eventfd.into_raw_fd();
        }
    }
}

#[cfg(test)]
mod tests;
