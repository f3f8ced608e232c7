//! What is published, sent and written by user.

use super::*;

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

/// Columns that say how a message is sent are there for INSERT only: whoever wants all columns has what CppComet has.
#[test]
fn how_a_message_is_sent() {
    let long = "u".repeat(33);
    let insert = |columns: &str, values: &str| {
        format!("INSERT INTO pipes_messages (name, event, message, {columns}) VALUES ('pipe', 'ev', 'm', {values})")
    };
    check(&[
        (&insert("except_uuid", "'ann at work'"), "pipe/ev/m not for ann at work"),
        (&insert("EXCEPT_UUID", "'a'), ('pipe', 'ev', 'n', ''"), "pipe/ev/m not for a pipe/ev/n"),
        (&insert("except_uuid", "NULL"), "pipe/ev/m"),
        (&insert("except_uuid", &format!("'{long}'")), "error 11"),
        (&insert("idempotency_key", "'order:17/paid'"), "pipe/ev/m once as order:17/paid"),
        (&insert("idempotency_key", "'a key'"), "error 12"),
        (&insert("idempotency_key", "'schlüssel'"), "error 12"),
        (&insert("idempotency_key", &format!("'{}'", "k".repeat(65))), "error 11"),
        (&insert("idempotency_key", &format!("'{}'", "k".repeat(10_240))), "error 11"),
        (&insert("expires_in", "60"), "pipe/ev/m for 60 s"),
        (&insert("expires_in, except_uuid", "'31536000', 'a'"), "pipe/ev/m not for a, for 31536000 s"),
        (&insert("expires_in", "''"), "pipe/ev/m"),
        (&insert("expires_in", "0"), "error 12"),
        (&insert("expires_in", "-1"), "error 12"),
        (&insert("expires_in", "31536001"), "error 12"),
        (&insert("expires_in", "1.5"), "error 12"),
        (&insert("expires_in", "'soon'"), "error 12"),
        (&insert("expires_in", "99999999999999999999"), "error 12"),
        ("INSERT INTO users_messages (id, event, message, expires_in) VALUES (5, 'ev', 'm', 60)", "to 5/ev/m for 60 s"),
        ("INSERT INTO users_messages (id, event, message, idempotency_key) VALUES (5, 'ev', 'm', 'a')", "error 14"),
        (&insert("except_uuid, except_uuid", "'a', 'b'"), "error 13"),
        (&insert("except_uid", "'a'"), "error 14"),
        ("INSERT INTO pipes_messages VALUES ('x', 5, 'pipe', 0, 'ev', 'm', 77, 'a')", "error 14"),
        ("INSERT INTO users_messages (id, event, message, except_uuid) VALUES (5, 'ev', 'm', 'a')", "error 14"),
        ("SELECT except_uuid FROM pipes_messages WHERE name = 'pipe'", "error 14"),
        ("SELECT id FROM pipes_messages WHERE name = 'pipe' AND except_uuid = 'a'", "error 14"),
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
