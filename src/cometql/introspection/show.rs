//! SHOW and DESCRIBE: lists that are known from the tables' descriptions, and figures that the server supplies.

use super::answer::Answer;
use super::described::{
    CHARACTER_SETS, COLLATIONS, Described, ENGINE, ENGINE_COMMENT, Listed, PRIVILEGES, is_numeric, listed, privileges,
    table_columns, view_columns,
};
use super::figures::{Figures, LiveQuery, MEMORY_COLUMNS, PROCESS_COLUMNS};
use super::help;
use super::variables::{settings, variables};
use super::views::View;
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::{Row, RowQuery, SourceColumn, Test, compile, pattern};
use crate::cometql::session::{Database, SessionView, parse_database};
use crate::cometql::sql::{SCHEMA, Show, ShowFilter, StatusFlag, Subject, TableName};
use crate::cometql::tables::{DATABASE, Table, find_table, no_column};

const VARIABLE_COLUMNS: [&str; 2] = ["Variable_name", "Value"];

pub(super) fn show(show: &Show, session: &SessionView<'_>) -> Result<Answer, Error> {
    let filter = &show.filter;
    match &show.subject {
        Subject::Databases => list(&["Database"], vec![row([DATABASE])], filter),
        Subject::Tables { full, database } => {
            let tables = tables_of(database.as_deref());
            if *full {
                let rows = tables.map(|table| row([table.name, table.kind]));
                return list(&["Tables", "Table_type"], rows.collect(), filter);
            }
            list(&["Tables"], tables.map(|table| row([table.name])).collect(), filter)
        }
        Subject::TableStatus { database } => {
            list(&STATUS_COLUMNS, tables_of(database.as_deref()).map(table_status).collect(), filter)
        }
        Subject::Columns { table, full: false } => describe(table, "SHOW COLUMNS", filter),
        Subject::Columns { table, full: true } => {
            let columns = columns_of(table, "SHOW COLUMNS")?.into_iter();
            let known = Table::find(&table.name).filter(|_| view_of(table).is_none());
            let privileges = known.map_or("select", privileges);
            list(&FULL_COLUMN_COLUMNS, columns.map(|column| full_column(column, privileges)).collect(), filter)
        }
        Subject::Index { table } if view_of(table).is_some() => list(&INDEX_COLUMNS, Vec::new(), filter),
        Subject::Index { table } => {
            let table = find_table(table, "SHOW INDEX", |table| table.select)?;
            list(&INDEX_COLUMNS, indexes(table), filter)
        }
        Subject::CreateTable { table } if let Some(view) = view_of(table) => {
            list(&["Table", "Create Table"], vec![row([view.name, &create_view(view)])], filter)
        }
        Subject::CreateTable { table } => {
            let table = find_table(table, "SHOW CREATE TABLE", |table| table.select)?;
            list(&["Table", "Create Table"], vec![row([table.name, &create_table(table)])], filter)
        }
        Subject::CreateDatabase { name } => {
            let (name, charset) = match parse_database(name.as_bytes(), session.limits.dev_max)? {
                Database::Schema => (SCHEMA, "utf8"),
                Database::CometQl | Database::Tenant(_) => (DATABASE, "utf8mb4"),
            };
            let text = format!("CREATE DATABASE `{name}` /*!40100 DEFAULT CHARACTER SET {charset} */");
            list(&["Database", "Create Database"], vec![row([name, &text])], filter)
        }
        Subject::Status(flag) => live(Figures::Status(*flag), &VARIABLE_COLUMNS, filter),
        Subject::Settings => {
            let rows = settings(session).iter().map(|setting| {
                let line = setting.line.map(|line| line.to_string()).unwrap_or_default();
                row([&setting.section, &setting.key, &setting.value, &line, setting.applies])
            });
            list(&["Section", "Key", "Value", "Line", "Applies"], rows.collect(), filter)
        }
        Subject::Log => live(Figures::Log, &["Line"], filter),
        Subject::Processlist { full: false } => {
            live(Figures::Processlist, &["ServiceName", "id", "status", "count"], filter)
        }
        // CppComet knows no such statement, so it shows what MySQL's does.
        Subject::Processlist { full: true } => Ok(Answer::Processes(session.unix, query(&PROCESS_COLUMNS, filter)?)),
        Subject::Memory => Ok(Answer::Memory(query(&MEMORY_COLUMNS, filter)?)),
        Subject::Grants => grants(session, filter),
        Subject::Privileges => {
            let may = |privilege: &&str| row([privilege, "Tables", "The statement of this name on tables"]);
            list(&["Privilege", "Context", "Comment"], PRIVILEGES.iter().map(may).collect(), filter)
        }
        Subject::Nothing(columns) => nothing(columns, filter),
        Subject::Absent(kind) => {
            Err(Error::new(Code::NotFound, format!("There is no {}: CometQL has tables only", kind.to_lowercase())))
        }
        Subject::Variables(StatusFlag::Session | StatusFlag::Global) => {
            let rows = variables(session).into_iter().map(|(name, value)| row([&name, &value])).collect();
            list(&VARIABLE_COLUMNS, rows, filter)
        }
        Subject::Variables(_) => list(&VARIABLE_COLUMNS, Vec::new(), filter),
        Subject::Warnings => {
            let warning = session.memory.warning().map(|(code, text)| row(["Warning", &code.to_string(), text]));
            list(&["Level", "Code", "Message"], warning.into_iter().collect(), filter)
        }
        Subject::Errors => list(&["Level", "Code", "Message"], Vec::new(), filter),
        Subject::WarningCount(heading) => {
            let warned = session.memory.warning().is_some() && heading.ends_with("warning_count");
            list(&[heading], vec![row([if warned { "1" } else { "0" }])], filter)
        }
        Subject::Engines => {
            let engine = row([ENGINE, "DEFAULT", ENGINE_COMMENT, "NO", "NO", "NO"]);
            list(&["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"], vec![engine], filter)
        }
        Subject::Collation => {
            list(&["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"], COLLATIONS.map(row).into(), filter)
        }
        Subject::CharacterSet => {
            list(&["Charset", "Description", "Default collation", "Maxlen"], CHARACTER_SETS.map(row).into(), filter)
        }
        Subject::Help(topic) => help::help(topic),
        Subject::Plugins => list(&["Name", "Status", "Type", "Library", "License"], Vec::new(), filter),
    }
}

pub(super) fn describe(table: &TableName<'_>, verb: &str, filter: &ShowFilter) -> Result<Answer, Error> {
    let rows = columns_of(table, verb)?
        .into_iter()
        .map(|[field, kind, null, key, default, extra, _]| row([field, kind, null, key, default, extra]));
    list(&["Field", "Type", "Null", "Key", "Default", "Extra"], rows.collect(), filter)
}

fn is_schema(database: &str) -> bool {
    database.eq_ignore_ascii_case(SCHEMA)
}

fn view_of(table: &TableName<'_>) -> Option<&'static View> {
    table.database.as_deref().filter(|database| is_schema(database)).and_then(|_| View::find(&table.name))
}

/// The columns of a table or of a view. Error: 15.
fn columns_of(table: &TableName<'_>, verb: &str) -> Result<Vec<Described>, Error> {
    if let Some(view) = view_of(table) {
        return Ok(view_columns(view).collect());
    }
    Ok(table_columns(find_table(table, verb, |table| table.select)?).collect())
}

/// One heading is the user's, so it is put over the list afterwards.
fn grants(session: &SessionView<'_>, filter: &ShowFilter) -> Result<Answer, Error> {
    let user = session.user;
    let grants = [
        format!("GRANT USAGE ON *.* TO `{user}`@`%`"),
        format!("GRANT {} ON `{DATABASE}`.* TO `{user}`@`%`", PRIVILEGES.join(", ")),
    ];
    let mut query = query(&["Grants"], filter)?;
    for column in &mut query.output {
        column.heading = format!("Grants for {user}@%");
    }
    let rows = grants.iter().map(|grant| row([grant])).collect();
    Ok(Answer::Rows(query.apply(rows)?))
}

/// No rows under these columns, which are separated by blanks; what MySQL writes with a blank has an underscore.
fn nothing(columns: &'static str, filter: &ShowFilter) -> Result<Answer, Error> {
    let columns: Vec<&'static str> = columns.split_ascii_whitespace().collect();
    let mut query = query(&columns, filter)?;
    for column in &mut query.output {
        if let Some(word) = column.heading.strip_prefix("Database_") {
            column.heading = format!("Database {word}");
        }
    }
    Ok(Answer::Rows(query.apply(Vec::new())?))
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(Box::from).into()
}

pub(super) fn list(columns: &[&'static str], rows: Vec<Row>, filter: &ShowFilter) -> Result<Answer, Error> {
    Ok(Answer::Rows(query(columns, filter)?.apply(rows)?))
}

fn live(figures: Figures, columns: &[&'static str], filter: &ShowFilter) -> Result<Answer, Error> {
    Ok(Answer::Live(LiveQuery { figures, query: query(columns, filter)? }))
}

/// Rows under these headings, filtered by LIKE on the first or WHERE on any of them.
fn query(columns: &[&'static str], filter: &ShowFilter) -> Result<RowQuery, Error> {
    let mut query = RowQuery::all(columns.iter().map(|name| SourceColumn { name, number: false }).collect::<Vec<_>>());
    query.source.ignore_case = true;
    query.test = match filter {
        ShowFilter::None => Test::Constant(true),
        ShowFilter::Like(text) => pattern(0, text)?,
        ShowFilter::Where(condition) => {
            let find = |name: &str| {
                let place = columns.iter().position(|known| known.eq_ignore_ascii_case(name));
                place.ok_or_else(|| no_column(name, columns.iter().copied()))
            };
            compile(condition, &find)?
        }
    };
    Ok(query)
}

const FULL_COLUMN_COLUMNS: [&str; 9] =
    ["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"];

fn full_column([field, sql_type, null, key, default, extra, comment]: Described, privileges: &str) -> Row {
    let collation = if is_numeric(sql_type) { "" } else { "utf8mb4_bin" };
    row([field, sql_type, collation, null, key, default, extra, privileges, comment])
}

const INDEX_COLUMNS: [&str; 13] = [
    "Table",
    "Non_unique",
    "Key_name",
    "Seq_in_index",
    "Column_name",
    "Collation",
    "Cardinality",
    "Sub_part",
    "Packed",
    "Null",
    "Index_type",
    "Comment",
    "Index_comment",
];

fn indexes(table: &Table) -> Vec<Row> {
    let key = table.primary_key();
    key.map(|key| row([table.name, "0", "PRIMARY", "1", key.name, "A", "0", "", "", "", "HASH", "", ""]))
        .into_iter()
        .collect()
}

fn create_view(view: &View) -> String {
    let columns: Vec<String> = view_columns(view).map(|[name, kind, ..]| format!("  `{name}` {kind}")).collect();
    format!("CREATE TEMPORARY TABLE `{}` (\n{}\n) ENGINE=MEMORY DEFAULT CHARSET=utf8", view.name, columns.join(",\n"))
}

fn create_table(table: &'static Table) -> String {
    let mut lines: Vec<String> = table_columns(table)
        .map(|[name, kind, .., comment]| format!("  `{name}` {kind} NOT NULL COMMENT '{comment}'"))
        .collect();
    if let Some(key) = table.primary_key() {
        lines.push(format!("  PRIMARY KEY (`{}`)", key.name));
    }
    let (name, lines, comment) = (table.name, lines.join(",\n"), table.comment);
    format!("CREATE TABLE `{name}` (\n{lines}\n) ENGINE={ENGINE} DEFAULT CHARSET=utf8mb4 COMMENT='{comment}'")
}

const STATUS_COLUMNS: [&str; 18] = [
    "Name",
    "Engine",
    "Version",
    "Row_format",
    "Rows",
    "Avg_row_length",
    "Data_length",
    "Max_data_length",
    "Index_length",
    "Data_free",
    "Auto_increment",
    "Create_time",
    "Update_time",
    "Check_time",
    "Collation",
    "Checksum",
    "Create_options",
    "Comment",
];

/// Whatever else is named, it is a tenant's name for the one database.
fn tables_of(database: Option<&str>) -> impl Iterator<Item = Listed> + use<> {
    let schema = if database.is_some_and(is_schema) { SCHEMA } else { DATABASE };
    listed().filter(move |table| table.schema == schema)
}

/// How many rows a table has is not counted, and how many bytes they take neither.
fn table_status(Listed { name, engine, format, collation, comment, .. }: Listed) -> Row {
    let zero = "0";
    row([name, engine, "10", format, zero, zero, zero, zero, zero, zero, "", "", "", "", collation, "", "", comment])
}
