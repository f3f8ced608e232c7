//! What all sessions hold of what their clients sent has one bound.

use super::*;

/// So many bytes of a packet that never comes to its end.
fn unfinished(command: u8, bytes: usize) -> Vec<u8> {
    let length = (bytes * 2).to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], 0, command];
    packet.resize(bytes, 0);
    packet
}

impl Bench {
    fn receive(&mut self, index: u32, input: &[u8]) {
        let mut rest = input;
        loop {
            let used = self.exec.receive(id(index), rest, NOW, &live).used;
            rest = &rest[used..];
            if used == 0 || rest.is_empty() {
                break;
            }
        }
        self.turn();
    }

    fn another(&mut self, index: u32) {
        self.exec.opened(id(index), Peer::Address(HERE), SALT);
        self.turn();
    }
}

/// Whoever fills the room pays for it, and nobody else.
#[test]
fn the_session_that_holds_most_ends_when_all_hold_too_much() {
    let mut bench = Bench::logged_in();
    bench.exec.config.kept_bytes_max = 1_000_000;
    // Those that have not logged in count as well.
    for index in 1..=10 {
        bench.another(index);
        bench.receive(index, &unfinished(0x01, 8_000));
    }
    assert_eq!(bench.exec.kept, 80_000);
    bench.receive(0, &unfinished(0x17, 800_000));
    assert!(bench.closed.is_empty());
    bench.another(11);
    bench.receive(11, &unfinished(0x01, 8_000));
    bench.unread.clear();
    bench.receive(0, &vec![0; 100_000]);
    assert_eq!(bench.closed, [(id(0), CloseReason::TooLarge)]);
    assert_eq!(bench.take(), ["error 11"]);
    assert_eq!(bench.exec.kept, 88_000);
    assert!(bench.exec.memory() < 100_000, "what it held is free at once");
    // A session that ends takes its share with it.
    bench.exec.closed(id(0));
    bench.exec.closed(id(11));
    assert_eq!(bench.exec.kept, 80_000);
    for index in 1..=10 {
        bench.exec.closed(id(index));
    }
    assert_eq!(bench.exec.kept, 0);
}

#[test]
fn long_data_counts_too() {
    let mut bench = Bench::logged_in();
    bench.packet(0, b"\x16SELECT ?");
    bench.take();
    let mut piece = vec![0x18, 1, 0, 0, 0, 0, 0];
    piece.extend([b'x'; 1_000]);
    bench.packet(0, &piece);
    assert!((1_000..2_000).contains(&bench.exec.kept));
    bench.exec.config.kept_bytes_max = 1_500;
    bench.packet(0, &piece);
    assert_eq!(bench.closed, [(id(0), CloseReason::TooLarge)]);
    assert_eq!(bench.take(), ["error 11"]);
    assert_eq!((bench.exec.kept, bench.exec.prepared), (0, 0));
}

/// Who prepares much leaves the others room for a few statements.
#[test]
fn prepared_statements_of_all_sessions_have_a_bound() {
    let mut bench = Bench::logged_in();
    bench.exec.prepared_bytes_max = 100_000;
    bench.another(1);
    bench.unread.clear();
    let statement = format!("\x16SELECT '{}'", "x".repeat(4_000));
    let mut prepared = 0;
    loop {
        bench.packet(0, statement.as_bytes());
        if bench.take() == ["error 1461"] {
            break;
        }
        prepared += 1;
    }
    assert!((8..=13).contains(&prepared), "{prepared}");
    // The other session has its share of what is full.
    let session = bench.exec.session(id(0)).unwrap();
    assert!(session.prepared_bytes() > 50_000);
    let other = bench.exec.take(id(1)).unwrap();
    assert!(bench.exec.has_room_for_prepared(&other, 40_000) && !bench.exec.has_room_for_prepared(&other, 60_000));
    bench.exec.put_back(other);
    // A statement that is closed makes room.
    bench.packet(0, &[0x19, 1, 0, 0, 0]);
    bench.packet(0, statement.as_bytes());
    assert_ne!(bench.take(), ["error 1461"]);
    bench.exec.closed(id(0));
    assert_eq!(bench.exec.prepared, 0);
}

/// A query of 64 MiB was collected before it was refused.
#[test]
fn a_query_that_is_too_long_is_not_held() {
    let mut bench = Bench::logged_in();
    bench.exec.config.packets.query_max = 10_000;
    let mut packet = vec![0, 0, 0x20, 0, 3];
    packet.resize(0x20_0000 + 4, b'x');
    for piece in packet.chunks(60_000) {
        bench.input.extend(piece);
        bench.feed();
        assert!(bench.exec.kept <= 70_000, "{}", bench.exec.kept);
    }
    assert_eq!(bench.take(), ["error 11"]);
    bench.check("SELECT 1", "rows 1: 1");
}
