//! Who may log in, with which password, and who has to wait; TLS before it.

use super::*;

#[test]
fn who_may_log_in() {
    for (user, password, database, expected, open) in [
        ("1", PASSWORD, Some("CometQL_v1"), "ok 0 0", true),
        ("root", PASSWORD, None, "ok 0 0", true),
        ("0", PASSWORD, Some("db_7"), "ok 0 0", true),
        ("9", PASSWORD, None, "ok 0 0", true),
        ("10", PASSWORD, None, "error 16", false),
        ("bob", PASSWORD, None, "error 16", false),
        ("1", "wrong", None, "error 16", false),
        ("1", "", None, "error 16", false),
        ("1", PASSWORD, Some("nothing"), "error 15", false),
        ("1", PASSWORD, Some("db_10"), "error 15", false),
        ("haproxy_check", "", None, "ok 0 0", true),
        ("haproxy_check", "wrong", None, "error 16", false),
    ] {
        let mut bench = Bench::greeted();
        bench.log_in(user, password, database);
        assert_eq!(bench.take(), [expected], "{user} {password} {database:?}");
        let closed: Vec<CloseReason> = bench.closed.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(closed, if open { vec![] } else { vec![CloseReason::LoginRefused] }, "{user}");
    }
}

#[test]
fn the_password_is_not_shown() {
    let bench = Bench::greeted();
    for shown in [format!("{:?}", bench.exec.config), format!("{:#?}", bench.exec.config)] {
        assert!(shown.contains("pipeline_max") && !shown.contains(PASSWORD), "{shown}");
    }
}

#[test]
fn wrong_passwords_make_their_address_wait() {
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    let mut bench = Bench::greeted();
    let mut check = |after_ms: u64, address: IpAddr, user: &str, password: &str, expected: &str, held_off: u64| {
        bench.now.time = bench.now.time + after_ms * 1000;
        bench.next_client(address);
        bench.log_in(user, password, None);
        assert_eq!(bench.take(), [expected], "{user} {password}");
        assert_eq!(bench.exec.counters().session_logins_held_off, held_off, "{user} {password}");
        bench.held_off.len()
    };
    for _ in 0..2 {
        check(0, HERE, "1", "wrong", "error 16", 0);
    }
    // The right password in between ends the count.
    check(0, HERE, "1", PASSWORD, "ok 0 0", 0);
    for _ in 0..2 {
        assert_eq!(check(0, HERE, "1", "wrong", "error 16", 0), 0);
    }
    // A right password for a wrong user is neither.
    assert_eq!(check(0, HERE, "bob", PASSWORD, "error 16", 0), 0);
    assert_eq!(check(0, HERE, "1", "", "error 16", 0), 1);
    // From here on nobody from there is heard, but everybody else and probes are.
    check(0, HERE, "1", PASSWORD, "error 16", 1);
    check(999, HERE, "1", "wrong", "error 16", 2);
    check(0, HERE, "haproxy_check", "", "ok 0 0", 2);
    check(0, elsewhere, "1", PASSWORD, "ok 0 0", 2);
    // Being refused did not make the wait longer; another wrong password does.
    check(1, HERE, "1", "wrong", "error 16", 2);
    check(1999, HERE, "1", PASSWORD, "error 16", 3);
    check(1, HERE, "1", PASSWORD, "ok 0 0", 3);
    assert_eq!(check(0, HERE, "1", "wrong", "error 16", 3), 1, "it was told once");
}

#[test]
fn whoever_must_wait_is_told_how_long() {
    let mut bench = Bench::greeted();
    for _ in 0..3 {
        bench.next_client(HERE);
        bench.log_in("1", "wrong", None);
    }
    bench.next_client(HERE);
    bench.log_in("1", PASSWORD, None);
    let text = String::from_utf8_lossy(&bench.written).into_owned();
    assert!(text.ends_with("Too many wrong passwords from this address: wait 1 s and log in again"), "{text}");
}

#[test]
fn a_change_of_user_waits_as_a_login_does() {
    let mut bench = Bench::logged_in();
    let change = [b"\x111\0\x14", &response(PASSWORD)[..], b"\0"].concat();
    bench.packet(0, &change);
    assert_eq!(bench.take(), ["ok 0 0"]);
    let waits = [(); 3].map(|()| bench.exec.back_off.failed(HERE, NOW.time).is_some());
    assert_eq!(waits, [false, false, true]);
    bench.packet(0, &change);
    assert_eq!(bench.take(), ["error 16"]);
    assert_eq!(bench.exec.counters().session_logins_held_off, 1);
}

/// An SSL request, and what is the client's hello to somebody else.
const SSL_REQUEST: [u8; 36] = {
    let mut packet = [0; 36];
    (packet[0], packet[3]) = (32, 1);
    (packet[5], packet[6]) = (0x8a, 1);
    packet
};

#[test]
fn tls_begins_behind_the_request() {
    for offered in [Tls::Offered, Tls::Required] {
        let mut bench = Bench::greeted_with(offered);
        // Even if it comes so early that the greeting is still here, that one goes first.
        bench.exec.closed(id(0));
        bench.exec.opened(id(0), Peer::Address(HERE), SALT);
        let input = [&SSL_REQUEST[..], b"\x16\x03\x01hello"].concat();
        let received = bench.exec.receive(id(0), &input, NOW, &live);
        assert_eq!(received, Received { used: 36, pause: false, start_tls: true });
        assert!(matches!(bench.exec.poll_output(), Some(Output::Write { bytes, .. }) if bytes[4] == 10));
        assert!(bench.exec.poll_output().is_none());
        bench.exec.tls_started(id(0));
        bench.log_in("1", PASSWORD, None);
        assert_eq!(bench.take(), ["ok 0 0"]);
    }
    let mut bench = Bench::greeted();
    let received = bench.exec.receive(id(0), &SSL_REQUEST, NOW, &live);
    assert!(!received.start_tls);
    bench.turn();
    assert_eq!(bench.take(), ["error 16"]);
}

/// It was DISABLED whatever the server offers.
#[test]
fn clients_are_told_whether_there_is_tls() {
    for (tls, told) in [(Tls::Off, "DISABLED"), (Tls::Offered, "YES")] {
        let mut bench = Bench::greeted_with(tls);
        bench.log_in("1", PASSWORD, None);
        bench.take();
        bench.check("SELECT @@have_ssl AS told", &format!("rows told: {told}"));
        bench.check("SHOW VARIABLES LIKE 'have_ssl'", &format!("rows Variable_name,Value: have_ssl,{told}"));
    }
}

#[test]
fn plain_logins_are_refused_where_tls_is_required() {
    let mut bench = Bench::greeted_with(Tls::Required);
    bench.log_in("1", PASSWORD, None);
    assert_eq!(bench.take(), ["error 16"]);
    assert!(String::from_utf8_lossy(&bench.written).contains("over TLS only"));
    assert_eq!(bench.closed, [(id(0), CloseReason::LoginRefused)]);
    // It tried no password, so nobody has to wait; and a probe has nothing to hide.
    assert_eq!(bench.exec.back_off.len(), 0);
    bench.next_client(HERE);
    bench.log_in("haproxy_check", "", None);
    assert_eq!(bench.take(), ["ok 0 0"]);
    let mut bench = Bench::greeted_with(Tls::Offered);
    bench.log_in("1", PASSWORD, None);
    assert_eq!(bench.take(), ["ok 0 0"]);
}

#[test]
fn a_health_probe_may_ping_and_nothing_else() {
    let mut bench = Bench::greeted();
    bench.log_in("haproxy_check", "", None);
    bench.take();
    bench.packet(0, &[14]);
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.check("SHOW DATABASES", "error 403");
    bench.packet(0, b"\x02db_3");
    assert_eq!(bench.take(), ["error 403"]);
    bench.packet(0, b"\x16SELECT 1");
    assert_eq!(bench.take(), ["error 403"]);
    bench.packet(0, &[0x0c, 5, 0, 0, 0]);
    assert_eq!(bench.take(), ["error 403"], "a probe must not end sessions");
    assert!(bench.closed.is_empty());
}

/// Whoever may read the server's files need not prove anything.
#[test]
fn a_process_of_the_servers_own_user_needs_no_password() {
    let own = |user: &str, response: &[u8], database: Option<&str>| {
        let mut bench = Bench::greeted_with(Tls::Required);
        bench.exec.closed(id(0));
        bench.exec.opened(id(0), Peer::Trusted, SALT);
        bench.turn();
        bench.unread.clear();
        bench.log_in_with(user, response, database);
        bench
    };
    for (user, response, database, dev) in [
        ("root", vec![], None, "0"),
        ("somebody-of-the-machine", vec![], Some("CometQL_v1"), "0"),
        ("root", response("whatever"), None, "0"),
        ("root", vec![0], None, "0"),
        ("4", vec![], None, "4"),
        ("root", vec![], Some("db_4"), "4"),
    ] {
        let mut bench = own(user, &response, database);
        assert_eq!(bench.take(), ["ok 0 0"], "{user}");
        bench.check("SHOW STATUS LIKE 'id'", &format!("rows Variable_name,Value: id,{dev}"));
        bench.query("SHOW FULL PROCESSLIST");
        assert!(bench.take()[0].contains(",localhost,"), "{user}");
    }
    // The other method announces that a response was right.
    assert_eq!(own("root", &[7; 32], None).take(), ["bytes \u{1}\u{3}", "ok 0 0"]);
    assert_eq!(own("root", &[], Some("nowhere")).take(), ["error 15"]);
    // Wrong passwords by the port are no obstacle.
    let mut bench = Bench::greeted();
    for _ in 0..5 {
        bench.next_client(HERE);
        bench.log_in("root", "wrong", None);
    }
    bench.exec.closed(id(0));
    bench.input.clear();
    bench.exec.opened(id(0), Peer::Trusted, SALT);
    bench.turn();
    bench.unread.clear();
    bench.log_in("root", "", None);
    assert_eq!(bench.take(), ["ok 0 0"]);
}
