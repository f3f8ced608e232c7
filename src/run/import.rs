//! Data from a MySQL database into the embedded one, and back; the server does not run meanwhile.

use std::fmt;

use crate::config::{self, Config};
use crate::storage::mysql::{self, Mysql};
use crate::storage::sqlite::{self, Sqlite};
use crate::storage::transfer::{TABLES, Table, Tables};
use crate::storage::{Durability, Retention, StorageError};

/// A MySQL database.
pub use crate::storage::mysql::Place as Database;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the database into the data folder.
    In,
    /// From the data folder into the database.
    Out,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub table: &'static str,
    pub rows: u64,
    /// Rows of the table when it was begun.
    pub of: u64,
    /// Of `rows`, those that this server could not have written, and that were not copied.
    pub left_out: u64,
    /// Nor these: the target takes their names for others that it has.
    pub taken: u64,
    pub done: bool,
}

/// Why it ended early; `Display` is one sentence. It may be begun again.
#[derive(Debug)]
pub enum ImportError {
    Sqlite(sqlite::OpenError),
    Mysql(mysql::OpenError),
    Read { table: &'static str, error: StorageError },
    Write { table: &'static str, error: StorageError },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = StorageError::to_string;
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Mysql(error) => error.fmt(f),
            Self::Read { table, error } => write!(f, "Table {table} cannot be read: {}.", text(error)),
            Self::Write { table, error } => write!(f, "Table {table} cannot be written: {}.", text(error)),
        }
    }
}

impl std::error::Error for ImportError {}

/// Where `[db]` of a configuration leads.
pub fn database(config: &Config) -> Option<Database> {
    super::storage::place(&config.db)
}

/// A database from its URL; `None` if it is none, or names no user or no database.
pub fn database_of_url(url: &str) -> Option<Database> {
    Database::from_url(url)
}

/// Copies all tables. What is there already and has the same key is replaced, everything else stays. Where a name is taken by
/// one in other letters, that one stays too.
pub fn import(
    storage: &config::Storage,
    database: &Database,
    direction: Direction,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), ImportError> {
    // Nothing is expired or trimmed here; what is too old goes when the server runs.
    let (durability, retention) = (Durability::Full, Retention::default());
    let mut embedded = Sqlite::open(&storage.dir, durability, retention).map_err(ImportError::Sqlite)?;
    let mut remote = Mysql::open_for_transfer(database).map_err(ImportError::Mysql)?;
    let (from, to): (&mut dyn Tables, &mut dyn Tables) = match direction {
        Direction::In => (&mut remote, &mut embedded),
        Direction::Out => (&mut embedded, &mut remote),
    };
    TABLES.iter().try_for_each(|table| copy(table, from, to, tell))
}

fn copy(
    table: &Table,
    from: &mut dyn Tables,
    to: &mut dyn Tables,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), ImportError> {
    let name = table.name;
    let unreadable = |error| ImportError::Read { table: name, error };
    let of = from.count(table).map_err(unreadable)?;
    let mut progress = Progress { table: name, rows: 0, of, left_out: 0, taken: 0, done: false };
    let mut after = None;
    loop {
        let rows = from.read_rows(table, after.as_ref()).map_err(unreadable)?;
        progress.taken += to.write_rows(table, &rows).map_err(|error| ImportError::Write { table: name, error })?;
        progress.rows += rows.count() + rows.left_out;
        progress.left_out += rows.left_out;
        after = rows.next().cloned();
        progress.done = after.is_none();
        tell(progress);
        if progress.done {
            return Ok(());
        }
    }
}
