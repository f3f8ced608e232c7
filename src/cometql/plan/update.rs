//! UPDATE to plans: the one column beside the key, of rows that are named by their keys.
//!
//! It changes rows that are there and makes none: who sets the hash of a user without one has set nothing.

use super::keys::Keys;
use super::select::{column_name, find_keys, keep_matching, key_name, only_tests, source_columns, window};
use super::{DONE, Plan, check_name, keys, plan_insert};
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::{RowQuery, compile};
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Insert, TableName, Update, Value};
use crate::cometql::tables::{Access, Table, find_table};
use crate::storage::Write;

/// Errors: 15 for the table, 3 for one whose rows cannot be changed, 14 and 13 for the columns, 13, 2, 18 and 19 for
/// WHERE, and those that an INSERT of the same values gets.
pub(super) fn plan_update(update: &Update, session: &SessionView<'_>) -> Result<Plan, Error> {
    check_name(&update.table, session)?;
    let table = find_table(&update.table, "UPDATE", |table| {
        if table.select == Access::Allowed { Access::Allowed } else { table.delete }
    })?;
    if let Some(instead) = table.instead_of_update() {
        // CppComet's answer to every UPDATE.
        return Err(Error::new(Code::Syntax, format!("Rows of `{}` cannot be updated: {instead}", table.name)));
    }
    let (mut key, mut value) = (None, None);
    for (name, assigned) in &update.assignments {
        let column = table.place(name)?;
        let place = if column == table.key_column { &mut key } else { &mut value };
        if place.replace((column, assigned)).is_some() {
            return Err(Error::new(Code::Where, "A column is named twice in the UPDATE"));
        }
    }
    let Some(condition) = &update.condition else {
        return Err(keys::missing(key_name(table)));
    };
    let mut query = RowQuery::all(source_columns(table));
    query.test = compile(condition, &|name: &str| table.place(name))?;
    window(&mut query, update.limit.as_ref())?;
    let mut keys = find_keys(condition, table, table.key_column)?;
    if !only_tests(&query.test, table.key_column, None) {
        let text = format!("UPDATE of `{}` takes conditions on `{}` only", table.name, key_name(table));
        return Err(Error::new(Code::NotImplemented, text));
    }
    keep_matching(&mut keys, table.key_column, &query, session)?;
    // Graphical clients set all columns of the row that was edited.
    let is_own = |(_, key): (_, &Value<'_>)| keys.names_only(key);
    if !key.is_none_or(is_own) {
        let text = format!("UPDATE does not change `{}`: DELETE the row and INSERT another", key_name(table));
        return Err(Error::new(Code::NotImplemented, text));
    }
    let Some((column, value)) = value else { return Ok(DONE) };
    change(table, &keys, (column, value), query.count, session)
}

/// The same checks as for an INSERT of these rows.
fn change(
    table: &Table,
    keys: &Keys,
    (column, value): (usize, &Value<'static>),
    count_max: u64,
    session: &SessionView<'_>,
) -> Result<Plan, Error> {
    let rows = keys.len();
    if rows == 0 || count_max == 0 {
        return Ok(DONE);
    }
    if rows as u64 > count_max {
        return Err(Error::new(Code::NotImplemented, "LIMIT of UPDATE must not be less than the number of rows"));
    }
    // As INSERTs they could not be longer: one text for many rows would take many times the memory of the query.
    let bytes_max = session.limits.query_bytes_max;
    if value.text().map_or(0, str::len).saturating_mul(rows) > bytes_max {
        let text = format!("The rows would hold more than {bytes_max} bytes: update fewer at once");
        return Err(Error::new(Code::TooLong, text));
    }
    let values: Vec<Value<'_>> =
        keys.cells().into_iter().flat_map(|key| [Value::Text(key.into_string().into()), value.clone()]).collect();
    let columns = [table.key_column, column].map(|column| column_name(table, column).into());
    let table = TableName::new(table.name);
    let insert = Insert { table, columns: Some(columns.into()), values, width: 2, uneven: false, ignore: false };
    Ok(match plan_insert(&insert, &SessionView { database: None, ..*session })? {
        Plan::Write { writes, .. } => Plan::Update(writes.into_iter().map(only_if_there).collect()),
        Plan::SetLengths { lengths, .. } => {
            Plan::UpdateLengths(lengths.into_iter().filter_map(|(pipe, length)| Some((pipe, length?))).collect())
        }
        other => other,
    })
}

fn only_if_there(write: Write) -> Write {
    match write {
        Write::PutHash { dev, user, hash } => Write::UpdateHash { dev, user, hash },
        Write::PutUserData { dev, user, data } => Write::UpdateUserData { dev, user, data },
        other => other,
    }
}
