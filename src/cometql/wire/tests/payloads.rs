//! Payloads of one packet, of several, in pieces, and too long.

use super::*;
use crate::model::CloseReason;

const FULL: usize = 0xff_ffff;

/// A query of this many bytes, sent in pieces, arrives whole, with the number of its last packet.
#[track_caller]
fn check(length: usize, piece: usize) {
    let text: Vec<u8> = (0..length).map(|place| (place / 251) as u8).collect();
    let packet = client::command(0x03, &text);
    let mut input = packet.clone();
    input.extend(client::command(0x0e, b""));
    let mut connection = ready();
    let mut unread = Vec::new();
    let mut arrived = 0;
    let sequence = loop {
        assert!(arrived < input.len());
        let end = (arrived + piece).min(input.len());
        unread.extend_from_slice(&input[arrived..end]);
        arrived = end;
        if let Some((used, event)) = connection.next(&limits(), &unread).unwrap() {
            let done = match event {
                Event::Partial => None,
                Event::Command { sequence, command: Command::Query(query) } => {
                    assert!(query == text);
                    Some(sequence)
                }
                other => panic!("{other:?}"),
            };
            unread.drain(..used);
            if let Some(sequence) = done {
                break sequence;
            }
        }
        assert!(unread.len() <= BORROWED_MAX + 4);
        assert!(connection.held_bytes() <= limits().packet_max);
    };
    assert_eq!(usize::from(sequence), (length + 1) / FULL);
    assert_eq!(connection.held_bytes(), 0);
    unread.extend_from_slice(&input[arrived..]);
    assert_eq!(command_of(&mut connection, &limits(), &unread), Command::Ping);
}

#[test]
fn pieces() {
    for length in [0, 1, 1000, BORROWED_MAX - 2, BORROWED_MAX - 1, BORROWED_MAX, BORROWED_MAX + 1, 300_000] {
        for piece in [1999, 16_384] {
            check(length, piece);
        }
    }
}

#[test]
fn several_packets() {
    for length in [FULL - 2, FULL - 1, FULL, 2 * FULL - 1, 2 * FULL + 5] {
        check(length, 65_536);
    }
}

/// A payload that is whole in one packet is lent, however long.
#[test]
fn a_whole_packet_is_not_copied() {
    let packet = client::command(0x03, &vec![b'x'; 200_000]);
    let mut connection = ready();
    let Command::Query(std::borrow::Cow::Borrowed(text)) = command_of(&mut connection, &limits(), &packet) else {
        panic!()
    };
    assert_eq!(text.len(), 200_000);
}

#[test]
fn a_long_payload_with_a_small_command_is_refused() {
    let packet = client::command(0x0e, &vec![0; FULL + 10]);
    let mut connection = ready();
    let command = command_of(&mut connection, &limits(), &packet);
    assert_eq!(command, Command::Refused(command::BODY_TOO_LONG));
    assert_eq!(connection.held_bytes(), 0);
}

#[test]
fn payloads_above_the_cap_are_fatal_by_their_header() {
    let small = Limits { packet_max: 1000, ..limits() };
    assert_eq!(ready().next(&small, &hex("e8 03 00 00")), Ok(None));
    let fatal = ready().next(&small, &hex("e9 03 00 05")).unwrap_err();
    assert_eq!((fatal.code, fatal.sequence, fatal.reason), (11, 5, CloseReason::TooLarge));

    // The second packet of a payload makes it too long.
    let mut limits = Limits { packet_max: FULL + 100, ..limits() };
    let packet = client::command(0x03, &vec![0; FULL + 100]);
    let mut connection = ready();
    let fatal = connection.next(&limits, &packet).unwrap_err();
    assert_eq!((fatal.code, fatal.sequence), (11, 1));
    assert_eq!(connection.held_bytes(), 0);
    limits.packet_max += 1;
    assert!(matches!(command_of(&mut ready(), &limits, &packet), Command::Query(text) if text.len() == FULL + 100));
}

#[test]
fn sessions_are_small() {
    assert!(size_of::<Connection>() <= 64, "{} bytes", size_of::<Connection>());
}
