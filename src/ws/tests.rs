use std::io::{self, Read, Write};

use proptest::prelude::*;
use tungstenite::Message as OracleMessage;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode as OracleOpcode};
use tungstenite::protocol::frame::{Frame as OracleFrame, FrameHeader as OracleHeader};
use tungstenite::protocol::{Role, WebSocket};

use super::*;

const LIMITS: Limits = Limits { frame_bytes_max: 65_535, message_bytes_max: 65_535 };

/// A client's frame, written by the independent implementation.
fn client_frame(fin: bool, opcode: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let header =
        OracleHeader { is_final: fin, opcode: OracleOpcode::from(opcode), mask: Some(mask), ..OracleHeader::default() };
    let mut bytes = Vec::new();
    header.format(payload.len() as u64, &mut bytes).unwrap();
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn text(text: &str) -> Message<'_> {
    Message::Text(text.into())
}

fn head(fin: bool, opcode: Opcode) -> FrameHead {
    FrameHead { fin, opcode, compressed: false }
}

fn message_of(text: &str) -> String {
    format!("Message({text:?})")
}

/// What a connection makes of a stream of bytes: messages and signs, or the violation that ended it.
fn converse(limits: &Limits, mut bytes: &mut [u8]) -> (Vec<String>, Option<Violation>) {
    let mut open = None;
    let mut seen = Vec::new();
    loop {
        match next_frame(limits, bytes) {
            Ok(Step::Incomplete) => return (seen, None),
            Err(violation) => return (seen, Some(violation)),
            Ok(Step::Frame { used, head, payload }) => {
                let (frame, rest) = bytes.split_at_mut(used);
                match receive(&mut open, limits, head, &frame[payload]) {
                    Err(violation) => return (seen, Some(violation)),
                    Ok(Received::Message(message)) => match message.into_text() {
                        Err(violation) => return (seen, Some(violation)),
                        Ok(text) => seen.push(message_of(&text)),
                    },
                    Ok(received) => seen.push(format!("{received:?}")),
                }
                bytes = rest;
            }
        }
    }
}

#[test]
fn accept_keys() {
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "", "AAAAAAAAAAAAAAAAAAAAAA==", "x3JJHMbDL1EzLkh9GBhXDw=="] {
        assert_eq!(accept_key(key.as_bytes()), tungstenite::handshake::derive_accept_key(key.as_bytes()).as_bytes());
    }
    assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn masked_text_of_the_specification() {
    let mut bytes = hex("81 8D 01 02 03 04 74 71 66 76 5E 66 62 70 60 08 4E 0E 36");
    let step = next_frame(&LIMITS, &mut bytes).unwrap();
    let head = FrameHead { fin: true, opcode: Opcode::Text, compressed: false };
    assert_eq!(step, Step::Frame { used: 19, head, payload: 6..19 });
    assert_eq!(receive(&mut None, &LIMITS, head, &bytes[6..19]), Ok(Received::Message(text("user_data\nM\n7"))));
}

#[test]
fn violations() {
    let check = |text: &str, expected| {
        let limits = Limits { frame_bytes_max: 300, message_bytes_max: 400 };
        let (_, violation) = converse(&limits, &mut hex(text));
        assert_eq!(violation, Some(expected), "{text}");
    };
    check("C1", Violation::ReservedBits);
    check("A1 80", Violation::ReservedBits);
    check("91", Violation::ReservedBits);
    for opcode in ["83", "84", "85", "86", "87", "8B", "8C", "8D", "8E", "8F", "03", "0B"] {
        check(opcode, Violation::UnknownOpcode);
    }
    check("81 00", Violation::Unmasked);
    check("81 05 68", Violation::Unmasked);
    check("89 FE", Violation::ControlTooLong);
    check("88 FF", Violation::ControlTooLong);
    check("08", Violation::ControlFragmented);
    check("09 80", Violation::ControlFragmented);
    check("0A 80", Violation::ControlFragmented);
    check("81 FE 00 7D", Violation::LengthNotMinimal);
    check("81 FF 00 00 00 00 00 00 FF FF", Violation::LengthNotMinimal);
    check("81 FF 80 00 00 00 00 00 00 00", Violation::LengthTopBit);
    check("81 FF FF FF FF FF FF FF FF FF", Violation::LengthTopBit);
    check("81 FF 7F FF FF FF FF FF FF FF", Violation::TooLarge);
    check("81 FE 01 2D", Violation::TooLarge);
    check("82 FF 00 00 00 00 00 01 00 00", Violation::TooLarge);
    check("80 80 00 00 00 00", Violation::ContinuationAlone);
    check("00 80 00 00 00 00", Violation::ContinuationAlone);
    check("01 80 00 00 00 00 81 80 00 00 00 00", Violation::MessageInterleaved);
    check("01 80 00 00 00 00 01 80 00 00 00 00", Violation::MessageInterleaved);
    check("02 80 00 00 00 00 80 80 00 00 00 00 80 80 00 00 00 00", Violation::ContinuationAlone);
    check("81 81 00 00 00 00 FF", Violation::NotUtf8);
    check("82 82 00 00 00 00 C3 28", Violation::NotUtf8);
    // A character cut in two by the end of the message, and an UTF-16 surrogate.
    check("01 81 00 00 00 00 C3 80 80 00 00 00 00", Violation::NotUtf8);
    check("81 83 00 00 00 00 ED A0 80", Violation::NotUtf8);
    check("88 81 00 00 00 00 03", Violation::BadClose);
    check("88 82 00 00 00 00 03 ED", Violation::BadClose);
    check("88 83 00 00 00 00 03 E8 FF", Violation::NotUtf8);
}

#[test]
fn an_incomplete_frame_of_the_largest_length_is_awaited() {
    let mut bytes = hex("81 FF 7F FF FF FF FF FF FF FF 01 02 03 04 05");
    let limits = Limits { frame_bytes_max: usize::MAX, message_bytes_max: usize::MAX };
    assert_eq!(next_frame(&limits, &mut bytes), Ok(Step::Incomplete));
    assert_eq!(bytes[14], 5);
}

#[test]
fn messages_in_fragments() {
    let check = |frames: &[(bool, u8, &str)], expected: &[&str]| {
        let mut bytes = Vec::new();
        for (fin, opcode, payload) in frames {
            bytes.extend(client_frame(*fin, *opcode, [7, 8, 9, 1], payload.as_bytes()));
        }
        assert_eq!(converse(&LIMITS, &mut bytes), (expected.iter().map(ToString::to_string).collect(), None));
    };
    check(&[(true, 1, "")], &[r#"Message("")"#]);
    check(&[(true, 2, "ab")], &[r#"Message("ab")"#]);
    check(&[(false, 1, "a"), (true, 0, "b")], &["Fragment", r#"Message("ab")"#]);
    check(&[(false, 2, ""), (false, 0, ""), (true, 0, "")], &["Fragment", "Fragment", r#"Message("")"#]);
    // Control frames pass between fragments, and messages follow one another.
    check(
        &[(false, 1, "a"), (true, 9, "hi"), (true, 10, ""), (true, 0, "z"), (true, 1, "n"), (true, 8, "")],
        &["Fragment", "Ping([104, 105])", "Pong", r#"Message("az")"#, r#"Message("n")"#, "Close(None)"],
    );
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let mut open = None;
    let greeting = "привет 😀";
    let (last, first) = greeting.as_bytes().split_last().unwrap();
    let mut head = FrameHead { fin: false, opcode: Opcode::Text, compressed: false };
    assert_eq!(receive(&mut open, &LIMITS, head, &[]), Ok(Received::Fragment));
    for byte in first {
        head.opcode = Opcode::Continuation;
        assert_eq!(receive(&mut open, &LIMITS, head, &[*byte]), Ok(Received::Fragment));
    }
    assert!(open.as_ref().is_some_and(|assembler| assembler.bytes() >= first.len()));
    head.fin = true;
    assert_eq!(receive(&mut open, &LIMITS, head, &[*last]), Ok(Received::Message(text(greeting))));
    assert!(open.is_none(), "a finished message leaves no state behind");
}

#[test]
fn a_text_in_fragments_ends_with_the_first_byte_that_is_none() {
    let part = head;
    for (first, second) in [(&b"\xCE"[..], &b"\x28"[..]), (b"ab\xF4", b"\x90"), (b"", b"\xFF")] {
        let mut open = None;
        assert_eq!(receive(&mut open, &LIMITS, part(false, Opcode::Text), first), Ok(Received::Fragment));
        let continued = receive(&mut open, &LIMITS, part(false, Opcode::Continuation), second);
        assert_eq!(continued, Err(Violation::NotUtf8));
    }
    let mut open = None;
    assert_eq!(receive(&mut open, &LIMITS, part(false, Opcode::Binary), b"\xFF"), Ok(Received::Fragment));
    let bytes = Message::Binary(b"\xFF\xFE"[..].into());
    let ended = receive(&mut open, &LIMITS, part(true, Opcode::Continuation), b"\xFE");
    assert_eq!(ended, Ok(Received::Message(bytes.clone())));
    assert_eq!(bytes.into_text(), Err(Violation::NotUtf8));
}

#[test]
fn a_message_in_fragments_has_a_cap() {
    let limits = Limits { frame_bytes_max: 100, message_bytes_max: 10 };
    let mut assembler = Assembler::new(&limits);
    assert_eq!(assembler.push(head(false, Opcode::Text), b"12345"), Ok(None));
    assert_eq!(assembler.push(head(false, Opcode::Continuation), b"67890"), Ok(None));
    assert_eq!(assembler.push(head(false, Opcode::Continuation), b""), Ok(None));
    assert_eq!(assembler.push(head(true, Opcode::Continuation), b"x"), Err(Violation::TooLarge));
    assert!(!assembler.is_open());
    assert_eq!(whole(&limits, head(true, Opcode::Text), b"12345678901"), Err(Violation::TooLarge));
    assert_eq!(
        whole(&limits, head(true, Opcode::Binary), b"12345678\xFF0"),
        Ok(Message::Binary(b"12345678\xFF0"[..].into()))
    );
}

#[test]
fn close_payloads() {
    assert_eq!(parse_close(b""), Ok(None));
    assert_eq!(parse_close(b"\x03\xe8"), Ok(Some(CloseCode::Normal)));
    assert_eq!(parse_close("\u{3}\u{0}".as_bytes()), Err(Violation::BadClose));
    let mut with_reason = 4000_u16.to_be_bytes().to_vec();
    with_reason.extend("прощай".as_bytes());
    assert_eq!(parse_close(&with_reason), Ok(Some(CloseCode::Library(4000))));
    let allowed = |code: u16| matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
    for code in 0..=u16::MAX {
        assert_eq!(parse_close(&code.to_be_bytes()).is_ok(), allowed(code), "{code}");
    }
}

#[test]
fn every_violation_ends_a_connection_with_a_code_that_may_be_sent() {
    assert_eq!(Violation::TooLarge.close_code(), CloseCode::Size);
    assert_eq!(Violation::TooLarge.close_reason(), CloseReason::TooLarge);
    assert_eq!(Violation::NotUtf8.close_code(), CloseCode::Invalid);
    assert_eq!(Violation::Unmasked.close_code(), CloseCode::Protocol);
    assert_eq!(Violation::Unmasked.close_reason(), CloseReason::ProtocolError);
}

#[test]
fn frames_to_clients() {
    // Around every change of the length's form, 123 to 125 among them: the predecessor broke those.
    for length in [0, 1, 122, 123, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000] {
        let json = "x".repeat(length);
        let frame = text_frame(json.as_bytes());
        let mut expected = Vec::new();
        OracleFrame::message(json.clone(), OracleOpcode::Data(Data::Text), true).format(&mut expected).unwrap();
        assert!(frame[..] == expected[..], "{length}");
        assert_eq!(text_frame_head(length).as_slice(), &expected[..expected.len() - length]);

        let mut appended = b"before".to_vec();
        append_text_frame(&mut appended, |out| out.extend_from_slice(json.as_bytes()));
        assert!(appended[6..] == expected[..] && appended.starts_with(b"before"), "{length}");
    }
    assert_eq!(text_frame_head(usize::MAX).as_slice(), hex("81 7F FF FF FF FF FF FF FF FF"));

    let mut out = Vec::new();
    ping(&mut out);
    pong(b"abc", &mut out);
    pong(&[9; 126], &mut out);
    close(CloseCode::Away, &mut out);
    let mut expected = Vec::new();
    let control = |opcode, payload: &[u8]| {
        let header = OracleHeader { opcode: OracleOpcode::Control(opcode), ..OracleHeader::default() };
        OracleFrame::from_payload(header, payload.to_vec().into())
    };
    control(Control::Ping, b"").format(&mut expected).unwrap();
    control(Control::Pong, b"abc").format(&mut expected).unwrap();
    control(Control::Pong, &[9; 125]).format(&mut expected).unwrap();
    control(Control::Close, &1001_u16.to_be_bytes()).format(&mut expected).unwrap();
    assert_eq!(out, expected);
}

/// A peer's stream: what it reads was written before, what it writes is kept.
struct Tape {
    to_read: io::Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Tape {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.to_read.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn oracle_client(to_read: Vec<u8>) -> WebSocket<Tape> {
    WebSocket::from_raw_socket(Tape { to_read: io::Cursor::new(to_read), written: Vec::new() }, Role::Client, None)
}

#[test]
fn an_independent_client_talks_to_us() {
    let mut client = oracle_client(Vec::new());
    for length in [0, 1, 125, 126, 65_535] {
        client.send(OracleMessage::text("я".repeat(length / 2))).unwrap();
        client.send(OracleMessage::binary("b".repeat(length))).unwrap();
    }
    client.send(OracleMessage::Ping(vec![1, 2, 3].into())).unwrap();
    client.close(None).unwrap();
    let (seen, violation) = converse(&LIMITS, &mut client.get_mut().written);
    assert_eq!(violation, None);
    let mut expected = Vec::new();
    for length in [0, 1, 125, 126, 65_535] {
        expected.push(message_of(&"я".repeat(length / 2)));
        expected.push(message_of(&"b".repeat(length)));
    }
    expected.push("Ping([1, 2, 3])".into());
    expected.push("Close(None)".into());
    assert!(seen == expected);
}

#[test]
fn an_independent_client_understands_us() {
    let mut bytes = text_frame("жук \u{0}".as_bytes()).to_vec();
    ping(&mut bytes);
    pong(b"p", &mut bytes);
    bytes.extend_from_slice(&text_frame("y".repeat(70_000).as_bytes()));
    close(CloseCode::Again, &mut bytes);
    let mut client = oracle_client(bytes);
    assert_eq!(client.read().unwrap(), OracleMessage::text("жук \u{0}"));
    assert_eq!(client.read().unwrap(), OracleMessage::Ping(Vec::new().into()));
    assert_eq!(client.read().unwrap(), OracleMessage::Pong(b"p".to_vec().into()));
    assert_eq!(client.read().unwrap(), OracleMessage::text("y".repeat(70_000)));
    match client.read().unwrap() {
        OracleMessage::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Again),
        other => panic!("{other:?}"),
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[a-z\n]{0,300}".prop_map(String::into_bytes),
        "\\PC{0,20}".prop_map(String::into_bytes),
    ];
    (any::<bool>(), 0..11_u8, any::<[u8; 4]>(), payload).prop_map(|(fin, opcode, mask, payload)| {
        let opcode = if (3..8).contains(&opcode) { 1 } else { opcode };
        let is_control = opcode >= 8;
        let payload = if is_control { &payload[..payload.len().min(125)] } else { &payload[..] };
        client_frame(fin || is_control, opcode, mask, payload)
    })
}

proptest! {
    #[test]
    fn unmasking_is_one_byte_after_the_other(payload: Vec<u8>, mask: [u8; 4]) {
        let mut unmasked = payload.clone();
        unmask(&mut unmasked, mask);
        let expected: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
        prop_assert_eq!(unmasked, expected);
    }

    #[test]
    fn a_frame_split_anywhere_is_the_same_frame(frame in any_frame(), more: Vec<u8>) {
        let mut whole_bytes = frame.clone();
        whole_bytes.extend_from_slice(&more);
        let whole_step = next_frame(&LIMITS, &mut whole_bytes).unwrap();
        let Step::Frame { used, .. } = whole_step else { panic!("a whole frame") };
        prop_assert_eq!(used, frame.len());
        prop_assert_eq!(&whole_bytes[used..], &more[..], "bytes behind the frame belong to the next");
        for split in 0..frame.len() {
            let mut bytes = frame[..split].to_vec();
            prop_assert_eq!(next_frame(&LIMITS, &mut bytes), Ok(Step::Incomplete));
            prop_assert_eq!(&bytes[..], &frame[..split], "an incomplete frame is left as it is");
            bytes.extend_from_slice(&frame[split..]);
            bytes.extend_from_slice(&more);
            prop_assert_eq!(next_frame(&LIMITS, &mut bytes), Ok(whole_step.clone()));
            prop_assert_eq!(&bytes, &whole_bytes);
        }
    }

    #[test]
    fn a_conversation_split_anywhere_is_the_same(frames in proptest::collection::vec(any_frame(), 1..6)) {
        let bytes = frames.concat();
        let expected = converse(&LIMITS, &mut bytes.clone());
        for split in 0..bytes.len() {
            // Everything up to the split is read first, then the unread rest with what follows.
            let mut open = None;
            let mut seen = Vec::new();
            let mut violation = None;
            let mut buffer = bytes[..split].to_vec();
            for more in [&bytes[split..], &[]] {
                let mut at = 0;
                while violation.is_none() {
                    match next_frame(&LIMITS, &mut buffer[at..]) {
                        Ok(Step::Incomplete) => break,
                        Ok(Step::Frame { used, head, payload }) => {
                            match receive(&mut open, &LIMITS, head, &buffer[at..][payload]) {
                                Ok(Received::Message(message)) => match message.into_text() {
                                    Ok(text) => seen.push(message_of(&text)),
                                    Err(found) => violation = Some(found),
                                },
                                Ok(received) => seen.push(format!("{received:?}")),
                                Err(found) => violation = Some(found),
                            }
                            at += used;
                        }
                        Err(found) => violation = Some(found),
                    }
                }
                buffer.drain(..at);
                buffer.extend_from_slice(more);
            }
            prop_assert_eq!(&(seen, violation), &expected);
        }
    }

    #[test]
    fn any_bytes_end_in_a_value(bytes: Vec<u8>, frame_bytes_max in 0..200_usize) {
        let limits = Limits { frame_bytes_max, message_bytes_max: 100 };
        let mut changed = bytes.clone();
        if let Ok(Step::Frame { used, payload, head }) = next_frame(&limits, &mut changed) {
            prop_assert!(payload.end == used && used <= bytes.len() && payload.len() <= frame_bytes_max);
            prop_assert!(!head.opcode.is_control() || (head.fin && payload.len() <= 125));
            prop_assert_eq!(&changed[used..], &bytes[used..]);
        } else {
            prop_assert_eq!(&changed, &bytes);
        }
        let (seen, violation) = converse(&limits, &mut bytes.clone());
        prop_assert!(seen.len() * 6 <= bytes.len(), "{violation:?} after more frames than fit");
    }
}
