//! Pages of icomet and of `CComet`, on top of long polling: `/sign`, `/sub` (`/subscribe`) and `/pub` (`/publish`).
//!
//! A page of icomet is given the id of a connection that is polled for as its token, and counts the messages of that. One of
//! `CComet` has nothing that names it, only the number of what it had last: each of its requests is a connection of its own,
//! which begins at that position of the pipe's history and ends with its answer.

use crate::http::{self, Door, Head, PollAddress, Query, Terms};
use crate::jsapi::{self, Hello, HelloFields};
use crate::model::{ConnId, EventName, PipeClass, PipeName, counted_address};
use crate::ring::{PollOutcome, Wish};

use super::effects::Effects;
use super::polling::{Asking, PollId, Request};
use super::polls::{Manner, OLD_WAIT_MAX};
use super::wanted::Order;
use super::{Browsers, Progress};

/// Whose page asks, and what it has to be told with the answer.
pub(super) enum OldClient {
    /// `noop`: how often there was nothing, as the page counts it.
    IComet {
        cname: Box<str>,
        seq: u64,
        noop: i64,
    },
    CComet {
        channel: Box<str>,
    },
}

impl OldClient {
    /// Names of icomet's fields first, because its script sends a `callback` of its own beside them. The error is what is
    /// missing.
    fn of(query: Query<'_>) -> Result<(Self, PipeName), Self> {
        let number = |name| query.value(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
        let (name, client) = if let Some(cname) = query.value("cname") {
            let seq = u64::try_from(number("seq")).unwrap_or_default();
            (cname.clone(), Self::IComet { cname: cname.into(), seq, noop: number("noop") })
        } else {
            let channel = query.value("channel").unwrap_or_default();
            (channel.clone(), Self::CComet { channel: channel.into() })
        };
        match PipeName::new(name.as_bytes()) {
            Ok(pipe) => Ok((client, pipe)),
            Err(_) => Err(client),
        }
    }

    fn callback(&self, query: Query<'_>) -> Option<String> {
        match self {
            Self::IComet { .. } => query.value("cb").or_else(|| query.value("callback")),
            Self::CComet { .. } => query.value("callback"),
        }
    }

    /// One word: that it was done, that there is nothing, or the number of an error.
    fn word(&self, word: &str) -> Vec<u8> {
        match self {
            Self::IComet { .. } => jsapi::icomet_word(word),
            Self::CComet { .. } => jsapi::ccomet_word(word),
        }
    }
}

impl Browsers {
    pub(super) fn old_request(
        &mut self,
        io: &mut impl Effects,
        request: &Request<'_>,
        query: Query<'_>,
        terms: Terms,
        used: usize,
    ) -> Progress {
        let Request { conn, head, .. } = *request;
        let found = OldClient::of(query);
        let client = match &found {
            Ok((client, _)) | Err(client) => client,
        };
        let callback = client.callback(query);
        let is_bad_callback = callback.as_deref().is_some_and(|callback| !http::is_callback(callback));
        let door = if callback.is_some() { Door::Script } else { Door::Connection };
        let may_ask = !is_bad_callback && http::page_allowed(&self.config.origins, head, door);
        let asking = Asking { terms, callback: callback.filter(|_| !is_bad_callback), old: None };
        match found {
            Ok((client, pipe)) if may_ask => self.old_wish(io, request, query, client, &pipe, asking, used),
            Ok((client, _)) => self.answer_poll(io, conn, &asking, 403, &client.word("403"), used),
            Err(client) => self.answer_poll(io, conn, &asking, 400, &client.word("404"), used),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a request")]
    fn old_wish(
        &mut self,
        io: &mut impl Effects,
        request: &Request<'_>,
        query: Query<'_>,
        client: OldClient,
        pipe: &PipeName,
        asking: Asking,
        used: usize,
    ) -> Progress {
        let Request { conn, head, address, .. } = *request;
        match (address, &client) {
            (PollAddress::OldSign, OldClient::CComet { .. }) => {
                self.answer_poll(io, conn, &asking, 200, &client.word("SIGN"), used)
            }
            (PollAddress::OldSign, OldClient::IComet { cname, .. }) => {
                let opened = match self.open_old(io, conn, head, query, &asking, Manner::Uncounted) {
                    Ok(opened) => opened,
                    Err(Some(progress)) => return progress,
                    Err(None) => return self.answer_poll(io, conn, &asking, 503, &client.word("429"), used),
                };
                let order = Order::Subscribe { pipes: pipe.as_str().into(), last: Box::default() };
                self.old_order(io, opened.conn, order);
                let body = jsapi::icomet_sign(cname, &opened.text(), OLD_WAIT_MAX.as_secs() + 5);
                self.answer_poll(io, conn, &asking, 200, &body, used)
            }
            (PollAddress::OldPublish, _) => self.old_publication(io, request, query, &client, pipe, &asking, used),
            (_, OldClient::IComet { seq, .. }) => {
                let token = query.value("token").as_deref().and_then(PollId::parse);
                let Some(id) = token.filter(|id| self.config.hub.placement.has_connections(id.shard)) else {
                    return self.answer_poll(io, conn, &asking, 401, &client.word("401"), used);
                };
                let wish = Wish::Messages { seq: *seq, pipes: None };
                self.send_poll(io, conn, id, wish, Asking { old: Some(client), ..asking }, used)
            }
            (_, OldClient::CComet { .. }) => {
                let id = match self.open_old(io, conn, head, query, &asking, Manner::Once) {
                    Ok(opened) => opened,
                    Err(Some(progress)) => return progress,
                    Err(None) => return self.answer_poll(io, conn, &asking, 503, &client.word("403"), used),
                };
                // The page names the number behind the last one. What it had never seen anything of begins now.
                let seqid = query.value("seqid").and_then(|text| text.parse::<u64>().ok()).filter(|seqid| *seqid > 0);
                let last = seqid.map(|seqid| (seqid - 1).to_string()).unwrap_or_default();
                self.old_order(io, id.conn, Order::Subscribe { pipes: pipe.as_str().into(), last: last.into() });
                let wish = Wish::Messages { seq: 0, pipes: None };
                self.send_poll(io, conn, id, wish, Asking { old: Some(client), ..asking }, used)
            }
        }
    }

    /// A connection for such a page, which is nobody's. Errors: what came of the request, or nothing if there is no room.
    fn open_old(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        head: &Head<'_>,
        query: Query<'_>,
        asking: &Asking,
        manner: Manner,
    ) -> Result<PollId, Option<Progress>> {
        let api = if manner == Manner::Once { "js2" } else { "" };
        let dev = query.raw("devid").unwrap_or_default().as_bytes();
        let fields = HelloFields { dev, version: b"4.0", api: Some(api.as_bytes()), ..HelloFields::default() };
        let Ok(hello) = Hello::of(&fields, self.config.dev_max) else {
            never!("this version can be read");
            return Err(None);
        };
        let details = self.details(io, conn, head);
        self.admit(io, conn, details.address, &asking.terms, Some(asking)).map_err(Some)?;
        let Some(id) = self.open_place(io, hello.form, counted_address(details.address)) else {
            // Another browser's request may come on the connection of a proxy.
            self.forget_admission(io, conn);
            return Err(None);
        };
        self.polls.set_manner(id.conn, manner);
        self.begin(io, conn, id.conn, hello, details);
        Ok(id)
    }

    fn old_order(&mut self, io: &mut impl Effects, polled: ConnId, order: Order) {
        self.polls.command(polled, None, None, order);
        self.begin_commands(io, polled);
    }

    /// Publishes as whoever is nobody may: in pipes whose name begins with `web_`. The sender of a `CComet` page is the event.
    #[expect(clippy::too_many_arguments, reason = "all that is known of a request")]
    fn old_publication(
        &mut self,
        io: &mut impl Effects,
        request: &Request<'_>,
        query: Query<'_>,
        client: &OldClient,
        pipe: &PipeName,
        asking: &Asking,
        used: usize,
    ) -> Progress {
        let Request { conn, head, .. } = *request;
        let (message, done) = match client {
            OldClient::IComet { .. } => (query.value("content").map(|content| unescaped(&content)), "ok"),
            OldClient::CComet { .. } => (query.value("msg"), "pub"),
        };
        let Some(message) = message.filter(|_| pipe.class() == PipeClass::Web) else {
            return self.answer_poll(io, conn, asking, 403, &client.word("403"), used);
        };
        let id = match self.open_old(io, conn, head, query, asking, Manner::Once) {
            Ok(opened) => opened,
            Err(Some(progress)) => return progress,
            Err(None) => return self.answer_poll(io, conn, asking, 503, &client.word("403"), used),
        };
        let event = query.value("sname").filter(|sname| EventName::new(sname.as_bytes()).is_ok()).unwrap_or_default();
        let (pipe, event, message) = (pipe.as_str().into(), event.into(), message.into());
        self.old_order(io, id.conn, Order::Publish { pipe, event, message });
        self.polls.end(id.conn, "published", io.now().time);
        self.answer_poll(io, conn, asking, 200, &client.word(done), used)
    }

    /// The answer to a request that this shard took.
    pub(super) fn answer_old(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        asking: &Asking,
        client: &OldClient,
        outcome: PollOutcome,
    ) -> Progress {
        let body = match (outcome, client) {
            (PollOutcome::Messages(json), OldClient::IComet { cname, noop, .. }) if &*json == b"[]" => {
                jsapi::icomet_noop(cname, *noop)
            }
            (PollOutcome::Messages(json), OldClient::IComet { cname, seq, .. }) => {
                jsapi::icomet_messages(cname, *seq, &json)
            }
            (PollOutcome::Messages(json), OldClient::CComet { .. }) if &*json == b"[]" => client.word("SIGN"),
            (PollOutcome::Messages(json), OldClient::CComet { channel }) => jsapi::ccomet_messages(channel, &json),
            // Its script would stop at any error; after some seconds without an answer it asks for a new token.
            (PollOutcome::Gone(_) | PollOutcome::OutOfOrder, OldClient::IComet { .. }) => b"null".to_vec(),
            _ => client.word("429"),
        };
        self.answer_poll(io, conn, asking, 200, &body, 0)
    }
}

/// Backends of icomet send the inside of a JSON text; others send what they mean.
fn unescaped(content: &str) -> String {
    serde_json::from_str(&format!("\"{content}\"")).unwrap_or_else(|_| content.to_owned())
}
