//! Small peers for the tests: a server that speaks just enough of both protocols, honest or not, and one that recites.
//!
//! Written against the protocols, not with the client's code, so that a mistake in one is seen by the other.

use base64::Engine as _;
use sha1::{Digest as _, Sha1};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub(crate) const PASSWORD: &str = "0000";
const SALT: &[u8; 20] = b"abcdefghijklmnopqrst";

/// How the server treats the first subscriber of a pipe. The number is the publication's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Every write in pieces of so many bytes.
    Splits(usize),
    /// A ping before every publication.
    Pings,
    Loses(u32),
    Repeats(u32),
    /// This one comes after the next.
    Swaps(u32),
    /// A byte of it is wrong.
    Spoils(u32),
    /// The connection ends instead.
    Ends(u32),
    /// The INSERT is answered with an error and not delivered.
    Refuses(u32),
    /// The handshake is answered with 404.
    NoWebSocket,
    /// The first frame is not serverInfo.
    NoServerInfo,
    /// Nothing is answered to the handshake.
    Silent,
}

struct Subscriber {
    id: usize,
    pipe: String,
    stream: TcpStream,
    held_back: Vec<u8>,
}

struct State {
    behaviour: Behaviour,
    /// Table and id of every row written for a user.
    rows: Mutex<HashSet<(String, String)>>,
    subscribers: Mutex<(usize, Vec<Subscriber>)>,
}

pub(crate) struct FakeServer {
    pub(crate) ws: SocketAddr,
    pub(crate) cometql: SocketAddr,
}

impl FakeServer {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let state = Arc::new(State { behaviour, rows: Mutex::default(), subscribers: Mutex::default() });
        let listen = |serve: fn(&State, TcpStream)| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (address, state) = (listener.local_addr().unwrap(), state.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    thread::spawn(move || serve(&state, stream));
                }
            });
            address
        };
        Self { ws: listen(State::serve_browser), cometql: listen(State::serve_backend) }
    }
}

impl State {
    fn subscribers(&self) -> MutexGuard<'_, (usize, Vec<Subscriber>)> {
        self.subscribers.lock().unwrap()
    }

    fn serve_browser(&self, mut stream: TcpStream) {
        let Some(request) = read_head(&mut stream) else { return };
        match self.behaviour {
            Behaviour::Silent => thread::sleep(Duration::from_mins(1)),
            Behaviour::NoWebSocket => {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nno such page");
                return;
            }
            _ => {}
        }
        let info: &[u8] = match self.behaviour {
            Behaviour::NoServerInfo => b"{\"event\":\"hello\"}",
            _ => b"{\"authorized\":false,\"data\":\"\",\"event\":\"serverInfo\",\"pipe\":\"sys\"}",
        };
        self.write(&mut stream, &[upgrade(&request), server_frame(0x81, info)].concat());
        let id = {
            let mut subscribers = self.subscribers();
            subscribers.0 += 1;
            subscribers.0
        };
        while let Some((opcode, payload)) = read_client_frame(&mut stream) {
            let text = String::from_utf8_lossy(&payload);
            if opcode == 1
                && let Some(names) = text.strip_prefix("subscription\n")
            {
                let mut subscribers = self.subscribers();
                subscribers.1.retain(|subscriber| subscriber.id != id);
                for pipe in names.split('\n') {
                    let stream = stream.try_clone().unwrap();
                    subscribers.1.push(Subscriber { id, pipe: pipe.into(), stream, held_back: Vec::new() });
                }
            } else if opcode == 1 {
                self.write(&mut stream, &server_frame(0x81, &payload));
            } else if opcode == 8 {
                break;
            }
        }
        self.subscribers().1.retain(|subscriber| subscriber.id != id);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }

    fn publish(&self, pipe: &str, event: &str, message: &str) {
        let json = format!(
            "{{\"data\":\"{message}\",\"event\":\"{event}\",\"message_send_time\":1700000000,\"pipe\":\"{pipe}\"}}"
        );
        let frame = server_frame(0x81, json.as_bytes());
        let number = message.get(..10).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(u32::MAX);
        let mut subscribers = self.subscribers();
        let mut first = true;
        for subscriber in subscribers.1.iter_mut().filter(|subscriber| subscriber.pipe == pipe) {
            let mut bytes = std::mem::take(&mut subscriber.held_back);
            if self.behaviour == Behaviour::Pings {
                bytes.extend_from_slice(&server_frame(0x89, b"there?"));
            }
            match self.behaviour {
                Behaviour::Loses(lost) if first && lost == number => {}
                Behaviour::Repeats(repeated) if first && repeated == number => {
                    bytes.extend_from_slice(&frame.repeat(2));
                }
                Behaviour::Swaps(early) if first && early == number => subscriber.held_back.clone_from(&frame),
                Behaviour::Swaps(early) if first && early + 1 == number => bytes = [&frame[..], &bytes].concat(),
                Behaviour::Spoils(spoilt) if first && spoilt == number => {
                    bytes.extend_from_slice(&frame);
                    *bytes.last_mut().unwrap() = b'?';
                }
                Behaviour::Ends(last) if first && last == number => {
                    let _ = subscriber.stream.shutdown(std::net::Shutdown::Both);
                }
                _ => bytes.extend_from_slice(&frame),
            }
            first = false;
            self.write(&mut subscriber.stream, &bytes);
        }
    }

    fn serve_backend(&self, mut stream: TcpStream) {
        let mut greeting = b"\x0a8.0-fake\0\x01\0\0\0".to_vec();
        greeting.extend_from_slice(&SALT[..8]);
        greeting.extend_from_slice(b"\0\xff\xf7\x21\x02\0\x0f\0\x15");
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(&SALT[8..]);
        greeting.extend_from_slice(b"\0mysql_native_password\0");
        self.write(&mut stream, &server_packet(0, &greeting));
        let Some((1, login)) = read_packet(&mut stream) else { return };
        if !has_token(&login) {
            self.write(&mut stream, &server_packet(2, b"\xff\x10\0#28000wrong password"));
            return;
        }
        self.write(&mut stream, &server_packet(2, b"\0\0\0\x02\0\0\0"));
        while let Some((0, payload)) = read_packet(&mut stream) {
            let answer = match payload.first() {
                Some(3) => self.answer(&String::from_utf8_lossy(&payload[1..])),
                Some(1) | None => return,
                _ => server_packet(1, b"\0\0\0\x02\0\0\0"),
            };
            self.write(&mut stream, &answer);
        }
    }

    fn answer(&self, sql: &str) -> Vec<u8> {
        let quoted: Vec<&str> = sql.split('\'').skip(1).step_by(2).collect();
        if sql.starts_with("INSERT INTO pipes_messages (name, event, message) VALUES (") {
            if matches!(self.behaviour, Behaviour::Refuses(number) if quoted[2].starts_with(&format!("{number:010}"))) {
                return server_packet(1, b"\xff\x0c\0#HY000bad characters");
            }
            self.publish(quoted[0], quoted[1], quoted[2]);
            return server_packet(1, b"\0\0\0\x02\0\0\0");
        }
        if sql == "SELECT 1" {
            return result_set(&["1"], &[["1".to_owned()]]);
        }
        if let Some((id, table)) = user_write(sql) {
            if self.behaviour == Behaviour::Refuses(0) {
                return server_packet(1, b"\xff\x0c\0#HY000bad characters");
            }
            self.rows.lock().unwrap().insert((table.to_owned(), id.to_owned()));
            return server_packet(1, b"\0\x01\0\x02\0\0\0");
        }
        if let Some((table, ids)) =
            sql.strip_prefix("SELECT id FROM ").and_then(|rest| rest.split_once(" WHERE id IN ("))
        {
            let rows = self.rows.lock().unwrap();
            let is_there = |id: &&str| rows.contains(&(table.to_owned(), (*id).to_owned()));
            let ids = ids.trim_end_matches(')').split(',');
            // One that forgets does so with the first.
            let kept = ids.skip(usize::from(matches!(self.behaviour, Behaviour::Loses(_))));
            return result_set(&["id"], &kept.filter(is_there).map(|id| [id.to_owned()]).collect::<Vec<_>>());
        }
        if !sql.starts_with("SELECT name, users FROM pipes WHERE name IN (") {
            return server_packet(1, b"\xff\x03\0#42000what?");
        }
        let subscribers = self.subscribers();
        let rows: Vec<[String; 2]> = quoted
            .iter()
            .map(|name| {
                let users = subscribers.1.iter().filter(|subscriber| subscriber.pipe == **name).count();
                [(*name).to_owned(), users.to_string()]
            })
            .collect();
        drop(subscribers);
        result_set(&["name", "users"], &rows)
    }

    fn write(&self, stream: &mut TcpStream, bytes: &[u8]) {
        let piece = if let Behaviour::Splits(piece) = self.behaviour { piece } else { bytes.len().max(1) };
        let _ = stream.set_nodelay(true);
        for piece in bytes.chunks(piece) {
            // A peer that has left gets nothing more.
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}

/// Accepts one connection, answers the request with 101 and then recites `bytes` in pieces; with `ends` it closes
/// after that, else it stays silent until the peer closes.
pub(crate) fn recite_frames(bytes: &[u8], piece: usize, ends: bool) -> SocketAddr {
    let bytes = bytes.to_vec();
    recite(move |mut stream| {
        let Some(request) = read_head(&mut stream) else { return };
        let all = [upgrade(&request), bytes.clone()].concat();
        for piece in all.chunks(piece) {
            let _ = stream.write_all(piece);
        }
        if !ends {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    })
}

/// Serves every connection with `serve`.
pub(crate) fn recite(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    address
}

pub(crate) fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if payload.len() < 126 {
        bytes.push(payload.len() as u8);
    } else {
        bytes.push(126);
        bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn server_packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    [&length[..3], &[number], payload].concat()
}

pub(crate) fn result_set<const N: usize>(columns: &[&str; N], rows: &[[String; N]]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let eof = b"\xfe\0\0\x02\0".to_vec();
    let mut payloads = vec![vec![N as u8]];
    for column in columns {
        payloads.push(
            [b"\x03def\0\0\0".to_vec(), text(column), b"\0\x0c\x21\0\x4d\0\0\0\xfd\x01\0\x1f\0\0".to_vec()].concat(),
        );
    }
    payloads.push(eof.clone());
    payloads.extend(rows.iter().map(|row| row.iter().flat_map(|value| text(value)).collect()));
    payloads.push(eof);
    payloads.iter().zip(1..).flat_map(|(payload, number)| server_packet(number, payload)).collect()
}

/// Id and table of an INSERT for a user.
fn user_write(sql: &str) -> Option<(&str, &str)> {
    let table = ["users_auth", "users_messages"]
        .into_iter()
        .find(|table| sql.starts_with(&format!("INSERT INTO {table} (")))?;
    let (_, values) = sql.split_once(") VALUES (")?;
    Some((values.split_once(',')?.0, table))
}

fn upgrade(request: &str) -> Vec<u8> {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(hash);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read::<1>(stream)?[0]);
    }
    String::from_utf8(head).ok()
}

fn read_client_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let [first, second] = read(stream)?;
    assert!(second & 0x80 != 0, "a client must mask");
    let length = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes(read(stream)?)),
        127 => u64::from_be_bytes(read(stream)?),
        short => u64::from(short),
    };
    let mask: [u8; 4] = read(stream)?;
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[index % 4];
    }
    Some((first & 0x0F, payload))
}

pub(crate) fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let [low, middle, high, number] = read(stream)?;
    let mut payload = vec![0; usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16];
    stream.read_exact(&mut payload).ok()?;
    Some((number, payload))
}

fn read<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// The token proves the password: SHA1(password) is what turns it into a hash that is known.
fn has_token(login: &[u8]) -> bool {
    let user_end = 32 + login[32..].iter().position(|byte| *byte == 0).unwrap();
    let token = &login[user_end + 2..user_end + 2 + usize::from(login[user_end + 1])];
    let stored = Sha1::digest(Sha1::digest(PASSWORD));
    let mut hash = Sha1::new();
    hash.update(SALT);
    hash.update(stored);
    let once: Vec<u8> = token.iter().zip(hash.finalize()).map(|(left, right)| left ^ right).collect();
    Sha1::digest(once) == stored
}
