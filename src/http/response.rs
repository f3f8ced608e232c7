//! The answers to plain requests.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, Hash};

use super::conditional::{Conditions, Validators, Wanted};
use super::frame::{Site, filled, not_found};
use super::route::Route;
use super::terms::{Cors, Terms};

/// The product text of the `Server` header.
const SERVER: &str = concat!("Encke/", env!("CARGO_PKG_VERSION"));
/// Length of the node's name in `/info`: health checks of the predecessor expect this many characters.
const NODE_CHARS: usize = 10;
const CACHED: (&str, &str) = ("Cache-Control", "max-age=3600");
/// Longest file extension that can be configured.
const EXTENSION_BYTES_MAX: usize = 10;

const START_PAGE: &str = include_str!("../../web/start/index.html");
const ICON: &str = include_str!("../../web/start/icon.svg");
/// For pages and what belongs to them: after an upgrade no old script runs in a new page.
const REVALIDATED: (&str, &str) = ("Cache-Control", "no-cache");
/// Our pages need nothing but this server's own files and the connection that they open.
const PAGE_POLICY: (&str, &str) = (
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Seconds that a connection is kept for the next request, as clients are told.
pub const KEEP_ALIVE_S: u64 = 65;

/// What a client waits for before it sends a body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The start page with what the site says filled in; made once, at start.
pub fn start_page(site: &Site<'_>) -> String {
    filled(START_PAGE, "/", site)
}

/// The whole answer to every route that has one by itself; `None` for all others, see [`super::upgrade`] and
/// [`file_head`].
pub fn plain_answer(route: &Route<'_>, conditions: &Conditions, site: &Site<'_>, terms: &Terms) -> Option<Vec<u8>> {
    let (info, page, moved);
    let (status, content_type, extra, body): (_, _, &[_], _) = match route {
        Route::WebSocket(_)
        | Route::Events(_)
        | Route::Poll(..)
        | Route::WithPassword(..)
        | Route::Static(_)
        | Route::Health
        | Route::Ready
        | Route::Metrics => return None,
        Route::Start => (200, "text/html", &[CACHED, PAGE_POLICY], site.start_page),
        Route::Asset(asset) if asset.is_page() => {
            page = filled(asset.body, asset.path, site);
            (200, asset.content_type, &[REVALIDATED, PAGE_POLICY], page.as_str())
        }
        Route::Asset(asset) => {
            (200, asset.content_type, &[if asset.is_library { CACHED } else { REVALIDATED }], asset.body)
        }
        Route::Doc(doc) => (
            200,
            doc.content_type(),
            if doc.is_page() { &[REVALIDATED, PAGE_POLICY] } else { &[REVALIDATED] },
            doc.body(),
        ),
        // Pages of the predecessor's time parse this themselves, so it keeps the type that makes them do it.
        Route::Info => {
            info = info_body(site.node_name);
            (200, "text/html", &[], info.as_str())
        }
        Route::Favicon => (200, "image/svg+xml", &[CACHED], ICON),
        Route::Options => (200, "text/html", &[CACHED, PREFLIGHT_AGE], "+OK\r\n"),
        Route::Moved(place) => {
            moved = [CACHED, ("Location", place)];
            (301, "text/html", &moved, "The page is at another address.\n")
        }
        // A file may be put there at any time.
        Route::NotFound => {
            page = not_found(conditions.depth, site);
            (404, "text/html", &[REVALIDATED, PAGE_POLICY], page.as_str())
        }
    };
    let (mut body, mut extra) = (body.as_bytes(), extra.to_vec());
    let is_packed = match route {
        Route::Asset(asset) => !asset.is_page(),
        Route::Doc(_) => true,
        _ => false,
    };
    if is_packed {
        extra.push(("Vary", "Accept-Encoding"));
    }
    if is_packed && conditions.accepts_gzip {
        extra.push(("Content-Encoding", "gzip"));
        body = match route {
            Route::Asset(asset) => asset.packed(),
            Route::Doc(doc) => doc.packed(),
            _ => body,
        };
    }
    let validators = Validators::of_content(body);
    if matches!(route, Route::Start | Route::Favicon | Route::Asset(_) | Route::Doc(_)) {
        extra.push(("ETag", validators.tag()));
        if conditions.is_known(&validators) {
            return Some(
                Head { status: 304, content_type, methods: METHODS, extra: &extra, length: None }.write(terms),
            );
        }
    }
    let length = Some(body.len() as u64);
    let mut answer = Head { status, content_type, methods: METHODS, extra: &extra, length }.write(terms);
    if conditions.with_body {
        answer.extend_from_slice(body);
    }
    Some(answer)
}

/// Shape: `{"status":"ok","node":"<name>"}` with exactly ten characters of name, filled up with `_`.
fn info_body(node_name: &str) -> String {
    let node: String = node_name.chars().chain(std::iter::repeat('_')).take(NODE_CHARS).collect();
    // A JSON string of text cannot fail to be written.
    let node = serde_json::to_string(&node).unwrap_or_default();
    format!("{{\"status\":\"ok\",\"node\":{node}}}")
}

/// A whole answer with the headers common to all; the last one of its connection, for whatever page. `content_type` is
/// text without a charset; names and values in `extra` are our own words.
pub fn response(status: u16, content_type: &str, extra: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    response_on(&Terms::LAST, status, content_type, extra, body, true)
}

/// The answer to a request for a page or a file by a name that is not on the list of hosts.
pub fn not_this_name(terms: &Terms, with_body: bool) -> Vec<u8> {
    let text =
        b"This server has another name: the one that was asked for is not on the list host in [ws] of comet.ini.\n";
    response_on(terms, 403, "text/plain", &[("Cache-Control", "no-store")], text, with_body)
}

/// A whole answer with the headers common to all and those that `terms` ask for. `with_body` is false for HEAD, which is
/// told the length of a body that it does not get.
pub fn response_on(
    terms: &Terms,
    status: u16,
    content_type: &str,
    extra: &[(&str, &str)],
    body: &[u8],
    with_body: bool,
) -> Vec<u8> {
    let length = Some(body.len() as u64);
    let mut bytes = Head { status, content_type, methods: METHODS, extra, length }.write(terms);
    bytes.extend_from_slice(if with_body { body } else { &[] });
    bytes
}

/// One answer about a file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    pub wanted: Wanted,
    /// Of the content as it would be sent whole.
    pub length: u64,
    pub validators: Validators,
    /// The content is compressed with gzip.
    pub gzip: bool,
    /// There is a compressed one too, so what is sent depends on who asks.
    pub varies: bool,
}

/// The head of a file's answer; what of the file is wanted follows, unless the request was a HEAD.
pub fn file_head(file: &FileHead, content_type: &str, terms: &Terms) -> Vec<u8> {
    let mut extra = vec![CACHED, ("Accept-Ranges", "bytes"), ("ETag", file.validators.tag())];
    let modified = file.validators.modified();
    extra.extend(modified.as_deref().map(|date| ("Last-Modified", date)));
    if file.gzip {
        extra.push(("Content-Encoding", "gzip"));
    }
    if file.varies {
        extra.push(("Vary", "Accept-Encoding"));
    }
    let range;
    let (status, length) = match &file.wanted {
        Wanted::Whole => (200, Some(file.length)),
        Wanted::Nothing => (304, None),
        Wanted::Part(part) => {
            range = format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), file.length);
            extra.push(("Content-Range", &range));
            (206, Some(part.end.saturating_sub(part.start)))
        }
        Wanted::Unsatisfiable => {
            range = format!("bytes */{}", file.length);
            extra.push(("Content-Range", &range));
            (416, Some(0))
        }
    };
    Head { status, content_type, methods: "GET", extra: &extra, length }.write(terms)
}

/// What the recorded preflight names; the addresses that the predecessor did not have allow no more.
pub(super) const METHODS: &str = "POST, GET";
/// How long a browser need not ask again, in seconds.
const PREFLIGHT_AGE: (&str, &str) = ("Access-Control-Max-Age", "3600");

pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    pub(super) methods: &'a str,
    pub(super) extra: &'a [(&'a str, &'a str)],
    /// `None` where the answer has no body by its status, or ends with the connection.
    pub(super) length: Option<u64>,
}

impl Head<'_> {
    pub(super) fn write(&self, terms: &Terms) -> Vec<u8> {
        let Self { status, content_type, methods, extra, length } = self;
        let reason = reason_phrase(*status);
        let charset = if content_type.contains("charset=") { "" } else { "; charset=UTF-8" };
        let mut head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}{charset}\r\n");
        // A String takes every write.
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        let _ = write!(head, "Server: {SERVER}\r\nComet-Server: {SERVER}\r\n");
        match &terms.cors {
            Cors::Everybody => head.push_str("Access-Control-Allow-Origin: *\r\n"),
            Cors::Page(origin) => {
                // A page on the list may send what it has, as an EventSource with credentials does; this server looks at none.
                let _ = write!(
                    head,
                    "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
                );
            }
            // The next page may be another one, and what is kept for this one must not be shown to it.
            Cors::Nobody => head.push_str("Vary: Origin\r\n"),
        }
        let _ = write!(
            head,
            "Access-Control-Allow-Methods: {methods}\r\n\
             Allow: {methods}\r\n\
             Access-Control-Allow-Headers: {}\r\n\
             X-Content-Type-Options: nosniff\r\n",
            terms.allowed_headers
        );
        for (name, value) in *extra {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if terms.persistent {
            let _ = write!(head, "Connection: keep-alive\r\nKeep-Alive: timeout={KEEP_ALIVE_S}\r\n\r\n");
        } else {
            head.push_str("Connection: close\r\n\r\n");
        }
        head.into_bytes()
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        505 => "HTTP Version Not Supported",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

/// The configured type of a file by its extension, which is what stands behind the last dot of its name (at most 10
/// bytes). Files with any other extension, or none, are not served.
pub fn content_type<'a, K, V, S>(types: &'a HashMap<K, V, S>, path: &str) -> Option<&'a str>
where
    K: Borrow<str> + Eq + Hash,
    V: AsRef<str>,
    S: BuildHasher,
{
    let name = path.rsplit('/').next()?;
    let (_, extension) = name.rsplit_once('.')?;
    if extension.len() > EXTENSION_BYTES_MAX {
        return None;
    }
    types.get(extension).map(AsRef::as_ref)
}
