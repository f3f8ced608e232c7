//! What signals mean: TERM and INT stop the server, and USR1 opens the log's file anew. All others that would end the process
//! are passed over: HUP asks for a reload and USR2 for other work that is not there yet, and the system says with XFSZ that a file, such as the one
//! that standard error goes to, may not grow any more, which the failed write tells as well. PIPE is passed over by Rust's
//! start of every program.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::process::exit;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A second TERM ends the process at once, if the stop lasts longer than this by then: a stop that is clean takes less, and
/// some programs send the signal twice, to the process and to its group.
pub(crate) const SECOND_TERM_AFTER: Duration = Duration::from_millis(1_200);

/// Exit status of a process that a signal ended, as shells count.
const ENDED_BY_SIGNAL: i32 = 128;

/// From here on no signal ends the process by itself.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ])
}

pub(crate) fn asks_for_the_end(signal: i32) -> bool {
    matches!(signal, SIGTERM | SIGINT)
}

pub(crate) fn name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        SIGHUP => "SIGHUP",
        SIGUSR1 => "SIGUSR1",
        SIGUSR2 => "SIGUSR2",
        SIGXFSZ => "SIGXFSZ",
        _ => "unknown",
    }
}

/// Whether a signal that came meanwhile asks for the end.
pub(crate) fn end_is_asked_for(signals: &mut Signals) -> bool {
    signals.pending().any(asks_for_the_end)
}

/// The next signal that the control thread has to act on. Once the server stops, a signal may end the process here and now.
pub(crate) fn next(signals: &mut Signals, stopping: &OnceLock<Instant>) -> Option<i32> {
    signals.forever().find(|signal| {
        if let Some(since) = stopping.get()
            && ends_at_once(*signal, since.elapsed())
        {
            exit(ENDED_BY_SIGNAL + signal);
        }
        // The log may be the very file that must not grow.
        *signal != SIGXFSZ
    })
}

/// Whether a signal ends the process while it stops, so long after the stop began.
fn ends_at_once(signal: i32, stopping_for: Duration) -> bool {
    signal == SIGINT || signal == SIGTERM && stopping_for >= SECOND_TERM_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_ends_a_stop_that_hangs() {
        for (signal, millis, expected) in [
            (SIGINT, 0, true),
            (SIGTERM, 0, false),
            (SIGTERM, 1_199, false),
            (SIGTERM, 1_200, true),
            (SIGHUP, 5_000, false),
            (SIGUSR2, 5_000, false),
        ] {
            assert_eq!(ends_at_once(signal, Duration::from_millis(millis)), expected, "{signal} {millis}");
        }
    }
}
