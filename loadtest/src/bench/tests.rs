//! Every run against a small server, honest and not: what is wrong must be seen.

use super::report::{Record, Report};
use super::*;
use crate::fake::{Behaviour, FakeServer, PASSWORD};

fn target(server: &FakeServer) -> Target {
    Target {
        ws: server.ws,
        cometql: server.cometql,
        user: "root".into(),
        password: PASSWORD.into(),
        tenant: 0,
        server_pid: None,
        client_core: None,
        limit_seconds: 10,
        json: None,
    }
}

fn fanout_options(window: u32) -> fanout::Options {
    fanout::Options {
        subscribers: 5,
        window,
        messages: Some(20),
        size: 128,
        rounds: 2,
        threads: 2,
        pipe: "bench_fanout".into(),
    }
}

#[track_caller]
fn check(record: &Record, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        assert_eq!(record.value(name), Some(*value), "{name} in {}", record.line());
    }
}

#[test]
fn fanout_of_an_honest_server() {
    for behaviour in [Behaviour::Honest, Behaviour::Splits(3), Behaviour::Pings] {
        for window in [1, 8] {
            let server = FakeServer::start(behaviour);
            let mut report = Report::default();
            fanout::run(&target(&server), &fanout_options(window), &mut report).unwrap();
            assert!(!report.is_failed());
            assert_eq!(report.records().len(), 3);
            for record in &report.records()[..2] {
                check(record, &[("subscribers", 5.0), ("delivered", 100.0), ("missing", 0.0), ("repeated", 0.0)]);
            }
        }
    }
}

/// The warm-up takes publications 0 to 9; the misbehaviour comes in the first round.
#[track_caller]
fn check_fanout(behaviour: Behaviour, expected: &[(&str, f64)]) {
    let server = FakeServer::start(behaviour);
    let mut report = Report::default();
    let target = Target { limit_seconds: 2, ..target(&server) };
    fanout::run(&target, &fanout_options(4), &mut report).unwrap();
    assert!(report.is_failed());
    check(&report.records()[0], expected);
}

#[test]
fn fanout_sees_what_goes_wrong() {
    let cases: [(Behaviour, &[(&str, f64)]); 5] = [
        (Behaviour::Repeats(15), &[("delivered", 100.0), ("missing", 0.0), ("repeated", 1.0)]),
        (Behaviour::Swaps(15), &[("delivered", 100.0), ("missing", 0.0), ("disordered", 2.0)]),
        // A lost one halts the window of 4: publications 10 to 18 went out.
        (Behaviour::Loses(15), &[("delivered", 44.0), ("missing", 56.0), ("disordered", 1.0)]),
        (Behaviour::Spoils(29), &[("delivered", 99.0), ("missing", 1.0), ("foreign_frames", 1.0)]),
        (Behaviour::Ends(29), &[("delivered", 99.0), ("missing", 1.0), ("ended_connections", 1.0)]),
    ];
    // Some wait until nothing has come for a while; together they wait once.
    thread::scope(|scope| {
        for (behaviour, expected) in cases {
            scope.spawn(move || check_fanout(behaviour, expected));
        }
    });
}

#[test]
fn a_repetition_after_the_last_round_is_seen() {
    let server = FakeServer::start(Behaviour::Repeats(49));
    let mut report = Report::default();
    fanout::run(&target(&server), &fanout_options(1), &mut report).unwrap();
    assert!(report.is_failed());
}

#[test]
fn fanout_ends_with_an_insert_that_fails() {
    let server = FakeServer::start(Behaviour::Refuses(15));
    let target = Target { limit_seconds: 2, ..target(&server) };
    let mut report = Report::default();
    fanout::run(&target, &fanout_options(1), &mut report).unwrap();
    assert!(report.is_failed());
    assert!(report.records()[0].line().contains("bad characters"), "{}", report.records()[0].line());
}

#[test]
fn idle_counts_shared_and_distinct_pipes() {
    for distinct_pipes in [false, true] {
        let server = FakeServer::start(Behaviour::Honest);
        let mut report = Report::default();
        let options =
            idle::Options { connections: 30, pipe: "bench_idle".into(), distinct_pipes, users: false, hold_seconds: 0 };
        idle::run(&target(&server), &options, &mut report).unwrap();
        assert!(!report.is_failed());
        check(&report.records()[0], &[("connections", 30.0)]);
    }
}

#[test]
fn many_get_one_broadcast_each() {
    let options = many::Options { connections: 40, threads: 4, size: 128, pipe: "bench_many".into(), hold_seconds: 0 };
    let run = |behaviour| {
        let server = FakeServer::start(behaviour);
        let mut report = Report::default();
        let target = Target { limit_seconds: 2, ..target(&server) };
        many::run(&target, &options, &mut report).unwrap();
        report
    };
    let honest = run(Behaviour::Honest);
    assert!(!honest.is_failed());
    check(&honest.records()[0], &[("delivered", 40.0), ("missing", 0.0), ("repeated", 0.0)]);
    let loses = run(Behaviour::Loses(0));
    assert!(loses.is_failed());
    check(&loses.records()[0], &[("delivered", 39.0), ("missing", 1.0)]);
    let repeats = run(Behaviour::Repeats(0));
    assert!(repeats.is_failed());
    check(&repeats.records()[0], &[("delivered", 40.0), ("repeated", 1.0)]);
}

#[test]
fn latency_by_the_clock() {
    let server = FakeServer::start(Behaviour::Honest);
    let mut report = Report::default();
    let options = latency::Options { subscribers: 5, rate: 200.0, seconds: 1, size: 64, pipe: "bench_latency".into() };
    latency::run(&target(&server), &options, &mut report).unwrap();
    assert!(!report.is_failed());
    check(&report.records()[0], &[("publications", 200.0), ("delivered", 1000.0)]);
}

#[test]
fn inserts_are_counted_with_their_errors() {
    for (connections, pipeline) in [(4, 1), (1, 16)] {
        for behaviour in [Behaviour::Honest, Behaviour::Splits(2), Behaviour::Refuses(0)] {
            let server = FakeServer::start(behaviour);
            let mut report = Report::default();
            let options =
                inserts::Options { connections, pipeline, seconds: 0.2, size: 128, pipe: "bench_inserts".into() };
            inserts::run(&target(&server), &options, &mut report).unwrap();
            let (ok, errors) = (report.records()[0].value("inserts"), report.records()[0].value("errors"));
            if behaviour == Behaviour::Refuses(0) {
                assert!(report.is_failed());
                assert!(ok == Some(0.0) && errors > Some(0.0), "{ok:?} {errors:?}");
            } else {
                assert!(!report.is_failed());
                assert!(ok >= Some(pipeline as f64) && errors == Some(0.0), "{ok:?} {errors:?}");
            }
        }
    }
}

#[test]
fn offline_writes_are_counted_and_looked_up() {
    for table in [offline::Table::Messages, offline::Table::Keys, offline::Table::Publications] {
        for behaviour in [Behaviour::Honest, Behaviour::Splits(2), Behaviour::Refuses(0), Behaviour::Loses(0)] {
            let server = FakeServer::start(behaviour);
            let mut report = Report::default();
            let options = offline::Options { connections: 3, pipeline: 2, seconds: 0.1, size: 128, table };
            offline::run(&target(&server), &options, &mut report).unwrap();
            let record = &report.records()[0];
            let is_stored = table != offline::Table::Publications;
            let expected = behaviour == Behaviour::Refuses(0) || (is_stored && behaviour == Behaviour::Loses(0));
            assert_eq!(report.is_failed(), expected, "{}", record.line());
            if behaviour == Behaviour::Refuses(0) {
                check(record, &[("inserts", 0.0)]);
                assert!(record.value("errors") > Some(0.0));
            } else {
                check(record, &[("errors", 0.0)]);
                assert!(record.value("inserts") >= Some(6.0));
            }
        }
    }
}

#[test]
fn a_round_trip_compares_two_statements() {
    let options = roundtrip::Options { rounds: 3, block: 5, size: 128, pipe: "bench_roundtrip".into() };
    for behaviour in [Behaviour::Honest, Behaviour::Splits(2)] {
        let server = FakeServer::start(behaviour);
        let target = Target { server_pid: Some(std::process::id()), ..target(&server) };
        let mut report = Report::default();
        roundtrip::run(&target, &options, &mut report).unwrap();
        assert!(!report.is_failed());
        let record = &report.records()[0];
        check(record, &[("rounds", 3.0), ("block", 5.0)]);
        assert!(record.value("latency_ratio") > Some(0.0) && record.value("cpu_ratio") > Some(0.0));
    }
    let server = FakeServer::start(Behaviour::Refuses(0));
    assert!(roundtrip::run(&target(&server), &options, &mut Report::default()).is_err());
}

#[test]
fn idle_sessions_are_there_to_the_end() {
    let server = FakeServer::start(Behaviour::Honest);
    let target = Target { server_pid: None, ..target(&server) };
    let mut report = Report::default();
    let options = sessions::Options { connections: 20, warm_up: 2, hold_seconds: 0 };
    sessions::run(&target, &options, &mut report).unwrap();
    assert!(!report.is_failed());
    check(&report.records()[0], &[("connections", 20.0), ("lost", 0.0)]);
}

#[test]
fn the_bare_loop_delivers() {
    for window in [1, 8] {
        let options =
            floor::Options { subscribers: 20, window, messages: Some(30), size: 128, rounds: 1, server_core: 0 };
        let mut report = Report::default();
        floor::run(Duration::from_secs(10), None, &options, &mut report).unwrap();
        assert!(!report.is_failed());
        check(&report.records()[0], &[("delivered", 600.0), ("missing", 0.0)]);
        assert_eq!(report.records().len(), if window == 1 { 2 } else { 4 });
    }
}

#[test]
fn a_comparison_has_both_sides() {
    let server = FakeServer::start(Behaviour::Honest);
    let target = Target { server_pid: Some(std::process::id()), ..target(&server) };
    let options = compare::Options { subscribers: vec![3, 6], rounds: 2, size: 128, server_core: 0, effort: 0.0 };
    let mut report = Report::default();
    compare::run(&target, &options, &mut report).unwrap();
    assert!(!report.is_failed());
    let names: Vec<_> = report.records().iter().map(|record| record.name.as_str()).collect();
    let round = ["floor", "server", "floor joined", "server"];
    let each = [&round[..], &round, &["compare-fanout"]].concat();
    assert_eq!(names, [&each[..], &each].concat());
    assert!(report.records()[8].value("window_1_to_floor") > Some(0.0));

    let without_process = Target { server_pid: None, ..target };
    assert!(compare::run(&without_process, &options, &mut Report::default()).is_err());
}

#[test]
fn counting_asks_in_portions() {
    let server = FakeServer::start(Behaviour::Honest);
    let mut client = target(&server).log_in().unwrap();
    let pipes = Pipes::Distinct("none".into());
    assert_eq!(subscribers(&mut client, &pipes, NAMES_PER_QUERY * 2 + 1).unwrap(), 0);
    let error = wait_for_subscribers(&mut client, &pipes, 1, 5, Duration::from_millis(60)).unwrap_err();
    assert!(error.to_string().contains("to count 5 subscribers; it counts 0"), "{error}");
}
