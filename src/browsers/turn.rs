//! The end of a turn: what waited for it, and when the next one has to come without any input.

use crate::hub::Input;
use crate::model::{CloseReason, Time};

use super::Browsers;
use super::budget::NEWCOMERS_BYTES_PER_TURN;
use super::effects::Effects;

impl Browsers {
    pub(crate) fn turn_ended(&mut self, io: &mut impl Effects) {
        self.go_on_with_leaving(io);
        self.forget_dismissed(io);
        self.send_deferred(io);
        for conn in self.pace.take_due(io.now().time) {
            // Whoever waits for an answer as well is resumed with it.
            if conn.is_polled() || !self.hub.is_busy(conn) {
                self.resume(io, conn);
            }
        }
        self.go_on_with_polls(io);
        self.go_on_with_admissions(io);
        self.tell_presence(io);
        self.go_on_with_figures(io);
        let mut given = 0;
        while given < NEWCOMERS_BYTES_PER_TURN && self.hub.has_arrivals() && !io.fan_out_pending() {
            given += self.hub.end_turn();
            self.on_its_way.extend(self.hub.formed());
            self.carry_out(io);
            // A turn without receivers has nothing to wait for.
            self.send_deferred(io);
            io.hold(self.hub.is_full());
        }
        self.end_slow_flushes(io);
        self.recent.forget(io.now().time);
        if self.hub.next_deadline().is_some() {
            self.hub.time_passed(io.now());
            self.carry_out(io);
        }
        self.take_completions(io);
        self.answer_polls(io);
        // Forming fan-outs may have ended a hold under which polls were left, and completions may have brought arrivals and
        // ends of connections. No wake comes for that; while the rings are full, the runtime looks again by itself.
        let arrived = self.hub.has_arrivals() && !io.fan_out_pending();
        self.unfinished = !io.congested() && (arrived || self.has_polls_noted() || !self.dismissed.is_empty());
    }

    /// When `turn_ended` has something to do without any input.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.work_due().into_iter().chain(self.polls.next_deadline()).min()
    }

    /// The same without polls: one that waits is never far from its deadline.
    pub(crate) fn work_due(&self) -> Option<Time> {
        let flushing = self.flushing.next_moment().filter(|until| *until < NEVER);
        let leaving = self.hub.presence_deadline().map(|due| due.max(self.leaving_retry));
        let at_once = self.unfinished.then(Time::default);
        let recent = self.recent.next_deadline();
        let timers = [
            at_once,
            self.hub.next_deadline(),
            flushing,
            self.pace.due(),
            leaving,
            self.figures.due(),
            recent,
            self.leaving_due(),
        ];
        timers.into_iter().flatten().min()
    }

    /// When a part of a queue that was given to a page counts as not taken: what is new for its user waits for that.
    #[cfg(test)]
    pub(crate) fn untaken_due(&self) -> Option<Time> {
        self.polls.untaken_due()
    }

    /// Whether publications, messages or ends of connections wait here for a turn.
    pub(crate) fn has_work(&self) -> bool {
        let has_messages = self.hub.has_arrivals() || !self.deferred.is_empty() || !self.refused.is_empty();
        has_messages || self.has_polls_noted() || !self.dismissed.is_empty()
    }

    /// Whether requests, commands or ends of connections without a socket wait for the end of a turn.
    fn has_polls_noted(&self) -> bool {
        !self.polls_noted.is_empty() || !self.polls_resumed.is_empty() || self.polls.has_over()
    }

    /// Timers are work from outside: what follows from them waits while a ring is full.
    fn tell_presence(&mut self, io: &mut impl Effects) {
        let now = io.now();
        if self.hub.presence_deadline().is_none_or(|due| due.max(self.leaving_retry) > now.time) {
            return;
        }
        if io.congested() {
            self.leaving_retry = now.time + LEAVING_RETRY_AFTER;
            return;
        }
        self.hub.tell_presence(now);
        self.carry_out(io);
    }

    /// The user's other devices, and who writes to the user, wait for the one that takes the queue.
    fn end_slow_flushes(&mut self, io: &mut impl Effects) {
        let now = io.now().time;
        while let Some(conn) = self.flushing.first().copied()
            && self.flushing.next_moment().is_some_and(|until| until <= now)
        {
            // The end of the connection says that the part was not taken, and until then nobody looks at it again.
            self.flushing.touch(&conn, NEVER);
            self.drop_connection(io, conn, CloseReason::SlowConsumer);
        }
    }

    fn send_deferred(&mut self, io: &mut impl Effects) {
        if !io.fan_out_pending() {
            for (to, message) in std::mem::take(&mut self.deferred) {
                io.send(to, message);
            }
            if !self.on_its_way.is_empty() {
                let now = io.now().unix_micros();
                for position in self.on_its_way.drain(..) {
                    self.counters.add_latency(now.saturating_sub(position.micros()));
                }
            }
        }
    }

    fn go_on_with_figures(&mut self, io: &mut impl Effects) {
        self.figures.notice(io, &mut self.hub);
        let Some(due) = self.figures.due() else { return };
        let now = io.now().time;
        if now < due {
            return;
        }
        if io.congested() {
            return self.figures.put_off(now);
        }
        if let Some(publication) = self.figures.tell(io, &mut self.hub, now) {
            self.input(io, Input::Announce { publication });
        }
    }
}

/// No part of a queue has so much time.
const NEVER: Time = Time(u64::MAX);

/// Microseconds until it is looked again whether the rings have room.
const LEAVING_RETRY_AFTER: u64 = 10_000;
