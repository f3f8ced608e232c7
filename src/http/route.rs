//! Where a request leads.

use super::head::{Head, Method};

/// Proxies that do not cut their own prefix pass this one on.
const PREFIX: &str = "/comet-server";
/// Longest path of a file below the static folder.
const PATH_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A browser wants a connection; the whole target, for `jsapi::parse_hello`.
    WebSocket(&'a str),
    /// The page at `/`.
    Start,
    /// `/info`, which health checks read.
    Info,
    Favicon,
    /// The browser library as a module.
    Library,
    /// The browser library with the globals of the classic one, under its addresses.
    ClassicLibrary,
    /// `OPTIONS` for any target.
    Options,
    /// A file: its path relative to the static folder, decoded and safe to append. Segments are neither empty nor
    /// hidden and contain no backslash or control character.
    Static(String),
    /// Also every method but GET, HEAD and OPTIONS: the predecessor answers 404 to them.
    NotFound,
}

pub fn route<'a>(head: &Head<'a>) -> Route<'a> {
    let target = without_second_slash(head.target);
    match head.method {
        Method::Options => return Route::Options,
        Method::Other => return Route::NotFound,
        Method::Get if is_websocket(target) => return Route::WebSocket(head.target),
        Method::Get | Method::Head => {}
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let path = match path.strip_prefix(PREFIX) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    match path {
        "/" => Route::Start,
        "/info" => Route::Info,
        "/favicon.ico" => Route::Favicon,
        "/encke.js" => Route::Library,
        "/CometServerApi.js" | "/api/CometServerApi.js" => Route::ClassicLibrary,
        _ => static_path(path).map_or(Route::NotFound, Route::Static),
    }
}

/// Pages whose configured node ends in a slash ask with two.
fn without_second_slash(target: &str) -> &str {
    target.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(target)
}

fn is_websocket(target: &str) -> bool {
    target.strip_prefix(PREFIX).unwrap_or(target).starts_with("/ws/")
}

fn static_path(path: &str) -> Option<String> {
    let decoded = percent_decoded(path.strip_prefix('/')?)?;
    if decoded.len() > PATH_BYTES_MAX || decoded.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let mut relative = String::with_capacity(decoded.len());
    // Repeated slashes are one, so no segment is empty and the result never begins with a slash.
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        // Hidden files, and with them `.` and `..`.
        if segment.starts_with('.') {
            return None;
        }
        if !relative.is_empty() {
            relative.push('/');
        }
        relative.push_str(segment);
    }
    (!relative.is_empty() && !decoded.ends_with('/')).then_some(relative)
}

/// Decodes once: what was encoded twice keeps a percent sign. `None` if it is no valid encoding of UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
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
    String::from_utf8(decoded).ok()
}
