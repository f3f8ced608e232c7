//! The embedded engine: one SQLite file in WAL mode, one fsync per group of jobs.

mod files;

use std::fs::{DirBuilder, File, TryLockError};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior};

use super::beginning;
use super::begun;
use super::expiry::{self, Sweep};
use super::groups::{self, Failure, Groups, Results};
use super::statements::{self, QueueLengths, Row, Value};
use super::transfer::{self, Key, Rows, Table, Tables};
use super::{
    Beginning, Completion, Durability, Expired, Job, Removal, Request, Retention, StorageError, Store, removal,
};
use crate::model::MessageId;

pub use files::{close_to_others, is_open_to_others};

/// Schema changes in order; `user_version` of the file counts how many of them it has seen.
const MIGRATIONS: [&str; 5] = [
    "
    CREATE TABLE users_auth (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, hash TEXT NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
    CREATE TABLE users_data (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
    CREATE TABLE users_time (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, time INTEGER NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
",
    "
    CREATE TABLE users_messages (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, time INTEGER NOT NULL,
        id BLOB NOT NULL, event TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (dev_id, user_id, time, id)) WITHOUT ROWID;
    CREATE INDEX users_messages_by_time ON users_messages (time);
    CREATE TABLE pipe_messages (dev_id INTEGER NOT NULL, pipe_name TEXT NOT NULL, time INTEGER NOT NULL,
        id BLOB NOT NULL, event TEXT NOT NULL, message TEXT NOT NULL, user_id INTEGER NOT NULL,
        PRIMARY KEY (dev_id, pipe_name, time, id)) WITHOUT ROWID;
    CREATE INDEX pipe_messages_by_id ON pipe_messages (dev_id, id);
    CREATE TABLE pipes_settings (dev_id INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
        length INTEGER NOT NULL, PRIMARY KEY (dev_id, name)) WITHOUT ROWID;
    CREATE TABLE revoked_tokens (dev_id INTEGER NOT NULL, token TEXT NOT NULL, time INTEGER NOT NULL,
        PRIMARY KEY (dev_id, token)) WITHOUT ROWID;
    CREATE INDEX revoked_tokens_by_time ON revoked_tokens (time);
    CREATE TABLE conference (dev_id INTEGER NOT NULL, name TEXT NOT NULL, user_id INTEGER NOT NULL,
        caller_id INTEGER NOT NULL, message TEXT NOT NULL, profile TEXT NOT NULL, stream TEXT NOT NULL,
        node TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (dev_id, name, user_id)) WITHOUT ROWID;
",
    "
    CREATE TABLE pipes_begun (dev_id INTEGER NOT NULL, name TEXT NOT NULL, begun INTEGER NOT NULL,
        PRIMARY KEY (dev_id, name)) WITHOUT ROWID;
",
    "
    CREATE TABLE pipes_keys (dev_id INTEGER NOT NULL, name TEXT NOT NULL, idempotency_key TEXT NOT NULL,
        time INTEGER NOT NULL, PRIMARY KEY (dev_id, name, idempotency_key)) WITHOUT ROWID;
    CREATE INDEX pipes_keys_by_time ON pipes_keys (time);
",
    "
    ALTER TABLE users_messages ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE pipe_messages ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX users_messages_by_end ON users_messages (expires) WHERE expires > 0;
    CREATE INDEX pipe_messages_by_end ON pipe_messages (expires) WHERE expires > 0;
",
];

/// In the data folder: the database, and what the running server holds locked.
pub const DATABASE_FILE: &str = "encke.db";
pub const LOCK_FILE: &str = "encke.lock";

/// Prepared statements kept; there are fewer.
const STATEMENTS_MAX: usize = 128;

/// Why the storage folder cannot be used; `Display` is one sentence for the operator.
#[derive(Debug)]
pub enum OpenError {
    Folder { folder: PathBuf, source: std::io::Error },
    InUse { folder: PathBuf },
    TooNew { file: PathBuf, version: u32 },
    Sqlite { file: PathBuf, source: rusqlite::Error },
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder { folder, source } => {
                write!(f, "The storage folder {} cannot be written: {source}.", folder.display())
            }
            Self::InUse { folder } => {
                write!(f, "Another server is running on the storage folder {}.", folder.display())
            }
            Self::TooNew { file, version } => write!(
                f,
                "{} was written by a newer version of this server (schema {version}, this one knows {}).",
                file.display(),
                MIGRATIONS.len()
            ),
            Self::Sqlite { file, source } => write!(f, "{} cannot be opened: {source}.", file.display()),
        }
    }
}

impl std::error::Error for OpenError {}

pub struct Sqlite {
    connection: Connection,
    file: PathBuf,
    retention: Retention,
    lengths: QueueLengths,
    sweep: Sweep,
    /// Held as long as the engine lives, so that a second server on the same folder is refused.
    _lock: File,
}

impl Sqlite {
    /// Opens `folder`/encke.db, makes folder and file if they are missing, and brings the schema up to date.
    pub fn open(folder: &Path, durability: Durability, retention: Retention) -> Result<Self, OpenError> {
        let lock = lock(folder)?;
        let file = folder.join(DATABASE_FILE);
        make_private(&file).map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let sqlite = |source| OpenError::Sqlite { file: file.clone(), source };
        let mut connection = Connection::open(&file).map_err(sqlite)?;
        connection.busy_timeout(LOCK_WAIT).map_err(sqlite)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
        let synchronous = match durability {
            // A commit returns when the log is on disk; an acknowledged write survives a power cut.
            Durability::Full => "FULL",
            // The log reaches the disk when the system likes. A power cut may take the last commits, but breaks nothing.
            Durability::Lazy => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous).map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
        if version as usize > MIGRATIONS.len() {
            return Err(OpenError::TooNew { file, version });
        }
        migrate(&mut connection, version).map_err(sqlite)?;
        begun::opened(&mut &connection, &retention).map_err(sqlite)?;
        let (lengths, sweep) = (QueueLengths::default(), Sweep::new(true));
        Ok(Self { connection, file, retention, lengths, sweep, _lock: lock })
    }

    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut &Connection, &mut Sweep, &mut QueueLengths) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&mut &*transaction, &mut self.sweep, &mut self.lengths)?;
        transaction.commit()?;
        Ok(done)
    }
}

impl Groups for Sqlite {
    type Error = rusqlite::Error;

    fn run_group(&mut self, jobs: &[Job], budget: &mut usize) -> rusqlite::Result<Results> {
        let writes = jobs.iter().any(|job| matches!(job.request, Request::Write(_)));
        // Reads alone need no lock, and no disk that can be written.
        let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let (mut db, lengths) = (&*transaction, &mut self.lengths);
        let (results, left) = statements::run_jobs(&mut db, jobs, *budget, &self.retention, lengths, &|_| None)?;
        transaction.commit()?;
        *budget = left;
        Ok(results)
    }

    fn failure(&mut self, error: rusqlite::Error) -> Failure {
        // What failed was not committed, so what was counted on the way is wrong.
        self.lengths.forget();
        // The waiting for another program was in vain.
        let locked = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        let failed = failed(&error);
        if locked { Failure::Writes(failed) } else { Failure::Job(failed) }
    }
}

fn failed(error: &rusqlite::Error) -> StorageError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => StorageError::Unfit(text),
        Some(ErrorCode::DiskFull) => StorageError::Full(text),
        _ => StorageError::Failed(text),
    }
}

impl Store for Sqlite {
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion> {
        groups::run(self, jobs)
    }

    fn beginning(&mut self) -> Result<Beginning, StorageError> {
        let now = unix_seconds();
        self.in_transaction(|db, _, _| beginning::read(db, now)).map_err(|error| failed(&error))
    }

    fn remove(&mut self, removals: &mut [Removal]) -> Result<(), StorageError> {
        let mut next = removals.to_vec();
        self.in_transaction(|db, _, lengths| removal::run(db, &mut next, lengths)).map_err(|error| {
            self.lengths.forget();
            failed(&error)
        })?;
        removals.clone_from_slice(&next);
        Ok(())
    }

    fn keep(&mut self, retention: Retention) -> Result<(), StorageError> {
        self.in_transaction(|db, _, _| begun::opened(db, &retention)).map_err(|error| failed(&error))?;
        self.retention = retention;
        Ok(())
    }

    fn note_clock(&mut self, now: i64) -> Result<(), StorageError> {
        self.in_transaction(|db, _, _| beginning::note_clock(db, now)).map_err(|error| failed(&error))
    }

    fn expire(&mut self, now: i64) -> Result<Expired, StorageError> {
        let retention = self.retention;
        let piece = self.in_transaction(|db, sweep, lengths| expiry::expire(db, now, &retention, sweep, lengths));
        piece.map_err(|error| {
            self.lengths.forget();
            failed(&error)
        })
    }

    fn describe(&self) -> String {
        format!("SQLite {} in {}", rusqlite::version(), self.file.display())
    }
}

fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

/// How long a group with writes waits for another program that has locked the file; no job runs meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(1);

fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let lock = files::open_private(&folder.join(LOCK_FILE)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Before SQLite opens it: what that makes has the mode that the umask leaves.
fn make_private(database: &Path) -> std::io::Result<()> {
    files::open_private(database)?;
    files::beside(database).try_for_each(|file| close_to_others(&file).map(|_| ()))
}

fn migrate(connection: &mut Connection, from: u32) -> rusqlite::Result<()> {
    for (version, migration) in (1_u32..).zip(MIGRATIONS).skip(from as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

impl Tables for Sqlite {
    fn count(&mut self, table: &Table) -> Result<u64, StorageError> {
        transfer::count(&mut &self.connection, table).map_err(|error| failed(&error))
    }

    fn read_rows(&mut self, table: &Table, after: Option<&Key>) -> Result<Rows, StorageError> {
        transfer::read_rows(&mut &self.connection, table, after).map_err(|error| failed(&error))
    }

    fn write_rows(&mut self, table: &Table, rows: &Rows) -> Result<u64, StorageError> {
        let transaction = self.connection.transaction().map_err(|error| failed(&error))?;
        let written = transfer::write_rows(&mut &*transaction, table, rows)
            .and_then(|taken| transaction.commit().map(|()| taken));
        self.lengths.forget();
        written.map_err(|error| failed(&error))
    }
}

impl statements::Connection for &Connection {
    type Error = rusqlite::Error;
    const OR_KEEP: &'static str = "ON CONFLICT DO NOTHING";
    // The sign takes the condition out of the choice of an index, which then has both columns in the other condition.
    const TIME: &'static str = "+time";
    const NOW: &'static str = "unixepoch()";
    const NEWEST: [&'static str; 2] = [
        "SELECT MAX((SELECT MAX(time) FROM pipe_messages WHERE dev_id = s.dev_id AND pipe_name = s.name)) \
         FROM pipes_settings AS s",
        "SELECT MAX(time) FROM users_messages",
    ];
    const EXACTLY: &'static str = "";
    const EXPIRE_QUEUED: &'static str = "DELETE FROM users_messages WHERE (dev_id, user_id, time, id) IN \
         (SELECT dev_id, user_id, time, id FROM users_messages WHERE time < ? ORDER BY time LIMIT 500)";
    const EXPIRE_ENDED_QUEUED: &'static str = "DELETE FROM users_messages WHERE (dev_id, user_id, time, id) IN \
         (SELECT dev_id, user_id, time, id FROM users_messages WHERE expires > 0 AND expires <= ? \
         ORDER BY expires LIMIT 500)";
    const EXPIRE_TOKENS: &'static str = "DELETE FROM revoked_tokens WHERE (dev_id, token) IN \
         (SELECT dev_id, token FROM revoked_tokens WHERE time > ? AND time < ? ORDER BY time LIMIT 500)";
    const EXPIRE_KEYS: &'static str = "DELETE FROM pipes_keys WHERE (dev_id, name, idempotency_key) IN \
         (SELECT dev_id, name, idempotency_key FROM pipes_keys WHERE time < ? ORDER BY time LIMIT 500)";
    const EXPIRE_HISTORY: &'static str = "DELETE FROM pipe_messages WHERE (dev_id, pipe_name, time, id) IN \
         (SELECT dev_id, pipe_name, time, id FROM pipe_messages WHERE dev_id = ? AND pipe_name = ? AND pipe_name = ? \
         AND time < ? ORDER BY time LIMIT ?)";
    const ID_IS_KEY: bool = false;
    const COMPARES_ROWS: bool = true;
    // One statement for many rows would be prepared anew for each number of rows, and SQLite saves no round trip by it.
    const BATCHES: bool = false;
    // The lock on the folder keeps others out.
    const ALONE: bool = true;

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<u64> {
        let changed = self.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
        Ok(changed as u64)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if each(row).is_break() {
                break;
            }
        }
        Ok(())
    }
}

// As the statement for it says.
const _: () = assert!(expiry::ROWS_MAX == 500);

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Int(number) => (*number).into(),
            Value::Text(text) => (*text).into(),
            Value::Id(id) => ToSqlOutput::Owned(id.to_bytes().to_vec().into()),
        })
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Option<i64> {
        self.get_ref(column).ok()?.as_i64().ok()
    }

    fn text(&self, column: usize) -> Option<&str> {
        self.get_ref(column).ok()?.as_str().ok()
    }

    fn id(&self, column: usize) -> Option<MessageId> {
        match self.get_ref(column) {
            Ok(ValueRef::Blob(bytes)) => bytes.try_into().ok().map(MessageId::from_bytes),
            _ => None,
        }
    }
}
