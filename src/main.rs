//! The program: reads arguments and configuration, starts the server, waits for a signal.
//!
//! Exit status: 0 after a clean stop; 1 when the environment does not allow a start (no configuration file, a busy
//! port, a data folder that cannot be used) or the server failed; 2 for bad arguments or a bad configuration.
#![forbid(unsafe_code)]
// `print!` and its like panic when nobody reads what they print.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod cli;

use clap::Parser;
use cli::args::{Args, Command, Door, Logs};
use cli::banner::{self, Facts, Pasted};
use cli::conf::{self, Loaded};
use cli::control;
use cli::fault;
use cli::password::{self, Origin};
use cli::signals;
use cli::sql::Options;
use encke::config::{self, Severity};
use encke::run::log::{self, say};
use encke::run::systemd::Systemd;
use encke::run::{self, StartError};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let status = carry_out();
    log::flush();
    status
}

fn carry_out() -> ExitCode {
    let args = Args::parse();
    match &args.command {
        Some(Command::SampleConfig) => return sample_config(),
        Some(Command::Man { into }) => return written(cli::manual::pages(into.as_deref(), &mut std::io::stdout())),
        Some(Command::Completions { shell }) => {
            return written(cli::manual::completions(*shell, &mut std::io::stdout()));
        }
        Some(Command::Doctor(options)) => return cli::doctor::run(args.conf.as_deref(), options),
        _ => {}
    }
    let loaded = match conf::load(args.conf.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            say(&format!("encke: {error}\n"));
            return if error.is_bad_file() { BAD_CONFIG.into() } else { ExitCode::FAILURE };
        }
    };
    match &args.command {
        Some(
            Command::Publish { .. }
            | Command::Sql { .. }
            | Command::Status { .. }
            | Command::Reload
            | Command::Stop
            | Command::Drain(_)
            | Command::Logs(_),
        ) if loaded.count(Severity::Error) == 0 => {}
        _ => say(&loaded.report()),
    }
    match args.command {
        // Carried out above, because they need no configuration.
        Some(Command::SampleConfig | Command::Man { .. } | Command::Completions { .. } | Command::Doctor(_)) => {
            ExitCode::SUCCESS
        }
        Some(Command::Publish { pipe, event, message, door }) => publish(&loaded, door, [&pipe, &event, &message]),
        Some(Command::Sql { statement, table, door: Door { port, tenant } }) => {
            sql(&loaded, &Options { statement, port, tenant, table })
        }
        Some(Command::Status { json }) => cli::status::run(&loaded, json),
        Some(Command::Reload) => cli::keeper::instruct(&loaded, "FLUSH SETTINGS"),
        Some(Command::Stop) => cli::keeper::stop(&loaded),
        Some(Command::Drain(course)) => cli::drain::run(&loaded, &course),
        Some(Command::Logs(Logs::Reopen)) => cli::keeper::instruct(&loaded, "FLUSH LOGS"),
        Some(Command::CheckConfig { explain }) => check_config(&loaded, explain),
        Some(Command::Import { from, to }) => import(&loaded, from.as_deref(), to.as_deref()),
        None => serve(loaded),
    }
}

fn check_config(loaded: &Loaded, explain: bool) -> ExitCode {
    let file = banner::shown(&loaded.path);
    if explain {
        let explained = config::explain(&loaded.config, &loaded.places);
        let _ = std::io::stdout().write_all(config::explained_text(&explained, &file).as_bytes());
    }
    let [errors, warnings] = [Severity::Error, Severity::Warning].map(|severity| loaded.count(severity));
    let verdict = format!("{file}: {errors} errors, {warnings} warnings\n");
    // Nobody may be reading; the exit status says it as well.
    let _ = std::io::stdout().write_all(verdict.as_bytes());
    if errors == 0 { ExitCode::SUCCESS } else { BAD_CONFIG.into() }
}

fn sample_config() -> ExitCode {
    written(std::io::stdout().write_all(config::sample().as_bytes()))
}

/// Half a file is no file.
fn written(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("encke: it cannot be written: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn publish(loaded: &Loaded, door: Door, words: [&str; 3]) -> ExitCode {
    if loaded.count(Severity::Error) > 0 {
        say("encke: the configuration has errors, nothing was published\n");
        return BAD_CONFIG.into();
    }
    match cli::sql::publish(loaded, door.port, door.tenant, words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            say(&format!("encke: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

fn sql(loaded: &Loaded, options: &Options) -> ExitCode {
    if loaded.count(Severity::Error) > 0 {
        say("encke: the configuration has errors, nothing was asked\n");
        return BAD_CONFIG.into();
    }
    cli::sql::run(loaded, options)
}

fn import(loaded: &Loaded, from: Option<&str>, to: Option<&str>) -> ExitCode {
    if loaded.count(Severity::Error) > 0 {
        say("encke: the configuration has errors, nothing was copied\n");
        return BAD_CONFIG.into();
    }
    match cli::import::run(loaded, from, to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            say(&format!("encke: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: Loaded) -> ExitCode {
    if loaded.count(Severity::Error) > 0 {
        say("encke: the configuration has errors, nothing was started\n");
        return BAD_CONFIG.into();
    }
    match start_and_wait(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            say(&format!("encke: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes. An error is one sentence for whoever started the program.
fn start_and_wait(loaded: Loaded) -> Result<(), String> {
    let Loaded { path, mut config, places, .. } = loaded;
    let systemd = Systemd::from_environment();
    // Caught before anything starts, so that a signal during the start stops the server as any other.
    let mut signals = signals::catch().map_err(|error| format!("signals cannot be caught: {error}"))?;
    log::start(&config.log).map_err(|error| match &config.log.file {
        Some(file) => format!("the log's file {} cannot be opened: {error}", file.display()),
        None => format!("the log's thread cannot be started: {error}"),
    })?;
    fault::stop_on_panic();
    let dir = banner::plain(&config.storage.dir).to_owned();
    config.storage.dir.clone_from(&dir);
    password::make_folder(&dir).map_err(|error| error.to_string())?;
    let (password, origin) =
        password::load_or_generate(config.main.password.as_deref(), &dir).map_err(|error| error.to_string())?;
    if let Some(group) = &config.main.password_group {
        password::give(group, &origin, &dir).map_err(|error| error.to_string())?;
    }
    // What cannot be found out is missing in two lines of the banner, and nowhere else.
    let folder = std::env::current_dir().unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| "encke".into());
    let port_is_known = config.cometql.port != 0;
    let mut told_at = Instant::now();
    let mut give_up = || {
        if told_at.elapsed() >= START_TOLD_EVERY {
            told_at = Instant::now();
            systemd.waits("waiting for the database");
        }
        signals::end_is_asked_for(&mut signals)
    };
    let mut running = match run::start(&config, &places, password, systemd.beat(), &mut give_up) {
        Ok(running) => running,
        Err(StartError::GivenUp) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    say(&banner::text(&Facts {
        version: cli::args::version(),
        browsers: running.browsers(),
        cometql: running.cometql(),
        tls: running.tls(),
        shards: running.shards(),
        engine: running.engine(),
        storage: &running.storage(),
        password: &origin,
        conf: &path,
        pasted: Pasted { folder: &folder, program: &program, port_is_known, data_is_here: dir.is_relative() },
    }));
    if let Origin::Kept(file) = &origin
        && password::is_open_to_others(file, config.main.shares_password())
    {
        tracing::warn!(file = %file.display(), "others than its owner can read the password file; chmod 600 it");
    }
    tracing::info!("ready");
    systemd.ready();
    control::serve(signals, &mut running, &path, &systemd)
        .map_err(|error| format!("the control thread cannot work: {error}"))?;
    running.join().map_err(|fault| fault.to_string())?;
    if fault::happened() {
        return Err("a part of the server failed, see the log".to_owned());
    }
    tracing::info!("stopped");
    Ok(())
}

/// How often the service manager is told that the start goes on.
const START_TOLD_EVERY: Duration = Duration::from_secs(5);

/// Exit status of bad arguments, which clap uses too, and of a bad configuration.
const BAD_CONFIG: u8 = 2;
