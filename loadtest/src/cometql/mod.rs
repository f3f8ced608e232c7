//! A blocking CometQL client for tests and publishing: login, queries one by one or pipelined.

use crate::error::Error;
use crate::packet::{self, Greeting, PacketError, PacketReader};
use crate::socket::{IO_LIMIT, Socket};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const COM_QUIT: u8 = 0x01;
const COM_INIT_DB: u8 = 0x02;
const COM_QUERY: u8 = 0x03;
const COM_PING: u8 = 0x0E;

/// What a statement is answered with. A row's value is `None` for NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok { affected: u64, insert_id: u64 },
    Rows { columns: Vec<String>, rows: Vec<Vec<Option<String>>> },
    Error { code: u16, sqlstate: String, text: String },
}

#[derive(Debug)]
pub struct CometQl {
    socket: Socket,
    greeting: Greeting,
    reader: PacketReader,
    /// How long one answer may take.
    limit: Duration,
    /// The status word of the last OK or EOF packet.
    status: u16,
    /// Queries sent and not yet answered.
    pending: usize,
}

impl CometQl {
    /// Connects and logs in with the native password. A refusal is [`Error::LoginRefused`].
    pub fn connect(address: SocketAddr, user: &str, password: &str, database: Option<&str>) -> Result<Self, Error> {
        let mut client = Self::greet(address)?;
        let payload = packet::login_payload(&client.greeting, user, password, database);
        client.login(&payload, password)?;
        Ok(client)
    }

    /// Connects and reads the greeting, no more. A server that refuses at once is [`Error::LoginRefused`].
    pub fn greet(address: SocketAddr) -> Result<Self, Error> {
        let mut socket = Socket::connect(address)?;
        let mut reader = PacketReader::default();
        let payload = read_packet(&mut socket, &mut reader, &mut 0, "the greeting", IO_LIMIT)?;
        if packet::is_error(&payload) {
            return Err(refused(&payload)?);
        }
        let greeting = Greeting::parse(&payload).map_err(broken)?;
        Ok(Self { socket, greeting, reader, limit: IO_LIMIT, status: 0, pending: 0 })
    }

    /// Sends this login payload as it is, and follows one request for another plugin.
    pub fn login(&mut self, payload: &[u8], password: &str) -> Result<(), Error> {
        self.send_packet(1, payload)?;
        let mut sequence = 2;
        let mut answer = self.read_payload(&mut sequence, "the answer to the login")?;
        if answer.first() == Some(&0xFE) {
            let token = packet::switch_payload(&answer, password).map_err(broken)?;
            self.send_packet(sequence, &token)?;
            sequence = sequence.wrapping_add(1);
            answer = self.read_payload(&mut sequence, "the answer to the login")?;
        }
        if packet::is_error(&answer) {
            return Err(refused(&answer)?);
        }
        self.status = packet::parse_ok(&answer).map_err(broken)?.status;
        Ok(())
    }

    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The status word of the last OK or EOF packet.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// How long one answer may take from now on; 10 seconds at first.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sends one statement and reads its answer.
    pub fn query(&mut self, sql: &str) -> Result<Answer, Error> {
        self.send_query(sql)?;
        self.read_answer()
    }

    /// A statement that must be answered with OK; returns affected rows and insert id.
    pub fn execute(&mut self, sql: &str) -> Result<(u64, u64), Error> {
        match self.query(sql)? {
            Answer::Ok { affected, insert_id } => Ok((affected, insert_id)),
            other => Err(Error::Statement { query: shorten(sql), answer: format!("{other:?}") }),
        }
    }

    /// A statement that must be answered with rows.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        match self.query(sql)? {
            Answer::Rows { rows, .. } => Ok(rows),
            other => Err(Error::Statement { query: shorten(sql), answer: format!("{other:?}") }),
        }
    }

    /// Sends a statement without waiting; each must be followed by a [`CometQl::read_answer`] in the same order.
    pub fn send_query(&mut self, sql: &str) -> Result<(), Error> {
        self.send_queries([sql])
    }

    /// Several statements in one write.
    pub fn send_queries<'a>(&mut self, queries: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for sql in queries {
            packet::write_command(&mut bytes, COM_QUERY, sql.as_bytes());
            self.pending += 1;
        }
        self.socket.send(&bytes)
    }

    /// Statements sent and not yet answered.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// The answer to the oldest statement sent.
    pub fn read_answer(&mut self) -> Result<Answer, Error> {
        self.pending = self.pending.checked_sub(1).ok_or_else(|| Error::usage("an answer to no query was awaited"))?;
        let mut sequence = 1;
        let payload = self.read_payload(&mut sequence, "the answer to a query")?;
        if let Some(answer) = self.simple_answer(&payload)? {
            return Ok(answer);
        }
        let count = packet::Cursor(&payload).lenenc("column count").map_err(broken)?;
        let count = count.and_then(|count| usize::try_from(count).ok());
        let Some(count) = count else { return Err(Error::protocol("a result without a column count")) };
        let mut columns = Vec::new();
        for _ in 0..count {
            let payload = self.read_payload(&mut sequence, "a column definition")?;
            columns.push(packet::parse_column_name(&payload).map_err(broken)?);
        }
        let payload = self.read_payload(&mut sequence, "the end of the columns")?;
        if !packet::is_eof(&payload) {
            return Err(Error::protocol("no EOF packet after the column definitions"));
        }
        let mut rows = Vec::new();
        loop {
            let payload = self.read_payload(&mut sequence, "a row")?;
            if packet::is_eof(&payload) {
                self.status = packet::eof_status(&payload);
                return Ok(Answer::Rows { columns, rows });
            }
            if packet::is_error(&payload) {
                return packet::parse_error(&payload).map(error_answer).map_err(broken);
            }
            rows.push(packet::parse_row(&payload, columns.len()).map_err(broken)?);
        }
    }

    pub fn ping(&mut self) -> Result<Answer, Error> {
        self.command(COM_PING, b"")
    }

    pub fn select_database(&mut self, name: &str) -> Result<Answer, Error> {
        self.command(COM_INIT_DB, name.as_bytes())
    }

    /// A command that is answered with one OK or error packet.
    pub fn command(&mut self, command: u8, text: &[u8]) -> Result<Answer, Error> {
        let mut bytes = Vec::new();
        packet::write_command(&mut bytes, command, text);
        self.socket.send(&bytes)?;
        let payload = self.read_payload(&mut 1, "the answer to a command")?;
        self.simple_answer(&payload)?
            .ok_or_else(|| Error::protocol(format!("command {command:#04x} was answered with {payload:02x?}")))
    }

    /// Says good-bye; the server closes.
    pub fn quit(mut self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        packet::write_command(&mut bytes, COM_QUIT, b"");
        self.socket.send(&bytes)
    }

    /// One payload with this sequence number, as it is.
    pub fn send_packet(&mut self, sequence: u8, payload: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        packet::write_packets(&mut bytes, sequence, payload);
        self.socket.send(&bytes)
    }

    /// The next payload; `sequence` is the number due and is counted on.
    pub fn read_payload(&mut self, sequence: &mut u8, waiting_for: &str) -> Result<Vec<u8>, Error> {
        read_packet(&mut self.socket, &mut self.reader, sequence, waiting_for, self.limit)
    }

    /// The blocking socket underneath.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The logged-in stream, for a caller with an event loop of its own; no bytes and no answers may be outstanding.
    pub fn into_stream(self) -> Result<TcpStream, Error> {
        if self.pending == 0 && self.reader.is_empty() {
            Ok(self.socket.into_stream())
        } else {
            Err(Error::usage("a CometQL stream was taken with answers outstanding"))
        }
    }

    fn simple_answer(&mut self, payload: &[u8]) -> Result<Option<Answer>, Error> {
        if packet::is_error(payload) {
            return packet::parse_error(payload).map(|error| Some(error_answer(error))).map_err(broken);
        }
        if packet::is_eof(payload) {
            return Err(Error::protocol("an EOF packet where an answer was due"));
        }
        if payload.first() == Some(&0) {
            let ok = packet::parse_ok(payload).map_err(broken)?;
            self.status = ok.status;
            return Ok(Some(Answer::Ok { affected: ok.affected, insert_id: ok.insert_id }));
        }
        Ok(None)
    }
}

fn read_packet(
    socket: &mut Socket,
    reader: &mut PacketReader,
    sequence: &mut u8,
    waiting_for: &str,
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    let deadline = Instant::now() + limit;
    let mut bytes = Vec::new();
    loop {
        if let Some(payload) = reader.next(sequence).map_err(broken)? {
            return Ok(payload);
        }
        bytes.clear();
        socket.need(&mut bytes, waiting_for, deadline, limit)?;
        reader.push(&bytes);
    }
}

fn broken(error: PacketError) -> Error {
    Error::protocol(error.to_string())
}

fn refused(payload: &[u8]) -> Result<Error, Error> {
    let error = packet::parse_error(payload).map_err(broken)?;
    Ok(Error::LoginRefused { code: error.code, sqlstate: error.sqlstate, text: error.text })
}

fn error_answer(error: packet::ErrorPacket) -> Answer {
    Answer::Error { code: error.code, sqlstate: error.sqlstate, text: error.text }
}

/// The start of a statement, enough to recognise it in an error.
fn shorten(sql: &str) -> String {
    sql.chars().take(120).collect()
}

#[cfg(test)]
mod tests;
