//! SELECT from tables: which rows are fetched, and what is made of them.

use super::*;

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
