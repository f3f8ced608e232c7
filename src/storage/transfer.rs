//! Whole tables from one engine to another, page by page, for the import. A row that is there already is replaced, so a
//! transfer that was interrupted is simply begun again.
//!
//! What this server would never have written is left out and counted: names with other characters, ids that are no UUIDs,
//! numbers out of range. So is a row whose name another row has in other letters, where a database takes them for the same:
//! one of the two must stay as it is.

use std::ops::ControlFlow::{Break, Continue};

use super::statements::{Connection, Row, Value, first};
use super::{StorageError, begun};
use crate::model::{EventName, MessageId, PipeName, UserId};

/// A table and what its columns hold.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    columns: &'static [(&'static str, Kind)],
    /// By which it is read in pages; where ids are keys of their own, they are that.
    key: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A user, a tenant or a length: not negative and at most 31 bits long.
    Number,
    Time,
    Id,
    Pipe,
    Event,
    Text,
}

/// All tables that are worth keeping. The records that are only written stay behind.
pub const TABLES: [Table; 9] = {
    use Kind::{Event, Id, Number, Pipe, Text, Time};
    const fn table(
        name: &'static str,
        columns: &'static [(&'static str, Kind)],
        key: &'static [&'static str],
    ) -> Table {
        Table { name, columns, key }
    }
    const USER: &[&str] = &["dev_id", "user_id"];
    [
        table("users_auth", &[("dev_id", Number), ("user_id", Number), ("hash", Text)], USER),
        table("users_time", &[("dev_id", Number), ("user_id", Number), ("time", Time)], USER),
        table("users_data", &[("dev_id", Number), ("user_id", Number), ("data", Text)], USER),
        table(
            "users_messages",
            &[
                ("id", Id),
                ("time", Time),
                ("dev_id", Number),
                ("user_id", Number),
                ("event", Event),
                ("message", Text),
                ("expires", Time),
            ],
            &["dev_id", "user_id", "time", "id"],
        ),
        table(
            "pipes_settings",
            &[("dev_id", Number), ("name", Pipe), ("type", Text), ("length", Number)],
            &["dev_id", "name"],
        ),
        table(
            "pipe_messages",
            &[
                ("id", Id),
                ("time", Time),
                ("dev_id", Number),
                ("pipe_name", Pipe),
                ("event", Event),
                ("message", Text),
                ("user_id", Number),
                ("expires", Time),
            ],
            &["dev_id", "pipe_name", "time", "id"],
        ),
        table(
            "pipes_keys",
            &[("dev_id", Number), ("name", Pipe), ("idempotency_key", Text), ("time", Time)],
            &["dev_id", "name", "idempotency_key"],
        ),
        table("revoked_tokens", &[("dev_id", Number), ("token", Text), ("time", Time)], &["dev_id", "token"]),
        table(
            "conference",
            &[
                ("dev_id", Number),
                ("name", Text),
                ("user_id", Number),
                ("caller_id", Number),
                ("message", Text),
                ("profile", Text),
                ("stream", Text),
                ("node", Text),
                ("time", Time),
            ],
            &["dev_id", "name", "user_id"],
        ),
    ]
};

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Int(i64),
    Text(Box<str>),
    Id(MessageId),
}

/// Some rows of a table, in the order of its key.
#[derive(Debug, Default)]
pub struct Rows {
    cells: Vec<Vec<Cell>>,
    pub left_out: u64,
    /// The key of the last row, if there may be more.
    next: Option<Key>,
}

/// Where a page ends and the next one begins.
#[derive(Clone, Debug)]
pub struct Key(Vec<Cell>);

impl Rows {
    pub fn count(&self) -> u64 {
        self.cells.len() as u64
    }

    pub fn next(&self) -> Option<&Key> {
        self.next.as_ref()
    }
}

/// An engine whose tables can be read and written as a whole.
pub trait Tables {
    fn count(&mut self, table: &Table) -> Result<u64, StorageError>;

    /// The rows behind a key, as many as a page holds.
    fn read_rows(&mut self, table: &Table, after: Option<&Key>) -> Result<Rows, StorageError>;

    /// In one transaction. Returns how many rows were not written because their names, in other letters, are taken.
    fn write_rows(&mut self, table: &Table, rows: &Rows) -> Result<u64, StorageError>;
}

/// Rows of a page; it ends earlier when it has so many bytes.
const ROWS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows that one statement writes.
const ROWS_AT_ONCE: usize = 50;

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
            Self::Id(id) => Value::Id(*id),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + if let Self::Text(text) = self { text.len() } else { 0 }
    }

    /// As it stands there, whatever it may be; nothing for what is no value of a key.
    fn raw(row: &dyn Row, column: usize) -> Option<Self> {
        let text = || row.text(column).map(|text| Self::Text(text.into()));
        row.int(column).map(Self::Int).or_else(text).or_else(|| row.id(column).map(Self::Id))
    }

    fn of(kind: Kind, row: &dyn Row, column: usize) -> Option<Self> {
        let text = |text: &str| Self::Text(text.into());
        match kind {
            Kind::Number => {
                row.int(column).filter(|number| (0..=i64::from(UserId::MAX)).contains(number)).map(Self::Int)
            }
            Kind::Time => row.int(column).map(Self::Int),
            Kind::Id => row.id(column).map(Self::Id),
            Kind::Pipe => row.text(column).filter(|name| PipeName::new(name.as_bytes()).is_ok()).map(text),
            Kind::Event => row.text(column).filter(|name| EventName::new(name.as_bytes()).is_ok()).map(text),
            Kind::Text => row.text(column).map(text),
        }
    }
}

impl Table {
    fn columns(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Whether a name is a part of its key, and no id tells the rows apart.
    fn has_names(&self) -> bool {
        let of_kind = |kind: &dyn Fn(Kind) -> bool| {
            self.columns.iter().any(|(name, known)| self.key.contains(name) && kind(*known))
        };
        of_kind(&|kind| matches!(kind, Kind::Pipe | Kind::Text)) && !of_kind(&|kind| kind == Kind::Id)
    }

    fn key<C: Connection>(&self) -> &'static [&'static str] {
        if C::ID_IS_KEY && self.key.contains(&"id") { &["id"] } else { self.key }
    }
}

pub(super) fn count<C: Connection>(db: &mut C, table: &Table) -> Result<u64, C::Error> {
    let mut count = 0;
    db.query(&format!("SELECT COUNT(*) FROM {}", table.name), &[], &mut |row| {
        count = row.int(0).unwrap_or_default().unsigned_abs();
        Break(())
    })?;
    Ok(count)
}

pub(super) fn read_rows<C: Connection>(db: &mut C, table: &Table, after: Option<&Key>) -> Result<Rows, C::Error> {
    let key = table.key::<C>();
    let (condition, values) = match after {
        Some(Key(cells)) => behind::<C>(key, cells),
        None => (String::from("1 = 1"), Vec::new()),
    };
    let order = key.join(", ");
    let sql = format!(
        "SELECT {}, {order} FROM {} WHERE {condition} ORDER BY {order} LIMIT {ROWS_MAX}",
        table.columns(),
        table.name
    );
    let (mut page, mut seen, mut bytes) = (Rows::default(), 0, 0);
    db.query(&sql, &values, &mut |row| {
        seen += 1;
        let columns = table.columns.iter().enumerate();
        match columns.map(|(column, (_, kind))| Cell::of(*kind, row, column)).collect::<Option<Vec<_>>>() {
            Some(cells) => {
                bytes += cells.iter().map(Cell::bytes).sum::<usize>();
                page.cells.push(cells);
            }
            None => page.left_out += 1,
        }
        if seen >= ROWS_MAX || bytes >= BYTES_MAX {
            let cells = (table.columns.len()..).take(key.len()).map(|column| Cell::raw(row, column));
            page.next = cells.collect::<Option<Vec<_>>>().map(Key);
            return Break(());
        }
        Continue(())
    })?;
    Ok(page)
}

/// The condition for keys behind this one, and its parameters.
fn behind<'a, C: Connection>(key: &[&str], cells: &'a [Cell]) -> (String, Vec<Value<'a>>) {
    if C::COMPARES_ROWS {
        let places = vec!["?"; key.len()].join(", ");
        return (format!("({}) > ({places})", key.join(", ")), cells.iter().map(Cell::value).collect());
    }
    let mut values: Vec<Value<'a>> = cells.iter().flat_map(|cell| [cell.value(), cell.value()]).collect();
    values.pop();
    let condition = key.iter().rev().fold(String::new(), |rest, column| match rest.as_str() {
        "" => format!("{column} > ?"),
        rest => format!("({column} > ? OR ({column} = ? AND {rest}))"),
    });
    (condition, values)
}

pub(super) fn write_rows<C: Connection>(db: &mut C, table: &Table, rows: &Rows) -> Result<u64, C::Error> {
    if table.has_names() {
        let mut taken = 0;
        for cells in &rows.cells {
            taken += u64::from(!write_named(db, table, cells)?);
        }
        return Ok(taken);
    }
    let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
    let into = format!("REPLACE INTO {} ({}) VALUES", table.name, table.columns());
    let mut write = |rows: &[Vec<Cell>]| {
        let values: Vec<Value<'_>> = rows.iter().flatten().map(Cell::value).collect();
        db.execute(&format!("{into} {}", vec![row.as_str(); rows.len()].join(", ")), &values)
    };
    let whole = rows.cells.chunks_exact(ROWS_AT_ONCE);
    // One by one, so that there are two statements only.
    let rest = whole.remainder().chunks(1);
    for rows in whole.chain(rest) {
        write(rows)?;
    }
    // Nobody knows what was in there before.
    if table.name == "pipe_messages" {
        begun::now(db)?;
    }
    Ok(0)
}

/// A row replaces the one with its name letter by letter. False: the table has another that it takes for the same.
fn write_named<C: Connection>(db: &mut C, table: &Table, cells: &[Cell]) -> Result<bool, C::Error> {
    let (mut same, mut exactly) = (Vec::new(), Vec::new());
    let (mut values, mut all_values) = (Vec::new(), Vec::new());
    for ((column, kind), cell) in table.columns.iter().zip(cells) {
        if table.key.contains(column) {
            same.push(format!("{column} = ?"));
            values.push(cell.value());
            if matches!(kind, Kind::Pipe | Kind::Text) {
                exactly.push(format!("{column} = ? {}", C::EXACTLY));
                all_values.push(cell.value());
            }
        }
    }
    all_values.splice(0..0, values.iter().copied());
    let conditions: Vec<String> = same.iter().chain(&exactly).cloned().collect();
    db.execute(&format!("DELETE FROM {} WHERE {}", table.name, conditions.join(" AND ")), &all_values)?;
    let find = format!("SELECT 1 FROM {} WHERE {}", table.name, same.join(" AND "));
    if first(db, &find, &values, |_| Some(()))?.is_some() {
        return Ok(false);
    }
    let places = vec!["?"; table.columns.len()].join(", ");
    let row: Vec<Value<'_>> = cells.iter().map(Cell::value).collect();
    db.execute(&format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.columns()), &row)?;
    Ok(true)
}
