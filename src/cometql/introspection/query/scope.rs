//! Where a scalar is computed: the row at hand, and what may be named there.

use super::columns::Named;
use crate::cometql::rows::Field;
use crate::cometql::sql::catalog::Entry;

/// Where a scalar is computed.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) columns: &'s [Named],
    pub(super) row: &'s [Field],
    /// What follows the row: that of a table which it is not joined to yet.
    pub(super) partner: &'s [Field],
    /// The rows that aggregates count.
    pub(super) group: Option<&'s [Vec<Field>]>,
    /// Headings that HAVING and ORDER BY may name.
    pub(super) entries: &'s [Entry],
    pub(super) outer: Option<&'s Scope<'s>>,
}

impl<'s> Scope<'s> {
    pub(super) fn of(columns: &'s [Named], row: &'s [Field], outer: Option<&'s Scope<'s>>) -> Self {
        Self { columns, row, partner: &[], group: None, entries: &[], outer }
    }

    pub(super) fn cell(&self, place: usize) -> Field {
        let behind = || self.partner.get(place.checked_sub(self.row.len())?);
        self.row.get(place).or_else(behind).cloned().flatten()
    }
}
