//! Reading: from the socket through the shard's one buffer to the host.

use rustix::io::Errno;

use crate::entry::Flags;
use crate::host::{End, Host, Token};
use crate::io::Io;
use crate::kernel::Kernel;
use crate::output::is_passing;
use crate::shard::Shard;
use crate::turn::Steps;
use crate::unread::Unread;

/// Reads of one connection before the others get their turn.
const READS_PER_VISIT: usize = 4;

/// Input thrown away while a connection lingers, before it is closed anyway.
const DRAINED_MAX: usize = 1024 * 1024;

impl<H: Host> Shard<H> {
    /// Reads the listed connections, each at most once. None while the rings are congested: what a connection sends
    /// may cause messages, so reading is what must stop when there is no room for them. And none that is open when the
    /// server stops: only those that linger have to be listened to until they end. Nor any after the one with which the host had
    /// enough: those behind it come first in the next turn.
    pub(crate) fn read_listed(&mut self) {
        for _ in 0..self.core.readers.len() {
            if !self.has_room() {
                self.core.counters.congested_turns += 1;
                return;
            }
            if self.core.reads_no_more {
                return;
            }
            let Some(conn) = self.core.readers.pop_front() else { return };
            let Some(entry) = self.core.slab.get_mut(conn) else { continue };
            entry.flags.clear(Flags::READ_LISTED);
            if entry.flags.has(Flags::LINGERING) {
                self.drain(conn);
            } else if entry.is_open() && !self.stop.has_begun() {
                self.read(conn);
            }
            self.tell_ends();
        }
    }

    fn read(&mut self, conn: Token) {
        if let Some(entry) = self.core.slab.get_mut(conn)
            && entry.flags.has(Flags::HAND_IN)
        {
            entry.flags.clear(Flags::HAND_IN);
            self.hand_in(conn, 0);
        }
        for _ in 0..READS_PER_VISIT {
            let Some(entry) = self.core.slab.get_mut(conn).filter(|entry| entry.is_open()) else { return };
            let pending = entry.flags.has_any(Flags::READABLE | Flags::FINISHED);
            if entry.flags.has(Flags::PAUSED) || !pending {
                return;
            }
            if entry.flags.has(Flags::HAND_IN) || self.core.endpoint.congested() {
                return self.core.list_reader(conn);
            }
            let Some(socket) = &entry.socket else { return };
            match self.core.kernel.receive(socket, &mut self.buffer) {
                Ok(0) => {
                    self.core.peer_closed(conn);
                    if self.core.slab.get(conn).is_some_and(|entry| entry.flags.has(Flags::CLOSING)) {
                        self.host.half_closed(&mut Io::new(&mut self.core), conn);
                    }
                    return;
                }
                Ok(count) => {
                    if count < self.buffer.len() && !entry.flags.has(Flags::FINISHED) {
                        entry.flags.clear(Flags::READABLE);
                    }
                    self.core.counters.reads += 1;
                    self.core.counters.bytes_in += count as u64;
                    self.core.touch(conn);
                    self.hand_in(conn, count);
                }
                Err(Errno::AGAIN) => {
                    if entry.flags.has(Flags::BROKEN) {
                        return self.core.end(conn, End::Reset);
                    }
                    entry.flags.clear(Flags::READABLE | Flags::FINISHED);
                    return;
                }
                Err(errno) if is_passing(errno) => {}
                Err(_) => return self.core.end(conn, End::Reset),
            }
        }
        self.core.list_reader(conn);
    }

    /// Hands in the kept rest and the first `count` bytes of the buffer, and keeps what is left unused.
    fn hand_in(&mut self, conn: Token, count: usize) {
        let Some(entry) = self.core.slab.get(conn) else { return };
        let has_rest = entry.ext.as_ref().is_some_and(|ext| !ext.unread.is_empty());
        let fresh = self.buffer.get_mut(..count).unwrap_or_default();
        let rest = if has_rest {
            let kept = self.core.edit_ext(conn, |ext| std::mem::take(&mut ext.unread));
            let mut unread = kept.unwrap_or_default();
            unread.push(fresh);
            let used = self.host.received(&mut Io::new(&mut self.core), conn, unread.rest_mut());
            unread.advance(used);
            unread
        } else if fresh.is_empty() {
            return;
        } else {
            let used = self.host.received(&mut Io::new(&mut self.core), conn, fresh);
            let mut unread = Unread::default();
            unread.push(fresh.get(used..).unwrap_or_default());
            unread
        };
        self.keep(conn, rest);
    }

    fn keep(&mut self, conn: Token, rest: Unread) {
        if rest.is_empty() {
            return;
        }
        let Some(entry) = self.core.slab.get(conn).filter(|entry| entry.is_open()) else { return };
        let paused = entry.flags.has_any(Flags::PAUSED | Flags::HAND_IN);
        if !paused && rest.len() > self.core.settings.unread_bytes_max {
            return self.core.end(conn, End::TooMuchUnread);
        }
        self.core.edit_ext(conn, |ext| ext.unread = rest);
        self.core.relieve();
    }

    /// Throws away the input of a lingering connection until the peer closes, and ends it then.
    fn drain(&mut self, conn: Token) {
        for _ in 0..READS_PER_VISIT {
            let Some(socket) = self.core.slab.get(conn).and_then(|entry| entry.socket.as_ref()) else { return };
            match self.core.kernel.receive(socket, &mut self.buffer) {
                Ok(count @ 1..) => {
                    let drained = self.core.edit_ext(conn, |ext| {
                        ext.drained += count;
                        ext.drained
                    });
                    if drained.is_none_or(|drained| drained > DRAINED_MAX) {
                        return self.core.end(conn, End::Local);
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(errno) if is_passing(errno) => {}
                Ok(_) | Err(_) => return self.core.end(conn, End::Local),
            }
        }
        self.core.list_reader(conn);
    }
}
