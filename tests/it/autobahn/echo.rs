//! A server that says everything back, for a suite that needs one: Encke itself has nobody who echoes. It is the
//! server's own `http` and `ws` on its own runtime, called as the edge calls them for clients with a closing handshake;
//! of its own it has only the answer to a message.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use encke::http::{self, HeadStep};
use encke::ws::{self, Assembler, CloseCode, Deflater, Inflater, Message, Received, Step, Violation, Window};
use shards::{End, Host, Io, Linux, Running, Settings, ShardSettings, Token};

/// The suite's largest message has 16 MiB.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const UNREAD_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// The suite sends a thousand messages before it reads.
const QUEUE_BYTES_MAX: usize = 16 * MESSAGE_BYTES_MAX;

const LIMITS: ws::Limits = ws::Limits { frame_bytes_max: MESSAGE_BYTES_MAX, message_bytes_max: MESSAGE_BYTES_MAX };

/// Runs until it is stopped.
pub(super) fn start() -> Running {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let shard = ShardSettings {
        unread_bytes_max: UNREAD_BYTES_MAX,
        queue_bytes_max: QUEUE_BYTES_MAX,
        ..ShardSettings::new("echo", Some(address))
    };
    let settings = Settings { shards: vec![shard], own_descriptor_table: false, ..Settings::default() };
    let prepared = shards::prepare(settings).expect("a port");
    prepared.start(|_| Echo::default()).expect("a thread")
}

#[derive(Default)]
struct Echo {
    fragments: HashMap<Token, Box<Assembler>>,
    deflater: Deflater,
    inflater: Inflater,
    out: Vec<u8>,
}

/// What is kept inline per connection.
#[derive(Clone, Copy, Default)]
struct Client {
    is_open: bool,
    deflate: Option<Window>,
}

impl Echo {
    /// The bytes used, or `None` while more are needed.
    fn head(io: &mut Io<'_, Self>, conn: Token, bytes: &[u8]) -> Option<usize> {
        let limits = http::HeadLimits::default();
        let HeadStep::Head(head) = http::parse_head(bytes, &limits).expect("the suite sends requests") else {
            return None;
        };
        let answer = http::upgrade_with_deflate(&head).expect("the suite asks for WebSocket");
        io.write(conn, &answer.bytes);
        *io.state(conn)? = Client { is_open: true, deflate: answer.deflate };
        Some(head.used)
    }

    fn frame(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> Result<Option<usize>, Violation> {
        let deflate = io.state(conn).and_then(|client| client.deflate);
        let step = match deflate {
            Some(_) => ws::next_frame_with_deflate(&LIMITS, bytes)?,
            None => ws::next_frame(&LIMITS, bytes)?,
        };
        let Step::Frame { used, head, payload } = step else { return Ok(None) };
        let mut open = self.fragments.remove(&conn);
        let received = ws::receive(&mut open, &LIMITS, head, &bytes[payload])?;
        self.fragments.extend(open.map(|open| (conn, open)));
        self.out.clear();
        match received {
            Received::Message(message) => match self.inflater.open(message, &LIMITS)? {
                Message::Text(text) => self.echo(text.as_bytes(), FIN_TEXT, deflate),
                Message::Binary(bytes) => self.echo(&bytes, FIN_BINARY, deflate),
                Message::Deflated { .. } => unreachable!("opened above"),
            },
            Received::Fragment | Received::Pong => {}
            Received::Ping(payload) => ws::pong(payload, &mut self.out),
            Received::Close(code) => {
                self.close(io, conn, code.unwrap_or(CloseCode::Normal));
                return Ok(Some(used));
            }
        }
        io.write(conn, &self.out);
        Ok(Some(used))
    }

    fn echo(&mut self, payload: &[u8], first: u8, window: Option<Window>) {
        let window = window.filter(|window| window.holds(payload.len()));
        let deflated = window.and_then(|_| self.deflater.deflate(payload));
        let sent = deflated.as_deref().unwrap_or(payload);
        ws::append_text_frame(&mut self.out, |out| out.extend_from_slice(sent));
        self.out[0] = if deflated.is_some() { first | COMPRESSED } else { first };
    }

    fn close(&mut self, io: &mut Io<'_, Self>, conn: Token, code: CloseCode) {
        self.out.clear();
        ws::close(code, &mut self.out);
        io.write(conn, &self.out);
        io.close_after_flush(conn);
        self.fragments.remove(&conn);
    }
}

const FIN_TEXT: u8 = 0x81;
const FIN_BINARY: u8 = 0x82;
const COMPRESSED: u8 = 0x40;

impl Host for Echo {
    type Kernel = Linux;
    type Message = ();
    type State = Client;

    fn accepted(&mut self, _io: &mut Io<'_, Self>, _conn: Token) {}

    fn received(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() && io.is_open(conn) {
            let rest = &mut bytes[used..];
            let step = match io.state(conn) {
                Some(Client { is_open: true, .. }) => self.frame(io, conn, rest),
                _ => Ok(Self::head(io, conn, rest)),
            };
            match step {
                Ok(Some(count)) => used += count,
                Ok(None) => break,
                Err(violation) => self.close(io, conn, violation.close_code()),
            }
        }
        if io.is_open(conn) { used } else { bytes.len() }
    }

    fn ended(&mut self, _io: &mut Io<'_, Self>, conn: Token, _end: End) {
        self.fragments.remove(&conn);
    }

    fn timed_out(&mut self, _io: &mut Io<'_, Self>, _conn: Token) {}

    fn message(&mut self, _io: &mut Io<'_, Self>, _from: u16, _message: ()) {}

    fn woken(&mut self, _io: &mut Io<'_, Self>) {}

    fn turn_ended(&mut self, _io: &mut Io<'_, Self>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn farewell(&mut self, io: &mut Io<'_, Self>) {
        for conn in io.open_connections() {
            io.close(conn);
        }
    }
}
