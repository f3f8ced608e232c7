//! Files that are asked for and not read. The server has `large.js`, of 16 MiB.

use super::super::Field;
use super::deaf;
use crate::error::Error;
use std::time::Duration;

/// Connections of one attacker.
const READERS: usize = 250;

/// How long they keep what they asked for.
const HOLD: Duration = Duration::from_secs(10);

pub(super) fn ask_and_not_read(field: &Field) -> Result<(), Error> {
    hold(field, |_| String::new())
}

pub(super) fn ask_for_parts(field: &Field, worker: usize) -> Result<(), Error> {
    hold(field, |reader| format!("Range: bytes={}-\r\n", worker * READERS + reader))
}

fn hold(field: &Field, more: impl Fn(usize) -> String) -> Result<(), Error> {
    let mut readers = Vec::new();
    for reader in 0..READERS {
        let mut socket = deaf(field.ws)?;
        socket.send(format!("GET /large.js HTTP/1.1\r\nHost: siege\r\n{}\r\n", more(reader)).as_bytes())?;
        readers.push(socket);
        if field.is_over() {
            break;
        }
    }
    field.wait(HOLD);
    Ok(())
}
