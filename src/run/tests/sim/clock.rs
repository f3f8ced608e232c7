//! The simulated time: one number, and how the three kinds of time that the server knows are made of it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::model::{Now, Time, UnixTime};

/// Stands for the beginning of every run. Only differences are ever looked at.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn clock(micros: u64) -> Now {
    let unix = UnixTime(1_700_000_000 + (micros / 1_000_000) as i64);
    Now { time: Time(micros), unix, micros: (micros % 1_000_000) as u32 }
}

pub(super) fn instant(time: Time) -> Instant {
    *START + Duration::from_micros(time.0)
}

pub(super) fn now(instant: Instant) -> Now {
    clock(instant.saturating_duration_since(*START).as_micros() as u64)
}
