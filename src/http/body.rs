//! The body of a request, by its length; a length that is not told is not guessed.

use super::head::Head;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has so many bytes, and all of them are there.
    Whole(usize),
    /// It has so many bytes, and some of them are still to come.
    Incomplete(usize),
}

/// Always the peer's fault; the connection is closed after it, because where its next request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    Malformed,
    /// In chunks, whose number nobody knows before the end.
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
    if head.header("Transfer-Encoding").is_some() {
        return Err(BodyError::LengthRequired);
    }
    let mut lengths = head.headers("Content-Length");
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
        check("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "a", Err(BodyError::LengthRequired));
    }
}
