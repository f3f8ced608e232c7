//! A blocking TCP stream on which every wait has a limit.

use crate::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long connecting, logging in and one write may take.
pub const IO_LIMIT: Duration = Duration::from_secs(10);

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Bytes,
    /// The limit passed.
    Nothing,
    End,
}

#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

impl Socket {
    pub fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream =
            TcpStream::connect_timeout(&address, IO_LIMIT).map_err(Error::io(format!("connect to {address}")))?;
        let prepare = || {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(IO_LIMIT))
        };
        prepare().map_err(Error::io(format!("prepare the connection to {address}")))?;
        Ok(Self { stream })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(|source| match source.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Error::TimedOut { waiting_for: format!("the peer to take {} bytes", bytes.len()), limit: IO_LIMIT }
            }
            _ => Error::Io { doing: format!("send {} bytes", bytes.len()), source },
        })
    }

    /// Appends what one read finds before `deadline`. A reset by the peer is its end.
    pub fn receive(&mut self, into: &mut Vec<u8>, deadline: Instant) -> Result<Arrival, Error> {
        let mut buffer = [0; 16 << 10];
        loop {
            // A timeout of zero would mean "for ever"; the last look takes a microsecond.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            self.stream.set_read_timeout(Some(left)).map_err(Error::io("set a read timeout"))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Arrival::End),
                Ok(count) => {
                    into.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    return Ok(Arrival::Bytes);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        if Instant::now() >= deadline {
                            return Ok(Arrival::Nothing);
                        }
                    }
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Ok(Arrival::End),
                    _ => return Err(Error::Io { doing: "receive".into(), source: error }),
                },
            }
        }
    }

    /// Like [`Socket::receive`], but anything else than bytes is an error that names what was awaited.
    pub fn need(
        &mut self,
        into: &mut Vec<u8>,
        waiting_for: &str,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(), Error> {
        match self.receive(into, deadline)? {
            Arrival::Bytes => Ok(()),
            Arrival::Nothing => Err(Error::TimedOut { waiting_for: waiting_for.into(), limit }),
            Arrival::End => Err(Error::Closed { waiting_for: waiting_for.into() }),
        }
    }

    pub fn finish_sending(&self) -> Result<(), Error> {
        self.stream.shutdown(Shutdown::Write).map_err(Error::io("finish sending"))
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Sends `request` and returns all that comes until the peer closes: for plain HTTP.
pub fn exchange(address: SocketAddr, request: &[u8], limit: Duration) -> Result<Vec<u8>, Error> {
    let deadline = Instant::now() + limit;
    let mut socket = Socket::connect(address)?;
    socket.send(request)?;
    let mut answer = Vec::new();
    loop {
        match socket.receive(&mut answer, deadline)? {
            Arrival::Bytes => {}
            Arrival::End => return Ok(answer),
            Arrival::Nothing => {
                let waiting_for = format!("the end of the answer after {} bytes of it", answer.len());
                return Err(Error::TimedOut { waiting_for, limit });
            }
        }
    }
}
