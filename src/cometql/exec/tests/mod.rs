//! Whole sessions as bytes: a script of what arrives, and what must leave. Packets are written and read by hand here,
//! so that a mistake of `wire` cannot hide.

mod memories;

mod tenants;

pub(super) mod tables;

mod batch;

mod work;

mod kept;

use super::*;
use crate::model::{Time, UnixTime, UserId};
use crate::ring::{Question, Refusal, Replies};
use crate::storage::{Outcome, Read, Request, StorageError, Write};
use sha1::{Digest, Sha1};
use std::net::Ipv4Addr;

const NOW: Now = Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 };
const PASSWORD: &str = "correct horse";
const SALT: [u8; 20] = [7; 20];
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Bench {
    exec: Exec,
    input: Vec<u8>,
    paused: bool,
    /// What [`Bench::take`] has not seen yet.
    unread: Vec<u8>,
    rings: Vec<(ShardId, RingMessage)>,
    jobs: Vec<Job>,
    closed: Vec<(ConnId, CloseReason)>,
    held_off: Vec<IpAddr>,
    /// The last write.
    written: Vec<u8>,
    /// The session waits for its client to read.
    undrained: bool,
    now: Now,
}

fn id(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

impl Bench {
    /// A session that has connected and has not logged in.
    fn greeted() -> Self {
        Self::greeted_with(Tls::Off)
    }

    fn greeted_with(tls: Tls) -> Self {
        let config = ExecConfig {
            tenants: Tenants::default(),
            placement: Placement::new(2, [1, 2, 3, 4]),
            password: PASSWORD.into(),
            packets: wire::Limits::default(),
            statements: StatementLimits {
                query_bytes_max: 10_000,
                result_bytes_max: 50_000,
                dev_max: 9,
                ..StatementLimits::default()
            },
            escapes: StringEscapes::Mysql,
            server: Server {
                version: wire::SERVER_VERSION,
                host_name: "a-machine".into(),
                port: Arc::new(3310.into()),
            },
            method: Method::Native,
            pipeline_max: 4,
            tenant_sessions_max: 2,
            tenants_sessions_max: 3,
            held_bytes_max: 60_000,
            kept_bytes_max: usize::MAX,
            login_attempts_max: 3,
            delete_counts: false,
            tls,
        };
        let mut exec = Exec::new(config);
        exec.opened(id(0), HERE, SALT);
        let mut bench = Self {
            exec,
            input: Vec::new(),
            paused: false,
            unread: Vec::new(),
            rings: Vec::new(),
            jobs: Vec::new(),
            closed: Vec::new(),
            held_off: Vec::new(),
            written: Vec::new(),
            undrained: false,
            now: NOW,
        };
        bench.turn();
        bench.unread.clear();
        bench
    }

    fn logged_in() -> Self {
        let mut bench = Self::greeted();
        bench.log_in("1", PASSWORD, Some("CometQL_v1"));
        assert_eq!(bench.take(), ["ok 0 0"]);
        bench
    }

    fn log_in(&mut self, user: &str, password: &str, database: Option<&str>) {
        let response = if password.is_empty() { Vec::new() } else { response(password) };
        self.log_in_with(user, &response, database);
    }

    fn log_in_with(&mut self, user: &str, response: &[u8], database: Option<&str>) {
        let flags: u32 = 0x200 | 0x8000 | 0x1_0000 | 0x8_0000 | if database.is_some() { 8 } else { 0 };
        let mut body = flags.to_le_bytes().to_vec();
        body.extend([0, 0, 0, 1, 45]);
        body.extend([0; 23]);
        body.extend(user.bytes().chain([0]));
        body.push(response.len() as u8);
        body.extend(response);
        body.extend(database.unwrap_or_default().bytes().chain([0]));
        self.packet(1, &body);
    }

    fn packet(&mut self, sequence: u8, body: &[u8]) {
        let length = body.len().to_le_bytes();
        self.input.extend([length[0], length[1], length[2], sequence]);
        self.input.extend(body);
        self.feed();
    }

    fn query(&mut self, sql: &str) {
        let body: Vec<u8> = [3].into_iter().chain(sql.bytes()).collect();
        self.packet(0, &body);
    }

    fn feed(&mut self) {
        if !self.paused {
            let received = self.exec.receive(id(0), &self.input, self.now, &live);
            self.input.drain(..received.used);
            self.paused = received.pause;
        }
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            while self.exec.go_on(&live) {}
            self.end_turn();
            if !self.exec.next_turn() {
                return;
            }
        }
    }

    fn end_turn(&mut self) {
        self.exec.end_turn();
        while let Some(output) = self.exec.poll_output() {
            match output {
                Output::Write { bytes, .. } => {
                    self.unread.extend(&bytes);
                    self.written = bytes;
                }
                Output::Ring { to, message } => self.rings.push((to, message)),
                Output::Store(job) => self.jobs.push(job),
                Output::Close { session, reason } => self.closed.push((session, reason)),
                Output::Resume { .. } => {
                    self.paused = false;
                    self.feed();
                }
                Output::TellWhenDrained { .. } => self.undrained = true,
                Output::HeldOff { address } => self.held_off.push(address),
                Output::LoggedIn { .. } => {}
            }
        }
    }

    /// Whose order the nth message is.
    fn statement(&self, nth: usize) -> StatementId {
        match &self.rings[nth].1 {
            RingMessage::Publish { statement: Some(statement), .. } => *statement,
            RingMessage::Send(send) => send.statement,
            RingMessage::SetLength(set) => set.statement,
            other => panic!("no order: {other:?}"),
        }
    }

    fn refuse(&mut self, nth: usize, refusal: Refusal) {
        let message = RingMessage::Refused { statement: self.statement(nth), refusal: Box::new(refusal) };
        self.exec.ring(message);
        self.turn();
    }

    /// The owner does what the nth message orders.
    fn accept(&mut self, nth: usize) {
        let message = RingMessage::Accepted { statement: self.statement(nth), rows: 1 };
        self.exec.ring(message);
        self.turn();
    }

    fn complete(&mut self, result: Result<Outcome, StorageError>) {
        let job = self.jobs.remove(0);
        self.exec.stored(Completion { ticket: job.ticket, result });
        self.turn();
    }

    /// Answers as short texts: `ok 0 0`, `error 15`, `rows a,b: 1,2 | 3,4`, `bytes ...`.
    fn take(&mut self) -> Vec<String> {
        decode(&std::mem::take(&mut self.unread))
    }

    fn check(&mut self, sql: &str, expected: &str) {
        self.query(sql);
        assert_eq!(self.take(), [expected], "{sql}");
    }
}

fn response(password: &str) -> Vec<u8> {
    // A byte of 7 maps to the salt byte 8.
    let salt = [8; 20];
    let once = Sha1::digest(password);
    let mask = Sha1::new().chain_update(salt).chain_update(Sha1::digest(once)).finalize();
    once.iter().zip(mask).map(|(left, right)| left ^ right).collect()
}

fn live(figures: Figures, dev: DevId) -> Vec<Row> {
    match figures {
        Figures::Status(_) => vec![vec!["uptime".into(), "12".into()], vec!["id".into(), dev.to_string().into()]],
        Figures::Processlist | Figures::Processes => Vec::new(),
    }
}

/// Text results only; enough to say what a client would see.
fn decode(bytes: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while let [a, b, c, _, tail @ ..] = rest {
        let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        packets.push(&tail[..length]);
        rest = &tail[length..];
    }
    let texts = |packet: &[u8]| {
        let (mut texts, mut at) = (Vec::new(), 0);
        while at < packet.len() {
            let length = usize::from(packet[at]);
            texts.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + length]).into_owned());
            at += 1 + length;
        }
        texts
    };
    let mut answers = Vec::new();
    let mut packets = packets.into_iter();
    while let Some(packet) = packets.next() {
        match packet[0] {
            0 => answers.push(format!("ok {} {}", packet[1], packet[2])),
            0xff => answers.push(format!("error {}", u16::from_le_bytes([packet[1], packet[2]]))),
            0xfe => answers.push("eof".to_owned()),
            columns if packet.len() == 1 => {
                let names: Vec<String> = packets
                    .by_ref()
                    .take(usize::from(columns))
                    .map(|definition| texts(&definition[4..])[3].clone())
                    .collect();
                assert_eq!(packets.next().map(|packet| packet[0]), Some(0xfe));
                let mut rows = Vec::new();
                let mut broken = None;
                for packet in packets.by_ref() {
                    match packet[0] {
                        0xfe => break,
                        0xff => {
                            broken = Some(format!("error {}", u16::from_le_bytes([packet[1], packet[2]])));
                            break;
                        }
                        _ => rows.push(texts(packet).join(",")),
                    }
                }
                answers.push(format!("rows {}: {}", names.join(","), rows.join(" | ")));
                answers.extend(broken);
            }
            _ => answers.push(format!("bytes {}", String::from_utf8_lossy(packet))),
        }
    }
    answers
}

const INSERT: &str = "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'e', 'm')";

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

impl Bench {
    /// Another client in the place of the one before, which is gone.
    fn next_client(&mut self, address: IpAddr) {
        self.exec.closed(id(0));
        self.input.clear();
        self.exec.opened(id(0), address, SALT);
        self.turn();
        self.unread.clear();
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
        assert_eq!(bench.exec.counters().logins_held_off, held_off, "{user} {password}");
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
    assert_eq!(bench.exec.counters().logins_held_off, 1);
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
        bench.exec.opened(id(0), HERE, SALT);
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

/// 30 queries in one packet held up the INSERTs of others for eight seconds.
#[test]
fn a_session_does_no_more_in_a_turn_than_its_share() {
    let mut bench = Bench::logged_in();
    let feed = |bench: &mut Bench, sql: &str, count: usize| {
        let body: Vec<u8> = [3].into_iter().chain(sql.bytes()).collect();
        for _ in 0..count {
            bench.input.extend([body.len().to_le_bytes()[0], body.len().to_le_bytes()[1], 0, 0]);
            bench.input.extend(&body);
        }
        let received = bench.exec.receive(id(0), &bench.input, NOW, &live);
        bench.input.drain(..received.used);
        bench.paused = received.pause;
        while bench.exec.go_on(&live) {}
        received.pause
    };
    let long = "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b";
    for (sql, count, answer, begun) in [
        ("SELECT 1", 200, "rows 1: 1", 64),
        ("SELECT FROM", 200, "error 3", 64),
        (long, 30, "error 11", 2),
        ("SELECT COUNT(*) FROM information_schema.ENGINES", 20, "rows COUNT(*): 1", 20),
    ] {
        let statements = bench.exec.counters().statements;
        let paused = feed(&mut bench, sql, count);
        let first = (bench.exec.counters().statements - statements) as usize;
        assert_eq!(paused, begun < count, "{sql}");
        assert!(first.abs_diff(begun) <= 1, "{sql}: {first}");
        // Others are heard meanwhile, and the rest follows in its order.
        bench.turn();
        assert_eq!(bench.take(), vec![answer; count], "{sql}");
        assert!(bench.input.is_empty(), "{sql}");
    }
}

/// However many sessions ask.
#[test]
fn queries_of_all_sessions_together_are_bounded_in_a_turn() {
    let mut bench = Bench::logged_in();
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    let one = "SELECT 1 FROM information_schema.COLUMNS a, information_schema.COLUMNS b";
    let body: Vec<u8> = [3].into_iter().chain(format!("{one}; {one}").bytes()).collect();
    let head = [body.len().to_le_bytes()[0], body.len().to_le_bytes()[1], 0, 0];
    let input: Vec<u8> = head.into_iter().chain(body).collect();
    bench.exec.turn = Turn::used_up();
    let received = bench.exec.receive(id(0), &input, NOW, &live);
    assert!(received.pause && received.used == input.len());
    while bench.exec.go_on(&live) {}
    bench.exec.end_turn();
    assert!(bench.exec.poll_output().is_none(), "nothing is begun");
    assert!(bench.exec.next_turn());
    bench.paused = true;
    bench.turn();
    assert_eq!(bench.take(), ["error 11"]);
    assert!(!bench.paused);
}

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

#[test]
fn sessions_end_each_other() {
    let mut bench = Bench::logged_in();
    bench.exec.opened(id(4), HERE, SALT);
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
    bench.exec.opened(id(4), HERE, SALT);
    bench.exec.closed(id(4));
    bench.exec.opened(again, HERE, SALT);
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
