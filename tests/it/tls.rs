//! TLS on the CometQL port, with stock clients and with a client that looks at every byte.

use crate::hostile::{await_status, status, until_the_end};
use crate::php::{have_php, php};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use loadtest::packet::{self, Greeting, PacketReader};
use loadtest::{Answer, CometQl};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

const SSL: u32 = 1 << 11;

fn server(tls: &str) -> Server {
    Server::start(&Setup { more: format!("[cometql]\ntls = {tls}\n"), ..Setup::default() })
}

/// The 32 bytes that ask for TLS, as a packet.
fn ssl_request() -> Vec<u8> {
    let flags: u32 = 0x200 | 0x8000 | SSL;
    [&[32, 0, 0, 1][..], &flags.to_le_bytes(), &[0, 0, 0, 1, 45], &[0; 23]].concat()
}

/// A client of TLS that trusts the certificate in the server's data folder and nothing else.
fn tls_client(server: &Server) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.folder().join("data/cometql.crt")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap()
}

/// A session over TLS, packet by packet.
struct Session {
    stream: TcpStream,
    tls: ClientConnection,
    packets: PacketReader,
    greeting: Greeting,
    /// Everything that came behind the greeting, as it came.
    heard: Vec<u8>,
}

impl Session {
    /// Connected, and the request sent in one write with the hello.
    fn begin(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.cometql).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let mut greeting = vec![0; usize::from(head[0])];
        stream.read_exact(&mut greeting).unwrap();
        let greeting = Greeting::parse(&greeting).unwrap();
        assert_ne!(greeting.capabilities & SSL, 0, "TLS is offered");
        let mut tls = tls_client(server);
        let mut first = ssl_request();
        tls.write_tls(&mut first).unwrap();
        stream.write_all(&first).unwrap();
        Self { stream, tls, packets: PacketReader::default(), greeting, heard: Vec::new() }
    }

    fn logged_in(server: &Server) -> Self {
        let mut session = Self::begin(server);
        let payload = packet::login_payload(&session.greeting, "root", &server.password, Some("CometQL_v1"));
        session.send(&framed(2, &payload));
        assert_eq!(session.receive(3)[0], 0, "OK");
        session
    }

    fn send(&mut self, mut plain: &[u8]) {
        while !plain.is_empty() || self.tls.is_handshaking() {
            if !self.tls.is_handshaking() {
                let taken = self.tls.writer().write(plain).unwrap();
                plain = &plain[taken..];
            }
            self.write();
            if self.tls.is_handshaking() {
                self.read();
            }
        }
    }

    fn write(&mut self) {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream).unwrap();
        }
    }

    fn read(&mut self) {
        let mut chunk = vec![0; 64 * 1024];
        let count = self.stream.read(&mut chunk).expect("the server goes on");
        assert!(count > 0, "the server ended the session");
        self.heard.extend_from_slice(&chunk[..count]);
        let mut rest = &chunk[..count];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            let length = self.tls.process_new_packets().unwrap().plaintext_bytes_to_read();
            let mut plain = vec![0; length];
            self.tls.reader().read_exact(&mut plain).unwrap();
            self.packets.push(&plain);
        }
    }

    fn query(&mut self, sql: &str) {
        let mut bytes = Vec::new();
        packet::write_command(&mut bytes, 3, sql.as_bytes());
        self.send(&bytes);
    }

    /// The only row of an answer with one column, its length in front.
    fn row(&mut self) -> Vec<u8> {
        // Number of columns, the column, its end, the row, its end.
        let mut payloads: Vec<Vec<u8>> = (1..=5).map(|sequence| self.receive(sequence)).collect();
        payloads.swap_remove(3)
    }

    /// The next payload; its packets are numbered from `sequence`.
    fn receive(&mut self, mut sequence: u8) -> Vec<u8> {
        loop {
            if let Some(payload) = self.packets.next(&mut sequence).unwrap() {
                return payload;
            }
            self.read();
        }
    }
}

fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet::write_packets(&mut bytes, sequence, payload);
    bytes
}

fn insert(message: &str) -> String {
    format!("INSERT INTO pipes_messages (name, event, message) VALUES ('enciphered', 'e', '{message}')")
}

#[test]
fn nothing_is_plain_behind_the_request() {
    let server = server("on");
    let mut session = Session::logged_in(&server);
    let mut backend = server.backend();
    let seen = tools::until(PATIENCE, || (status(&mut backend, "encke_sessions_tls") == 1).then_some(()));
    assert!(seen.is_some(), "one session has TLS, and the one that asks has not");
    assert!(status(&mut backend, "encke_memory_tls") > 7_000);
    session.query("SELECT 'a text that is easy to find'");
    assert!(session.row().ends_with(b"a text that is easy to find"));
    // Records and nothing else: type, version, length.
    let mut rest = &session.heard[..];
    let mut records = 0;
    while let [20..=23, 3, 1..=4, high, low, tail @ ..] = rest {
        rest = &tail[usize::from(*high) << 8 | usize::from(*low)..];
        records += 1;
    }
    assert!(rest.is_empty() && records > 3, "{records} records, then {rest:?}");
    assert!(!session.heard.windows(9).any(|window| window == b"easy to f"));
}

#[test]
fn statements_may_be_pipelined_over_tls() {
    const COUNT: usize = 5_000;
    let server = server("required");
    let mut browser = server.browser();
    browser.send("subscription\nenciphered");
    let mut session = Session::logged_in(&server);
    await_subscriber(&mut session);
    // Far more than one session may have under way, so it is held up and goes on again and again.
    let mut all = Vec::new();
    for number in 0..COUNT {
        packet::write_command(&mut all, 3, insert(&number.to_string()).as_bytes());
        if number % 7 == 0 {
            packet::write_command(&mut all, 14, b"");
        }
    }
    let mut writer = session.stream.try_clone().unwrap();
    let mut cipher = Vec::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let taken = session.tls.writer().write(rest).unwrap();
        rest = &rest[taken..];
        while session.tls.wants_write() {
            session.tls.write_tls(&mut cipher).unwrap();
        }
    }
    let sender = std::thread::spawn(move || writer.write_all(&cipher));
    for number in 0..COUNT + COUNT.div_ceil(7) {
        assert_eq!(session.receive(1)[0], 0, "answer {number}");
    }
    sender.join().unwrap().unwrap();
    for number in 0..COUNT {
        assert_eq!(browser.receive()["data"], number.to_string());
    }
}

/// As `Server::await_subscribers`, over a session with TLS.
fn await_subscriber(session: &mut Session) {
    let found = tools::until(PATIENCE, || {
        session.query("SELECT users FROM pipes WHERE name = 'enciphered'");
        (session.row() == b"\x011").then_some(())
    });
    assert!(found.is_some(), "nobody is subscribed");
}

/// Each question waits for the answer to the one before, while all of them are deciphered already.
#[test]
fn questions_that_hold_each_other_up_are_all_answered() {
    const COUNT: usize = 200;
    let server = server("on");
    let mut session = Session::logged_in(&server);
    let mut all = Vec::new();
    for number in 0..COUNT {
        let sql = format!("SELECT users FROM pipes WHERE name = 'pipe_{number}'");
        packet::write_command(&mut all, 3, sql.as_bytes());
    }
    session.send(&all);
    for _ in 0..COUNT {
        assert_eq!(session.row(), b"\x010");
    }
    // The same, and the end of TLS right behind it: what was asked is answered before the end.
    session.tls.writer().write_all(&all[..all.len() / 10]).unwrap();
    session.tls.send_close_notify();
    session.write();
    for _ in 0..COUNT / 10 - 1 {
        assert_eq!(session.row(), b"\x010");
    }
}

#[test]
fn a_message_of_a_megabyte_over_tls() {
    let more = "[cometql]\ntls = on\nquery_bytes_max = 2000000\n[ws]\nqueue_bytes_max = 8000000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut browser = server.browser();
    browser.send("subscription\nenciphered");
    server.await_subscribers("enciphered", 1);
    let mut session = Session::logged_in(&server);
    let message: String = (0..1_048_576_u32).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    session.query(&insert(&message));
    assert_eq!(session.receive(1)[0], 0, "OK");
    assert_eq!(browser.receive()["data"], message.as_str());
    // And back: an answer that is as long.
    session.query(&format!("SELECT '{message}'"));
    let row = session.row();
    assert!(row.ends_with(message.as_bytes()));
}

/// An answer may be longer than what a session may leave unsent, with TLS as without; who reads none of many waits for them
/// alone and gets them all.
#[test]
fn an_answer_above_the_bound_on_unsent_bytes_over_tls() {
    const LENGTH: usize = 900_000;
    let more = "[cometql]\ntls = on\npacket_bytes_max = 1048576\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut session = Session::logged_in(&server);
    let data: String = (0..LENGTH).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    for id in 1..=9 {
        session.query(&format!("INSERT INTO users_data (id, data) VALUES ({id}, '{data}')"));
        assert_eq!(session.receive(1)[0], 0, "OK");
    }
    let select = "SELECT data FROM users_data WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8, 9)";
    session.query(select);
    // The server has written to a socket that took a part, and the rest waits.
    let mut backend = server.backend();
    await_status(&mut backend, "encke_memory_queues", 1);
    let read_answer = |session: &mut Session| {
        for sequence in 1..=3 {
            session.receive(sequence);
        }
        for sequence in 4..=12 {
            assert!(session.receive(sequence).ends_with(data.as_bytes()), "row {sequence}");
        }
        assert_eq!(session.receive(13)[0], 0xfe, "the end");
    };
    read_answer(&mut session);
    for _ in 0..20 {
        session.query(select);
    }
    await_status(&mut backend, "encke_memory_queues", 1);
    for _ in 0..20 {
        assert_eq!(status(&mut backend, "encke_closed_slow_consumer"), 0);
        read_answer(&mut session);
    }
}

#[test]
fn garbage_instead_of_a_hello_costs_only_its_sender() {
    let server = server("on");
    let mut other = Session::logged_in(&server);
    let noise: Vec<u8> = (0_u32..5000).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let login = framed(2, b"a login in plain text");
    for garbage in [&noise[..], &login[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"] {
        let heard = until_the_end(server.cometql, &[&ssl_request()[..], garbage].concat());
        let greeting = 4 + usize::from(heard[0]);
        // An alert at the most.
        let rest = &heard[greeting..];
        assert!(rest.is_empty() || rest.starts_with(&[21, 3]), "{rest:?}");
        other.send(&framed(0, b"\x0e"));
        assert_eq!(other.receive(1)[0], 0, "others go on");
    }
    let mut backend = server.backend();
    let counted = tools::until(PATIENCE, || {
        (status(&mut backend, "encke_closed_protocol_error") == 4 && status(&mut backend, "encke_sessions_tls") == 1)
            .then_some(())
    });
    assert!(counted.is_some(), "the four have ended");
}

#[test]
fn a_handshake_that_stops_ends_within_the_time_to_log_in() {
    let more = "[cometql]\ntls = on\nlogin_timeout_ms = 1000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut silent = Session::begin(&server);
    let mut rest = Vec::new();
    // Everything up to the server's part of the handshake, and then the end.
    silent.stream.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty());
}

#[test]
fn without_tls_nothing_is_offered() {
    let server = Server::start(&Setup::default());
    assert_eq!(server.backend().greeting().capabilities & SSL, 0);
    assert!(!server.folder().join("data/cometql.key").exists());
}

#[test]
fn plain_logins_are_refused_if_tls_is_required() {
    let server = server("required");
    let refused = CometQl::connect(server.cometql, "root", &server.password, None).unwrap_err().to_string();
    assert!(refused.contains("16") && refused.contains("TLS only"), "{refused}");
    assert!(server.log().contains("(the MySQL protocol, TLS required)"), "{}", server.log());
    for file in ["cometql.crt", "cometql.key"] {
        let mode = fs::metadata(server.folder().join("data").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // The same certificate after a restart: clients may have it as their CA.
    let certificate = fs::read(server.folder().join("data/cometql.crt")).unwrap();
    let (_, folder) = server.stop();
    let more = "[cometql]\ntls = on\ntls_cert = data/cometql.crt\ntls_key = data/cometql.key\n".to_owned();
    let server = Server::start_in(folder, &Setup { more, ..Setup::default() });
    assert_eq!(fs::read(server.folder().join("data/cometql.crt")).unwrap(), certificate);
    Session::logged_in(&server);
    assert_eq!(server.backend().query(&insert("plain")).unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
}

/// With the server's certificate as the CA and with the host's name checked, as a page on another machine would.
const PHP: &str = r#"<?php
mysqli_report(MYSQLI_REPORT_OFF);
$comet = mysqli_init();
mysqli_ssl_set($comet, null, null, getcwd() . '/data/cometql.crt', null, null);
mysqli_options($comet, MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
$connected = mysqli_real_connect($comet, getenv('COMET_HOST'), 'root', getenv('COMET_PASSWORD'), 'CometQL_v1',
    (int)getenv('COMET_PORT'), null, MYSQLI_CLIENT_SSL);
if (!$connected) {
    echo 'connect: ', mysqli_connect_errno(), ' ', mysqli_connect_error();
    exit(1);
}
$statement = mysqli_prepare($comet, "INSERT INTO pipes_messages (name, event, message) VALUES ('enciphered', 'e', ?)");
$text = str_repeat('PHP over TLS ', 20000);
mysqli_stmt_bind_param($statement, 's', $text);
echo mysqli_stmt_execute($statement) ? 'sent' : mysqli_stmt_error($statement);
mysqli_close($comet);
"#;

#[test]
fn php_publishes_over_tls() {
    if !have_php("php_publishes_over_tls") {
        return;
    }
    let server = server("required");
    let mut browser = server.browser();
    browser.send("subscription\nenciphered");
    await_subscriber(&mut Session::logged_in(&server));
    let finished = php(&server, "tls.php", PHP);
    assert_eq!(finished.stdout, "sent", "{}", finished.stderr);
    assert_eq!(browser.receive()["data"], "PHP over TLS ".repeat(20_000));
}

#[test]
fn the_mariadb_client_speaks_tls() {
    // MySQL's own client of the same purpose has other options.
    let Some(client) = tools::find(&["mariadb"]) else {
        return tools::skip("the_mariadb_client_speaks_tls", "mariadb-client", "mariadb is not installed");
    };
    let server = server("required");
    let run = |options: &[&str]| {
        let mut command = Command::new(&client);
        command.current_dir(server.folder()).args(["-h", "127.0.0.1", "-P", &server.cometql.port().to_string()]);
        command.args(["-u", "root", "--protocol=tcp", "CometQL_v1"]).env("MYSQL_PWD", &server.password);
        tools::run(command.args(options), PATIENCE)
    };
    let checked = ["--ssl-ca=data/cometql.crt", "--ssl-verify-server-cert"];
    for options in [&["--ssl"][..], &checked[..]] {
        let finished = run(&[options, &["-e", "status; SELECT 'over TLS'"]].concat());
        assert!(finished.status.success(), "{options:?}: {}{}", finished.stdout, finished.stderr);
        assert!(finished.stdout.contains("Cipher in use is"), "{}", finished.stdout);
        assert!(finished.stdout.contains("over TLS"), "{}", finished.stdout);
    }
    let refused = run(&["--skip-ssl", "-e", "SELECT 1"]);
    assert!(refused.stderr.contains("ERROR 16 (HY000)") && refused.stderr.contains("TLS only"), "{}", refused.stderr);
}

#[test]
fn another_certificate_counts_for_new_sessions() {
    let server = server("on");
    let mut before = Session::logged_in(&server);
    let [certificate, key] = ["data/cometql.crt", "data/cometql.key"].map(|name| server.folder().join(name));
    let first = fs::read(&certificate).unwrap();
    let mut backend = server.backend();
    // What cannot be used changes nothing.
    fs::write(&certificate, "no certificate").unwrap();
    let refused = backend.query("ALTER INSTANCE RELOAD TLS").unwrap();
    assert!(
        matches!(&refused, Answer::Error { code: 500, text, .. } if text.contains("in use stays") && text.contains("cometql.crt")),
        "{refused:?}"
    );
    fs::write(&certificate, &first).unwrap();
    Session::logged_in(&server);
    // Both are made anew where they are missing.
    fs::remove_file(&certificate).unwrap();
    fs::remove_file(&key).unwrap();
    backend.execute("ALTER INSTANCE RELOAD TLS").unwrap();
    assert_ne!(fs::read(&certificate).unwrap(), first);
    Session::logged_in(&server);
    before.query("SELECT 'as before'");
    assert!(before.row().ends_with(b"as before"));
}
