//! Own descriptor tables: the one place where a thread leaves the table of its process.
//!
//! After the split a descriptor's number means what it meant before only for descriptors that were open before. Three
//! rules follow, and the rest of the crate keeps them:
//!
//! * a shard splits before it opens anything, and everything it opens later is opened, used and closed by its thread;
//! * what several threads use (the eventfds of the wakers) is opened before any shard splits;
//! * what was opened before is never closed by a thread that has split, except at its own end.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::thread::UnshareFlags;

/// Orders the making of tables and of wakers.
static SEQUENCE: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// 0: the table of the process; else when this thread split.
    static TABLE: Cell<u64> = const { Cell::new(0) };
}

/// A place in the order of tables and descriptors.
pub(crate) fn next_in_sequence() -> u64 {
    SEQUENCE.fetch_add(1, Ordering::Relaxed)
}

/// Which table this thread uses.
pub(crate) fn current() -> u64 {
    TABLE.get()
}

/// Gives the calling thread a descriptor table of its own, a copy of the one it had.
pub(crate) fn split() -> io::Result<()> {
    // SAFETY: the call demands that no thread uses descriptors of a table it does not have. Only the thread of a
    // shard calls this, first of all, before it owns any descriptor; it is given none by others and gives none away:
    // `Shard` and all that it owns is made, used and dropped in this thread, and the `Host` is made here too. The
    // descriptors that it does share, the eventfds inside of `Waker`, were opened before the split, so their numbers
    // mean the same in both tables; `Waker` checks that and never closes a number in a foreign table.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }?;
    TABLE.set(next_in_sequence());
    Ok(())
}
