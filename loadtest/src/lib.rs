//! Independent clients of the server: small blocking ones for tests, a mass client and the load generator on it.
//!
//! Nothing here is shared with the server, so that a mistake in one is seen by the other. In reading order:
#![forbid(unsafe_code)]

/// Why something failed.
pub mod error;

/// RFC 6455 frames, client side.
pub mod frame;

/// The request that opens a browser's connection, and its answer.
pub mod hello;

/// MySQL packets, client side.
pub mod packet;

/// A blocking stream with limits.
pub mod socket;

/// The blocking WebSocket client.
pub mod ws;

/// The blocking CometQL client.
pub mod cometql;

/// The publications of a load run and how receivers are judged.
pub mod publication;

/// Cores, descriptor tables, source addresses.
pub mod system;

/// Memory and CPU of processes.
pub mod process;

/// Very many connections in a few threads.
pub mod crowd;

/// The load runs.
pub mod bench;

pub use cometql::{Answer, CometQl};
pub use error::Error;
pub use hello::Hello;
pub use ws::{Received, WsClient};

#[cfg(test)]
mod fake;
