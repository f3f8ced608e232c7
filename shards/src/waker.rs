//! Waking a shard from any thread.

use std::io;
use std::sync::Arc;

use crate::kernel::Signal;
use crate::linux::EventFd;
use crate::park::Parking;

/// Wakes one shard. Cheap while the shard is awake: then no system call is made.
///
/// May be used from the threads that existed when the runtime was prepared, from those made later by such threads, and
/// from the runtime's own shards; not from a shard of another runtime that was started earlier, whose descriptor table
/// does not know this waker: that stops the thread instead of writing into somebody else's file.
#[derive(Debug)]
pub struct Waker<S = EventFd> {
    inner: Arc<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S> {
    parking: Parking,
    signal: S,
}

impl<S> Clone for Waker<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        EventFd::new().map(Self::of)
    }
}

impl<S> Waker<S> {
    pub(crate) fn of(signal: S) -> Self {
        Self { inner: Arc::new(Inner { parking: Parking::new(), signal }) }
    }

    pub(crate) fn parking(&self) -> &Parking {
        &self.inner.parking
    }

    pub(crate) fn signal(&self) -> &S {
        &self.inner.signal
    }
}

impl<S: Signal> Waker<S> {
    /// The host's `woken` is called soon, once for any number of calls before it.
    pub fn wake(&self) {
        if self.inner.parking.notify() {
            self.inner.signal.give();
        }
    }

    /// Rings of this shard got messages. Returns whether a wake was written.
    pub(crate) fn wake_for_messages(&self) -> bool {
        let parked = self.inner.parking.unpark();
        if parked {
            self.inner.signal.give();
        }
        parked
    }
}

#[cfg(test)]
mod tests;
