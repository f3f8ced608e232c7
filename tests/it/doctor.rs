//! `encke doctor` as an operator meets it: a machine of faked files, and this one with a server on it.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools::{self, Finished};
use std::fs;
use std::path::Path;
use std::process::Command;

fn doctor(folder: &Path, args: &[&str]) -> Finished {
    tools::run(Command::new(program()).arg("doctor").args(args).current_dir(folder), PATIENCE)
}

/// Verdict and reason of one check.
fn check(report: &serde_json::Value, name: &str) -> (String, String) {
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("reason"))
}

fn report(folder: &Path, args: &[&str]) -> serde_json::Value {
    let finished = doctor(folder, args);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("an object");
    let expected = match report["verdict"].as_str() {
        Some("ok") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    assert_eq!(finished.status.code(), Some(expected), "{report}");
    report
}

/// Files as another machine has them.
fn machine(folder: &Folder, files: &[(&str, &str)]) {
    for (file, text) in files {
        let file = folder.path().join("machine").join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
}

const CONFIGURATION: &str = "[ws]\nport = 0\nthread_num = 2\n[cometql]\nport = 0\n";

#[test]
fn a_machine_is_read_from_its_files() {
    let folder = Folder::new();
    folder.file("comet.ini", CONFIGURATION);
    let limits =
        "Max core file size        0    unlimited    bytes\nMax open files            1024    1048576    files\n";
    machine(
        &folder,
        &[
            ("proc/self/limits", limits),
            ("proc/sys/net/core/somaxconn", "128\n"),
            ("proc/self/cgroup", "0::/a.slice/b.scope\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "50331648\n"),
            ("usr/lib/systemd/system/encke.service", "[Service]\nExecStart=/usr/bin/encke\n"),
            ("etc/systemd/system/encke.service.d/override.conf", "[Service]\nLimitNOFILE=2048\n"),
        ],
    );
    let args = ["--json", "--conf", "comet.ini", "--root", "machine"];
    let found = report(folder.path(), &args);
    let is = |name: &str, verdict: &str, words: &str| {
        let (found, reason) = check(&found, name);
        assert!(found == verdict && reason.contains(words), "{name}: {found}: {reason}");
    };
    is("configuration", "ok", "comet.ini has no errors");
    is("accept queue", "warning", "net.core.somaxconn = 128");
    is("memory", "error", "48 MiB of the control group");
    is("descriptors", "error", "2048 ");
    is("unit", "warning", "Restart");
    is("data folder", "ok", "is not there yet");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    // Fewer connections need fewer descriptors and less memory.
    let fewer = report(folder.path(), &[&args[..], &["--connections", "500"]].concat());
    assert_eq!((check(&fewer, "descriptors").0.as_str(), check(&fewer, "memory").0.as_str()), ("ok", "warning"));
    // For people it is the same.
    let finished = doctor(folder.path(), &args[1..]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stdout.contains("\n  warning  accept queue "), "{}", finished.stdout);
    assert!(finished.stdout.contains(" try: sysctl -w net.core.somaxconn=4096; then restart"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_first_line() {
    let folder = Folder::new();
    let found = report(folder.path(), &["--json", "--conf", "nowhere.ini"]);
    assert_eq!(check(&found, "configuration").1, "the configuration file nowhere.ini does not exist");
    folder.file("bad.ini", "[ws]\nport = many\n");
    let found = report(folder.path(), &["--json", "--conf", "bad.ini"]);
    let (verdict, reason) = check(&found, "configuration");
    assert!(verdict == "error" && reason.contains("bad.ini:2: error: port = many"), "{reason}");
    assert_eq!(doctor(folder.path(), &["--connections", "0"]).status.code(), Some(2));
}

#[test]
fn a_running_server_is_found_and_a_taken_port_is_told() {
    let server = Server::start(&Setup { more: "[cometql]\ntls = on\n".to_owned(), ..Setup::default() });
    let found = report(server.folder(), &["--json", "--conf", "comet.ini"]);
    assert_eq!(check(&found, "program").1, format!("process {} runs on the data folder", server.process()));
    assert_eq!(check(&found, "data folder").0, "ok", "{found}");
    assert!(check(&found, "disk speed").1.starts_with("half of 20 writes were on disk within "), "{found}");
    let (verdict, certificate) = check(&found, "certificate");
    assert!(verdict == "ok" && certificate.starts_with("for localhost, 127.0.0.1, ::1"), "{certificate}");
    assert!(check(&found, "descriptors").1.contains("of the running server"), "{found}");
    // Another server would find its port taken.
    let other = Folder::new();
    let port = server.browsers.port();
    other.file("comet.ini", &format!("[ws]\nip = 127.0.0.1\nport = {port}\n[cometql]\nport = 0\n"));
    let found = report(other.path(), &["--json", "--conf", "comet.ini"]);
    let (verdict, reason) = check(&found, "ports");
    assert!(verdict == "error" && reason.contains(&format!("127.0.0.1:{port} for browsers cannot be had")), "{reason}");
}
