//! A list that nearly always has one entry, which then stands in place: every user has such lists, and a block on the heap
//! for each would take more than what is in it.

use std::ops::{Deref, DerefMut};

#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    #[expect(clippy::box_collection, reason = "a Vec in line would make every list larger")]
    Many(Box<Vec<T>>),
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, item: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(item),
            Self::One(first) => Self::Many(Box::new(vec![first, item])),
            Self::Many(mut list) => {
                list.push(item);
                Self::Many(list)
            }
        };
    }

    /// The others keep their order.
    pub(super) fn remove(&mut self, place: usize) {
        *self = match std::mem::take(self) {
            Self::Many(mut list) => {
                list.remove(place);
                let last = if list.len() == 1 { list.pop() } else { None };
                last.map_or(Self::Many(list), Self::One)
            }
            Self::None | Self::One(_) => Self::None,
        };
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(list) => list,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(item) => std::slice::from_mut(item),
            Self::Many(list) => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_few_is_a_list() {
        let mut few = Few::default();
        let mut model: Vec<u32> = Vec::new();
        for step in 0..1_000_u32 {
            let place = (step * 7 % 11) as usize;
            if place < model.len() && step % 3 > 0 {
                few.remove(place);
                model.remove(place);
            } else if model.len() < 6 {
                few.push(step);
                model.push(step);
            }
            few.iter_mut().chain(model.iter_mut()).for_each(|item| *item += 1);
            assert_eq!(*few, *model);
            assert!(matches!((&few, model.len()), (Few::None, 0) | (Few::One(_), 1) | (Few::Many(_), 2..)));
        }
    }
}
