//! What bounds how many connections can be held, and how fast they can come.

use super::{Case, Finding, error, ok, shards, warning};
use crate::config::Ws;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Descriptors of a shard that are no connections, and some for the rest of the process.
const OWN_DESCRIPTORS: u64 = 64;

/// What the listeners ask for.
const ACCEPT_QUEUE: u64 = 4_096;

/// A crowd that comes back after a restart fits into less only by being turned away first.
const HANDSHAKE_QUEUE_MIN: u64 = 1_024;

/// The share of descriptors in use from which it is told.
const FULL_PERCENT: u64 = 85;

/// Connections of the fullest shard, since the system does not part them evenly.
fn of_a_shard(case: &Case<'_>) -> u64 {
    let shards = shards(case.config, case.system);
    if shards == 1 { case.connections } else { (case.connections / shards).saturating_mul(5) / 4 }
}

fn have_own_tables(case: &Case<'_>) -> bool {
    matches!(case.system.own_tables, Some(Ok(())))
}

/// The limit holds for each shard where each has a descriptor table of its own, else for all of them together.
pub(super) fn descriptors(case: &Case<'_>) -> Finding {
    let Some((limit, source)) = case.system.limit("Max open files", "LimitNOFILE") else {
        return ok("the system does not tell the limit");
    };
    let shards = shards(case.config, case.system);
    let (whose, needed, allowed) = if have_own_tables(case) {
        ("for each shard", of_a_shard(case), case.config.ws.connections_max as u64)
    } else {
        let all = shards.saturating_mul(case.config.ws.connections_max as u64);
        ("for all shards together", case.connections, all)
    };
    let needed = needed.saturating_add(OWN_DESCRIPTORS);
    let said = format!("{limit} {whose}, {source}");
    let help = match &case.system.unit {
        Some(_) => format!("systemctl edit encke, and there: [Service] LimitNOFILE={}", more(needed)),
        None => format!("ulimit -n {}", more(needed)),
    };
    if limit < needed {
        return error(format!("{said}; {needed} are needed"), help);
    }
    let in_use = case.system.server.iter().flat_map(|server| &server.open_descriptors).max_by_key(|(_, open)| *open);
    if let Some((thread, open)) = in_use.filter(|(_, open)| open.saturating_mul(100) / FULL_PERCENT >= limit) {
        return warning(format!("{said}; {thread} has {open} of them open"), help);
    }
    // The default is no wish of the operator.
    if limit < allowed.saturating_add(OWN_DESCRIPTORS) && case.config.ws.connections_max < Ws::default().connections_max
    {
        let key = "[ws] connections_max";
        return warning(format!("{said}; {key} = {} is more than that", case.config.ws.connections_max), help);
    }
    ok(said)
}

/// A round number above this one.
fn more(needed: u64) -> u64 {
    needed.next_power_of_two().max(65_536)
}

/// No limit of a process can be above it, and a unit that asks for more does not start.
pub(super) fn nr_open(case: &Case<'_>) -> Finding {
    let Some(max) = case.system.number("/proc/sys/fs/nr_open") else { return ok("the system does not tell it") };
    let help = |wanted: u64| format!("sysctl -w fs.nr_open={wanted}");
    let wanted = case.system.unit.as_ref().and_then(|unit| unit.value("LimitNOFILE"));
    let wanted = wanted.and_then(|value| value.rsplit(':').next()?.parse::<u64>().ok());
    if let Some(wanted) = wanted.filter(|wanted| *wanted > max) {
        return error(format!("{max}, so a unit with LimitNOFILE={wanted} does not start"), help(wanted));
    }
    let needed = if have_own_tables(case) { of_a_shard(case) } else { case.connections } + OWN_DESCRIPTORS;
    if max < needed {
        return error(format!("{max}; {needed} descriptors are needed"), help(more(needed)));
    }
    ok(format!("{max}"))
}

/// All open files of the machine.
pub(super) fn file_max(case: &Case<'_>) -> Finding {
    let Some(max) = case.system.number("/proc/sys/fs/file-max") else { return ok("the system does not tell it") };
    let open = case.system.number("/proc/sys/fs/file-nr").unwrap_or_default();
    // A running server's own connections are among the open ones.
    let needed = match case.system.server {
        Some(_) => case.connections.max(open),
        None => case.connections.saturating_add(open),
    };
    if max < needed {
        let help = format!("sysctl -w fs.file-max={}", needed.saturating_mul(2));
        return error(format!("{max} for the whole machine, {open} are open; {needed} are needed"), help);
    }
    ok(format!("{max} for the whole machine, {open} are open"))
}

pub(super) fn accept_queue(case: &Case<'_>) -> Finding {
    let name = "net.core.somaxconn";
    match case.system.number("/proc/sys/net/core/somaxconn") {
        Some(length) if length < ACCEPT_QUEUE => warning(
            format!("{name} = {length}: a crowd that comes back at once is turned away, and tries again seconds later"),
            format!("sysctl -w {name}={ACCEPT_QUEUE}; then restart the server"),
        ),
        Some(length) => ok(format!("{name} = {length}")),
        None => ok("the system does not tell it"),
    }
}

pub(super) fn handshake_queue(case: &Case<'_>) -> Finding {
    let name = "net.ipv4.tcp_max_syn_backlog";
    match case.system.number("/proc/sys/net/ipv4/tcp_max_syn_backlog") {
        Some(length) if length < HANDSHAKE_QUEUE_MIN => warning(
            format!("{name} = {length}: few connections can be under way at once"),
            format!("sysctl -w {name}={ACCEPT_QUEUE}"),
        ),
        Some(length) => ok(format!("{name} = {length}")),
        None => ok("the system does not tell it"),
    }
}

/// A proxy on this machine has as many connections to one address as there are local ports.
pub(super) fn local_ports(case: &Case<'_>) -> Finding {
    let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let proxies = &case.config.ws.trusted_proxies;
    if !here.iter().any(|address| proxies.iter().any(|proxy| proxy.contains(*address))) {
        return ok("no proxy on this machine is trusted");
    }
    let range = case.system.numbers("/proc/sys/net/ipv4/ip_local_port_range");
    let Some(&[first, last]) = range.as_deref() else { return ok("the system does not tell their range") };
    let ports = (last + 1).saturating_sub(first);
    let said = format!("{ports} ({first} to {last}) for a proxy on this machine");
    if ports < case.connections {
        return warning(
            format!("{said}, which therefore cannot pass on {} connections to one address", case.connections),
            "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"; or several addresses in the proxy's upstream: \
             127.0.0.1:8087, 127.0.0.2:8087, …",
        );
    }
    ok(said)
}

/// A firewall that follows connections drops new ones when its table is full.
pub(super) fn conntrack(case: &Case<'_>) -> Finding {
    let Some(max) = case.system.number("/proc/sys/net/netfilter/nf_conntrack_max") else {
        return ok("no firewall follows connections, or it is not told here");
    };
    let held = case.system.number("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
    let said = format!("nf_conntrack_max = {max}, {held} are held");
    let help = format!("sysctl -w net.netfilter.nf_conntrack_max={}", more(case.connections.saturating_mul(4)));
    if max < case.connections {
        return error(format!("{said}; {} connections do not fit, and new ones get no answer", case.connections), help);
    }
    // Those that ended stay for minutes.
    if max < case.connections.saturating_mul(2) || held.saturating_mul(100) / FULL_PERCENT >= max {
        return warning(format!("{said}; connections that ended stay in it for minutes"), help);
    }
    ok(said)
}
