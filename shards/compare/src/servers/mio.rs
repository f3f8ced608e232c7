//! A bare epoll loop: what no runtime can beat by much, as long as every delivery is a `send`.

use super::{FRAME, READ_BUFFER, listen, whole};
use crate::Outcome;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);

pub(super) fn serve() -> Outcome<()> {
    let mut server = Loop::new()?;
    loop {
        server.turn(None)?;
    }
}

pub(super) struct Loop {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    streams: Slab<TcpStream>,
    buffer: Vec<u8>,
}

impl Loop {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listen()?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            streams: Slab::new(),
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// The epoll instance. It is readable when a turn has something to do.
    pub(super) fn descriptor(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// One pass over what is ready. Returns whether anything was.
    pub(super) fn turn(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        self.poll.poll(&mut self.events, wait)?;
        let mut publications = 0;
        for event in &self.events {
            match event.token() {
                LISTENER => accept(&self.listener, &self.poll, &mut self.streams)?,
                Token(key) => publications += read(&mut self.streams, key, &mut self.buffer)?,
            }
        }
        for _ in 0..publications {
            for (_, stream) in &mut self.streams {
                whole(stream.write(&FRAME))?;
            }
        }
        Ok(!self.events.is_empty())
    }
}

fn accept(listener: &TcpListener, poll: &Poll, streams: &mut Slab<TcpStream>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let entry = streams.vacant_entry();
                poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
                entry.insert(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// How many bytes came. A connection that ended is forgotten.
fn read(streams: &mut Slab<TcpStream>, key: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let Some(stream) = streams.get_mut(key) else { return Ok(0) };
    match stream.read(buffer) {
        Ok(0) => {
            streams.remove(key);
            Ok(0)
        }
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}
