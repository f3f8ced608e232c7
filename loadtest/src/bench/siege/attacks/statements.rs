//! What a tenant with a password of its own can do to all others.

use super::super::Field;
use crate::cometql::CometQl;
use crate::error::Error;
use std::time::Duration;

pub(super) const PIPE: &str = "siege_like";

/// Levels of the question that a parser tries in two ways each.
const LEVELS: usize = 16;

/// Questions on one session.
const QUESTIONS: usize = 50;

/// The longest packet that a server takes by default.
const PACKET_BYTES: usize = 64 << 20;

pub(super) fn log_in(field: &Field) -> Result<CometQl, Error> {
    CometQl::connect(field.cometql, &field.attacker.to_string(), &field.password, None)
}

/// Asks for something of a hundred and sixty bytes whose price doubles with each level.
pub(super) fn nest(field: &Field) -> Result<(), Error> {
    let mut client = log_in(field)?;
    let sql = format!("SELECT {}1{}", "POSITION(".repeat(LEVELS), ")".repeat(LEVELS));
    for _ in 0..QUESTIONS {
        client.query(&sql)?;
        if field.is_over() {
            break;
        }
    }
    client.quit()
}

/// Compares every message of a history with a pattern that never fits.
pub(super) fn compare(field: &Field) -> Result<(), Error> {
    let mut client = log_in(field)?;
    let pattern = "x%".repeat(20);
    let sql = format!("SELECT id FROM pipes_messages WHERE name = '{PIPE}' AND message LIKE '%{pattern}y'");
    for _ in 0..QUESTIONS {
        client.query(&sql)?;
        if field.is_over() {
            break;
        }
    }
    client.quit()
}

/// Begins a statement of the longest size, sends all of it but the end, and waits.
pub(super) fn leave_unfinished(field: &Field) -> Result<(), Error> {
    // Packets are at most this long; a longer statement goes on in the next.
    const PIECE: usize = 0xff_ffff;
    let mut client = log_in(field)?;
    let filling = vec![b' '; 1 << 20];
    let mut left = PACKET_BYTES - 1;
    let mut number = 0_u8;
    while left > 0 && !field.is_over() {
        let length = left.min(PIECE);
        let [a, b, c, _] = (length as u32).to_le_bytes();
        client.socket().send(&[a, b, c, number])?;
        number = number.wrapping_add(1);
        let mut missing = length;
        if number == 1 {
            client.socket().send(&[0x03])?;
            missing -= 1;
        }
        // The last byte of all is what everybody waits for.
        missing -= usize::from(length == left);
        while missing > 0 && !field.is_over() {
            let piece = filling.get(..missing.min(filling.len())).unwrap_or_default();
            client.socket().send(piece)?;
            missing -= piece.len();
        }
        left -= length;
    }
    field.wait(Duration::from_secs(10));
    Ok(())
}
