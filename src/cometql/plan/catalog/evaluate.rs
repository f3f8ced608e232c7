//! A query about the server, carried out: tables are joined row by row, as there are few and they are small. How many
//! steps that may take is bounded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::rows::{self, ResultColumn, ResultSet, Row};
use super::super::scalars::{self, Field, boolean, compare, gives_number, is_among, is_true, number, truth};
use super::super::{Figures, find_column, rows::too_large};
use super::views::{self, Rows, View};
use super::{Catalog, figures, find};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::catalog::{Block, Entry, Joined, On, Query, Relation, Scalar};
use crate::cometql::sql::{Limit, Value};

/// Values computed and rows looked at by one query: some hundredths of a second.
const STEPS_MAX: u32 = 500_000;

pub(super) struct Evaluation<'c> {
    catalog: &'c Catalog,
    live: &'c dyn Fn(Figures) -> Vec<Row>,
    steps: u32,
    effort: rows::Effort,
    /// By view: a subquery may ask for it again with every row.
    loaded: BTreeMap<&'static str, Rc<Vec<Vec<Field>>>>,
}

/// A column that can be named.
#[derive(Clone)]
struct Named {
    table: Box<str>,
    name: Cow<'static, str>,
    number: bool,
}

/// What a query or a view gives.
struct Answer {
    columns: Vec<Named>,
    rows: Rc<Vec<Vec<Field>>>,
}

/// Where a scalar is computed.
#[derive(Clone, Copy)]
struct Scope<'s> {
    columns: &'s [Named],
    row: &'s [Field],
    /// The rows that aggregates count.
    group: Option<&'s [Vec<Field>]>,
    /// Headings that HAVING and ORDER BY may name.
    entries: &'s [Entry],
    outer: Option<&'s Scope<'s>>,
}

/// A row of the answer, and what it is sorted by.
struct Sorted {
    row: Vec<Field>,
    keys: Vec<Field>,
}

impl<'c> Evaluation<'c> {
    pub(super) fn new(catalog: &'c Catalog, live: &'c dyn Fn(Figures) -> Vec<Row>) -> Self {
        Self { catalog, live, steps: STEPS_MAX, effort: rows::Effort::default(), loaded: BTreeMap::new() }
    }

    pub(super) fn answer(mut self) -> Result<ResultSet, Error> {
        let Answer { columns, rows } = self.query(&self.catalog.query, None)?;
        self.effort.check()?;
        let bytes: usize = rows.iter().flatten().flatten().map(|text| text.len()).sum();
        if bytes > self.catalog.bytes_max {
            return Err(too_large(self.catalog.bytes_max));
        }
        let cell = |field: &Field| field.as_deref().map(|text| Box::from(text.as_bytes()));
        Ok(ResultSet {
            columns: columns
                .into_iter()
                .map(|Named { name, number, .. }| ResultColumn { name: name.into_owned(), number })
                .collect(),
            rows: rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
        })
    }

    fn step(&mut self, count: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        if self.steps > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The query looks at too much: join fewer tables of information_schema"))
    }

    fn query(&mut self, query: &Query, outer: Option<&Scope<'_>>) -> Result<Answer, Error> {
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
            drop_doubles(&mut rows);
        }
        if !query.order.is_empty() {
            if !alone {
                for sorted in &mut rows {
                    for (scalar, _) in &query.order {
                        let place = output_place(scalar, &columns);
                        sorted.keys.push(place.and_then(|place| sorted.row.get(place).cloned()).flatten());
                    }
                }
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
        let (columns, mut rows) = self.from(&block.from, outer)?;
        if let Some(condition) = &block.condition {
            let mut kept = Vec::new();
            for row in rows {
                let scope = Scope { columns: &columns, row: &row, group: None, entries: &[], outer };
                if is_true(&self.value(condition, &scope)?) {
                    kept.push(row);
                }
            }
            rows = kept;
        }
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
            let scope = Scope { columns: &columns, row, group, entries: &block.entries, outer };
            if let Some(having) = &block.having
                && !is_true(&self.value(having, &scope)?)
            {
                continue;
            }
            let row = self.project(block, &scope)?;
            let mut keys = Vec::with_capacity(order.len());
            for (scalar, _) in order {
                keys.push(match output_place(scalar, &headings) {
                    Some(place) => row.get(place).cloned().flatten(),
                    None => self.value(scalar, &scope)?,
                });
            }
            output.push(Sorted { row, keys });
        }
        if block.distinct {
            drop_doubles(&mut output);
        }
        // Also if there is no row to compute: a mistake is one all the same, and clients prepare with nothing known.
        if output.is_empty() {
            let scope = Scope {
                columns: &columns,
                row: &nothing,
                group: grouped.then_some(&[]),
                entries: &block.entries,
                outer,
            };
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
            let scope = Scope { columns, row: &row, group: None, entries: &block.entries, outer };
            let mut key = Vec::with_capacity(block.group.len());
            for scalar in &block.group {
                key.push(self.value(scalar, &scope)?);
            }
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        Ok(groups)
    }

    /// The rows of all tables joined; one row without columns if there is no table.
    fn from(&mut self, from: &[Joined], outer: Option<&Scope<'_>>) -> Result<(Vec<Named>, Vec<Vec<Field>>), Error> {
        let mut columns: Vec<Named> = Vec::new();
        let mut rows: Vec<Vec<Field>> = vec![Vec::new()];
        for joined in from {
            let Answer { columns: more, rows: partners } = self.relation(&joined.relation, outer)?;
            let width = columns.len();
            let table = |column: Named| Named { table: joined.name.clone(), ..column };
            columns.extend(more.into_iter().map(table));
            let mut combined = Vec::new();
            for row in rows {
                self.step(partners.len())?;
                let before = combined.len();
                for partner in partners.iter() {
                    let candidate: Vec<Field> = row.iter().chain(partner).cloned().collect();
                    if self.meets(&joined.on, &columns, width, &candidate, outer)? {
                        combined.push(candidate);
                    }
                }
                if joined.outer && combined.len() == before {
                    let mut alone = row;
                    alone.resize(columns.len(), None);
                    combined.push(alone);
                }
            }
            rows = combined;
        }
        Ok((columns, rows))
    }

    fn meets(
        &mut self,
        on: &On,
        columns: &[Named],
        width: usize,
        row: &[Field],
        outer: Option<&Scope<'_>>,
    ) -> Result<bool, Error> {
        match on {
            On::Everything => Ok(true),
            On::Condition(scalar) => {
                let scope = Scope { columns, row, group: None, entries: &[], outer };
                Ok(is_true(&self.value(scalar, &scope)?))
            }
            On::Using(names) => {
                for name in names {
                    let find =
                        |columns: &[Named]| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
                    let (before, behind) = columns.split_at_checked(width).unwrap_or((columns, &[]));
                    let left = find_column(find(before), name)?;
                    let right = find_column(find(behind), name)?.saturating_add(width);
                    let same = row.get(left).zip(row.get(right)).and_then(|(left, right)| compare(left, right));
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
                let named = |(name, number)| Named { table: Box::default(), name: Cow::Borrowed(name), number };
                let columns: Vec<Named> = view.columns().map(named).collect();
                let rows = match self.loaded.get(view.name) {
                    Some(rows) => rows.clone(),
                    None => self.load(view),
                };
                self.step(rows.len())?;
                Ok(Answer { columns, rows })
            }
        }
    }

    fn load(&mut self, view: &'static View) -> Rc<Vec<Vec<Field>>> {
        let rows = match (view.rows, figures(view.rows, self.catalog.now)) {
            (Rows::Variables, _) => {
                let row = |(name, value): &(&'static str, String)| {
                    vec![Some(Cow::Borrowed(*name)), Some(Cow::Owned(value.clone()))]
                };
                self.catalog.variables.iter().map(row).collect()
            }
            (_, Some(figures)) => {
                let row = |row: Row| row.into_iter().map(|cell| Some(Cow::Owned(cell.into_string()))).collect();
                (self.live)(figures).into_iter().map(row).collect()
            }
            (_, None) => views::rows(view, &self.catalog.user),
        };
        let rows = Rc::new(rows);
        self.loaded.insert(view.name, rows.clone());
        rows
    }

    fn value(&mut self, scalar: &Scalar, scope: &Scope<'_>) -> Result<Field, Error> {
        self.step(1)?;
        Ok(match scalar {
            Scalar::Value(value) => value.text().map(|text| Cow::Owned(text.to_owned())),
            // Those of the session are settled; nobody sets others.
            Scalar::Variable(_) => None,
            Scalar::Column { table, name } => self.column(table.as_deref(), name, scope)?,
            Scalar::Call { name, arguments } => match (&**name, arguments.as_slice()) {
                ("AND", parts) => self.combine(parts, false, scope)?,
                ("OR", parts) => self.combine(parts, true, scope)?,
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
                    scalars::call(name, &values, &mut self.effort).ok_or_else(|| unknown_function(name))?
                }
            },
            Scalar::Aggregate { name, distinct, argument, separator } => {
                self.aggregate(name, *distinct, argument.as_deref(), separator, scope)?
            }
            Scalar::Query(query) => {
                let Answer { rows, .. } = self.query(query, Some(scope))?;
                rows.first().and_then(|row| row.first()).cloned().flatten()
            }
            Scalar::Exists(query) => Some(boolean(!self.query(query, Some(scope))?.rows.is_empty())),
            Scalar::InQuery { scalar, query } => {
                let value = self.value(scalar, scope)?;
                let Answer { rows, .. } = self.query(query, Some(scope))?;
                let list: Vec<Field> = rows.iter().filter_map(|row| row.first()).cloned().collect();
                is_among(&value, &list).map(boolean)
            }
        })
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
            if let Some(place) = place {
                return Ok(scope.row.get(place).cloned().flatten());
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
        find_column(None, name).map(|_| None)
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
            values.extend(self.value(argument, &scope)?);
        }
        if distinct {
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
            _ => Some(values.join(separator).into()),
        })
    }
}

/// The columns of a block's answer.
fn headings(block: &Block, columns: &[Named]) -> Result<Vec<Named>, Error> {
    let mut headings = Vec::new();
    for entry in &block.entries {
        match entry {
            Entry::All(_) if columns.is_empty() => {
                return Err(Error::new(Code::Syntax, "SELECT * needs a table: add FROM"));
            }
            Entry::All(table) => {
                headings.extend(columns.iter().filter(|column| is_of(column, table.as_deref())).cloned());
            }
            Entry::One { scalar, heading } => headings.push(Named {
                table: Box::default(),
                name: Cow::Owned(heading.to_string()),
                number: is_number(scalar, columns),
            }),
        }
    }
    Ok(headings)
}

fn is_number(scalar: &Scalar, columns: &[Named]) -> bool {
    match scalar {
        Scalar::Value(value) => matches!(value, Value::Number(_)),
        Scalar::Column { name, .. } => {
            columns.iter().any(|column| column.number && column.name.eq_ignore_ascii_case(name))
        }
        Scalar::Call { name, .. } => gives_number(name),
        Scalar::Aggregate { name, .. } => matches!(&**name, "COUNT" | "SUM" | "AVG"),
        Scalar::Exists(_) | Scalar::InQuery { .. } => true,
        Scalar::Variable(_) | Scalar::Query(_) => false,
    }
}

fn is_of(column: &Named, table: Option<&str>) -> bool {
    table.is_none_or(|table| column.table.eq_ignore_ascii_case(table))
}

/// The column of the answer that ORDER BY means by its number or heading.
fn output_place(scalar: &Scalar, headings: &[Named]) -> Option<usize> {
    match scalar {
        Scalar::Value(Value::Number(number)) => number.parse::<usize>().ok()?.checked_sub(1),
        Scalar::Column { table: None, name } => {
            headings.iter().position(|heading| heading.name.eq_ignore_ascii_case(name))
        }
        _ => None,
    }
}

fn drop_doubles(rows: &mut Vec<Sorted>) {
    let mut seen = BTreeSet::new();
    rows.retain(|sorted| seen.insert(sorted.row.clone()));
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

fn unknown_function(name: &str) -> Error {
    let shown: String = name.chars().filter(|shown| !shown.is_control()).take(64).collect();
    Error::new(Code::Syntax, format!("There is no function {shown} with these arguments"))
}
