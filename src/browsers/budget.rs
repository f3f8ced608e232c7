//! How much of a turn connections may use: one of them, so that the others have their turn, and all of them, so that
//! nobody waits long for a message that comes meanwhile.

use crate::model::{ConnId, Time};

/// Frames of one connection that are looked at in one turn; more must wait for the others.
const FRAMES_PER_TURN: usize = 64;

/// Frames of all connections that are looked at in one turn; more must wait for the next turn. With the work that they
/// cause on other shards they are about three milliseconds.
const FRAMES_OF_ALL_PER_TURN: usize = 128;

/// So many names that a subscription leaves or comes to count as one frame more.
pub(super) const NAMES_PER_FRAME: usize = 16;

/// What newcomers are given of histories in one turn; about a millisecond of work. More waits for the next turn.
pub(super) const NEWCOMERS_BYTES_PER_TURN: usize = 512 * 1024;

/// A name that may have to be looked for in storage counts as so many.
pub(super) const RECOVERY_IN_NAMES: usize = 4;

/// What has been used of a turn. A connection is read several times in a row, but never after others of the same turn, so
/// one count serves each of them.
#[derive(Debug, Default)]
pub(super) struct TurnBudget {
    turn: Time,
    /// By all connections.
    frames_of_all: usize,
    of: Option<ConnId>,
    frames: usize,
}

impl TurnBudget {
    pub(super) fn charge(&mut self, turn: Time, conn: ConnId, frames: usize) {
        if self.turn != turn {
            *self = Self { turn, ..Self::default() };
        }
        if self.of != Some(conn) {
            (self.of, self.frames) = (Some(conn), 0);
        }
        self.frames += frames;
        self.frames_of_all += frames;
    }

    /// Whether the connection that was charged last is to wait for the others.
    pub(super) fn is_used_up(&self) -> bool {
        self.frames >= FRAMES_PER_TURN
    }

    /// Whether all connections are to wait for the next turn.
    pub(super) fn is_used_up_by_all(&self, turn: Time) -> bool {
        self.turn == turn && self.frames_of_all >= FRAMES_OF_ALL_PER_TURN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId { index: 1, generation: 0 };
    const B: ConnId = ConnId { index: 2, generation: 0 };

    #[test]
    fn each_connection_has_its_share() {
        let mut budget = TurnBudget::default();
        budget.charge(Time(5), A, FRAMES_PER_TURN - 1);
        assert!(!budget.is_used_up());
        budget.charge(Time(5), A, 1);
        assert!(budget.is_used_up());
        budget.charge(Time(5), B, 1);
        assert!(!budget.is_used_up());
    }

    #[test]
    fn all_together_have_one_turn() {
        let mut budget = TurnBudget::default();
        budget.charge(Time(5), A, FRAMES_OF_ALL_PER_TURN / 2);
        budget.charge(Time(5), B, FRAMES_OF_ALL_PER_TURN / 2 - 1);
        assert!(!budget.is_used_up_by_all(Time(5)));
        budget.charge(Time(5), A, 1);
        assert!(budget.is_used_up_by_all(Time(5)));
        assert!(!budget.is_used_up_by_all(Time(6)), "the next turn");
        budget.charge(Time(6), B, 1);
        assert!(!budget.is_used_up_by_all(Time(6)));
    }
}
