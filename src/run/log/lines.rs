//! What becomes of an event: a line for people or an object for programs, or nothing if it is less important than the level
//! of the part that it comes from.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Rfc3339};
use tracing_subscriber::fmt::writer::{MakeWriter, OptionalWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{self, LogLevel};

use super::{Entry, Line};

/// Where the lines of each part come from; all others have the level of the whole.
const PARTS: &[(&str, &[&str])] = &[
    ("browsers", &["encke::browsers", "encke::run::browsers", "encke::run::front", "encke::run::guesses"]),
    ("cometql", &["encke::cometql", "encke::run::sessions"]),
    ("storage", &["encke::storage", "encke::run::storage", "encke::run::kept"]),
];

pub(super) fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// The least important level that any part is to log: what is beyond is not even looked at.
pub(super) fn least(log: &config::Log) -> Level {
    log.parts.iter().map(|(_, of_part)| level(*of_part)).chain([level(log.level)]).max().unwrap_or(Level::INFO)
}

/// Decides by level and part which events become lines.
pub(super) struct Lines {
    whole: Level,
    parts: Vec<(&'static str, Level)>,
}

impl Lines {
    pub(super) fn new(log: &config::Log) -> Self {
        let parts = log.parts.iter().map(|(part, of_part)| (*part, level(*of_part))).collect();
        Self { whole: level(log.level), parts }
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let part = PARTS.iter().find(|(_, targets)| targets.iter().any(|target| is_below(metadata.target(), target)));
        let level = part.and_then(|(part, _)| self.parts.iter().find(|(known, _)| known == part));
        *metadata.level() <= level.map_or(self.whole, |(_, level)| *level)
    }
}

/// Whether a module is this one or in it.
fn is_below(module: &str, of: &str) -> bool {
    module.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OptionalWriter<Line>;

    fn make_writer(&'a self) -> Self::Writer {
        OptionalWriter::some(Line { kind: Entry::Line })
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        let kind = if *metadata.level() <= Level::WARN { Entry::Warning } else { Entry::Line };
        if self.takes(metadata) { OptionalWriter::some(Line { kind }) } else { OptionalWriter::none() }
    }
}

/// An object a line: `ts`, `level`, `target`, `msg`, and what the line tells besides under its own names.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        Rfc3339.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.remove(MESSAGE).unwrap_or_default();
        let metadata = event.metadata();
        let mut object = Map::new();
        object.insert("ts".into(), time.into());
        object.insert("level".into(), metadata.level().as_str().to_ascii_lowercase().into());
        object.insert("target".into(), metadata.target().into());
        object.insert("msg".into(), message);
        for (name, value) in fields.0 {
            // The names above are taken.
            let name = if object.contains_key(&name) { format!("{name}_") } else { name };
            object.insert(name, value);
        }
        writeln!(writer, "{}", Value::Object(object))
    }
}

/// What the macros call the text of an event.
const MESSAGE: &str = "message";

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
