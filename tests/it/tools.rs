//! Foreign programs that some tests need: found, run with a deadline, or the test says loudly that it was skipped.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The first of these programs that is installed.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// As `find`; without any of them the test is skipped.
pub(crate) fn need(test: &str, names: &[&str]) -> Option<PathBuf> {
    let found = find(names);
    if found.is_none() {
        skip(test, names[0], &format!("{} is not installed", names.join(" or ")));
    }
    found
}

/// Says that a test was skipped, past the test runner's capture. A test whose needs the caller has provided, listed
/// by name in `ENCKE_TESTS_REQUIRE`, fails instead: a skip there is a mistake.
pub(crate) fn skip(test: &str, need: &str, why: &str) {
    let required = std::env::var("ENCKE_TESTS_REQUIRE").unwrap_or_default();
    assert!(!required.split_whitespace().any(|name| name == need), "{test} must run, but {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// A program that a test has started: killed at the end, also of a test that fails.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now; nobody else takes it in this moment.
pub(crate) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.expect("a port").port()
}

/// What a program printed and how it ended.
pub(crate) struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end; one that takes longer than `limit` is killed and fails the test.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Finished {
    run_with_input(command, "", limit)
}

/// As `run`, with this on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str, limit: Duration) -> Finished {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let stdin = child.stdin.take();
    let input = input.to_owned();
    // Beside the readers, because a program may print before it has read everything; it may also end without reading.
    let feeder = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, limit);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = feeder.join();
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap_or_default());
    let Some(status) = status else { panic!("{command:?} still runs after {limit:?}\n{stdout}{stderr}") };
    Finished { status, stdout, stderr }
}

/// How the child ended; `None` if it still runs after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    until(limit, || child.try_wait().unwrap_or_default())
}

/// Asks until there is an answer or the time is over.
pub(crate) fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// One heavy test at a time: whole suites and browsers starve each other on a small machine.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
