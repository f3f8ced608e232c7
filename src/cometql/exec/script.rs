//! The statements of one query or batch that are not read yet.
//!
//! One command may hold a thousand statements, so each is read when its turn has come and not before: what reading takes
//! is charged to the session like everything else, and between two statements everybody else has a turn. So a statement
//! also sees what those before it have changed, such as the database that USE has chosen.

use std::borrow::Cow;
use std::ops::Range;

use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::json::Bound;
use crate::cometql::plan::{self, Plan};
use crate::cometql::session::SessionView;
use crate::cometql::sql::{self, Meter, Reading, SyntaxError, Value};
use crate::cometql::wire::Parameter;
use crate::model::Now;

use super::session::Session;
use super::stage::{Entry, Stage, Start};
use super::{Exec, batch};

/// Never empty.
#[derive(Debug)]
pub(super) struct Script {
    now: Now,
    left: Left,
}

#[derive(Debug)]
enum Left {
    /// Places in the text.
    Text {
        text: Box<[u8]>,
        pieces: std::vec::IntoIter<Range<usize>>,
    },
    Bound(std::vec::IntoIter<Bound>),
}

/// Statements in one query of a client that asked for multi-statements.
const STATEMENTS_PER_QUERY_MAX: usize = 1000;

const MODES_ALONE: &str = "SET sql_mode changes how text is read: send it as the last statement of its query";

impl Script {
    /// The statements between the semicolons of this text; `None` if there is one at the most. Errors: those of a text
    /// that cannot be taken apart, and 19 for too many statements; nothing of it is carried out then.
    pub(super) fn of_text(text: &[u8], now: Now, reading: Reading) -> Result<Option<Self>, Error> {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for piece in sql::pieces(text, reading) {
            if pieces.len() >= STATEMENTS_PER_QUERY_MAX {
                let text = format!("A query may hold {STATEMENTS_PER_QUERY_MAX} statements at the most");
                return Err(Error::new(Code::TooManyValues, text));
            }
            pieces.push(piece?);
        }
        if pieces.len() <= 1 {
            return Ok(None);
        }
        Ok(Some(Self { now, left: Left::Text { text: text.into(), pieces: pieces.into_iter() } }))
    }

    /// There must be one at least.
    pub(super) fn of_bound(statements: Vec<Bound>, now: Now) -> Self {
        Self { now, left: Left::Bound(statements.into_iter()) }
    }

    fn is_empty(&self) -> bool {
        match &self.left {
            Left::Text { pieces, .. } => pieces.len() == 0,
            Left::Bound(statements) => statements.len() == 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.left {
            Left::Text { text, pieces } => text.len() + pieces.len() * size_of::<Range<usize>>(),
            Left::Bound(statements) => {
                let value = size_of::<crate::cometql::json::Parameter>();
                statements.as_slice().iter().map(|(text, values)| text.len() + values.len() * value).sum()
            }
        }
    }
}

impl Exec {
    /// Reads the next statement of the script at the front of the queue, which then stands before the rest of it.
    pub(super) fn read_next(&mut self, session: &mut Session, start: Start, mut script: Box<Script>) {
        let budget = Budget::default();
        let meter = Meter::default();
        let view = session.view(script.now.unix, &self.config, &budget);
        let begun = script.now.time;
        let (read, note) = match &mut script.left {
            Left::Text { text, pieces } => {
                let piece = pieces.next().and_then(|piece| text.get(piece)).unwrap_or_default();
                (parse(piece, &view, &meter), self.note(piece, begun))
            }
            Left::Bound(statements) => match statements.next() {
                Some((text, values)) => {
                    let read = self.bind(&text, values.into_iter().map(batch::value_of), &view, &meter);
                    (read, self.note(text.as_bytes(), begun))
                }
                None => (Ok(sql::Statement::Empty), None),
            },
        };
        let planned = read.and_then(|statement| {
            // The places of those behind it are found already.
            if statement.sets_modes() && !script.is_empty() {
                return Err(Error::new(Code::Syntax, MODES_ALONE));
            }
            plan::plan(&statement, &view)
        });
        self.spend_on_reading(session, &meter, &budget);
        self.counters.statements += 1;
        let more = !script.is_empty();
        if more {
            session.queue.push_front(Entry::script(Start::Continued, script));
        }
        let stage = match planned {
            Ok(plan) => Stage::Planned(Box::new(plan)),
            Err(error) => Stage::Failed(error),
        };
        session.queue.push_front(Entry { start, more, binary: false, stage, note });
    }

    /// The plan of a lone statement, or a script of several.
    pub(super) fn read(
        &self,
        session: &mut Session,
        text: &[u8],
        now: Now,
        meter: &Meter,
        budget: &Budget,
    ) -> Result<Read, Error> {
        let text = self.enter(session, text)?;
        let view = session.view(now.unix, &self.config, budget);
        meter.scanned(text.len());
        if let Some(insert) = sql::fast::insert(text, reading(&view)) {
            meter.values(insert.values.len());
            return plan::plan_insert(&insert, &view).map(Read::Lone);
        }
        if session.wire.multi_statements() {
            meter.searched(text.len());
            if let Some(script) = Script::of_text(text, now, reading(&view))? {
                return Ok(Read::Several(script));
            }
        }
        let statement = parse(text, &view, meter)?;
        session.plan(statement, &view).map(Read::Lone)
    }

    fn bind(
        &self,
        text: &str,
        values: impl Iterator<Item = Value<'static>>,
        view: &SessionView<'_>,
        meter: &Meter,
    ) -> Result<sql::Statement, Error> {
        plan::check_length(text.as_bytes(), &self.config.statements)?;
        let values: Vec<Value<'static>> = values.collect();
        meter.values(values.len());
        let prepared = sql::prepare_among(text, reading(view), view.names(), meter)?;
        let bound: Result<_, SyntaxError> = prepared.bind(&values);
        Ok(bound?)
    }

    /// What reading and planning took is the session's.
    pub(super) fn spend_on_reading(&mut self, session: &mut Session, meter: &Meter, budget: &Budget) {
        self.spend(session, meter.steps().saturating_add(budget.spent()));
    }
}

fn parse(text: &[u8], view: &SessionView<'_>, meter: &Meter) -> Result<sql::Statement, Error> {
    Ok(sql::parse_among(plan::check_text(text)?, reading(view), view.names(), meter)?)
}

/// How the text of a session is read now.
pub(super) fn reading(view: &SessionView<'_>) -> Reading {
    Reading { escapes: view.escapes, modes: view.memory.modes() }
}

/// What a query is.
pub(super) enum Read {
    Lone(Plan),
    Several(Script),
}

/// The value of a parameter of the binary protocol. Error: 12 for bytes that are no text.
pub(super) fn value_of(parameter: Parameter<'_>) -> Result<Value<'static>, Error> {
    let number = |text: String| Value::Number(Cow::Owned(text));
    Ok(match parameter {
        Parameter::Null => Value::Null,
        Parameter::Signed(value) => number(value.to_string()),
        Parameter::Unsigned(value) => number(value.to_string()),
        Parameter::Float(value) => number(value.to_string()),
        Parameter::Double(value) => number(value.to_string()),
        Parameter::Bytes(bytes) => {
            let text = simdutf8::basic::from_utf8(bytes)
                .map_err(|_| Error::new(Code::Invalid, "A parameter is not valid UTF-8"))?;
            Value::Text(Cow::Owned(text.to_owned()))
        }
        Parameter::Temporal(text) => Value::Text(String::from_utf8_lossy(text.as_bytes()).into_owned().into()),
    })
}
