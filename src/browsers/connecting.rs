//! From what a browser says of itself to a connection that the hub knows.

use crate::hub::{Credentials, Details, Input};
use crate::jsapi::{self, Hello, HelloError};
use crate::model::{Answer, ApiError, CloseReason, ConnId};

use super::effects::Effects;
use super::{Browsers, ORIGIN_REFUSED, Phase, browser_mut};

impl Browsers {
    /// The request line's fields say who it is.
    pub(super) fn hello(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        target: &str,
        admitted: bool,
        details: Details,
    ) {
        let Some(browser) = browser_mut(io, conn) else { return };
        browser.phase = Phase::Open;
        let hello = jsapi::parse_hello(target.as_bytes(), self.config.dev_max).and_then(|hello| {
            if admitted { Ok(hello) } else { Err(HelloError { code: ORIGIN_REFUSED, form: hello.form }) }
        });
        match hello {
            Ok(hello) => {
                browser.classic = hello.classic;
                self.connect(io, conn, hello, details);
            }
            Err(error) => {
                browser.form = error.form;
                self.answer(io, conn, &Answer::Error(ApiError::Handshake(error.code)));
                self.counters.add_closed(CloseReason::HandshakeError);
                io.close_after_flush(conn);
            }
        }
    }

    /// Tells the hub of it, and from now on there are pings instead of a deadline.
    pub(super) fn connect(&mut self, io: &mut impl Effects, conn: ConnId, hello: Hello, details: Details) {
        let Some(browser) = browser_mut(io, conn) else { return };
        browser.form = hello.form;
        if self.config.ping_interval.is_zero() {
            io.no_timeout(conn);
        } else {
            io.idle_timeout(conn, self.config.ping_interval);
        }
        self.begin(io, conn, conn, hello, details);
    }

    /// Hands the hub a connection that the request on `asker` begins.
    pub(super) fn begin(&mut self, io: &mut impl Effects, asker: ConnId, conn: ConnId, hello: Hello, details: Details) {
        // From now on the hub knows when it is gone.
        self.admissions.remove(&asker);
        self.counters.handshakes += 1;
        let Hello { dev, user, key, uuid, .. } = hello;
        let credentials = Credentials { dev, user, key, details: Details { uuid, ..details } };
        self.input(io, Input::Connected { conn, credentials });
    }
}
