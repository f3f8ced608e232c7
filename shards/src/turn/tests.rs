use super::{Order, Steps};

/// A host that one piece of work fills, and that is free again every other turn.
#[derive(Default)]
struct Flooded {
    held: bool,
    turns: usize,
    from_sockets: usize,
    from_messages: usize,
    /// Turns at the start in which the rings have no room.
    without_room: usize,
}

impl Steps for Flooded {
    fn begin(&mut self) {
        self.turns += 1;
        self.held = self.turns.is_multiple_of(2);
    }

    fn take_from_sockets(&mut self) {
        if self.has_room() {
            self.from_sockets += 1;
            self.held = true;
        }
    }

    fn take_messages(&mut self) {
        self.from_messages += usize::from(!std::mem::replace(&mut self.held, true));
    }

    fn has_room(&mut self) -> bool {
        !self.held && self.turns > self.without_room
    }

    fn may_receive(&self) -> bool {
        !self.held
    }

    fn end(&mut self) {}
}

#[test]
fn neither_sockets_nor_messages_keep_the_other_out() {
    let (mut order, mut flooded) = (Order::default(), Flooded::default());
    for _ in 0..40 {
        order.turn(&mut flooded);
    }
    assert_eq!((flooded.from_sockets, flooded.from_messages), (10, 10));
}

#[test]
fn sockets_that_could_not_be_read_stay_first() {
    let (mut order, mut flooded) = (Order::default(), Flooded { without_room: 10, ..Flooded::default() });
    for _ in 0..11 {
        order.turn(&mut flooded);
    }
    assert_eq!((flooded.from_sockets, flooded.from_messages), (1, 5));
}

/// A host that is never held. Whatever it does fills the rings, and there is room again in the next turn.
#[derive(Default)]
struct Narrow {
    has_room: bool,
    from_sockets: usize,
    from_messages: usize,
}

impl Steps for Narrow {
    fn begin(&mut self) {
        self.has_room = true;
    }

    fn take_from_sockets(&mut self) {
        self.from_sockets += usize::from(std::mem::take(&mut self.has_room));
    }

    fn take_messages(&mut self) {
        self.from_messages += usize::from(std::mem::take(&mut self.has_room));
    }

    fn has_room(&mut self) -> bool {
        self.has_room
    }

    fn may_receive(&self) -> bool {
        self.has_room
    }

    fn end(&mut self) {}
}

#[test]
fn whoever_fills_the_rings_does_not_stay_first() {
    for messages_first in [false, true] {
        let (mut order, mut narrow) = (Order { messages_first }, Narrow::default());
        for _ in 0..10 {
            order.turn(&mut narrow);
        }
        assert_eq!((narrow.from_sockets, narrow.from_messages), (5, 5));
    }
}
