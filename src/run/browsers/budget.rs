//! How much of a turn one connection may use.

use shards::Token;

use crate::model::Time;

/// Frames of one connection that are looked at in one turn; more must wait for the others.
const FRAMES_PER_TURN: usize = 64;

/// So many names that a subscription leaves or comes to count as one frame more.
pub(super) const NAMES_PER_FRAME: usize = 16;

/// A name that may have to be looked for in storage counts as so many.
pub(super) const RECOVERY_IN_NAMES: usize = 4;

/// What one connection has used of its turn. A connection is read several times in a row, but never after others of the
/// same turn, so one count serves all.
#[derive(Debug, Default)]
pub(super) struct TurnBudget {
    of: Option<(Time, Token)>,
    frames: usize,
}

impl TurnBudget {
    pub(super) fn charge(&mut self, turn: Time, conn: Token, frames: usize) {
        if self.of != Some((turn, conn)) {
            *self = Self { of: Some((turn, conn)), frames: 0 };
        }
        self.frames += frames;
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.frames >= FRAMES_PER_TURN
    }
}
