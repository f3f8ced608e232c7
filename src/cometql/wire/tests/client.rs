//! The client's side of the protocol, just enough to write what a driver writes and to take answers apart.

/// `CLIENT_PROTOCOL_41`, `LONG_PASSWORD`, `LONG_FLAG`, `TRANSACTIONS`, `SECURE_CONNECTION`.
pub(super) const FLAGS: u32 = 0x0200 | 0x1 | 0x4 | 0x2000 | 0x8000;
pub(super) const COMPRESS: [u32; 2] = [0x20, 0x400_0000];
pub(super) const WITH_DB: u32 = 0x8;
pub(super) const SSL: u32 = 0x800;
pub(super) const MULTI: u32 = 0x3_0000;
pub(super) const PLUGIN: u32 = 0x8_0000;
pub(super) const ATTRIBUTES: u32 = 0x10_0000;
pub(super) const LENGTH_ENCODED: u32 = 0x20_0000;
pub(super) const DEPRECATE_EOF: u32 = 0x100_0000;

/// One payload as packets, the first with this number.
pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = payload;
    let mut number = sequence;
    loop {
        let length = rest.len().min(0xff_ffff);
        out.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        out.push(number);
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
        number = number.wrapping_add(1);
        if length < 0xff_ffff {
            return out;
        }
    }
}

pub(super) fn command(code: u8, body: &[u8]) -> Vec<u8> {
    packet(0, &[&[code], body].concat())
}

/// A handshake response in the form that the flags ask for.
pub(super) fn login(flags: u32, user: &[u8], auth: &[u8], database: Option<&[u8]>, plugin: Option<&[u8]>) -> Vec<u8> {
    let mut flags = flags;
    if database.is_some() {
        flags |= WITH_DB;
    }
    if plugin.is_some() {
        flags |= PLUGIN;
    }
    let mut out = flags.to_le_bytes().to_vec();
    out.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    out.push(45);
    out.extend_from_slice(&[0; 23]);
    out.extend_from_slice(user);
    out.push(0);
    if flags & (LENGTH_ENCODED | 0x8000) == 0 {
        out.extend_from_slice(auth);
        out.push(0);
    } else {
        assert!(auth.len() < 251);
        out.push(auth.len() as u8);
        out.extend_from_slice(auth);
    }
    for text in [database, plugin].into_iter().flatten() {
        out.extend_from_slice(text);
        out.push(0);
    }
    if flags & ATTRIBUTES != 0 {
        out.extend_from_slice(b"\x0b\x04_pid\x0512345");
    }
    out
}

pub(super) fn ssl_request() -> Vec<u8> {
    let mut out = (FLAGS | SSL).to_le_bytes().to_vec();
    out.extend_from_slice(&[0, 0, 0, 1, 45]);
    out.extend_from_slice(&[0; 23]);
    out
}

/// A value as a driver binds it: the type with its flags, and the bytes unless it is NULL.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) kind: u16,
    pub(super) value: Option<Vec<u8>>,
}

impl Bound {
    pub(super) fn new(kind: u16, value: &[u8]) -> Self {
        Self { kind, value: Some(value.to_vec()) }
    }

    pub(super) fn null(kind: u16) -> Self {
        Self { kind, value: None }
    }

    pub(super) fn text(text: &[u8]) -> Self {
        let mut value = Vec::new();
        match text.len() {
            length @ 0..=250 => value.push(length as u8),
            length @ 251..=0xffff => {
                value.push(0xfc);
                value.extend_from_slice(&(length as u16).to_le_bytes());
            }
            length => {
                value.push(0xfd);
                value.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
            }
        }
        value.extend_from_slice(text);
        Self { kind: 0xfd, value: Some(value) }
    }
}

/// The body of an execution; the types are bound or left out. Values of no bytes (long data) are simply absent.
pub(super) fn execute(statement: u32, bound: &[Bound], with_types: bool) -> Vec<u8> {
    let mut out = statement.to_le_bytes().to_vec();
    out.extend_from_slice(&[0, 1, 0, 0, 0]);
    if bound.is_empty() {
        return out;
    }
    for group in bound.chunks(8) {
        out.push(group.iter().enumerate().map(|(bit, one)| u8::from(one.value.is_none()) << bit).sum());
    }
    out.push(u8::from(with_types));
    if with_types {
        for one in bound {
            out.extend_from_slice(&one.kind.to_le_bytes());
        }
    }
    for one in bound {
        out.extend_from_slice(one.value.as_deref().unwrap_or_default());
    }
    out
}

pub(super) fn long_data(statement: u32, parameter: u16, data: &[u8]) -> Vec<u8> {
    command(0x18, &[statement.to_le_bytes().as_slice(), &parameter.to_le_bytes(), data].concat())
}

/// The packets of an answer: their numbers and payloads.
pub(super) fn packets(mut answer: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    while let [a, b, c, sequence, rest @ ..] = answer {
        let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        out.push((*sequence, rest[..length].to_vec()));
        answer = &rest[length..];
    }
    assert!(answer.is_empty());
    out
}
