//! The log: lines of all threads go through one bounded queue to a thread of its own, which writes them to standard error
//! or to a file.
//!
//! Standard error may be a pipe that nobody reads, a terminal that is gone, or a file on a full disk. A shard that wrote to
//! it would wait with all its connections. So whoever logs only puts the line into the queue and goes on. A line that finds
//! the queue full, and a line that cannot be written, are lost and counted ([`lines_lost`]); when the log can be written
//! again, it says how many are missing.
//!
//! The log's thread never splits its descriptor table off as shards do, so it sees the standard error of the process.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::warn;

use crate::config;
use crate::model::Time;
use crate::repeats::Repeats;

use lines::Dial;
use sink::Sink;
pub(super) use warnings::{warnings, warnings_count};

mod lines;
mod sink;
mod warnings;

/// Lines that wait to be written.
const LINES_MAX: usize = 4096;
/// Their bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// How long the end of the process waits for the last lines. Short, because it comes on top of the time for the stop.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(200);

/// The one of this process, once it was started.
static LOG: OnceLock<Log> = OnceLock::new();
/// What becomes a line, and in which form.
static DIAL: OnceLock<Dial> = OnceLock::new();

/// Starts the log's thread; from now on all that is logged goes there. A second call changes nothing.
pub fn start(settings: &config::Log) -> io::Result<()> {
    let (log, writing) = Log::new(LINES_MAX, BYTES_MAX);
    let sink = Sink::open(settings.file.as_deref())?;
    Builder::new().name("log".to_owned()).spawn(move || writing.run(sink, &|| LOG.get(), &tell_of_lost))?;
    let _ = LOG.set(log);
    if let Some(dial) = Dial::install(settings) {
        let _ = DIAL.set(dial);
    }
    Ok(())
}

/// From now on lines of other levels are written, or in another form.
pub(super) fn set(settings: &config::Log) {
    if let Some(dial) = DIAL.get() {
        dial.set(settings);
    }
}

/// A text for whoever started the program, as it is and in its place among the lines of the log. A failure to write it is no
/// reason to end.
pub fn say(text: &str) {
    match LOG.get() {
        Some(log) => log.put(text.as_bytes(), Entry::Said),
        None => {
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

/// The next line goes to this file, or to standard error; also to a new file of the same name, after a rotation. On an error
/// lines go where they went before. May wait for a disk.
pub(super) fn open(file: Option<&Path>) -> io::Result<()> {
    let sink = Sink::open(file)?;
    if let Some(log) = LOG.get() {
        log.write_to(sink);
    }
    Ok(())
}

/// Waits until what was logged so far is written, but not for long: for the end of the process.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(FLUSH_TIME_MAX);
    }
}

/// Lines that could not be written since the start.
pub fn lines_lost() -> u64 {
    LOG.get().map_or(0, Log::lost)
}

/// Bytes of the lines that wait, and of the warnings that are kept.
pub(super) fn bytes() -> u64 {
    let waiting =
        LOG.get().map_or(0, |log| log.bytes.load(Ordering::Relaxed) + LINES_MAX * size_of::<(usize, Entry)>());
    (waiting + warnings::bytes()) as u64
}

fn tell_of_lost(lines: u64) {
    warn!(lines, "the log could not be written for a while, and lines were lost");
}

/// Where the subscriber writes: one call for each line.
struct Line {
    kind: fn(Box<[u8]>) -> Entry,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(log) = LOG.get() {
            log.put(bytes, self.kind);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Entry {
    Line(Box<[u8]>),
    /// A line that the dashboard can show as well.
    Warning(Box<[u8]>),
    /// The same, of what somebody asked for: told each time, or who asks a second time would not see what came of it.
    Answer(Box<[u8]>),
    /// For whoever started the program, whatever becomes of the log.
    Said(Box<[u8]>),
    /// Nothing to write; lines go elsewhere from now on.
    Sink,
    /// Answered when everything before it is written.
    Flush(Sender<()>),
}

/// The end of the queue that everybody has.
struct Log {
    queue: Sender<Entry>,
    bytes_max: usize,
    /// Bytes of the lines in the queue.
    bytes: AtomicUsize,
    lost: AtomicU64,
    has_next: AtomicBool,
    /// Where lines are to go from now on.
    next: Mutex<Option<Sink>>,
}

impl Log {
    fn new(lines_max: usize, bytes_max: usize) -> (Self, Writing) {
        let (queue, entries) = bounded(lines_max);
        let log = Self {
            queue,
            bytes_max,
            bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            has_next: AtomicBool::new(false),
            next: Mutex::new(None),
        };
        (log, Writing { entries, lines_max, told: 0, repeats: Repeats::default(), begun: Instant::now() })
    }

    /// Never waits.
    fn put(&self, line: &[u8], kind: fn(Box<[u8]>) -> Entry) {
        // Two threads may each find the last room, so the sum may pass its maximum by a line for each thread.
        let is_full = self.bytes.load(Ordering::Relaxed) + line.len() > self.bytes_max;
        self.bytes.fetch_add(line.len(), Ordering::Relaxed);
        if is_full || self.queue.try_send(kind(line.into())).is_err() {
            self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_to(&self, sink: Sink) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
        self.has_next.store(true, Ordering::Release);
        // Wakes the thread. With a full queue it has lines that do.
        let _ = self.queue.try_send(Entry::Sink);
    }

    fn take_next(&self) -> Option<Sink> {
        if !self.has_next.swap(false, Ordering::Acquire) {
            return None;
        }
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether everything that was put before is written within this time.
    fn flush(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let (done, is_done) = bounded(1);
        self.queue.send_deadline(Entry::Flush(done), end).is_ok() && is_done.recv_deadline(end).is_ok()
    }
}

/// Where the lines go.
trait Target: Write {
    fn change(&mut self, to: Sink);
    /// Standard error, if that is another place.
    fn say(&mut self, text: &[u8]) -> io::Result<()>;
}

impl Target for Sink {
    fn change(&mut self, to: Sink) {
        *self = to;
    }

    fn say(&mut self, text: &[u8]) -> io::Result<()> {
        io::stderr().write_all(text)
    }
}

/// The other end.
struct Writing {
    entries: Receiver<Entry>,
    lines_max: usize,
    /// Lost lines that the log has told of.
    told: u64,
    repeats: Repeats,
    /// The beginning of its time.
    begun: Instant,
}

impl Writing {
    /// Writes until nobody can log any more. `tell` logs how many lines were lost since it was called last.
    fn run<'a>(mut self, mut to: impl Target, log: &dyn Fn() -> Option<&'a Log>, tell: &dyn Fn(u64)) {
        loop {
            let entry = match self.repeats.next() {
                Some(due) => self.entries.recv_deadline(self.begun + Duration::from_micros(due.0)),
                None => self.entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            while let Some(line) = self.repeats.take_due(self.now()) {
                write_one(&mut to, &line, log());
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(next) = log().and_then(Log::take_next) {
                to.change(next);
            }
            let (line, written) = match entry {
                Entry::Line(line) => {
                    let written = to.write_all(&line).and_then(|()| to.flush());
                    (line, written)
                }
                Entry::Warning(line) if !self.is_new(&line) => {
                    warnings::count();
                    (line, Ok(()))
                }
                Entry::Warning(line) | Entry::Answer(line) => {
                    warnings::keep(&line);
                    let written = to.write_all(&line).and_then(|()| to.flush());
                    (line, written)
                }
                Entry::Said(text) => {
                    let written = to.say(&text);
                    (text, written)
                }
                Entry::Flush(done) => {
                    self.repeats.take_all().iter().for_each(|line| write_one(&mut to, line, log()));
                    let _ = done.try_send(());
                    continue;
                }
                Entry::Sink => continue,
            };
            // Nobody can log before the log is known.
            let Some(log) = log() else { continue };
            log.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            match written {
                Ok(()) => self.tell_of_lost(log, tell),
                Err(_) => {
                    log.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn now(&self) -> Time {
        Time(self.begun.elapsed().as_micros() as u64)
    }

    fn is_new(&mut self, line: &[u8]) -> bool {
        let now = self.now();
        self.repeats.is_new(line, now)
    }

    /// Not before there is room for it: the lines that were lost are younger than those that still wait, so this one belongs
    /// behind them.
    fn tell_of_lost(&mut self, log: &Log, tell: &dyn Fn(u64)) {
        let lost = log.lost();
        let has_room =
            self.entries.len() <= self.lines_max / 2 && log.bytes.load(Ordering::Relaxed) <= log.bytes_max / 2;
        if lost > self.told && has_room {
            tell(lost - self.told);
            self.told = lost;
        }
    }
}

/// Writes a line that was in no queue.
fn write_one(to: &mut impl Target, line: &[u8], log: Option<&Log>) {
    if to.write_all(line).and_then(|()| to.flush()).is_err()
        && let Some(log) = log
    {
        log.lost.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
