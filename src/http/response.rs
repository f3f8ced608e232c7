//! The answers to plain requests. After each the connection is closed.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasher, Hash};

use super::route::Route;

/// The product text of the `Server` header.
const SERVER: &str = concat!("Encke/", env!("CARGO_PKG_VERSION"));
/// Length of the node's name in `/info`: health checks of the predecessor expect this many characters.
const NODE_CHARS: usize = 10;
const CACHED: (&str, &str) = ("Cache-Control", "max-age=3600");
/// Longest file extension that can be configured.
const EXTENSION_BYTES_MAX: usize = 10;

const START_PAGE: &str = include_str!("../../web/start/index.html");
const ICON: &str = include_str!("../../web/start/icon.svg");
/// Built by `web/client/build.mjs`.
const LIBRARY: &str = include_str!("../../web/client/dist/encke.js");
const CLASSIC_LIBRARY: &str = include_str!("../../web/client/dist/CometServerApi.js");
/// The start page needs nothing but itself, the library, and the connection it opens.
const START_POLICY: (&str, &str) = (
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self'; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'",
);

/// What the plain answers say of this server.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The body of `/`, from [`start_page`].
    pub start_page: &'a str,
    pub node_name: &'a str,
}

/// The start page with the port of `CometQL` filled in; made once, at start.
pub fn start_page(cometql_port: u16) -> String {
    START_PAGE.replace("{{COMETQL_PORT}}", &cometql_port.to_string())
}

/// The whole answer to every route but these two, which have none here: `WebSocket` (see [`super::upgrade`]) and
/// `Static` (see [`static_head`]). `with_body` is false for HEAD.
pub fn plain_answer(route: &Route<'_>, with_body: bool, site: &Site<'_>) -> Option<Vec<u8>> {
    let info;
    let (status, content_type, extra, body): (_, _, &[_], _) = match route {
        Route::WebSocket(_) | Route::Static(_) => return None,
        Route::Start => (200, "text/html", &[CACHED, START_POLICY], site.start_page),
        // Pages of the predecessor's time parse this themselves, so it keeps the type that makes them do it.
        Route::Info => {
            info = info_body(site.node_name);
            (200, "text/html", &[], info.as_str())
        }
        Route::Favicon => (200, "image/svg+xml", &[CACHED], ICON),
        Route::Library => (200, "text/javascript", &[CACHED], LIBRARY),
        Route::ClassicLibrary => (200, "text/javascript", &[CACHED], CLASSIC_LIBRARY),
        Route::Options => (200, "text/html", &[CACHED], "+OK\r\n"),
        Route::NotFound => (404, "text/html", &[CACHED], NOT_FOUND),
    };
    let mut answer = response_head(status, content_type, extra, body.len() as u64);
    if with_body {
        answer.extend_from_slice(body.as_bytes());
    }
    Some(answer)
}

const NOT_FOUND: &str = "<!doctype html><meta charset=\"utf-8\"><title>Not found</title>\
    <p>This Encke server has nothing at this address.</p>\n";

/// Shape: `{"status":"ok","node":"<name>"}` with exactly ten characters of name, filled up with `_`.
fn info_body(node_name: &str) -> String {
    let node: String = node_name.chars().chain(std::iter::repeat('_')).take(NODE_CHARS).collect();
    // A JSON string of text cannot fail to be written.
    let node = serde_json::to_string(&node).unwrap_or_default();
    format!("{{\"status\":\"ok\",\"node\":{node}}}")
}

/// A whole answer with the headers common to all. `content_type` is text without a charset; names and values in
/// `extra` are our own words.
pub fn response(status: u16, content_type: &str, extra: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = response_head(status, content_type, extra, body.len() as u64);
    bytes.extend_from_slice(body);
    bytes
}

/// The head of such an answer with `length` bytes of body to follow (or none, for HEAD).
pub fn response_head(status: u16, content_type: &str, extra: &[(&str, &str)], length: u64) -> Vec<u8> {
    write_head(status, content_type, "POST, GET", extra, length)
}

/// The head of a file's answer; `length` bytes of the file follow.
pub fn static_head(length: u64, content_type: &str) -> Vec<u8> {
    write_head(200, content_type, "GET", &[CACHED], length)
}

fn write_head(status: u16, content_type: &str, methods: &str, extra: &[(&str, &str)], length: u64) -> Vec<u8> {
    let reason = reason_phrase(status);
    let charset = if content_type.contains("charset=") { "" } else { "; charset=UTF-8" };
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Content-Type: {content_type}{charset}\r\n\
         Content-Length: {length}\r\n\
         Server: {SERVER}\r\n\
         Comet-Server: {SERVER}\r\n\
         Access-Control-Allow-Origin: *\r\n\
         Access-Control-Allow-Methods: {methods}\r\n\
         Allow: {methods}\r\n\
         Access-Control-Allow-Headers: origin, content-type, accept\r\n\
         X-Content-Type-Options: nosniff\r\n"
    );
    for (name, value) in extra {
        // A String takes every write.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("Connection: close\r\n\r\n");
    head.into_bytes()
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
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
