//! One `send` per item.

use rustix::io::Errno;

use super::{Incomplete, Item, classify, send_flags};

/// Sends the items from place `first` on.
pub(super) fn send(items: &[Item<'_>], first: usize, incomplete: &mut Vec<(usize, Incomplete)>) {
    for (index, item) in items.iter().enumerate().skip(first) {
        match rustix::io::retry_on_intr(|| rustix::net::send(item.socket, item.bytes, send_flags())) {
            Ok(taken) if taken < item.bytes.len() => incomplete.push((index, Incomplete::Short(taken))),
            Ok(_) => {}
            Err(Errno::AGAIN) => incomplete.push((index, Incomplete::Short(0))),
            Err(errno) => incomplete.push((index, classify(errno))),
        }
    }
}
