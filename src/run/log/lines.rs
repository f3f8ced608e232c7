//! What becomes of an event: a line for people or an object for programs, or nothing if it is less important than the level
//! of the part that it comes from.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Rfc3339};
use tracing_subscriber::fmt::writer::{MakeWriter, OptionalWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt as lines_of};

use crate::config::{self, LogFormat, LogLevel};

use super::{Entry, Line};

/// Where the lines of each part come from; all others have the level of the whole.
const PARTS: &[(&str, &[&str])] = &[
    ("browsers", &["encke::browsers", "encke::run::browsers", "encke::run::front", "encke::run::guesses"]),
    ("cometql", &["encke::cometql", "encke::run::sessions"]),
    ("storage", &["encke::storage", "encke::run::storage", "encke::run::kept"]),
];

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// The least important level that any part is to log: what is beyond is not even looked at.
fn least(log: &config::Log) -> LevelFilter {
    let levels = log.parts.iter().map(|(_, of_part)| level(*of_part)).chain([level(log.level)]);
    levels.max().unwrap_or(Level::INFO).into()
}

/// Where levels and form can be changed while lines are written.
pub(super) struct Dial {
    choice: Arc<Choice>,
    /// The one filter of all lines.
    least: Handle<LevelFilter, Registry>,
}

impl Dial {
    /// From now on what is logged becomes lines. `None`: something else takes them already.
    pub(super) fn install(settings: &config::Log) -> Option<Self> {
        let choice = Arc::new(Choice::new(settings));
        let (filter, least) = reload::Layer::new(least(settings));
        // By default what cannot be written is told on standard error in a way that panics when that fails too.
        let lines = lines_of::layer().with_ansi(false).log_internal_errors(false);
        let lines = lines.with_writer(Lines(choice.clone())).event_format(Form(choice.clone()));
        tracing_subscriber::registry().with(filter).with(lines).try_init().ok()?;
        Some(Self { choice, least })
    }

    pub(super) fn set(&self, settings: &config::Log) {
        self.choice.set(settings);
        // The filter is gone only with the process.
        let _ = self.least.reload(least(settings));
    }
}

/// What is chosen of levels and form.
#[derive(Debug)]
struct Choice {
    whole: AtomicU8,
    /// In the order of [`PARTS`].
    parts: [AtomicU8; PARTS.len()],
    json: AtomicBool,
}

impl Choice {
    fn new(settings: &config::Log) -> Self {
        let choice = Self { whole: AtomicU8::new(0), parts: Default::default(), json: AtomicBool::new(false) };
        choice.set(settings);
        choice
    }

    fn set(&self, settings: &config::Log) {
        let set = |at: &AtomicU8, level: LogLevel| at.store(level as u8, Ordering::Relaxed);
        set(&self.whole, settings.level);
        for (at, (part, _)) in self.parts.iter().zip(PARTS) {
            let own = settings.parts.iter().find(|(known, _)| known == part);
            set(at, own.map_or(settings.level, |(_, level)| *level));
        }
        self.json.store(settings.format == LogFormat::Json, Ordering::Relaxed);
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let is_of = |(_, targets): &(&str, &[&str])| targets.iter().any(|target| is_below(metadata.target(), target));
        let part = PARTS.iter().position(is_of).and_then(|place| self.parts.get(place));
        rank(*metadata.level()) <= part.unwrap_or(&self.whole).load(Ordering::Relaxed)
    }
}

/// As [`LogLevel`] numbers them.
fn rank(of: Level) -> u8 {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    levels.into_iter().find(|known| level(*known) == of).unwrap_or(LogLevel::Trace) as u8
}

/// Decides by level and part which events become lines.
struct Lines(Arc<Choice>);

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
        let kind = match *metadata.level() {
            Level::ERROR | Level::WARN if metadata.fields().field(ASKED).is_some() => Entry::Answer,
            Level::ERROR | Level::WARN => Entry::Warning,
            _ => Entry::Line,
        };
        if self.0.takes(metadata) { OptionalWriter::some(Line { kind }) } else { OptionalWriter::none() }
    }
}

/// The field of a line that tells what came of an instruction: the instruction or signal.
const ASKED: &str = "asked";

/// The form that is chosen.
struct Form(Arc<Choice>);

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.0.json.load(Ordering::Relaxed) {
            return Json.format_event(context, writer, event);
        }
        Format::default().with_ansi(false).format_event(context, writer, event)
    }
}

/// An object a line: `ts`, `level`, `target`, `msg`, and what the line tells besides under its own names.
struct Json;

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
