//! The program as a service: what runs, its unit, its ports.

use super::system::{Port, assignments};
use super::{Case, Finding, error, ok, warning};

/// The unit that this program is shipped with.
const SHIPPED: &str = include_str!("../../config/encke.service");

/// Keys of the unit that say how the machine is set up and not what the server needs.
const OPERATORS_OWN: [&str; 10] = [
    "Description",
    "Documentation",
    "After",
    "Wants",
    "WantedBy",
    "ExecStart",
    "ExecReload",
    "DynamicUser",
    "User",
    "CapabilityBoundingSet",
];

/// Ports below it need a right, unless the kernel says another number.
const PRIVILEGED_PORTS: u64 = 1024;

pub(super) fn program(case: &Case<'_>) -> Finding {
    match &case.system.server {
        None => ok("no server runs on the data folder"),
        Some(server) if server.program_is_gone => warning(
            format!(
                "the running server, process {}, is another program than the one that is installed",
                server.process
            ),
            "systemctl restart encke",
        ),
        Some(server) => ok(format!("process {} runs on the data folder", server.process)),
    }
}

/// An old unit starts a new program without what the new one needs.
pub(super) fn unit(case: &Case<'_>) -> Finding {
    let Some(unit) = &case.system.unit else { return ok("none is installed") };
    let mut missing: Vec<&str> = assignments(SHIPPED)
        .map(|(key, _)| key)
        .filter(|key| !OPERATORS_OWN.contains(key) && !unit.values().any(|(name, _)| name == *key))
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return ok(format!("{} has all that this version ships", unit.file));
    }
    warning(
        format!("{} is older than this program: it lacks {}", unit.file, missing.join(", ")),
        "put the unit of this version there, and your own changes into: systemctl edit encke",
    )
}

pub(super) fn ports(case: &Case<'_>) -> Finding {
    for port in &case.system.ports {
        let Port { of, key, address, free } = port;
        if let Some(Err(why)) = free {
            let help = format!("ss -ltnp 'sport = :{}' tells who listens there; another port: {key}", address.port());
            return error(format!("{address} for {of} cannot be had: {why}"), help);
        }
        if is_privileged(case, address.port()) {
            return error(
                format!("port {} for {of} needs a right that the server does not have", address.port()),
                "systemctl edit encke, and there: [Service] CapabilityBoundingSet=CAP_NET_BIND_SERVICE and \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE",
            );
        }
    }
    let taken = case.system.ports.iter().all(|port| port.free.is_none());
    ok(if taken { "the running server has them" } else { "free, and no right is needed" })
}

/// Whether a service without rights is refused this port.
fn is_privileged(case: &Case<'_>, port: u16) -> bool {
    let first = case.system.number("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(PRIVILEGED_PORTS);
    if port == 0 || u64::from(port) >= first || case.system.server.is_some() {
        return false;
    }
    match &case.system.unit {
        Some(unit) => !unit.value("AmbientCapabilities").is_some_and(|list| list.contains("CAP_NET_BIND_SERVICE")),
        None => case.system.user != 0 && case.system.ports.iter().all(|port| port.free.is_none()),
    }
}
