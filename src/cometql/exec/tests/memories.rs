//! What sessions remember, as their clients see it.

use super::*;

/// The status and the number of warnings of the last packet, which is an OK without affected rows.
fn status(bench: &Bench) -> (u16, u16) {
    match bench.written.as_slice() {
        [.., 0, _, _, low, high, warnings, 0] => (u16::from_le_bytes([*low, *high]), u16::from(*warnings)),
        other => panic!("{other:?}"),
    }
}

const AUTOCOMMIT: u16 = 2;
const IN_TRANSACTION: u16 = 1;
const NO_BACKSLASH_ESCAPES: u16 = 0x200;
const ANSI_QUOTES: u16 = 0x8000;

/// PDO and those above it look at the flag before they commit, drivers before they escape.
#[test]
fn the_status_says_what_the_session_has_set() {
    let mut bench = Bench::logged_in();
    assert_eq!(status(&bench), (AUTOCOMMIT, 0));
    for (query, flags) in [
        ("START TRANSACTION", AUTOCOMMIT | IN_TRANSACTION),
        ("SAVEPOINT a", AUTOCOMMIT | IN_TRANSACTION),
        ("COMMIT", AUTOCOMMIT),
        ("SET autocommit = 0", 0),
        ("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", NO_BACKSLASH_ESCAPES),
        ("SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES', autocommit = 1", AUTOCOMMIT | NO_BACKSLASH_ESCAPES | ANSI_QUOTES),
        ("SET sql_mode = DEFAULT", AUTOCOMMIT),
        ("SET sql_mode = 'HIGH_NOT_PRECEDENCE,NO_BACKSLASH_ESCAPES'", AUTOCOMMIT),
        ("USE CometQL_v1", AUTOCOMMIT),
    ] {
        bench.query(query);
        let refused = bench.take() == ["error 3"];
        assert_eq!(refused, query.contains("HIGH_NOT"), "{query}");
        if !refused {
            assert_eq!(status(&bench), (flags, 0), "{query}");
        }
    }
    bench.check("BEGIN", "ok 0 0");
    // A new beginning.
    bench.packet(0, &[0x1f]);
    assert_eq!(status(&bench), (AUTOCOMMIT, 0));
}

#[test]
fn a_publication_is_not_rolled_back_and_the_client_is_told() {
    let mut bench = Bench::logged_in();
    bench.check("BEGIN", "ok 0 0");
    bench.query(INSERT);
    bench.accept(0);
    bench.take();
    bench.check("ROLLBACK", "ok 0 0");
    assert_eq!(status(&bench), (AUTOCOMMIT, 1));
    bench.query("SHOW WARNINGS");
    assert!(bench.take()[0].contains("Warning,1196,"));
    bench.check("ROLLBACK", "ok 0 0");
    assert_eq!(status(&bench), (AUTOCOMMIT, 0));
    bench.check("SHOW WARNINGS", "rows Level,Code,Message: ");
    // Without autocommit a publication begins a transaction.
    bench.check("SET autocommit = 0", "ok 0 0");
    bench.query(INSERT);
    bench.accept(1);
    assert_eq!(status(&bench), (IN_TRANSACTION, 0));
    bench.take();
    bench.check("ROLLBACK RELEASE", "ok 0 0");
    assert_eq!(bench.closed, [(id(0), CloseReason::Quit)]);
}

/// They were constants.
#[test]
fn functions_tell_what_the_last_statement_did() {
    const TOLD: &str = "SELECT ROW_COUNT(), LAST_INSERT_ID(), FOUND_ROWS()";
    let heading = "rows ROW_COUNT(),LAST_INSERT_ID(),FOUND_ROWS(): ";
    let mut bench = Bench::logged_in();
    bench.check(TOLD, &format!("{heading}0,0,0"));
    bench.query("INSERT INTO users_auth (id, hash) VALUES (5, 'a'), (6, 'b')");
    bench.complete(Ok(Outcome::Written { rows: 2 }));
    assert_eq!(bench.take(), ["ok 2 5"]);
    bench.check(TOLD, &format!("{heading}2,5,1"));
    bench.query("SELECT id FROM users_auth WHERE id IN (5, 6, 7)");
    let found = vec![(UserId::new(5).unwrap(), "a".into()), (UserId::new(6).unwrap(), "b".into())];
    bench.complete(Ok(Outcome::Texts(found)));
    assert_eq!(bench.take(), ["rows id: 5 | 6"]);
    bench.check(TOLD, &format!("{heading}-1,5,2"));
    bench.check("nonsense", "error 3");
    bench.check("SELECT ROW_COUNT()", "rows ROW_COUNT(): -1");
    bench.check("SET @x = 1", "ok 0 0");
    bench.check("SELECT ROW_COUNT()", "rows ROW_COUNT(): 0");
    // Asked while the statement before is under way.
    bench.query("INSERT INTO users_messages (id, event, message) VALUES (9, 'e', 'm')");
    bench.query("SELECT LAST_INSERT_ID()");
    bench.query("SELECT FOUND_ROWS()");
    assert_eq!(bench.take().len(), 0);
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 9", "rows LAST_INSERT_ID(): 9", "rows FOUND_ROWS(): 1"]);
}

#[test]
fn variables_hold_for_the_session() {
    let mut bench = Bench::logged_in();
    bench.check("SET @m = 'hello'", "ok 0 0");
    bench.check("SELECT @m", "rows @m: hello");
    bench.query("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'e', @m)");
    let RingMessage::Publish { publication, .. } = &bench.rings[0].1 else { panic!("no publication") };
    assert_eq!(&*publication.message, "hello");
    // Behind a publication that is under way, in one query, and in a prepared statement.
    bench.query("SELECT @m := 'later', @m");
    assert_eq!(bench.take().len(), 0);
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0", "rows @m := later,@m: later,later"]);
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    bench.query("SET @m = 'first'; SELECT @m; SET @m = CONCAT(@m, '!'); SELECT @m");
    assert_eq!(bench.take(), ["ok 0 0", "rows @m: first", "ok 0 0", "rows @m: first!"]);
    bench.packet(0, b"\x16SELECT id FROM users_time WHERE id = @m");
    assert!(bench.take()[0].starts_with("ok 1 0"));
    bench.packet(0, &[0x1f]);
    bench.take();
    bench.query("SELECT @m IS NULL AS gone");
    assert_eq!(bench.take(), ["rows gone: 1"]);
    assert_eq!(bench.exec.remembered(), 0);
}

/// Whoever fills what is shared leaves each of the others its own.
#[test]
fn variables_of_all_sessions_are_bounded() {
    const MOST: usize = 16 * 1024 * 1024;
    for (of_others, bytes, reach, kept) in [
        (0, 9_000, Reach::Tenant, true),
        (MOST / 2, 9_000, Reach::Tenant, false),
        (MOST / 2, 9_000, Reach::Everywhere, true),
        (MOST, 9_000, Reach::Everywhere, false),
        (MOST, 900, Reach::Everywhere, true),
        (MOST, 900, Reach::Tenant, true),
    ] {
        let mut bench = Bench::logged_in();
        let mut session = bench.exec.take(id(0)).unwrap();
        session.reach = reach;
        bench.exec.put_back(session);
        bench.exec.remembered = of_others;
        let set = format!("SET @x = '{}'", "x".repeat(bytes));
        bench.check(&set, if kept { "ok 0 0" } else { "error 11" });
        let select = format!("SELECT LENGTH(@y := '{}') AS l", "y".repeat(bytes - 100));
        bench.query(&select);
        let length = format!("rows l: {}", bytes - 100);
        let full = of_others == MOST || !kept;
        assert_eq!(bench.take(), [if full { "error 11" } else { length.as_str() }], "{of_others} {bytes} {reach:?}");
        bench.next_client(HERE);
        assert_eq!(bench.exec.remembered(), of_others);
    }
}

/// A driver that believes the mode escapes otherwise, and a value could add rows of its own.
#[test]
fn the_mode_counts_for_every_way_to_insert() {
    const MODE: &str = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'";
    // Nothing of a query is read in another way than it was meant.
    let mut bench = Bench::logged_in();
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    bench.check(&format!("{MODE}; SELECT 'x'"), "error 3");
    bench.query(&format!(r"SELECT '\\'; {MODE}"));
    assert_eq!(bench.take().last().map(String::as_str), Some("ok 0 0"));
    bench.check(r"SELECT '\' AS v", r"rows v: \");
    let value = r"\'), (''pipe'', ''e'', ''injected";
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'e', '{value}')");
    let slow = format!("INSERT INTO pipes_messages SET name = 'pipe', event = 'e', message = '{value}'");
    let published = |bench: &Bench| -> Vec<String> {
        let messages = bench.rings.iter().map(|(_, message)| match message {
            RingMessage::Publish { publication, .. } => publication.message.to_string(),
            other => panic!("{other:?}"),
        });
        messages.collect()
    };
    let meant = r"\'), ('pipe', 'e', 'injected";
    let meant = &[meant.to_owned()];
    for text in [&insert, &slow] {
        let mut bench = Bench::logged_in();
        bench.check(MODE, "ok 0 0");
        bench.query(&text.replacen(r"\'", r"\''", 1));
        assert_eq!(published(&bench), meant, "{text}");
        let mut bench = Bench::logged_in();
        bench.check(MODE, "ok 0 0");
        bench.packet(0, format!("\x16{}", text.replacen(r"\'", r"\''", 1)).as_bytes());
        assert!(bench.take()[0].starts_with("ok 1 0"), "{text}");
        bench.packet(0, &[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(published(&bench), meant, "{text}");
    }
}
