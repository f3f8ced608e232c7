//! Long polling: requests for connections without a socket.
//!
//! Such a connection lives on the shard that opened it, and its id names that shard. A request that arrives elsewhere is
//! handed over as [`RingMessage::Poll`], and its answer comes back as [`RingMessage::Polled`]. The message only notes the
//! request; it is begun at the end of a turn, as bytes from a socket would be, when no ring is full. So what a request
//! causes is caused from outside, and the levels of the rings hold as they did.

use std::net::IpAddr;

use crate::http::{self, Body, Door, Head, PollAddress, Query, Terms};
use crate::hub::Input;
use crate::jsapi;
use crate::model::{CloseReason, ConnId, ShardId, WireForm, counted_address, is_name_byte};
use crate::ring::{Poll, PollOutcome, Polled, RingMessage, Wish};

use super::effects::Effects;
use super::goodbye;
use super::old_clients::OldClient;
use super::polls::WAIT_MAX;
use super::wanted::Order;
use super::{Browsers, ORIGIN_REFUSED, Phase, Progress, browser, browser_mut};

/// Bytes of fields that come as a body.
const FIELDS_BYTES_MAX: usize = 16 * 1024;

/// A request as it was received.
pub(super) struct Request<'a> {
    pub(super) conn: ConnId,
    pub(super) head: &'a Head<'a>,
    /// What was received, head and all.
    pub(super) whole: &'a [u8],
    pub(super) address: PollAddress,
    /// The fields of its address.
    pub(super) fields: &'a str,
}

/// How the request of a connection wants its answer.
pub(super) struct Asking {
    pub(super) terms: Terms,
    pub(super) callback: Option<String>,
    /// It wants it as the page of another server.
    pub(super) old: Option<OldClient>,
}

/// What names a connection to its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PollId {
    pub(super) shard: ShardId,
    pub(super) conn: ConnId,
    secret: u128,
}

impl PollId {
    pub(super) fn text(self) -> String {
        let place = self.conn.index - ConnId::POLLED_FIRST;
        format!("{}-{place}-{}-{:032x}", self.shard, self.conn.generation, self.secret)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut part = || parts.next().filter(|part| !part.starts_with('+'));
        let (shard, place, generation) = (part()?.parse().ok()?, part()?.parse::<u32>().ok()?, part()?.parse().ok()?);
        let secret = part().filter(|secret| secret.len() == 32).and_then(|text| u128::from_str_radix(text, 16).ok())?;
        let index = ConnId::POLLED_FIRST.checked_add(place)?;
        parts.next().is_none().then_some(Self { shard: ShardId(shard), conn: ConnId { index, generation }, secret })
    }
}

impl Browsers {
    pub(super) fn poll_request(&mut self, io: &mut impl Effects, request: &Request<'_>, terms: Terms) -> Progress {
        let Request { conn, head, whole, address, fields } = *request;
        let rest = whole.get(head.used..).unwrap_or_default();
        let is_publishing = address == PollAddress::Publish;
        let bytes_max = if is_publishing { self.config.frames.message_bytes_max } else { FIELDS_BYTES_MAX };
        let body = match http::body(head, rest, bytes_max) {
            Ok(Body::Whole(length)) => rest.get(..length).unwrap_or_default(),
            Ok(Body::Incomplete(_)) => {
                if head.awaits_word() && rest.is_empty() {
                    io.write(conn, http::CONTINUE);
                }
                return Progress::Wait;
            }
            Ok(Body::Chunked) => return self.begin_chunked(io, conn, head, whole, bytes_max),
            Err(error) => {
                let asking = Asking { terms: Terms { persistent: false, ..terms }, callback: None, old: None };
                let text = "the body must have a Content-Length, not too large a one, or come in chunks";
                return self.answer_poll_error(io, conn, &asking, error.status(), text, 0);
            }
        };
        let used = head.used + body.len();
        let body = simdutf8::basic::from_utf8(body);
        let more = if is_publishing { "" } else { body.unwrap_or_default() };
        let fields = format!("{fields}&{more}");
        let query = Query::new(&fields);
        if matches!(address, PollAddress::OldSign | PollAddress::OldSubscribe | PollAddress::OldPublish) {
            return self.old_request(io, request, query, terms, used);
        }
        let callback = query.value("callback");
        let is_bad_callback = callback.as_deref().is_some_and(|callback| !http::is_callback(callback));
        let asking = Asking { terms, callback: callback.filter(|_| !is_bad_callback), old: None };
        if is_bad_callback {
            return self.answer_poll_error(io, conn, &asking, 400, "the callback must be the name of a function", used);
        }
        let door = if asking.callback.is_some() { Door::Script } else { Door::Connection };
        if !http::page_allowed(&self.config.origins, head, door) {
            return self.answer_poll_error(io, conn, &asking, 403, "this page may not connect", used);
        }
        let Some(text) = query.value("id") else {
            return match address {
                PollAddress::Publish => self.answer_poll_error(io, conn, &asking, 400, "the id is missing", used),
                _ => self.open_polled(io, request, query, &asking, used),
            };
        };
        let poll_id = PollId::parse(&text).filter(|poll| self.config.hub.placement.has_connections(poll.shard));
        let Some(PollId { shard, conn: polled, secret }) = poll_id else {
            return self.answer_poll_error(io, conn, &asking, 400, "this is no id", used);
        };
        let wish = match address {
            PollAddress::Sign | PollAddress::Messages => {
                let pipes =
                    query.value("pipes").map(|pipes| (pipes.into(), query.value("last").unwrap_or_default().into()));
                query.value("seq").unwrap_or_else(|| "0".into()).parse().ok().map(|seq| Wish::Messages { seq, pipes })
            }
            _ => publication(query, body.ok()),
        };
        let Some(wish) = wish else {
            return self.answer_poll_error(
                io,
                conn,
                &asking,
                400,
                "a field or the message is not what it must be",
                used,
            );
        };
        self.send_poll(io, conn, PollId { shard, conn: polled, secret }, wish, asking, used)
    }

    /// Has the shard that the id names do what is wished.
    pub(super) fn send_poll(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        poll_id: PollId,
        wish: Wish,
        asking: Asking,
        used: usize,
    ) -> Progress {
        let PollId { shard, conn: polled, secret } = poll_id;
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::Polling;
        }
        // The answer comes before; this is for faults of our own.
        io.deadline_after(conn, WAIT_MAX * 2);
        self.asking.insert(conn, asking);
        let poll = Poll { asker: conn, conn: polled, secret, wish };
        if shard == self.config.hub.shard {
            self.begin_poll(io, shard, poll);
        } else {
            io.send(shard, RingMessage::Poll(Box::new(poll)));
        }
        Progress::Used(used)
    }

    fn open_polled(
        &mut self,
        io: &mut impl Effects,
        request: &Request<'_>,
        query: Query<'_>,
        asking: &Asking,
        used: usize,
    ) -> Progress {
        let Request { conn, head, address, .. } = *request;
        let hello = match self.hello_of(head, query) {
            Ok(hello) => hello,
            Err(code) => {
                let (status, text) = if code == ORIGIN_REFUSED {
                    (403, "this page may not connect")
                } else {
                    (400, "the address cannot be read")
                };
                return self.answer_poll_error(io, conn, asking, status, text, used);
            }
        };
        let details = self.details(io, conn, head);
        if let Err(progress) = self.admit(io, conn, details.address, &asking.terms, Some(asking)) {
            return progress;
        }
        let (form, opener) = (hello.form, counted_address(details.address));
        let Some(opened) = self.open_place(io, form, opener) else {
            // Another browser's request may come on the connection of a proxy.
            self.forget_admission(io, conn);
            return self.answer_poll_error(io, conn, asking, 503, "too many connections, please try again later", used);
        };
        let polled = opened.conn;
        self.begin(io, conn, polled, hello, details);
        if let Some(pipes) = query.value("pipes") {
            let last = query.value("last").unwrap_or_default();
            self.polls.command(polled, None, None, Order::Subscribe { pipes: pipes.into(), last: last.into() });
            self.begin_commands(io, polled);
        }
        let name = opened.text();
        let body = if address == PollAddress::Sign {
            format!("{{\"id\":\"{name}\",\"seq\":0}}").into_bytes()
        } else {
            let mut body = b"[".to_vec();
            jsapi::encode_poll_begin(&name, form, &mut body);
            body.push(b']');
            body
        };
        self.answer_poll(io, conn, asking, 200, &body, used)
    }

    /// A place for a connection that is polled for here, with a secret of its own; nothing if there is none for who opens it.
    pub(super) fn open_place(&mut self, io: &mut impl Effects, form: WireForm, opener: IpAddr) -> Option<PollId> {
        let secret = io.secret()?;
        let conn = self.polls.open(form, secret, opener, io.now().time)?;
        Some(PollId { shard: self.config.hub.shard, conn, secret })
    }

    fn begin_poll(&mut self, io: &mut impl Effects, from: ShardId, poll: Poll) {
        let Poll { asker, conn, secret, wish } = poll;
        let asker = (from, asker);
        match wish {
            Wish::Messages { seq, pipes } => {
                if let Some((flush, to)) = self.polls.poll(conn, secret, asker, seq, io.now().time) {
                    self.input(io, Input::QueueWritten { flush, to, taken: true });
                }
                if let Some((pipes, last)) = pipes {
                    self.polls.command(conn, Some(secret), None, Order::Subscribe { pipes, last });
                }
            }
            Wish::Publish { pipe, event, message } => {
                self.polls.command(conn, Some(secret), Some(asker), Order::Publish { pipe, event, message });
            }
        }
        self.begin_commands(io, conn);
        self.answer_polls(io);
    }

    pub(super) fn begin_commands(&mut self, io: &mut impl Effects, conn: ConnId) {
        let Some(form) = self.polls.form(conn) else { return };
        while !self.hub.is_busy(conn) && self.polls.has_commands(conn) {
            if self.pace.has_to_wait(conn, io.now().time) {
                self.counters.commands_slowed += 1;
                return;
            }
            let Some(order) = self.polls.next_command(conn) else { return };
            self.turn_budget.charge(io.now().time, conn, 1);
            self.order(io, conn, form, &order);
        }
    }

    /// At the end of a turn, before fan-outs are formed: what other shards handed over, and what came due. Each kind has its
    /// turn even where sockets have used up theirs.
    pub(super) fn go_on_with_polls(&mut self, io: &mut impl Effects) {
        let turn = io.now().time;
        while !io.congested()
            && let Some((from, poll)) = self.polls_noted.pop_front()
        {
            self.begin_poll(io, from, *poll);
            if self.turn_budget.is_used_up_by_all(turn) {
                break;
            }
        }
        while !io.congested()
            && let Some(conn) = self.polls_resumed.pop_front()
        {
            self.begin_commands(io, conn);
            if self.turn_budget.is_used_up_by_all(turn) {
                break;
            }
        }
        self.polls.time_passed(io.now().time);
        while !io.congested()
            && let Some((conn, flush)) = self.polls.next_over()
        {
            if let Some((flush, to)) = flush {
                self.input(io, Input::QueueWritten { flush, to, taken: false });
            }
            self.input(io, Input::Disconnected { conn });
        }
    }

    /// At the very end of a turn.
    pub(super) fn answer_polls(&mut self, io: &mut impl Effects) {
        self.polls.answer_ready(io.now().time);
        while let Some(((shard, asker), outcome)) = self.polls.next_answer() {
            if shard == self.config.hub.shard {
                self.polled(io, asker, outcome);
            } else {
                io.send(shard, RingMessage::Polled(Box::new(Polled { asker, outcome })));
            }
        }
    }

    /// The answer to a request that this shard took.
    pub(super) fn polled(&mut self, io: &mut impl Effects, conn: ConnId, outcome: PollOutcome) {
        let Some(mut asking) = self.asking.remove(&conn) else { return };
        match outcome {
            outcome if let Some(old) = asking.old.take() => self.answer_old(io, conn, &asking, &old, outcome),
            PollOutcome::Messages(json) => self.answer_poll(io, conn, &asking, 200, &json, 0),
            PollOutcome::Begun => self.answer_poll(io, conn, &asking, 200, b"[]", 0),
            PollOutcome::Gone(why) => self.answer_poll_error(io, conn, &asking, 410, why, 0),
            PollOutcome::OutOfOrder => {
                let text = "this number was acknowledged already, or never sent";
                self.answer_poll_error(io, conn, &asking, 409, text, 0)
            }
            PollOutcome::Busy => {
                self.answer_poll_error(io, conn, &asking, 503, "too many messages at once, please try again", 0)
            }
        };
        // What was sent behind the request is looked at now, or when the answer is sent.
        io.pause(conn);
        if browser(io, conn).is_some_and(|browser| browser.phase == Phase::Head) {
            io.resume(conn);
        }
    }

    fn answer_poll_error(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        asking: &Asking,
        status: u16,
        text: &str,
        used: usize,
    ) -> Progress {
        let mut body = b"[".to_vec();
        jsapi::encode_poll_error(status, text, &mut body);
        body.push(b']');
        self.answer_poll(io, conn, asking, status, &body, used)
    }

    pub(super) fn answer_poll(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        asking: &Asking,
        status: u16,
        json: &[u8],
        used: usize,
    ) -> Progress {
        let uncached: &[(&str, &str)] = match status {
            410 | 503 => {
                &[("Cache-Control", "no-store"), ("Retry-After", "1"), ("Access-Control-Expose-Headers", "Retry-After")]
            }
            _ => &[("Cache-Control", "no-store")],
        };
        let answer = match &asking.callback {
            // A page sees of a script neither its status nor, without one, its text.
            Some(callback) => {
                let script = http::jsonp(callback, json);
                http::response_on(&asking.terms, 200, "application/javascript", uncached, &script, true)
            }
            None => http::response_on(&asking.terms, status, "application/json", uncached, json, true),
        };
        self.reply(io, conn, &answer.into(), &asking.terms, used)
    }

    pub(super) fn end_polled(&mut self, io: &impl Effects, conn: ConnId, reason: CloseReason) {
        if self.polls.form(conn).is_some() {
            self.counters.add_closed(reason);
            self.polls.end(conn, goodbye::of(reason).to_poll, io.now().time);
        }
    }
}

/// What a request publishes. The message is the body, or a field where a page has no bodies. What no name can be is an error
/// of the request; whether this pipe is one of those that the page may use is told to its connection, as over WebSocket.
fn publication(query: Query<'_>, body: Option<&str>) -> Option<Wish> {
    let is_name = |text: &String| text.trim_start_matches('@').bytes().all(is_name_byte);
    let pipe = query.value("pipe").filter(is_name)?;
    let event = Some(query.value("event").unwrap_or_default()).filter(is_name)?;
    let message = query.value("message").map(String::into_boxed_str).or_else(|| body.map(Into::into))?;
    Some(Wish::Publish { pipe: pipe.into(), event: event.into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let conn = ConnId { index: ConnId::POLLED_FIRST + 12, generation: 3 };
        let poll_id = PollId { shard: ShardId(5), conn, secret: 0xab };
        assert_eq!(poll_id.text(), "5-12-3-000000000000000000000000000000ab");
        assert_eq!(PollId::parse(&poll_id.text()), Some(poll_id));
        let zeros = "0".repeat(32);
        for text in ["", "1", "1-2-3", "1-2-3-0", "+1-2-3-0", "1-2-3-4-5", "70000-1-1-1", "-1-2-3"] {
            assert_eq!(PollId::parse(text), None, "{text}");
        }
        for text in [format!("1-2-3-{zeros}-"), format!("1-4294967295-3-{zeros}"), format!("1-2-3-+{}", &zeros[1..])] {
            assert_eq!(PollId::parse(&text), None, "{text}");
        }
    }
}
