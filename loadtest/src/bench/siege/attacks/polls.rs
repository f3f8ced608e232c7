//! Connections without a socket, which cost whoever opens them a line of text.

use super::super::Field;
use super::histories;
use crate::cometql::CometQl;
use crate::error::Error;
use crate::hello::Hello;
use crate::socket::{IO_LIMIT, Socket};
use crate::ws::{WsClient, uuid};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(super) const PIPE: &str = "siege_polls";

/// Requests sent at once on one connection; a server answers so many before it closes.
const REQUESTS: usize = 90;

/// A history, and the position before it: as much as a server gives back at a time.
pub(super) fn prepare(field: &Field, backend: &mut CometQl) -> Result<(), Error> {
    histories::fill(backend, PIPE, 0)?;
    let mut client = WsClient::connect(field.ws, Hello::anonymous(0, &uuid()))?;
    client.send_text(&format!("subscription2\n{PIPE}"))?;
    let answer = client.need_text(IO_LIMIT, "a position")?;
    let position = answer.split_once("\"position\":").map(|(_, rest)| rest.trim_start_matches('"'));
    let digits = position.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    let position = digits.and_then(|digits| digits.parse().ok());
    let position = position.ok_or_else(|| Error::protocol(format!("{answer} tells no position")))?;
    field.position.store(position, Ordering::Relaxed);
    histories::fill(backend, PIPE, 4)
}

/// Opens connections that are given a whole history, and forgets them.
pub(super) fn take_histories(field: &Field) -> Result<(), Error> {
    let position = field.position.load(Ordering::Relaxed);
    ask(field, &format!("/poll/sign?api=js2&pipes={PIPE}&last={PIPE}:{position}"))
}

/// Opens connections and forgets them.
pub(super) fn flood(field: &Field) -> Result<(), Error> {
    ask(field, "/poll/sign?api=js2")
}

fn ask(field: &Field, target: &str) -> Result<(), Error> {
    let limit = Duration::from_secs(10);
    let mut socket = Socket::connect(field.ws)?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: siege\r\n\r\n");
    socket.send(request.repeat(REQUESTS).as_bytes())?;
    let deadline = Instant::now() + limit;
    let (mut bytes, mut answered) = (Vec::new(), 0);
    while answered < REQUESTS && !field.is_over() {
        bytes.clear();
        socket.need(&mut bytes, "answers to polls", deadline, limit)?;
        answered += bytes.windows(9).filter(|window| *window == b"HTTP/1.1 ").count();
    }
    Ok(())
}
