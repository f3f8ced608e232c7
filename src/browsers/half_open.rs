//! Connections that have not shown yet what they are for, oldest first. When the shard is full and somebody waits, the
//! oldest of them has to go: half-open connections cost their sender nothing, and would keep everybody else out.

use std::collections::VecDeque;

use shards::Token;

use super::runtime::Runtime;

/// Lacks a way to be told that one is not half-open any more: it looks at the state where it matters.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    /// In the order of their accepts. Holds others too, no more than there are half-open ones, or `ROOM_MIN`.
    queue: VecDeque<Token>,
    /// At this length the others are thrown out.
    sweep_at: usize,
}

/// No sweep is worth it for less.
const ROOM_MIN: usize = 64;

impl HalfOpen {
    pub(super) fn push(&mut self, io: &mut impl Runtime, conn: Token) {
        if self.queue.len() >= self.sweep_at.max(ROOM_MIN) {
            self.queue.retain(|conn| is_half_open(io, *conn));
            self.sweep_at = self.queue.len() * 2;
            self.queue.shrink_to(self.sweep_at.max(ROOM_MIN));
        }
        self.queue.push_back(conn);
    }

    pub(super) fn take_oldest(&mut self, io: &mut impl Runtime) -> Option<Token> {
        while let Some(conn) = self.queue.pop_front() {
            if is_half_open(io, conn) {
                return Some(conn);
            }
        }
        None
    }

    pub(super) fn bytes(&self) -> usize {
        self.queue.capacity() * size_of::<Token>()
    }
}

fn is_half_open(io: &mut impl Runtime, conn: Token) -> bool {
    io.state(conn).is_some_and(|browser| browser.phase.is_half_open())
}
