//! glommio 0.9 in two roles: as the runtime of the connections, and as the host of a loop that does without it.

use super::{FRAME, READ_BUFFER, announce, mio, whole};
use crate::Outcome;
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement, spawn_local, yield_if_needed};
use rustix::io::Errno;
use slab::Slab;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Shared = Rc<RefCell<TcpStream>>;

struct State {
    streams: RefCell<Slab<Shared>>,
    /// Borrowed while one task reads, never across a wait.
    buffer: RefCell<Vec<u8>>,
}

/// One task per connection.
pub(super) fn serve() -> Outcome<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make()?;
    executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        announce(listener.local_addr()?)?;
        let state = Rc::new(State { streams: RefCell::default(), buffer: RefCell::new(vec![0; READ_BUFFER]) });
        loop {
            let stream = listener.accept().await?;
            stream.set_nodelay(true)?;
            let stream = Rc::new(RefCell::new(stream));
            let key = state.streams.borrow_mut().insert(stream.clone());
            spawn_local(attend(stream, key, state.clone())).detach();
            // An accept that need not wait does not let the tasks run.
            yield_if_needed().await;
        }
    })
}

async fn attend(stream: Shared, key: usize, state: Rc<State>) {
    loop {
        let read = poll_fn(|context| {
            let mut buffer = state.buffer.borrow_mut();
            Pin::new(&mut *stream.borrow_mut()).poll_read(context, &mut buffer)
        });
        match read.await {
            Ok(0) | Err(_) => break,
            Ok(count) => (0..count).for_each(|_| publish(&state)),
        }
    }
    state.streams.borrow_mut().remove(key);
}

/// Writing begins with a `send` and waits only for a socket that is full.
fn publish(state: &State) {
    let mut context = Context::from_waker(Waker::noop());
    for (_, stream) in &*state.streams.borrow() {
        let sent = match Pin::new(&mut *stream.borrow_mut()).poll_write(&mut context, &FRAME) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        };
        whole(sent).expect("a socket with room");
    }
}

/// The bare loop as the only task of an executor, which waits for the loop's epoll instance through its ring.
pub(super) fn serve_hosted() -> Outcome<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make()?;
    executor.run(async {
        let mut server = mio::Loop::new()?;
        loop {
            while server.turn(Some(Duration::ZERO))? {}
            readable(&server).await?;
        }
    })
}

/// glommio has no call that waits for any descriptor, so a copy of it is passed off as a stream: its read waits for
/// readability on the ring, and only then finds out that this is no socket. Afterwards that stream is of no use.
async fn readable(server: &mio::Loop) -> io::Result<()> {
    // SAFETY: the loop is borrowed, so its epoll instance stays open during this statement.
    let copy: OwnedFd = unsafe { BorrowedFd::borrow_raw(server.descriptor()) }.try_clone_to_owned()?;
    let mut stream = TcpStream::from(socket2_glommio::Socket::from(std::net::TcpStream::from(copy)));
    match stream.read(&mut [0]).await {
        Err(error) if error.raw_os_error() == Some(Errno::NOTSOCK.raw_os_error()) => Ok(()),
        other => Err(io::Error::other(format!("an epoll instance was read: {other:?}"))),
    }
}
