//! What reading texts costs.
//!
//! Time cannot be asked for here and would differ between machines, so work is counted where it is done: for each byte
//! that is scanned, for each token, for each expression that sqlparser begins to read. Whoever hands in texts charges
//! what was counted to the peer that sent them.

use std::cell::Cell;

use super::statement::Prepared;

/// Steps of about a tenth of a microsecond, as queries about the server's own tables are counted in.
#[derive(Debug, Default)]
pub struct Meter(Cell<u32>);

/// So many bytes are scanned and copied in the time of a step.
const BYTES_PER_STEP: usize = 256;

const BYTES_SEARCHED_PER_STEP: usize = 8;

/// A token on its whole way: scanned, decoded, handed to sqlparser, taken out of its tree, dropped.
const STEPS_PER_TOKEN: usize = 6;

/// One expression that sqlparser begins to read, whether or not it has read it before.
const STEPS_PER_EXPRESSION: usize = 4;

impl Meter {
    /// All that was counted.
    pub fn steps(&self) -> u32 {
        self.0.get()
    }

    /// So many bytes were looked at or copied in long stretches.
    pub fn scanned(&self, bytes: usize) {
        self.add(bytes / BYTES_PER_STEP);
    }

    /// In so many bytes every token was looked for.
    pub fn searched(&self, bytes: usize) {
        self.add(bytes / BYTES_SEARCHED_PER_STEP);
    }

    /// So many values were taken out of a text or bound.
    pub fn values(&self, count: usize) {
        self.add(count);
    }

    /// A copy of the statement was made, for values to be put into it.
    pub fn bound(&self, statement: &Prepared) {
        self.add(statement.tokens());
    }

    pub(super) fn tokens(&self, count: usize) {
        self.add(count.saturating_mul(STEPS_PER_TOKEN));
    }

    /// `bytes`: of the token that it begins with, which may be copied each time.
    pub(super) fn expression(&self, bytes: usize) {
        self.add(STEPS_PER_EXPRESSION.saturating_add(bytes / BYTES_PER_STEP));
    }

    /// What another one counted.
    pub(super) fn include(&self, other: &Self) {
        self.0.set(self.0.get().saturating_add(other.0.get()));
    }

    fn add(&self, steps: usize) {
        self.0.set(self.0.get().saturating_add(u32::try_from(steps).unwrap_or(u32::MAX)));
    }
}
