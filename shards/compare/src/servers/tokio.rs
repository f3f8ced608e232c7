//! tokio on one thread.

use super::{FRAME, READ_BUFFER, listen, whole};
use crate::Outcome;
use slab::Slab;
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

struct State {
    streams: RefCell<Slab<Rc<TcpStream>>>,
    /// Borrowed while one task reads, never across a wait.
    buffer: RefCell<Vec<u8>>,
}

pub(super) fn serve() -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listen()?)?;
        let state = Rc::new(State { streams: RefCell::default(), buffer: RefCell::new(vec![0; READ_BUFFER]) });
        loop {
            let stream = Rc::new(listener.accept().await?.0);
            let key = state.streams.borrow_mut().insert(stream.clone());
            spawn_local(attend(stream, key, state.clone()));
        }
    })
}

async fn attend(stream: Rc<TcpStream>, key: usize, state: Rc<State>) {
    while stream.readable().await.is_ok() {
        let read = stream.try_read(&mut state.buffer.borrow_mut());
        match read {
            Ok(0) => break,
            Ok(count) => (0..count).for_each(|_| publish(&state)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    state.streams.borrow_mut().remove(key);
}

fn publish(state: &State) {
    for (_, stream) in &*state.streams.borrow() {
        whole(stream.try_write(&FRAME)).expect("a socket with room");
    }
}
