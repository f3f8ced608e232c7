//! Prepared statements: parameters, their types, NULLs, long data, caps.

use super::*;
use client::Bound;

fn run(connection: &mut Connection, limits: &Limits, body: &[u8]) -> Result<Vec<String>, u16> {
    match command_of(connection, limits, &client::command(0x17, body)) {
        Command::Execute(execute) => Ok(execute.parameters().map(|parameter| format!("{parameter:?}")).collect()),
        Command::Refused(refusal) => Err(refusal.code),
        other => panic!("{other:?}"),
    }
}

/// One parameter's bytes and its meaning; `None` for an execution that is refused.
#[track_caller]
fn check(kind: u16, value: &str, expected: Option<&str>) {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 1).unwrap();
    let body = client::execute(id, &[Bound::new(kind, &hex(value))], true);
    let expected = expected.map_or(Err(1210), |text| Ok(vec![text.to_owned()]));
    assert_eq!(run(&mut connection, &limits(), &body), expected);
}

#[test]
fn integers_and_fractions() {
    check(0x0001, "ff", Some("Signed(-1)"));
    check(0x8001, "ff", Some("Unsigned(255)"));
    check(0x0002, "0080", Some("Signed(-32768)"));
    check(0x8002, "0080", Some("Unsigned(32768)"));
    check(0x000d, "e807", Some("Signed(2024)"));
    check(0x0003, "ffffffff", Some("Signed(-1)"));
    check(0x0009, "01000000", Some("Signed(1)"));
    check(0x8003, "ffffffff", Some("Unsigned(4294967295)"));
    check(0x0008, "0000000000000080", Some("Signed(-9223372036854775808)"));
    check(0x8008, "ffffffffffffffff", Some("Unsigned(18446744073709551615)"));
    check(0x0004, "0000c03f", Some("Float(1.5)"));
    check(0x0005, "000000000000f8bf", Some("Double(-1.5)"));
    check(0x0006, "", Some("Null"));
    for (kind, short) in [(1, ""), (2, "00"), (3, "000000"), (8, "00000000000000"), (4, "000000"), (5, "00")] {
        check(kind, short, None);
    }
}

#[test]
fn texts() {
    for kind in [0x00, 0x0f, 0x10, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
        check(kind, "02 61ff", Some("Bytes([97, 255])"));
        check(kind, "00", Some("Bytes([])"));
        check(kind, "fc 0200 6162", Some("Bytes([97, 98])"));
        check(kind, "fd 010000 61", Some("Bytes([97])"));
        check(kind, "fe 0100000000000000 61", Some("Bytes([97])"));
        for malformed in ["", "03 6162", "fb", "ff", "fc 02", "fe ffffffffffffffff 61"] {
            check(kind, malformed, None);
        }
    }
    for unknown in [0x0e, 0x11, 0x7f, 0xf4] {
        check(unknown, "00", None);
    }
}

#[test]
fn dates_and_times() {
    let temporal = |text: &str| Some(format!("Temporal({text:?})"));
    for (kind, value, expected) in [
        (0x0a, "00", temporal("0000-00-00")),
        (0x0a, "04 e807 01 1f", temporal("2024-01-31")),
        (0x0a, "07 e807 01 1f 010203", temporal("2024-01-31")),
        (0x0c, "00", temporal("0000-00-00 00:00:00")),
        (0x0c, "04 e807 01 1f", temporal("2024-01-31 00:00:00")),
        (0x07, "07 e807 01 1f 17 3b 3b", temporal("2024-01-31 23:59:59")),
        (0x0c, "0b 0f27 0c 1f 17 3b 3b 3f420f00", temporal("9999-12-31 23:59:59.999999")),
        (0x0b, "00", temporal("00:00:00")),
        (0x0b, "08 00 00000000 01 02 03", temporal("01:02:03")),
        (0x0b, "0c 01 22000000 16 3b 3b 01000000", temporal("-838:59:59.000001")),
        (0x0c, "0b 1027 0c 1f 17 3b 3b 3f420f00", None),
        (0x0c, "0b 0f27 0d 1f 17 3b 3b 3f420f00", None),
        (0x0c, "0b 0f27 0c 20 17 3b 3b 3f420f00", None),
        (0x0c, "0b 0f27 0c 1f 18 3b 3b 3f420f00", None),
        (0x0c, "0b 0f27 0c 1f 17 3c 3b 3f420f00", None),
        (0x0c, "0b 0f27 0c 1f 17 3b 3c 3f420f00", None),
        (0x0c, "0b 0f27 0c 1f 17 3b 3b 40420f00", None),
        (0x0c, "05 e807 01 1f 00", None),
        (0x0c, "07 e807 01 1f 17 3b", None),
        (0x0c, "", None),
        (0x0b, "08 02 00000000 01 02 03", None),
        (0x0b, "08 00 22000000 17 00 00", None),
        (0x0b, "08 00 ffffffff 17 00 00", None),
        (0x0b, "07 00 00000000 01 02", None),
    ] {
        check(kind, value, expected.as_deref());
    }
}

#[test]
fn nulls_are_found_by_their_bits() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 17).unwrap();
    for null in 0..17 {
        let mut bound: Vec<Bound> = (0..17).map(|place| Bound::new(0x01, &[place])).collect();
        bound[null] = Bound::null(0x01);
        let values = run(&mut connection, &limits(), &client::execute(id, &bound, true)).unwrap();
        for (place, value) in values.iter().enumerate() {
            assert_eq!(*value, if place == null { "Null".into() } else { format!("Signed({place})") });
        }
    }
}

#[test]
fn types_are_used_again() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 2).unwrap();
    let bound = [Bound::new(0x8001, &[200]), Bound::text(b"a")];
    let again = client::execute(id, &bound, false);
    assert_eq!(run(&mut connection, &limits(), &again), Err(1210), "none were ever bound");
    let expected = Ok(vec!["Unsigned(200)".to_owned(), "Bytes([97])".to_owned()]);
    assert_eq!(run(&mut connection, &limits(), &client::execute(id, &bound, true)), expected);
    assert_eq!(run(&mut connection, &limits(), &again), expected);
    let signed = [Bound::new(0x0001, &[200]), Bound::text(b"a")];
    let expected = Ok(vec!["Signed(-56)".to_owned(), "Bytes([97])".to_owned()]);
    assert_eq!(run(&mut connection, &limits(), &client::execute(id, &signed, true)), expected);
    assert_eq!(run(&mut connection, &limits(), &again), expected);
    assert_eq!(connection.held_bytes(), 4, "two types");
}

#[test]
fn every_cut_of_an_execution_is_refused() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 3).unwrap();
    let bound = [Bound::new(0x01, &[1]), Bound::null(0xfd), Bound::text(b"abc")];
    let body = client::execute(id, &bound, true);
    for end in 0..body.len() {
        assert_eq!(run(&mut connection, &limits(), &body[..end]), Err(1210), "{end}");
    }
    assert_eq!(run(&mut connection, &limits(), &body).unwrap().len(), 3);
}

#[test]
fn statements_without_parameters() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 0).unwrap();
    assert_eq!(run(&mut connection, &limits(), &client::execute(id, &[], true)), Ok(vec![]));
    assert_eq!(connection.held_bytes(), 0);
}

#[test]
fn an_execution_can_outlive_its_bytes() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 1).unwrap();
    let packet = client::command(0x17, &client::execute(id, &[Bound::text(b"abc")], true));
    let Command::Execute(execute) = command_of(&mut connection, &limits(), &packet) else { panic!() };
    assert_eq!(execute.statement, id);
    let execute = execute.into_owned();
    drop(packet);
    assert_eq!(execute.parameters().collect::<Vec<_>>(), [Parameter::Bytes(b"abc")]);
}

#[test]
fn ids_differ_and_end_with_their_statement() {
    let mut connection = ready();
    let first = connection.add_statement(&limits(), 0).unwrap();
    let second = connection.add_statement(&limits(), 0).unwrap();
    assert_eq!((first, second), (1, 2));
    let close = |id: u32| client::command(0x19, &id.to_le_bytes());
    command_of(&mut connection, &limits(), &close(first));
    command_of(&mut connection, &limits(), &close(77));
    assert_eq!(run(&mut connection, &limits(), &client::execute(first, &[], false)), Err(1243));
    assert_eq!(run(&mut connection, &limits(), &client::execute(second, &[], false)), Ok(vec![]));
    let reset = |id: u32| client::command(0x1a, &id.to_le_bytes());
    assert_eq!(command_of(&mut connection, &limits(), &reset(second)), Command::ResetStatement(second));
    let packet = reset(first);
    let refused = command_of(&mut connection, &limits(), &packet);
    assert!(matches!(refused, Command::Refused(Refusal { code: 1243, .. })));
    command_of(&mut connection, &limits(), &client::command(0x1f, b""));
    assert_eq!(run(&mut connection, &limits(), &client::execute(second, &[], false)), Err(1243));
}

#[test]
fn statements_are_capped() {
    let small = Limits { statements_max: 3, ..limits() };
    let mut connection = ready();
    let ids: Vec<u32> = (0..3).map(|_| connection.add_statement(&small, 0).unwrap()).collect();
    assert_eq!(connection.add_statement(&small, 0), None);
    command_of(&mut connection, &small, &client::command(0x19, &ids[1].to_le_bytes()));
    assert_eq!(connection.add_statement(&small, 0), Some(4));
    assert_eq!(ready().add_statement(&Limits { statements_max: 0, ..limits() }, 0), None);
}

/// Whether drivers mark such a parameter as NULL or not, its value is not among the values.
#[test]
fn long_data_is_joined_and_used_once() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 3).unwrap();
    for absent in [Bound::null(0xfc), Bound::new(0xfc, b"")] {
        let bound = [Bound::new(0x01, &[1]), absent, Bound::text(b"z")];
        for piece in ["ab", "", "c"] {
            let packet = client::long_data(id, 1, piece.as_bytes());
            let command = command_of(&mut connection, &limits(), &packet);
            assert_eq!(command, Command::LongData { statement: id, parameter: 1 });
        }
        let body = client::execute(id, &bound, true);
        let expected = Ok(vec!["Signed(1)".into(), "Bytes([97, 98, 99])".into(), "Bytes([122])".into()]);
        assert_eq!(run(&mut connection, &limits(), &body), expected);
        assert_eq!(connection.held_bytes(), 6, "only the types");
    }
    let null = client::execute(id, &[Bound::new(0x01, &[1]), Bound::null(0xfc), Bound::text(b"z")], true);
    assert_eq!(run(&mut connection, &limits(), &null).unwrap()[1], "Null", "it was used up");
}

#[test]
fn long_data_that_names_nothing_is_ignored() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 1).unwrap();
    for (statement, parameter) in [(id, 1), (id, u16::MAX), (id + 1, 0), (0, 0)] {
        command_of(&mut connection, &limits(), &client::long_data(statement, parameter, &[0; 1000]));
        assert_eq!(connection.held_bytes(), 0);
    }
}

#[test]
fn resetting_and_closing_free_long_data() {
    let mut connection = ready();
    let id = connection.add_statement(&limits(), 1).unwrap();
    for end in [0x1a, 0x19] {
        command_of(&mut connection, &limits(), &client::long_data(id, 0, &[0; 1000]));
        assert!(connection.held_bytes() >= 1000);
        command_of(&mut connection, &limits(), &client::command(end, &id.to_le_bytes()));
        assert_eq!(connection.held_bytes(), 0);
    }
}

#[test]
fn long_data_is_capped_for_all_statements_together() {
    let small = Limits { long_data_max: 1000, ..limits() };
    let mut connection = ready();
    let first = connection.add_statement(&small, 2).unwrap();
    let second = connection.add_statement(&small, 2).unwrap();
    let bound = [Bound::null(0xfc), Bound::null(0xfc)];
    command_of(&mut connection, &small, &client::long_data(first, 0, &[0; 500]));
    for _ in 0..100 {
        command_of(&mut connection, &small, &client::long_data(second, 0, &[0; 7]));
        assert!(connection.held_bytes() <= 1000);
    }
    let body = client::execute(second, &bound, true);
    assert_eq!(run(&mut connection, &small, &body), Err(11));
    assert_eq!(run(&mut connection, &small, &body), Ok(vec!["Null".into(), "Null".into()]), "the session goes on");
    assert_eq!(run(&mut connection, &small, &client::execute(first, &bound, true)).unwrap()[1], "Null");
    assert_eq!(connection.held_bytes(), 8);
}

/// Pieces without bytes and types are charged as well.
#[test]
fn nothing_is_free() {
    let small = Limits { long_data_max: 1000, ..limits() };
    let mut connection = ready();
    let id = connection.add_statement(&small, 600).unwrap();
    for parameter in 0..600 {
        command_of(&mut connection, &small, &client::long_data(id, parameter, b""));
        assert!(connection.held_bytes() <= 1000);
    }
    let bound = vec![Bound::null(0xfc); 600];
    let body = client::execute(id, &bound, true);
    assert_eq!(run(&mut connection, &small, &body), Err(11), "long data was lost");
    assert_eq!(run(&mut connection, &small, &body), Err(11), "1,200 bytes of types");
    assert_eq!(connection.held_bytes(), 0);
}
