//! The engine for a MySQL or MariaDB database: one that CppComet used, or one of our own; one commit per group of jobs.
//!
//! Tables that are missing are made as `db.sql` says; those that are there stay as they are, and what does not fit into
//! their columns is refused. The link is not enciphered.

mod columns;
mod faults;

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::mysql::error::{DriverError, Error};
use ::mysql::prelude::Queryable;
use ::mysql::{Conn, Opts, OptsBuilder, Params};

use super::beginning;
use super::begun;
use super::expiry::{self, Sweep};
use super::groups::{self, Failure, Groups, Results};
use super::statements::{self, QueueLengths, Row, Value};
use super::transfer::{self, Key, Rows, Table, Tables};
use super::{Beginning, Completion, Expired, Job, Removal, Request, Retention, StorageError, Store, removal};
use crate::model::MessageId;
use columns::Columns;
use faults::{DEADLOCK, Fault, fault, is_lost, is_silence, number, said};

/// How to reach a database.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: u16,
    /// Used instead of host and port.
    pub socket: Option<PathBuf>,
    pub user: String,
    pub password: Option<String>,
    pub name: String,
}

impl Place {
    /// From `mysql://user:password@host:port/name`; port and password may be missing. `None` for anything else.
    pub fn from_url(url: &str) -> Option<Self> {
        let options = Opts::from_url(url).ok()?;
        Some(Self {
            host: options.get_ip_or_hostname().into_owned(),
            port: options.get_tcp_port(),
            socket: options.get_socket().map(PathBuf::from),
            user: options.get_user()?.to_owned(),
            password: options.get_pass().map(str::to_owned),
            name: options.get_db_name().filter(|name| !name.is_empty())?.to_owned(),
        })
    }
}

/// Never with the password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "{} at {}", self.name, socket.display()),
            None => write!(f, "{} at {}:{}", self.name, self.host, self.port),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why the database cannot be used; `Display` is one sentence for the operator.
#[derive(Debug)]
pub struct OpenError {
    place: String,
    why: String,
    unreachable: bool,
}

impl OpenError {
    /// Whether another try may help: nobody was there to say no.
    pub fn is_unreachable(&self) -> bool {
        self.unreachable
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The database {} cannot be used: {}.", self.place, self.why)
    }
}

impl std::error::Error for OpenError {}

pub struct Mysql {
    place: Place,
    read_timeout: Duration,
    /// `None` after it was lost, until it is needed again.
    connection: Option<Conn>,
    /// The next one, while the server takes its time.
    connecting: Option<Receiver<Result<Conn, Error>>>,
    /// What the server calls itself.
    server: String,
    retention: Retention,
    lengths: QueueLengths,
    sweep: Sweep,
    columns: Columns,
    /// When they were looked at.
    columns_since: Instant,
}

impl Mysql {
    /// Connects once, and makes the tables that are missing.
    pub fn open(place: &Place, retention: Retention) -> Result<Self, OpenError> {
        Self::open_with(place, retention, READ_TIMEOUT)
    }

    /// To read and write whole tables, which may take the server a while.
    pub fn open_for_transfer(place: &Place) -> Result<Self, OpenError> {
        Self::open_with(place, Retention::default(), TRANSFER_TIMEOUT)
    }

    fn open_with(place: &Place, retention: Retention, read_timeout: Duration) -> Result<Self, OpenError> {
        let opened = connect(place, read_timeout).and_then(|mut connection| {
            make_tables(&mut connection)?;
            make_columns(&mut connection, place)?;
            begun::opened(&mut connection, &retention)?;
            let version: Option<String> = connection.query_first("SELECT VERSION()")?;
            let sweep = Sweep::new(has_tokens_by_time(&mut connection)?);
            let columns = columns(&mut connection)?;
            Ok((connection, version.unwrap_or_default(), sweep, columns))
        });
        let (connection, version, sweep, columns) = opened.map_err(|error| OpenError {
            place: place.to_string(),
            why: said(&error),
            unreachable: is_lost(&error),
        })?;
        let server = match version.split_once("-MariaDB") {
            Some((number, _)) => format!("MariaDB {number}"),
            None => format!("MySQL {version}"),
        };
        Ok(Self {
            place: place.clone(),
            read_timeout,
            connection: Some(connection),
            connecting: None,
            server,
            retention,
            lengths: QueueLengths::default(),
            sweep,
            columns,
            columns_since: Instant::now(),
        })
    }

    /// Runs `work` on the connection. One that has died since it was used last is replaced, once: `work` may be repeated.
    /// One that is silent is not: its server would most likely be silent again, and somebody waits.
    fn with<T>(&mut self, mut work: impl FnMut(&mut Self, &mut Conn) -> Result<T, Error>) -> Result<T, Trouble> {
        loop {
            let kept = self.connection.take();
            let is_new = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.reconnect().map_err(|error| Trouble { error, lost: true })?,
            };
            let error = match work(self, &mut connection) {
                Err(error) if is_lost(&error) => error,
                result => {
                    self.connection = Some(connection);
                    return result.map_err(|error| Trouble { error, lost: false });
                }
            };
            // A connection that is dropped closes its statements one by one, and waits each time if the server does not
            // read. So a thread of its own drops it.
            let _ = Builder::new().name("disconnect".into()).spawn(move || drop(connection));
            // A connection that was closed while nobody used it shows that only now, so a new one is worth a try.
            if is_new || is_silence(&error) {
                return Err(Trouble { error, lost: true });
            }
            self.lengths.forget();
        }
    }

    /// Waits for a new connection, but only once: what takes longer goes on aside, and is there at a later try. So a server
    /// that is slow to let us in is reached, and one that hangs holds up nobody.
    fn reconnect(&mut self) -> Result<Conn, Error> {
        let (connecting, wait) = if let Some(connecting) = self.connecting.take() {
            (connecting, Duration::ZERO)
        } else {
            let (sender, connecting) = mpsc::channel();
            let (place, read_timeout) = (self.place.clone(), self.read_timeout);
            Builder::new().name("connect".into()).spawn(move || {
                // Nobody is there any more when the server ends.
                let _ = sender.send(connect(&place, read_timeout));
            })?;
            (connecting, CONNECT_TIMEOUT)
        };
        match connecting.recv_timeout(wait) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => self.connecting = Some(connecting),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        Err(Error::DriverError(DriverError::ConnectTimeout))
    }

    /// As `with`, in a transaction.
    fn in_transaction<T>(
        &mut self,
        mut work: impl FnMut(&mut Self, &mut Conn) -> Result<T, Error>,
    ) -> Result<T, Trouble> {
        self.with(|engine, connection| {
            let mut deadlocks = 0;
            loop {
                connection.query_drop("START TRANSACTION")?;
                let result = work(engine, connection).and_then(|done| {
                    connection.query_drop("COMMIT")?;
                    Ok(done)
                });
                let Err(error) = result else { return result };
                if is_lost(&error) {
                    return Err(error);
                }
                connection.query_drop("ROLLBACK")?;
                engine.lengths.forget();
                if number(&error) != Some(DEADLOCK) || deadlocks >= DEADLOCKS_MAX {
                    return Err(error);
                }
                deadlocks += 1;
            }
        })
    }

    /// Before something is refused: somebody may have widened them meanwhile.
    fn learn_columns_anew(&mut self, jobs: &[Job]) {
        if self.columns_since.elapsed() >= COLUMNS_INTERVAL
            && jobs.iter().any(|job| self.columns.refusal(job).is_some())
            && let Ok(columns) = self.with(|_, connection| columns(connection))
        {
            (self.columns, self.columns_since) = (columns, Instant::now());
        }
    }

    fn failed(&mut self, trouble: &Trouble) -> StorageError {
        // What failed was not committed, so what was counted on the way is wrong.
        self.lengths.forget();
        let said = said(&trouble.error);
        if trouble.lost {
            return StorageError::Unavailable(format!("database {}: {said}", self.place));
        }
        match fault(&trouble.error) {
            Fault::Data => StorageError::Unfit(said),
            Fault::Disk => StorageError::Full(said),
            Fault::Locked | Fault::Database => StorageError::Failed(said),
        }
    }
}

impl Groups for Mysql {
    type Error = Trouble;

    fn run_group(&mut self, jobs: &[Job], budget: &mut usize) -> Result<Results, Trouble> {
        let mut run = |engine: &mut Self, connection: &mut Conn| {
            let Self { retention, lengths, columns, .. } = engine;
            statements::run_jobs(connection, jobs, *budget, retention, lengths, &|job| columns.refusal(job))
        };
        // Reads alone need no transaction, which would cost two more ways to the server and back.
        let writes = jobs.iter().any(|job| matches!(job.request, Request::Write(_)));
        let (results, left) = if writes { self.in_transaction(run)? } else { self.with(&mut run)? };
        *budget = left;
        Ok(results)
    }

    fn failure(&mut self, trouble: Trouble) -> Failure {
        let failed = self.failed(&trouble);
        match fault(&trouble.error) {
            _ if trouble.lost => Failure::All(failed),
            Fault::Locked => Failure::Writes(failed),
            Fault::Data | Fault::Disk | Fault::Database => Failure::Job(failed),
        }
    }
}

impl Store for Mysql {
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion> {
        self.learn_columns_anew(jobs);
        groups::run(self, jobs)
    }

    fn beginning(&mut self) -> Result<Beginning, StorageError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        self.in_transaction(|_, connection| beginning::read(connection, now)).map_err(|trouble| self.failed(&trouble))
    }

    fn remove(&mut self, removals: &mut [Removal]) -> Result<(), StorageError> {
        let piece = self.in_transaction(|engine, connection| {
            let mut next = removals.to_vec();
            removal::run(connection, &mut next, &mut engine.lengths)?;
            Ok(next)
        });
        removals.clone_from_slice(&piece.map_err(|trouble| self.failed(&trouble))?);
        Ok(())
    }

    fn keep(&mut self, retention: Retention) -> Result<(), StorageError> {
        let kept = self.in_transaction(|_, connection| begun::opened(connection, &retention));
        kept.map_err(|trouble| self.failed(&trouble))?;
        self.retention = retention;
        Ok(())
    }

    fn note_clock(&mut self, now: i64) -> Result<(), StorageError> {
        let noted = self.in_transaction(|_, connection| beginning::note_clock(connection, now));
        noted.map_err(|trouble| self.failed(&trouble))
    }

    fn expire(&mut self, now: i64) -> Result<Expired, StorageError> {
        let piece = self.in_transaction(|engine, connection| {
            expiry::expire(connection, now, &engine.retention, &mut engine.sweep, &mut engine.lengths)
        });
        piece.map_err(|trouble| self.failed(&trouble))
    }

    fn describe(&self) -> String {
        format!("{}, database {}", self.server, self.place)
    }
}

impl Tables for Mysql {
    fn count(&mut self, table: &Table) -> Result<u64, StorageError> {
        self.with(|_, connection| transfer::count(connection, table)).map_err(|trouble| self.failed(&trouble))
    }

    fn read_rows(&mut self, table: &Table, after: Option<&Key>) -> Result<Rows, StorageError> {
        let rows = self.with(|_, connection| transfer::read_rows(connection, table, after));
        rows.map_err(|trouble| self.failed(&trouble))
    }

    fn write_rows(&mut self, table: &Table, rows: &Rows) -> Result<u64, StorageError> {
        let written = self.in_transaction(|_, connection| transfer::write_rows(connection, table, rows));
        self.lengths.forget();
        written.map_err(|trouble| self.failed(&trouble))
    }
}

/// What went wrong, and whether the connection went with it.
pub struct Trouble {
    error: Error,
    lost: bool,
}

/// Longest silence of the server within one statement; a group waits for locks less long. Not shorter: a large table without
/// an index or a slow disk may need seconds, and what counts as lost too soon meets its own locks when it is tried again.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const TRANSFER_TIMEOUT: Duration = Duration::from_mins(10);
const LOCK_WAIT_S: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What columns take is looked at again before something is refused, but no more often than this.
const COLUMNS_INTERVAL: Duration = Duration::from_secs(10);
/// Prepared statements kept; there are fewer.
const STATEMENTS_MAX: usize = 128;
/// The number of the error for a statement that an old server does not understand.
const SYNTAX: u16 = 1064;
/// How often a group that got into a deadlock with others is tried again.
const DEADLOCKS_MAX: usize = 3;

fn connect(place: &Place, read_timeout: Duration) -> Result<Conn, Error> {
    let options = OptsBuilder::new()
        .ip_or_hostname(Some(place.host.as_str()))
        .tcp_port(place.port)
        .socket(place.socket.as_ref().map(|path| path.display().to_string()))
        .prefer_socket(false)
        .user(Some(place.user.as_str()))
        .pass(place.password.as_deref())
        .db_name(Some(place.name.as_str()))
        .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
        .read_timeout(Some(read_timeout))
        .write_timeout(Some(read_timeout))
        .stmt_cache_size(STATEMENTS_MAX)
        .init(vec![
            "SET NAMES utf8mb4".to_owned(),
            // What does not fit is refused, not cut; a backslash is a backslash in no statement of ours, all are prepared.
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'".to_owned(),
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
            format!("SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}"),
        ]);
    Conn::new(options)
}

/// Only those that are missing, so that a user without the right to make tables can use a database that has them.
fn make_tables(connection: &mut Conn) -> Result<(), Error> {
    let there: Vec<String> =
        connection.query("SELECT LOWER(table_name) FROM information_schema.tables WHERE table_schema = DATABASE()")?;
    for (table, statement) in tables() {
        if !there.contains(&table) {
            connection.query_drop(statement)?;
        }
    }
    Ok(())
}

/// Columns that tables of CppComet, and of earlier versions, do not have. They have defaults, and are out of the sight of whoever
/// writes whole rows where the database can have such columns.
fn make_columns(connection: &mut Conn, place: &Place) -> Result<(), Error> {
    let there: Vec<String> = connection.query(
        "SELECT LOWER(table_name) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND LOWER(column_name) = 'expires'",
    )?;
    for table in ["users_messages", "pipe_messages"] {
        if !there.iter().any(|known| known == table) {
            // A large table may take a while, and the server says nothing meanwhile.
            let mut patient = connect(place, TRANSFER_TIMEOUT)?;
            let alter = |more| {
                format!(
                    "ALTER TABLE {table} ADD COLUMN expires INT {more} NOT NULL DEFAULT 0, ADD KEY expires (expires)"
                )
            };
            match patient.query_drop(alter("INVISIBLE")) {
                Err(error) if number(&error) == Some(SYNTAX) => patient.query_drop(alter(""))?,
                altered => altered?,
            }
        }
    }
    Ok(())
}

fn columns(connection: &mut Conn) -> Result<Columns, Error> {
    let rows: Vec<(String, Option<String>, u64, u64)> = connection.query(
        "SELECT LOWER(CONCAT(table_name, '.', column_name)), LOWER(character_set_name), character_maximum_length, \
         character_octet_length FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND character_maximum_length IS NOT NULL AND character_octet_length IS NOT NULL",
    )?;
    let mut columns = Columns::default();
    for (column, charset, characters_max, bytes_max) in rows {
        columns.add(column, charset.as_deref(), characters_max, bytes_max);
    }
    Ok(columns)
}

/// Whether revoked tokens have an index by time: in databases that CppComet made they have none.
fn has_tokens_by_time(connection: &mut Conn) -> Result<bool, Error> {
    let index: Option<u8> = connection.query_first(
        "SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() \
         AND LOWER(table_name) = 'revoked_tokens' AND LOWER(column_name) = 'time' AND seq_in_index = 1 LIMIT 1",
    )?;
    Ok(index.is_some())
}

/// The tables of `db.sql`: name and statement.
fn tables() -> Vec<(String, String)> {
    let code: Vec<&str> = SCHEMA.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = code.join("\n");
    let table = |statement: &str| {
        let statement = statement.trim();
        let name = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ")?.split([' ', '(']).next()?;
        Some((name.to_owned(), statement.to_owned()))
    };
    statements.split(';').filter_map(table).collect()
}

const SCHEMA: &str = include_str!("../../db.sql");

impl statements::Connection for Conn {
    type Error = Error;
    const OR_KEEP: &'static str = "ON DUPLICATE KEY UPDATE id = id";
    const TIME: &'static str = "time";
    const NOW: &'static str = "UNIX_TIMESTAMP()";
    const NEWEST: [&'static str; 2] = ["SELECT MAX(time) FROM pipe_messages", "SELECT MAX(time) FROM users_messages"];
    // On the text and not on the column, whose characters may be others than UTF-8.
    const EXACTLY: &'static str = "COLLATE utf8mb4_bin";
    const EXPIRE_QUEUED: &'static str = "DELETE FROM users_messages WHERE time < ? ORDER BY time LIMIT 500";
    const EXPIRE_ENDED_QUEUED: &'static str =
        "DELETE FROM users_messages WHERE expires > 0 AND expires <= ? ORDER BY expires LIMIT 500";
    const EXPIRE_TOKENS: &'static str =
        "DELETE FROM revoked_tokens WHERE time > ? AND time < ? ORDER BY time LIMIT 500";
    const EXPIRE_KEYS: &'static str = "DELETE FROM pipes_keys WHERE time < ? ORDER BY time LIMIT 500";
    const EXPIRE_HISTORY: &'static str = "DELETE FROM pipe_messages WHERE dev_id = ? AND pipe_name = ? AND \
         pipe_name = ? COLLATE utf8mb4_bin AND time < ? ORDER BY time LIMIT ?";
    const ID_IS_KEY: bool = true;
    const COMPARES_ROWS: bool = false;
    const BATCHES: bool = true;
    const ALONE: bool = false;

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.exec_drop(sql, parameters(values))?;
        Ok(self.affected_rows())
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        for row in self.exec_iter(sql, parameters(values))? {
            if each(&row?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

// As the statement for it says.
const _: () = assert!(expiry::ROWS_MAX == 500);

fn parameters(values: &[Value<'_>]) -> Params {
    let of = |value: &Value<'_>| match value {
        Value::Int(number) => ::mysql::Value::Int(*number),
        Value::Text(text) => ::mysql::Value::Bytes(text.as_bytes().to_vec()),
        Value::Id(id) => ::mysql::Value::Bytes(id.to_string().into_bytes()),
    };
    if values.is_empty() { Params::Empty } else { Params::Positional(values.iter().map(of).collect()) }
}

impl Row for ::mysql::Row {
    fn int(&self, column: usize) -> Option<i64> {
        match self.as_ref(column)? {
            ::mysql::Value::Int(number) => Some(*number),
            ::mysql::Value::UInt(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn text(&self, column: usize) -> Option<&str> {
        match self.as_ref(column)? {
            ::mysql::Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn id(&self, column: usize) -> Option<MessageId> {
        self.text(column).and_then(MessageId::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_found_in_the_schema() {
        let names: Vec<String> = tables().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "users_auth",
            "users_time",
            "users_data",
            "users_messages",
            "revoked_tokens",
            "pipes_settings",
            "pipes_begun",
            "pipes_keys",
            "pipe_messages",
            "conference",
            "log_event",
            "log_query",
            "dev_config",
        ];
        assert_eq!(names, expected);
        assert!(
            tables().iter().all(|(_, statement)| statement.contains("PRIMARY KEY") && statement.ends_with("utf8mb4"))
        );
    }
}
