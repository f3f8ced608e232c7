//! The answer to a query while its rows still come, looked at a few at a time.

use std::collections::VecDeque;

use super::condition::Looked;
use super::like::Effort;
use super::query::{Projected, RowQuery};
use super::result::{ResultColumn, ResultSet, Row, too_large, weight};
use super::sorted::Sorted;
use crate::cometql::errors::Error;

/// Rows go in with [`push`](Self::push), are looked at with [`look`](Self::look), and what they make of the answer comes
/// out of [`take_row`](Self::take_row). Only ORDER BY has to hold them all.
#[derive(Debug)]
pub struct RowStream {
    query: RowQuery,
    /// Not looked at yet.
    pending: VecDeque<Row>,
    pending_bytes: usize,
    /// How far the first of them is looked at.
    looked: Looked,
    /// For the rows that came together.
    effort: Effort,
    /// Not given out yet, if there is no order.
    rows: VecDeque<Row>,
    /// The same if there is one.
    sorted: Sorted,
    /// Rows at the front of the order that are not given out.
    skipped: u64,
    /// Rows in order that are given out behind them.
    left: u64,
    held_bytes: usize,
    /// Rows for which the condition is true.
    found: u64,
    /// Those of them that are given out or counted; without an order only.
    admitted: u64,
    complete: bool,
}

/// A row looked at, sorted or given out, besides its bytes and what LIKE takes.
const ROW_STEPS: u32 = 8;

/// So many bytes of rows are compared and copied in the time of a step.
const BYTES_PER_STEP: usize = 256;

impl RowQuery {
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
}

impl RowStream {
    pub(super) fn new(query: RowQuery) -> Self {
        let (skipped, left) = (query.offset, query.count);
        Self {
            query,
            pending: VecDeque::new(),
            pending_bytes: 0,
            looked: Looked::default(),
            effort: Effort::default(),
            rows: VecDeque::new(),
            sorted: Sorted::default(),
            skipped,
            left,
            held_bytes: 0,
            found: 0,
            admitted: 0,
            complete: false,
        }
    }

    /// Rows of the source, which have its columns in order. They are only kept.
    pub fn push(&mut self, rows: Vec<Row>) {
        self.effort = Effort::default();
        self.pending_bytes = rows.iter().map(weight).fold(self.pending_bytes, usize::saturating_add);
        self.pending.extend(rows);
    }

    /// Whether [`look`](Self::look) has something to do.
    pub fn is_looking(&self) -> bool {
        !self.pending.is_empty() || self.sorts() && self.complete && self.skipped > 0 && !self.sorted.is_empty()
    }

    /// Looks at rows for so many steps of a query about the server, and one row more; says how many it took. Errors: 11
    /// when LIKE would take too long for the rows that came together, or when the rows that wait for their order weigh
    /// too much.
    pub fn look(&mut self, steps: u32) -> Result<u32, Error> {
        let mut used = 0_u32;
        while used < steps {
            let Some(row) = self.pending.pop_front() else { return Ok(used.saturating_add(self.skip(steps - used))) };
            let bytes = weight(&row);
            let mut slice = self.effort.slice(steps - used);
            let truth = self.query.truth(&row, &mut self.looked, &mut slice);
            self.effort.take(&slice);
            used = used.saturating_add(slice.steps());
            let Some(truth) = truth else {
                self.pending.push_front(row);
                self.effort.check()?;
                return Ok(used.max(1));
            };
            used = used.saturating_add(ROW_STEPS).saturating_add(u32::try_from(bytes / BYTES_PER_STEP).unwrap_or(0));
            self.looked = Looked::default();
            self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
            if truth {
                self.admit(row, bytes)?;
            }
        }
        Ok(used)
    }

    /// The condition is true for this row.
    fn admit(&mut self, row: Row, bytes: usize) -> Result<(), Error> {
        self.found = self.found.saturating_add(1);
        if self.sorts() {
            self.held_bytes = self.held_bytes.saturating_add(bytes);
            if self.held_bytes > self.query.bytes_max {
                return Err(too_large(self.query.bytes_max));
            }
            let query = &self.query;
            self.sorted.push(row, &|left, right| query.compare_rows(left, right));
            return Ok(());
        }
        let (offset, count) = self.query.window();
        if self.found <= offset || self.admitted >= count {
            return Ok(());
        }
        self.admitted += 1;
        if !self.query.counts() {
            self.held_bytes = self.held_bytes.saturating_add(bytes);
            self.rows.push_back(row);
        }
        Ok(())
    }

    /// Drops rows at the front of the order, and says how many steps that took.
    fn skip(&mut self, steps: u32) -> u32 {
        let mut used = 0_u32;
        while used < steps && self.is_looking() {
            used = used.saturating_add(self.steps_per_row());
            self.skipped -= 1;
            self.pop_sorted();
        }
        used
    }

    fn pop_sorted(&mut self) -> Option<Row> {
        let query = &self.query;
        let row = self.sorted.pop(&|left, right| query.compare_rows(left, right))?;
        self.held_bytes = self.held_bytes.saturating_sub(weight(&row));
        Some(row)
    }

    /// Whether further rows could change the answer. Not to be asked before all that came are looked at.
    pub fn wants_more(&self) -> bool {
        !self.complete && (self.sorts() || self.admitted < self.query.window().1)
    }

    /// No more rows will come, and all that came are looked at.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        if self.query.counts() {
            if self.query.offset == 0 && self.query.count > 0 {
                self.rows.push_back(Row::new());
            }
        } else if self.sorts() {
            let query = &self.query;
            self.sorted.finish(&|left, right| query.compare_rows(left, right));
        }
    }

    /// Whether all rows have to be held before the first of them goes out.
    pub fn sorts(&self) -> bool {
        !self.query.order.is_empty() && !self.query.counts()
    }

    /// Lets go of the rows that are held: the answer is not to be finished.
    pub fn abandon(&mut self) {
        (self.pending, self.rows, self.sorted) = (VecDeque::new(), VecDeque::new(), Sorted::default());
        (self.pending_bytes, self.held_bytes) = (0, 0);
    }

    /// The next row of the answer, if it is known already.
    pub fn take_row(&mut self) -> Option<Vec<Option<Box<[u8]>>>> {
        if !self.has_next() {
            return None;
        }
        let row = if self.sorts() {
            self.left -= 1;
            self.pop_sorted()?
        } else {
            let row = self.rows.pop_front()?;
            self.held_bytes = self.held_bytes.saturating_sub(weight(&row));
            row
        };
        Some(self.query.project(row, self.admitted))
    }

    /// What giving out a row takes, besides its bytes.
    pub fn steps_per_row(&self) -> u32 {
        ROW_STEPS + self.sorted.depth()
    }

    /// Whether no more rows will come.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether a row of the answer is known already.
    pub fn has_next(&self) -> bool {
        if self.sorts() {
            return self.complete && self.skipped == 0 && self.left > 0 && !self.sorted.is_empty();
        }
        !self.rows.is_empty()
    }

    /// The columns of the answer.
    pub fn columns(&self) -> Vec<ResultColumn> {
        self.query.columns()
    }

    /// Bytes of the rows that are held.
    pub fn bytes(&self) -> usize {
        let places = (self.pending.capacity() + self.rows.capacity()) * size_of::<Row>() + self.sorted.bytes();
        self.pending_bytes + self.held_bytes + places
    }
}
