//! `encke drain`: has the running server send its connections elsewhere, and waits until they have gone.

use super::args::Course;
use super::client::{Client, ClientError};
use super::conf::Loaded;
use super::keeper::{STOP_TIME_MAX, ask, connect, failed};
use super::status::{pairs, rows};
use encke::drain::Phase;
use encke::run::log::say;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// How often it is looked how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) fn run(loaded: &Loaded, course: &Course) -> ExitCode {
    match connect(loaded).and_then(|client| carry_out(client, course)) {
        Ok(is_done) if is_done => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

/// Whether it came to its end.
fn carry_out(mut client: Client, course: &Course) -> Result<bool, ClientError> {
    // Nobody may be reading; the exit status says it as well.
    let tell = |sentence: &str| drop(writeln!(std::io::stdout(), "{sentence}"));
    if course.cancel {
        tell(&ask(&mut client, "SET GLOBAL offline_mode = OFF")?);
        return Ok(true);
    }
    let Course { notice, over, stop, .. } = course;
    let stop = if *stop { ", stop" } else { "" };
    tell(&ask(&mut client, &format!("SET GLOBAL offline_mode = 'on, notice={notice}, over={over}{stop}'"))?);
    loop {
        thread::sleep(LOOK_INTERVAL);
        let figures = match rows(&mut client, "SHOW GLOBAL STATUS LIKE 'encke_%'") {
            Ok(rows) => pairs(rows),
            Err(ClientError::Lost(_)) if course.stop => break,
            Err(error) => return Err(error),
        };
        let figure = |name: &str| figures.get(name).map_or("", String::as_str);
        match figure("encke_draining") {
            "0" => {
                say("encke: the drain was given up\n");
                return Ok(false);
            }
            phase if !course.stop && phase == (Phase::Empty as u8).to_string() => break,
            _ => {}
        }
    }
    if course.stop && !client.await_end(STOP_TIME_MAX) {
        say("encke: the server has not ended yet\n");
        return Ok(false);
    }
    tell(if course.stop { "stopped" } else { "empty" });
    Ok(true)
}
