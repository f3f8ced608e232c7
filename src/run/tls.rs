//! TLS of one CometQL session: ciphertext in, plain bytes for [`Exec`](crate::cometql::exec::Exec); its answers in,
//! ciphertext out. It owns no socket.
//!
//! A session without TLS has none of this.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// The TLS of one session; it begins behind the client's SSL request.
pub(super) struct Tls {
    session: Box<ServerConnection>,
    /// Deciphered and not used yet: a packet that is not whole, or what a pause holds up.
    plain: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// The peer has said that nothing follows.
    Ended,
    /// Nothing that comes is looked at any more.
    Broken,
}

impl Tls {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut session = Box::new(ServerConnection::new(config.clone())?);
        session.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Ok(Self { session, plain: Vec::new(), state: State::Open })
    }

    /// Takes the next few kilobytes of ciphertext, or all of it once the session is over; what they hold is added to
    /// [`plain`](Self::plain). Afterwards there may be something to [`flush`](Self::flush), after an error as well.
    pub(super) fn decipher(&mut self, cipher: &mut &[u8]) -> Result<(), rustls::Error> {
        if self.state != State::Open {
            *cipher = &[];
            return Ok(());
        }
        let result = self.take_records(cipher);
        if result.is_err() {
            self.state = State::Broken;
            *cipher = &[];
        }
        result
    }

    fn take_records(&mut self, cipher: &mut &[u8]) -> Result<(), rustls::Error> {
        if cipher.is_empty() {
            return Ok(());
        }
        self.session.read_tls(cipher).map_err(|error| rustls::Error::General(error.to_string()))?;
        let state = self.session.process_new_packets()?;
        if state.peer_has_closed() {
            self.state = State::Ended;
        }
        let length = state.plaintext_bytes_to_read();
        if self.plain.len() + length > PLAIN_BYTES_MAX {
            return Err(rustls::Error::General("too many plain bytes wait".to_owned()));
        }
        let mut reader = self.session.reader().take(length as u64);
        reader.read_to_end(&mut self.plain).map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(())
    }

    /// What was deciphered and not used.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    pub(super) fn use_plain(&mut self, used: usize) {
        self.plain.drain(..used.min(self.plain.len()));
        if self.plain.is_empty() && self.plain.capacity() > IDLE_BYTES {
            self.plain = Vec::new();
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Hands ciphertext of these bytes to `send`, all in one: one write is always taken by a socket's queue, but of
    /// several those behind the first count as unsent. Of a broken session nothing is sent.
    pub(super) fn encipher(&mut self, plain: &[u8], send: impl FnOnce(&[u8])) {
        let mut cipher = Vec::with_capacity(plain.len() + plain.len() / 512 + 64);
        let mut rest = plain;
        while !rest.is_empty() {
            // Nothing is taken before the handshake is over and the buffer is full, and there nothing is ever asked.
            let Ok(taken @ 1..) = self.session.writer().write(rest) else { break };
            rest = rest.get(taken..).unwrap_or_default();
            self.take_cipher(&mut cipher);
        }
        if !cipher.is_empty() {
            send(&cipher);
        }
    }

    /// Hands what TLS itself has to say to `send`.
    pub(super) fn flush(&mut self, send: impl FnOnce(&[u8])) {
        let mut cipher = Vec::new();
        self.take_cipher(&mut cipher);
        if !cipher.is_empty() {
            send(&cipher);
        }
    }

    fn take_cipher(&mut self, cipher: &mut Vec<u8>) {
        while self.session.wants_write() {
            // Writing to a vector cannot fail.
            if !matches!(self.session.write_tls(cipher), Ok(1..)) {
                break;
            }
        }
    }

    /// Tells the peer that nothing follows, so that it can tell an end from a cut.
    pub(super) fn end(&mut self, send: impl FnOnce(&[u8])) {
        self.session.send_close_notify();
        self.flush(send);
    }

    /// Bytes held. What rustls holds is not told by it, so that part is the measured size of an idle session.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<ServerConnection>() + SESSION_HEAP_BYTES + self.plain.capacity()
    }
}

/// Ciphertext that rustls holds while an answer is enciphered, or before the handshake plain bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// `Exec` leaves a packet of [`BORROWED_MAX`](crate::cometql::wire::BORROWED_MAX) unused at the most, and one step adds
/// what fits in a record or a little more; so this is never reached unless something is wrong.
const PLAIN_BYTES_MAX: usize = 128 * 1024;
/// Room for plain bytes that an idle session keeps.
const IDLE_BYTES: usize = 1024;
/// Heap of an idle session of rustls, measured.
const SESSION_HEAP_BYTES: usize = 6 * 1024 + 256;

#[cfg(test)]
mod tests;
