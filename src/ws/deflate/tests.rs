use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { frame_bytes_max: 65_535, message_bytes_max: 65_535 };

fn agreed(offers: &str) -> Option<(u8, String)> {
    let parts = offers.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let Agreement { window, answer } = agree(parts)?;
    let rest =
        answer.strip_prefix("permessage-deflate; server_no_context_takeover; client_no_context_takeover").unwrap();
    Some((window.0.get(), rest.to_owned()))
}

#[test]
fn offers() {
    let largest = || Some((15, String::new()));
    assert_eq!(agreed("permessage-deflate"), largest());
    // Chrome and Firefox.
    assert_eq!(agreed("permessage-deflate; client_max_window_bits"), largest());
    assert_eq!(agreed("Permessage-Deflate ;client_no_context_takeover; server_no_context_takeover"), largest());
    assert_eq!(agreed("permessage-deflate; client_max_window_bits=8"), largest());
    for bits in 8..=15 {
        let answered = Some((bits, format!("; server_max_window_bits={bits}")));
        assert_eq!(agreed(&format!("permessage-deflate; server_max_window_bits={bits}")), answered);
        assert_eq!(agreed(&format!("permessage-deflate;server_max_window_bits = \"{bits}\"")), answered);
    }
    // The first offer that can be served.
    let two = "permessage-foo, permessage-deflate; x, permessage-deflate; server_max_window_bits=9, permessage-deflate";
    assert_eq!(agreed(two), Some((9, "; server_max_window_bits=9".into())));
    for declined in [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate;",
    ] {
        assert_eq!(agreed(declined), None, "{declined}");
    }
}

#[test]
fn a_window_holds_what_is_no_longer_than_itself() {
    let window = |bits| Window::new(bits).unwrap();
    assert!(window(8).holds(256) && !window(8).holds(257));
    assert!(window(14).holds(16_384) && !window(14).holds(16_385));
    assert!(window(15).holds(usize::MAX));
    assert_eq!((Window::new(7), Window::new(16)), (None, None));
    assert_eq!(size_of::<Option<Window>>(), 1);
}

fn opened(is_text: bool, payload: &[u8], bytes_max: usize) -> Result<Message<'static>, Violation> {
    let limits = Limits { message_bytes_max: bytes_max, ..LIMITS };
    Inflater::default().open(Message::Deflated { is_text, payload: payload.to_vec().into() }, &limits)
}

fn text(text: &str) -> Message<'static> {
    Message::Text(text.to_owned().into())
}

/// RFC 7692 section 7.2.3.
#[test]
fn messages_of_the_specification() {
    let hello = |payload: &[u8]| assert_eq!(opened(true, payload, 5), Ok(text("Hello")), "{payload:x?}");
    hello(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    // Not compressed.
    hello(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]);
    // With a last block, and in two blocks.
    hello(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]);
    hello(&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(opened(true, &[0], 0), Ok(text("")));
}

#[test]
fn messages_that_do_not_open() {
    assert_eq!(opened(true, &[0xff; 5], 100), Err(Violation::BadDeflate));
    assert_eq!(opened(false, &[0x06], 100), Err(Violation::BadDeflate));
    // A reference to what is before the beginning: nothing is left of the message before.
    assert_eq!(opened(true, &[0xf2, 0x00, 0x11, 0x00, 0x00], 100), Err(Violation::BadDeflate));
    let latin = [0xE9; 300];
    let latin = Deflater::default().deflate(&latin).unwrap();
    assert_eq!(opened(true, &latin, 1000), Err(Violation::NotUtf8));
    assert!(matches!(opened(false, &latin, 1000), Ok(Message::Binary(bytes)) if bytes.len() == 300));
}

#[test]
fn a_bomb_is_given_up_at_the_cap() {
    let bomb = Deflater::default().deflate(&vec![0; 64 * 1024 * 1024]).unwrap();
    assert!(bomb.len() < 65_535 + 1);
    let mut inflater = Inflater::default();
    let message = Message::Deflated { is_text: true, payload: bomb.into() };
    assert_eq!(inflater.open(message, &LIMITS), Err(Violation::TooLarge));
    let exact = Deflater::default().deflate(&[0; 1024]).unwrap();
    assert_eq!(inflater.inflate(&exact, 1023), Err(Violation::TooLarge));
    assert_eq!(inflater.inflate(&exact, 1024).map(|bytes| (bytes.len(), bytes.capacity())), Ok((1024, 1025)));
}

#[test]
fn what_does_not_get_smaller_stays_as_it_is() {
    let mut deflater = Deflater::default();
    assert_eq!(deflater.deflate(&[b'a'; DEFLATE_BYTES_MIN - 1]), None);
    assert!(deflater.deflate(&[b'a'; DEFLATE_BYTES_MIN]).is_some());
    let mut random = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 56) as u8
    })
    .take(5000)
    .collect();
    assert_eq!(deflater.deflate(&noise), None);
    // Nothing of a message that was given up is in the next one.
    let text = "what is said again and again, is said again and again. ".repeat(5);
    let again = deflater.deflate(text.as_bytes());
    assert_eq!(again, Deflater::default().deflate(text.as_bytes()));
    assert_eq!(opened(true, &again.unwrap(), 1000), Ok(Message::Text(text.into())));
}

proptest! {
    #[test]
    fn what_is_deflated_inflates_to_itself(words in proptest::collection::vec("[a-f]{0,9}|\\PC{0,9}", 0..400)) {
        let payload = words.concat();
        if let Some(deflated) = Deflater::default().deflate(payload.as_bytes()) {
            prop_assert!(deflated.len() < payload.len());
            prop_assert_eq!(opened(true, &deflated, payload.len()), Ok(text(&payload)));
            prop_assert_eq!(opened(true, &deflated, payload.len() - 1), Err(Violation::TooLarge));
        }
    }

    #[test]
    fn any_payload_ends_in_a_value(payload: Vec<u8>, bytes_max in 0..2000_usize) {
        if let Ok(Message::Binary(bytes)) = opened(false, &payload, bytes_max) {
            prop_assert!(bytes.len() <= bytes_max);
        }
    }
}
