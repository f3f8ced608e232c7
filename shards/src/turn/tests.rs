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
            self.from_sockets += usize::from(!std::mem::replace(&mut self.held, true));
        }
    }

    fn take_messages(&mut self) {
        self.from_messages += usize::from(!std::mem::replace(&mut self.held, true));
    }

    fn is_held(&self) -> bool {
        self.held
    }

    fn has_room(&mut self) -> bool {
        self.turns > self.without_room
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
