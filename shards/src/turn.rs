//! The order of a turn. On its own so that a simulation of the runtime keeps the same one.

/// The parts of a turn.
pub trait Steps {
    /// Readiness, timers and wakes.
    fn begin(&mut self);
    /// Flushes, reads, accepts and timeouts.
    fn take_from_sockets(&mut self);
    fn take_messages(&mut self);
    /// Whether the host takes no new work, see [`Io::hold`](crate::Io::hold).
    fn is_held(&self) -> bool;
    /// Whether the rings have room for what sockets cause, after a try to make some.
    fn has_room(&mut self) -> bool;
    /// The host's `turn_ended`, ends, wakes of other shards and a slice of the fan-outs.
    fn end(&mut self);
}

/// Who comes first. What sockets bring and what messages bring can each fill the host, and a full one is held: then the
/// other side gets nothing. If the same side always came first, it could keep the other out for ever; so whenever a turn
/// began free and got held, the other side comes first in the next one that begins free. Sockets that came first while
/// the rings had no room were not asked, and stay first.
#[derive(Copy, Clone, Debug, Default)]
pub struct Order {
    messages_first: bool,
}

impl Order {
    pub fn turn(&mut self, shard: &mut impl Steps) {
        shard.begin();
        let was_free = !shard.is_held();
        let was_asked = self.messages_first || shard.has_room();
        if self.messages_first {
            shard.take_messages();
            shard.take_from_sockets();
        } else {
            shard.take_from_sockets();
            shard.take_messages();
        }
        if was_free && was_asked && shard.is_held() {
            self.messages_first = !self.messages_first;
        }
        shard.end();
    }
}

#[cfg(test)]
mod tests;
