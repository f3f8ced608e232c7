//! The embedded engine: one SQLite file in WAL mode, one fsync per group of jobs.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{Completion, GROUP_BYTES_MAX, Job, Outcome, Read, Request, StorageError, Store, Write};
use crate::model::UserId;

/// Schema changes in order; `user_version` of the file counts how many of them it has seen.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE users_auth (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, hash TEXT NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
    CREATE TABLE users_data (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
    CREATE TABLE users_time (dev_id INTEGER NOT NULL, user_id INTEGER NOT NULL, time INTEGER NOT NULL,
        PRIMARY KEY (dev_id, user_id)) WITHOUT ROWID;
"];

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
    /// Held as long as the engine lives, so that a second server on the same folder is refused.
    _lock: File,
}

impl Sqlite {
    /// Opens `folder`/encke.db, makes folder and file if they are missing, and brings the schema up to date.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let lock = lock(folder)?;
        let file = folder.join("encke.db");
        let sqlite = |source| OpenError::Sqlite { file: file.clone(), source };
        let mut connection = Connection::open(&file).map_err(sqlite)?;
        connection.busy_timeout(LOCK_WAIT).map_err(sqlite)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
        // FULL: a commit returns when the log is on disk; an acknowledged write survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
        if version as usize > MIGRATIONS.len() {
            return Err(OpenError::TooNew { file, version });
        }
        migrate(&mut connection, version).map_err(sqlite)?;
        Ok(Self { connection, file, _lock: lock })
    }

    /// Runs the jobs as one group, or if that cannot be as two, and so on: a job that fails alone has failed, and takes
    /// nothing with it. A failure is rare, so it may cost some groups more; savepoints would cost every write.
    fn run_jobs(&mut self, jobs: &[Job], budget: &mut usize) -> Results {
        let error = match self.run_group(jobs, budget) {
            Ok(results) => return results,
            Err(error) => error,
        };
        let failed = StorageError::Failed(error.to_string());
        if jobs.len() <= 1 {
            return vec![Err(failed)];
        }
        if is_locked(&error) {
            // Whoever has locked the file keeps every writer waiting: one wait is enough.
            return self.run_reads(jobs, &failed, budget);
        }
        let (first, rest) = jobs.split_at(jobs.len() / 2);
        let mut results = self.run_jobs(first, budget);
        if results.len() == first.len() && *budget > 0 {
            results.extend(self.run_jobs(rest, budget));
        }
        results
    }

    /// The reads of these jobs; no write is tried.
    fn run_reads(&mut self, jobs: &[Job], failed: &StorageError, budget: &mut usize) -> Results {
        let mut results = Results::new();
        for job in jobs {
            if *budget == 0 {
                break;
            }
            match job.request {
                Request::Read { .. } => results.extend(self.run_jobs(std::slice::from_ref(job), budget)),
                Request::Write(_) => results.push(Err(failed.clone())),
            }
        }
        results
    }

    /// The results of the first jobs, as many as the budget of bytes allows; one at least. After an error nothing of
    /// them is kept.
    fn run_group(&mut self, jobs: &[Job], budget: &mut usize) -> rusqlite::Result<Results> {
        let writes = jobs.iter().any(|job| matches!(job.request, Request::Write(_)));
        // Reads alone need no lock, and no disk that can be written.
        let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let (mut results, mut left) = (Results::with_capacity(jobs.len()), *budget);
        for job in jobs {
            let result = run(&transaction, &job.request)?;
            left = left.saturating_sub(result.as_ref().map_or(0, weight));
            results.push(result);
            if left == 0 {
                break;
            }
        }
        transaction.commit()?;
        *budget = left;
        Ok(results)
    }
}

impl Store for Sqlite {
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion> {
        let results = if jobs.is_empty() { Results::new() } else { self.run_jobs(jobs, &mut { GROUP_BYTES_MAX }) };
        jobs.iter().zip(results).map(|(job, result)| Completion { ticket: job.ticket, result }).collect()
    }

    fn describe(&self) -> String {
        format!("SQLite {} in {}", rusqlite::version(), self.file.display())
    }
}

/// One per job.
type Results = Vec<Result<Outcome, StorageError>>;

/// How long a group with writes waits for another program that has locked the file; no job runs meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Whether the waiting for another program was in vain.
fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(unusable)?;
    let lock = File::create(folder.join("encke.lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
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

/// What a result weighs: its texts, as its budget counts them, and its places.
fn weight(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Written => 0,
        Outcome::Texts(rows) => rows.iter().map(|(_, text)| size_of::<(UserId, Box<str>)>() + text.len()).sum(),
        Outcome::Times(rows) => rows.len() * size_of::<(UserId, i64)>(),
    }
}

/// The outer error is the engine's, the inner one the request's own.
fn run(transaction: &Transaction<'_>, request: &Request) -> rusqlite::Result<Result<Outcome, StorageError>> {
    match request {
        Request::Read { read, bytes_max } => run_read(transaction, read, *bytes_max),
        Request::Write(writes) => {
            writes.iter().try_for_each(|write| run_write(transaction, write)).map(|()| Ok(Outcome::Written))
        }
    }
}

fn run_read(
    transaction: &Transaction<'_>,
    read: &Read,
    bytes_max: usize,
) -> rusqlite::Result<Result<Outcome, StorageError>> {
    let texts = |sql: &str, dev: u32, users: &[UserId]| {
        let mut statement = transaction.prepare_cached(sql)?;
        let (mut rows, mut left) = (Vec::new(), bytes_max);
        for user in users {
            // The length is looked at before the text is copied.
            let text = |row: &Row<'_>| {
                let text = row.get_ref(0)?.as_str()?;
                Ok(left.checked_sub(text.len()).map(|left| (left, Box::from(text))))
            };
            match statement.query_row(params![dev, user.get()], text).optional()? {
                None => {}
                Some(None) => return Ok(Err(StorageError::TooLarge { bytes_max })),
                Some(Some((still_left, text))) => {
                    left = still_left;
                    rows.push((*user, text));
                }
            }
        }
        Ok(Ok(Outcome::Texts(rows)))
    };
    match read {
        Read::Hashes { dev, users } => {
            texts("SELECT hash FROM users_auth WHERE dev_id = ?1 AND user_id = ?2", dev.0, users)
        }
        Read::UserData { dev, users } => {
            texts("SELECT data FROM users_data WHERE dev_id = ?1 AND user_id = ?2", dev.0, users)
        }
        Read::LastSeen { dev, users } => {
            let sql = "SELECT time FROM users_time WHERE dev_id = ?1 AND user_id = ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut times = Vec::new();
            for user in users {
                let time = statement.query_row(params![dev.0, user.get()], |row| row.get(0)).optional()?;
                times.extend(time.map(|time| (*user, time)));
            }
            Ok(Ok(Outcome::Times(times)))
        }
    }
}

fn run_write(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<()> {
    let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql)?.execute(values).map(|_changed| ())
    };
    match write {
        Write::PutHash { dev, user, hash } => execute(
            "INSERT OR REPLACE INTO users_auth (dev_id, user_id, hash) VALUES (?1, ?2, ?3)",
            &[&dev.0, &user.get(), hash],
        ),
        Write::DeleteHash { dev, user } => {
            execute("DELETE FROM users_auth WHERE dev_id = ?1 AND user_id = ?2", &[&dev.0, &user.get()])
        }
        Write::PutUserData { dev, user, data } => execute(
            "INSERT OR REPLACE INTO users_data (dev_id, user_id, data) VALUES (?1, ?2, ?3)",
            &[&dev.0, &user.get(), data],
        ),
        Write::DeleteUserData { dev, user } => {
            execute("DELETE FROM users_data WHERE dev_id = ?1 AND user_id = ?2", &[&dev.0, &user.get()])
        }
        Write::PutLastSeen { dev, user, time } => execute(
            "INSERT OR REPLACE INTO users_time (dev_id, user_id, time) VALUES (?1, ?2, ?3)",
            &[&dev.0, &user.get(), time],
        ),
    }
}
