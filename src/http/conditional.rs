//! Which part of a content a request wants, if any: conditions, ranges and encodings. Source: RFC 9110 sections 12.5.3,
//! 13 and 14.

use std::ops::Range;

use super::date::{parse_date, write_date};
use super::head::{Head, Method};
use super::route::depth;

/// Longest header that is looked at; of a longer one nothing is believed, which costs a transfer.
const HEADER_BYTES_MAX: usize = 512;

/// What a request says of the content it wants; kept while the content is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_none_match: Option<Box<[u8]>>,
    if_modified_since: Option<i64>,
    range: Option<Box<[u8]>>,
    if_range: Option<Box<[u8]>>,
    /// Whether the client takes content that was compressed with gzip.
    pub accepts_gzip: bool,
    /// False for HEAD.
    pub with_body: bool,
    /// Levels below the root: from there the page that tells of nothing being found has its style and its links.
    pub depth: usize,
}

impl Conditions {
    pub fn of(head: &Head<'_>) -> Self {
        let short = |name| head.header(name).filter(|value: &&[u8]| value.len() <= HEADER_BYTES_MAX);
        let owned = |name| short(name).map(Box::from);
        Self {
            if_none_match: joined(head, "If-None-Match"),
            if_modified_since: short("If-Modified-Since").and_then(parse_date),
            // A range of HEAD has no meaning.
            range: if head.method == Method::Get { owned("Range") } else { None },
            if_range: owned("If-Range"),
            accepts_gzip: head.list("Accept-Encoding").any(is_gzip),
            with_body: head.wants_body(),
            depth: depth(head.target),
        }
    }

    /// What to answer about a content of `length` bytes.
    pub fn decide(&self, validators: &Validators, length: u64) -> Wanted {
        if self.is_known(validators) {
            return Wanted::Nothing;
        }
        match self.range.as_deref().filter(|_| self.range_is_still_meant(validators)) {
            Some(range) => parse_range(range, length),
            None => Wanted::Whole,
        }
    }

    /// Whether the client has this very content.
    pub fn is_known(&self, validators: &Validators) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => tags.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
                let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
                tag == b"*" || tag == validators.tag.as_bytes()
            }),
            (None, Some(since)) => validators.modified.is_some_and(|modified| modified <= since),
            (None, None) => false,
        }
    }

    fn range_is_still_meant(&self, validators: &Validators) -> bool {
        let Some(condition) = self.if_range.as_deref() else { return true };
        condition == validators.tag.as_bytes()
            || parse_date(condition).is_some_and(|date| validators.modified == Some(date))
    }
}

/// All lines of a header that is a list.
fn joined(head: &Head<'_>, name: &str) -> Option<Box<[u8]>> {
    let lines: Vec<&[u8]> = head.headers(name).collect();
    let text = lines.join(&b","[..]);
    (!lines.is_empty() && text.len() <= HEADER_BYTES_MAX).then(|| text.into())
}

/// `gzip`, `x-gzip` or `*`, unless its weight is 0.
fn is_gzip(offer: &[u8]) -> bool {
    let mut parts = offer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let coding = parts.next().unwrap_or_default();
    let refused = parts.any(|part| {
        let weight = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
        weight.is_some_and(|weight| !weight.iter().any(|byte| matches!(byte, b'1'..=b'9')))
    });
    !refused && [&b"gzip"[..], b"x-gzip", b"*"].iter().any(|known| coding.eq_ignore_ascii_case(known))
}

/// By what one state of a content is told from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, quotes included.
    tag: String,
    /// Seconds since 1970.
    modified: Option<i64>,
}

impl Validators {
    /// Of a file: `seconds` and `nanos` since 1970 are when it was changed last.
    pub fn of_file(length: u64, seconds: i64, nanos: i64, inode: u64) -> Self {
        Self { tag: format!("\"{length:x}-{seconds:x}-{nanos:x}-{inode:x}\""), modified: Some(seconds) }
    }

    /// Of a content that changes with the program only: a hash of it (FNV-1a), because nobody chooses it to collide.
    pub fn of_content(content: &[u8]) -> Self {
        let hash = content
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self { tag: format!("\"{hash:016x}\""), modified: None }
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// For `Last-Modified`.
    pub fn modified(&self) -> Option<String> {
        self.modified.map(write_date)
    }
}

/// What of a content is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// A range of bytes that is never empty and never reaches beyond the end.
    Part(Range<u64>),
    /// The client has it already: 304.
    Nothing,
    /// A range without a byte of the content: 416.
    Unsatisfiable,
}

/// One range of bytes. Several, or none that can be read, ask for the whole: a server may always send that.
fn parse_range(text: &[u8], length: u64) -> Wanted {
    let Some((unit, range)) = std::str::from_utf8(text).ok().and_then(|text| text.split_once('=')) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes")) else {
        return Wanted::Whole;
    };
    // A number beyond 64 bits is beyond every end.
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true if digits.is_empty() => Some(None),
        true => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        false => None,
    };
    let range = match (number(first.trim()), number(last.trim())) {
        (Some(Some(first)), Some(Some(last))) if first > last => return Wanted::Whole,
        (Some(Some(first)), Some(last)) => first..last.map_or(length, |last: u64| last.saturating_add(1)).min(length),
        (Some(None), Some(Some(suffix))) => length.saturating_sub(suffix)..length,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadStep, parse_head};
    use super::{Conditions, Validators, Wanted};

    fn decide(headers: &str, length: u64) -> Wanted {
        conditions("GET", headers).decide(&Validators::of_file(length, 784_111_777, 5, 9), length)
    }

    fn conditions(method: &str, headers: &str) -> Conditions {
        let text = format!("{method} / HTTP/1.1\r\n{headers}\r\n");
        let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else { panic!("{text}") };
        Conditions::of(&head)
    }

    #[test]
    fn ranges() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=0-100", Wanted::Part(0..100)),
            ("bytes=10-", Wanted::Part(10..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("Bytes = 5-6", Wanted::Part(5..7)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=6-5", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("\u{44f}", Wanted::Whole),
        ] {
            assert_eq!(decide(&format!("Range: {range}\r\n"), 100), wanted, "{range}");
        }
        assert_eq!(decide("Range: bytes=0-\r\n", 0), Wanted::Unsatisfiable);
        assert_eq!(decide("Range: bytes=-5\r\n", 0), Wanted::Unsatisfiable);
        let of_head = conditions("HEAD", "Range: bytes=0-0\r\n");
        assert_eq!(of_head.decide(&Validators::of_content(b""), 5), Wanted::Whole);
    }

    #[test]
    fn conditions_of_requests() {
        let tag = "\"64-2ebc98a1-5-9\"";
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (headers, wanted) in [
            (format!("If-None-Match: {tag}\r\n"), Wanted::Nothing),
            (format!("If-None-Match: \"a\", W/{tag}\r\n"), Wanted::Nothing),
            (format!("If-None-Match: \"a\"\r\nIf-None-Match: {tag}\r\n"), Wanted::Nothing),
            ("If-None-Match: *\r\n".into(), Wanted::Nothing),
            ("If-None-Match: \"a\"\r\n".into(), Wanted::Whole),
            (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {date}\r\n"), Wanted::Whole),
            (format!("If-Modified-Since: {date}\r\n"), Wanted::Nothing),
            (format!("If-Modified-Since: {}\r\n", date.replace(":37", ":36")), Wanted::Whole),
            ("If-Modified-Since: yesterday\r\n".into(), Wanted::Whole),
            (format!("Range: bytes=1-1\r\nIf-None-Match: {tag}\r\n"), Wanted::Nothing),
            (format!("Range: bytes=1-1\r\nIf-Range: {tag}\r\n"), Wanted::Part(1..2)),
            (format!("Range: bytes=1-1\r\nIf-Range: W/{tag}\r\n"), Wanted::Whole),
            (format!("Range: bytes=1-1\r\nIf-Range: {date}\r\n"), Wanted::Part(1..2)),
            (format!("Range: bytes=1-1\r\nIf-Range: {}\r\n", date.replace("1994", "1995")), Wanted::Whole),
        ] {
            assert_eq!(decide(&headers, 100), wanted, "{headers}");
        }
    }

    #[test]
    fn who_takes_gzip() {
        for (offer, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("gzipped", false),
        ] {
            assert_eq!(conditions("GET", &format!("Accept-Encoding: {offer}\r\n")).accepts_gzip, takes, "{offer}");
        }
    }
}
