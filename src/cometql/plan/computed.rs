//! What a condition compares columns to, if that has to be computed first: `time > UNIX_TIMESTAMP() - 60`.

use super::SessionView;
use super::catalog::value_of;
use super::memory::Variable;
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
    let Variable { text, number } = value_of(&query, session)?;
    Ok(match text.map(String::from) {
        None => Value::Null,
        Some(text) if number => Value::Number(text.into()),
        Some(text) => Value::Text(text.into()),
    })
}
