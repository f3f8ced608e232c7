//! Listeners: found free, opened in the shard's thread, shared by port.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::settings::ShardSettings;
use crate::start::StartError;

/// Fails if the address cannot be bound, in particular if anybody listens there.
///
/// `SO_REUSEPORT`, which the shards need among themselves, would let us share a port with another process of the same
/// user without noticing. So the port is first bound without it.
pub(crate) fn probe(address: SocketAddr) -> Result<(), StartError> {
    let probe = || -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    };
    probe().map_err(|error| StartError::of_address(address, error))
}

/// Opens a listener that other shards can join, and tells its address with the real port.
///
/// Accepted connections inherit what is set here, so no connection costs a call for its options.
pub(crate) fn open(address: SocketAddr, settings: &ShardSettings) -> Result<(OwnedFd, SocketAddr), StartError> {
    let open = || -> io::Result<(OwnedFd, SocketAddr)> {
        let kind = Type::STREAM.cloexec().nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(size) = settings.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(bytes) = settings.unsent_low_water {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        if let Some(keep_alive) = settings.keep_alive {
            let keep_alive = TcpKeepalive::new()
                .with_time(keep_alive.idle)
                .with_interval(keep_alive.interval)
                .with_retries(keep_alive.probes);
            socket.set_tcp_keepalive(&keep_alive)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(settings.backlog).unwrap_or(i32::MAX))?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok((socket.into(), local))
    };
    open().map_err(|error| StartError::of_address(address, error))
}

/// Opens a Unix socket that only processes of this user can connect to.
///
/// It gets its name when it is ready, and so never for a moment lets in others or leads to nobody. What had the name before
/// loses it: whether somebody listens there is for the caller to know.
pub(crate) fn open_door(path: &Path) -> io::Result<OwnedFd> {
    const BACKLOG: i32 = 64;
    let kind = Type::STREAM.cloexec().nonblocking();
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    // No longer than the name itself, which has a maximum.
    let draft = path.with_file_name(format!(".{}", std::process::id()));
    // Left over by a process of this number that was killed in between.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let only_ours = Mode::RUSR | Mode::WUSR;
    rustix::fs::fchmod(&socket, only_ours)?;
    socket.bind(&SockAddr::unix(&draft)?)?;
    let named = fs::set_permissions(&draft, fs::Permissions::from_mode(only_ours.bits()))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| fs::rename(&draft, path));
    if named.is_err() {
        let _ = fs::remove_file(&draft);
    }
    named.map(|()| socket.into())
}

/// What one accept brought.
pub(crate) enum Accepted<S> {
    Connection(S),
    /// Nobody waits.
    Nobody,
    /// This one failed; the next may not.
    Next,
    /// The system has no descriptor or memory left: later.
    Exhausted,
}

/// What an accept that returned this has brought.
pub(crate) fn classify<S>(accepted: Result<S, Errno>) -> Accepted<S> {
    match accepted {
        Ok(socket) => Accepted::Connection(socket),
        Err(Errno::AGAIN) => Accepted::Nobody,
        // The peer is gone again, or a firewall or the network refused it.
        Err(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PERM
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NONET,
        ) => Accepted::Next,
        // No descriptors, no memory, or something unheard of: in every case not at once again.
        Err(_) => Accepted::Exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::open;
    use crate::kernel::Kernel;
    use crate::linux::Linux;
    use crate::sender::Sender;
    use crate::settings::ShardSettings;
    use socket2::SockRef;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    #[test]
    fn accepted_connections_keep_little_unsent_in_the_system() {
        let settings = ShardSettings { unsent_low_water: Some(32_768), ..ShardSettings::default() };
        let (listener, address) = open("127.0.0.1:0".parse().unwrap(), &settings).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let mut kernel = Linux::new(Sender::Plain).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let socket = loop {
            assert!(Instant::now() < deadline, "nobody was accepted");
            if let Ok(socket) = kernel.accept(&listener) {
                break socket;
            }
        };
        assert_eq!(SockRef::from(&socket).tcp_notsent_lowat().unwrap(), 32_768);
        assert!(SockRef::from(&socket).tcp_nodelay().unwrap());
    }
}
