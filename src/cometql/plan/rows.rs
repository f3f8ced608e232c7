//! Rows and what a query makes of them: filter, order, window, projection.
//!
//! A [`RowQuery`] is complete in itself and knows no table: whoever fetches the rows hands them over in the order of
//! the source's columns and gets the answer.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::like::{self, Effort, Progress};
use super::numbers;
use super::stream::RowStream;
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::Operator;
use crate::model::{PipeName, UserId};

/// One row of a source, as text in the source's column order.
pub type Row = Vec<Box<str>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    /// Whether clients may treat it as a number.
    pub number: bool,
}

/// A whole result; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<Vec<Option<Box<[u8]>>>>,
}

/// A column that rows have before projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceColumn {
    pub(super) name: &'static str,
    /// Compared and ordered as numbers.
    pub(super) number: bool,
}

/// A condition with its columns looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
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
    pub(super) fn conditions(&self) -> u32 {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::conditions).sum(),
            Self::Not(part) => part.conditions(),
            Self::Constant(_) | Self::Unknown | Self::Compare { .. } | Self::In { .. } | Self::Like { .. } => 1,
        }
    }
}

/// A list of values, prepared to be searched once per row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
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

/// One column of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Projected {
    pub(super) heading: String,
    pub(super) number: bool,
    pub(super) cell: Cell,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
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
    pub(super) source: Vec<SourceColumn>,
    pub(super) output: Vec<Projected>,
    pub(super) test: Test,
    /// Source columns, most significant first, and whether descending.
    pub(super) order: Vec<(usize, bool)>,
    pub(super) offset: u64,
    pub(super) count: u64,
    /// If rows are counted: offset and count of those that are.
    pub(super) counted: (u64, u64),
    /// Whether `=` and LIKE ignore ASCII case, as MySQL's lists of SHOW do. Tables compare bytes.
    pub(super) ignore_case: bool,
    /// What the values of the answer may weigh together.
    pub(super) bytes_max: usize,
}

impl RowQuery {
    /// A query that gives all rows and columns as they are.
    pub(super) fn all(source: Vec<SourceColumn>) -> Self {
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
            source,
            output,
            test: Test::Constant(true),
            order: Vec::new(),
            offset: 0,
            count: u64::MAX,
            counted: (0, u64::MAX),
            ignore_case: false,
            bytes_max: usize::MAX,
        }
    }

    /// The answer from these rows, which have the source's columns in order. Error: 11 when LIKE would take too long, or
    /// when the answer weighs too much.
    pub fn apply(self, rows: Vec<Row>) -> Result<ResultSet, Error> {
        let bytes_max = self.bytes_max;
        let column = |column: &Projected| ResultColumn { name: column.heading.clone(), number: column.number };
        let columns = self.output.iter().map(column).collect();
        let mut stream = self.stream();
        stream.push(rows);
        stream.look(u32::MAX)?;
        stream.finish();
        stream.look(u32::MAX)?;
        let mut bytes = 0_usize;
        let rows = std::iter::from_fn(|| stream.take_row())
            .map(|row| {
                // A constant comes again with every row, so the rows say little about the answer.
                bytes = row.iter().flatten().fold(bytes, |sum, cell| sum.saturating_add(cell.len()));
                if bytes > bytes_max { Err(too_large(bytes_max)) } else { Ok(row) }
            })
            .collect::<Result<_, _>>()?;
        Ok(ResultSet { columns, rows })
    }

    /// The same, for rows that come bit by bit.
    pub fn stream(self) -> RowStream {
        RowStream::new(self)
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
    pub(super) fn holds(&self, row: &Row, effort: &mut Effort) -> bool {
        self.truth(row, &mut Looked::default(), effort) == Some(true)
    }

    /// The same in several goes: `None` when the effort is used up before it is known.
    pub(super) fn truth(&self, row: &Row, looked: &mut Looked, effort: &mut Effort) -> Option<bool> {
        looked.at = 0;
        self.test.truth(row, self, looked, effort).ok().map(|truth| truth == Some(true))
    }

    /// Offset and count of the rows that are given out or counted.
    pub(super) fn window(&self) -> (u64, u64) {
        if self.counts() { self.counted } else { (self.offset, self.count) }
    }

    pub(super) fn counts(&self) -> bool {
        self.output.iter().any(|column| matches!(column.cell, Cell::Count | Cell::Exists))
    }

    pub(super) fn project(&self, mut row: Row, total: u64) -> Vec<Option<Box<[u8]>>> {
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

    pub(super) fn compare_rows(&self, left: &Row, right: &Row) -> Ordering {
        self.order
            .iter()
            .map(|(column, descending)| {
                let ordering = match (left.get(*column), right.get(*column)) {
                    (Some(left), Some(right)) if self.is_number(*column) => {
                        numbers::compare(left, right).unwrap_or_else(|| left.cmp(right))
                    }
                    (left, right) => left.cmp(&right),
                };
                if *descending { ordering.reverse() } else { ordering }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    pub(super) fn is_number_cell(&self, cell: &Cell) -> bool {
        matches!(cell, Cell::Column(column) if self.is_number(*column))
    }

    fn is_number(&self, column: usize) -> bool {
        self.source.get(column).is_some_and(|column| column.number)
    }

    /// How a cell compares to a written value; `None` when they do not compare, such as a number to a word.
    fn compare(&self, column: usize, cell: &str, value: &str) -> Option<Ordering> {
        if self.is_number(column) {
            return numbers::compare(cell, value);
        }
        if self.ignore_case {
            return Some(cell.to_ascii_lowercase().cmp(&value.to_ascii_lowercase()));
        }
        Some(cell.cmp(value))
    }

    fn is_among(&self, column: usize, cell: &str, values: &Values) -> bool {
        if self.is_number(column) {
            return cell.parse().is_ok_and(|number| values.numbers.contains(&number));
        }
        values.texts.contains(cell)
            || self.ignore_case && values.texts.iter().any(|value| value.eq_ignore_ascii_case(cell))
    }
}

/// What a row takes in memory, about.
pub fn weight(row: &Row) -> usize {
    row.iter().fold(size_of::<Row>(), |sum, cell| sum.saturating_add(size_of::<Box<str>>()).saturating_add(cell.len()))
}

/// Error 11: what a statement asks for is more than one answer may hold.
pub fn too_large(bytes_max: usize) -> Error {
    let text = format!("The result is larger than {bytes_max} bytes, the configured maximum: ask for fewer rows");
    Error::new(Code::TooLong, text)
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
    /// SQL's three-valued logic; `None` is unknown.
    fn truth(
        &self,
        row: &Row,
        query: &RowQuery,
        looked: &mut Looked,
        effort: &mut Effort,
    ) -> Result<Option<bool>, Interrupted> {
        let cell = |column: &usize| row.get(*column).map_or("", |cell| &**cell);
        Ok(Some(match self {
            Self::All(parts) => return combine(parts, false, |part| part.truth(row, query, looked, effort)),
            Self::Any(parts) => return combine(parts, true, |part| part.truth(row, query, looked, effort)),
            Self::Not(part) => return Ok(part.truth(row, query, looked, effort)?.map(|truth| !truth)),
            Self::Constant(truth) => *truth,
            Self::Unknown => return Ok(None),
            Self::Compare { column, operator, value } => {
                query.compare(*column, cell(column), value).is_some_and(|ordering| match operator {
                    Operator::Equal => ordering.is_eq(),
                    Operator::NotEqual => ordering.is_ne(),
                    Operator::Less => ordering.is_lt(),
                    Operator::LessOrEqual => ordering.is_le(),
                    Operator::Greater => ordering.is_gt(),
                    Operator::GreaterOrEqual => ordering.is_ge(),
                })
            }
            Self::In { column, values, unknown } => {
                let found = query.is_among(*column, cell(column), values);
                if !found && *unknown {
                    return Ok(None);
                }
                found
            }
            Self::Like { column, pattern } => {
                looked.like(pattern, cell(column), query.ignore_case, effort).ok_or(Interrupted)?
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

/// Rows of `pipes` from subscriber counts.
pub fn rows_of_counts(counts: impl IntoIterator<Item = (PipeName, u64)>) -> Vec<Row> {
    counts.into_iter().map(|(name, count)| vec![name.as_str().into(), count.to_string().into()]).collect()
}

/// Rows of `users_auth` or `users_data` from what storage has.
pub fn rows_of_texts(texts: impl IntoIterator<Item = (UserId, Box<str>)>) -> Vec<Row> {
    texts.into_iter().map(|(user, text)| vec![user.to_string().into(), text]).collect()
}

/// Rows of `users_time` from times: seconds since 1970, 0 online, -1 unknown.
pub fn rows_of_times(times: impl IntoIterator<Item = (UserId, i64)>) -> Vec<Row> {
    times.into_iter().map(|(user, time)| vec![user.to_string().into(), time.to_string().into()]).collect()
}
