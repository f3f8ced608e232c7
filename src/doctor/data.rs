//! The data folder and what is under it.

use super::system::Folder;
use super::{Case, Finding, bytes, error, ok, warning};
use crate::config::{Config, Durability};

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Below it storage soon fails.
const FREE_BYTES_LEAST: u64 = 100 * 1024 * 1024;

/// Below it there is no room for a backup or a large history.
const FREE_BYTES_GOOD: u64 = 1024 * 1024 * 1024;

/// Microseconds of a write until it is on the disk; each group of writes takes one.
const WRITE_US_GOOD: u64 = 20_000;
const WRITE_US_MOST: u64 = 500_000;

/// Kinds of file systems, by the numbers that the kernel has for them.
const NETWORK: [(u64, &str); 4] = [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB"), (0x517b, "SMB")];
const PASSING: [(u64, &str); 3] = [
    (0x0102_1994, "in memory (tmpfs), so what it holds is gone after a restart of the machine"),
    (0x8584_58f6, "in memory (ramfs), so what it holds is gone after a restart of the machine"),
    (0x794c_7630, "the container's own layer, so what it holds is gone with the container"),
];
const USER_SPACE: [(u64, &str); 2] = [(0x6573_5546, "FUSE"), (0x0102_1997, "9p")];

fn is_embedded(config: &Config) -> bool {
    config.db.name.is_none()
}

fn found<'a>(case: &Case<'a>) -> Option<&'a Folder> {
    case.system.data.found.as_ref()?.as_ref().ok()
}

fn not_looked_at() -> Finding {
    ok("the data folder could not be looked at")
}

pub(super) fn folder(case: &Case<'_>) -> Finding {
    let name = &case.system.data.folder;
    let folder = match &case.system.data.found {
        None => return not_looked_at(),
        Some(Err(why)) => {
            return error(format!("{name} cannot be looked at: {why}"), "run it as root, or as the server's user");
        }
        Some(Ok(folder)) => folder,
    };
    if !folder.exists {
        return ok(format!("{name} is not there yet; the first start makes it"));
    }
    // Root reads and writes whatever is there, and says nothing about who will.
    let server = case.system.server.as_ref().and_then(|server| user(&server.status));
    let user = server.or((case.system.user != 0).then_some(case.system.user));
    if let Some(user) = user.filter(|user| *user != folder.owner) {
        return error(
            format!("{name} belongs to user {}, and the server is user {user}", folder.owner),
            format!("chown -R {user} {name}; or run it as the server's user"),
        );
    }
    if let Some(file) = folder.foreign.first() {
        return error(
            format!("{file} belongs to another user than its folder does, as after a start by root"),
            format!("chown -R --reference={name} {name}"),
        );
    }
    // A group that may read the password passes through.
    let passes = if case.config.main.shares_password() { 0o010 } else { 0 };
    if folder.mode & OTHERS & !passes != 0 {
        let mode = folder.mode & 0o777;
        return warning(
            format!("{name} is open to others on this machine, mode {mode:o}"),
            format!("chmod 700 {name}"),
        );
    }
    let whom =
        if folder.mode & OTHERS == 0 { "for its owner alone" } else { "for its owner and the group of the password" };
    ok(format!("{name}, {whom}"))
}

/// The user of a process, from its `status`.
fn user(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

pub(super) fn file_system(case: &Case<'_>) -> Finding {
    if !is_embedded(case.config) {
        return ok("the database is elsewhere, see [db]");
    }
    let Some(folder) = found(case) else { return not_looked_at() };
    if folder.database_is_elsewhere {
        return error(
            "encke.db is on another file system than its log, or a link: a crash may lose what was acknowledged",
            "stop the server, and move encke.db into the folder itself; to move all of it: [storage] dir",
        );
    }
    let of = |kinds: &[(u64, &'static str)]| kinds.iter().find(|(kind, _)| *kind == folder.kind).map(|(_, name)| *name);
    let help = "[storage] dir = a folder on a disk of this machine; in a container: a volume";
    if let Some(name) = of(&NETWORK) {
        return error(format!("{name}: a database with a write-ahead log must not be on a network"), help);
    }
    if let Some(what) = of(&PASSING) {
        return warning(what, help);
    }
    if let Some(name) = of(&USER_SPACE) {
        return warning(format!("{name}: whether it keeps what it says is on disk depends on who serves it"), help);
    }
    ok("on a disk of this machine")
}

pub(super) fn space(case: &Case<'_>) -> Finding {
    let Some(folder) = found(case) else { return not_looked_at() };
    let free = folder.free_bytes;
    let said = format!("{} free", bytes(free));
    let help = "make room; what is kept is bounded by [storage] queue_days and trust_days";
    if folder.free_files == Some(0) {
        return error("no more files can be made, though there may be room", "remove files: df -i tells where");
    }
    if free < FREE_BYTES_LEAST {
        return error(said, help);
    }
    if free < FREE_BYTES_GOOD { warning(said, help) } else { ok(said) }
}

pub(super) fn speed(case: &Case<'_>) -> Finding {
    if !is_embedded(case.config) {
        return ok("the database is elsewhere, see [db]");
    }
    let writes = match found(case).and_then(|folder| folder.writes_us.as_ref()) {
        None => return ok("no write was tried"),
        Some(Err(why)) => return error(format!("nothing can be written there: {why}"), "run it as the server's user"),
        Some(Ok(writes)) => writes,
    };
    let mut sorted = writes.clone();
    sorted.sort_unstable();
    let (Some(&median), Some(&worst)) = (sorted.get(sorted.len() / 2), sorted.last()) else {
        return ok("no write was tried");
    };
    let [half, all] = [median, worst].map(|us| format!("{:.1} ms", us as f64 / 1e3));
    let said = format!("half of {} writes were on disk within {half}, all within {all}", sorted.len());
    if case.config.storage.durability == Durability::Lazy || median <= WRITE_US_GOOD {
        return ok(said);
    }
    let help = "another disk; or [storage] durability = lazy, where a power cut may take the last seconds";
    if median > WRITE_US_MOST {
        error(said, help)
    } else {
        warning(format!("{said}; every OK of a write waits so long"), help)
    }
}
