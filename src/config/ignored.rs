//! What CppComet read and this server does not, with the reason that its owner is told. An old `comet.ini` must not
//! look full of mistakes; but where ignoring a key changes what applications see, it is a warning.

use super::problem::Severity::{self, Note, Warning};

pub(super) struct Ignored {
    pub section: &'static str,
    /// `None`: the whole section, told once.
    pub key: Option<&'static str>,
    pub severity: Severity,
    pub because: &'static str,
}

pub(super) fn section(name: &str) -> Option<&'static Ignored> {
    IGNORED.iter().find(|ignored| ignored.section == name && ignored.key.is_none())
}

pub(super) fn key(section: &str, name: &str) -> Option<&'static Ignored> {
    IGNORED.iter().find(|ignored| ignored.section == section && ignored.key == Some(name))
}

/// A list of CppComet's whose name a key of ours has too. Ours takes one value.
pub(super) fn list(section: &str, name: &str) -> Option<&'static Ignored> {
    IGNORED_LISTS.iter().find(|ignored| ignored.section == section && ignored.key == Some(name))
}

const fn whole(section: &'static str, severity: Severity, because: &'static str) -> Ignored {
    Ignored { section, key: None, severity, because }
}

const fn one(section: &'static str, key: &'static str, because: &'static str) -> Ignored {
    Ignored { section, key: Some(key), severity: Note, because }
}

const GROW: &str = "buffers grow as they are needed, up to bounds of their own";
const STATISTICS: &str = "figures are always kept";
const TELEMETRY: &str = "nothing is ever sent to the vendor";
const ACCEPTS: &str = "the queue of new connections has a fixed length";
const READINESS: &str = "the batch size of readiness events is fixed";
const AGE: &str = "dead connections are found by pings, see ping_interval_s";
const SUBSYSTEMS: &str = "the log has one level for all parts";
const NODES: &str = "nodes cannot be joined yet; this server stands alone";
const CALLS: &str = "calls are not served";

/// The nodes of a cluster, as files from before 4.09 listed them.
const IGNORED_LISTS: &[Ignored] = &[Ignored { section: "ws", key: Some("cometql"), severity: Warning, because: NODES }];

pub(super) const IGNORED: &[Ignored] = &[
    one("main", "buf_size", GROW),
    one("main", "fragment_buf_size", GROW),
    one("main", "fragment_buf_max_size", "the bound is message_bytes_max in [ws]"),
    one("main", "answer_buf_size", "results are sent whole, whatever their size"),
    one("main", "useQueryLoger", "[log] statements = on tells of statements, in the log"),
    one("main", "pidfile", "the process stays in the foreground and whoever starts it knows its number"),
    one("main", "api_version", "CppComet did not use it either"),
    one("main", "isTest", "CppComet did not use it either"),
    one("db", "buf_size", "texts are stored whole or refused, as the database's tables allow"),
    one("ws", "backlog", ACCEPTS),
    one("ws", "epoll_size", READINESS),
    one("ws", "statistics", STATISTICS),
    one("ws", "benchmark", STATISTICS),
    one("ws", "uptimeTestInterval", AGE),
    one("ws", "maxUptime", "see connection_age_max_s"),
    one("ws", "buf_size", GROW),
    Ignored { section: "ws", key: Some("cluster"), severity: Warning, because: NODES },
    one("cometql", "thread_num", "one thread serves all CometQL sessions"),
    one("cometql", "backlog", ACCEPTS),
    one("cometql", "epoll_size", READINESS),
    one("cometql", "statistics", STATISTICS),
    one("cometql", "benchmark", STATISTICS),
    one("cometql", "uptimeTestInterval", "idle sessions end after idle_timeout_s"),
    one("cometql", "maxUptime", "idle sessions end after idle_timeout_s"),
    one("cometql", "buf_size", GROW),
    whole("freeswitch", Warning, CALLS),
    whole("sip", Warning, CALLS),
    whole("cometqlproxy", Warning, NODES),
    whole("mysqlproxy", Warning, NODES),
    whole("cluster", Warning, NODES),
    whole("statistics", Note, TELEMETRY),
    whole("benchmark", Note, STATISTICS),
    whole("http", Note, "CppComet did not use it either; static files are served from base_dir in [main]"),
    one("log", "Any", SUBSYSTEMS),
    one("log", "TagLoger", SUBSYSTEMS),
    one("log", "appConf", SUBSYSTEMS),
    one("log", "pipeCommands", SUBSYSTEMS),
    one("log", "statistics", SUBSYSTEMS),
    one("log", "benchmark", SUBSYSTEMS),
    one("log", "removeOldConnections", SUBSYSTEMS),
    one("log", "MySqlServer", SUBSYSTEMS),
    one("log", "UserIndex", SUBSYSTEMS),
    one("log", "UserItem", SUBSYSTEMS),
    one("log", "ClientServer", SUBSYSTEMS),
    one("log", "ServerServer", SUBSYSTEMS),
    one("log", "SimpleRedisClient", SUBSYSTEMS),
    one("log", "tcpServer", SUBSYSTEMS),
    one("log", "CometQLCluster", SUBSYSTEMS),
    one("log", "devManager", SUBSYSTEMS),
    one("log", "FreeswitchServer", SUBSYSTEMS),
    one("log", "dbLink", SUBSYSTEMS),
];
