//! What the server holds, and what the system holds for its sockets.

use super::super::Target;
use crate::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// The most that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Held {
    pub(super) memory_mib: f64,
    /// Of the server's ends of its connections; 0 where there is no `ss`.
    pub(super) kernel_mib: f64,
}

pub(super) fn watch(target: &Target, is_over: &AtomicBool) -> Result<Held, Error> {
    let process = target.process()?;
    let mut most = Held::default();
    while !is_over.load(Ordering::Relaxed) {
        if let Some(process) = process {
            most.memory_mib = most.memory_mib.max(process.memory()?.rss_kib as f64 / 1024.0);
        }
        let kernel: u64 = [target.ws, target.cometql].into_iter().map(socket_bytes).sum();
        most.kernel_mib = most.kernel_mib.max(kernel as f64 / f64::from(1 << 20));
        thread::sleep(LOOK);
    }
    Ok(most)
}

/// Bytes of all sockets at this end of connections.
fn socket_bytes(local: SocketAddr) -> u64 {
    let port = format!("sport = :{}", local.port());
    let output = Command::new("ss").args(["-Htmn", &port]).output();
    output.map_or(0, |output| sum_of_memory(&String::from_utf8_lossy(&output.stdout)))
}

/// Adds up what stands in `skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)`: received, queued for writing and set aside.
/// Source: ss(8).
fn sum_of_memory(text: &str) -> u64 {
    let lists = text.split("skmem:(").skip(1).filter_map(|rest| rest.split(')').next());
    let fields = lists.flat_map(|list| list.split(','));
    let held = fields.filter_map(|field| {
        let digits = field.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let name = field.strip_suffix(digits)?;
        ["r", "w", "f"].contains(&name).then(|| digits.parse::<u64>().ok())?
    });
    held.sum()
}

#[cfg(test)]
mod tests {
    use super::sum_of_memory;

    #[test]
    fn memory_of_sockets() {
        let text = "ESTAB 0 98304 127.0.0.1:1 127.0.0.1:2\n\
            \t skmem:(r100,rb131072,t7,tb4194304,f2432,w99968,o0,bl0,d0)\n\
            ESTAB 0 0 127.0.0.1:1 127.0.0.1:3\n\t skmem:(r0,rb131072,t0,tb87040,f0,w5,o0,bl0,d0)\n";
        assert_eq!(sum_of_memory(text), 100 + 2_432 + 99_968 + 5);
        assert_eq!(sum_of_memory(""), 0);
    }
}
