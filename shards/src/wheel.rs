//! The lazy timer wheel: lists of places to be looked at, by tick.
//!
//! The wheel knows neither connections nor deadlines. A place is put into the slot of a tick; when that tick has
//! passed, the place comes out and its owner decides whether it is due or is looked at again later. So activity on a
//! connection costs one store into its entry and nothing here, and an expiry costs one visit per interval.
//!
//! Four bytes per listed place, plus the slack of the slot's vector.

/// Slots of the wheel. What lies further ahead is put into the last slot and visited early, which is harmless.
pub(crate) const SLOTS: u64 = 1024;

#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    /// One bit per slot that holds anything.
    occupied: [u64; (SLOTS / 64) as usize],
    /// The last tick whose slot was taken.
    now: u64,
    /// Capacity of all slots, in places.
    capacity: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; (SLOTS / 64) as usize],
            now: 0,
            capacity: 0,
        }
    }

    /// The last tick that has passed.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// What a listed place takes.
    pub(crate) const PLACE_BYTES: usize = size_of::<u32>();

    /// The furthest that a place can be put ahead.
    pub(crate) const AHEAD_MAX: u64 = SLOTS - 1;

    /// Puts `place` into the slot `ahead` ticks from now, clamped to 1 to [`AHEAD_MAX`](Self::AHEAD_MAX).
    pub(crate) fn insert(&mut self, place: u32, ahead: u64) {
        let slot = ((self.now + ahead.clamp(1, Self::AHEAD_MAX)) % SLOTS) as usize;
        let list = &mut self.slots[slot];
        let before = list.capacity();
        list.push(place);
        self.capacity += list.capacity() - before;
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    /// The next slot with anything in it at or before `tick`, as its tick and its places; `now` moves to it. `None`:
    /// nothing more, and `now` is `tick`.
    pub(crate) fn take_until(&mut self, tick: u64) -> Option<(u64, Vec<u32>)> {
        match self.ticks_to_next() {
            Some(ahead) if self.now + ahead <= tick => {
                self.now += ahead;
                let slot = (self.now % SLOTS) as usize;
                self.occupied[slot / 64] &= !(1 << (slot % 64));
                let list = std::mem::take(&mut self.slots[slot]);
                self.capacity -= list.capacity();
                Some((self.now, list))
            }
            _ => {
                self.now = self.now.max(tick);
                None
            }
        }
    }

    /// Moves an empty wheel to `tick`; one with anything in it stays where it is.
    pub(crate) fn skip_to(&mut self, tick: u64) {
        if self.ticks_to_next().is_none() {
            self.now = self.now.max(tick);
        }
    }

    /// Ticks from now to the next slot with anything in it: 1 to [`SLOTS`].
    pub(crate) fn ticks_to_next(&self) -> Option<u64> {
        let first = (self.now + 1) % SLOTS;
        let words = self.occupied.len();
        let (word, bit) = ((first / 64) as usize, first % 64);
        // The first word is looked at twice: its upper bits first, its lower ones after all the others.
        for step in 0..=words {
            let index = (word + step) % words;
            let mask = match step {
                0 => u64::MAX << bit,
                _ if step == words => !(u64::MAX << bit),
                _ => u64::MAX,
            };
            let bits = self.occupied[index] & mask;
            if bits != 0 {
                let slot = index as u64 * 64 + u64::from(bits.trailing_zeros());
                return Some((slot + SLOTS - first) % SLOTS + 1);
            }
        }
        None
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Vec<u32>>() + self.capacity * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests;
