//! FROM carried out: tables are joined row by row, as there are few and they are small.

use std::borrow::Cow;
use std::rc::Rc;

use super::columns::{Named, columns_of_view};
use super::evaluation::{Answer, Evaluation};
use super::lookup::{figures, find};
use super::scope::Scope;
use crate::cometql::errors::Error;
use crate::cometql::introspection::scalars::{compare, is_true};
use crate::cometql::introspection::view_rows;
use crate::cometql::introspection::views::{Rows, View};
use crate::cometql::rows::{Field, Row};
use crate::cometql::sql::catalog::{Joined, On, Relation, Scalar};
use crate::cometql::tables::no_column;

impl Evaluation<'_> {
    /// The rows of all tables joined for which the condition is true; without a table it is one row without columns.
    /// What does not belong to them is never put together: of a join most does not.
    pub(super) fn from(
        &mut self,
        from: &[Joined],
        condition: Option<&Scalar>,
        outer: Option<&Scope<'_>>,
    ) -> Result<(Vec<Named>, Vec<Vec<Field>>), Error> {
        let mut columns: Vec<Named> = Vec::new();
        let mut rows: Vec<Vec<Field>> = vec![Vec::new()];
        for (place, joined) in from.iter().enumerate() {
            let Answer { columns: more, rows: partners } = self.relation(&joined.relation, outer)?;
            let width = columns.len();
            let table = |column: Named| Named { table: joined.name.clone(), ..column };
            columns.extend(more.into_iter().map(table));
            let condition = condition.filter(|_| place + 1 == from.len());
            let meeting = Meeting::new(&joined.on, &columns, width)?;
            let nobody = vec![None; columns.len().saturating_sub(width)];
            let mut combined = Vec::new();
            for row in rows {
                let mut alone = true;
                for partner in partners.iter() {
                    let scope = Scope { partner, ..Scope::of(&columns, &row, outer) };
                    if self.meets(&meeting, &scope)? {
                        alone = false;
                        self.combine_rows(condition, &scope, &mut combined)?;
                    }
                }
                if joined.outer && alone {
                    let scope = Scope { partner: &nobody, ..Scope::of(&columns, &row, outer) };
                    self.combine_rows(condition, &scope, &mut combined)?;
                }
            }
            rows = combined;
        }
        if let (true, Some(condition)) = (from.is_empty(), condition)
            && !is_true(&self.value(condition, &Scope::of(&columns, &[], outer))?)
        {
            rows.clear();
        }
        Ok((columns, rows))
    }

    fn combine_rows(
        &mut self,
        condition: Option<&Scalar>,
        scope: &Scope<'_>,
        combined: &mut Vec<Vec<Field>>,
    ) -> Result<(), Error> {
        if let Some(condition) = condition
            && !is_true(&self.value(condition, scope)?)
        {
            return Ok(());
        }
        let row: Vec<Field> = scope.row.iter().chain(scope.partner).cloned().collect();
        self.hold(&row)?;
        combined.push(row);
        Ok(())
    }

    fn meets(&mut self, meeting: &Meeting<'_>, scope: &Scope<'_>) -> Result<bool, Error> {
        self.step(1)?;
        match meeting {
            Meeting::Always => Ok(true),
            Meeting::Condition(scalar) => Ok(is_true(&self.value(scalar, scope)?)),
            Meeting::Same(places) => {
                for (left, right) in places {
                    let same = scope.row.get(*left).zip(scope.partner.get(*right));
                    let same = same.and_then(|(left, right)| compare(left, right));
                    self.step(1)?;
                    if same != Some(std::cmp::Ordering::Equal) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn relation(&mut self, relation: &Relation, outer: Option<&Scope<'_>>) -> Result<Answer, Error> {
        match relation {
            Relation::Query(query) => self.query(query, outer),
            Relation::Table(table) => {
                let view = find(table)?;
                let rows = match self.loaded.get(view.name) {
                    Some(rows) => rows.clone(),
                    None => self.load(view)?,
                };
                self.step(rows.len())?;
                Ok(Answer { columns: columns_of_view(view), rows })
            }
        }
    }

    fn load(&mut self, view: &'static View) -> Result<Rc<Vec<Vec<Field>>>, Error> {
        let rows = match (view.rows, figures(view.rows)) {
            (Rows::Variables, _) => {
                let row = |(name, value): &(Cow<'static, str>, String)| {
                    vec![Some(name.clone()), Some(Cow::Owned(value.clone()))]
                };
                self.asker.variables.iter().map(row).collect()
            }
            (_, Some(figures)) => {
                let row = |row: Row| row.into_iter().map(|cell| Some(Cow::Owned(cell.into_string()))).collect();
                (self.live)(figures).into_iter().map(row).collect()
            }
            (_, None) => view_rows::rows(view, self.asker.user),
        };
        for row in &rows {
            self.hold(row)?;
        }
        let rows: Rc<Vec<Vec<Field>>> = Rc::new(rows);
        self.loaded.insert(view.name, rows.clone());
        Ok(rows)
    }
}

/// When a row and a partner belong together, with the columns looked up.
enum Meeting<'j> {
    Always,
    Condition(&'j Scalar),
    /// Places in the row and in the partner.
    Same(Vec<(usize, usize)>),
}

impl<'j> Meeting<'j> {
    /// `width`: columns of the tables before. Error: 14.
    fn new(on: &'j On, columns: &[Named], width: usize) -> Result<Self, Error> {
        Ok(match on {
            On::Everything => Self::Always,
            On::Condition(scalar) => Self::Condition(scalar),
            On::Using(names) => {
                let (before, behind) = columns.split_at_checked(width).unwrap_or((columns, &[]));
                let find = |columns: &[Named], name: &str| {
                    let place = columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
                    place.ok_or_else(|| no_column(name, columns.iter().map(|column| &*column.name)))
                };
                let places = names.iter().map(|name| Ok((find(before, name)?, find(behind, name)?)));
                Self::Same(places.collect::<Result<_, Error>>()?)
            }
        })
    }
}
