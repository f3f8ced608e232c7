//! Plain requests: from a head to an answer, and to the next request on the same connection.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use crate::http::{self, Conditions, Door, Head, HeadStep, Query, Route, Terms};
use crate::jsapi::{self, Hello, HelloFields};
use crate::model::{Answer, ApiError, CloseReason, ConnId, SharedBytes, WireForm, counted_address};
use crate::ring::Headers;

use super::batches;
use super::effects::Effects;
use super::file::{Asker, FileAnswer, Found, Part};
use super::polling::Request;
use super::wanted::Last;
use super::{Browser, Browsers, ORIGIN_REFUSED, Phase, Progress, browser, browser_mut};
use super::{PRODUCT, pages};

/// How long a client may take for the answer to a plain request.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// How long a connection may wait for the whole of its next request: longer than balancers and proxies keep one, which is a
/// minute for most of them, or they would send a request into a connection that ends. What clients are told is a little less,
/// see [`http::KEEP_ALIVE_S`].
const NEXT_REQUEST_TIME_MAX: Duration = Duration::from_secs(http::KEEP_ALIVE_S + 10);

/// Requests of one connection; the last one ends it, so that proxies spread their connections anew now and then.
const REQUESTS_MAX: u8 = 100;

impl Browsers {
    pub(super) fn head(&mut self, io: &mut impl Effects, conn: ConnId, bytes: &[u8]) -> Progress {
        if let Some(progress) = self.replay(io, conn) {
            return progress;
        }
        let head = match http::parse_head(bytes, &self.config.heads) {
            Ok(HeadStep::Incomplete) => return Progress::Wait,
            Ok(HeadStep::Head(head)) => head,
            Err(error) => {
                let answer = error.answer().into();
                return self.end_http(io, conn, &answer, CloseReason::BadRequest);
            }
        };
        let route = http::route(&head);
        let terms = self.terms(io, conn, &head, &route);
        if route.is_content() && !http::page_allowed(&self.config.origins, &head, Door::Content) {
            let answer = http::not_this_name(&terms, head.wants_body());
            return self.reply(io, conn, &answer.into(), &terms, head.used);
        }
        match route {
            Route::WebSocket(target) => self.upgrade(io, conn, &head, target, &terms),
            Route::Static(path) if self.config.pages.serves(&path) => {
                let address = counted_address(self.address(io, conn, &head));
                let number = browser(io, conn).map_or(0, |browser| browser.requests);
                let conditions = Conditions::of(&head);
                self.file(io, Asker { conn, number, address, path, conditions, terms }, head.used)
            }
            Route::Events(fields) => self.events(io, conn, &head, Query::new(fields), &terms),
            Route::Poll(address, fields) => {
                self.poll_request(io, &Request { conn, head: &head, whole: bytes, address, fields }, terms)
            }
            Route::Metrics => self.metrics(io, conn, &head, &terms),
            Route::WithPassword(wanted, fields) => {
                let request = batches::Request { conn, head: &head, whole: bytes, wanted, fields };
                self.password_request(io, &request, terms)
            }
            Route::Health | Route::Ready => {
                let is_leaving = route == Route::Ready && self.leaving.is_draining();
                let no = if self.stopping { Some(pages::STOPPING) } else { is_leaving.then_some(pages::DRAINING) };
                let answer = pages::health(no, io.storage_trouble(), &Conditions::of(&head), &terms);
                self.reply(io, conn, &answer, &terms, head.used)
            }
            route => {
                let answer = self.config.pages.answer(&route, &Conditions::of(&head), &terms);
                self.reply(io, conn, &answer, &terms, head.used)
            }
        }
    }

    fn terms(&self, io: &mut impl Effects, conn: ConnId, head: &Head<'_>, route: &Route<'_>) -> Terms {
        let mut terms = Terms::of(head, route, &self.config.origins);
        let is_last = browser(io, conn).is_none_or(|browser| browser.requests + 1 >= REQUESTS_MAX);
        terms.persistent &= !is_last && !self.stopping && !self.leaving.refuses(io.now().time);
        terms
    }

    fn upgrade(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        head: &Head<'_>,
        target: &str,
        terms: &Terms,
    ) -> Progress {
        let details = self.details(io, conn, head);
        if let Err(progress) = self.admit(io, conn, details.address, terms, None) {
            return progress;
        }
        let upgraded = if self.config.deflate { http::upgrade_with_deflate(head) } else { http::upgrade(head) };
        match upgraded {
            Ok(answer) => {
                if let Some(browser) = browser_mut(io, conn) {
                    browser.deflate = answer.deflate;
                }
                // Sent with the first message if that is known at once, as it is for everybody who is anonymous.
                self.head_of = Some((conn, answer.bytes));
                let admitted = http::page_allowed(&self.config.origins, head, Door::Connection);
                self.hello(io, conn, target, admitted, details);
                if let Some((conn, bytes)) = self.head_of.take() {
                    io.write(conn, &bytes);
                }
                Progress::Used(head.used)
            }
            Err(refused) => self.end_http(io, conn, &refused.answer().into(), CloseReason::BadRequest),
        }
    }

    /// Begins a stream of events. The request stays unread: what it wants beside a connection comes when the hub has said
    /// who it is.
    fn events(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        head: &Head<'_>,
        fields: Query<'_>,
        terms: &Terms,
    ) -> Progress {
        let hello = match self.hello_of(head, fields) {
            Ok(hello) => hello,
            Err(code) => return self.refuse(io, conn, code, terms),
        };
        let details = self.details(io, conn, head);
        if let Err(progress) = self.admit(io, conn, details.address, terms, None) {
            return progress;
        }
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::Subscribing;
            // Nothing can be said to it but messages; who is dropped comes back by itself.
            browser.classic = true;
        }
        self.head_of = Some((conn, http::events_head(terms)));
        self.connect(io, conn, hello, details);
        if let Some((conn, bytes)) = self.head_of.take() {
            io.write(conn, &bytes);
        }
        Progress::Used(0)
    }

    pub(super) fn subscribe_events(&mut self, io: &mut impl Effects, conn: ConnId, bytes: &[u8]) -> Progress {
        let Ok(HeadStep::Head(head)) = http::parse_head(bytes, &self.config.heads) else { return Progress::Wait };
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::Events;
        }
        if let Route::Events(fields) = http::route(&head)
            && let Some(browser) = browser(io, conn)
        {
            let query = Query::new(fields);
            let named = query.value("last").unwrap_or_default();
            // A browser that comes back by itself repeats the address and adds what it has got since.
            let event_id = head.header("Last-Event-ID").map(|id| simdutf8::basic::from_utf8(id).unwrap_or(UNREADABLE));
            // Where a page has no EventSource of its own, what stands for it may set no field, and sends it in the address.
            let in_address = || fields_named(query, &["lastEventId", "last-event-id", "evs_last_event_id"]);
            let event_id = event_id.map(Cow::Borrowed).or_else(|| in_address().map(Cow::Owned));
            let last = event_id.as_deref().map_or_else(|| Last::parse(&named), Last::of_event);
            if let Some(pipes) = query.value("pipes").filter(|pipes| !pipes.is_empty()) {
                self.subscribe_to(io, conn, browser.form, &pipes, &last);
            }
        }
        Progress::Used(head.used)
    }

    /// Who asks, from the fields of an address, which have the names of the WebSocket address and need not be complete.
    /// Errors: a code of the protocol.
    pub(super) fn hello_of(&self, head: &Head<'_>, fields: Query<'_>) -> Result<Hello, u16> {
        let door = if fields.value("callback").is_some() { Door::Script } else { Door::Connection };
        if !http::page_allowed(&self.config.origins, head, door) {
            return Err(ORIGIN_REFUSED);
        }
        // They are decoded with those of the WebSocket address, in one place.
        let value = |name| fields.raw(name).unwrap_or_default().as_bytes();
        let version = fields.raw("v").unwrap_or("4");
        let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
        let hello = HelloFields {
            key: value("sesion"),
            user: value("myid"),
            dev: value("devid"),
            version: version.as_bytes(),
            uuid: value("uuid"),
            api: Some(value("api")),
        };
        Hello::of(&hello, self.config.dev_max).map_err(|error| error.code)
    }

    /// A page that gets another status than 200 stays away, as it does after such an error over WebSocket.
    pub(super) fn refuse(&mut self, io: &mut impl Effects, conn: ConnId, code: u16, terms: &Terms) -> Progress {
        let status = if code == ORIGIN_REFUSED { 403 } else { 400 };
        let mut body = Vec::new();
        let error = Answer::Error(ApiError::Handshake(code));
        jsapi::encode_answer(&error, WireForm::Modern, io.now().unix, PRODUCT, &mut body);
        let terms = Terms { persistent: false, ..terms.clone() };
        let answer = http::response_on(&terms, status, "application/json", &[], &body, true).into();
        self.end_http(io, conn, &answer, CloseReason::HandshakeError)
    }

    fn file(&mut self, io: &mut impl Effects, asker: Asker, used: usize) -> Progress {
        let conn = asker.conn;
        if !io.read_file(asker) {
            return self.end_http(io, conn, &pages::busy(), CloseReason::NoRoom);
        }
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::File;
        }
        io.deadline_after(conn, ANSWER_TIME_MAX);
        Progress::Used(used)
    }

    pub(super) fn read_files(&mut self, io: &mut impl Effects) {
        while let Some(answer) = io.file_answer() {
            match answer {
                FileAnswer::Found { asker, found } => self.answer_file(io, *asker, found),
                FileAnswer::MakeRoom { conn, number } => self.stop_sending(io, conn, number),
            }
        }
    }

    fn answer_file(&mut self, io: &mut impl Effects, asker: Asker, found: Found) {
        let Asker { conn, path, conditions, terms, .. } = asker;
        // Its place may be somebody else's by now, and then the token names nobody.
        if !io.is_open(conn) {
            return;
        }
        let pages = self.config.pages.clone();
        match found {
            Found::File(file, part) => {
                let head = pages.file_head(&path, &file, &terms);
                self.answer_in_two(io, conn, &head, part, &terms);
            }
            Found::Missing => self.answer_in_two(io, conn, &pages.not_found(&conditions, &terms), None, &terms),
            Found::Busy => {
                self.end_http(io, conn, &pages::busy(), CloseReason::NoRoom);
            }
        }
        if browser(io, conn).is_some_and(|browser| browser.phase == Phase::Head) {
            io.resume(conn);
        }
    }

    /// Ends the connection if it is being sent the answer to this one of its requests still.
    fn stop_sending(&mut self, io: &mut impl Effects, conn: ConnId, number: u8) {
        let is_sending = browser(io, conn).is_some_and(|Browser { phase, requests, .. }| match phase {
            Phase::Sending => requests == number.saturating_add(1),
            // With its last answer a connection is as it was, but not open.
            Phase::File => requests == number && !io.is_open(conn),
            _ => false,
        });
        if is_sending {
            self.drop_connection(io, conn, CloseReason::NoRoom);
        }
    }

    fn answer_in_two(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        head: &SharedBytes,
        body: Option<Part>,
        terms: &Terms,
    ) {
        let Some(Part { content, range }) = body.filter(|body| !body.range.is_empty()) else {
            self.reply(io, conn, head, terms, 0);
            return;
        };
        io.write_shared(conn, head);
        // What is large must not come on top of something that waits, but as the last of a connection it may.
        let persistent = terms.persistent && io.queued_bytes(conn) == 0;
        self.reply_with(io, conn, (&content, range), &Terms { persistent, ..terms.clone() }, 0);
    }

    /// Answers a request whose head and body were so many bytes.
    pub(super) fn reply(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        answer: &SharedBytes,
        terms: &Terms,
        used: usize,
    ) -> Progress {
        self.reply_with(io, conn, (answer, 0..answer.len()), terms, used)
    }

    fn reply_with(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        (answer, part): (&SharedBytes, Range<usize>),
        terms: &Terms,
        used: usize,
    ) -> Progress {
        if !terms.persistent || self.stopping {
            return self.end_http_with(io, conn, (answer, part), CloseReason::HttpDone);
        }
        self.counters.http_requests += 1;
        io.write_part(conn, answer, part);
        let is_sent = io.queued_bytes(conn) == 0;
        if let Some(browser) = browser_mut(io, conn) {
            browser.requests = browser.requests.saturating_add(1);
            browser.phase = if is_sent { Phase::Head } else { Phase::Sending };
        }
        if is_sent {
            io.deadline_after(conn, NEXT_REQUEST_TIME_MAX);
        } else {
            io.tell_when_drained(conn);
            io.deadline_after(conn, ANSWER_TIME_MAX);
        }
        Progress::Used(used)
    }

    /// The last answer of a connection.
    pub(super) fn end_http(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        answer: &SharedBytes,
        reason: CloseReason,
    ) -> Progress {
        self.end_http_with(io, conn, (answer, 0..answer.len()), reason)
    }

    fn end_http_with(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        (answer, part): (&SharedBytes, Range<usize>),
        reason: CloseReason,
    ) -> Progress {
        if io.is_open(conn) {
            self.counters.add_closed(reason);
            self.counters.http_requests += 1;
            io.write_last(conn, answer, part, ANSWER_TIME_MAX);
        }
        Progress::Over
    }
}

/// All that was written is sent: the next request may come.
pub(super) fn answer_sent(io: &mut impl Effects, conn: ConnId) {
    if let Some(browser) = browser_mut(io, conn)
        && browser.phase == Phase::Sending
    {
        browser.phase = Phase::Head;
        io.deadline_after(conn, NEXT_REQUEST_TIME_MAX);
        io.resume(conn);
    }
}

/// The first of these fields that is there; one that is no valid encoding cannot be read.
fn fields_named(query: Query<'_>, names: &[&str]) -> Option<String> {
    let name = names.iter().find(|name| query.raw(name).is_some())?;
    Some(query.value(name).unwrap_or_else(|| UNREADABLE.to_owned()))
}

/// Stands for the id of an event that is no text.
const UNREADABLE: &str = "?";

pub(super) fn headers(head: &Head<'_>) -> Headers {
    let header = |name, bytes_max| cut(head.header(name).unwrap_or_default(), bytes_max);
    Headers { agent: header("User-Agent", 250), origin: header("Origin", 250), language: header("Accept-Language", 64) }
}

/// At most so many bytes of a header's text, whole characters of it.
fn cut(text: &[u8], bytes_max: usize) -> Box<str> {
    let text = simdutf8::basic::from_utf8(text).unwrap_or_default();
    text[..text.floor_char_boundary(bytes_max)].into()
}
