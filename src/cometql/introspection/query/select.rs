//! SELECTs carried out: groups, the list behind SELECT, UNION, order and window.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::columns::{Named, heading_steps, headings, is_of, output_place, result_columns};
use super::evaluation::{Answer, Evaluation, Sorted};
use super::scope::Scope;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::scalars::{self, is_true};
use crate::cometql::rows::{Field, ResultSet, too_large};
use crate::cometql::sql::catalog::{Block, Entry, Query, Scalar};
use crate::cometql::sql::{Limit, Value};

impl Evaluation<'_> {
    /// The whole answer to a query.
    pub(super) fn answer(&mut self, query: &Query) -> Result<ResultSet, Error> {
        let Answer { columns, rows } = self.query(query, None)?;
        self.effort.check()?;
        let bytes: usize = rows.iter().flatten().flatten().map(|text| text.len()).sum();
        if bytes > self.asker.bytes_max {
            return Err(too_large(self.asker.bytes_max));
        }
        self.step(rows.len())?;
        let cell = |field: Field| field.map(|text| text.into_owned().into_bytes().into_boxed_slice());
        let rows = Rc::unwrap_or_clone(rows).into_iter();
        Ok(ResultSet {
            columns: result_columns(columns),
            rows: rows.map(|row| row.into_iter().map(cell).collect()).collect(),
        })
    }

    /// A query inside a scalar: what it held is gone when that is known.
    pub(super) fn subquery(&mut self, query: &Query, scope: &Scope<'_>) -> Result<Rc<Vec<Vec<Field>>>, Error> {
        self.holding(|it| Ok(it.query(query, Some(scope))?.rows))
    }

    pub(super) fn query(&mut self, query: &Query, outer: Option<&Scope<'_>>) -> Result<Answer, Error> {
        let alone = query.blocks.len() == 1;
        let mut columns: Vec<Named> = Vec::new();
        let mut rows: Vec<Sorted> = Vec::new();
        for block in &query.blocks {
            let (headings, more) = self.block(block, if alone { &query.order } else { &[] }, outer)?;
            if columns.is_empty() {
                columns = headings;
            } else if columns.len() != headings.len() {
                return Err(Error::new(Code::Columns, "The parts of a UNION must have as many columns"));
            }
            rows.extend(more);
        }
        if query.distinct {
            self.drop_doubles(&mut rows)?;
        }
        if !query.order.is_empty() {
            if !alone {
                for sorted in &mut rows {
                    for (scalar, _) in &query.order {
                        let place = output_place(scalar, &columns);
                        sorted.keys.push(place.and_then(|place| sorted.row.get(place).cloned()).flatten());
                    }
                    self.hold(&sorted.keys)?;
                }
            }
            for sorted in &rows {
                self.search(&sorted.keys, rows.len())?;
            }
            rows.sort_by(|left, right| {
                let keys = left.keys.iter().zip(&right.keys).zip(&query.order);
                keys.map(|((left, right), (_, descending))| {
                    let ordering = scalars::order(left, right);
                    if *descending { ordering.reverse() } else { ordering }
                })
                .find(|ordering| ordering.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        let (offset, count) = window(query.limit.as_ref())?;
        let rows = rows.into_iter().skip(offset).take(count).map(|sorted| sorted.row).collect();
        Ok(Answer { columns, rows: Rc::new(rows) })
    }

    fn block(
        &mut self,
        block: &Block,
        order: &[(Scalar, bool)],
        outer: Option<&Scope<'_>>,
    ) -> Result<(Vec<Named>, Vec<Sorted>), Error> {
        let (columns, rows) = self.from(&block.from, block.condition.as_ref(), outer)?;
        self.step(heading_steps(block, &columns))?;
        let headings = headings(block, &columns)?;
        let aggregates =
            block.entries.iter().any(|entry| matches!(entry, Entry::One { scalar, .. } if scalar.is_aggregate()))
                || block.having.as_ref().is_some_and(Scalar::is_aggregate);
        let groups: Vec<Vec<Vec<Field>>> = if !block.group.is_empty() {
            self.groups(block, &columns, rows, outer)?
        } else if aggregates {
            vec![rows]
        } else {
            rows.into_iter().map(|row| vec![row]).collect()
        };
        let grouped = aggregates || !block.group.is_empty();
        let nothing = vec![None; columns.len()];
        let mut output = Vec::with_capacity(groups.len());
        for group in &groups {
            let row = group.first().unwrap_or(&nothing);
            let group = grouped.then_some(group.as_slice());
            let scope = Scope { group, entries: &block.entries, ..Scope::of(&columns, row, outer) };
            if let Some(having) = &block.having
                && !is_true(&self.value(having, &scope)?)
            {
                continue;
            }
            let row = self.project(block, &scope)?;
            self.hold(&row)?;
            let mut keys = Vec::with_capacity(order.len());
            for (scalar, _) in order {
                keys.push(match output_place(scalar, &headings) {
                    Some(place) => row.get(place).cloned().flatten(),
                    None => self.value(scalar, &scope)?,
                });
            }
            self.hold(&keys)?;
            output.push(Sorted { row, keys });
        }
        if block.distinct {
            self.drop_doubles(&mut output)?;
        }
        // Also if there is no row to compute: a mistake is one all the same, and clients prepare with nothing known.
        if output.is_empty() {
            let group = grouped.then_some(&[] as &[_]);
            let scope = Scope { group, entries: &block.entries, ..Scope::of(&columns, &nothing, outer) };
            self.project(block, &scope)?;
        }
        Ok((headings, output))
    }

    fn project(&mut self, block: &Block, scope: &Scope<'_>) -> Result<Vec<Field>, Error> {
        let mut row = Vec::new();
        for entry in &block.entries {
            match entry {
                Entry::All(table) => {
                    let fields = scope.columns.iter().zip(scope.row);
                    row.extend(fields.filter(|(column, _)| is_of(column, table.as_deref())).map(|(_, it)| it.clone()));
                }
                Entry::One { scalar, .. } => {
                    let scope = Scope { entries: &[], ..*scope };
                    row.push(self.value(scalar, &scope)?);
                }
            }
        }
        Ok(row)
    }

    fn groups(
        &mut self,
        block: &Block,
        columns: &[Named],
        rows: Vec<Vec<Field>>,
        outer: Option<&Scope<'_>>,
    ) -> Result<Vec<Vec<Vec<Field>>>, Error> {
        let mut places: BTreeMap<Vec<Field>, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<Vec<Field>>> = Vec::new();
        for row in rows {
            let scope = Scope { entries: &block.entries, ..Scope::of(columns, &row, outer) };
            let mut key = Vec::with_capacity(block.group.len());
            for scalar in &block.group {
                key.push(self.value(scalar, &scope)?);
            }
            self.hold(&key)?;
            self.search(&key, groups.len())?;
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        Ok(groups)
    }
}

/// Offset and count. Error: 3 when they are no numbers.
fn window(limit: Option<&Limit>) -> Result<(usize, usize), Error> {
    let number = |value: &Value<'_>| {
        value
            .text()
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or_else(|| Error::new(Code::Syntax, "LIMIT wants whole numbers that are not negative"))
    };
    match limit {
        None => Ok((0, usize::MAX)),
        Some(Limit { count, offset }) => Ok((offset.as_ref().map_or(Ok(0), number)?, number(count)?)),
    }
}
