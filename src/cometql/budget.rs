//! What computing may cost before a statement is carried out, and what a query about the server may cost when it is.
//!
//! Time cannot be asked for here and would differ between machines, so work is counted where it is done, in steps of about
//! a tenth of a microsecond.

use std::cell::Cell;

use super::errors::{Code, Error};
use super::rows::Effort;

/// Values computed, rows looked at and texts read by one query: some hundredths of a second.
pub const STEPS_MAX: u32 = 400_000;

/// So many bytes of a text are read in the time of a step.
pub const BYTES_PER_STEP: usize = 32;

/// The steps that are left of [`STEPS_MAX`]. All statements of one query share a budget.
#[derive(Debug)]
pub struct Budget(Cell<u32>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(STEPS_MAX))
    }
}

impl Budget {
    /// The steps that were taken.
    pub fn spent(&self) -> u32 {
        STEPS_MAX.saturating_sub(self.0.get())
    }

    /// Takes so many steps; whether any are left.
    #[must_use]
    pub fn take(&self, steps: usize) -> bool {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.0.set(self.0.get().saturating_sub(steps));
        self.0.get() > 0
    }

    /// A text of so many bytes was made. Error: 11 when that is too much for one query.
    pub fn made(&self, bytes: usize) -> Result<(), Error> {
        if self.take((bytes / BYTES_PER_STEP).saturating_add(1)) {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The functions of the query take too long: ask for less at once"))
    }

    /// LIKE has looked so far. Errors: 11 when it has no more to look with, or when that is too much for one query.
    pub fn looked(&self, effort: &Effort) -> Result<(), Error> {
        effort.check()?;
        self.took(effort.steps())
    }

    /// Error: 11 when that is too much for one query.
    pub fn took(&self, steps: u32) -> Result<(), Error> {
        if self.take(steps as usize) {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The query takes too long before it begins: ask for less at once"))
    }
}
