//! The engine that is configured, opened; a database that is not there yet is waited for.

use std::fmt;
#[cfg(feature = "mysql")]
use std::time::{Duration, Instant};

use crate::config::{self, Config};
#[cfg(feature = "mysql")]
use crate::storage::mysql::{self, Mysql};
use crate::storage::sqlite::{self, Sqlite};
use crate::storage::{Durability, Retention, Store};

/// Why storage cannot be used; `Display` is one sentence.
#[derive(Debug)]
pub enum OpenError {
    Sqlite(sqlite::OpenError),
    #[cfg(feature = "mysql")]
    Mysql(mysql::OpenError),
    /// `[db]` names a database, and this program was built without the engine for it.
    #[cfg(not(feature = "mysql"))]
    WithoutMysql,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            #[cfg(feature = "mysql")]
            Self::Mysql(error) => error.fmt(f),
            #[cfg(not(feature = "mysql"))]
            Self::WithoutMysql => f.write_str(
                "[db] names a database, and this program was built without MySQL (the feature mysql): leave [db] name empty, \
                 or build with it.",
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// The engine that is configured. One that is not there yet is waited for, as `[db] connection_attempts` says; `None` if
/// the caller gave up meanwhile.
pub(in crate::run) fn open(config: &Config, give_up: &mut dyn FnMut() -> bool) -> Opened {
    let retention = retention(&config.storage);
    if config.db.name.is_some() {
        return open_database(&config.db, retention, give_up);
    }
    let durability = match config.storage.durability {
        config::Durability::Full => Durability::Full,
        config::Durability::Lazy => Durability::Lazy,
    };
    let store = Sqlite::open(&config.storage.dir, durability, retention).map_err(OpenError::Sqlite)?;
    Ok(Some(Box::new(store)))
}

type Opened = Result<Option<Box<dyn Store + Send>>, OpenError>;

#[cfg(not(feature = "mysql"))]
fn open_database(_db: &config::Db, _retention: Retention, _give_up: &mut dyn FnMut() -> bool) -> Opened {
    Err(OpenError::WithoutMysql)
}

#[cfg(feature = "mysql")]
fn open_database(db: &config::Db, retention: Retention, give_up: &mut dyn FnMut() -> bool) -> Opened {
    let Some(place) = place(db) else { return Ok(None) };
    let mut left = db.connection_attempts;
    loop {
        left = left.saturating_sub(1);
        match Mysql::open(&place, retention) {
            Ok(store) => return Ok(Some(Box::new(store))),
            Err(error) if error.is_unreachable() && left > 0 => tracing::warn!(left, "{error} Trying again."),
            Err(error) => return Err(OpenError::Mysql(error)),
        }
        let next = Instant::now() + ATTEMPTS_INTERVAL;
        while Instant::now() < next {
            if give_up() {
                return Ok(None);
            }
            std::thread::sleep(GIVE_UP_INTERVAL);
        }
    }
}

/// Between two tries to reach the database at the start.
#[cfg(feature = "mysql")]
const ATTEMPTS_INTERVAL: Duration = Duration::from_secs(5);
/// How soon a start that waits ends when it is to.
#[cfg(feature = "mysql")]
const GIVE_UP_INTERVAL: Duration = Duration::from_millis(100);

/// The database of `[db]`, if it names one.
#[cfg(feature = "mysql")]
pub(in crate::run) fn place(db: &config::Db) -> Option<mysql::Place> {
    let config::Db { host, port, socket, user, password, name, .. } = db.clone();
    name.map(|name| mysql::Place { host, port, socket, user, password, name })
}

pub(super) fn retention(storage: &config::Storage) -> Retention {
    const DAY: u64 = 24 * 60 * 60;
    Retention {
        queue_seconds: u64::from(storage.queue_days) * DAY,
        queue_messages_max: storage.queue_messages_max,
        trust_seconds: u64::from(storage.trust_days) * DAY,
        trust_messages_max: storage.trust_messages_max,
    }
}
