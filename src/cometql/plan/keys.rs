//! WHERE to keys and a test: which rows to look up, and which of them to keep.
//!
//! A table is no set of rows that could be searched: it answers for keys. So a WHERE must name them with `=` or IN, on
//! every branch of an OR. The whole condition is then tested on the rows found, which keeps it honest whatever else
//! it says.

use std::collections::BTreeSet;

use super::user_id;
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Condition, Operator, Value};
use crate::cometql::tables::{Key, PIPE_NAME_MIN};
use crate::model::{PipeName, UserId};

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
