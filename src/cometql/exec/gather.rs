//! Rows of live state, while owners and storage are still answering.

use std::collections::BTreeMap;

use crate::cometql::errors::Error;
use crate::cometql::plan::{ResultSet, RowQuery, rows_of_counts, rows_of_texts, rows_of_times};
use crate::hub::Replies;
use crate::model::{PipeKey, UserId};
use crate::storage::{Outcome, StorageError};

use super::session::storage_failure;

/// What a SELECT waits for.
#[derive(Debug)]
pub(super) struct Gather {
    rows: Rows,
    /// Owners and storage requests that have not answered yet.
    missing: usize,
    failure: Option<Error>,
    query: RowQuery,
}

#[derive(Debug)]
enum Rows {
    /// One per name asked for.
    Counts { keys: Vec<PipeKey>, counts: Vec<u32> },
    /// One per user asked for; -1 until storage or an owner knows better.
    LastSeen { users: Vec<UserId>, times: Vec<i64>, online: Vec<bool> },
    /// Found ones only.
    Texts(Vec<(UserId, Box<str>)>),
}

impl Gather {
    pub(super) fn counts(keys: Vec<PipeKey>, owners: usize, query: RowQuery) -> Self {
        let counts = vec![0; keys.len()];
        Self { rows: Rows::Counts { keys, counts }, missing: owners, failure: None, query }
    }

    pub(super) fn last_seen(users: Vec<UserId>, owners: usize, query: RowQuery) -> Self {
        let rows = Rows::LastSeen { times: vec![-1; users.len()], online: vec![false; users.len()], users };
        // Storage answers as well.
        Self { rows, missing: owners + 1, failure: None, query }
    }

    pub(super) fn texts(query: RowQuery) -> Self {
        Self { rows: Rows::Texts(Vec::new()), missing: 1, failure: None, query }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// An owner's answer about the keys in these places.
    pub(super) fn answered(&mut self, places: &[usize], replies: &Replies) {
        self.missing = self.missing.saturating_sub(1);
        match (&mut self.rows, replies) {
            (Rows::Counts { counts, .. }, Replies::Counts(told)) => place(counts, places, told),
            (Rows::LastSeen { online, .. }, Replies::Online(told)) => place(online, places, told),
            _ => {}
        }
    }

    pub(super) fn stored(&mut self, result: Result<Outcome, StorageError>) {
        self.missing = self.missing.saturating_sub(1);
        match (&mut self.rows, result) {
            (Rows::Texts(rows), Ok(Outcome::Texts(found))) => *rows = found,
            (Rows::LastSeen { users, times, .. }, Ok(Outcome::Times(found))) => {
                let found: BTreeMap<UserId, i64> = found.into_iter().collect();
                for (user, time) in users.iter().zip(times) {
                    // A stored 0 is what a crash left behind: nobody knows.
                    *time = found.get(user).copied().filter(|seen| *seen > 0).unwrap_or(-1);
                }
            }
            (_, Err(error)) => self.failure = Some(storage_failure(&error)),
            (_, Ok(_)) => {}
        }
    }

    /// The rows in their table's declared columns, through the statement's conditions and columns.
    pub(super) fn finish(self) -> Result<ResultSet, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let rows = match self.rows {
            Rows::Counts { keys, counts } => {
                rows_of_counts(keys.into_iter().map(|key| key.name).zip(counts.into_iter().map(u64::from)))
            }
            Rows::LastSeen { users, times, online } => {
                let times = times.into_iter().zip(online).map(|(time, online)| if online { 0 } else { time });
                rows_of_times(users.into_iter().zip(times))
            }
            Rows::Texts(found) => rows_of_texts(found),
        };
        self.query.apply(rows)
    }
}

fn place<T: Copy>(into: &mut [T], places: &[usize], values: &[T]) {
    for (place, value) in places.iter().zip(values) {
        if let Some(slot) = into.get_mut(*place) {
            *slot = *value;
        }
    }
}
