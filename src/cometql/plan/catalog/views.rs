//! The tables of `information_schema`: their columns as MySQL names them, and the rows that are true here.
//!
//! Most of them describe what this server does not have - routines, views, triggers - and are empty; clients ask for
//! them all the same.

use std::borrow::Cow;

use super::super::User;
use super::super::scalars::Field;
use super::super::session::{
    CHARACTER_SETS, COLLATIONS, Described, ENGINE, ENGINE_COMMENT, Listed, is_numeric, listed, privileges,
    table_columns, view_columns,
};
use crate::cometql::tables::{DATABASE, Table};

pub(in crate::cometql::plan) const SCHEMA: &str = "information_schema";

/// Where the rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cometql::plan) enum Rows {
    /// The tables' descriptions, or nowhere.
    Known,
    Variables,
    GlobalStatus,
    SessionStatus,
    /// Sessions and browser connections.
    Processes,
}

/// A table of `information_schema`.
#[derive(Debug)]
pub(in crate::cometql::plan) struct View {
    pub(in crate::cometql::plan) name: &'static str,
    /// Separated by blanks; those that are numbers end in `#`.
    columns: &'static str,
    pub(in crate::cometql::plan) rows: Rows,
}

impl View {
    pub(in crate::cometql::plan) fn find(name: &str) -> Option<&'static Self> {
        VIEWS.iter().find(|view| view.name.eq_ignore_ascii_case(name))
    }

    pub(in crate::cometql::plan) fn all() -> impl Iterator<Item = &'static Self> {
        VIEWS.iter()
    }

    /// Names, and whether they are numbers.
    pub(in crate::cometql::plan) fn columns(&self) -> impl Iterator<Item = (&'static str, bool)> + use<> {
        let columns: &'static str = self.columns;
        columns.split_ascii_whitespace().map(|column| match column.strip_suffix('#') {
            Some(name) => (name, true),
            None => (column, false),
        })
    }
}

const fn view(name: &'static str, columns: &'static str) -> View {
    View { name, columns, rows: Rows::Known }
}

const fn filled(name: &'static str, rows: Rows, columns: &'static str) -> View {
    View { name, columns, rows }
}

const NAME_AND_VALUE: &str = "VARIABLE_NAME VARIABLE_VALUE";

static VIEWS: [View; 39] = [
    view("CHARACTER_SETS", "CHARACTER_SET_NAME DEFAULT_COLLATE_NAME DESCRIPTION MAXLEN#"),
    view("CHECK_CONSTRAINTS", "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE"),
    view("COLLATIONS", "COLLATION_NAME CHARACTER_SET_NAME ID# IS_DEFAULT IS_COMPILED SORTLEN# PAD_ATTRIBUTE"),
    view("COLLATION_CHARACTER_SET_APPLICABILITY", "COLLATION_NAME CHARACTER_SET_NAME"),
    view(
        "COLUMNS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION# COLUMN_DEFAULT IS_NULLABLE DATA_TYPE \
         CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# \
         CHARACTER_SET_NAME COLLATION_NAME COLUMN_TYPE COLUMN_KEY EXTRA PRIVILEGES COLUMN_COMMENT \
         GENERATION_EXPRESSION SRS_ID#",
    ),
    view("COLUMN_PRIVILEGES", "GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME PRIVILEGE_TYPE IS_GRANTABLE"),
    view("ENGINES", "ENGINE SUPPORT COMMENT TRANSACTIONS XA SAVEPOINTS"),
    view(
        "EVENTS",
        "EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER TIME_ZONE EVENT_BODY EVENT_DEFINITION EVENT_TYPE EXECUTE_AT \
         INTERVAL_VALUE INTERVAL_FIELD SQL_MODE STARTS ENDS STATUS ON_COMPLETION CREATED LAST_ALTERED LAST_EXECUTED \
         EVENT_COMMENT ORIGINATOR# CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
    ),
    view(
        "FILES",
        "FILE_ID# FILE_NAME FILE_TYPE TABLESPACE_NAME TABLE_CATALOG TABLE_SCHEMA TABLE_NAME LOGFILE_GROUP_NAME \
         LOGFILE_GROUP_NUMBER# ENGINE FULLTEXT_KEYS DELETED_ROWS# UPDATE_COUNT# FREE_EXTENTS# TOTAL_EXTENTS# \
         EXTENT_SIZE# INITIAL_SIZE# MAXIMUM_SIZE# AUTOEXTEND_SIZE# CREATION_TIME LAST_UPDATE_TIME LAST_ACCESS_TIME \
         RECOVER_TIME# TRANSACTION_COUNTER# VERSION# ROW_FORMAT TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# \
         MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# CREATE_TIME UPDATE_TIME CHECK_TIME CHECKSUM# STATUS EXTRA",
    ),
    filled("GLOBAL_STATUS", Rows::GlobalStatus, NAME_AND_VALUE),
    filled("GLOBAL_VARIABLES", Rows::Variables, NAME_AND_VALUE),
    view("INNODB_CMP", "PAGE_SIZE# COMPRESS_OPS# COMPRESS_OPS_OK# COMPRESS_TIME# UNCOMPRESS_OPS# UNCOMPRESS_TIME#"),
    view("INNODB_CMPMEM", "PAGE_SIZE# BUFFER_POOL_INSTANCE# PAGES_USED# PAGES_FREE# RELOCATION_OPS# RELOCATION_TIME#"),
    view("INNODB_METRICS", "NAME SUBSYSTEM COUNT# MAX_COUNT# MIN_COUNT# AVG_COUNT# STATUS TYPE COMMENT"),
    view("INNODB_TABLESPACES", "SPACE# NAME FLAG# ROW_FORMAT PAGE_SIZE# SPACE_TYPE FILE_SIZE# ALLOCATED_SIZE# STATE"),
    view(
        "INNODB_TRX",
        "TRX_ID# TRX_STATE TRX_STARTED TRX_WAIT_STARTED TRX_WEIGHT# TRX_MYSQL_THREAD_ID# TRX_QUERY TRX_OPERATION_STATE \
         TRX_TABLES_IN_USE# TRX_TABLES_LOCKED# TRX_ROWS_LOCKED# TRX_ROWS_MODIFIED# TRX_ISOLATION_LEVEL",
    ),
    view(
        "KEY_COLUMN_USAGE",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME \
         ORDINAL_POSITION# POSITION_IN_UNIQUE_CONSTRAINT# REFERENCED_TABLE_SCHEMA REFERENCED_TABLE_NAME \
         REFERENCED_COLUMN_NAME",
    ),
    view("KEYWORDS", "WORD RESERVED#"),
    view(
        "PARAMETERS",
        "SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION# PARAMETER_MODE PARAMETER_NAME DATA_TYPE \
         CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# \
         CHARACTER_SET_NAME COLLATION_NAME DTD_IDENTIFIER ROUTINE_TYPE",
    ),
    view(
        "PARTITIONS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME SUBPARTITION_NAME PARTITION_ORDINAL_POSITION# \
         SUBPARTITION_ORDINAL_POSITION# PARTITION_METHOD SUBPARTITION_METHOD PARTITION_EXPRESSION \
         SUBPARTITION_EXPRESSION PARTITION_DESCRIPTION TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH# \
         INDEX_LENGTH# DATA_FREE# CREATE_TIME UPDATE_TIME CHECK_TIME CHECKSUM# PARTITION_COMMENT NODEGROUP \
         TABLESPACE_NAME",
    ),
    view(
        "PLUGINS",
        "PLUGIN_NAME PLUGIN_VERSION PLUGIN_STATUS PLUGIN_TYPE PLUGIN_TYPE_VERSION PLUGIN_LIBRARY \
         PLUGIN_LIBRARY_VERSION PLUGIN_AUTHOR PLUGIN_DESCRIPTION PLUGIN_LICENSE LOAD_OPTION",
    ),
    filled("PROCESSLIST", Rows::Processes, "ID# USER HOST DB COMMAND TIME# STATE INFO"),
    view("PROFILING", "QUERY_ID# SEQ# STATE DURATION#"),
    view(
        "REFERENTIAL_CONSTRAINTS",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA \
         UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE DELETE_RULE TABLE_NAME REFERENCED_TABLE_NAME",
    ),
    view(
        "ROUTINES",
        "SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE DATA_TYPE CHARACTER_MAXIMUM_LENGTH# \
         CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME \
         COLLATION_NAME DTD_IDENTIFIER ROUTINE_BODY ROUTINE_DEFINITION EXTERNAL_NAME EXTERNAL_LANGUAGE \
         PARAMETER_STYLE IS_DETERMINISTIC SQL_DATA_ACCESS SQL_PATH SECURITY_TYPE CREATED LAST_ALTERED SQL_MODE \
         ROUTINE_COMMENT DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
    ),
    view(
        "SCHEMATA",
        "CATALOG_NAME SCHEMA_NAME DEFAULT_CHARACTER_SET_NAME DEFAULT_COLLATION_NAME SQL_PATH DEFAULT_ENCRYPTION",
    ),
    view("SCHEMA_PRIVILEGES", "GRANTEE TABLE_CATALOG TABLE_SCHEMA PRIVILEGE_TYPE IS_GRANTABLE"),
    filled("SESSION_STATUS", Rows::SessionStatus, NAME_AND_VALUE),
    filled("SESSION_VARIABLES", Rows::Variables, NAME_AND_VALUE),
    view(
        "STATISTICS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME NON_UNIQUE# INDEX_SCHEMA INDEX_NAME SEQ_IN_INDEX# COLUMN_NAME \
         COLLATION CARDINALITY# SUB_PART# PACKED NULLABLE INDEX_TYPE COMMENT INDEX_COMMENT IS_VISIBLE EXPRESSION",
    ),
    view(
        "TABLES",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE ENGINE VERSION# ROW_FORMAT TABLE_ROWS# AVG_ROW_LENGTH# \
         DATA_LENGTH# MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# AUTO_INCREMENT# CREATE_TIME UPDATE_TIME CHECK_TIME \
         TABLE_COLLATION CHECKSUM# CREATE_OPTIONS TABLE_COMMENT",
    ),
    view("TABLESPACES", "TABLESPACE_NAME ENGINE TABLESPACE_TYPE LOGFILE_GROUP_NAME EXTENT_SIZE# TABLESPACE_COMMENT"),
    view(
        "TABLE_CONSTRAINTS",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_SCHEMA TABLE_NAME CONSTRAINT_TYPE ENFORCED",
    ),
    view("TABLE_PRIVILEGES", "GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE IS_GRANTABLE"),
    view(
        "TRIGGERS",
        "TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION EVENT_OBJECT_CATALOG EVENT_OBJECT_SCHEMA \
         EVENT_OBJECT_TABLE ACTION_ORDER# ACTION_CONDITION ACTION_STATEMENT ACTION_ORIENTATION ACTION_TIMING \
         ACTION_REFERENCE_OLD_TABLE ACTION_REFERENCE_NEW_TABLE ACTION_REFERENCE_OLD_ROW ACTION_REFERENCE_NEW_ROW \
         CREATED SQL_MODE DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
    ),
    view("USER_PRIVILEGES", "GRANTEE TABLE_CATALOG PRIVILEGE_TYPE IS_GRANTABLE"),
    view(
        "VIEWS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE DEFINER SECURITY_TYPE \
         CHARACTER_SET_CLIENT COLLATION_CONNECTION",
    ),
    view("VIEW_ROUTINE_USAGE", "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME"),
    view("VIEW_TABLE_USAGE", "VIEW_CATALOG VIEW_SCHEMA VIEW_NAME TABLE_CATALOG TABLE_SCHEMA TABLE_NAME"),
];

/// What a backend may do with the tables.
pub(in crate::cometql::plan) const PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The rows of a view that are known from descriptions; `user` is the session's.
pub(super) fn rows(view: &View, user: User) -> Vec<Vec<Field>> {
    let grantee = || Some(Cow::Owned(format!("'{user}'@'%'")));
    match view.name {
        "SCHEMATA" => [(SCHEMA, "utf8", "utf8_general_ci"), (DATABASE, "utf8mb4", "utf8mb4_bin")]
            .map(|(name, charset, collation)| {
                vec![word("def"), word(name), word(charset), word(collation), None, word("NO")]
            })
            .into(),
        "TABLES" => tables(),
        "COLUMNS" => columns(),
        "STATISTICS" => keys()
            .map(|(table, column)| {
                fields([
                    "def", DATABASE, table, "0", DATABASE, "PRIMARY", "1", column, "A", "0", NULL, NULL, "", "HASH",
                    "", "", "YES", NULL,
                ])
            })
            .collect(),
        "KEY_COLUMN_USAGE" => keys()
            .map(|(table, column)| {
                fields(["def", DATABASE, "PRIMARY", "def", DATABASE, table, column, "1", NULL, NULL, NULL, NULL])
            })
            .collect(),
        "TABLE_CONSTRAINTS" => keys()
            .map(|(table, _)| fields(["def", DATABASE, "PRIMARY", DATABASE, table, "PRIMARY KEY", "YES"]))
            .collect(),
        "ENGINES" => vec![fields([ENGINE, "DEFAULT", ENGINE_COMMENT, "NO", "NO", "NO"])],
        "CHARACTER_SETS" => CHARACTER_SETS
            .map(|[name, description, collation, bytes]| fields([name, collation, description, bytes]))
            .into(),
        "COLLATIONS" => COLLATIONS
            .map(|[name, charset, id, default, compiled, weight]| {
                fields([name, charset, id, default, compiled, weight, "PAD SPACE"])
            })
            .into(),
        "COLLATION_CHARACTER_SET_APPLICABILITY" => COLLATIONS.map(|[name, charset, ..]| fields([name, charset])).into(),
        "USER_PRIVILEGES" => vec![vec![grantee(), word("def"), word("USAGE"), word("NO")]],
        "SCHEMA_PRIVILEGES" => {
            PRIVILEGES.map(|privilege| vec![grantee(), word("def"), word(DATABASE), word(privilege), word("NO")]).into()
        }
        "KEYWORDS" => KEYWORDS.split_ascii_whitespace().map(|keyword| vec![word(keyword), word("1")]).collect(),
        _ => Vec::new(),
    }
}

/// Stands for NULL in lists of words.
const NULL: &str = "\0";

/// Words that can be no name without quotes.
const KEYWORDS: &str = "ALL AND AS ASC BY CASE COLUMN CREATE CROSS DATABASE DELETE DESC DESCRIBE DISTINCT DROP ELSE EXISTS \
                        EXPLAIN FALSE FROM GROUP HAVING IN INDEX INNER INSERT INTO IS JOIN KEY KEYS LEFT LIKE LIMIT NOT \
                        NULL ON OR ORDER PRIMARY REPLACE RIGHT SELECT SET SHOW TABLE THEN TO TRUE UNION UPDATE USE \
                        USING VALUES WHEN WHERE WITH";

fn word(word: &'static str) -> Field {
    (word != NULL).then_some(Cow::Borrowed(word))
}

fn fields<const N: usize>(words: [&'static str; N]) -> Vec<Field> {
    words.map(word).into()
}

/// Tables with a key, and the key column.
fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    Table::listed().filter_map(|table| Some((table.name, table.primary_key()?.name)))
}

fn tables() -> Vec<Vec<Field>> {
    // How many rows there are is not counted, and a client need not be told that there are none.
    let table = |Listed { schema, name, kind, engine, format, collation }: Listed| {
        let (zero, null) = ("0", NULL);
        fields([
            "def", schema, name, kind, engine, "10", format, null, zero, zero, zero, zero, zero, null, null, null,
            null, collation, null, "", "",
        ])
    };
    listed().map(table).collect()
}

fn columns() -> Vec<Vec<Field>> {
    let views = View::all().flat_map(|view| {
        let columns = view_columns(view).enumerate();
        columns.map(|(place, described)| column([SCHEMA, view.name, "select"], place, described))
    });
    let tables = Table::listed().flat_map(|table| {
        let columns = table_columns(table).enumerate();
        columns.map(|(place, described)| column([DATABASE, table.name, privileges(table)], place, described))
    });
    views.chain(tables).collect()
}

fn column(
    [schema, table, privileges]: [&'static str; 3],
    place: usize,
    [name, sql_type, nullable, key, ..]: Described,
) -> Vec<Field> {
    let (data_type, width) = sql_type.split_once('(').unwrap_or((sql_type, ""));
    let numeric = is_numeric(sql_type);
    let characters: Option<u32> = match data_type {
        "mediumtext" => Some(16_777_215),
        _ if numeric => None,
        _ => width.strip_suffix(')').and_then(|width| width.parse().ok()),
    };
    let octets = characters.map(|count| if data_type == "mediumtext" { count } else { count.saturating_mul(4) });
    let digits = numeric.then_some(if data_type == "bigint" { "19" } else { "10" });
    let text = |word: &'static str| (!numeric).then_some(Cow::Borrowed(word));
    vec![
        word("def"),
        word(schema),
        word(table),
        word(name),
        Some((place + 1).to_string().into()),
        None,
        word(nullable),
        word(data_type),
        characters.map(|count| count.to_string().into()),
        octets.map(|count| count.to_string().into()),
        digits.map(Cow::Borrowed),
        digits.map(|_| Cow::Borrowed("0")),
        None,
        text("utf8mb4"),
        text("utf8mb4_bin"),
        word(sql_type),
        word(key),
        word(""),
        word(privileges),
        word(""),
        word(""),
        None,
    ]
}
