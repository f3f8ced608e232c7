//! Coming and going: twenty bytes each, told to everybody who is there.

use super::super::{Field, PIPE};
use crate::error::Error;
use crate::frame;
use crate::hello::Hello;
use crate::ws::{WsClient, uuid};

/// Changes sent at once.
const CHANGES: usize = 100;

pub(super) fn come_and_go(field: &Field) -> Result<(), Error> {
    let mut client = WsClient::connect(field.ws, Hello::anonymous(0, &uuid()))?;
    let mut bytes = Vec::new();
    for change in 0..CHANGES {
        let command = if change % 2 == 0 { format!("subscription\n{PIPE}") } else { "subscription\n".to_owned() };
        frame::write_client_frame(&mut bytes, true, frame::TEXT, command.as_bytes(), [1, 2, 3, 4]);
    }
    // A question behind them, so that one is done before the next.
    let question = format!("pipe_count\n{PIPE}\nmark\n");
    frame::write_client_frame(&mut bytes, true, frame::TEXT, question.as_bytes(), [1, 2, 3, 4]);
    while !field.is_over() {
        client.send_raw(&bytes)?;
        while !client.need_text(crate::socket::IO_LIMIT, "a count")?.contains("user_in_pipe") {}
    }
    Ok(())
}
