//! Scalars computed in a row: functions, columns, aggregates, queries within.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::columns::{COLUMNS_PER_STEP, is_number, is_of};
use super::evaluation::Evaluation;
use super::scope::Scope;
use crate::cometql::budget::BYTES_PER_STEP;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::scalars::{self, boolean, is_among, is_true, number, truth};
use crate::cometql::rows::Field;
use crate::cometql::session::Variable;
use crate::cometql::sql::catalog::{Entry, Scalar};
use crate::cometql::tables::no_column;

impl Evaluation<'_> {
    /// A step, and more for a long text: whoever gets it reads it.
    pub(super) fn value(&mut self, scalar: &Scalar, scope: &Scope<'_>) -> Result<Field, Error> {
        self.step(1)?;
        let value = self.compute(scalar, scope)?;
        self.step(value.as_ref().map_or(0, |text| text.len()) / BYTES_PER_STEP)?;
        Ok(value)
    }

    fn compute(&mut self, scalar: &Scalar, scope: &Scope<'_>) -> Result<Field, Error> {
        Ok(match scalar {
            Scalar::Value(value) => value.text().map(|text| Cow::Owned(text.to_owned())),
            // All but those that the query sets are settled.
            Scalar::Variable(name) => {
                let known = self.assigned.iter().find(|(known, _)| known == name);
                known.and_then(|(_, set)| set.text.as_deref()).map(|text| Cow::Owned(text.to_owned()))
            }
            Scalar::Column { table, name } => self.column(table.as_deref(), name, scope)?,
            Scalar::Call { name, arguments } => match (&**name, arguments.as_slice()) {
                (":=", [Scalar::Variable(name), value]) => {
                    let number = is_number(value, scope.columns);
                    let value = self.value(value, scope)?;
                    self.assign(name, value.clone(), number)?;
                    value
                }
                ("AND", parts) => self.combine(parts, false, scope)?,
                ("OR", parts) => self.combine(parts, true, scope)?,
                // What is not chosen is not computed: it may set a variable.
                ("IF", [condition, yes, no]) => {
                    let chosen = if is_true(&self.value(condition, scope)?) { yes } else { no };
                    self.value(chosen, scope)?
                }
                ("IFNULL" | "COALESCE", parts @ [_, ..]) => {
                    let mut first = None;
                    for part in parts {
                        first = self.value(part, scope)?;
                        if first.is_some() {
                            break;
                        }
                    }
                    first
                }
                ("CASE", [pairs @ .., otherwise]) => {
                    let (pairs, _) = pairs.as_chunks::<2>();
                    for [condition, value] in pairs {
                        if is_true(&self.value(condition, scope)?) {
                            return self.value(value, scope);
                        }
                    }
                    self.value(otherwise, scope)?
                }
                (name, arguments) => {
                    let mut values = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        values.push(self.value(argument, scope)?);
                    }
                    scalars::call(name, &values, &mut self.effort)?
                }
            },
            Scalar::Aggregate { name, distinct, argument, separator } => {
                self.aggregate(name, *distinct, argument.as_deref(), separator, scope)?
            }
            Scalar::Query(query) => {
                let rows = self.subquery(query, scope)?;
                rows.first().and_then(|row| row.first()).cloned().flatten()
            }
            Scalar::Exists(query) => Some(boolean(!self.subquery(query, scope)?.is_empty())),
            Scalar::InQuery { scalar, query } => {
                let value = self.value(scalar, scope)?;
                let rows = self.subquery(query, scope)?;
                let list: Vec<Field> = rows.iter().filter_map(|row| row.first()).cloned().collect();
                is_among(&value, &list).map(boolean)
            }
        })
    }

    /// Each value is charged as if it were held: whoever sets one in each row makes so many texts.
    fn assign(&mut self, name: &str, value: Field, number: bool) -> Result<(), Error> {
        self.step(value.as_ref().map_or(0, |text| text.len()) / BYTES_PER_STEP)?;
        if let Some((_, set)) = self.assigned.iter_mut().find(|(known, _)| &**known == name) {
            *set = Variable::new(value, number);
        }
        Ok(())
    }

    fn combine(&mut self, parts: &[Scalar], decisive: bool, scope: &Scope<'_>) -> Result<Field, Error> {
        let mut known = Some(boolean(!decisive));
        for part in parts {
            match truth(&self.value(part, scope)?) {
                Some(truth) if truth == decisive => return Ok(Some(boolean(decisive))),
                Some(_) => {}
                None => known = None,
            }
        }
        Ok(known)
    }

    /// A column of the tables, else a heading of the list where one may be named, else a column of the query around.
    fn column(&mut self, table: Option<&str>, name: &str, scope: &Scope<'_>) -> Result<Field, Error> {
        let mut around = Some(scope);
        while let Some(scope) = around {
            let place =
                scope.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name) && is_of(column, table));
            self.step(place.unwrap_or(scope.columns.len()) / COLUMNS_PER_STEP)?;
            if let Some(place) = place {
                return Ok(scope.cell(place));
            }
            let aliased = scope.entries.iter().find_map(|entry| match entry {
                Entry::One { scalar, heading } if table.is_none() && heading.eq_ignore_ascii_case(name) => Some(scalar),
                _ => None,
            });
            if let Some(scalar) = aliased {
                return self.value(scalar, &Scope { entries: &[], ..*scope });
            }
            around = scope.outer;
        }
        Err(no_column(name, scope.columns.iter().map(|column| &*column.name)))
    }

    fn aggregate(
        &mut self,
        name: &str,
        distinct: bool,
        argument: Option<&Scalar>,
        separator: &str,
        scope: &Scope<'_>,
    ) -> Result<Field, Error> {
        let Some(group) = scope.group else {
            return Err(Error::new(Code::Syntax, format!("{name} cannot stand here")));
        };
        let Some(argument) = argument else {
            return Ok(Some(number(i64::try_from(group.len()).unwrap_or(i64::MAX))));
        };
        let mut values = Vec::new();
        for row in group {
            let scope = Scope { row, group: None, ..*scope };
            let value = self.value(argument, &scope)?;
            self.hold(std::slice::from_ref(&value))?;
            values.extend(value);
        }
        if distinct {
            for value in &values {
                let field = [Some(value.clone())];
                self.hold(&field)?;
                self.search(&field, values.len())?;
            }
            let mut seen = BTreeSet::new();
            values.retain(|value| seen.insert(value.clone()));
        }
        let fields = || values.iter().map(|value| Some(value.clone()));
        Ok(match name {
            "COUNT" => Some(number(i64::try_from(values.len()).unwrap_or(i64::MAX))),
            _ if values.is_empty() => None,
            "SUM" => Some(scalars::sum(values.iter().map(AsRef::as_ref))),
            "AVG" => {
                let sum: f64 = values.iter().map(|value| scalars::fraction(value)).sum();
                Some(scalars::decimals(sum / values.len() as f64, 4))
            }
            "MIN" => fields().min_by(scalars::order).flatten(),
            "MAX" => fields().max_by(scalars::order).flatten(),
            _ => Some(scalars::join(values.iter(), separator)?),
        })
    }
}
