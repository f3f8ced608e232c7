//! Sending one batch: many connections, one piece of bytes each.
//!
//! The rule that must not be broken: at most one item per connection in a batch, and none for a connection whose queue
//! holds bytes. A second send behind a short one can succeed, because the peer's acknowledgement made room in between,
//! and would then cut into the first one's bytes. The caller keeps this rule.
//!
//! When a call returns, every send of it is finished: nothing in the kernel refers to the bytes any more.

pub(crate) mod plain;
mod ring;

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::settings::EngineChoice;
use crate::stats::Engine;

pub(crate) use ring::probe;

/// One send.
#[derive(Debug)]
pub struct Item<'a, S> {
    pub socket: &'a S,
    pub bytes: &'a [u8],
}

/// What became of a send that did not take everything.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The kernel took that many bytes and reports room for more by readiness.
    Short(usize),
    /// It took none for a reason that passes, but may report nothing: try again.
    Again,
    /// The connection is broken.
    Broken,
}

/// Sends of one shard.
pub(crate) enum Sender {
    Plain,
    Ring(Box<ring::RingSender>),
}

impl Sender {
    /// A ring must be made in the thread that uses it.
    pub(crate) fn new(choice: EngineChoice) -> io::Result<Self> {
        match choice {
            EngineChoice::Plain => Ok(Self::Plain),
            EngineChoice::IoUring => ring::RingSender::new().map(|ring| Self::Ring(Box::new(ring))),
            EngineChoice::Auto => Ok(ring::RingSender::new().map_or(Self::Plain, |ring| Self::Ring(Box::new(ring)))),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Plain => Engine::Plain,
            Self::Ring(_) => Engine::IoUring,
        }
    }

    /// Sends all items and puts those that were not taken whole into `incomplete`, by their place in `items`.
    pub(crate) fn send<S: AsFd>(&mut self, items: &[Item<'_, S>], incomplete: &mut Vec<(usize, Incomplete)>) {
        let mut done = 0;
        if let Self::Ring(ring) = self {
            done = ring.send(items, incomplete);
            if done < items.len() {
                // The ring does not work any more. Dropping it drops what it has not yet submitted.
                *self = Self::Plain;
            }
        }
        plain::send(items, done, incomplete, |socket, bytes| rustix::net::send(socket, bytes, send_flags()));
    }
}

/// Never waits and never raises SIGPIPE.
pub(crate) fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

/// Tells a full socket, a passing failure and a broken connection apart.
pub(crate) fn classify(errno: Errno) -> Incomplete {
    // EAGAIN and EWOULDBLOCK are the same number here.
    match errno {
        Errno::AGAIN => Incomplete::Short(0),
        Errno::INTR | Errno::NOMEM | Errno::NOBUFS | Errno::CANCELED => Incomplete::Again,
        _ => Incomplete::Broken,
    }
}

#[cfg(test)]
mod tests;
