use super::*;
use proptest::prelude::*;

/// FIN, opcode, payload, bytes.
type Parts<'a> = (bool, u8, &'a [u8], usize);

#[track_caller]
fn check(input: &[u8], expected: Result<Option<Parts<'_>>, FrameError>) {
    let found = parse(input).map(|frame| frame.map(|frame| (frame.fin, frame.opcode, frame.payload, frame.bytes)));
    assert_eq!(found, expected, "{input:02x?}");
}

#[test]
fn frames_of_a_server() {
    check(b"", Ok(None));
    check(b"\x81", Ok(None));
    check(b"\x81\x02h", Ok(None));
    check(b"\x81\x02hi", Ok(Some((true, TEXT, b"hi", 4))));
    check(b"\x81\x02hi\x81", Ok(Some((true, TEXT, b"hi", 4))));
    check(b"\x01\x01a", Ok(Some((false, TEXT, b"a", 3))));
    check(b"\x80\x00", Ok(Some((true, CONTINUATION, b"", 2))));
    check(b"\x88\x02\x03\xe8", Ok(Some((true, CLOSE, b"\x03\xe8", 4))));
    check(b"\xc1\x00", Err(FrameError::ReservedBits(0xc1)));
    check(b"\x83\x00", Err(FrameError::UnknownOpcode(3)));
    check(b"\x81\x80", Err(FrameError::Masked));
    check(b"\x81\x7e\x00\x7d", Err(FrameError::LengthNotMinimal));
    check(b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Err(FrameError::LengthNotMinimal));
    check(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Err(FrameError::TooLong(u64::MAX)));
    check(b"\x89\x7e\x00\x7e", Err(FrameError::ControlTooLong));
    check(b"\x09\x00", Err(FrameError::ControlFragmented));
}

#[test]
fn every_length_form_comes_back() {
    for length in [0, 1, 125, 126, 127, 65535, 65536] {
        let payload = vec![b'x'; length];
        let mut bytes = Vec::new();
        write_server_text(&mut bytes, &payload);
        check(&bytes, Ok(Some((true, TEXT, &payload, bytes.len()))));
        check(&bytes[..bytes.len() - 1], Ok(None));
    }
}

#[test]
fn a_client_frame_is_masked() {
    let mut bytes = Vec::new();
    write_client_frame(&mut bytes, true, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
    // The example of RFC 6455 section 5.7.
    assert_eq!(bytes, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

proptest! {
    #[test]
    fn a_frame_split_anywhere_is_the_same_frame(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = Vec::new();
        write_server_text(&mut bytes, &payload);
        for cut in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
        }
        prop_assert_eq!(parse(&bytes).unwrap().unwrap().payload, &payload[..]);
    }

    #[test]
    fn any_bytes_are_a_frame_an_error_or_unfinished(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(Some(frame)) = parse(&bytes) {
            prop_assert!(frame.bytes <= bytes.len());
            prop_assert!(frame.payload.len() < frame.bytes);
        }
    }
}
