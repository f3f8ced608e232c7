//! Sessions that are sent elsewhere.

use super::*;

#[test]
fn an_idle_session_is_told_in_the_place_of_its_next_answer() {
    let mut bench = Bench::logged_in();
    bench.exec.send_away(true);
    bench.turn();
    // Whoever has sent a command meanwhile takes number 1 for its answer.
    assert_eq!(bench.written.get(3), Some(&1));
    assert_eq!(bench.take(), ["error 1053"]);
    assert_eq!(bench.closed, [(id(0), CloseReason::Moved)]);
}

#[test]
fn a_statement_is_finished_before() {
    let mut bench = Bench::logged_in();
    bench.query("INSERT INTO users_auth (id, hash) VALUES (5, 'a')");
    bench.exec.send_away(true);
    bench.turn();
    assert_eq!((bench.take(), bench.closed.len()), (Vec::<String>::new(), 0), "storage has not committed it");
    bench.complete(Ok(Outcome::Written { rows: 1 }));
    assert_eq!(bench.take(), ["ok 1 5", "error 1053"]);
    assert_eq!(bench.closed, [(id(0), CloseReason::Moved)]);
}

#[test]
fn nobody_logs_in_until_sessions_are_welcome_again() {
    let mut bench = Bench::greeted();
    bench.exec.send_away(true);
    bench.turn();
    assert!(bench.closed.is_empty(), "a greeting alone is no session");
    bench.log_in("root", PASSWORD, None);
    assert_eq!(bench.take(), ["error 1053"]);
    let mut bench = Bench::greeted();
    bench.exec.send_away(true);
    bench.exec.send_away(false);
    bench.log_in("root", PASSWORD, None);
    assert_eq!(bench.take(), ["ok 0 0"]);
}
