//! The warning that keys of users are guessed: one a minute, whichever shards notice it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use crate::model::Time;

/// Microseconds between two warnings.
const EVERY: u64 = 60_000_000;

/// The earliest time of the next warning, for all shards of the process.
static NEXT: AtomicU64 = AtomicU64::new(0);

pub(super) fn warn(now: Time, address: IpAddr, wrong: u32) {
    let next = NEXT.load(Ordering::Relaxed);
    if now.0 < next {
        return;
    }
    if NEXT.compare_exchange(next, now.0 + EVERY, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        warn!(%address, wrong, "wrong keys of users: those users have to wait at this address");
    }
}
