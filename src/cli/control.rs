//! The control thread at work: signals, and what sessions ask of the server as a whole, until one of them asks for the end.

use super::conf::{self, Loaded};
use super::signals::{self, SECOND_TERM_AFTER, asks_for_the_end};
use super::{banner, password};
use encke::config::Severity;
use encke::drain::Course;
use encke::run::control::{self, Asked, Control, Instruction};
use encke::run::systemd::Systemd;
use encke::run::{Running, log};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::io;
use std::path::Path;
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long the process is left after `stop_grace_ms`, whatever still hangs. Everything acknowledged is stored by then, since
/// nothing is acknowledged before.
const AFTER_GRACE: Duration = Duration::from_millis(800);

/// Serves until the end is asked for, stops the server and watches that it really ends.
pub(crate) fn serve(mut signals: Signals, running: &mut Running, conf: &Path, systemd: &Systemd) -> io::Result<()> {
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
            Asked::Signal(signal) => act_on(signal, &mut control, conf, systemd),
            Asked::Instruction(asking, Instruction::Stop) => {
                tracing::info!(asked = Instruction::Stop.words(), "stopping");
                control.answer(asking, Ok("The server stops".to_owned()));
                break;
            }
            Asked::Instruction(asking, instruction) => {
                let result = match instruction {
                    Instruction::ReloadSettings => reload(&mut control, conf, systemd).map_err(control::failed),
                    _ => control.carry_out(&instruction),
                };
                tell(instruction.words(), &result.as_ref().map_err(|error| &*error.text));
                control.answer(asking, result);
            }
        }
    }
    let time = control.stop_grace() + AFTER_GRACE;
    systemd.ends_within(time);
    let since = Instant::now();
    let _ = stopping.set(since);
    running.stop();
    thread::spawn(move || {
        control.refuse_until(since + time);
        tracing::error!("not stopped in time, ending anyway");
        log::flush();
        exit(1);
    });
    Ok(())
}

/// Reads the configuration anew, and the password with it.
fn reload(control: &mut Control, conf: &Path, systemd: &Systemd) -> Result<String, String> {
    systemd.reloading();
    let reloaded =
        read_again(conf).and_then(|(loaded, password)| control.reload(loaded.config, &loaded.places, password));
    systemd.ready();
    reloaded.map_err(|sentence| format!("{}; nothing was changed", sentence.trim_end_matches('.')))
}

/// What asked for the lines about a file that was read anew.
const RELOAD: &str = "reload";

fn read_again(conf: &Path) -> Result<(Loaded, String), String> {
    let loaded = conf::load_again(conf).map_err(|error| error.to_string())?;
    let file = banner::shown(conf);
    for problem in &loaded.problems {
        match problem.severity() {
            Severity::Error => tracing::error!(asked = RELOAD, "{}", problem.in_file(&file)),
            Severity::Warning => tracing::warn!(asked = RELOAD, "{}", problem.in_file(&file)),
            Severity::Note => tracing::info!("{}", problem.in_file(&file)),
        }
    }
    if let Some(refusal) = loaded.refusal() {
        return Err(refusal);
    }
    let dir = banner::plain(&loaded.config.storage.dir);
    let configured = loaded.config.main.password.as_deref();
    let (password, _) = password::load_or_generate(configured, dir).map_err(|error| error.to_string())?;
    Ok((loaded, password))
}

fn act_on(signal: i32, control: &mut Control, conf: &Path, systemd: &Systemd) {
    match signal {
        SIGUSR1 => tell(signals::name(signal), &control.reopen_log()),
        SIGHUP => tell(signals::name(signal), &reload(control, conf, systemd)),
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
