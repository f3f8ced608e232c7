//! What connections wait for, and what becomes of it when the answer is there. A connection waits for one thing at a time.

use crate::model::{Answer, ApiError, CloseReason, ConnId, LastSeen, Marker, Now, PipeName, ShardId, UserId};
use crate::ring::{Answered, Replies};
use crate::storage::{Completion, Outcome, StorageError};

use super::super::effects::Effects;
use super::Local;
use super::login::Login;
use super::members::TrackUsers;

/// What storage or other shards were asked for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the owner of its address, whether its key may be tried.
    Key(Login),
    Login(Login),
    History {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    HasHistory {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    TrackUsers(Box<TrackUsers>),
    TrackPage {
        conn: ConnId,
        marker: Marker,
        shard: ShardId,
    },
    UserData {
        conn: ConnId,
        user: UserId,
        marker: Marker,
    },
    Count {
        conn: ConnId,
        marker: Marker,
    },
    Online {
        conn: ConnId,
        user: UserId,
    },
    LastSeen {
        conn: ConnId,
        user: UserId,
    },
}

impl Local {
    /// Storage has answered.
    pub(in crate::hub) fn stored(&mut self, completion: Completion, now: Now, effects: &mut Effects) {
        let Some(waiting) = self.waiting.remove(&completion.ticket.0) else {
            return never!("storage answers each question of a connection once");
        };
        match (waiting, completion.result) {
            (Waiting::Login(login), Ok(Outcome::Login { hash, revoked })) => {
                self.login_checked(login, hash, revoked, now, effects);
            }
            // No answer from storage is never a login; a drop makes the browser come back and ask again.
            (Waiting::Login(Login { conn, .. }), _) => effects.close(conn, CloseReason::StorageUnavailable),
            (Waiting::History { conn, pipe, marker }, result) => {
                self.history_read(conn, pipe, marker, result, effects);
            }
            (Waiting::UserData { conn, user, marker }, Ok(Outcome::Texts(mut rows))) => {
                let data = rows.pop().map(|(_, data)| data).unwrap_or_default();
                self.answer(conn, Answer::UserData { marker, user: user.get(), data }, effects);
                self.resume(conn, effects);
            }
            (Waiting::UserData { conn, marker, .. }, _) => {
                self.answer(conn, Answer::Error(ApiError::Unavailable { marker }), effects);
                self.resume(conn, effects);
            }
            (Waiting::LastSeen { conn, user }, result) => self.last_seen_read(conn, user, result, now, effects),
            _ => never!("storage is not asked for what other shards know"),
        }
    }

    fn last_seen_read(
        &mut self,
        conn: ConnId,
        user: UserId,
        result: Result<Outcome, StorageError>,
        now: Now,
        effects: &mut Effects,
    ) {
        // The answer has no form for a failure, and the question may be asked again.
        if let Ok(Outcome::Times(rows)) = result {
            // A stored 0 is what a crash left behind, and a time to come what a clock did that was ahead: nobody knows.
            let is_past = |time: i64| time > 0 && time <= now.unix.0.saturating_add(CLOCKS_DIFFER_S);
            let seen = rows.first().filter(|(_, time)| is_past(*time));
            // Zero would say that the user is here.
            let ago = |time: i64| now.unix.0.saturating_sub(time).clamp(1, u32::MAX.into()) as u32;
            let last_seen = seen.map_or(LastSeen::Unknown, |(_, time)| LastSeen::SecondsAgo(ago(*time)));
            self.answer(conn, Answer::UserStatus { user, last_seen }, effects);
        }
        self.resume(conn, effects);
    }

    /// A shard has answered.
    pub(in crate::hub) fn answered(&mut self, answered: Answered, effects: &mut Effects) {
        let Some(waiting) = self.waiting.remove(&answered.id.0) else {
            return never!("a shard answers each question of a connection once");
        };
        match (waiting, answered.replies) {
            (Waiting::Count { conn, marker }, Replies::Counts(counts)) => {
                let count = counts.first().copied().unwrap_or(0);
                self.answer(conn, Answer::PipeCount { marker, count }, effects);
                self.resume(conn, effects);
            }
            (Waiting::HasHistory { conn, pipe, marker }, Replies::HasHistory(has_history)) => {
                self.history_looked_for(conn, pipe, marker, has_history, effects);
            }
            (Waiting::Online { conn, user }, Replies::Online(online)) => {
                self.online_known(conn, user, online.first().copied().unwrap_or(false), effects);
            }
            (Waiting::TrackUsers(list), Replies::Members { members, .. }) => {
                self.track_users_known(answered.id.0, list, members, effects);
            }
            (Waiting::TrackPage { conn, marker, shard }, Replies::Members { members, next }) => {
                self.track_page_known(conn, marker, shard, members, next, effects);
            }
            _ => never!("an answer is to the question that was asked"),
        }
    }
}

/// Seconds by which the clock of another server may be ahead that writes into the same database.
const CLOCKS_DIFFER_S: i64 = 60;
