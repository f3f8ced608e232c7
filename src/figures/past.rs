//! An hour of figures, so that the graphs of the dashboard do not begin when somebody looks.
//!
//! One point every [`STEP_S`] seconds, [`POINTS_MAX`] of them: the oldest goes for the next one. Counters are told as they
//! are, like in the messages of every second; latencies are those of the step.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use crate::metrics::{Counters, LATENCIES};

/// Seconds between two points.
pub const STEP_S: u64 = 5;
/// Points that are kept: an hour.
const POINTS_MAX: usize = 720;

/// What is kept of the numbers in `all`; each must be there.
const NAMES: [&str; 26] = [
    "connections",
    "polled",
    "sessions",
    "accepted",
    "ended",
    "publications",
    "deliveries",
    "received_bytes",
    "sent_bytes",
    "statements",
    "statement_errors",
    "logins",
    "recoveries",
    "recoveries_failed",
    "personal_queued",
    "closed_slow_consumer",
    "storage_jobs",
    "storage_groups",
    "storage_busy_us",
    "storage_queue",
    "storage_waiting",
    "storage_failures",
    "waiting_bytes",
    "queued_bytes",
    "ring_stalls",
    "log_lines_lost",
];

/// What a point has before them.
const FIRST: [&str; 5] = ["uptime_ms", "resident_bytes", "processor_us", "latency_half_us", "latency_99_us"];

type Point = [u64; FIRST.len() + NAMES.len()];

#[derive(Debug, Default)]
pub struct Past {
    points: VecDeque<Box<Point>>,
    /// At the last point.
    latencies: [u64; LATENCIES],
}

impl Past {
    /// The figures of now, all shards together.
    pub fn add(&mut self, uptime_ms: u64, resident_bytes: u64, processor_us: u64, all: &Counters) {
        let latencies = *all.latencies();
        let step: Vec<u64> = latencies.iter().zip(self.latencies).map(|(now, then)| now.saturating_sub(then)).collect();
        self.latencies = latencies;
        let rows: HashMap<String, u64> = all.rows().into_iter().collect();
        let first = [uptime_ms, resident_bytes, processor_us, below(&step, 50), below(&step, 99)];
        let values = NAMES.iter().map(|name| rows.get(*name).copied().unwrap_or_default());
        let mut point: Box<Point> = Box::new([0; FIRST.len() + NAMES.len()]);
        point.iter_mut().zip(first.into_iter().chain(values)).for_each(|(place, value)| *place = value);
        if self.points.len() >= POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Shape: `{"step_s":5,"names":["uptime_ms",...],"points":[[...],...]}`, the oldest first.
    pub fn told(&self) -> Value {
        let names: Vec<&str> = FIRST.iter().chain(&NAMES).copied().collect();
        let points: Vec<&[u64]> = self.points.iter().map(|point| point.as_slice()).collect();
        json!({ "step_s": STEP_S, "names": names, "points": points })
    }
}

/// The power of two below which so many per cent of the publications were; 0 without any.
fn below(latencies: &[u64], per_cent: u64) -> u64 {
    let wanted = (latencies.iter().sum::<u64>() * per_cent).div_ceil(100);
    if wanted == 0 {
        return 0;
    }
    let mut sum = 0;
    let place = latencies.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    place.map_or(0, |place| 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted() {
        let rows: Vec<String> = Counters::default().rows().into_iter().map(|(name, _)| name).collect();
        for name in NAMES {
            assert!(rows.iter().any(|row| row == name), "{name}");
        }
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut past = Past::default();
        let mut all = Counters::default();
        for step in 0..POINTS_MAX as u64 + 3 {
            all.connections = step;
            past.add(step * STEP_S * 1000, 7, 8, &all);
        }
        let told = past.told();
        let points = told["points"].as_array().expect("points");
        assert_eq!((points.len(), &points[0][0]), (POINTS_MAX, &15_000.into()));
        assert_eq!(told["names"][FIRST.len()], "connections");
        assert_eq!(points[POINTS_MAX - 1][FIRST.len()], POINTS_MAX as u64 + 2);
    }

    #[test]
    fn latencies_are_those_of_the_step() {
        let (mut past, mut all) = (Past::default(), Counters::default());
        (0..99).for_each(|_| all.add_latency(3));
        all.add_latency(1000);
        past.add(0, 0, 0, &all);
        past.add(5000, 0, 0, &all);
        all.add_latency(1000);
        past.add(10_000, 0, 0, &all);
        let told = past.told();
        let latencies = |point: usize| (told["points"][point][3].clone(), told["points"][point][4].clone());
        assert_eq!(latencies(0), (4.into(), 4.into()));
        assert_eq!(latencies(1), (0.into(), 0.into()));
        assert_eq!(latencies(2), (1024.into(), 1024.into()));
    }
}
