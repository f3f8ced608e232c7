//! One connection of a crowd: how it opens, and how its bytes become frames.
//!
//! ```text
//! Connecting --writable: send request--> Head --101--> ServerInfo --serverInfo: subscribe--> Open --end--> Ended
//!      `------------------------ bare: writable ---------------------------------------------^
//! ```

use super::{ConnectPlan, Opening};
use crate::bench::USER_KEY;
use crate::error::Error;
use crate::frame::{self, Frame};
use crate::hello::{self, Hello};
use crate::publication::Ledger;
use crate::system;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read, Write};

/// What all connections of a crowd are asked with: a server never compares keys of different connections.
const KEY_NUMBER: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Head,
    ServerInfo,
    Open,
    Ended,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) state: State,
    pub(super) ledger: Ledger,
    /// Received bytes of an incomplete head or frame; without memory of its own otherwise.
    partial: Vec<u8>,
}

/// The parts of a plan that every connection uses.
pub(super) struct Prepared<'a> {
    pub(super) plan: &'a ConnectPlan,
    key: String,
    host: String,
    process: u32,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(plan: &'a ConnectPlan) -> Self {
        let host = plan.target.to_string();
        Self { plan, key: hello::key(KEY_NUMBER), host, process: std::process::id() }
    }
}

impl Connection {
    /// Begins to connect; `number` counts over the whole crowd.
    pub(super) fn start(prepared: &Prepared<'_>, number: usize) -> Result<Self, Error> {
        let target = prepared.plan.target;
        let begin = || {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            if let Some(bytes) = prepared.plan.receive_bytes {
                socket.set_recv_buffer_size(bytes)?;
            }
            if let Some(source) = system::source_address(target, number, prepared.process) {
                socket.bind(&source.into())?;
            }
            match socket.connect(&target.into()) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
                _ => Ok(socket),
            }
        };
        let socket = begin().map_err(Error::io(format!("connect to {target} as number {number}")))?;
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            state: State::Connecting,
            ledger: Ledger::default(),
            partial: Vec::new(),
        })
    }

    /// Takes the opening as far as it goes now. Returns whether the connection is open.
    pub(super) fn open_further(
        &mut self,
        prepared: &Prepared<'_>,
        number: usize,
        buffer: &mut [u8],
    ) -> Result<bool, Error> {
        if self.state == State::Connecting && !self.send_request(prepared, number)? {
            return Ok(false);
        }
        while self.state != State::Open {
            let count = match self.stream.read(buffer) {
                Ok(0) => {
                    let waiting_for =
                        if self.state == State::Head { "the answer to the handshake" } else { "serverInfo" };
                    return Err(Error::Closed { waiting_for: format!("{waiting_for} of connection {number}") });
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io(format!("receive on connection {number}"))(error)),
            };
            self.partial.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if self.state == State::Head {
                self.take_head(prepared)?;
            }
            if self.state == State::ServerInfo {
                self.take_server_info(prepared, number)?;
            }
        }
        Ok(true)
    }

    /// Returns whether the TCP connection stands and the request is out.
    fn send_request(&mut self, prepared: &Prepared<'_>, number: usize) -> Result<bool, Error> {
        let failed = |error| Error::io(format!("connect to {} as number {number}", prepared.plan.target))(error);
        if let Some(error) = self.stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        match &prepared.plan.opening {
            Opening::Bare => self.state = State::Open,
            Opening::Browser { tenant, second, .. } => {
                let uuid = format!("{:08x}{number:024x}", prepared.process);
                let hello = match second {
                    // As many programs as browsers have versions that matter.
                    Some(_) => Hello::user(*tenant, number as u32 + 1, USER_KEY, &uuid)
                        .with_header("User-Agent", &format!("Mozilla/5.0 (X11; Linux x86_64) Browser/{}", number % 8)),
                    None => Hello::anonymous(*tenant, &uuid),
                };
                self.send_whole(&hello.encode(&prepared.host, &prepared.key), number)?;
                self.state = State::Head;
            }
        }
        Ok(true)
    }

    fn take_head(&mut self, prepared: &Prepared<'_>) -> Result<(), Error> {
        let refused = |partial: &[u8]| Error::HandshakeRefused { head: String::from_utf8_lossy(partial).into_owned() };
        let Some(head) = hello::parse_response(&self.partial).map_err(|_| refused(&self.partial))? else {
            return Ok(());
        };
        if !hello::is_upgrade(&head, &prepared.key) {
            return Err(refused(&self.partial));
        }
        self.partial.drain(..head.bytes);
        self.state = State::ServerInfo;
        Ok(())
    }

    fn take_server_info(&mut self, prepared: &Prepared<'_>, number: usize) -> Result<(), Error> {
        let Some(frame) = frame::parse(&self.partial).map_err(|error| Error::protocol(error.to_string()))? else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(frame.payload);
        if !text.contains("\"event\":\"serverInfo\"") {
            return Err(Error::protocol(format!("{text:?} came where serverInfo was due")));
        }
        let is_user = matches!(prepared.plan.opening, Opening::Browser { second: Some(_), .. });
        if is_user && !text.contains("\"authorized\":true") {
            return Err(Error::protocol(format!("user {} was not let in: {text:?}", number + 1)));
        }
        let used = frame.bytes;
        self.partial.drain(..used);
        self.release_partial();
        if let Opening::Browser { pipes, second, .. } = &prepared.plan.opening {
            let names: Vec<String> = std::iter::once(pipes.name(number)).chain(second.clone()).collect();
            let command = format!("subscription\n{}", names.join("\n"));
            let mut bytes = Vec::new();
            let mask = (number as u32 | 0x0100_0000).to_be_bytes();
            frame::write_client_frame(&mut bytes, true, frame::TEXT, command.as_bytes(), mask);
            self.send_whole(&bytes, number)?;
        }
        self.state = State::Open;
        Ok(())
    }

    /// The few bytes of an opening always fit into a fresh socket's buffer.
    fn send_whole(&mut self, bytes: &[u8], number: usize) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(Error::io(format!("send on connection {number}")))
    }

    /// Gives every whole frame in `bytes`, joined to what is left from before, to `take`; keeps the rest.
    pub(super) fn frames(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&mut Ledger, Frame<'_>),
    ) -> Result<(), frame::FrameError> {
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
        }
        let all = if self.partial.is_empty() { bytes } else { self.partial.as_slice() };
        let mut used = 0;
        while let Some(frame) = frame::parse(all.get(used..).unwrap_or_default())? {
            used += frame.bytes;
            take(&mut self.ledger, frame);
        }
        if self.partial.is_empty() {
            self.partial.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.partial.drain(..used);
        }
        self.release_partial();
        Ok(())
    }

    /// An idle connection holds no memory besides itself.
    fn release_partial(&mut self) {
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }
}
