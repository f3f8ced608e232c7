//! One `send` per item.

use rustix::io::{Errno, retry_on_intr};

use super::{Incomplete, Item, classify};

/// Sends the items from place `first` on.
pub(crate) fn send<S>(
    items: &[Item<'_, S>],
    first: usize,
    incomplete: &mut Vec<(usize, Incomplete)>,
    mut send: impl FnMut(&S, &[u8]) -> Result<usize, Errno>,
) {
    for (index, item) in items.iter().enumerate().skip(first) {
        match retry_on_intr(|| send(item.socket, item.bytes)) {
            Ok(taken) if taken < item.bytes.len() => incomplete.push((index, Incomplete::Short(taken))),
            Ok(_) => {}
            Err(errno) => incomplete.push((index, classify(errno))),
        }
    }
}
