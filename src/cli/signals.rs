//! What signals mean: TERM and INT stop the server, HUP asks for a reload that is not there yet.

use encke::run::Running;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::process::exit;
use std::thread;
use std::time::Duration;

/// From the first signal to the end of the process, whatever still hangs. Everything acknowledged is stored by then,
/// since nothing is acknowledged before.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_800);

/// Exit status of a process that INT ended, as shells count.
const ENDED_BY_INT: i32 = 130;

/// From here on no signal ends the process by itself.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// Whether a signal that came meanwhile asks for the end.
pub(crate) fn end_is_asked_for(signals: &mut Signals) -> bool {
    signals.pending().any(|signal| signal != SIGHUP)
}

/// Waits until a signal asks for the end, stops the server and watches that it really ends.
pub(crate) fn wait(mut signals: Signals, running: &Running) {
    for signal in signals.forever() {
        if signal == SIGHUP {
            tracing::warn!("SIGHUP: reload is not supported yet, restart the server instead");
            continue;
        }
        tracing::info!(signal = if signal == SIGINT { "SIGINT" } else { "SIGTERM" }, "stopping");
        break;
    }
    running.stop();
    thread::spawn(move || end_at_second_int(signals));
    thread::spawn(|| {
        thread::sleep(STOP_TIMEOUT);
        tracing::error!("not stopped in time, ending anyway");
        exit(1);
    });
}

fn end_at_second_int(mut signals: Signals) {
    for signal in signals.forever() {
        if signal == SIGINT {
            exit(ENDED_BY_INT);
        }
    }
}
