//! Statements to plans, as one table per area: the text of a query, and its plan in one line.

mod catalog;
mod keys;
mod memory;
mod names;
mod orms;
mod properties;
mod tables;
mod update;
mod upsert;

use super::*;
use crate::cometql::sql::{StringEscapes, fast, parse, prepare};

const LIMITS: StatementLimits = StatementLimits {
    query_bytes_max: 200_000,
    message_bytes_max: 100_000,
    user_data_bytes_max: 100,
    result_bytes_max: 1 << 20,
    dev_max: 99_999,
    sessions_max: 500,
    idle_s: 28_800,
};

fn server() -> Server {
    Server { version: "8.0.35-encke", host_name: "a-machine".into(), port: Arc::new(3310.into()) }
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
        steps: Box::leak(Box::new(Cell::new(CATALOG_STEPS_MAX))),
        memory: &Memory::NEW,
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
        Source::Revoked(tokens) => made(&tokens.iter().map(ToString::to_string).collect::<Vec<_>>(), "#"),
        Source::AllRevoked => made(&["t1".to_owned(), "t2".to_owned()], "#"),
        Source::Calls(names) => {
            made(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), "# 5 0 m default 0 node")
        }
        Source::Connections => made(&["5".to_owned(), "6".to_owned()], "9# # 127.0.0.1 2 0 1600000000"),
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
            join(drafts, |draft| format!("{}/{}/{}", draft.pipe, draft.event.as_str(), draft.message))
        }
        Ok(Plan::Send(letters)) => {
            join(letters, |letter| format!("to {}/{}/{}", letter.user, letter.event.as_str(), letter.message))
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
    }
}

fn check(cases: &[(&str, &str)]) {
    for (query, expected) in cases {
        assert_eq!(show(run(query)), *expected, "{query}");
    }
}

#[test]
fn publishing() {
    check(&[
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'hello world')",
            "pipe/ev/hello world",
        ),
        ("INSERT INTO `pipes_messages` (`name`, `event`, `message`) VALUES ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages (\"name\", \"event\", \"message\") VALUES (\"pipe\", \"ev\", \"m\")", "pipe/ev/m"),
        ("InSeRt InTo pipes_messages (name, event, message) vAlUeS ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO PIPES_MESSAGES (NAME, Event, message) VALUES ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages (message, name, event) VALUES ('m', 'pipe', 'ev')", "pipe/ev/m"),
        ("INSERT\n\tINTO   pipes_messages\n(name,\n event,\t message)\nVALUES\n('pipe',\n'ev',\n'm')\n", "pipe/ev/m"),
        ("INSERT INTO pipes_messages (name, event, message)VALUES('pipe', '', '{}');", "pipe//{}"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm') ; \n", "pipe/ev/m"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', '00012')", "pipe/ev/00012"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 00012)", "pipe/ev/00012"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', -5)", "pipe/ev/-5"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', - 5)", "pipe/ev/-5"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 1.50)", "pipe/ev/1.50"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 42, 'SELECT')", "pipe/42/SELECT"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES (pipe, select, null)", "pipe/select/null"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', TRUE)", "pipe/ev/TRUE"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', '')", "pipe/ev/"),
        (
            "INSERT INTO pipes_messages (id, time, name, event, message, user_id) VALUES ('x', 5, 'pipe', 'ev', 'm', 77)",
            "pipe/ev/m",
        ),
        ("INSERT INTO pipes_messages (name, `index`, event, message) VALUES ('pipe', 1, 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages (name, index, event, message) VALUES ('pipe', 1, 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages VALUES ('x', 5, 'pipe', 0, 'ev', 'm', 77)", "pipe/ev/m"),
        ("REPLACE INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages SET name = 'pipe', event = 'ev', message = 'm'", "pipe/ev/m"),
        ("INSERT INTO CometQL_v1.pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')", "pipe/ev/m"),
        ("INSERT INTO pipes_messages /* note */ (name, event, message) VALUES ('pipe', 'ev', 'm') # note", "pipe/ev/m"),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm1'), ('two', 'ev', 'm2')",
            "pipe/ev/m1 two/ev/m2",
        ),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', _binary'a\\'b')", "pipe/ev/a'b"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', x'4D2f')", "pipe/ev/M/"),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'DELETE FROM users_auth; -- ')",
            "pipe/ev/DELETE FROM users_auth; -- ",
        ),
        // Reserved pipes are open to backends, but for the server's own.
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('user_status_5', 'ev', 'm')", "user_status_5/ev/m"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('msg', 'ev', 'm')", "msg/ev/m"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('sys', 'ev', 'm')", "error 12"),
    ]);
}

#[test]
fn publishing_refused() {
    let long = "n".repeat(65);
    let huge = "x".repeat(LIMITS.message_bytes_max + 1);
    for (fields, values, code) in [
        ("event, message", "'ev', 'm'", 12),
        ("name, message", "'pipe', 'm'", 12),
        ("name, event", "'pipe', 'ev'", 12),
        ("name, event, message, colour", "'pipe', 'ev', 'm', 'red'", 14),
        ("name, name, event, message", "'pipe', 'pipe', 'ev', 'm'", 13),
        ("name, event, message", "'pipe', 'ev', 'm', 'more'", 14),
        ("name, event, message", "'pipe', 'ev'", 14),
        ("name, event, message", "'pipe', 'ev', 'm'), ('pipe', 'ev'", 14),
        ("name, event, message", "'ab', 'ev', 'm'", 17),
        ("name, event, message", "'', 'ev', 'm'", 17),
        ("name, event, message", "'bad name', 'ev', 'm'", 12),
        ("name, event, message", "'bad.name', 'ev', 'm'", 12),
        ("name, event, message", &format!("'{long}', 'ev', 'm'"), 11),
        ("name, event, message", &format!("'pipe', '{long}', 'm'"), 11),
        ("name, event, message", "'pipe', 'a.b', 'm'", 12),
        ("name, event, message", &format!("'pipe', 'ev', '{huge}'"), 11),
        ("name, event, message", "'pipe', 'ev', NOW()", 3),
        ("name, event, message", "'pipe', 'ev', 'm') ON DUPLICATE KEY UPDATE message = ('x'", 3),
        ("name, event, message", "'pipe', 'ev', ('m'", 3),
        ("name, event, message", "'pipe', 'ev', 'm", 3),
        ("name, event, message", "'pipe', 'ev', 1 + 1", 3),
        ("name, event, message", "", 14),
    ] {
        let query = format!("INSERT INTO pipes_messages ({fields}) VALUES ({values})");
        assert_eq!(show(run(&query)), format!("error {code}"), "{query:.200}");
    }
    check(&[
        ("INSERT INTO pipes_messages VALUES ('pipe', 'ev', 'm')", "error 14"),
        ("INSERT IGNORE INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')", "error 3"),
        ("INSERT INTO db_8.pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')", "error 15"),
        ("INSERT INTO nope (a) VALUES (1)", "error 15"),
        ("INSERT INTO pipes_messages (name, event, message) SELECT 'pipe', 'ev', 'm'", "error 3"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm'", "error 3"),
        ("garbage in here", "error 3"),
    ]);
}

#[test]
fn users() {
    let hash32 = "h".repeat(32);
    check(&[
        ("INSERT INTO users_auth (id, hash) VALUES (5, 'key')", "hash 7:5=key, ok 1 5"),
        ("INSERT INTO users_auth (id, hash) VALUES ('5', 'a+b/c_d=')", "hash 7:5=a+b/c_d=, ok 1 5"),
        ("INSERT INTO users_auth VALUES (5, '')", "hash 7:5=, ok 1 5"),
        ("REPLACE INTO users_auth (id, hash) VALUES (5, 'k'), (6, 'l')", "hash 7:5=k hash 7:6=l, ok 2 5"),
        ("INSERT INTO users_auth (id, hash) VALUES (5, 'k'), (0, 'l')", "error 12"),
        (&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{hash32}')"), &format!("hash 7:5={hash32}, ok 1 5")),
        (&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{hash32}h')"), "error 11"),
        (&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{hash32}.')"), "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES (0, 'key')", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES (-9, 'key')", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES ('abc', 'key')", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES ('5 OR 1=1', 'key')", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES (2147483647, 'key')", "hash 7:2147483647=key, ok 1 2147483647"),
        ("INSERT INTO users_auth (id, hash) VALUES (2147483648, 'key')", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES (4294967301, 'key')", "error 12"),
        ("INSERT INTO users_auth (id) VALUES (5)", "error 12"),
        ("INSERT INTO users_auth (hash) VALUES ('x')", "error 12"),
        ("DELETE FROM users_auth WHERE id = 5", "-hash 7:5, ok 0 0"),
        ("DELETE FROM users_auth WHERE id IN (6, 5, 6)", "-hash 7:5 -hash 7:6, ok 0 0"),
        ("delete   from users_auth\nwhere id=5;", "-hash 7:5, ok 0 0"),
        ("DELETE FROM users_auth WHERE id = 5 LIMIT 1", "-hash 7:5, ok 0 0"),
        ("DELETE FROM users_auth WHERE id IN (5, 6) LIMIT 1", "error 2"),
        ("DELETE FROM users_auth WHERE id = 5 LIMIT 0", "ok 0 0"),
        ("DELETE FROM users_auth WHERE id IN (4, 5, 6) AND id > 4 AND NOT id = 6", "-hash 7:5, ok 0 0"),
        ("DELETE FROM users_auth WHERE id = 5 OR id = 6", "-hash 7:5 -hash 7:6, ok 0 0"),
        ("DELETE FROM users_auth WHERE id = 'x'", "ok 0 0"),
        ("DELETE FROM users_auth WHERE id = 5 AND hash = 'x'", "error 2"),
        ("DELETE FROM users_auth WHERE id = 5 OR hash = 'x'", "error 2"),
        ("DELETE FROM users_auth WHERE hash = 'x'", "error 13"),
        ("DELETE FROM users_auth WHERE id > 5", "error 13"),
        ("DELETE FROM users_auth WHERE 1 = 1", "error 13"),
        ("DELETE FROM users_auth WHERE id = 5 ORDER BY id", "error 2"),
        ("DELETE FROM users_auth", "error 13"),
        ("DELETE FROM nope WHERE id = 1", "error 15"),
        (
            "INSERT INTO users_data (id, data) VALUES (\"9997\", '{\"a\":[1,2]}')",
            "data 7:9997={\"a\":[1,2]}, ok 1 9997",
        ),
        ("INSERT INTO users_data (id, data) VALUES (5, '')", "data 7:5=, ok 1 5"),
        ("INSERT INTO users_data (id, data) VALUES (0, 'x')", "error 12"),
        (&format!("INSERT INTO users_data (id, data) VALUES (5, '{}')", "x".repeat(101)), "error 11"),
        ("DELETE FROM users_data WHERE id = 5", "-data 7:5, ok 0 0"),
        ("DELETE FROM users_data", "error 13"),
    ]);
}

#[test]
fn reading() {
    check(&[
        ("SELECT * FROM users_auth WHERE id = 5", "read [id# hash] [5 h5]"),
        ("SELECT hash, id FROM users_auth WHERE id = 5", "read [hash id#] [h5 5]"),
        ("SELECT id, hash FROM users_auth WHERE id IN (6, 7, 5)", "read [id# hash] [6 h6] [5 h5]"),
        ("SELECT id FROM users_auth WHERE id IN(5,7 ,  6)", "read [id#] [5] [6]"),
        ("SELECT id FROM users_auth WHERE id=5", "read [id#] [5]"),
        ("SELECT id\nFROM users_auth\r\nWHERE\n\tid = 5\n", "read [id#] [5]"),
        ("SELECT \"id\", \"hash\" FROM \"users_auth\" WHERE \"id\" = \"5\"", "read [id# hash] [5 h5]"),
        ("SELECT 'id' FROM 'users_auth' WHERE 'id' = '5'", "read [id#] [5]"),
        ("SELECT SQL_NO_CACHE id FROM users_auth WHERE id = 5", "read [id#] [5]"),
        ("SELECT `id` FROM `users_auth` WHERE `id` = `5`", "read [id#] [5]"),
        ("SELECT ID FROM Users_Auth WHERE Id = 5", "read [ID#] [5]"),
        ("SELECT id AS x FROM users_auth WHERE id = 5", "read [x#] [5]"),
        ("SELECT users_auth.id FROM users_auth WHERE users_auth.id = 5", "read [id#] [5]"),
        ("SELECT a.* FROM CometQL_v1.users_auth AS a WHERE a.id = 5", "read [id# hash] [5 h5]"),
        ("SELECT id FROM users_auth WHERE id = '007' OR id = ' 5 '", "read [id#] [5]"),
        ("SELECT id FROM users_time WHERE id = 5 -- comment here", "read [id#] [5]"),
        ("/* ApplicationName=x */ SELECT id FROM users_time WHERE id = 5", "read [id#] [5]"),
        ("SELECT * FROM users_time WHERE id IN(1, 5, 99996);", "read [id# time#] [1 -1] [5 0] [99996 -1]"),
        ("SELECT id FROM users_time WHERE id IN (0, -1, 'x', 99999999999)", "read [id#] [0]"),
        ("SELECT id FROM users_auth WHERE id IN (0, -1, 'x', 99999999999)", "[id#]"),
        ("SELECT data FROM users_data WHERE id = 5", "read [data] [d5]"),
        ("SELECT * FROM pipes WHERE name = 'abc'", "read [name users#] [abc 3]"),
        ("SELECT users FROM pipes WHERE name IN ('abc', 'ab', 'a.c', abcd)", "read [users#] [3] [4]"),
        ("SELECT name FROM pipes WHERE name = 'ABC'", "read [name] [ABC]"),
        // Conditions beyond the key.
        ("SELECT * FROM users_auth WHERE id IN (5, 6) AND hash = 'h6'", "read [id# hash] [6 h6]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND (hash = 'h6' OR hash = 'x')", "read [id#] [6]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND hash LIKE '%5'", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND hash NOT LIKE '%5'", "read [id#] [6]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6, 10) AND id > 5", "read [id#] [6] [10]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6, 10) AND 6 <= id", "read [id#] [6] [10]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6, 10) AND id BETWEEN 6 AND 9", "read [id#] [6]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND id != 6", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND id NOT IN (6, 7)", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id IN (5, 6) AND hash IS NOT NULL", "read [id#] [5] [6]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND hash IS NULL", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND id = 6", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 OR id = '05' OR id IN (6, 6)", "read [id#] [5] [6]"),
        ("SELECT id FROM users_time WHERE id IN (6, 5, 6, '05')", "read [id#] [6] [5]"),
        ("SELECT id FROM users_time WHERE id IN (5, 6) AND time IN (' 0 ', x)", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id = 5 OR (id = 6 AND hash = 'h6') OR id = 5", "read [id#] [5] [6]"),
        ("SELECT id FROM users_auth WHERE 1 = 1 AND id = 5", "read [id#] [5]"),
        ("SELECT * FROM users_auth WHERE 1 = 0", "[id# hash]"),
        // Order and windows.
        ("SELECT id FROM users_auth WHERE id IN (10, 5, 6) ORDER BY id", "read [id#] [5] [6] [10]"),
        ("SELECT id AS x FROM users_auth WHERE id IN (10, 5, 6) ORDER BY x DESC LIMIT 2", "read [x#] [10] [6]"),
        ("SELECT id FROM users_time WHERE id IN (5, 6, 7) ORDER BY time DESC, id DESC", "read [id#] [5] [7] [6]"),
        ("SELECT hash FROM users_auth WHERE id IN (10, 5, 6) ORDER BY hash", "read [hash] [h10] [h5] [h6]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 2", "read [id#] [1] [2]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 0", "[id#]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 1, 2", "read [id#] [2] [3]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 2 OFFSET 1", "read [id#] [2] [3]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 2, 5", "read [id#] [3]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 9, 5", "read [id#]"),
        // Counting, and expressions beside columns.
        ("SELECT COUNT(*) FROM users_auth WHERE id IN (5, 6, 7)", "read [COUNT(*)#] [2]"),
        ("SELECT COUNT(id) AS n FROM users_auth WHERE id IN (5, 6, 7) AND hash = 'h6'", "read [n#] [1]"),
        ("SELECT COUNT(*) FROM users_auth WHERE id = 0", "[COUNT(*)#] [0]"),
        ("SELECT 1 FROM users_auth WHERE id = 5", "read [1#] [1]"),
        ("SELECT id, CONNECTION_ID() FROM users_auth WHERE id = 5 FOR UPDATE", "read [id# CONNECTION_ID()#] [5 42]"),
    ]);
}

#[test]
fn reading_refused() {
    check(&[
        ("SELECT * FROM users_auth", "error 13"),
        ("SELECT * FROM users_time", "error 13"),
        ("SELECT * FROM users_auth WHERE id LIKE '1%'", "error 13"),
        ("SELECT id FROM users_time WHERE id > 5", "error 13"),
        ("SELECT id FROM users_time WHERE id < 5", "error 13"),
        ("SELECT id FROM users_auth WHERE id != 1", "error 13"),
        ("SELECT id FROM users_auth WHERE id <> 1", "error 13"),
        ("SELECT id FROM users_auth WHERE NOT id = 1", "error 13"),
        ("SELECT id FROM users_auth WHERE hash = 'x'", "error 13"),
        ("SELECT id FROM users_auth WHERE id = 5 OR hash = 'x'", "error 2"),
        ("SELECT id FROM users_auth WHERE 1 = 1", "error 13"),
        ("SELECT * FROM users_auth WHERE colour = 'red'", "error 14"),
        ("SELECT colour FROM users_auth WHERE id = 1", "error 14"),
        ("SELECT id FROM users_auth WHERE id = 1 ORDER BY colour", "error 14"),
        ("SELECT id, id FROM users_auth WHERE id = 1", "error 13"),
        ("SELECT *, id FROM users_auth WHERE id = 1", "error 13"),
        ("SELECT id, COUNT(*) FROM users_auth WHERE id = 1", "error 2"),
        ("SELECT UPPER(hash) FROM users_auth WHERE id = 1", "error 2"),
        ("SELECT CONCAT('x', LOWER(hash)) FROM users_auth WHERE id = 1", "error 2"),
        ("SELECT UPPER(colour) FROM users_auth WHERE id = 1", "error 14"),
        ("SELECT SQL_CALC_FOUND_ROWS id FROM users_auth WHERE id = 1", "error 3"),
        ("SELECT DISTINCT id FROM users_auth WHERE id = 1", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 1 GROUP BY id", "error 3"),
        ("SELECT id FROM users_auth WHERE id IN ()", "error 3"),
        ("SELECT id FROM users_auth WHERE id =", "error 3"),
        ("SELECT id FROM users_auth WHERE", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 1 LIMIT -1", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 1 LIMIT x", "error 3"),
        ("SELECT id FROM users_auth, users_data WHERE id = 1", "error 3"),
        ("SELECT id FROM users_auth JOIN users_data WHERE id = 1", "error 3"),
        ("SELECT id FROM users_auth WHERE id IN (SELECT id FROM users_data)", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 1 UNION SELECT 2", "error 3"),
        ("SELECT id FROM users_auth WHERE users_data.id = 1", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 1 + hash", "error 3"),
        ("SELECT id FROM users_auth WHERE id = NOPE(1)", "error 3"),
        ("SELECT id FROM users_auth WHERE id = (SELECT 1)", "error 3"),
        ("SELECT id FROM users_auth WHERE id = 5; SELECT 1", "error 3"),
        ("SELECT * FROM nope WHERE id = 1", "error 15"),
        ("SELECT * FROM information_schema.users_auth WHERE id = 1", "error 1146"),
        ("SELECT * FROM wordpress.wp_users WHERE id = 1", "error 1146"),
        ("SELECT * FROM dialogs WHERE id = 1", "error 15"),
        ("SELECT *, 1", "error 3"),
        ("SELECT COUNT(*)", "error 3"),
        ("SELECT nope", "error 14"),
        ("SELECT SLEEP(5)", "error 3"),
        ("SELECT id FROM users_auth WHERE id = ?", "error 3"),
    ]);
}

#[test]
fn counted_limits() {
    let numbered = |count: usize, text: &str, between: &str| {
        (0..count).map(|at| text.replace('#', &at.to_string())).collect::<Vec<_>>().join(between)
    };
    let row = |count| format!("INSERT INTO users_auth (id, hash) VALUES {}", numbered(count, "(1#, 'k')", ", "));
    let columns = |count| format!("SELECT {} FROM users_auth WHERE id = 1", numbered(count, "c#", ", "));
    let ids = |count| format!("SELECT id FROM users_auth WHERE id IN ({}) LIMIT 0", numbered(count, "1#", ","));
    let wide = |count| {
        format!("INSERT INTO users_auth ({}) VALUES ({})", numbered(count, "c#", ","), numbered(count, "#", ","))
    };
    for (query, expected) in [
        (columns(20), "error 14"),
        (columns(21), "error 20"),
        (format!("SELECT id FROM users_auth WHERE {}", numbered(11, "c# = 1", " AND ")), "error 18"),
        (format!("SELECT id FROM users_auth WHERE {}", numbered(10, "id != #", " AND ")), "error 13"),
        (ids(4000), "[id#]"),
        (ids(4001), "error 19"),
        (wide(20), "error 14"),
        (wide(21), "error 21"),
        (format!("INSERT INTO users_auth VALUES ({})", numbered(21, "#", ",")), "error 19"),
        (row(1001), "error 19"),
        ("abc".to_owned(), "error 17"),
        (String::new(), "error 17"),
        (" ".repeat(LIMITS.query_bytes_max + 1), "error 11"),
    ] {
        assert_eq!(show(run(&query)), expected, "{query:.200}");
    }
    assert!(matches!(run(&row(1000)), Ok(Plan::Write { writes, .. }) if writes.len() == 1000));
}

#[test]
fn expressions() {
    check(&[
        ("SELECT 1", "[1#] [1]"),
        ("SELECT 'x', \"y\" AS z", "[x z] [x y]"),
        ("SELECT -1", "[-1#] [-1]"),
        ("SELECT 1 FROM DUAL", "[1#] [1]"),
        ("select @@version_comment limit 1", "[@@version_comment] [Encke comet server, CometQL]"),
        ("SELECT @@max_allowed_packet", "[@@max_allowed_packet#] [200000]"),
        ("SELECT @@session.autocommit, @@GLOBAL.Wait_Timeout AS w", "[@@session.autocommit# w#] [1 28800]"),
        ("SELECT @@max_connections, @@wait_timeout", "[@@max_connections# @@wait_timeout#] [500 28800]"),
        ("SELECT @@nope, @mine", "[@@nope @mine] [ NULL]"),
        ("SELECT VERSION()", "[VERSION()] [8.0.35-encke]"),
        ("SELECT DATABASE()", "[DATABASE()] [CometQL_v1]"),
        ("SELECT database( ) as d", "[d] [CometQL_v1]"),
        ("SELECT USER(), CURRENT_USER(), CURRENT_USER", "[USER() CURRENT_USER() CURRENT_USER] [7@localhost 7@% 7@%]"),
        ("SELECT CONNECTION_ID()", "[CONNECTION_ID()#] [42]"),
        (
            "SELECT NOW(), CURRENT_DATE, UNIX_TIMESTAMP()",
            "[NOW() CURRENT_DATE UNIX_TIMESTAMP()#] [2023-11-14 22:13:20 2023-11-14 1700000000]",
        ),
        (
            "SELECT NOW(3), CURRENT_TIMESTAMP(0)",
            "[NOW(3) CURRENT_TIMESTAMP(0)] [2023-11-14 22:13:20.000 2023-11-14 22:13:20]",
        ),
        ("SELECT NOW(7)", "error 3"),
        ("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())", "[TIMEDIFF(NOW(), UTC_TIMESTAMP())] [00:00:00]"),
        ("SELECT 1 LIMIT 0", "[1#]"),
        ("SELECT 1 WHERE 1 = 0", "catalog"),
        // Connector/J, when it connects.
        (
            "/* mysql-connector-j-8.3.0 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@performance_schema AS performance_schema, @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
            "[auto_increment_increment# character_set_client performance_schema# transaction_isolation wait_timeout#] [1 utf8mb4 0 READ-COMMITTED 28800]",
        ),
    ]);
    // Texts are made before anything else of a query begins, so all of it has one bound.
    let made = format!("REPLACE('{}', 'a', '{}')", "a".repeat(250), "b".repeat(250));
    let many = |count: usize| format!("SELECT LENGTH(COALESCE({})) AS n", vec![made.as_str(); count].join(", "));
    let session = session();
    let outcome = |count: usize| {
        let statement = parse(&many(count), StringEscapes::Mysql).unwrap();
        plan(&statement, &session).map_err(|error| error.code)
    };
    assert_eq!(show(outcome(120).map_err(|code| Error::new(code, ""))), "[n#] [62500]");
    assert_eq!(outcome(120), Err(Code::TooLong));

    let nowhere = SessionView { database: None, ..self::session() };
    let statement = parse("SELECT DATABASE()", StringEscapes::Mysql).unwrap();
    assert_eq!(show(plan(&statement, &nowhere)), "[DATABASE()] []");
}

#[test]
fn session_statements() {
    check(&[
        ("SHOW DATABASES", "[Database] [CometQL_v1]"),
        ("show databases;", "[Database] [CometQL_v1]"),
        ("SHOW DATABASES LIKE 'cometql\\_%'", "[Database] [CometQL_v1]"),
        ("SHOW DATABASES LIKE 'x%'", "[Database]"),
        ("SHOW TABLES LIKE 'users_a%'", "[Tables] [users_auth]"),
        (
            "SHOW FULL TABLES FROM `CometQL_v1` WHERE Table_type = 'base table' AND Tables IN ('pipes')",
            "[Tables Table_type] [pipes BASE TABLE]",
        ),
        ("SHOW TABLES WHERE nope = 1", "error 14"),
        ("DESCRIBE users_auth", "[Field Type Null Key Default Extra] [id int(11) NO PRI  ] [hash varchar(32) NO   ]"),
        ("desc `users_auth` hash", "[Field Type Null Key Default Extra] [hash varchar(32) NO   ]"),
        ("EXPLAIN users_auth 'i%'", "[Field Type Null Key Default Extra] [id int(11) NO PRI  ]"),
        ("EXPLAIN SELECT 1", "error 3"),
        (
            "SHOW COLUMNS FROM users_time",
            "[Field Type Null Key Default Extra] [id int(11) NO PRI  ] [time int(11) NO   ]",
        ),
        (
            "SHOW FIELDS IN pipes FROM CometQL_v1 LIKE 'n%'",
            "[Field Type Null Key Default Extra] [name varchar(64) NO PRI  ]",
        ),
        ("DESCRIBE no_such_table", "error 15"),
        ("DESCRIBE dialogs", "error 15"),
        ("DESCRIBE mysql.pipes", "error 1146"),
        ("SHOW COLUMNS FROM pipes FROM mysql", "error 1146"),
        ("SHOW FULL COLUMNS FROM nope", "error 1146"),
        ("SHOW INDEX FROM nope", "error 1146"),
        ("SHOW CREATE TABLE nope", "error 1146"),
        (
            "SHOW VARIABLES LIKE 'lower_case_%'",
            "[Variable_name Value] [lower_case_file_system OFF] [lower_case_table_names 0]",
        ),
        ("SHOW GLOBAL VARIABLES LIKE 'Lower_Case_Table_Names'", "[Variable_name Value] [lower_case_table_names 0]"),
        (
            "SHOW SESSION VARIABLES WHERE Variable_name = 'tx_isolation' OR Variable_name = 'license' AND 1 = 0",
            "[Variable_name Value] [tx_isolation READ-COMMITTED]",
        ),
        ("SHOW RAM VARIABLES LIKE 'a%'", "[Variable_name Value]"),
        ("SHOW STATUS", "live Status(Session)"),
        ("SHOW GLOBAL STATUS", "live Status(Global)"),
        ("SHOW RAM STATUS LIKE 'Mem%'", "live Status(Ram)"),
        ("SHOW FILESYSTEM STATUS", "live Status(Filesystem)"),
        ("SHOW AVG STATUS", "live Status(Avg)"),
        ("SHOW UPTIME STATUS", "live Status(Uptime)"),
        ("SHOW PROCESSLIST", "live Processlist"),
        ("SHOW FULL PROCESSLIST", "read [Id User Host db Command Time State Info] [5 root 127.0.0.1 db_7 Sleep 0 - -]"),
        ("SHOW FULL PROCESSLIST WHERE Command = 'query'", "read [Id User Host db Command Time State Info]"),
        ("SHOW WARNINGS LIMIT 0, 5", "[Level Code Message]"),
        ("SHOW ERRORS", "[Level Code Message]"),
        ("SHOW COUNT(*) WARNINGS", "[@@session.warning_count] [0]"),
        (
            "SHOW COLLATION WHERE Id = 45",
            "[Collation Charset Id Default Compiled Sortlen] [utf8mb4_general_ci utf8mb4 45 Yes Yes 1]",
        ),
        (
            "SHOW CHARACTER SET LIKE 'utf8mb4'",
            "[Charset Description Default collation Maxlen] [utf8mb4 UTF-8 Unicode utf8mb4_general_ci 4]",
        ),
        (
            "SHOW INDEX FROM pipes WHERE Key_name != 'PRIMARY'",
            "[Table Non_unique Key_name Seq_in_index Column_name Collation Cardinality Sub_part Packed Null Index_type Comment Index_comment]",
        ),
        (
            "SHOW CREATE TABLE users_auth",
            "[Table Create Table] [users_auth CREATE TABLE `users_auth` (\n  `id` int(11) NOT NULL,\n  `hash` varchar(32) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=CometQL DEFAULT CHARSET=utf8mb4]",
        ),
        (
            "SHOW ENGINES",
            "[Engine Support Comment Transactions XA Savepoints] [CometQL DEFAULT Live state of the comet server NO NO NO]",
        ),
        ("SHOW FROBS", "error 3"),
        ("SHOW", "error 3"),
        ("SHOW FULL STATUS", "error 3"),
        ("SHOW GLOBAL TABLES", "error 3"),
        ("SHOW TABLES x", "error 3"),
        ("SET AUTOCOMMIT = 0", "remember"),
        ("SET autocommit=1", "remember"),
        ("SET SESSION sql_mode = 'ANSI'", "remember"),
        ("SET @@sql_mode 'ANSI'", "remember"),
        ("SET section name value", "error 3"),
        ("SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, @x := 5", "remember"),
        ("SET character_set_results = NULL", "remember"),
        ("/*!40101 SET NAMES utf8 */;", "remember"),
        ("SET PASSWORD = 'x'", "error 3"),
        ("SET ", "error 3"),
        ("LOCK TABLES users_auth WRITE", "error 3"),
        ("USE CometQL_v1", "use"),
        ("USE `db_2`;", "use 2"),
        ("USE db_100000", "error 15"),
        ("USE nope", "error 15"),
        ("KILL 12", "kill 12"),
        ("KILL CONNECTION 12", "kill 12"),
        ("KILL 36028797018963968", "kill 36028797018963968"),
        ("KILL 99999999999999999999", "error 1094"),
        ("KILL QUERY 12", "ok 0 0"),
        ("KILL x", "error 1094"),
        (";;;;;", "ok 0 0"),
        ("-- nothing", "ok 0 0"),
        ("/*!999999\\- enable the sandbox mode */", "ok 0 0"),
    ]);
    let Ok(Plan::Live(live)) = run("SHOW STATUS LIKE 'user%'") else { panic!("no live plan") };
    let rows = [["user_online", "3"], ["messages", "4"]].map(|row| row.map(Box::from).to_vec());
    assert_eq!(show_set(&live.query.apply(rows.into()).unwrap()), "[Variable_name Value] [user_online 3]");
}

/// Every column of every table can be named bare in each clause, though many are keywords elsewhere.
#[test]
fn all_columns_in_all_clauses() {
    for table in Table::listed() {
        let key = table.columns[table.key_column].name;
        for column in table.columns {
            let name = column.name;
            for query in [
                format!("SELECT {name} FROM {} WHERE {key} IN (0) AND {name} = 'x' ORDER BY {name}", table.name),
                format!("select {name} from {} where {key} in (0) and {name} in (x, y) limit 1", table.name),
            ] {
                // Id 0, a name of one character and rows with such values: none of them is there.
                let got = show(run(&query));
                let heading = if column.number { format!("{}#", column.name) } else { column.name.to_owned() };
                assert!([format!("[{heading}]"), format!("read [{heading}]")].contains(&got), "{query}: {got}");
            }
        }
        let names = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
        let values = table.columns.iter().map(|_| "100").collect::<Vec<_>>().join(",");
        let query = format!("INSERT INTO {} ({names}) VALUES ({values})", table.name);
        assert!(parse(&query, StringEscapes::Mysql).is_ok(), "{query}");
    }
}

#[test]
fn databases() {
    for (name, expected) in [
        (&b"CometQL_v1"[..], Ok(Database::CometQl)),
        (b"db_0", Ok(Database::Tenant(DevId(0)))),
        (b"db_99999", Ok(Database::Tenant(DevId(99_999)))),
        (b"db_100000", Err(Code::NotFound)),
        (b"db_99999999999", Err(Code::NotFound)),
        (b"db_", Err(Code::NotFound)),
        (b"db_+1", Err(Code::NotFound)),
        (b"db_1x", Err(Code::NotFound)),
        (b"DB_1", Err(Code::NotFound)),
        (b"cometql_V1", Err(Code::NotFound)),
        (b"\xff", Err(Code::NotFound)),
        (b"", Err(Code::NotFound)),
    ] {
        assert_eq!(parse_database(name, 99_999).map_err(|error| error.code), expected);
    }
}

#[test]
fn before_parsing() {
    let prefixed = |query: &'static str| take_cluster_prefix(query.as_bytes(), 5).map_err(|error| error.code);
    assert_eq!(prefixed("SELECT 1"), Ok((None, &b"SELECT 1"[..])));
    assert_eq!(prefixed("cometqlcluster_v1 set dev_id=5;SELECT 1"), Ok((Some(DevId(5)), &b"SELECT 1"[..])));
    assert_eq!(prefixed("cometqlcluster_v1 set dev_id=6;SELECT 1"), Err(Code::Authentication));
    assert_eq!(prefixed("cometqlcluster_v1 set dev_id=x;SELECT 1"), Err(Code::Authentication));
    assert_eq!(check_text(b"SELECT 'bad \xff\xfe'").map_err(|error| error.code), Err(Code::Invalid));
    assert_eq!(check_text("SELECT '😀'".as_bytes()), Ok("SELECT '😀'"));
}

#[test]
fn columns_of_prepared_statements() {
    for (query, expected) in [
        ("SELECT name, users FROM pipes WHERE name = ?", "name users#"),
        ("SELECT COUNT(*) FROM users_auth WHERE id IN (?, ?) LIMIT ?", "COUNT(*)#"),
        ("SELECT ?, 1, CONNECTION_ID()", "? 1# CONNECTION_ID()#"),
        ("SHOW STATUS LIKE ?", "Variable_name Value"),
        ("DESCRIBE users_auth", "Field Type Null Key Default Extra"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", ""),
        ("DELETE FROM users_auth WHERE id = ?", ""),
        ("SET NAMES utf8", ""),
    ] {
        let columns = result_columns(&prepare(query, StringEscapes::Mysql).unwrap(), &session()).unwrap();
        let shown = join(columns, |column| format!("{}{}", column.name, if column.number { "#" } else { "" }));
        assert_eq!(shown, expected, "{query}");
    }
    for (query, code) in [("SELECT nope FROM pipes WHERE name = ?", 14), ("SELECT * FROM nope WHERE name = ?", 15)] {
        let error = result_columns(&prepare(query, StringEscapes::Mysql).unwrap(), &session()).unwrap_err();
        assert_eq!(error.code.number(), code, "{query}");
    }
}

/// NULL parameters: missing in an INSERT, equal to nothing in a WHERE.
#[test]
fn null_parameters() {
    for (query, expected) in [
        ("INSERT INTO users_data (id, data) VALUES (5, ?)", "error 12"),
        ("INSERT INTO pipes_messages (name, event, message, user_id) VALUES ('pipe', 'ev', 'm', ?)", "pipe/ev/m"),
        ("SELECT id FROM users_auth WHERE id = ?", "[id#]"),
        ("SELECT id FROM users_auth WHERE id IN (5, ?)", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND hash != ?", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND NOT hash = ?", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND hash NOT IN ('x', ?)", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND (hash LIKE ? OR hash = 'h5')", "read [id#] [5]"),
        ("DELETE FROM users_auth WHERE id IN (5, 6) AND NOT id = ?", "ok 0 0"),
        ("SELECT ?", "[?] [NULL]"),
    ] {
        let statement = prepare(query, StringEscapes::Mysql).unwrap().bind(&[Value::Null]).unwrap();
        assert_eq!(show(plan(&statement, &session())), expected, "{query}");
    }
}

fn like(pattern: &str, text: &str, ignore_case: bool) -> bool {
    like::like(pattern, text, ignore_case, &mut Effort::default())
}

fn row_query(query: &str) -> RowQuery {
    match run(query) {
        Ok(Plan::Read { query, .. }) => query,
        other => panic!("{query:.100}: {other:?}"),
    }
}

/// Long lists are searched, not walked, for every row; LIKE gives up before it holds the shard for long.
#[test]
fn expensive_conditions() {
    let ids = (1..=4000).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let query = row_query(&format!("SELECT id FROM users_time WHERE id IN ({ids}) AND id != 7"));
    let rows = rows_of_times((1..=4000).filter_map(UserId::new).map(|user| (user, -1)));
    assert_eq!(query.apply(rows).unwrap().rows.len(), 3999);

    let row = |text: String| vec![vec![Box::from("5"), text.into_boxed_str()]];
    let many = row_query(&format!("SELECT id FROM users_data WHERE id = 5 AND data LIKE '%{}b'", "a%".repeat(100)));
    assert_eq!(many.apply(row("a".repeat(1000) + "b")).unwrap().rows.len(), 1);
    let slow = row_query(&format!("SELECT id FROM users_data WHERE id = 5 AND data LIKE '%{}b'", "a".repeat(200)));
    assert_eq!(slow.apply(row("a".repeat(500_000))).unwrap_err().code, Code::TooLong);
}

/// Rows that come bit by bit make the same answer as all of them at once, whatever the query.
#[test]
fn answers_in_pieces() {
    let rows = rows_of_times((1..=100).filter_map(UserId::new).map(|user| (user, i64::from(user.get() * 37 % 101))));
    for (tail, held) in [
        ("", false),
        ("AND time > 50", false),
        ("LIMIT 10", false),
        ("LIMIT 10 OFFSET 95", false),
        ("AND time > 50 LIMIT 5, 7", false),
        ("LIMIT 200, 1", false),
        ("ORDER BY time", true),
        ("AND id < 90 ORDER BY time DESC LIMIT 3 OFFSET 2", true),
    ] {
        for columns in ["id", "time, id, 1", "COUNT(*)"] {
            let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
            let query = row_query(&format!("SELECT {columns} FROM users_time WHERE id IN ({ids}) {tail}"));
            let whole = query.clone().apply(rows.clone()).unwrap();
            let mut stream = query.stream();
            let mut pieces = Vec::new();
            let mut early = false;
            for piece in rows.chunks(7) {
                if !stream.wants_more() {
                    early = true;
                    break;
                }
                stream.push(piece.to_vec());
                stream.look(u32::MAX).unwrap();
                if !held {
                    pieces.extend(std::iter::from_fn(|| stream.take_row()));
                    assert!(stream.bytes() < 2_000, "{tail}");
                }
            }
            stream.finish();
            stream.look(u32::MAX).unwrap();
            pieces.extend(std::iter::from_fn(|| stream.take_row()));
            assert_eq!(pieces, whole.rows, "{columns} {tail}");
            let short = ["LIMIT 10", "AND time > 50 LIMIT 5, 7"].contains(&tail) && columns != "COUNT(*)";
            assert_eq!(early, short, "{columns} {tail}");
        }
    }
    // Only those that wait for their order are limited.
    let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let mut query = row_query(&format!("SELECT id FROM users_time WHERE id IN ({ids}) ORDER BY id"));
    query.bytes_max = 1_000;
    let look = |query: RowQuery| {
        let mut stream = query.stream();
        stream.push(rows.clone());
        stream.look(u32::MAX)
    };
    assert_eq!(look(query.clone()).unwrap_err().code, Code::TooLong);
    query.order.clear();
    look(query).unwrap();
}

#[test]
fn like_patterns() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("%", "", true),
        ("a%", "abc", true),
        ("%c", "abc", true),
        ("%b%", "abc", true),
        ("a_c", "abc", true),
        ("a_c", "ac", false),
        ("_", "ж", true),
        ("%a%b", "xaxab", true),
        ("%a%b", "xaxba", false),
        ("a\\%", "a%", true),
        ("a\\%", "ab", false),
        ("a\\_c", "a_c", true),
        ("a\\", "a\\", true),
        ("A", "a", false),
    ] {
        assert_eq!(like(pattern, text, false), expected, "{pattern} {text}");
    }
    assert!(like("LoWer_%", "lower_case", true));
    let long = format!("SHOW VARIABLES LIKE '{}'", "a".repeat(257));
    assert_eq!(show(run(&long)), "error 11");
}

#[test]
fn dates() {
    for (unix, expected) in [
        (0, "[NOW()] [1970-01-01 00:00:00]"),
        (-1, "[NOW()] [1969-12-31 23:59:59]"),
        (951_782_400, "[NOW()] [2000-02-29 00:00:00]"),
        (1_709_251_199, "[NOW()] [2024-02-29 23:59:59]"),
        (4_107_542_400, "[NOW()] [2100-03-01 00:00:00]"),
        (i64::MAX, "[NOW()] [9999-12-31 23:59:59]"),
        (i64::MIN, "[NOW()] [0000-01-01 00:00:00]"),
    ] {
        let session = SessionView { unix: UnixTime(unix), ..session() };
        let statement = parse("SELECT NOW()", StringEscapes::Mysql).unwrap();
        assert_eq!(show(plan(&statement, &session)), expected);
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
