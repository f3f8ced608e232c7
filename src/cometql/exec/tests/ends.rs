//! Sessions that end, and what is told of those that are there.

use super::*;

#[test]
fn sessions_end_each_other() {
    let mut bench = Bench::logged_in();
    bench.exec.opened(id(4), Peer::Address(HERE), SALT);
    bench.turn();
    bench.take();
    bench.check("KILL 77", "error 1094");
    bench.query("KILL 2");
    assert!(bench.closed.is_empty(), "a session of another tenant is none of ours");
    bench.packet(0, b"\x02db_0");
    bench.query("KILL 2");
    assert_eq!(bench.closed, [(id(4), CloseReason::Killed)]);
    bench.closed.clear();
    bench.query("KILL 1");
    assert_eq!(bench.closed, [(id(0), CloseReason::Killed)]);
}

#[test]
fn the_next_session_in_a_place_is_not_killed_for_the_last_one() {
    let mut bench = Bench::logged_in();
    bench.packet(0, b"\x02db_0");
    let again = ConnId { index: 4, generation: 2 };
    bench.exec.opened(id(4), Peer::Address(HERE), SALT);
    bench.exec.closed(id(4));
    bench.exec.opened(again, Peer::Address(HERE), SALT);
    bench.turn();
    bench.take();
    bench.check("KILL 2", "error 1094");
    bench.query("KILL 3");
    assert_eq!(bench.closed, [(again, CloseReason::Killed)]);
}

#[test]
fn quitting_closes_after_everything_was_answered() {
    let mut bench = Bench::logged_in();
    bench.query(INSERT);
    bench.packet(0, &[1]);
    assert!(bench.closed.is_empty());
    bench.accept(0);
    assert_eq!(bench.take(), ["ok 0 0"]);
    assert_eq!(bench.closed, [(id(0), CloseReason::Quit)]);
}

#[test]
fn the_state_of_the_server_is_told() {
    let mut bench = Bench::logged_in();
    bench.check("SHOW STATUS", "rows Variable_name,Value: uptime,12 | id,1");
    bench.packet(0, &[9]);
    let line = bench.take();
    assert!(line[0].contains("Uptime: 12  Threads: 1"), "{line:?}");
    assert_eq!(bench.exec.sessions(), 1);
    bench.exec.closed(id(0));
    assert_eq!(bench.exec.sessions(), 0);
}

#[test]
fn answers_for_sessions_that_are_gone_change_nothing() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT hash FROM users_auth WHERE id = 5");
    bench.exec.closed(id(0));
    bench.complete(Ok(Outcome::Texts(vec![])));
    assert!(bench.take().is_empty());
    assert!(bench.exec.jobs.is_empty());
}
