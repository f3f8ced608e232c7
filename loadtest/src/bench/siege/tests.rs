use super::*;
use crate::bench::report::Report;
use crate::fake::{Behaviour, FakeServer, PASSWORD};

fn siege(behaviour: Behaviour, attack: Attack) -> Report {
    let server = FakeServer::start(behaviour);
    let target = Target {
        ws: server.ws,
        cometql: server.cometql,
        user: "root".into(),
        password: PASSWORD.into(),
        tenant: 0,
        server_pid: Some(std::process::id()),
        client_core: None,
        limit_seconds: 2,
        json: None,
    };
    let options = Options {
        attacks: vec![attack],
        subscribers: 3,
        rate: 50.0,
        size: 64,
        before: 1,
        seconds: 1,
        memory_cap: 1e6,
        kernel_cap: 1e6,
        attacker: 7,
        attacker_password: PASSWORD.into(),
    };
    let mut report = Report::default();
    run(&target, &options, &mut report).unwrap();
    report
}

#[test]
fn what_good_clients_get_is_counted() {
    let report = siege(Behaviour::Honest, Attack::KeyGuessing);
    let record = &report.records()[0];
    assert!(!report.is_failed(), "{}", record.line());
    assert_eq!((record.value("delivered"), record.value("missing")), (Some(150.0), Some(0.0)));
    assert!(record.value("attacks") > Some(0.0) && record.value("memory_mib") > Some(0.0));
}

#[test]
fn good_clients_that_suffer_are_seen() {
    // The fifty before the attack are 0 to 49.
    let report = siege(Behaviour::Loses(70), Attack::FileReaders);
    assert!(report.is_failed(), "{}", report.records()[0].line());
}
