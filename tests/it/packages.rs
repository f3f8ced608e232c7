//! What packages are made of, as far as it can be looked at without making one; scripts/check-packages installs them.

use crate::server::PATIENCE;
use crate::tools::{self, root};
use serde_json::Value;
use std::fs;
use std::process::Command;

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn scripts_of_packages_are_written_in_the_shell_s_language() {
    let scripts =
        ["deb/postinst", "deb/prerm", "deb/postrm", "certbot-hook"].map(|file| ("sh", format!("packaging/{file}")));
    let own = ["release", "package", "check-packages"].map(|file| ("bash", format!("scripts/{file}")));
    for (shell, file) in scripts.into_iter().chain(own) {
        let read = tools::run(Command::new(shell).arg("-n").arg(root().join(&file)), PATIENCE);
        assert!(read.status.success(), "{file}: {}", read.stderr);
    }
}

#[test]
fn the_container_file_copies_what_is_there_and_a_good_configuration() {
    for line in text("packaging/container/Containerfile").lines().filter(|line| line.starts_with("COPY packaging")) {
        let from = line.split_whitespace().nth(1).expect("what is copied");
        assert!(root().join(from).is_file(), "{line}");
    }
    for file in ["comet.ini", "comet.mariadb.ini"] {
        let (config, problems) = encke::config::parse(&text(&format!("packaging/container/{file}")));
        assert!(problems.is_empty(), "{file}: {problems:?}");
        assert_eq!(config.storage.dir.to_str(), Some("/data"), "{file}");
    }
    let compose = text("packaging/container/compose.yml");
    let (config, _) = encke::config::parse(&text("packaging/container/comet.mariadb.ini"));
    let password = config.db.password.expect("a password");
    assert!(compose.contains(&format!("MARIADB_PASSWORD: {password}\n")), "both files have one password");
}

#[test]
fn the_profile_allows_what_the_server_would_like() {
    let profile: Value = serde_json::from_str(&text("packaging/container/seccomp.json")).expect("JSON");
    let rules = profile["syscalls"].as_array().expect("rules");
    let rule = |name: &str| {
        let found =
            rules.iter().find(|rule| rule["names"].as_array().is_some_and(|names| names.iter().any(|one| one == name)));
        found.unwrap_or_else(|| panic!("no rule for {name}"))
    };
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "epoll_pwait2", "sched_setaffinity", "futex"]
    {
        assert!(rule(call)["action"] == "SCMP_ACT_ALLOW" && rule(call)["args"].is_null(), "{call}");
    }
    // CLONE_FILES alone: a table of descriptors, and no namespace.
    assert_eq!(rule("unshare")["args"][0]["value"], 0x400);
    for call in ["mount", "ptrace", "setns", "bpf", "keyctl", "init_module", "reboot"] {
        let named =
            rules.iter().any(|rule| rule["names"].as_array().is_some_and(|names| names.iter().any(|one| one == call)));
        assert!(!named, "{call} is for nobody");
    }
}

/// Crates that are linked, and neither those of build scripts nor those of tests.
#[test]
fn the_list_of_crates_is_that_of_the_program() {
    let Some(python) = tools::need("the list of crates", &["python3"]) else { return };
    let listed = tools::run(Command::new(python).arg(root().join("scripts/crates")).current_dir(root()), PATIENCE);
    assert!(listed.status.success(), "{}", listed.stderr);
    let has = |name: &str| listed.stdout.lines().any(|line| line.split(' ').next() == Some(name));
    for name in ["encke", "shards", "sqlparser", "libsqlite3-sys", "aws-lc-sys", "mysql"] {
        assert!(has(name), "{name} is missing");
    }
    for name in ["proptest", "loadtest", "cc", "syn", "serde_derive"] {
        assert!(!has(name), "{name} is not in the program");
    }
}
