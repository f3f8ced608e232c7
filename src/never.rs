//! What cannot be. [`never!`] says at the place where a broken invariant of this server would show that it was broken.
//!
//! Two words for "not there" must not be mixed up: a connection, pipe or job that has *gone* while something was on its
//! way is a part of life, and whoever finds it gone carries on. What *never* is would be a fault of this server. A build
//! with debug assertions ends with a panic there, so that tests, the simulator and fuzzing find it. A release counts it,
//! tells it once for each place, and the code behind the macro ends what is concerned: one statement, one connection,
//! nobody else's.
//!
//! ```text
//! let Some(pipe) = self.pipes.get_mut(index) else {
//!     never!("a member's pipe is here");
//!     return;
//! };
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A place in the code that holds something for impossible.
#[derive(Debug)]
pub struct Place {
    pub file: &'static str,
    pub line: u32,
    /// What should have been true.
    pub invariant: &'static str,
    count: AtomicU64,
}

impl Place {
    pub const fn new(file: &'static str, line: u32, invariant: &'static str) -> Self {
        Self { file, line, invariant, count: AtomicU64::new(0) }
    }

    /// The invariant does not hold.
    #[cold]
    #[allow(clippy::panic, clippy::manual_assert, reason = "a fault of ours has to be found where it can be mended")]
    pub fn reached(&'static self) {
        if cfg!(any(debug_assertions, test, fuzzing)) {
            panic!("never: {} ({}:{})", self.invariant, self.file, self.line);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            UNTOLD.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
        TOTAL.fetch_add(1, Ordering::Relaxed);
    }
}

/// Places that were reached and of which nobody was told.
static UNTOLD: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// How often any place was reached since the start.
pub fn total() -> u64 {
    TOTAL.load(Ordering::Relaxed)
}

/// Each place once, for whoever writes the log. `known` is what [`total`] said the last time: while it still says so, this
/// costs nothing.
pub fn take_untold(known: u64) -> Vec<&'static Place> {
    if total() == known {
        return Vec::new();
    }
    std::mem::take(&mut *UNTOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// See the [module](self). The text says what should have been true.
#[macro_export]
macro_rules! never {
    ($invariant:literal) => {{
        static PLACE: $crate::never::Place = $crate::never::Place::new(file!(), line!(), $invariant);
        PLACE.reached();
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "never: one is two")]
    fn a_test_ends_where_what_never_is_would_be() {
        never!("one is two");
    }
}
