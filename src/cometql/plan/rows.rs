//! Rows and what a query makes of them: filter, order, window, projection.
//!
//! A [`RowQuery`] is complete in itself and knows no table: whoever fetches the rows hands them over in the order of
//! the source's columns and gets the answer.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};

use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::Operator;
use crate::model::{PipeName, UserId};

/// One row of a source, as text in the source's column order.
pub type Row = Vec<Box<str>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    /// Whether clients may treat it as a number. Columns of tables never are: they have always been strings.
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
        let numbers = texts.iter().filter_map(|text| text.trim_ascii().parse().ok()).collect();
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
                number: false,
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
            ignore_case: false,
            bytes_max: usize::MAX,
        }
    }

    /// The answer from these rows, which have the source's columns in order. Error: 11 when LIKE would take too long, or
    /// when the answer weighs too much.
    pub fn apply(self, rows: Vec<Row>) -> Result<ResultSet, Error> {
        let bytes_max = self.bytes_max;
        let mut stream = self.stream();
        stream.push(rows)?;
        stream.finish();
        let columns = stream.columns();
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
        RowStream { query: self, rows: VecDeque::new(), held_bytes: 0, found: 0, admitted: 0, complete: false }
    }

    /// The columns of the answer.
    pub fn columns(&self) -> Vec<ResultColumn> {
        let column = |column: &Projected| ResultColumn { name: column.heading.clone(), number: column.number };
        self.output.iter().map(column).collect()
    }

    /// Whether the condition is true for this row.
    pub(super) fn holds(&self, row: &Row, effort: &mut Effort) -> bool {
        self.test.truth(row, self, effort) == Some(true)
    }

    fn counts(&self) -> bool {
        self.output.iter().any(|column| column.cell == Cell::Count)
    }

    fn project(&self, mut row: Row, total: u64) -> Vec<Option<Box<[u8]>>> {
        self.output
            .iter()
            .map(|column| match &column.cell {
                Cell::Column(place) => Some(row.get_mut(*place).map(std::mem::take).unwrap_or_default()),
                Cell::Constant(text) => text.clone(),
                Cell::Count => Some(total.to_string().into()),
            })
            .map(|text| text.map(str::into_boxed_bytes))
            .collect()
    }

    fn compare_rows(&self, left: &Row, right: &Row) -> Ordering {
        self.order
            .iter()
            .map(|(column, descending)| {
                let ordering = match (left.get(*column), right.get(*column)) {
                    (Some(left), Some(right)) if self.is_number(*column) => {
                        compare_numbers(left, right).unwrap_or_else(|| left.cmp(right))
                    }
                    (left, right) => left.cmp(&right),
                };
                if *descending { ordering.reverse() } else { ordering }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn is_number(&self, column: usize) -> bool {
        self.source.get(column).is_some_and(|column| column.number)
    }

    /// How a cell compares to a written value; `None` when they do not compare, such as a number to a word.
    fn compare(&self, column: usize, cell: &str, value: &str) -> Option<Ordering> {
        if self.is_number(column) {
            return compare_numbers(cell, value);
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

/// The answer to a query while its rows still come. Only ORDER BY has to hold them all.
///
/// Rows go in with [`push`](Self::push), what they make of the answer comes out of [`take_row`](Self::take_row).
#[derive(Debug)]
pub struct RowStream {
    query: RowQuery,
    /// Not given out yet. They wait for their order if there is one and the stream is not complete.
    rows: VecDeque<Row>,
    held_bytes: usize,
    /// Rows for which the condition is true.
    found: u64,
    /// Those of them that are in the window of LIMIT; without an order only.
    admitted: u64,
    complete: bool,
}

impl RowStream {
    /// Rows of the source, which have its columns in order. Errors: 11 when LIKE would take too long for these rows, or
    /// when the rows that wait for their order weigh too much.
    pub fn push(&mut self, rows: Vec<Row>) -> Result<(), Error> {
        let mut effort = Effort::default();
        for row in rows {
            if !self.query.holds(&row, &mut effort) {
                continue;
            }
            self.found = self.found.saturating_add(1);
            if self.query.counts() {
                continue;
            }
            if self.query.order.is_empty() {
                if self.found <= self.query.offset || self.admitted >= self.query.count {
                    continue;
                }
                self.admitted += 1;
            }
            self.held_bytes = self.held_bytes.saturating_add(weight(&row));
            if !self.query.order.is_empty() && self.held_bytes > self.query.bytes_max {
                return Err(too_large(self.query.bytes_max));
            }
            self.rows.push_back(row);
        }
        effort.check()
    }

    /// Whether further rows could change the answer.
    pub fn wants_more(&self) -> bool {
        !self.complete && (self.query.counts() || !self.query.order.is_empty() || self.admitted < self.query.count)
    }

    /// No more rows will come.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        if self.query.counts() {
            self.rows.push_back(Row::new());
        } else if !self.query.order.is_empty() {
            let query = &self.query;
            // Stable, so that rows which compare equal stay in the order asked.
            self.rows.make_contiguous().sort_by(|left, right| query.compare_rows(left, right));
        } else {
            return;
        }
        let offset = usize::try_from(self.query.offset).unwrap_or(usize::MAX);
        self.rows.drain(..offset.min(self.rows.len()));
        self.rows.truncate(usize::try_from(self.query.count).unwrap_or(usize::MAX));
    }

    /// Whether all rows have to be held before the first of them goes out.
    pub fn sorts(&self) -> bool {
        !self.query.order.is_empty()
    }

    /// Lets go of the rows that are held: the answer is not to be finished.
    pub fn abandon(&mut self) {
        self.rows = VecDeque::new();
        self.held_bytes = 0;
    }

    /// The next row of the answer, if it is known already.
    pub fn take_row(&mut self) -> Option<Vec<Option<Box<[u8]>>>> {
        if !self.has_next() {
            return None;
        }
        let row = self.rows.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(weight(&row));
        Some(self.query.project(row, self.found))
    }

    /// Whether no more rows will come.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether a row of the answer is known already.
    pub fn has_next(&self) -> bool {
        !self.rows.is_empty() && (self.complete || self.query.order.is_empty())
    }

    /// The columns of the answer.
    pub fn columns(&self) -> Vec<ResultColumn> {
        self.query.columns()
    }

    /// Bytes of the rows that are held.
    pub fn bytes(&self) -> usize {
        self.held_bytes + self.rows.capacity() * size_of::<Row>()
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

/// How much longer LIKE may look, in characters. It can take the product of the lengths of text and pattern, and the
/// session's shard serves nobody else meanwhile.
pub(super) struct Effort(u32);

impl Default for Effort {
    fn default() -> Self {
        /// Some hundredths of a second.
        const LIKE_STEPS_MAX: u32 = 10_000_000;
        Self(LIKE_STEPS_MAX)
    }
}

impl Effort {
    pub(super) fn new(steps: u32) -> Self {
        Self(steps)
    }

    fn step(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.0 > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "LIKE has too much text to look at: name fewer rows, or use a simpler pattern"))
    }
}

impl Test {
    /// SQL's three-valued logic; `None` is unknown.
    fn truth(&self, row: &Row, query: &RowQuery, effort: &mut Effort) -> Option<bool> {
        let cell = |column: &usize| row.get(*column).map_or("", |cell| &**cell);
        Some(match self {
            Self::All(parts) => return combine(parts.iter().map(|part| part.truth(row, query, effort)), false),
            Self::Any(parts) => return combine(parts.iter().map(|part| part.truth(row, query, effort)), true),
            Self::Not(part) => !part.truth(row, query, effort)?,
            Self::Constant(truth) => *truth,
            Self::Unknown => return None,
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
                    return None;
                }
                found
            }
            Self::Like { column, pattern } => like(pattern, cell(column), query.ignore_case, effort),
        })
    }
}

/// AND (`decisive` false) or OR (`decisive` true) of the parts.
fn combine(mut parts: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    parts
        .try_fold(Some(!decisive), |known, part| match part {
            Some(truth) if truth == decisive => Err(()),
            Some(_) => Ok(known),
            None => Ok(None),
        })
        .unwrap_or(Some(decisive))
}

/// Whole numbers of any length a `i128` holds, else fractions; `None` when one of them is no number.
fn compare_numbers(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (left.trim_ascii(), right.trim_ascii());
    if let (Ok(left), Ok(right)) = (left.parse::<i128>(), right.parse::<i128>()) {
        return Some(left.cmp(&right));
    }
    left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?)
}

/// SQL's LIKE: `%` any text, `_` any character, a backslash takes the next one literally. False when the effort is
/// spent, which its owner has to check.
pub(super) fn like(pattern: &str, text: &str, ignore_case: bool, effort: &mut Effort) -> bool {
    let same = |left: char, right: char| left == right || ignore_case && left.eq_ignore_ascii_case(&right);
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The pattern behind the last `%`, and the text from where it was tried.
    let mut retry = None;
    while effort.step() {
        let mut rest = pattern.clone();
        match rest.next() {
            Some('%') => {
                pattern = rest;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            None if text.as_str().is_empty() => return true,
            None => {}
            Some(wanted) => {
                let mut text_rest = text.clone();
                let matches = text_rest.next().is_some_and(|found| match wanted {
                    '_' => true,
                    '\\' => same(rest.next().unwrap_or('\\'), found),
                    wanted => same(wanted, found),
                });
                if matches {
                    (pattern, text) = (rest, text_rest);
                    continue;
                }
            }
        }
        let Some((pattern_from, text_from)) = &mut retry else {
            return false;
        };
        if text_from.next().is_none() {
            return false;
        }
        (pattern, text) = (pattern_from.clone(), text_from.clone());
    }
    false
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
