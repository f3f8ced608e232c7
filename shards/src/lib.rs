//! The thread-per-core runtime.
