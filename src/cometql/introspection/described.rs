//! Tables and views as lists of them show them: one description, whichever way is asked - SHOW, DESCRIBE or
//! `information_schema`.

use super::views::View;
use crate::cometql::sql::SCHEMA;
use crate::cometql::tables::{Access, DATABASE, Table};

pub(super) const ENGINE: &str = "CometQL";
pub(super) const ENGINE_COMMENT: &str = "Live state of the comet server";

/// What a backend may do with the tables.
pub(super) const PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A column as lists show it: Field, Type, Null, Key, Default, Extra, Comment.
pub(super) type Described = [&'static str; 7];

pub(super) fn table_columns(table: &'static Table) -> impl Iterator<Item = Described> {
    table.columns.iter().map(|column| {
        let is_key = table.primary_key().is_some_and(|key| key.name == column.name);
        [column.name, column.sql_type, "NO", if is_key { "PRI" } else { "" }, "", "", column.comment]
    })
}

pub(super) fn view_columns(view: &View) -> impl Iterator<Item = Described> + use<> {
    let sql_type = |number| if number { "bigint(21)" } else { "varchar(512)" };
    view.columns().map(move |(name, number)| [name, sql_type(number), "YES", "", "", "", ""])
}

/// Whether a column of this type has no character set.
pub(super) fn is_numeric(sql_type: &str) -> bool {
    sql_type.split('(').next().is_some_and(|name| name.ends_with("int"))
}

/// What may be done with the columns of a table. Graphical clients let nobody edit a row without `update`.
pub(super) fn privileges(table: &Table) -> &'static str {
    match (table.insert, table.is_updatable()) {
        (Access::Refused(_), _) => "select",
        (Access::Allowed, false) => "select,insert",
        (Access::Allowed, true) => "select,insert,update",
    }
}

/// A table as lists of tables show it.
pub(super) struct Listed {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) engine: &'static str,
    pub(super) format: &'static str,
    pub(super) collation: &'static str,
    pub(super) comment: &'static str,
}

/// Those of `information_schema` first.
pub(super) fn listed() -> impl Iterator<Item = Listed> {
    let views = View::all().map(|view| Listed {
        schema: SCHEMA,
        name: view.name,
        kind: "SYSTEM VIEW",
        engine: "MEMORY",
        format: "Fixed",
        collation: "utf8_general_ci",
        comment: "",
    });
    let tables = Table::listed().map(|table| Listed {
        schema: DATABASE,
        name: table.name,
        kind: "BASE TABLE",
        engine: ENGINE,
        format: "Dynamic",
        collation: "utf8mb4_bin",
        comment: table.comment,
    });
    views.chain(tables)
}

/// Ids by which clients know the character set of a column definition.
pub(super) const COLLATIONS: [[&str; 6]; 7] = [
    ["latin1_swedish_ci", "latin1", "8", "Yes", "Yes", "1"],
    ["utf8_general_ci", "utf8", "33", "Yes", "Yes", "1"],
    ["utf8mb4_general_ci", "utf8mb4", "45", "Yes", "Yes", "1"],
    ["utf8mb4_bin", "utf8mb4", "46", "", "Yes", "1"],
    ["binary", "binary", "63", "Yes", "Yes", "1"],
    ["utf8mb4_unicode_ci", "utf8mb4", "224", "", "Yes", "8"],
    ["utf8mb4_0900_ai_ci", "utf8mb4", "255", "", "Yes", "0"],
];

pub(super) const CHARACTER_SETS: [[&str; 4]; 4] = [
    ["binary", "Binary pseudo charset", "binary", "1"],
    ["latin1", "cp1252 West European", "latin1_swedish_ci", "1"],
    ["utf8", "UTF-8 Unicode", "utf8_general_ci", "3"],
    ["utf8mb4", "UTF-8 Unicode", "utf8mb4_general_ci", "4"],
];
