//! SHOW and DESCRIBE to plans: lists that are known from the tables' descriptions, and figures that the server supplies.

use super::keys;
use super::rows::{Row, RowQuery, SourceColumn, Test};
use super::variables::variables;
use super::{Figures, LiveQuery, PROCESS_COLUMNS, Plan, Reply, SessionView, Source, find_table};
use crate::cometql::errors::Error;
use crate::cometql::sql::{Show, ShowFilter, StatusFlag, Subject, TableName};
use crate::cometql::tables::{DATABASE, Key, Table};

const ENGINE: &str = "CometQL";
const VARIABLE_COLUMNS: [&str; 2] = ["Variable_name", "Value"];

pub(super) fn plan_show(show: &Show, session: &SessionView<'_>) -> Result<Plan, Error> {
    let filter = &show.filter;
    match &show.subject {
        Subject::Databases => list(&["Database"], vec![row([DATABASE])], filter),
        Subject::Tables { full: false } => {
            list(&["Tables"], Table::listed().map(|table| row([table.name])).collect(), filter)
        }
        Subject::Tables { full: true } => {
            let tables = Table::listed().map(|table| row([table.name, "BASE TABLE"])).collect();
            list(&["Tables", "Table_type"], tables, filter)
        }
        Subject::TableStatus => list(&STATUS_COLUMNS, Table::listed().map(table_status).collect(), filter),
        Subject::Columns { table, full: false } => plan_describe(table, filter),
        Subject::Columns { table, full: true } => {
            let table = find_table(table, "SHOW COLUMNS", |table| table.select)?;
            list(&FULL_COLUMN_COLUMNS, columns(table).map(full_column).collect(), filter)
        }
        Subject::Index { table } => {
            let table = find_table(table, "SHOW INDEX", |table| table.select)?;
            list(&INDEX_COLUMNS, indexes(table), filter)
        }
        Subject::CreateTable { table } => {
            let table = find_table(table, "SHOW CREATE TABLE", |table| table.select)?;
            list(&["Table", "Create Table"], vec![row([table.name, &create_table(table)])], filter)
        }
        Subject::CreateDatabase { name } => {
            super::parse_database(name.as_bytes(), session.limits.dev_max)?;
            let text = format!("CREATE DATABASE `{DATABASE}` /*!40100 DEFAULT CHARACTER SET utf8mb4 */");
            list(&["Database", "Create Database"], vec![row([DATABASE, &text])], filter)
        }
        Subject::Status(flag) => live(Figures::Status(*flag), &VARIABLE_COLUMNS, filter),
        Subject::Processlist { full: false } => {
            live(Figures::Processlist, &["ServiceName", "id", "status", "count"], filter)
        }
        Subject::Processlist { full: true } => {
            Ok(Plan::Read { source: Source::Processes(session.unix), query: query(&PROCESS_COLUMNS, filter)? })
        }
        Subject::Variables(StatusFlag::Session | StatusFlag::Global) => {
            let rows = variables(session).into_iter().map(|(name, value)| row([name, &value])).collect();
            list(&VARIABLE_COLUMNS, rows, filter)
        }
        Subject::Variables(_) => list(&VARIABLE_COLUMNS, Vec::new(), filter),
        Subject::Warnings => list(&["Level", "Code", "Message"], Vec::new(), filter),
        Subject::WarningCount(heading) => list(&[heading], vec![row(["0"])], filter),
        Subject::Engines => {
            let engine = row([ENGINE, "DEFAULT", "Live state of the comet server", "NO", "NO", "NO"]);
            list(&["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"], vec![engine], filter)
        }
        Subject::Collation => {
            list(&["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"], COLLATIONS.map(row).into(), filter)
        }
        Subject::CharacterSet => {
            list(&["Charset", "Description", "Default collation", "Maxlen"], CHARACTER_SETS.map(row).into(), filter)
        }
        Subject::Plugins => list(&["Name", "Status", "Type", "Library", "License"], Vec::new(), filter),
        Subject::Triggers => list(&TRIGGER_COLUMNS, Vec::new(), filter),
    }
}

pub(super) fn plan_describe(table: &TableName<'_>, filter: &ShowFilter) -> Result<Plan, Error> {
    let table = find_table(table, "DESCRIBE", |table| table.select)?;
    let rows = columns(table)
        .map(|[field, sql_type, null, key, default, extra]| row([field, sql_type, null, key, default, extra]));
    list(&["Field", "Type", "Null", "Key", "Default", "Extra"], rows.collect(), filter)
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(Box::from).into()
}

fn list(columns: &[&'static str], rows: Vec<Row>, filter: &ShowFilter) -> Result<Plan, Error> {
    Ok(Plan::Reply(Reply::Rows(query(columns, filter)?.apply(rows)?)))
}

fn live(figures: Figures, columns: &[&'static str], filter: &ShowFilter) -> Result<Plan, Error> {
    Ok(Plan::Live(LiveQuery { figures, query: query(columns, filter)? }))
}

/// Rows under these headings, filtered by LIKE on the first or WHERE on any of them.
fn query(columns: &[&'static str], filter: &ShowFilter) -> Result<RowQuery, Error> {
    let mut query = RowQuery::all(columns.iter().map(|name| SourceColumn { name, number: false }).collect::<Vec<_>>());
    query.ignore_case = true;
    query.test = match filter {
        ShowFilter::None => Test::Constant(true),
        ShowFilter::Like(pattern) => keys::pattern(0, pattern)?,
        ShowFilter::Where(condition) => {
            let find = |name: &str| columns.iter().position(|known| known.eq_ignore_ascii_case(name));
            keys::compile(condition, &find)?
        }
    };
    Ok(query)
}

/// Field, Type, Null, Key, Default, Extra.
fn columns(table: &'static Table) -> impl Iterator<Item = [&'static str; 6]> {
    table.columns.iter().enumerate().map(|(place, column)| {
        let key = if table.key != Key::None && place == table.key_column { "PRI" } else { "" };
        [column.name, column.sql_type, "NO", key, "", ""]
    })
}

const FULL_COLUMN_COLUMNS: [&str; 9] =
    ["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"];

fn full_column([field, sql_type, null, key, default, extra]: [&'static str; 6]) -> Row {
    let collation = if sql_type.starts_with("int") { "" } else { "utf8mb4_bin" };
    row([field, sql_type, collation, null, key, default, extra, "select,insert", ""])
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
    let key = table.columns.get(table.key_column).filter(|_| table.key != Key::None);
    key.map(|key| row([table.name, "0", "PRIMARY", "1", key.name, "A", "0", "", "", "", "HASH", "", ""]))
        .into_iter()
        .collect()
}

fn create_table(table: &Table) -> String {
    let mut lines: Vec<String> =
        table.columns.iter().map(|column| format!("  `{}` {} NOT NULL", column.name, column.sql_type)).collect();
    if let Some(key) = table.columns.get(table.key_column).filter(|_| table.key != Key::None) {
        lines.push(format!("  PRIMARY KEY (`{}`)", key.name));
    }
    format!("CREATE TABLE `{}` (\n{}\n) ENGINE={ENGINE} DEFAULT CHARSET=utf8mb4", table.name, lines.join(",\n"))
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

fn table_status(table: &Table) -> Row {
    let zero = "0";
    row([
        table.name,
        ENGINE,
        "10",
        "Dynamic",
        zero,
        zero,
        zero,
        zero,
        zero,
        zero,
        "",
        "",
        "",
        "",
        "utf8mb4_bin",
        "",
        "",
        "",
    ])
}

const TRIGGER_COLUMNS: [&str; 11] = [
    "Trigger",
    "Event",
    "Table",
    "Statement",
    "Timing",
    "Created",
    "sql_mode",
    "Definer",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];

/// Ids by which clients know the character set of a column definition.
const COLLATIONS: [[&str; 6]; 7] = [
    ["latin1_swedish_ci", "latin1", "8", "Yes", "Yes", "1"],
    ["utf8_general_ci", "utf8", "33", "Yes", "Yes", "1"],
    ["utf8mb4_general_ci", "utf8mb4", "45", "Yes", "Yes", "1"],
    ["utf8mb4_bin", "utf8mb4", "46", "", "Yes", "1"],
    ["binary", "binary", "63", "Yes", "Yes", "1"],
    ["utf8mb4_unicode_ci", "utf8mb4", "224", "", "Yes", "8"],
    ["utf8mb4_0900_ai_ci", "utf8mb4", "255", "", "Yes", "0"],
];

const CHARACTER_SETS: [[&str; 4]; 4] = [
    ["binary", "Binary pseudo charset", "binary", "1"],
    ["latin1", "cp1252 West European", "latin1_swedish_ci", "1"],
    ["utf8", "UTF-8 Unicode", "utf8_general_ci", "3"],
    ["utf8mb4", "UTF-8 Unicode", "utf8mb4_general_ci", "4"],
];
