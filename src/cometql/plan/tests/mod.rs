//! Statements to plans, as one table per area: the text of a query, and its plan in one line.

mod catalog;
mod every;
mod keys;
mod memory;
mod names;
mod orms;
mod prepared;
mod properties;
mod publishing;
mod reading;
mod rows;
mod session;
mod tables;
mod told;
mod update;
mod upsert;

use super::*;
use crate::cometql::rows::{Row, rows_of_counts, rows_of_texts, rows_of_times};
use crate::cometql::session::{Server, User};
use crate::cometql::sql::{StringEscapes, fast, parse, prepare};
use std::sync::Arc;

const LIMITS: StatementLimits = StatementLimits {
    query_bytes_max: 200_000,
    message_bytes_max: 100_000,
    user_data_bytes_max: 100,
    result_bytes_max: 1 << 20,
    dev_max: 99_999,
    sessions_max: 500,
    idle_s: 28_800,
    lists_tables: false,
};

fn server() -> Server {
    Server {
        version: "8.0.35-encke",
        host_name: "a-machine".into(),
        port: Arc::new(3310.into()),
        settings: Arc::default(),
    }
}

fn session() -> SessionView<'static> {
    SessionView {
        dev: DevId(7),
        database: Some(DATABASE),
        user: User::Tenant(DevId(7)),
        connection: 42,
        unix: UnixTime(1_700_000_000),
        limits: &LIMITS,
        tls: false,
        server: Box::leak(Box::new(server())),
        budget: Box::leak(Box::default()),
        memory: &Memory::NEW,
        escapes: StringEscapes::Mysql,
    }
}

/// A query's whole way, as the server goes it.
fn run(query: &str) -> Result<Plan, Error> {
    run_with(query, StringEscapes::Mysql)
}

fn run_with(query: &str, escapes: StringEscapes) -> Result<Plan, Error> {
    check_length(query.as_bytes(), &LIMITS)?;
    let slow = parse(query, escapes).map_err(Error::from).and_then(|statement| plan(&statement, &session()));
    if let Some(insert) = fast::insert(query.as_bytes(), escapes) {
        let plan = plan_insert(&insert, &session());
        assert_eq!(plan, slow, "the fast path and the parser differ: {query}");
    }
    slow
}

fn join<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> String) -> String {
    items.into_iter().map(show).collect::<Vec<_>>().join(" ")
}

fn show_set(set: &ResultSet) -> String {
    let columns = join(&set.columns, |column| format!("{}{}", column.name, if column.number { "#" } else { "" }));
    let rows = set.rows.iter().map(|row| {
        let cells = join(row, |cell| {
            cell.as_ref().map_or("NULL".to_owned(), |cell| String::from_utf8_lossy(cell).into_owned())
        });
        format!(" [{cells}]")
    });
    format!("[{columns}]{}", rows.collect::<String>())
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Ok { affected, insert_id } => format!("ok {affected} {insert_id}"),
        Reply::Told(text) => format!("told {text}"),
        Reply::Rows(set) => show_set(set),
    }
}

fn show_write(write: &storage::Write) -> String {
    use storage::Write as W;
    match write {
        W::PutHash { dev, user, hash } => format!("hash {dev}:{user}={hash}"),
        W::UpdateHash { dev, user, hash } => format!("~hash {dev}:{user}={hash}"),
        W::UpdateUserData { dev, user, data } => format!("~data {dev}:{user}={data}"),
        W::DeleteHash { dev, user } => format!("-hash {dev}:{user}"),
        W::PutUserData { dev, user, data } => format!("data {dev}:{user}={data}"),
        W::DeleteUserData { dev, user } => format!("-data {dev}:{user}"),
        W::DeleteQueue { dev, user } => format!("-queue {dev}:{user}"),
        W::DeleteHistory { pipe } => format!("-history {}:{}", pipe.dev, pipe.name),
        W::DeleteFromHistory { dev, pipes, ids } => {
            let pipes = pipes.as_ref().map_or("*".to_owned(), |pipes| join(pipes, ToString::to_string));
            // The first of eight digits tell them apart.
            format!("-history {dev}:{pipes}({})", join(ids, |id| id.to_string()[..8].to_owned()))
        }
        W::PutRevoked { dev, token, expires } => format!("token {dev}:{token}/{}", expires.unwrap_or(-1)),
        W::DeleteRevoked { dev, token } => format!("-token {dev}:{token}"),
        W::DeleteCall { dev, name, user } => format!("-call {dev}:{name}/{user}"),
        other => format!("{other:?}"),
    }
}

/// Rows that a test's source has: counts are the lengths of the names; users 5 and 6 exist.
fn fetch(source: &Source) -> Vec<Row> {
    let texts = |users: &[UserId], text: &str| {
        let known = users.iter().filter(|user| [5, 6, 10].contains(&user.get()));
        rows_of_texts(known.map(|user| (*user, format!("{text}{user}").into())))
    };
    match source {
        Source::PipeCounts(pipes) => {
            rows_of_counts(pipes.iter().map(|pipe| (pipe.clone(), pipe.as_str().len() as u64)))
        }
        Source::Hashes(users) => texts(users, "h"),
        Source::UserData(users) => texts(users, "d"),
        Source::LastSeen(users) => {
            rows_of_times(users.iter().map(|user| (*user, if user.get() == 5 { 0 } else { -1 })))
        }
        Source::Queues(users) => made(&users.iter().map(ToString::to_string).collect::<Vec<_>>(), "# i e m#"),
        Source::Histories(pipes) => made(&names(pipes), "i 9 # 0 e m# 0"),
        Source::Lengths(pipes) => made(&names(pipes), "# 12"),
        Source::Members(pipes) => made(&names(pipes), "# 5 uuid agent ip origin language"),
        Source::Every(_) => Vec::new(),
        Source::Revoked(tokens) => made(&tokens.iter().map(ToString::to_string).collect::<Vec<_>>(), "#"),
        Source::AllRevoked => made(&["t1".to_owned(), "t2".to_owned()], "#"),
        Source::Calls(names) => {
            made(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), "# 5 0 m default 0 node")
        }
        Source::Connections => made(&["5".to_owned(), "6".to_owned()], "9# # 127.0.0.1 2 0 1600000000 140"),
        Source::Tenants => made(&["1".to_owned(), "5".to_owned()], "# 2 280"),
        Source::Memory => made(&["hub".to_owned(), "rss".to_owned()], "# browsers-0 100 0"),
        Source::Processes(_) => made(&["5".to_owned()], "# root 127.0.0.1 db_7 Sleep 0 - -"),
    }
}

fn names(pipes: &[PipeName]) -> Vec<String> {
    pipes.iter().map(ToString::to_string).collect()
}

/// A row for each key, in whose cells `#` stands for it.
fn made(keys: &[String], cells: &str) -> Vec<Row> {
    keys.iter().map(|key| cells.split(' ').map(|cell| cell.replace('#', key).into()).collect()).collect()
}

/// A plan in one line; a read is carried out on [`fetch`]'s rows.
fn show(plan: Result<Plan, Error>) -> String {
    match plan {
        Err(error) => format!("error {}", error.code.number()),
        Ok(Plan::Reply(reply)) => show_reply(&reply),
        Ok(Plan::Publish(drafts)) => {
            let wishes =
                |draft: &Draft| draft.wishes.as_ref().map_or(String::new(), |wishes| format!(" {}", shown(wishes)));
            join(drafts, |draft| format!("{}/{}/{}{}", draft.pipe, draft.event.as_str(), draft.message, wishes(&draft)))
        }
        Ok(Plan::Send(letters)) => {
            let lasts =
                |letter: &Letter| letter.expires_in.map_or(String::new(), |seconds| format!(" for {seconds} s"));
            join(letters, |letter| {
                format!("to {}/{}/{}{}", letter.user, letter.event.as_str(), letter.message, lasts(&letter))
            })
        }
        Ok(Plan::SetLengths { lengths, reply }) => {
            let shown = join(lengths, |(pipe, length)| match length {
                Some(length) => format!("{pipe}={length}"),
                None => format!("-{pipe}"),
            });
            format!("{shown}, {}", show_reply(&reply))
        }
        Ok(Plan::Update(writes)) => join(&writes, show_write),
        Ok(Plan::UpdateLengths(lengths)) => join(lengths, |(pipe, length)| format!("~{pipe}={length}")),
        Ok(Plan::AddLengths(lengths)) => join(lengths, |(pipe, length)| format!("+{pipe}={length}")),
        Ok(Plan::Delete(writes)) => format!("{}, ok 0 0", join(&writes, show_write)),
        Ok(Plan::Read { source, query }) => match query.apply(fetch(&source)) {
            Ok(set) => format!("read {}", show_set(&set)),
            Err(error) => format!("read, error {}", error.code.number()),
        },
        Ok(Plan::Write { writes, reply }) => {
            format!("{}, {}", join(&writes, show_write), show_reply(&reply))
        }
        Ok(Plan::UseDatabase(Database::CometQl)) => "use".to_owned(),
        Ok(Plan::UseDatabase(Database::Schema)) => "use information_schema".to_owned(),
        Ok(Plan::UseDatabase(Database::Tenant(dev))) => format!("use {dev}"),
        Ok(Plan::Kill(connection)) => format!("kill {connection}"),
        Ok(Plan::Live(LiveQuery { figures, .. })) => format!("live {figures:?}"),
        Ok(Plan::Catalog(_)) => "catalog".to_owned(),
        Ok(Plan::Remember(_)) => "remember".to_owned(),
        Ok(Plan::Transaction(transaction)) => format!("{transaction:?}"),
        Ok(Plan::Later(_)) => "later".to_owned(),
        Ok(Plan::Instruct(instruction)) => format!("{instruction:?}"),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (query, expected) in cases {
        assert_eq!(show(run(query)), *expected, "{query}");
    }
}

/// The codes are a contract; their order and doubling would go unnoticed otherwise.
#[test]
fn codes() {
    let numbers: Vec<u16> = Code::ALL.iter().map(|code| code.number()).collect();
    let contract = [2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 403, 500];
    assert_eq!(numbers.get(..contract.len()), Some(&contract[..]));
    assert!(numbers.is_sorted());
}

/// What is wanted of a publication besides that it is published.
fn shown(wishes: &Wishes) -> String {
    let except = wishes.except.as_ref().map(|uuid| format!("not for {uuid}"));
    let key = wishes.key.as_ref().map(|key| format!("once as {key}"));
    let lasts = wishes.expires_in.map(|seconds| format!("for {seconds} s"));
    [except, key, lasts].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
