//! The allocator's free memory.

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
