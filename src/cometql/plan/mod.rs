//! What a statement asks of the server: a pure function from statement and session to a plan.
//!
//! All checks that need no data happen here, in the order of `cometql.md` section 2.1: table or command, columns,
//! ORDER BY, WHERE, key, field rules. A plan names only the session's own tenant; nothing a statement says can change
//! that but USE, which is a plan of its own for the session to judge. Carrying plans out is the caller's.

mod catalog;
mod computed;
mod insert;
mod keys;
mod like;
mod memory;
mod numbers;
mod rows;
mod scalars;
mod select;
mod session;
mod set;
mod sorted;
mod stream;
mod update;
mod upsert;
mod variables;

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use self::like::Effort;
use super::errors::{Code, Error};
use super::sql::{
    ClusterPrefix, Limit, Names, Prepared, Select, Statement, StatusFlag, TableName, Transaction, Value, cluster_prefix,
};
use super::tables::{Access, DATABASE, Table};
use crate::model::{DevId, EventName, PipeName, UnixTime, UserId};
use crate::storage;

pub use catalog::{Assignments, Catalog, STEPS_MAX as CATALOG_STEPS_MAX};
pub use insert::plan_insert;
pub use memory::{Memory, NOT_ROLLED_BACK, VARIABLES_BYTES_MAX, Variable};
pub use rows::{
    ResultColumn, ResultSet, Row, RowQuery, rows_of_counts, rows_of_texts, rows_of_times, too_large,
    weight as row_weight,
};
pub use stream::RowStream;

/// Shortest query, in bytes; a relic of CppComet that clients test.
pub const QUERY_BYTES_MIN: usize = 4;

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
    /// What computing may still cost before a statement is carried out, for all statements of a query together:
    /// [`CATALOG_STEPS_MAX`] at first.
    pub steps: &'a Cell<u32>,
    /// What the session remembers of its statements before.
    pub memory: &'a Memory,
}

impl SessionView<'_> {
    /// A text of so many bytes was made. Error: 11 when that is too much for one query.
    fn step(&self, bytes: usize) -> Result<(), Error> {
        let steps = u32::try_from(bytes / catalog::BYTES_PER_STEP).unwrap_or(u32::MAX).saturating_add(1);
        self.steps.set(self.steps.get().saturating_sub(steps));
        if self.steps.get() > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The functions of the query take too long: ask for less at once"))
    }

    /// LIKE has looked so far. Errors: 11 when it has no more to look with, or when that is too much for one query.
    fn looked(&self, effort: &Effort) -> Result<(), Error> {
        effort.check()?;
        self.took(effort.steps())
    }

    /// Error: 11 when that is too much for one query.
    fn took(&self, steps: u32) -> Result<(), Error> {
        self.steps.set(self.steps.get().saturating_sub(steps));
        if self.steps.get() > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "The query takes too long before it begins: ask for less at once"))
    }

    /// Where the session looks for names without a database.
    pub fn names(&self) -> Names {
        if self.database == Some(catalog::SCHEMA) { Names::Schema } else { Names::CometQl }
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
}

/// As whom a session logged in; that selects its tenant. Small, as every idle session keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// Before the login.
    #[default]
    Nobody,
    Root,
    Tenant(DevId),
}

impl User {
    /// `root`, or the digits of a tenant's number. Error: 16 for every other name.
    pub fn parse(name: &[u8], dev_max: u32) -> Result<Self, Error> {
        if name == b"root" {
            return Ok(Self::Root);
        }
        tenant(name, dev_max).map(Self::Tenant).ok_or_else(|| {
            Error::new(Code::Authentication, "Authentication failed: the user is root or the number of a tenant")
        })
    }

    pub fn dev(self) -> DevId {
        if let Self::Tenant(dev) = self { dev } else { DevId::default() }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => Ok(()),
            Self::Root => f.write_str("root"),
            Self::Tenant(dev) => dev.fmt(f),
        }
    }
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
        }
    }
}

/// A message on its way to a pipe; names are valid, the sender is the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub pipe: PipeName,
    pub event: EventName,
    pub message: Box<str>,
}

/// A personal message on its way to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub user: UserId,
    pub event: EventName,
    pub message: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything is known now.
    Reply(Reply),
    /// All of them in this order; then OK with 0 affected rows and insert id 0.
    Publish(Vec<Draft>),
    /// All of them in this order, never empty; then OK with 0 affected rows and the first user as insert id.
    Send(Vec<Letter>),
    /// Through the owners of the pipes, in this order: so many publications are to be kept, `None` forgets setting and
    /// history. Then the reply.
    SetLengths {
        lengths: Vec<(PipeName, Option<u32>)>,
        reply: Reply,
    },
    /// Fetch the source's rows, then [`RowQuery::apply`] makes the answer of them.
    Read {
        source: Source,
        query: RowQuery,
    },
    /// All of it in one transaction, never empty; then the reply.
    Write {
        writes: Vec<storage::Write>,
        reply: Reply,
    },
    /// The same for a DELETE: OK with 0 affected rows, or with those that are gone if the server tells them.
    Delete(Vec<storage::Write>),
    /// All of it in one transaction, never empty; then OK with as many affected rows as there are.
    Update(Vec<storage::Write>),
    /// The same through the owners of the pipes, for the settings that there are.
    UpdateLengths(Vec<(PipeName, u32)>),
    /// The same for the settings that there are not.
    AddLengths(Vec<(PipeName, u32)>),
    UseDatabase(Database),
    /// From now on the session remembers this.
    Remember(Box<Memory>),
    Transaction(Transaction),
    /// To be planned when it begins, as it depends on what the statements before it do.
    Later(Box<Statement>),
    /// End this session or browser connection, then OK; [`Code::UnknownConnection`] if there is none.
    Kill(u64),
    /// Figures only the server has, in rows as [`LiveQuery`] says.
    Live(LiveQuery),
    /// About the server, with figures only it has: [`Catalog::answer`]. If it says [`Catalog::processes`], their rows first.
    Catalog(Box<Catalog>),
}

impl Plan {
    /// Of what is handed to owners and storage.
    pub fn rows_written(&self) -> usize {
        match self {
            Self::Publish(drafts) => drafts.len(),
            Self::Send(letters) => letters.len(),
            Self::SetLengths { lengths, .. } => lengths.len(),
            Self::UpdateLengths(lengths) | Self::AddLengths(lengths) => lengths.len(),
            Self::Write { writes, .. } | Self::Delete(writes) | Self::Update(writes) => writes.len(),
            Self::Reply(_)
            | Self::Read { .. }
            | Self::UseDatabase(_)
            | Self::Remember(_)
            | Self::Transaction(_)
            | Self::Later(_)
            | Self::Kill(_)
            | Self::Live(_)
            | Self::Catalog(_) => 0,
        }
    }
}

/// Which rows a SELECT needs; never empty. Keys in the order asked, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One row per name: [`rows_of_counts`].
    PipeCounts(Vec<PipeName>),
    /// A row per user who has one: [`rows_of_texts`].
    Hashes(Vec<UserId>),
    /// A row per user who has one: [`rows_of_texts`].
    UserData(Vec<UserId>),
    /// One row per user, 0 online, -1 unknown: [`rows_of_times`]. The anonymous user is always unknown.
    LastSeen(Vec<UserId>),
    /// A row per message that waits for a user, oldest first: the user, the message's id, event, text.
    Queues(Vec<UserId>),
    /// A row per message of a pipe's history, oldest first: id, unix time, pipe, number of the row from 0 over all pipes,
    /// event, text, sender.
    Histories(Vec<PipeName>),
    /// A row per pipe that has a setting: name, length.
    Lengths(Vec<PipeName>),
    /// A row per subscription, newest first of each shard: pipe, user, uuid, agent, address, origin, language.
    Members(Vec<PipeName>),
    /// Those of these tokens that are revoked.
    Revoked(Vec<Box<str>>),
    /// All of the tenant's, in their order.
    AllRevoked,
    /// The invitations to these calls: name, user, caller, message, profile, stream, node.
    Calls(Vec<Box<str>>),
    /// The tenant's browser connections: id, user, address, pipes, bytes that wait, unix time of their beginning.
    Connections,
    /// The sessions that this one may see, then its tenant's browser connections, as they are at this time:
    /// [`PROCESS_COLUMNS`].
    Processes(UnixTime),
}

/// The columns of `SHOW FULL PROCESSLIST` as MySQL has them; `information_schema.PROCESSLIST` writes them large.
pub const PROCESS_COLUMNS: [&str; 8] = ["Id", "User", "Host", "db", "Command", "Time", "State", "Info"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQuery {
    pub figures: Figures,
    pub query: RowQuery,
}

/// Which figures, and the columns of their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// `Variable_name`, `Value`.
    Status(StatusFlag),
    /// `ServiceName`, `id`, `status`, `count`.
    Processlist,
    /// The sessions that this one may see and its tenant's browser connections: [`PROCESS_COLUMNS`]. For
    /// [`Catalog::answer`] only, as they come in pieces: those of [`Source::Processes`], which are to be fetched before.
    Processes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok { affected: u64, insert_id: u64 },
    Rows(ResultSet),
}

/// What a database name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// `CometQL_v1`: the session stays with its tenant.
    CometQl,
    /// `db_<N>`: the session moves to this tenant, if it may.
    Tenant(DevId),
    /// `information_schema`: the session stays with its tenant, and names without a database are looked up there.
    Schema,
}

impl Database {
    /// What a session that chooses it has then: its tenant, and the name that `SELECT DATABASE()` tells.
    pub fn choose(self, dev: &mut DevId, name: &mut Option<&'static str>) {
        match self {
            Self::CometQl => *name = Some(DATABASE),
            Self::Schema => *name = Some(catalog::SCHEMA),
            Self::Tenant(chosen) => {
                *dev = chosen;
                // There names are those of CometQL.
                *name = name.filter(|name| *name != catalog::SCHEMA);
            }
        }
    }
}

const DONE: Plan = Plan::Reply(Reply::Ok { affected: 0, insert_id: 0 });

/// The plan for a parsed statement. For what the fast path recognised see [`plan_insert`]. Whatever it depends on is what
/// the session remembers now: where statements before it are under way, [`plan_behind`] is to be asked.
pub fn plan(statement: &Statement, session: &SessionView<'_>) -> Result<Plan, Error> {
    if statement.computes() {
        return plan(&computed::settle(statement, session)?, session);
    }
    match statement {
        Statement::Late(statement) => {
            let mut settled = (**statement).clone();
            settled.settle(|word| variables::value(word, session));
            plan(&settled, session)
        }
        Statement::Select(select) if let Some(rows) = unlimited(select.limit.as_ref(), session) => {
            let limit = Some(Limit { count: Value::Number(rows.to_owned().into()), offset: None });
            select::plan_select(&Select { limit, ..select.clone() }, session)
        }
        Statement::Catalog(query) if let Some(rows) = unlimited(query.limit.as_ref(), session) => {
            let mut query = query.clone();
            query.limit = Some(Limit { count: Value::Number(rows.to_owned().into()), offset: None });
            catalog::plan_catalog(&query, session)
        }
        Statement::Empty | Statement::KillQuery => Ok(DONE),
        Statement::Set(assignments) => set::plan_set(assignments, session),
        Statement::Transaction(transaction) => Ok(Plan::Transaction(*transaction)),
        Statement::Insert(insert) => plan_insert(insert, session),
        Statement::Upsert { insert, updates } => upsert::plan_upsert(insert, updates, session),
        Statement::Select(select) => select::plan_select(select, session),
        Statement::Catalog(query) => catalog::plan_catalog(query, session),
        Statement::Delete(delete) => select::plan_delete(delete, session),
        Statement::Update(update) => update::plan_update(update, session),
        Statement::Show(show) => session::plan_show(show, session),
        Statement::Describe { table, filter } => session::plan_describe(table, filter),
        Statement::Use(name) => parse_database(name.as_bytes(), session.limits.dev_max).map(Plan::UseDatabase),
        Statement::Kill(value) => value
            .text()
            .and_then(|text| text.parse().ok())
            .map(Plan::Kill)
            .ok_or_else(|| Error::new(Code::UnknownConnection, "KILL wants the number of a connection")),
    }
}

/// The same while statements before it are under way: what depends on them is planned when it begins.
pub fn plan_behind(statement: Statement, session: &SessionView<'_>) -> Result<Plan, Error> {
    match statement {
        Statement::Late(_) | Statement::Set(_) => Ok(Plan::Later(Box::new(statement))),
        other => plan(&other, session),
    }
}

/// Rows that the session said a SELECT may give, for one that does not say it itself.
fn unlimited<'s>(limit: Option<&Limit>, session: &SessionView<'s>) -> Option<&'s str> {
    if limit.is_none() { session.memory.select_limit() } else { None }
}

/// The columns of a statement's result, for the answer to PREPARE; empty if it has none. Nothing is carried out.
pub fn result_columns(prepared: &Prepared, session: &SessionView<'_>) -> Result<Vec<ResultColumn>, Error> {
    if !prepared.gives_rows() {
        return Ok(Vec::new());
    }
    // Digits in quotes can stand wherever a placeholder can in the statements that give rows.
    let statement = prepared.bind(&vec![Value::Text("1".into()); prepared.placeholders()])?;
    Ok(match plan(&statement, session)? {
        Plan::Reply(Reply::Rows(rows)) => rows.columns,
        Plan::Read { query, .. } | Plan::Live(LiveQuery { query, .. }) => query.columns(),
        Plan::Catalog(catalog) => {
            let (columns, steps) = catalog.columns();
            session.took(steps)?;
            columns?
        }
        _ => Vec::new(),
    })
}

/// Errors 17 and 11: whether a query's length is allowed, before anything is parsed.
pub fn check_length(query: &[u8], limits: &StatementLimits) -> Result<(), Error> {
    if query.len() < QUERY_BYTES_MIN {
        return Err(Error::new(Code::TooShort, "The query is too short to be a statement"));
    }
    if query.len() > limits.query_bytes_max {
        return Err(query_too_long(limits));
    }
    Ok(())
}

/// Error 11.
pub fn query_too_long(limits: &StatementLimits) -> Error {
    let text = format!("The query is longer than {} bytes, the configured maximum", limits.query_bytes_max);
    Error::new(Code::TooLong, text)
}

/// Error 12: the query as text. All text of this server is UTF-8, four-byte characters included.
pub fn check_text(query: &[u8]) -> Result<&str, Error> {
    simdutf8::basic::from_utf8(query).map_err(|_| {
        Error::new(Code::Invalid, "The query is not valid UTF-8: set the client's character set to utf8mb4")
    })
}

/// The tenant that a cluster prefix names, if there is one, and the query behind it. Whether the session may go there
/// is its own decision. Errors: 16 for a bad number.
pub fn take_cluster_prefix(query: &[u8], dev_max: u32) -> Result<(Option<DevId>, &[u8]), Error> {
    match cluster_prefix(query) {
        None => Ok((None, query)),
        Some(ClusterPrefix { dev: Some(dev), rest }) if dev <= dev_max => Ok((Some(DevId(dev)), rest)),
        Some(_) => Err(Error::new(Code::Authentication, "The dev_id of the cluster prefix is not a tenant's number")),
    }
}

/// A database name at login, in USE or in `COM_INIT_DB`: `CometQL_v1`, `db_<N>` with N up to `dev_max` inclusive, or
/// `information_schema` in any case. Errors: 15 for every other name.
pub fn parse_database(name: &[u8], dev_max: u32) -> Result<Database, Error> {
    if name == DATABASE.as_bytes() {
        return Ok(Database::CometQl);
    }
    if name.eq_ignore_ascii_case(catalog::SCHEMA.as_bytes()) {
        return Ok(Database::Schema);
    }
    name.strip_prefix(b"db_")
        .and_then(|digits| tenant(digits, dev_max))
        .map(Database::Tenant)
        .ok_or_else(|| Error::new(Code::NotFound, "Unknown database: use CometQL_v1, or db_ and a tenant's number"))
}

fn tenant(digits: &[u8], dev_max: u32) -> Option<DevId> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let dev = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (dev <= dev_max).then_some(DevId(dev))
}

/// Who has chosen `information_schema` writes nothing by a name alone (where it reads, names are completed when they are
/// parsed), and who said that it only reads writes nothing at all. Errors: 15, 1792.
fn check_name(table: &TableName<'_>, session: &SessionView<'_>) -> Result<(), Error> {
    if session.memory.only_reads() {
        let text = "The session said that its transaction only reads: nothing is written in it";
        return Err(Error::new(Code::OnlyReads, text));
    }
    if session.names() == Names::CometQl || table.database.is_some() {
        return Ok(());
    }
    let text =
        format!("Nothing is written to {}: USE {DATABASE}, or write {DATABASE} before the name", catalog::SCHEMA);
    Err(Error::new(Code::NotFound, text))
}

/// The table a statement names, if it takes this kind of statement. Errors: 15 or 1146, or the table's own refusal.
fn find_table(name: &TableName<'_>, verb: &str, access: impl Fn(&Table) -> Access) -> Result<&'static Table, Error> {
    let ours = name.database.as_ref().is_none_or(|database| database.eq_ignore_ascii_case(DATABASE));
    let Some(table) = Table::find(&name.name).filter(|_| ours) else {
        // CppComet has one database and one number for it. Tools look for MySQL's where they ask what there is.
        let asks = verb.starts_with("SHOW") || !ours && ["SELECT", "DESCRIBE"].contains(&verb);
        let code = if asks { Code::NoSuchTable } else { Code::NotFound };
        return Err(Error::new(code, "The table does not exist: SHOW TABLES lists those that do"));
    };
    match access(table) {
        Access::Allowed => Ok(table),
        Access::Refused(Code::ReadOnly) => {
            Err(Error::new(Code::ReadOnly, format!("Table `{}` is read only: it takes no {verb}", table.name)))
        }
        Access::Refused(code) => Err(Error::new(code, format!("Table `{}` does not exist for {verb}", table.name))),
    }
}

fn not_implemented(table: &Table, verb: &str) -> Error {
    Error::new(Code::NotImplemented, format!("{verb} on table `{}` is not implemented yet", table.name))
}

/// The place of a column. Error: 14.
fn find_column(position: Option<usize>, name: &str) -> Result<usize, Error> {
    position.ok_or_else(|| {
        let shown: String = name.chars().filter(|shown| !shown.is_control()).take(64).collect();
        Error::new(Code::Columns, format!("There is no column `{shown}`: DESCRIBE lists a table's columns"))
    })
}

/// A user id as backends write it: a whole number in whatever way, blanks around it allowed. `None` for everything else.
/// Every statement asks here, so what one of them takes for a user is the same user for all.
fn user_id(text: &str) -> Option<UserId> {
    UserId::new(u32::try_from(numbers::whole(text)?).ok()?)
}

#[cfg(test)]
mod tests;
