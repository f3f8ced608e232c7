//! Requests with a password: statements by HTTP (`POST /cometql`), and the key of the dashboard.
//!
//! Passwords and statements are the CometQL shard's: a request goes there as [`RingMessage::Batch`] and its answer comes
//! back as [`RingMessage::BatchDone`]. Here the body is collected, which may be longer than what a connection may have
//! unread; it says nothing of who may ask, so that guessing passwords leads through one place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ahash::RandomState;

use crate::aged::Aged;
use crate::cometql::errors::{Code, Error};
use crate::cometql::exec::{ANSWER_BYTES_MAX, BATCHES_MAX};
use crate::cometql::json;
use crate::config::ByHttp;
use crate::http::{self, Body, Credentials, Door, Head, Method, Query, Terms, WithPassword};
use crate::model::{CloseReason, ConnId, Time};
use crate::ring::{Batch, BatchAnswer, BatchWish, RingMessage};

use super::effects::Effects;
use super::{Browsers, Phase, Progress, browser, browser_mut};

/// How long a body may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// How long statements may take; they go on when nobody waits any more.
const BATCH_TIME_MAX: Duration = Duration::from_mins(2);

/// Bytes of the bodies that a shard collects; the one begun first ends its connection.
pub(crate) const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of answers that a shard is sending; beyond, requests are refused.
const ANSWERS_BYTES_MAX: usize = 16 * ANSWER_BYTES_MAX;

#[derive(Clone, Debug)]
pub(crate) struct BatchConfig {
    pub(crate) allowed: ByHttp,
    pub(crate) body_bytes_max: usize,
}

/// A request as it was received.
pub(super) struct Request<'a> {
    pub(super) conn: ConnId,
    pub(super) head: &'a Head<'a>,
    /// What was received, head and all.
    pub(super) whole: &'a [u8],
    pub(super) wanted: WithPassword,
    /// The fields of its address.
    pub(super) fields: &'a str,
}

/// What a head said; the body is still to come.
struct Wanted {
    terms: Terms,
    what: WithPassword,
    is_json: bool,
    address: IpAddr,
    user: Box<str>,
    database: Option<Box<str>>,
    password: Box<[u8]>,
}

struct Collected {
    wanted: Wanted,
    body: Vec<u8>,
    length: usize,
}

/// Requests with a password that are on their way, by their connections.
pub(super) struct Batches {
    /// Their bodies come still, in the order in which they were begun.
    bodies: Aged<ConnId, Box<Collected>>,
    bodies_bytes: usize,
    /// The CometQL shard has them.
    waiting: HashMap<ConnId, (Terms, WithPassword), RandomState>,
    /// Those included whose connection is gone.
    under_way: usize,
    /// Bytes of answers that sockets have not taken yet.
    sending: HashMap<ConnId, usize, RandomState>,
    sending_bytes: usize,
}

impl Batches {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            bodies: Aged::new(hasher.clone()),
            bodies_bytes: 0,
            waiting: HashMap::with_hasher(hasher.clone()),
            under_way: 0,
            sending: HashMap::with_hasher(hasher),
            sending_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bodies_bytes
            + self.bodies.bytes()
            + self.bodies.len() * size_of::<Collected>()
            + self.waiting.capacity() * size_of::<(ConnId, (Terms, WithPassword))>()
            + self.sending.capacity() * size_of::<(ConnId, usize)>()
    }

    /// Whether the CometQL shard has any that is not answered.
    pub(super) fn are_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.take_body(conn);
        self.waiting.remove(&conn);
        self.sent(conn);
    }

    /// All that was written to the connection is sent.
    pub(super) fn sent(&mut self, conn: ConnId) {
        self.sending_bytes -= self.sending.remove(&conn).unwrap_or_default();
    }

    fn take_body(&mut self, conn: ConnId) -> Option<Collected> {
        let collected = self.bodies.remove(&conn)?;
        self.bodies_bytes -= collected.body.len();
        Some(*collected)
    }

    fn put_body(&mut self, conn: ConnId, now: Time, wanted: Wanted, length: usize) {
        self.bodies.insert(conn, now, Box::new(Collected { wanted, body: Vec::new(), length }));
    }

    /// The body that was begun first, while all of them are too much.
    fn excess(&self) -> Option<ConnId> {
        self.bodies.first().copied().filter(|_| self.bodies_bytes > BODIES_BYTES_MAX)
    }
}

impl Browsers {
    pub(super) fn password_request(&mut self, io: &mut impl Effects, request: &Request<'_>, terms: Terms) -> Progress {
        let Request { conn, head, whole, wanted: what, fields } = *request;
        let rest = whole.get(head.used..).unwrap_or_default();
        // What is refused without a look at the body ends the connection, as nobody knows where the next request begins.
        let last = Terms { persistent: false, ..terms.clone() };
        if head.method != Method::Post {
            return self.answer_failure(io, conn, &last, 405, "only POST is taken here");
        }
        let address = self.address(io, conn, head);
        let may_ask = match self.config.batches.allowed {
            ByHttp::Off => false,
            ByHttp::Local => http::is_from_this_machine(head, address),
            ByHttp::On => true,
        };
        if !may_ask {
            let text = "this server takes no password by HTTP from this address: see cometql in [ws] of comet.ini";
            return self.answer_failure(io, conn, &last, 403, text);
        }
        if !http::same_origin(head) || !http::page_allowed(&self.config.origins, head, Door::Connection) {
            return self.answer_failure(io, conn, &last, 403, "pages of other sites may not ask here");
        }
        let Some(Credentials { user, password }) = http::credentials(head) else {
            return self.answer_failure(io, conn, &last, 401, "wanted is Authorization: Bearer <password>");
        };
        let query = Query::new(fields);
        let is_json = head.header("Content-Type").is_some_and(|media_type| {
            let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        let named = |user: &String| !user.is_empty();
        let user = query.value("user").or(user).filter(named).unwrap_or_else(|| "root".into()).into();
        let database = query.value("database").map(Into::into);
        let wanted = Wanted { terms, what, is_json, address, user, database, password };
        match http::body(head, rest, self.config.batches.body_bytes_max) {
            Ok(Body::Whole(length)) => {
                let body = rest.get(..length).unwrap_or_default();
                self.begin_batch(io, conn, wanted, body, head.used + length)
            }
            Ok(Body::Incomplete(length)) => {
                if head.awaits_word() && rest.is_empty() {
                    io.write(conn, http::CONTINUE);
                }
                if let Some(browser) = browser_mut(io, conn) {
                    browser.phase = Phase::Body;
                }
                io.deadline_after(conn, BODY_TIME_MAX);
                self.batches.put_body(conn, io.now().time, wanted, length);
                Progress::Used(head.used)
            }
            Ok(Body::Chunked) => self.begin_chunked(io, conn, head, whole, self.config.batches.body_bytes_max),
            Err(error) => {
                let text = "the body must have a Content-Length, not too large a one, or come in chunks";
                self.answer_failure(io, conn, &last, error.status(), text)
            }
        }
    }

    pub(super) fn collect_body(&mut self, io: &mut impl Effects, conn: ConnId, bytes: &[u8]) -> Progress {
        let Some(collected) = self.batches.bodies.get_mut(&conn) else { return self.collect_chunked(io, conn, bytes) };
        let more = collected.length - collected.body.len();
        let more = bytes.get(..more).unwrap_or(bytes);
        collected.body.extend_from_slice(more);
        self.batches.bodies_bytes += more.len();
        if collected.body.len() == collected.length {
            let Some(Collected { wanted, body, .. }) = self.batches.take_body(conn) else { return Progress::Over };
            return self.begin_batch(io, conn, wanted, &body, more.len());
        }
        while let Some(oldest) = self.batches.excess() {
            self.batches.take_body(oldest);
            self.drop_connection(io, oldest, CloseReason::NoRoom);
        }
        Progress::Used(more.len())
    }

    fn begin_batch(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        wanted: Wanted,
        body: &[u8],
        used: usize,
    ) -> Progress {
        let Wanted { terms, what, is_json, address, user, database, password } = wanted;
        let wish = match what {
            wanted if wanted.is_dashboard() => BatchWish::Password,
            _ if is_json => BatchWish::Json(body.into()),
            _ => BatchWish::Text(body.into()),
        };
        if self.batches.under_way >= BATCHES_MAX || self.batches.sending_bytes >= ANSWERS_BYTES_MAX {
            let answer = BatchAnswer { retry_after: Some(1), ..failure(503, "too many requests at once") };
            return self.answer_with(io, conn, &terms, answer, used);
        }
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::Polling;
        }
        io.deadline_after(conn, BATCH_TIME_MAX);
        self.batches.under_way += 1;
        self.batches.waiting.insert(conn, (terms, what));
        let batch = Batch { asker: conn, address, user, database, password, wish };
        let cometql = self.config.hub.placement.cometql_shard();
        io.send(cometql, RingMessage::Batch(Box::new(batch)));
        // Who has said all waits for the answer.
        io.pause(conn);
        Progress::Used(used)
    }

    /// The answer to a request that this shard took.
    pub(super) fn batch_done(&mut self, io: &mut impl Effects, conn: ConnId, mut answer: BatchAnswer) {
        self.batches.under_way -= 1;
        let Some((terms, what)) = self.batches.waiting.remove(&conn) else { return };
        if what == WithPassword::DashboardKey && answer.status == 200 {
            // Hexadecimal digits and letters need no escaping.
            answer.body = format!("{{\"pipe\":\"{}\"}}", self.figures.pipe_name()).into_bytes().into();
        } else if answer.status == 200
            && let Some(told) = io.dashboard(what)
        {
            answer.body = told;
        }
        self.answer_with(io, conn, &terms, answer, 0);
        // What was sent behind the request is looked at now, or when the answer is sent.
        io.pause(conn);
        if browser(io, conn).is_some_and(|browser| browser.phase == Phase::Head) {
            io.resume(conn);
        }
    }

    /// The answer did not come in time. Whether the connection waited for one.
    pub(super) fn give_up_batch(&mut self, io: &mut impl Effects, conn: ConnId) -> bool {
        let Some((terms, _)) = self.batches.waiting.remove(&conn) else { return false };
        let terms = Terms { persistent: false, ..terms };
        let text = "no answer in time; the statements may be carried out all the same";
        self.answer_failure(io, conn, &terms, 503, text);
        true
    }

    fn answer_failure(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        terms: &Terms,
        status: u16,
        text: &str,
    ) -> Progress {
        self.answer_with(io, conn, terms, failure(status, text), 0)
    }

    fn answer_with(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        terms: &Terms,
        answer: BatchAnswer,
        used: usize,
    ) -> Progress {
        let BatchAnswer { status, retry_after, body } = answer;
        let retry_after = retry_after.map(|seconds| seconds.to_string());
        let mut headers = vec![("Cache-Control", "no-store")];
        if status == 401 {
            // Not the basic scheme: browsers would ask for a password by themselves, and send it whoever asks.
            headers.push(("WWW-Authenticate", "Bearer realm=\"CometQL\""));
        }
        headers.extend(retry_after.as_deref().map(|seconds| ("Retry-After", seconds)));
        let answer = http::response_on(terms, status, "application/json", &headers, &body, true);
        let progress = self.reply(io, conn, &answer.into(), terms, used);
        let queued = io.queued_bytes(conn);
        if queued > 0 {
            self.batches.sending_bytes += queued;
            self.batches.sending.insert(conn, queued);
        }
        progress
    }
}

fn failure(status: u16, text: &str) -> BatchAnswer {
    let code = match status {
        401 => Code::Authentication,
        403 => Code::AccessDenied,
        503 => Code::Internal,
        _ => Code::Invalid,
    };
    BatchAnswer { status, retry_after: None, body: json::failure(&Error::new(code, text.to_owned())).into() }
}
