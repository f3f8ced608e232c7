//! What overlaps, what waits, and the order of answers.

use super::*;

#[test]
fn an_end_that_the_edge_found_comes_after_the_answers() {
    let mut bench = Bench::logged_in();
    bench.query(INSERT);
    bench.exec.end(id(0), CloseReason::PeerClosed);
    bench.turn();
    assert!(bench.closed.is_empty());
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
    assert_eq!(bench.closed, [(id(0), CloseReason::PeerClosed)]);
}

#[test]
fn an_insert_is_answered_when_every_owner_has_accepted() {
    let mut bench = Bench::logged_in();
    bench.query("INSERT INTO pipes_messages (name, event, message) VALUES ('one', 'e', 'a'), ('two', 'e', 'b')");
    assert_eq!(bench.rings.len(), 2);
    for (to, message) in &bench.rings {
        let RingMessage::Publish { publication, .. } = message else { panic!("{message:?}") };
        assert_eq!(bench.exec.config.placement.owner_of_pipe(&publication.pipe), *to);
        assert_eq!(publication.pipe.dev, DevId(1));
        assert_eq!(publication.sender, None);
    }
    bench.accept(1);
    assert!(bench.take().is_empty());
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
}

#[test]
fn publications_overlap_and_answers_keep_the_order() {
    let mut bench = Bench::logged_in();
    for _ in 0..3 {
        bench.query(INSERT);
    }
    assert_eq!(bench.rings.len(), 3, "all three are under way");
    bench.accept(2);
    bench.accept(1);
    assert!(bench.take().is_empty(), "the first one is not accepted yet");
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0", "ok 0 0", "ok 0 0"]);
}

/// Whatever is answered at once waits for the publications sent in front of it, which go to the tenant they were
/// sent by.
#[test]
fn commands_are_answered_behind_the_publications_before_them() {
    let right = [b"\x112\0\x14", &response(PASSWORD)[..], b"\0"].concat();
    let wrong = [b"\x112\0\x14", &response("wrong")[..], b"\0"].concat();
    // Another plugin, so it is asked again.
    let switched = [&right[..], b"\x2d\0dialog\0"].concat();
    for (command, expected) in [
        (&right[..], "ok 0 0"),
        (&wrong, "error 16"),
        (&switched, "eof"),
        (b"\x0e", "ok 0 0"),
        (b"\x02db_3", "ok 0 0"),
        (b"\x02nowhere", "error 15"),
        (b"\x1f", "ok 0 0"),
        (b"\x1b\x01\0", "eof"),
        (b"\x09", "bytes Uptime: 12  Threads: 1  Questions: 2  Errors: 0"),
        (b"\x1a\x07\0\0\0", "error 1243"),
        (b"\x0d", "eof"),
        (b"\x04users_auth\0", "eof"),
        (b"\xc8", "error 1047"),
        (b"\x16SELECT nothing FROM nowhere", "error 15"),
    ] {
        let mut bench = Bench::logged_in();
        bench.query(INSERT);
        bench.query(INSERT);
        bench.packet(0, command);
        assert!(bench.take().is_empty(), "{command:?}: nothing is accepted yet");
        bench.accept(1);
        bench.accept(0);
        assert_eq!(bench.take(), ["ok 0 0", "ok 0 0", expected], "{command:?}");
        let devs = bench.rings.iter().map(|(_, message)| match message {
            RingMessage::Publish { publication, .. } => publication.pipe.dev,
            other => panic!("{other:?}"),
        });
        assert!(devs.eq([DevId(1), DevId(1)]));
        assert_eq!(bench.closed.is_empty(), expected != "error 16");
    }
}

#[test]
fn a_full_pipeline_is_not_read() {
    let mut bench = Bench::logged_in();
    for _ in 0..6 {
        bench.query(INSERT);
    }
    assert_eq!(bench.rings.len(), 4);
    assert!(bench.paused && !bench.input.is_empty());
    bench.accept(0);
    assert_eq!(bench.rings.len(), 5, "one more was read");
    for nth in 1..5 {
        bench.accept(nth);
    }
    bench.accept(5);
    assert_eq!(bench.take().len(), 6);
    assert!(!bench.paused && bench.input.is_empty());
}

#[test]
fn anything_else_waits_for_what_was_before_it() {
    let mut bench = Bench::logged_in();
    bench.query(INSERT);
    bench.query("INSERT INTO users_auth (id, hash) VALUES (5, 'abc')");
    bench.query(INSERT);
    assert!(bench.jobs.is_empty(), "the write has not begun");
    assert_eq!(bench.rings.len(), 1, "and holds back what comes after it");
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
    let write = Write::PutHash { dev: DevId(1), user: UserId::new(5).unwrap(), hash: "abc".into() };
    assert_eq!(bench.jobs[0].request, Request::Write(vec![write]));
    bench.complete(Ok(Outcome::Written { rows: 1 }));
    assert_eq!(bench.take(), ["ok 1 5"]);
    assert_eq!(bench.rings.len(), 2);
}

#[test]
fn a_reply_causes_no_message_and_what_it_lets_begin_waits_for_its_turn() {
    let mut bench = Bench::logged_in();
    bench.query(INSERT);
    bench.query("SELECT users, name FROM pipes WHERE name = 'pipe_a'");
    let RingMessage::Publish { statement: Some(statement), .. } = &bench.rings[0].1 else { panic!("no publication") };
    let message = RingMessage::Accepted { statement: *statement, rows: 0 };
    bench.exec.ring(message);
    bench.end_turn();
    assert_eq!(bench.take(), ["ok 0 0"], "what is accepted is answered at once");
    assert_eq!(bench.rings.len(), 1, "the question would be a message caused by a reply");
    assert!(bench.exec.go_on(&live));
    assert!(!bench.exec.go_on(&live), "once is enough");
    bench.end_turn();
    assert!(matches!(bench.rings[1].1, RingMessage::Ask(_)));
}

#[test]
fn several_statements_of_one_query_answer_in_order_until_one_fails() {
    let mut bench = Bench::logged_in();
    bench.query(&format!("SELECT 1; {INSERT}; SHOW DATABASES"));
    assert_eq!(bench.rings.len(), 1);
    bench.accept(0);
    assert_eq!(bench.take(), ["rows 1: 1", "ok 0 0", "rows Database: CometQL_v1"]);
    bench.query("SELECT 1; SELECT nothing FROM nowhere; SELECT 2");
    assert_eq!(bench.take(), ["rows 1: 1", "error 15"]);
    bench.check("SELECT 2", "rows 2: 2");
    // The option off: one statement per query.
    bench.packet(0, &[27, 1, 0]);
    assert_eq!(bench.take(), ["eof"]);
    bench.check("SELECT 1; SELECT 2", "error 3");
}
