//! Memory: what the kernel gives sockets, and what the process may have.

use super::{Case, Finding, bytes, error, ok, warning};

/// What the kernel keeps for an idle connection.
const SOCKET_BYTES: u64 = 4_608;

/// What the server keeps for one, with a subscription.
const CONNECTION_BYTES: u64 = 256;

/// A server without connections.
const PROGRAM_BYTES: u64 = 32 * 1024 * 1024;

/// A smallest buffer of a socket, which it has even when memory is short, that is too large for one.
const LARGE_BUFFER: u64 = 16 * 1024;

/// The kernel drops what comes when its sockets hold more than the last of three numbers, in pages.
pub(super) fn tcp(case: &Case<'_>) -> Finding {
    let numbers = case.system.numbers("/proc/sys/net/ipv4/tcp_mem");
    let Some(&[_, _, pages]) = numbers.as_deref() else { return ok("the system does not tell it") };
    let room = pages.saturating_mul(case.system.page_bytes);
    let said = format!("{} for all sockets (net.ipv4.tcp_mem)", bytes(room));
    let idle = case.connections.saturating_mul(SOCKET_BYTES);
    let needed = idle.saturating_add(case.config.ws.waiting_bytes_max as u64);
    let wanted = needed.saturating_mul(2).checked_div(case.system.page_bytes).unwrap_or_default();
    let help = format!("sysctl -w net.ipv4.tcp_mem=\"{} {} {wanted}\"", wanted / 2, wanted / 4 * 3);
    if room < idle {
        return error(format!("{said}; {} connections need {}", case.connections, bytes(idle)), help);
    }
    if room < needed {
        let connections = case.connections;
        return warning(
            format!("{said}; {connections} connections with slow readers among them need {}", bytes(needed)),
            help,
        );
    }
    ok(said)
}

/// What somebody raised for a few fast transfers costs every connection.
pub(super) fn buffers(case: &Case<'_>) -> Finding {
    for name in ["tcp_rmem", "tcp_wmem"] {
        let numbers = case.system.numbers(&format!("/proc/sys/net/ipv4/{name}"));
        let Some(&[least, usual, most]) = numbers.as_deref() else { continue };
        if least > LARGE_BUFFER {
            return warning(
                format!(
                    "net.ipv4.{name} begins at {}: every connection may hold that much, however short memory is",
                    bytes(least)
                ),
                format!("sysctl -w net.ipv4.{name}=\"4096 {usual} {most}\""),
            );
        }
    }
    ok("tcp_rmem and tcp_wmem begin low")
}

/// The least of what the machine, its control groups and the unit allow.
pub(super) fn whole(case: &Case<'_>) -> Finding {
    let system = case.system;
    let machine = system.memory("MemTotal").map(|total| (total, "this machine"));
    let groups = system.memory_limits.iter().filter_map(|text| text.trim().parse().ok());
    let groups = groups.map(|limit| (limit, "the control group"));
    let unit = system.unit.as_ref().and_then(|unit| unit.value("MemoryMax")).and_then(size);
    let unit = unit.map(|limit| (limit, "MemoryMax of the unit"));
    let Some((limit, whose)) = machine.into_iter().chain(groups).chain(unit).min_by_key(|(limit, _)| *limit) else {
        return ok("the system does not tell it");
    };
    let idle = case.connections.saturating_mul(SOCKET_BYTES + CONNECTION_BYTES).saturating_add(PROGRAM_BYTES);
    let whole = idle.saturating_add(case.config.ws.waiting_bytes_max as u64);
    let said = format!("{} of {whose}", bytes(limit));
    if limit < idle {
        let help = "give it more memory, or ask it for fewer: [ws] connections_max";
        return error(format!("{said}; {} connections need {} when idle", case.connections, bytes(idle)), help);
    }
    if limit < whole {
        let help = format!("[ws] waiting_bytes_max = {}", (limit - idle) / 2);
        return warning(format!("{said}; with slow readers it may be {}", bytes(whole)), help);
    }
    ok(format!("{said}; {} at most for {} connections and their slow readers", bytes(whole), case.connections))
}

/// A number of bytes as systemd writes it; a share of the machine is left to systemd.
fn size(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()? {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        b'T' => 40,
        _ => return text.parse().ok(),
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_shl(shift)
}

/// The server reserves more than it uses: stacks, rings, the connections to come.
pub(super) fn overcommit(case: &Case<'_>) -> Finding {
    match case.system.number("/proc/sys/vm/overcommit_memory") {
        Some(2) => warning(
            "vm.overcommit_memory = 2: what is reserved and never used counts, so the server may fail with memory left",
            "sysctl -w vm.overcommit_memory=0",
        ),
        Some(mode) => ok(format!("vm.overcommit_memory = {mode}")),
        None => ok("the system does not tell it"),
    }
}

/// Pages of 2 MiB made while a shard waits for them.
pub(super) fn huge_pages(case: &Case<'_>) -> Finding {
    let folder = "/sys/kernel/mm/transparent_hugepage";
    let [enabled, defrag] =
        ["enabled", "defrag"].map(|file| case.system.chosen(&format!("{folder}/{file}")).unwrap_or_default());
    if enabled == "always" && defrag == "always" {
        return warning(
            "always made, and at once: a shard stands still while the kernel clears 2 MiB for it",
            format!("echo madvise >{folder}/enabled"),
        );
    }
    ok(if enabled.is_empty() { "there are none".to_owned() } else { format!("{enabled}, defrag {defrag}") })
}
