//! Tenants with passwords of their own: who logs in, and what a session that is bound to its tenant may not do.

use std::collections::BTreeMap;

use super::*;
use crate::cometql::exec::session::{Asked, Phase};
use sha2::Sha256;

const OWN: &str = "battery staple";

/// Tenants 5 and 6 have a password of their own.
fn bench(own_only: bool) -> Bench {
    let mut bench = Bench::greeted();
    let passwords = BTreeMap::from([(DevId(5), OWN.into()), (DevId(6), "another one".into())]);
    bench.exec.config.tenants = Tenants { passwords: Arc::new(passwords), own_only };
    bench
}

fn bound() -> Bench {
    let mut bench = bench(false);
    bench.log_in("5", OWN, Some("CometQL_v1"));
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench
}

#[test]
fn who_may_log_in_where_tenants_have_their_own_passwords() {
    for (user, password, database, expected, own_only) in [
        ("5", OWN, None, "ok 0 0", "ok 0 0"),
        ("5", OWN, Some("db_5"), "ok 0 0", "ok 0 0"),
        ("05", OWN, None, "ok 0 0", "ok 0 0"),
        ("5", PASSWORD, None, "ok 0 0", "error 16"),
        ("5", PASSWORD, Some("db_6"), "ok 0 0", "error 16"),
        ("5", "another one", None, "error 16", "error 16"),
        ("5", OWN, Some("db_6"), "error 16", "error 16"),
        ("5", OWN, Some("db_0"), "error 16", "error 16"),
        ("5", "", None, "error 16", "error 16"),
        ("1", OWN, None, "error 16", "error 16"),
        ("root", OWN, None, "error 16", "error 16"),
        ("1", PASSWORD, None, "ok 0 0", "ok 0 0"),
        ("root", PASSWORD, Some("db_5"), "ok 0 0", "ok 0 0"),
    ] {
        for (setting, expected) in [(false, expected), (true, own_only)] {
            let mut bench = bench(setting);
            bench.log_in(user, password, database);
            assert_eq!(bench.take(), [expected], "{user} {password} {database:?} {setting}");
        }
    }
}

#[test]
fn the_newer_method_proves_a_tenants_password_too() {
    let salt = [8_u8; 20];
    let once = Sha256::digest(OWN);
    let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(salt).finalize();
    let response: Vec<u8> = once.iter().zip(mask).map(|(left, right)| left ^ right).collect();
    let mut bench = bench(true);
    bench.log_in_with("5", &response, None);
    assert_eq!(bench.take().last().map(String::as_str), Some("ok 0 0"));
    bench.check("USE db_6", "error 16");
}

#[test]
fn a_session_cannot_leave_the_tenant_whose_password_it_proved() {
    let mut bench = bound();
    bench.check("USE db_6", "error 16");
    bench.check("USE db_5", "ok 0 0");
    bench.check("USE CometQL_v1", "ok 0 0");
    bench.packet(0, b"\x02db_0");
    assert_eq!(bench.take(), ["error 16"]);
    bench.check(&format!("cometqlcluster_v1 set dev_id=6;{INSERT}"), "error 16");
    assert!(bench.rings.is_empty());
    bench.query(&format!("cometqlcluster_v1 set dev_id=5;{INSERT}"));
    match &bench.rings[0].1 {
        RingMessage::Publish { publication, .. } => assert_eq!(publication.pipe.dev, DevId(5)),
        other => panic!("{other:?}"),
    }
    bench.accept(0);
    bench.take();
    // The option for several statements on: what follows the refused one is not carried out.
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    bench.query("USE db_6; INSERT INTO users_auth (id, hash) VALUES (7, 'abc')");
    assert_eq!(bench.take(), ["error 16"]);
    assert!(bench.jobs.is_empty());
}

#[test]
fn changing_the_user_takes_a_proof() {
    let change = |bench: &mut Bench, user: &str, password: &str| {
        let response = response(password);
        let mut body = vec![0x11];
        body.extend(user.bytes().chain([0]));
        body.push(response.len() as u8);
        body.extend(&response);
        body.extend([0, 45, 0]);
        bench.packet(0, &body);
        bench.take()
    };
    let mut bench = bound();
    assert_eq!(change(&mut bench, "6", OWN), ["error 16"]);
    assert!(!bench.closed.is_empty());
    let mut bench = bound();
    assert_eq!(change(&mut bench, "6", "another one"), ["ok 0 0"]);
    bench.check("USE db_5", "error 16");
    assert_eq!(change(&mut bench, "root", PASSWORD), ["ok 0 0"]);
    bench.check("USE db_5", "ok 0 0");
}

#[test]
fn only_sessions_of_the_tenant_are_seen_and_ended() {
    let mut bench = bound();
    for place in [1, 2] {
        bench.exec.opened(id(place), Peer::Address(HERE), SALT);
    }
    let mut others = [bench.exec.take(id(1)).unwrap(), bench.exec.take(id(2)).unwrap()];
    for (other, (dev, reach)) in others.iter_mut().zip([(5, Reach::Tenant), (5, Reach::Everywhere)]) {
        (other.phase, other.dev, other.reach) = (Phase::Ready, DevId(dev), reach);
    }
    for other in others {
        bench.exec.put_back(other);
    }
    bench.turn();
    bench.take();
    bench.check("SHOW PROCESSLIST", "rows ServiceName,id,status,count: cometql,1,0,0 | cometql,2,0,0");
    bench.query("SELECT ID FROM information_schema.PROCESSLIST ORDER BY ID DESC");
    for _ in 0..2 {
        bench.answer(Replies::Connections { connections: vec![], next: None });
    }
    assert_eq!(bench.take(), ["rows ID: 2 | 1"]);
    bench.check("KILL 3", "error 16");
    bench.check("KILL 99", "error 16");
    bench.packet(0, &[12, 3, 0, 0, 0]);
    assert_eq!(bench.take(), ["error 16"]);
    bench.check("KILL 2", "ok 0 0");
    assert_eq!(bench.closed, [(id(1), CloseReason::Killed)]);
}

#[test]
fn browser_connections_of_other_tenants_are_neither_seen_nor_ended() {
    let mut bench = bound();
    let number = numbers::number_of(ShardId(1), ConnId { index: 7, generation: 3 });
    for (found, expected) in [(true, "ok 0 0"), (false, "error 16")] {
        bench.query(&format!("KILL {number}"));
        assert!(matches!(bench.asked(), (1, Question::Kill { dev: DevId(5), .. })));
        bench.answer(Replies::Killed(found));
        assert_eq!(bench.take(), [expected]);
    }
    bench.check(&format!("KILL {}", number + (1 << 55)), "error 16");
    bench.check("USE db_6", "error 16");
    let own = "1,5,127.0.0.1,CometQL_v1,Query,0,,";
    for (query, rows) in [
        ("SELECT * FROM connections", "rows id,user_id,ip,pipes,queued_bytes,since,memory: ".to_owned()),
        ("SHOW FULL PROCESSLIST", format!("rows Id,User,Host,db,Command,Time,State,Info: {own}")),
        (
            "SELECT * FROM information_schema.PROCESSLIST",
            format!("rows ID,USER,HOST,DB,COMMAND,TIME,STATE,INFO: {own}"),
        ),
    ] {
        bench.query(query);
        for shard in 0..2 {
            let (to, question) = bench.asked();
            assert!(matches!(question, Question::Connections { dev: DevId(5), .. }), "{query}");
            assert_eq!(to, shard);
            bench.answer(Replies::Connections { connections: vec![], next: None });
        }
        assert_eq!(bench.take(), [rows], "{query}");
    }
}

#[test]
fn a_tenants_wrong_passwords_count_like_the_servers() {
    let mut bench = bench(true);
    for _ in 0..3 {
        bench.log_in("5", "wrong", None);
        bench.next_client(HERE);
    }
    bench.take();
    bench.log_in("5", OWN, None);
    assert_eq!(bench.take(), ["error 16"], "the address has to wait");
    assert_eq!(bench.held_off, [HERE]);
}

/// Whoever knew a tenant's password could guess the server's for ever, by logging in rightly in between.
#[test]
fn a_login_with_a_tenants_password_clears_no_count() {
    for (user, password, held_off) in [("5", OWN, true), ("root", PASSWORD, false), ("5", PASSWORD, false)] {
        let mut bench = bench(false);
        for (user, password) in [("root", "1st"), ("root", "2nd"), (user, password), ("root", "3rd")] {
            bench.next_client(HERE);
            bench.log_in(user, password, None);
        }
        assert_eq!(!bench.held_off.is_empty(), held_off, "{user} {password}");
    }
}

/// One tenant could take every place, also those of the operator.
#[test]
fn sessions_with_tenants_passwords_do_not_take_all_places() {
    let mut bench = bench(false);
    let ask = |bench: &mut Bench, place: u32, user: &str, password: &str| {
        let mut session =
            Session::new(id(place), Peer::Address(HERE), Connection::new(100 + place, Salt::from_random(SALT)));
        session.asked = Some(Box::new(Asked { user: user.as_bytes().into(), database: None }));
        let reach = if password == PASSWORD { Reach::Everywhere } else { Reach::Tenant };
        bench.exec.admit(&mut session, reach).unwrap();
        let entered = bench.exec.bound.enter(&mut session, &bench.exec.config);
        (session, entered.map_err(|error| error.code).err())
    };
    let full = Some(Code::Authentication);
    let (mut first, refused) = ask(&mut bench, 1, "5", OWN);
    assert_eq!(refused, None);
    assert_eq!(ask(&mut bench, 2, "5", OWN).1, None);
    assert_eq!(ask(&mut bench, 3, "5", OWN).1, full, "two of a tenant");
    assert_eq!(ask(&mut bench, 3, "6", "another one").1, None);
    assert_eq!(ask(&mut bench, 4, "6", "another one").1, full, "three of all tenants");
    assert_eq!(ask(&mut bench, 4, "5", PASSWORD).1, None);
    bench.log_in("6", "another one", None);
    assert_eq!(bench.take(), ["error 16"]);
    assert_eq!(bench.exec.back_off.len(), 0, "the password was right");
    bench.exec.bound.leave(&mut first);
    for _ in 0..5 {
        bench.next_client(HERE);
        bench.log_in("6", "another one", None);
        assert_eq!(bench.take(), ["ok 0 0"], "what a session held is free when it ends");
    }
}

#[test]
fn the_passwords_are_never_shown() {
    let shown = format!("{:?}", bench(false).exec.config);
    assert!(!shown.contains(OWN) && !shown.contains(PASSWORD), "{shown}");
}
