//! The tables beyond users and pipes: what is read and written through each, and what is refused.

use super::*;

#[test]
fn read_only_tables() {
    check(&[
        ("INSERT INTO users_time (id, time) VALUES (1, 1)", "error 10"),
        ("INSERT INTO users_time (nope) VALUES (1, 1)", "error 10"),
        ("DELETE FROM users_time WHERE id = 1", "error 10"),
        ("INSERT INTO pipes (name, users) VALUES ('abc', 1)", "error 10"),
        ("DELETE FROM pipes WHERE name = 'abc'", "error 10"),
        ("INSERT INTO users_in_pipes (name) VALUES ('abc')", "error 10"),
        ("DELETE FROM users_in_pipes WHERE name = 'abc'", "error 10"),
        ("INSERT INTO conference_members (name) VALUES ('abc')", "error 10"),
        ("DELETE FROM conference_members WHERE name = 'abc'", "error 10"),
        ("SELECT * FROM conference_members", "[name user_id# join_time# last_talking#]"),
        ("SELECT user_id FROM conference_members WHERE name IN ('room', 'x')", "[user_id#]"),
        ("SELECT COUNT(*) FROM conference_members", "[COUNT(*)#] [0]"),
        ("SELECT nope FROM conference_members", "error 14"),
        ("INSERT INTO dialogs (id) VALUES (1)", "error 10"),
        ("SELECT * FROM dialogs", "error 15"),
        ("DELETE FROM dialogs WHERE id = 1", "error 15"),
        ("INSERT INTO profiler (tag) VALUES ('x')", "error 15"),
        ("DELETE FROM profiler", "error 15"),
        ("SELECT * FROM profiler", "[tag time calls#]"),
        ("SELECT * FROM profiler WHERE tag = 'x' ORDER BY calls LIMIT 1", "[tag time calls#]"),
        ("SELECT * FROM users_in_pipes", "error 13"),
        ("SELECT nope FROM users_in_pipes WHERE name = 'abc'", "error 14"),
        (
            "SELECT * FROM users_in_pipes WHERE name = 'abc'",
            "read [name user_id# user_uuid user_agent ip origin language] [abc 5 uuid agent ip origin language]",
        ),
        ("SELECT ip FROM users_in_pipes WHERE name IN ('abc', 'abd') AND user_id = 6", "read [ip]"),
        ("INSERT INTO connections (id) VALUES (1)", "error 10"),
        ("DELETE FROM connections WHERE id = 1", "error 10"),
        (
            "SELECT * FROM connections",
            "read [id# user_id# ip pipes# queued_bytes# since# memory#] [95 5 127.0.0.1 2 0 1600000000 140] [96 6 127.0.0.1 2 0 1600000000 140]",
        ),
        ("SELECT id FROM connections WHERE user_id = 6", "read [id#] [96]"),
        ("SELECT user_id FROM connections WHERE id = 95 OR pipes > 5", "read [user_id#] [5]"),
        ("SELECT COUNT(*) FROM connections WHERE queued_bytes < 1", "read [COUNT(*)#] [2]"),
    ]);
}

#[test]
fn personal_messages() {
    let huge = "x".repeat(LIMITS.message_bytes_max + 1);
    check(&[
        ("INSERT INTO users_messages (id, event, message) VALUES (5, 'ev', 'm')", "to 5/ev/m"),
        (
            "INSERT INTO users_messages (id, event, message) VALUES ('5', '', '{}'), (0, 'ev', 'm')",
            "to 5//{} to 0/ev/m",
        ),
        ("INSERT INTO users_messages (id, `index`, event, message) VALUES (5, 9, 'ev', 'm')", "to 5/ev/m"),
        ("INSERT INTO users_messages VALUES (5, 'x', 'ev', 'm')", "to 5/ev/m"),
        ("INSERT INTO users_messages (id, message) VALUES (1, 'm')", "error 12"),
        ("INSERT INTO users_messages (event, message) VALUES ('ev', 'm')", "error 12"),
        ("INSERT INTO users_messages (id, event, message) VALUES (1, 'a.b', 'm')", "error 12"),
        (&format!("INSERT INTO users_messages (id, event, message) VALUES (1, '{}', 'm')", "e".repeat(65)), "error 11"),
        (&format!("INSERT INTO users_messages (id, event, message) VALUES (1, 'ev', '{huge}')"), "error 11"),
        ("INSERT INTO users_messages (id, event, message) VALUES (-1, 'ev', 'm')", "error 12"),
        ("INSERT INTO users_messages (id, event, message) VALUES (1, 'ev', 'm'), (2147483648, 'ev', 'm')", "error 12"),
        ("SELECT * FROM users_messages", "error 13"),
        ("SELECT * FROM users_messages WHERE id = 5", "read [id# index event message] [5 i e m5]"),
        ("SELECT message, `index` FROM users_messages WHERE id IN (6, 5)", "read [message index] [m6 i] [m5 i]"),
        ("SELECT id FROM users_messages WHERE id IN (5, 6) AND message = 'm6'", "read [id#] [6]"),
        ("SELECT COUNT(*) FROM users_messages WHERE id = 5", "read [COUNT(*)#] [1]"),
        ("DELETE FROM users_messages", "error 13"),
        ("DELETE FROM users_messages WHERE event = 'e'", "error 13"),
        ("DELETE FROM users_messages WHERE id IN (6, 5)", "-queue 7:5 -queue 7:6, ok 0 0"),
        ("DELETE FROM users_messages WHERE id IN (6, 5) AND id > 5", "-queue 7:6, ok 0 0"),
        ("DELETE FROM users_messages WHERE id = 5 AND event = 'e'", "error 2"),
        ("DELETE FROM users_messages WHERE id = 5 LIMIT 1", "error 2"),
        ("DELETE FROM users_messages WHERE id = 5 LIMIT 0", "ok 0 0"),
    ]);
}

#[test]
fn histories() {
    let id = |first: &str| format!("{first}0000-0000-7000-8000-000000000000");
    let (a, b) = (id("aaaa"), id("bbbb"));
    check(&[
        ("SELECT * FROM pipes_messages WHERE event = 'e'", "error 13"),
        ("SELECT * FROM pipes_messages WHERE id = 'e'", "error 13"),
        (
            "SELECT * FROM pipes_messages WHERE name = 'abc'",
            "read [id time# name index# event message user_id#] [i 9 abc 0 e mabc 0]",
        ),
        (
            "SELECT message FROM pipes_messages WHERE name IN ('b_b', 'a_a') AND time > 8",
            "read [message] [mb_b] [ma_a]",
        ),
        ("SELECT message FROM pipes_messages WHERE name = 'abc' AND event = 'x'", "read [message]"),
        ("DELETE FROM pipes_messages", "error 13"),
        ("DELETE FROM pipes_messages WHERE event = 'e'", "error 13"),
        ("DELETE FROM pipes_messages WHERE name = 'abc' AND event = 'e'", "error 2"),
        ("DELETE FROM pipes_messages WHERE name = 'abc'", "-history 7:abc, ok 0 0"),
        ("DELETE FROM pipes_messages WHERE name IN ('b_b', 'a_a', '?')", "-history 7:a_a -history 7:b_b, ok 0 0"),
        ("DELETE FROM pipes_messages WHERE name = 'abc' LIMIT 5", "error 2"),
        ("DELETE FROM pipes_messages WHERE name = 'abc' AND id > 'e'", "error 2"),
        ("DELETE FROM pipes_messages WHERE name = 'abc' OR id = 'e'", "error 2"),
        ("DELETE FROM pipes_messages WHERE id = 'e'", "ok 0 0"),
        (&format!("DELETE FROM pipes_messages WHERE id = '{a}'"), "-history 7:*(aaaa0000), ok 0 0"),
        (
            &format!("DELETE FROM pipes_messages WHERE id IN ('{b}', '{a}') LIMIT 2"),
            "-history 7:*(aaaa0000 bbbb0000), ok 0 0",
        ),
        (&format!("DELETE FROM pipes_messages WHERE id IN ('{b}', '{a}') LIMIT 1"), "error 2"),
        (
            &format!("DELETE FROM pipes_messages WHERE id IN ('{b}', '{a}') AND NOT id = '{a}'"),
            "-history 7:*(bbbb0000), ok 0 0",
        ),
        (&format!("DELETE FROM pipes_messages WHERE id = '{a}' AND time > 5"), "error 2"),
        // With both, what matches both.
        (&format!("DELETE FROM pipes_messages WHERE name = 'abc' AND id = '{a}'"), "-history 7:abc(aaaa0000), ok 0 0"),
        (
            &format!("DELETE FROM pipes_messages WHERE name = 'abc' AND id IN ('x', '{a}', '{b}')"),
            "-history 7:abc(aaaa0000 bbbb0000), ok 0 0",
        ),
        (
            &format!("DELETE FROM pipes_messages WHERE name = 'a_a' AND id = '{a}' OR name = 'b_b' AND id = '{b}'"),
            "-history 7:a_a(aaaa0000) -history 7:b_b(bbbb0000), ok 0 0",
        ),
        ("DELETE FROM pipes_messages WHERE name = 'abc' AND id = 'x'", "ok 0 0"),
        (&format!("DELETE FROM pipes_messages WHERE name = 'abc' AND id = '{a}' AND event = 'e'"), "error 2"),
    ]);
    let many = |count: usize, text: &str| (0..count).map(|at| format!("'{text}{at}'")).collect::<Vec<_>>().join(",");
    let names = many(400, "name");
    let query = format!("DELETE FROM pipes_messages WHERE name IN ({names}) AND id IN ({})", many(251, "id"));
    assert_eq!(show(run(&query)), "error 19");
}

#[test]
fn settings() {
    check(&[
        ("INSERT INTO pipes_settings (length) VALUES (5)", "error 12"),
        ("INSERT INTO pipes_settings (name, length) VALUES ('ab', 5)", "error 17"),
        ("INSERT INTO pipes_settings (name, length) VALUES ('bad name', 5)", "error 12"),
        (&format!("INSERT INTO pipes_settings (name, length) VALUES ('{}', 5)", "n".repeat(65)), "error 11"),
        ("INSERT INTO pipes_settings (\"name\", \"length\") VALUES (\"abc\", 2);", "abc=2, ok 1 0"),
        ("INSERT INTO pipes_settings (name, LENGTH) VALUES ('abc', '07')", "abc=7, ok 1 0"),
        ("INSERT INTO pipes_settings (name) VALUES ('abc')", "abc=0, ok 1 0"),
        ("INSERT INTO pipes_settings VALUES ('abc', 1000), ('abd', 1001)", "abc=1000 abd=1000, ok 2 0"),
        ("INSERT INTO pipes_settings VALUES ('abc', 99999999999999999999)", "abc=1000, ok 1 0"),
        ("INSERT INTO pipes_settings VALUES ('abc', -5), ('abd', 'x'), ('abe', '5x')", "abc=0 abd=0 abe=5, ok 3 0"),
        ("SELECT * FROM pipes_settings", "error 13"),
        ("SELECT * FROM pipes_settings WHERE name = 'abc'", "read [name length#] [abc 12]"),
        ("SELECT name FROM pipes_settings WHERE name IN ('abc', 'abd') AND length > 12", "read [name]"),
        ("DELETE FROM pipes_settings", "error 13"),
        ("DELETE FROM pipes_settings WHERE length = 5", "error 13"),
        ("DELETE FROM pipes_settings WHERE name = 'abc' AND length = 5", "error 2"),
        ("DELETE FROM pipes_settings WHERE name IN ('b_b', 'a_a') LIMIT 2", "-a_a -b_b, ok 0 0"),
        ("DELETE FROM pipes_settings WHERE name IN ('b_b', 'a_a') AND name != 'a_a'", "-b_b, ok 0 0"),
        ("DELETE FROM pipes_settings WHERE name = '?'", "ok 0 0"),
    ]);
}

#[test]
fn tokens() {
    // exp: 1700000000, and an hour for servers whose clocks differ.
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.c2lnbmF0dXJl";
    check(&[
        ("INSERT INTO revoked_tokens (tok) VALUES ('x')", "error 14"),
        ("INSERT INTO revoked_tokens () VALUES ()", "error 14"),
        ("INSERT INTO revoked_tokens (token) VALUES ('x')", "token 7:x/-1, ok 1 1"),
        ("INSERT INTO revoked_tokens (token) VALUES (0.123)", "token 7:0.123/-1, ok 1 1"),
        ("INSERT INTO revoked_tokens VALUES (''), ('y')", "token 7:/-1 token 7:y/-1, ok 2 1"),
        (
            &format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
            &format!("token 7:{token}/1700003600, ok 1 1"),
        ),
        (&format!("INSERT INTO revoked_tokens (token) VALUES ('{}')", "x".repeat(601)), "error 11"),
        ("SELECT * FROM revoked_tokens", "read [token] [t1] [t2]"),
        ("SELECT * FROM revoked_tokens WHERE token > 't1'", "read [token] [t2]"),
        ("SELECT * FROM revoked_tokens WHERE token = 'x'", "read [token] [x]"),
        ("SELECT * FROM revoked_tokens WHERE token = 't1' OR token LIKE 't%'", "read [token] [t1] [t2]"),
        ("SELECT COUNT(*) FROM revoked_tokens", "read [COUNT(*)#] [2]"),
        ("SELECT token FROM revoked_tokens ORDER BY token DESC LIMIT 1", "read [token] [t2]"),
        ("DELETE FROM revoked_tokens", "error 13"),
        ("DELETE FROM revoked_tokens WHERE token > 'a'", "error 13"),
        ("DELETE FROM revoked_tokens WHERE token IN ('b', 'a', 'b')", "-token 7:a -token 7:b, ok 0 0"),
    ]);
}

#[test]
fn calls() {
    check(&[
        ("INSERT INTO conference (name, user_id) VALUES ('room', 1)", "error 12"),
        ("INSERT INTO conference (name, message) VALUES ('room', 'm')", "error 12"),
        ("INSERT INTO conference (name, user_id, message) VALUES ('room', 'x', 'm')", "error 12"),
        ("INSERT INTO conference (name, user_id, message) VALUES ('room', -1, 'm')", "error 12"),
        (&format!("INSERT INTO conference (name, user_id, message) VALUES ('{}', 1, 'm')", "n".repeat(65)), "error 11"),
        ("INSERT INTO conference (nope) VALUES (1)", "error 14"),
        ("INSERT INTO conference (name, user_id, message) VALUES ('12', 1, 'm')", "error 500"),
        ("SELECT * FROM conference", "error 13"),
        (
            "SELECT * FROM conference WHERE name = '1'",
            "read [name user_id# caller_id# message profile stream node] [1 5 0 m default 0 node]",
        ),
        ("SELECT user_id FROM conference WHERE name = 'a room' AND user_id > 5", "read [user_id#]"),
        ("DELETE FROM conference", "error 13"),
        ("DELETE FROM conference WHERE user_id = 1", "error 13"),
        ("DELETE FROM conference WHERE name = '1'", "error 13"),
        ("DELETE FROM conference WHERE name = '1' AND user_id = 5", "-call 7:1/5, ok 0 0"),
        (
            "DELETE FROM conference WHERE name IN ('2', '1') AND user_id IN (5, 6)",
            "-call 7:1/5 -call 7:1/6 -call 7:2/5 -call 7:2/6, ok 0 0",
        ),
        (
            "DELETE FROM conference WHERE name = '1' AND user_id = 5 OR name = '2' AND user_id = 6",
            "-call 7:1/5 -call 7:2/6, ok 0 0",
        ),
        ("DELETE FROM conference WHERE name = '1' AND user_id = 5 AND caller_id = 0", "error 2"),
        ("DELETE FROM conference WHERE name = '1' AND user_id IN (5, 6) LIMIT 1", "error 2"),
    ]);
}
