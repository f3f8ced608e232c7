//! The server's figures as the dashboard gets them: one JSON message a second.
//!
//! Counters are told as they are, so whoever receives two messages knows what happened between them. Shape:
//!
//! ```text
//! {"product":"Encke 0.1.0","node":"...","uptime_ms":1,"resident_bytes":1,"processor_us":1,
//!  "all":{<name>:<number>, ...}, "shards":[{"name":"browsers-0",<name>:<number>, ...}, ...],
//!  "warnings":1, "machine":{...}, "latency_us":[...], "busiest":[{"dev":0,"pipe":"...","count":1}, ...], "largest":[...]}
//! ```
//!
//! The names in `all` are those of `SHOW GLOBAL STATUS` without `encke_`; `latency_us` counts publications by powers of
//! two, see [`Counters::latencies`].

pub mod past;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::hub::{TOP_MAX, Top, Tops};
use crate::metrics::Counters;

/// What a message is made of.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    pub product: &'a str,
    pub node: &'a str,
    pub uptime_ms: u64,
    /// Of the process; 0 if the system does not tell.
    pub resident_bytes: u64,
    /// Microseconds of processor time that the process has used.
    pub processor_us: u64,
    /// Of the connection shards.
    pub browsers: &'a [Counters],
    pub cometql: &'a Counters,
    /// Of what is no shard: the storage thread, and the process.
    pub others: &'a Counters,
    /// Of the connection shards.
    pub tops: &'a [Tops],
    /// Warnings and errors in the log since the start.
    pub warnings: u64,
    /// Disk, memory and threads, as they were a moment ago.
    pub machine: &'a Value,
}

impl Figures<'_> {
    pub fn message(&self) -> String {
        let mut all = Counters::default();
        self.browsers.iter().chain([self.cometql, self.others]).for_each(|counters| all.merge(counters));
        let rows: Map<String, Value> = all.rows().into_iter().map(|(name, value)| (name, value.into())).collect();
        let browsers = self.browsers.iter().enumerate().map(|(place, part)| shard(&format!("browsers-{place}"), part));
        let shards: Vec<Value> = browsers.chain([shard("cometql", self.cometql)]).collect();
        let message = json!({
            "product": self.product,
            "node": self.node,
            "uptime_ms": self.uptime_ms,
            "resident_bytes": self.resident_bytes,
            "processor_us": self.processor_us,
            "all": rows,
            "warnings": self.warnings,
            "machine": self.machine,
            "shards": shards,
            "latency_us": all.latencies(),
            "busiest": merged(self.tops.iter().map(|tops| &tops.busiest)),
            "largest": merged(self.tops.iter().map(|tops| &tops.largest)),
        });
        message.to_string()
    }
}

/// What tells whether shards have the same to do.
fn shard(name: &str, counters: &Counters) -> Value {
    let Counters { connections, sessions, publications, deliveries, sent_bytes, turns, ring_stalls, .. } = counters;
    let Counters { memory_connections, memory_queues, memory_rings, memory_buffers, memory_hub, .. } = counters;
    let Counters { memory_publications, memory_polls, memory_edge, memory_sessions, memory_tls, .. } = counters;
    let kinds = [
        memory_connections,
        memory_queues,
        memory_rings,
        memory_buffers,
        memory_hub,
        memory_publications,
        memory_polls,
        memory_edge,
        memory_sessions,
        memory_tls,
    ];
    json!({
        "name": name,
        "connections": connections + sessions,
        "publications": publications,
        "deliveries": deliveries,
        "sent_bytes": sent_bytes,
        "turns": turns,
        "ring_stalls": ring_stalls,
        "memory": kinds.into_iter().sum::<u64>(),
    })
}

/// The lists of all shards as one. A pipe that is on no shard among the first is missing, however many it has together;
/// connections spread evenly, so that is rare.
fn merged<'a>(lists: impl Iterator<Item = &'a Vec<Top>>) -> Vec<Value> {
    let mut sums: HashMap<_, u64> = HashMap::new();
    for (pipe, count) in lists.flatten() {
        *sums.entry(pipe).or_default() += count;
    }
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_unstable_by(|left, right| (right.1, left.0).cmp(&(left.1, right.0)));
    let shown = sorted.into_iter().take(TOP_MAX);
    shown.map(|(pipe, count)| json!({ "dev": pipe.dev.0, "pipe": pipe.name.as_str(), "count": count })).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{DevId, PipeKey, PipeName};

    fn top(name: &str, count: u64) -> Top {
        (Arc::new(PipeKey { dev: DevId(2), name: PipeName::new(name.as_bytes()).unwrap() }), count)
    }

    #[test]
    fn a_message() {
        let with = |change: fn(&mut Counters)| {
            let mut counters = Counters::default();
            change(&mut counters);
            counters
        };
        let first = with(|first| {
            (first.connections, first.deliveries, first.memory_hub, first.memory_edge) = (2, 5, 10, 1);
            first.add_latency(3);
        });
        let mut second = first.clone();
        second.connections = 1;
        let cometql = with(|cometql| cometql.sessions = 4);
        let storage = with(|storage| storage.storage_groups = 7);
        let tops = [
            Tops { busiest: vec![top("aa", 9)], largest: vec![top("bb", 2), top("aa", 1)] },
            Tops { busiest: vec![], largest: vec![top("aa", 2), top("cc", 2)] },
        ];
        let figures = Figures {
            product: "Encke",
            node: "a \"node\"",
            uptime_ms: 1,
            resident_bytes: 2,
            processor_us: 3,
            browsers: &[first, second],
            cometql: &cometql,
            others: &storage,
            tops: &tops,
            warnings: 4,
            machine: &json!({ "disk_free_bytes": 5 }),
        };
        let message: Value = serde_json::from_str(&figures.message()).expect("JSON");
        assert_eq!(message["node"], "a \"node\"");
        assert_eq!((&message["warnings"], &message["machine"]["disk_free_bytes"]), (&4.into(), &5.into()));
        let all = &message["all"];
        assert_eq!((&all["connections"], &all["sessions"], &all["storage_groups"]), (&3.into(), &4.into(), &7.into()));
        assert_eq!(all["closed_slow_consumer"], 0);
        assert_eq!(message["latency_us"][2], 2);
        let shards = message["shards"].as_array().expect("shards");
        let names: Vec<_> = shards.iter().map(|shard| shard["name"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["browsers-0", "browsers-1", "cometql"]);
        assert_eq!((&shards[0]["memory"], &shards[2]["connections"]), (&11.into(), &4.into()));
        let pipe = |name, count| json!({ "dev": 2, "pipe": name, "count": count });
        assert_eq!(message["busiest"], json!([pipe("aa", 9)]));
        assert_eq!(message["largest"], json!([pipe("aa", 3), pipe("bb", 2), pipe("cc", 2)]));
    }
}
