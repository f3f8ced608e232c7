//! Percent-encoding, decoded in one place for all addresses: what is right at one must be right at every other.

/// Decodes once: what was encoded twice keeps a percent sign. `None` if it is no valid encoding.
pub fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.iter().copied();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push((high * 16 + low) as u8);
    }
    Some(decoded)
}

/// What percent signs stand for, as a text; `None` also for what is not UTF-8.
pub fn decoded_text(text: &str) -> Option<String> {
    String::from_utf8(decoded(text.as_bytes())?).ok()
}

#[cfg(test)]
mod tests {
    use super::decoded_text;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", Some("")),
            ("a+b/c=", Some("a+b/c=")),
            ("a%2Bb%2fc%3D", Some("a+b/c=")),
            ("%2541", Some("%41")),
            ("%d1%8f", Some("\u{44f}")),
            ("%d1", None),
            ("%", None),
            ("%4", None),
            ("%+4", None),
            ("%zz", None),
        ] {
            assert_eq!(decoded_text(text).as_deref(), expected, "{text}");
        }
    }
}
