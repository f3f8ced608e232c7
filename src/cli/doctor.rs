//! `encke doctor`: looks at configuration and machine, and says what to do. The exit status is 0 if everything is fine, 1 after
//! a warning and 2 after an error.

use super::args::Examination;
use super::{banner, conf};
use encke::config::Config;
use encke::doctor::{self, Read, Verdict};
use encke::run::examined;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(conf: Option<&Path>, asked: &Examination) -> ExitCode {
    let (mut config, read) = match conf::load(conf) {
        Ok(loaded) => (loaded.config, Read { file: banner::shown(&loaded.path), problems: Ok(loaded.problems) }),
        Err(error) => {
            let file = conf.map_or_else(|| "no configuration".to_owned(), banner::shown);
            (Config::default(), Read { file, problems: Err(error.to_string()) })
        }
    };
    config.storage.dir = banner::plain(&config.storage.dir).to_owned();
    let system = examined::gather(&config, &asked.root);
    let report = doctor::examine(&config, &read, &system, asked.connections);
    let text = if asked.json { format!("{}\n", report.json()) } else { report.text() };
    // Nobody may be reading; the exit status says it as well.
    let _ = std::io::stdout().write_all(text.as_bytes());
    match report.verdict() {
        Verdict::Ok => ExitCode::SUCCESS,
        Verdict::Warning => ExitCode::from(1),
        Verdict::Error => ExitCode::from(2),
    }
}
