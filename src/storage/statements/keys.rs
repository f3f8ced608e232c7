//! Which users and pipes have rows in a table, in their order and a page at a time: so a table is looked through.

use std::ops::ControlFlow::Continue;

use super::{Connection, Row, Value, first};
use crate::model::{DevId, PipeName, UserId};
use crate::storage::{Outcome, PipeTable, UserTable};

pub(super) fn users<C: Connection>(
    db: &mut C,
    dev: DevId,
    table: UserTable,
    after: Option<UserId>,
    rows: u32,
) -> Result<Outcome, C::Error> {
    let (table, many) = match table {
        UserTable::Hashes => ("users_auth", false),
        UserTable::Times => ("users_time", false),
        UserTable::Data => ("users_data", false),
        UserTable::Queues => ("users_messages", true),
    };
    let columns = Columns { table, key: "user_id", many };
    let after = after.map_or(-1, |user| i64::from(user.get()));
    let (found, more) = columns.keys(db, dev, &after, rows, |row| row.int(0), |key| (*key).into())?;
    let user = |number: &i64| UserId::new(u32::try_from(*number).ok()?);
    let after = found.last().filter(|_| more).and_then(user);
    Ok(Outcome::Users { rows: found.iter().filter_map(user).collect(), after })
}

/// In tables that CppComet made, names compare without case: of names with messages that differ in nothing else, the
/// one that is found first stands for all. (Of settings there is one only.)
pub(super) fn names<C: Connection>(
    db: &mut C,
    dev: DevId,
    table: PipeTable,
    after: Option<&str>,
    rows: u32,
) -> Result<Outcome, C::Error> {
    let columns = match table {
        PipeTable::Settings => Columns { table: "pipes_settings", key: "name", many: false },
        PipeTable::Histories => Columns { table: "pipe_messages", key: "pipe_name", many: true },
    };
    let text = |row: &dyn Row| row.text(0).map(Box::<str>::from);
    let (found, more) = columns.keys(db, dev, &after.unwrap_or_default().into(), rows, text, |key| (&**key).into())?;
    let rows = found.iter().filter_map(|name| PipeName::new(name.as_bytes()).ok()).collect();
    Ok(Outcome::Names { rows, after: found.into_iter().next_back().filter(|_| more) })
}

struct Columns {
    table: &'static str,
    key: &'static str,
    /// Whether a key may have many rows.
    many: bool,
}

impl Columns {
    /// So many different keys behind one, and whether there may be more.
    fn keys<C: Connection, K>(
        &self,
        db: &mut C,
        dev: DevId,
        after: &K,
        rows: u32,
        of: impl Fn(&dyn Row) -> Option<K>,
        value: impl Fn(&K) -> Value<'_>,
    ) -> Result<(Vec<K>, bool), C::Error> {
        let Self { table, key, many } = self;
        let mut found: Vec<K> = Vec::new();
        if *many && !C::BATCHES {
            // SQLite walks over all rows of a key to find the next one, unless each is a search of its own.
            let sql = format!("SELECT {key} FROM {table} WHERE dev_id = ? AND {key} > ? ORDER BY {key} LIMIT 1");
            while (found.len() as u32) < rows {
                let behind = found.last().unwrap_or(after);
                let Some(next) = first(db, &sql, &[dev.into(), value(behind)], &of)? else { return Ok((found, false)) };
                found.push(next);
            }
            return Ok((found, true));
        }
        let distinct = if *many { "DISTINCT" } else { "" };
        let sql = format!("SELECT {distinct} {key} FROM {table} WHERE dev_id = ? AND {key} > ? ORDER BY {key} LIMIT ?");
        let mut seen = 0;
        db.query(&sql, &[dev.into(), value(after), rows.into()], &mut |row| {
            seen += 1;
            found.extend(of(row));
            Continue(())
        })?;
        Ok((found, seen >= rows))
    }
}
