//! Statements carried out: what owners and storage are asked, what clients are told, and the errors of the table.

use super::*;
use crate::cometql::exec::commands::PREPARED_BYTES_MAX;

#[test]
fn a_deleted_hash_is_told_to_every_shard_once_it_is_committed() {
    let mut bench = Bench::logged_in();
    bench.query("DELETE FROM users_auth WHERE id IN (5, 6)");
    assert!(bench.rings.is_empty());
    bench.complete(Ok(Outcome::Written { rows: 1 }));
    assert_eq!(bench.take(), ["ok 0 0"]);
    let told: Vec<(u16, Vec<u32>)> = bench
        .rings
        .iter()
        .map(|(to, message)| match message {
            RingMessage::EndUsers(ended) if ended.dev == DevId(1) => {
                (to.0, ended.users().iter().map(|user| user.get()).collect())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(0, vec![5, 6]), (1, vec![5, 6])], "all users in one message for each shard");
    bench.rings.clear();
    bench.query("DELETE FROM users_auth WHERE id = 5");
    bench.complete(Err(StorageError::Overloaded));
    assert!(bench.rings.is_empty(), "nothing was deleted");
}

#[test]
fn storage_that_fails_is_told_and_the_session_goes_on() {
    let mut bench = Bench::logged_in();
    bench.query("INSERT INTO users_auth (id, hash) VALUES (5, 'abc')");
    bench.complete(Err(StorageError::Failed("disk".into())));
    assert_eq!(bench.take(), ["error 500"]);
    bench.query("SELECT hash FROM users_auth WHERE id = 5");
    bench.complete(Err(StorageError::Overloaded));
    assert_eq!(bench.take(), ["error 500"]);
    bench.check("SHOW DATABASES", "rows Database: CometQL_v1");
}

/// A row is asked for once, however often it is named, and what is read has a budget.
#[test]
fn large_results_are_refused_where_they_would_arise() {
    let mut bench = Bench::logged_in();
    bench.query(&format!("SELECT data FROM users_data WHERE id IN ({})", ["5"; 1000].join(",")));
    let read = Read::UserData { dev: DevId(1), users: vec![UserId::new(5).unwrap()] };
    assert_eq!(bench.jobs[0].request, Request::Read { read, bytes_max: 50_000 });
    bench.complete(Err(StorageError::TooLarge { bytes_max: 50_000 }));
    assert_eq!(bench.take(), ["error 11"]);
    assert!(String::from_utf8_lossy(&bench.written).contains("larger than 50000 bytes"));
    // What waits for its order is held, and has the same budget.
    let rows = |count: u32| (1..=count).map(|id| (UserId::new(id).unwrap(), "d".repeat(10_000).into())).collect();
    for (count, refused) in [(4, false), (5, true)] {
        bench.query("SELECT id FROM users_data WHERE id IN (1, 2, 3, 4, 5) ORDER BY id");
        bench.complete(Ok(Outcome::Texts(rows(count))));
        let answers = bench.take();
        assert_eq!(answers == ["error 11"], refused, "{answers:?}");
    }
    bench.check("SELECT 1", "rows 1: 1");
}

#[test]
fn counts_are_gathered_from_their_owners() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT users, name FROM pipes WHERE name IN ('pipe_a', 'pipe_b', 'pipe_c', 'pipe_a')");
    let asks = std::mem::take(&mut bench.rings);
    assert!(asks.len() > 1, "the names must fall to both owners for this test to mean anything");
    for (_, message) in asks {
        let RingMessage::Ask(ask) = message else { panic!("{message:?}") };
        let Question::PipeCounts(keys) = ask.question else { panic!("not counts") };
        let counts = keys.iter().map(|key| u32::from(key.name.as_str().as_bytes()[5])).collect();
        let answered = Answered { id: ask.id, replies: Replies::Counts(counts) };
        bench.exec.ring(RingMessage::Answered(Box::new(answered)));
    }
    bench.turn();
    assert_eq!(bench.take(), ["rows users,name: 97,pipe_a | 98,pipe_b | 99,pipe_c"]);
}

#[test]
fn last_seen_joins_owners_and_storage() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT id, time FROM users_time WHERE id IN (1, 2, 3, 4)");
    for (_, message) in std::mem::take(&mut bench.rings) {
        let RingMessage::Ask(ask) = message else { panic!("{message:?}") };
        let Question::Online(dev, users) = ask.question else { panic!("not users") };
        assert_eq!(dev, DevId(1));
        let online = users.iter().map(|user| user.get() == 2).collect();
        let answered = Answered { id: ask.id, replies: Replies::Online(online) };
        bench.exec.ring(RingMessage::Answered(Box::new(answered)));
    }
    let user = |id| UserId::new(id).unwrap();
    // In whatever order.
    bench.complete(Ok(Outcome::Times(vec![(user(4), 0), (user(2), 5), (user(1), 1_600_000_000)])));
    assert_eq!(bench.take(), ["rows id,time: 1,1600000000 | 2,0 | 3,-1 | 4,-1"]);
}

#[test]
fn tenants_are_chosen_by_database_and_prefix() {
    let mut bench = Bench::logged_in();
    let dev_of = |bench: &Bench| match &bench.rings.last().unwrap().1 {
        RingMessage::Publish { publication, .. } => publication.pipe.dev,
        other => panic!("{other:?}"),
    };
    bench.packet(0, b"\x02db_3");
    bench.query(INSERT);
    assert_eq!(dev_of(&bench), DevId(3));
    bench.query("USE db_4");
    bench.accept(0);
    bench.query(INSERT);
    assert_eq!(dev_of(&bench), DevId(4));
    bench.accept(1);
    bench.query(&format!("cometqlcluster_v1 set dev_id=6;{INSERT}"));
    assert_eq!(dev_of(&bench), DevId(6));
    bench.accept(2);
    bench.take();
    bench.check("cometqlcluster_v1 set dev_id=99; SELECT 1", "error 16");
    bench.check("USE nothing", "error 15");
    bench.check("SELECT DATABASE()", "rows DATABASE(): CometQL_v1");
}

#[test]
fn what_follows_a_use_in_the_same_query_goes_to_its_tenant() {
    let mut bench = Bench::logged_in();
    bench.query("USE db_5; INSERT INTO users_auth (id, hash) VALUES (7, 'abc')");
    let write = Write::PutHash { dev: DevId(5), user: UserId::new(7).unwrap(), hash: "abc".into() };
    assert_eq!(bench.jobs[0].request, Request::Write(vec![write]));
}

#[test]
fn lengths_and_bytes_that_are_no_statement() {
    let mut bench = Bench::logged_in();
    bench.check("abc", "error 17");
    bench.check(&format!("{INSERT}{}", " ".repeat(10_000)), "error 11");
    bench.packet(0, b"\x03SELECT '\xff\xfe'");
    assert_eq!(bench.take(), ["error 12"]);
    bench.packet(0, &[200]);
    assert_eq!(bench.take(), ["error 1047"]);
    bench.check("garbage in here", "error 3");
    bench.check("SELECT 1", "rows 1: 1");
}

/// The number is the contract, so each of the table is sent by something here, and nothing else is.
#[test]
fn every_error_of_the_table_is_sent() {
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let names = (0..21).map(|n| format!("n{n}")).collect::<Vec<_>>().join(",");
    let statements = [
        (2, "DELETE FROM users_auth WHERE id = 5 ORDER BY id".to_owned()),
        (3, "garbage in here".to_owned()),
        (10, "INSERT INTO users_time (id, time) VALUES (5, 1)".to_owned()),
        (11, format!("INSERT INTO users_auth (id, hash) VALUES (5, '{}')", "a".repeat(33))),
        (12, "INSERT INTO users_auth (id, hash) VALUES (0, 'a')".to_owned()),
        (13, "SELECT hash FROM users_auth".to_owned()),
        (14, "SELECT nothing FROM users_auth WHERE id = 5".to_owned()),
        (15, "SELECT nothing FROM nowhere".to_owned()),
        (16, "cometqlcluster_v1 set dev_id=99; SELECT 1".to_owned()),
        (17, "abc".to_owned()),
        (18, format!("SELECT id FROM users_auth WHERE {}", ["id = 5"; 11].join(" AND "))),
        (19, format!("SELECT id FROM users_auth WHERE id IN ({})", list("5", 4001))),
        (20, format!("SELECT {} FROM users_auth WHERE id = 5", list("id", 21))),
        (21, format!("INSERT INTO users_auth ({names}) VALUES ({})", list("1", 21))),
        (1094, "KILL 77".to_owned()),
        (1146, "SHOW CREATE TABLE nowhere".to_owned()),
        (1227, "SHUTDOWN".to_owned()),
        (1792, format!("SET TRANSACTION READ ONLY; {INSERT}")),
    ];
    let mut sent = std::collections::BTreeSet::new();
    let mut bench = Bench::logged_in();
    let mut check = |code: u16, answers: &[String]| {
        assert_eq!(answers.last(), Some(&format!("error {code}")));
        sent.insert(code);
    };
    for (code, sql) in &statements {
        bench.query(sql);
        check(*code, &bench.take());
    }
    bench.query("SELECT hash FROM users_auth WHERE id = 5");
    bench.complete(Err(StorageError::Failed("disk".into())));
    check(500, &bench.take());
    bench.packet(0, b"\x16SELECT data FROM users_data WHERE id = ?");
    bench.take();
    for (code, packet) in [
        (1047, &b"\xc8"[..]),
        // No types were ever bound.
        (1210, b"\x17\x01\0\0\0\0\x01\0\0\0\0\0"),
        (1243, b"\x17\x07\0\0\0\0\x01\0\0\0"),
        // These two are the protocol's own, and not in the table.
        (1421, b"\x1c\x01\0\0\0\x01\0\0\0"),
        (1835, b""),
    ] {
        bench.packet(0, packet);
        check(code, &bench.take());
    }
    for _ in 0..1023 {
        bench.packet(0, b"\x16SELECT 1");
    }
    bench.take();
    bench.packet(0, b"\x16SELECT 1");
    check(1461, &bench.take());
    let mut probe = Bench::greeted();
    probe.log_in("haproxy_check", "", None);
    probe.take();
    probe.query("SHOW DATABASES");
    check(403, &probe.take());
    let mut late = Bench::greeted();
    late.exec.send_away(true);
    late.log_in("root", PASSWORD, None);
    check(1053, &late.take());
    let table = Code::ALL.iter().map(|code| code.number()).chain([1421, 1835]);
    assert_eq!(sent, table.collect());
}

#[test]
fn prepared_statements_publish() {
    let mut bench = Bench::logged_in();
    bench.packet(0, b"\x16INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', ?, ?)");
    let prepared = bench.take();
    assert!(prepared[0].starts_with("ok 1 0"), "{prepared:?}");
    // id 1, no cursor, once; no NULLs, types follow: two strings.
    let mut execute = vec![0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 253, 0, 253, 0];
    execute.extend(b"\x02ev\x05it's!");
    bench.packet(0, &execute);
    let RingMessage::Publish { publication, .. } = &bench.rings[0].1 else { panic!("no publication") };
    assert_eq!((publication.event.as_str(), &*publication.message), ("ev", "it's!"));
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.packet(0, &[0x19, 1, 0, 0, 0]);
    bench.packet(0, &execute);
    assert_eq!(bench.take(), ["error 1243"]);
}

/// They are charged what they weigh when parsed: a value of one character takes many times as much memory.
#[test]
fn prepared_statements_are_bounded_together() {
    let values = format!("DELETE FROM users_data WHERE id IN (1{})", ",2".repeat(3_900));
    for (statement, most) in [(format!("SELECT '{}'", "x".repeat(9_000)), 240), (values, 10)] {
        let mut bench = Bench::logged_in();
        let packet = format!("\x16{statement}");
        let mut prepared = 0;
        loop {
            bench.packet(0, packet.as_bytes());
            if bench.take() == ["error 1461"] {
                break;
            }
            prepared += 1;
        }
        assert!((most / 2..=most).contains(&prepared), "{prepared}");
        assert!(bench.exec.memory() < PREPARED_BYTES_MAX + 200_000);
        // Whoever closes one may prepare another.
        bench.packet(0, &[0x19, 1, 0, 0, 0]);
        bench.packet(0, packet.as_bytes());
        assert_ne!(bench.take(), ["error 1461"]);
    }
    // Plain ones are many: as many as a session may have at all.
    let mut bench = Bench::logged_in();
    for _ in 0..1024 {
        bench.packet(0, b"\x16INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', ?, ?)");
        assert!(bench.take()[0].starts_with("ok"));
    }
    bench.packet(0, b"\x16SELECT 1");
    assert_eq!(bench.take(), ["error 1461"]);
}

/// The log is told what statements are about and what came of them, in the order of the answers, and no secret.
#[test]
fn statements_are_told_when_they_are_answered() {
    let mut bench = Bench::logged_in();
    bench.query("INSERT INTO users_auth (id, hash) VALUES (5, 'secret')");
    assert!(bench.told.is_empty(), "it is not answered yet");
    bench.now.time = Time(1_500);
    bench.complete(Ok(Outcome::Written { rows: 1 }));
    bench.query("SELECT hash FROM users_auth WHERE id = 5");
    bench.complete(Ok(Outcome::Texts(vec![(UserId::new(5).unwrap(), "secret".into())])));
    bench.query("INSERT INTO pipes_messages (name, event, message) VALUES ('no!pipe', 'e', 'm')");
    bench.query("SELECT 1");
    let told: Vec<_> = bench.told.iter().map(|told| (told.label.verb, told.label.table, told.outcome)).collect();
    let expected = [
        ("INSERT", Some("users_auth"), Ok(1)),
        ("SELECT", Some("users_auth"), Ok(1)),
        ("INSERT", Some("pipes_messages"), Err(Code::Invalid.number())),
        ("SELECT", None, Ok(1)),
    ];
    assert_eq!(told, expected);
    assert!(bench.told.iter().all(|told| told.address == Some(HERE) && told.tenant == DevId(1)));
    assert_eq!(bench.told[0].begun, Time(0));
    assert!(!format!("{:?}", bench.told).contains("secret"));
    assert!(bench.told[2].text.as_deref().is_some_and(|text| text.contains("'m'")), "{:?}", bench.told[2]);
}
