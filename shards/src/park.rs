//! The protocol by which a shard sleeps and others wake it, without its system call.
//!
//! ```text
//!               announce                    unpark (a ring got a message), or the shard itself woke
//!   awake ----------------------> PARKED ------------------------------------------> awake
//!     |   notify: NOTIFIED is set    |  notify: NOTIFIED is set, the caller writes the eventfd
//! ```
//!
//! Two kinds of callers wake a shard. *Producers* of the rings put messages where the shard looks before it sleeps,
//! so they need the eventfd only while PARKED is set. *Outside threads* put things where only the host looks, so
//! they leave the mark NOTIFIED as well; the shard calls its host for it and will not sleep before.
//!
//! The race between "the ring is empty, so I sleep" and "the shard is awake, so I need not wake it" is closed on
//! both sides by the same order: first the own store (the mark here, the message there), then a sequentially
//! consistent fence, then the load of the other's. Of two fences one comes first, and the thread with the later one
//! sees the other's store: either the shard sees the message, or the producer sees the mark. The loom tests below
//! go through the interleavings.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// One shard's state of sleep. On its own cache line, since all producers read it once per turn.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Parking {
    state: AtomicU32,
}

impl Parking {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(0) }
    }

    /// The shard is about to sleep. `false`: it was notified and must not. After `true` it looks at its rings once
    /// more and either sleeps until the eventfd is written or calls [`withdraw`](Self::withdraw).
    #[must_use]
    pub(crate) fn announce(&self) -> bool {
        if self.state.fetch_or(PARKED, Ordering::AcqRel) & NOTIFIED != 0 {
            self.withdraw();
            return false;
        }
        fence(Ordering::SeqCst);
        true
    }

    /// The shard is awake. A producer may have seen the mark and write the eventfd all the same: one wake for
    /// nothing.
    pub(crate) fn withdraw(&self) {
        self.state.fetch_and(!PARKED, Ordering::AcqRel);
    }

    /// A producer has pushed messages. `true`: it must write the eventfd; only one producer per sleep gets that.
    #[must_use]
    pub(crate) fn unpark(&self) -> bool {
        fence(Ordering::SeqCst);
        self.state.load(Ordering::Relaxed) & PARKED != 0
            && self.state.fetch_and(!PARKED, Ordering::AcqRel) & PARKED != 0
    }

    /// An outside thread has something for the host. `true`: it must write the eventfd.
    ///
    /// No fence: both sides change the same word, so one of the changes comes first and the other sees it.
    #[must_use]
    pub(crate) fn notify(&self) -> bool {
        self.state.fetch_or(NOTIFIED, Ordering::AcqRel) == PARKED
    }

    /// Whether an outside thread has called since the last time; what it did before is visible afterwards.
    #[must_use]
    pub(crate) fn take_notified(&self) -> bool {
        self.is_notified() && self.state.fetch_and(!NOTIFIED, Ordering::AcqRel) & NOTIFIED != 0
    }

    /// The same without taking it, for the shard's decision whether to sleep.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Relaxed) & NOTIFIED != 0
    }
}

#[cfg(test)]
mod tests;
