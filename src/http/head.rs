//! Request heads: bytes to method, target and headers, through `httparse`.

use httparse::Status;

use super::response;

/// Most headers of one request.
const HEADERS_MAX: usize = 64;

/// The cap on a request's head; the number of headers has its own, 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes up to and including the empty line.
    pub head_bytes_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

/// A whole request head. Borrows the bytes it was read from.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    pub method: Method,
    /// As it came: path, query and all, not decoded.
    pub target: &'a str,
    /// 0 or 1: the request was HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// Bytes up to and including the empty line; what follows belongs to whatever comes next.
    pub used: usize,
    headers: Vec<httparse::Header<'a>>,
}

impl<'a> Head<'a> {
    /// The values of all headers called `name`, without blanks around them. Case does not matter.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.trim_ascii())
    }

    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The parts of a header that is a list, over all its lines: `a, b` and twice `a` and `b` are the same.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|part| !part.is_empty())
    }

    /// Whether the client sends its body only when it is told to.
    pub fn awaits_word(&self) -> bool {
        self.list("Expect").any(|what| what.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Whether the answer has a body.
    pub fn wants_body(&self) -> bool {
        self.method != Method::Head
    }
}

/// What the received bytes begin with.
#[derive(Clone, Debug)]
#[must_use]
pub enum HeadStep<'a> {
    /// To be handed in again with more behind it.
    Incomplete,
    Head(Head<'a>),
}

/// Always the peer's fault; [`HeadError::answer`] tells it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP/1.0 or HTTP/1.1.
    Malformed,
    /// More bytes or headers than allowed.
    TooLarge,
}

impl HeadError {
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 431,
        }
    }

    /// The whole answer; the connection is closed after it.
    pub fn answer(self) -> Vec<u8> {
        let text = match self {
            Self::Malformed => "This is not an HTTP/1.1 request.\n",
            Self::TooLarge => "The head of the request is too large.\n",
        };
        response(self.status(), "text/plain", &[], text.as_bytes())
    }
}

/// The head of the request that `bytes` begin with. Source: RFC 9112, sections 2 to 5.
///
/// Bytes that cannot become a request are refused at once, without waiting for an empty line.
pub fn parse_head<'a>(bytes: &'a [u8], limits: &HeadLimits) -> Result<HeadStep<'a>, HeadError> {
    let seen = bytes.get(..limits.head_bytes_max).unwrap_or(bytes);
    let mut storage = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut storage);
    let used = match request.parse(seen) {
        Ok(Status::Complete(used)) => used,
        Ok(Status::Partial) if has_bare_line_feed(seen) => return Err(HeadError::Malformed),
        Ok(Status::Partial) if seen.len() < limits.head_bytes_max => return Ok(HeadStep::Incomplete),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Malformed),
    };
    let (Some(method), Some(target), Some(minor_version)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Malformed);
    };
    if has_bare_line_feed(seen.get(..used).unwrap_or(seen)) {
        return Err(HeadError::Malformed);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    };
    let head = Head { method, target, minor_version, used, headers: request.headers.to_vec() };
    // Two names of the server: whoever stood before it may have believed the other one.
    if head.headers("Host").nth(1).is_some() {
        return Err(HeadError::Malformed);
    }
    Ok(HeadStep::Head(head))
}

/// Whether a line ends with a line feed alone. Some proxies see no end there, and another request than this server.
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}
