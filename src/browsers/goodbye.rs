//! What a connection is told when the server ends it: by itself, because of what a backend did, because it sends its
//! connections elsewhere, or because it stops.
//!
//! | Connection | is told |
//! |---|---|
//! | WebSocket, `api=js2` | a close frame with code and reason |
//! | WebSocket of a classic library | nothing: it comes back after an unclean end only |
//! | Server-Sent Events | an event `close` with code and reason, and then the stream ends |
//! | polled for | the reason, with status 410 |
//! | a plain request | its answer, if that is on its way |

use crate::http;
use crate::hub::Input;
use crate::model::{CloseReason, ConnId};
use crate::ws::{self, CloseCode};

use super::effects::Effects;
use super::{Browser, Browsers, Phase, browser, browser_mut};

/// Codes are those of RFC 6455, and its successors in the registry of IANA.
pub(super) struct Goodbye {
    pub(super) code: CloseCode,
    pub(super) text: &'static str,
    /// The same for who polls, and has to know what to do.
    pub(super) to_poll: &'static str,
}

macro_rules! goodbye {
    ($code:ident, $text:literal) => {
        Goodbye { code: CloseCode::$code, text: $text, to_poll: concat!($text, "; please begin anew") }
    };
}

pub(super) fn of(reason: CloseReason) -> Goodbye {
    match reason {
        CloseReason::ShuttingDown => goodbye!(Away, "the server stops"),
        CloseReason::Moved => goodbye!(Restart, "this server sends its connections elsewhere"),
        CloseReason::HashDeleted => goodbye!(Policy, "the hash of this user was deleted"),
        CloseReason::TokenRevoked => goodbye!(Policy, "the token was revoked"),
        CloseReason::TokenExpired => goodbye!(Policy, "the token has expired"),
        CloseReason::Killed => goodbye!(Policy, "a backend ended this connection"),
        CloseReason::Limited => goodbye!(Policy, "this user has too many connections"),
        CloseReason::KeyNotTried => goodbye!(Again, "too many wrong keys of this user came from this address"),
        CloseReason::StorageUnavailable => goodbye!(Again, "the server cannot find out now who this is"),
        _ => goodbye!(Normal, "the server ended this connection"),
    }
}

impl Browsers {
    /// Ends a connection as its client understands it, when everything written so far is sent. The hub hears of it
    /// at the end of the turn: this may be what a message causes, and the end of a connection causes more than a message may.
    pub(super) fn dismiss(&mut self, io: &mut impl Effects, conn: ConnId, reason: CloseReason) {
        if conn.is_polled() {
            return self.end_polled(io, conn, reason);
        }
        let Some(browser) = browser(io, conn).filter(|_| io.is_open(conn)) else { return };
        self.scratch.clear();
        let Goodbye { code, text, .. } = of(reason);
        match browser.phase {
            // A part of the user's queue that the socket has not taken counts as not taken, so it must not arrive.
            _ if self.flushing.contains(&conn) => return self.drop_connection(io, conn, reason),
            Phase::Open if !browser.classic => ws::close_with_reason(code, text, &mut self.scratch),
            phase if phase.is_events() => {
                if reason == CloseReason::Moved {
                    // The others leave at other times, so there is nothing to wait for.
                    self.scratch.extend_from_slice(http::RETRY_SOON);
                }
                http::append_goodbye(&mut self.scratch, code.into(), text);
            }
            _ if !matches!(reason, CloseReason::ShuttingDown | CloseReason::Moved) => {
                return self.drop_connection(io, conn, reason);
            }
            Phase::Open | Phase::Sending => {}
            _ => return self.drop_connection(io, conn, reason),
        }
        self.counters.add_closed(reason);
        if !self.scratch.is_empty() {
            io.write(conn, &self.scratch);
        }
        io.close_after_flush(conn);
        self.dismissed.push_back(conn);
    }

    /// Ends a connection as its client understands it.
    pub(super) fn close(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        browser: Browser,
        reason: CloseReason,
        code: CloseCode,
    ) {
        if browser.classic {
            return self.drop_connection(io, conn, reason);
        }
        self.counters.add_closed(reason);
        self.scratch.clear();
        ws::close(code, &mut self.scratch);
        io.write(conn, &self.scratch);
        io.close_after_flush(conn);
        self.let_go(io, conn);
    }

    /// The connection will say nothing more. The hub hears of it at once: a client that keeps its side open must not
    /// count as a subscriber meanwhile. A second time changes nothing, because a place is not taken again before `ended`
    /// has returned, and then under another generation.
    pub(super) fn let_go(&mut self, io: &mut impl Effects, conn: ConnId) {
        if let Some(browser) = browser_mut(io, conn)
            && std::mem::take(&mut browser.fragments)
        {
            self.fragments.forget(conn);
        }
        if let Some((flush, to)) = self.flushing.remove(&conn) {
            self.input(io, Input::QueueWritten { flush, to, taken: false });
        }
        self.input(io, Input::Disconnected { conn });
    }

    pub(super) fn drop_connection(&mut self, io: &mut impl Effects, conn: ConnId, reason: CloseReason) {
        if io.is_open(conn) {
            self.counters.add_closed(reason);
        }
        io.close(conn);
    }

    pub(super) fn forget_dismissed(&mut self, io: &mut impl Effects) {
        while let Some(conn) = self.dismissed.pop_front() {
            self.let_go(io, conn);
        }
    }

    pub(crate) fn stopping(&mut self) {
        self.stopping = true;
    }

    /// While the server stops: whether anybody waits for the answer to what was read before, or takes a part of a queue.
    pub(crate) fn owes_answers(&self) -> bool {
        self.hub.owes_answers() || !self.flushing.is_empty() || self.batches.are_under_way()
    }

    pub(crate) fn farewell(&mut self, io: &mut impl Effects) {
        self.input(io, Input::Stopping);
        for conn in self.polls.live() {
            self.dismiss(io, conn, CloseReason::ShuttingDown);
        }
        for conn in io.open_connections() {
            // A poll that waits gets its answer from the shard that has its connection.
            if !self.asking.contains_key(&conn) {
                self.dismiss(io, conn, CloseReason::ShuttingDown);
            }
        }
        self.forget_dismissed(io);
    }
}
