//! What is asked of the running server as a whole, by statements.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools;
use loadtest::{Answer, CometQl};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The number, state and text of an error.
fn refusal(session: &mut CometQl, sql: &str) -> (u16, String, String) {
    match session.query(sql).expect("an answer") {
        Answer::Error { code, sqlstate, text } => (code, sqlstate, text),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn the_level_of_the_log_is_changed_while_it_is_written() {
    let server = Server::start(&Setup { more: "[log]\nlevel = error\n".into(), ..Setup::default() });
    let mut session = server.backend();
    session.execute("FLUSH LOGS").unwrap();
    session.execute("SET GLOBAL log_level = 'info, storage=debug'").unwrap();
    server.await_line(|line| line.contains("log_level is set"), "that there is another level");
    assert!(!server.log().contains("opened anew"), "{}", server.log());
    session.execute("FLUSH LOGS").unwrap();
    server.await_line(|line| line.contains("no file that could be opened anew"), "a line of the new level");
    for wrong in ["'loud'", "'info, nothing=debug'", "''"] {
        let (code, _, text) = refusal(&mut session, &format!("SET GLOBAL log_level = {wrong}"));
        assert_eq!(code, 3, "{text}");
    }
}

#[test]
fn a_statement_stops_the_server_and_is_answered() {
    let mut server =
        Server::start(&Setup { more: "[tenant 5]\npassword = another one for 5\n".into(), ..Setup::default() });
    let mut tenant = CometQl::connect(server.cometql, "5", "another one for 5", None).unwrap();
    for sql in ["SHUTDOWN", "FLUSH LOGS", "FLUSH SETTINGS", "ALTER INSTANCE RELOAD TLS", "SET GLOBAL log_level = trace"]
    {
        let (code, state, text) = refusal(&mut tenant, sql);
        assert_eq!((code, &*state), (1227, "42000"), "{sql}: {text}");
    }
    let mut session = server.backend();
    session.set_limit(PATIENCE);
    assert_eq!(session.query("SHUTDOWN").unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    server.await_line(|line| line.ends_with(" stopped"), "stopped");
}

fn socket(server: &Server) -> PathBuf {
    server.folder().join("data/encke.sock")
}

#[test]
fn whoever_looks_after_the_server_needs_no_password() {
    let mut server =
        Server::start(&Setup { more: "[log]\nfile = a.log\n[cometql]\ntls = required\n".into(), ..Setup::default() });
    let file = fs::metadata(socket(&server)).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let status = server.command(&["status"]);
    assert!(status.status.success(), "{}{}", status.stdout, status.stderr);
    for word in
        ["encke 0", " up ", "data/encke.sock", "  state         ok\n", "  browsers      0 connected", "MiB resident"]
    {
        assert!(status.stdout.contains(word), "{word}: {}", status.stdout);
    }
    let json: serde_json::Value = serde_json::from_str(&server.command(&["status", "--json"]).stdout).unwrap();
    assert!(json["ok"] == true && json["figures"]["encke_sessions"].is_u64(), "{json}");
    fs::rename(server.folder().join("a.log"), server.folder().join("a.log.1")).unwrap();
    let reopened = server.command(&["logs", "reopen"]);
    assert_eq!(reopened.stdout, "the log's file a.log was opened anew\n", "{}", reopened.stderr);
    assert!(server.folder().join("a.log").exists());
    let stopped = server.command(&["stop"]);
    assert_eq!(stopped.stdout, "stopped\n", "{}", stopped.stderr);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(!socket(&server).exists(), "it is removed");
    let status = server.command(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(status.stderr.contains("no server runs") || status.stderr.contains("there is no"), "{}", status.stderr);
}

#[test]
fn the_client_of_the_machine_comes_in_by_the_socket() {
    let test = "the_client_of_the_machine_comes_in_by_the_socket";
    let Some(client) = tools::need(test, &["mariadb", "mysql"]) else { return };
    let server = Server::start(&Setup::default());
    let mut command = Command::new(client);
    command.args(["--no-defaults", "--socket=data/encke.sock", "-N", "-e", "SELECT CURRENT_USER(), @@version_comment"]);
    let output = tools::run(command.current_dir(server.folder()), PATIENCE);
    assert!(output.status.success(), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.starts_with("root@"), "{}", output.stdout);
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let server = Server::start(&Setup::default());
    // A second one in the same folder, on other ports.
    let mut second = Command::new(program());
    second.args(["--conf", "comet.ini"]).current_dir(server.folder());
    let refused = tools::run(&mut second, PATIENCE);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("Another server uses data/encke.sock"), "{}", refused.stderr);
    assert!(server.command(&["status"]).status.success());
    let folder = server.crash();
    assert!(folder.path().join("data/encke.sock").exists());
    let server = Server::start_in(folder, &Setup::default());
    assert!(server.command(&["status"]).status.success());
}

#[test]
fn a_server_without_its_socket_serves_as_any() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/encke.sock"), "a file").unwrap();
    let server = Server::start_in(folder, &Setup { more: "[cometql]\nport = 0\n".into(), ..Setup::default() });
    server.await_line(|line| line.contains("no socket: a file that is none"), "that there is no socket");
    server.backend().execute("SET @x = 1").unwrap();
    let status = server.command(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(status.stderr.contains("data/encke.sock"), "{}", status.stderr);
    let long = format!("dir = {}\n", "d".repeat(110));
    let server = Server::start(&Setup { more: format!("[storage]\n{long}"), ..Setup::default() });
    server.await_line(|line| line.contains("longer than 107 bytes"), "that the path is too long");
}

#[test]
fn a_stranger_at_the_socket_needs_the_password() {
    let test = "a_stranger_at_the_socket_needs_the_password";
    let Some(setpriv) = tools::need(test, &["setpriv"]) else { return };
    if !rustix::process::geteuid().is_root() {
        return tools::skip(test, "root", "another user can be tried by root only");
    }
    let server = Server::start(&Setup::default());
    // Somebody has opened the socket to all.
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&server.folder().join("data"), 0o755);
    open(&socket(&server), 0o666);
    let script = "import socket,sys\ns = socket.socket(socket.AF_UNIX)\ns.connect('data/encke.sock')\ns.recv(4096)\n\
                  body = (0x8200).to_bytes(4, 'little') + bytes(28) + b'root\\0' + b'\\0'\n\
                  s.sendall(len(body).to_bytes(3, 'little') + b'\\1' + body)\nprint(s.recv(4096)[4])";
    let ask = |own: bool| {
        let mut command = Command::new(&setpriv);
        if !own {
            command.args(["--reuid=65534", "--clear-groups"]);
        }
        command.args(["python3", "-c", script]).current_dir(server.folder());
        tools::run(&mut command, PATIENCE)
    };
    let (own, stranger) = (ask(true), ask(false));
    assert_eq!(own.stdout, "0\n", "{}", own.stderr);
    if stranger.stderr.contains("Permission denied") {
        return tools::skip(test, "an open folder", "the folder of the tests is closed to others");
    }
    assert_eq!(stranger.stdout, "255\n", "{}", stranger.stderr);
}
