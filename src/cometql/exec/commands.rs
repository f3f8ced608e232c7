//! Commands of the MySQL protocol: what each does at once, and what it puts into the session's queue.

use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::Figures;
use crate::cometql::plan::{self, Plan};
use crate::cometql::session::{Database, parse_database};
use crate::cometql::sql::{self, Meter};
use crate::cometql::wire::{self, Command, Connection, Event};
use crate::model::{CloseReason, DevId, Now};

use super::script::{self, Read};
use super::session::{Phase, Session};
use super::stage::{Entry, Stage, Start};
use super::tenants::Reach;
use super::told::{Label, Note};
use super::turns::STATEMENT_WORK;
use super::{Exec, ExecCounters, LiveRows, Output, Peer, answers};

impl Exec {
    pub(super) fn event(&mut self, session: &mut Session, event: Event<'_>, now: Now, live: LiveRows<'_>) {
        match event {
            Event::Login(login) => self.login(session, &login, now.time),
            Event::AuthSwitchResponse(auth) => {
                let verdict = match session.peer {
                    Peer::Trusted => (Connection::verdict_unasked_after_switch(auth), Reach::Everywhere),
                    Peer::Address(_) => {
                        self.verdict(session, |wire, password| wire.verdict_after_switch(auth, password))
                    }
                };
                self.judge(session, verdict, now.time);
            }
            // A greeting that has not left yet is the last thing in plain text.
            Event::Tls if !session.out.is_empty() => {
                let bytes = std::mem::take(&mut session.out);
                self.outputs.push_back(Output::Write { session: session.id, bytes });
            }
            Event::Tls | Event::Partial => {}
            Event::Command { sequence, command } => {
                // Statements count when they begin: one command may hold a thousand.
                if !matches!(command, Command::Query(_) | Command::Execute(_) | Command::TooLong) {
                    self.spend(session, STATEMENT_WORK);
                }
                self.command(session, sequence, command, now, live);
            }
        }
    }

    fn command(&mut self, session: &mut Session, sequence: u8, command: Command<'_>, now: Now, live: LiveRows<'_>) {
        let mut answer = Vec::new();
        let mut reply = session.wire.reply(sequence, &mut answer);
        // A probe has proved nothing; queries, statements and databases say so themselves.
        let forbidden = matches!(command, Command::KillProcess(_) | Command::Statistics | Command::FieldList { .. });
        if forbidden && session.phase != Phase::Ready {
            reply.error(Code::AccessDenied.number(), NOT_LOGGED_IN);
            session.push(Entry::ready(answer));
            return;
        }
        match command {
            Command::Query(text) => return self.query(session, sequence, &text, now),
            Command::TooLong => {
                let error = match session.phase {
                    Phase::Ready => plan::query_too_long(&self.config.statements),
                    _ => Error::new(Code::AccessDenied, NOT_LOGGED_IN),
                };
                return self.push_read(session, Err(error), Start::At(sequence), None);
            }
            Command::Prepare(text) => return self.prepare(session, sequence, &text, now),
            Command::Execute(execute) => return self.execute(session, sequence, &execute, now),
            Command::ChangeUser(login) => {
                session.phase = Phase::Login;
                return self.login(session, &login, now.time);
            }
            Command::Quit => return session.close_when_answered(CloseReason::Quit),
            Command::LongData { .. } => return,
            Command::CloseStatement(id) => return session.forget(id),
            Command::InitDatabase(name) => match parse_database(name, self.config.statements.dev_max) {
                Ok(_) if session.phase != Phase::Ready => reply.error(Code::AccessDenied.number(), NOT_LOGGED_IN),
                Ok(database) => match session.may_enter(database) {
                    Ok(()) => {
                        reply.ok(0, 0, false);
                        session.use_database(database);
                    }
                    Err(error) => reply.error(error.code.number(), &error.text),
                },
                Err(error) => reply.error(error.code.number(), &error.text),
            },
            Command::ResetConnection => {
                session.forget_all();
                // The answer says what the session is then.
                self.forget_memory(session);
                answer.clear();
                session.wire.reply(sequence, &mut answer).ok(0, 0, false);
            }
            Command::Ping | Command::ResetStatement(_) => reply.ok(0, 0, false),
            Command::Statistics => reply.text(&self.statistics_line(live)),
            // The command is old and clients use it for completing names only; no columns is a legal answer.
            Command::FieldList { .. } | Command::SetOption(_) | Command::Debug => reply.eof(),
            Command::Fetch { .. } => reply.error(wire::code::NO_CURSOR, "There is no open cursor"),
            Command::KillProcess(id) => {
                let plan = Plan::Kill(id.into());
                session.push(Entry {
                    start: Start::At(sequence),
                    more: false,
                    binary: false,
                    stage: Stage::Planned(Box::new(plan)),
                    note: None,
                });
                return;
            }
            Command::Refused(refusal) => reply.error(refusal.code, refusal.text),
            Command::Unknown(code) => {
                reply.error(Code::UnknownCommand.number(), &format!("Command {code} is not part of CometQL"));
            }
        }
        session.push(Entry::ready(answer));
    }

    fn query(&mut self, session: &mut Session, sequence: u8, text: &[u8], now: Now) {
        let (meter, budget) = (Meter::default(), Budget::default());
        let read = self.read(session, text, now, &meter, &budget);
        self.spend_on_reading(session, &meter, &budget);
        self.push_read(session, read, Start::At(sequence), self.note(text, now.time));
    }

    /// `note`: for a lone statement.
    pub(super) fn push_read(
        &mut self,
        session: &mut Session,
        read: Result<Read, Error>,
        start: Start,
        note: Option<Box<Note>>,
    ) {
        let planned = match read {
            Ok(Read::Several(script)) => return session.push(Entry::script(start, Box::new(script))),
            Ok(Read::Lone(plan)) => Ok(plan),
            Err(error) => Err(error),
        };
        self.counters.statements += 1;
        // Publications of a lone statement go out at once and overlap with those before them.
        let stage = self.stage(session, planned);
        session.push(Entry { start, more: false, binary: false, stage, note });
    }

    /// The text of a query behind its cluster prefix, whose tenant the session has entered.
    pub(super) fn enter<'t>(&self, session: &mut Session, text: &'t [u8]) -> Result<&'t [u8], Error> {
        if session.phase != Phase::Ready {
            return Err(Error::new(Code::AccessDenied, NOT_LOGGED_IN));
        }
        plan::check_length(text, &self.config.statements)?;
        let (dev, text) = plan::take_cluster_prefix(text, self.config.statements.dev_max)?;
        if let Some(dev) = dev {
            session.may_enter(Database::Tenant(dev))?;
            session.dev = dev;
        }
        Ok(text)
    }

    fn prepare(&mut self, session: &mut Session, sequence: u8, text: &[u8], now: Now) {
        let (meter, budget) = (Meter::default(), Budget::default());
        let prepared = if session.phase == Phase::Ready {
            let view = session.view(now.unix, &self.config, &budget);
            let read = |text| sql::prepare_among(text, script::reading(&view), view.names(), &meter);
            plan::check_length(text, &self.config.statements)
                .and_then(|()| Ok(read(plan::check_text(text)?)?))
                .and_then(|statement| plan::result_columns(&statement, &view).map(|columns| (statement, columns)))
        } else {
            Err(Error::new(Code::AccessDenied, NOT_LOGGED_IN))
        };
        let registered = prepared.and_then(|(statement, columns)| {
            let parameters = u16::try_from(statement.placeholders())
                .map_err(|_| Error::new(Code::TooManyValues, "The statement has too many placeholders"))?;
            let has_room = self.has_room_for_prepared(session, statement.bytes());
            if !has_room || session.prepared_bytes() + statement.bytes() > PREPARED_BYTES_MAX {
                return Err(Error::new(
                    Code::TooManyStatements,
                    "The prepared statements are too large together: close some first",
                ));
            }
            let id = session
                .wire
                .add_statement(&self.config.packets, parameters)
                .ok_or_else(|| Error::new(Code::TooManyStatements, "Too many prepared statements: close some first"))?;
            session.remember(id, statement, Label::of(text));
            Ok((id, columns, parameters))
        });
        self.spend_on_reading(session, &meter, &budget);
        let mut answer = Vec::new();
        let mut reply = session.wire.reply(sequence, &mut answer);
        match registered {
            Ok((id, columns, parameters)) => reply.prepared(id, &answers::columns(&columns), parameters),
            Err(error) => {
                self.counters.statement_errors += 1;
                reply.error(error.code.number(), &error.text);
            }
        }
        session.push(Entry::ready(answer));
    }

    fn execute(&mut self, session: &mut Session, sequence: u8, execute: &wire::Execute<'_>, now: Now) {
        self.counters.statements += 1;
        let (meter, budget) = (Meter::default(), Budget::default());
        let planned = self.plan_execution(session, execute, now, &meter, &budget);
        self.spend_on_reading(session, &meter, &budget);
        let stage = self.stage(session, planned);
        let note = self.note_prepared(session, execute.statement, now.time);
        session.push(Entry { start: Start::At(sequence), more: false, binary: true, stage, note });
    }

    fn plan_execution(
        &self,
        session: &Session,
        execute: &wire::Execute<'_>,
        now: Now,
        meter: &Meter,
        budget: &Budget,
    ) -> Result<Plan, Error> {
        meter.scanned(execute.bytes());
        let statement = session
            .prepared(execute.statement)
            .ok_or_else(|| Error::new(Code::UnknownStatement, "There is no such prepared statement"))?;
        let values = execute.parameters().map(script::value_of).collect::<Result<Vec<_>, Error>>()?;
        meter.bound(statement);
        let bound = statement.bind(&values)?;
        session.plan(bound, &session.view(now.unix, &self.config, budget))
    }

    /// The answer to `COM_STATISTICS`, one line of names and numbers.
    fn statistics_line(&self, live: LiveRows<'_>) -> String {
        let status = live(Figures::Status(sql::StatusFlag::Global), DevId(0));
        let uptime = status.iter().find(|row| row.first().is_some_and(|name| &**name == "uptime"));
        let uptime = uptime.and_then(|row| row.get(1)).map_or("0", |value| value);
        let ExecCounters { statements, statement_errors: errors, .. } = self.counters;
        format!("Uptime: {uptime}  Threads: {}  Questions: {statements}  Errors: {errors}", self.open)
    }
}

const NOT_LOGGED_IN: &str = "Access denied: this session did not log in with the password";

/// Bytes of memory of all prepared statements of a session, as [`sql::Prepared::bytes`] estimates them.
pub(super) const PREPARED_BYTES_MAX: usize = 4 * 1024 * 1024;
