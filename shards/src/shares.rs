//! What many hold together, counted once: by the address of the bytes, which is theirs alone while anybody holds them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::host::SharedBytes;

/// Shared bytes, and how many of one kind of holders each has.
#[derive(Debug, Default)]
pub struct Shares {
    holders: HashMap<usize, usize, BuildHasherDefault<OfAddresses>>,
    bytes: usize,
}

impl Shares {
    /// One more holds these.
    pub fn take(&mut self, bytes: &SharedBytes) {
        let holders = self.holders.entry(address(bytes)).or_default();
        *holders += 1;
        if *holders == 1 {
            self.bytes += bytes.len();
        }
    }

    /// One less holds these; to be said before it lets them go.
    pub fn give(&mut self, bytes: &SharedBytes) {
        let Some(holders) = self.holders.get_mut(&address(bytes)) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.holders.remove(&address(bytes));
            self.bytes -= bytes.len();
            if self.holders.is_empty() {
                self.holders = HashMap::default();
            }
        }
    }

    /// Of all of them, and of the list.
    pub fn bytes(&self) -> usize {
        self.bytes + self.holders.capacity() * size_of::<(usize, usize)>() * 8 / 7
    }
}

fn address(bytes: &SharedBytes) -> usize {
    bytes.as_ptr().addr()
}

/// Addresses differ where they are multiplied; nobody chooses them.
#[derive(Default)]
struct OfAddresses(u64);

impl Hasher for OfAddresses {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_hold_is_counted_once() {
        let (first, second): (SharedBytes, SharedBytes) = (vec![1; 1000].into(), vec![2; 500].into());
        let mut shares = Shares::default();
        (0..100).for_each(|_| shares.take(&first));
        shares.take(&second);
        assert_eq!(shares.bytes, 1500);
        (0..99).for_each(|_| shares.give(&first));
        assert_eq!(shares.bytes, 1500);
        shares.give(&first);
        assert_eq!(shares.bytes, 500);
        shares.give(&first);
        shares.give(&second);
        assert_eq!((shares.bytes(), shares.holders.len()), (0, 0));
    }
}
