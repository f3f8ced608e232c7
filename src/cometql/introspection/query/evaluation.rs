//! A query about the server while it is carried out: what it may still take and hold, and what it knows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::columns::Named;
use crate::cometql::budget::{BYTES_PER_STEP, Budget};
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::figures::Figures;
use crate::cometql::rows::{Effort, Field, Row};
use crate::cometql::session::{User, Variable};

/// Bytes of rows and values that one query may hold while it is carried out. All of `information_schema` is a twentieth.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Steps of LIKE in one query, which are smaller.
const LIKE_STEPS_MAX: u32 = 2_000_000;

/// Variables of the user that a query has set, with their new values.
pub type Assignments = Vec<(Box<str>, Variable)>;

/// Whoever asks, as far as a query about the server depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) user: User,
    /// Of its session; empty if the query does not ask for them.
    pub(super) variables: Vec<(Cow<'static, str>, String)>,
    /// What the values of an answer may weigh together.
    pub(super) bytes_max: usize,
}

pub(super) struct Evaluation<'c> {
    pub(super) asker: &'c Asker,
    pub(super) live: &'c dyn Fn(Figures) -> Vec<Row>,
    budget: &'c Budget,
    /// Bytes of rows that may still be held.
    bytes: usize,
    pub(super) effort: Effort,
    /// By view: a subquery may ask for it again with every row.
    pub(super) loaded: BTreeMap<&'static str, Rc<Vec<Vec<Field>>>>,
    /// The variables that the query sets, as they are now.
    pub(super) assigned: Assignments,
}

/// What a query or a view gives.
pub(super) struct Answer {
    pub(super) columns: Vec<Named>,
    pub(super) rows: Rc<Vec<Vec<Field>>>,
}

/// A row of the answer, and what it is sorted by.
pub(super) struct Sorted {
    pub(super) row: Vec<Field>,
    pub(super) keys: Vec<Field>,
}

impl<'c> Evaluation<'c> {
    pub(super) fn new(
        asker: &'c Asker,
        assigned: &Assignments,
        budget: &'c Budget,
        live: &'c dyn Fn(Figures) -> Vec<Row>,
    ) -> Self {
        Self {
            asker,
            live,
            budget,
            bytes: BYTES_MAX,
            effort: Effort::new(LIKE_STEPS_MAX),
            loaded: BTreeMap::new(),
            assigned: assigned.clone(),
        }
    }

    pub(super) fn step(&mut self, count: usize) -> Result<(), Error> {
        if self.budget.take(count) {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The query looks at too much: join fewer tables of information_schema"))
    }

    /// These fields are held from now on.
    pub(super) fn hold(&mut self, fields: &[Field]) -> Result<(), Error> {
        let bytes = weight(fields);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes == 0 {
            let text = format!("The query would hold more than {BYTES_MAX} bytes: ask for fewer or shorter rows");
            return Err(Error::new(Code::TooLong, text));
        }
        self.step(bytes / (4 * BYTES_PER_STEP))
    }

    /// These fields are compared to those of so many rows in order: sorted or searched.
    pub(super) fn search(&mut self, fields: &[Field], rows: usize) -> Result<(), Error> {
        let bytes: usize = fields.iter().flatten().map(|text| text.len()).sum();
        let comparisons = rows.checked_ilog2().unwrap_or(0) as usize + 1;
        self.step(comparisons.saturating_mul(fields.len() + bytes / BYTES_PER_STEP))
    }

    /// What `compute` holds is let go of when its value is known.
    pub(super) fn holding<T>(&mut self, compute: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let before = self.bytes;
        let computed = compute(self)?;
        self.bytes = before;
        Ok(computed)
    }

    pub(super) fn drop_doubles(&mut self, rows: &mut Vec<Sorted>) -> Result<(), Error> {
        for sorted in rows.iter() {
            self.hold(&sorted.row)?;
            self.search(&sorted.row, rows.len())?;
        }
        let mut seen = BTreeSet::new();
        rows.retain(|sorted| seen.insert(sorted.row.clone()));
        Ok(())
    }
}

/// What fields take in memory, about.
fn weight(fields: &[Field]) -> usize {
    let heap = |field: &Field| if let Some(Cow::Owned(text)) = field { text.len() } else { 0 };
    size_of::<Vec<Field>>() + size_of_val(fields) + fields.iter().map(heap).sum::<usize>()
}
