//! INSERT with ON DUPLICATE KEY UPDATE, as ORMs write a row that may be there already.
//!
//! An INSERT here replaces the row with the same key. So it does what such a statement asks for as long as all columns
//! but the key are set to what is inserted; anything else would need the row that is there.

use super::{Plan, plan_insert};
use crate::cometql::errors::{Code, Error};
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Insert, Value};
use crate::cometql::tables::{Table, TableId, find_table};

/// Error 3 for tables whose rows replace no others: as CppComet has it, and its applications test it.
pub(super) fn check_replaces(table: &Table, clause: &str) -> Result<(), Error> {
    match table.id {
        TableId::UsersAuth | TableId::UsersData | TableId::PipesSettings | TableId::RevokedTokens => Ok(()),
        _ => {
            let text = format!("{clause}: rows of `{}` replace no others", table.name);
            Err(Error::new(Code::Syntax, text))
        }
    }
}

/// Errors: those of the INSERT, 3 for tables whose rows replace no others, 14 for unknown columns, 2 for what is no
/// replacement.
pub(super) fn plan_upsert(
    insert: &Insert<'static>,
    updates: &[(Box<str>, Option<Value<'static>>)],
    session: &SessionView<'_>,
) -> Result<Plan, Error> {
    let table = find_table(&insert.table, "INSERT", |table| table.insert)?;
    let refused = |text: String| Err(Error::new(Code::NotImplemented, text));
    check_replaces(table, "ON DUPLICATE KEY UPDATE")?;
    let inserted: Vec<usize> = match &insert.columns {
        Some(names) => names.iter().map(|name| table.place(name)).collect::<Result<_, _>>()?,
        None => (0..table.columns.len()).collect(),
    };
    let mut updated = Vec::with_capacity(updates.len());
    for (name, value) in updates {
        let column = table.place(name)?;
        let place = inserted.iter().position(|known| *known == column);
        let same = |value: &Value<'_>| {
            let mut rows = insert.rows();
            place.is_some_and(|place| rows.all(|row| row.get(place).and_then(Value::text) == value.text()))
        };
        if place.is_none() || !value.as_ref().is_none_or(same) {
            return refused(format!("ON DUPLICATE KEY UPDATE sets `{name}` to what is inserted: use VALUES({name})"));
        }
        updated.push(column);
    }
    let left_out = inserted.iter().find(|column| **column != table.key_column && !updated.contains(column));
    if let Some(column) = left_out.and_then(|column| table.columns.get(*column)) {
        return refused(format!(
            "The row is replaced as a whole: ON DUPLICATE KEY UPDATE must set `{}` too",
            column.name
        ));
    }
    plan_insert(insert, session)
}
