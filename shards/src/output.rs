//! Everything that leaves through sockets: direct writes, queues, fan-outs, and closing so that it arrives.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};

use crate::core::Core;
use crate::entry::Flags;
use crate::fan_out::FanOut;
use crate::host::{End, Host, SharedBytes, Token};
use crate::kernel::Kernel;
use crate::queue::Queue;
use crate::sender::{Incomplete, Item, classify};
use crate::shares::Shares;
use crate::unread::Unread;

/// Calls to the kernel in one flush of one queue; a reader that is faster waits for the next turn.
const FLUSH_CALLS_MAX: usize = 4;

/// What a receiver of a fan-out needs.
enum Offer {
    /// It is in the batch now.
    Batched,
    /// It is gone, or its queue took the bytes.
    Done,
    /// It is in the batch already: submit that first.
    Conflict,
}

impl<H: Host> Core<H> {
    pub(crate) fn write(&mut self, conn: Token, bytes: &[u8]) {
        if let Some(sent) = self.send_now(conn, bytes) {
            let rest = bytes.get(sent..).unwrap_or_default();
            self.enqueue(conn, rest.len(), |queue, _| queue.push(rest));
        }
    }

    pub(crate) fn write_shared(&mut self, conn: Token, bytes: &SharedBytes) {
        self.write_part(conn, bytes, 0..bytes.len());
    }

    pub(crate) fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        if let Some(sent) = self.send_now(conn, bytes.get(part.clone()).unwrap_or_default()) {
            self.enqueue_shared(conn, bytes, part.start + sent..part.end);
        }
    }

    pub(crate) fn write_last(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, within: Duration) {
        if let Some(sent) = self.send_now(conn, bytes.get(part.clone()).unwrap_or_default()) {
            let rest = part.start + sent..part.end;
            self.edit_queue(conn, |ext, shares| ext.queue.push_shared(bytes, rest, shares));
            self.relieve();
        }
        self.close_flushed_within(conn, within);
    }

    /// Sends directly if nothing is queued. Returns how many bytes were taken if a rest must be queued.
    fn send_now(&mut self, conn: Token, bytes: &[u8]) -> Option<usize> {
        let entry = self.slab.get(conn).filter(|entry| entry.is_open() && !entry.flags.has(Flags::BROKEN))?;
        if bytes.is_empty() {
            return None;
        }
        if entry.has_queue() {
            return Some(0);
        }
        let socket = entry.socket.as_ref()?;
        self.counters.sends += 1;
        match retry_on_intr(|| self.kernel.send(socket, bytes)) {
            Ok(taken) => {
                self.counters.bytes_out += taken as u64;
                if taken == bytes.len() {
                    return None;
                }
                self.counters.short_sends += 1;
                Some(taken)
            }
            Err(errno) => self.send_failed(conn, classify(errno)),
        }
    }

    /// Returns how many bytes were taken if a rest must be queued.
    fn send_failed(&mut self, conn: Token, incomplete: Incomplete) -> Option<usize> {
        match incomplete {
            Incomplete::Short(taken) => {
                self.counters.short_sends += 1;
                self.counters.bytes_out += taken as u64;
                Some(taken)
            }
            Incomplete::Again => {
                self.counters.short_sends += 1;
                self.list_flusher(conn);
                Some(0)
            }
            Incomplete::Broken => {
                self.write_broken(conn);
                None
            }
        }
    }

    /// Nothing can be sent any more. What the peer had sent before is still handed in, unless the host does not want
    /// it now: then the connection ends at once rather than wait for a resume that may never come.
    fn write_broken(&mut self, conn: Token) {
        let Some(entry) = self.slab.get_mut(conn) else { return };
        if !entry.is_open() || entry.flags.has(Flags::PAUSED) {
            return self.end(conn, End::Reset);
        }
        entry.flags.set(Flags::BROKEN | Flags::READABLE | Flags::FINISHED);
        self.edit_queue(conn, |ext, shares| ext.queue.clear(shares));
        self.list_reader(conn);
    }

    fn enqueue(&mut self, conn: Token, len: usize, push: impl FnOnce(&mut Queue, &mut Shares)) {
        // One write is always taken: its size says nothing about the reader.
        let queued = self.queued_bytes(conn);
        if queued > 0 && queued.saturating_add(len) > self.settings.queue_bytes_max {
            return self.end(conn, End::SlowConsumer);
        }
        self.edit_queue(conn, |ext, shares| push(&mut ext.queue, shares));
        self.relieve();
    }

    fn enqueue_shared(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        self.enqueue(conn, part.len(), |queue, shares| queue.push_shared(bytes, part, shares));
    }

    pub(crate) fn queued_bytes(&self, conn: Token) -> usize {
        self.slab.get(conn).and_then(|entry| entry.ext.as_ref()).map_or(0, |ext| ext.queue.len())
    }

    /// Sends what is queued until the socket is full, the queue is empty or the budget is used up. Every edge of
    /// writability must come here: it is not repeated.
    pub(crate) fn flush(&mut self, conn: Token) {
        for _ in 0..FLUSH_CALLS_MAX {
            let Some(entry) = self.slab.get(conn) else { return };
            let (Some(ext), Some(socket)) = (&entry.ext, &entry.socket) else { return };
            if ext.queue.is_empty() {
                return;
            }
            let (slices, count) = ext.queue.slices();
            let slices = slices.get(..count).unwrap_or_default();
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            self.counters.sends += 1;
            let sent = retry_on_intr(|| self.kernel.send_slices(socket, slices));
            let taken = match sent.map_err(classify) {
                Ok(taken) => taken,
                Err(Incomplete::Broken) => return self.write_broken(conn),
                Err(Incomplete::Again) => return self.list_flusher(conn),
                Err(Incomplete::Short(_)) => 0,
            };
            self.counters.bytes_out += taken as u64;
            let flushed = self.edit_queue(conn, |ext, shares| {
                ext.queue.advance(taken, shares);
                ext.queue.is_empty().then_some(ext.tell_when_sent)
            });
            if let Some(tell) = flushed.flatten() {
                if tell {
                    self.sent.push_back(conn);
                }
                return self.flushed(conn);
            }
            if taken < wanted {
                self.counters.short_sends += 1;
                return;
            }
        }
        self.list_flusher(conn);
    }

    /// The queue has become empty.
    fn flushed(&mut self, conn: Token) {
        let Some(entry) = self.slab.get(conn) else { return };
        if entry.flags.has(Flags::ENDED_BY_PEER) {
            self.end(conn, End::PeerClosed);
        } else if entry.flags.has(Flags::CLOSING) {
            self.linger(conn);
        }
    }

    /// Reads nothing more, sends what is queued, then sees to it that the peer gets it.
    pub(crate) fn close_after_flush(&mut self, conn: Token) {
        self.close_flushed_within(conn, self.settings.close_time_max);
    }

    fn close_flushed_within(&mut self, conn: Token, within: Duration) {
        let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) else { return };
        let has_queue = entry.has_queue();
        entry.flags.set(Flags::CLOSING);
        entry.flags.clear(Flags::PAUSED | Flags::HAND_IN);
        if entry.flags.has(Flags::BROKEN) {
            return self.end(conn, End::Local);
        }
        self.set_deadline(conn, within);
        self.edit_ext(conn, |ext| ext.unread = Unread::default());
        if !has_queue {
            self.linger(conn);
        }
    }

    /// All is sent: says so to the peer, and throws its input away until it closes too. Closing at once would answer
    /// unread input with a reset, and a reset makes the peer's kernel drop what it has received from us.
    fn linger(&mut self, conn: Token) {
        let Some(entry) = self.slab.get_mut(conn) else { return };
        let Some(socket) = &entry.socket else { return };
        if entry.flags.has(Flags::LINGERING) {
            return;
        }
        if self.kernel.shut_down(socket).is_err() {
            return self.end(conn, End::Local);
        }
        entry.flags.set(Flags::LINGERING);
        // However long flushing might have taken: a peer that has everything only has to close.
        self.deadline_within(conn, self.settings.close_time_max);
        // The kernel may have reported input that nobody read since.
        self.list_reader(conn);
    }

    /// Sends pending fan-outs to up to one slice of receivers.
    pub(crate) fn send_slice(&mut self) {
        let mut left = self.budgets.fan_out_slice;
        let mut batch: Vec<(Token, usize)> = Vec::with_capacity(left);
        while left > 0 && !self.fan_outs.is_empty() {
            let mut fan_outs = std::mem::take(&mut self.fan_outs);
            let jobs = fan_outs.jobs_mut();
            'gather: for (number, job) in jobs.iter_mut().enumerate() {
                while let Some(conn) = job.conns.get(job.next).copied() {
                    if left == 0 {
                        break 'gather;
                    }
                    match self.offer(conn, &job.bytes) {
                        Offer::Conflict => break 'gather,
                        Offer::Batched => batch.push((conn, number)),
                        Offer::Done => {}
                    }
                    job.next += 1;
                    left -= 1;
                }
            }
            self.submit(&batch, jobs);
            batch.clear();
            fan_outs.drop_done();
            self.fan_outs = fan_outs;
        }
    }

    fn offer(&mut self, conn: Token, bytes: &SharedBytes) -> Offer {
        let Some(entry) = self.slab.get_mut(conn) else { return Offer::Done };
        if !entry.is_open() || entry.flags.has(Flags::BROKEN) {
            return Offer::Done;
        }
        if entry.flags.has(Flags::IN_BATCH) {
            return Offer::Conflict;
        }
        if entry.has_queue() {
            self.enqueue_shared(conn, bytes, 0..bytes.len());
            return Offer::Done;
        }
        entry.flags.set(Flags::IN_BATCH);
        Offer::Batched
    }

    /// Sends one batch: to each connection the bytes of the job with that number.
    fn submit(&mut self, batch: &[(Token, usize)], jobs: &VecDeque<FanOut>) {
        if batch.is_empty() {
            return;
        }
        let mut receivers = Vec::with_capacity(batch.len());
        let mut items = Vec::with_capacity(batch.len());
        for (conn, number) in batch {
            let socket = self.slab.get(*conn).and_then(|entry| entry.socket.as_ref());
            if let (Some(socket), Some(job)) = (socket, jobs.get(*number)) {
                receivers.push((*conn, &job.bytes));
                items.push(Item { socket, bytes: &job.bytes });
            }
        }
        let mut incomplete = Vec::new();
        self.kernel.send_batch(&items, &mut incomplete);
        self.counters.fan_out_sends += items.len() as u64;
        self.counters.fan_out_batches += 1;
        self.counters.bytes_out += items.iter().map(|item| item.bytes.len() as u64).sum::<u64>();
        for (conn, _) in batch {
            if let Some(entry) = self.slab.get_mut(*conn) {
                entry.flags.clear(Flags::IN_BATCH);
            }
        }
        for (index, what) in incomplete {
            let Some((conn, bytes)) = receivers.get(index).copied() else { continue };
            self.counters.bytes_out -= bytes.len() as u64;
            if let Some(sent) = self.send_failed(conn, what) {
                self.enqueue_shared(conn, bytes, sent..bytes.len());
            }
        }
    }
}

/// Errors of `recv` that end nothing.
pub(crate) fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::INTR | Errno::NOMEM | Errno::NOBUFS)
}
