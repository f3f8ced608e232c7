//! Clients of whoever looks after the server: one statement each, and what came of it as one sentence.

use super::client::{Answers, Client, ClientError, Column, Done, Door, QueryError};
use super::conf::Loaded;
use encke::run::log::say;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How long a stop may take: the server ends itself within a second of the largest `stop_grace_ms`.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_secs(70);

/// A session by which the server can be told what to do. A configuration with errors is no obstacle: the server runs with
/// another one.
pub(crate) fn connect(loaded: &Loaded) -> Result<Client, ClientError> {
    Client::connect(&Door::of_server(loaded)?)
}

/// Carries out a statement that is answered with a sentence.
pub(crate) fn instruct(loaded: &Loaded, statement: &str) -> ExitCode {
    match connect(loaded).and_then(|mut client| ask(&mut client, statement)) {
        Ok(sentence) => {
            // Nobody may be reading; the exit status says it as well.
            let _ = writeln!(io::stdout(), "{sentence}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

pub(crate) fn stop(loaded: &Loaded) -> ExitCode {
    let asked = connect(loaded).and_then(|mut client| ask(&mut client, "SHUTDOWN").map(|_| client));
    match asked {
        Ok(client) => {
            if !client.await_end(STOP_TIME_MAX) {
                say("encke: the server has not ended yet\n");
                return ExitCode::FAILURE;
            }
            let _ = writeln!(io::stdout(), "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

pub(crate) fn failed(error: &ClientError) -> ExitCode {
    say(&format!("encke: {error}\n"));
    ExitCode::FAILURE
}

pub(crate) fn ask(client: &mut Client, statement: &str) -> Result<String, ClientError> {
    let mut told = Told::default();
    match client.query(statement.as_bytes(), &mut told) {
        Ok(()) => Ok(told.0),
        Err(QueryError::Client(error)) => Err(error),
        Err(QueryError::Output(error)) => Err(ClientError::Lost(error)),
    }
}

/// The sentence of an answer.
#[derive(Default)]
struct Told(String);

impl Answers for Told {
    fn begin(&mut self, _: &[Column]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<&[u8]>]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn done(&mut self, done: &Done) -> io::Result<()> {
        done.info.clone_into(&mut self.0);
        Ok(())
    }
}
