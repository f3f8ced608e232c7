//! The load runs. Each prints one line per result and can write all of them for machines.

pub mod compare;
pub mod fanout;
pub mod floor;
pub mod idle;
pub mod inserts;
pub mod latency;
pub mod many;
pub mod meter;
pub mod offline;
pub mod presence;
pub mod report;
pub mod roundtrip;
pub mod sessions;
pub mod siege;
pub mod slow;
pub mod statistics;
pub mod storm;
pub mod window;

use crate::cometql::CometQl;
use crate::crowd::{ConnectPlan, Opening, Pipes};
use crate::error::Error;
use crate::process::Process;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Names in one counting query: keeps the text below 9,000 bytes, which the oldest servers of this protocol accept.
const NAMES_PER_QUERY: usize = 200;

/// The key of every user of a run.
pub const USER_KEY: &str = "benchkey";

/// Gives the users 1 to `count` that key.
pub fn add_users(client: &mut CometQl, count: usize) -> Result<(), Error> {
    let users: Vec<String> = (1..=count).map(|user| format!("({user},'{USER_KEY}')")).collect();
    for chunk in users.chunks(NAMES_PER_QUERY) {
        client.execute(&format!("INSERT INTO users_auth (id, hash) VALUES {}", chunk.join(",")))?;
    }
    Ok(())
}

/// Where the server is and how it is watched.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// Address of the browsers' port
    #[arg(long, global = true, default_value = "127.0.0.1:8087")]
    pub ws: SocketAddr,
    /// Address of the `CometQL` port
    #[arg(long, global = true, default_value = "127.0.0.1:3307")]
    pub cometql: SocketAddr,
    /// `CometQL` user; the browsers' tenant must be the same
    #[arg(long, global = true, default_value = "root")]
    pub user: String,
    /// `CometQL` password
    #[arg(long, global = true, default_value = "")]
    pub password: String,
    /// Tenant of the browsers
    #[arg(long, global = true, default_value_t = 0)]
    pub tenant: u32,
    /// Process id of the server, to read its memory and CPU
    #[arg(long, global = true)]
    pub server_pid: Option<u32>,
    /// Core that all threads of the load generator are pinned to
    #[arg(long, global = true)]
    pub client_core: Option<usize>,
    /// How long the server may be silent before a run is given up, in seconds
    #[arg(long, global = true, default_value_t = 30)]
    pub limit_seconds: u64,
    /// Write the results to this file too, as JSON
    #[arg(long, global = true)]
    pub json: Option<PathBuf>,
}

impl Target {
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.limit_seconds)
    }

    pub fn process(&self) -> Result<Option<Process>, Error> {
        self.server_pid.map(Process::new).transpose()
    }

    pub fn log_in(&self) -> Result<CometQl, Error> {
        let mut client = CometQl::connect(self.cometql, &self.user, &self.password, None)?;
        client.set_limit(self.limit());
        Ok(client)
    }

    pub fn plan(&self, connections: usize, pipes: Pipes) -> ConnectPlan {
        self.plan_of(connections, pipes, None)
    }

    /// As users with a second pipe, or as nobody.
    pub fn plan_of(&self, connections: usize, pipes: Pipes, second: Option<String>) -> ConnectPlan {
        ConnectPlan {
            target: self.ws,
            connections,
            opening: Opening::Browser { tenant: self.tenant, pipes, second },
            under_way_max: 256,
            receive_bytes: None,
            limit: self.limit() + Duration::from_millis(10) * connections as u32,
        }
    }
}

/// Subscriptions that the server counts on the pipes of connections 0 to `connections - 1`.
pub fn subscribers(client: &mut CometQl, pipes: &Pipes, connections: usize) -> Result<u64, Error> {
    let names: Vec<String> = match pipes {
        Pipes::Shared(name) => vec![name.clone()],
        Pipes::Distinct(_) => (0..connections).map(|number| pipes.name(number)).collect(),
    };
    let mut sum = 0;
    for chunk in names.chunks(NAMES_PER_QUERY) {
        let query = format!("SELECT name, users FROM pipes WHERE name IN ('{}')", chunk.join("','"));
        for row in client.rows(&query)? {
            let users = row.get(1).and_then(Option::as_deref).and_then(|users| users.parse::<u64>().ok());
            sum += users.ok_or_else(|| Error::protocol(format!("{row:?} is no count of users")))?;
        }
    }
    Ok(sum)
}

/// Waits until the server counts exactly `expected` subscriptions.
pub fn wait_for_subscribers(
    client: &mut CometQl,
    pipes: &Pipes,
    connections: usize,
    expected: u64,
    limit: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    loop {
        let counted = subscribers(client, pipes, connections)?;
        if counted == expected {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let waiting_for = format!("the server to count {expected} subscribers; it counts {counted}");
            return Err(Error::TimedOut { waiting_for, limit });
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests;
