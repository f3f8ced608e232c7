//! What the service manager is told, on a socket of the test.

use crate::server::{Folder, PATIENCE, Server, Setup, program};
use rustix::process::Signal;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Instant;

/// The lines of the next datagrams, until one of them is the one that is waited for.
fn until(manager: &UnixDatagram, is_it: impl Fn(&str) -> bool) -> Vec<String> {
    let (end, mut lines) = (Instant::now() + PATIENCE, Vec::new());
    while Instant::now() < end {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}: {lines:?}"));
        let words = String::from_utf8(bytes[..length].to_vec()).expect("text");
        lines.extend(words.lines().map(str::to_owned));
        if words.lines().any(&is_it) {
            return lines;
        }
    }
    panic!("only {lines:?}");
}

fn start(manager: &UnixDatagram, name: &str, folder: Folder, more: &str) -> Server {
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(program());
    command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "600000").env_remove("WATCHDOG_PID");
    Server::start_by(folder, &Setup { more: more.to_owned(), ..Setup::default() }, command)
}

#[test]
fn a_service_manager_is_told_from_the_start_to_the_end() {
    let folder = Folder::new();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut server = start(&manager, socket.to_str().unwrap(), folder, "");
    let lines = until(&manager, |line| line == "READY=1");
    assert_eq!(lines, ["READY=1"], "nothing before all shards listen");
    // Idle shards and storage turn because somebody asks.
    for _ in 0..5 {
        let lines = until(&manager, |line| line == "WATCHDOG=1");
        assert!(lines.iter().any(|line| line.starts_with("STATUS=0 connections, ")), "{lines:?}");
    }
    let mut backend = server.backend();
    let _ = backend.query("FLUSH SETTINGS");
    let lines = until(&manager, |line| line == "READY=1");
    let reloading = lines.iter().position(|line| line == "RELOADING=1").expect("a reload begins");
    let micros = lines[reloading + 1].strip_prefix("MONOTONIC_USEC=").and_then(|micros| micros.parse::<u64>().ok());
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec.cast_unsigned() * 1_000_000;
    assert!(micros.is_some_and(|micros| micros.abs_diff(now) < PATIENCE.as_micros() as u64), "{lines:?}");
    server.signal(Signal::TERM);
    let lines = until(&manager, |line| line == "STOPPING=1");
    // A stop that does not drain asks for `stop_grace_ms` and what is left for the end.
    let asked: Vec<_> = lines.iter().filter(|line| line.starts_with("EXTEND_TIMEOUT_USEC")).collect();
    assert_eq!(asked, ["EXTEND_TIMEOUT_USEC=1800000"], "{lines:?}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_stop_that_drains_first_asks_for_its_time() {
    let name = format!("encke-it-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let mut server = start(&manager, &format!("@{name}"), Folder::new(), "[main]\nstop_drain_s = 600\n");
    until(&manager, |line| line == "READY=1");
    server.signal(Signal::TERM);
    until(&manager, |line| line == "STOPPING=1");
    let lines = until(&manager, |line| line.starts_with("STATUS=draining (notice), 0 connections"));
    assert!(lines.contains(&"EXTEND_TIMEOUT_USEC=30000000".to_owned()), "{lines:?}");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn a_manager_that_has_gone_holds_nothing_up() {
    let folder = Folder::new();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let server = start(&manager, socket.to_str().unwrap(), folder, "");
    until(&manager, |line| line == "READY=1");
    drop(manager);
    server.await_line(|line| line.contains("the service manager was not told"), "a warning");
    let (status, _folder) = server.stop();
    assert_eq!(status.code(), Some(0));
}
