//! A query about the server, carried out: tables are joined row by row, as there are few and they are small. How many
//! steps that may take is bounded, and how many bytes of rows it may hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::like::Effort;
use super::super::memory::Variable;
use super::super::rows::{ResultColumn, ResultSet, Row};
use super::super::scalars::{self, Field, boolean, compare, gives_number, is_among, is_true, number, truth};
use super::super::{Figures, find_column, rows::too_large};
use super::views::{self, Rows, View};
use super::{Assignments, Catalog, figures, find};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::catalog::{Block, Entry, Joined, On, Query, Relation, Scalar};
use crate::cometql::sql::{Limit, Value};

/// Values computed, rows looked at and texts read by one query: some hundredths of a second.
pub const STEPS_MAX: u32 = 400_000;

/// Bytes of rows and values that one query may hold while it is carried out. All of `information_schema` is a twentieth.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Steps of LIKE in one query, which are smaller.
const LIKE_STEPS_MAX: u32 = 2_000_000;

/// So many bytes of a text are read in the time of a step.
pub(in crate::cometql::plan) const BYTES_PER_STEP: usize = 32;

pub(super) struct Evaluation<'c> {
    catalog: &'c Catalog,
    live: &'c dyn Fn(Figures) -> Vec<Row>,
    /// Left.
    steps: u32,
    /// Left.
    bytes: usize,
    effort: Effort,
    /// By view: a subquery may ask for it again with every row.
    loaded: BTreeMap<&'static str, Rc<Vec<Vec<Field>>>>,
    /// The variables that the query sets, as they are now.
    assigned: Assignments,
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
    /// What follows the row: that of a table which it is not joined to yet.
    partner: &'s [Field],
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

impl<'s> Scope<'s> {
    fn of(columns: &'s [Named], row: &'s [Field], outer: Option<&'s Scope<'s>>) -> Self {
        Self { columns, row, partner: &[], group: None, entries: &[], outer }
    }

    fn cell(&self, place: usize) -> Field {
        let behind = || self.partner.get(place.checked_sub(self.row.len())?);
        self.row.get(place).or_else(behind).cloned().flatten()
    }
}

impl<'c> Evaluation<'c> {
    pub(super) fn new(catalog: &'c Catalog, live: &'c dyn Fn(Figures) -> Vec<Row>) -> Self {
        Self {
            catalog,
            live,
            steps: STEPS_MAX,
            bytes: BYTES_MAX,
            effort: Effort::new(LIKE_STEPS_MAX),
            loaded: BTreeMap::new(),
            assigned: catalog.assigned.clone(),
        }
    }

    /// The answer, how many steps that took, and what the variables are then.
    pub(super) fn answer(mut self) -> (Result<ResultSet, Error>, u32, Assignments) {
        let answer = self.result();
        (answer, STEPS_MAX - self.steps, self.assigned)
    }

    fn result(&mut self) -> Result<ResultSet, Error> {
        let Answer { columns, rows } = self.query(&self.catalog.query, None)?;
        self.effort.check()?;
        let bytes: usize = rows.iter().flatten().flatten().map(|text| text.len()).sum();
        if bytes > self.catalog.bytes_max {
            return Err(too_large(self.catalog.bytes_max));
        }
        self.step(rows.len())?;
        let cell = |field: Field| field.map(|text| text.into_owned().into_bytes().into_boxed_slice());
        let rows = Rc::unwrap_or_clone(rows).into_iter();
        Ok(ResultSet {
            columns: result_columns(columns),
            rows: rows.map(|row| row.into_iter().map(cell).collect()).collect(),
        })
    }

    fn step(&mut self, count: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        if self.steps > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The query looks at too much: join fewer tables of information_schema"))
    }

    /// These fields are held from now on.
    fn hold(&mut self, fields: &[Field]) -> Result<(), Error> {
        let bytes = weight(fields);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes == 0 {
            let text = format!("The query would hold more than {BYTES_MAX} bytes: ask for fewer or shorter rows");
            return Err(Error::new(Code::TooLong, text));
        }
        self.step(bytes / (4 * BYTES_PER_STEP))
    }

    /// These fields are compared to those of so many rows in order: sorted or searched.
    fn search(&mut self, fields: &[Field], rows: usize) -> Result<(), Error> {
        let bytes: usize = fields.iter().flatten().map(|text| text.len()).sum();
        let comparisons = rows.checked_ilog2().unwrap_or(0) as usize + 1;
        self.step(comparisons.saturating_mul(fields.len() + bytes / BYTES_PER_STEP))
    }

    fn drop_doubles(&mut self, rows: &mut Vec<Sorted>) -> Result<(), Error> {
        for sorted in rows.iter() {
            self.hold(&sorted.row)?;
            self.search(&sorted.row, rows.len())?;
        }
        let mut seen = BTreeSet::new();
        rows.retain(|sorted| seen.insert(sorted.row.clone()));
        Ok(())
    }

    /// A query inside a scalar: what it held is gone when that is known.
    fn subquery(&mut self, query: &Query, scope: &Scope<'_>) -> Result<Rc<Vec<Vec<Field>>>, Error> {
        let before = self.bytes;
        let answer = self.query(query, Some(scope))?;
        self.bytes = before;
        Ok(answer.rows)
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

    /// The rows of all tables joined for which the condition is true; without a table it is one row without columns.
    /// What does not belong to them is never put together: of a join most does not.
    fn from(
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
                let row = |(name, value): &(&'static str, String)| {
                    vec![Some(Cow::Borrowed(*name)), Some(Cow::Owned(value.clone()))]
                };
                self.catalog.variables.iter().map(row).collect()
            }
            (_, Some(figures)) => {
                let row = |row: Row| row.into_iter().map(|cell| Some(Cow::Owned(cell.into_string()))).collect();
                (self.live)(figures).into_iter().map(row).collect()
            }
            (_, None) => views::rows(view, self.catalog.user),
        };
        for row in &rows {
            self.hold(row)?;
        }
        let rows: Rc<Vec<Vec<Field>>> = Rc::new(rows);
        self.loaded.insert(view.name, rows.clone());
        Ok(rows)
    }

    /// A step, and more for a long text: whoever gets it reads it.
    fn value(&mut self, scalar: &Scalar, scope: &Scope<'_>) -> Result<Field, Error> {
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

/// So many columns are compared to a name in the time of a step.
const COLUMNS_PER_STEP: usize = 16;

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
                    find_column(columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)), name)
                };
                let places = names.iter().map(|name| Ok((find(before, name)?, find(behind, name)?)));
                Self::Same(places.collect::<Result<_, Error>>()?)
            }
        })
    }
}

/// What fields take in memory, about.
fn weight(fields: &[Field]) -> usize {
    let heap = |field: &Field| if let Some(Cow::Owned(text)) = field { text.len() } else { 0 };
    size_of::<Vec<Field>>() + size_of_val(fields) + fields.iter().map(heap).sum::<usize>()
}

fn result_columns(columns: Vec<Named>) -> Vec<ResultColumn> {
    let column = |Named { name, number, .. }| ResultColumn { name: name.into_owned(), number };
    columns.into_iter().map(column).collect()
}

/// The columns of a query's answer, for which nothing is carried out, and how many steps that took. Errors: 1146, 3, and 11
/// when it would take too long.
pub(super) fn columns(query: &Query) -> (Result<Vec<ResultColumn>, Error>, u32) {
    let mut steps = STEPS_MAX;
    let columns = columns_of(query, &mut steps).map(result_columns);
    (columns, STEPS_MAX - steps)
}

/// Each entry may be looked for among all columns.
fn heading_steps(block: &Block, columns: &[Named]) -> usize {
    block.entries.len().saturating_mul(1 + columns.len() / COLUMNS_PER_STEP)
}

fn columns_of(query: &Query, steps: &mut u32) -> Result<Vec<Named>, Error> {
    let Some(block) = query.blocks.first() else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    for Joined { relation, name, .. } in &block.from {
        let more = match relation {
            Relation::Query(query) => columns_of(query, steps)?,
            Relation::Table(table) => columns_of_view(find(table)?),
        };
        columns.extend(more.into_iter().map(|column| Named { table: name.clone(), ..column }));
    }
    *steps = steps.saturating_sub(u32::try_from(heading_steps(block, &columns)).unwrap_or(u32::MAX));
    if *steps == 0 {
        return Err(Error::new(Code::TooLong, "The query has too many columns: name fewer"));
    }
    headings(block, &columns)
}

fn columns_of_view(view: &View) -> Vec<Named> {
    let named = |(name, number)| Named { table: Box::default(), name: Cow::Borrowed(name), number };
    view.columns().map(named).collect()
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
        Scalar::Call { name, arguments } if &**name == ":=" => {
            arguments.last().is_some_and(|value| is_number(value, columns))
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
