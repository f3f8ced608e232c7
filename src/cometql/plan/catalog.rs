//! SELECT about the server's own tables to answers.
//!
//! A [`Catalog`] is a query whose tables are known and whose words about the session - `DATABASE()`, `@@version` - have
//! become values. Most of its rows are descriptions; figures that the server supplies come when it is carried out.

mod evaluate;
mod views;

use self::evaluate::Evaluation;
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
    bytes_max: usize,
}

pub(super) fn plan_catalog(query: &Query, session: &SessionView<'_>) -> Result<Plan, Error> {
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
    query.each_scalar(&mut |scalar| settle(scalar, session));
    let wants_variables = known.contains(&Rows::Variables);
    let catalog = Catalog {
        query,
        user: session.user,
        now: session.unix,
        lists_processes: known.contains(&Rows::Processes),
        variables: if wants_variables { variables(session) } else { Vec::new() },
        bytes_max: session.limits.result_bytes_max,
    };
    Ok(Plan::Catalog(Box::new(catalog)))
}

impl Catalog {
    /// As they are at this time, if the query asks for [`Figures::Processes`].
    pub fn processes(&self) -> Option<UnixTime> {
        self.lists_processes.then_some(self.now)
    }

    /// Carries the query out, and says how many steps that took. `live` gives the rows of figures, in the columns that
    /// [`Figures`] says. Errors: 14 for unknown columns, 3 for unknown functions, 11 when it would take too long or weigh
    /// too much.
    pub fn answer(&self, live: &dyn Fn(Figures) -> Vec<Row>) -> (Result<ResultSet, Error>, u32) {
        Evaluation::new(self, live).answer()
    }

    /// The columns of the answer, and how many steps that took. Nothing is carried out, so what else is wrong with the query shows when it is.
    pub fn columns(&self) -> (Result<Vec<ResultColumn>, Error>, u32) {
        evaluate::columns(&self.query)
    }
}

/// What a word about the session stands for. Tools ask for the tables of `DATABASE()` also when they chose none, and
/// there is only one.
fn settle(scalar: &mut Scalar, session: &SessionView<'_>) {
    let settled = match scalar {
        Scalar::Variable(name) => Some((variables::variable(name, session), false)),
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
