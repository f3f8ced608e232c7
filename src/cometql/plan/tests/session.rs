//! What concerns the session and no table: expressions, SET, USE, names of databases, and what is looked at before parsing.

use super::*;

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
            "[Table Create Table] [users_auth CREATE TABLE `users_auth` (\n  `id` int(11) NOT NULL COMMENT 'The user',\n  `hash` varchar(32) NOT NULL COMMENT 'What the page connects with: up to 32 of A-Z a-z 0-9 + / = _',\n  PRIMARY KEY (`id`)\n) ENGINE=CometQL DEFAULT CHARSET=utf8mb4 COMMENT='What proves a user: INSERT lets a page with this hash in, DELETE ends all connections of the user']",
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
