//! The one table of keys: section, name, type, bounds and the sentence that documents it. Reading, writing, the
//! sample file and the suggestions for misspelt keys all come from here; defaults come from `Config::default()`.

use super::key::{Field, Key};
use super::{AuthPlugin, CometQlByHttp, Durability, LogLevel, SendEngine, StringEscapes, Tls};
use crate::model::{RealIpHeader, TOKEN_LEEWAY_S_MAX, TokenAlgorithm};
use std::path::PathBuf;

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
/// Longest silence that can be measured, in seconds: the shards count ticks of a second in 15 bits, and one more for the
/// tick that has begun. Handshakes and logins, in milliseconds, are far below.
pub const TIMEOUT_S_MAX: u64 = 32_766;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// All keys, sections together and in the order of [`SECTIONS`].
pub const KEYS: &[Key] = &[
    Key {
        section: "main",
        name: "node_name",
        shipped: true,
        doc: "Name of this server, told by /info (its first 10 characters).",
        without_effect: None,
        field: Field::Text {
            bytes_max: 64,
            secret: false,
            get: |config| Some(config.main.node_name.clone()),
            set: |config, text| text.clone_into(&mut config.main.node_name),
        },
    },
    Key {
        section: "main",
        name: "password",
        shipped: false,
        doc: "The CometQL password. Without it one of 64 characters is drawn at the first start and kept in cometql.password in the data folder.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.main.password.clone(),
            set: |config, text| config.main.password = Some(text.to_owned()),
        },
    },
    Key {
        section: "main",
        name: "base_dir",
        shipped: false,
        doc: "Folder of static files, relative to the working directory. Without it none are served.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.main.base_dir.as_ref().map(|dir| dir.display().to_string()),
            set: |config, text| config.main.base_dir = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "main",
        name: "dev_index_size",
        shipped: false,
        doc: "Number of tenants (dev_id); they are numbered from 0.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: i32::MAX as u64,
            get: |config| config.main.dev_index_size.into(),
            set: |config, number| config.main.dev_index_size = number as u32,
        },
    },
    Key {
        section: "main",
        name: "send_user_online_events",
        shipped: false,
        doc: "Publish `online` in user_status_<id> when a user's first connection comes.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.send_user_online_events,
            set: |config, on| config.main.send_user_online_events = on,
        },
    },
    Key {
        section: "main",
        name: "send_user_offline_events",
        shipped: false,
        doc: "Publish `offline` in user_status_<id> when a user's last connection goes.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.send_user_offline_events,
            set: |config, on| config.main.send_user_offline_events = on,
        },
    },
    Key {
        section: "main",
        name: "save_users_last_online_time",
        shipped: false,
        doc: "Keep the time at which a user's last connection went, for table users_time.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.save_users_last_online_time,
            set: |config, on| config.main.save_users_last_online_time = on,
        },
    },
    Key {
        section: "main",
        name: "offline_grace_s",
        shipped: false,
        doc: "Seconds that a user counts as online after the last connection went: whoever is back by then was never away for others, so a page that is loaded anew does not blink. The time that is kept is the one of going.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 3_600,
            get: |config| config.main.offline_grace_s.into(),
            set: |config, number| config.main.offline_grace_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "ip",
        shipped: true,
        doc: "Address to listen on.",
        without_effect: None,
        field: Field::Address { get: |config| config.ws.ip, set: |config, ip| config.ws.ip = ip },
    },
    Key {
        section: "ws",
        name: "port",
        shipped: true,
        doc: "TCP port; 0 takes a free one.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 65_535,
            get: |config| config.ws.port.into(),
            set: |config, number| config.ws.port = number as u16,
        },
    },
    Key {
        section: "ws",
        name: "thread_num",
        shipped: true,
        doc: "Connection shards, one thread each; 0 is one per core (CppComet: no service).",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 256,
            get: |config| config.ws.thread_num.into(),
            set: |config, number| config.ws.thread_num = number as u16,
        },
    },
    Key {
        section: "ws",
        name: "host",
        shipped: false,
        doc: "Pages that may connect, by the host of their Origin, and the names by which the server is asked where a request has no Origin: separated by commas, *.example.com for all subdomains, * for every page (CppComet did not enforce it).",
        without_effect: None,
        field: Field::Hosts { get: |config| &config.ws.hosts, set: |config, hosts| config.ws.hosts = hosts },
    },
    Key {
        section: "ws",
        name: "ping_interval_s",
        shipped: false,
        doc: "Seconds of silence before a connection is asked whether it lives; 0 never asks.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TIMEOUT_S_MAX,
            get: |config| config.ws.ping_interval_s.into(),
            set: |config, number| config.ws.ping_interval_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "handshake_timeout_ms",
        shipped: false,
        doc: "Milliseconds from accept to a complete request head.",
        without_effect: None,
        field: Field::Number {
            min: 100,
            max: 600_000,
            get: |config| config.ws.handshake_timeout_ms.into(),
            set: |config, number| config.ws.handshake_timeout_ms = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "message_bytes_max",
        shipped: false,
        doc: "Longest message from a browser, in bytes; a longer one ends its connection.",
        without_effect: None,
        field: Field::Number {
            min: 1_024,
            max: 16 * MIB,
            get: |config| config.ws.message_bytes_max as u64,
            set: |config, number| config.ws.message_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "pipes_max",
        shipped: false,
        doc: "Pipes that one connection may be subscribed to (CppComet: 32).",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 65_535,
            get: |config| config.ws.pipes_max as u64,
            set: |config, number| config.ws.pipes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "devices_max",
        shipped: false,
        doc: "Connections of one user that get personal messages; further ones stay and wait for a place.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 10_000,
            get: |config| config.ws.devices_max as u64,
            set: |config, value| config.ws.devices_max = value as usize,
        },
    },
    Key {
        section: "ws",
        name: "connections_max",
        shipped: false,
        doc: "Connections per shard; more are refused.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 16_000_000,
            get: |config| config.ws.connections_max as u64,
            set: |config, number| config.ws.connections_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "queue_bytes_max",
        shipped: false,
        doc: "Unsent bytes at which a connection counts as slow and is closed.",
        without_effect: None,
        field: Field::Number {
            min: 64 * KIB,
            max: 1024 * MIB,
            get: |config| config.ws.queue_bytes_max as u64,
            set: |config, number| config.ws.queue_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "waiting_bytes_max",
        shipped: false,
        doc: "Unsent and unread bytes of all browser connections together; with more, whoever holds most is closed. What many wait for counts about once.",
        without_effect: None,
        field: Field::Number {
            min: 16 * MIB,
            max: 1024 * 1024 * MIB,
            get: |config| config.ws.waiting_bytes_max as u64,
            set: |config, number| config.ws.waiting_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "messages_per_connection_per_s",
        shipped: false,
        doc: "Commands of one connection in a second; those beyond wait in its socket until the next one, and nobody is closed for it. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1_000_000,
            get: |config| u64::from(config.ws.messages_per_connection_per_s),
            set: |config, value| config.ws.messages_per_connection_per_s = value as u32,
        },
    },
    Key {
        section: "ws",
        name: "connections_per_user_max",
        shipped: false,
        doc: "Connections of one user, also those beyond devices_max; further ones are ended.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 100_000,
            get: |config| config.ws.connections_per_user_max as u64,
            set: |config, number| config.ws.connections_per_user_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "connections_per_address_max",
        shipped: false,
        doc: "Connections of one address (an IPv6 address stands for its /64), over all shards; further ones are answered 429 with Retry-After. Browsers share addresses: a company or a mobile network may have thousands behind one. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 16_000_000,
            get: |config| config.ws.connections_per_address_max as u64,
            set: |config, number| config.ws.connections_per_address_max = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "connects_per_address_per_s",
        shipped: false,
        doc: "Connections that one address begins in a second, as many at once; further ones are answered 429 with Retry-After. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.connects_per_address_per_s as u64,
            set: |config, number| config.ws.connects_per_address_per_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "publications_per_user_per_s",
        shipped: false,
        doc: "Messages that one user publishes in a second over all connections, as many at once; whoever is anonymous counts by address. Those beyond are not published, and their sender gets an error with retry_after_ms. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.publications_per_user_per_s as u64,
            set: |config, number| config.ws.publications_per_user_per_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "key_attempts_max",
        shipped: false,
        doc: "Wrong keys of users from one address after which each user whose keys go on being wrong has to wait there, for 1 second at first and 60 at last; its connections are closed meanwhile. Others at the address are not held up, and a right key ends the wait. 0 never waits.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1000,
            get: |config| u64::from(config.ws.key_attempts_max),
            set: |config, value| config.ws.key_attempts_max = value as u32,
        },
    },
    Key {
        section: "ws",
        name: "trusted_proxies",
        shipped: false,
        doc: "Proxies in front of the server, such as 127.0.0.1, 10.0.0.0/8: their requests count for the browser that real_ip_header names, in users_in_pipes and for the limits by address, and they themselves are not limited. Without this key behind a proxy all browsers have its address.",
        without_effect: None,
        field: Field::Networks {
            get: |config| &config.ws.trusted_proxies,
            set: |config, networks| config.ws.trusted_proxies = networks,
        },
    },
    Key {
        section: "ws",
        name: "real_ip_header",
        shipped: false,
        doc: "Where trusted proxies name the browser. They must set X-Real-IP whatever the browser sent, or add to X-Forwarded-For.",
        without_effect: None,
        field: Field::Word {
            words: REAL_IP_HEADERS,
            get: |config| config.ws.real_ip_header.as_str(),
            set: |config, word| {
                config.ws.real_ip_header = match word {
                    "X-Forwarded-For" => RealIpHeader::XForwardedFor,
                    _ => RealIpHeader::XRealIp,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "deflate",
        shipped: false,
        doc: "Compress messages (permessage-deflate) for clients that offer it: publications from 128 bytes, each once for all its receivers, and nothing else. Saves traffic and costs time of the cores; behind a proxy that compresses leave it off.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.ws.deflate { "on" } else { "off" },
            set: |config, word| config.ws.deflate = word == "on",
        },
    },
    Key {
        section: "ws",
        name: "cometql",
        shipped: false,
        doc: "CometQL by HTTP (POST /cometql), for hosts without MySQL connections, and with it the console and the dashboard. local: for this machine only, and not for those whom a proxy on it tells of. on: for everybody; without a proxy with TLS in front the password crosses the network unenciphered.",
        without_effect: None,
        field: Field::Word {
            words: BY_HTTP,
            get: |config| match config.ws.cometql {
                CometQlByHttp::Off => "off",
                CometQlByHttp::Local => "local",
                CometQlByHttp::On => "on",
            },
            set: |config, word| {
                config.ws.cometql = match word {
                    "off" => CometQlByHttp::Off,
                    "on" => CometQlByHttp::On,
                    _ => CometQlByHttp::Local,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "send_engine",
        shipped: false,
        doc: "How publications reach the sockets: auto takes io_uring where the kernel allows it.",
        without_effect: None,
        field: Field::Word {
            words: SEND_ENGINES,
            get: |config| match config.ws.send_engine {
                SendEngine::Auto => "auto",
                SendEngine::IoUring => "io_uring",
                SendEngine::Plain => "plain",
            },
            set: |config, word| {
                config.ws.send_engine = match word {
                    "io_uring" => SendEngine::IoUring,
                    "plain" => SendEngine::Plain,
                    _ => SendEngine::Auto,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "pin_cores",
        shipped: false,
        doc: "Keep each shard's thread on one core.",
        without_effect: None,
        field: Field::Switch { get: |config| config.ws.pin_cores, set: |config, on| config.ws.pin_cores = on },
    },
    Key {
        section: "ws",
        name: "busy_poll_us",
        shipped: false,
        doc: "Microseconds a shard looks for work before it sleeps: lower delay, more processor time. 0 sleeps at once.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.busy_poll_us.into(),
            set: |config, number| config.ws.busy_poll_us = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "ip",
        shipped: true,
        doc: "Address to listen on. Whoever reaches it and knows the password can publish; see tls below.",
        without_effect: None,
        field: Field::Address { get: |config| config.cometql.ip, set: |config, ip| config.cometql.ip = ip },
    },
    Key {
        section: "cometql",
        name: "port",
        shipped: true,
        doc: "TCP port; 0 takes a free one.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 65_535,
            get: |config| config.cometql.port.into(),
            set: |config, number| config.cometql.port = number as u16,
        },
    },
    Key {
        section: "cometql",
        name: "query_bytes_max",
        shipped: false,
        doc: "Longest statement in bytes; a longer one is refused with error 11 (CppComet: 8,999).",
        without_effect: None,
        field: Field::Number {
            min: 4 * KIB,
            max: 64 * MIB,
            get: |config| config.cometql.query_bytes_max as u64,
            set: |config, number| config.cometql.query_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "packet_bytes_max",
        shipped: false,
        doc: "Longest packet in bytes; a longer one ends its session.",
        without_effect: None,
        field: Field::Number {
            min: 4 * KIB,
            max: 1024 * MIB,
            get: |config| config.cometql.packet_bytes_max as u64,
            set: |config, number| config.cometql.packet_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "result_bytes_max",
        shipped: false,
        doc: "What the rows of one answer may weigh in bytes where they have to be held together, as for ORDER BY; a statement that asks for more is refused with error 11. Other answers are sent as their rows come (CppComet dropped those beyond 1,000,000 bytes).",
        without_effect: None,
        field: Field::Number {
            min: 64 * KIB,
            max: 1024 * MIB,
            get: |config| config.cometql.result_bytes_max as u64,
            set: |config, number| config.cometql.result_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "sessions_max",
        shipped: false,
        doc: "Sessions at the same time; more are refused.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.cometql.sessions_max as u64,
            set: |config, number| config.cometql.sessions_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "tenant_sessions_max",
        shipped: false,
        doc: "Sessions of one tenant at the same time that logged in with its own password, see [tenant N] at the end; more are refused with error 16. All such sessions together leave a tenth of sessions_max to the password of [main].",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.cometql.tenant_sessions_max as u64,
            set: |config, number| config.cometql.tenant_sessions_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "login_timeout_ms",
        shipped: false,
        doc: "Milliseconds from accept to a complete login.",
        without_effect: None,
        field: Field::Number {
            min: 100,
            max: 600_000,
            get: |config| config.cometql.login_timeout_ms.into(),
            set: |config, number| config.cometql.login_timeout_ms = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "login_attempts_max",
        shipped: false,
        doc: "Wrong passwords from one address after which its logins are refused with error 16, for 1 second at first and 60 at last; a right one ends that, unless it is a tenant's own. 0 never refuses.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1_000,
            get: |config| config.cometql.login_attempts_max.into(),
            set: |config, number| config.cometql.login_attempts_max = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "master_password_for_tenants",
        shipped: false,
        doc: "Whether the password of [main] also logs in tenants that have one of their own, see [tenant N] at the end. With off they use theirs only.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.cometql.master_password_for_tenants { "on" } else { "off" },
            set: |config, word| config.cometql.master_password_for_tenants = word == "on",
        },
    },
    Key {
        section: "cometql",
        name: "idle_timeout_s",
        shipped: false,
        doc: "Seconds without a statement after which a session ends; 0 never.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TIMEOUT_S_MAX,
            get: |config| config.cometql.idle_timeout_s.into(),
            set: |config, number| config.cometql.idle_timeout_s = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "delete_counts",
        shipped: false,
        doc: "Report as affected rows of a DELETE how many are gone; CppComet always said 0.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.cometql.delete_counts { "on" } else { "off" },
            set: |config, word| config.cometql.delete_counts = word == "on",
        },
    },
    Key {
        section: "cometql",
        name: "string_escapes",
        shipped: false,
        doc: "How backslashes in string literals are read: mysql decodes them, legacy leaves them in the text as CppComet did.",
        without_effect: None,
        field: Field::Word {
            words: STRING_ESCAPES,
            get: |config| match config.cometql.string_escapes {
                StringEscapes::Mysql => "mysql",
                StringEscapes::Legacy => "legacy",
            },
            set: |config, word| {
                config.cometql.string_escapes = match word {
                    "legacy" => StringEscapes::Legacy,
                    _ => StringEscapes::Mysql,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "auth_plugin",
        shipped: false,
        doc: "Method of logging in that is offered first; the other one is taken too. Old PHP knows the first only.",
        without_effect: None,
        field: Field::Word {
            words: AUTH_PLUGINS,
            get: |config| match config.cometql.auth_plugin {
                AuthPlugin::Native => "mysql_native_password",
                AuthPlugin::CachingSha2 => "caching_sha2_password",
            },
            set: |config, word| {
                config.cometql.auth_plugin = match word {
                    "caching_sha2_password" => AuthPlugin::CachingSha2,
                    _ => AuthPlugin::Native,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "tls",
        shipped: false,
        doc: "TLS for backends: on offers it to those that ask, required refuses logins without it with error 16.",
        without_effect: None,
        field: Field::Word {
            words: TLS_MODES,
            get: |config| match config.cometql.tls {
                Tls::Off => "off",
                Tls::On => "on",
                Tls::Required => "required",
            },
            set: |config, word| {
                config.cometql.tls = match word {
                    "on" => Tls::On,
                    "required" => Tls::Required,
                    _ => Tls::Off,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "tls_cert",
        shipped: false,
        doc: "Certificate in PEM, with those that lead to its CA behind it, relative to the working directory. Without it a self-signed one is made at the first start with TLS and kept as cometql.crt in the data folder, its key as cometql.key.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.cometql.tls_cert.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.cometql.tls_cert = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "cometql",
        name: "tls_key",
        shipped: false,
        doc: "Private key of tls_cert in PEM, relative to the working directory.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.cometql.tls_key.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.cometql.tls_key = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "storage",
        name: "dir",
        shipped: true,
        doc: "Data folder, relative to the working directory; made if it is missing.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| Some(config.storage.dir.display().to_string()),
            set: |config, text| config.storage.dir = PathBuf::from(text),
        },
    },
    Key {
        section: "storage",
        name: "queue_max",
        shipped: false,
        doc: "Requests under way to the database; more are refused. A quarter is kept for writes and backends, three eighths for logins.",
        without_effect: None,
        field: Field::Number {
            min: 16,
            max: 16_000_000,
            get: |config| config.storage.queue_max as u64,
            set: |config, number| config.storage.queue_max = number as usize,
        },
    },
    Key {
        section: "storage",
        name: "durability",
        shipped: false,
        doc: "When an answer says that something is stored: full, when it is on disk; lazy, when the system has it, which is faster, but a power cut may take the last seconds. The MySQL engine has settings of its own for this.",
        without_effect: None,
        field: Field::Word {
            words: DURABILITIES,
            get: |config| match config.storage.durability {
                Durability::Full => "full",
                Durability::Lazy => "lazy",
            },
            set: |config, word| {
                config.storage.durability = match word {
                    "lazy" => Durability::Lazy,
                    _ => Durability::Full,
                }
            },
        },
    },
    Key {
        section: "storage",
        name: "retry_s",
        shipped: false,
        doc: "Seconds that writes wait for a database that cannot be reached, before they fail.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 3600,
            get: |config| config.storage.retry_s.into(),
            set: |config, number| config.storage.retry_s = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "queue_days",
        shipped: false,
        doc: "Days that a personal message waits for its user; 0 for ever (CppComet: for ever).",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 36500,
            get: |config| config.storage.queue_days.into(),
            set: |config, number| config.storage.queue_days = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "queue_messages_max",
        shipped: false,
        doc: "Personal messages that wait for one user; of more the oldest go.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.storage.queue_messages_max.into(),
            set: |config, number| config.storage.queue_messages_max = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "trust_days",
        shipped: false,
        doc: "Days that messages of trust_ pipes without a setting are kept; 0 for ever.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 36500,
            get: |config| config.storage.trust_days.into(),
            set: |config, number| config.storage.trust_days = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "trust_messages_max",
        shipped: false,
        doc: "Messages kept of one trust_ pipe without a setting; of more the oldest go.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.storage.trust_messages_max.into(),
            set: |config, number| config.storage.trust_messages_max = number as u32,
        },
    },
    Key {
        section: "db",
        name: "host",
        shipped: false,
        doc: "Host of the MySQL or MariaDB server.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 255,
            secret: false,
            get: |config| Some(config.db.host.clone()),
            set: |config, text| text.clone_into(&mut config.db.host),
        },
    },
    Key {
        section: "db",
        name: "port",
        shipped: false,
        doc: "TCP port of the server.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 65535,
            get: |config| config.db.port.into(),
            set: |config, number| config.db.port = number as u16,
        },
    },
    Key {
        section: "db",
        name: "socket",
        shipped: false,
        doc: "Its socket file, used instead of host and port.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 100,
            secret: false,
            get: |config| config.db.socket.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.db.socket = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "db",
        name: "user",
        shipped: false,
        doc: "User to log in as.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 80,
            secret: false,
            get: |config| Some(config.db.user.clone()),
            set: |config, text| text.clone_into(&mut config.db.user),
        },
    },
    Key {
        section: "db",
        name: "password",
        shipped: false,
        doc: "Password of this user. The link is not enciphered.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.db.password.clone(),
            set: |config, text| config.db.password = Some(text.to_owned()),
        },
    },
    Key {
        section: "db",
        name: "name",
        shipped: false,
        doc: "Name of the database. Without it data is kept in SQLite, see [storage].",
        without_effect: None,
        field: Field::Text {
            bytes_max: 64,
            secret: false,
            get: |config| config.db.name.clone(),
            set: |config, text| config.db.name = Some(text.to_owned()),
        },
    },
    Key {
        section: "db",
        name: "connection_attempts",
        shipped: false,
        doc: "How often a start tries to connect, every 5 seconds.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1000,
            get: |config| config.db.connection_attempts.into(),
            set: |config, number| config.db.connection_attempts = number as u32,
        },
    },
    Key {
        section: "jwt",
        name: "algorithm",
        shipped: false,
        doc: "What tokens are signed with; whatever else a token says of itself is refused. With HS256 the server knows the secret, with the others a public key only.",
        without_effect: None,
        field: Field::Word {
            words: TOKEN_ALGORITHMS,
            get: |config| config.jwt.algorithm.as_str(),
            set: |config, word| config.jwt.algorithm = TokenAlgorithm::from_name(word).unwrap_or_default(),
        },
    },
    Key {
        section: "jwt",
        name: "secret",
        shipped: false,
        doc: "Secret of HS256, the same for all tenants: whoever knows it can sign for each. A token must name its tenant, by the number dev or a number in aud; one that names none is good in tenant 0 only. Without it the secret of a tenant is the password of [main], followed by the tenant's number (as in CppComet).",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.jwt.secret.clone(),
            set: |config, text| config.jwt.secret = Some(text.to_owned()),
        },
    },
    Key {
        section: "jwt",
        name: "public_key",
        shipped: false,
        doc: "File with the public key in PEM, for RS256, ES256 and EdDSA, relative to the working directory. A token must name its tenant, as with secret. Browsers can show tokens of 600 bytes, so RSA keys have 3,072 bits at most.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.jwt.public_key.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.jwt.public_key = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "jwt",
        name: "leeway_s",
        shipped: false,
        doc: "Seconds by which the clocks of whoever signs may differ: a token is good so much earlier and longer than it says.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TOKEN_LEEWAY_S_MAX as u64,
            get: |config| u64::from(config.jwt.leeway_s),
            set: |config, value| config.jwt.leeway_s = value as u32,
        },
    },
    Key {
        section: "log",
        name: "level",
        shipped: false,
        doc: "Lines less important than this are left out (CppComet's 200, 300, 400, 500 and 600 are read as these words).",
        without_effect: None,
        field: Field::Level {
            words: LOG_LEVELS,
            get: |config| match config.log.level {
                LogLevel::Error => "error",
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Debug => "debug",
                LogLevel::Trace => "trace",
            },
            set: |config, word| {
                config.log.level = match word {
                    "error" => LogLevel::Error,
                    "warn" => LogLevel::Warn,
                    "debug" => LogLevel::Debug,
                    "trace" => LogLevel::Trace,
                    _ => LogLevel::Info,
                }
            },
        },
    },
];

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
