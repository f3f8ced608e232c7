//! The log when nobody reads it: the server goes on, stops as always, and says later what is missing.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools;
use loadtest::{Answer, CometQl};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};

const PASSWORD: &str = "a password for the tests";

/// The program, with what it says going where the test wants it. A socket stands for the pipe: its room is small and known.
struct Program {
    child: Child,
    stderr: UnixStream,
    cometql: std::net::SocketAddr,
    said: String,
    _folder: Folder,
}

impl Program {
    fn start(level: &str) -> Self {
        let folder = Folder::new();
        let sections = format!(
            "[main]\npassword = {PASSWORD}\n[ws]\nip = 127.0.0.1\nport = 0\nthread_num = 1\npin_cores = false\n\
             [cometql]\nip = 127.0.0.1\nport = 0\n[storage]\ndir = data\n[log]\nlevel = {level}\n"
        );
        folder.file("comet.ini", &sections);
        let (stderr, other) = UnixStream::pair().unwrap();
        stderr.set_read_timeout(Some(PATIENCE)).unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&other, 4096).unwrap();
        let mut command = Command::new(program());
        command.args(["--conf", "comet.ini"]).current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(std::os::fd::OwnedFd::from(other)).spawn().unwrap();
        // The command holds the other end as long as it lives.
        drop(command);
        let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let mut program = Self { child, stderr, cometql: nowhere, said: String::new(), _folder: folder };
        program.read_until(" ready\n");
        let line = program.said.lines().find_map(|line| line.strip_prefix("  CometQL ")).unwrap();
        program.cometql = line.split_whitespace().next().unwrap().parse().unwrap();
        program
    }

    fn read_until(&mut self, words: &str) {
        let mut bytes = [0; 4096];
        while !self.said.contains(words) {
            let count = self.stderr.read(&mut bytes).unwrap();
            assert!(count > 0, "it ended: {}", self.said);
            self.said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    fn backend(&self) -> CometQl {
        CometQl::connect(self.cometql, "root", PASSWORD, Some("CometQL_v1")).unwrap()
    }

    fn lines_lost(&self) -> u64 {
        let Answer::Rows { rows, .. } = self.backend().query("SHOW GLOBAL STATUS").unwrap() else { panic!("no rows") };
        let row = rows.iter().find(|row| row[0].as_deref() == Some("encke_log_lines_lost")).unwrap();
        row[1].as_deref().unwrap().parse().unwrap()
    }

    /// Has it log until lines are lost.
    fn log_until_lines_are_lost(&self) {
        let mut backend = self.backend();
        let lost = tools::until(PATIENCE, || {
            // Each is a line.
            (0..500).for_each(|_| assert!(backend.query("FLUSH LOGS").is_ok()));
            (self.lines_lost() > 0).then_some(())
        });
        assert!(lost.is_some(), "no line was lost");
    }

    fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        tools::wait(&mut self.child, PATIENCE).expect("an end after SIGTERM")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that a shard does goes on, and so does the stop.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let program = Program::start("info");
    program.log_until_lines_are_lost();
    program.backend().query("INSERT INTO pipes_messages (name, event, message) VALUES ('p', 'e', 'm')").unwrap();
    // Sessions log as well, and go on.
    for _ in 0..30 {
        assert!(CometQl::connect(program.cometql, "root", "wrong", None).is_err());
    }
    assert_eq!(program.stop().code(), Some(0), "a clean stop");
}

#[test]
fn a_log_that_is_read_again_says_what_is_missing() {
    let mut program = Program::start("info");
    program.log_until_lines_are_lost();
    program.read_until("the log could not be written for a while, and lines were lost lines=");
    // From now on nothing more is lost.
    let lost = program.lines_lost();
    program.signal(Signal::USR2);
    program.read_until("signal=\"SIGUSR2\"");
    assert_eq!(program.lines_lost(), lost);
}

/// `encke 2>&1 | head -1`, and a terminal that is gone.
#[test]
fn a_closed_standard_error_ends_nothing() {
    let mut program = Program::start("debug");
    program.stderr = UnixStream::pair().unwrap().0;
    let lost = tools::until(PATIENCE, || {
        program.signal(Signal::HUP);
        (program.lines_lost() > 1).then_some(())
    });
    assert!(lost.is_some(), "lines that cannot be written are counted");
    program.backend().query("INSERT INTO pipes_messages (name, event, message) VALUES ('p', 'e', 'm')").unwrap();
    assert_eq!(program.stop().code(), Some(0), "a clean stop");
}

#[test]
fn signals_without_a_meaning_end_nothing() {
    let server = Server::start(&Setup::default());
    let others = [Signal::USR1, Signal::USR2, Signal::HUP, Signal::PIPE, Signal::XFSZ];
    for signal in others {
        server.signal(signal);
    }
    for name in ["SIGUSR1", "SIGUSR2", "SIGHUP"] {
        server.await_line(|line| line.contains(name), name);
    }
    server.backend().query("SELECT 1").unwrap();
    let (status, _folder) = server.stop();
    assert_eq!(status.code(), Some(0));
}

/// What the program prints beside the log is read by nobody: it ends with the status that it has otherwise.
#[test]
fn every_command_ends_quietly_when_nobody_reads() {
    let folder = Folder::new();
    folder.file("good.ini", "[ws]\nport = 0\n[cometql]\nport = 0\n");
    folder.file("bad.ini", "[ws]\nport = many\n");
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.file("data/cometql.password", "short");
    let commands: [(&[&str], i32); 9] = [
        (&["--help"], 0),
        (&["--version"], 0),
        (&["--nonsense"], 2),
        (&["check-config", "--conf", "good.ini"], 0),
        (&["check-config", "--conf", "bad.ini"], 2),
        (&["--conf", "nowhere.ini"], 1),
        (&["--conf", "bad.ini"], 2),
        // The password file is damaged.
        (&["--conf", "good.ini"], 1),
        (&["import", "--from", "mysql://a:b@127.0.0.1:1/c", "--conf", "good.ini"], 1),
    ];
    for (args, expected) in commands {
        let ends = [closed(), closed()];
        let mut command = Command::new(program());
        let [stdout, stderr] = ends;
        command.args(args).current_dir(folder.path()).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let status = tools::wait(&mut child, PATIENCE).expect("an end");
        assert_eq!(status.code(), Some(expected), "{args:?}: {status}");
    }
}

/// A stream whose reader is gone.
fn closed() -> std::os::fd::OwnedFd {
    let (gone, mut stream) = UnixStream::pair().unwrap();
    drop(gone);
    assert!(stream.write_all(b"x").is_err());
    stream.into()
}

/// With a file: lines go there, the banner does not, and a rotation loses none of them.
#[test]
fn a_file_is_rotated() {
    let server = Server::start(&Setup { more: "[log]\nfile = a.log\nformat = json\n".into(), ..Setup::default() });
    let (file, old) = (server.folder().join("a.log"), server.folder().join("a.log.1"));
    let lines = |file: &std::path::Path| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let has = |file: &std::path::Path, text: &str| {
        tools::until(PATIENCE, || {
            lines(file).iter().any(|line| line["msg"].as_str().unwrap().contains(text)).then_some(())
        })
    };
    assert!(has(&file, "ready").is_some(), "{:?}", lines(&file));
    fs::rename(&file, &old).unwrap();
    server.signal(Signal::USR1);
    assert!(has(&file, "opened anew").is_some(), "{:?}", lines(&file));
    server.signal(Signal::HUP);
    assert!(has(&file, "reloaded").is_some(), "{:?}", lines(&file));
    let line = lines(&old).remove(0);
    assert!(
        line["ts"].as_str().unwrap().ends_with('Z') && line["level"] == "info" && line["target"] == "encke",
        "{line}"
    );
    assert!(server.log().contains("  browsers ") && !server.log().contains("ready\n{"), "{}", server.log());
}

/// A part of the server may tell less than the rest, or more.
#[test]
fn a_part_has_a_level_of_its_own() {
    // Storage warns about a folder that everybody may look into.
    let tells = |level: &str| {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o755)).unwrap();
        let server = Server::start_in(folder, &Setup { more: format!("[log]\nlevel = {level}\n"), ..Setup::default() });
        server.signal(Signal::HUP);
        let told = tools::until(PATIENCE, || server.log().contains("SIGHUP").then_some(()));
        (told.is_some(), server.log().contains("encke::run::kept"))
    };
    assert_eq!(tells("info"), (true, true));
    assert_eq!(tells("info, storage=error"), (true, false));
    let server = |level: &str| {
        let server = Server::start(&Setup { more: format!("[log]\nlevel = {level}\n"), ..Setup::default() });
        (server.log().contains("INFO"), server.stop().0.success())
    };
    assert_eq!(server("error, storage=debug"), (false, true));
}

/// What cannot be opened is said before anything starts.
#[test]
fn a_file_that_cannot_be_opened_is_a_sentence() {
    for file in ["missing/a.log", "/dev/null", "."] {
        let folder = Folder::new();
        folder
            .file("comet.ini", &format!("[ws]\nip = 127.0.0.1\nport = 0\n[cometql]\nport = 0\n[log]\nfile = {file}\n"));
        let mut command = Command::new(program());
        let finished = tools::run(command.args(["--conf", "comet.ini"]).current_dir(folder.path()), PATIENCE);
        assert!(!finished.status.success());
        assert!(
            finished.stderr.contains(&format!("encke: the log's file {file} cannot be opened")),
            "{}",
            finished.stderr
        );
    }
}

/// What a backend does is told if the configuration wants it: texts of messages only, and no key.
#[test]
fn statements_are_told_without_secrets() {
    let key = "key-of-a-user";
    let talk = |statements: &str| {
        let more = format!("[log]\nformat = json\nstatements = {statements}\n");
        let server = Server::start(&Setup { more, ..Setup::default() });
        let mut backend = server.backend();
        for statement in [
            format!("INSERT INTO users_auth (id, hash) VALUES (5, '{key}')"),
            format!("SELECT id FROM users_auth WHERE id = 5 AND hash = '{key}'"),
            "INSERT INTO pipes_messages (name, event, message) VALUES ('room', 'e', 'a text')".to_owned(),
            "DELETE FROM nothing WHERE id = 1".to_owned(),
        ] {
            let _ = backend.query(&statement);
        }
        drop(backend);
        server.signal(Signal::HUP);
        server.await_line(|line| line.contains("SIGHUP"), "that all before it is written");
        server.log()
    };
    let told = |log: &str| -> Vec<serde_json::Value> {
        let lines = log.lines().filter(|line| line.contains("encke::statements"));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert!(told(&talk("off")).is_empty());
    for statements in ["on", "texts"] {
        let log = talk(statements);
        let lines = told(&log);
        let seen: Vec<_> = lines.iter().map(|line| (line["msg"].as_str().unwrap(), line["table"].as_str())).collect();
        let expected = [
            ("INSERT", Some("users_auth")),
            ("SELECT", Some("users_auth")),
            ("INSERT", Some("pipes_messages")),
            ("DELETE", None),
        ];
        assert_eq!(seen, expected, "{log}");
        assert!(lines[0]["user"].is_string() && lines[0]["address"] == "127.0.0.1" && lines[0]["took_us"].is_u64());
        assert!(lines[3]["error"].is_u64() && lines[2]["error"].is_null(), "{log}");
        let texts = lines.iter().filter(|line| line["text"].is_string()).count();
        assert_eq!(texts, usize::from(statements == "texts"), "{log}");
        assert!(!log.contains(key), "{log}");
    }
}
