//! SELECT and DELETE to plans.

use std::collections::BTreeSet;

use super::keys::{self, Keys};
use super::{DONE, Every, Plan, Reply, Source, check_name, not_implemented};
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::evaluate;
use crate::cometql::rows::{Cell, Effort, Projected, Row, RowQuery, SourceColumn, Test, compile};
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Condition, Delete, Expression, Item, Limit, Order, Select, Summary, Value};
use crate::cometql::tables::{COLUMNS_MAX, Key, Table, TableId, find_table, no_column};
use crate::model::{DevId, MessageId, PipeKey, PipeName, UserId};
use crate::storage::Write;

pub(super) fn plan_select(select: &Select, session: &SessionView<'_>) -> Result<Plan, Error> {
    let Some(name) = select.from.as_ref().filter(|name| !name.name.eq_ignore_ascii_case("dual")) else {
        return select_expressions(select, session);
    };
    let table = find_table(name, "SELECT", |table| table.select)?;
    let mut query = RowQuery::all(source_columns(table));
    query.bytes_max = session.limits.result_bytes_max;
    project(&mut query, &select.items, Some(table), session)?;
    query.order = order(&select.order, &query, Some(table))?;
    let lists = session.limits.lists_tables && table.has_every();
    let keys = match &select.condition {
        Some(condition) => {
            query.test = compile(condition, &|name: &str| table.place(name))?;
            match find_keys(condition, table, table.key_column) {
                // All rows are looked at, whatever the condition says of keys.
                Err(_) if table.listable => Ok(Keys::All),
                // It names none.
                Err(error) if lists && error.code == Code::Where => Ok(Keys::All),
                keys => keys,
            }
        }
        None if table.listable || lists => Ok(Keys::All),
        None => Err(keys::missing(key_name(table))),
    };
    window(&mut query, select.limit.as_ref())?;
    summarise(&mut query, &select.summary)?;
    let keys = keys?;
    if keys.is_empty() || query.window().1 == 0 {
        return Ok(Plan::Reply(Reply::Rows(query.apply(Vec::new())?)));
    }
    let source = match (table.id, keys) {
        (TableId::Pipes, Keys::Pipes(pipes)) => Source::PipeCounts(pipes),
        (TableId::UsersAuth, Keys::Users(users)) => Source::Hashes(users),
        (TableId::UsersData, Keys::Users(users)) => Source::UserData(users),
        (TableId::UsersTime, Keys::Users(users)) => Source::LastSeen(users),
        (TableId::UsersMessages, Keys::Users(users)) => Source::Queues(users),
        (TableId::PipesMessages, Keys::Pipes(pipes)) => Source::Histories(pipes),
        (TableId::PipesSettings, Keys::Pipes(pipes)) => Source::Lengths(pipes),
        (TableId::UsersInPipes, Keys::Pipes(pipes)) => Source::Members(pipes),
        (TableId::RevokedTokens, Keys::Texts(tokens)) => Source::Revoked(tokens),
        (TableId::RevokedTokens, Keys::All) => Source::AllRevoked,
        (TableId::Conference, Keys::Texts(names)) => Source::Calls(names),
        (TableId::Connections, Keys::All) => Source::Connections,
        (TableId::Memory, Keys::All) => Source::Memory,
        (TableId::Tenants, Keys::All) => Source::Tenants,
        (TableId::Pipes, Keys::All) => Source::Every(Every::PipeCounts),
        (TableId::UsersAuth, Keys::All) => Source::Every(Every::Hashes),
        (TableId::UsersData, Keys::All) => Source::Every(Every::UserData),
        (TableId::UsersTime, Keys::All) => Source::Every(Every::LastSeen),
        (TableId::UsersMessages, Keys::All) => Source::Every(Every::Queues),
        (TableId::PipesMessages, Keys::All) => Source::Every(Every::Histories),
        (TableId::PipesSettings, Keys::All) => Source::Every(Every::Lengths),
        // Nobody talks without a media server, and nothing is profiled here.
        (TableId::ConferenceMembers | TableId::Profiler, _) => {
            return Ok(Plan::Reply(Reply::Rows(query.apply(Vec::new())?)));
        }
        _ => return Err(not_implemented(table, "SELECT")),
    };
    Ok(Plan::Read { source, query })
}

/// SELECT without a table: one row.
fn select_expressions(select: &Select, session: &SessionView<'_>) -> Result<Plan, Error> {
    let mut query = RowQuery::all(Vec::new());
    project(&mut query, &select.items, None, session)?;
    query.order = order(&select.order, &query, None)?;
    if let Some(condition) = &select.condition {
        query.test = compile(condition, &|name: &str| place_in(None, name))?;
    }
    window(&mut query, select.limit.as_ref())?;
    summarise(&mut query, &select.summary)?;
    Ok(Plan::Reply(Reply::Rows(query.apply(vec![Row::new()])?)))
}

/// The query asks for one row about the rows that it would give. Error: 2 when that is one row already.
fn summarise(query: &mut RowQuery, summary: &Summary) -> Result<(), Error> {
    let (heading, cell, most) = match summary {
        Summary::Rows => return Ok(()),
        Summary::Count(heading) => (heading, Cell::Count, u64::MAX),
        Summary::Exists(heading) => (heading, Cell::Exists, 1),
    };
    if query.counts() {
        return Err(Error::new(Code::NotImplemented, "COUNT within EXISTS or another COUNT: ask for it alone"));
    }
    query.counted = (query.offset, query.count.min(most));
    (query.offset, query.count) = (0, u64::MAX);
    query.order.clear();
    query.output = vec![Projected { heading: heading.to_string(), number: true, cell }];
    Ok(())
}

/// DELETE looks at keys only: storage deletes by key, and a condition on another column would have to be ignored.
pub(super) fn plan_delete(delete: &Delete, session: &SessionView<'_>) -> Result<Plan, Error> {
    check_name(&delete.table, session)?;
    let table = find_table(&delete.table, "DELETE", |table| table.delete)?;
    if !delete.order.is_empty() {
        return Err(Error::new(Code::NotImplemented, "DELETE takes no ORDER BY: rows are deleted by key"));
    }
    let Some(condition) = &delete.condition else {
        return Err(keys::missing(key_name(table)));
    };
    let mut query = RowQuery::all(source_columns(table));
    query.test = compile(condition, &|name: &str| table.place(name))?;
    window(&mut query, delete.limit.as_ref())?;
    let first = find_keys(condition, table, table.key_column);
    let second = match (table.other_key, &first) {
        (None, _) => None,
        (Some(other), Ok(_)) if table.both_keys => Some(find_keys(condition, table, other)?),
        (Some(other), Ok(_)) => find_keys(condition, table, other).ok(),
        (Some(_), Err(_)) if table.both_keys => None,
        // Rows are found by the second key alone.
        (Some(other), Err(_)) => return delete_by_other_key(condition, table, other, &query, session),
    };
    let mut keys = first?;
    if !only_tests(&query.test, table.key_column, second.is_some().then_some(table.other_key).flatten()) {
        let also = table
            .other_key
            .map_or(String::new(), |other| format!(" and on `{}` with = or IN", column_name(table, other)));
        let text = format!("DELETE from `{}` takes conditions on `{}`{also} only", table.name, key_name(table));
        return Err(Error::new(Code::NotImplemented, text));
    }
    keys.sort();
    let deletion = if let Some(other) = second {
        pairs(table, &keys, &other, &query, session)?
    } else {
        keep_matching(&mut keys, table.key_column, &query, session)?;
        singles(table, keys, session)?
    };
    limited(deletion, &query)
}

/// What a DELETE comes to, before LIMIT is looked at.
enum Deletion {
    Writes(Vec<Write>),
    /// The settings of these pipes and what they keep.
    Settings(Vec<PipeName>),
}

fn limited(deletion: Deletion, query: &RowQuery) -> Result<Plan, Error> {
    let count = match &deletion {
        Deletion::Writes(writes) => writes.iter().map(rows_named).sum(),
        Deletion::Settings(pipes) => pipes.len(),
    } as u64;
    if query.count == 0 || count == 0 {
        return Ok(DONE);
    }
    // One key of these tables has many rows, and of the others it is not known here which keys have one.
    let many = matches!(&deletion, Deletion::Writes(writes) if writes.iter().any(deletes_many));
    if query.count < count || many && query.count != u64::MAX {
        return Err(Error::new(Code::NotImplemented, "LIMIT of DELETE must not be less than the number of rows"));
    }
    Ok(match deletion {
        Deletion::Writes(writes) => Plan::Delete(writes),
        Deletion::Settings(pipes) => {
            let lengths = pipes.into_iter().map(|pipe| (pipe, None)).collect();
            Plan::SetLengths { lengths, reply: Reply::Ok { affected: 0, insert_id: 0 } }
        }
    })
}

fn rows_named(write: &Write) -> usize {
    if let Write::DeleteFromHistory { ids, .. } = write { ids.len() } else { 1 }
}

fn deletes_many(write: &Write) -> bool {
    matches!(write, Write::DeleteQueue { .. } | Write::DeleteHistory { .. })
}

fn singles(table: &Table, keys: Keys, session: &SessionView<'_>) -> Result<Deletion, Error> {
    let dev = session.dev;
    let by_user = |users: Vec<UserId>, write: fn(DevId, UserId) -> Write| {
        Deletion::Writes(users.into_iter().map(|user| write(dev, user)).collect())
    };
    Ok(match (table.id, keys) {
        (TableId::UsersAuth, Keys::Users(users)) => by_user(users, |dev, user| Write::DeleteHash { dev, user }),
        (TableId::UsersData, Keys::Users(users)) => by_user(users, |dev, user| Write::DeleteUserData { dev, user }),
        (TableId::UsersMessages, Keys::Users(users)) => by_user(users, |dev, user| Write::DeleteQueue { dev, user }),
        (TableId::PipesMessages, Keys::Pipes(pipes)) => Deletion::Writes(
            pipes.into_iter().map(|name| Write::DeleteHistory { pipe: PipeKey { dev, name } }).collect(),
        ),
        (TableId::PipesSettings, Keys::Pipes(pipes)) => Deletion::Settings(pipes),
        (TableId::RevokedTokens, Keys::Texts(tokens)) => {
            Deletion::Writes(tokens.into_iter().map(|token| Write::DeleteRevoked { dev, token }).collect())
        }
        _ => return Err(not_implemented(table, "DELETE")),
    })
}

/// Rows of both keys, as far as the condition is true for them: of a history by pipe and id, of calls by name and user.
fn pairs(
    table: &Table,
    keys: &Keys,
    other: &Keys,
    query: &RowQuery,
    session: &SessionView<'_>,
) -> Result<Deletion, Error> {
    /// Each pair is tested.
    const PAIRS_MAX: usize = 100_000;
    let dev = session.dev;
    let (cells, mut others) = (keys.cells(), other.cells());
    if cells.len().saturating_mul(others.len()) > PAIRS_MAX {
        let text = format!("The values of WHERE make more than {PAIRS_MAX} pairs: delete in several statements");
        return Err(Error::new(Code::TooManyValues, text));
    }
    let ids: Vec<Option<MessageId>> = others.iter().map(|text| MessageId::parse(text)).collect();
    if table.id == TableId::PipesMessages {
        // Compared as the table shows them.
        for (text, id) in others.iter_mut().zip(&ids) {
            if let Some(id) = id {
                *text = id.to_string().into();
            }
        }
    }
    let tests = u32::try_from(cells.len().saturating_mul(others.len())).unwrap_or(u32::MAX);
    session.budget.took(tests.saturating_mul(query.test.conditions()))?;
    let mut effort = Effort::default();
    let mut row: Row = vec![Box::default(); table.columns.len()];
    let mut writes = Vec::new();
    for (place, cell) in cells.into_iter().enumerate() {
        put(&mut row, table.key_column, &cell);
        let mut matching = Vec::new();
        for (at, text) in others.iter().enumerate() {
            put(&mut row, table.other_key.unwrap_or_default(), text);
            if query.holds(&row, &mut effort) {
                matching.push(at);
            }
        }
        match (keys, other) {
            (Keys::Pipes(pipes), Keys::Texts(_)) => {
                let ids: Vec<MessageId> = matching.iter().filter_map(|at| *ids.get(*at)?).collect();
                let pipes = pipes.get(place).cloned().into_iter().collect();
                if !ids.is_empty() {
                    writes.push(Write::DeleteFromHistory { dev, pipes: Some(pipes), ids });
                }
            }
            (Keys::Texts(_), Keys::Users(users)) => {
                let users = matching.iter().filter_map(|at| users.get(*at));
                writes.extend(users.map(|user| Write::DeleteCall { dev, name: cell.clone(), user: *user }));
            }
            _ => return Err(not_implemented(table, "DELETE")),
        }
    }
    session.budget.looked(&effort)?;
    Ok(Deletion::Writes(writes))
}

fn put(row: &mut Row, column: usize, cell: &str) {
    if let Some(place) = row.get_mut(column) {
        *place = cell.into();
    }
}

/// Single messages of whichever pipe.
fn delete_by_other_key(
    condition: &Condition,
    table: &Table,
    other: usize,
    query: &RowQuery,
    session: &SessionView<'_>,
) -> Result<Plan, Error> {
    // The first key is what an error should ask for.
    let keys = find_keys(condition, table, other)
        .map_err(|error| find_keys(condition, table, table.key_column).err().unwrap_or(error))?;
    if !only_tests(&query.test, other, None) {
        let text = format!("DELETE from `{}` by `{}` takes no other conditions", table.name, column_name(table, other));
        return Err(Error::new(Code::NotImplemented, text));
    }
    let parsed = keys.cells().iter().filter_map(|text| MessageId::parse(text)).collect::<BTreeSet<_>>();
    let mut ids = Vec::new();
    let mut effort = Effort::default();
    let mut row: Row = vec![Box::default(); table.columns.len()];
    for id in parsed {
        put(&mut row, other, &id.to_string());
        if query.holds(&row, &mut effort) {
            ids.push(id);
        }
    }
    session.budget.looked(&effort)?;
    let writes = vec![Write::DeleteFromHistory { dev: session.dev, pipes: None, ids }];
    limited(Deletion::Writes(writes), query)
}

/// Only the keys for which the condition is true.
pub(super) fn keep_matching(
    keys: &mut Keys,
    column: usize,
    query: &RowQuery,
    session: &SessionView<'_>,
) -> Result<(), Error> {
    let mut effort = Effort::default();
    let mut row: Row = vec![Box::default(); column.saturating_add(1)];
    let mut holds = |cell: &str| {
        put(&mut row, column, cell);
        query.holds(&row, &mut effort)
    };
    let keep: Vec<bool> = keys.cells().iter().map(|cell| holds(cell)).collect();
    keys.retain(&keep);
    session.budget.looked(&effort)
}

pub(super) fn column_name(table: &Table, column: usize) -> &'static str {
    table.columns.get(column).map_or("", |column| column.name)
}

pub(super) fn key_name(table: &Table) -> &'static str {
    column_name(table, table.key_column)
}

pub(super) fn source_columns(table: &Table) -> Vec<SourceColumn> {
    table.columns.iter().map(|column| SourceColumn { name: column.name, number: column.number }).collect()
}

pub(super) fn find_keys(condition: &Condition, table: &Table, key_column: usize) -> Result<Keys, Error> {
    let is_key = |name: &str| table.column(name) == Some(key_column);
    let key = match table.id {
        _ if key_column == table.key_column => table.key,
        TableId::Conference => Key::User { least: 0 },
        _ => Key::Text { bytes_max: UUID_MAX },
    };
    keys::keys(condition, key, column_name(table, key_column), &is_key)
}

/// However a UUID is written.
const UUID_MAX: usize = 45;

pub(super) fn only_tests(test: &Test, key: usize, other: Option<usize>) -> bool {
    match test {
        Test::All(parts) | Test::Any(parts) => parts.iter().all(|part| only_tests(part, key, other)),
        Test::Not(part) => only_tests(part, key, other),
        Test::Constant(_) | Test::Unknown => true,
        Test::Compare { column, .. } | Test::In { column, .. } | Test::Like { column, .. } => {
            *column == key || Some(*column) == other
        }
    }
}

/// The SELECT list: as many columns as asked, in that order. Errors: 20 for its length, 14 for unknown columns, 13 for
/// one asked twice, 3 for what cannot be computed.
fn project(
    query: &mut RowQuery,
    items: &[Item],
    table: Option<&Table>,
    session: &SessionView<'_>,
) -> Result<(), Error> {
    if items.len() > COLUMNS_MAX {
        let text = format!("SELECT of {} columns: at most {COLUMNS_MAX} are allowed", items.len());
        return Err(Error::new(Code::TooManyColumns, text));
    }
    let find = |name: &str| table.and_then(|table| table.column(name));
    let mut output: Vec<Projected> = Vec::with_capacity(items.len());
    let mut effort = Effort::default();
    for item in items {
        match item {
            Item::All if query.source.is_empty() => {
                return Err(Error::new(Code::Syntax, "SELECT * needs a table: add FROM"));
            }
            Item::All => output.extend(RowQuery::all(query.source.all.clone()).output),
            Item::One { expression, heading } => {
                let heading = heading.to_string();
                output.push(match expression {
                    Expression::Column(name) => {
                        let cell = Cell::Column(place_in(table, name)?);
                        Projected { heading, number: query.is_number_cell(&cell), cell }
                    }
                    Expression::ColumnOrText(text) => {
                        let cell = find(text).map_or_else(|| Cell::Constant(Some(text.clone())), Cell::Column);
                        Projected { heading, number: query.is_number_cell(&cell), cell }
                    }
                    Expression::CountColumn(name) => {
                        place_in(table, name)?;
                        Projected { heading, number: true, cell: Cell::Count }
                    }
                    Expression::CountRows if query.source.is_empty() => {
                        return Err(Error::new(Code::Syntax, "COUNT needs a table: add FROM"));
                    }
                    Expression::CountRows => Projected { heading, number: true, cell: Cell::Count },
                    Expression::Function { arguments, .. } if arguments.iter().any(|it| names_column(it, &find)) => {
                        let text = "Functions take no columns of CometQL's tables: select the columns themselves";
                        return Err(Error::new(Code::NotImplemented, text));
                    }
                    other => {
                        let (text, number) = evaluate(other, session, &mut effort)?;
                        Projected { heading, number, cell: Cell::Constant(text.map(String::into_boxed_str)) }
                    }
                });
            }
        }
    }
    session.budget.looked(&effort)?;
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

/// The place of a column, which is nowhere without a table. Error: 14.
fn place_in(table: Option<&Table>, name: &str) -> Result<usize, Error> {
    table.map_or_else(|| Err(no_column(name, std::iter::empty())), |table| table.place(name))
}

fn names_column(expression: &Expression, find: &impl Fn(&str) -> Option<usize>) -> bool {
    match expression {
        Expression::Column(name) => find(name).is_some(),
        Expression::Function { arguments, .. } => arguments.iter().any(|argument| names_column(argument, find)),
        _ => false,
    }
}

impl Projected {
    fn column(&self) -> Option<usize> {
        if let Cell::Column(column) = self.cell { Some(column) } else { None }
    }
}

/// ORDER BY columns of the table or headings of the SELECT list. Error: 14.
fn order(order: &[Order], query: &RowQuery, table: Option<&Table>) -> Result<Vec<(usize, bool)>, Error> {
    order
        .iter()
        .map(|Order { column, descending }| {
            let aliased = || query.output.iter().find(|known| known.heading.eq_ignore_ascii_case(column))?.column();
            let place = table.and_then(|table| table.column(column)).or_else(aliased);
            Ok((place.map_or_else(|| place_in(table, column), Ok)?, *descending))
        })
        .collect()
}

/// LIMIT with its standard meaning. Error: 3 when it is no number.
pub(super) fn window(query: &mut RowQuery, limit: Option<&Limit>) -> Result<(), Error> {
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
