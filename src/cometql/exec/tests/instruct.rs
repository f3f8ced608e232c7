//! Who may instruct the server as a whole, and how what came of it is told.

use std::collections::BTreeMap;

use super::*;

fn logged_in_as(user: &str, password: &str) -> Bench {
    let mut bench = Bench::greeted();
    let passwords = BTreeMap::from([(DevId(5), "battery staple".into())]);
    bench.exec.config.tenants = Tenants { passwords: Arc::new(passwords), own_only: false };
    bench.log_in(user, password, None);
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench
}

#[test]
fn only_tenant_0_with_the_servers_password_may() {
    for (user, password, uses, allowed) in [
        ("root", PASSWORD, "CometQL_v1", true),
        ("0", PASSWORD, "information_schema", true),
        ("1", PASSWORD, "db_0", true),
        ("1", PASSWORD, "CometQL_v1", false),
        ("root", PASSWORD, "db_1", false),
        ("5", PASSWORD, "CometQL_v1", false),
        ("5", "battery staple", "CometQL_v1", false),
    ] {
        let mut bench = logged_in_as(user, password);
        bench.query(&format!("USE {uses}"));
        bench.take();
        bench.query("FLUSH SETTINGS");
        assert_eq!(bench.instructions.len(), usize::from(allowed), "{user} {uses}");
        let expected: &[&str] = if allowed { &[] } else { &["error 1227"] };
        assert_eq!(bench.take(), expected, "{user} {uses}");
    }
}

#[test]
fn a_session_waits_for_what_comes_of_it_and_others_do_not() {
    let mut bench = logged_in_as("root", PASSWORD);
    bench.query("FLUSH LOGS");
    bench.query("SELECT 1");
    assert_eq!(bench.take(), [""; 0]);
    assert!(bench.exec.owes_answers());
    let (number, instruction) = bench.instructions.remove(0);
    assert_eq!(instruction, Instruction::ReopenLog);
    bench.exec.carried_out(number, Ok("opened anew".into()));
    bench.turn();
    assert_eq!(bench.take(), ["told opened anew", "rows 1: 1"]);
    bench.query("FLUSH LOGS");
    let (number, _) = bench.instructions.remove(0);
    bench.exec.carried_out(number, Err(Error::new(Code::Internal, "the disk is gone")));
    bench.turn();
    assert_eq!(bench.take(), ["error 500"]);
}

#[test]
fn whoever_instructed_may_be_gone() {
    let mut bench = logged_in_as("root", PASSWORD);
    bench.query("SHUTDOWN");
    bench.next_client(HERE);
    let (number, _) = bench.instructions.remove(0);
    bench.exec.carried_out(number, Ok("".into()));
    bench.turn();
    assert_eq!(bench.take(), [""; 0]);
}

#[test]
fn the_log_is_for_the_same() {
    logged_in_as("root", PASSWORD).check("SHOW LOG", "rows Line: a warning");
    logged_in_as("5", PASSWORD).check("SHOW LOG", "error 1227");
}
