//! What a condition compares columns to, if that has to be computed first: `time > UNIX_TIMESTAMP() - 60`.

use crate::cometql::errors::Error;
use crate::cometql::introspection::value_of_scalar;
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Statement, Value};

/// The statement with values in place of what is computed. Errors: those of a SELECT of the same expressions.
pub(super) fn settle(statement: &Statement, session: &SessionView<'_>) -> Result<Statement, Error> {
    let mut settled = statement.clone();
    let mut failure = None;
    settled.each_value(&mut |value| {
        if let Value::Computed(scalar) = value {
            match value_of_scalar(scalar, session) {
                Ok(computed) => *value = computed,
                Err(error) => failure = Some(error),
            }
        }
    });
    failure.map_or(Ok(settled), Err)
}
