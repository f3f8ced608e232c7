//! Batched sends through `io_uring`: one system call for many items.
//!
//! Every send carries `MSG_DONTWAIT`, so the kernel answers EAGAIN instead of keeping it; `MSG_WAITALL`, so a short send
//! counts as failed and its completion tells the bytes taken; and the mark that a success posts no completion. So a
//! batch to healthy connections produces no completions at all, and exactly the slow ones report.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::{Incomplete, Item, classify, send_flags};
use crate::settings::FAN_OUT_SLICE_MAX;

/// Places in the submission queue. A longer batch takes several submissions.
const ENTRIES: u32 = 1024;

/// Submissions in a row that may fail for a passing reason before the ring is given up.
const STALLS_MAX: u32 = 16;

pub(crate) struct RingSender {
    ring: IoUring,
}

impl RingSender {
    pub(super) fn new() -> io::Result<Self> {
        let ring = build()?;
        if !ring.params().is_feature_skip_cqe_on_success() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self { ring })
    }

    /// Sends the items in order. Returns how many were dealt with: fewer than all of them only if the ring does not
    /// work any more and must be dropped.
    pub(super) fn send<S: AsFd>(&mut self, items: &[Item<'_, S>], incomplete: &mut Vec<(usize, Incomplete)>) -> usize {
        let mut done = 0;
        for batch in items.chunks(ENTRIES as usize) {
            let submitted = self.submit(batch, done);
            self.harvest(items, incomplete);
            done += submitted;
            if submitted < batch.len() {
                break;
            }
        }
        done
    }

    /// Returns how many of the batch the kernel has consumed, always from its start.
    fn submit<S: AsFd>(&mut self, batch: &[Item<'_, S>], first: usize) -> usize {
        let flags = send_flags().bits() | RecvFlags::WAITALL.bits();
        let mut queued = 0;
        {
            let mut submission = self.ring.submission();
            for (item, index) in batch.iter().zip(first..) {
                let len = u32::try_from(item.bytes.len()).unwrap_or(u32::MAX);
                let entry = opcode::Send::new(types::Fd(item.socket.as_fd().as_raw_fd()), item.bytes.as_ptr(), len)
                    .flags(flags as i32)
                    .build()
                    .flags(Flags::SKIP_SUCCESS)
                    .user_data(index as u64);
                // SAFETY: the socket and the bytes are borrowed by `items` for the whole of `send`, and `as_fd` of a socket
                // gives a descriptor that stays open for as long as that borrow; so they outlive the entry if the kernel is done with it when `send` returns. It is: MSG_DONTWAIT makes a request
                // that cannot go on at once fail at once, so none stays in the kernel after the call that submitted
                // it. An entry that is never submitted (see the loop below) makes `send` return less than all items,
                // and then the ring is dropped before anything else is submitted, while `items` is still borrowed.
                if unsafe { submission.push(&entry) }.is_err() {
                    break;
                }
                queued += 1;
            }
        }
        let mut consumed = 0;
        let mut stalls = 0;
        while consumed < queued && stalls < STALLS_MAX {
            match self.ring.submit() {
                Ok(0) => stalls += 1,
                Ok(count) => {
                    consumed += count;
                    stalls = 0;
                }
                Err(error) if is_passing(&error) => stalls += 1,
                Err(_) => break,
            }
        }
        consumed
    }

    /// Takes the completions: there is one for each send that was not taken whole.
    fn harvest<S>(&mut self, items: &[Item<'_, S>], incomplete: &mut Vec<(usize, Incomplete)>) {
        for completion in self.ring.completion() {
            let index = completion.user_data() as usize;
            let Some(item) = items.get(index) else { continue };
            match usize::try_from(completion.result()) {
                Ok(taken) if taken < item.bytes.len() => incomplete.push((index, Incomplete::Short(taken))),
                Ok(_) => {}
                Err(_) => incomplete.push((index, classify(Errno::from_raw_os_error(-completion.result())))),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::INTR | Errno::AGAIN | Errno::BUSY))
}

/// Makes the ring with as many of the wanted flags as the kernel knows; each of them only saves time.
fn build() -> io::Result<IoUring> {
    const WANTED: [u32; 4] = [3, 2, 1, 0];
    let mut last = io::Error::from(io::ErrorKind::Unsupported);
    for level in WANTED {
        let mut builder = IoUring::builder();
        builder.dontfork();
        if level >= 1 {
            builder.setup_submit_all();
        }
        if level >= 2 {
            builder.setup_coop_taskrun();
        }
        if level >= 3 {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        match builder.build(ENTRIES) {
            Ok(ring) => return Ok(ring),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Whether batched sends really work here: makes a ring, sends a text on a socket pair, and then fills the pair until
/// a send falls short, which must be reported with the exact count.
pub(crate) fn probe() -> io::Result<()> {
    let mut sender = RingSender::new()?;
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let text = [b'e'; 16 * 1024];
    let mut sent = 0;
    let mut incomplete = Vec::new();
    // Any socket is full long before this many sends of 16 KiB.
    for _ in 0..FAN_OUT_SLICE_MAX {
        if sender.send(&[Item { socket: &near, bytes: &text }], &mut incomplete) != 1 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match incomplete.as_slice() {
            [] => sent += text.len(),
            [(0, Incomplete::Short(taken))] => {
                sent += taken;
                break;
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    let received = drain(&far)?;
    if incomplete.is_empty() || received != sent || received == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(())
}

/// Reads what is there and counts it.
fn drain(far: &UnixStream) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let mut received = 0;
    loop {
        match io::Read::read(&mut &*far, &mut buffer) {
            Ok(0) => return Ok(received),
            Ok(count) => received += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(received),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
