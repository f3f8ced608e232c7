//! The ledger's thread: what the system says of this process takes it milliseconds to find out, and nobody waits for that but
//! those who asked.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use shards::Waker;

use crate::cometql::rows::Row;
use crate::http;
use crate::ledger::{self, Account, Resident};
use crate::ring::AskId;

use super::board::Board;
use super::log;
use super::process::page_size;
use super::storage::AnswersOnTheirWay;

/// The end of the shard of CometQL. Sessions ask one thing at a time, so no more wait than there are sessions.
pub(super) struct LedgerClient {
    asks: Sender<AskId>,
    answers: Receiver<(AskId, Vec<Row>)>,
}

impl LedgerClient {
    /// Without a thread: nobody answers.
    pub(super) fn nowhere() -> Self {
        Self { asks: unbounded().0, answers: unbounded().1 }
    }

    /// False: the thread has ended.
    pub(super) fn ask(&self, id: AskId) -> bool {
        self.asks.send(id).is_ok()
    }

    pub(super) fn poll(&self) -> Option<(AskId, Vec<Row>)> {
        self.answers.try_recv().ok()
    }
}

/// The thread ends when the client has gone.
pub(super) fn start(board: Board, answers: AnswersOnTheirWay, asker: Option<Waker>) -> std::io::Result<LedgerClient> {
    let (asks, asked) = unbounded();
    let (tell, told) = unbounded();
    let look = move || {
        loop {
            let first = asked.recv_timeout(LOOK_INTERVAL);
            note(&board, &answers);
            match first {
                // All who wait by now are told the same.
                Ok(first) => {
                    let rows = rows(&board);
                    let mut waiting = std::iter::once(first).chain(asked.try_iter());
                    if waiting.any(|id| tell.send((id, rows.clone())).is_err()) {
                        return;
                    }
                    asker.iter().for_each(Waker::wake);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    Builder::new().name("ledger".to_owned()).spawn(look)?;
    Ok(LedgerClient { asks, answers: told })
}

/// How often the board is told what is nobody's.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

fn note(board: &Board, answers: &AnswersOnTheirWay) {
    board.of_process(|process| {
        process.memory_storage = shards::sqlite_bytes() as u64;
        process.memory_completions = answers.bytes() as u64;
        process.memory_figures = log::bytes();
        process.memory_pages = http::made_bytes() as u64;
    });
}

/// `kind`, `shard`, `bytes`, `items`.
fn rows(board: &Board) -> Vec<Row> {
    let lines = ledger::lines(&Account {
        parts: &board.parts(),
        heap: heap(),
        foreign: shards::sqlite_bytes() as u64,
        resident: resident(),
    });
    let row = |line: ledger::Line| -> Row {
        [line.kind, &line.place, &line.bytes.to_string(), &line.items.to_string()].map(Box::from).into()
    };
    lines.into_iter().map(row).collect()
}

fn heap() -> (u64, u64) {
    let heap = shards::heap();
    (heap.bytes as u64, heap.blocks as u64)
}

fn resident() -> Resident {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let stacks: Vec<u64> = shards::stacks().into_iter().map(|address| address as u64).collect();
    let pages = File::open("/proc/self/pagemap").ok();
    ledger::resident(&ledger::regions(&smaps), &stacks, &mut |range| present(pages.as_ref()?, range))
}

/// Bytes of the pages in this range that are in memory.
fn present(pages: &File, range: Range<u64>) -> Option<u64> {
    const ENTRY: u64 = size_of::<u64>() as u64;
    let page = page_size();
    let mut entries = vec![0; ((range.end - range.start) / page * ENTRY) as usize];
    pages.read_exact_at(&mut entries, range.start / page * ENTRY).ok()?;
    let (entries, _) = entries.as_chunks::<{ ENTRY as usize }>();
    // The highest bit says that the page is in memory.
    let present = entries.iter().filter(|entry| u64::from_ne_bytes(**entry) >> 63 == 1);
    Some(present.count() as u64 * page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::storage;

    #[test]
    fn the_process_is_looked_at() {
        let resident = resident();
        assert!(resident.program > 1_000_000 && resident.stacks > 8_192 && resident.threads > 1, "{resident:?}");
        assert!(resident.heap >= resident.heap_resident && resident.heap_resident > 100_000, "{resident:?}");
        let (bytes, blocks) = heap();
        assert!(bytes > 10_000 && blocks > 10);
        let block = vec![1_u8; 64 << 20];
        assert!(self::resident().heap_resident >= resident.heap_resident + (32 << 20));
        drop(block);
    }

    #[test]
    fn whoever_asks_is_told() {
        let (setup, _clients) = storage::channels(3, 10);
        let board = Board::new(2);
        note(&board, &setup.answers.watched());
        let rows = rows(&board);
        let kinds: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
        assert_eq!(kinds[kinds.len() - 7..], ledger::TOTALS);
        let bytes = |kind: &str| rows.iter().find(|row| &*row[0] == kind).and_then(|row| row[2].parse::<i64>().ok());
        let sum = ledger::TOTALS[..6].iter().filter_map(|kind| bytes(kind)).sum::<i64>();
        assert_eq!(bytes("rss"), Some(sum));
    }
}
