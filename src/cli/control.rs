//! The control thread at work: signals, and what sessions ask of the server as a whole, until one of them asks for the end.

use super::signals::{self, SECOND_TERM_AFTER, asks_for_the_end};
use encke::drain::Course;
use encke::run::control::{Asked, Control, Instruction};
use encke::run::systemd::Systemd;
use encke::run::{Running, log};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::io;
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// From the first signal to the end of the process, whatever still hangs. Everything acknowledged is stored by then,
/// since nothing is acknowledged before.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_800);

/// Serves until the end is asked for, stops the server and watches that it really ends.
pub(crate) fn serve(mut signals: Signals, running: &mut Running, systemd: &Systemd) -> io::Result<()> {
    let Some(mut control) = running.take_control() else { return Err(io::ErrorKind::NotFound.into()) };
    let stopping = Arc::new(OnceLock::new());
    let is_stopping = stopping.clone();
    control.take_signals(move || signals::next(&mut signals, &is_stopping))?;
    let mut drained_since: Option<Instant> = None;
    let mut report_at = systemd.interval().map(|_| Instant::now());
    loop {
        if report_at.is_some_and(|at| at <= Instant::now()) {
            report_at = systemd.interval().map(|interval| Instant::now() + interval);
            control.report(systemd);
        }
        if control.draining.look() {
            tracing::info!("drained, stopping");
            break;
        }
        let until = [report_at, control.draining.due()].into_iter().flatten().min();
        let Some(asked) = control.next(until) else { continue };
        match asked {
            // Some programs send it twice, to the process and to its group.
            Asked::Signal(SIGTERM) if drained_since.is_some_and(|since| since.elapsed() < SECOND_TERM_AFTER) => {}
            Asked::Signal(SIGTERM) if !control.stop_drain().is_zero() && !control.draining.ends_with_stop() => {
                systemd.stopping();
                drained_since = Some(Instant::now());
                let course = Course::before_stop(control.stop_drain());
                tell(signals::name(SIGTERM), &Ok::<_, String>(control.draining.begin(course)));
                control.report(systemd);
            }
            Asked::Signal(signal) if asks_for_the_end(signal) => {
                tracing::info!(signal = signals::name(signal), "stopping");
                break;
            }
            Asked::Signal(signal) => act_on(signal, &control),
            Asked::Instruction(asking, Instruction::Stop) => {
                tracing::info!(asked = Instruction::Stop.words(), "stopping");
                control.answer(asking, Ok("The server stops".to_owned()));
                break;
            }
            Asked::Instruction(asking, instruction) => {
                let is_reload = instruction == Instruction::ReloadSettings;
                if is_reload {
                    systemd.reloading();
                }
                let result = control.carry_out(&instruction);
                if is_reload {
                    systemd.ready();
                }
                tell(instruction.words(), &result.as_ref().map_err(|error| &*error.text));
                control.answer(asking, result);
            }
        }
    }
    systemd.stopping();
    let since = Instant::now();
    let _ = stopping.set(since);
    running.stop();
    thread::spawn(move || {
        control.refuse_until(since + STOP_TIMEOUT);
        tracing::error!("not stopped in time, ending anyway");
        log::flush();
        exit(1);
    });
    Ok(())
}

fn act_on(signal: i32, control: &Control) {
    match signal {
        SIGUSR1 => tell(signals::name(signal), &control.reopen_log()),
        SIGHUP => tracing::warn!("SIGHUP: reload is not supported yet, restart the server instead"),
        _ => tracing::warn!(signal = signals::name(signal), "passed over: it has no meaning yet"),
    }
}

/// What came of it is in the log as well, with what asked for it.
fn tell(asked: &str, result: &Result<impl AsRef<str>, impl AsRef<str>>) {
    match result {
        Ok(sentence) => tracing::info!(asked, "{}", sentence.as_ref()),
        Err(sentence) => tracing::error!(asked, "{}", sentence.as_ref()),
    }
}
