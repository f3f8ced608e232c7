//! A panic anywhere is a broken invariant of ours: it is logged and the whole server stops, since a part that is
//! missing would leave connections hanging and nobody would notice.

use signal_hook::consts::SIGTERM;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

static PANICKED: AtomicBool = AtomicBool::new(false);

/// From here on a panic asks for the end of the process, as a signal from outside would; signals must be caught.
pub(crate) fn stop_on_panic() {
    panic::set_hook(Box::new(|info| {
        tell(info);
        PANICKED.store(true, Ordering::Relaxed);
        // The only error is a signal that does not exist.
        let _ = signal_hook::low_level::raise(SIGTERM);
    }));
}

/// Whether a panic is the reason for the end.
pub(crate) fn happened() -> bool {
    PANICKED.load(Ordering::Relaxed)
}

fn tell(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let reason = info.payload_as_str().unwrap_or("no reason given");
    let thread = std::thread::current();
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), place, reason, "a part of the server failed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::signals;

    #[test]
    fn a_panic_in_any_thread_asks_for_the_end() {
        let mut signals = signals::catch().unwrap();
        let hook = panic::take_hook();
        stop_on_panic();
        let ended = std::thread::spawn(|| panic!("a test of the hook")).join();
        panic::set_hook(hook);
        assert!(ended.is_err());
        assert!(happened());
        assert_eq!(signals.wait().next(), Some(SIGTERM));
    }
}
