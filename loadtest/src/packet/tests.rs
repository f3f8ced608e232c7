use super::*;
use proptest::prelude::*;

fn greeting_bytes() -> Vec<u8> {
    let mut bytes = b"\x0a8.0-x\0\x07\0\0\0saltsalt\0\xff\xff\x21\x02\0\x0f\xc0\x15".to_vec();
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(b"moresaltmore\0mysql_native_password\0");
    bytes
}

#[test]
fn a_greeting() {
    let greeting = Greeting::parse(&greeting_bytes()).unwrap();
    assert_eq!(greeting.version, "8.0-x");
    assert_eq!((greeting.connection_id, greeting.capabilities), (7, 0xC00F_FFFF));
    assert_eq!((greeting.character_set, greeting.status), (33, 2));
    assert_eq!(greeting.salt, b"saltsaltmoresaltmore");
    assert_eq!(greeting.plugin, "mysql_native_password");
    for cut in 0..greeting_bytes().len() - "mysql_native_password\0".len() {
        assert!(Greeting::parse(&greeting_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_native_token() {
    // Computed with Python: sha1(pw) ^ sha1(salt + sha1(sha1(pw))).
    let token = native_token("0000", b"saltsaltmoresaltmore");
    assert_eq!(format!("{token:02x?}").replace(", ", ""), "[dcd57b7b25f99333b33e30415549b14c0d5a209e]");
    assert_eq!(native_token("", b"saltsaltmoresaltmore"), b"");
}

#[test]
fn ok_and_error() {
    let check = |bytes: &[u8], expected: Result<(u64, u64, u16), PacketError>| {
        assert_eq!(parse_ok(bytes).map(|ok| (ok.affected, ok.insert_id, ok.status)), expected);
    };
    check(b"\0\0\0\x02\0\0\0", Ok((0, 0, 2)));
    check(b"\0\x01\xfc\x00\x01\x02\0\0\0", Ok((1, 256, 2)));
    check(b"\0\xfd\x01\0\x01\xfe\0\0\0\0\0\0\0\x01\x02\0\0\0", Ok((0x01_0001, 1 << 56, 2)));
    check(b"\0\0\0", Err(PacketError::Short("OK packet")));
    check(b"\x01\0\0\x02\0", Err(PacketError::Unexpected("OK packet")));

    let error = parse_error(b"\xff\x0d\0#HY000no").unwrap();
    assert_eq!((error.code, error.sqlstate.as_str(), error.text.as_str()), (13, "HY000", "no"));
    let error = parse_error(b"\xff\x0d\0no").unwrap();
    assert_eq!((error.code, error.sqlstate.as_str(), error.text.as_str()), (13, "", "no"));
    assert_eq!(parse_error(b"\xff\x0d\0#HY"), Err(PacketError::Short("error packet")));
}

#[test]
fn columns_and_rows() {
    assert_eq!(parse_column_name(b"\x03def\0\0\0\x05users\0\x0c").unwrap(), "users");
    let row = |bytes: &[u8], columns| parse_row(bytes, columns);
    assert_eq!(row(b"\x01a\xfb\0", 3), Ok(vec![Some("a".into()), None, Some(String::new())]));
    assert_eq!(row(b"\x01a", 2), Err(PacketError::Short("value")));
    assert_eq!(row(b"\x01a\x01b", 1), Err(PacketError::Unexpected("row of the announced columns")));
    assert_eq!(row(b"\x01\xff", 1), Err(PacketError::NotUtf8("value")));
    assert_eq!(row(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 1), Err(PacketError::Short("value")));
}

#[test]
fn plugin_requests() {
    let request = b"\xfemysql_native_password\0saltsaltmoresaltmore\0";
    assert_eq!(switch_payload(request, "0000"), Ok(native_token("0000", b"saltsaltmoresaltmore")));
    assert!(switch_payload(b"\xfecaching_sha2_password\0saltsaltmoresaltmore\0", "0000").is_err());
}

#[test]
fn a_login_names_its_database() {
    let greeting = Greeting::parse(&greeting_bytes()).unwrap();
    let payload = login_payload(&greeting, "root", "0000", Some("CometQL_v1"));
    assert_eq!(&payload[..4], &0x8_a20d_u32.to_le_bytes());
    assert_eq!(&payload[32..38], b"root\0\x14");
    assert!(payload.ends_with(b"CometQL_v1\0mysql_native_password\0"));
}

#[test]
fn a_wrong_sequence_number_is_seen() {
    let mut reader = PacketReader::default();
    reader.push(b"\x01\0\0\x02a");
    assert_eq!(reader.next(&mut 1), Err(PacketError::Sequence { expected: 1, found: 2 }));
}

#[test]
fn a_payload_of_the_full_packet_size_is_continued() {
    let payload = vec![7; CONTINUED];
    let mut bytes = Vec::new();
    write_packets(&mut bytes, 255, &payload);
    assert_eq!(bytes.len(), CONTINUED + 8);
    let (mut reader, mut sequence) = (PacketReader::default(), 255);
    reader.push(&bytes);
    assert_eq!(reader.next(&mut sequence).unwrap().unwrap().len(), CONTINUED);
    assert_eq!(sequence, 1);
    assert!(reader.is_empty());
}

proptest! {
    #[test]
    fn packets_split_anywhere_are_the_same(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6),
                                           chunk in 1_usize..9) {
        let mut bytes = Vec::new();
        for (number, payload) in payloads.iter().enumerate() {
            write_packets(&mut bytes, number as u8, payload);
        }
        let (mut reader, mut sequence, mut found) = (PacketReader::default(), 0, Vec::new());
        for part in bytes.chunks(chunk) {
            reader.push(part);
            while let Some(payload) = reader.next(&mut sequence).unwrap() {
                found.push(payload);
            }
        }
        prop_assert_eq!(found, payloads);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn no_payload_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Greeting::parse(&bytes);
        let _ = parse_ok(&bytes);
        let _ = parse_error(&bytes);
        let _ = parse_column_name(&bytes);
        let _ = parse_row(&bytes, 3);
        let _ = switch_payload(&bytes, "x");
        let _ = eof_status(&bytes);
    }
}
