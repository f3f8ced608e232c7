//! The program as its user meets it: arguments, configuration, password, banner, signals, exit status.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools::{self, Finished};
use rustix::process::Signal;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Runs the program to its end in this folder.
fn encke(folder: &Folder, args: &[&str]) -> Finished {
    tools::run(Command::new(program()).args(args).current_dir(folder.path()), PATIENCE)
}

/// Exit status and the whole of standard error.
#[track_caller]
fn check(folder: &Folder, args: &[&str], status: i32, stderr: &str) {
    let finished = encke(folder, args);
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(status), stderr), "{args:?}");
}

#[test]
fn version_and_help() {
    let folder = Folder::new();
    let version = encke(&folder, &["--version"]);
    assert_eq!(version.stdout, format!("encke {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.status.code(), Some(0));
    let help = encke(&folder, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["--conf", "check-config", "--version"] {
        assert!(help.stdout.contains(word), "{}", help.stdout);
    }
    assert_eq!(encke(&folder, &["--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_missing_configuration_is_one_sentence() {
    let folder = Folder::new();
    check(&folder, &["--conf", "nowhere.ini"], 1, "encke: the configuration file nowhere.ini does not exist\n");
    check(
        &folder,
        &["check-config", "--conf", "nowhere.ini"],
        1,
        "encke: the configuration file nowhere.ini does not exist\n",
    );
    let finished = encke(&folder, &["--conf", "."]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.starts_with("encke: the configuration file . cannot be read: "), "{}", finished.stderr);
    if !Path::new("/etc/encke/comet.ini").exists() {
        let nowhere = "encke: there is no configuration: neither ./config/comet.ini nor /etc/encke/comet.ini exists; \
                       name a file with --conf FILE\n";
        check(&folder, &[], 1, nowhere);
    }
}

#[test]
fn bad_values_are_all_told_with_their_lines() {
    let folder = Folder::new();
    folder.file("bad.ini", "[ws]\nport = many\nthread_num = 1000\nprot = 1\n");
    let problems = "bad.ini:2: error: port = many: not a whole number; 0 to 65535 is allowed\n\
                    bad.ini:3: error: thread_num = 1000: out of range; 0 to 256 is allowed\n\
                    bad.ini:4: warning: unknown key prot in [ws], left out; did you mean port?\n";
    let nothing = format!("{problems}encke: the configuration has errors, nothing was started\n");
    check(&folder, &["--conf", "bad.ini"], 2, &nothing);
    check(&folder, &["check-config", "--conf", "bad.ini"], 2, problems);
    assert_eq!(encke(&folder, &["check-config", "--conf", "bad.ini"]).stdout, "bad.ini: 2 errors, 1 warnings\n");
    assert!(!folder.path().join("data").exists(), "a bad configuration must leave no trace");
    fs::write(folder.path().join("latin1.ini"), b"[main]\nnode_name = \xe9\n").unwrap();
    let not_text = "encke: latin1.ini:2: error: not UTF-8 text, which only comments on lines of their own may be\n";
    check(&folder, &["--conf", "latin1.ini"], 2, not_text);
    folder.file("large.ini", &";\n".repeat(600_000));
    let large = "encke: the configuration file large.ini is larger than 1048576 bytes\n";
    check(&folder, &["--conf", "large.ini"], 2, large);
}

#[test]
fn the_shipped_configuration_is_fine() {
    let folder = Folder::new();
    let shipped = tools::root().join("config/comet.ini");
    let finished = encke(&folder, &["check-config", "--conf", &shipped.to_string_lossy()]);
    assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""));
    // Without --conf it is found in the working directory.
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::copy(&shipped, folder.path().join("config/comet.ini")).unwrap();
    assert_eq!(encke(&folder, &["check-config"]).stdout, "config/comet.ini: 0 errors, 0 warnings\n");
}

#[test]
fn a_busy_port_is_one_sentence() {
    for section in ["ws", "cometql"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let folder = Folder::new();
        let other = if section == "ws" { "cometql" } else { "ws" };
        folder.file(
            "comet.ini",
            &format!("[{section}]\nip = 127.0.0.1\nport = {port}\n[{other}]\nip = 127.0.0.1\nport = 0\n"),
        );
        let finished = encke(&folder, &["--conf", "comet.ini"]);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("encke: ")).collect();
        assert_eq!(lines.len(), 1, "{}", finished.stderr);
        assert!(lines[0].contains(&format!("127.0.0.1:{port}")), "{}", lines[0]);
        assert!(!finished.stderr.contains("  publish "), "no banner without a server: {}", finished.stderr);
    }
}

#[test]
fn a_data_folder_that_cannot_be_used_is_one_sentence() {
    let folder = Folder::new();
    folder.file("file", "");
    // Permissions do not stop a superuser, a file in the way does.
    for (password, dir) in [("", "file"), ("", "file/data"), ("password = 0123456789abcdef\n", "file/data")] {
        folder.file(
            "comet.ini",
            &format!("[main]\n{password}[ws]\nport = 0\n[cometql]\nport = 0\n[storage]\ndir = {dir}\n"),
        );
        let finished = encke(&folder, &["--conf", "comet.ini"]);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        let expected = format!("encke: the data folder {dir} cannot be made: ");
        assert!(finished.stderr.starts_with(&expected), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
}

#[test]
fn a_damaged_password_file_is_one_sentence() {
    let folder = Folder::new();
    folder.file("comet.ini", "[ws]\nport = 0\n[cometql]\nport = 0\n");
    fs::create_dir(folder.path().join("data")).unwrap();
    folder.file("data/cometql.password", "short");
    let short = "encke: the password in data/cometql.password has fewer than 16 characters; \
                 remove the file and a new one is generated\n";
    check(&folder, &["--conf", "comet.ini"], 1, short);
}

/// Nothing but the keys that every installation sets.
#[test]
fn a_minimal_configuration_serves() {
    let server = Server::start(&Setup::default());
    for address in [server.browsers, server.cometql] {
        assert!(TcpStream::connect(address).is_ok(), "{address}");
    }
    let log = server.log();
    for part in ["encke ", "  storage   ", "  password  [main] password of comet.ini", "  open      http://127.0.0.1:"]
    {
        assert!(log.contains(part), "{part} is missing in\n{log}");
    }
    let (status, _folder) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_generated_password_is_kept_for_the_owner_and_over_restarts() {
    let setup = Setup { password: None, ..Setup::default() };
    let server = Server::start(&setup);
    let file = server.folder().join("data/cometql.password");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = server.password.clone();
    assert_eq!(first.len(), 64);
    let first_log = server.log();
    let generated = format!("  password  in {}, generated just now\n", file.display());
    assert!(first_log.contains(&generated), "{first_log}");
    let (_, folder) = server.stop();

    let server = Server::start_in(folder, &setup);
    assert_eq!(server.password, first);
    let kept = format!("  password  in {}\n", server.folder().join("data/cometql.password").display());
    assert!(server.log().contains(&kept), "{}", server.log());
    assert!(!format!("{first_log}{}", server.log()).contains(&first), "the password was printed");
}

#[test]
fn a_group_may_read_the_password_until_the_key_is_gone() {
    let with = |more: String| Setup { password: None, more, ..Setup::default() };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let group = rustix::process::getegid().as_raw();
    let setup = with(format!("[main]\npassword_group = {group}\n"));
    let mut server = Server::start(&setup);
    // Given at the first start and at each that follows, and nobody complains of it.
    for _ in 0..2 {
        let data = server.folder().join("data");
        assert_eq!((mode(&data), mode(&data.join("cometql.password"))), (0o710, 0o640), "{}", server.log());
        assert_eq!(mode(&data.join("encke.db")), 0o600);
        assert!(!server.log().contains("others"), "{}", server.log());
        let (_, folder) = server.stop();
        server = Server::start_in(folder, &setup);
    }
    let (_, folder) = server.stop();
    let server = Server::start_in(folder, &with(String::new()));
    assert_eq!(mode(&server.folder().join("data/cometql.password")), 0o600);
    let folder = Folder::new();
    folder.file("comet.ini", "[main]\npassword_group = nobody-is-in-it\n[ws]\nport = 0\n[cometql]\nport = 0\n");
    let sentence = "encke: there is no group nobody-is-in-it, which [main] password_group names: groupadd nobody-is-in-it, or \
                    give its number\n";
    check(&folder, &["--conf", "comet.ini"], 1, sentence);
}

#[test]
fn a_configured_password_is_never_printed() {
    let secret = "a secret of the tests;";
    let setup = Setup { password: Some(secret), more: "[log]\nlevel = trace\n".to_owned(), ..Setup::default() };
    let server = Server::start(&setup);
    assert!(!server.folder().join("data/cometql.password").exists());
    server.signal(Signal::HUP);
    server.await_line(|line| line.contains("reloaded: nothing changed"), "that it reloaded");
    let line = server.banner_line("connect");
    assert!(line.ends_with(" -p CometQL_v1"), "{line}");
    assert!(!server.log().contains(secret), "{}", server.log());
}

#[test]
fn one_signal_stops_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&Setup::default());
        // Open connections must not hold it up.
        let connections =
            [server.browsers, server.browsers, server.cometql].map(|address| TcpStream::connect(address).unwrap());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        // Its last words may be read a moment after its end.
        server.await_line(|line| line.ends_with(" stopped"), "stopped");
        drop(connections);
    }
}

/// The line that the banner offers, pasted into a shell, reaches a browser.
#[test]
fn the_pasted_line_publishes() {
    let server = Server::start(&Setup { password: None, ..Setup::default() });
    let mut browser = server.browser();
    browser.send("subscription\nsimplechat");
    server.await_subscribers("simplechat", 1);
    let pasted =
        tools::run(Command::new("bash").args(["-c", &server.banner_line("publish")]).current_dir("/"), PATIENCE);
    assert!(pasted.status.success(), "{}{}", pasted.stdout, pasted.stderr);
    let message = browser.receive();
    assert_eq!(message["pipe"], "simplechat");
    assert_eq!(message["event"], "newMessage");
    assert_eq!(message["data"], r#"{"text":"hello"}"#);
}

/// What a package installs: pages that a formatter of manual pages has nothing to say against, completions that a shell reads.
#[test]
fn manual_pages_and_completions_are_made_of_the_definitions() {
    let folder = Folder::new();
    assert_eq!(encke(&folder, &["man", "--into", "man"]).status.code(), Some(0));
    let pages = fs::read_dir(folder.path().join("man")).unwrap();
    let mut pages: Vec<String> = pages.map(|page| page.unwrap().file_name().to_string_lossy().into_owned()).collect();
    pages.sort();
    for page in ["comet.ini.5", "encke.1", "encke-doctor.1", "encke-sql.1"] {
        assert!(pages.iter().any(|found| found == page), "{page}: {pages:?}");
    }
    let help = encke(&folder, &["--help"]).stdout;
    assert!(!help.contains("completions") && !pages.iter().any(|page| page.contains("completions")), "{pages:?}");
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    assert!(encke(&folder, &["man"]).stdout.contains(".SH NAME\nencke"));
    if let Some(mandoc) = tools::need("manual pages", &["mandoc"]) {
        for page in &pages {
            let found = tools::run(
                Command::new(&mandoc)
                    .args(["-T", "lint", "-W", "warning", page])
                    .current_dir(folder.path().join("man")),
                PATIENCE,
            );
            // A page needs no date where there is none of its own.
            let wrong: Vec<&str> = found.stdout.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(wrong.is_empty(), "{page}: {wrong:#?}");
        }
    }
    let completions = encke(&folder, &["completions", "bash"]);
    let read = tools::run_with_input(Command::new("bash").arg("-n"), &completions.stdout, PATIENCE);
    assert!(completions.stdout.contains("encke__") && read.status.success(), "{}", read.stderr);
    assert_eq!(encke(&folder, &["completions", "nonsense"]).status.code(), Some(2));
}
