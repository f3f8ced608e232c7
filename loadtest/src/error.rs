//! Why a client or a run failed: one enum, grouped by whose fault it is, each variant one clear sentence.

use std::fmt;
use std::io;
use std::time::Duration;

#[derive(Debug)]
pub enum Error {
    /// Environment: the system refused something; `doing` says what was tried.
    Io { doing: String, source: io::Error },
    /// Peer or environment: nothing came within the limit.
    TimedOut { waiting_for: String, limit: Duration },
    /// Peer: it ended the connection while more was expected.
    Closed { waiting_for: String },
    /// Peer: it answered the WebSocket handshake with something else than 101; `head` is its answer.
    HandshakeRefused { head: String },
    /// Peer: it refused the `CometQL` login.
    LoginRefused { code: u16, sqlstate: String, text: String },
    /// Peer: a statement that had to succeed did not.
    Statement { query: String, answer: String },
    /// Peer: bytes that are against the protocol.
    Protocol { what: String },
    /// Whoever called: arguments that make no sense together.
    Usage { what: String },
    /// Ours: a worker thread ended early.
    Worker { what: String },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol { what: what.into() }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage { what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(f, "could not {doing}: {source}"),
            Self::TimedOut { waiting_for, limit } => {
                write!(f, "waited {:.1} s for {waiting_for}, in vain", limit.as_secs_f64())
            }
            Self::Closed { waiting_for } => {
                write!(f, "the peer closed the connection before {waiting_for} came")
            }
            Self::HandshakeRefused { head } => write!(f, "the WebSocket handshake was refused: {head:?}"),
            Self::LoginRefused { code, sqlstate, text } => {
                write!(f, "the CometQL login was refused: error {code} ({sqlstate}) {text:?}")
            }
            Self::Statement { query, answer } => write!(f, "{query:?} was answered with {answer}"),
            Self::Protocol { what } => write!(f, "the peer broke the protocol: {what}"),
            Self::Usage { what } => write!(f, "{what}"),
            Self::Worker { what } => write!(f, "a worker thread ended early: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
