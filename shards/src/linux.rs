//! The system as it is: sockets and eventfds watched at their edges through epoll, batches through `io_uring`.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::net::{RecvFlags, SendAncillaryBuffer, Shutdown, SocketFlags};

use crate::host::Token;
use crate::kernel::{Errno, Incomplete, Item, Kernel, Readiness, Ready, Signal, Way};
use crate::sender::{Sender, send_flags};
use crate::stats::Engine;
use crate::table;

/// The marks of what is not a connection; the slab never gives out these indices.
const LISTENER: mio::Token = mio::Token(usize::MAX);
const SIGNAL: mio::Token = mio::Token(usize::MAX - 1);
const DOOR: mio::Token = mio::Token(usize::MAX - 2);

const _: () = assert!(usize::BITS == 64, "a token holds index and generation");

/// The system calls of one shard, made and used in its thread. It holds what two of them need between calls.
pub struct Linux {
    poll: Poll,
    sender: Sender,
}

impl Linux {
    pub(crate) fn new(sender: Sender) -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, sender })
    }

    fn register(&self, descriptor: BorrowedFd<'_>, token: mio::Token, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&descriptor.as_raw_fd()), token, interest)
    }
}

impl Kernel for Linux {
    type Socket = OwnedFd;
    type Listener = OwnedFd;
    type Signal = EventFd;
    type Events = Events;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn yield_core(&self) {
        std::thread::yield_now();
    }

    fn watch_listener(&mut self, listener: &OwnedFd, way: Way) -> io::Result<()> {
        let token = match way {
            Way::Port => LISTENER,
            Way::Door => DOOR,
        };
        self.register(listener.as_fd(), token, Interest::READABLE)
    }

    fn watch_signal(&mut self, signal: &EventFd) -> io::Result<()> {
        match signal.descriptor() {
            Some(descriptor) => self.register(descriptor, SIGNAL, Interest::READABLE),
            None => Ok(()),
        }
    }

    fn watch(&mut self, socket: &OwnedFd, conn: Token) -> io::Result<()> {
        let token = mio::Token(conn.index as usize | (conn.generation as usize) << 32);
        self.register(socket.as_fd(), token, Interest::READABLE | Interest::WRITABLE)
    }

    fn accept(&mut self, listener: &OwnedFd) -> Result<OwnedFd, Errno> {
        rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    }

    fn somebody_waits(&self, listener: &OwnedFd) -> bool {
        let mut polled = [PollFd::new(listener, PollFlags::IN)];
        // If the system does not say, the accept will.
        rustix::event::poll(&mut polled, Some(&Timespec::default())) != Ok(0)
    }

    fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT).map(|(_, count)| count)
    }

    fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::net::send(socket, bytes, send_flags())
    }

    fn send_slices(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        rustix::net::sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), send_flags())
    }

    fn send_batch(&mut self, items: &[Item<'_, OwnedFd>], incomplete: &mut Vec<(usize, Incomplete)>) {
        self.sender.send(items, incomplete);
    }

    fn shut_down(&mut self, socket: &OwnedFd) -> Result<(), Errno> {
        rustix::net::shutdown(socket, Shutdown::Write)
    }

    fn close(&mut self, socket: OwnedFd) {
        drop(socket);
    }

    fn peer_address(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        rustix::net::getpeername(socket).ok()??.try_into().ok()
    }

    fn local_address(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        rustix::net::getsockname(socket).ok()?.try_into().ok()
    }

    fn peer_user(&self, socket: &OwnedFd) -> Option<u32> {
        rustix::net::sockopt::socket_peercred(socket).ok().map(|peer| peer.uid.as_raw())
    }

    fn events(capacity: usize) -> Events {
        Events::with_capacity(capacity)
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn ready(events: &Events) -> impl Iterator<Item = Ready> {
        events.iter().map(|event| match event.token() {
            LISTENER => Ready::Listener(Way::Port),
            DOOR => Ready::Listener(Way::Door),
            SIGNAL => Ready::Signal,
            mio::Token(value) => {
                let conn = Token { index: value as u32, generation: (value >> 32) as u32 };
                Ready::Connection(conn, readiness(event))
            }
        })
    }

    fn engine(&self) -> Engine {
        self.sender.engine()
    }
}

fn readiness(event: &mio::event::Event) -> Readiness {
    Readiness {
        readable: event.is_readable(),
        writable: event.is_writable(),
        read_closed: event.is_read_closed(),
        write_closed: event.is_write_closed(),
        failed: event.is_error(),
    }
}

/// The signal of Linux. Its number means nothing in a descriptor table that is older than it, see [`table`].
#[derive(Debug)]
pub struct EventFd {
    /// Never read: it is watched edge-triggered, so every write wakes. Taken out only by `drop`.
    descriptor: Option<OwnedFd>,
    home: u64,
    made: u64,
}

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { descriptor: Some(descriptor), home: table::current(), made: table::next_in_sequence() })
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// Whether the eventfd's number means the eventfd in this thread.
    fn is_known_here(&self) -> bool {
        let table = table::current();
        table == self.home || table > self.made
    }
}

impl Signal for EventFd {
    fn give(&self) {
        assert!(self.is_known_here(), "a waker was used in a thread whose descriptor table is older than the waker");
        if let Some(descriptor) = &self.descriptor {
            // Fails only when the counter is full, and then the eventfd is readable already.
            let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
        }
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // In a foreign table the number may mean another file by now. Leaving it open costs one descriptor of a thread
        // that ends soon.
        if table::current() != self.home
            && let Some(descriptor) = self.descriptor.take()
        {
            let _ = descriptor.into_raw_fd();
        }
    }
}
