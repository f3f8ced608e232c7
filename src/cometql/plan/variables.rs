//! System variables and functions: what clients ask a MySQL server when they connect.
//!
//! What the session has set comes before what is the same everywhere. An unknown variable is the empty string, never an
//! error, because clients ask for variables of servers newer or older than any we could imitate; one of the user that was
//! never set is NULL.

use std::borrow::Cow;
use std::fmt;

use super::like::Effort;
use super::memory::Memory;
use super::scalars::{self, Field};
use super::{SessionView, User};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Expression, Value};

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
pub(super) fn variables(session: &SessionView<'_>) -> Vec<(&'static str, String)> {
    let names = FIXED.iter().map(|(name, _)| *name).chain(SETTINGS);
    let mut variables: Vec<_> = names.filter_map(|name| Some((name, find(name, session)?.into_owned()))).collect();
    variables.sort_unstable();
    variables
}

/// What an expression without a table is worth, and whether it is a number; `None` is NULL. Error: 3 for functions that
/// are not there.
///
/// All expressions of a statement share one effort, or many short LIKEs would be as bad as a long one; and all of a query
/// share its steps, for texts are made here before anything else of it begins. Error: 11 when they are used up.
pub(super) fn evaluate(
    expression: &Expression,
    session: &SessionView<'_>,
    effort: &mut Effort,
) -> Result<(Option<String>, bool), Error> {
    Ok(match expression {
        Expression::Value(value) => (value.text().map(str::to_owned), matches!(value, Value::Number(_))),
        Expression::Variable(name) => variable(name, session),
        Expression::Function { name, arguments } => {
            if let Some((value, number)) = function(name, arguments, session) {
                return Ok((Some(value), number));
            }
            let mut values = arguments
                .iter()
                .map(|argument| Ok(evaluate(argument, session, effort)?.0.map(Cow::Owned)))
                .collect::<Result<Vec<Field>, Error>>()?;
            if &**name == "FROM_UNIXTIME"
                && let [Some(time)] = values.as_mut_slice()
            {
                *time = scalars::sum([&**time, &session.memory.zone_s().to_string()].into_iter());
            }
            let value = scalars::call(name, &values, effort)?;
            effort.check()?;
            session.step(value.as_ref().map_or(0, |text| text.len()))?;
            (value.map(Cow::into_owned), scalars::gives_number(name))
        }
        Expression::ColumnOrText(text) => (Some(text.to_string()), false),
        Expression::Column(name) => super::find_column(None, name).map(|_| (None, false))?,
        Expression::CountRows | Expression::CountColumn(_) => {
            return Err(Error::new(Code::Syntax, "COUNT cannot stand inside another function"));
        }
    })
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

/// What stands for a word that only the session knows.
pub(super) fn value(word: &str, session: &SessionView<'_>) -> Value<'static> {
    let (text, number) = if word.starts_with('@') {
        variable(&word.to_ascii_lowercase(), session)
    } else {
        function(&word.to_ascii_uppercase(), &[], session).map_or((None, false), |(text, number)| (Some(text), number))
    };
    match text {
        None => Value::Null,
        Some(text) if number => Value::Number(text.into()),
        Some(text) => Value::Text(text.into()),
    }
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
        "warning_count" => (if memory.warned() { "1" } else { "0" }).into(),
        name => match memory.kept(name) {
            Some(text) => text.into(),
            None => FIXED.iter().find(|(known, _)| *known == name)?.1.into(),
        },
    })
}

/// A function of the session or of the time, and whether its value is a number.
pub(super) fn function(name: &str, arguments: &[Expression], session: &SessionView<'_>) -> Option<(String, bool)> {
    let utc = name.starts_with("UTC_");
    let zone_s = if utc { 0 } else { session.memory.zone_s() };
    let moment = Moment::new(session.unix.0.saturating_add(zone_s));
    let times = ["NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "SYSDATE", "UTC_TIMESTAMP"];
    let value = match (name, arguments) {
        ("VERSION", []) => session.server.version.to_owned(),
        (name, []) if let Some(told) = session.memory.told(name) => return Some((told.to_string(), true)),
        ("DATABASE" | "SCHEMA", []) => session.database.unwrap_or_default().to_owned(),
        ("USER" | "SESSION_USER" | "SYSTEM_USER", []) => format!("{}@localhost", session.user),
        ("CURRENT_USER", []) => format!("{}@%", session.user),
        ("CONNECTION_ID", []) => return Some((session.connection.to_string(), true)),
        ("UNIX_TIMESTAMP", []) => return Some((session.unix.0.to_string(), true)),
        (name, []) if times.contains(&name) => moment.to_string(),
        // With so many digits behind the second, which is all that is known.
        (name, [Expression::Value(Value::Number(digits))]) if times.contains(&name) => {
            match digits.parse().ok().filter(|digits| *digits <= 6)? {
                0 => moment.to_string(),
                digits => format!("{moment}.{}", "0".repeat(digits)),
            }
        }
        ("CURDATE" | "CURRENT_DATE" | "UTC_DATE", []) => moment.date(),
        ("CURTIME" | "CURRENT_TIME" | "UTC_TIME", []) => moment.time(),
        // Clients ask for the distance of the session's time from UTC.
        ("TIMEDIFF", [Expression::Function { name: now, .. }, Expression::Function { name: utc, .. }])
            if &**now == "NOW" && &**utc == "UTC_TIMESTAMP" =>
        {
            let zone_s = session.memory.zone_s();
            let sign = if zone_s < 0 { "-" } else { "" };
            format!("{sign}{}", Moment::new(zone_s.abs()).time())
        }
        _ => return None,
    };
    Some((value, false))
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date(), self.time())
    }
}

/// A time in UTC, by the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

impl Moment {
    /// From seconds since 1970. Counts days from 0000-03-01, so that a leap day is the last day of its year.
    pub(super) fn new(unix: i64) -> Self {
        const DAY_S: i64 = 86_400;
        // Years 0 to 9999, beyond which the format ends.
        let unix = unix.clamp(-62_167_219_200, 253_402_300_799);
        let days = unix.div_euclid(DAY_S) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: unix.rem_euclid(DAY_S),
        }
    }

    /// Seconds since 1970 of a time as MySQL writes it, `2001-02-03[ 04:05[:06]]`; `None` for other texts.
    pub(super) fn seconds(text: &str) -> Option<i64> {
        let (date, time) = text.trim_ascii().split_once([' ', 'T']).unwrap_or((text.trim_ascii(), "0:0"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<i64>().ok() } else { None }
        };
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        // What is behind the second is not kept.
        let mut parts = time.split('.').next()?.splitn(3, ':').map(number);
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days since 0000-03-01, so that a leap day is the last of its year.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
        let days = years * 365 + leap_days + (153 * months + 2) / 5 + day - 1;
        Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
    }

    pub(super) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    pub(super) fn time(&self) -> String {
        let second = self.second_of_day;
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}
