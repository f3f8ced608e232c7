//! HELP: what statements and tables are for, in the rows that clients of MySQL know how to show.
//!
//! A topic that is found is one row of name, description and example. Several are a list of names, as is a category.

use super::answer::Answer;
use super::described::privileges;
use super::show::{list, row};
use crate::cometql::errors::Error;
use crate::cometql::rows::{Effort, Row, RowQuery, SourceColumn, pattern};
use crate::cometql::sql::{ShowFilter, Value};
use crate::cometql::tables::{Access, Column, Table, TableId};

struct Topic {
    name: &'static str,
    text: String,
    example: &'static str,
}

const STATEMENTS: &str = "Statements";
const TABLES: &str = "Tables";

/// Error: 11 for a long pattern.
pub(super) fn help(topic: &str) -> Result<Answer, Error> {
    let is = |name: &str| topic.trim().eq_ignore_ascii_case(name);
    if topic.trim().is_empty() || is("contents") {
        let rows = [STATEMENTS, TABLES].map(|category| row(["Contents", category, "Y"]));
        return list(&CATEGORY, rows.into(), &ShowFilter::None);
    }
    if is(STATEMENTS) {
        return category(STATEMENTS, statements());
    }
    if is(TABLES) {
        return category(TABLES, tables());
    }
    let exact = found(topic)?;
    let topics = if exact.is_empty() { found(&format!("%{topic}%"))? } else { exact };
    match topics.as_slice() {
        [Topic { name, text, example }] => {
            list(&["name", "description", "example"], vec![row([name, text, example])], &ShowFilter::None)
        }
        several => {
            let rows = several.iter().map(|topic| row([topic.name, "N"])).collect();
            list(&["name", "is_it_category"], rows, &ShowFilter::None)
        }
    }
}

const CATEGORY: [&str; 3] = ["source_category_name", "name", "is_it_category"];

fn category(category: &str, topics: impl Iterator<Item = Topic>) -> Result<Answer, Error> {
    list(&CATEGORY, topics.map(|topic| row([category, topic.name, "N"])).collect(), &ShowFilter::None)
}

/// The topics whose name is like this.
fn found(name: &str) -> Result<Vec<Topic>, Error> {
    let mut query = RowQuery::all(vec![SourceColumn { name: "name", number: false }]);
    query.source.ignore_case = true;
    query.test = pattern(0, &Value::Text(name.to_owned().into()))?;
    let mut effort = Effort::default();
    let topics = statements().chain(tables());
    Ok(topics.filter(|topic| query.holds(&Row::from([topic.name.into()]), &mut effort)).collect())
}

fn statements() -> impl Iterator<Item = Topic> {
    STATEMENT_TOPICS.iter().map(|&(name, text, example)| Topic { name, text: format!("{text}\n"), example })
}

fn tables() -> impl Iterator<Item = Topic> {
    Table::listed().map(|table| Topic { name: table.name, text: described(table), example: example(table.id) })
}

fn described(table: &Table) -> String {
    let key = table.primary_key().map_or("", |key| key.name);
    let column = |column: &Column| {
        let mark = if column.name == key { " (key)" } else { "" };
        format!("  {}{mark}: {}, {}\n", column.name, column.sql_type, column.comment)
    };
    let mut taken = privileges(table).to_ascii_uppercase().replace(',', ", ");
    if table.delete == Access::Allowed {
        taken.push_str(", DELETE");
    }
    let listed = |columns: &[Column]| columns.iter().map(column).collect::<String>();
    let mut text = format!("{}.\n\nTakes {taken}.\n\nColumns:\n{}", table.comment, listed(table.columns));
    if !table.only_written.is_empty() {
        text.push_str("\nINSERT takes besides, and no row has:\n");
        text.push_str(&listed(table.only_written));
    }
    text
}

fn example(table: TableId) -> &'static str {
    match table {
        TableId::UsersAuth => "INSERT INTO users_auth (id, hash) VALUES (5, 'Vw2Lc0nNq8yTzR4e');\n",
        TableId::UsersTime => "SELECT id, time FROM users_time WHERE id IN (5, 6);\n",
        TableId::UsersMessages => {
            "INSERT INTO users_messages (id, event, message) VALUES (5, 'mail', '{\"unread\": 3}');\n"
        }
        TableId::PipesMessages => {
            "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'added', '{\"id\": 17}');\n"
        }
        TableId::UsersInPipes => "SELECT user_id, ip FROM users_in_pipes WHERE name = 'news';\n",
        TableId::Pipes => "SELECT name, users FROM pipes WHERE name IN ('news', 'chat');\n",
        TableId::PipesSettings => "INSERT INTO pipes_settings (name, length) VALUES ('news', 10);\n",
        TableId::UsersData => "INSERT INTO users_data (id, data) VALUES (5, '{\"name\": \"Ann\"}');\n",
        TableId::RevokedTokens => "INSERT INTO revoked_tokens (token) VALUES ('the.whole.token');\n",
        TableId::Conference => "DELETE FROM conference WHERE name = 'room' AND user_id = 5;\n",
        TableId::ConferenceMembers => "SELECT * FROM conference_members;\n",
        TableId::Profiler => "SELECT * FROM profiler;\n",
        TableId::Connections => "SELECT * FROM connections ORDER BY queued_bytes DESC LIMIT 5;\n",
        TableId::Tenants => "SELECT * FROM tenants ORDER BY memory DESC LIMIT 10;\n",
        TableId::Memory => "SELECT kind, bytes FROM memory ORDER BY bytes DESC LIMIT 5;\n",
        TableId::Dialogs => "",
    }
}

const STATEMENT_TOPICS: [(&str, &str, &str); 9] = [
    (
        "INSERT",
        "Publishes, sends, or sets a row; one with the same key is replaced, as REPLACE does.\n\
         Up to 1,000 rows, all or none of which are taken.",
        "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'added', 'one'), ('news', 'added', 'two');\n",
    ),
    (
        "SELECT",
        "Rows by key, narrowed down by further conditions, in order, up to a limit; or how many there are.\n\
         Without a key it looks through the whole table. There is no join, no DISTINCT and no GROUP BY.",
        "SELECT message FROM pipes_messages WHERE name = 'news' ORDER BY id DESC LIMIT 5;\n",
    ),
    (
        "UPDATE",
        "Changes the column beside the key, of rows that are there.",
        "UPDATE users_data SET data = '{}' WHERE id = 5;\n",
    ),
    ("DELETE", "Removes rows by key, and by nothing else.", "DELETE FROM users_messages WHERE id = 5;\n"),
    (
        "SHOW",
        "What there is: TABLES, COLUMNS FROM a table, STATUS, GLOBAL STATUS, FULL PROCESSLIST, MEMORY, VARIABLES.",
        "SHOW FULL COLUMNS FROM pipes_messages;\n",
    ),
    ("DESCRIBE", "The columns of a table.", "DESCRIBE pipes_messages;\n"),
    ("USE", "Moves to a tenant, db_ and its number, as far as the password of the session opens it.", "USE db_0;\n"),
    (
        "KILL",
        "Ends a session or the connection of a browser, by the id that SHOW FULL PROCESSLIST gives.",
        "KILL 77;\n",
    ),
    (
        "SET",
        "Variables of the session and of the user, modes of reading text. What would not be done is refused.",
        "SET @user = 5;\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_described_in_one_line_without_quotes() {
        for table in Table::listed() {
            let columns = table.written().map(|column| (column.name, column.comment));
            for (name, comment) in columns.chain([("", table.comment)]) {
                assert!(!comment.is_empty(), "{}.{name} has no comment", table.name);
                assert!(!comment.contains(['\'', '"', '\\', '\n', '`']), "{}.{name}: {comment}", table.name);
                // What MySQL takes.
                assert!(comment.len() <= 1024, "{}.{name}", table.name);
            }
        }
    }
}
