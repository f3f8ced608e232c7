//! System variables: what clients ask a MySQL server when they connect.
//!
//! What the session has set comes before what is the same everywhere. An unknown variable is the empty string, never an
//! error, because clients ask for variables of servers newer or older than any we could imitate; one of the user that was
//! never set is NULL.

use std::borrow::Cow;

use crate::cometql::session::{Memory, SessionView, Setting, User};

const COMMENT: &str = "Encke comet server, CometQL";

/// Those that are the same in every server.
const FIXED: [(&str, &str); 82] = [
    ("auto_increment_increment", "1"),
    ("auto_increment_offset", "1"),
    ("basedir", "/"),
    ("big_tables", "OFF"),
    ("binlog_format", "ROW"),
    ("bulk_insert_buffer_size", "8388608"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_filesystem", "binary"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("connect_timeout", "10"),
    ("default_authentication_plugin", "mysql_native_password"),
    ("default_storage_engine", "CometQL"),
    ("default_tmp_storage_engine", "CometQL"),
    ("default_week_format", "0"),
    ("div_precision_increment", "4"),
    ("error_count", "0"),
    ("event_scheduler", "OFF"),
    ("explicit_defaults_for_timestamp", "ON"),
    ("foreign_key_checks", "OFF"),
    ("general_log", "OFF"),
    ("group_concat_max_len", "65536"),
    ("gtid_executed", ""),
    ("gtid_mode", "OFF"),
    ("gtid_purged", ""),
    ("have_query_cache", "NO"),
    ("init_connect", ""),
    ("innodb_lock_wait_timeout", "50"),
    ("innodb_read_only", "OFF"),
    ("lc_messages", "en_US"),
    ("lc_time_names", "en_US"),
    ("license", "Apache-2.0 OR MIT"),
    ("local_infile", "OFF"),
    ("lock_wait_timeout", "31536000"),
    ("log_bin", "OFF"),
    ("log_output", "NONE"),
    ("long_query_time", "10.000000"),
    ("lower_case_file_system", "OFF"),
    // Names of tables are understood in any case, and shown in lower case.
    ("lower_case_table_names", "0"),
    ("max_execution_time", "0"),
    ("max_user_connections", "0"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("offline_mode", "OFF"),
    ("optimizer_switch", ""),
    ("performance_schema", "OFF"),
    ("pid_file", ""),
    ("protocol_version", "10"),
    ("query_cache_size", "0"),
    ("query_cache_type", "OFF"),
    ("read_only", "OFF"),
    ("secure_file_priv", ""),
    ("server_id", "1"),
    ("skip_name_resolve", "ON"),
    ("skip_networking", "OFF"),
    ("slow_query_log", "OFF"),
    ("socket", ""),
    ("sql_auto_is_null", "OFF"),
    ("sql_log_bin", "OFF"),
    ("sql_notes", "ON"),
    ("sql_quote_show_create", "ON"),
    ("sql_safe_updates", "OFF"),
    ("sql_warnings", "OFF"),
    ("super_read_only", "OFF"),
    ("system_time_zone", "UTC"),
    ("table_open_cache", "2000"),
    ("thread_cache_size", "0"),
    ("tmpdir", "/tmp"),
    ("transaction_isolation", "READ-COMMITTED"),
    ("tx_isolation", "READ-COMMITTED"),
    ("unique_checks", "OFF"),
    ("version_comment", COMMENT),
    ("version_compile_machine", std::env::consts::ARCH),
    ("version_compile_os", std::env::consts::OS),
    ("version_compile_zlib", ""),
];

/// Those that are settings.
const SETTINGS: [&str; 20] = [
    "autocommit",
    "have_openssl",
    "have_ssl",
    "hostname",
    "identity",
    "interactive_timeout",
    "last_insert_id",
    "max_allowed_packet",
    "max_connections",
    "port",
    "report_port",
    "sql_mode",
    "sql_select_limit",
    "time_zone",
    "transaction_read_only",
    "tx_read_only",
    "version",
    "wait_timeout",
    "warning_count",
    "timestamp",
];

/// All variables that have a value, in the order of SHOW VARIABLES. Switches are ON and OFF here, 1 and 0 after `@@`.
pub(super) fn variables(session: &SessionView<'_>) -> Vec<(Cow<'static, str>, String)> {
    let names = FIXED.iter().map(|(name, _)| *name).chain(SETTINGS);
    let known = names.filter_map(|name| Some((name.into(), find(name, session)?.into_owned())));
    let own = settings(session).iter();
    let own = own.map(|setting| (String::from(&*setting.variable).into(), setting.value.as_ref().to_owned()));
    let mut variables: Vec<_> = known.chain(own).collect();
    variables.sort_unstable();
    variables
}

/// The value of a variable, and whether it is a number. Switches are 1 and 0.
pub(super) fn variable(name: &str, session: &SessionView<'_>) -> (Option<String>, bool) {
    let Some(name) = name.strip_prefix("@@") else {
        let set = session.memory.variable(name);
        return set.map_or((None, false), |set| (set.text.as_deref().map(str::to_owned), set.number));
    };
    let value = match name.strip_prefix("global.") {
        Some(name) => find(name, &SessionView { memory: &Memory::NEW, ..*session }),
        None => find(name, session),
    };
    let value = match value {
        Some(value) if value == "ON" => "1".to_owned(),
        Some(value) if value == "OFF" && !WORDS.contains(&name) => "0".to_owned(),
        value => value.unwrap_or_default().into_owned(),
    };
    let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    (Some(value), number)
}

/// Those whose OFF is a word among others.
const WORDS: [&str; 3] = ["query_cache_type", "gtid_mode", "event_scheduler"];

/// What is configured concerns the server's own users.
pub(super) fn settings<'s>(session: &SessionView<'s>) -> &'s [Setting] {
    if session.user == User::Root { &session.server.settings } else { &[] }
}

/// One variable without the others: a statement may name a hundred thousand.
fn find<'s>(name: &str, session: &SessionView<'s>) -> Option<Cow<'s, str>> {
    let memory = session.memory;
    let switch = |on| Cow::Borrowed(if on { "ON" } else { "OFF" });
    Some(match name {
        "autocommit" => switch(memory.autocommits()),
        "have_openssl" | "have_ssl" => (if session.tls { "YES" } else { "DISABLED" }).into(),
        // What a machine is called concerns the server's own users.
        "hostname" if session.user != User::Root => "localhost".into(),
        "hostname" => (&*session.server.host_name).into(),
        "identity" | "last_insert_id" => memory.told("LAST_INSERT_ID")?.to_string().into(),
        "max_allowed_packet" => session.limits.query_bytes_max.to_string().into(),
        "max_connections" => session.limits.sessions_max.to_string().into(),
        "interactive_timeout" | "wait_timeout" => session.limits.idle_s.to_string().into(),
        "port" | "report_port" => session.server.port.get().copied().unwrap_or_default().to_string().into(),
        "sql_mode" => memory.modes().to_string().into(),
        "sql_select_limit" => memory.select_limit().map_or_else(|| u64::MAX.to_string().into(), Cow::Borrowed),
        "time_zone" => match memory.variable("@@time_zone").and_then(|zone| zone.text.as_deref()) {
            Some(zone) => zone.into(),
            None => "SYSTEM".into(),
        },
        "timestamp" => session.unix.0.to_string().into(),
        "transaction_read_only" | "tx_read_only" => switch(memory.is_read_only()),
        "version" => session.server.version.into(),
        "warning_count" => (if memory.warning().is_some() { "1" } else { "0" }).into(),
        name => match memory.kept(name) {
            Some(text) => text.into(),
            None if name.starts_with("encke_") => {
                let known = settings(session).iter().find(|setting| &*setting.variable == name)?;
                (&*known.value).into()
            }
            None => FIXED.iter().find(|(known, _)| *known == name)?.1.into(),
        },
    })
}
