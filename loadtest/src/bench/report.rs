//! Results as a line for people and a record for machines, from the same facts.

use super::statistics::{median, ratio, spread};
use crate::crowd::ReceiveSummary;
use crate::error::Error;
use crate::process::{CpuTime, Memory};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One result: what was run and what came out, in the order it is to be read. Units are part of the names.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    facts: Vec<(String, Value)>,
    /// Why this result does not count, if it does not.
    failures: Vec<String>,
}

impl Record {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), facts: Vec::new(), failures: Vec::new() }
    }

    pub fn count(&mut self, name: &str, value: u64) -> &mut Self {
        self.facts.push((name.to_owned(), json!(value)));
        self
    }

    /// A measured number, rounded to what the measurement can tell.
    pub fn number(&mut self, name: &str, value: f64) -> &mut Self {
        self.facts.push((name.to_owned(), measured(value)));
        self
    }

    pub fn text(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.facts.push((name.to_owned(), Value::String(value.into())));
        self
    }

    /// Something came out wrong: the run fails, the numbers are shown all the same.
    pub fn fail(&mut self, why: impl Into<String>) -> &mut Self {
        self.failures.push(why.into());
        self
    }

    /// Median and spread of several rounds.
    pub fn rounds(&mut self, name: &str, values: &[f64]) -> &mut Self {
        let (low, high) = spread(values);
        self.number(name, median(values)).number(&format!("{name}_min"), low).number(&format!("{name}_max"), high)
    }

    pub fn memory(&mut self, when: &str, memory: Memory) -> &mut Self {
        self.count(&format!("{when}_rss_kib"), memory.rss_kib)
            .count(&format!("{when}_pss_kib"), memory.pss_kib)
            .count(&format!("{when}_anonymous_kib"), memory.anonymous_kib)
    }

    /// CPU of the server by thread name, those that did anything.
    pub fn threads(&mut self, when: &str, cpu: &CpuTime) -> &mut Self {
        let busy: Map<String, Value> = cpu
            .by_name
            .iter()
            .filter(|(_, ns)| **ns >= 1000)
            .map(|(name, ns)| (name.clone(), measured(*ns as f64 / 1e6)))
            .collect();
        self.facts.push((format!("{when}_cpu_ms_by_thread"), Value::Object(busy)));
        self
    }

    /// Percentiles in milliseconds.
    pub fn latency(&mut self, name: &str, us: &Histogram<u64>) -> &mut Self {
        for (label, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            self.number(&format!("{name}_{label}_ms"), us.value_at_quantile(quantile) as f64 / 1e3);
        }
        self.number(&format!("{name}_max_ms"), us.max() as f64 / 1e3)
    }

    /// What was received against what had to be; anything but an exact match fails the run.
    pub fn received(&mut self, summary: &ReceiveSummary, expected: u64) -> &mut Self {
        let tally = &summary.tally;
        self.count("delivered", tally.delivered)
            .count("missing", expected.saturating_sub(tally.delivered))
            .count("repeated", tally.repeated)
            .count("disordered", tally.disordered)
            .count("foreign_frames", tally.foreign)
            .count("ended_connections", tally.ended)
            .number("bytes_per_read", ratio(summary.bytes as f64, summary.reads as f64));
        if !tally.is_exact(expected) {
            let first = tally.first_trouble.as_deref().map_or(String::new(), |trouble| format!("; first: {trouble}"));
            self.fail(format!("not every publication came once and in order to every subscriber{first}"));
        }
        self
    }

    pub fn is_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The number of this name, for further calculation and tests.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.facts.iter().find(|(own, _)| own == name)?.1.as_f64()
    }

    /// `name: fact value, fact value, ...`, failures behind.
    pub fn line(&self) -> String {
        let show = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Object(parts) => {
                let parts: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", parts.join(" "))
            }
            other => other.to_string(),
        };
        let facts: Vec<_> = self.facts.iter().map(|(name, value)| format!("{name} {}", show(value))).collect();
        let mut line = format!("{}: {}", self.name, facts.join(", "));
        for failure in &self.failures {
            line.push_str("\n  FAILED: ");
            line.push_str(failure);
        }
        line
    }

    fn json(&self) -> Value {
        let mut map: Map<String, Value> = self.facts.iter().cloned().collect();
        map.insert("name".into(), json!(self.name));
        map.insert("failures".into(), json!(self.failures));
        Value::Object(map)
    }
}

/// All results of one call, printed as they come.
#[derive(Debug, Default)]
pub struct Report {
    records: Vec<Record>,
}

impl Report {
    pub fn add(&mut self, record: Record) {
        println!("{}", record.line());
        self.records.push(record);
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn is_failed(&self) -> bool {
        self.records.iter().any(Record::is_failed)
    }

    /// Writes `{"arguments", "kernel", "cores", "unix_time", "failed", "results"}`.
    pub fn write_json(&self, path: &Path, arguments: &[String], unix_time: Duration) -> Result<(), Error> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let document = json!({
            "arguments": arguments,
            "kernel": kernel.trim(),
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "unix_time": unix_time.as_secs(),
            "failed": self.is_failed(),
            "results": self.records.iter().map(Record::json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{document:#}\n")).map_err(Error::io(format!("write {}", path.display())))
    }
}

/// A rounded number, without a decimal point when it has no decimals.
fn measured(value: f64) -> Value {
    let value = rounded(value);
    if value.abs() >= 1000.0 { json!(value as i64) } else { json!(value) }
}

/// Four significant digits below a thousand, whole numbers above.
fn rounded(value: f64) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return 0.0;
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0);
    let factor = 10_f64.powi(digits as i32);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Tally;

    #[test]
    #[expect(clippy::float_cmp, reason = "rounding gives these very numbers")]
    fn numbers_are_rounded_to_what_was_measured() {
        for (value, expected) in
            [(0.0, 0.0), (4.123_456, 4.123), (0.012_345_6, 0.01235), (123_456.78, 123_457.0), (f64::NAN, 0.0)]
        {
            assert_eq!(rounded(value), expected, "{value}");
        }
    }

    #[test]
    fn a_record_reads_as_a_line_and_as_json() {
        let mut record = Record::new("fanout");
        record.count("subscribers", 1000).rounds("us", &[3.0, 1.0, 2.0]).text("verdict", "met");
        assert_eq!(record.line(), "fanout: subscribers 1000, us 2.0, us_min 1.0, us_max 3.0, verdict met");
        assert!(!record.is_failed());
        record.fail("lost");
        assert!(record.line().ends_with("\n  FAILED: lost"));
        let folder = std::env::temp_dir().join(format!("loadtest-report-{}", std::process::id()));
        let mut report = Report::default();
        report.add(record);
        assert!(report.is_failed());
        report.write_json(&folder, &["fanout".into()], Duration::from_secs(5)).unwrap();
        let document: Value = serde_json::from_str(&fs::read_to_string(&folder).unwrap()).unwrap();
        fs::remove_file(&folder).unwrap();
        assert_eq!(document["results"][0]["us"], json!(2.0));
        assert_eq!(document["results"][0]["failures"], json!(["lost"]));
        assert_eq!(document["failed"], json!(true));
    }

    #[test]
    fn anything_but_an_exact_delivery_fails() {
        let check = |tally: Tally, failed| {
            let mut record = Record::new("x");
            record.received(&ReceiveSummary { tally, ..ReceiveSummary::new() }, 2);
            assert_eq!(record.is_failed(), failed, "{}", record.line());
        };
        check(Tally { delivered: 2, ..Tally::default() }, false);
        check(Tally { delivered: 1, ..Tally::default() }, true);
        check(Tally { delivered: 2, repeated: 1, ..Tally::default() }, true);
        check(Tally { delivered: 2, disordered: 1, ..Tally::default() }, true);
    }
}
