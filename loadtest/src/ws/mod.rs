//! A blocking WebSocket client for tests: one connection, every wait limited, every byte under the caller's control.

use crate::error::Error;
use crate::frame::{self, Frame};
use crate::hello::{self, Hello, ResponseHead};
use crate::socket::{Arrival, IO_LIMIT, Socket};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts the connections of this process, for distinct keys, uuids and masks.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A message or control frame as it arrived; fragments are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Code 1005 stands for a close frame without a code.
    Close {
        code: u16,
        reason: String,
    },
    /// The peer ended the TCP connection.
    End,
}

#[derive(Debug)]
pub struct WsClient {
    socket: Socket,
    head: ResponseHead,
    server_info: String,
    /// Bytes received and not yet given out.
    bytes: Vec<u8>,
    /// A message whose last fragment has not come: its opcode and content.
    fragments: Option<(u8, Vec<u8>)>,
    mask: [u8; 4],
}

impl WsClient {
    /// Connects, upgrades and reads `serverInfo`. A text as `hello` is the request target.
    pub fn connect(address: SocketAddr, hello: impl Into<Hello>) -> Result<Self, Error> {
        let mut client = Self::upgrade(address, hello)?;
        client.server_info = client.need_text(IO_LIMIT, "serverInfo")?;
        if !client.server_info.contains("\"event\":\"serverInfo\"") {
            return Err(Error::protocol(format!("{:?} came where serverInfo was due", client.server_info)));
        }
        Ok(client)
    }

    /// An anonymous browser of tenant 0 with a uuid of its own.
    pub fn connect_anonymous(address: SocketAddr) -> Result<Self, Error> {
        Self::connect(address, Hello::anonymous(0, &uuid()))
    }

    /// Connects and upgrades without reading any frame: for handshakes that are answered with an error.
    pub fn upgrade(address: SocketAddr, hello: impl Into<Hello>) -> Result<Self, Error> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let key = hello::key(number);
        let mut socket = Socket::connect(address)?;
        socket.send(&hello.into().encode(&address.to_string(), &key))?;
        let deadline = Instant::now() + IO_LIMIT;
        let mut bytes = Vec::new();
        let head = loop {
            match hello::parse_response(&bytes) {
                Ok(Some(head)) => break head,
                Ok(None) => socket.need(&mut bytes, "the answer to the handshake", deadline, IO_LIMIT)?,
                Err(_) => {
                    return Err(Error::HandshakeRefused { head: String::from_utf8_lossy(&bytes).into_owned() });
                }
            }
        };
        if !hello::is_upgrade(&head, &key) {
            return Err(Error::HandshakeRefused { head: String::from_utf8_lossy(&bytes).into_owned() });
        }
        bytes.drain(..head.bytes);
        let mask = (number as u32 | 0x0100_0000).to_be_bytes();
        Ok(Self { socket, head, server_info: String::new(), bytes, fragments: None, mask })
    }

    /// The answer to the handshake.
    pub fn response_head(&self) -> &ResponseHead {
        &self.head
    }

    /// The text of the first frame; empty after [`WsClient::upgrade`].
    pub fn server_info(&self) -> &str {
        &self.server_info
    }

    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send_frame(true, frame::TEXT, text.as_bytes())
    }

    /// Declares the complete set of pipes. The server sends no answer to it.
    pub fn subscribe(&mut self, pipes: &[&str]) -> Result<(), Error> {
        self.send_text(&format!("subscription\n{}", pipes.join("\n")))
    }

    /// One frame of any kind, masked.
    pub fn send_frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        frame::write_client_frame(&mut bytes, fin, opcode, payload, self.mask);
        self.socket.send(&bytes)
    }

    /// These bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.socket.send(bytes)
    }

    /// The next text message; `None` if none comes in time. Pings are answered, pongs skipped; the end of the
    /// connection and anything else is an error.
    pub fn recv_text(&mut self, limit: Duration) -> Result<Option<String>, Error> {
        let deadline = Instant::now() + limit;
        loop {
            match self.receive_until(deadline)? {
                None => return Ok(None),
                Some(Received::Text(text)) => return Ok(Some(text)),
                Some(Received::Ping(payload)) => self.send_frame(true, frame::PONG, &payload)?,
                Some(Received::Pong(_)) => {}
                Some(Received::End) => return Err(Error::Closed { waiting_for: "a text message".into() }),
                Some(other) => return Err(Error::protocol(format!("{other:?} came where a text message was due"))),
            }
        }
    }

    /// The next text message, which must come in time; `waiting_for` names it in the error.
    pub fn need_text(&mut self, limit: Duration, waiting_for: &str) -> Result<String, Error> {
        match self.recv_text(limit) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(Error::TimedOut { waiting_for: waiting_for.into(), limit }),
            Err(Error::Closed { .. }) => Err(Error::Closed { waiting_for: waiting_for.into() }),
            Err(error) => Err(error),
        }
    }

    /// Whatever comes next, nothing answered; `None` if nothing comes in time.
    pub fn recv(&mut self, limit: Duration) -> Result<Option<Received>, Error> {
        self.receive_until(Instant::now() + limit)
    }

    /// Reads until the peer ends the connection; returns what came before.
    pub fn recv_until_end(&mut self, limit: Duration) -> Result<Vec<Received>, Error> {
        let deadline = Instant::now() + limit;
        let mut all = Vec::new();
        loop {
            match self.receive_until(deadline)? {
                Some(Received::End) => return Ok(all),
                Some(received) => all.push(received),
                None => {
                    let waiting_for = format!("the end of the connection, after {all:?}");
                    return Err(Error::TimedOut { waiting_for, limit });
                }
            }
        }
    }

    /// Sends a close frame with this code and waits for the end of the connection.
    pub fn close(mut self, code: u16) -> Result<Vec<Received>, Error> {
        self.send_frame(true, frame::CLOSE, &code.to_be_bytes())?;
        self.recv_until_end(IO_LIMIT)
    }

    /// Drops the TCP connection without a close frame.
    pub fn disconnect(self) {
        // The peer may be gone already; then there is nothing to end.
        let _ = self.socket.stream().shutdown(Shutdown::Both);
    }

    /// The blocking socket underneath, for half-closing and socket options.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    fn receive_until(&mut self, deadline: Instant) -> Result<Option<Received>, Error> {
        loop {
            let parsed = frame::parse(&self.bytes).map_err(|error| Error::protocol(error.to_string()))?;
            let Some(frame) = parsed else {
                match self.socket.receive(&mut self.bytes, deadline)? {
                    Arrival::Bytes => continue,
                    Arrival::Nothing => return Ok(None),
                    Arrival::End if self.bytes.is_empty() => return Ok(Some(Received::End)),
                    Arrival::End => return Err(Error::Closed { waiting_for: "the rest of a frame".into() }),
                }
            };
            let received = Self::join(&mut self.fragments, frame)?;
            let used = frame.bytes;
            self.bytes.drain(..used);
            if received.is_some() {
                return Ok(received);
            }
        }
    }

    /// Joins fragments; `None` while a message is unfinished.
    fn join(fragments: &mut Option<(u8, Vec<u8>)>, frame: Frame<'_>) -> Result<Option<Received>, Error> {
        let payload = frame.payload.to_vec();
        match frame.opcode {
            frame::PING => return Ok(Some(Received::Ping(payload))),
            frame::PONG => return Ok(Some(Received::Pong(payload))),
            frame::CLOSE => return close_frame(&payload).map(Some),
            _ => {}
        }
        let (opcode, content) = match (frame.opcode, fragments.take()) {
            (frame::CONTINUATION, Some((opcode, mut content))) => {
                content.extend_from_slice(&payload);
                (opcode, content)
            }
            (frame::CONTINUATION, None) => return Err(Error::protocol("a continuation of nothing")),
            (_, Some(_)) => return Err(Error::protocol("a new message within an unfinished one")),
            (opcode, None) => (opcode, payload),
        };
        if content.len() as u64 > frame::PAYLOAD_BYTES_MAX {
            return Err(Error::protocol("a fragmented message that does not end"));
        }
        if !frame.fin {
            *fragments = Some((opcode, content));
            return Ok(None);
        }
        if opcode == frame::BINARY {
            return Ok(Some(Received::Binary(content)));
        }
        let text = String::from_utf8(content).map_err(|_| Error::protocol("a text message that is not UTF-8"))?;
        Ok(Some(Received::Text(text)))
    }
}

/// 32 characters, different for every call in this process.
pub fn uuid() -> String {
    format!("{:016x}{:016x}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn close_frame(payload: &[u8]) -> Result<Received, Error> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Received::Close { code: 1005, reason: String::new() }),
            _ => Err(Error::protocol("a close frame with half a code")),
        };
    };
    let reason = std::str::from_utf8(reason).map_err(|_| Error::protocol("a close reason that is not UTF-8"))?;
    Ok(Received::Close { code: u16::from_be_bytes(*code), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests;
