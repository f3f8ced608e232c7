//! What a statement asks of the server: a pure function from statement and session to a plan.
//!
//! All checks that need no data happen here, in the order of `cometql.md` section 2.1: table or command, columns,
//! ORDER BY, WHERE, key, field rules. A plan names only the session's own tenant; nothing a statement says can change
//! that but USE, which is a plan of its own for the session to judge. Carrying plans out is the caller's.

mod computed;
mod insert;
mod keys;
mod select;
mod set;
mod update;
mod upsert;

use super::budget::Budget;
use super::errors::{Code, Error};
use super::introspection::{self, Answer, Catalog, LiveQuery, Question};
use super::rows::{ResultColumn, ResultSet, RowQuery, numbers};
use super::session::{Database, Memory, SessionView, StatementLimits, parse_database};
use super::sql::{
    ClusterPrefix, Instruction, Limit, Names, Prepared, SCHEMA, Select, Statement, TableName, Transaction, Value,
    cluster_prefix,
};
use super::tables::{DATABASE, Table};
use crate::model::{DevId, EventName, PipeName, UnixTime, UserId, Wishes};
use crate::storage;

pub use insert::plan_insert;

/// Shortest query, in bytes; a relic of CppComet that clients test.
pub const QUERY_BYTES_MIN: usize = 4;

/// A message on its way to a pipe; names are valid, the sender is the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub pipe: PipeName,
    pub event: EventName,
    pub message: Box<str>,
    pub wishes: Option<Box<Wishes>>,
}

/// A personal message on its way to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub user: UserId,
    pub event: EventName,
    pub message: Box<str>,
    /// In the queue it waits for so many seconds.
    pub expires_in: Option<u32>,
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
    /// For whoever keeps the server's files, if the session may ask for it; then OK with what came of it, or an error.
    Instruct(Instruction),
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
            | Self::Instruct(_)
            | Self::Kill(_)
            | Self::Live(_)
            | Self::Catalog(_) => 0,
        }
    }
}

/// Which rows a SELECT needs; never empty. Keys in the order asked, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One row per name: [`rows_of_counts`](super::rows::rows_of_counts).
    PipeCounts(Vec<PipeName>),
    /// A row per user who has one: [`rows_of_texts`](super::rows::rows_of_texts).
    Hashes(Vec<UserId>),
    /// A row per user who has one: [`rows_of_texts`](super::rows::rows_of_texts).
    UserData(Vec<UserId>),
    /// One row per user, 0 online, -1 unknown: [`rows_of_times`](super::rows::rows_of_times). The anonymous user is always unknown.
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
    /// All rows of the tenant's table, by looking for its keys a page at a time.
    Every(Every),
    /// Those of these tokens that are revoked.
    Revoked(Vec<Box<str>>),
    /// All of the tenant's, in their order.
    AllRevoked,
    /// The invitations to these calls: name, user, caller, message, profile, stream, node.
    Calls(Vec<Box<str>>),
    /// The tenant's browser connections: id, user, address, pipes, bytes that wait, unix time of their beginning.
    Connections,
    /// The sessions that this one may see, then its tenant's browser connections, as they are at this time:
    /// [`PROCESS_COLUMNS`](introspection::PROCESS_COLUMNS).
    Processes(UnixTime),
    /// What memory is for: [`MEMORY_COLUMNS`](introspection::MEMORY_COLUMNS). Who may see one tenant only is told of the
    /// connections of that.
    Memory,
    /// A row per tenant that has browser connections and that the session may see: tenant, connections, their bytes.
    Tenants,
}

/// Tables that are looked through: in the order of their keys, but pipes with subscribers in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    PipeCounts,
    Hashes,
    UserData,
    LastSeen,
    Queues,
    Histories,
    Lengths,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok {
        affected: u64,
        insert_id: u64,
    },
    /// OK, and this sentence.
    Told(Box<str>),
    Rows(ResultSet),
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
            settled.settle(|word| introspection::value_of_word(word, session));
            plan(&settled, session)
        }
        Statement::Select(select) if let Some(rows) = unlimited(select.limit.as_ref(), session) => {
            let limit = Some(Limit { count: Value::Number(rows.to_owned().into()), offset: None });
            select::plan_select(&Select { limit, ..select.clone() }, session)
        }
        Statement::Catalog(query) if let Some(rows) = unlimited(query.limit.as_ref(), session) => {
            let mut query = query.clone();
            query.limit = Some(Limit { count: Value::Number(rows.to_owned().into()), offset: None });
            about_the_server(Question::Query(&query), session)
        }
        Statement::Empty | Statement::KillQuery => Ok(DONE),
        Statement::Set(assignments) => set::plan_set(assignments, session),
        Statement::Transaction(transaction) => Ok(Plan::Transaction(*transaction)),
        Statement::Instruct(instruction) => Ok(Plan::Instruct(instruction.clone())),
        Statement::Insert(insert) => plan_insert(insert, session),
        Statement::Upsert { insert, updates } => upsert::plan_upsert(insert, updates, session),
        Statement::Select(select) => select::plan_select(select, session),
        Statement::Catalog(query) => about_the_server(Question::Query(query), session),
        Statement::Delete(delete) => select::plan_delete(delete, session),
        Statement::Update(update) => update::plan_update(update, session),
        Statement::Show(show) => about_the_server(Question::Show(show), session),
        Statement::Describe { table, filter } => about_the_server(Question::Describe { table, filter }, session),
        Statement::Use(name) => parse_database(name.as_bytes(), session.limits.dev_max).map(Plan::UseDatabase),
        Statement::Kill(value) => value
            .text()
            .and_then(|text| text.parse().ok())
            .map(Plan::Kill)
            .ok_or_else(|| Error::new(Code::UnknownConnection, "KILL wants the number of a connection")),
    }
}

/// What is asked about the server is answered in a room of its own.
fn about_the_server(question: Question<'_>, session: &SessionView<'_>) -> Result<Plan, Error> {
    Ok(match introspection::ask(question, session)? {
        Answer::Rows(rows) => Plan::Reply(Reply::Rows(rows)),
        Answer::Live(query) => Plan::Live(query),
        Answer::Processes(now, query) => Plan::Read { source: Source::Processes(now), query },
        Answer::Memory(query) => Plan::Read { source: Source::Memory, query },
        Answer::Catalog(catalog) => Plan::Catalog(catalog),
    })
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
            let own = Budget::default();
            let columns = catalog.columns(&own);
            session.budget.took(own.spent())?;
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
    let text = format!("Nothing is written to {SCHEMA}: USE {DATABASE}, or write {DATABASE} before the name");
    Err(Error::new(Code::NotFound, text))
}

fn not_implemented(table: &Table, verb: &str) -> Error {
    Error::new(Code::NotImplemented, format!("{verb} on table `{}` is not implemented yet", table.name))
}

/// A user id as backends write it: a whole number in whatever way, blanks around it allowed. `None` for everything else.
/// Every statement asks here, so what one of them takes for a user is the same user for all.
fn user_id(text: &str) -> Option<UserId> {
    UserId::new(u32::try_from(numbers::whole(text)?).ok()?)
}

#[cfg(test)]
mod tests;
