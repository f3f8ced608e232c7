//! SELECT and DELETE to plans.

use std::collections::BTreeSet;

use super::keys::{self, Keys};
use super::rows::{Cell, Effort, Projected, Row, RowQuery, SourceColumn, Test};
use super::variables::evaluate;
use super::{DONE, Plan, Reply, SessionView, Source, find_column, find_table, not_implemented};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Condition, Delete, Expression, Item, Limit, Order, Select, Value};
use crate::cometql::tables::{COLUMNS_MAX, Table, TableId};
use crate::storage::Write;

pub(super) fn plan_select(select: &Select, session: &SessionView<'_>) -> Result<Plan, Error> {
    let Some(name) = select.from.as_ref().filter(|name| !name.name.eq_ignore_ascii_case("dual")) else {
        return select_expressions(select, session);
    };
    let table = find_table(name, "SELECT", |table| table.select)?;
    let mut query = RowQuery::all(source_columns(table));
    query.bytes_max = session.limits.result_bytes_max;
    project(&mut query, &select.items, |name| table.column(name), session)?;
    query.order = order(&select.order, &query, |name| table.column(name))?;
    let keys = match &select.condition {
        Some(condition) => {
            query.test = keys::compile(condition, &|name: &str| table.column(name))?;
            match find_keys(condition, table, table.key_column) {
                Err(error) if table.listable && error.code == Code::Where => Ok(Keys::All),
                keys => keys,
            }
        }
        None if table.listable => Ok(Keys::All),
        None => Err(keys::missing(key_name(table))),
    };
    window(&mut query, select.limit.as_ref())?;
    let keys = keys?;
    if keys.is_empty() || query.count == 0 {
        return Ok(Plan::Reply(Reply::Rows(query.apply(Vec::new())?)));
    }
    let source = match (table.id, keys) {
        (TableId::Pipes, Keys::Pipes(pipes)) => Source::PipeCounts(pipes),
        (TableId::UsersAuth, Keys::Users(users)) => Source::Hashes(users),
        (TableId::UsersData, Keys::Users(users)) => Source::UserData(users),
        (TableId::UsersTime, Keys::Users(users)) => Source::LastSeen(users),
        _ => return Err(not_implemented(table, "SELECT")),
    };
    Ok(Plan::Read { source, query })
}

/// SELECT without a table: one row.
fn select_expressions(select: &Select, session: &SessionView<'_>) -> Result<Plan, Error> {
    let mut query = RowQuery::all(Vec::new());
    let none = |_: &str| None;
    project(&mut query, &select.items, none, session)?;
    query.order = order(&select.order, &query, none)?;
    if let Some(condition) = &select.condition {
        query.test = keys::compile(condition, &none)?;
    }
    window(&mut query, select.limit.as_ref())?;
    Ok(Plan::Reply(Reply::Rows(query.apply(vec![Row::new()])?)))
}

/// DELETE looks at keys only: storage deletes by key, and a condition on another column would have to be ignored.
pub(super) fn plan_delete(delete: &Delete, session: &SessionView<'_>) -> Result<Plan, Error> {
    let table = find_table(&delete.table, "DELETE", |table| table.delete)?;
    if !delete.order.is_empty() {
        return Err(Error::new(Code::NotImplemented, "DELETE takes no ORDER BY: rows are deleted by key"));
    }
    let Some(condition) = &delete.condition else {
        return Err(keys::missing(key_name(table)));
    };
    let mut query = RowQuery::all(source_columns(table));
    query.test = keys::compile(condition, &|name: &str| table.column(name))?;
    let found = find_keys(condition, table, table.key_column)
        .or_else(|error| table.other_key.map_or(Err(error), |other| find_keys(condition, table, other)))?;
    window(&mut query, delete.limit.as_ref())?;
    let Keys::Users(users) = found else {
        return Err(not_implemented(table, "DELETE"));
    };
    let write: fn(_, _) -> Write = match table.id {
        TableId::UsersAuth => |dev, user| Write::DeleteHash { dev, user },
        TableId::UsersData => |dev, user| Write::DeleteUserData { dev, user },
        _ => return Err(not_implemented(table, "DELETE")),
    };
    if !only_tests(&query.test, table.key_column) {
        let text = format!("DELETE from `{}` takes conditions on `{}` only", table.name, key_name(table));
        return Err(Error::new(Code::NotImplemented, text));
    }
    let mut users = users;
    let mut effort = Effort::default();
    users.sort_unstable();
    users.retain(|user| {
        let mut row = Row::new();
        row.resize_with(table.key_column.saturating_add(1), Box::default);
        if let Some(cell) = row.get_mut(table.key_column) {
            *cell = user.to_string().into();
        }
        query.holds(&row, &mut effort)
    });
    effort.check()?;
    if query.count == 0 || users.is_empty() {
        return Ok(DONE);
    }
    if query.count < users.len() as u64 {
        // Which of the keys have rows, hence count, is not known here.
        return Err(Error::new(Code::NotImplemented, "LIMIT of DELETE must not be less than the number of keys"));
    }
    let writes = users.into_iter().map(|user| write(session.dev, user)).collect();
    Ok(Plan::Write { writes, reply: Reply::Ok { affected: 0, insert_id: 0 } })
}

fn key_name(table: &Table) -> &'static str {
    table.columns.get(table.key_column).map_or("", |column| column.name)
}

fn source_columns(table: &Table) -> Vec<SourceColumn> {
    table.columns.iter().map(|column| SourceColumn { name: column.name, number: column.number }).collect()
}

fn find_keys(condition: &Condition, table: &Table, key_column: usize) -> Result<Keys, Error> {
    let is_key = |name: &str| table.column(name) == Some(key_column);
    keys::keys(condition, table.key, key_name(table), &is_key)
}

fn only_tests(test: &Test, key: usize) -> bool {
    match test {
        Test::All(parts) | Test::Any(parts) => parts.iter().all(|part| only_tests(part, key)),
        Test::Not(part) => only_tests(part, key),
        Test::Constant(_) | Test::Unknown => true,
        Test::Compare { column, .. } | Test::In { column, .. } | Test::Like { column, .. } => *column == key,
    }
}

/// The SELECT list: as many columns as asked, in that order. Errors: 20 for its length, 14 for unknown columns, 13 for
/// one asked twice, 3 for what cannot be computed.
fn project(
    query: &mut RowQuery,
    items: &[Item],
    find: impl Fn(&str) -> Option<usize>,
    session: &SessionView<'_>,
) -> Result<(), Error> {
    if items.len() > COLUMNS_MAX {
        let text = format!("SELECT of {} columns: at most {COLUMNS_MAX} are allowed", items.len());
        return Err(Error::new(Code::TooManyColumns, text));
    }
    let mut output: Vec<Projected> = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::All if query.source.is_empty() => {
                return Err(Error::new(Code::Syntax, "SELECT * needs a table: add FROM"));
            }
            Item::All => output.extend(RowQuery::all(query.source.clone()).output),
            Item::One { expression, heading } => {
                let heading = heading.to_string();
                output.push(match expression {
                    Expression::Column(name) => {
                        Projected { heading, number: false, cell: Cell::Column(find_column(find(name), name)?) }
                    }
                    Expression::CountColumn(name) => {
                        find_column(find(name), name)?;
                        Projected { heading, number: true, cell: Cell::Count }
                    }
                    Expression::CountRows if query.source.is_empty() => {
                        return Err(Error::new(Code::Syntax, "COUNT needs a table: add FROM"));
                    }
                    Expression::CountRows => Projected { heading, number: true, cell: Cell::Count },
                    other => {
                        let (text, number) = evaluate(other, session)?;
                        Projected { heading, number, cell: Cell::Constant(text.map(String::into_boxed_str)) }
                    }
                });
            }
        }
    }
    let mut columns = BTreeSet::new();
    let twice = output.iter().filter_map(Projected::column).any(|column| !columns.insert(column));
    if twice {
        return Err(Error::new(Code::Where, "A column is named twice in the SELECT"));
    }
    if !columns.is_empty() && output.iter().any(|column| column.cell == Cell::Count) {
        return Err(Error::new(
            Code::NotImplemented,
            "COUNT and columns in one SELECT need GROUP BY, which is not there",
        ));
    }
    query.output = output;
    Ok(())
}

impl Projected {
    fn column(&self) -> Option<usize> {
        if let Cell::Column(column) = self.cell { Some(column) } else { None }
    }
}

/// ORDER BY columns of the table or headings of the SELECT list. Error: 14.
fn order(order: &[Order], query: &RowQuery, find: impl Fn(&str) -> Option<usize>) -> Result<Vec<(usize, bool)>, Error> {
    order
        .iter()
        .map(|Order { column, descending }| {
            let aliased = || query.output.iter().find(|known| known.heading.eq_ignore_ascii_case(column))?.column();
            Ok((find_column(find(column).or_else(aliased), column)?, *descending))
        })
        .collect()
}

/// LIMIT with its standard meaning. Error: 3 when it is no number.
fn window(query: &mut RowQuery, limit: Option<&Limit>) -> Result<(), Error> {
    let number = |value: &Value<'_>| {
        value
            .text()
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| Error::new(Code::Syntax, "LIMIT wants whole numbers that are not negative"))
    };
    if let Some(Limit { count, offset }) = limit {
        query.count = number(count)?;
        query.offset = offset.as_ref().map_or(Ok(0), number)?;
    }
    Ok(())
}
