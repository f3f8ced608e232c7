//! SELECT about the server's own tables to answers.
//!
//! A [`Catalog`] is a query whose tables are known and whose words about the session - `DATABASE()`, `@@version` - have
//! become values. Most of its rows are descriptions; figures that the server supplies come when it is carried out.

mod columns;
mod evaluation;
mod join;
mod lookup;
mod scalar;
mod scope;
mod select;

use self::evaluation::{Asker, Evaluation};
use self::lookup::find;
use super::expressions::function;
use super::figures::Figures;
use super::variables::{variable, variables};
use super::views::Rows;
use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::{Field, ResultColumn, ResultSet, Row};
use crate::cometql::session::{SessionView, VARIABLES_MAX, Variable};
use crate::cometql::sql::catalog::{Query, Scalar};
use crate::cometql::sql::{Expression, Value};
use crate::cometql::tables::DATABASE;
use crate::model::UnixTime;

pub use evaluation::Assignments;

/// A query about the server that is ready to be carried out: at the front of the queue, one at a time, however many a
/// client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    query: Query,
    asker: Asker,
    now: UnixTime,
    /// Whether sessions and connections are asked for.
    lists_processes: bool,
    /// The user's variables that the query sets, with what they are before.
    assigned: Assignments,
}

/// What came of a query about the server.
#[derive(Debug)]
pub struct Answered {
    pub rows: Result<ResultSet, Error>,
    /// The variables that the query has set; they hold only if it succeeded.
    pub assigned: Assignments,
}

/// The one value of a query without tables. Errors: 3 also for one that has tables or sets variables.
pub fn value_of(query: &Query, session: &SessionView<'_>) -> Result<Variable, Error> {
    let catalog = prepare(query, session)?;
    let mut tables = false;
    catalog.query.clone().each_table(&mut |_| tables = true);
    if tables || !catalog.assigned.is_empty() {
        return Err(Error::new(Code::Syntax, "A value is computed here without tables, and without setting variables"));
    }
    // A query has a budget of its own, so that one that is too long says so in its own words.
    let own = Budget::default();
    let Answered { rows, .. } = catalog.answer(&own, &|_| Vec::new());
    session.budget.took(own.spent())?;
    let ResultSet { columns, rows } = rows?;
    let number = columns.first().is_some_and(|column| column.number);
    let cell = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    let text: Field = cell.map(|cell| String::from_utf8_lossy(&cell).into_owned().into());
    Ok(Variable::new(text, number))
}

/// The value of what is computed without tables. Errors: those of a SELECT of it.
pub fn value_of_scalar(scalar: &Scalar, session: &SessionView<'_>) -> Result<Value<'static>, Error> {
    let Variable { text, number } = value_of(&Query::of(scalar.clone()), session)?;
    Ok(value(text.map(String::from), number))
}

fn value(text: Option<String>, number: bool) -> Value<'static> {
    match text {
        None => Value::Null,
        Some(text) if number => Value::Number(text.into()),
        Some(text) => Value::Text(text.into()),
    }
}

/// Errors: 1146 for tables that are not there, 11 for more variables set than a session may have.
pub(super) fn prepare(query: &Query, session: &SessionView<'_>) -> Result<Catalog, Error> {
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
        asker: Asker {
            user: session.user,
            variables: if wants_variables { variables(session) } else { Vec::new() },
            bytes_max: session.limits.result_bytes_max,
        },
        now: session.unix,
        lists_processes: known.contains(&Rows::Processes),
        assigned,
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

    /// Carries the query out within the budget. `live` gives the rows of figures, in the columns that [`Figures`] says.
    /// Errors: 14 for unknown columns, 3 for unknown functions, 11 when it would take too long or weigh too much.
    pub fn answer(&self, budget: &Budget, live: &dyn Fn(Figures) -> Vec<Row>) -> Answered {
        let mut evaluation = Evaluation::new(&self.asker, &self.assigned, budget, live);
        let rows = evaluation.answer(&self.query);
        Answered { rows, assigned: evaluation.assigned }
    }

    /// The columns of the answer. Nothing is carried out, so what else is wrong with the query shows when it is. Errors:
    /// 1146, 3, and 11 when it would take too long.
    pub fn columns(&self, budget: &Budget) -> Result<Vec<ResultColumn>, Error> {
        columns::columns(&self.query, budget)
    }
}

/// What a word about the session stands for. Tools ask for the tables of `DATABASE()` also when they chose none, and
/// there is only one.
fn settle(scalar: &mut Scalar, assigned: &Assignments, session: &SessionView<'_>) {
    let settled = match scalar {
        // It is what it is in its row.
        Scalar::Variable(name) if assigned.iter().any(|(known, _)| known == name) => None,
        Scalar::Variable(name) => {
            let (text, number) = variable(name, session);
            *scalar = Scalar::Value(value(text, number));
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
            (name, []) => function(name, &[], session),
            (name, [Scalar::Value(value)]) => function(name, &[Expression::Value(value.clone())], session),
            _ => None,
        },
        _ => None,
    };
    if let Some((text, number)) = settled {
        *scalar = Scalar::Value(value(Some(text), number));
    }
}
