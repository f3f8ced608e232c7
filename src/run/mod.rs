//! The edge: readiness, rings, timers and completions become inputs of the cores, their outputs become writes.
//!
//! Everything impure is here: threads, sockets, files, clocks, random numbers, logging. [`start`] opens storage, the
//! connection shards and the CometQL shard; [`Running`] is the server as `main` sees it.
//!
//! One file has one duty: `assemble` makes the parts from the configuration, `host` puts both kinds of shards behind the
//! runtime, `front` is the edge of browsers and `sessions` that of backends, `board` shows what all parts count, `clock` tells
//! the time. Start reading at `host`.

mod assemble;
mod board;
mod bounds;
mod certificate;
mod clock;
mod configured;
pub mod control;
pub mod door;
pub mod draining;
pub mod examined;
mod figures;
mod files;
mod front;
mod guesses;
mod host;
#[cfg(feature = "mysql")]
pub mod import;
mod in_force;
pub mod kept;
mod ledger;
mod live;
pub mod log;
mod notice;
mod past;
mod process;
mod pulse;
mod runtime;
mod scrape;
mod sessions;
mod slow;
mod storage;
pub mod systemd;
mod tls;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use shards::Engine;

use crate::config::Tls;
use crate::model::TokenAlgorithm;
use crate::storage::StorageError;

use certificate::CertificateError;
use control::Control;
use door::Socket;
use storage::StorageThread;

pub use assemble::{certificate_file, start};

/// Why the server did not start; `Display` is one sentence.
#[derive(Debug)]
pub enum StartError {
    Certificate(CertificateError),
    /// The file is not a public key for that algorithm.
    TokenKey {
        path: PathBuf,
        algorithm: TokenAlgorithm,
    },
    Storage(storage::OpenError),
    Settings(StorageError),
    /// As the caller wished.
    GivenUp,
    /// Somebody listens at the server's socket.
    SocketInUse(PathBuf),
    Shards(shards::StartError),
    Thread(std::io::Error),
    Random(getrandom::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::TokenKey { path, algorithm } => {
                write!(f, "{} is no public key in PEM for {}.", path.display(), algorithm.as_str())
            }
            Self::Storage(error) => error.fmt(f),
            Self::Settings(error) => write!(f, "The settings of the pipes cannot be read from storage: {error}."),
            Self::GivenUp => f.write_str("The start was given up."),
            Self::SocketInUse(path) => write!(
                f,
                "Another server uses {}: stop it, or give this one a data folder of its own (dir in [storage]).",
                path.display()
            ),
            Self::Shards(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "A thread cannot be started: {error}."),
            Self::Random(error) => write!(f, "The system gives no random numbers: {error}."),
        }
    }
}

impl std::error::Error for StartError {}

/// A part of the server ended by a fault of its own.
#[derive(Debug)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

pub struct Running {
    control: Option<Control>,
    socket: Option<Socket>,
    shards: shards::Running,
    connection_shards: usize,
    browsers: SocketAddr,
    cometql: SocketAddr,
    tls: Tls,
    engine: Engine,
    storage: String,
    storage_thread: StorageThread,
    file_thread: Option<JoinHandle<()>>,
}

/// How publications reach the sockets, for people.
fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::IoUring => "io_uring",
        Engine::Plain => "plain send",
    }
}

impl Running {
    pub fn browsers(&self) -> SocketAddr {
        self.browsers
    }

    pub fn cometql(&self) -> SocketAddr {
        self.cometql
    }

    /// Where processes of this machine and of the server's own user need no password.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(Socket::path)
    }

    /// Whether CometQL has TLS.
    pub fn tls(&self) -> Tls {
        self.tls
    }

    /// Connection shards; the CometQL shard is one more.
    pub fn shards(&self) -> usize {
        self.connection_shards
    }

    pub fn engine(&self) -> &str {
        engine_name(self.engine)
    }

    pub fn storage(&self) -> String {
        self.storage.clone()
    }

    /// For the one thread that carries out what concerns the whole server. Only once.
    pub fn take_control(&mut self) -> Option<Control> {
        self.control.take()
    }

    /// Ends the server: connections are closed, what storage was handed is committed.
    pub fn stop(&self) {
        self.shards.stop();
    }

    /// Waits for the end.
    pub fn join(self) -> Result<(), Fault> {
        let ended = self.shards.join();
        if let Some(socket) = &self.socket {
            socket.remove();
        }
        // The shards' ends of the channels are gone, so these threads finish what they have and end.
        self.storage_thread.join();
        if let Some(files) = self.file_thread {
            let _ = files.join();
        }
        ended.map_err(|panicked| Fault(panicked.to_string()))
    }
}
