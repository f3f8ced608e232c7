//! The one message shape of the protocol, written as compact JSON with sorted keys.
//!
//! Every message to a browser is an [`Envelope`]: the same keys in the same order, some of them absent. What clients
//! before version 4 want differently is decided here and nowhere else.

use std::io::Write;

use crate::model::{Position, UnixTime, WireForm};

/// The text that old clients get under `api_data`; none of them reads it.
const API_DATA: &str = "Encke, form for clients before version 4";

/// One message. Fields stand in the order of their keys on the wire.
pub(super) struct Envelope<'a> {
    pub(super) info: Option<&'static str>,
    pub(super) authorised: Option<bool>,
    pub(super) data: Data<'a>,
    /// A number above 400 tells classic clients not to come back.
    pub(super) error: Option<u16>,
    pub(super) event: Name<'a>,
    pub(super) from_queue: bool,
    pub(super) history: bool,
    pub(super) marker: Option<&'a str>,
    pub(super) time: Option<UnixTime>,
    pub(super) pipe: Name<'a>,
    /// Written in the extended form only.
    pub(super) position: Option<Position>,
    pub(super) server: Option<&'a str>,
    pub(super) user: Option<u32>,
}

impl Default for Envelope<'_> {
    fn default() -> Self {
        Self {
            info: None,
            authorised: None,
            data: Data::Text(""),
            error: None,
            event: Name("", ""),
            from_queue: false,
            history: false,
            marker: None,
            time: None,
            pipe: Name("", ""),
            position: None,
            server: None,
            user: None,
        }
    }
}

/// A name of two parts, so that nobody has to put them together first.
#[derive(Clone, Copy)]
pub(super) struct Name<'a>(pub(super) &'static str, pub(super) &'a str);

pub(super) enum Data<'a> {
    Text(&'a str),
    Object(Object<'a>),
    List(&'a mut dyn Iterator<Item = [Member<'a>; 2]>),
    /// A part of a list of `users`, and under `next` where it goes on.
    Page(Value<'a>, &'a mut dyn Iterator<Item = [Member<'a>; 2]>),
}

/// Members in the order of their keys.
pub(super) type Object<'a> = &'a [Member<'a>];
pub(super) type Member<'a> = (&'static str, Value<'a>);

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    /// A text of three parts, of which the middle is a number.
    Numbered(&'static str, u16, &'static str),
    Number(i64),
    /// As a text: numbers of JavaScript have 53 bits.
    Position(Position),
    Truth(bool),
    Null,
}

impl Envelope<'_> {
    pub(super) fn write(self, form: WireForm, out: &mut Vec<u8>) {
        let is_legacy = form == WireForm::Legacy;
        out.push(b'{');
        if let Some(info) = self.info {
            write_key("_info", out);
            write_string(info.as_bytes(), out);
        }
        if is_legacy {
            write_key("api_data", out);
            write_string(API_DATA.as_bytes(), out);
        }
        if let Some(authorised) = self.authorised {
            write_key("authorized", out);
            // Version 3 compares with a text; version 4 takes both.
            out.extend_from_slice(match (is_legacy, authorised) {
                (false, false) => b"false",
                (false, true) => b"true",
                (true, false) => b"\"false\"",
                (true, true) => b"\"true\"",
            });
        }
        write_key("data", out);
        self.data.write(form, out);
        if let Some(error) = self.error {
            write_key("error", out);
            write_number(error.into(), out);
        }
        write_key("event", out);
        self.event.write(out);
        if is_legacy {
            write_key("event_name", out);
            self.event.write(out);
        }
        for (key, is_set) in [("fromQueue", self.from_queue), ("history", self.history)] {
            if is_set {
                write_key(key, out);
                out.extend_from_slice(b"true");
            }
        }
        if let Some(marker) = self.marker {
            write_key("marker", out);
            write_string(marker.as_bytes(), out);
        }
        if let Some(time) = self.time {
            write_key("message_send_time", out);
            write_number(time.0, out);
        }
        write_key("pipe", out);
        self.pipe.write(out);
        if let Some(position) = self.position.filter(|_| form == WireForm::Extended) {
            write_key("position", out);
            write_position(position, out);
        }
        if let Some(server) = self.server {
            write_key("server", out);
            write_string(server.as_bytes(), out);
        }
        if let Some(user) = self.user {
            write_key("user_id", out);
            write_number(user.into(), out);
        }
        out.push(b'}');
    }
}

impl Name<'_> {
    fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        write_escaped(self.0.as_bytes(), out);
        write_escaped(self.1.as_bytes(), out);
        out.push(b'"');
    }
}

impl Data<'_> {
    fn write(self, form: WireForm, out: &mut Vec<u8>) {
        match (self, form) {
            (Self::Text(text), _) => write_string(text.as_bytes(), out),
            (data, WireForm::Modern | WireForm::Extended) => data.write_structure(out),
            // Version 3 ends with an exception on data that is no text.
            (data, WireForm::Legacy) => {
                let mut text = Vec::new();
                data.write_structure(&mut text);
                write_string(&text, out);
            }
        }
    }

    fn write_structure(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_string(text.as_bytes(), out),
            Self::Object(object) => write_object(object, out),
            Self::List(objects) => write_list(objects, out),
            Self::Page(next, objects) => {
                out.push(b'{');
                write_member("next", next, out);
                write_key("users", out);
                write_list(objects, out);
                out.push(b'}');
            }
        }
    }
}

fn write_list(objects: &mut dyn Iterator<Item = [Member<'_>; 2]>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (place, object) in objects.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_object(&object, out);
    }
    out.push(b']');
}

fn write_object(object: Object<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (key, value) in object {
        write_member(key, *value, out);
    }
    out.push(b'}');
}

fn write_member(key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    write_key(key, out);
    match value {
        Value::Text(text) => write_string(text.as_bytes(), out),
        Value::Number(number) => write_number(number, out),
        Value::Numbered(before, number, behind) => {
            out.push(b'"');
            write_escaped(before.as_bytes(), out);
            write_number(number.into(), out);
            write_escaped(behind.as_bytes(), out);
            out.push(b'"');
        }
        Value::Position(position) => write_position(position, out),
        Value::Truth(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

/// Keys are our own words and need no escapes. The comma belongs to every key but an object's first.
fn write_key(key: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_number(number: i64, out: &mut Vec<u8>) {
    // A Vec takes every write.
    let _ = write!(out, "{number}");
}

fn write_position(position: Position, out: &mut Vec<u8>) {
    let _ = write!(out, "\"{position}\"");
}

/// `text` (UTF-8) as a JSON string, quotes included.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len().saturating_add(2));
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Escapes only what JSON demands, and an apostrophe after a backslash: before they parse, classic clients turn
/// these two into a bare apostrophe, which would make the message unreadable.
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let plain = plain_length(rest);
        let (head, tail) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let Some((&special, tail)) = tail.split_first() else { return };
        rest = tail;
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => {
                out.extend_from_slice(b"\\\\");
                if let Some(tail) = rest.strip_prefix(b"'") {
                    out.extend_from_slice(b"\\u0027");
                    rest = tail;
                }
            }
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
    }
}

/// How many bytes from the start need no escape. Blocks without a special byte are passed at once: this loop has no
/// branch inside, so the compiler makes vector instructions of it.
fn plain_length(text: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    let plain_blocks =
        blocks.iter().take_while(|block| !block.iter().fold(false, |any, b| any | is_special(*b))).count();
    let passed = plain_blocks.saturating_mul(BLOCK);
    let here = blocks.get(plain_blocks).map_or(tail, |block| block.as_slice());
    passed.saturating_add(here.iter().position(|byte| is_special(*byte)).unwrap_or(here.len()))
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}
