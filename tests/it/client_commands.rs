//! The commands that are clients of a running server: `encke publish`, `encke sql`, `encke sample-config`.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools::{self, Finished};
use std::fs;
use std::process::Command;

/// Runs a command in the server's folder, beside its configuration.
fn encke(server: &Server, command: &str, args: &[&str], input: Option<&str>) -> Finished {
    let port = server.cometql.port().to_string();
    let mut process = Command::new(program());
    process.arg(command).args(["--conf", "comet.ini", "--port", &port]).args(args).current_dir(server.folder());
    match input {
        Some(input) => tools::run_with_input(&mut process, input, PATIENCE),
        None => tools::run(&mut process, PATIENCE),
    }
}

#[track_caller]
fn check(finished: &Finished, status: i32, stdout: &str, stderr: &str) {
    let seen = (finished.status.code(), finished.stdout.as_str(), finished.stderr.as_str());
    assert_eq!(seen, (Some(status), stdout, stderr));
}

#[test]
fn a_message_of_any_letters_is_published() {
    for more in ["", "[cometql]\nstring_escapes = legacy\n", "[cometql]\nauth_plugin = caching_sha2_password\n"] {
        let server = Server::start(&Setup { password: None, more: more.to_owned(), ..Setup::default() });
        check(
            &encke(&server, "publish", &["news", "e", "x"], None),
            0,
            "published; 0 connections are subscribed to the pipe\n",
            "",
        );
        let mut browser = server.browser();
        browser.send("subscription\nnews");
        server.await_subscribers("news", 1);
        let told = "published; 1 connection is subscribed to the pipe\n";
        for message in ["{\"text\":\"hello\"}", "it's \\n \"quoted\" \\\\ Привет 😀", "-1", "two\nlines"] {
            check(&encke(&server, "publish", &["news", "newMessage", message], None), 0, told, "");
            let received = browser.receive();
            assert_eq!((&received["event"], &received["data"]), (&"newMessage".into(), &message.into()), "{more}");
        }
        check(&encke(&server, "publish", &["news", "e", "-"], Some("from a pipe\n")), 0, told, "");
        assert_eq!(browser.receive()["data"], "from a pipe");
        let refused = encke(&server, "publish", &["no pipe", "e", "x"], None);
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.stderr.starts_with("encke: ERROR "), "{}", refused.stderr);
    }
}

#[test]
fn statements_of_a_pipe_are_answered_one_by_one() {
    let server = Server::start(&Setup::default());
    let script = "-- how it is kept; really\nINSERT INTO pipes_settings (name, length) VALUES ('news', 10);\n\
                  INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'a;b');\n\
                  SELECT event, message FROM pipes_messages WHERE name = 'news'";
    check(&encke(&server, "sql", &[], Some(script)), 0, "event\tmessage\ne\ta;b\n", "");
    let table =
        encke(&server, "sql", &["--table", "SELECT event, message FROM pipes_messages WHERE name = 'news'"], None);
    let expected =
        "+-------+---------+\n| event | message |\n+-------+---------+\n| e     | a;b     |\n+-------+---------+\n";
    assert!(table.stdout.starts_with(expected), "{}", table.stdout);
    assert!(table.stdout[expected.len()..].starts_with("1 row in set ("), "{}", table.stdout);
    // The first that is refused ends it, and is named.
    let refused = encke(&server, "sql", &[], Some("SELECT 1;\n\nSELECT * FROM nowhere;\nSELECT 2;\n"));
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), "1\n1\n"));
    assert!(refused.stderr.starts_with("ERROR ") && refused.stderr.contains(" at line 3: "), "{}", refused.stderr);
}

/// A person at a terminal: a statement over lines, an error that does not end it, help.
#[test]
fn a_terminal_is_a_conversation() {
    let Some(python) = tools::need("a_terminal_is_a_conversation", &["python3"]) else { return };
    let server = Server::start(&Setup::default());
    let port = server.cometql.port().to_string();
    let job = serde_json::json!({
        "prompt": "(encke|   -)> ",
        "lines": ["SELECT", "'one' AS first;", "SELECT * FROM nowhere;", "SHOW TABLES\\G", "help"],
    });
    let script = tools::root().join("tests/it/clients/terminal.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(program())
        .args(["sql", "--conf", "comet.ini", "--port", &port])
        .current_dir(server.folder());
    let finished = tools::run_with_input(&mut command, &job.to_string(), PATIENCE);
    assert!(finished.status.success(), "{}", finished.stderr);
    let parts: Vec<String> = serde_json::from_str(&finished.stdout).unwrap();
    assert!(parts[2].contains("| first |") && parts[2].contains("| one   |"), "{parts:?}");
    assert!(parts[3].contains("ERROR "), "{parts:?}");
    assert!(parts[4].contains("* 1. row *"), "{parts:?}");
    assert!(parts[5].contains("Ctrl-D leaves"), "{parts:?}");
}

/// The server requires TLS, and its certificate is the one in the data folder; any other is refused.
#[test]
fn tls_is_spoken_where_it_is_required() {
    let server = Server::start(&Setup { more: "[cometql]\ntls = required\n".to_owned(), ..Setup::default() });
    check(&encke(&server, "sql", &["SELECT 1"], None), 0, "1\n1\n", "");
    let file = server.folder().join("data/cometql.crt");
    let other = Server::start(&Setup { more: "[cometql]\ntls = required\n".to_owned(), ..Setup::default() });
    fs::copy(other.folder().join("data/cometql.crt"), file).unwrap();
    let refused = encke(&server, "sql", &["SELECT 1"], None);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with("encke: TLS with the server fails: "), "{}", refused.stderr);
}

#[test]
fn a_tenant_logs_in_with_its_own_password() {
    let more = "[cometql]\nmaster_password_for_tenants = off\n[tenant 3]\npassword = the tenant's own password\n";
    let server = Server::start(&Setup { more: more.to_owned(), ..Setup::default() });
    let (mut browser, _) = server.browser_with_key(3, "", "");
    browser.send("subscription\nnews");
    let said = tools::until(PATIENCE, || {
        let finished = encke(&server, "publish", &["--tenant", "3", "news", "e", "x"], None);
        assert!(finished.status.success(), "{}", finished.stderr);
        (finished.stdout == "published; 1 connection is subscribed to the pipe\n").then_some(())
    });
    assert!(said.is_some(), "the tenant's subscriber is not counted");
}

#[test]
fn what_is_missing_is_one_sentence() {
    let folder = Folder::new();
    let run = |args: &[&str]| tools::run(Command::new(program()).args(args).current_dir(folder.path()), PATIENCE);
    folder.file("comet.ini", "[cometql]\nip = 127.0.0.1\nport = 1\n");
    let here = fs::canonicalize(folder.path()).unwrap();
    let expected = format!(
        "encke: there is no password file data/cometql.password (seen from {}; it must be the server's folder); \
         the server makes it at its first start\n",
        here.display()
    );
    check(&run(&["publish", "--conf", "comet.ini", "news", "e", "x"]), 1, "", &expected);
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.file("data/cometql.password", "0123456789abcdef0123456789abcdef");
    let refused = run(&["sql", "--conf", "comet.ini", "SELECT 1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with("encke: nothing answers at 127.0.0.1:1 ("), "{}", refused.stderr);
    folder.file("comet.ini", "[cometql]\nport = 0\n");
    let expected = "encke: in comet.ini the system chooses the port of CometQL; say it with --port PORT\n";
    check(&run(&["sql", "--conf", "comet.ini", "SELECT 1"]), 1, "", expected);
    folder.file("comet.ini", "[cometql]\nport = many\n");
    let refused = run(&["publish", "--conf", "comet.ini", "news", "e", "x"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused.stderr.ends_with("encke: the configuration has errors, nothing was published\n"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_sample_is_the_shipped_configuration() {
    let folder = Folder::new();
    let sample = tools::run(Command::new(program()).arg("sample-config").current_dir(folder.path()), PATIENCE);
    let shipped = fs::read_to_string(tools::root().join("config/comet.ini")).unwrap();
    check(&sample, 0, &shipped, "");
}

/// What docs/decisions/tls-for-clients.md rests on: a client that insists on TLS, as MariaDB's does from 11.4 on, is stopped by
/// itself where there is none, and the hint of the banner is what it needs.
#[test]
fn a_client_that_insists_on_tls_is_helped_by_the_hint() {
    let Some(client) = tools::need("a_client_that_insists_on_tls_is_helped_by_the_hint", &["mariadb"]) else { return };
    let server = Server::start(&Setup { password: None, ..Setup::default() });
    assert!(server.log().contains(" needs --skip-ssl\n"), "{}", server.log());
    let run = |options: &str| {
        let line = server.banner_line("connect").replacen("mysql", &format!("{} {options}", client.display()), 1);
        tools::run(Command::new("bash").args(["-c", &format!("{line} -N -e 'SELECT 1'")]), PATIENCE)
    };
    let insists = run("--ssl --ssl-verify-server-cert");
    assert!(!insists.status.success() && insists.stderr.contains("ERROR 2026"), "{}", insists.stderr);
    check(&run("--skip-ssl"), 0, "1\n", "");
}
