//! What the kernel knows of a process: memory, CPU by thread, and how busy the whole machine was.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// From `smaps_rollup`, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub rss_kib: u64,
    pub pss_kib: u64,
    pub anonymous_kib: u64,
}

/// Run time in nanoseconds, of all threads and by thread name. It holds the kernel's work for them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub total_ns: u64,
    pub by_name: BTreeMap<String, u64>,
}

impl CpuTime {
    /// Adds the times of another stretch.
    pub fn add(&mut self, other: &Self) {
        self.total_ns += other.total_ns;
        for (name, ns) in &other.by_name {
            *self.by_name.entry(name.clone()).or_default() += ns;
        }
    }

    /// What was used since `earlier`. A thread that ended in between counts as 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |name| earlier.by_name.get(name).copied().unwrap_or(0);
        Self {
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            by_name: self.by_name.iter().map(|(name, ns)| (name.clone(), ns.saturating_sub(before(name)))).collect(),
        }
    }
}

/// A running process, known by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

impl Process {
    pub fn new(pid: u32) -> Result<Self, Error> {
        let process = Self { pid };
        process.cpu()?;
        Ok(process)
    }

    pub fn ourselves() -> Self {
        Self { pid: std::process::id() }
    }

    pub fn memory(self) -> Result<Memory, Error> {
        let path = format!("/proc/{}/smaps_rollup", self.pid);
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        parse_memory(&text).ok_or_else(|| Error::usage(format!("{path} has no Rss, Pss and Anonymous")))
    }

    pub fn cpu(self) -> Result<CpuTime, Error> {
        let folder = format!("/proc/{}/task", self.pid);
        let mut cpu = CpuTime::default();
        for entry in fs::read_dir(&folder).map_err(Error::io(format!("read {folder}")))?.flatten() {
            // A thread may end between the listing and the reading; then it has nothing to tell.
            let read = |name| fs::read_to_string(entry.path().join(name)).ok();
            let Some(ns) = read("schedstat").and_then(|text| parse_run_time(&text)) else { continue };
            let name = read("comm").unwrap_or_default();
            cpu.total_ns += ns;
            *cpu.by_name.entry(name.trim_end().to_owned()).or_default() += ns;
        }
        Ok(cpu)
    }

    /// Bytes this process had the system bring to disks.
    pub fn written_bytes(self) -> Result<u64, Error> {
        let path = format!("/proc/{}/io", self.pid);
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        parse_written(&text).ok_or_else(|| Error::usage(format!("{path} has no write_bytes")))
    }

    /// Run time of one thread of this process. Exact only while that thread sleeps: the kernel counts a
    /// running one at its ticks.
    pub fn thread_cpu_ns(self, thread: u32) -> Result<u64, Error> {
        let path = format!("/proc/{}/task/{thread}/schedstat", self.pid);
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        parse_run_time(&text).ok_or_else(|| Error::usage(format!("{path} has no run time")))
    }

    /// Waits until the process uses less than 1 % of a core over 100 ms: whatever was asked of it is done.
    pub fn settle(self, limit: Duration) -> Result<CpuTime, Error> {
        let deadline = Instant::now() + limit;
        let mut before = self.cpu()?;
        loop {
            thread::sleep(Duration::from_millis(100));
            let now = self.cpu()?;
            if now.since(&before).total_ns < 1_000_000 {
                return Ok(now);
            }
            if Instant::now() >= deadline {
                return Err(Error::TimedOut { waiting_for: format!("process {} to be idle", self.pid), limit });
            }
            before = now;
        }
    }
}

/// Work of all cores of the machine since it started, in nanoseconds, at a resolution of 10 ms. `None` where the
/// kernel does not tell.
pub fn machine_busy_ns() -> Option<u64> {
    parse_machine_busy(&fs::read_to_string("/proc/stat").ok()?)
}

fn parse_memory(text: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Memory { rss_kib: kib("Rss")?, pss_kib: kib("Pss")?, anonymous_kib: kib("Anonymous")? })
}

fn parse_written(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// `schedstat` is: run time, waiting time, slices.
fn parse_run_time(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// The `cpu` line of `/proc/stat` is: user, nice, system, idle, iowait, irq, softirq, steal, ... in ticks of 10 ms.
fn parse_machine_busy(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    if ticks.len() < 8 {
        return None;
    }
    let (busy, waiting) = (ticks.iter().take(8).sum::<u64>(), ticks.iter().skip(3).take(2).sum::<u64>());
    Some((busy - waiting) * 10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_kernel() {
        let text = "55-7f [rollup]\nRss:                3924 kB\nPss:  958 kB\nPss_Anon: 1 kB\nAnonymous:  4 kB\n";
        assert_eq!(parse_memory(text), Some(Memory { rss_kib: 3924, pss_kib: 958, anonymous_kib: 4 }));
        assert_eq!(parse_memory("Rss: 1 kB\n"), None);
        assert_eq!(parse_written("read_bytes: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n"), Some(4096));
        assert_eq!(parse_written("cancelled_write_bytes: 5\n"), None);
        assert_eq!(parse_run_time("123 45 6\n"), Some(123));
        assert_eq!(parse_run_time("\n"), None);
        assert_eq!(parse_machine_busy("cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1\n"), Some(270_000_000));
        assert_eq!(parse_machine_busy("cpu  1 2 3\n"), None);
    }

    #[test]
    fn our_own_process() {
        let process = Process::ourselves();
        assert!(process.memory().unwrap().rss_kib > 0);
        assert!(process.written_bytes().is_ok());
        let before = process.cpu().unwrap();
        assert!(before.total_ns > 0 && !before.by_name.is_empty());
        assert!(process.cpu().unwrap().total_ns >= before.total_ns);
        assert!(process.thread_cpu_ns(crate::system::thread_number()).is_ok());
        assert!(machine_busy_ns().is_some());
    }

    #[test]
    fn cpu_time_is_a_difference() {
        let time = |parts: &[(&str, u64)]| CpuTime {
            total_ns: parts.iter().map(|(_, ns)| ns).sum(),
            by_name: parts.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect(),
        };
        let later = time(&[("shard", 10), ("storage", 3), ("new", 1)]);
        assert_eq!(
            later.since(&time(&[("shard", 4), ("storage", 3)])),
            time(&[("shard", 6), ("storage", 0), ("new", 1)])
        );
    }

    #[test]
    fn cpu_times_add_up() {
        let mut sum = CpuTime::default();
        for _ in 0..2 {
            sum.add(&CpuTime { total_ns: 7, by_name: [("shard".to_owned(), 5), ("storage".to_owned(), 2)].into() });
        }
        assert_eq!(sum, CpuTime { total_ns: 14, by_name: [("shard".into(), 10), ("storage".into(), 4)].into() });
    }

    #[test]
    fn a_process_that_is_not_there() {
        assert!(Process::new(u32::MAX).is_err());
    }
}
