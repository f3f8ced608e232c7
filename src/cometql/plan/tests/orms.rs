//! What ORMs and frameworks ask of CometQL's tables, in their own words.

use super::*;
use crate::storage::Write;

#[test]
fn whether_a_row_is_there_and_how_many_there_are() {
    check(&[
        // Laravel: exists(), count() of a page.
        ("select exists(select * from `users_auth` where `id` = 5) as `exists`", "read [exists#] [1]"),
        ("select exists(select * from `users_auth` where `id` = 5 and `hash` = 'x') as `exists`", "read [exists#] [0]"),
        (
            "select count(*) as aggregate from (select * from users_time where id in (1, 2, 3)) as t",
            "read [aggregate#] [3]",
        ),
        // Django: exists(), count() of a slice.
        ("SELECT 1 AS `a` FROM `users_auth` WHERE `users_auth`.`id` = 5 LIMIT 1", "read [a#] [1]"),
        (
            "SELECT COUNT(*) FROM (SELECT `id` AS `col1` FROM `users_time` WHERE `id` IN (1, 2, 3) LIMIT 2) subquery",
            "read [COUNT(*)#] [2]",
        ),
        // Rails: exists?, count with a limit.
        ("SELECT 1 AS one FROM `users_auth` WHERE `users_auth`.`id` = 5 LIMIT 1", "read [one#] [1]"),
        (
            "SELECT COUNT(*) FROM (SELECT 1 AS one FROM users_time WHERE id IN (1, 2, 3) LIMIT 5 OFFSET 2) subquery_for_count",
            "read [COUNT(*)#] [1]",
        ),
        (
            "SELECT EXISTS(SELECT 1 FROM users_auth WHERE id IN (5, 6) ORDER BY hash LIMIT 1) AS e LIMIT 1",
            "read [e#] [1]",
        ),
        ("SELECT EXISTS(SELECT 1 FROM users_auth WHERE id = 5 LIMIT 0) AS e", "[e#] [0]"),
        ("SELECT EXISTS(SELECT 1 FROM users_auth WHERE id = 0) AS e", "[e#] [0]"),
        ("SELECT (EXISTS(SELECT hash FROM users_auth WHERE id = ' 5 ')) e", "read [e#] [1]"),
        ("SELECT COUNT(1) n FROM (SELECT id FROM users_auth WHERE id = 0) t", "[n#] [0]"),
        ("SELECT EXISTS(SELECT 1 FROM dual) AS e", "[e#] [1]"),
        // What is refused without the question around it is refused with it.
        ("SELECT EXISTS(SELECT 1 FROM users_auth)", "error 13"),
        ("SELECT EXISTS(SELECT nope FROM users_auth WHERE id = 5)", "error 14"),
        ("SELECT EXISTS(SELECT 1 FROM nope WHERE id = 5)", "error 15"),
        ("SELECT COUNT(*) FROM (SELECT COUNT(*) FROM users_auth WHERE id = 5) t", "error 2"),
        ("SELECT COUNT(*) FROM (SELECT DISTINCT id FROM users_auth WHERE id = 5) t", "error 3"),
        ("SELECT COUNT(*), 1 FROM (SELECT id FROM users_auth WHERE id = 5) t", "error 3"),
        ("SELECT COUNT(*) FROM (SELECT id FROM users_auth WHERE id = 5) t WHERE 1 = 1", "error 3"),
        ("SELECT COUNT(*) FROM (SELECT id FROM users_auth WHERE id = 5) t, users_auth", "error 3"),
        ("SELECT NOT EXISTS(SELECT id FROM users_auth WHERE id = 5)", "error 3"),
    ]);
    // It can be prepared, and its heading is what was written.
    let prepared = prepare("SELECT EXISTS(SELECT 1 FROM users_auth WHERE id = ?)", StringEscapes::Mysql).unwrap();
    let columns = result_columns(&prepared, &session()).unwrap();
    assert!(columns[0].name.starts_with("EXISTS (SELECT 1 FROM users_auth") && columns[0].number, "{columns:?}");
}

#[test]
fn rows_that_are_there_stay_where_others_are_inserted_with_ignore() {
    let plan = |query: &str| run(query).unwrap();
    assert_eq!(plan("INSERT IGNORE INTO revoked_tokens VALUES ('x')"), plan("INSERT INTO revoked_tokens VALUES ('x')"));
    let (dev, user) = (DevId(7), UserId::new(5).unwrap());
    let absent = |write| Plan::Update(vec![Write::IfAbsent(Box::new(write))]);
    let put = Write::PutHash { dev, user, hash: "x".into() };
    assert_eq!(plan("INSERT IGNORE INTO users_auth (id, hash) VALUES (5, 'x')"), absent(put));
    let put = Write::PutUserData { dev, user, data: "x".into() };
    assert_eq!(plan("insert ignore users_data values (5, 'x')"), absent(put));
    let pipe = PipeName::new(b"news").unwrap();
    assert_eq!(plan("INSERT IGNORE INTO pipes_settings VALUES ('news', 7)"), Plan::AddLengths(vec![(pipe, 7)]));
    check(&[
        ("INSERT IGNORE INTO users_auth (id, hash) VALUES (0, 'x')", "error 12"),
        // A message is no other's double.
        ("INSERT IGNORE INTO users_messages (id, event, message) VALUES (5, 'e', 'm')", "error 3"),
        ("INSERT IGNORE INTO pipes (name, users) VALUES ('news', 1)", "error 10"),
        ("INSERT IGNORE INTO users_auth VALUES (5, 'x') ON DUPLICATE KEY UPDATE hash = VALUES(hash)", "error 3"),
    ]);
}

#[test]
fn locks_lock_nothing() {
    for lock in ["FOR UPDATE", "LOCK IN SHARE MODE", "FOR SHARE", "FOR UPDATE NOWAIT", "FOR UPDATE SKIP LOCKED"] {
        let query = format!("SELECT hash FROM users_auth WHERE id = 5 {lock}");
        assert_eq!(show(run(&query)), "read [hash] [h5]", "{query}");
        let query = format!("SELECT hash FROM users_auth WHERE id IN (5, lock) LIMIT 1 {lock}");
        assert_eq!(show(run(&query)), "read [hash] [h5]", "{query}");
    }
    check(&[("SELECT hash FROM users_auth WHERE id = 5 LOCK IN", "error 3")]);
}

#[test]
fn introduced_texts_with_a_blank() {
    for text in
        ["_binary 'h5'", "_binary'h5'", "_utf8mb4 'h5'", "_latin1\n\"h5\"", "_binary x'6835'", "_BINARY /* */ 'h5'"]
    {
        let query = format!("SELECT id FROM users_auth WHERE id = 5 AND hash = {text}");
        assert_eq!(show(run(&query)), "read [id#] [5]", "{query}");
        let insert = format!("INSERT INTO users_auth (id, hash) VALUES (5, {text})");
        assert_eq!(run(&insert), run("INSERT INTO users_auth (id, hash) VALUES (5, 'h5')"), "{insert}");
    }
    let prepared = prepare("INSERT INTO users_auth (id, hash) VALUES (?, _binary ?)", StringEscapes::Mysql).unwrap();
    assert_eq!(prepared.placeholders(), 2);
    // Any other word is a name.
    check(&[("SELECT id _x FROM users_auth WHERE id = 5", "read [_x#] [5]")]);
}

#[test]
fn literals_with_an_alias_beside_columns() {
    check(&[
        ("SELECT 'users_auth' AS source, id FROM users_auth WHERE id = 5", "read [source id#] [users_auth 5]"),
        ("SELECT 7 AS n, 'id' AS me FROM users_auth WHERE id = 5", "read [n# me#] [7 5]"),
        ("SELECT '' AS empty, hash FROM users_auth WHERE id = 5", "read [empty hash] [ h5]"),
        // Without an alias it is a column, as in CppComet.
        ("SELECT 'nope' FROM users_auth WHERE id = 5", "error 14"),
        ("SELECT nope AS n FROM users_auth WHERE id = 5", "error 14"),
    ]);
}

/// The session's time is 1,700,000,000.
#[test]
fn columns_are_compared_to_what_is_computed() {
    for (condition, found) in [
        ("time < UNIX_TIMESTAMP() - 60", true),
        ("time > UNIX_TIMESTAMP() - 60", false),
        ("time >= UNIX_TIMESTAMP() - 1700000000", true),
        ("UNIX_TIMESTAMP() - 60 > time", true),
        ("time BETWEEN 1 - 1 AND FLOOR(1.5)", true),
        ("time IN (1 + 1, 3 - 3)", true),
        ("time = CAST('0' AS SIGNED)", true),
        ("time LIKE CONCAT('%', '0')", true),
        ("time = @@warning_count", true),
        ("time = NULLIF(1, 1)", false),
        ("NOT time = NULLIF(1, 1)", false),
        ("time != LENGTH('abc')", true),
    ] {
        let query = format!("SELECT id FROM users_time WHERE id = 5 AND {condition}");
        assert_eq!(show(run(&query)), if found { "read [id#] [5]" } else { "read [id#]" }, "{query}");
    }
    check(&[
        ("SELECT hash FROM users_auth WHERE id = 2 + 3", "read [hash] [h5]"),
        ("SELECT hash FROM users_auth WHERE id IN (CONCAT('', 5), 6)", "read [hash] [h5] [h6]"),
        ("SHOW VARIABLES WHERE Variable_name = CONCAT('auto', 'commit')", "[Variable_name Value] [autocommit ON]"),
        ("SELECT id FROM users_time WHERE id = 5 AND time > id + 1", "error 3"),
        ("SELECT id FROM users_time WHERE id = 5 AND time > COUNT(*)", "error 3"),
    ]);
    assert_eq!(run("DELETE FROM users_auth WHERE id = 2 + 3"), run("DELETE FROM users_auth WHERE id = 5"));
    let computed = run("UPDATE users_auth SET hash = 'x' WHERE id = LENGTH('abcde')");
    assert_eq!(computed, run("UPDATE users_auth SET hash = 'x' WHERE id = 5"));
    // Placeholders within are bound before it is computed, and what they hold stays a value.
    let prepared = prepare("SELECT hash FROM users_auth WHERE id = ? - ?", StringEscapes::Mysql).unwrap();
    let bound = prepared.bind(&[Value::Number("12".into()), Value::Text("7".into())]).unwrap();
    assert_eq!(show(plan(&bound, &session())), "read [hash] [h5]");
    // What it costs is bounded with everything else.
    let long = format!("SELECT id FROM users_auth WHERE id IN ({})", vec!["LENGTH(REPEAT('x', 9))"; 3_000].join(","));
    assert!(run(&long).is_err());
    let many = vec!["UPPER(LOWER(UPPER('x')))"; 3_999].join(",");
    let budget = Budget::default();
    let statement =
        parse(&format!("SELECT id FROM users_auth WHERE hash IN ({many}) AND id = 5"), StringEscapes::Mysql);
    let _ = statement.map(|statement| plan(&statement, &SessionView { budget: &budget, ..session() }));
    assert!(budget.spent() > 0, "it is charged");
}
