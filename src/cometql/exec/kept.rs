//! What sessions hold of what their clients sent. Each session has a bound for each kind of it, and all sessions have one
//! together: for bytes that are not read yet, packets of which a part has come and long data; and for prepared statements.

use super::Exec;
use super::session::Session;
use super::stage::Entry;

/// Bytes of the prepared statements of all sessions, as [`Prepared::bytes`](crate::cometql::sql::Prepared::bytes) estimates
/// them from above. Beyond it a session may prepare within an equal share only.
pub(super) const ALL_PREPARED_BYTES_MAX: usize = 512 * 1024 * 1024;

impl Exec {
    /// After the session was read; `unread`: bytes that the edge keeps for it, `prepared`: of its prepared statements before.
    pub(super) fn count_kept(&mut self, session: &mut Session, unread: usize, prepared: usize) {
        let kept = u32::try_from(unread + session.wire.held_bytes()).unwrap_or(u32::MAX);
        self.kept = self.kept - session.kept as usize + kept as usize;
        session.kept = kept;
        self.prepared = self.prepared - prepared + session.prepared_bytes();
    }

    /// Whether there is room for another prepared statement of so many bytes: for whoever holds no more than an equal share
    /// there always is.
    pub(super) fn has_room_for_prepared(&self, session: &Session, bytes: usize) -> bool {
        let share = self.prepared_bytes_max / self.open.max(1);
        self.prepared + bytes <= self.prepared_bytes_max || session.prepared_bytes() + bytes <= share
    }

    /// Ends sessions until the others hold no more than they may: each time the one that holds most, so whoever fills the
    /// room pays for it. It hears why, behind the answers to what it asked before.
    pub(super) fn make_room(&mut self) {
        while self.kept > self.config.kept_bytes_max {
            let holders = self.sessions.iter().flatten().filter(|session| session.kept > 0);
            let Some(id) = holders.max_by_key(|session| session.kept).map(|session| session.id) else {
                never!("somebody holds what is counted");
                return;
            };
            let Some(mut session) = self.take(id) else {
                never!("a session that was found is there");
                return;
            };
            let prepared = session.prepared_bytes();
            let fatal = session.wire.abandon();
            session.forget_all();
            if !session.is_closing() {
                let mut answer = Vec::new();
                session.wire.reply(fatal.sequence, &mut answer).error(fatal.code, fatal.text);
                session.push(Entry::ready(answer));
                session.close_when_answered(fatal.reason);
            }
            self.count_kept(&mut session, 0, prepared);
            self.answer_front(&mut session);
            self.put_back(session);
        }
    }
}
