//! Connections without a socket, which cost whoever opens them a line of text.

use super::super::Field;
use crate::error::Error;
use crate::socket::Socket;
use std::time::{Duration, Instant};

pub(super) const PIPE: &str = "siege_polls";

/// Requests sent at once on one connection; a server answers so many before it closes.
const REQUESTS: usize = 90;

/// Opens connections that are given a whole history, and forgets them.
pub(super) fn take_histories(field: &Field) -> Result<(), Error> {
    ask(field, &format!("/poll/sign?api=js2&pipes={PIPE}&last={PIPE}:1"))
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
