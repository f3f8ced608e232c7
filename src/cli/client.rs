//! A client of the MySQL protocol, as small as `encke publish` and `encke sql` need it: one session with the server of a
//! configuration, queries as text, one row of an answer at a time.
//!
//! It is not the library of the storage engine, which is left out of some builds and speaks no TLS. It knows no prepared
//! statements, no compression and no server but this one. Source: section 1 of the CometQL protocol.

use super::conf::Loaded;
use super::password;
use encke::config::{Config, Tls};
use encke::run::door::SOCKET_FILE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod packets;
mod tls;

pub(crate) use packets::{Column, Done};
use packets::{Greeting, Reader, capabilities};

/// Where the server is and how to log in.
pub(crate) struct Door<'a> {
    config: &'a Config,
    /// The configuration's file, for sentences.
    file: String,
    place: Place,
    user: String,
    password: String,
}

/// Where sessions begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Port(SocketAddr),
    /// The server's own, where its user needs no password.
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// What did not work. Each is shown as one sentence without its end.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// What has to be known is not there.
    Unknown(String),
    Unreachable {
        place: Place,
        file: String,
        error: io::Error,
    },
    /// The session ended, or was silent for too long.
    Lost(io::Error),
    /// The answer of the server, or what it answered a statement with.
    Refused {
        code: u16,
        state: String,
        text: String,
    },
    /// Whatever answers there is no CometQL.
    Nonsense,
    Tls(String),
}

/// What one statement was answered with.
pub(crate) trait Answers {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()>;
    /// `None` is NULL.
    fn row(&mut self, cells: &[Option<&[u8]>]) -> io::Result<()>;
    fn end(&mut self, rows: u64) -> io::Result<()>;
    /// A statement without rows.
    fn done(&mut self, done: &Done) -> io::Result<()>;
}

/// An error of the session or of whoever takes the answers.
#[derive(Debug)]
pub(crate) enum QueryError {
    Client(ClientError),
    Output(io::Error),
}

impl<'a> Door<'a> {
    /// Finds address and password as the server of this configuration does. `port` counts where the system chose one.
    pub(crate) fn find(loaded: &'a Loaded, port: Option<u16>, tenant: Option<u32>) -> Result<Self, ClientError> {
        let config = &loaded.config;
        let file = super::banner::shown(&loaded.path);
        let port = port.unwrap_or(config.cometql.port);
        if port == 0 {
            let sentence = format!("in {file} the system chooses the port of CometQL; say it with --port PORT");
            return Err(ClientError::Unknown(sentence));
        }
        let ip = match config.cometql.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let password = match tenant.and_then(|number| own_password(config, number)) {
            Some(own) => own,
            None => the_server_s(config)?,
        };
        let user = tenant.map_or_else(|| "root".to_owned(), |number| number.to_string());
        Ok(Self { config, file, place: Place::Port(SocketAddr::new(ip, port)), user, password })
    }

    /// The door of whoever looks after the server: its socket, else its port with the password.
    pub(crate) fn of_server(loaded: &'a Loaded) -> Result<Self, ClientError> {
        let path = super::banner::plain(&loaded.config.storage.dir).join(SOCKET_FILE);
        let file = super::banner::shown(&loaded.path);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => {
                let (user, password) = ("root".to_owned(), String::new());
                Ok(Self { config: &loaded.config, file, place: Place::Socket(path), user, password })
            }
            // It may be a server that could not make one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::find(loaded, None, None).map_err(|_| {
                let here = std::env::current_dir().map(|here| here.display().to_string()).unwrap_or_default();
                let hint = if path.is_relative() { format!(" (seen from {here})") } else { String::new() };
                let path = path.display();
                ClientError::Unknown(format!("no server runs with the configuration {file}: there is no {path}{hint}"))
            }),
            Err(error) => Err(ClientError::Unreachable { place: Place::Socket(path), file, error }),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

fn own_password(config: &Config, tenant: u32) -> Option<String> {
    config.tenants.0.get(&tenant).and_then(|tenant| tenant.password.clone())
}

fn the_server_s(config: &Config) -> Result<String, ClientError> {
    let dir = super::banner::plain(&config.storage.dir);
    match password::find(config.main.password.as_deref(), dir) {
        Ok(Some((password, _))) => Ok(password),
        Ok(None) => {
            let file = dir.join(encke::run::kept::PASSWORD_FILE);
            let here = std::env::current_dir().map(|here| here.display().to_string()).unwrap_or_default();
            let hint = if file.is_relative() {
                format!(" (seen from {here}; it must be the server's folder)")
            } else {
                String::new()
            };
            Err(ClientError::Unknown(format!(
                "there is no password file {}{hint}; the server makes it at its first start",
                file.display()
            )))
        }
        Err(error) => Err(ClientError::Unknown(error.to_string())),
    }
}

/// A session that is logged in.
pub(crate) struct Client {
    stream: BufReader<Stream>,
    /// Number of the next packet, in either direction.
    sequence: u8,
}

enum Stream {
    Plain(TcpStream),
    Socket(UnixStream),
    Tls(Box<tls::Stream>),
    /// Between the two.
    None,
}

impl Client {
    pub(crate) fn connect(door: &Door<'_>) -> Result<Self, ClientError> {
        let unreachable =
            |error| ClientError::Unreachable { place: door.place.clone(), file: door.file.clone(), error };
        let stream = match &door.place {
            Place::Port(address) => {
                let socket = TcpStream::connect_timeout(address, CONNECT_TIME_MAX).map_err(unreachable)?;
                socket.set_read_timeout(Some(SILENCE_MAX)).map_err(ClientError::Lost)?;
                socket.set_write_timeout(Some(SILENCE_MAX)).map_err(ClientError::Lost)?;
                socket.set_nodelay(true).map_err(ClientError::Lost)?;
                Stream::Plain(socket)
            }
            Place::Socket(path) => {
                let socket = UnixStream::connect(path).map_err(unreachable)?;
                socket.set_read_timeout(Some(SILENCE_MAX)).map_err(ClientError::Lost)?;
                socket.set_write_timeout(Some(SILENCE_MAX)).map_err(ClientError::Lost)?;
                Stream::Socket(socket)
            }
        };
        let mut client = Self { stream: BufReader::new(stream), sequence: 0 };
        let first = client.read()?;
        let greeting = Greeting::read(&first).ok_or_else(|| refusal(&first).unwrap_or(ClientError::Nonsense))?;
        if greeting.has(capabilities::SSL) && wants_tls(door) {
            client.write(&packets::tls_request())?;
            client.begin_tls(door)?;
        } else if door.config.cometql.tls == Tls::Required && matches!(door.place, Place::Port(_)) {
            let sentence = "the configuration requires TLS and the server does not offer it; was it restarted since?";
            return Err(ClientError::Tls(sentence.to_owned()));
        }
        let tls = matches!(client.stream.get_ref(), Stream::Tls(_));
        client.write(&packets::login(&door.user, &door.password, &greeting.salt, tls))?;
        client.await_verdict(&door.password)?;
        Ok(client)
    }

    fn begin_tls(&mut self, door: &Door<'_>) -> Result<(), ClientError> {
        // Nothing was read ahead: the server is silent until TLS begins.
        let (Stream::Plain(socket), Place::Port(address)) =
            (std::mem::replace(self.stream.get_mut(), Stream::None), &door.place)
        else {
            return Err(ClientError::Nonsense);
        };
        let file = encke::run::certificate_file(door.config);
        let stream = tls::begin(socket, address.ip(), &file).map_err(ClientError::Tls)?;
        self.stream = BufReader::new(Stream::Tls(Box::new(stream)));
        Ok(())
    }

    fn await_verdict(&mut self, password: &str) -> Result<(), ClientError> {
        loop {
            let packet = self.read()?;
            match packet.first() {
                Some(0x00) => return Ok(()),
                Some(0xfe) => {
                    let answer = packets::other_method(&packet, password).ok_or(ClientError::Nonsense)?;
                    self.write(&answer)?;
                }
                // The other method says that the answer was right before its OK.
                Some(0x01) if packet.get(1) == Some(&0x03) => {}
                _ => return Err(refusal(&packet).unwrap_or(ClientError::Nonsense)),
            }
        }
    }

    /// The server's, if it is known.
    pub(crate) fn process(&self) -> Option<Pid> {
        match self.stream.get_ref() {
            Stream::Socket(socket) => socket_peercred(socket).ok().map(|peer| peer.pid),
            _ => None,
        }
    }

    /// Waits until the server has ended the session and then itself, for this long at most. Whether it has.
    pub(crate) fn await_end(mut self, within: Duration) -> bool {
        let end = Instant::now() + within;
        // By its own socket the server is known as a process; otherwise by the session.
        let process = self.process().and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok());
        while Instant::now() < end && self.read().is_ok() {}
        let Some(process) = process else { return true };
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)).is_ok_and(|ended| ended > 0)
    }

    /// Carries out what may be several statements; the first that is refused ends it.
    pub(crate) fn query(&mut self, text: &[u8], answers: &mut dyn Answers) -> Result<(), QueryError> {
        self.sequence = 0;
        let mut command = Vec::with_capacity(text.len() + 1);
        command.push(packets::COM_QUERY);
        command.extend_from_slice(text);
        self.write(&command)?;
        loop {
            let first = self.read()?;
            let more = match first.first() {
                Some(0x00) => {
                    let (done, more) = packets::done(&first).ok_or(ClientError::Nonsense)?;
                    answers.done(&done)?;
                    more
                }
                Some(0xff) | None => return Err(refusal(&first).unwrap_or(ClientError::Nonsense).into()),
                Some(_) => self.rows(&first, answers)?,
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// Reads an answer with rows, and says whether another one follows.
    fn rows(&mut self, first: &[u8], answers: &mut dyn Answers) -> Result<bool, QueryError> {
        let count = Reader::new(first).number().ok_or(ClientError::Nonsense)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let packet = self.read()?;
            columns.push(Column::read(&packet).ok_or(ClientError::Nonsense)?);
        }
        packets::end(&self.read()?).ok_or(ClientError::Nonsense)?;
        answers.begin(&columns)?;
        let mut rows = 0;
        loop {
            let packet = self.read()?;
            if let Some(more) = packets::end(&packet) {
                answers.end(rows)?;
                return Ok(more);
            }
            if packet.first() == Some(&0xff) {
                return Err(refusal(&packet).unwrap_or(ClientError::Nonsense).into());
            }
            let cells = packets::cells(&packet, columns.len()).ok_or(ClientError::Nonsense)?;
            answers.row(&cells)?;
            rows += 1;
        }
    }

    /// One payload, all its packets together.
    fn read(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut payload = Vec::new();
        loop {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head).map_err(ClientError::Lost)?;
            let [low, middle, high, sequence] = head;
            let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
            self.sequence = sequence.wrapping_add(1);
            if payload.len() + length > PAYLOAD_BYTES_MAX {
                return Err(ClientError::Nonsense);
            }
            let read = (&mut self.stream).take(length as u64).read_to_end(&mut payload).map_err(ClientError::Lost)?;
            if read < length {
                return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            if length < packets::PACKET_BYTES_MAX {
                return Ok(payload);
            }
        }
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        let bytes = packets::framed(payload, &mut self.sequence);
        let stream = self.stream.get_mut();
        stream.write_all(&bytes).and_then(|()| stream.flush()).map_err(ClientError::Lost)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Socket(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::None => Ok(0),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Socket(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Socket(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::None => Ok(()),
        }
    }
}

/// On the loopback TLS protects from nobody and costs a handshake.
fn wants_tls(door: &Door<'_>) -> bool {
    match &door.place {
        Place::Port(address) => door.config.cometql.tls == Tls::Required || !address.ip().is_loopback(),
        Place::Socket(_) => false,
    }
}

fn refusal(packet: &[u8]) -> Option<ClientError> {
    packets::refusal(packet).map(|(code, state, text)| ClientError::Refused { code, state, text })
}

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// No answer takes this long.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// A gigabyte, the largest packet that can be configured, and what is around a value in it.
const PAYLOAD_BYTES_MAX: usize = (1 << 30) + (1 << 20);

impl From<ClientError> for QueryError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for QueryError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(sentence) | Self::Tls(sentence) => write!(f, "{sentence}"),
            Self::Unreachable { place: Place::Socket(path), error, .. }
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                let path = path.display();
                write!(f, "{path} is for the server's own user and for root: {error}")
            }
            Self::Unreachable { place, file, error } => write!(
                f,
                "nothing answers at {place} ({error}); does the server run, and with the configuration {file}?"
            ),
            Self::Lost(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    write!(f, "the server has said nothing for {} seconds", SILENCE_MAX.as_secs())
                }
                io::ErrorKind::UnexpectedEof => write!(f, "the server has ended the session"),
                _ => write!(f, "the session with the server is lost: {error}"),
            },
            Self::Refused { code, state, text } => write!(f, "ERROR {code} ({state}): {text}"),
            Self::Nonsense => write!(f, "what answers there does not speak CometQL"),
        }
    }
}
