//! The virtual tables: their columns, their key, and which statements they take.
//!
//! One description per table (`cometql.md` section 3). A table that is described here is complete for SHOW, DESCRIBE
//! and all checks that need no data; carrying out its reads and writes is one arm each in `plan`.

use super::errors::{Code, Error};
use super::sql::TableName;

/// Columns in a SELECT list or an INSERT, values in one row.
pub const COLUMNS_MAX: usize = 20;
/// Conditions of a WHERE.
pub const CONDITIONS_MAX: usize = 10;
/// Values in the IN lists of one WHERE.
pub const VALUES_MAX: usize = 4_000;
/// Rows of one INSERT. They are accepted or refused together.
pub const ROWS_MAX: usize = 1_000;
/// Shortest pipe name that a backend may use.
pub const PIPE_NAME_MIN: usize = 3;
/// Longest login hash.
pub const HASH_MAX: usize = 32;
/// Longest token in `revoked_tokens`.
pub const TOKEN_MAX: usize = 600;
/// Longest name of a call.
pub const CALL_NAME_MAX: usize = 64;
/// Most publications that a pipe keeps.
pub const HISTORY_MAX: u32 = 1_000;
/// The one database, as clients write it. `db_<N>` also names tenants, see `session::parse_database`.
pub const DATABASE: &str = "CometQL_v1";

/// A column as clients see it. All of them travel as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// The type that SHOW COLUMNS gives.
    pub sql_type: &'static str,
    /// Whether conditions and ORDER BY compare numbers rather than bytes.
    pub number: bool,
    /// Whether an INSERT must give it.
    pub required: bool,
}

/// What the key column holds, hence which values can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ids from this one on.
    User {
        least: u32,
    },
    Pipe,
    /// Any text that is not longer.
    Text {
        bytes_max: usize,
    },
    /// Rows are not looked up by key.
    None,
}

/// Whether a statement is taken by a table, or with which code it is refused before anything else is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Allowed,
    Refused(Code),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableId {
    UsersAuth,
    UsersTime,
    UsersMessages,
    UsersData,
    Pipes,
    UsersInPipes,
    PipesMessages,
    PipesSettings,
    RevokedTokens,
    Conference,
    ConferenceMembers,
    Profiler,
    Connections,
    Dialogs,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub id: TableId,
    pub name: &'static str,
    pub columns: &'static [Column],
    pub key: Key,
    /// Place of the key column in `columns`.
    pub key_column: usize,
    /// A second column by which DELETE finds rows.
    pub other_key: Option<usize>,
    /// Whether DELETE must name both.
    pub both_keys: bool,
    /// Whether SELECT may leave out the key and get all rows.
    pub listable: bool,
    pub select: Access,
    pub insert: Access,
    pub delete: Access,
}

impl Table {
    /// The table of this name, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// The place of a column, by its name in any case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The column that is shown as the primary key; none if rows are not looked up by key.
    pub fn primary_key(&self) -> Option<&'static Column> {
        self.columns.get(self.key_column).filter(|_| self.key != Key::None)
    }

    /// Whether SELECT without the key gets all rows where the server allows it: by looking for the keys first.
    pub fn has_every(&self) -> bool {
        matches!(
            self.id,
            TableId::UsersAuth
                | TableId::UsersTime
                | TableId::UsersMessages
                | TableId::UsersData
                | TableId::Pipes
                | TableId::PipesMessages
                | TableId::PipesSettings
        )
    }

    /// Whether UPDATE can change its rows.
    pub fn is_updatable(&self) -> bool {
        self.instead_of_update().is_none()
    }

    /// For tables whose rows cannot be changed: what does something like it.
    pub fn instead_of_update(&self) -> Option<&'static str> {
        match self.id {
            TableId::UsersAuth | TableId::UsersData | TableId::PipesSettings => None,
            TableId::UsersMessages | TableId::PipesMessages => {
                Some("INSERT sends another message, DELETE takes one back")
            }
            TableId::RevokedTokens => Some("INSERT revokes a token, DELETE lets it be used again"),
            TableId::Conference => Some("INSERT calls a user, DELETE ends that"),
            _ => Some("they show what is going on in the server"),
        }
    }

    /// The tables that SHOW TABLES lists: those that can be read.
    pub fn listed() -> impl Iterator<Item = &'static Self> {
        TABLES.iter().filter(|table| table.select == Access::Allowed)
    }
}

/// The table a statement names, if it takes this kind of statement. Errors: 15 or 1146, or the table's own refusal.
pub fn find_table(
    name: &TableName<'_>,
    verb: &str,
    access: impl Fn(&Table) -> Access,
) -> Result<&'static Table, Error> {
    let ours = name.database.as_ref().is_none_or(|database| database.eq_ignore_ascii_case(DATABASE));
    let Some(table) = Table::find(&name.name).filter(|_| ours) else {
        // CppComet has one database and one number for it. Tools look for MySQL's where they ask what there is.
        let asks = verb.starts_with("SHOW") || !ours && ["SELECT", "DESCRIBE"].contains(&verb);
        let code = if asks { Code::NoSuchTable } else { Code::NotFound };
        return Err(Error::new(code, "The table does not exist: SHOW TABLES lists those that do"));
    };
    match access(table) {
        Access::Allowed => Ok(table),
        Access::Refused(Code::ReadOnly) => {
            Err(Error::new(Code::ReadOnly, format!("Table `{}` is read only: it takes no {verb}", table.name)))
        }
        Access::Refused(code) => Err(Error::new(code, format!("Table `{}` does not exist for {verb}", table.name))),
    }
}

/// The place of a column. Error: 14.
pub fn find_column(position: Option<usize>, name: &str) -> Result<usize, Error> {
    position.ok_or_else(|| {
        let shown: String = name.chars().filter(|shown| !shown.is_control()).take(64).collect();
        Error::new(Code::Columns, format!("There is no column `{shown}`: DESCRIBE lists a table's columns"))
    })
}

const fn text(name: &'static str, sql_type: &'static str) -> Column {
    Column { name, sql_type, number: false, required: false }
}

const fn number(name: &'static str) -> Column {
    Column { name, sql_type: "int(11)", number: true, required: false }
}

const fn required(column: Column) -> Column {
    Column { required: true, ..column }
}

const USER_ID: Column = number("id");
const PIPE_NAME: Column = text("name", "varchar(64)");
const EVENT: Column = text("event", "varchar(64)");
const MESSAGE: Column = text("message", "mediumtext");

const WRITABLE: Access = Access::Allowed;
const READ_ONLY: Access = Access::Refused(Code::ReadOnly);
const ABSENT: Access = Access::Refused(Code::NotFound);

/// A table that takes all statements; the others say how they differ.
const PLAIN: Table = Table {
    id: TableId::Dialogs,
    name: "",
    columns: &[],
    key: Key::None,
    key_column: 0,
    other_key: None,
    both_keys: false,
    listable: false,
    select: Access::Allowed,
    insert: WRITABLE,
    delete: WRITABLE,
};

/// All tables, in the order in which SHOW TABLES lists them.
pub static TABLES: [Table; 14] = [
    Table {
        id: TableId::UsersAuth,
        name: "users_auth",
        columns: &[required(USER_ID), required(text("hash", "varchar(32)"))],
        key: Key::User { least: 1 },
        ..PLAIN
    },
    Table {
        id: TableId::UsersTime,
        name: "users_time",
        columns: &[USER_ID, number("time")],
        key: Key::User { least: 0 },
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::UsersMessages,
        name: "users_messages",
        columns: &[required(USER_ID), text("index", "char(36)"), required(EVENT), required(MESSAGE)],
        key: Key::User { least: 0 },
        ..PLAIN
    },
    Table {
        id: TableId::PipesMessages,
        name: "pipes_messages",
        columns: &[
            text("id", "char(36)"),
            number("time"),
            required(PIPE_NAME),
            number("index"),
            required(EVENT),
            required(MESSAGE),
            number("user_id"),
        ],
        key: Key::Pipe,
        key_column: 2,
        other_key: Some(0),
        ..PLAIN
    },
    Table {
        id: TableId::UsersInPipes,
        name: "users_in_pipes",
        columns: &[
            PIPE_NAME,
            number("user_id"),
            text("user_uuid", "varchar(32)"),
            text("user_agent", "varchar(250)"),
            text("ip", "varchar(64)"),
            text("origin", "varchar(250)"),
            text("language", "varchar(64)"),
        ],
        key: Key::Pipe,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::Pipes,
        name: "pipes",
        columns: &[PIPE_NAME, number("users")],
        key: Key::Pipe,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::PipesSettings,
        name: "pipes_settings",
        columns: &[required(PIPE_NAME), number("length")],
        key: Key::Pipe,
        ..PLAIN
    },
    Table {
        id: TableId::UsersData,
        name: "users_data",
        columns: &[required(USER_ID), required(text("data", "mediumtext"))],
        key: Key::User { least: 1 },
        ..PLAIN
    },
    Table {
        id: TableId::RevokedTokens,
        name: "revoked_tokens",
        columns: &[required(text("token", "varchar(600)"))],
        key: Key::Text { bytes_max: TOKEN_MAX },
        listable: true,
        ..PLAIN
    },
    Table {
        id: TableId::Conference,
        name: "conference",
        columns: &[
            required(PIPE_NAME),
            required(number("user_id")),
            number("caller_id"),
            required(MESSAGE),
            text("profile", "varchar(64)"),
            text("stream", "varchar(64)"),
            text("node", "varchar(64)"),
        ],
        // Never a pipe's name: the calls of one tenant are named as it likes.
        key: Key::Text { bytes_max: CALL_NAME_MAX },
        other_key: Some(1),
        both_keys: true,
        ..PLAIN
    },
    Table {
        id: TableId::ConferenceMembers,
        name: "conference_members",
        columns: &[PIPE_NAME, number("user_id"), number("join_time"), number("last_talking")],
        key: Key::Pipe,
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::Profiler,
        name: "profiler",
        columns: &[text("tag", "varchar(64)"), text("time", "varchar(32)"), number("calls")],
        listable: true,
        insert: ABSENT,
        delete: ABSENT,
        ..PLAIN
    },
    // Not in CppComet. `id` is what KILL takes, `pipes` how many pipes a connection is subscribed to, `queued_bytes` what
    // waits to be sent to it, `since` the unix time at which it came.
    Table {
        id: TableId::Connections,
        name: "connections",
        columns: &[
            Column { sql_type: "bigint(20)", ..number("id") },
            number("user_id"),
            text("ip", "varchar(64)"),
            number("pipes"),
            Column { sql_type: "bigint(20)", ..number("queued_bytes") },
            number("since"),
        ],
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    // Only its refusals are left of it.
    Table { id: TableId::Dialogs, name: "dialogs", select: ABSENT, insert: READ_ONLY, delete: ABSENT, ..PLAIN },
];
