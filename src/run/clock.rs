//! The clock of the server: the moment at which it started, and what the clocks say in one turn of a shard.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Now, Time, UnixTime};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// From now on time counts.
pub(super) fn start() {
    LazyLock::force(&START);
}

thread_local! {
    /// What the last turn of this thread's shard was told.
    static LAST: Cell<Option<(Instant, Now)>> = const { Cell::new(None) };
}

/// Both clocks, the monotonic one at this instant. The system's clock is read once for each instant, which is once in a
/// turn.
pub(super) fn now(instant: Instant) -> Now {
    if let Some((last, now)) = LAST.get()
        && last == instant
    {
        return now;
    }
    let now = read(instant);
    LAST.set(Some((instant, now)));
    now
}

fn read(instant: Instant) -> Now {
    let micros = instant.saturating_duration_since(*START).as_micros() as u64;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { time: Time(micros), unix: UnixTime(unix.as_secs() as i64), micros: unix.subsec_micros() }
}

/// The moment of a time that [`now`] may tell.
pub(super) fn instant(time: Time) -> Instant {
    *START + Duration::from_micros(time.0)
}

/// Milliseconds since the server started.
pub(super) fn uptime_ms() -> u64 {
    START.elapsed().as_millis() as u64
}

/// Seconds since 1970.
pub(super) fn wall_clock_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Seconds since the server started.
pub(super) fn uptime() -> u64 {
    START.elapsed().as_secs()
}
