//! What sessions hold of what their clients sent: bytes that are not read yet, packets of which a part has come, long
//! data and prepared statements. Each session has a bound for each of these, and all sessions have one together.

use super::Exec;
use super::session::{Entry, Session};

impl Exec {
    /// After the session was read; `unread`: bytes that the edge keeps for it.
    pub(super) fn count_kept(&mut self, session: &mut Session, unread: usize) {
        let kept = unread + session.wire.held_bytes() + session.prepared_bytes;
        let kept = u32::try_from(kept).unwrap_or(u32::MAX);
        self.kept = self.kept - session.kept as usize + kept as usize;
        session.kept = kept;
    }

    /// Ends sessions until the others hold no more than they may: each time the one that holds most, so whoever fills the
    /// room pays for it. It hears why, behind the answers to what it asked before.
    pub(super) fn make_room(&mut self) {
        while self.kept > self.config.kept_bytes_max {
            let holders = self.sessions.iter().flatten().filter(|session| session.kept > 0);
            let Some(id) = holders.max_by_key(|session| session.kept).map(|session| session.id) else { return };
            let Some(mut session) = self.take(id) else { return };
            let fatal = session.wire.abandon();
            session.forget_all();
            if !session.is_closing() {
                let mut answer = Vec::new();
                session.wire.reply(fatal.sequence, &mut answer).error(fatal.code, fatal.text);
                session.push(Entry::ready(answer));
                session.close_when_answered(fatal.reason);
            }
            self.count_kept(&mut session, 0);
            self.answer_front(&mut session);
            self.put_back(session);
        }
    }
}
