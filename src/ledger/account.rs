//! The rows of `SHOW MEMORY`.
//!
//! ```text
//!  accounted           the sum of the rows above: what the server's own books and those of SQLite know
//!  allocator_overhead  what the allocator has from the system and nobody counts: heads of blocks, what is free, and what
//!                      C libraries other than SQLite hold
//!  program             pages of files: text, constants, data; and what the kernel shares with the process
//!  stacks              of all threads
//!  not_resident        below zero: what is counted above and has no page in memory
//!  unexplained         what the program has from its allocator and no book knows; below zero where a book says too much
//!  rss                 the sum of the last six
//! ```

use crate::metrics::{Counters, METRICS};

use super::maps::Resident;

/// What the rows are made of.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// What each part of the server has counted, by its name; the process itself has none.
    pub parts: &'a [(String, Counters)],
    /// Bytes and blocks that the program has from its allocator.
    pub heap: (u64, u64),
    /// Bytes among those that are counted which SQLite has from an allocator of its own.
    pub foreign: u64,
    pub resident: Resident,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: &'static str,
    /// The part of the server; none for the whole process.
    pub place: String,
    pub bytes: i64,
    /// How many of them there are, where that is counted.
    pub items: u64,
}

/// Numbers whose names begin so are bytes of a kind.
const MEMORY: &str = "memory_";

/// The kinds of the last rows.
pub const TOTALS: [&str; 7] =
    ["accounted", "allocator_overhead", "program", "stacks", "not_resident", "unexplained", "rss"];

/// A row for each kind of each part that has any of it, kinds together; then the totals.
pub fn lines(account: &Account<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for metric in METRICS {
        let Some(kind) = metric.name.strip_prefix(MEMORY) else { continue };
        for (place, counters) in account.parts {
            let bytes = counters.named(metric.name).unwrap_or_default();
            if bytes > 0 {
                let (place, items) = (place.clone(), items(kind, counters));
                lines.push(Line { kind, place, bytes: signed(bytes), items });
            }
        }
    }
    let accounted: i64 = lines.iter().map(|line| line.bytes).sum();
    lines.extend(totals(account, accounted));
    lines
}

fn totals(account: &Account<'_>, accounted: i64) -> [Line; 7] {
    let Account { heap: (heap, blocks), foreign, resident, .. } = *account;
    let (heap, foreign) = (signed(heap), signed(foreign));
    let overhead = signed(resident.heap) - heap - foreign;
    let not_resident = signed(resident.heap_resident) - signed(resident.heap);
    let amounts = [
        (accounted, blocks),
        (overhead, 0),
        (signed(resident.program), 0),
        (signed(resident.stacks), resident.threads),
        (not_resident, 0),
        (heap + foreign - accounted, 0),
        (signed(resident.all()), 0),
    ];
    let mut kinds = TOTALS.into_iter();
    amounts.map(|(bytes, items)| Line { kind: kinds.next().unwrap_or_default(), place: String::new(), bytes, items })
}

/// No process has half of all addresses.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn items(kind: &str, counters: &Counters) -> u64 {
    match kind {
        "connections" => counters.connections + counters.sessions,
        "polls" => counters.polled,
        "sessions" => counters.sessions,
        "tls" => counters.sessions_tls,
        "storage_waiting" => counters.storage_queue + counters.storage_waiting,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_add_up() {
        let (mut shard, mut storage) = (Counters::default(), Counters::default());
        (shard.memory_hub, shard.memory_polls, shard.polled, shard.connections) = (100, 20, 2, 7);
        storage.memory_storage = 50;
        let parts = [("browsers-0".to_owned(), shard), ("storage".to_owned(), storage)];
        let resident = Resident { program: 1_000, stacks: 60, threads: 3, heap: 400, heap_resident: 310 };
        let lines = lines(&Account { parts: &parts, heap: (125, 9), foreign: 50, resident });
        let row = |kind: &str| {
            let line = lines.iter().find(|line| line.kind == kind).expect("a row");
            (line.place.as_str(), line.bytes, line.items)
        };
        assert_eq!(row("hub"), ("browsers-0", 100, 0));
        assert_eq!(row("polls"), ("browsers-0", 20, 2));
        assert_eq!(row("storage"), ("storage", 50, 0));
        assert_eq!(row("accounted"), ("", 170, 9));
        assert_eq!(row("allocator_overhead"), ("", 225, 0));
        assert_eq!(row("stacks"), ("", 60, 3));
        assert_eq!(row("not_resident"), ("", -90, 0));
        assert_eq!(row("unexplained"), ("", 5, 0));
        assert_eq!(row("rss"), ("", 1_370, 0));
        let last: Vec<_> = lines.iter().rev().take(7).rev().collect();
        assert_eq!(last.iter().map(|line| line.kind).collect::<Vec<_>>(), TOTALS);
        assert_eq!(last[..6].iter().map(|line| line.bytes).sum::<i64>(), last[6].bytes);
    }

    #[test]
    fn a_kind_that_nobody_has_is_not_shown() {
        let parts = [("browsers-0".to_owned(), Counters::default())];
        let account = Account { parts: &parts, heap: (0, 0), foreign: 0, resident: Resident::default() };
        assert_eq!(lines(&account).len(), TOTALS.len());
    }
}
