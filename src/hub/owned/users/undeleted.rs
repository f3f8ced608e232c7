//! Messages of queues that connections have taken, but storage did not delete. They are not for another connection.

use std::collections::{BTreeSet, HashMap};

use ahash::RandomState;

use crate::model::MessageId;
use crate::storage::StoredMessage;

use super::Who;

#[derive(Debug)]
pub(super) struct Undeleted {
    ids: HashMap<Who, BTreeSet<MessageId>, RandomState>,
    /// Of all users.
    count: usize,
}

/// Messages remembered; beyond, they may come twice.
const UNDELETED_MAX: usize = 100_000;

impl Undeleted {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { ids: HashMap::with_hasher(hasher), count: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.count * size_of::<MessageId>()
    }

    /// False: there is no room for so many.
    pub(super) fn add(&mut self, who: Who, ids: Vec<MessageId>) -> bool {
        if self.count + ids.len() > UNDELETED_MAX {
            return false;
        }
        let of_user = self.ids.entry(who).or_default();
        let before = of_user.len();
        of_user.extend(ids);
        self.count += of_user.len() - before;
        true
    }

    /// Takes out all of one user, for another try.
    pub(super) fn take(&mut self, who: Who) -> Option<Vec<MessageId>> {
        let ids = self.ids.remove(&who)?;
        self.count -= ids.len();
        Some(ids.into_iter().collect())
    }

    /// Some users of whom there are any.
    pub(super) fn users(&self) -> impl Iterator<Item = Who> {
        self.ids.keys().copied()
    }

    /// Leaves those out of a page of the user's queue.
    pub(super) fn leave_out(&self, who: Who, messages: &mut Vec<StoredMessage>) {
        if let Some(taken) = self.ids.get(&who) {
            messages.retain(|message| !taken.contains(&message.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, Position, UserId};

    #[test]
    fn a_message_that_is_named_twice_counts_once() {
        let mut undeleted = Undeleted::new(RandomState::with_seed(1));
        let who = (DevId(1), UserId::new(7).unwrap());
        let id = |number| MessageId::new(Position(number), 0);
        assert!(undeleted.add(who, vec![id(1), id(2)]) && undeleted.add(who, vec![id(2), id(3)]));
        assert_eq!(undeleted.count, 3);
        assert!(!undeleted.add(who, (0..UNDELETED_MAX as u64).map(id).collect()));
        assert_eq!(undeleted.take(who), Some(vec![id(1), id(2), id(3)]));
        assert_eq!((undeleted.count, undeleted.is_empty()), (0, true));
    }
}
