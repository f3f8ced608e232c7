//! The body of a request, by its length or in chunks; a length that is not told is not guessed.

use super::head::Head;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The body has so many bytes, and all of them are there.
    Whole(usize),
    /// The body has so many bytes, and some of them are still to come.
    Incomplete(usize),
    /// The body comes in chunks, which [`super::Chunked`] puts together.
    Chunked,
}

/// Always the peer's fault; the connection is closed after it, because where its next request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    Malformed,
    /// In an encoding that is not read here.
    LengthRequired,
    TooLarge,
}

impl BodyError {
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
        }
    }
}

/// `rest` is what was received behind the head.
pub fn body(head: &Head<'_>, rest: &[u8], bytes_max: usize) -> Result<Body, BodyError> {
    let mut lengths = head.headers("Content-Length");
    if head.header("Transfer-Encoding").is_some() {
        // A length beside it: whoever stood before this server may have read the other one.
        if lengths.next().is_some() || head.minor_version == 0 {
            return Err(BodyError::Malformed);
        }
        let mut encodings = head.list("Transfer-Encoding");
        let is_chunked = encodings.next().is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"chunked"));
        let is_all = encodings.next().is_none();
        return if is_chunked && is_all { Ok(Body::Chunked) } else { Err(BodyError::LengthRequired) };
    }
    let Some(length) = lengths.next() else { return Ok(Body::Whole(0)) };
    if lengths.next().is_some() || length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err(BodyError::Malformed);
    }
    let length = std::str::from_utf8(length).ok().and_then(|digits| digits.parse::<usize>().ok());
    match length.filter(|length| *length <= bytes_max) {
        None => Err(BodyError::TooLarge),
        Some(length) if length <= rest.len() => Ok(Body::Whole(length)),
        Some(length) => Ok(Body::Incomplete(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadStep, parse_head};
    use super::{Body, BodyError, body};

    #[test]
    fn bodies() {
        let check = |fields: &str, rest: &str, expected| {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else {
                panic!("{text}")
            };
            assert_eq!(body(&head, rest.as_bytes(), 10), expected, "{fields}");
        };
        check("", "GET", Ok(Body::Whole(0)));
        check("Content-Length: 3\r\n", "abcd", Ok(Body::Whole(3)));
        check("Content-Length: 3\r\n", "ab", Ok(Body::Incomplete(3)));
        check("Content-Length: 10\r\n", "", Ok(Body::Incomplete(10)));
        check("Content-Length: 11\r\n", "", Err(BodyError::TooLarge));
        check("Content-Length: 99999999999999999999999\r\n", "", Err(BodyError::TooLarge));
        for length in ["", "-1", "+1", "0x1", "1, 1", "1\r\nContent-Length: 1"] {
            check(&format!("Content-Length: {length}\r\n"), "abcd", Err(BodyError::Malformed));
        }
        check("Transfer-Encoding: Chunked\r\n", "a", Ok(Body::Chunked));
        for (fields, error) in [
            ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", BodyError::Malformed),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", BodyError::Malformed),
            ("Transfer-Encoding: chunked, chunked\r\n", BodyError::LengthRequired),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BodyError::LengthRequired),
            ("Transfer-Encoding: gzip, chunked\r\n", BodyError::LengthRequired),
            ("Transfer-Encoding: identity\r\n", BodyError::LengthRequired),
            ("Transfer-Encoding:\r\n", BodyError::LengthRequired),
            ("Transfer-Encoding: xchunked\r\n", BodyError::LengthRequired),
        ] {
            check(fields, "a", Err(error));
        }
    }
}
