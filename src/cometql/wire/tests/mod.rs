//! Bytes in, events out; answers in, bytes out. The client of these tests ([`client`]) is written from the protocol's
//! documentation and shares nothing with the server's side.

use super::*;

mod client;
mod commands;
mod logins;
mod payloads;
mod properties;
mod replies;
mod statements;

const PASSWORD: &[u8] = b"secret";
/// Responses to the salt 1, 2, ... 20 and the password `secret`, computed with Python's hashlib.
const NATIVE_RESPONSE: &str = "b32bb3a583e1340c0a1108d58b1be49781ad8c2f";
const SHA2_RESPONSE: &str = "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| (byte as char).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The salt 1, 2, ... 20.
fn salt() -> Salt {
    Salt::from_random(std::array::from_fn(|place| place as u8))
}

/// With long queries, so that only packets are limited.
fn limits() -> Limits {
    Limits { query_max: 64 * 1024 * 1024, ..Limits::default() }
}

/// A connection that has sent its greeting.
fn greeted(settings: ServerSettings<'_>) -> Connection {
    let mut connection = Connection::new(7, salt());
    connection.greeting(&settings, &mut Vec::new());
    connection
}

/// A connection in the command phase, after a login with these flags.
fn ready_with(flags: u32) -> Connection {
    let mut connection = greeted(ServerSettings::default());
    let login = client::packet(1, &client::login(flags, b"1", &hex(NATIVE_RESPONSE), None, None));
    let (used, event) = connection.next(&limits(), &login).unwrap().unwrap();
    assert_eq!(used, login.len());
    let Event::Login(login) = event else { panic!("{event:?}") };
    let Verdict::Accepted(method) = connection.verdict(&login, PASSWORD) else { panic!() };
    connection.accept(method, &mut Vec::new());
    connection
}

fn ready() -> Connection {
    ready_with(client::FLAGS)
}

/// The command in one payload, which is whole.
fn command_of<'a>(connection: &mut Connection, limits: &Limits, packet: &'a [u8]) -> Command<'a> {
    let (used, event) = connection.next(limits, packet).unwrap().unwrap();
    assert_eq!(used, packet.len());
    let Event::Command { command, .. } = event else { panic!("{event:?}") };
    command
}

/// A caller that owns a buffer: appends each piece to the unread bytes and takes every event out of them. Logins are
/// accepted if they are right and refused otherwise; the events come back as text, a broken rule as the last of them.
fn drive<P: AsRef<[u8]>>(
    connection: &mut Connection,
    limits: &Limits,
    pieces: impl IntoIterator<Item = P>,
) -> Vec<String> {
    let mut unread = Vec::new();
    let mut seen = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        unread.extend_from_slice(piece);
        loop {
            let used = match connection.next(limits, &unread) {
                Ok(None) => break,
                Ok(Some((used, event))) => {
                    if event != Event::Partial {
                        seen.push(format!("{event:?}"));
                    }
                    let verdict = match &event {
                        Event::Login(login) | Event::Command { command: Command::ChangeUser(login), .. } => {
                            Some(connection.verdict(login, PASSWORD))
                        }
                        Event::AuthSwitchResponse(auth) => Some(connection.verdict_after_switch(auth, PASSWORD)),
                        _ => None,
                    };
                    obey(connection, verdict);
                    used
                }
                Err(fatal) => {
                    seen.push(format!("{fatal:?}"));
                    assert_eq!(connection.next(limits, &unread), Ok(None), "nothing is read after an error");
                    return seen;
                }
            };
            unread.drain(..used);
        }
        assert!(connection.held_bytes() <= limits.packet_max + limits.long_data_max);
        let buffer_max = BORROWED_MAX.max(limits.packet_before_login_max) + 4;
        let is_closed = matches!(seen.last(), Some(last) if last.contains("Quit") || last.contains("Wrong"));
        assert!(unread.len() < buffer_max + piece.len() || is_closed, "{} bytes unread", unread.len());
    }
    seen
}

fn obey(connection: &mut Connection, verdict: Option<Verdict>) {
    let mut out = Vec::new();
    match verdict {
        None => {}
        Some(Verdict::Accepted(method)) => connection.accept(method, &mut out),
        Some(Verdict::SwitchPlugin(method)) => connection.switch_plugin(method, &mut out),
        Some(Verdict::Empty) => connection.accept_unproved(&mut out),
        Some(Verdict::Wrong) => connection.refuse(16, "Wrong", &mut out),
    }
}
