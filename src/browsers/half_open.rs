//! Connections that have not shown yet what they are for, oldest first. When the shard is full and somebody waits, the
//! oldest of them has to go: half-open connections cost their sender nothing, and would keep everybody else out.

use std::collections::VecDeque;

use crate::model::ConnId;

/// Lacks a way to be told that one is not half-open any more: it looks at the state where it matters.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    /// In the order of their accepts. Holds others too, no more than there are half-open ones, or `ROOM_MIN`.
    queue: VecDeque<ConnId>,
    /// At this length the others are thrown out.
    sweep_at: usize,
}

/// No sweep is worth it for less.
const ROOM_MIN: usize = 64;

impl HalfOpen {
    /// `is_half_open`: whether one that came before is so still.
    pub(crate) fn push(&mut self, conn: ConnId, mut is_half_open: impl FnMut(ConnId) -> bool) {
        if self.queue.len() >= self.sweep_at.max(ROOM_MIN) {
            self.queue.retain(|conn| is_half_open(*conn));
            self.sweep_at = self.queue.len() * 2;
            self.queue.shrink_to(self.sweep_at.max(ROOM_MIN));
        }
        self.queue.push_back(conn);
    }

    pub(crate) fn take_oldest(&mut self, mut is_half_open: impl FnMut(ConnId) -> bool) -> Option<ConnId> {
        while let Some(conn) = self.queue.pop_front() {
            if is_half_open(conn) {
                return Some(conn);
            }
        }
        None
    }

    pub(crate) fn bytes(&self) -> usize {
        self.queue.capacity() * size_of::<ConnId>()
    }
}
