//! System variables and functions: what clients ask a MySQL server when they connect.
//!
//! The answers are plausible, not settable: SET has no effect. An unknown variable is the empty string, never an
//! error, because clients ask for variables of servers newer or older than any we could imitate.

use std::borrow::Cow;
use std::fmt;

use super::SessionView;
use super::like::Effort;
use super::scalars::{self, Field};
use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::{Expression, Value};

const COMMENT: &str = "Encke comet server, CometQL";
const SQL_MODE: &str = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION";

/// Those that are the same in every server.
const FIXED: [(&str, &str); 42] = [
    ("auto_increment_increment", "1"),
    ("auto_increment_offset", "1"),
    ("autocommit", "ON"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("default_storage_engine", "CometQL"),
    ("error_count", "0"),
    ("event_scheduler", "OFF"),
    ("foreign_key_checks", "OFF"),
    ("init_connect", ""),
    ("license", "Apache-2.0 OR MIT"),
    ("lower_case_file_system", "OFF"),
    // Names of tables are understood in any case, and shown in lower case.
    ("lower_case_table_names", "0"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("performance_schema", "OFF"),
    ("protocol_version", "10"),
    ("query_cache_size", "0"),
    ("query_cache_type", "OFF"),
    ("read_only", "OFF"),
    ("sql_auto_is_null", "OFF"),
    ("sql_mode", SQL_MODE),
    ("sql_quote_show_create", "ON"),
    ("sql_safe_updates", "OFF"),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "READ-COMMITTED"),
    ("transaction_read_only", "OFF"),
    ("tx_isolation", "READ-COMMITTED"),
    ("tx_read_only", "OFF"),
    ("version_comment", COMMENT),
    ("version_compile_machine", std::env::consts::ARCH),
    ("version_compile_os", std::env::consts::OS),
    ("warning_count", "0"),
];

/// Those that are settings.
const SETTINGS: [&str; 6] =
    ["have_ssl", "interactive_timeout", "max_allowed_packet", "max_connections", "version", "wait_timeout"];

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
        Expression::Variable(name) => {
            let value = variable(name, session);
            let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            (Some(value), number)
        }
        Expression::Function { name, arguments } => {
            if let Some((value, number)) = function(name, arguments, session) {
                return Ok((Some(value), number));
            }
            let values = arguments
                .iter()
                .map(|argument| Ok(evaluate(argument, session, effort)?.0.map(Cow::Owned)))
                .collect::<Result<Vec<Field>, Error>>()?;
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

pub(super) fn variable(name: &str, session: &SessionView<'_>) -> String {
    // A variable of the user (`@name`) was never set, as SET has no effect.
    let Some(name) = name.strip_prefix("@@") else {
        return String::new();
    };
    match find(name, session) {
        Some(value) if value == "ON" => "1".to_owned(),
        Some(value) if value == "OFF" && name != "query_cache_type" => "0".to_owned(),
        value => value.unwrap_or_default().into_owned(),
    }
}

/// One variable without the others: a statement may name a hundred thousand.
fn find<'s>(name: &str, session: &SessionView<'s>) -> Option<Cow<'s, str>> {
    Some(match name {
        "have_ssl" => (if session.tls { "YES" } else { "DISABLED" }).into(),
        "max_allowed_packet" => session.limits.query_bytes_max.to_string().into(),
        "max_connections" => session.limits.sessions_max.to_string().into(),
        "interactive_timeout" | "wait_timeout" => session.limits.idle_s.to_string().into(),
        "version" => session.version.into(),
        name => FIXED.iter().find(|(known, _)| *known == name)?.1.into(),
    })
}

/// A function of the session or of the time, and whether its value is a number.
pub(super) fn function(name: &str, arguments: &[Expression], session: &SessionView<'_>) -> Option<(String, bool)> {
    let moment = Moment::new(session.unix.0);
    let times = ["NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "SYSDATE", "UTC_TIMESTAMP"];
    let value = match (name, arguments) {
        ("VERSION", []) => session.version.to_owned(),
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
        // Clients ask for the server's distance from UTC; the server is in UTC.
        ("TIMEDIFF", [Expression::Function { name: now, .. }, Expression::Function { name: utc, .. }])
            if &**now == "NOW" && &**utc == "UTC_TIMESTAMP" =>
        {
            "00:00:00".to_owned()
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

    pub(super) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    pub(super) fn time(&self) -> String {
        let second = self.second_of_day;
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}
