//! `comet.ini`: text becomes sections ([`ini`]), sections become a checked [`Config`].
//!
//! Reading the file, printing what is wrong with it and deciding whether to go on belong to the caller. All problems
//! are found in one pass, so that nobody mends a file one line per start.

mod changes;
mod explain;
mod ignored;
mod ini;
mod key;
mod keys;
mod manual;
mod problem;
mod read;
mod sample;
mod tenants;
mod values;

pub use changes::{Change, changes, keep_until_restart};
pub use explain::{Explained, explain, explained_text};
pub use key::{Applies, Field, Key};
pub use keys::{SECTIONS, TIMEOUT_S_MAX, keys};
pub use manual::manual;
pub use problem::{Problem, ProblemKind, Severity};
pub use read::{Places, Read, log_level, parse, read};
pub use sample::{sample, to_text};
pub use tenants::{TENANTS_MAX, Tenant, Tenants};
pub use values::ValueError;

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::model::{Network, RealIpHeader, TokenAlgorithm};

/// Everything the server is told at its start. Each field is a key of `comet.ini`; bounds, units and the names that
/// CppComet used stand in [`keys`], defaults in the [`Default`] implementations below, and nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub main: Main,
    pub ws: Ws,
    pub cometql: CometQl,
    pub storage: Storage,
    pub db: Db,
    pub jwt: Jwt,
    pub tenants: Tenants,
    pub content_types: ContentTypes,
    pub log: Log,
}

/// `[main]`
#[derive(Clone, PartialEq, Eq)]
pub struct Main {
    /// Told by `/info`, which shows its first 10 characters. Default `encke` (CppComet: `NoName`).
    pub node_name: String,
    /// The one CometQL password. `None`: generated at the first start and kept in the data folder.
    pub password: Option<String>,
    /// The group, by name or number, that may read the generated one. `None`: nobody but the server.
    pub password_group: Option<String>,
    /// Folder of the static files; `None` serves none. Relative to the working directory.
    pub base_dir: Option<PathBuf>,
    /// Tenants are numbered 0 to this minus one. Default 100,000.
    pub dev_index_size: u32,
    /// Tell subscribers of `user_status_<id>` that a user came. Default true.
    pub send_user_online_events: bool,
    /// Tell subscribers of `user_status_<id>` that a user left. Default true.
    pub send_user_offline_events: bool,
    /// Keep the time of a user's last visit in storage. Default true.
    pub save_users_last_online_time: bool,
    /// Seconds that a user counts as online after the last connection went. Default 0 (as CppComet).
    pub offline_grace_s: u32,
    /// Seconds that SIGTERM gives connections to leave one after the other before the server stops; 0: it stops at once, which
    /// is the default.
    pub stop_drain_s: u32,
    /// Milliseconds that a stop waits at most: half of them for answers that are under way, the rest until peers have read what
    /// was written and closed. Default 1,000.
    pub stop_grace_ms: u32,
}

/// `[jwt]`: what the tokens of all tenants are signed with that have no key of their own.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwt {
    /// The only one that is accepted. Default HS256.
    pub algorithm: TokenAlgorithm,
    /// Of HS256. Default: the password of `[main]` and the tenant's number, as CppComet.
    pub secret: Option<String>,
    /// File in PEM, of the other algorithms.
    pub public_key: Option<PathBuf>,
    /// Seconds by which the clocks of whoever signs may differ. Default 0.
    pub leeway_s: u32,
    /// Seconds for which tokens of the key before are good still after a reload that brings another one. Default 3,600.
    pub previous_s: u32,
}

/// The secret must not reach a log through `{:?}`.
impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithm", &self.algorithm)
            .field("secret", &self.secret.as_ref().map(|_| "(hidden)"))
            .field("public_key", &self.public_key)
            .field("leeway_s", &self.leeway_s)
            .field("previous_s", &self.previous_s)
            .finish()
    }
}

/// `[ws]`: what browsers connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ws {
    /// Address to listen on. Default 0.0.0.0.
    pub ip: IpAddr,
    /// TCP port; 0 takes a free one. Default 8087.
    pub port: u16,
    /// Connection shards, one thread each; 0 is one per core. Default 0.
    pub thread_num: u16,
    /// Pages that may connect, by the host of their `Origin`, in lower case; `*.example.com` stands for all
    /// subdomains. Empty admits every page, which is the default. At most [`HOSTS_MAX`].
    pub hosts: Vec<String>,
    /// Seconds of silence before a connection is asked whether it lives; 0 never asks. Default 30.
    pub ping_interval_s: u32,
    /// Seconds after which a connection is asked to be replaced by a new one, or ended if it cannot; 0: never, which is the
    /// default.
    pub connection_age_max_s: u32,
    /// Milliseconds from accept to a complete request head. Default 10,000.
    pub handshake_timeout_ms: u32,
    /// Longest message a browser may send, in bytes. Default 65,535.
    pub message_bytes_max: usize,
    /// Commands of one connection; those beyond wait for the next second. 0: no limit, which is the default.
    pub messages_per_connection_per_s: u32,
    /// Messages that one user publishes in a second over all connections; those beyond are refused with an error. Whoever is
    /// anonymous counts by address. 0: no limit, which is the default.
    pub publications_per_user_per_s: u32,
    /// Connections of one user, whatever they get; further ones are ended. Default 1,024.
    pub connections_per_user_max: usize,
    /// Connections of one address; further ones are refused. 0: no limit, which is the default.
    pub connections_per_address_max: u32,
    /// Connections that one address begins in a second; further ones are refused. 0: no limit, which is the default.
    pub connects_per_address_per_s: u32,
    /// Wrong keys of users from one address after which users whose keys were wrong have to wait there; 0: never. Default 20.
    pub key_attempts_max: u32,
    /// Peers that say whose request they pass on. Default: none. At most [`PROXIES_MAX`].
    pub trusted_proxies: Vec<Network>,
    /// Where they say it. Default `X-Real-IP`.
    pub real_ip_header: RealIpHeader,
    /// Whether a `private_` pipe is for those whose token names it, and not for all users. Default false.
    pub private_pipes_listed: bool,
    /// Whether messages are compressed for clients that offer it. Default false.
    pub deflate: bool,
    /// Who may use CometQL by HTTP. Default `local`.
    pub cometql: ByHttp,
    /// Who is told the figures at `/metrics`. Default `local`.
    pub metrics: ByHttp,
    /// What a scraper has to know to be told them from elsewhere; wanted with `on`.
    pub metrics_token: Option<String>,
    /// Pipes that one connection may be subscribed to. Default 1,024 (CppComet: 32).
    pub pipes_max: usize,
    /// Connections of one user that get personal messages. Default 16.
    pub devices_max: usize,
    /// Connections per shard; more are refused. Default 1,000,000.
    pub connections_max: usize,
    /// Unsent bytes at which a connection counts as slow and is closed. Default 1 MiB.
    pub queue_bytes_max: usize,
    /// What waits for all connections of the process together, in bytes; with more, whoever holds most is closed. Default
    /// 256 MiB.
    pub waiting_bytes_max: usize,
    /// How publications reach the sockets. Default `auto`.
    pub send_engine: SendEngine,
    /// Whether each shard's thread stays on one core. Default true.
    pub pin_cores: bool,
    /// Microseconds a shard looks for work before it sleeps; 0 sleeps at once. Default 0.
    pub busy_poll_us: u32,
}

/// Who may ask for something by HTTP that is not for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByHttp {
    Off,
    /// This machine, but not what a proxy on it passes on for others: nobody listens in between.
    #[default]
    Local,
    On,
}

impl ByHttp {
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::On => "on",
        }
    }

    /// Of another word: `local`.
    fn of_word(word: &str) -> Self {
        match word {
            "off" => Self::Off,
            "on" => Self::On,
            _ => Self::Local,
        }
    }
}

/// How publications reach the sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendEngine {
    /// `io_uring` where the kernel allows it, plain sends elsewhere.
    #[default]
    Auto,
    /// `io_uring` or no start at all.
    IoUring,
    /// One system call per connection and turn.
    Plain,
}

/// `[cometql]`: what backends connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CometQl {
    /// Address to listen on. Default 127.0.0.1.
    pub ip: IpAddr,
    /// TCP port; 0 takes a free one. Default 3300.
    pub port: u16,
    /// Longest statement in bytes; longer ones are refused with error 11. Default 1 MiB (CppComet: 8,999 bytes).
    pub query_bytes_max: usize,
    /// Longest packet in bytes, all its parts together; a longer one ends the session. Default 64 MiB.
    pub packet_bytes_max: usize,
    /// What the rows of one answer may weigh in bytes where they have to be held together, as for ORDER BY; more is refused
    /// with error 11. Default 64 MiB.
    pub result_bytes_max: usize,
    /// Sessions at the same time; more are refused. Default 10,000.
    pub sessions_max: usize,
    /// Sessions of one tenant among them that logged in with the tenant's own password. Default 1,000.
    pub tenant_sessions_max: usize,
    /// Milliseconds from accept to a complete login. Default 10,000.
    pub login_timeout_ms: u32,
    /// Wrong passwords from one address after which its logins have to wait; 0: never. Default 20.
    pub login_attempts_max: u32,
    /// Whether the password of `[main]` opens tenants with a password of their own too. Default true.
    pub master_password_for_tenants: bool,
    /// Seconds without a statement after which a session ends; 0 never. Default 28,800.
    pub idle_timeout_s: u32,
    /// Whether DELETE reports how many rows are gone. Default `off`, as CppComet.
    pub delete_counts: bool,
    /// A SELECT that names no key gets all rows.
    pub select_without_key: bool,
    /// How backslashes in string literals are read. Default `mysql`.
    pub string_escapes: StringEscapes,
    /// The method of logging in that the greeting offers. Default `mysql_native_password`.
    pub auth_plugin: AuthPlugin,
    /// Whether sessions can or must be enciphered. Default `off`.
    pub tls: Tls,
    /// Chain of certificates in PEM, the server's first. `None`, and `tls` is not off: one is made at the first start.
    pub tls_cert: Option<PathBuf>,
    /// Private key in PEM. Given together with `tls_cert` only.
    pub tls_key: Option<PathBuf>,
}

/// Whether CometQL is enciphered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not even offered.
    #[default]
    Off,
    /// For clients that ask for it.
    On,
    /// Logins without it are refused with error 16.
    Required,
}

/// How a client is asked to prove its password; it may do so by the other method as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthPlugin {
    /// Known to every client but those that dropped it.
    #[default]
    Native,
    /// Known since MySQL 8.
    CachingSha2,
}

/// How backslashes in string literals are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StringEscapes {
    /// Decoded as MySQL does; before any other character the backslash stays.
    #[default]
    Mysql,
    /// Left in the text, as CppComet 4.09 does.
    Legacy,
}

/// `[storage]`: what is kept, and the embedded engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Data folder: database and generated password. Relative to the working directory. Default `./data`.
    pub dir: PathBuf,
    /// Requests that may wait for the engine; more are refused. Default 65,536.
    pub queue_max: usize,
    /// When the embedded engine acknowledges a write. Default `full`.
    pub durability: Durability,
    /// Seconds that writes wait for a database that cannot be reached. Default 30.
    pub retry_s: u32,
    /// Days that a personal message waits for its user; 0 for ever. Default 7.
    pub queue_days: u32,
    /// Personal messages that wait for one user; of more the oldest go. Default 1,000.
    pub queue_messages_max: u32,
    /// Days that messages of `trust_` pipes without a setting are kept; 0 for ever. Default 30.
    pub trust_days: u32,
    /// Messages kept of one such pipe; of more the oldest go. Default 10,000.
    pub trust_messages_max: u32,
}

/// When the embedded engine acknowledges a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk.
    #[default]
    Full,
    /// When the system has it.
    Lazy,
}

/// `[db]`: the MySQL or MariaDB engine, used if a name is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Db {
    /// Default 127.0.0.1.
    pub host: String,
    /// TCP port. Default 3306.
    pub port: u16,
    /// Socket file, used instead of host and port.
    pub socket: Option<PathBuf>,
    /// Default `root`.
    pub user: String,
    pub password: Option<String>,
    /// Name of the database. `None`, the default: the embedded engine is used.
    pub name: Option<String>,
    /// How often a start tries to connect, 5 seconds apart. Default 10.
    pub connection_attempts: u32,
}

/// `[content-type]`: file extension to media type, the only extensions served. Without the section: what pages are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTypes(pub BTreeMap<String, String>);

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Lines less important than this are left out. Default `info`.
    pub level: LogLevel,
    /// Parts of the server with a level of their own, each once. Default: none.
    pub parts: Vec<(&'static str, LogLevel)>,
    /// Default `text`.
    pub format: LogFormat,
    /// Where lines go. Default: standard error.
    pub file: Option<PathBuf>,
    /// What is told of statements of backends. Default `off`.
    pub statements: LogStatements,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStatements {
    #[default]
    Off,
    /// Who, from where, what about, what came of it, how long it took.
    On,
    /// Also the texts of statements about messages.
    Texts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// An object a line.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Of another word: `info`.
    fn of_word(word: &str) -> Self {
        match word {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => Self::Info,
        }
    }
}

/// Entries of `[ws] host`.
pub const HOSTS_MAX: usize = 1_000;
/// Entries of `[ws] trusted_proxies`.
pub const PROXIES_MAX: usize = 64;
/// Entries of `[content-type]`.
pub const CONTENT_TYPES_MAX: usize = 1_000;
/// A larger file is not a configuration; callers refuse it before they read it whole.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

impl Default for Main {
    fn default() -> Self {
        Self {
            node_name: "encke".to_owned(),
            password: None,
            password_group: None,
            base_dir: None,
            dev_index_size: 100_000,
            send_user_online_events: true,
            send_user_offline_events: true,
            save_users_last_online_time: true,
            offline_grace_s: 0,
            stop_drain_s: 0,
            stop_grace_ms: 1_000,
        }
    }
}

impl Main {
    /// Whether there is a generated password that a group may read.
    pub fn shares_password(&self) -> bool {
        self.password.is_none() && self.password_group.is_some()
    }
}

/// The password must not reach a log through `{:?}`.
impl fmt::Debug for Main {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Main")
            .field("node_name", &self.node_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("password_group", &self.password_group)
            .field("base_dir", &self.base_dir)
            .field("dev_index_size", &self.dev_index_size)
            .field("send_user_online_events", &self.send_user_online_events)
            .field("send_user_offline_events", &self.send_user_offline_events)
            .field("save_users_last_online_time", &self.save_users_last_online_time)
            .field("offline_grace_s", &self.offline_grace_s)
            .field("stop_drain_s", &self.stop_drain_s)
            .field("stop_grace_ms", &self.stop_grace_ms)
            .finish()
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self { algorithm: TokenAlgorithm::default(), secret: None, public_key: None, leeway_s: 0, previous_s: 3_600 }
    }
}

impl Default for Ws {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8087,
            thread_num: 0,
            hosts: Vec::new(),
            ping_interval_s: 30,
            connection_age_max_s: 0,
            handshake_timeout_ms: 10_000,
            message_bytes_max: 65_535,
            pipes_max: 1_024,
            devices_max: 16,
            connections_max: 1_000_000,
            queue_bytes_max: 1024 * 1024,
            waiting_bytes_max: 256 * 1024 * 1024,
            messages_per_connection_per_s: 0,
            publications_per_user_per_s: 0,
            connections_per_user_max: 1_024,
            connections_per_address_max: 0,
            connects_per_address_per_s: 0,
            key_attempts_max: 20,
            trusted_proxies: Vec::new(),
            real_ip_header: RealIpHeader::XRealIp,
            private_pipes_listed: false,
            deflate: false,
            cometql: ByHttp::Local,
            metrics: ByHttp::Local,
            metrics_token: None,
            send_engine: SendEngine::Auto,
            pin_cores: true,
            busy_poll_us: 0,
        }
    }
}

impl Default for CometQl {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 3300,
            query_bytes_max: 1024 * 1024,
            packet_bytes_max: 64 * 1024 * 1024,
            result_bytes_max: 64 * 1024 * 1024,
            sessions_max: 10_000,
            tenant_sessions_max: 1_000,
            login_timeout_ms: 10_000,
            login_attempts_max: 20,
            master_password_for_tenants: true,
            idle_timeout_s: 8 * 60 * 60,
            delete_counts: false,
            select_without_key: true,
            string_escapes: StringEscapes::Mysql,
            auth_plugin: AuthPlugin::Native,
            tls: Tls::Off,
            tls_cert: None,
            tls_key: None,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./data"),
            queue_max: 65_536,
            durability: Durability::Full,
            retry_s: 30,
            queue_days: 7,
            queue_messages_max: 1_000,
            trust_days: 30,
            trust_messages_max: 10_000,
        }
    }
}

impl Default for Db {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3306,
            socket: None,
            user: "root".to_owned(),
            password: None,
            name: None,
            connection_attempts: 10,
        }
    }
}

/// The password must not reach a log through `{:?}`.
impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("name", &self.name)
            .field("connection_attempts", &self.connection_attempts)
            .finish()
    }
}

impl Default for ContentTypes {
    fn default() -> Self {
        let types = [
            ("css", "text/css"),
            ("gif", "image/gif"),
            ("html", "text/html"),
            ("ico", "image/x-icon"),
            ("jpg", "image/jpeg"),
            ("js", "application/javascript"),
            ("mjs", "application/javascript"),
            ("png", "image/png"),
            ("svg", "image/svg+xml"),
            ("wasm", "application/wasm"),
            ("webp", "image/webp"),
            ("woff2", "font/woff2"),
        ];
        Self(types.into_iter().map(|(extension, media_type)| (extension.to_owned(), media_type.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests;
