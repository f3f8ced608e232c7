//! What graphical clients ask about the server, and the arithmetic behind it.

use super::*;
use crate::cometql::rows::rows_of_times;
use crate::cometql::sql::Reading;

/// The statements of `tools.sql`, each with the columns that it must have and how many rows.
fn statements() -> Vec<(String, Option<String>)> {
    let text = include_str!("../../../../tests/it/clients/tools.sql");
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.starts_with("# "));
        let (wanted, statement): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("-> "));
        let wanted = wanted.first().map(|line| line.trim_start_matches("-> ").replace("root@%", "7@%"));
        (statement.join("\n"), wanted)
    });
    blocks.filter(|(statement, _)| !statement.trim().is_empty()).collect()
}

/// Columns and number of rows, as `tools.sql` writes them; the session remembers what was set.
fn shape(query: &str, memory: &mut Memory) -> Result<(String, usize), Error> {
    let reading = Reading { escapes: StringEscapes::Mysql, modes: memory.modes() };
    let planned = plan(&parse(query, reading)?, &SessionView { memory, ..session() })?;
    let set = match planned {
        Plan::Remember(told) => {
            *memory = *told;
            ResultSet::default()
        }
        Plan::Reply(Reply::Rows(set)) => set,
        Plan::Catalog(catalog) => catalog.answer(&Budget::default(), &|_| vec![["1"; 8].map(Box::from).into()]).rows?,
        Plan::Live(LiveQuery { query, .. }) => query.apply(Vec::new())?,
        Plan::Read { query, .. } => query.apply(rows_of_times((1..=3).map(|user| (UserId::new(user).unwrap(), 0))))?,
        _ => ResultSet::default(),
    };
    let columns: Vec<String> = set.columns.into_iter().map(|column| column.name).collect();
    Ok((columns.join(", "), set.rows.len()))
}

#[test]
fn what_tools_ask_when_they_connect_is_answered() {
    let (mut wrong, mut memory) = (Vec::new(), Memory::NEW);
    let statements = statements();
    assert!(statements.len() > 100, "{}", statements.len());
    for (statement, wanted) in statements {
        match (shape(&statement, &mut memory), wanted) {
            (Err(error), _) => wrong.push(format!("{statement}\n{error:?}")),
            (Ok((columns, rows)), Some(wanted)) if wanted != columns && wanted != format!("{columns} ({rows})") => {
                wrong.push(format!("{statement}\n{columns} ({rows})"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// They are prepared as well, by drivers that put every value behind a question mark.
#[test]
fn what_tools_ask_can_be_prepared() {
    for (query, columns) in [
        ("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? LIMIT ?", "TABLE_NAME"),
        ("SELECT ID, USER FROM information_schema.PROCESSLIST WHERE ID <> ?", "ID USER"),
        ("SELECT CONCAT(?, 'x') AS joined", "joined"),
    ] {
        let prepared = prepare(query, StringEscapes::Mysql).unwrap();
        let names = result_columns(&prepared, &session()).unwrap();
        assert_eq!(join(&names, |column| column.name.clone()), columns, "{query}");
        assert!(prepared.bytes() > query.len(), "{query}");
    }
}

pub(super) fn answers(cases: &[(&str, &str)]) {
    for (query, expected) in cases {
        let shown = match run(query) {
            Ok(Plan::Reply(Reply::Rows(set))) => show_set(&set),
            Ok(Plan::Catalog(catalog)) => match catalog.answer(&Budget::default(), &|_| Vec::new()).rows {
                Ok(set) => show_set(&set),
                Err(error) => error.code.number().to_string(),
            },
            Ok(other) => format!("{other:?}"),
            Err(error) => error.code.number().to_string(),
        };
        assert_eq!(shown, *expected, "{query}");
    }
}

/// The columns are known before anything is carried out, and looking for each entry among all of them takes time.
#[test]
fn columns_of_very_wide_queries_are_refused() {
    let entries = vec!["TABLE_NAME"; 20_000].join(",");
    let tables = (0..60).map(|at| format!("information_schema.COLUMNS t{at}")).collect::<Vec<_>>().join(",");
    let prepared = prepare(&format!("SELECT {entries} FROM {tables}"), StringEscapes::Mysql).unwrap();
    assert_eq!(result_columns(&prepared, &session()).unwrap_err().code, Code::TooLong);
}

#[test]
fn queries_about_the_server() {
    answers(&[
        (
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'USERS\\_%' AND table_type = 'base table'",
            "[table_name] [users_auth] [users_time] [users_messages] [users_in_pipes] [users_data]",
        ),
        (
            "SELECT COLUMN_NAME, ORDINAL_POSITION o, CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS c \
             WHERE c.TABLE_NAME = 'users_auth' ORDER BY o DESC",
            "[COLUMN_NAME o# CHARACTER_MAXIMUM_LENGTH#] [hash 2 32] [id 1 NULL]",
        ),
        (
            "SELECT t.TABLE_NAME, COUNT(*) n, GROUP_CONCAT(c.COLUMN_NAME SEPARATOR '+') FROM information_schema.TABLES t \
             JOIN information_schema.COLUMNS c USING (TABLE_SCHEMA, TABLE_NAME) WHERE t.TABLE_SCHEMA = DATABASE() \
             GROUP BY t.TABLE_NAME HAVING n = 2 ORDER BY 1 LIMIT 1, 2",
            "[TABLE_NAME n# GROUP_CONCAT(c.COLUMN_NAME SEPARATOR '+')] [pipes_settings 2 name+length] [users_auth 2 id+hash]",
        ),
        (
            "SELECT t.TABLE_NAME FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'CometQL_v1' AND NOT EXISTS \
             (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_NAME = t.TABLE_NAME)",
            "[TABLE_NAME] [profiler] [connections] [tenants] [memory]",
        ),
        (
            "SELECT COUNT(*), MAX(ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_NAME = 'none'",
            "[COUNT(*)# MAX(ORDINAL_POSITION)] [0 NULL]",
        ),
        ("SELECT ENGINE FROM information_schema.ENGINES UNION ALL SELECT 'x' ORDER BY 1", "[ENGINE] [CometQL] [x]"),
        ("(SELECT 2 AS n) UNION (SELECT 1) ORDER BY n", "[n#] [1] [2]"),
        ("SELECT colour FROM information_schema.TABLES", "14"),
        ("SELECT x.TABLE_NAME FROM information_schema.TABLES t", "14"),
        ("SELECT FROBNICATE(TABLE_NAME) FROM information_schema.TABLES", "3"),
        ("SELECT * FROM information_schema.nowhere", "1146"),
        ("SELECT * FROM mysql.user", "1146"),
        ("SELECT * FROM sys.version", "1146"),
        ("SELECT * FROM performance_schema.threads", "1146"),
        ("SELECT * FROM information_schema.TABLES t JOIN CometQL_v1.pipes p ON p.name = t.TABLE_NAME", "2"),
        // Each row with each of the others: that would hold up everybody.
        (
            "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c",
            "11",
        ),
    ]);
}

#[test]
fn values_are_computed() {
    answers(&[
        ("SELECT 1 + 2 * 3 AS n, 7 / 2 AS h, 7 % 4 AS r, -1 - 1 AS m", "[n# h# r# m#] [7 3.5000 3 -2]"),
        ("SELECT 'a' = 'A' AS same, 10 > 9 AS more, '10' < '9x' AS text", "[same# more# text#] [1 1 1]"),
        (
            "SELECT NULL AND 0 AS a, NULL OR 1 AS b, NOT NULL AS c, NULL = NULL AS d, NULL <=> NULL AS e",
            "[a# b# c# d# e#] [0 1 NULL NULL 1]",
        ),
        ("SELECT 2 IN (1, NULL) AS a, 1 IN (1, NULL) AS b, 5 BETWEEN 1 AND 9 AS c", "[a# b# c#] [NULL 1 1]"),
        (
            "SELECT SUBSTRING_INDEX('a.b.c', '.', 2) AS a, SUBSTRING_INDEX('a.b.c', '.', -1) AS b, SUBSTRING('hällo', 2, 3) AS c",
            "[a b c] [a.b c äll]",
        ),
        (
            "SELECT LEFT('hello', 2) AS a, RIGHT('hello', 2) AS b, LOCATE('L', 'hello') AS c, REPLACE('aXbX', 'X', '') AS d",
            "[a b c# d] [he lo 3 ab]",
        ),
        (
            "SELECT CONCAT('a', NULL) AS a, CONCAT_WS('-', 'a', NULL, 'b') AS b, NULLIF(1, 1) AS c, IF(0, 'x', 'y') AS d",
            "[a b c d] [NULL a-b NULL y]",
        ),
        (
            "SELECT CAST('12abc' AS SIGNED) AS a, ROUND(2.567, 1) AS b, FLOOR(-1.5) AS c, GREATEST(2, 10) AS d",
            "[a# b c d] [12 2.6 -2 10]",
        ),
        ("SELECT FROM_UNIXTIME(0) AS a, UNIX_TIMESTAMP() AS b", "[a b#] [1970-01-01 00:00:00 1700000000]"),
        ("SELECT REPEAT('x', 1000000000) AS bomb", "3"),
    ]);
}

/// A statement of 400 KB once made a text of 40 GB, which was cut to 64 KB then.
#[test]
fn texts_end_at_their_bound_while_they_are_made() {
    let (many, long) = ("a".repeat(200_000), "b".repeat(200_000));
    let short = "b".repeat(40_000);
    let nested = |depth: usize| format!("{}'a'{}", "REPLACE(".repeat(depth), ", 'a', 'aaaaaaaaaa')".repeat(depth));
    for query in [
        format!("SELECT REPLACE('{many}', 'a', '{long}') AS bomb"),
        format!("SELECT {} AS bomb", nested(12)),
        format!("SELECT CONCAT_WS('{long}', 'a', 'b', 'c') AS bomb"),
        format!("SELECT CONCAT('{short}', '{short}') AS bomb"),
        format!("SELECT GROUP_CONCAT(TABLE_NAME SEPARATOR '{short}') FROM information_schema.TABLES"),
        format!("SELECT REPLACE('{many}', 'a', '{long}') AS bomb FROM information_schema.ENGINES"),
    ] {
        let code = limited(&query).map_err(|error| error.code).err();
        assert_eq!(code, Some(Code::TooLong), "{}", &query[..40]);
    }
}

/// Comparing a number of many digits to a long list read it as a number each time; many short LIKEs had an effort each.
#[test]
fn long_lists_and_many_likes_take_no_longer_than_short_ones() {
    let digits = "9".repeat(200_000);
    let list = "1,".repeat(40_000);
    limited(&format!("SELECT '{digits}' IN ({list} 2) AS found")).unwrap();
    let like = format!("('{}' LIKE '%{}b')", "a".repeat(6_000), "a".repeat(500));
    let code = limited(&format!("SELECT {} AS x", vec![like; 10].join(" + "))).map_err(|error| error.code).err();
    assert_eq!(code, Some(Code::TooLong));
}

/// With the limits of a server, under which statements are longer.
fn limited(query: &str) -> Result<Plan, Error> {
    let limits = StatementLimits::default();
    let statement = parse(query, StringEscapes::Mysql)?;
    match plan(&statement, &SessionView { limits: &limits, ..session() })? {
        Plan::Catalog(catalog) => {
            catalog.answer(&Budget::default(), &|_| Vec::new()).rows.map(|set| Plan::Reply(Reply::Rows(set)))
        }
        other => Ok(other),
    }
}

/// Steps were counted without regard to how wide a row or how long a value is: 670 MB for one SELECT.
#[test]
fn queries_about_the_server_hold_few_bytes() {
    let long = "x".repeat(200_000);
    for (query, allowed) in [
        (format!("SELECT '{long}' FROM information_schema.KEYWORDS a, information_schema.KEYWORDS b"), false),
        ("SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b".to_owned(), false),
        ("SELECT DISTINCT * FROM information_schema.COLUMNS a, information_schema.TABLES b".to_owned(), false),
        (format!("SELECT COUNT(*) FROM information_schema.COLUMNS WHERE EXISTS (SELECT '{long}')"), false),
        (format!("SELECT LENGTH('{long}') FROM information_schema.ENGINES"), true),
        ("SELECT * FROM information_schema.COLUMNS ORDER BY COLUMN_NAME DESC, 2".to_owned(), true),
        // Most combinations are never put together.
        (
            "SELECT * FROM information_schema.COLUMNS a, information_schema.TABLES b WHERE a.TABLE_NAME = b.TABLE_NAME"
                .to_owned(),
            true,
        ),
        (
            "SELECT * FROM information_schema.COLUMNS a LEFT JOIN information_schema.TABLES b USING (TABLE_NAME)"
                .to_owned(),
            true,
        ),
    ] {
        let code = limited(&query).map_err(|error| error.code).err();
        assert_eq!(code, (!allowed).then_some(Code::TooLong), "{query:.90}");
    }
}

/// Neither when they come nor when they are prepared: a client may send a thousand at once.
#[test]
fn queries_about_the_server_are_carried_out_when_it_is_their_turn() {
    let query = "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b WHERE a.x = ?";
    let prepared = prepare(query, StringEscapes::Mysql).unwrap();
    assert_eq!(join(&result_columns(&prepared, &session()).unwrap(), |column| column.name.clone()), "COUNT(*)");
    assert!(matches!(run("SELECT COUNT(*) FROM information_schema.COLUMNS"), Ok(Plan::Catalog(_))));
}

#[test]
fn lists_of_show_for_tools() {
    answers(&[
        (
            "SHOW GRANTS",
            "[Grants for 7@%] [GRANT USAGE ON *.* TO `7`@`%`] [GRANT SELECT, INSERT, UPDATE, DELETE ON `CometQL_v1`.* TO `7`@`%`]",
        ),
        ("SHOW TABLES FROM information_schema LIKE 'VIEWS'", "[Tables] [VIEWS]"),
        // Without `update` no tool lets anybody edit a row.
        (
            "SHOW FULL COLUMNS FROM users_auth LIKE 'hash'",
            "[Field Type Collation Null Key Default Extra Privileges Comment] [hash varchar(32) utf8mb4_bin NO    select,insert,update What the page connects with: up to 32 of A-Z a-z 0-9 + / = _]",
        ),
        (
            "SHOW FULL COLUMNS FROM pipes LIKE 'users'",
            "[Field Type Collation Null Key Default Extra Privileges Comment] [users int(11)  NO    select Connections, nameless ones included]",
        ),
        (
            "SHOW COLUMNS FROM ENGINES FROM information_schema LIKE 'XA'",
            "[Field Type Null Key Default Extra] [XA varchar(512) YES   ]",
        ),
        (
            "SHOW INDEX FROM information_schema.TABLES",
            "[Table Non_unique Key_name Seq_in_index Column_name Collation Cardinality Sub_part Packed Null Index_type Comment Index_comment]",
        ),
        ("SHOW CREATE VIEW x", "15"),
        ("SHOW CREATE PROCEDURE CometQL_v1.x", "15"),
        ("SHOW MASTER", "3"),
        ("SHOW NOTHING", "3"),
    ]);
}

/// As deep as the parser lets it be, on a stack of half of what a thread gets.
#[test]
fn deep_queries_are_answered_or_refused() {
    let calls = |depth: usize| format!("SELECT {}'A'{} AS a", "LOWER(".repeat(depth), ")".repeat(depth));
    let nested = |depth: usize| {
        let around = "SELECT a FROM (SELECT 'x' AS a FROM information_schema.ENGINES WHERE EXISTS (";
        format!("{}SELECT 1{}", around.repeat(depth), ")) t".repeat(depth))
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            for depth in 1..40 {
                for query in [calls(depth), nested(depth)] {
                    let code = run(&query).map_err(|error| error.code).err();
                    assert!(matches!(code, None | Some(Code::Syntax)), "{query} {code:?}");
                    assert!(depth > 2 || code.is_none(), "{query} {code:?}");
                }
            }
        })
        .unwrap()
        .join()
        .unwrap();
}
