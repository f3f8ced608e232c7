//! Where a request leads.

use crate::percent;

use super::assets::Asset;
use super::docs::Doc;
use super::head::{Head, Method};

/// Proxies that do not cut their own prefix pass this one on.
const PREFIX: &str = "/comet-server";
const METRICS: &str = "/metrics";
/// Longest path of a file below the static folder.
const PATH_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A browser wants a connection; the whole target, for `jsapi::parse_hello`.
    WebSocket(&'a str),
    /// A browser wants its messages as Server-Sent Events; the fields of the address, for [`super::Query`].
    Events(&'a str),
    /// Long polling; the fields of the address, for [`super::Query`].
    Poll(PollAddress, &'a str),
    /// The page at `/`.
    Start,
    /// `/info`, which health checks read.
    Info,
    Favicon,
    /// `/health`: whether this server can do its work.
    Health,
    /// `/ready`: whether new connections should be sent to this server.
    Ready,
    /// `/metrics`, by whatever method: the figures, for Prometheus.
    Metrics,
    /// A file that is part of the program.
    Asset(&'static Asset),
    /// A page of the documentation, or what its search looks through.
    Doc(&'static Doc),
    /// What needs a password, by whatever method; the fields of the address, for [`super::Query`].
    WithPassword(WithPassword, &'a str),
    /// A page that was asked for with a slash too much or without the one it needs, and where it is from there.
    Moved(&'static str),
    /// `OPTIONS` for any target.
    Options,
    /// A file: its path relative to the static folder, decoded and safe to append. Segments are neither empty nor
    /// hidden and contain no backslash or control character.
    Static(String),
    /// No such page. Methods other than GET, HEAD and OPTIONS end here too, because CppComet answers 404 to them.
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithPassword {
    /// `/cometql`: statements to carry out.
    Statements,
    /// `/dashboard/key`: the name of the pipe with the server's figures.
    DashboardKey,
    /// `/dashboard/past`: the figures of the last hour, the program and its configuration.
    DashboardPast,
    /// `/dashboard/log`: the last warnings.
    DashboardLog,
}

impl WithPassword {
    pub fn is_dashboard(self) -> bool {
        self != Self::Statements
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollAddress {
    /// `/poll`: messages.
    Messages,
    /// `/poll/sign`: a connection to poll for.
    Sign,
    /// `/poll/pub`: a message for a pipe.
    Publish,
    /// `/sign` of pages for icomet; the next two are their `/sub` and `/pub`, and `/subscribe` and `/publish` of pages for
    /// `CComet`.
    OldSign,
    OldSubscribe,
    OldPublish,
}

const POLL_ADDRESSES: [(&str, PollAddress); 8] = [
    ("/poll", PollAddress::Messages),
    ("/poll/sign", PollAddress::Sign),
    ("/poll/pub", PollAddress::Publish),
    ("/sign", PollAddress::OldSign),
    ("/sub", PollAddress::OldSubscribe),
    ("/subscribe", PollAddress::OldSubscribe),
    ("/pub", PollAddress::OldPublish),
    ("/publish", PollAddress::OldPublish),
];

pub fn route<'a>(head: &Head<'a>) -> Route<'a> {
    let target = without_second_slash(head.target);
    match head.method {
        Method::Options => return Route::Options,
        Method::Get | Method::Post if let Some((address, fields)) = poll_address(target) => {
            return Route::Poll(address, fields);
        }
        _ if path_of(target) == METRICS => return Route::Metrics,
        _ if let Some((address, fields)) = with_password(target) => return Route::WithPassword(address, fields),
        Method::Post | Method::Other => return Route::NotFound,
        Method::Get if is_websocket(target) => return Route::WebSocket(head.target),
        Method::Get if let Some(fields) = fields_below(target, "/sse") => return Route::Events(fields),
        Method::Get | Method::Head => {}
    }
    let path = path_of(target);
    match path {
        "/" => Route::Start,
        "/info" => Route::Info,
        "/health" => Route::Health,
        "/ready" => Route::Ready,
        "/favicon.ico" => Route::Favicon,
        path if let Some(asset) = Asset::find(path) => Route::Asset(asset),
        path if let Some(doc) = Doc::find(path) => Route::Doc(doc),
        // The links within such a page are relative, so it is redirected and not shown under this path.
        path if let Some(place) = Asset::moved(path) => Route::Moved(place),
        _ => static_path(path).map_or(Route::NotFound, Route::Static),
    }
}

impl Route<'_> {
    /// Whether the answer is a page or a file. The libraries are none: pages of all sites load them, and they are no secret;
    /// neither is what health checks ask, by whatever name.
    pub fn is_content(&self) -> bool {
        match self {
            Self::Start | Self::Moved(_) | Self::Static(_) | Self::Doc(_) => true,
            Self::Asset(asset) => !asset.is_library,
            _ => false,
        }
    }

    /// Whether the target is one of the addresses that the predecessor did not have.
    pub(super) fn is_ours(target: &str) -> bool {
        let path = path_of(without_second_slash(target));
        let first = path.trim_start_matches('/').split('/').next();
        first.is_some_and(|first| {
            ["health", "ready", "metrics", "sse", "poll", "cometql", "sign", "sub", "pub", "subscribe", "publish"]
                .contains(&first)
        })
    }

    /// Whether the target is one of the addresses that need a password, or the token of scrapers.
    pub(super) fn wants_password(target: &str) -> bool {
        let target = without_second_slash(target);
        with_password(target).is_some() || path_of(target) == METRICS
    }
}

/// How many levels below the root the target is, which links of a page there go up.
pub(super) fn depth(target: &str) -> usize {
    let path = path_of(target);
    path.bytes().filter(|byte| *byte == b'/').count().saturating_sub(1)
}

/// Without query and prefix.
fn path_of(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path.strip_prefix(PREFIX) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Pages whose configured node ends in a slash ask with two.
fn without_second_slash(target: &str) -> &str {
    target.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(target)
}

fn is_websocket(target: &str) -> bool {
    target.strip_prefix(PREFIX).unwrap_or(target).starts_with("/ws/")
}

/// What stands behind `path` as a query, or as a path in the manner of the WebSocket address.
fn fields_below<'a>(target: &'a str, path: &str) -> Option<&'a str> {
    let rest = target.strip_prefix(PREFIX).unwrap_or(target).strip_prefix(path)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('?').or_else(|| rest.strip_prefix('/')) }
}

fn poll_address(target: &str) -> Option<(PollAddress, &str)> {
    let target = target.strip_prefix(PREFIX).unwrap_or(target);
    let (path, fields) = target.split_once('?').unwrap_or((target, ""));
    POLL_ADDRESSES.iter().find(|(known, _)| *known == path).map(|(_, address)| (*address, fields))
}

fn with_password(target: &str) -> Option<(WithPassword, &str)> {
    let fields = target.split_once('?').map_or("", |(_, fields)| fields);
    match path_of(target) {
        "/cometql" => Some((WithPassword::Statements, fields)),
        "/dashboard/key" => Some((WithPassword::DashboardKey, fields)),
        "/dashboard/past" => Some((WithPassword::DashboardPast, fields)),
        "/dashboard/log" => Some((WithPassword::DashboardLog, fields)),
        _ => None,
    }
}

fn static_path(path: &str) -> Option<String> {
    let decoded = percent::decoded_text(path.strip_prefix('/')?)?;
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
