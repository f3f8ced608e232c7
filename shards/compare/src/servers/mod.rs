//! The servers. Each accepts connections, sends [`FRAME`] to all of them for every byte that one of them sends, and
//! forgets those that end.
//!
//! All but the one on `shards` are as small as the measurement allows: no timers, no queue for a socket that is full.
//! A send that is not taken whole ends them, since it would make this another measurement.

mod glommio;
mod mio;
mod shards;
mod tokio;

use crate::Outcome;
use ::shards::EngineChoice;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A WebSocket frame with 128 bytes of text.
pub(crate) const FRAME: [u8; 132] = {
    let mut frame = [b'x'; 132];
    [frame[0], frame[1], frame[2], frame[3]] = [0x81, 126, 0, 128];
    frame
};

/// One for all connections of a server.
const READ_BUFFER: usize = 64 * 1024;
const BACKLOG: i32 = 4096;

pub(crate) struct Server {
    /// On the command line.
    pub(crate) name: &'static str,
    /// In the table.
    pub(crate) about: &'static str,
    /// Announces its address and serves for ever.
    pub(crate) serve: fn() -> Outcome<()>,
}

pub(crate) fn servers() -> [Server; 6] {
    let server = |name, about, serve| Server { name, about, serve };
    [
        server("shards-plain", "`shards`, plain sends", || shards::serve(EngineChoice::Plain)),
        server("shards-io_uring", "`shards`, sends batched through io_uring", || shards::serve(EngineChoice::IoUring)),
        server("mio", "bare mio loop, `send`", mio::serve),
        server("glommio-mio", "the bare mio loop inside a glommio executor", glommio::serve_hosted),
        server("glommio", "glommio, one task per connection", glommio::serve),
        server("tokio", "tokio, one task per connection, one thread", tokio::serve),
    ]
}

/// The first and only line of a server's output.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{address}")?;
    stdout.flush()
}

/// A listener whose connections inherit `TCP_NODELAY`.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// The whole frame or an error.
fn whole(sent: io::Result<usize>) -> io::Result<()> {
    if sent? == FRAME.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
