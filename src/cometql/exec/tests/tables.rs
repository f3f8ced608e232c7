//! Statements that owners carry out, and answers whose rows come bit by bit.

use super::*;
use crate::model::{EventName, MessageId, PipeName, Position};
use crate::ring::{ConnectionInfo, LengthChange, Member};
use crate::storage::{Call, StoredMessage};

const SEND: &str = "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'm')";

#[test]
fn personal_messages_overlap_with_publications() {
    let mut bench = Bench::logged_in();
    bench.query(SEND);
    bench.query(INSERT);
    bench.query("INSERT INTO users_messages (id, event, message) VALUES (0, '', 'a'), (5, 'e', 'b')");
    assert_eq!(bench.rings.len(), 4, "none waits for another");
    let RingMessage::Send(send) = &bench.rings[0].1 else { panic!("no personal message") };
    assert_eq!((send.dev, send.user, &*send.personal.message), (DevId(1), UserId::new(5).unwrap(), "m"));
    assert_eq!(bench.rings[0].0, bench.rings[3].0, "the same user has the same owner");
    bench.accept(3);
    bench.accept(1);
    assert!(bench.take().is_empty());
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 5", "ok 0 0"]);
    bench.accept(2);
    assert_eq!(bench.take(), ["ok 0 0"], "the insert id is the first user");
}

/// The first refusal is the answer, but not before all owners have spoken: what they do is done then.
#[test]
fn what_an_owner_refuses_is_told_when_all_have_answered() {
    for (refusal, text) in [
        (Refusal::Storage(StorageError::Failed("disk full".into())), "Storage failed: disk full"),
        (Refusal::Storage(StorageError::Overloaded), "try again"),
        (Refusal::Storage(StorageError::Unavailable("gone".into())), "cannot be reached: gone"),
        (Refusal::TooManySettings, "as many pipes"),
    ] {
        let three = "VALUES ('abc', 5), ('abd', 5), ('abe', 5)";
        for statement in [
            format!("INSERT INTO pipes_settings (name, length) {three}"),
            "INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'm'), (2, 'e', 'm'), (3, 'e', 'm')"
                .to_owned(),
            INSERT.replace("('pipe', 'e', 'm')", "('abc', 'e', 'm'), ('abd', 'e', 'm'), ('abe', 'e', 'm')"),
        ] {
            let mut bench = Bench::logged_in();
            bench.query(&statement);
            bench.query("SELECT 1");
            assert_eq!(bench.rings.len(), 3);
            bench.refuse(1, refusal.clone());
            bench.refuse(2, Refusal::Storage(StorageError::Failed("a later one".into())));
            assert!(bench.take().is_empty(), "{statement}");
            bench.accept(0);
            assert_eq!(bench.take(), ["error 500", "rows 1: 1"], "{statement}");
        }
        let mut bench = Bench::logged_in();
        bench.query(SEND);
        bench.refuse(0, refusal);
        assert!(String::from_utf8_lossy(&bench.written).contains(text), "{text}");
    }
}

#[test]
fn lengths_are_set_through_owners_and_overlap_with_nothing() {
    let mut bench = Bench::logged_in();
    bench.query(INSERT);
    bench.query("INSERT INTO pipes_settings (name, length) VALUES ('abc', 5000), ('abd', 0)");
    bench.query(INSERT);
    assert_eq!(bench.rings.len(), 1);
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
    let set: Vec<(String, LengthChange)> = bench.rings[1..]
        .iter()
        .map(|(_, message)| match message {
            RingMessage::SetLength(set) => (set.pipe.name.to_string(), set.change),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(set, [("abc".to_owned(), LengthChange::Put(1000)), ("abd".to_owned(), LengthChange::Put(0))]);
    bench.accept(1);
    bench.accept(2);
    assert_eq!(bench.take(), ["ok 2 0"]);
    assert_eq!(bench.rings.len(), 4, "what comes behind is kept by the new length");
    bench.accept(3);
    bench.take();
    bench.query("DELETE FROM pipes_settings WHERE name = 'abc'");
    assert!(matches!(&bench.rings[4].1, RingMessage::SetLength(set) if set.change == LengthChange::Remove));
    bench.accept(4);
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.query("UPDATE pipes_settings SET length = 7 WHERE name IN ('abc', 'abd')");
    assert!(matches!(&bench.rings[5].1, RingMessage::SetLength(set) if set.change == LengthChange::Update(7)));
    bench.accept(5);
    bench.exec.ring(RingMessage::Accepted { statement: bench.statement(6), rows: 0 });
    bench.turn();
    assert_eq!(bench.take(), ["ok 1 0"], "as many as there are");
}

#[test]
fn a_revoked_token_is_told_to_every_shard_once_it_is_committed() {
    let mut bench = Bench::logged_in();
    bench.query("INSERT INTO revoked_tokens (token) VALUES ('one'), ('two')");
    let put = |token: &str| Write::PutRevoked { dev: DevId(1), token: token.into(), expires: None };
    assert_eq!(bench.jobs[0].request, Request::Write(vec![put("one"), put("two")]));
    assert!(bench.rings.is_empty());
    bench.complete(Ok(Outcome::Written { rows: 2 }));
    assert_eq!(bench.take(), ["ok 2 1"]);
    let told: Vec<(u16, &str)> = bench
        .rings
        .iter()
        .map(|(to, message)| match message {
            RingMessage::EndToken { dev: DevId(1), token } => (to.0, &**token),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(0, "one"), (1, "one"), (0, "two"), (1, "two")]);
    bench.rings.clear();
    bench.query("INSERT INTO revoked_tokens (token) VALUES ('three')");
    bench.complete(Err(StorageError::Overloaded));
    assert_eq!(bench.take(), ["error 500"]);
    assert!(bench.rings.is_empty(), "nothing was revoked");
    bench.query("DELETE FROM revoked_tokens WHERE token = 'one'");
    bench.complete(Ok(Outcome::Written { rows: 1 }));
    assert_eq!(bench.take(), ["ok 0 0"]);
    assert!(bench.rings.is_empty());
}

#[test]
fn deleted_rows_are_told_where_that_is_wanted() {
    for (delete_counts, expected, settings) in [(false, "ok 0 0", "ok 0 0"), (true, "ok 3 0", "ok 2 0")] {
        let mut bench = Bench::logged_in();
        bench.exec.config.delete_counts = delete_counts;
        bench.query("INSERT INTO pipes_settings (name, length) VALUES ('abc', 5)");
        bench.accept(0);
        assert_eq!(bench.take(), ["ok 1 0"]);
        bench.query("DELETE FROM pipes_settings WHERE name IN ('abc', 'abd')");
        bench.accept(1);
        bench.accept(2);
        assert_eq!(bench.take(), [settings]);
        bench.query("DELETE FROM users_messages WHERE id = 5");
        bench.complete(Ok(Outcome::Written { rows: 3 }));
        assert_eq!(bench.take(), [expected]);
        bench.query("INSERT INTO users_data (id, data) VALUES (5, 'x')");
        bench.complete(Ok(Outcome::Written { rows: 0 }));
        assert_eq!(bench.take(), ["ok 1 5"]);
    }
}

pub(super) fn message(number: u64, text: &str) -> StoredMessage {
    StoredMessage {
        id: MessageId::new(Position(number), 0),
        time: 1_600_000_000,
        event: EventName::new(b"e").unwrap(),
        message: text.into(),
        sender: UserId::default(),
        expires: 0,
    }
}

/// Each ORDER BY had a bound, and ten thousand sessions had none together.
#[test]
fn what_all_sessions_sort_is_bounded() {
    let rows = || (1..=50).map(|number| message(number, &"x".repeat(200))).collect();
    let page = || Ok(Outcome::Messages { rows: rows(), more: false });
    for (of_others, sorted, reach, answered) in [
        (0, true, Reach::Tenant, true),
        (30_000, true, Reach::Everywhere, true),
        (30_000, true, Reach::Tenant, false),
        (50_000, true, Reach::Everywhere, false),
        (50_000, false, Reach::Everywhere, true),
    ] {
        let mut bench = Bench::logged_in();
        let mut session = bench.exec.take(id(0)).unwrap();
        session.reach = reach;
        bench.exec.put_back(session);
        bench.exec.held = of_others;
        let order = if sorted { "ORDER BY message" } else { "" };
        bench.query(&format!("SELECT message FROM users_messages WHERE id IN (5, 6) {order}"));
        bench.complete(page());
        if answered {
            bench.complete(Ok(Outcome::Messages { rows: vec![], more: false }));
        }
        let taken = bench.take();
        assert_eq!(taken[0].starts_with("rows message: "), answered, "{of_others} {reach:?} {taken:?}");
        assert!(answered || taken == ["error 11"], "{taken:?}");
        assert_eq!(bench.exec.held, of_others, "nothing is held any more");
        bench.next_client(HERE);
        assert_eq!(bench.exec.held, of_others);
    }
}

#[test]
fn lists_come_in_pages_and_go_out_as_one_answer() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT message FROM users_messages WHERE id IN (5, 6)");
    let queue = |bench: &Bench| match &bench.jobs[0].request {
        Request::Read { read: Read::Queue { dev: DevId(1), user, after, .. }, .. } => (user.get(), *after),
        other => panic!("{other:?}"),
    };
    assert_eq!(queue(&bench), (5, None));
    let last = message(2, "b");
    let place = last.place();
    bench.complete(Ok(Outcome::Messages { rows: vec![message(1, "a"), last], more: true }));
    assert_eq!(queue(&bench), (5, Some(place)));
    bench.complete(Ok(Outcome::Messages { rows: vec![message(3, "c")], more: false }));
    assert_eq!(queue(&bench), (6, None));
    bench.complete(Ok(Outcome::Messages { rows: vec![], more: false }));
    assert_eq!(bench.take(), ["rows message: a | b | c"]);

    // The number of a row goes on over pages and pipes.
    bench.query("SELECT name, `index`, message FROM pipes_messages WHERE name IN ('abc', 'abd')");
    bench.complete(Ok(Outcome::Messages { rows: vec![message(1, "a"), message(2, "b")], more: true }));
    bench.complete(Ok(Outcome::Messages { rows: vec![message(3, "c")], more: false }));
    bench.complete(Ok(Outcome::Messages { rows: vec![message(4, "d")], more: false }));
    assert_eq!(bench.take(), ["rows name,index,message: abc,0,a | abc,1,b | abc,2,c | abd,3,d"]);

    bench.query("SELECT * FROM revoked_tokens");
    bench.complete(Ok(Outcome::Tokens { rows: vec!["a".into(), "b".into()], more: true }));
    let after = matches!(&bench.jobs[0].request, Request::Read { read: Read::AllRevoked { after: Some(after), .. }, .. } if &**after == "b");
    assert!(after);
    bench.complete(Ok(Outcome::Tokens { rows: vec!["c".into()], more: false }));
    assert_eq!(bench.take(), ["rows token: a | b | c"]);

    // Nothing is asked for that LIMIT cuts off, and COUNT needs no rows.
    bench.query("SELECT * FROM revoked_tokens LIMIT 1, 1");
    bench.complete(Ok(Outcome::Tokens { rows: vec!["a".into(), "b".into()], more: true }));
    assert!(bench.jobs.is_empty());
    assert_eq!(bench.take(), ["rows token: b"]);
    bench.query("SELECT COUNT(*) FROM revoked_tokens WHERE token != 'b'");
    bench.complete(Ok(Outcome::Tokens { rows: vec!["a".into(), "b".into()], more: true }));
    bench.complete(Ok(Outcome::Tokens { rows: vec!["c".into()], more: false }));
    assert_eq!(bench.take(), ["rows COUNT(*): 2"]);
    for (query, outcome, expected) in [
        (
            "SELECT * FROM revoked_tokens WHERE token = 'x'",
            Outcome::Tokens { rows: vec!["x".into()], more: false },
            "rows token: x",
        ),
        (
            "SELECT * FROM pipes_settings WHERE name = 'abc'",
            Outcome::Lengths(vec![(PipeName::new(b"abc").unwrap(), 9)]),
            "rows name,length: abc,9",
        ),
        (
            "SELECT name, caller_id, node FROM conference WHERE name = '1'",
            Outcome::Calls(vec![call()]),
            "rows name,caller_id,node: 1,6,host:1",
        ),
    ] {
        bench.query(query);
        bench.complete(Ok(outcome));
        assert_eq!(bench.take(), [expected]);
        assert!(bench.jobs.is_empty());
    }
}

fn call() -> Call {
    Call {
        name: "1".into(),
        user: UserId::new(5).unwrap(),
        caller: UserId::new(6).unwrap(),
        message: "m".into(),
        profile: "default".into(),
        stream: "0".into(),
        node: "host:1".into(),
        time: 0,
    }
}

impl Bench {
    /// A shard answers the last question.
    pub(super) fn answer(&mut self, replies: Replies) {
        let Some((_, RingMessage::Ask(ask))) = self.rings.last() else { panic!("no question") };
        let answered = Answered { id: ask.id, replies };
        self.exec.ring(RingMessage::Answered(Box::new(answered)));
        self.turn();
    }

    pub(super) fn asked(&self) -> (u16, &Question) {
        match self.rings.last() {
            Some((to, RingMessage::Ask(ask))) => (to.0, &ask.question),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn subscribers_are_asked_for_on_every_shard_in_pages() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT user_id, user_uuid, ip FROM users_in_pipes WHERE name IN ('abc', 'abd')");
    let member = |user: u32| Member {
        user: UserId::new(user).unwrap(),
        uuid: format!("u{user}").into(),
        details: Arc::default(),
        address: HERE,
    };
    for (user, pipe, shard, before, next) in [
        (1, "abc", 0, None, Some(7)),
        (2, "abc", 0, Some(7), None),
        (3, "abc", 1, None, None),
        (4, "abd", 0, None, None),
        (5, "abd", 1, None, None),
    ] {
        let (to, question) = bench.asked();
        let Question::Members { pipe: asked, before: from, .. } = question else { panic!("{question:?}") };
        assert_eq!((to, asked.name.as_str(), *from), (shard, pipe, before));
        bench.answer(Replies::Members { members: vec![member(user)], next });
    }
    let rows = (1..6).map(|user| format!("{user},u{user},127.0.0.1")).collect::<Vec<_>>().join(" | ");
    assert_eq!(bench.take(), [format!("rows user_id,user_uuid,ip: {rows}")]);
}

fn connection(index: u32) -> ConnectionInfo {
    ConnectionInfo {
        shard: 1,
        conn: ConnId { index, generation: 3 },
        user: UserId::new(5).unwrap(),
        address: HERE,
        pipes: 2,
        since: UnixTime(NOW.unix.0 - 60),
        queued_bytes: 9,
        memory: 140,
    }
}

#[test]
fn connections_are_listed_and_ended() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT * FROM connections");
    let after = |bench: &Bench| match bench.asked() {
        (to, Question::Connections { dev: DevId(1), after, .. }) => (to, *after),
        other => panic!("{other:?}"),
    };
    assert_eq!(after(&bench), (0, None));
    bench.answer(Replies::Connections { connections: vec![], next: None });
    assert_eq!(after(&bench), (1, None));
    bench.answer(Replies::Connections { connections: vec![connection(7)], next: Some(7) });
    assert_eq!(after(&bench), (1, Some(7)));
    bench.answer(Replies::Connections { connections: vec![connection(8)], next: None });
    let id = numbers::number_of(ShardId(1), ConnId { index: 7, generation: 3 });
    let since = NOW.unix.0 - 60;
    let columns = "id,user_id,ip,pipes,queued_bytes,since,memory";
    let other = id + (1 << 29);
    let expected = format!("rows {columns}: {id},5,127.0.0.1,2,9,{since},140 | {other},5,127.0.0.1,2,9,{since},140");
    assert_eq!(bench.take(), [expected]);
    for (found, expected) in [(true, "ok 0 0"), (false, "error 1094")] {
        bench.query(&format!("KILL {id}"));
        let (to, question) = bench.asked();
        let Question::Kill { dev, conn } = question else { panic!("{question:?}") };
        assert_eq!((to, *dev, *conn), (1, DevId(1), ConnId { index: 7, generation: 3 }));
        bench.answer(Replies::Killed(found));
        assert_eq!(bench.take(), [expected]);
    }
    // A shard that there is not.
    bench.check(&format!("KILL {}", id + (1 << 55)), "error 1094");
}

#[test]
fn the_process_list_has_sessions_and_connections() {
    let mut bench = Bench::logged_in();
    bench.exec.opened(id(4), Peer::Address(HERE), SALT);
    bench.turn();
    bench.take();
    bench.query("SHOW FULL PROCESSLIST");
    bench.answer(Replies::Connections { connections: vec![], next: None });
    bench.answer(Replies::Connections { connections: vec![connection(7)], next: None });
    let number = numbers::number_of(ShardId(1), ConnId { index: 7, generation: 3 });
    let own = "1,1,127.0.0.1,CometQL_v1,Query,0,,";
    let browser = format!("{number},5,127.0.0.1,db_1,Browser,60,pipes: 2, queued bytes: 9,");
    assert_eq!(bench.take(), [format!("rows Id,User,Host,db,Command,Time,State,Info: {own} | {browser}")]);
    // The one that has not logged in is nobody's but the whole server's.
    bench.packet(0, b"\x02db_0");
    bench.take();
    bench.query("SHOW FULL PROCESSLIST");
    bench.answer(Replies::Connections { connections: vec![], next: None });
    bench.answer(Replies::Connections { connections: vec![], next: None });
    let answer = bench.take().concat();
    assert!(answer.ends_with("| 2,,127.0.0.1,db_0,Connect,0,,"), "{answer}");
}

/// Tools that ask for them as a table see the same.
#[test]
fn the_table_of_processes_has_sessions_and_connections() {
    const QUERY: &str = "SELECT ID, COMMAND, STATE FROM information_schema.PROCESSLIST WHERE DB <> 'x' ORDER BY ID";
    let page = |bench: &mut Bench, connections: Vec<u32>, next: Option<u32>| {
        let connections = connections.into_iter().map(connection).collect();
        bench.answer(Replies::Connections { connections, next });
    };
    let mut bench = Bench::logged_in();
    bench.query(QUERY);
    bench.query("SELECT 1");
    page(&mut bench, vec![7], Some(7));
    page(&mut bench, vec![8], None);
    assert_eq!(bench.take(), Vec::<String>::new());
    page(&mut bench, vec![], None);
    let row = |index| {
        let number = numbers::number_of(ShardId(1), ConnId { index, generation: 3 });
        format!("{number},Browser,pipes: 2, queued bytes: 9")
    };
    let rows = format!("rows ID,COMMAND,STATE: 1,Query, | {} | {}", row(7), row(8));
    assert_eq!(bench.take(), [rows, "rows 1: 1".to_owned()]);
    // What is held counts for the bound of all sessions, and goes again.
    assert_eq!(bench.exec.held, 0);
    bench.query(QUERY);
    page(&mut bench, (0..400).collect(), Some(400));
    assert_eq!(bench.take(), ["error 11"]);
    assert_eq!(bench.exec.held, 0);
    bench.check("SELECT 2", "rows 2: 2");
    // More than a query may look at.
    bench.exec.config.held_bytes_max = usize::MAX;
    bench.query(QUERY);
    for from in (0..).step_by(500) {
        if bench.exec.asks.is_empty() {
            break;
        }
        assert!(from <= 10_000);
        page(&mut bench, (from..from + 500).collect(), Some(from));
    }
    assert_eq!(bench.take(), ["error 11"]);
}

#[test]
fn the_database_chosen_says_where_names_are_looked_up() {
    let mut bench = Bench::logged_in();
    bench.check("USE information_schema", "ok 0 0");
    bench.check("SELECT DATABASE()", "rows DATABASE(): information_schema");
    bench.check("SELECT COUNT(*) FROM ENGINES", "rows COUNT(*): 1");
    bench.check(INSERT, "error 15");
    bench.packet(0, b"\x02db_2");
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.check("SELECT COUNT(*) FROM ENGINES", "error 15");
    bench.packet(0, b"\x02information_schema");
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.check("SELECT COUNT(*) FROM ENGINES", "rows COUNT(*): 1");
    // Also among several statements.
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    bench.query("USE CometQL_v1; SELECT DATABASE(); USE information_schema; SELECT COUNT(*) FROM ENGINES");
    let answers = bench.take();
    assert_eq!(answers[1..], ["rows DATABASE(): CometQL_v1", "ok 0 0", "rows COUNT(*): 1"]);
}

#[test]
fn an_update_tells_how_many_rows_there_are() {
    let mut bench = Bench::logged_in();
    for rows in [1, 0] {
        bench.query("UPDATE users_auth SET hash = 'x' WHERE id = 5");
        let wanted = Write::UpdateHash { dev: DevId(1), user: UserId::new(5).unwrap(), hash: "x".into() };
        assert_eq!(bench.jobs[0].request, Request::Write(vec![wanted]));
        bench.complete(Ok(Outcome::Written { rows }));
        assert_eq!(bench.take(), [format!("ok {rows} 0")]);
    }
}

/// However much there is to read and however slowly: a few hundred kilobytes are under way, and the next page is not
/// asked for before they are sent.
#[test]
fn what_is_not_read_is_not_fetched() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT message FROM users_messages WHERE id = 5");
    let text = "x".repeat(240);
    let page =
        |from: u64| Outcome::Messages { rows: (from..from + 1_000).map(|at| message(at, &text)).collect(), more: true };
    let mut written = 0;
    for turn in 0..50 {
        while !bench.undrained {
            bench.complete(Ok(page(written)));
            written += 1_000;
        }
        assert!(bench.jobs.is_empty(), "turn {turn}");
        assert!(bench.exec.memory() < 1_000_000, "turn {turn}: {}", bench.exec.memory());
        bench.undrained = false;
        bench.exec.drained(id(0));
        bench.turn();
    }
    // What comes behind waits as well, and so does a session's end of its own accord.
    bench.query("SELECT 1");
    bench.undrained = false;
    bench.complete(Ok(Outcome::Messages { rows: vec![], more: false }));
    bench.exec.drained(id(0));
    bench.turn();
    assert!(written >= 50_000);
    assert_eq!(bench.take().pop().as_deref(), Some("rows 1: 1"));
}

#[test]
fn an_error_amid_the_rows_ends_the_answer() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT * FROM revoked_tokens; SELECT 1");
    bench.complete(Ok(Outcome::Tokens { rows: vec!["a".into()], more: true }));
    bench.complete(Err(StorageError::Failed("disk".into())));
    let text = String::from_utf8_lossy(&bench.written).into_owned();
    assert!(text.contains("Storage failed: disk"), "{text}");
    assert_eq!(bench.take(), ["rows token: a", "error 500"]);
    bench.check("SELECT 2", "rows 2: 2");
    assert_eq!(bench.exec.counters().statement_errors, 1);
}

#[test]
fn a_session_that_ends_amid_its_rows_leaves_nothing() {
    let mut bench = Bench::logged_in();
    let before = bench.exec.memory();
    bench.query("SELECT * FROM revoked_tokens");
    bench.complete(Ok(Outcome::Tokens { rows: vec!["a".repeat(200).into(); 300], more: true }));
    bench.exec.closed(id(0));
    bench.complete(Ok(Outcome::Tokens { rows: vec!["b".into()], more: true }));
    bench.exec.drained(id(0));
    bench.turn();
    assert!(bench.jobs.is_empty() && bench.exec.jobs.is_empty());
    assert!(bench.exec.memory() <= before);
}
