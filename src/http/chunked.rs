//! Bodies in chunks: RFC 9112 section 7.1, as narrow as clients write it. What could be read in two ways is refused.

use super::body::BodyError;

/// Bytes of a line with the size of a chunk, extensions included; nobody here looks at those.
const SIZE_LINE_BYTES_MAX: usize = 128;
/// Bytes of all fields behind the last chunk, which are read and forgotten.
const TRAILER_BYTES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(usize),
    /// The end of the line behind the data.
    DataEnd,
    Trailer,
    Done,
}

/// One body on its way. It holds what was decoded, and nothing that was not used.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    body: Vec<u8>,
    bytes_max: usize,
    trailer_left: usize,
}

impl Chunked {
    /// A body of more bytes than this is refused as soon as a chunk says so.
    pub fn new(bytes_max: usize) -> Self {
        Self { state: State::Size, body: Vec::new(), bytes_max, trailer_left: TRAILER_BYTES_MAX }
    }

    /// Takes in what it can use and returns how much that was; the rest is to be handed in again with more behind it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut used = 0;
        while self.state != State::Done
            && let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty())
        {
            match self.step(rest)? {
                0 => break,
                more => used = used.saturating_add(more),
            }
        }
        Ok(used)
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that are decoded so far.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Bytes of one step; 0 if it needs more of them.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        match self.state {
            State::Size => {
                let Some(line) = line(bytes, SIZE_LINE_BYTES_MAX)? else { return Ok(0) };
                let size = size(line)?;
                if size > self.bytes_max.saturating_sub(self.body.len()) {
                    return Err(BodyError::TooLarge);
                }
                self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                Ok(with_end(line))
            }
            State::Data(left) => {
                let data = bytes.get(..left).unwrap_or(bytes);
                self.body.extend_from_slice(data);
                let left = left.saturating_sub(data.len());
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok(data.len())
            }
            State::DataEnd => {
                let Some(line) = line(bytes, 0)? else { return Ok(0) };
                self.state = State::Size;
                Ok(with_end(line))
            }
            State::Trailer => {
                let Some(line) = line(bytes, self.trailer_left)? else { return Ok(0) };
                self.trailer_left = self.trailer_left.saturating_sub(with_end(line));
                if line.is_empty() {
                    self.state = State::Done;
                }
                Ok(with_end(line))
            }
            State::Done => Ok(0),
        }
    }
}

/// Bytes of a line's end.
const LINE_END: usize = 2;

fn with_end(line: &[u8]) -> usize {
    line.len().saturating_add(LINE_END)
}

/// The line that the bytes begin with, without its end; `None` if its end is still to come. A line feed alone ends none.
fn line(bytes: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, BodyError> {
    let most = bytes_max.saturating_add(LINE_END);
    let seen = bytes.get(..most).unwrap_or(bytes);
    match memchr::memchr(b'\n', seen) {
        Some(at) => match seen.get(..at).and_then(|line| line.strip_suffix(b"\r")) {
            Some(line) => Ok(Some(line)),
            None => Err(BodyError::Malformed),
        },
        None if seen.len() < most => Ok(None),
        None => Err(BodyError::Malformed),
    }
}

/// Hexadecimal digits, and an extension that is passed over.
fn size(line: &[u8]) -> Result<usize, BodyError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) || line.contains(&b'\r') {
        return Err(BodyError::Malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BodyError::Malformed)?;
    usize::from_str_radix(digits, 16).map_err(|_| BodyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and what is left behind it, however the text comes.
    fn read(text: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>, bool), BodyError> {
        let mut chunked = Chunked::new(20);
        let (mut unread, mut at) = (Vec::new(), 0);
        while at < text.len() && !chunked.is_done() {
            let next = text.len().min(at + piece);
            unread.extend_from_slice(&text[at..next]);
            at = next;
            let used = chunked.feed(&unread)?;
            unread.drain(..used);
        }
        unread.extend_from_slice(&text[at..]);
        let is_done = chunked.is_done();
        Ok((chunked.into_body(), unread, is_done))
    }

    #[test]
    fn bodies() {
        for piece in [1, 2, 3, 7, 1000] {
            let check = |text: &str, expected: Result<(&str, &str, bool), BodyError>| {
                let found = read(text.as_bytes(), piece);
                let expected = expected.map(|(body, rest, done)| (body.into(), rest.into(), done));
                assert_eq!(found, expected, "{text:?} by {piece}");
            };
            check("0\r\n\r\nGET", Ok(("", "GET", true)));
            check("3\r\nabc\r\n0\r\n\r\n", Ok(("abc", "", true)));
            check(
                "3\r\nabc\r\n00a;x=\"y\"\r\n0123456789\r\n000\r\nA: b\r\n\r\nrest",
                Ok(("abc0123456789", "rest", true)),
            );
            check("3 \r\nabc\r\n0\r\n\r\n", Ok(("abc", "", true)));
            check("14\r\n01234567890123456789\r\n0\r\n\r\n", Ok(("01234567890123456789", "", true)));
            check("3\r\nab", Ok(("ab", "", false)));
            check("3\r\nabc\r", Ok(("abc", "\r", false)));
            check("15\r\n", Err(BodyError::TooLarge));
            check("3\r\nabc\r\n12\r\n", Err(BodyError::TooLarge));
            check("ffffffffffffffffffff\r\n", Err(BodyError::TooLarge));
            for text in [
                "\r\n",
                "x\r\n",
                "-1\r\n",
                "+1\r\n",
                "0x1\r\n",
                " 1\r\na\r\n",
                "1\na\r\n",
                "1\r\nab\r\n",
                "1\r\na\n0\r\n\r\n",
                "1;\rx\r\na\r\n",
                "1\r\na0\r\n\r\n",
                "0\r\n\n",
                "0\r\nA: b\n\r\n",
            ] {
                check(text, Err(BodyError::Malformed));
            }
            check(&format!("1;{}\r\na\r\n", "x".repeat(200)), Err(BodyError::Malformed));
            check(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(1000)), Err(BodyError::Malformed));
        }
    }
}
