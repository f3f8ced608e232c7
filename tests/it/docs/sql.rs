//! Statements of a document, and their answers as the `mysql` client shows them.

use mysql::prelude::Queryable;
use mysql::{Conn, Value};

/// Statements and the errors that their comments foretell.
pub(super) fn statements(text: &str) -> Vec<(String, Option<u16>)> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in text.lines() {
        let (code, comment) = line.split_once("-- ").unwrap_or((line, ""));
        statement.push_str(code.trim_end());
        statement.push('\n');
        if code.trim_end().ends_with(';') {
            let error = comment.strip_prefix("error ").and_then(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().ok()
            });
            found.push((std::mem::take(&mut statement).trim().trim_end_matches(';').to_owned(), error));
        }
    }
    assert!(statement.trim().is_empty(), "a statement does not end: {statement}");
    found
}

/// The answer as the `mysql` client shows it, and the number of an error.
pub(super) fn shown(session: &mut Conn, statement: &str) -> (String, Option<u16>) {
    let mut result = match session.query_iter(statement) {
        Ok(result) => result,
        Err(mysql::Error::MySqlError(error)) => {
            return (format!("ERROR {} ({}): {}\n", error.code, error.state, error.message), Some(error.code));
        }
        Err(error) => return (format!("{error}\n"), Some(0)),
    };
    let columns: Vec<String> = result.columns().as_ref().iter().map(|column| column.name_str().into_owned()).collect();
    if columns.is_empty() {
        let rows = result.affected_rows();
        return (format!("Query OK, {rows} row{} affected\n", if rows == 1 { "" } else { "s" }), None);
    }
    let mut rows = Vec::new();
    for row in result.by_ref() {
        match row {
            Ok(row) => rows.push(row.unwrap().iter().map(cell).collect::<Vec<_>>()),
            Err(error) => return (format!("{error}\n"), Some(0)),
        }
    }
    if rows.is_empty() {
        return ("Empty set\n".to_owned(), None);
    }
    (table(&columns, &rows), None)
}

fn cell(value: &Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.as_sql(true),
    }
}

fn table(columns: &[String], rows: &[Vec<String>]) -> String {
    let width = |place: usize| {
        let cells = rows.iter().filter_map(|row| row.get(place));
        cells.chain(columns.get(place)).map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let border = format!("+{}+\n", dashes.join("+"));
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{border}{}{border}{body}{border}", line(columns))
}
