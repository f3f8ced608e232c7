//! All clients of a server in one thread. They read, count bytes and know nothing more.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than any broadcast takes; whoever waits so long waits for what never comes.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    address: SocketAddr,
    frame_bytes: usize,
    poll: Poll,
    events: Events,
    streams: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, frame_bytes: usize) -> io::Result<Self> {
        Ok(Self {
            address,
            frame_bytes,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            streams: Vec::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    /// One after the other, which keeps the server's queue of unaccepted connections short.
    pub(crate) fn connect(&mut self, more: usize) -> io::Result<()> {
        for _ in 0..more {
            let stream = std::net::TcpStream::connect(self.address)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            self.poll.registry().register(&mut stream, Token(self.streams.len()), Interest::READABLE)?;
            self.streams.push(stream);
        }
        Ok(())
    }

    /// Has the server publish, each time after the last publication has reached everybody: so every delivery is a
    /// send of its own.
    pub(crate) fn publish(&mut self, times: usize) -> io::Result<()> {
        for _ in 0..times {
            self.streams.first_mut().ok_or(ErrorKind::NotConnected)?.write_all(b"!")?;
            let mut missing = self.frame_bytes * self.streams.len();
            while missing > 0 {
                self.poll.poll(&mut self.events, Some(SILENCE_MAX))?;
                if self.events.is_empty() {
                    return Err(io::Error::other(format!("{missing} bytes did not come")));
                }
                for event in &self.events {
                    let received = read(&mut self.streams[event.token().0], &mut self.buffer)?;
                    missing = missing.checked_sub(received).ok_or_else(|| io::Error::other("too many bytes came"))?;
                }
            }
        }
        Ok(())
    }
}

/// Reads what is there; with edge-triggered readiness a read that leaves room in the buffer was the last.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut received = 0;
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                received += count;
                if count < buffer.len() {
                    return Ok(received);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
