//! On what terms a request is answered, whatever the answer: whether the connection stays, and which pages may read it.

use super::head::{Head, Method};
use super::origin::origin_allowed;
use super::route::Route;

/// Which pages may read an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    Everybody,
    /// The page that asked, by its origin.
    Page(Box<str>),
    /// None: the page that asked is not on the list.
    Nobody,
}

impl Cors {
    /// For a page of this origin, with `hosts` as in [`origin_allowed`].
    pub fn of<H: AsRef<str>>(hosts: &[H], origin: Option<&[u8]>) -> Self {
        if origin_allowed(hosts, false, None) {
            return Self::Everybody;
        }
        let page = origin.and_then(|origin| std::str::from_utf8(origin).ok());
        match page.filter(|page| origin_allowed(hosts, false, Some(page.as_bytes()))) {
            Some(page) => Self::Page(page.into()),
            None => Self::Nobody,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether another request may follow on the connection.
    pub persistent: bool,
    pub cors: Cors,
    /// Header fields that a page may send.
    pub allowed_headers: &'static str,
}

/// What the recorded preflight names.
const HEADERS: &str = "origin, content-type, accept";
/// Of the addresses that the predecessor did not have.
const MORE_HEADERS: &str =
    "origin, content-type, accept, authorization, last-event-id, cache-control, x-requested-with";

impl Terms {
    /// The connection ends after the answer, which everybody may read.
    pub const LAST: Self = Self { persistent: false, cors: Cors::Everybody, allowed_headers: HEADERS };

    pub fn of<H: AsRef<str>>(head: &Head<'_>, route: &Route<'_>, hosts: &[H]) -> Self {
        let reads_bodies = matches!(route, Route::Poll(..) | Route::WithPassword(..));
        let is_ours = match route {
            Route::Options => Route::is_ours(head.target),
            route => reads_bodies || matches!(route, Route::Health | Route::Ready | Route::Metrics | Route::Events(_)),
        };
        // Pages of other sites have no business where a password is asked for.
        let wants_password = Route::wants_password(head.target);
        let cors = if wants_password { Cors::Nobody } else { Cors::of(hosts, head.header("Origin")) };
        Self {
            persistent: is_persistent(head, is_ours, reads_bodies),
            cors,
            allowed_headers: if is_ours && head.method == Method::Options { MORE_HEADERS } else { HEADERS },
        }
    }
}

/// Whether the client may send its next request on the same connection. HTTP/1.1 means it so unless it says otherwise.
///
/// At the addresses that the predecessor had it must say so (all browsers do): clients of that time read such an answer
/// until the connection ends. A request with a body ends it too, because bodies are read at our own addresses only.
fn is_persistent(head: &Head<'_>, is_ours: bool, reads_bodies: bool) -> bool {
    let says = |word: &[u8]| head.list("Connection").any(|listed| listed.eq_ignore_ascii_case(word));
    if says(b"close") || has_body(head) && !reads_bodies {
        return false;
    }
    says(b"keep-alive") || is_ours && head.minor_version >= 1
}

fn has_body(head: &Head<'_>) -> bool {
    head.header("Transfer-Encoding").is_some() || head.headers("Content-Length").any(|length| length != b"0")
}
