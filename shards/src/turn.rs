//! The order of a turn.

/// The parts of a turn.
pub(crate) trait Steps {
    /// Readiness, timers and wakes.
    fn begin(&mut self);
    /// Flushes, reads, accepts and timeouts.
    fn take_from_sockets(&mut self);
    fn take_messages(&mut self);
    /// Whether the host is free and the rings have room for what sockets cause, after a try to make some.
    fn has_room(&mut self) -> bool;
    /// Whether the host is free and messages of every level may be received, without such a try.
    fn may_receive(&self) -> bool;
    /// The host's `turn_ended`, ends, wakes of other shards and a slice of the fan-outs.
    fn end(&mut self);
}

/// Who comes first. What sockets bring and what messages bring can each fill the host, and a full one is held; and each
/// can fill the rings with what it causes, and then the other side may have to wait for room. If the same side always came
/// first, it could so keep the other out for ever. Hence: whoever came first and was asked, and left nothing to the other
/// side, comes second from then on. Whoever came first and was not asked, because the host was held or the rings
/// were full before, stays first.
///
/// *Nobody is kept out.* It remains to show that the first side is asked in the end; then it has its way or the other one
/// comes first. A held host comes free by itself. Backlog of any level holds up sockets, backlog above the level of requests
/// holds up requests. While sockets are first and not asked, nothing is added to the backlog of requests but what ends of
/// connections say, and each ends once; so it drains. From then on no request is received before all levels above are
/// without backlog, and that is when sockets are asked. So nothing is added to the backlog of announcements either, which
/// drains, and so on up to the replies. The same holds for messages that are first, which need not wait for the requests. Room
/// that is made in the middle of a turn must not go to the second side: so there is no try to make some for messages that
/// come second, and messages that come first have it before sockets do.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Order {
    messages_first: bool,
}

impl Order {
    pub(crate) fn turn(&mut self, shard: &mut impl Steps) {
        shard.begin();
        let has_room = shard.has_room();
        let (mut first_was_asked, second_is_asked);
        if self.messages_first {
            first_was_asked = shard.may_receive();
            shard.take_messages();
            if !first_was_asked && shard.has_room() {
                first_was_asked = true;
                shard.take_messages();
            }
            second_is_asked = shard.has_room();
            shard.take_from_sockets();
        } else {
            first_was_asked = has_room;
            shard.take_from_sockets();
            second_is_asked = shard.may_receive();
            shard.take_messages();
        }
        if first_was_asked && !second_is_asked {
            self.messages_first = !self.messages_first;
        }
        shard.end();
    }
}

#[cfg(test)]
mod tests;
