use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{Entry, Log, Sink, Target};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A standard error that takes a line when the test lets it, and then does as it is told.
struct Gate {
    words: Receiver<io::Result<()>>,
    written: Arc<Mutex<String>>,
    reached: Sender<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        self.words.recv().unwrap_or(Ok(()))?;
        self.written.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Gate {
    fn change(&mut self, _: Sink) {}

    fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.write_all(text)
    }
}

/// A log of its own, whose thread tells of lost lines in it.
struct Rig {
    log: &'static OnceLock<Log>,
    words: Sender<io::Result<()>>,
    /// One for each line that the thread begins to write.
    reached: Receiver<()>,
    written: Arc<Mutex<String>>,
    thread: JoinHandle<()>,
}

impl Rig {
    fn new(lines_max: usize, bytes_max: usize) -> Self {
        // A log lives as long as its process.
        let log: &'static OnceLock<Log> = Box::leak(Box::default());
        let (words, told) = unbounded();
        let (reached_here, reached) = unbounded();
        let written = Arc::new(Mutex::new(String::new()));
        let gate = Gate { words: told, written: Arc::clone(&written), reached: reached_here };
        let (made, writing) = Log::new(lines_max, bytes_max);
        assert!(log.set(made).is_ok());
        let tell = |lines| log.get().unwrap().put(format!("lost {lines}\n").as_bytes(), Entry::Line);
        let thread = thread::spawn(move || writing.run(gate, &|| log.get(), &tell));
        Self { log, words, reached, written, thread }
    }

    fn log(&self) -> &'static Log {
        self.log.get().unwrap()
    }

    fn put(&self, lines: impl IntoIterator<Item = &'static str>) {
        lines.into_iter().for_each(|line| self.log().put(format!("{line}\n").as_bytes(), Entry::Line));
    }

    /// From now on every line is written at once.
    fn open(self) -> String {
        let log = self.log();
        drop(self.words);
        // What the thread logs itself comes behind the first flush.
        assert!(log.flush(PATIENCE) && log.flush(PATIENCE));
        assert!(!self.thread.is_finished());
        self.written.lock().unwrap().clone()
    }
}

#[test]
fn who_logs_does_not_wait_for_a_reader_and_what_is_lost_is_counted_and_told() {
    let rig = Rig::new(4, 1000);
    rig.put(["a"]);
    rig.reached.recv().unwrap();
    // The first line is being written, four wait, and the others find no room.
    rig.put(["b", "c", "d", "e", "f", "g"]);
    assert_eq!(rig.log().lost(), 2);
    assert!(!rig.log().flush(Duration::ZERO), "nobody reads");
    let log = rig.log();
    assert_eq!(rig.open(), "a\nb\nc\nd\ne\nlost 2\n");
    assert_eq!(log.lost(), 2);
}

#[test]
fn waiting_lines_have_a_maximum_in_bytes() {
    let rig = Rig::new(100, 10);
    rig.put(["a"]);
    rig.reached.recv().unwrap();
    rig.put(["bcdefgh", "j", "k"]);
    assert_eq!(rig.log().lost(), 2, "ten bytes wait with the line that is being written");
    let log = rig.log();
    assert_eq!(rig.open(), "a\nbcdefgh\nlost 2\n");
    log.put(b"all of it\n", Entry::Line);
    assert!(log.flush(PATIENCE));
    assert_eq!(log.lost(), 2, "what is written takes no room");
}

#[test]
fn a_line_that_cannot_be_written_is_lost_and_the_next_one_is_tried() {
    let rig = Rig::new(100, 1000);
    for error in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
        rig.words.send(Err(error.into())).unwrap();
    }
    rig.put(["a", "b", "c"]);
    let log = rig.log();
    assert_eq!(rig.open(), "c\nlost 2\n");
    assert_eq!(log.lost(), 2);
}
