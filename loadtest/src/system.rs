//! What a load generator asks of the system for itself: cores, descriptors, source addresses.

use crate::error::Error;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, UnshareFlags, sched_setaffinity};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Descriptors a worker needs besides its connections: standard streams, epoll, what the process has open.
pub const DESCRIPTORS_SPARE: u64 = 64;
/// Connections that share one source address. Binding to port 0 gives each of them one of some 28,000 ports;
/// the rest is left to connections of an earlier run that still linger.
const CONNECTIONS_PER_SOURCE: usize = 8000;

/// Keeps the calling thread, and those it starts, on one core. `None` lets it roam.
pub fn pin_to_core(core: Option<usize>) -> Result<(), Error> {
    let Some(core) = core else { return Ok(()) };
    if core >= CpuSet::MAX_CPU {
        return Err(Error::usage(format!("there is no core {core}")));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|error| Error::Io { doing: format!("pin to core {core}"), source: error.into() })
}

/// Lets all other threads of the machine come first. Errors: the system does not want to.
pub fn be_nice() -> Result<(), Error> {
    let thread = rustix::process::Pid::from_raw(thread_number() as i32);
    rustix::process::setpriority_process(thread, 19)
        .map_err(|error| Error::Io { doing: "be nice".into(), source: error.into() })
}

/// Gives the calling thread a descriptor table of its own, so that the limit on descriptors counts for it alone
/// and no lock on the table is shared.
///
/// The rule that makes this sound, and that every caller keeps: **no descriptor crosses threads after it.** The thread
/// calls this first of all, opens every descriptor it uses afterwards, and talks to others through channels, which
/// need none. A number passed over, or a socket dropped in another thread, would name a different file there.
/// Descriptors open at the moment of the call stay open in the new table too; therefore workers are started
/// before their process opens connections.
pub fn own_descriptor_table() -> Result<(), Error> {
    // The marked replacement differs only in being `unsafe`, because of the rule above.
    #[expect(deprecated, reason = "unsafe code is forbidden here; the rule above is what the replacement asks for")]
    let result = rustix::thread::unshare(UnshareFlags::FILES);
    result.map_err(|error| Error::Io { doing: "get a descriptor table for a thread".into(), source: error.into() })
}

/// Raises the limit on descriptors as far as allowed and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // If it is refused, the old limit stays, and the line below says so.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Threads needed for so many connections, each thread within the limit on descriptors.
pub fn threads_for(connections: usize) -> usize {
    let each = raise_descriptor_limit().saturating_sub(DESCRIPTORS_SPARE).clamp(1, 1 << 20) as usize;
    connections.div_ceil(each).max(1)
}

/// The number of the calling thread, as in `/proc/self/task`.
pub fn thread_number() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// The address that connection `number` comes from, `None` to leave it to the system: only loopback has addresses
/// to spare. Each process has its own 127.0.x.*, so that runs do not wait for each other's closed connections.
///
/// The system chooses ports, per source address, because the socket is bound to port 0. (`IP_BIND_ADDRESS_NO_PORT` would
/// save some port searches, but no safe wrapper of it is at hand, and with addresses to spare it is not needed.)
pub fn source_address(target: SocketAddr, number: usize, process: u32) -> Option<SocketAddr> {
    if !matches!(target.ip(), IpAddr::V4(address) if address.is_loopback()) {
        return None;
    }
    let host = 1 + (number / CONNECTIONS_PER_SOURCE) % 254;
    let network = 1 + process % 254;
    Some(SocketAddr::from((Ipv4Addr::new(127, 0, network as u8, host as u8), 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sources_are_spread_on_loopback_only() {
        let loopback: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let sources: HashSet<_> = (0..64_000).map(|number| source_address(loopback, number, 7).unwrap()).collect();
        assert_eq!(sources.len(), 8);
        assert!(sources.contains(&"127.0.8.1:0".parse().unwrap()));
        assert_eq!(source_address("192.0.2.1:80".parse().unwrap(), 0, 7), None);
        assert_eq!(source_address("[::1]:80".parse().unwrap(), 0, 7), None);
    }

    #[test]
    fn a_thread_with_its_own_table_does_not_close_our_files() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        std::thread::spawn(|| {
            own_descriptor_table().unwrap();
            // The number of a file opened here may be that of a file opened there: both stay open.
            let own = std::fs::File::open("/proc/self/status").unwrap();
            assert!(own.metadata().is_ok());
        })
        .join()
        .unwrap();
        assert!(file.metadata().is_ok());
    }

    #[test]
    fn enough_threads() {
        assert_eq!(threads_for(0), 1);
        assert_eq!(threads_for(100), 1);
        assert!(threads_for(10_000_000) >= 1);
    }
}
