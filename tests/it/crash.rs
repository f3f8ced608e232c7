//! What was answered with OK outlives the process: writers at full speed, SIGKILL at a random moment, a restart on the
//! same folder, and every row is there with its last acknowledged value or one that was sent after it. A queue of
//! personal messages has all that were acknowledged, in their order, and nothing twice.
//!
//! A process is killed here, not a machine: what the system was given to write is written. That it reaches the disk
//! before the OK is up to SQLite's `synchronous = FULL`, and to MariaDB's `innodb_flush_log_at_trx_commit = 1`.
//!
//! `ENCKE_CRASH_ROUNDS=n` says how often; a failure prints its seed for `ENCKE_CRASH_SEED=n`.

use crate::mariadb::{MariaDb, section};
use crate::random::Random;
use crate::server::{Folder, PATIENCE, Server, Setup};
use crate::tools;
use loadtest::{Answer, CometQl};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ROUNDS: usize = 10;
const WRITERS: usize = 8;
/// Few enough that rows are written again and again.
const USERS_PER_WRITER: usize = 20;
/// Statements a writer sends ahead of their answers, so that some are always on their way.
const AHEAD_MAX: usize = 4;
/// A round ends after at most so many acknowledged writes.
const WRITES_MAX: usize = 600;
/// Spare characters in `users_data`, so that rows fill pages and spill over them.
const PADDING_MAX: usize = 6000;

#[test]
fn acknowledged_writes_outlive_the_process() {
    let folder = writes_outlive_the_process(ROUNDS, "");
    assert_eq!(integrity(&folder), "ok");
}

#[test]
fn acknowledged_writes_outlive_the_process_in_mariadb() {
    let Some(database) = MariaDb::shared("crash::acknowledged_writes_outlive_the_process_in_mariadb") else { return };
    writes_outlive_the_process(ROUNDS / 2, &section(&database.database()));
}

/// Returns the folder of the last server, which has ended. `more` is configuration: where its data is.
fn writes_outlive_the_process(rounds: usize, more: &str) -> Folder {
    let _alone = tools::alone();
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let seed = number("ENCKE_CRASH_SEED").unwrap_or_else(clock);
    let rounds = number("ENCKE_CRASH_ROUNDS").map_or(rounds, |rounds| rounds as usize);
    // Shown when the test fails.
    println!("ENCKE_CRASH_SEED={seed}");

    let mut random = Random::new(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, random.next())).collect();
    let mut folder = Folder::new();
    let (mut acknowledged, mut unanswered) = (0, 0);
    for round in 0..rounds {
        let setup = Setup { shards: 1 + round as u32 % 2, more: more.to_owned(), ..Setup::default() };
        let server = Server::start_in(folder, &setup);
        check(&server, &mut writers, round);
        let writes = 1 + random.below(WRITES_MAX);
        let pause = Duration::from_micros(random.below(3000) as u64);
        acknowledged += write_until_the_crash(&server, &mut writers, writes, pause);
        folder = server.crash();
        unanswered += writers.iter().flat_map(|writer| writer.rows.values()).map(|row| row.sent.len()).sum::<usize>();
    }
    let server = Server::start_in(folder, &Setup { more: more.to_owned(), ..Setup::default() });
    check(&server, &mut writers, rounds);
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    println!("{rounds} rounds: {acknowledged} acknowledged writes are there; {unanswered} were cut off");
    folder
}

/// Tables and the column that holds the value.
const TABLES: [(&str, &str); 4] =
    [("users_auth", "hash"), ("users_data", "data"), ("pipes_settings", "length"), (QUEUES, "message")];
/// The table whose rows are added, not replaced.
const QUEUES: &str = "users_messages";

/// A row by table and user; for personal messages all of the user's, for settings the user's pipe.
type Key = (&'static str, usize);

/// What a row may hold. Values are numbers that only grow.
#[derive(Default)]
struct Row {
    acknowledged: Option<u64>,
    /// All that was acknowledged, where values are added and not replaced.
    queue: Vec<u64>,
    /// Sent after it and not answered, oldest first.
    sent: VecDeque<u64>,
}

/// One connection's writes. It is the only writer of its rows, and the server runs a session's statements in order.
struct Writer {
    first_user: usize,
    random: Random,
    last_value: u64,
    rows: HashMap<Key, Row>,
}

impl Writer {
    fn new(number: usize, seed: u64) -> Self {
        let first_user = 1 + number * USERS_PER_WRITER;
        Self { first_user, random: Random::new(seed), last_value: 0, rows: HashMap::new() }
    }

    /// Writes until the server is gone and counts what was acknowledged. Anything but an OK or the end of the connection
    /// is a failure.
    fn write(&mut self, address: SocketAddr, password: &str, count: &AtomicUsize) {
        // Others may have written enough before this one is logged in. An end before the server's is noticed.
        let Ok(mut session) = CometQl::connect(address, "root", password, None) else { return };
        session.set_limit(PATIENCE);
        let mut waiting = VecDeque::new();
        loop {
            while waiting.len() < AHEAD_MAX {
                let (key, value) = self.next();
                // Noted first: also what is cut off while it is sent may arrive.
                self.rows.entry(key).or_default().sent.push_back(value);
                waiting.push_back(key);
                if session.send_query(&statement(key, value)).is_err() {
                    return;
                }
            }
            let Ok(answer) = session.read_answer() else { return };
            let Some(key) = waiting.pop_front() else { return };
            let (affected, insert_id) = match key {
                (QUEUES, user) => (0, user),
                ("pipes_settings", _) => (1, 0),
                (_, user) => (1, user),
            };
            assert_eq!(answer, Answer::Ok { affected, insert_id: insert_id as u64 }, "{key:?}");
            let row = self.rows.entry(key).or_default();
            if key.0 == QUEUES {
                row.queue.extend(row.sent.pop_front());
            } else {
                row.acknowledged = row.sent.pop_front();
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next(&mut self) -> (Key, u64) {
        self.last_value += 1;
        let (table, _) = TABLES[self.random.below(TABLES.len())];
        ((table, self.first_user + self.random.below(USERS_PER_WRITER)), self.last_value)
    }
}

/// Lets the writers write so many rows and a little more, then kills the server under them.
fn write_until_the_crash(server: &Server, writers: &mut [Writer], writes: usize, pause: Duration) -> usize {
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (address, password, count) = (server.cometql, server.password.as_str(), &count);
        let running: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(move || writer.write(address, password, count))).collect();
        // A writer ends only when something is wrong.
        while count.load(Ordering::Relaxed) < writes && running.iter().all(|writer| !writer.is_finished()) {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(pause);
        let early = running.iter().any(thread::ScopedJoinHandle::is_finished);
        server.signal(rustix::process::Signal::KILL);
        for writer in running {
            writer.join().expect("a writer was answered with something else");
        }
        assert!(!early, "a session ended before the server did");
    });
    count.into_inner()
}

/// Reads every row and compares; what is found is what the next round starts from.
fn check(server: &Server, writers: &mut [Writer], round: usize) {
    let mut found: HashMap<Key, Vec<String>> = HashMap::new();
    let mut session = server.backend();
    for (table, column) in TABLES {
        let (key, before) = if table == "pipes_settings" { ("name", "pipe") } else { ("id", "") };
        let keys: Vec<String> = (1..=WRITERS * USERS_PER_WRITER).map(|user| format!("'{before}{user}'")).collect();
        let sql = format!("SELECT {key}, {column} FROM {table} WHERE {key} IN ({})", keys.join(", "));
        for row in session.rows(&sql).expect("the rows") {
            let [Some(user), Some(text)] = row.as_slice() else { panic!("{table}: {row:?}") };
            let user: usize = user.trim_start_matches(before).parse().expect("a user's number");
            found.entry((table, user)).or_default().push(text.clone());
        }
    }
    for writer in writers {
        for (key, row) in &mut writer.rows {
            let mut texts = found.remove(key).unwrap_or_default();
            if key.0 == QUEUES {
                row.queue = check_queue(*key, row, &texts, round);
                row.sent.clear();
                continue;
            }
            let text = texts.pop();
            assert!(texts.is_empty(), "restart {round}: {key:?} is there more than once");
            let may_be: Vec<u64> = row.acknowledged.into_iter().chain(row.sent.drain(..)).collect();
            let value = match &text {
                Some(text) => may_be.iter().copied().find(|&value| *text == stored(*key, value)),
                None if row.acknowledged.is_none() => None,
                None => panic!("restart {round}: {key:?} is lost, it was one of {may_be:?}"),
            };
            assert!(
                value.is_some() || text.is_none(),
                "restart {round}: {key:?} is {:?}, and not one of {may_be:?}",
                text.unwrap_or_default().get(..40)
            );
            row.acknowledged = value;
        }
    }
    assert!(found.is_empty(), "restart {round}: rows that nobody wrote: {:?}", found.keys());
}

/// Returns what is there: all that was acknowledged and some of what was sent, in the order in which it was sent.
fn check_queue(key: Key, row: &Row, texts: &[String], round: usize) -> Vec<u64> {
    let may_be: Vec<u64> = row.queue.iter().chain(&row.sent).copied().collect();
    let number = |text: &String| may_be.iter().copied().find(|&value| *text == stored(key, value));
    let there: Vec<u64> = texts
        .iter()
        .map(|text| {
            number(text).unwrap_or_else(|| panic!("restart {round}: nobody wrote {:?} to {key:?}", text.get(..40)))
        })
        .collect();
    assert!(there.is_sorted_by(|one, next| one < next), "restart {round}: {key:?} is out of order: {there:?}");
    let lost: Vec<&u64> = row.queue.iter().filter(|value| !there.contains(value)).collect();
    assert!(lost.is_empty(), "restart {round}: {key:?} has lost {lost:?}");
    there
}

fn statement(key: Key, value: u64) -> String {
    let text = stored(key, value);
    match key {
        ("users_auth", user) => format!("INSERT INTO users_auth (id, hash) VALUES ({user}, '{text}')"),
        ("pipes_settings", user) => format!("INSERT INTO pipes_settings (name, length) VALUES ('pipe{user}', {text})"),
        (QUEUES, user) => format!("INSERT INTO users_messages (id, event, message) VALUES ({user}, 'e', '{text}')"),
        (_, user) => format!("INSERT INTO users_data (id, data) VALUES ({user}, '{text}')"),
    }
}

/// The text that stands for a value; the whole of it depends on the value, so that a torn row is seen.
fn stored((table, user): Key, value: u64) -> String {
    if table == "users_auth" {
        return format!("u{user}v{value}");
    }
    if table == "pipes_settings" {
        return (1 + value % 999).to_string();
    }
    let word = format!("{user}:{value} ");
    let length = (user as u64 + value).wrapping_mul(2_654_435_761) as usize % PADDING_MAX;
    word.repeat(1 + length / word.len())
}

/// What SQLite thinks of the file.
fn integrity(folder: &Folder) -> String {
    let file = rusqlite::Connection::open(folder.path().join("data/encke.db")).expect("the data");
    file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer")
}
