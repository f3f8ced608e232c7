//! What the kernel allows, and the machine's clock.

use super::{Case, Finding, error, ok, warning};
use crate::config::{SendEngine, Tls};

/// In a container both need a profile of their own.
const PROFILE: &str = "in a container: --security-opt seccomp=seccomp.json, which is in packaging/container";

/// Whether publications can be sent in batches.
pub(super) fn io_uring(case: &Case<'_>) -> Finding {
    let demanded = case.config.ws.send_engine == SendEngine::IoUring;
    if case.config.ws.send_engine == SendEngine::Plain {
        return ok("not wanted: [ws] send_engine = plain");
    }
    let refused = match &case.system.io_uring {
        None => return ok("it was not tried"),
        Some(Ok(())) => return ok("works: publications to many are sent in batches"),
        Some(Err(refused)) => refused,
    };
    let (why, help) = match case.system.number("/proc/sys/kernel/io_uring_disabled") {
        Some(level @ 1..) => {
            (format!("kernel.io_uring_disabled = {level}"), "sysctl -w kernel.io_uring_disabled=0".to_owned())
        }
        _ => (refused.clone(), PROFILE.to_owned()),
    };
    if demanded {
        return error(format!("refused ({why}), and [ws] send_engine demands it"), help);
    }
    warning(format!("refused ({why}): publications to many cost up to twice the processor time"), help)
}

/// Whether each shard can have its own descriptors.
pub(super) fn own_tables(case: &Case<'_>) -> Finding {
    match &case.system.own_tables {
        None => ok("it was not tried"),
        Some(Ok(())) => ok("each shard has its own"),
        Some(Err(refused)) => warning(
            format!("all shards share one ({refused}): they wait for each other when connections come and go"),
            PROFILE,
        ),
    }
}

/// The memory of a server with TLS holds keys.
pub(super) fn core_dumps(case: &Case<'_>) -> Finding {
    if case.config.cometql.tls == Tls::Off {
        return ok("no keys in memory: TLS is off");
    }
    let pattern = case.system.text("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let limit = case.system.limit("Max core file size", "LimitCORE");
    let help = match case.system.unit {
        Some(_) => "systemctl edit encke, and there: [Service] LimitCORE=0",
        None => "ulimit -c 0",
    };
    // A program that takes dumps gets them whatever the limit is, but the common ones look at it.
    match limit {
        Some((0, _)) => ok("none are written"),
        None if pattern.is_empty() => ok("none are written"),
        _ => warning(format!("a crash writes keys and passwords to where core_pattern says, {pattern}"), help),
    }
}

/// Tokens expire and messages are removed by it.
pub(super) fn clock(case: &Case<'_>) -> Finding {
    match case.system.clock_is_synchronised {
        Some(true) => ok("follows others"),
        None => ok("the system does not tell whether it follows others"),
        Some(false) => warning(
            "follows no other: tokens are refused too early or too late, and times of messages are wrong",
            "timedatectl set-ntp true; or: apt install systemd-timesyncd",
        ),
    }
}

/// A file written in the future says that the clock went back.
pub(super) fn clock_steps(case: &Case<'_>) -> Finding {
    let folder = case.system.data.found.as_ref().and_then(|found| found.as_ref().ok());
    let Some(written) = folder.and_then(|folder| folder.written) else { return ok("no database to compare with") };
    let ahead = written.saturating_sub(case.system.now);
    if ahead > STEP_S {
        return warning(
            format!("the database was written {ahead} seconds in the future: the clock was ahead, or went back"),
            "wait until the clock is right before messages are removed for their age; docs/operating.md, When storage fails",
        );
    }
    ok("the clock is not behind the database")
}

/// Seconds by which file systems and clocks may differ.
const STEP_S: i64 = 60;
