//! What the service manager is told, in datagrams to the socket that it names: that the server is ready, what it does, and that
//! it is alive. Without such a socket nothing is said. Source: `sd_notify(3)`.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

/// How often it is told how the server is.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long it may take until the next word of a start or an end that waits for something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A manager that does not read holds up nobody for longer.
const WRITE_TIME_MAX: Duration = Duration::from_millis(500);

pub struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// As the environment says. To be made before there are other threads.
    pub fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| {
            open(name.as_bytes())
                .inspect_err(|error| warn!(%error, "the socket in NOTIFY_SOCKET cannot be used, nothing is told"))
                .ok()
        });
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_ours && socket.is_some());
        Self { socket, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// How often the server has to show that it is alive, which is three times in the time that it has; `None`: nobody asks.
    pub fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 3)
    }

    /// How often [`Self::status`] is to be called; `None`: nobody listens.
    pub fn interval(&self) -> Option<Duration> {
        let beat = self.beat().unwrap_or(STATUS_INTERVAL);
        self.socket.as_ref().map(|_| beat.min(STATUS_INTERVAL))
    }

    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The start waits for something, as it may.
    pub fn waits(&self, text: &str) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}\nSTATUS={text}", PATIENCE.as_micros()));
    }

    /// The settings are read anew, until the next [`Self::ready`].
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The last that is told: the server ends within this time.
    pub fn ends_within(&self, time: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    /// One line for people.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={text}"));
    }

    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, words: &str) {
        let Some((socket, manager)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), manager) {
            warn!(%error, words, "the service manager was not told");
        }
    }
}

fn open(name: &[u8]) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(name)))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(WRITE_TIME_MAX))?;
    Ok((socket, manager))
}
