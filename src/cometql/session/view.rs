//! What a statement sees of its session and of the server.

use std::sync::{Arc, OnceLock};

use super::memory::Memory;
use super::names::User;
use crate::cometql::budget::Budget;
use crate::cometql::sql::{Names, SCHEMA, StringEscapes};
use crate::model::{DevId, UnixTime};

/// What a statement sees of its session.
#[derive(Clone, Copy, Debug)]
pub struct SessionView<'a> {
    pub dev: DevId,
    /// The database's name if one was chosen; `db_<N>` moves the session to a tenant and chooses none.
    pub database: Option<&'a str>,
    pub user: User,
    /// The connection id of the greeting.
    pub connection: u32,
    pub unix: UnixTime,
    pub limits: &'a StatementLimits,
    /// Whether the server offers TLS.
    pub tls: bool,
    pub server: &'a Server,
    /// What computing may still cost before a statement is carried out, for all statements of a query together.
    pub budget: &'a Budget,
    /// What the session remembers of its statements before.
    pub memory: &'a Memory,
    pub escapes: StringEscapes,
}

impl SessionView<'_> {
    /// Where the session looks for names without a database.
    pub fn names(&self) -> Names {
        if self.database == Some(SCHEMA) { Names::Schema } else { Names::CometQl }
    }
}

/// What the server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The version of the greeting; clients parse its leading digits.
    pub version: &'static str,
    /// Of the machine.
    pub host_name: Box<str>,
    /// Where sessions come in, once that is known.
    pub port: Arc<OnceLock<u16>>,
    /// What is configured, for the server's own users.
    pub settings: Arc<[Setting]>,
}

/// A key of the configuration, as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub section: Box<str>,
    pub key: Box<str>,
    /// Its name among the variables.
    pub variable: Box<str>,
    /// Empty: none. Secrets are not told.
    pub value: Box<str>,
    /// Of the file; `None`: it is the default.
    pub line: Option<u32>,
    /// When a change of it takes effect.
    pub applies: &'static str,
}

/// What a statement may weigh, in bytes except where said, and what it is told of the limits of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementLimits {
    /// One query text, cluster prefix included; also what `@@max_allowed_packet` says. Beyond it: error 11.
    pub query_bytes_max: usize,
    /// One message. Beyond it: error 11.
    pub message_bytes_max: usize,
    /// The text of one row of `users_data`. Beyond it: error 11.
    pub user_data_bytes_max: usize,
    /// The values of one answer together. Beyond it: error 11.
    pub result_bytes_max: usize,
    /// The largest tenant number.
    pub dev_max: u32,
    /// Sessions there may be, as `@@max_connections` says.
    pub sessions_max: usize,
    /// Seconds of silence after which a session is closed, as `@@wait_timeout` says.
    pub idle_s: u32,
    /// Whether a SELECT that names no key gets all rows; else error 13, as in CppComet.
    pub lists_tables: bool,
}

impl Default for StatementLimits {
    fn default() -> Self {
        Self {
            query_bytes_max: 1024 * 1024,
            message_bytes_max: 1024 * 1024,
            user_data_bytes_max: 1024 * 1024,
            result_bytes_max: 64 * 1024 * 1024,
            dev_max: 99_999,
            sessions_max: 10_000,
            idle_s: 28_800,
            lists_tables: true,
        }
    }
}
