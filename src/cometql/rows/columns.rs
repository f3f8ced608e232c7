//! The columns that rows have before projection, and how their cells compare.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::numbers;
use super::result::Row;

/// A column that rows have before projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: &'static str,
    /// Compared and ordered as numbers.
    pub number: bool,
}

/// The columns of a source, in the order of the cells of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub all: Vec<SourceColumn>,
    /// Whether `=` and LIKE ignore ASCII case, as MySQL's lists of SHOW do. Tables compare bytes.
    pub ignore_case: bool,
}

impl Columns {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn is_number(&self, column: usize) -> bool {
        self.all.get(column).is_some_and(|column| column.number)
    }

    /// As ORDER BY has it: every text has a place, also one that is no number in a column of numbers.
    pub fn order(&self, column: usize, left: &Row, right: &Row) -> Ordering {
        match (left.get(column), right.get(column)) {
            (Some(left), Some(right)) if self.is_number(column) => {
                numbers::compare(left, right).unwrap_or_else(|| left.cmp(right))
            }
            (left, right) => left.cmp(&right),
        }
    }

    /// How a cell compares to a written value; `None` when they do not compare, such as a number to a word.
    pub fn compare(&self, column: usize, cell: &str, value: &str) -> Option<Ordering> {
        if self.is_number(column) {
            return numbers::compare(cell, value);
        }
        if self.ignore_case {
            return Some(cell.to_ascii_lowercase().cmp(&value.to_ascii_lowercase()));
        }
        Some(cell.cmp(value))
    }

    pub fn is_among(&self, column: usize, cell: &str, values: &Values) -> bool {
        if self.is_number(column) {
            return cell.parse().is_ok_and(|number| values.numbers.contains(&number));
        }
        values.texts.contains(cell)
            || self.ignore_case && values.texts.iter().any(|value| value.eq_ignore_ascii_case(cell))
    }
}

/// A list of values, prepared to be searched once per row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    texts: BTreeSet<Box<str>>,
    /// Those that are whole numbers, for columns of numbers.
    numbers: BTreeSet<i128>,
}

impl<'v> FromIterator<&'v str> for Values {
    fn from_iter<I: IntoIterator<Item = &'v str>>(values: I) -> Self {
        let texts: BTreeSet<Box<str>> = values.into_iter().map(Box::from).collect();
        let numbers = texts.iter().filter_map(|text| numbers::whole(text)).collect();
        Self { texts, numbers }
    }
}
