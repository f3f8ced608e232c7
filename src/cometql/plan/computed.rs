//! What a condition compares columns to, if that has to be computed first: `time > UNIX_TIMESTAMP() - 60`.

use super::catalog::plan_catalog;
use super::{Plan, SessionView};
use crate::cometql::errors::Error;
use crate::cometql::sql::catalog::{Block, Entry, Query, Scalar};
use crate::cometql::sql::{Statement, Value};

/// The statement with values in place of what is computed. Errors: those of a SELECT of the same expressions.
pub(super) fn settle(statement: &Statement, session: &SessionView<'_>) -> Result<Statement, Error> {
    let mut settled = statement.clone();
    let mut failure = None;
    settled.each_value(&mut |value| {
        if let Value::Computed(scalar) = value {
            match compute(scalar, session) {
                Ok(computed) => *value = computed,
                Err(error) => failure = Some(error),
            }
        }
    });
    failure.map_or(Ok(settled), Err)
}

fn compute(scalar: &Scalar, session: &SessionView<'_>) -> Result<Value<'static>, Error> {
    let entry = Entry::One { scalar: scalar.clone(), heading: Box::default() };
    let block = Block {
        distinct: false,
        entries: vec![entry],
        from: Vec::new(),
        condition: None,
        group: Vec::new(),
        having: None,
    };
    let query = Query { blocks: vec![block], distinct: false, order: Vec::new(), limit: None };
    let Plan::Catalog(catalog) = plan_catalog(&query, session)? else { return Ok(Value::Null) };
    let (answer, steps) = catalog.answer(&|_| Vec::new());
    session.took(steps)?;
    let set = answer?;
    let number = set.columns.first().is_some_and(|column| column.number);
    let cell = set.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    Ok(match cell.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) {
        None => Value::Null,
        Some(text) if number => Value::Number(text.into()),
        Some(text) => Value::Text(text.into()),
    })
}
