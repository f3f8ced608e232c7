//! WebSocket: from the bytes of a connection to commands, and what a frame by itself is answered with.

use crate::model::{CloseReason, ConnId};
use crate::ws::{self, Assembler, Received, Step};

use super::effects::Effects;
use super::{Browser, Browsers, Progress, browser, browser_mut};

impl Browsers {
    pub(super) fn frame(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        browser: Browser,
        bytes: &mut [u8],
    ) -> Progress {
        let limits = &self.config.frames;
        let step = match browser.deflate {
            Some(_) => ws::next_frame_with_deflate(limits, bytes),
            None => ws::next_frame(limits, bytes),
        };
        let (used, head, payload) = match step {
            Ok(Step::Incomplete) => return Progress::Wait,
            Ok(Step::Frame { used, head, payload }) => (used, head, payload),
            Err(violation) => return self.violation(io, conn, browser, violation),
        };
        if browser.pinged
            && let Some(browser) = browser_mut(io, conn)
        {
            browser.pinged = false;
        }
        let payload = bytes.get(payload).unwrap_or_default();
        let mut open = if browser.fragments { self.fragments.take(conn) } else { None };
        let received = ws::receive(&mut open, &self.config.frames, head, payload);
        if browser.fragments || open.is_some() {
            self.put_fragments(io, conn, open);
            if !io.is_open(conn) {
                return Progress::Over;
            }
        }
        match received {
            Ok(Received::Message(message)) => {
                match self.inflater.open(message, &self.config.frames).and_then(ws::Message::into_text) {
                    Ok(text) => self.command(io, conn, browser, &text),
                    Err(violation) => return self.violation(io, conn, browser, violation),
                }
            }
            Ok(Received::Fragment | Received::Pong) => {}
            Ok(Received::Ping(payload)) => {
                self.scratch.clear();
                ws::pong(payload, &mut self.scratch);
                io.write(conn, &self.scratch);
            }
            Ok(Received::Close(code)) => {
                self.close(io, conn, browser, CloseReason::CloseFrame, code.unwrap_or(ws::CloseCode::Normal));
                return Progress::Over;
            }
            Err(violation) => return self.violation(io, conn, browser, violation),
        }
        Progress::Used(used)
    }

    /// Keeps what the connection has open, and ends the connections whose messages are open longest while all of them
    /// are too much.
    fn put_fragments(&mut self, io: &mut impl Effects, conn: ConnId, open: Option<Box<Assembler>>) {
        if let Some(browser) = browser_mut(io, conn) {
            browser.fragments = open.is_some();
        }
        match open {
            Some(assembler) => self.fragments.put(conn, assembler),
            None => self.fragments.forget(conn),
        }
        while let Some(oldest) = self.fragments.excess() {
            self.fragments.forget(oldest);
            if let Some(browser) = browser(io, oldest) {
                self.close(io, oldest, browser, CloseReason::NoRoom, ws::CloseCode::Again);
            }
        }
    }

    fn violation(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        browser: Browser,
        violation: ws::Violation,
    ) -> Progress {
        self.close(io, conn, browser, violation.close_reason(), violation.close_code());
        Progress::Over
    }
}
