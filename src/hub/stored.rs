//! What storage is asked, and what becomes of its answers.

use std::net::{IpAddr, Ipv6Addr};

use crate::model::{Answer, ApiError, CloseReason, ConnId, LastSeen, Now};
use crate::storage::{Completion, Job, Outcome, Read, Request, Ticket};

use super::{Hub, Login, Output, Waiting};

impl Hub {
    pub(super) fn stored(&mut self, completion: Completion, now: Now) {
        if self.departed.answered(completion.ticket, completion.result.is_ok(), now) {
            return;
        }
        let Some(waiting) = self.waiting.remove(&completion.ticket.0) else { return };
        match (waiting, completion.result) {
            (Waiting::Login(login), Ok(Outcome::Login { hash, revoked })) => {
                self.login_checked(login, hash, revoked, now);
            }
            // No answer from storage is never a login; a drop makes the browser come back and ask again.
            (Waiting::Login(Login { conn, .. }), _) => {
                self.outputs.push_back(Output::Close { conn, reason: CloseReason::StorageUnavailable });
            }
            (Waiting::Queue { dev, user }, result) => self.queue_read(dev, user, result, now),
            (Waiting::Queued { dev, user, sender }, result) => self.queued(dev, user, sender, result),
            (Waiting::TakenOff { dev, user, ids }, Err(_)) => self.not_taken_off(dev, user, ids, now),
            (Waiting::Kept(kept), result) => {
                self.counters.history_messages += u64::from(result.is_ok());
                self.acknowledge(*kept, result.map(|_| ()));
            }
            (Waiting::Missed(missing), result) => self.missed_read(*missing, result, now),
            (Waiting::Length { pipe, length, sender }, result) => self.length_set(pipe, length, sender, result),
            (Waiting::History { conn, pipe, marker }, result) => self.history_read(conn, pipe, marker, result, now),
            (Waiting::UserData { conn, user, marker }, Ok(Outcome::Texts(mut rows))) => {
                let data = rows.pop().map(|(_, data)| data).unwrap_or_default();
                self.answer(conn, Answer::UserData { marker, user: user.get(), data });
                self.resume(conn);
            }
            (Waiting::LastSeen { conn, user }, Ok(Outcome::Times(rows))) => {
                // A stored 0 is what a crash left behind, and a time to come what a clock did that was ahead: nobody knows.
                let is_past = |time: i64| time > 0 && time <= now.unix.0.saturating_add(CLOCKS_DIFFER_S);
                let seen = rows.first().filter(|(_, time)| is_past(*time));
                // Zero would say that the user is here.
                let ago = |time: i64| now.unix.0.saturating_sub(time).clamp(1, u32::MAX.into()) as u32;
                let last_seen = seen.map_or(LastSeen::Unknown, |(_, time)| LastSeen::SecondsAgo(ago(*time)));
                self.answer(conn, Answer::UserStatus { user, last_seen });
                self.resume(conn);
            }
            // The answer has no form for a failure, and the question may be asked again.
            (Waiting::LastSeen { conn, .. } | Waiting::Online { conn, .. }, _) => self.resume(conn),
            // Storage is not asked for these.
            (Waiting::TakenOff { .. } | Waiting::TrackUsers(_) | Waiting::TrackPage { .. } | Waiting::Key(_), _) => {}
            (
                Waiting::UserData { conn, marker, .. }
                | Waiting::Count { conn, marker }
                | Waiting::HasHistory { conn, marker, .. },
                _,
            ) => {
                self.answer(conn, Answer::Error(ApiError::Unavailable { marker }));
                self.resume(conn);
            }
        }
    }

    pub(super) fn store(&mut self, ticket: Ticket, read: Read) {
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Read { read, bytes_max: ONE_ROW } }));
    }

    /// For a connection that wants to know.
    pub(super) fn ask_storage(&mut self, conn: ConnId, ticket: Ticket, read: Read) {
        let job = Job { ticket, request: Request::Read { read, bytes_max: ONE_ROW } };
        self.outputs.push_back(Output::Ask { job, address: self.address(conn) });
    }

    pub(super) fn address(&self, conn: ConnId) -> IpAddr {
        let address = self.details.get(conn.index).map(|detail| self.details.address(detail));
        address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }
}

/// Seconds by which the clock of another server may be ahead that writes into the same database.
const CLOCKS_DIFFER_S: i64 = 60;

/// A hub reads single rows only, and what one may weigh was settled when it was written.
const ONE_ROW: usize = usize::MAX;
