//! What must hold for all bytes: pieces do not matter, nothing panics, caps hold, values survive.

use proptest::prelude::*;

use super::*;
use client::Bound;

/// A whole dialogue: login with a switch of the method, then commands of all kinds.
fn dialogue() -> Vec<u8> {
    let name = Some(b"caching_sha2_password".as_slice());
    let flags = client::FLAGS | client::LENGTH_ENCODED | client::ATTRIBUTES | client::MULTI;
    let bound = [Bound::new(0x8003, &[1, 2, 3, 4]), Bound::null(0xfd), Bound::text(b"abc")];
    let change = b"2\0\0db_2\0\x2d\0caching_sha2_password\0";
    [
        client::packet(1, &client::login(flags, b"root", b"", Some(b"db_2"), name)),
        client::packet(3, &hex(SHA2_RESPONSE)),
        client::command(0x03, b"SELECT 1"),
        client::command(0x16, b"SELECT ?, ?, ?"),
        client::long_data(1, 2, b"some"),
        client::long_data(1, 2, b""),
        client::command(0x17, &client::execute(1, &bound[..2], true)),
        client::command(0x17, &client::execute(1, &bound, true)),
        client::command(0x17, &client::execute(1, &bound, false)),
        client::command(0x1a, &[1, 0, 0, 0]),
        client::command(0x19, &[1, 0, 0, 0]),
        client::command(0x0e, b""),
        client::command(0x1b, &[1, 0]),
        client::command(0x11, change),
        client::packet(2, &hex(SHA2_RESPONSE)),
        client::command(0x1f, b""),
        client::packet(0, b""),
        client::command(200, b"what"),
        client::command(0x02, b"db_3"),
        client::command(0x01, b""),
        client::command(0x0e, b"never read"),
    ]
    .concat()
}

/// Like [`drive`], with a statement of three parameters open from the first command on.
fn drive_prepared<P: AsRef<[u8]>>(limits: &Limits, pieces: impl IntoIterator<Item = P>) -> Vec<String> {
    let mut connection = greeted(ServerSettings::default());
    let mut pieces = pieces.into_iter();
    let mut seen = Vec::new();
    let mut unread = Vec::new();
    while !seen.iter().any(|event: &String| event.contains("AuthSwitchResponse")) {
        let Some(piece) = pieces.next() else { return seen };
        unread.extend_from_slice(piece.as_ref());
        while let Some((used, event)) = connection.next(limits, &unread).unwrap() {
            seen.push(format!("{event:?}"));
            let verdict = match event {
                Event::Login(login) => connection.verdict(&login, PASSWORD),
                Event::AuthSwitchResponse(auth) => connection.verdict_after_switch(auth, PASSWORD),
                other => panic!("{other:?}"),
            };
            obey(&mut connection, Some(verdict));
            unread.drain(..used);
            if seen.len() == 2 {
                break;
            }
        }
    }
    connection.add_statement(limits, 3).unwrap();
    let rest = std::iter::once(unread).chain(pieces.map(|piece| piece.as_ref().to_vec()));
    seen.extend(drive(&mut connection, limits, rest));
    seen
}

#[test]
fn pieces_do_not_matter() {
    let input = dialogue();
    let whole = drive_prepared(&limits(), [input.as_slice()]);
    assert_eq!(whole.len(), 20, "{whole:#?}");
    assert!(whole[6].contains("Refused") && whole[7].contains("Execute") && whole[8].contains("Execute"));
    assert!(whole[19].contains("Quit"));
    for place in 0..=input.len() {
        let (first, second) = input.split_at(place);
        assert_eq!(drive_prepared(&limits(), [first, second]), whole, "split at {place}");
    }
    assert_eq!(drive_prepared(&limits(), input.chunks(1)), whole);
}

fn pieces(input: &[u8], places: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(input.len() + 1)).collect();
    places.sort_unstable();
    let mut start = 0;
    let mut out = Vec::new();
    for end in places.into_iter().chain([input.len()]) {
        out.push(input[start..end].to_vec());
        start = end;
    }
    out
}

/// A payload that is nearly a command: a known or random first byte, then small numbers and random bytes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![4 => 0_u8..0x20, 1 => any::<u8>(), 4 => 0x16_u8..=0x1a];
    let byte = prop_oneof![3 => 0_u8..4, 1 => any::<u8>(), 1 => 0xf9_u8..];
    (code, prop::collection::vec(byte, 0..60)).prop_map(|(code, mut body)| {
        if (0x17..=0x1a).contains(&code) && body.len() > 4 {
            body[1..4].fill(0);
        }
        body.insert(0, code);
        body
    })
}

fn bound() -> impl Strategy<Value = (Bound, String)> {
    let integer = any::<[u8; 8]>();
    prop_oneof![
        Just((Bound::null(0xfd), "Null".to_owned())),
        integer.prop_map(|bytes| (Bound::new(0x08, &bytes), format!("Signed({})", i64::from_le_bytes(bytes)))),
        integer.prop_map(|bytes| (Bound::new(0x8008, &bytes), format!("Unsigned({})", u64::from_le_bytes(bytes)))),
        any::<[u8; 2]>().prop_map(|bytes| (Bound::new(0x02, &bytes), format!("Signed({})", i16::from_le_bytes(bytes)))),
        any::<f64>().prop_map(|value| (Bound::new(0x05, &value.to_le_bytes()), format!("Double({value:?})"))),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|text| (Bound::text(&text), format!("{:?}", Parameter::Bytes(&text)))),
        (0_u16..10_000, 0_u8..13, 0_u8..32).prop_map(|(year, month, day)| {
            let [low, high] = year.to_le_bytes();
            (Bound::new(0x0a, &[4, low, high, month, day]), format!("Temporal(\"{year:04}-{month:02}-{day:02}\")"))
        }),
    ]
}

/// What a client would make of a row's field.
fn field(payload: &mut &[u8]) -> Option<Vec<u8>> {
    let first = payload[0];
    *payload = &payload[1..];
    let width = match first {
        0xfb => return None,
        0xfc => 2,
        0xfd => 3,
        _ => 0,
    };
    let mut length = usize::from(first);
    if width > 0 {
        length = payload[..width].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        *payload = &payload[width..];
    }
    let (value, rest) = payload.split_at(length);
    *payload = rest;
    Some(value.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_before_login(input in prop::collection::vec(any::<u8>(), 0..200), places in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let pieces = pieces(&input, &places);
        let small = Limits { packet_before_login_max: 100, ..limits() };
        let seen = drive(&mut greeted(ServerSettings::default()), &small, &pieces);
        let whole = drive(&mut greeted(ServerSettings::default()), &small, [input.as_slice()]);
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn random_bytes_after_login(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let small = Limits { packet_max: 150, ..limits() };
        let mut connection = ready();
        drive(&mut connection, &small, input.chunks(7));
        prop_assert!(connection.held_bytes() <= small.packet_max);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_logins(flags in any::<u32>(), input in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..80)) {
        let payload = [flags.to_le_bytes().as_slice(), &[0; 28], &input].concat();
        let packet = client::packet(1, &payload);
        let settings = ServerSettings { tls: flags & 1 == 0, ..ServerSettings::default() };
        let mut connection = greeted(settings);
        let seen = drive(&mut connection, &limits(), [packet.as_slice()]);
        prop_assert_eq!(seen.len(), 1);
    }

    #[test]
    fn random_commands(
        payloads in prop::collection::vec(payload(), 1..8),
        parameters in 0_u16..4,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let input: Vec<u8> = payloads.iter().flat_map(|payload| client::packet(0, payload)).collect();
        let small = Limits { long_data_max: 150, packet_max: 1000, ..limits() };
        let run = |pieces: &[Vec<u8>]| {
            let mut connection = ready();
            for _ in 0..3 {
                connection.add_statement(&small, parameters).unwrap();
            }
            let seen = drive(&mut connection, &small, pieces);
            (seen, connection.held_bytes())
        };
        let (seen, held) = run(&pieces(&input, &places));
        prop_assert!(held <= small.long_data_max);
        prop_assert_eq!((seen, held), run(&[input]));
    }

    #[test]
    fn parameters_survive(bound in prop::collection::vec(bound(), 0..40), again in any::<bool>()) {
        let (bound, expected): (Vec<Bound>, Vec<String>) = bound.into_iter().unzip();
        let mut connection = ready();
        let id = connection.add_statement(&limits(), bound.len() as u16).unwrap();
        let mut packet = client::command(0x17, &client::execute(id, &bound, true));
        if again {
            command_of(&mut connection, &limits(), &packet);
            packet = client::command(0x17, &client::execute(id, &bound, false));
        }
        let Command::Execute(execute) = command_of(&mut connection, &limits(), &packet) else { panic!() };
        let values: Vec<String> = execute.parameters().map(|parameter| format!("{parameter:?}")).collect();
        prop_assert_eq!(values, expected);
    }

    #[test]
    fn rows_survive(rows in prop::collection::vec(prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), 5), 0..5)) {
        let columns: Vec<Column> = (0..5).map(|place| Column::new(place.to_string(), ColumnKind::Text)).collect();
        let connection = ready_with(client::FLAGS | client::DEPRECATE_EOF);
        let mut out = Vec::new();
        let mut writer = connection.reply(0, &mut out).start(&columns);
        for row in &rows {
            writer.row(row.iter().map(Option::as_ref));
        }
        let mut writer = writer.end(true).start_binary(&columns);
        for row in &rows {
            writer.row(row.iter().map(Option::as_ref));
        }
        writer.end(false);
        let packets = client::packets(&out);
        prop_assert_eq!(packets.len(), 2 * (1 + 5 + rows.len() + 1));
        let (text, binary) = packets.split_at(packets.len() / 2);
        for (place, row) in rows.iter().enumerate() {
            let mut payload = text[6 + place].1.as_slice();
            let read: Vec<Option<Vec<u8>>> = (0..5).map(|_| field(&mut payload)).collect();
            prop_assert_eq!(&read, row);
            prop_assert!(payload.is_empty());

            let mut payload = binary[6 + place].1.as_slice();
            prop_assert_eq!(payload[0], 0);
            let nulls = payload[1] >> 2;
            payload = &payload[2..];
            let read: Vec<Option<Vec<u8>>> =
                (0..5).map(|bit| if nulls >> bit & 1 == 1 { None } else { field(&mut payload) }).collect();
            prop_assert_eq!(&read, row);
            prop_assert!(payload.is_empty());
        }
    }
}
