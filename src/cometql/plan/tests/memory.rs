//! What a session remembers: SET, transactions, modes, and what functions tell of the statement before.

use super::*;
use crate::cometql::introspection::Answered;
use crate::cometql::session::{VARIABLE_BYTES_MAX, VARIABLES_BYTES_MAX, VARIABLES_MAX};
use crate::cometql::sql::modes::Treatment;
use crate::cometql::sql::{Modes, Reading};

/// A session that carries out what needs no owner and no storage.
#[derive(Default)]
struct Conversation {
    memory: Memory,
}

impl Conversation {
    fn reading(&self) -> Reading {
        Reading { escapes: StringEscapes::Mysql, modes: self.memory.modes() }
    }

    fn plan(&self, query: &str) -> Result<Plan, Error> {
        let view = SessionView { memory: &self.memory, ..session() };
        if let Some(insert) = fast::insert(query.as_bytes(), self.reading()) {
            let plan = plan_insert(&insert, &view);
            let slow =
                parse(query, self.reading()).map_err(Error::from).and_then(|statement| plan_of(&statement, &view));
            assert_eq!(plan, slow, "{query}");
            return plan;
        }
        plan_of(&parse(query, self.reading())?, &view)
    }

    fn say(&mut self, query: &str) -> String {
        let planned = self.plan(query);
        match planned {
            Ok(Plan::Remember(memory)) => {
                self.memory = *memory;
                "ok".to_owned()
            }
            Ok(Plan::Transaction(transaction)) => {
                let ends = self.memory.carry_out(transaction);
                if ends { "bye".to_owned() } else { "ok".to_owned() }
            }
            Ok(Plan::Catalog(catalog)) => {
                let Answered { rows: answer, assigned } = catalog.answer(&Budget::default(), &|_| Vec::new());
                match answer {
                    Err(error) => format!("error {}", error.code.number()),
                    Ok(rows) => {
                        for (name, value) in assigned {
                            self.memory.set_variable(&name, value).unwrap();
                        }
                        show_set(&rows)
                    }
                }
            }
            other => show(other),
        }
    }

    fn check(&mut self, script: &[(&str, &str)]) {
        for (query, expected) in script {
            assert_eq!(self.say(query), *expected, "{query}");
        }
    }
}

fn plan_of(statement: &Statement, view: &SessionView<'_>) -> Result<Plan, Error> {
    plan(statement, view)
}

/// Each was OK once, by its first word, and the rest was passed over.
#[test]
fn session_statements_are_read_to_their_last_word() {
    for query in [
        "SET STATEMENT max_statement_time=60 FOR INSERT INTO pipes_messages (name, event, message) VALUES ('pipe','e','m')",
        "SET STATEMENT max_statement_time=60 FOR DELETE FROM users_auth WHERE id = 5",
        "SET NAMES utf8mb4 INSERT INTO pipes_messages (name, event, message) VALUES ('pipe','e','m')",
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin DELETE FROM users_auth WHERE id = 5",
        "SET CHARACTER SET utf8 SELECT 1",
        "SET @x = 1 DELETE FROM users_auth WHERE id = 5",
        "SET @x = 1 y",
        "SET @x = (1) y",
        "SET @x",
        "SET @x =",
        "SET @ = 1",
        "SET autocommit = 1 INSERT INTO pipes_messages SET name = 'x'",
        "SET autocommit = 5",
        "SET autocommit",
        "SET , @x = 1",
        "SET @x = 1,",
        "SET no_such_variable = 1",
        "SET GLOBAL sql_mode = ''",
        "SET @@global.time_zone = '+00:00'",
        "SET PERSIST max_connections = 5",
        "SET PERSIST log_level = 'debug'",
        "SET GLOBAL log_level = 'debug', @x = 1",
        "SET @x = 1, GLOBAL log_level = 'debug'",
        "SET GLOBAL log_level = NULL",
        "SET GLOBAL log_level = 'debug' x",
        "SET log_level = 'debug'",
        "FLUSH",
        "FLUSH LOGS x",
        "FLUSH SETTINGS, LOGS",
        "SHUTDOWN NOW",
        "ALTER INSTANCE",
        "ALTER INSTANCE RELOAD",
        "ALTER INSTANCE RELOAD TLS x",
        "ALTER TABLE pipes RELOAD TLS",
        "SET ROLE NONE",
        "SET DEFAULT ROLE x TO y",
        "SET TRANSACTION",
        "SET TRANSACTION READ ONLY DELETE FROM users_auth WHERE id = 5",
        "SET TRANSACTION ISOLATION LEVEL",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED x",
        "SET time_zone = 'Europe/Nowhere'",
        "SET timestamp = 5",
        "SET NAMES gbk",
        "SET NAMES 'SJIS' COLLATE 'sjis_bin'",
        "SET autocommit = 1, NAMES Big5",
        "SET CHARACTER SET gb18030",
        "SET CHARSET cp932",
        "SET character_set_client = 'euckr'",
        "SET @@session.character_set_client = utf16",
        "SET @x = (SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS LIMIT 1)",
        "BEGIN INSERT INTO pipes_messages SET name = 'x'",
        "BEGIN NOT ATOMIC",
        "BEGIN; DELETE FROM users_auth WHERE id = 5",
        "START TRANSACTION DELETE FROM users_auth WHERE id = 5",
        "START TRANSACTION READ",
        "START SLAVE",
        "COMMIT INSERT",
        "COMMIT AND",
        "COMMIT, INSERT",
        "ROLLBACK INSERT",
        "ROLLBACK TO",
        "SAVEPOINT",
        "SAVEPOINT a b",
        "RELEASE SAVEPOINT a b",
        "RELEASE",
        "UNLOCK TABLES users_auth",
        "UNLOCK TABLES INSERT",
        "USE CometQL_v1 DELETE",
        "KILL 12 INSERT",
        "KILL QUERY 12 INSERT",
        "SHOW WARNINGS LIMIT 5 INSERT",
        "SHOW BINLOG EVENTS INSERT INTO x",
        "SHOW PROFILE INSERT INTO x",
        "SHOW CREATE VIEW x INSERT INTO x",
        "SHOW CREATE USER root INSERT INTO x",
        "SHOW TABLES INSERT",
    ] {
        assert_eq!(Conversation::default().say(query), "error 3", "{query}");
    }
    for query in [
        "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'",
        "SET NAMES DEFAULT",
        "SET CHARSET utf8mb4",
        "SET NAMES latin1",
        "SET character_set_client = 'cp1251', character_set_results = NULL",
        "SET names utf8, @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), @@SESSION.wait_timeout = 2147483",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET @a := 1, @b = @a, @`c d` = 'x', @'e' = 2",
        "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'",
        "SET LOCAL time_zone = '+00:00'",
        "SET foreign_key_checks = 0, unique_checks = 0",
        "SET innodb_lock_wait_timeout = 5",
        "SET sql_safe_updates=1, sql_select_limit=1000, max_join_size=1000000",
        "SET SQL_QUOTE_SHOW_CREATE=1",
        "BEGIN",
        "BEGIN WORK",
        "START TRANSACTION",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE",
        "COMMIT WORK AND NO CHAIN NO RELEASE",
        "ROLLBACK WORK TO SAVEPOINT `a`",
        "ROLLBACK TO a",
        "SAVEPOINT x1",
        "RELEASE SAVEPOINT x1",
        "UNLOCK TABLES",
    ] {
        assert_eq!(Conversation::default().say(query), "ok", "{query}");
    }
    assert_eq!(Conversation::default().say("COMMIT AND CHAIN RELEASE"), "bye");
    assert_eq!(Conversation::default().say("SHOW PROFILE CPU, BLOCK IO FOR QUERY 1 LIMIT 1"), "[Status Duration]");
    assert_eq!(Conversation::default().say("SHOW CREATE VIEW x"), "error 15");
}

#[test]
fn variables_of_the_user_are_kept() {
    Conversation::default().check(&[
        ("SELECT @m, @m + 1", "[@m @m + 1#] [NULL NULL]"),
        ("SET @m = 'hello', @n = 5, @none = NULL", "ok"),
        ("SELECT @m, @N, @none", "[@m @N# @none] [hello 5 NULL]"),
        ("SELECT UPPER(@m) AS big, @n + 1", "[big @n + 1#] [HELLO 6]"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', @m)", "pipe/ev/hello"),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', @n, @'m'), ('pipe', 'b', @`m`)",
            "pipe/5/hello pipe/b/hello",
        ),
        ("INSERT INTO pipes_messages SET name = 'pipe', event = 'ev', message = @m", "pipe/ev/hello"),
        ("INSERT INTO users_auth (id, hash) VALUES (@n, @m)", "hash 7:5=hello, ok 1 5"),
        ("INSERT INTO users_auth (id, hash) VALUES (@n, @none)", "error 12"),
        ("INSERT INTO users_auth (id, hash) VALUES (5, @never)", "error 12"),
        ("UPDATE users_auth SET hash = @m WHERE id = @n", "~hash 7:5=hello"),
        ("DELETE FROM users_auth WHERE id IN (@n, 6)", "-hash 7:5 -hash 7:6, ok 0 0"),
        ("SET @m = CONCAT(@m, ' world')", "ok"),
        ("SELECT @m", "[@m] [hello world]"),
        // All of it or nothing.
        ("SET @m = 'lost', time_zone = 'nowhere'", "error 3"),
        ("SELECT @m", "[@m] [hello world]"),
        ("SELECT @x := 1", "[@x := 1#] [1]"),
        ("SELECT @x, @x := @x + 1 AS x, @x", "[@x x# @x] [1 2 2]"),
        ("SELECT @a := @b := 3, @a + @b", "[@a := @b := 3# @a + @b#] [3 6]"),
        ("SELECT CASE WHEN 1 THEN @k := 'one' ELSE @k := 'two' END AS k, @k", "[k @k] [one one]"),
        ("SELECT @x", "[@x#] [2]"),
    ]);
}

/// Published was the name of the variable, and the word of the function.
#[test]
fn what_is_no_literal_is_no_text() {
    Conversation::default().check(&[
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', @@hostname)", "pipe/ev/localhost"),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', @@session.sql_mode)",
            "pipe/ev/STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
        ),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', CURRENT_TIMESTAMP)",
            "pipe/ev/2023-11-14 22:13:20",
        ),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', utc_date)", "pipe/ev/2023-11-14"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', current_user)", "pipe/ev/7@%"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', CURRENT_TIMESTAMP())", "error 3"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', a$b)", "error 3"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', привет)", "error 3"),
        ("SELECT id FROM users_time WHERE id IN (a$b)", "error 3"),
        // As CppComet has it.
        ("INSERT INTO pipes_messages (name, event, message) VALUES (pipe, default, null)", "pipe/default/null"),
        (
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'CURRENT_TIMESTAMP')",
            "pipe/ev/CURRENT_TIMESTAMP",
        ),
        ("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', '@m')", "pipe/ev/@m"),
    ]);
}

#[test]
fn variables_are_bounded() {
    let mut session = Conversation::default();
    for nth in 0..VARIABLES_MAX {
        assert_eq!(session.say(&format!("SET @v{nth} = 1")), "ok");
    }
    session.check(&[("SET @more = 1", "error 11"), ("SET @v0 = 2", "ok"), ("SELECT @v0", "[@v0#] [2]")]);
    let mut session = Conversation::default();
    let long = "x".repeat(VARIABLE_BYTES_MAX);
    let mut told = Vec::new();
    for nth in 0..5 {
        told.push(session.say(&format!("SET @v{nth} = '{long}'")));
    }
    assert_eq!(told, ["ok", "ok", "ok", "error 11", "error 11"]);
    assert_eq!(session.say(&format!("SET @v0 = '{long}x'")), "error 11");
    assert!(session.memory.bytes() <= VARIABLES_BYTES_MAX);
    session.check(&[("SET @v0 = '', @v1 = '', @v2 = ''", "ok"), ("SELECT @v0", "[@v0] []")]);
    assert!(session.memory.bytes() < 1_000);
}

#[test]
fn the_last_statement_is_told_of() {
    let mut session = Conversation::default();
    let told = "SELECT ROW_COUNT(), LAST_INSERT_ID(), FOUND_ROWS(), @@last_insert_id, @@identity";
    let check = |session: &Conversation, expected: &str| {
        let shown = show(session.plan(told));
        assert_eq!(shown.split_once(']').map(|(_, row)| row.trim()), Some(expected));
    };
    check(&session, "[0 0 0 0 0]");
    session.memory.changed_rows(3, 7);
    check(&session, "[3 7 0 7 7]");
    session.memory.changed_rows(1, 0);
    check(&session, "[1 7 0 7 7]");
    session.memory.gave_rows(12);
    check(&session, "[-1 7 12 7 7]");
    session.memory.failed();
    check(&session, "[-1 7 12 7 7]");
}

#[test]
fn transactions_are_what_a_client_is_told_they_are() {
    let mut session = Conversation::default();
    let state = |session: &Conversation| (session.memory.in_transaction(), session.memory.autocommits());
    assert_eq!(state(&session), (false, true));
    for (query, expected) in [
        ("BEGIN", (true, true)),
        ("COMMIT", (false, true)),
        ("START TRANSACTION", (true, true)),
        ("SAVEPOINT a", (true, true)),
        ("ROLLBACK TO SAVEPOINT a", (true, true)),
        ("ROLLBACK AND CHAIN", (true, true)),
        ("COMMIT AND NO CHAIN", (false, true)),
        ("COMMIT AND CHAIN", (false, true)),
        ("SET autocommit = 0", (false, false)),
        ("SET @x = 1", (false, false)),
        ("ROLLBACK", (false, false)),
        ("SET autocommit = ON", (false, true)),
        ("BEGIN", (true, true)),
        ("SET autocommit = 1", (true, true)),
    ] {
        assert_eq!(session.say(query), "ok", "{query}");
        assert_eq!(state(&session), expected, "{query}");
    }
    // Without autocommit a statement about tables begins one.
    let mut session = Conversation::default();
    session.say("SET autocommit = 0");
    session.memory.touches_tables(false);
    assert_eq!(state(&session), (true, false));
    session.say("SET autocommit = 1");
    assert_eq!(state(&session), (false, true));
}

/// Publications are out and rows are kept; whoever rolls back is told so, as MySQL tells of tables without transactions.
#[test]
fn what_was_written_is_not_rolled_back() {
    let mut session = Conversation::default();
    session.check(&[("BEGIN", "ok"), ("ROLLBACK", "ok"), ("SHOW WARNINGS", "[Level Code Message]")]);
    for end in ["ROLLBACK", "ROLLBACK TO SAVEPOINT a"] {
        session.say("BEGIN");
        session.memory.touches_tables(true);
        assert_eq!(session.say(end), "ok");
        assert_eq!(
            session.say("SHOW WARNINGS"),
            "[Level Code Message] [Warning 1196 Nothing was undone: messages are out when they are published, and rows are kept at once]"
        );
        session.check(&[
            ("SELECT @@warning_count", "[@@warning_count#] [1]"),
            ("SHOW COUNT(*) WARNINGS", "[@@session.warning_count] [1]"),
            ("SHOW COUNT(*) ERRORS", "[@@session.error_count] [0]"),
            ("SHOW ERRORS", "[Level Code Message]"),
        ]);
        session.memory.forget_warning();
        session.check(&[("SHOW WARNINGS", "[Level Code Message]"), ("COMMIT", "ok")]);
    }
}

#[test]
fn who_only_reads_writes_nothing() {
    let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', 'm')";
    let mut session = Conversation::default();
    session.check(&[
        ("START TRANSACTION READ ONLY", "ok"),
        (insert, "error 1792"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 1", "error 1792"),
        ("DELETE FROM users_auth WHERE id = 1", "error 1792"),
        ("INSERT INTO users_auth (id, hash) VALUES (1, 'x') ON DUPLICATE KEY UPDATE hash = 'x'", "error 1792"),
        ("COMMIT", "ok"),
        (insert, "pipe/ev/m"),
        ("SET SESSION TRANSACTION READ ONLY", "ok"),
        ("SELECT @@session.transaction_read_only", "[@@session.transaction_read_only#] [1]"),
        (insert, "error 1792"),
        ("BEGIN", "ok"),
        (insert, "error 1792"),
        ("START TRANSACTION READ WRITE", "ok"),
        (insert, "pipe/ev/m"),
        ("COMMIT", "ok"),
        ("SET SESSION TRANSACTION READ WRITE", "ok"),
        ("SET TRANSACTION READ ONLY", "ok"),
        (insert, "error 1792"),
        ("BEGIN", "ok"),
        (insert, "error 1792"),
        ("COMMIT", "ok"),
        (insert, "pipe/ev/m"),
    ]);
}

/// A client quotes by the mode that it set. Each mode is either honoured or refused.
#[test]
fn every_mode_is_honoured_or_refused() {
    for (name, treatment) in Modes::all() {
        let mut session = Conversation::default();
        let said = session.say(&format!("SET sql_mode = '{name}'"));
        let others = session.say(&format!("SET SESSION sql_mode = 'STRICT_ALL_TABLES,{name}'"));
        if treatment == Treatment::Refused {
            assert_eq!((&*said, &*others), ("error 3", "error 3"), "{name}");
            assert_eq!(session.memory.modes(), Modes::DEFAULT, "{name}");
            continue;
        }
        assert_eq!((&*said, &*others), ("ok", "ok"), "{name}");
        let Ok(Plan::Reply(Reply::Rows(rows))) = session.plan("SELECT @@sql_mode") else { panic!("{name}") };
        let shown = show_set(&rows);
        assert!(shown.split(&[' ', ',', '[', ']']).any(|word| word == name), "{shown}");
        let read = read_as(&session);
        let expected = match (treatment, name) {
            (Treatment::Honoured, "NO_BACKSLASH_ESCAPES") => ["\\'s", "one", "text", "1"],
            (Treatment::Honoured, "ANSI_QUOTES") => ["'s", "two", "name", "1"],
            (Treatment::Honoured, "PIPES_AS_CONCAT") => ["'s", "two", "text", "ab"],
            (Treatment::Honoured, "ANSI") => ["'s", "two", "name", "ab"],
            // A blank before a parenthesis is allowed anyway.
            (Treatment::Honoured, "IGNORE_SPACE") | (Treatment::Remembered, _) => ["'s", "two", "text", "1"],
            other => panic!("{other:?}"),
        };
        assert_eq!(read, expected, "{name}");
        assert_eq!(
            session.say("SELECT COUNT (*) FROM information_schema.KEYWORDS WHERE WORD = 'ALL'"),
            "[COUNT(*)#] [1]"
        );
    }
    for list in ["NO_SUCH_MODE", "ANSI,NO_SUCH_MODE", "4", "ANSI_QUOTES;"] {
        assert_eq!(Conversation::default().say(&format!("SET sql_mode = '{list}'")), "error 3", "{list}");
    }
    let mut session = Conversation::default();
    session.check(&[
        ("SET sql_mode = ''", "ok"),
        ("SELECT @@sql_mode, @@global.sql_mode", "[@@sql_mode @@global.sql_mode] [ STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION]"),
        ("SET sql_mode = TRADITIONAL", "ok"),
        ("SELECT @@SESSION.sql_mode", "[@@SESSION.sql_mode] [STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,TRADITIONAL,NO_ENGINE_SUBSTITUTION]"),
        ("SET sql_mode = DEFAULT", "ok"),
        ("SET @old = @@sql_mode, sql_mode = 'ANSI_QUOTES'", "ok"),
        ("SET sql_mode = @old", "ok"),
        ("SET sql_mode = (SELECT CONCAT(@@sql_mode, ',ANSI_QUOTES'))", "ok"),
        ("SHOW VARIABLES LIKE 'sql_mode'", "[Variable_name Value] [sql_mode ANSI_QUOTES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION]"),
        ("SELECT \"users_time\".\"id\" FROM \"users_time\" WHERE \"id\" = 5", "read [id#] [5]"),
        ("SELECT \"nope\"", "error 14"),
        ("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "ok"),
    ]);
}

/// What a backslash before a quote stands for, how many rows an INSERT has that a value would split, what double quotes
/// hold, and what `||` makes.
fn read_as(session: &Conversation) -> [&'static str; 4] {
    let value = |query: &str| match session.plan(query) {
        Ok(Plan::Reply(Reply::Rows(rows))) => show_set(&rows),
        Ok(Plan::Catalog(catalog)) => catalog
            .answer(&Budget::default(), &|_| Vec::new())
            .rows
            .map_or_else(|_| "error".to_owned(), |rows| show_set(&rows)),
        other => show(other),
    };
    // With the escape, one text of two characters; without it, a text that is a backslash and a further one.
    let backslash = if value(r"SELECT '\'s' AS v") == "[v] ['s]" { "'s" } else { r"\'s" };
    // A value `\'), ('pipe', 'e', 'two` that a client without escapes quotes by doubling.
    let split =
        r"INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'e', '\''), (''pipe'', ''e'', ''two')";
    let rows = match session.plan(split) {
        Ok(Plan::Publish(drafts)) => drafts.len(),
        _ => 0,
    };
    let rows = if rows == 1 { "one" } else { "two" };
    let quotes = if value("SELECT \"x\" AS v") == "[v] [x]" { "text" } else { "name" };
    let pipes = if value("SELECT 'a' || 'b' AS v") == "[v] [ab]" { "ab" } else { "1" };
    [backslash, rows, quotes, pipes]
}

#[test]
fn what_a_session_sets_is_read_back_and_counts() {
    Conversation::default().check(&[
        ("SET time_zone = '+02:30'", "ok"),
        (
            "SELECT @@time_zone, NOW(), UTC_TIMESTAMP(), CURTIME()",
            "[@@time_zone NOW() UTC_TIMESTAMP() CURTIME()] [+02:30 2023-11-15 00:43:20 2023-11-14 22:13:20 00:43:20]",
        ),
        ("SELECT FROM_UNIXTIME(0)", "[FROM_UNIXTIME(0)] [1970-01-01 02:30:00]"),
        ("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP()) AS d", "[d] [02:30:00]"),
        ("SET time_zone = '-01:00'", "ok"),
        ("SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP()) AS d, @@global.time_zone AS z", "[d z] [-01:00:00 SYSTEM]"),
        ("SET time_zone = SYSTEM", "ok"),
        ("SELECT NOW()", "[NOW()] [2023-11-14 22:13:20]"),
        ("SET sql_select_limit = 2", "ok"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3)", "read [id#] [1] [2]"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3) LIMIT 3", "read [id#] [1] [2] [3]"),
        (
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA UNION SELECT 'x'",
            "[SCHEMA_NAME] [information_schema] [CometQL_v1]",
        ),
        ("SET sql_select_limit = DEFAULT", "ok"),
        ("SELECT id FROM users_time WHERE id IN (1, 2, 3)", "read [id#] [1] [2] [3]"),
        ("SET foreign_key_checks = 1, sql_notes = FALSE, div_precision_increment = 8", "ok"),
        (
            "SELECT @@foreign_key_checks, @@sql_notes, @@div_precision_increment",
            "[@@foreign_key_checks# @@sql_notes# @@div_precision_increment#] [1 0 8]",
        ),
        ("SET SESSION wait_timeout = 5", "ok"),
        ("SELECT @@wait_timeout", "[@@wait_timeout#] [28800]"),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ok"),
        (
            "SELECT @@transaction_isolation, @@session.tx_isolation",
            "[@@transaction_isolation @@session.tx_isolation] [SERIALIZABLE SERIALIZABLE]",
        ),
        (
            "SELECT @@autocommit, @@port, @@server_id, @@log_bin, @@version",
            "[@@autocommit# @@port# @@server_id# @@log_bin# @@version] [1 3310 1 0 8.0.35-encke]",
        ),
        ("SHOW VARIABLES LIKE 'autocommit'", "[Variable_name Value] [autocommit ON]"),
    ]);
}

#[test]
fn what_a_function_is_asked_for_is_what_it_gives() {
    Conversation::default().check(&[
        (
            "SELECT DATE_FORMAT('2001-02-03 04:05:06', '%Y/%m/%d %H-%i-%s %% %e.%c.%y é') AS d",
            "[d] [2001/02/03 04-05-06 % 3.2.01 é]",
        ),
        ("SELECT DATE_FORMAT('nonsense', '%Y') AS d", "[d] [NULL]"),
        ("SELECT DATE_FORMAT('2001-02-03', '%W') AS d", "error 3"),
        ("SELECT QUOTE('it''s \\ x') AS q", "[q] ['it\\'s \\\\ x']"),
        ("SELECT CHAR(39), CHAR(77, 121, 53937), CHAR(255)", "[CHAR(39) CHAR(77, 121, 53937) CHAR(255)] [' Myұ NULL]"),
        ("SELECT IF(1, @a := 1, @a := 2) AS i, IFNULL(@b := 3, @b := 4) AS n, @a, @b", "[i n @a @b] [1 3 1 3]"),
    ]);
}

#[test]
fn times_are_moved_between_zones() {
    Conversation::default().check(&[
        ("SELECT CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL AS named", "[named#] [0]"),
        ("SELECT CONVERT_TZ('2000-02-29 23:30:00', '+00:00', '+01:00') AS t", "[t] [2000-03-01 00:30:00]"),
        ("SELECT CONVERT_TZ('2023-11-14', 'SYSTEM', '-00:30') AS t", "[t] [2023-11-13 23:30:00]"),
        ("SELECT CONVERT_TZ('1969-12-31 23:59:59', '+00:00', '+00:00') AS t", "[t] [1969-12-31 23:59:59]"),
        ("SELECT CONVERT_TZ('nonsense', '+00:00', '+00:00') AS t", "[t] [NULL]"),
        ("SELECT CONVERT_TZ('2001-13-01', '+00:00', '+00:00') AS t", "[t] [NULL]"),
        ("SELECT CONVERT_TZ(NULL, '+00:00', '+00:00') AS t", "[t] [NULL]"),
        ("SELECT CONVERT_TZ('2001-01-01', '+15:00', '+00:00') AS t", "[t] [NULL]"),
    ]);
}

/// While statements before it are under way, what depends on them is not planned yet.
#[test]
fn what_depends_on_others_waits_for_them() {
    let later = |query: &str| {
        let statement = parse(query, StringEscapes::Mysql).unwrap();
        matches!(plan_behind(statement, &session()), Ok(Plan::Later(_)))
    };
    for query in [
        "SELECT ROW_COUNT()",
        "SELECT LAST_INSERT_ID()",
        "SELECT FOUND_ROWS()",
        "SELECT @x",
        "SELECT @@warning_count",
        "SET @x = 1",
        "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', @x)",
    ] {
        assert!(later(query), "{query}");
    }
    for query in [
        "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', '@x')",
        "INSERT INTO pipes_messages VALUES ('x', 5, 'pipe', 0, 'ev', 'm', 77)",
        "SELECT id FROM users_time WHERE id = 1",
    ] {
        assert!(!later(query), "{query}");
    }
}

#[test]
fn what_is_asked_of_the_whole_server_is_for_whoever_keeps_it() {
    let set = |value: &str| format!("Set {{ name: \"log_level\", value: {value} }}");
    for (query, expected) in [
        ("FLUSH SETTINGS", "ReloadSettings".to_owned()),
        ("flush logs;", "ReopenLog".to_owned()),
        ("FLUSH LOCAL LOGS", "ReopenLog".to_owned()),
        ("FLUSH NO_WRITE_TO_BINLOG SETTINGS", "ReloadSettings".to_owned()),
        ("ALTER INSTANCE RELOAD TLS", "ReloadCertificate".to_owned()),
        ("SHUTDOWN", "Stop".to_owned()),
        ("SET GLOBAL log_level = 'info, storage=debug'", set("Some(\"info, storage=debug\")")),
        ("SET @@GLOBAL.Log_Level = debug", set("Some(\"debug\")")),
        ("SET GLOBAL log_level = DEFAULT", set("None")),
    ] {
        assert_eq!(Conversation::default().say(query), expected, "{query}");
    }
}
