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

/// What is refused in the end is not collected first: twelve sessions held 788 MiB that way.
#[test]
fn what_is_too_long_for_its_command_is_dropped_as_it_comes() {
    let limits = Limits { query_max: 100_000, long_data_max: 80_000, ..limits() };
    let long = vec![b'x'; 2_000_000];
    let long_data: Vec<u8> = [1, 0, 0, 0, 0, 0].into_iter().chain(long.iter().copied()).collect();
    let refused = Command::Refused(command::BODY_TOO_LONG);
    for (code, body, expected) in [
        (0x03, long.clone(), Command::TooLong),
        (0x16, long.clone(), Command::TooLong),
        (0x18, long_data, Command::LongData { statement: 1, parameter: 0 }),
        (0x0e, long.clone(), refused.clone()),
        (0x11, long.clone(), refused.clone()),
        (0xfa, vec![b'x'; FULL + 5], refused),
    ] {
        for piece in [50_000, 3_000_000] {
            let mut connection = ready();
            connection.add_statement(&limits, 1).unwrap();
            let mut input = client::command(code, &body);
            input.extend(client::command(0x0e, b""));
            let mut seen = Vec::new();
            let mut unread = Vec::new();
            for piece in input.chunks(piece) {
                unread.extend_from_slice(piece);
                while let Some((used, event)) = connection.next(&limits, &unread).unwrap() {
                    if let Event::Command { command, .. } = event {
                        seen.push(format!("{command:?}"));
                    }
                    unread.drain(..used);
                    assert!(connection.held_bytes() <= 1_000, "{code}: {} bytes", connection.held_bytes());
                }
            }
            assert_eq!(seen, [format!("{expected:?}"), format!("{:?}", Command::Ping)], "{code}");
        }
    }
}

/// An execution may be longer than a query; one whose long data was too long is refused.
#[test]
fn executions_are_collected_and_lost_data_is_told() {
    let limits = Limits { query_max: 100_000, long_data_max: 80_000, ..limits() };
    let mut connection = ready();
    connection.add_statement(&limits, 1).unwrap();
    let text = vec![b'x'; 300_000];
    let mut body = vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfd, 0, 0xfd];
    body.extend(&text.len().to_le_bytes()[..3]);
    body.extend(&text);
    let execute = client::command(0x17, &body);
    let Command::Execute(execution) = command_of(&mut connection, &limits, &execute) else { panic!() };
    assert_eq!(execution.parameters().collect::<Vec<_>>(), [Parameter::Bytes(&text)]);

    let mut piece = vec![1, 0, 0, 0, 0, 0];
    piece.extend(vec![b'x'; 90_000]);
    for arrived in client::command(0x18, &piece).chunks(70_000) {
        while connection.next(&limits, arrived).unwrap().is_none() {}
    }
    let Command::Refused(refusal) = command_of(&mut connection, &limits, &execute) else { panic!() };
    assert_eq!(refusal.code, 11);
}

#[test]
fn sessions_are_small() {
    assert!(size_of::<Connection>() <= 64, "{} bytes", size_of::<Connection>());
}
