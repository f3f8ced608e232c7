//! SELECT about the server's own tables to answers.
//!
//! A [`Catalog`] is a query whose tables are known and whose words about the session - `DATABASE()`, `@@version` - have
//! become values. Most of its rows are descriptions; figures that the server supplies come when it is carried out.

mod evaluate;
mod views;

use self::evaluate::Evaluation;
use super::memory::{VARIABLES_MAX, Variable};
use super::scalars::Field;
use super::variables::{self, variables};
use super::{Figures, Plan, ResultColumn, ResultSet, Row, SessionView, StatusFlag, User};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::catalog::{Query, Scalar};
use crate::cometql::sql::{Expression, TableName, Value};
use crate::cometql::tables::DATABASE;
use crate::model::UnixTime;

pub(super) use evaluate::BYTES_PER_STEP;
pub use evaluate::STEPS_MAX;

pub(super) use views::{PRIVILEGES, Rows, SCHEMA, View};

/// A query about the server that is ready to be carried out: at the front of the queue, one at a time, however many a
/// client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    query: Query,
    user: User,
    now: UnixTime,
    /// Whether sessions and connections are asked for.
    lists_processes: bool,
    /// Of the session; empty if they are not asked for.
    variables: Vec<(&'static str, String)>,
    /// The user's variables that the query sets, with what they are before.
    assigned: Vec<(Box<str>, Variable)>,
    bytes_max: usize,
}

/// Variables of the user that a query has set, with their new values.
pub type Assignments = Vec<(Box<str>, Variable)>;

pub(super) fn plan_catalog(query: &Query, session: &SessionView<'_>) -> Result<Plan, Error> {
    Ok(Plan::Catalog(Box::new(catalog(query, session)?)))
}

/// The one value of a query without tables. Errors: 3 also for one that has tables or sets variables.
pub(super) fn value_of(query: &Query, session: &SessionView<'_>) -> Result<Variable, Error> {
    let catalog = catalog(query, session)?;
    let mut tables = false;
    catalog.query.clone().each_table(&mut |_| tables = true);
    if tables || !catalog.assigned.is_empty() {
        return Err(Error::new(Code::Syntax, "A value is computed here without tables, and without setting variables"));
    }
    let (answer, steps, _) = catalog.answer(&|_| Vec::new());
    session.took(steps)?;
    let ResultSet { columns, rows } = answer?;
    let number = columns.first().is_some_and(|column| column.number);
    let cell = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    let text: Field = cell.map(|cell| String::from_utf8_lossy(&cell).into_owned().into());
    Ok(Variable::new(text, number))
}

fn catalog(query: &Query, session: &SessionView<'_>) -> Result<Catalog, Error> {
    let mut failure = None;
    let mut known = Vec::new();
    let mut query = query.clone();
    query.each_table(&mut |table| match find(table) {
        Ok(view) => known.push(view.rows),
        Err(error) => failure = Some(error),
    });
    if let Some(error) = failure {
        return Err(error);
    }
    let mut assigned: Assignments = Vec::new();
    query.each_scalar(&mut |scalar| {
        if let Some(name) = assigned_name(scalar)
            && assigned.len() <= VARIABLES_MAX
            && !assigned.iter().any(|(known, _)| &**known == name)
        {
            let before = session.memory.variable(name).cloned().unwrap_or_default();
            assigned.push((name.into(), before));
        }
    });
    if assigned.len() > VARIABLES_MAX {
        return Err(Error::new(Code::TooLong, "The query sets more variables than a session may have"));
    }
    query.each_scalar(&mut |scalar| settle(scalar, &assigned, session));
    let wants_variables = known.contains(&Rows::Variables);
    Ok(Catalog {
        query,
        user: session.user,
        now: session.unix,
        lists_processes: known.contains(&Rows::Processes),
        variables: if wants_variables { variables(session) } else { Vec::new() },
        assigned,
        bytes_max: session.limits.result_bytes_max,
    })
}

/// The variable that an assignment within the query sets.
fn assigned_name(scalar: &Scalar) -> Option<&str> {
    match scalar {
        Scalar::Call { name, arguments } if &**name == ":=" => match arguments.first() {
            Some(Scalar::Variable(name)) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

impl Catalog {
    /// As they are at this time, if the query asks for [`Figures::Processes`].
    pub fn processes(&self) -> Option<UnixTime> {
        self.lists_processes.then_some(self.now)
    }

    /// Carries the query out, and says how many steps that took and which variables it has set; these hold only if it
    /// succeeds. `live` gives the rows of figures, in the columns that [`Figures`] says. Errors: 14 for unknown columns, 3 for unknown functions, 11 when it would take too long or weigh
    /// too much.
    pub fn answer(&self, live: &dyn Fn(Figures) -> Vec<Row>) -> (Result<ResultSet, Error>, u32, Assignments) {
        Evaluation::new(self, live).answer()
    }

    /// The columns of the answer, and how many steps that took. Nothing is carried out, so what else is wrong with the query shows when it is.
    pub fn columns(&self) -> (Result<Vec<ResultColumn>, Error>, u32) {
        evaluate::columns(&self.query)
    }
}

/// What a word about the session stands for. Tools ask for the tables of `DATABASE()` also when they chose none, and
/// there is only one.
fn settle(scalar: &mut Scalar, assigned: &Assignments, session: &SessionView<'_>) {
    let settled = match scalar {
        // It is what it is in its row.
        Scalar::Variable(name) if assigned.iter().any(|(known, _)| known == name) => None,
        Scalar::Variable(name) => {
            let (text, number) = variables::variable(name, session);
            *scalar = match text {
                None => Scalar::Value(Value::Null),
                Some(text) if number => Scalar::Value(Value::Number(text.into())),
                Some(text) => Scalar::Value(Value::Text(text.into())),
            };
            None
        }
        Scalar::Call { name, arguments } if &**name == "FROM_UNIXTIME" && session.memory.zone_s() != 0 => {
            let zone = Scalar::Value(Value::Number(session.memory.zone_s().to_string().into()));
            if let [time] = arguments.as_mut_slice() {
                let utc = std::mem::replace(time, Scalar::Value(Value::Null));
                *time = Scalar::Call { name: "+".into(), arguments: vec![utc, zone] };
            }
            None
        }
        Scalar::Call { name, arguments } => match (&**name, arguments.as_slice()) {
            ("DATABASE" | "SCHEMA", []) => Some((session.database.unwrap_or(DATABASE).to_owned(), false)),
            (name, []) => variables::function(name, &[], session),
            (name, [Scalar::Value(value)]) => variables::function(name, &[Expression::Value(value.clone())], session),
            _ => None,
        },
        _ => None,
    };
    if let Some((text, number)) = settled {
        *scalar = Scalar::Value(if number { Value::Number(text.into()) } else { Value::Text(text.into()) });
    }
}

/// The view that a query names. Error: 1146, for what other servers have there.
fn find(table: &TableName<'_>) -> Result<&'static View, Error> {
    const STATUS: [&str; 5] =
        ["global_status", "session_status", "global_variables", "session_variables", "processlist"];
    let database = table.database.as_deref().unwrap_or_default();
    let found = match database {
        name if name.eq_ignore_ascii_case(SCHEMA) => View::find(&table.name),
        name if name.eq_ignore_ascii_case("performance_schema") => {
            STATUS.iter().find(|known| table.name.eq_ignore_ascii_case(known)).and_then(|known| View::find(known))
        }
        "" => None,
        name if name.eq_ignore_ascii_case("mysql") => {
            let text = "There is no database mysql: who may log in stands in comet.ini, [main] and [tenant N]";
            return Err(Error::new(Code::NoSuchTable, text));
        }
        name if name.eq_ignore_ascii_case(DATABASE) => {
            let text = "Tables of CometQL and of information_schema cannot be joined: ask for them one by one";
            return Err(Error::new(Code::NotImplemented, text));
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let shown: String = table.name.chars().filter(|shown| !shown.is_control()).take(64).collect();
        let text = format!("The table `{shown}` does not exist there: SHOW TABLES FROM {SCHEMA} lists those that do");
        Error::new(Code::NoSuchTable, text)
    })
}

/// The figures behind a view.
fn figures(rows: Rows) -> Option<Figures> {
    match rows {
        Rows::Known | Rows::Variables => None,
        Rows::GlobalStatus => Some(Figures::Status(StatusFlag::Global)),
        Rows::SessionStatus => Some(Figures::Status(StatusFlag::Session)),
        Rows::Processes => Some(Figures::Processes),
    }
}
