//! Browsers that come while others attack: each logs in, one polls, one fetches a file.

use super::super::report::Record;
use super::super::{Target, USER_KEY};
use crate::hello::Hello;
use crate::socket::exchange;
use crate::ws::{WsClient, uuid};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Users who may log in.
pub(super) const USERS: usize = 10;

/// Between two newcomers.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a newcomer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What newcomers tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Summary {
    logins: Count,
    polls: Count,
    files: Count,
    /// What went wrong first.
    trouble: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    done: u64,
    failed: u64,
    slowest_ms: f64,
}

impl Summary {
    pub(super) fn failed(&self) -> u64 {
        self.logins.failed + self.polls.failed + self.files.failed
    }

    pub(super) fn tell(&self, record: &mut Record) {
        for (name, count) in [("logins", self.logins), ("polls", self.polls), ("files", self.files)] {
            record.count(name, count.done).count(&format!("{name}_failed"), count.failed);
            record.number(&format!("{name}_max_ms"), count.slowest_ms);
        }
        if let Some(trouble) = &self.trouble {
            record.text("first_trouble", trouble.clone());
        }
    }
}

/// Newcomers, one after the other, until it is over.
pub(super) fn come(target: &Target, is_over: &AtomicBool) -> Summary {
    let mut summary = Summary::default();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let Summary { logins, polls, files, trouble } = &mut summary;
        let outcomes = [
            attempt(logins, || log_in(target, number)),
            attempt(polls, || answers(target, "/poll/sign?pipes=newcomers", &["{\"id\":"])),
            attempt(files, || answers(target, "/small.js", &["HTTP/1.1 200", "HTTP/1.1 404"])),
        ];
        for why in outcomes.into_iter().flatten() {
            trouble.get_or_insert(why);
        }
        thread::sleep(PAUSE);
    }
    summary
}

fn attempt(count: &mut Count, act: impl FnOnce() -> Result<(), String>) -> Option<String> {
    let start = Instant::now();
    let outcome = act();
    count.slowest_ms = count.slowest_ms.max(start.elapsed().as_secs_f64() * 1e3);
    match outcome {
        Ok(()) => count.done += 1,
        Err(_) => count.failed += 1,
    }
    outcome.err()
}

fn log_in(target: &Target, number: usize) -> Result<(), String> {
    let user = 1 + (number % USERS) as u32;
    let hello = Hello::user(target.tenant, user, USER_KEY, &uuid());
    let client = WsClient::connect(target.ws, hello).map_err(|error| format!("a login: {error}"))?;
    let is_in = client.server_info().contains("\"authorized\":true");
    client.disconnect();
    if is_in { Ok(()) } else { Err("a login was refused".into()) }
}

/// A file need not exist; it is enough that the server says so.
fn answers(target: &Target, path: &str, expected: &[&str]) -> Result<(), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: siege\r\nConnection: close\r\n\r\n");
    let answer = exchange(target.ws, request.as_bytes(), PATIENCE).map_err(|error| format!("{path}: {error}"))?;
    let text = String::from_utf8_lossy(&answer);
    if expected.iter().any(|expected| text.contains(expected)) {
        Ok(())
    } else {
        Err(format!("{path}: {}", text.lines().next().unwrap_or_default()))
    }
}
