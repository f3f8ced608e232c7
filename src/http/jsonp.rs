//! JSON for pages that can load nothing but scripts.

const CALLBACK_BYTES_MAX: usize = 64;

/// Whether this may be the function that a script calls: names joined by dots, and nothing that could be anything else.
pub fn is_callback(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
        name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
    };
    text.len() <= CALLBACK_BYTES_MAX && text.split('.').all(is_name)
}

/// A script that calls `callback` with `json`. The comment keeps the first bytes from being anybody's choice.
///
/// Two characters that JSON allows end a line in older scripts, so they are escaped; they occur in texts only.
pub fn jsonp(callback: &str, json: &[u8]) -> Vec<u8> {
    let mut script = Vec::with_capacity(json.len().saturating_add(callback.len()).saturating_add(8));
    script.extend_from_slice(b"/**/");
    script.extend_from_slice(callback.as_bytes());
    script.push(b'(');
    let mut rest = json;
    while let Some(at) = rest.windows(3).position(|three| matches!(three, [0xE2, 0x80, 0xA8 | 0xA9])) {
        let (before, from) = rest.split_at(at);
        script.extend_from_slice(before);
        script.extend_from_slice(if from.get(2) == Some(&0xA8) { b"\\u2028" } else { b"\\u2029" });
        rest = from.get(3..).unwrap_or_default();
    }
    script.extend_from_slice(rest);
    script.extend_from_slice(b");");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks() {
        for text in ["f", "$", "_a1", "jQuery.cb_1", "a.b.c", &"a".repeat(64)] {
            assert!(is_callback(text), "{text}");
        }
        for text in
            ["", ".", "a.", ".a", "1a", "a-b", "a(b", "a b", "a;b", "alert(1)//", "a\n", "я", "a[0]", &"a".repeat(65)]
        {
            assert!(!is_callback(text), "{text}");
        }
        let script = jsonp("a.b", "[\"\u{2028}x\u{2029}\u{2027}\"]".as_bytes());
        assert_eq!(String::from_utf8(script).unwrap(), "/**/a.b([\"\\u2028x\\u2029\u{2027}\"]);");
    }
}
