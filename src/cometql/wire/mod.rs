//! The `MySQL` server protocol, bytes to commands and answers to bytes.
//!
//! [`Connection`] is the protocol state of one `CometQL` session. It looks at unread bytes and says what they mean
//! ([`Event`]); [`Reply`] writes the answer. Neither owns a socket, reads a clock, generates random numbers or knows a
//! user: the salt and the password are arguments, and who may log in is the caller's decision.
//!
//! Several commands may be parsed before the first is answered, as drivers that pipeline demand. Therefore each
//! command carries its sequence number and each reply is started with one.
//!
//! Source: "Client/Server Protocol" of the `MySQL` internals documentation; section 1 of the `CometQL` protocol.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod connection;

mod login;

mod payload;

mod command;

mod statement;

mod parameter;

mod reply;

mod capabilities;

mod charsets;

mod bytes;

#[cfg(test)]
mod tests;

pub use command::{Command, Refusal};
pub use connection::{Connection, Event, Fatal};
pub use login::{Login, Method, Salt, Verdict};
pub use parameter::{Parameter, TemporalText};
pub use payload::BORROWED_MAX;
pub use reply::{Column, ColumnKind, PausedRows, Reply, RowWriter, StatusFlags};
pub use statement::{Execute, Parameters};

/// What the greeting says unless the configuration says otherwise. It begins with digits because two Python drivers
/// parse them, and with 8.0 because drivers choose features by it.
pub const SERVER_VERSION: &str = concat!("8.0.36-Encke-", env!("CARGO_PKG_VERSION"));

/// Bounds of one session. All are in bytes except where said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload before the password was proved; a larger one ends the session.
    pub packet_before_login_max: usize,
    /// The largest payload afterwards, all packets of a long payload together; a larger one ends the session with
    /// error 11. The limit on a query's text is the caller's and lower.
    pub packet_max: usize,
    /// The largest text of a query or of a statement to prepare. A longer one is counted and dropped as it comes; the
    /// session goes on.
    pub query_max: usize,
    /// Prepared statements open at a time, in statements; `add_statement` refuses more.
    pub statements_max: usize,
    /// Long data and parameter types held for all statements of the session. Data beyond it is dropped and the
    /// execution that needed it is refused with error 11.
    pub long_data_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_before_login_max: 16 * 1024,
            packet_max: 64 * 1024 * 1024,
            query_max: 1024 * 1024,
            statements_max: 1024,
            long_data_max: 16 * 1024 * 1024,
        }
    }
}

/// What the greeting advertises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSettings<'a> {
    /// Begins with digits; ends at the first NUL.
    pub version: &'a str,
    /// The method a client tries first. Both are accepted whatever stands here.
    pub method: Method,
    /// Whether the caller can upgrade to TLS. Without it an SSL request ends the session.
    pub tls: bool,
}

impl Default for ServerSettings<'_> {
    fn default() -> Self {
        Self { version: SERVER_VERSION, method: Method::Native, tls: false }
    }
}

/// Error numbers that this module itself answers with, and those whose state is not `HY000`.
pub mod code {
    /// A packet or parameter above its cap.
    pub const TOO_LONG: u16 = 11;
    /// A login that cannot be read, or a wrong password.
    pub const AUTHENTICATION: u16 = 16;
    pub const UNKNOWN_COMMAND: u16 = 1047;
    pub const SERVER_LEFT: u16 = 1053;
    pub const NO_SUCH_TABLE: u16 = 1146;
    /// A statement about the whole server.
    pub const NOT_ALLOWED: u16 = 1227;
    /// An execution whose parameters cannot be read.
    pub const WRONG_ARGUMENTS: u16 = 1210;
    pub const UNKNOWN_STATEMENT: u16 = 1243;
    /// `COM_STMT_FETCH`: cursors are never opened, results come with the execution.
    pub const NO_CURSOR: u16 = 1421;
    /// For a caller whom `add_statement` refused.
    pub const TOO_MANY_STATEMENTS: u16 = 1461;
    pub const MALFORMED_PACKET: u16 = 1835;
}
