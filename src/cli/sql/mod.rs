//! `encke sql`: statements of an argument, of a pipe or of a person, and their answers as tables.

mod print;
mod split;

use super::client::{Client, ClientError, Door, QueryError};
use super::conf::Loaded;
use encke::run::log::say;
use print::{Look, Printer};
use split::{Splitter, Statement};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::ExitCode;

/// What `encke sql` was called with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub statement: Option<String>,
    pub port: Option<u16>,
    pub tenant: Option<u32>,
    /// Tables also where nobody looks.
    pub table: bool,
}

/// Why it ends before its end.
enum Stop {
    /// One sentence without its end.
    Error(String),
    /// Told already.
    Told,
    /// Whoever read the answers has gone.
    NobodyReads,
}

pub(crate) fn run(loaded: &Loaded, options: &Options) -> ExitCode {
    match carry_out(loaded, options) {
        Ok(()) | Err(Stop::NobodyReads) => ExitCode::SUCCESS,
        Err(Stop::Told) => ExitCode::FAILURE,
        Err(Stop::Error(sentence)) => {
            say(&format!("encke: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(loaded: &Loaded, options: &Options) -> Result<(), Stop> {
    let door = Door::find(loaded, options.port, options.tenant)?;
    let client = Client::connect(&door)?;
    let asked = io::stdin().is_terminal() && options.statement.is_none();
    let look = if options.table || io::stdout().is_terminal() || asked { Look::Table } else { Look::Tabs };
    let mut room = Room { door, client, look, splitter: Splitter::default() };
    match &options.statement {
        Some(text) => room.all(&mut text.as_bytes()),
        None if asked => room.converse(),
        None => room.all(&mut BufReader::new(io::stdin().lock())),
    }
}

struct Room<'a> {
    door: Door<'a>,
    client: Client,
    look: Look,
    splitter: Splitter,
}

impl Room<'_> {
    /// Statements of a text; the first that is refused ends it.
    fn all(&mut self, text: &mut dyn BufRead) -> Result<(), Stop> {
        loop {
            let mut line = Vec::new();
            let read = text.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read = read.map_err(|error| Stop::Error(format!("the statements cannot be read: {error}")))?;
            let mut statements = Vec::new();
            self.splitter.feed(&line, &mut statements);
            if read == 0 {
                statements.extend(self.splitter.rest());
            }
            if self.splitter.held() > STATEMENT_BYTES_MAX {
                let line = self.splitter.begun_at();
                return Err(Stop::Error(format!("the statement that begins in line {line} is longer than a gigabyte")));
            }
            for statement in statements {
                let at_line = format!(" at line {}", statement.line);
                self.one(&statement).map_err(|error| stop(error, &at_line))?;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn one(&mut self, statement: &Statement) -> Result<(), QueryError> {
        let look = if statement.vertical { Look::Vertical } else { self.look };
        let mut printer = Printer::new(io::stdout().lock(), look);
        let result = self.client.query(&statement.text, &mut printer);
        printer.finish()?;
        result
    }

    /// A person: an error does not end it, and a session that is lost is begun anew. The lines are edited by the terminal itself.
    fn converse(&mut self) -> Result<(), Stop> {
        let unusable = |error: io::Error| Stop::Error(format!("the terminal cannot be used: {error}"));
        say(WELCOME);
        loop {
            say(if self.splitter.is_empty() { "encke> " } else { "    -> " });
            let mut line = Vec::new();
            if io::stdin().lock().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(unusable)? == 0 {
                say("\n");
                return Ok(());
            }
            if self.splitter.is_empty() {
                let word = String::from_utf8_lossy(&line).trim().trim_end_matches(';').to_ascii_lowercase();
                match word.as_str() {
                    "exit" | "quit" | "\\q" => return Ok(()),
                    "help" | "\\h" | "?" => {
                        say(HELP);
                        continue;
                    }
                    _ => {}
                }
            }
            let mut statements = Vec::new();
            self.splitter.feed(&line, &mut statements);
            for statement in statements {
                match self.one(&statement) {
                    Ok(()) => {}
                    Err(QueryError::Client(error @ ClientError::Refused { .. })) => say(&format!("{error}\n")),
                    Err(QueryError::Client(error)) => self.come_back(&error)?,
                    Err(error @ QueryError::Output(_)) => return Err(stop(error, "")),
                }
            }
        }
    }

    /// The statement is not repeated: whether it was carried out is not known.
    fn come_back(&mut self, error: &ClientError) -> Result<(), Stop> {
        say(&format!("{error}\n"));
        self.client = Client::connect(&self.door)?;
        say("connected again; variables and modes of the session are gone\n");
        Ok(())
    }
}

fn stop(error: QueryError, place: &str) -> Stop {
    match error {
        QueryError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Stop::NobodyReads,
        QueryError::Output(error) => Stop::Error(format!("the answer cannot be written: {error}")),
        QueryError::Client(ClientError::Refused { code, state, text }) => {
            say(&format!("ERROR {code} ({state}){place}: {text}\n"));
            Stop::Told
        }
        QueryError::Client(error) => Stop::Error(error.to_string()),
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Error(error.to_string())
    }
}

/// `encke publish`: an error is one sentence without its end.
pub(crate) fn publish(
    loaded: &Loaded,
    port: Option<u16>,
    tenant: Option<u32>,
    [pipe, event, message]: [&str; 3],
) -> Result<(), String> {
    let said = |error: ClientError| error.to_string();
    let mut from_input = String::new();
    let message = if message == "-" {
        io::stdin()
            .lock()
            .take(LINE_BYTES_MAX)
            .read_to_string(&mut from_input)
            .map_err(|error| format!("the message cannot be read: {error}"))?;
        from_input.trim_end_matches(['\r', '\n'])
    } else {
        message
    };
    let door = Door::find(loaded, port, tenant).map_err(said)?;
    let mut client = Client::connect(&door).map_err(said)?;
    let [name, event, message] = [pipe, event, message].map(literal);
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ({name}, {event}, {message})");
    ask(&mut client, &insert)?;
    let count = ask(&mut client, &format!("SELECT users FROM pipes WHERE name = {name}"))?;
    let told = match count.as_deref() {
        Some("1") => "published; 1 connection is subscribed to the pipe".to_owned(),
        Some(count) => format!("published; {count} connections are subscribed to the pipe"),
        None => "published".to_owned(),
    };
    // Nobody may be reading; the exit status says it as well.
    let _ = writeln!(io::stdout(), "{told}");
    Ok(())
}

/// The first value of the answer.
fn ask(client: &mut Client, query: &str) -> Result<Option<String>, String> {
    let mut first = print::First::default();
    client.query(query.as_bytes(), &mut first).map_err(|error| match error {
        QueryError::Client(error) => error.to_string(),
        QueryError::Output(error) => error.to_string(),
    })?;
    Ok(first.0)
}

/// A text as the server reads it with whatever `string_escapes` it has: what they would change is written in hexadecimal.
fn literal(text: &str) -> String {
    if text.contains(['\\', '\'', '\0']) {
        let digits: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        return format!("x'{}'", digits.concat());
    }
    format!("'{text}'")
}

const LINE_BYTES_MAX: u64 = STATEMENT_BYTES_MAX as u64;
/// The longest packet that can be configured.
const STATEMENT_BYTES_MAX: usize = 1 << 30;

const WELCOME: &str = "CometQL. A statement ends with a semicolon, help says more, exit or Ctrl-D leaves.\n";

const HELP: &str = "\
A statement may have several lines and ends with ; or with \\G, which shows each value on a line of its own.
exit or Ctrl-D leaves.

  INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '{\"text\":\"hello\"}');
  INSERT INTO users_messages (id, event, message) VALUES (5, 'mail', '{\"unread\": 3}');
  SELECT name, users FROM pipes WHERE name = 'simplechat';
  SELECT id, time FROM users_time WHERE id IN (5, 6);
  SHOW TABLES;
  SHOW STATUS;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_means_the_same_in_every_mode() {
        for (text, expected) in [
            ("hello", "'hello'"),
            ("", "''"),
            ("{\"a\":\"Привет\"}", "'{\"a\":\"Привет\"}'"),
            ("it's", "x'69742773'"),
            ("\\n", "x'5c6e'"),
        ] {
            assert_eq!(literal(text), expected);
        }
    }
}
