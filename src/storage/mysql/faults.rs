//! Errors of the database and of the link to it: what each means, and how people read it.

use std::io;

use ::mysql::error::{DriverError, Error};

// Error numbers of the server.
const SHUTTING_DOWN: u16 = 1053;
const DISK_FULL: u16 = 1021;
const DUPLICATE: u16 = 1062;
const TABLE_FULL: u16 = 1114;
const LOCKED: u16 = 1205;
pub(super) const DEADLOCK: u16 = 1213;
const READ_ONLY: u16 = 1290;
const READ_ONLY_TRANSACTION: u16 = 1792;
const READ_ONLY_MODE: u16 = 1836;
const KILLED: u16 = 1927;
const KILLED_FOR_SILENCE: u16 = 4031;

pub(super) fn number(error: &Error) -> Option<u16> {
    match error {
        Error::MySqlError(error) => Some(error.code),
        _ => None,
    }
}

/// Whether the connection is of no more use, and the same on a new one may succeed.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::MySqlError(error) => matches!(error.code, SHUTTING_DOWN | KILLED | KILLED_FOR_SILENCE),
        // The error's type has no public name, so its text is compared. A packet that is too large was not sent at all, so the
        // connection is still good.
        Error::CodecError(error) => format!("{error:?}") != "PacketTooLarge",
        Error::DriverError(error) => {
            !matches!(error, DriverError::PacketTooLarge | DriverError::MismatchedStmtParams(..))
        }
        Error::IoError(_) => true,
        Error::UrlError(_) | Error::FromValueError(_) | Error::FromRowError(_) => false,
    }
}

/// The error as people read it, without the library's name of its kind and without the values of a statement.
pub(super) fn said(error: &Error) -> String {
    match error {
        // Only where rows are not simply replaced.
        Error::MySqlError(error) if error.code == DUPLICATE => format!(
            "error {} ({}): {}; the table takes small and capital letters for the same, and a name that differs only in them \
             is there already",
            error.code, error.state, error.message
        ),
        Error::MySqlError(error) => format!("error {} ({}): {}", error.code, error.state, error.message),
        silence if is_silence(silence) => "the server did not answer in time".to_owned(),
        Error::DriverError(DriverError::CouldNotConnect(Some((_, why, _)))) => why.clone(),
        other => io_error(other).map_or_else(|| other.to_string(), io::Error::to_string),
    }
}

/// Whether the server said nothing at all for too long.
pub(super) fn is_silence(error: &Error) -> bool {
    // The first is what a socket says whose timeout has passed.
    let is_timeout = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    matches!(error, Error::DriverError(DriverError::ConnectTimeout)) || io_error(error).is_some_and(is_timeout)
}

/// Whose fault an error is, on a connection that is of use still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// That of what was to be written: it does not fit into its column, or breaks a rule that the table has.
    Data,
    /// There is no room on the disk of the database.
    Disk,
    /// Somebody keeps every writer out.
    Locked,
    Database,
}

pub(super) fn fault(error: &Error) -> Fault {
    match error {
        Error::MySqlError(error) => match error.code {
            LOCKED | READ_ONLY | READ_ONLY_MODE | READ_ONLY_TRANSACTION => Fault::Locked,
            DISK_FULL | TABLE_FULL => Fault::Disk,
            code if is_about_data(code, &error.state) => Fault::Data,
            _ => Fault::Database,
        },
        // A connection that was lost is not asked about, so this is what is larger than `max_allowed_packet`.
        Error::CodecError(_) | Error::DriverError(DriverError::PacketTooLarge) => Fault::Data,
        _ => Fault::Database,
    }
}

/// The classes of SQLSTATE that are about values, and numbers that one server or the other tells under a general state. A
/// column of the operator's that has no default is not among them: no message would pass.
fn is_about_data(code: u16, state: &str) -> bool {
    const NO_DEFAULT: u16 = 1364;
    const NULL_WANTED: u16 = 1048;
    let is_table = matches!(code, NO_DEFAULT | NULL_WANTED);
    let is_data = matches!(
        code,
        // ER_TOO_BIG_ROWSIZE, ER_NET_PACKET_TOO_LARGE, WARN_DATA_TRUNCATED, ER_INVALID_CHARACTER_STRING,
        // ER_ALLOWED_PACKET_OVERFLOWED
        1118 | 1153 | 1265 | 1300 | 1301
        // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_NO_PARTITION_FOR_GIVEN_VALUE
        | 1366 | 1526
        // ER_INVALID_JSON_TEXT, ER_CHECK_CONSTRAINT_VIOLATED, ER_IMPOSSIBLE_STRING_CONVERSION
        | 3140 | 3819 | 3854
        // ER_CONSTRAINT_FAILED, of MariaDB
        | 4025
    );
    !is_table && (is_data || ["22", "23", "45"].iter().any(|class| state.starts_with(class)))
}

fn io_error(error: &Error) -> Option<&io::Error> {
    match error {
        Error::IoError(error) => Some(error),
        Error::CodecError(error) => std::error::Error::source(error)?.downcast_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ::mysql::error::MySqlError;

    use super::*;

    fn told(code: u16, state: &str) -> Fault {
        fault(&Error::MySqlError(MySqlError { state: state.into(), message: "words".into(), code }))
    }

    /// Numbers and states as MySQL 8 and MariaDB 11 tell them.
    #[test]
    fn what_a_message_holds_is_no_fault_of_the_database() {
        for (code, state) in [
            (1366, "HY000"),
            (1366, "22007"),
            (1406, "22001"),
            (1264, "22003"),
            (1292, "22007"),
            (1690, "22003"),
            (3140, "22032"),
            (3819, "HY000"),
            (4025, "23000"),
            (1062, "23000"),
            (1452, "23000"),
            (1644, "45000"),
            (1153, "08S01"),
            (1118, "42000"),
        ] {
            assert_eq!(told(code, state), Fault::Data, "{code} {state}");
        }
        assert_eq!(fault(&Error::DriverError(DriverError::PacketTooLarge)), Fault::Data);
        for (code, state) in [(1021, "HY000"), (1114, "HY000")] {
            assert_eq!(told(code, state), Fault::Disk, "{code}");
        }
        for (code, state) in [(1205, "HY000"), (1290, "HY000"), (1792, "25006"), (1836, "HY000")] {
            assert_eq!(told(code, state), Fault::Locked, "{code}");
        }
        for (code, state) in [(1146, "42S02"), (1054, "42S22"), (1364, "HY000"), (1048, "23000"), (1030, "HY000")] {
            assert_eq!(told(code, state), Fault::Database, "{code}");
        }
    }
}
