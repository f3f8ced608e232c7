//! The last warnings and errors, for the dashboard.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Lines that are kept; bytes of each.
const KEPT_MAX: usize = 50;
const KEPT_BYTES_MAX: usize = 1000;

/// How many there were, and the last ones. Only the log's thread writes here, so nobody who logs waits for a reader.
static KEPT: Mutex<(u64, VecDeque<String>)> = Mutex::new((0, VecDeque::new()));

/// How many warnings and errors there were since the start, and the last of them as they were written, the oldest first.
pub(in crate::run) fn warnings() -> (u64, Vec<String>) {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    (kept.0, kept.1.iter().cloned().collect())
}

pub(in crate::run) fn warnings_count() -> u64 {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).0
}

pub(super) fn bytes() -> usize {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.1.iter().map(String::capacity).sum::<usize>() + kept.1.capacity() * size_of::<String>()
}

pub(super) fn keep(line: &[u8]) {
    add(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner), line);
}

/// One more of those that are kept already.
pub(super) fn count() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
}

fn add(kept: &mut (u64, VecDeque<String>), line: &[u8]) {
    let text = String::from_utf8_lossy(line.get(..KEPT_BYTES_MAX).unwrap_or(line)).trim_end().to_owned();
    kept.0 += 1;
    if kept.1.len() >= KEPT_MAX {
        kept.1.pop_front();
    }
    kept.1.push_back(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_no_more() {
        let mut kept = (0, VecDeque::new());
        for number in 0..KEPT_MAX + 2 {
            add(&mut kept, format!("{number} {}\n", "x".repeat(2 * KEPT_BYTES_MAX)).as_bytes());
        }
        assert_eq!((kept.0, kept.1.len()), (KEPT_MAX as u64 + 2, KEPT_MAX));
        assert!(kept.1[0].starts_with("2 x") && kept.1.iter().all(|line| line.len() == KEPT_BYTES_MAX));
    }
}
