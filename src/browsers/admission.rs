//! Whether a request may begin a connection: asked of the owner of its address, before anything is answered.
//!
//! The request stays unread meanwhile, and is looked at once more when the answer is there. An admission belongs to the
//! connection that the request came on until the hub has the connection that it begins; if that never comes, it is given
//! back.

use std::net::{IpAddr, Ipv4Addr};

use crate::http::{self, Head, Proxies, Terms};
use crate::hub::{Details, Input};
use crate::jsapi;
use crate::model::{CloseReason, ConnId};

use super::effects::Effects;
use super::leaving::COME_BACK_S;
use super::polling::Asking;
use super::requests::headers;
use super::{Browsers, Phase, Progress, browser_mut};

#[derive(Clone, Copy, Debug)]
pub(super) enum Admission {
    Granted(IpAddr),
    /// To be asked for again after so many seconds.
    Refused(u16),
}

/// Why nobody is let in at the moment.
struct Refusal {
    status: u16,
    text: &'static str,
    wait_s: u16,
    reason: CloseReason,
}

/// Of a client that is gone already.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Browsers {
    /// What a request says of who asks; its id is in another place.
    pub(super) fn details(&self, io: &impl Effects, conn: ConnId, head: &Head<'_>) -> Details {
        let address = self.address(io, conn, head);
        Details { uuid: Box::default(), address, headers: headers(head), since: io.now().unix }
    }

    /// Who asks, as trusted proxies tell.
    pub(super) fn address(&self, io: &impl Effects, conn: ConnId, head: &Head<'_>) -> IpAddr {
        let peer = io.peer_address(conn).unwrap_or(NO_ADDRESS);
        let proxies = Proxies { trusted: &self.config.trusted_proxies, header: self.config.real_ip_header };
        http::client_address(peer, head, &proxies)
    }

    /// `Err`: not yet, or not at all; what comes of the request for now. `asking`: how a poll wants its answer.
    pub(super) fn admit(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        address: IpAddr,
        terms: &Terms,
        asking: Option<&Asking>,
    ) -> Result<(), Progress> {
        if self.leaving.refuses(io.now().time) {
            let text = "this server sends its connections elsewhere, please come again";
            let refusal = Refusal { status: 503, text, wait_s: COME_BACK_S, reason: CloseReason::Moved };
            return Err(self.refuse_for_now(io, conn, terms, asking, &refusal));
        }
        if !self.config.hub.limits.counts_connections() {
            return Ok(());
        }
        // A proxy's connection may have brought another browser's request before.
        if matches!(self.admissions.get(&conn), Some(Admission::Granted(other)) if *other != address) {
            self.forget_admission(io, conn);
        }
        if !self.admissions.contains_key(&conn) {
            let Some(browser) = browser_mut(io, conn) else { return Err(Progress::Over) };
            browser.phase = Phase::Admission;
            self.input(io, Input::Admit { conn, address });
        }
        match self.admissions.get(&conn).copied() {
            None => Err(Progress::Used(0)),
            Some(Admission::Granted(_)) => Ok(()),
            Some(Admission::Refused(wait_s)) => {
                let text = "too many connections from this address, please try again later";
                let refusal = Refusal { status: 429, text, wait_s, reason: CloseReason::Limited };
                Err(self.refuse_for_now(io, conn, terms, asking, &refusal))
            }
        }
    }

    pub(super) fn admission_known(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        address: IpAddr,
        wait_s: Option<u16>,
    ) {
        let admission = wait_s.map_or(Admission::Granted(address), Admission::Refused);
        match browser_mut(io, conn).filter(|browser| browser.phase == Phase::Admission) {
            Some(browser) => {
                browser.phase = Phase::Head;
                self.admissions.insert(conn, admission);
                io.resume(conn);
            }
            // It has gone meanwhile. This may be an answer to an answer, so what follows from it waits for its turn.
            None if wait_s.is_none() => self.unused_admissions.push_back(address),
            None => {}
        }
    }

    /// The connection that the request came on ends.
    pub(super) fn forget_admission(&mut self, io: &mut impl Effects, conn: ConnId) {
        if let Some(Admission::Granted(address)) = self.admissions.remove(&conn) {
            self.input(io, Input::Release { address });
        }
    }

    pub(super) fn go_on_with_admissions(&mut self, io: &mut impl Effects) {
        while !io.congested()
            && let Some(address) = self.unused_admissions.pop_front()
        {
            self.input(io, Input::Release { address });
        }
    }

    fn refuse_for_now(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
        terms: &Terms,
        asking: Option<&Asking>,
        refusal: &Refusal,
    ) -> Progress {
        self.counters.connections_refused += 1;
        let mut body = Vec::new();
        jsapi::encode_poll_error(refusal.status, refusal.text, &mut body);
        if asking.is_some() {
            body = [b"[", body.as_slice(), b"]"].concat();
        }
        let terms = Terms { persistent: false, ..terms.clone() };
        let wait = refusal.wait_s.to_string();
        let extra = [
            ("Retry-After", wait.as_str()),
            ("Access-Control-Expose-Headers", "Retry-After"),
            ("Cache-Control", "no-store"),
        ];
        let answer = match asking.and_then(|asking| asking.callback.as_deref()) {
            // A page sees of a script neither its status nor, without one, its text.
            Some(callback) => {
                let script = http::jsonp(callback, &body);
                http::response_on(&terms, 200, "application/javascript", &extra, &script, true)
            }
            None => http::response_on(&terms, refusal.status, "application/json", &extra, &body, true),
        };
        self.end_http(io, conn, &answer.into(), refusal.reason)
    }
}
