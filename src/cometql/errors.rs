//! Why a statement or a session is refused: one table of numbers, and the error that travels to the backend.
//!
//! The number is the contract: backends test it (`cometql.md` section 4). The text is for people and says what to
//! do; SQLSTATE is [`SQLSTATE`] but for a table that is not there, for what is not allowed and for
//! a server that sends its sessions away. Nothing here knows which statement caused the error.

use std::borrow::Cow;
use std::fmt;

use super::sql::SyntaxError;

/// The SQLSTATE of all errors but three.
pub const SQLSTATE: &str = "HY000";
/// What MySQL says to those that may not.
const SQLSTATE_DENIED: &str = "42000";
/// By which pools know that the connection is of no use any more.
const SQLSTATE_CONNECTION: &str = "08S01";
/// Drivers for Java look at this one instead of the number.
const SQLSTATE_NO_TABLE: &str = "42S02";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What went wrong, by the number a backend sees. 1 to 500 are CometQL's own, the rest MySQL's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$doc])* $name = $number,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// Peer: a form of SQL that is understood and deliberately not carried out.
    NotImplemented = 2,
    /// Peer: the text is no statement of this language.
    Syntax = 3,
    /// Peer: INSERT into or DELETE from a table that is only a view of live state.
    ReadOnly = 10,
    /// Peer: a query, name, hash, message or text above its maximum.
    TooLong = 11,
    /// Peer: a required field is missing or a value is not what its column takes; text that is not UTF-8.
    Invalid = 12,
    /// Peer: WHERE does not say which rows (the key column is missing), or a column is listed twice.
    Where = 13,
    /// Peer: an unknown column, or as many values as there are no columns for.
    Columns = 14,
    /// Peer: no such table or database.
    NotFound = 15,
    /// Peer: a wrong password, user or tenant; the session ends when it happens at login.
    Authentication = 16,
    /// Peer: a query below 4 bytes, a pipe name below 3.
    TooShort = 17,
    /// Peer: more than [`super::tables::CONDITIONS_MAX`] conditions.
    TooManyConditions = 18,
    /// Peer: a list of values or rows above its maximum.
    TooManyValues = 19,
    /// Peer: more than [`super::tables::COLUMNS_MAX`] columns in a SELECT list.
    TooManyColumns = 20,
    /// Peer: more than [`super::tables::COLUMNS_MAX`] names in the column list of an INSERT.
    TooManyNames = 21,
    /// Peer: a query on a session that is not authenticated, or to another tenant without the right to it.
    AccessDenied = 403,
    /// Environment or ours: storage failed, a needed service is not configured.
    Internal = 500,
    /// Peer: a command byte this server does not know.
    UnknownCommand = 1047,
    /// Environment: the server sends its sessions elsewhere.
    ServerLeft = 1053,
    /// Peer: KILL of a connection that does not exist.
    UnknownConnection = 1094,
    /// Peer: the table is not there, where the tools of MySQL look for its number: in SHOW, and in other databases.
    /// CometQL's own statements get [`Self::NotFound`].
    NoSuchTable = 1146,
    /// Peer: as many parameters as there are no placeholders for.
    WrongParameters = 1210,
    /// Peer: a statement about the whole server, on a session that may not ask for it.
    NotAllowed = 1227,
    /// Peer: a prepared statement that was closed or never existed.
    UnknownStatement = 1243,
    /// Peer: more prepared statements than a session may hold.
    TooManyStatements = 1461,
    /// Peer: a write in a transaction that the session begun as one that only reads.
    OnlyReads = 1792,
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// What goes with it on the wire.
    pub fn state(self) -> &'static str {
        match self {
            Self::NoSuchTable => SQLSTATE_NO_TABLE,
            Self::NotAllowed => SQLSTATE_DENIED,
            Self::ServerLeft => SQLSTATE_CONNECTION,
            _ => SQLSTATE,
        }
    }
}

/// A refusal, ready for an ERR packet. The text is at most a few hundred bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    pub text: Cow<'static, str>,
}

impl Error {
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code.number())
    }
}

impl std::error::Error for Error {}

impl From<SyntaxError> for Error {
    fn from(error: SyntaxError) -> Self {
        match error {
            SyntaxError::TooManyTokens => {
                Self::new(Code::TooManyValues, "The statement has too many values: send the rows in several statements")
            }
            SyntaxError::WrongParameters { given, wanted } => Self::new(
                Code::WrongParameters,
                format!("The statement has {wanted} placeholders, but {given} values were given"),
            ),
            SyntaxError::Fixed(text) => Self::new(Code::Syntax, text),
            other => Self::new(Code::Syntax, format!("Syntax error: {other}")),
        }
    }
}
