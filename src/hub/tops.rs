//! The pipes with most publications and those with most subscribers, as the server's figures show them.

use std::sync::Arc;

use crate::model::PipeKey;

/// Pipes in each list.
pub const TOP_MAX: usize = 10;

/// A pipe and how many.
pub type Top = (Arc<PipeKey>, u64);

/// Each at most [`TOP_MAX`], most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tops {
    /// Of the pipes that this shard owns, publications since the last time.
    pub busiest: Vec<Top>,
    /// Subscribers on this shard. With more than 65,536 pipes a search takes several times.
    pub largest: Vec<Top>,
}

/// Puts a pipe into its place among those with most.
pub(super) fn put(top: &mut Vec<Top>, pipe: &Arc<PipeKey>, count: u64) {
    let place = top.partition_point(|(_, more)| *more >= count);
    if place < TOP_MAX {
        top.insert(place, (pipe.clone(), count));
        top.truncate(TOP_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, PipeName};

    fn pipe(number: usize) -> Arc<PipeKey> {
        Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(format!("pipe_{number}").as_bytes()).unwrap() })
    }

    #[test]
    fn the_largest_stay_in_order() {
        let mut top = Vec::new();
        for (number, count) in [3, 9, 1, 9, 4, 0, 8, 7, 2, 5, 6, 10].into_iter().enumerate() {
            put(&mut top, &pipe(number), count);
        }
        let counts: Vec<u64> = top.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [10, 9, 9, 8, 7, 6, 5, 4, 3, 2]);
    }
}
