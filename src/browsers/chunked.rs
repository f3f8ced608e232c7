//! Requests whose bodies come in chunks: they are collected, and then read as if the body had come with its length.
//!
//! What is collected has a bound, and the body begun first ends its connection for the next. Whether somebody may ask at all is
//! decided by the head, before anything is collected.

use std::time::Duration;

use ahash::RandomState;

use crate::aged::Aged;
use crate::http::{self, BodyError, Chunked, Head};
use crate::model::{CloseReason, ConnId, Time};

use super::batches::BODIES_BYTES_MAX;
use super::effects::Effects;
use super::{Browsers, Phase, Progress, browser_mut};

/// How long such a body may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// One request.
struct Collecting {
    /// When the body was begun: it keeps its place among the others while it is taken out to be added to.
    begun: Time,
    head: Vec<u8>,
    body: Option<Chunked>,
    /// All of it, with a length. It stays while somebody is asked whether the request may go on.
    whole: Vec<u8>,
    /// Unread bytes of the connection that were its end.
    end: usize,
}

pub(super) struct ChunkedBodies {
    /// In the order in which they were begun.
    bodies: Aged<ConnId, Box<Collecting>>,
    bytes: usize,
}

impl ChunkedBodies {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { bodies: Aged::new(hasher), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.bodies.bytes() + self.bodies.len() * size_of::<Collecting>()
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.take(conn);
    }

    fn take(&mut self, conn: ConnId) -> Option<Box<Collecting>> {
        let collecting = self.bodies.remove(&conn)?;
        self.bytes -= collecting.weight();
        Some(collecting)
    }

    fn put(&mut self, conn: ConnId, collecting: Box<Collecting>) {
        self.bytes += collecting.weight();
        self.bodies.insert(conn, collecting.begun, collecting);
    }

    /// The body that was begun first, while all of them are too much.
    fn excess(&self) -> Option<ConnId> {
        self.bodies.first().copied().filter(|_| self.bytes > BODIES_BYTES_MAX)
    }
}

impl Collecting {
    fn weight(&self) -> usize {
        self.head.len() + self.whole.len() + self.body.as_ref().map_or(0, Chunked::bytes)
    }
}

impl Browsers {
    /// `request`: the bytes of the head. The body has so many bytes at most.
    pub(super) fn begin_chunked(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        head: &Head<'_>,
        request: &[u8],
        bytes_max: usize,
    ) -> Progress {
        if head.awaits_word() && request.len() == head.used {
            io.write(conn, http::CONTINUE);
        }
        let Some(browser) = browser_mut(io, conn) else { return Progress::Over };
        browser.phase = Phase::Body;
        io.deadline_after(conn, TIME_MAX);
        let head = request.get(..head.used).unwrap_or(request).to_vec();
        let used = head.len();
        let body = Some(Chunked::new(bytes_max));
        let collecting = Collecting { begun: io.now().time, head, body, whole: Vec::new(), end: 0 };
        self.chunked.put(conn, Box::new(collecting));
        Progress::Used(used)
    }

    pub(super) fn collect_chunked(&mut self, io: &mut impl Effects, conn: ConnId, bytes: &[u8]) -> Progress {
        let Some(mut collecting) = self.chunked.take(conn) else { return Progress::Used(bytes.len()) };
        let Some(body) = &mut collecting.body else { return Progress::Over };
        let used = match body.feed(bytes) {
            Ok(used) => used,
            Err(error) => return self.refuse_chunked(io, conn, error),
        };
        let is_done = body.is_done();
        if let Some(body) = collecting.body.take_if(|_| is_done) {
            collecting.whole = with_length(&collecting.head, &body.into_body());
            collecting.end = used;
            collecting.head = Vec::new();
            if let Some(browser) = browser_mut(io, conn) {
                browser.phase = Phase::Head;
            }
            self.chunked.put(conn, collecting);
            return self.replay(io, conn).unwrap_or(Progress::Over);
        }
        self.chunked.put(conn, collecting);
        while let Some(oldest) = self.chunked.excess() {
            self.chunked.forget(oldest);
            self.drop_connection(io, oldest, CloseReason::NoRoom);
        }
        if used == 0 { Progress::Wait } else { Progress::Used(used) }
    }

    /// Reads a request that is whole; `None` if the connection has none. Its end stays unread while it waits for an admission.
    pub(super) fn replay(&mut self, io: &mut impl Effects, conn: ConnId) -> Option<Progress> {
        if self.chunked.bodies.is_empty() {
            return None;
        }
        let collecting = self.chunked.take(conn)?;
        match self.head(io, conn, &collecting.whole) {
            Progress::Used(0) => {
                self.chunked.put(conn, collecting);
                Some(Progress::Used(0))
            }
            Progress::Used(_) => Some(Progress::Used(collecting.end)),
            // Nothing is missing, so this is no request that can go on.
            Progress::Wait | Progress::Over => Some(Progress::Over),
        }
    }

    fn refuse_chunked(&mut self, io: &mut impl Effects, conn: ConnId, error: BodyError) -> Progress {
        let text = "the chunks of the body cannot be read, or are too many\n";
        let answer = http::response(error.status(), "text/plain", &[], text.as_bytes()).into();
        self.end_http(io, conn, &answer, CloseReason::BadRequest)
    }
}

/// The request with its body, as a client that knew the length would have sent it.
fn with_length(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(head.len() + body.len() + 32);
    let is_named = |line: &[u8], name: &[u8]| {
        line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
            && line.get(name.len()) == Some(&b':')
    };
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        if line == b"\r\n" && !whole.is_empty() {
            break;
        }
        if !is_named(line, b"Transfer-Encoding") && !is_named(line, b"Expect") && line != b"\r\n" {
            whole.extend_from_slice(line);
        }
    }
    whole.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    whole.extend_from_slice(body);
    whole
}

#[cfg(test)]
mod tests {
    use super::with_length;

    #[test]
    fn the_length_stands_for_the_chunks() {
        let head =
            b"POST /poll HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\nExpect: 100-continue\r\nX: y\r\n\r\n";
        let whole = String::from_utf8(with_length(head, b"a\r\n\r\nb")).unwrap();
        assert_eq!(whole, "POST /poll HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 6\r\n\r\na\r\n\r\nb");
    }
}
