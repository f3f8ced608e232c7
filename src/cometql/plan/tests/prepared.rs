//! Prepared statements: their columns before they are carried out, and NULL for a parameter.

use super::*;

#[test]
fn columns_of_prepared_statements() {
    for (query, expected) in [
        ("SELECT name, users FROM pipes WHERE name = ?", "name users#"),
        ("SELECT COUNT(*) FROM users_auth WHERE id IN (?, ?) LIMIT ?", "COUNT(*)#"),
        ("SELECT ?, 1, CONNECTION_ID()", "? 1# CONNECTION_ID()#"),
        ("SHOW STATUS LIKE ?", "Variable_name Value"),
        ("DESCRIBE users_auth", "Field Type Null Key Default Extra"),
        ("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", ""),
        ("DELETE FROM users_auth WHERE id = ?", ""),
        ("SET NAMES utf8", ""),
    ] {
        let columns = result_columns(&prepare(query, StringEscapes::Mysql).unwrap(), &session()).unwrap();
        let shown = join(columns, |column| format!("{}{}", column.name, if column.number { "#" } else { "" }));
        assert_eq!(shown, expected, "{query}");
    }
    for (query, code) in [("SELECT nope FROM pipes WHERE name = ?", 14), ("SELECT * FROM nope WHERE name = ?", 15)] {
        let error = result_columns(&prepare(query, StringEscapes::Mysql).unwrap(), &session()).unwrap_err();
        assert_eq!(error.code.number(), code, "{query}");
    }
}

/// NULL parameters: missing in an INSERT, equal to nothing in a WHERE.
#[test]
fn null_parameters() {
    for (query, expected) in [
        ("INSERT INTO users_data (id, data) VALUES (5, ?)", "error 12"),
        ("INSERT INTO pipes_messages (name, event, message, user_id) VALUES ('pipe', 'ev', 'm', ?)", "pipe/ev/m"),
        ("SELECT id FROM users_auth WHERE id = ?", "[id#]"),
        ("SELECT id FROM users_auth WHERE id IN (5, ?)", "read [id#] [5]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND hash != ?", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND NOT hash = ?", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND hash NOT IN ('x', ?)", "read [id#]"),
        ("SELECT id FROM users_auth WHERE id = 5 AND (hash LIKE ? OR hash = 'h5')", "read [id#] [5]"),
        ("DELETE FROM users_auth WHERE id IN (5, 6) AND NOT id = ?", "ok 0 0"),
        ("SELECT ?", "[?] [NULL]"),
    ] {
        let statement = prepare(query, StringEscapes::Mysql).unwrap().bind(&[Value::Null]).unwrap();
        assert_eq!(show(plan(&statement, &session())), expected, "{query}");
    }
}
