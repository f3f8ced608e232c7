//! WHERE with its columns looked up, and what it says of a row.

use super::columns::{Columns, Values};
use super::like::{self, Effort, Progress};
use super::result::Row;
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Condition, Operator, Value};
use crate::cometql::tables::{CONDITIONS_MAX, VALUES_MAX};

/// Longest pattern of LIKE, in bytes: matching takes time in proportion to it.
const PATTERN_BYTES_MAX: usize = 256;

/// A condition with its columns looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Constant(bool),
    /// A comparison to NULL: neither true nor false, and NOT does not make it true.
    Unknown,
    Compare {
        column: usize,
        operator: Operator,
        value: Box<str>,
    },
    /// `unknown` when NULL was among the values.
    In {
        column: usize,
        values: Values,
        unknown: bool,
    },
    Like {
        column: usize,
        pattern: Box<str>,
    },
}

impl Test {
    /// How many conditions there are.
    pub fn conditions(&self) -> u32 {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::conditions).sum(),
            Self::Not(part) => part.conditions(),
            Self::Constant(_) | Self::Unknown | Self::Compare { .. } | Self::In { .. } | Self::Like { .. } => 1,
        }
    }
}

/// The condition with its columns looked up by `find`. Errors: 18 and 19 for its size, those of `find`, 11 for long
/// patterns.
pub fn compile(condition: &Condition, find: &impl Fn(&str) -> Result<usize, Error>) -> Result<Test, Error> {
    let (mut conditions, mut values) = (0_usize, 0_usize);
    measure(condition, &mut conditions, &mut values);
    if conditions > CONDITIONS_MAX {
        let text = format!("WHERE has {conditions} conditions: at most {CONDITIONS_MAX} are allowed, IN takes a list");
        return Err(Error::new(Code::TooManyConditions, text));
    }
    if values > VALUES_MAX {
        let text = format!("IN has {values} values: at most {VALUES_MAX} are allowed in one query");
        return Err(Error::new(Code::TooManyValues, text));
    }
    look_up(condition, find)
}

fn measure(condition: &Condition, conditions: &mut usize, values: &mut usize) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            for part in parts {
                measure(part, conditions, values);
            }
        }
        Condition::Not(part) => measure(part, conditions, values),
        Condition::In { values: list, .. } => {
            *conditions = conditions.saturating_add(1);
            *values = values.saturating_add(list.len());
        }
        _ => *conditions = conditions.saturating_add(1),
    }
}

fn look_up(condition: &Condition, find: &impl Fn(&str) -> Result<usize, Error>) -> Result<Test, Error> {
    let parts = |parts: &[Condition]| parts.iter().map(|part| look_up(part, find)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::All(list) => Test::All(parts(list)?),
        Condition::Any(list) => Test::Any(parts(list)?),
        Condition::Not(part) => Test::Not(Box::new(look_up(part, find)?)),
        Condition::Constant(truth) => Test::Constant(*truth),
        Condition::Compare { column: name, operator, value } => match (find(name)?, value.text()) {
            (column, Some(text)) => Test::Compare { column, operator: *operator, value: text.into() },
            // Nothing equals NULL, nor differs from it.
            (_, None) => Test::Unknown,
        },
        Condition::In { column: name, values } => Test::In {
            column: find(name)?,
            values: values.iter().filter_map(Value::text).collect(),
            unknown: values.iter().any(|value| value.text().is_none()),
        },
        Condition::Like { column: name, pattern: text } => pattern(find(name)?, text)?,
        Condition::IsNull { column: name } => {
            find(name)?;
            Test::Constant(false)
        }
    })
}

/// LIKE on this column. Error: 11 for a long pattern.
pub fn pattern(column: usize, pattern: &Value<'_>) -> Result<Test, Error> {
    match pattern.text() {
        Some(pattern) if pattern.len() > PATTERN_BYTES_MAX => {
            let text = format!("The pattern of LIKE is longer than {PATTERN_BYTES_MAX} bytes");
            Err(Error::new(Code::TooLong, text))
        }
        Some(pattern) => Ok(Test::Like { column, pattern: pattern.into() }),
        None => Ok(Test::Unknown),
    }
}

/// How far the condition of one row is looked at, in case that it takes more than one go.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What the comparisons by LIKE gave, in the order in which the condition comes to them.
    likes: Vec<bool>,
    /// How many of them this go has come to.
    at: usize,
    /// Of the next one.
    progress: Progress,
}

impl Looked {
    /// `None`: the effort is used up.
    fn like(&mut self, pattern: &str, text: &str, ignore_case: bool, effort: &mut Effort) -> Option<bool> {
        let known = self.likes.get(self.at).copied();
        let found = match known {
            Some(known) => known,
            None => like::go_on(pattern, text, ignore_case, &mut self.progress, effort)?,
        };
        if known.is_none() {
            self.progress = Progress::default();
            self.likes.push(found);
        }
        self.at += 1;
        Some(found)
    }
}

/// The effort is used up before it is known.
struct Interrupted;

impl Test {
    /// Whether it is true for this row, in several goes if need be: `None` when the effort is used up before it is known.
    pub(super) fn is_true(
        &self,
        row: &Row,
        columns: &Columns,
        looked: &mut Looked,
        effort: &mut Effort,
    ) -> Option<bool> {
        looked.at = 0;
        self.truth(row, columns, looked, effort).ok().map(|truth| truth == Some(true))
    }

    /// SQL's three-valued logic; `None` is unknown.
    fn truth(
        &self,
        row: &Row,
        columns: &Columns,
        looked: &mut Looked,
        effort: &mut Effort,
    ) -> Result<Option<bool>, Interrupted> {
        let cell = |column: &usize| row.get(*column).map_or("", |cell| &**cell);
        Ok(Some(match self {
            Self::All(parts) => return combine(parts, false, |part| part.truth(row, columns, looked, effort)),
            Self::Any(parts) => return combine(parts, true, |part| part.truth(row, columns, looked, effort)),
            Self::Not(part) => return Ok(part.truth(row, columns, looked, effort)?.map(|truth| !truth)),
            Self::Constant(truth) => *truth,
            Self::Unknown => return Ok(None),
            Self::Compare { column, operator, value } => {
                columns.compare(*column, cell(column), value).is_some_and(|ordering| match operator {
                    Operator::Equal => ordering.is_eq(),
                    Operator::NotEqual => ordering.is_ne(),
                    Operator::Less => ordering.is_lt(),
                    Operator::LessOrEqual => ordering.is_le(),
                    Operator::Greater => ordering.is_gt(),
                    Operator::GreaterOrEqual => ordering.is_ge(),
                })
            }
            Self::In { column, values, unknown } => {
                let found = columns.is_among(*column, cell(column), values);
                if !found && *unknown {
                    return Ok(None);
                }
                found
            }
            Self::Like { column, pattern } => {
                looked.like(pattern, cell(column), columns.ignore_case, effort).ok_or(Interrupted)?
            }
        }))
    }
}

/// AND (`decisive` false) or OR (`decisive` true) of the parts.
fn combine(
    parts: &[Test],
    decisive: bool,
    mut truth: impl FnMut(&Test) -> Result<Option<bool>, Interrupted>,
) -> Result<Option<bool>, Interrupted> {
    let mut known = Some(!decisive);
    for part in parts {
        match truth(part)? {
            Some(truth) if truth == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => known = None,
        }
    }
    Ok(known)
}
