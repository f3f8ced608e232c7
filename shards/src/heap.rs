//! The heap: an allocator that counts, and the allocator's free memory.
//!
//! [`Counted`] is the system's allocator with books. Rust says the size of a block when it is freed, so the bytes in use are
//! known exactly, for the price of a few additions and without a header of its own. Every thread writes a cell of its own,
//! and whoever asks adds up the cells.
//!
//! ```text
//!  alloc, free, grow --> the thread's cell --+
//!  of a thread without one --> shared cell --+--> counted(): bytes, blocks, calls
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::settings::SHARDS_MAX;

/// The allocator of the system, counted. To be named as the `#[global_allocator]` of the program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted;

/// What the program has from its allocator, all threads together. C libraries in the program have theirs elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// Bytes in use, as they were asked for.
    pub bytes: usize,
    /// Blocks in use.
    pub blocks: usize,
    /// Calls since the start: blocks taken, given back, and made longer or shorter.
    pub calls: u64,
}

/// The books of one thread. Two of them never share what a processor's cores pass to each other.
#[repr(align(128))]
struct Books {
    /// Bytes that the thread has taken, less those that it has given back. A thread may give back what another one took, so
    /// the number may be below zero, as it is written here; only the sum of all cells means something.
    bytes: AtomicUsize,
    blocks: AtomicUsize,
    calls: AtomicU64,
    /// An address in the thread's stack.
    stack: AtomicUsize,
}

impl Books {
    const fn new() -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            blocks: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            stack: AtomicUsize::new(0),
        }
    }
}

/// Threads with a cell of their own: all shards and what stands beside them. Cells are not used again, because the server's
/// threads live as long as it does.
const CELLS: usize = SHARDS_MAX + 64;

static OWN: [Books; CELLS] = [const { Books::new() }; CELLS];
/// For all threads that found none free.
static SHARED: Books = Books::new();
/// Cells that are somebody's.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Without a destructor and without a value to be computed, so reading it allocates nothing and works to the thread's end.
    static MINE: Cell<Option<&'static Books>> = const { Cell::new(None) };
}

/// A change of the books; what becomes fewer is a number that wraps.
#[inline]
fn note(bytes: usize, blocks: usize) {
    match MINE.get() {
        Some(mine) => {
            // Nobody else writes this cell, so nothing is lost between the two halves.
            let add = |number: &AtomicUsize, more| {
                number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
            };
            add(&mine.bytes, bytes);
            add(&mine.blocks, blocks);
            mine.calls.store(mine.calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        None => note_first(bytes, blocks),
    }
}

#[cold]
#[inline(never)]
fn note_first(bytes: usize, blocks: usize) {
    // Looked at before it is changed, so that threads without a cell never let the number wrap.
    if TAKEN.load(Ordering::Relaxed) < CELLS
        && let Some(books) = OWN.get(TAKEN.fetch_add(1, Ordering::Relaxed))
    {
        let here = 0_u8;
        books.stack.store((&raw const *black_box(&here)).addr(), Ordering::Relaxed);
        MINE.set(Some(books));
        return note(bytes, blocks);
    }
    note_shared(bytes, blocks);
}

fn note_shared(bytes: usize, blocks: usize) {
    SHARED.bytes.fetch_add(bytes, Ordering::Relaxed);
    SHARED.blocks.fetch_add(blocks, Ordering::Relaxed);
    SHARED.calls.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every method hands its arguments to the system's allocator unchanged and returns what that returned, so what the
// trait promises holds because `System` keeps it. The books are written beside that: they allocate nothing, because the
// cells are statics and the thread's variable is constant and has no destructor; and they cannot panic, because they wrap.
unsafe impl GlobalAlloc for Counted {
    #[inline]
    // SAFETY: callers keep what `GlobalAlloc::alloc` asks for: a layout that is not empty.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `GlobalAlloc::alloc` asks for, and that is the same here.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            note(layout.size(), 1);
        }
        block
    }

    #[inline]
    // SAFETY: callers keep what `GlobalAlloc::alloc_zeroed` asks for: a layout that is not empty.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what `GlobalAlloc::alloc_zeroed` asks for, and that is the same here.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            note(layout.size(), 1);
        }
        block
    }

    #[inline]
    // SAFETY: callers give blocks that this allocator made, each once, and with the layout that it was made with.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that the block is of this allocator and layout; it was made by `System` with that layout.
        unsafe { System.dealloc(block, layout) };
        note(layout.size().wrapping_neg(), usize::MAX);
    }

    #[inline]
    // SAFETY: callers give blocks as for `dealloc`, and a size that is not 0 and that a layout may have.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block was made by `System` with that layout, and the caller says that `size` is one that it may have.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            note(size.wrapping_sub(layout.size()), 0);
        }
        moved
    }
}

fn cells() -> impl Iterator<Item = &'static Books> {
    OWN.iter().take(TAKEN.load(Ordering::Relaxed)).chain([&SHARED])
}

/// What is in use now. All zero where [`Counted`] is not the allocator. A block that changes hands meanwhile may be counted
/// twice or not at all.
pub fn heap() -> Heap {
    let mut heap = Heap::default();
    for books in cells() {
        heap.bytes = heap.bytes.wrapping_add(books.bytes.load(Ordering::Relaxed));
        heap.blocks = heap.blocks.wrapping_add(books.blocks.load(Ordering::Relaxed));
        heap.calls = heap.calls.wrapping_add(books.calls.load(Ordering::Relaxed));
    }
    let positive = |number: usize| if number.cast_signed() < 0 { 0 } else { number };
    Heap { bytes: positive(heap.bytes), blocks: positive(heap.blocks), ..heap }
}

/// What `make` returns, and how many bytes of the heap this thread holds more than before: what something weighs that is
/// made once and stays. 0 where [`Counted`] is not the allocator.
pub fn weighed<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let mine = || MINE.get().map_or(0, |books| books.bytes.load(Ordering::Relaxed));
    let before = mine();
    let made = make();
    (made, mine().wrapping_sub(before).cast_signed().max(0).cast_unsigned())
}

/// An address in the stack of every thread that has a cell, those among them that have ended.
pub fn stacks() -> Vec<usize> {
    cells().map(|books| books.stack.load(Ordering::Relaxed)).filter(|address| *address != 0).collect()
}

/// Gives memory that is free, but that the allocator still holds, back to the system. It looks at the whole heap and holds
/// up whoever allocates meanwhile, some milliseconds for a hundred megabytes: for a quiet moment after a crowd has left.
/// Does nothing where the C library is not glibc.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: glibc declares `int malloc_trim(size_t pad)`. It touches nothing but its own free memory, under its own
        // locks, so any thread may call it at any time.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> i32;
        }
        let _ = malloc_trim(0);
    }
}

/// Bytes that SQLite has from its own allocator, which is C. It counts them by itself.
#[cfg(feature = "sqlite")]
pub fn sqlite_bytes() -> usize {
    // SAFETY: SQLite documents the function as one that any thread may call at any time, before the library is initialised
    // as well. It takes no arguments, and reads one number under a lock of its own.
    let bytes = unsafe { libsqlite3_sys::sqlite3_memory_used() };
    usize::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static HEAP: Counted = Counted;

    #[test]
    fn a_thread_counts_what_it_takes_and_gives_back() {
        let (block, bytes) = weighed(|| Vec::<u8>::with_capacity(1_000_000));
        assert_eq!(bytes, 1_000_000);
        let ((), less) = weighed(|| drop(block));
        assert_eq!(less, 0, "what is fewer is not told");
        let ((), bytes) = weighed(|| {
            let mut block = Vec::<u8>::with_capacity(10);
            block.extend_from_slice(&[0; 5_000]);
            block.shrink_to_fit();
        });
        assert_eq!(bytes, 0, "and nothing is left of what was made longer, shorter and given back");
    }

    #[test]
    fn what_another_thread_frees_is_not_counted_any_more() {
        // So large, and never written to, that what other tests do at the same time does not matter.
        const BYTES: usize = 1 << 30;
        let before = heap();
        let block = Vec::<u8>::with_capacity(BYTES);
        let between = heap();
        assert!(between.bytes > before.bytes + BYTES / 2, "{before:?} {between:?}");
        std::thread::spawn(move || drop(block)).join().expect("a thread");
        let after = heap();
        assert!(after.bytes < between.bytes - BYTES / 2, "{between:?} {after:?}");
        assert!(after.calls > before.calls && after.blocks > 0);
    }

    #[test]
    fn every_thread_tells_where_its_stack_is() {
        let here = 0_u8;
        let here = (&raw const here).addr();
        drop(Box::new(here));
        assert!(stacks().iter().any(|stack| stack.abs_diff(here) < 1 << 20), "{here:x} {:x?}", stacks());
    }

    #[test]
    fn threads_without_a_cell_are_counted_as_well() {
        const BYTES: usize = 1 << 33;
        let before = heap();
        note_shared(BYTES, 1);
        let between = heap();
        assert!(between.bytes > before.bytes + BYTES / 2, "{before:?} {between:?}");
        note_shared(BYTES.wrapping_neg(), usize::MAX);
        assert!(heap().bytes < between.bytes - BYTES / 2);
    }
}
