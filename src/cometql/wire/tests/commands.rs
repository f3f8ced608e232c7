//! What each command's bytes mean.

use super::*;

#[track_caller]
fn check(code: u8, body: &[u8], expected: Command<'_>) {
    let mut connection = ready();
    let packet = client::packet(9, &[&[code], body].concat());
    for end in 0..packet.len() {
        assert_eq!(connection.next(&limits(), &packet[..end]), Ok(None));
    }
    let event = Event::Command { sequence: 9, command: expected };
    assert_eq!(connection.next(&limits(), &packet), Ok(Some((packet.len(), event))));
}

#[test]
fn commands() {
    const MALFORMED: Command<'_> = Command::Refused(command::MALFORMED);
    check(0x01, b"", Command::Quit);
    check(0x02, b"db_2", Command::InitDatabase(b"db_2"));
    check(0x02, b"db_2\0", Command::InitDatabase(b"db_2"));
    check(0x02, b"", Command::InitDatabase(b""));
    check(0x03, b"SELECT '\xff\0'", Command::Query(b"SELECT '\xff\0'".into()));
    check(0x03, b"", Command::Query(b"".into()));
    check(0x04, b"pipes\0%", Command::FieldList { table: b"pipes", wildcard: b"%" });
    check(0x04, b"pipes\0", Command::FieldList { table: b"pipes", wildcard: b"" });
    check(0x04, b"pipes", Command::FieldList { table: b"pipes", wildcard: b"" });
    check(0x09, b"", Command::Statistics);
    check(0x0a, b"", Command::Query(b"SHOW PROCESSLIST".into()));
    check(0x0c, &[1, 2, 3, 4], Command::KillProcess(0x0403_0201));
    check(0x0c, &[1, 2, 3], MALFORMED);
    check(0x0d, b"", Command::Debug);
    check(0x0e, b"", Command::Ping);
    check(0x16, b"SELECT ?", Command::Prepare(b"SELECT ?".into()));
    check(0x18, &[1, 0, 0, 0, 2, 0, 3], Command::LongData { statement: 1, parameter: 2 });
    check(0x18, &[1, 0, 0, 0, 2], Command::LongData { statement: 0, parameter: 0 });
    check(0x19, &[5, 0, 0, 0], Command::CloseStatement(5));
    check(0x19, &[5, 0, 0], MALFORMED);
    check(0x1a, &[5, 0, 0], MALFORMED);
    check(0x1b, &[0, 0], Command::SetOption(0));
    check(0x1b, &[1, 0], Command::SetOption(1));
    check(0x1b, &[2, 0], Command::Refused(command::UNKNOWN_OPTION));
    check(0x1b, &[2], MALFORMED);
    check(0x1c, &[5, 0, 0, 0, 9, 0, 0, 0], Command::Fetch { statement: 5, rows: 9 });
    check(0x1c, &[5, 0, 0, 0, 9, 0, 0], MALFORMED);
    check(0x1f, b"", Command::ResetConnection);
    for unknown in [0x00, 0x05, 0x06, 0x07, 0x08, 0x0b, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x15, 0x1d, 0x1e, 0x20, 200, 255]
    {
        check(unknown, b"abc", Command::Unknown(unknown));
    }
}

#[test]
fn an_empty_payload_is_malformed() {
    let command = Command::Refused(command::MALFORMED);
    let input = hex("00 00 00 03");
    assert_eq!(ready().next(&limits(), &input), Ok(Some((4, Event::Command { sequence: 3, command }))));
}

#[test]
fn nothing_is_read_after_quit() {
    let input = [client::command(0x01, b""), client::command(0x0e, b"")].concat();
    let mut connection = ready();
    assert!(matches!(connection.next(&limits(), &input), Ok(Some((5, _)))));
    assert_eq!(connection.next(&limits(), &input[5..]), Ok(None));
}

#[test]
fn pipelined_commands_keep_their_order_and_numbers() {
    let input: Vec<u8> = (0..=255).flat_map(|number| client::packet(number, &[0x03, number])).collect();
    let mut connection = ready();
    let mut rest = input.as_slice();
    for number in 0..=255 {
        let (used, event) = connection.next(&limits(), rest).unwrap().unwrap();
        let command = Command::Query(vec![number].into());
        assert_eq!(event, Event::Command { sequence: number, command });
        rest = &rest[used..];
    }
    assert!(rest.is_empty());
}

#[test]
fn multi_statements_follow_the_login_and_the_option() {
    let mut connection = ready();
    assert!(!connection.multi_statements());
    for (option, expected) in [(0, true), (2, true), (1, false)] {
        command_of(&mut connection, &limits(), &client::command(0x1b, &[option, 0]));
        assert_eq!(connection.multi_statements(), expected);
    }
    assert!(ready_with(client::FLAGS | client::MULTI).multi_statements());
}

#[test]
fn small_commands_have_small_bodies() {
    let mut connection = ready();
    for (length, refused) in [(16 * 1024, false), (16 * 1024 + 1, true), (100_000, true)] {
        for code in [0x02, 0x04, 0x0e, 0x11] {
            let body = [vec![b'a'; 3], vec![0; length - 3]].concat();
            let packet = client::command(code, &body);
            let command = command_of(&mut connection, &limits(), &packet);
            assert_eq!(command == Command::Refused(command::BODY_TOO_LONG), refused, "{code} {length}");
            if let Command::ChangeUser(_) = command {
                connection.accept(Method::Native, &mut Vec::new());
            }
        }
    }
}
