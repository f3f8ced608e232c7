//! Warnings that repeat: the first is written at once, the others of a minute are counted and written as one line.

use std::collections::VecDeque;

use crate::model::Time;

/// For so many microseconds a warning that was written is not written again.
const QUIET: u64 = 60_000_000;

/// Warnings that are known at a time. With so many different ones in a minute, further ones are written each time.
const KNOWN_MAX: usize = 64;

/// The oldest first.
#[derive(Default)]
pub(crate) struct Repeats(VecDeque<Known>);

struct Known {
    /// Without its time.
    text: Vec<u8>,
    until: Time,
    /// The last line that was not written, and how many there were.
    last: Vec<u8>,
    more: u64,
}

impl Repeats {
    /// Whether a line is to be written; if not it is counted.
    pub(crate) fn is_new(&mut self, line: &[u8], now: Time) -> bool {
        let text = without_time(line);
        if let Some(known) = self.0.iter_mut().find(|known| known.text == text) {
            known.more += 1;
            known.last = line.to_vec();
            return false;
        }
        if self.0.len() < KNOWN_MAX {
            self.0.push_back(Known { text, until: now + QUIET, last: Vec::new(), more: 0 });
        }
        true
    }

    /// When a line is due, or a warning can be forgotten.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.front().map(|known| known.until)
    }

    /// A line that stands for those that were not written, if its minute is over.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Vec<u8>> {
        while let Some(mut known) = self.0.pop_front_if(|known| known.until <= now) {
            if known.more > 0 {
                let line = counted(&known.last, known.more);
                // Quiet again, until nothing comes for a minute.
                (known.until, known.more, known.last) = (now + QUIET, 0, Vec::new());
                self.0.push_back(known);
                return Some(line);
            }
        }
        None
    }

    /// What is counted and not written yet, because nobody will be here to write it.
    pub(crate) fn take_all(&mut self) -> Vec<Vec<u8>> {
        let counted = self.0.drain(..).filter(|known| known.more > 0).map(|known| counted(&known.last, known.more));
        counted.collect()
    }
}

const TIME_IN_JSON: &[u8] = b"\"ts\":\"";

fn without_time(line: &[u8]) -> Vec<u8> {
    let cut = |from: usize, end: u8| {
        let rest = line.get(from..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == end).unwrap_or(rest.len());
        [line.get(..from).unwrap_or_default(), rest.get(length..).unwrap_or_default()].concat()
    };
    if !line.starts_with(b"{") {
        return cut(0, b' ');
    }
    let place = line.windows(TIME_IN_JSON.len()).position(|window| window == TIME_IN_JSON);
    place.map_or_else(|| line.to_vec(), |place| cut(place + TIME_IN_JSON.len(), b'"'))
}

/// The line with the number of those for which it stands.
fn counted(line: &[u8], number: u64) -> Vec<u8> {
    let line = line.trim_ascii_end();
    match line.strip_suffix(b"}").filter(|_| line.starts_with(b"{")) {
        Some(open) => [open, format!(",\"repeated\":{number}}}\n").as_bytes()].concat(),
        None => [line, format!(" repeated={number}\n").as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(second: u32, what: &str) -> Vec<u8> {
        format!("2026-12-01T00:00:{second:02}.5Z  WARN encke: {what}\n").into_bytes()
    }

    #[test]
    fn the_first_is_written_and_the_others_of_a_minute_are_one_line() {
        let (mut repeats, begin) = (Repeats::default(), Time(5));
        assert!(repeats.is_new(&text(1, "a"), begin));
        assert!(!repeats.is_new(&text(2, "a"), begin));
        assert!(repeats.is_new(&text(3, "b"), begin), "another text is another warning");
        assert!(!repeats.is_new(&text(4, "a"), begin));
        assert_eq!((repeats.next(), repeats.take_due(begin)), (Some(begin + QUIET), None));
        let due = repeats.take_due(begin + QUIET).expect("a line");
        assert_eq!(due, b"2026-12-01T00:00:04.5Z  WARN encke: a repeated=2\n");
        assert_eq!(repeats.take_due(begin + QUIET), None, "b came once");
        assert!(!repeats.is_new(&text(5, "a"), begin + QUIET), "it goes on");
        assert!(repeats.is_new(&text(5, "b"), begin + QUIET));
        assert_eq!(repeats.take_all().len(), 1);
    }

    #[test]
    fn lines_for_programs_are_compared_without_their_time_too() {
        let (mut repeats, begin) = (Repeats::default(), Time(5));
        let line = |ts: &str| format!("{{\"level\":\"warn\",\"msg\":\"a\",\"ts\":\"{ts}\"}}\n").into_bytes();
        assert!(repeats.is_new(&line("1"), begin));
        assert!(!repeats.is_new(&line("2"), begin));
        let due = repeats.take_due(begin + QUIET).expect("a line");
        assert_eq!(due, b"{\"level\":\"warn\",\"msg\":\"a\",\"ts\":\"2\",\"repeated\":1}\n");
    }

    #[test]
    fn many_different_ones_are_written() {
        let (mut repeats, begin) = (Repeats::default(), Time(5));
        for number in 0..2 * KNOWN_MAX {
            assert!(repeats.is_new(&text(0, &number.to_string()), begin));
        }
        assert!(repeats.is_new(&text(0, &(2 * KNOWN_MAX - 1).to_string()), begin), "there was no room for it");
    }
}
