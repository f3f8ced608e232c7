//! `compare-fanout`: the server against the bare loop, alternating in one run, because absolute times wander.

use super::Target;
use super::fanout::{Audience, Measured, publications_for};
use super::floor::{self, Floor, Sends};
use super::report::{Record, Report};
use super::statistics::{median, ratio};
use crate::error::Error;
use crate::system;

/// Server CPU per delivery at window 1, as a multiple of the bare loop's.
pub const BAR_WINDOW_1: f64 = 1.25;
/// The same at window 8, where the server may join publications; the bare loop of window 1 is still the measure.
pub const BAR_WINDOW_8: f64 = 0.35;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Numbers of subscribers, one comparison each
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000])]
    pub subscribers: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    /// Core of the bare loop: the one the server is pinned to
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// Deliveries in a round relative to the usual ones, for a quick look
    #[arg(long, default_value_t = 1.0)]
    pub effort: f64,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if target.server_pid.is_none() {
        return Err(Error::usage("a comparison needs --server-pid: it compares CPU"));
    }
    system::pin_to_core(target.client_core)?;
    for subscribers in &options.subscribers {
        if !compare(target, options, *subscribers, report)? {
            break;
        }
    }
    Ok(())
}

/// Costs in microseconds of CPU per delivery, one of each kind per round.
#[derive(Debug, Default)]
struct Costs {
    floor: Vec<f64>,
    joined: Vec<f64>,
    window_1: Vec<f64>,
    window_8: Vec<f64>,
    window_1_rate: Vec<f64>,
    window_8_rate: Vec<f64>,
    /// Cores that others kept busy, in every measured stretch.
    foreign: Vec<f64>,
}

/// Returns whether every delivery was right.
fn compare(target: &Target, options: &Options, subscribers: usize, report: &mut Report) -> Result<bool, Error> {
    let process = target.process()?;
    let limit = target.limit();
    // The pipe's name is as long as the one of the bare loop, so that the frames are.
    let mut audience = Audience::gather(target, 1, subscribers, "bench_ratio", options.size)?;
    let mut floor = Floor::gather(limit, target.client_core, options.server_core, subscribers, options.size)?;
    audience.warm_up(target)?;
    floor.round(limit, 10, 2, Sends::Single)?;
    let scaled = |window| ((f64::from(publications_for(subscribers, window)) * options.effort) as u32).max(8);
    let (single, joined) = (scaled(1), scaled(8));
    let mut costs = Costs::default();
    for round in 0..options.rounds.max(1) {
        let (mut sound, mut foreign) = (true, Vec::new());
        let mut tell = |name: &str, measured: &Measured, publications, window| {
            let mut record = Record::new(name);
            record.count("round", u64::from(round) + 1);
            if name.starts_with("floor") {
                floor::tell(measured, &mut record, subscribers as u64, publications, window);
            } else {
                measured.tell(&mut record, subscribers as u64, publications, window);
            }
            sound &= !record.is_failed();
            foreign.extend(measured.reading.foreign_share);
            report.add(record);
            measured.reading.server_us_per(measured.outcome.summary.tally.delivered)
        };
        let measured = floor.round(limit, single, 1, Sends::Single)?;
        costs.floor.extend(tell("floor", &measured, single, 1));
        let measured = audience.round(target, process, single, 1)?;
        costs.window_1.extend(tell("server", &measured, single, 1));
        costs.window_1_rate.push(measured.rate());
        let measured = floor.round(limit, joined, 8, Sends::Joined)?;
        costs.joined.extend(tell("floor joined", &measured, joined, 8));
        let measured = audience.round(target, process, joined, 8)?;
        costs.window_8.extend(tell("server", &measured, joined, 8));
        costs.window_8_rate.push(measured.rate());
        costs.foreign.append(&mut foreign);
        if !sound {
            return Ok(false);
        }
    }
    let mut record = costs.verdict(subscribers);
    audience.finish(&mut record)?;
    floor.finish()?;
    let sound = !record.is_failed();
    report.add(record);
    Ok(sound)
}

impl Costs {
    /// Medians of each, and of the ratios of server and bare loop in the same round.
    fn verdict(&self, subscribers: usize) -> Record {
        let mut record = Record::new("compare-fanout");
        record.count("subscribers", subscribers as u64).count("rounds", self.floor.len() as u64);
        record.rounds("floor_us", &self.floor).rounds("floor_joined_us", &self.joined);
        record.rounds("server_window_1_us", &self.window_1).rounds("server_window_8_us", &self.window_8);
        record.rounds("window_1_deliveries_per_second", &self.window_1_rate);
        record.rounds("window_8_deliveries_per_second", &self.window_8_rate);
        for (name, costs, bar) in
            [("window_1", &self.window_1, BAR_WINDOW_1), ("window_8", &self.window_8, BAR_WINDOW_8)]
        {
            let pairs = costs.iter().zip(&self.floor);
            let ratios: Vec<f64> = pairs.map(|(server, floor)| ratio(*server, *floor)).collect();
            record.rounds(&format!("{name}_to_floor"), &ratios).number(&format!("{name}_bar"), bar);
            record.text(&format!("{name}_verdict"), if median(&ratios) <= bar { "met" } else { "missed" });
        }
        if !self.foreign.is_empty() {
            record.rounds("foreign_cores_busy", &self.foreign);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_of_the_median_ratio() {
        let costs = Costs {
            floor: vec![4.0, 5.0, 4.0],
            joined: vec![0.5; 3],
            window_1: vec![4.4, 10.0, 4.8],
            window_8: vec![1.6, 1.5, 1.2],
            window_1_rate: vec![1.0; 3],
            window_8_rate: vec![1.0; 3],
            foreign: vec![0.1],
        };
        let line = costs.verdict(1000).line();
        assert!(line.contains("window_1_to_floor 1.2, window_1_to_floor_min 1.1, window_1_to_floor_max 2.0"), "{line}");
        assert!(line.contains("window_1_verdict met"), "{line}");
        assert!(line.contains("window_8_to_floor 0.3, "), "{line}");
        assert!(line.contains("window_8_verdict met"), "{line}");
        let slow = Costs { window_1: vec![5.1, 6.3, 5.1], ..costs };
        assert!(slow.verdict(1000).line().contains("window_1_verdict missed"));
    }
}
