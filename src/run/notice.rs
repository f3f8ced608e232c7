//! What the control thread tells all shards: the newest notice counts, and each shard takes it when it is woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where notices are put up. A copy is the same place.
#[derive(Debug)]
pub(super) struct Notice<T>(Arc<Place<T>>);

#[derive(Debug)]
struct Place<T> {
    /// How many were put up.
    number: AtomicU64,
    newest: Mutex<Option<Arc<T>>>,
}

impl<T> Clone for Notice<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Notice<T> {
    fn default() -> Self {
        Self(Arc::new(Place { number: AtomicU64::new(0), newest: Mutex::new(None) }))
    }
}

impl<T> Notice<T> {
    /// The shards must be woken afterwards.
    pub(super) fn put_up(&self, notice: Arc<T>) {
        let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(notice);
        self.0.number.fetch_add(1, Ordering::Release);
    }

    /// For one shard, which has seen nothing yet.
    pub(super) fn reader(&self) -> NoticeReader<T> {
        NoticeReader { notice: self.clone(), seen: 0 }
    }
}

/// A shard's view of it.
#[derive(Debug)]
pub(super) struct NoticeReader<T> {
    notice: Notice<T>,
    seen: u64,
}

impl<T> NoticeReader<T> {
    /// The newest, unless this shard has seen it. Costs one load where there is nothing new.
    pub(super) fn news(&mut self) -> Option<Arc<T>> {
        let number = self.notice.0.number.load(Ordering::Acquire);
        if number == self.seen {
            return None;
        }
        self.seen = number;
        self.notice.0.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_sees_the_newest_once() {
        let notice = Notice::default();
        let (mut left, mut right) = (notice.reader(), notice.reader());
        assert_eq!(left.news(), None);
        notice.put_up(Arc::new(1));
        assert_eq!((left.news().as_deref(), left.news()), (Some(&1), None));
        notice.put_up(Arc::new(2));
        notice.put_up(Arc::new(3));
        assert_eq!((left.news().as_deref(), left.news()), (Some(&3), None));
        assert_eq!((right.news().as_deref(), right.news()), (Some(&3), None));
    }
}
