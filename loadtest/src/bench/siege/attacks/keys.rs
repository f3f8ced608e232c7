//! Guessing the key of a user, as fast as the server says no.

use super::super::Field;
use crate::error::Error;
use crate::hello::Hello;
use crate::ws::{WsClient, uuid};

/// Guesses in a row.
const GUESSES: usize = 50;

pub(super) fn guess(field: &Field, worker: usize) -> Result<(), Error> {
    for guess in 0..GUESSES {
        let key = format!("guess{worker}{guess}");
        let client = WsClient::connect(field.ws, Hello::user(0, 5, &key, &uuid()))?;
        client.disconnect();
        if field.is_over() {
            break;
        }
    }
    Ok(())
}
