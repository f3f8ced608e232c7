//! The one table of keys: section, name, type, bounds and the sentence that documents it. Reading, writing, the
//! sample file and the suggestions for misspelt keys all come from here; defaults come from `Config::default()`.

mod backends;
mod browsers;
mod kept;
mod server;

use super::key::Key;
use crate::model::{RealIpHeader, TokenAlgorithm};

/// Sections in the order of the sample file, each with what it is about.
pub const SECTIONS: [(&str, &str); 8] = [
    ("main", "The server as a whole."),
    ("ws", "What browsers connect to: WebSocket, the start page, /info and static files on one port."),
    ("cometql", "What backends connect to: CometQL, spoken by every MySQL client."),
    ("storage", "What is kept, and for how long; by default in an embedded database (SQLite)."),
    (
        "db",
        "A MySQL or MariaDB database instead of the embedded one: one that CppComet 4.09 used, or an empty one. It is used \
         if name is set.",
    ),
    ("jwt", "JSON Web Tokens, for all tenants that have no key of their own, see [tenant N] at the end."),
    (CONTENT_TYPE, "Static files: only these extensions are served, each with its media type."),
    ("log", "The log goes to standard error."),
];

/// The one section whose keys are not in the table: each is a file extension.
pub(super) const CONTENT_TYPE: &str = "content-type";

const SEND_ENGINES: &[&str] = &["auto", "io_uring", "plain"];
const STRING_ESCAPES: &[&str] = &["mysql", "legacy"];
const AUTH_PLUGINS: &[&str] = &["mysql_native_password", "caching_sha2_password"];
const PRIVATE_PIPES: &[&str] = &["users", "listed"];
const REAL_IP_HEADERS: &[&str] = &[RealIpHeader::XRealIp.as_str(), RealIpHeader::XForwardedFor.as_str()];
const ON_OFF: &[&str] = &["off", "on"];
const BY_HTTP: &[&str] = &["off", "local", "on"];
const TLS_MODES: &[&str] = &["off", "on", "required"];
const DURABILITIES: &[&str] = &["full", "lazy"];
/// In the order of [`TokenAlgorithm::ALL`].
pub(super) const TOKEN_ALGORITHMS: &[&str] = &[
    TokenAlgorithm::ALL[0].as_str(),
    TokenAlgorithm::ALL[1].as_str(),
    TokenAlgorithm::ALL[2].as_str(),
    TokenAlgorithm::ALL[3].as_str(),
];
const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// Parts of the server whose lines may have a level of their own.
const LOG_PARTS: &[&str] = &["browsers", "cometql", "storage"];
const LOG_FORMATS: &[&str] = &["text", "json"];
const LOG_STATEMENTS: &[&str] = &["off", "on", "texts"];
/// Longest silence that can be measured, in seconds: the shards count ticks of a second in 15 bits, and one more for the
/// tick that has begun. Handshakes and logins, in milliseconds, are far below.
pub const TIMEOUT_S_MAX: u64 = 32_766;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// All keys, sections together and in the order of [`SECTIONS`].
const KEYS: [&[Key]; 7] =
    [server::MAIN, browsers::WS, backends::COMETQL, kept::STORAGE, kept::DB, server::JWT, server::LOG];

pub fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.into_iter().flatten()
}

/// CppComet's level, 0 to 600, as a word. Its levels between the hundreds sampled; the hundred below counts.
pub(super) fn level_word(number: u64) -> &'static str {
    match number / 100 {
        0..=2 => "error",
        3 => "warn",
        4 => "info",
        5 => "debug",
        _ => "trace",
    }
}
