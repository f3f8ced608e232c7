//! The rows of `information_schema` that are known from descriptions.

use std::borrow::Cow;

use super::described::{
    CHARACTER_SETS, COLLATIONS, Described, ENGINE, ENGINE_COMMENT, Listed, PRIVILEGES, is_numeric, listed, privileges,
    table_columns, view_columns,
};
use super::views::View;
use crate::cometql::rows::Field;
use crate::cometql::session::User;
use crate::cometql::sql::SCHEMA;
use crate::cometql::tables::{DATABASE, Table};

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
    let table = |Listed { schema, name, kind, engine, format, collation, comment }: Listed| {
        let (zero, null) = ("0", NULL);
        fields([
            "def", schema, name, kind, engine, "10", format, null, zero, zero, zero, zero, zero, null, null, null,
            null, collation, null, "", comment,
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
    [name, sql_type, nullable, key, .., comment]: Described,
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
        word(comment),
        word(""),
        None,
    ]
}
