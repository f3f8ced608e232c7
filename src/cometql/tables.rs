//! The virtual tables: their columns, their key, and which statements they take.
//!
//! One description per table (`cometql.md` section 3). A table that is described here is complete for SHOW, DESCRIBE
//! and all checks that need no data; carrying out its reads and writes is one arm each in `plan`.

mod near;

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
/// Longest name of a browser, in bytes. What is beyond is cut off when one connects.
pub const UUID_MAX: usize = 32;
/// Longest key of a publication.
pub const KEY_MAX: usize = 64;
/// Longest time to live of a message: a year.
pub const EXPIRES_IN_MAX_S: u32 = 365 * 24 * 60 * 60;
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
    /// What clients show beside it: one line, without quotes.
    pub comment: &'static str,
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
    Tenants,
    Memory,
    Dialogs,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub id: TableId,
    pub name: &'static str,
    /// What clients show beside it: one line, without quotes.
    pub comment: &'static str,
    pub columns: &'static [Column],
    /// Columns that INSERT takes and no row has: how a message is to be sent. Lists of columns do not show them, so whoever
    /// names no columns, or wants all, has what CppComet has.
    pub only_written: &'static [Column],
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

    /// The place of a column that must be there. Error: 14.
    pub fn place(&self, name: &str) -> Result<usize, Error> {
        self.column(name).ok_or_else(|| {
            if self.only_written.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
                let text =
                    format!("The column `{name}` says how a message is sent: INSERT takes it, and no row has it");
                return Error::new(Code::Columns, text);
            }
            no_column(name, self.columns.iter().map(|column| column.name))
        })
    }

    /// The columns that INSERT takes.
    pub fn written(&self) -> impl Iterator<Item = &'static Column> + Clone {
        self.columns.iter().chain(self.only_written)
    }

    /// The place of a column that INSERT names, among [`Table::written`]. Error: 14.
    pub fn written_place(&self, name: &str) -> Result<usize, Error> {
        let found = self.written().position(|column| column.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| no_column(name, self.written().map(|column| column.name)))
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
    pub fn listed() -> impl Iterator<Item = &'static Self> + Clone {
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
        return Err(Error::new(code, no_table(name)));
    };
    match access(table) {
        Access::Allowed => Ok(table),
        Access::Refused(Code::ReadOnly) => {
            Err(Error::new(Code::ReadOnly, format!("Table `{}` is read only: it takes no {verb}", table.name)))
        }
        Access::Refused(code) => Err(Error::new(code, format!("Table `{}` does not exist for {verb}", table.name))),
    }
}

/// What is said of a table that is not there.
fn no_table(TableName { database, name }: &TableName<'_>) -> String {
    if let (Some(database), Some(table)) = (database, Table::find(name)) {
        return format!("There is no table `{}` in `{}`: it is in {DATABASE}", table.name, shown(database));
    }
    let names = Table::listed().map(|table| table.name);
    let missing = format!("The table `{}` does not exist", shown(name));
    or_nearest(&missing, name, names, "SHOW TABLES lists those that do")
}

/// Error 14, for a column that is none of these.
pub fn no_column<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Error {
    let missing = format!("There is no column `{}`", shown(name));
    Error::new(Code::Columns, or_nearest(&missing, name, known, "DESCRIBE lists a table's columns"))
}

/// What is missing, and the name that may have been meant, or else what to do.
pub fn or_nearest<'n>(
    missing: &str,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
    otherwise: &str,
) -> String {
    match near::nearest(name, known) {
        Some(near) => format!("{missing}: did you mean `{near}`?"),
        None => format!("{missing}: {otherwise}"),
    }
}

/// A name as errors show it.
pub fn shown(name: &str) -> String {
    name.chars().filter(|shown| !shown.is_control()).take(64).collect()
}

const fn text(name: &'static str, sql_type: &'static str, comment: &'static str) -> Column {
    Column { name, sql_type, number: false, required: false, comment }
}

const fn number(name: &'static str, comment: &'static str) -> Column {
    Column { name, sql_type: "int(11)", number: true, required: false, comment }
}

const fn required(column: Column) -> Column {
    Column { required: true, ..column }
}

const USER_ID: Column = number("id", "The user");
const PIPE_NAME: Column = text("name", "varchar(64)", "The pipe: 3 to 64 of A-Z a-z 0-9 _ -");
const EVENT: Column = text("event", "varchar(64)", "What kind of message it is; may be empty");
const MESSAGE: Column = text("message", "mediumtext", "Any text, mostly JSON");

const CALL_NAME: Column = text("name", "varchar(64)", "The call");
const IP: Column = text("ip", "varchar(64)", "Who connected; behind a proxy, the proxy");

const WRITABLE: Access = Access::Allowed;
const READ_ONLY: Access = Access::Refused(Code::ReadOnly);
const ABSENT: Access = Access::Refused(Code::NotFound);

/// A table that takes all statements; the others say how they differ.
const PLAIN: Table = Table {
    id: TableId::Dialogs,
    name: "",
    comment: "",
    columns: &[],
    only_written: &[],
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
pub static TABLES: [Table; 16] = [
    Table {
        id: TableId::UsersAuth,
        name: "users_auth",
        comment: "What proves a user: INSERT lets a page with this hash in, DELETE ends all connections of the user",
        columns: &[
            required(USER_ID),
            required(text("hash", "varchar(32)", "What the page connects with: up to 32 of A-Z a-z 0-9 + / = _")),
        ],
        key: Key::User { least: 1 },
        ..PLAIN
    },
    Table {
        id: TableId::UsersTime,
        name: "users_time",
        comment: "When users were last here; read only",
        columns: &[
            USER_ID,
            number("time", "0: is here now; -1: never seen; else the unix time at which the last connection went"),
        ],
        key: Key::User { least: 0 },
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::UsersMessages,
        name: "users_messages",
        comment: "INSERT sends to all connections of a user, or into its queue; SELECT shows what waits, DELETE empties it",
        columns: &[
            required(USER_ID),
            text("index", "char(36)", "Id of the message in the queue, given by the server"),
            required(EVENT),
            required(MESSAGE),
        ],
        only_written: &[number(
            "expires_in",
            "Seconds for which it waits in the queue; as long as configured without it",
        )],
        key: Key::User { least: 0 },
        ..PLAIN
    },
    Table {
        id: TableId::PipesMessages,
        name: "pipes_messages",
        comment: "INSERT publishes to whoever is subscribed; SELECT shows the history of pipes that keep one",
        columns: &[
            text("id", "char(36)", "Given by the server; ids grow with the order of the messages"),
            number("time", "Unix time, given by the server"),
            required(PIPE_NAME),
            number("index", "Number of the row in this answer, from 0"),
            required(EVENT),
            required(MESSAGE),
            number("user_id", "Who sent it; 0: a backend, or somebody nameless"),
        ],
        only_written: &[
            text(
                "except_uuid",
                "varchar(32)",
                "The name of the browser that does not get it, as user_uuid of users_in_pipes shows it",
            ),
            text(
                "idempotency_key",
                "varchar(64)",
                "With the same key it is published once in five minutes; up to 64 visible characters of ASCII",
            ),
            number("expires_in", "Seconds for which the history tells it; for ever without it"),
        ],
        key: Key::Pipe,
        key_column: 2,
        other_key: Some(0),
        ..PLAIN
    },
    Table {
        id: TableId::UsersInPipes,
        name: "users_in_pipes",
        comment: "Who is subscribed now, a row for each connection; read only",
        columns: &[
            PIPE_NAME,
            number("user_id", "0: nameless"),
            text("user_uuid", "varchar(32)", "The name of the browser"),
            text("user_agent", "varchar(250)", "As the browser says"),
            IP,
            text("origin", "varchar(250)", "The site of the page, as the browser says"),
            text("language", "varchar(64)", "As the browser says"),
        ],
        key: Key::Pipe,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::Pipes,
        name: "pipes",
        comment: "How many connections are subscribed now; read only",
        columns: &[PIPE_NAME, number("users", "Connections, nameless ones included")],
        key: Key::Pipe,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::PipesSettings,
        name: "pipes_settings",
        comment: "How many messages a pipe keeps; DELETE removes the history as well",
        columns: &[required(PIPE_NAME), number("length", "Messages that are kept, 0 to 1000")],
        key: Key::Pipe,
        ..PLAIN
    },
    Table {
        id: TableId::UsersData,
        name: "users_data",
        comment: "A public text for each user, which all pages of the tenant can read",
        columns: &[
            required(USER_ID),
            required(text("data", "mediumtext", "Any text, mostly JSON; no place for secrets")),
        ],
        key: Key::User { least: 1 },
        ..PLAIN
    },
    Table {
        id: TableId::RevokedTokens,
        name: "revoked_tokens",
        comment: "JSON Web Tokens that count no more; INSERT ends the connections that came with one",
        columns: &[required(text("token", "varchar(600)", "The whole token"))],
        key: Key::Text { bytes_max: TOKEN_MAX },
        listable: true,
        ..PLAIN
    },
    Table {
        id: TableId::Conference,
        name: "conference",
        comment: "Calls by video, which need media servers; INSERT is refused without them",
        columns: &[
            required(CALL_NAME),
            required(number("user_id", "Who is called; DELETE names it too")),
            number("caller_id", "Who calls"),
            required(MESSAGE),
            text("profile", "varchar(64)", "For the media server"),
            text("stream", "varchar(64)", "For the media server"),
            text("node", "varchar(64)", "The media server"),
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
        comment: "Always empty: there is no media server",
        columns: &[
            CALL_NAME,
            number("user_id", "Who takes part"),
            number("join_time", "Unix time"),
            number("last_talking", "Unix time"),
        ],
        key: Key::Pipe,
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::Profiler,
        name: "profiler",
        comment: "Always empty",
        columns: &[
            text("tag", "varchar(64)", "What was measured"),
            text("time", "varchar(32)", "How long it took"),
            number("calls", "How often"),
        ],
        listable: true,
        insert: ABSENT,
        delete: ABSENT,
        ..PLAIN
    },
    // Not in CppComet.
    Table {
        id: TableId::Connections,
        name: "connections",
        comment: "The browsers that are connected now; read only, KILL ends one",
        columns: &[
            Column { sql_type: "bigint(20)", ..number("id", "What KILL takes") },
            number("user_id", "0: nameless"),
            IP,
            number("pipes", "How many it is subscribed to"),
            Column {
                sql_type: "bigint(20)",
                ..number("queued_bytes", "What waits to be sent: much of it is a slow reader")
            },
            number("since", "Unix time at which it came"),
            Column {
                sql_type: "bigint(20)",
                ..number("memory", "Bytes of the server that it takes, with what waits for it")
            },
        ],
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    // Neither are these.
    Table {
        id: TableId::Tenants,
        name: "tenants",
        comment: "What the connections of each tenant take; read only",
        columns: &[
            number("dev_id", "The tenant"),
            number("connections", "Browsers that are connected"),
            Column { sql_type: "bigint(20)", ..number("memory", "Bytes that they take together") },
        ],
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    Table {
        id: TableId::Memory,
        name: "memory",
        comment: "What the memory of the process is for; read only",
        columns: &[
            text("kind", "varchar(64)", "What for"),
            text("shard", "varchar(16)", "The part of the server; empty for the whole process"),
            Column { sql_type: "bigint(20)", ..number("bytes", "How much") },
            Column { sql_type: "bigint(20)", ..number("items", "How many of them, where that is counted") },
        ],
        listable: true,
        insert: READ_ONLY,
        delete: READ_ONLY,
        ..PLAIN
    },
    // Only its refusals are left of it.
    Table { id: TableId::Dialogs, name: "dialogs", select: ABSENT, insert: READ_ONLY, delete: ABSENT, ..PLAIN },
];
