//! Rows in order while they still come: sorted in pieces as they arrive, merged as they are taken. So no single step
//! sorts all of them.

use std::cmp::Ordering;

use super::result::Row;

/// Rows that are sorted at once.
const PIECE_ROWS: usize = 512;

/// Rows that compare equal stay in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Each in order, the first row at its end.
    pieces: Vec<Vec<Row>>,
    /// Not sorted yet.
    newest: Vec<Row>,
    /// Places of the pieces that have rows left, each before the two at `2n + 1` and `2n + 2`; once no more rows come.
    heap: Vec<usize>,
}

impl Sorted {
    pub(super) fn push(&mut self, row: Row, compare: &impl Fn(&Row, &Row) -> Ordering) {
        self.newest.push(row);
        if self.newest.len() >= PIECE_ROWS {
            self.sort(compare);
        }
    }

    fn sort(&mut self, compare: &impl Fn(&Row, &Row) -> Ordering) {
        let mut piece = std::mem::take(&mut self.newest);
        piece.sort_by(compare);
        piece.reverse();
        self.pieces.push(piece);
    }

    /// No more rows come.
    pub(super) fn finish(&mut self, compare: &impl Fn(&Row, &Row) -> Ordering) {
        if !self.newest.is_empty() {
            self.sort(compare);
        }
        self.heap = (0..self.pieces.len()).collect();
        for place in (0..self.heap.len() / 2).rev() {
            self.sink(place, compare);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The first of the rows that are left, after [`finish`](Self::finish).
    pub(super) fn pop(&mut self, compare: &impl Fn(&Row, &Row) -> Ordering) -> Option<Row> {
        let piece = self.pieces.get_mut(*self.heap.first()?)?;
        let row = piece.pop();
        if piece.is_empty() {
            *piece = Vec::new();
            self.heap.swap_remove(0);
        }
        self.sink(0, compare);
        row
    }

    /// How often rows are compared to find the next one, about.
    pub(super) fn depth(&self) -> u32 {
        self.heap.len().checked_ilog2().unwrap_or(0)
    }

    /// Bytes for the places of rows.
    pub(super) fn bytes(&self) -> usize {
        let rows: usize = self.pieces.iter().map(Vec::capacity).sum();
        (rows + self.newest.capacity()) * size_of::<Row>() + self.pieces.capacity() * size_of::<Vec<Row>>()
    }

    fn sink(&mut self, mut place: usize, compare: &impl Fn(&Row, &Row) -> Ordering) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let first = children
                .into_iter()
                .filter(|child| *child < self.heap.len())
                .fold(place, |first, child| if self.comes_before(child, first, compare) { child } else { first });
            if first == place {
                return;
            }
            self.heap.swap(place, first);
            place = first;
        }
    }

    fn comes_before(&self, left: usize, right: usize, compare: &impl Fn(&Row, &Row) -> Ordering) -> bool {
        let head = |place: usize| {
            let piece = *self.heap.get(place)?;
            Some((piece, self.pieces.get(piece)?.last()?))
        };
        match (head(left), head(right)) {
            (Some((left_piece, left)), Some((right_piece, right))) => {
                compare(left, right).then(left_piece.cmp(&right_piece)).is_lt()
            }
            _ => false,
        }
    }
}
