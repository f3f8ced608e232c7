//! What is made of a source's rows: filter, order, window, projection.
//!
//! A [`RowQuery`] is complete in itself and knows no table: whoever fetches the rows hands them over in the order of
//! the source's columns and gets the answer.

use std::cmp::Ordering;

use super::columns::{Columns, SourceColumn};
use super::condition::{Looked, Test};
use super::like::Effort;
use super::result::{ResultColumn, Row};

/// One column of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projected {
    pub heading: String,
    pub number: bool,
    pub cell: Cell,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A source column; each occurs at most once.
    Column(usize),
    Constant(Option<Box<str>>),
    /// How many rows there are; then the answer has one row.
    Count,
    /// Whether there are any, as 1 or 0; then the answer has one row.
    Exists,
}

/// What to make of a source's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowQuery {
    pub source: Columns,
    pub output: Vec<Projected>,
    pub test: Test,
    /// Source columns, most significant first, and whether descending.
    pub order: Vec<(usize, bool)>,
    pub offset: u64,
    pub count: u64,
    /// If rows are counted: offset and count of those that are.
    pub counted: (u64, u64),
    /// What the values of the answer may weigh together.
    pub bytes_max: usize,
}

impl RowQuery {
    /// A query that gives all rows and columns as they are.
    pub fn all(source: Vec<SourceColumn>) -> Self {
        let output = source
            .iter()
            .enumerate()
            .map(|(place, column)| Projected {
                heading: column.name.to_owned(),
                number: column.number,
                cell: Cell::Column(place),
            })
            .collect();
        Self {
            source: Columns { all: source, ignore_case: false },
            output,
            test: Test::Constant(true),
            order: Vec::new(),
            offset: 0,
            count: u64::MAX,
            counted: (0, u64::MAX),
            bytes_max: usize::MAX,
        }
    }

    /// The columns of the answer.
    pub fn columns(&self) -> Vec<ResultColumn> {
        let column = |column: &Projected| {
            // Beside rows that are not known yet, nothing but whole numbers is told as a number.
            let whole = match &column.cell {
                Cell::Constant(Some(text)) => text.parse::<i64>().is_ok(),
                _ => true,
            };
            ResultColumn { name: column.heading.clone(), number: column.number && whole }
        };
        self.output.iter().map(column).collect()
    }

    /// Whether the condition is true for this row. False also when the effort is used up, which its owner has to check.
    pub fn holds(&self, row: &Row, effort: &mut Effort) -> bool {
        self.truth(row, &mut Looked::default(), effort) == Some(true)
    }

    /// The same in several goes: `None` when the effort is used up before it is known.
    pub(super) fn truth(&self, row: &Row, looked: &mut Looked, effort: &mut Effort) -> Option<bool> {
        self.test.is_true(row, &self.source, looked, effort)
    }

    /// Offset and count of the rows that are given out or counted.
    pub fn window(&self) -> (u64, u64) {
        if self.counts() { self.counted } else { (self.offset, self.count) }
    }

    pub fn counts(&self) -> bool {
        self.output.iter().any(|column| matches!(column.cell, Cell::Count | Cell::Exists))
    }

    pub fn project(&self, mut row: Row, total: u64) -> Vec<Option<Box<[u8]>>> {
        self.output
            .iter()
            .map(|column| match &column.cell {
                Cell::Column(place) => Some(row.get_mut(*place).map(std::mem::take).unwrap_or_default()),
                Cell::Constant(text) => text.clone(),
                Cell::Count => Some(total.to_string().into()),
                Cell::Exists => Some(if total > 0 { "1" } else { "0" }.into()),
            })
            .map(|text| text.map(str::into_boxed_bytes))
            .collect()
    }

    pub fn compare_rows(&self, left: &Row, right: &Row) -> Ordering {
        self.order
            .iter()
            .map(|(column, descending)| {
                let ordering = self.source.order(*column, left, right);
                if *descending { ordering.reverse() } else { ordering }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    pub fn is_number_cell(&self, cell: &Cell) -> bool {
        matches!(cell, Cell::Column(column) if self.source.is_number(*column))
    }
}
