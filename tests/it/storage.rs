//! What the data folder and its database look like from outside: who can read it, what a full disk and a wrong clock do.

use crate::mariadb::{MariaDb, section};
use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools;
use crate::transports::Http;
use encke::model::{MessageId, Position};
use loadtest::CometQl;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The files of a folder that others than their owner can read or write.
fn open_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the data folder").map(|entry| entry.expect("a file"));
    let is_open = |entry: &fs::DirEntry| entry.metadata().expect("its mode").permissions().mode() & 0o077 != 0;
    entries.filter(is_open).map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn files_of_the_data_folder_are_for_their_owner_alone() {
    let setup = Setup { password: None, more: "[cometql]\ntls = on\n".into(), ..Setup::default() };
    let server = Server::start(&setup);
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
    assert!(!server.log().contains("open to others"), "{}", server.log());
    let (_, folder) = server.stop();
    // As an earlier version, or a copy, left them.
    let data = folder.path().join("data");
    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("a folder that is open");
    for entry in fs::read_dir(&data).expect("the data folder") {
        fs::set_permissions(entry.expect("a file").path(), Permissions::from_mode(0o644)).expect("a file that is open");
    }
    let server = Server::start_in(folder, &setup);
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
    let log = server.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("chmod 700"), lines("could read it")), (1, 3), "{log}");
}

#[test]
fn a_folder_that_exists_and_is_open_gets_closed_files() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).expect("a data folder");
    fs::set_permissions(folder.path().join("data"), Permissions::from_mode(0o777)).expect("a folder that is open");
    let server = Server::start_in(folder, &Setup::default());
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
}

fn figure(server: &Server, name: &str) -> String {
    let rows = server.backend().rows(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).expect("figures");
    rows.first().and_then(|row| row[1].clone()).unwrap_or_else(|| panic!("{name}"))
}

fn await_figure(server: &Server, name: &str, expected: &str) {
    let seen = tools::until(PATIENCE, || (figure(server, name) == expected).then_some(()));
    assert!(seen.is_some(), "{name} is {}, not {expected}", figure(server, name));
}

/// A small file system of its own, which goes with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word about it, where this account may not mount anything.
    fn new(test: &str, folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(&folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs"]).arg(&folder);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            tools::skip(test, "mount", "a tmpfs cannot be mounted: that needs root");
        }
        mounted.then_some(Self(folder))
    }

    /// Takes all the room that is left; the file's removal gives it back.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_while_it_lasts_and_reads_go_on() {
    let folder = Folder::new();
    let disk =
        SmallDisk::new("storage::a_full_disk_is_told_while_it_lasts_and_reads_go_on", folder.path().join("data"));
    let Some(disk) = disk else { return };
    let server = Server::start_in(folder, &Setup::default());
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key')").expect("there is room");
    await_figure(&server, "encke_storage_state", "ok");
    let filler = disk.fill();
    let health = || {
        let answer = Http::connect(&server).get("/health", "");
        (answer.status, answer.text().to_owned())
    };
    let write = |backend: &mut CometQl, id: u32| {
        let data = "x".repeat(60_000);
        backend.execute(&format!("INSERT INTO users_data (id, data) VALUES ({id}, '{data}')"))
    };
    for id in 1..=5 {
        let error = write(&mut backend, id).expect_err("there is no room").to_string();
        assert!(error.contains("no room on the disk"), "{error}");
    }
    await_figure(&server, "encke_storage_state", "full");
    assert_ne!(figure(&server, "encke_storage_failures"), "0");
    let (status, text) = health();
    assert!(status == 200 && text.contains("the disk is full"), "{status} {text}");
    // Who comes is let in, and gets what is published.
    let (mut browser, first) = server.browser_with_key(0, "5", "key");
    assert_eq!(first["authorized"], true, "{first}");
    browser.send("subscription\nnews");
    server.await_subscribers("news", 1);
    backend.execute("INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'on')").expect("published");
    assert_eq!(browser.receive()["data"], "on");

    // Nobody writes now, and still it is found out.
    fs::remove_file(filler).expect("room");
    await_figure(&server, "encke_storage_state", "ok");
    assert_eq!(health(), (200, "ok".to_owned()));
    write(&mut backend, 1).expect("there is room again");
    let log = server.log();
    for said in ["the disk is full", "storage works again"] {
        assert_eq!(log.matches(said).count(), 1, "{log}");
    }
    drop(server);
}

/// Another reason for which writes fail: a file may not grow any more.
#[test]
fn writes_that_fail_are_told_and_reads_go_on() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"", program()]);
    let server = Server::start_by(Folder::new(), &Setup::default(), command);
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key')").expect("stored");
    let data = "x".repeat(60_000);
    let mut written = 1;
    let error = loop {
        match backend.execute(&format!("INSERT INTO users_data (id, data) VALUES ({written}, '{data}')")) {
            Ok(_) => written += 1,
            Err(error) => break error.to_string(),
        }
        assert!(written < 100);
    };
    assert!(error.contains("Storage failed"), "{error}");
    await_figure(&server, "encke_storage_state", "failing");
    let (_, first) = server.browser_with_key(0, "5", "key");
    assert_eq!(first["authorized"], true, "{first}");
    assert_eq!(server.log().matches("storage fails").count(), 1, "{}", server.log());
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// Rows as they are left behind by a clock that was two hours ahead.
fn put_rows_of_the_future(folder: &Folder) {
    let file = rusqlite::Connection::open(folder.path().join("data/encke.db")).expect("the data");
    for number in 0..3_u64 {
        let position = Position::default().next((unix_seconds() + 7_200 + number) * 1_000_000);
        let (id, time) = (MessageId::new(position, number << 32).to_bytes().to_vec(), position.time().0);
        let text = format!("future {number}");
        let history = "INSERT INTO pipe_messages (dev_id, pipe_name, time, id, event, message, user_id) \
                       VALUES (0, 'web_full', ?, ?, 'e', ?, 0)";
        file.execute(history, rusqlite::params![time, id, text]).expect("a row");
        let queue =
            "INSERT INTO users_messages (dev_id, user_id, time, id, event, message) VALUES (0, 5, ?, ?, 'e', ?)";
        file.execute(queue, rusqlite::params![time, id, text]).expect("a row");
    }
}

#[test]
fn what_is_acknowledged_after_a_clock_that_was_ahead_is_kept_in_its_order() {
    let setup = Setup { more: "[storage]\nqueue_messages_max = 4\n".into(), ..Setup::default() };
    let server = Server::start(&setup);
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('web_full', 4)").expect("an OK");
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key')").expect("an OK");
    assert!(!server.log().contains("from the future"));
    let (_, folder) = server.stop();
    put_rows_of_the_future(&folder);
    let server = Server::start_in(folder, &setup);
    server.await_line(|line| line.contains("from the future"), "that rows are from the future");
    let mut backend = server.backend();
    let mut browser = server.browser();
    browser.send("subscription\nweb_full");
    server.await_subscribers("web_full", 1);
    for number in 1..=6 {
        let sql = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_full', 'e', 'now {number}')");
        backend.execute(&sql).expect("an OK");
        // The time that is told is that of the clock, and does not stand still in the future.
        let told = browser.receive()["message_send_time"].as_u64().expect("a time");
        assert!(told.abs_diff(unix_seconds()) < 600, "{told}");
        let sql = format!("INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'now {number}')");
        backend.execute(&sql).expect("an OK");
    }
    let expected = ["now 3", "now 4", "now 5", "now 6"];
    for sql in [
        "SELECT message FROM pipes_messages WHERE name = 'web_full'",
        "SELECT message FROM users_messages WHERE id = 5",
    ] {
        let rows = backend.rows(sql).expect("rows");
        let texts: Vec<&str> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
        assert_eq!(texts, expected, "{sql}");
    }
}

/// The next messages about these pipes: each one's `recovered`.
fn recovered(browser: &mut crate::server::Browser, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut pipes = BTreeSet::new();
    while found.len() < count {
        let message = browser.receive();
        assert_eq!(message["event"], "subscribed", "{message}");
        assert!(pipes.insert(message["data"]["pipe"].as_str().expect("a pipe").to_owned()));
        found.push(message["data"]["recovered"].clone());
    }
    found
}

/// The bound is on work: whoever names a thousand pipes that nobody published to has storage do nothing.
#[test]
fn names_without_a_history_are_no_work_for_storage() {
    const NAMES: usize = 1_000;
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('trust_real', 'e', 'one')";
    backend.execute(insert).expect("an OK");
    let mut browser = server.browser_of("js2");
    browser.send("subscription2\ntrust_real\n");
    let answer = browser.receive();
    let position = answer["data"]["position"].as_str().expect("a position").to_owned();
    backend.execute(&insert.replace("one", "two")).expect("an OK");
    assert_eq!(browser.receive()["data"], "two");
    let jobs = || figure(&server, "encke_storage_jobs").parse::<usize>().expect("a number");
    let settled = tools::until(PATIENCE, || (jobs() >= 2).then_some(jobs()));
    let before = settled.expect("the publications are counted");
    let names: Vec<String> = (0..NAMES).map(|number| format!("trust_{number} {position}\n")).collect();
    for _ in 0..3 {
        let mut browser = server.browser_of("js2");
        browser.send(&format!("subscription2\n{}", names.concat()));
        assert!(recovered(&mut browser, NAMES).iter().all(|recovered| recovered == true));
        for number in 0..50 {
            browser.send(&format!("pipe_log\ntrust_{number}\nmark\n"));
            browser.send(&format!("pipe_log\nweb_{number}\nmark\n"));
        }
        browser.send("pipe_count\nweb_a\nlast");
        assert_eq!(browser.receive()["marker"], "last", "histories that are not there have no answer");
    }
    // One that is there is looked into, also after a restart.
    let missed = |server: &Server| {
        let mut browser = server.browser_of("js2");
        browser.send(&format!("subscription2\ntrust_real {position}\ntrust_1 {position}\n"));
        let texts: Vec<Value> = (0..3).map(|_| browser.receive()["data"].clone()).collect();
        assert!(texts.contains(&"two".into()), "{texts:?}");
    };
    missed(&server);
    let seen = tools::until(PATIENCE, || (jobs() > before).then_some(jobs())).expect("one was read");
    assert!(seen <= before + 4, "{before} {seen}");
    let (_, folder) = server.stop();
    missed(&Server::start_in(folder, &Setup::default()));
}

/// However many names a command has, what is read for it are a few jobs: and others come in between.
#[test]
fn a_thousand_histories_are_read_some_at_a_time() {
    const PIPES: usize = 300;
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    let rows =
        |text: &str| -> Vec<String> { (0..PIPES).map(|number| format!("('trust_{number}', 'e', '{text}')")).collect() };
    let insert =
        |text: &str| format!("INSERT INTO pipes_messages (name, event, message) VALUES {}", rows(text).join(","));
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 5)").expect("an OK");
    let mut browser = server.browser_of("js2");
    browser.send("subscription2\nkept\n");
    let position = browser.receive()["data"]["position"].as_str().expect("a position").to_owned();
    backend.execute(&insert("one")).expect("an OK");
    let jobs = || figure(&server, "encke_storage_jobs").parse::<usize>().expect("a number");
    let before = tools::until(PATIENCE, || (jobs() >= PIPES).then_some(jobs())).expect("all are stored");
    let names: Vec<String> = (0..PIPES).map(|number| format!("trust_{number} {position}\n")).collect();
    browser.send(&format!("subscription2\n{}", names.concat()));
    let mut texts = 0;
    let mut answers = 0;
    while answers < PIPES {
        let message = browser.receive();
        texts += usize::from(message["data"] == "one");
        answers += usize::from(message["data"]["recovered"] == true);
    }
    assert_eq!(texts, PIPES);
    let seen = tools::until(PATIENCE, || (jobs() > before).then_some(jobs())).expect("they were read");
    assert!(seen - before <= PIPES / 32 + 4, "{before} {seen}");
}

/// What a message holds is nobody's fault but its own: whoever wrote it is told so, and the server is as well as before.
#[test]
fn what_does_not_fit_into_the_database_is_no_failure_of_storage() {
    let test = "storage::what_does_not_fit_into_the_database_is_no_failure_of_storage";
    let Some(database) = MariaDb::shared(test) else { return };
    let place = database.database();
    let mut session = database.session(&place);
    // As CppComet made it, and with a rule of the operator's.
    let table = "CREATE TABLE users_data (dev_id INT NOT NULL, user_id INT NOT NULL, data CHAR(20) CHARACTER SET utf8 NOT NULL, \
                 PRIMARY KEY (dev_id, user_id), CHECK (data <> 'forbidden'))";
    mysql::prelude::Queryable::query_drop(&mut session, table).expect("a table");
    let server = Server::start(&Setup { more: section(&place), ..Setup::default() });
    let mut backend = server.backend();
    let mut write = |text: &str| {
        backend.execute(&format!("INSERT INTO users_data (id, data) VALUES (5, '{text}')")).map_err(|e| e.to_string())
    };
    for _ in 0..20 {
        for (text, why) in [("\u{1f600}", "error 1366"), (&*"x".repeat(21), "error 1406"), ("forbidden", "error 4025")]
        {
            let error = write(text).expect_err(text);
            assert!(error.contains("code: 12") && error.contains(why), "{error}");
            write("fits").expect("an OK");
        }
    }
    let figure = |name: &str| figure(&server, name);
    assert_eq!((figure("encke_storage_state"), figure("encke_storage_failures")), ("ok".into(), "0".into()));
    assert_eq!(figure("encke_storage_unfit"), "60");
    let log = server.log();
    assert_eq!(log.matches("does not fit").count(), 1, "{log}");
    assert!(!log.contains("storage fails") && !log.contains("works again"), "{log}");
}
