//! What the system knows of this process, from `/proc`. All of it is read in some twenty microseconds; what cannot be read is
//! not told.

use std::fs;
use std::path::Path;

use crate::metrics::Process;

/// Where the descriptors of the shards are.
pub(super) fn read(shards_have_tables: bool) -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let (virtual_bytes, resident_bytes) = memory().unzip();
    Process {
        start_time: field(&stat, STARTED).zip(boot_time()).map(|(since_boot, boot)| boot + since_boot as f64 / ticks),
        cpu_seconds: processor_us().map(|micros| micros as f64 / 1e6),
        resident_bytes,
        virtual_bytes,
        threads: field(&stat, THREADS),
        open_fds: open_fds(shards_have_tables),
        max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
    }
}

/// Fields of `/proc/self/stat`, counted from 0 behind the name.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const THREADS: usize = 17;
const STARTED: usize = 19;

/// The name in brackets may hold blanks and brackets.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(number)?.parse().ok()
}

pub(super) fn resident_bytes() -> Option<u64> {
    memory().map(|(_, resident)| resident)
}

/// Addresses and memory in use, in bytes.
fn memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_whitespace().map(|pages| pages.parse::<u64>().ok());
    let page = page_size();
    Some((pages.next()??.saturating_mul(page), pages.next()??.saturating_mul(page)))
}

pub(super) fn page_size() -> u64 {
    (rustix::param::page_size() as u64).max(1)
}

/// Of all threads.
pub(super) fn processor_us() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks = field(&stat, USER_TIME)?.saturating_add(field(&stat, SYSTEM_TIME)?);
    Some(ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1))
}

/// Unix time at which the system began.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Descriptors of all threads.
fn open_fds(shards_have_tables: bool) -> Option<u64> {
    let mut sum = open_in(Path::new("/proc/self/fd"))?;
    if shards_have_tables {
        for (_, open) in tables(Path::new("/proc/self"))? {
            sum = sum.saturating_add(open);
        }
    }
    Some(sum)
}

/// The shards of a server that have a table of their own, by name, and how many descriptors are open in each.
pub(super) fn tables(process: &Path) -> Option<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for task in fs::read_dir(process.join("task")).ok()?.flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("browsers-") || name.trim_end() == "cometql" {
            found.push((name.trim_end().to_owned(), open_in(&task.path().join("fd"))?));
        }
    }
    Some(found)
}

/// Since Linux 6.2 the size of the folder is the number of descriptors; before, it is 0, and counting the entries of 64,000
/// connections would hold up a shard.
fn open_in(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok().map(|folder| folder.len()).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let process = read(false);
        let started = process.start_time.unwrap();
        assert!(started <= before + 1.0 && started > before - 3600.0, "{started} {before}");
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.threads.unwrap() >= 2 && process.max_fds.unwrap() > 2);
    }

    #[test]
    fn fields_stand_behind_a_name_of_any_kind() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 111 222 13 14 15 16 17 18 1999 20";
        assert_eq!(
            [USER_TIME, SYSTEM_TIME, THREADS, STARTED].map(|at| field(stat, at)),
            [Some(111), Some(222), Some(17), Some(1999)]
        );
        assert_eq!(field("7 (cut", 1), None);
    }
}
