//! What there is for each connection, by its place: chunks that never move, so that growing copies nothing and nothing is
//! hashed on the way to a connection. Connections without a socket have places of their own far behind the others.

use std::ops::Range;

use crate::model::ConnId;

const CHUNK: usize = 1024;

#[derive(Debug)]
pub(super) struct Places<T> {
    /// Those of the shard's slab.
    near: Vec<Box<[T]>>,
    /// Those from [`ConnId::POLLED_FIRST`] on.
    far: Vec<Box<[T]>>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { near: Vec::new(), far: Vec::new() }
    }
}

impl<T: Default> Places<T> {
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (chunks, place) = match index.checked_sub(ConnId::POLLED_FIRST) {
            None => (&self.near, index as usize),
            Some(place) => (&self.far, place as usize),
        };
        chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (chunks, place) = self.part_of(index);
        chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    /// The place, with all that it takes to have it.
    pub(super) fn reach(&mut self, index: u32) -> Option<&mut T> {
        let (chunks, place) = self.part_of(index);
        while chunks.len() <= place / CHUNK {
            chunks.push((0..CHUNK).map(|_| T::default()).collect());
        }
        self.get_mut(index)
    }

    fn part_of(&mut self, index: u32) -> (&mut Vec<Box<[T]>>, usize) {
        match index.checked_sub(ConnId::POLLED_FIRST) {
            None => (&mut self.near, index as usize),
            Some(place) => (&mut self.far, place as usize),
        }
    }

    /// All places from this one on.
    pub(super) fn indices_from(&self, first: u32) -> impl Iterator<Item = u32> + use<T> {
        let of = |begin: u32, chunks: &Vec<Box<[T]>>| -> Range<u32> {
            first.max(begin)..begin + (chunks.len() * CHUNK) as u32
        };
        of(0, &self.near).chain(of(ConnId::POLLED_FIRST, &self.far))
    }

    pub(super) fn bytes(&self) -> usize {
        (self.near.len() + self.far.len()) * CHUNK * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, ConnId, Places};

    #[test]
    fn far_places_cost_nothing_in_between() {
        let mut places = Places::<u32>::default();
        let far = ConnId::POLLED_FIRST;
        for index in [0, 5000, far, far + 1] {
            assert_eq!(places.get(index).copied().unwrap_or(0), 0);
            *places.reach(index).unwrap() = index + 1;
        }
        for index in [0, 5000, far, far + 1] {
            assert_eq!(places.get(index), Some(&(index + 1)));
        }
        assert_eq!(places.bytes(), 6 * CHUNK * 4);
        let all: Vec<u32> = places.indices_from(5119).collect();
        assert_eq!((all.first(), all.get(1), all.len()), (Some(&5119), Some(&far), 1 + CHUNK));
        assert_eq!(places.indices_from(far + 1023).collect::<Vec<_>>(), [far + 1023]);
    }
}
