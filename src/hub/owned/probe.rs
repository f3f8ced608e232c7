//! What only tests ask of this wing.

use crate::model::{Now, PipeKey, Time};

use super::super::effects::Effects;
use super::Owned;
use super::users::Who;

impl Owned {
    pub(in crate::hub) fn is_online(&self, who: Who) -> bool {
        self.users.is_online(who)
    }

    /// Whether nothing is left of any user.
    pub(in crate::hub) fn has_no_users(&self) -> bool {
        self.users.is_empty()
    }

    pub(in crate::hub) fn count_subscribers(&self, pipe: &PipeKey) -> u32 {
        self.pipes.subscribers(pipe)
    }

    pub(in crate::hub) fn has_setting(&self, pipe: &PipeKey) -> bool {
        self.pipes.histories().has_setting(pipe)
    }

    /// When the first window of presence ends.
    pub(in crate::hub) fn window_end(&self) -> Option<Time> {
        self.presence.next_deadline()
    }

    pub(in crate::hub) fn end_windows(&mut self, now: Now, effects: &mut Effects) {
        self.presence.end_windows(&mut self.pipes, now, effects);
    }
}
