//! Whether the system allows what shards would like, found out by trying it. For whoever looks at a machine without starting
//! shards.

use std::io;
use std::net::SocketAddr;

use crate::{StartError, listen, sender, table};

/// Sends a batch through `io_uring`, as a start does before it chooses the engine.
pub fn try_io_uring() -> io::Result<()> {
    sender::probe()
}

/// Takes an address as a listener would, without listening.
pub fn try_address(address: SocketAddr) -> Result<(), StartError> {
    listen::probe(address)
}

/// Gives a thread a descriptor table of its own, and ends it.
pub fn try_own_table() -> io::Result<()> {
    let tried = std::thread::Builder::new().spawn(table::split)?;
    // It cannot panic; if it did, nothing would be known.
    tried.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

/// Whether the system's clock follows another one; `None` if the system does not say.
pub fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: all fields of the C structure are integers, for which zero is a value.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes to the structure that it is given and keeps no reference to it. With `modes` zero it changes
    // nothing in the system.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    (answer >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    /// A trial must leave the process as it was: the threads that come later share its table.
    #[test]
    fn a_trial_leaves_the_table_of_the_process() {
        if try_own_table().is_err() {
            return;
        }
        let file = File::open("/dev/null").unwrap();
        let number = file.as_raw_fd();
        let seen = std::thread::spawn(move || std::fs::read_link(format!("/proc/thread-self/fd/{number}")));
        assert_eq!(seen.join().unwrap().unwrap().to_str(), Some("/dev/null"));
    }

    #[test]
    fn the_system_tells_of_its_clock() {
        // A sandbox may forbid the question; an answer is of one kind.
        assert_eq!(clock_is_synchronised(), clock_is_synchronised());
    }
}
