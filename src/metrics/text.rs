//! The page at `/metrics`: the text format 0.0.4 of Prometheus, and `OpenMetrics` 1.0.0 for who asks for it.
//!
//! Names follow the conventions of Prometheus: the unit is a part of the name, times are seconds and counters end in `_total`.
//! Labels come from closed lists, so the number of series does not depend on what clients do.

use std::fmt::{Display, Write};

use crate::model::CloseReason;

use super::{Counters, Kind, LATENCIES, METRICS, Metric};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What a scraper takes according to its `Accept`. Only `OpenMetrics` has to be asked for by name.
    pub fn accepted(accept: &str) -> Self {
        let named =
            |part: &str| part.split(';').next().is_some_and(|name| name.trim() == "application/openmetrics-text");
        if accept.split(',').any(named) { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What the system knows of the process, under the names that all exporters use. What it does not tell is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Seconds of the Unix time.
    pub start_time: Option<f64>,
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_fds: Option<u64>,
    /// Of one table of descriptors; a shard has one of its own where the system allows that.
    pub max_fds: Option<u64>,
}

/// All that one scrape is told.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    pub version: &'a str,
    /// How publications reach the sockets.
    pub engine: &'a str,
    pub storage: &'a str,
    pub stopping: bool,
    /// By connection shard.
    pub shards: &'a [Counters],
    /// The shard of CometQL, and storage.
    pub others: &'a [Counters],
    pub process: Process,
}

impl Page<'_> {
    pub fn encode(&self, format: Format) -> String {
        let mut all = Counters::default();
        self.shards.iter().chain(self.others).for_each(|counters| all.merge(counters));
        let mut text = Text { format, text: String::with_capacity(24 * 1024) };
        let build = [("version", self.version), ("engine", self.engine), ("storage", self.storage)];
        text.family("encke_build_info", Type::Gauge, "1, and what is running.");
        text.sample("encke_build_info", &build, 1);
        text.family("encke_stopping", Type::Gauge, "1 while the server stops, else 0.");
        text.sample("encke_stopping", &[], u8::from(self.stopping));
        text.numbers(&all);
        text.closed(&all);
        text.latencies(&all);
        text.shards(self.shards);
        text.process(&self.process);
        if format == Format::OpenMetrics {
            text.text.push_str("# EOF\n");
        }
        text.text
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge | Kind::Peak => Self::Gauge,
        }
    }
}

/// Numbers whose names say "memory" are one family, told apart by this label.
const MEMORY: &str = "memory_";
const MEMORY_FAMILY: &str = "encke_memory_bytes";

/// Told of each shard as well. Few, because each of them is a series for each shard.
const OF_SHARDS: [&str; 8] = [
    "connections",
    "deliveries",
    "publications",
    "received_bytes",
    "sent_bytes",
    "ring_stalls",
    "turns",
    "longest_turn_us",
];

impl Metric {
    /// Its name at `/metrics`.
    pub fn exported(&self) -> String {
        if self.name.starts_with(MEMORY) {
            return MEMORY_FAMILY.to_owned();
        }
        let name = self.name.strip_suffix("_us").map_or_else(|| self.name.to_owned(), |name| format!("{name}_seconds"));
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("encke_{name}{total}")
    }

    /// Microseconds become seconds.
    fn scaled(&self, value: u64) -> Value {
        if self.name.ends_with("_us") { Value::Micros(value) } else { Value::Whole(value) }
    }

    /// Its sentence, in the unit that is told.
    fn told(&self) -> String {
        if self.name.ends_with("_us") {
            self.help.replace("Microseconds", "Seconds").replace("microseconds", "seconds")
        } else {
            self.help.to_owned()
        }
    }
}

enum Value {
    Whole(u64),
    Micros(u64),
}

impl Display for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(formatter),
            Self::Micros(value) => write!(formatter, "{}.{:06}", value / 1_000_000, value % 1_000_000),
        }
    }
}

struct Text {
    format: Format,
    text: String,
}

impl Text {
    fn family(&mut self, name: &str, kind: Type, help: &str) {
        // OpenMetrics names the family; the samples of a counter have a suffix more.
        let counted = (self.format, kind) == (Format::OpenMetrics, Type::Counter);
        let name = if counted { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}");
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (number, (label, of)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"");
            escape(of, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn numbers(&mut self, all: &Counters) {
        let (memory, rest): (Vec<_>, Vec<_>) =
            METRICS.iter().zip(all.values()).partition(|(metric, _)| metric.name.starts_with(MEMORY));
        for (metric, value) in rest {
            let name = metric.exported();
            self.family(&name, metric.kind.into(), &metric.told());
            self.sample(&name, &[], metric.scaled(value));
        }
        self.family(MEMORY_FAMILY, Type::Gauge, "Bytes that the server's own books know of, by what they are for.");
        for (metric, value) in memory {
            let kind = metric.name.strip_prefix(MEMORY).unwrap_or(metric.name);
            self.sample(MEMORY_FAMILY, &[("kind", kind)], value);
        }
    }

    fn closed(&mut self, all: &Counters) {
        const NAME: &str = "encke_closed_total";
        self.family(NAME, Type::Counter, "Connections and sessions that ended, by reason.");
        for reason in CloseReason::ALL {
            self.sample(NAME, &[("reason", reason.as_str())], all.closed(reason));
        }
    }

    fn latencies(&mut self, all: &Counters) {
        const NAME: &str = "encke_publication_delivery_seconds";
        self.family(
            NAME,
            Type::Histogram,
            "From the acceptance of a publication to the writes of a shard, once for each shard.",
        );
        let mut below = 0_u64;
        let bucket = format!("{NAME}_bucket");
        for (place, count) in all.latencies().iter().enumerate() {
            below = below.saturating_add(*count);
            let bound = if place == LATENCIES - 1 { "+Inf".to_owned() } else { Value::Micros(1 << place).to_string() };
            self.sample(&bucket, &[("le", &bound)], below);
        }
        self.sample(&format!("{NAME}_sum"), &[], Value::Micros(all.latency_us));
        self.sample(&format!("{NAME}_count"), &[], below);
    }

    fn shards(&mut self, shards: &[Counters]) {
        let values: Vec<Vec<u64>> = shards.iter().map(|counters| counters.values().collect()).collect();
        for (place, metric) in METRICS.iter().enumerate().filter(|(_, metric)| OF_SHARDS.contains(&metric.name)) {
            let name = metric.exported().replacen("encke_", "encke_shard_", 1);
            self.family(&name, metric.kind.into(), &format!("Of each shard. {}", metric.told()));
            for (shard, values) in values.iter().enumerate() {
                let value = values.get(place).copied().unwrap_or_default();
                self.sample(&name, &[("shard", &shard.to_string())], metric.scaled(value));
            }
        }
    }

    fn process(&mut self, process: &Process) {
        let whole = |value: Option<u64>| value.map(|value| value.to_string());
        let seconds = |value: Option<f64>| value.map(|value| format!("{value:.2}"));
        let told = [
            (
                "process_start_time_seconds",
                Type::Gauge,
                "When the process began, as Unix time.",
                seconds(process.start_time),
            ),
            (
                "process_cpu_seconds_total",
                Type::Counter,
                "CPU that the process has used.",
                seconds(process.cpu_seconds),
            ),
            ("process_resident_memory_bytes", Type::Gauge, "Memory in use.", whole(process.resident_bytes)),
            ("process_virtual_memory_bytes", Type::Gauge, "Addresses in use.", whole(process.virtual_bytes)),
            ("process_threads", Type::Gauge, "Threads.", whole(process.threads)),
            ("process_open_fds", Type::Gauge, "Open descriptors, of all tables.", whole(process.open_fds)),
            ("process_max_fds", Type::Gauge, "Descriptors that one table may have.", whole(process.max_fds)),
        ];
        for (name, kind, help, value) in told {
            if let Some(value) = value {
                self.family(name, kind, help);
                self.sample(name, &[], value);
            }
        }
    }
}

/// The value of a label.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests;
