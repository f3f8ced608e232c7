//! The columns of queries, of their tables and of their answers, before any row is there.

use std::borrow::Cow;

use super::lookup::find;
use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::scalars::gives_number;
use crate::cometql::introspection::views::View;
use crate::cometql::rows::ResultColumn;
use crate::cometql::sql::Value;
use crate::cometql::sql::catalog::{Block, Entry, Joined, Query, Relation, Scalar};

/// A column that can be named.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) table: Box<str>,
    pub(super) name: Cow<'static, str>,
    pub(super) number: bool,
}

/// So many columns are compared to a name in the time of a step.
pub(super) const COLUMNS_PER_STEP: usize = 16;

pub(super) fn result_columns(columns: Vec<Named>) -> Vec<ResultColumn> {
    let column = |Named { name, number, .. }| ResultColumn { name: name.into_owned(), number };
    columns.into_iter().map(column).collect()
}

/// The columns of a query's answer, for which nothing is carried out. Errors: 1146, 3, and 11 when it would take too long.
pub(super) fn columns(query: &Query, budget: &Budget) -> Result<Vec<ResultColumn>, Error> {
    columns_of(query, budget).map(result_columns)
}

/// Each entry may be looked for among all columns.
pub(super) fn heading_steps(block: &Block, columns: &[Named]) -> usize {
    block.entries.len().saturating_mul(1 + columns.len() / COLUMNS_PER_STEP)
}

fn columns_of(query: &Query, budget: &Budget) -> Result<Vec<Named>, Error> {
    let Some(block) = query.blocks.first() else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    for Joined { relation, name, .. } in &block.from {
        let more = match relation {
            Relation::Query(query) => columns_of(query, budget)?,
            Relation::Table(table) => columns_of_view(find(table)?),
        };
        columns.extend(more.into_iter().map(|column| Named { table: name.clone(), ..column }));
    }
    if !budget.take(heading_steps(block, &columns)) {
        return Err(Error::new(Code::TooLong, "The query has too many columns: name fewer"));
    }
    headings(block, &columns)
}

pub(super) fn columns_of_view(view: &View) -> Vec<Named> {
    let named = |(name, number)| Named { table: Box::default(), name: Cow::Borrowed(name), number };
    view.columns().map(named).collect()
}

/// The columns of a block's answer.
pub(super) fn headings(block: &Block, columns: &[Named]) -> Result<Vec<Named>, Error> {
    let mut headings = Vec::new();
    for entry in &block.entries {
        match entry {
            Entry::All(_) if columns.is_empty() => {
                return Err(Error::new(Code::Syntax, "SELECT * needs a table: add FROM"));
            }
            Entry::All(table) => {
                headings.extend(columns.iter().filter(|column| is_of(column, table.as_deref())).cloned());
            }
            Entry::One { scalar, heading } => headings.push(Named {
                table: Box::default(),
                name: Cow::Owned(heading.to_string()),
                number: is_number(scalar, columns),
            }),
        }
    }
    Ok(headings)
}

pub(super) fn is_number(scalar: &Scalar, columns: &[Named]) -> bool {
    match scalar {
        Scalar::Value(value) => matches!(value, Value::Number(_)),
        Scalar::Column { name, .. } => {
            columns.iter().any(|column| column.number && column.name.eq_ignore_ascii_case(name))
        }
        Scalar::Call { name, arguments } if &**name == ":=" => {
            arguments.last().is_some_and(|value| is_number(value, columns))
        }
        Scalar::Call { name, .. } => gives_number(name),
        Scalar::Aggregate { name, .. } => matches!(&**name, "COUNT" | "SUM" | "AVG"),
        Scalar::Exists(_) | Scalar::InQuery { .. } => true,
        Scalar::Variable(_) | Scalar::Query(_) => false,
    }
}

pub(super) fn is_of(column: &Named, table: Option<&str>) -> bool {
    table.is_none_or(|table| column.table.eq_ignore_ascii_case(table))
}

/// The column of the answer that ORDER BY means by its number or heading.
pub(super) fn output_place(scalar: &Scalar, headings: &[Named]) -> Option<usize> {
    match scalar {
        Scalar::Value(Value::Number(number)) => number.parse::<usize>().ok()?.checked_sub(1),
        Scalar::Column { table: None, name } => {
            headings.iter().position(|heading| heading.name.eq_ignore_ascii_case(name))
        }
        _ => None,
    }
}
