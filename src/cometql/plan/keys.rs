//! WHERE to keys and a test: which rows to look up, and which of them to keep.
//!
//! A table is no set of rows that could be searched: it answers for keys. So a WHERE must name them with `=` or IN, on
//! every branch of an OR. The whole condition is then tested on the rows found, which keeps it honest whatever else
//! it says.

use std::collections::BTreeSet;

use super::find_column;
use super::rows::Test;
use super::user_id;
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Condition, Operator, Value};
use crate::cometql::tables::{CONDITIONS_MAX, Key, PIPE_NAME_MIN, VALUES_MAX};
use crate::model::{PipeName, UserId};

/// Longest pattern of LIKE, in bytes: matching takes time in proportion to it.
pub(super) const PATTERN_BYTES_MAX: usize = 256;

/// The keys of a statement, valid for their table, each once and in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    Users(Vec<UserId>),
    Pipes(Vec<PipeName>),
    Texts(Vec<Box<str>>),
    /// All rows: WHERE does not say, and the table can be listed.
    All,
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Users(users) => users.len(),
            Self::Pipes(pipes) => pipes.len(),
            Self::Texts(texts) => texts.len(),
            Self::All => usize::MAX,
        }
    }

    /// As the cells of their column have them.
    pub(super) fn cells(&self) -> Vec<Box<str>> {
        match self {
            Self::Users(users) => users.iter().map(|user| user.to_string().into()).collect(),
            Self::Pipes(pipes) => pipes.iter().map(|pipe| pipe.as_str().into()).collect(),
            Self::Texts(texts) => texts.clone(),
            Self::All => Vec::new(),
        }
    }

    /// Whether there is no other key than the one that is written here.
    pub(super) fn names_only(&self, written: &Value<'_>) -> bool {
        let Some(text) = written.text() else { return self.is_empty() };
        match self {
            Self::Users(users) => users.len() <= 1 && users.iter().all(|user| user_id(text) == Some(*user)),
            Self::All => false,
            others => others.len() <= 1 && others.cells().iter().all(|cell| &**cell == text.trim_ascii()),
        }
    }

    /// Those in the places for which `keep` is true.
    pub(super) fn retain(&mut self, keep: &[bool]) {
        fn pick<K>(keys: &mut Vec<K>, keep: &[bool]) {
            let mut keep = keep.iter();
            keys.retain(|_| keep.next().is_some_and(|keep| *keep));
        }
        match self {
            Self::Users(users) => pick(users, keep),
            Self::Pipes(pipes) => pick(pipes, keep),
            Self::Texts(texts) => pick(texts, keep),
            Self::All => {}
        }
    }

    /// In an order of their own, so that equal statements do equal things.
    pub(super) fn sort(&mut self) {
        match self {
            Self::Users(users) => users.sort_unstable(),
            Self::Pipes(pipes) => pipes.sort_unstable(),
            Self::Texts(texts) => texts.sort_unstable(),
            Self::All => {}
        }
    }
}

/// Which keys a condition names.
enum Named<'c> {
    /// In the order written.
    Values(Vec<&'c Value<'static>>),
    /// It does not say.
    Nothing,
    /// Only some branches of an OR say.
    Partly,
}

/// The condition with its columns looked up by `find`. Errors: 18 and 19 for its size, 14 for unknown columns, 11 for
/// long patterns.
pub(super) fn compile(condition: &Condition, find: &impl Fn(&str) -> Option<usize>) -> Result<Test, Error> {
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

fn look_up(condition: &Condition, find: &impl Fn(&str) -> Option<usize>) -> Result<Test, Error> {
    let column = |name: &str| find_column(find(name), name);
    let parts = |parts: &[Condition]| parts.iter().map(|part| look_up(part, find)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::All(list) => Test::All(parts(list)?),
        Condition::Any(list) => Test::Any(parts(list)?),
        Condition::Not(part) => Test::Not(Box::new(look_up(part, find)?)),
        Condition::Constant(truth) => Test::Constant(*truth),
        Condition::Compare { column: name, operator, value } => match (column(name)?, value.text()) {
            (column, Some(text)) => Test::Compare { column, operator: *operator, value: text.into() },
            // Nothing equals NULL, nor differs from it.
            (_, None) => Test::Unknown,
        },
        Condition::In { column: name, values } => Test::In {
            column: column(name)?,
            values: values.iter().filter_map(Value::text).collect(),
            unknown: values.iter().any(|value| value.text().is_none()),
        },
        Condition::Like { column: name, pattern: text } => pattern(column(name)?, text)?,
        Condition::IsNull { column: name } => {
            column(name)?;
            Test::Constant(false)
        }
    })
}

/// LIKE on this column. Error: 11 for a long pattern.
pub(super) fn pattern(column: usize, pattern: &Value<'_>) -> Result<Test, Error> {
    match pattern.text() {
        Some(pattern) if pattern.len() > PATTERN_BYTES_MAX => {
            let text = format!("The pattern of LIKE is longer than {PATTERN_BYTES_MAX} bytes");
            Err(Error::new(Code::TooLong, text))
        }
        Some(pattern) => Ok(Test::Like { column, pattern: pattern.into() }),
        None => Ok(Test::Unknown),
    }
}

/// The keys that `condition` names for a key column, looked up by `is_key`. Values that no row of the table can have
/// are left out. Errors: 13 when the key is missing, 2 when only some branches of an OR have it.
pub(super) fn keys(
    condition: &Condition,
    key: Key,
    key_name: &str,
    is_key: &impl Fn(&str) -> bool,
) -> Result<Keys, Error> {
    let values = match named(condition, is_key) {
        Named::Values(values) => values,
        Named::Nothing => return Err(missing(key_name)),
        Named::Partly => {
            let text = format!("Every branch of OR must name `{key_name}` with = or IN");
            return Err(Error::new(Code::NotImplemented, text));
        }
    };
    if key == Key::Pipe && values.iter().any(|value| is_fraction(value)) {
        // INSERT refuses it as well. Were it "no such row", the row of the same number in plain digits would stay.
        let text = format!("The field `{key_name}` is a text: a number there has no point, or stands in quotes");
        return Err(Error::new(Code::Invalid, text));
    }
    let texts = values.into_iter().filter_map(Value::text);
    Ok(match key {
        Key::User { least } => Keys::Users(collect(texts.filter_map(user_id).filter(|user| user.get() >= least))),
        Key::Pipe => {
            let names = texts.filter(|text| text.len() >= PIPE_NAME_MIN);
            Keys::Pipes(collect(names.filter_map(|text| PipeName::new(text.as_bytes()).ok())))
        }
        Key::Text { bytes_max } => Keys::Texts(collect(texts.filter(|text| text.len() <= bytes_max).map(Box::from))),
        Key::None => Keys::All,
    })
}

/// `5.0` and `5e+0` without quotes, whole or not.
fn is_fraction(value: &Value<'_>) -> bool {
    matches!(value, Value::Number(text) if text.contains(['.', '+']))
}

/// Each key once: a row is one row, however often it is asked for. (CppComet repeated it.)
fn collect<K: Ord + Clone>(keys: impl Iterator<Item = K>) -> Vec<K> {
    let mut seen = BTreeSet::new();
    keys.filter(|key| seen.insert(key.clone())).collect()
}

/// Error 13: the statement does not say which rows.
pub(super) fn missing(key_name: &str) -> Error {
    Error::new(Code::Where, format!("WHERE must name the rows: add `{key_name}` = … or `{key_name}` IN (…)"))
}

fn named<'c>(condition: &'c Condition, is_key: &impl Fn(&str) -> bool) -> Named<'c> {
    match condition {
        Condition::Compare { column, operator: Operator::Equal, value } if is_key(column) => Named::Values(vec![value]),
        Condition::In { column, values } if is_key(column) => Named::Values(values.iter().collect()),
        Condition::Constant(false) => Named::Values(Vec::new()),
        Condition::All(parts) => {
            let mut best = Named::Nothing;
            for part in parts {
                match named(part, is_key) {
                    Named::Nothing => {}
                    Named::Partly => best = Named::Partly,
                    values @ Named::Values(_) => return values,
                }
            }
            best
        }
        Condition::Any(parts) => {
            let mut all: Vec<&Value<'static>> = Vec::new();
            let (mut saying, mut silent) = (false, false);
            for part in parts {
                match named(part, is_key) {
                    Named::Values(values) => {
                        saying = true;
                        all.extend(values);
                    }
                    Named::Nothing => silent = true,
                    Named::Partly => return Named::Partly,
                }
            }
            match (saying, silent) {
                (true, false) => Named::Values(all),
                (true, true) => Named::Partly,
                (false, _) => Named::Nothing,
            }
        }
        _ => Named::Nothing,
    }
}
