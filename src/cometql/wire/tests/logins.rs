//! Greeting, responses, switching, TLS, changing the user.

use super::*;
use crate::model::CloseReason;

#[test]
fn salts_hold_no_nul_no_dollar_and_no_high_byte() {
    for start in 0..=u8::MAX {
        let salt = Salt::from_random(std::array::from_fn(|place| start.wrapping_add(place as u8)));
        assert!(salt.bytes().iter().all(|byte| (1..=127).contains(byte) && *byte != b'$'));
    }
    let all: std::collections::BTreeSet<u8> =
        (0..=u8::MAX).map(|byte| Salt::from_random([byte; 20]).bytes()[0]).collect();
    assert_eq!(all.len(), 126, "every allowed byte is possible");
}

#[test]
fn greeting() {
    let mut out = Vec::new();
    let settings = ServerSettings { version: "8.0.36-Encke\0cut", method: Method::CachingSha2, tls: true };
    Connection::new(0x0102_0304, salt()).greeting(&settings, &mut out);
    let expected = [
        hex("50 00 00 00 0a").as_slice(),
        b"8.0.36-Encke\0",
        &hex("04 03 02 01"),
        &hex("01 02 03 04 05 06 07 08 00"),
        // 0xaa0d: the flags are LONG_PASSWORD, LONG_FLAG, CONNECT_WITH_DB, 41, SSL, TRANSACTIONS, SECURE_CONNECTION.
        &hex("0d aa 2d 02 00"),
        // 0x013b: MULTI_STATEMENTS, MULTI_RESULTS, PLUGIN_AUTH, CONNECT_ATTRS, LENENC_CLIENT_DATA, DEPRECATE_EOF.
        &hex("3b 01 15 00 00 00 00 00 00 00 00 00 00"),
        &hex("09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 00"),
        b"caching_sha2_password\0",
    ]
    .concat();
    assert_eq!(out, expected);

    out.clear();
    Connection::new(1, salt()).greeting(&ServerSettings::default(), &mut out);
    let version = out[5..].split(|byte| *byte == 0).next().unwrap();
    assert_eq!(version, SERVER_VERSION.as_bytes());
    assert!(version[0].is_ascii_digit());
    assert_eq!(out[5 + version.len() + 1 + 4 + 9 + 1] & 0x08, 0, "no TLS");
    assert!(out.ends_with(b"mysql_native_password\0"));
}

#[test]
fn nothing_is_read_before_the_greeting() {
    let mut connection = Connection::new(1, salt());
    assert_eq!(connection.next(&limits(), &client::command(1, b"")), Ok(None));
}

/// What a response to the greeting is worth, when this method was advertised.
#[track_caller]
fn check(advertised: Method, payload: &[u8], expected: Verdict) {
    let mut connection = greeted(ServerSettings { method: advertised, ..ServerSettings::default() });
    let packet = client::packet(1, payload);
    let (used, event) = connection.next(&limits(), &packet).unwrap().unwrap();
    assert_eq!(used, packet.len());
    let Event::Login(login) = event else { panic!("{event:?}") };
    assert_eq!(connection.verdict(&login, PASSWORD), expected);
}

#[test]
fn verdicts() {
    use Method::{CachingSha2, Native};
    use client::{FLAGS, LENGTH_ENCODED, login};
    let native = hex(NATIVE_RESPONSE);
    let sha2 = hex(SHA2_RESPONSE);
    let native_name = Some(b"mysql_native_password".as_slice());
    let sha2_name = Some(b"caching_sha2_password".as_slice());

    for advertised in [Native, CachingSha2] {
        for flags in [FLAGS, FLAGS | LENGTH_ENCODED] {
            check(advertised, &login(flags, b"1", &native, None, native_name), Verdict::Accepted(Native));
            check(advertised, &login(flags, b"1", &sha2, None, sha2_name), Verdict::Accepted(CachingSha2));
            check(advertised, &login(flags, b"1", &native, None, None), Verdict::Accepted(Native));
            check(advertised, &login(flags, b"1", &[7; 20], None, native_name), Verdict::Wrong);
            check(advertised, &login(flags, b"1", &[7; 32], None, sha2_name), Verdict::Wrong);
            check(advertised, &login(flags, b"1", &[1, 2, 3, 4, 5], None, native_name), Verdict::Wrong);
            check(advertised, &login(flags, b"1", &native[..19], None, None), Verdict::Wrong);
            check(advertised, &login(flags, b"1", b"", None, None), Verdict::Empty);
            check(advertised, &login(flags, b"1", &[0], None, sha2_name), Verdict::Empty);
        }
        // An unknown method, whatever its response looks like.
        let unknown = Some(b"client_ed25519".as_slice());
        check(advertised, &login(FLAGS, b"1", b"", None, unknown), Verdict::SwitchPlugin(Native));
        check(advertised, &login(FLAGS, b"1", &native, None, unknown), Verdict::SwitchPlugin(Native));
    }
    // A client of the other method waits for a salt of its own; one of the advertised method has no password.
    check(Native, &login(FLAGS, b"1", b"", None, sha2_name), Verdict::SwitchPlugin(CachingSha2));
    // Whoever tries one of MySQL's newer methods may have no older one.
    for newer in ["sha256_password", "authentication_webauthn_client", "mysql_clear_password"] {
        for advertised in [Native, CachingSha2] {
            let tried = login(FLAGS, b"1", b"whatever", None, Some(newer.as_bytes()));
            check(advertised, &tried, Verdict::SwitchPlugin(CachingSha2));
        }
    }
    check(Native, &login(FLAGS, b"1", b"", None, native_name), Verdict::Empty);
    check(CachingSha2, &login(FLAGS, b"1", b"", None, native_name), Verdict::SwitchPlugin(Native));
    check(CachingSha2, &login(FLAGS, b"1", b"", None, sha2_name), Verdict::Empty);
    // Without the flag for secure connections even the right bytes prove nothing.
    check(Native, &login(0x0200, b"1", &native, None, None), Verdict::Wrong);
    check(Native, &login(0x0200, b"1", b"", None, None), Verdict::Wrong);
    check(Native, &login(0x0200 | LENGTH_ENCODED, b"1", &native, None, None), Verdict::Wrong);
}

/// Whatever one bit of a right response or of the password is changed, it is refused.
#[test]
fn every_bit_counts() {
    let connection = greeted(ServerSettings::default());
    for (right, method) in [(NATIVE_RESPONSE, Method::Native), (SHA2_RESPONSE, Method::CachingSha2)] {
        let right = hex(right);
        assert_eq!(connection.verdict_after_switch(&right, PASSWORD), Verdict::Accepted(method));
        assert_eq!(connection.verdict_after_switch(&right, b"Secret"), Verdict::Wrong);
        assert_eq!(connection.verdict_after_switch(&right, b""), Verdict::Wrong);
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(connection.verdict_after_switch(&wrong, PASSWORD), Verdict::Wrong);
        }
    }
}

#[test]
fn fields_of_a_login() {
    use client::{ATTRIBUTES, FLAGS, LENGTH_ENCODED, WITH_DB};
    type Fields<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);
    #[track_caller]
    fn check(payload: &[u8], expected: Option<Fields<'_>>) {
        let mut connection = greeted(ServerSettings::default());
        let packet = client::packet(3, payload);
        match connection.next(&limits(), &packet) {
            Ok(Some((_, Event::Login(login)))) => {
                assert_eq!(Some((login.user, login.auth, login.database, login.plugin)), expected);
                assert_eq!(login.sequence, 3);
            }
            Err(fatal) => {
                assert_eq!(None, expected);
                assert_eq!((fatal.code, fatal.sequence, fatal.reason), (16, 3, CloseReason::ProtocolError));
            }
            other => panic!("{other:?}"),
        }
    }
    let name = b"mysql_native_password".as_slice();
    let all = client::login(FLAGS | ATTRIBUTES | LENGTH_ENCODED, b"root", b"abc", Some(b"db_2"), Some(name));
    check(&all, Some((b"root", b"abc", Some(b"db_2"), Some(name))));
    let database = client::login(FLAGS, b"1", b"abc", Some(b"CometQL_v1"), None);
    check(&database, Some((b"1", b"abc", Some(b"CometQL_v1"), None)));
    // The last string may lack its NUL; an empty name is none; a promised name may be missing.
    check(&database[..database.len() - 1], Some((b"1", b"abc", Some(b"CometQL_v1"), None)));
    check(&client::login(FLAGS, b"1", b"abc", Some(b""), None), Some((b"1", b"abc", None, None)));
    check(&client::login(FLAGS | WITH_DB, b"1", b"abc", None, None), Some((b"1", b"abc", None, None)));
    check(&client::login(FLAGS, b"", b"", None, None), Some((b"", b"", None, None)));
    // Up to the response everything must be there.
    let short = client::login(FLAGS, b"1", b"abc", None, None);
    for end in 0..short.len() {
        check(&short[..end], None);
    }
    check(&client::login(FLAGS | LENGTH_ENCODED, b"1", &[0; 9], None, None)[..41], None);
}

/// The probe of a load balancer that speaks the protocol before 4.1, with `COM_QUIT` in the same segment.
#[test]
fn old_probe() {
    let mut connection = greeted(ServerSettings::default());
    let mut input = client::packet(1, b"\x00\x80\x00\x00\x01haproxy_check\0\0");
    let length = input.len();
    input.extend(client::command(1, b""));
    let (used, event) = connection.next(&limits(), &input).unwrap().unwrap();
    let Event::Login(login) = event else { panic!("{event:?}") };
    assert_eq!((used, login.user, login.auth), (length, b"haproxy_check".as_slice(), b"".as_slice()));
    assert_eq!(connection.verdict(&login, PASSWORD), Verdict::Empty);
    assert_eq!(connection.next(&limits(), &input[used..]), Ok(None), "no command before the verdict");
    let mut out = Vec::new();
    connection.accept_unproved(&mut out);
    assert_eq!(out, hex("07 00 00 02 00 00 00 02 00 00 00"));
    assert_eq!(connection.add_statement(&limits(), 0), None);
    let quit = Event::Command { sequence: 0, command: Command::Quit };
    assert_eq!(connection.next(&limits(), &input[used..]), Ok(Some((5, quit))));

    let mut connection = greeted(ServerSettings::default());
    let packet = client::packet(1, b"\x00\x80\x00\x00\x01root\0abc\0");
    let Some((_, Event::Login(login))) = connection.next(&limits(), &packet).unwrap() else { panic!() };
    assert_eq!(connection.verdict(&login, PASSWORD), Verdict::Wrong);
    connection.refuse(16, "no", &mut out);
    assert!(out.ends_with(&hex("05 00 00 02 ff 10 00 6e 6f")), "an error without a state");
}

#[test]
fn an_unproved_session_keeps_the_small_cap() {
    let mut connection = greeted(ServerSettings::default());
    let login = client::packet(1, &client::login(client::FLAGS, b"haproxy_check", b"", None, None));
    assert!(matches!(connection.next(&limits(), &login), Ok(Some((_, Event::Login(_))))));
    connection.accept_unproved(&mut Vec::new());
    let fatal = connection.next(&limits(), &hex("01 40 00 00")).unwrap_err();
    assert_eq!((fatal.code, fatal.reason), (11, CloseReason::TooLarge));
}

#[test]
fn packets_before_login_are_capped_by_their_header() {
    let mut connection = greeted(ServerSettings::default());
    assert_eq!(connection.next(&limits(), &hex("00 40 00 01")), Ok(None));
    let fatal = connection.next(&limits(), &hex("01 40 00 01")).unwrap_err();
    assert_eq!((fatal.code, fatal.sequence, fatal.reason), (11, 1, CloseReason::TooLarge));
    assert_eq!(connection.next(&limits(), &hex("01 40 00 01")), Ok(None));
    let mut out = Vec::new();
    connection.refuse(fatal.code, fatal.text, &mut out);
    assert_eq!(out[3..7], hex("02 ff 0b 00"));
}

#[test]
fn accepting() {
    let ok = |sequence: u8| [hex("07 00 00").as_slice(), &[sequence], &hex("00 00 00 02 00 00 00")].concat();
    for (response, expected) in [(NATIVE_RESPONSE, ok(2)), (SHA2_RESPONSE, [hex("02 00 00 02 01 03"), ok(3)].concat())]
    {
        let mut connection = greeted(ServerSettings::default());
        let login = client::packet(1, &client::login(client::FLAGS, b"1", &hex(response), None, None));
        let Some((_, Event::Login(login))) = connection.next(&limits(), &login).unwrap() else { panic!() };
        let Verdict::Accepted(method) = connection.verdict(&login, PASSWORD) else { panic!() };
        let mut out = Vec::new();
        connection.accept(method, &mut out);
        assert_eq!(out, expected);
        let ping = client::command(0x0e, b"");
        assert_eq!(command_of(&mut connection, &limits(), &ping), Command::Ping);
    }
}

#[test]
fn switching_the_method() {
    let mut connection = greeted(ServerSettings::default());
    let name = Some(b"caching_sha2_password".as_slice());
    let login = client::packet(1, &client::login(client::FLAGS, b"1", b"", None, name));
    let Some((_, Event::Login(login))) = connection.next(&limits(), &login).unwrap() else { panic!() };
    let Verdict::SwitchPlugin(method) = connection.verdict(&login, PASSWORD) else { panic!() };
    let mut out = Vec::new();
    connection.switch_plugin(method, &mut out);
    let salt = hex("01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 00");
    assert_eq!(out, [hex("2c 00 00 02 fe").as_slice(), b"caching_sha2_password\0", &salt].concat());
    let response = client::packet(3, &hex(SHA2_RESPONSE));
    let (used, event) = connection.next(&limits(), &response).unwrap().unwrap();
    assert_eq!((used, event), (36, Event::AuthSwitchResponse(&hex(SHA2_RESPONSE))));
    assert_eq!(connection.verdict_after_switch(&hex(SHA2_RESPONSE), PASSWORD), Verdict::Accepted(Method::CachingSha2));
    out.clear();
    connection.accept(Method::CachingSha2, &mut out);
    assert_eq!(out, hex("02 00 00 04 01 03 07 00 00 05 00 00 00 02 00 00 00"));
    assert_eq!(connection.verdict_after_switch(b"", PASSWORD), Verdict::Empty);
    assert_eq!(connection.verdict_after_switch(b"\0", PASSWORD), Verdict::Empty);
}

#[test]
fn refusing() {
    let mut connection = greeted(ServerSettings::default());
    let login = client::packet(1, &client::login(client::FLAGS, b"1", b"", None, None));
    assert!(matches!(connection.next(&limits(), &login), Ok(Some((_, Event::Login(_))))));
    let mut out = Vec::new();
    connection.refuse(16, "no", &mut out);
    assert_eq!(out, [hex("0b 00 00 02 ff 10 00").as_slice(), b"#HY000no"].concat());
    assert_eq!(connection.next(&limits(), &client::command(0x0e, b"")), Ok(None));
}

#[test]
fn tls() {
    let settings = ServerSettings { tls: true, ..ServerSettings::default() };
    let mut connection = greeted(settings);
    // What follows in the same segment is the client's hello. Or a login that somebody slipped in: it is not read.
    let mut input = client::packet(1, &client::ssl_request());
    let login = client::packet(2, &client::login(client::FLAGS | client::SSL, b"1", b"", None, None));
    input.extend_from_slice(&login);
    assert_eq!(connection.next(&limits(), &input), Ok(Some((36, Event::Tls))));
    assert_eq!(connection.next(&limits(), &input[36..]), Ok(None));
    connection.tls_started();
    let (used, event) = connection.next(&limits(), &login).unwrap().unwrap();
    assert!(matches!(event, Event::Login(login) if login.sequence == 2));
    assert_eq!(used, login.len());
    let mut out = Vec::new();
    connection.accept_unproved(&mut out);
    assert_eq!(out[3], 3);
}

#[test]
fn tls_is_refused_where_it_is_not_offered_and_a_second_time() {
    let request = client::packet(1, &client::ssl_request());
    let fatal = greeted(ServerSettings::default()).next(&limits(), &request).unwrap_err();
    assert_eq!((fatal.code, fatal.reason), (16, CloseReason::ProtocolError));

    let mut connection = greeted(ServerSettings { tls: true, ..ServerSettings::default() });
    assert_eq!(connection.next(&limits(), &request), Ok(Some((36, Event::Tls))));
    connection.tls_started();
    assert!(connection.next(&limits(), &request).is_err());
}

/// MySQL Connector/Python and PHP compress from the login on, whether it is offered or not, and then hung.
#[test]
fn compression_is_refused_before_it_begins() {
    for flag in client::COMPRESS {
        let mut connection = greeted(ServerSettings::default());
        let login = client::login(client::FLAGS | flag, b"1", &hex(NATIVE_RESPONSE), None, None);
        let fatal = connection.next(&limits(), &client::packet(1, &login)).unwrap_err();
        assert_eq!((fatal.code, fatal.sequence, fatal.reason), (16, 1, CloseReason::LoginRefused));
        assert!(fatal.text.starts_with("Compression is not offered"));
        let input = client::command(0x0e, b"");
        assert_eq!(connection.next(&limits(), &input), Ok(None), "nothing is read any more");
    }
}

/// A client of such a set quotes by it from the login on, so it must not get in. Sets of one byte, and UTF-8, quote as text
/// is read.
#[test]
fn a_client_that_quotes_otherwise_is_refused() {
    let first = |collation: u8| {
        let mut payload = client::login(client::FLAGS, b"1", &hex(NATIVE_RESPONSE), None, None);
        payload[8] = collation;
        client::packet(1, &payload)
    };
    let change = |collation: u16| {
        let body = [b"1\0\x14".as_slice(), &hex(NATIVE_RESPONSE), b"\0", &collation.to_le_bytes()].concat();
        client::command(0x11, &body)
    };
    for collation in [1_u8, 13, 19, 24, 28, 35, 54, 62, 84, 87, 88, 91, 95, 98, 128, 249] {
        for (mut connection, input) in [
            (greeted(ServerSettings::default()), first(collation)),
            (ready(), change(collation.into())),
            (ready(), change(u16::from(collation) + 1024)),
        ] {
            let fatal = connection.next(&limits(), &input).unwrap_err();
            assert_eq!((fatal.code, fatal.reason), (16, CloseReason::LoginRefused), "{collation}");
            assert!(fatal.text.contains("connect with utf8mb4"));
            assert_eq!(connection.next(&limits(), &client::command(0x0e, b"")), Ok(None), "nothing is read any more");
        }
    }
    for collation in [0_u8, 8, 11, 33, 45, 46, 47, 51, 63, 83, 192, 224, 255] {
        let input = first(collation);
        assert!(greeted(ServerSettings::default()).next(&limits(), &input).is_ok(), "{collation}");
        let input = change(u16::from(collation));
        assert!(ready().next(&limits(), &input).is_ok(), "{collation}");
    }
    assert!(ready().next(&limits(), &change(2304)).is_ok(), "utf8mb4_uca1400_ai_ci");
}

#[test]
fn changing_the_user() {
    let mut connection = ready_with(client::FLAGS | client::PLUGIN);
    let statement = connection.add_statement(&limits(), 0).unwrap();
    let body = [b"2\0\x14".as_slice(), &hex(NATIVE_RESPONSE), b"CometQL_v1\0\x2d\0mysql_native_password\0"].concat();
    let mut input = client::command(0x11, &body);
    let length = input.len();
    input.extend(client::command(0x17, &client::execute(statement, &[], false)));
    let (used, event) = connection.next(&limits(), &input).unwrap().unwrap();
    assert_eq!(used, length);
    let Event::Command { sequence: 0, command: Command::ChangeUser(login) } = event else { panic!("{event:?}") };
    assert_eq!((login.user, login.database), (b"2".as_slice(), Some(b"CometQL_v1".as_slice())));
    assert_eq!(connection.next(&limits(), &input[used..]), Ok(None), "no command before the verdict");
    assert_eq!(connection.verdict(&login, PASSWORD), Verdict::Accepted(Method::Native));
    let mut out = Vec::new();
    connection.accept(Method::Native, &mut out);
    assert_eq!(out, hex("07 00 00 01 00 00 00 02 00 00 00"));
    let execute = command_of(&mut connection, &limits(), &input[used..]);
    assert!(matches!(execute, Command::Refused(Refusal { code: 1243, .. })), "the statements are gone");
}

#[test]
fn verdicts_of_a_changed_user() {
    #[track_caller]
    fn check(body: &[u8], expected: Verdict) {
        let mut connection = ready_with(client::FLAGS | client::PLUGIN);
        let packet = client::command(0x11, body);
        let Command::ChangeUser(login) = command_of(&mut connection, &limits(), &packet) else { panic!() };
        assert_eq!(connection.verdict(&login, PASSWORD), expected);
    }
    let native = hex(NATIVE_RESPONSE);
    // Character set, plugin and database may be missing.
    check(&[b"2\0\x14".as_slice(), &native].concat(), Verdict::Accepted(Method::Native));
    check(&[b"2\0\x14".as_slice(), &native, b"\0"].concat(), Verdict::Accepted(Method::Native));
    check(&[b"2\0\x14".as_slice(), &native, b"\0\x2d\0"].concat(), Verdict::Accepted(Method::Native));
    check(b"2\0\x14aaaaaaaaaaaaaaaaaaaa\0\x2d\0", Verdict::Wrong);
    check(b"2\0\0\0\x2d\0", Verdict::Empty);
    check(b"2\0\0\0\x2d\0mysql_native_password\0", Verdict::Empty);
    check(b"2\0\0\0\x2d\0caching_sha2_password\0", Verdict::SwitchPlugin(Method::CachingSha2));
    check(b"2\0\0\0\x2d\0other\0", Verdict::SwitchPlugin(Method::Native));
    for malformed in [b"".as_slice(), b"2", b"2\0", b"2\0\x14abc"] {
        let fatal = ready().next(&limits(), &client::command(0x11, malformed)).unwrap_err();
        assert_eq!(fatal.code, 16);
    }
}
