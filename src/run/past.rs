//! What the dashboard shows beside the figures of a second: an hour of past, the state of the machine, what the
//! configuration says and what the log has warned of.
//!
//! A thread of its own looks every few seconds: a disk that is slow to tell how full it is holds up nobody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Builder};
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{self, Config};
use crate::figures::past::{Past, STEP_S};
use crate::storage::sqlite::DATABASE_FILE;

use super::board::Board;
use super::clock::{uptime_ms, wall_clock_s};
use super::log;
use super::process::{processor_us, resident_bytes};

/// What the shards and the thread share.
#[derive(Default)]
pub(super) struct Kept {
    past: Mutex<Past>,
    machine: Mutex<Value>,
    about: Mutex<Value>,
}

impl Kept {
    /// What a viewer who comes gets, as JSON.
    pub(super) fn told(&self) -> Value {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner).told();
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        json!({ "past": past, "about": about, "log": log_told() })
    }

    /// Another configuration is in force.
    pub(super) fn reconfigure(&self, config: &Config) {
        let about = about(config);
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
    }

    /// The machine as it was a moment ago; null before the first look.
    pub(super) fn machine(&self) -> Value {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The last warnings and errors.
pub(super) fn log_told() -> Value {
    let (count, lines) = log::warnings();
    json!({ "count": count, "lines": lines })
}

/// Begins to look. The thread ends when nobody has what it keeps.
pub(super) fn start(kept: &Arc<Kept>, config: &Config, board: Board) -> std::io::Result<()> {
    kept.reconfigure(config);
    let (weak, folder) = (Arc::downgrade(kept), config.storage.dir.clone());
    Builder::new().name("past".to_owned()).spawn(move || look(&weak, &folder, &board))?;
    Ok(())
}

fn look(kept: &Weak<Kept>, folder: &Path, board: &Board) {
    while let Some(kept) = kept.upgrade() {
        let mut all = board.all();
        all.log_lines_lost = log::lines_lost();
        let (resident, processor) = (resident_bytes().unwrap_or_default(), processor_us().unwrap_or_default());
        kept.past.lock().unwrap_or_else(PoisonError::into_inner).add(uptime_ms(), resident, processor, &all);
        let machine = machine(folder);
        *kept.machine.lock().unwrap_or_else(PoisonError::into_inner) = machine;
        drop(kept);
        thread::sleep(Duration::from_secs(STEP_S));
    }
}

fn machine(folder: &Path) -> Value {
    let disk = rustix::fs::statvfs(folder).ok();
    let blocks = |of: fn(&rustix::fs::StatVfs) -> u64| disk.as_ref().map(|disk| of(disk).saturating_mul(disk.f_frsize));
    let size = |suffix: &str| fs::metadata(folder.join(format!("{DATABASE_FILE}{suffix}"))).map(|file| file.len()).ok();
    json!({
        "disk_bytes": blocks(|disk| disk.f_blocks),
        "disk_free_bytes": blocks(|disk| disk.f_bavail),
        "database_bytes": size(""),
        "wal_bytes": size("-wal"),
        "memory_bytes": memory("MemTotal:"),
        "memory_free_bytes": memory("MemAvailable:"),
        "descriptors_max": rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        "threads": threads(),
    })
}

/// A line of the kernel's memory report, in bytes.
fn memory(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The processor time of each thread since the start, in microseconds; threads of one name together.
fn threads() -> Value {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Value::Null };
    let mut sums = BTreeMap::<String, u64>::new();
    for task in tasks.flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).ok();
        if let (Some(name), Some(used)) = (read("comm"), read("schedstat").and_then(|text| used_us(&text))) {
            *sums.entry(name.trim().to_owned()).or_default() += used;
        }
    }
    json!(sums)
}

/// The first number is nanoseconds on a processor.
fn used_us(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1000)
}

/// The program, its start, and every key of the configuration; of secrets only whether there is one.
fn about(config: &Config) -> Value {
    let defaults = Config::default();
    let keys: Vec<Value> = config::keys()
        .map(|key| {
            let of = |config: &Config| match key.text(config) {
                Some(_) if key.is_secret() => Some("(set, not shown)".to_owned()),
                value => value,
            };
            let (value, default) = (of(config), of(&defaults));
            let is_default = key.text(config) == key.text(&defaults);
            let doc = key.doc;
            json!({ "section": key.section, "key": key.name, "value": value, "default": default, "is_default": is_default, "doc": doc })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("ENCKE_COMMIT"),
        "started": wall_clock_s().saturating_sub(uptime_ms() / 1000),
        "storage": if config.db.name.is_some() { "MySQL" } else { "embedded (SQLite)" },
        "limits": {
            "waiting_bytes_max": config.ws.waiting_bytes_max,
            "connections_max": config.ws.connections_max,
            "sessions_max": config.cometql.sessions_max,
            "queue_max": config.storage.queue_max,
        },
        "configuration": keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_told() {
        let (mut config, _) =
            config::parse("[main]\npassword = a secret of the server\n[db]\npassword = another secret\nname = x\n");
        config.main.node_name = "n".into();
        let told = about(&config).to_string();
        assert!(!told.contains("a secret of the server") && !told.contains("another secret"), "{told}");
        assert!(told.contains("(set, not shown)"), "{told}");
    }

    #[test]
    fn the_machine_is_told() {
        let machine = machine(Path::new("/"));
        assert!(machine["disk_bytes"].as_u64() > Some(0), "{machine}");
        assert!(machine["memory_bytes"].as_u64() > machine["memory_free_bytes"].as_u64());
        assert!(machine["threads"].as_object().is_some_and(|threads| !threads.is_empty()), "{machine}");
        assert_eq!(used_us("1234567 5 6\n"), Some(1234));
    }

    #[test]
    fn the_thread_looks_until_nobody_cares() {
        let kept = Arc::new(Kept::default());
        start(&kept, &Config::default(), Board::default()).expect("a thread");
        assert_eq!(kept.told()["about"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
