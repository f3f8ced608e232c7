//! Histories: asked for and not read, and recoveries of what was never there.

use super::super::Field;
use super::make_deaf;
use crate::cometql::CometQl;
use crate::error::Error;
use crate::hello::Hello;
use crate::ws::{WsClient, uuid};
use std::fmt::Write as _;
use std::time::Duration;

/// Pipes whose histories are asked for.
const PIPES: usize = 8;

/// Connections of one attacker.
const READERS: usize = 200;

/// Names of one command.
const NAMES: usize = 1_024;

/// A history of so many times 55,000 bytes.
pub(super) fn fill(client: &mut CometQl, pipe: &str, parts: usize) -> Result<(), Error> {
    client.execute(&format!("INSERT INTO pipes_settings (name, length) VALUES ('{pipe}', 99)"))?;
    let body = "x".repeat(5_000);
    for _ in 0..parts {
        let rows = vec![format!("('{pipe}', 'e', '{body}')"); 11];
        client.execute(&format!("INSERT INTO pipes_messages (name, event, message) VALUES {}", rows.join(",")))?;
    }
    Ok(())
}

fn pipe(number: usize) -> String {
    format!("siege_log_{}", number % PIPES)
}

pub(super) fn prepare(backend: &mut CometQl) -> Result<(), Error> {
    (0..PIPES).try_for_each(|number| fill(backend, &pipe(number), 9))
}

/// Many connections ask for histories and read nothing.
pub(super) fn ask_and_not_read(field: &Field) -> Result<(), Error> {
    let mut readers = Vec::new();
    for number in 0..READERS {
        let mut reader = WsClient::upgrade(field.ws, Hello::anonymous(0, &uuid()))?;
        make_deaf(reader.socket())?;
        for question in 0..4 {
            reader.send_text(&format!("pipe_log\n{}\nmark{number}", pipe(number + question)))?;
        }
        readers.push(reader);
        if field.is_over() {
            break;
        }
    }
    field.wait(Duration::from_secs(5));
    Ok(())
}

/// One command that names a thousand pipes without a history, each with a position.
pub(super) fn recover(field: &Field, worker: usize) -> Result<(), Error> {
    let mut client = WsClient::connect(field.ws, Hello::anonymous(0, &uuid()))?;
    for round in 0..20 {
        let mut command = "subscription2".to_owned();
        for name in 0..NAMES {
            // Writing to a String cannot fail.
            let _ = write!(command, "\ntrust_{worker}_{round}_{name} 5");
        }
        client.send_text(&command)?;
        for _ in 0..NAMES {
            if client.recv_text(Duration::from_secs(5))?.is_none() || field.is_over() {
                return Ok(());
            }
        }
    }
    Ok(())
}
