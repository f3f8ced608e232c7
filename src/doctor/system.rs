//! What the edge gathers, and how its texts are read.

use std::collections::BTreeMap;

use super::Certificate;

/// Files of the kernel whose texts checks look at.
const FILES: [&str; 21] = [
    "/proc/sys/fs/file-max",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/nr_open",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/io_uring_disabled",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog",
    "/proc/sys/net/ipv4/tcp_mem",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/vm/overcommit_memory",
    "/proc/meminfo",
    "/proc/self/cgroup",
    "/proc/self/limits",
    "/proc/self/status",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/mm/transparent_hugepage/enabled",
];

/// No text of the kernel that is looked at is longer.
pub const TEXT_BYTES_MAX: u64 = 1024 * 1024;

pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.into_iter()
}

/// What a machine is, as far as checks look at it.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Texts of those [`files`] that could be read.
    pub files: BTreeMap<String, String>,
    pub page_bytes: u64,
    pub cores: u64,
    /// Who asks.
    pub user: u32,
    pub server: Option<Server>,
    pub unit: Option<Unit>,
    /// Contents of the files that [`memory_limits`] names, of the running server or of this process.
    pub memory_limits: Vec<String>,
    pub data: Data,
    /// Whether batched sends work, tried.
    pub io_uring: Option<Result<(), String>>,
    /// Whether a thread gets a descriptor table of its own, tried.
    pub own_tables: Option<Result<(), String>>,
    pub ports: Vec<Port>,
    pub certificate: Option<Certificate>,
    /// Whether the system says that its clock follows others; `None`: it says nothing.
    pub clock_is_synchronised: Option<bool>,
    /// Seconds since 1970.
    pub now: i64,
}

/// The server that runs on the data folder.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub process: u32,
    /// Of `/proc/PID`.
    pub limits: String,
    pub status: String,
    /// Whether its program is no longer what the file of that name holds.
    pub program_is_gone: bool,
    /// Threads with a descriptor table of their own, and how many descriptors are open there; none if that is not told.
    pub open_descriptors: Vec<(String, u64)>,
}

/// The installed systemd unit.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    pub file: String,
    /// With the texts of `encke.service.d` behind it.
    pub text: String,
}

/// The data folder, or the nearest one above it if it is not there yet.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// As the configuration names it.
    pub folder: String,
    pub found: Option<Result<Folder, String>>,
}

#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Whether it is the data folder itself.
    pub exists: bool,
    pub owner: u32,
    pub mode: u32,
    /// Files in it that belong to somebody else than the folder does.
    pub foreign: Vec<String>,
    /// Whether the database is on another file system than the folder, where its log is.
    pub database_is_elsewhere: bool,
    /// Number of the kind of file system, as the kernel has it.
    pub kind: u64,
    pub free_bytes: u64,
    pub free_files: Option<u64>,
    /// Microseconds that small writes took until they were on the disk; or why none was tried.
    pub writes_us: Option<Result<Vec<u64>, String>>,
    /// When the database was written last, in seconds since 1970.
    pub written: Option<i64>,
}

/// A port that the configuration names.
#[derive(Clone, Debug)]
pub struct Port {
    /// What it is for.
    pub of: &'static str,
    pub key: &'static str,
    pub address: std::net::SocketAddr,
    /// Whether one could listen there now; `None` while a server of ours runs.
    pub free: Option<Result<(), String>>,
}

impl System {
    pub(super) fn text(&self, file: &str) -> Option<&str> {
        self.files.get(file).map(|text| text.trim())
    }

    /// All numbers of a file that holds nothing else.
    pub(super) fn numbers(&self, file: &str) -> Option<Vec<u64>> {
        self.text(file)?.split_whitespace().map(|number| number.parse().ok()).collect()
    }

    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.numbers(file)?.first().copied()
    }

    /// The word in brackets, where a file shows all of them.
    pub(super) fn chosen(&self, file: &str) -> Option<&str> {
        self.text(file)?.split_once('[')?.1.split_once(']').map(|(word, _)| word)
    }

    /// Of the memory report, in bytes.
    pub(super) fn memory(&self, name: &str) -> Option<u64> {
        let line = self.text("/proc/meminfo")?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    }

    /// A soft limit as it holds for the server, and for whom it was found: the running server, its unit, or this process.
    pub(super) fn limit(&self, row: &str, of_unit: &str) -> Option<(u64, String)> {
        if let Some(server) = &self.server {
            return Some((
                soft_limit(&server.limits, row)?,
                format!("of the running server, process {}", server.process),
            ));
        }
        if let Some(unit) = &self.unit
            && let Some(value) = unit.value(of_unit)
        {
            return Some((number_of_unit(value)?, format!("of {}", unit.file)));
        }
        let limit = soft_limit(self.text("/proc/self/limits")?, row)?;
        Some((limit, "of this shell, which a server started here has too".to_owned()))
    }
}

impl Unit {
    /// The last value of a key; an empty one takes earlier ones back.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values().filter(|(name, _)| *name == key).last().map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// All assignments, in their order.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        assignments(&self.text)
    }
}

pub(super) fn assignments(unit: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = unit.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

/// `soft:hard`, one number for both, or `infinity`.
fn number_of_unit(value: &str) -> Option<u64> {
    match value.split(':').next()? {
        "infinity" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// A row of `/proc/PID/limits`.
fn soft_limit(limits: &str, row: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(row))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// The process that holds the lock of a file, from the text of `/proc/locks`.
pub fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // A line with an arrow is somebody who waits.
        let &[_, "FLOCK", _, "WRITE", process, file, ..] = fields.as_slice() else { return None };
        let found: u64 = file.rsplit(':').next()?.parse().ok()?;
        (found == inode).then(|| process.parse().ok())?
    })
}

/// Names of the files that hold a group's limit: of the second version of control groups, and of the first.
const MEMORY_LIMIT_FILES: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];

/// Files that limit the memory of a process, from the text of its `cgroup` file: those of its group and of all groups above.
pub fn memory_limits(cgroup: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", MEMORY_LIMIT_FILES[0]),
            list if list.split(',').any(|one| one == "memory") => ("/sys/fs/cgroup/memory", MEMORY_LIMIT_FILES[1]),
            _ => continue,
        };
        let mut group = path.trim_end_matches('/');
        loop {
            found.push(format!("{root}{group}/{name}"));
            let Some((above, _)) = group.rsplit_once('/') else { break };
            group = above;
        }
    }
    found
}
