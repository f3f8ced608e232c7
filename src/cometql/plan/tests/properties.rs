//! Plans of texts that nobody wrote down: what holds for any value and any words.

use proptest::prelude::*;

use super::rows::like;
use super::*;

/// `text` as a literal in the way of a client that escapes with backslashes or doubles quotes.
fn literal(text: &str, doubled: bool) -> String {
    let text = text.replace('\\', "\\\\");
    let text = if doubled {
        text.replace('\'', "''")
    } else {
        text.replace('\'', "\\'").replace('"', "\\\"").replace('\0', "\\0")
    };
    format!("'{text}'")
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "'",
        "\"",
        "\\",
        "`",
        ";",
        "-- ",
        "#",
        "/*",
        "*/",
        "/*!",
        "(",
        ")",
        ",",
        " OR ",
        "1=1",
        " id = 6",
        "DELETE FROM users_auth",
        "db_8.",
        "USE db_8",
        "cometqlcluster_v1 set dev_id=8;",
        "%",
        "_",
        "?",
        "\0",
        "\n",
        "5",
        "6",
        "pipe",
        "ж",
        " ",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Every tenant that a plan touches.
fn tenants(plan: &Plan) -> Vec<DevId> {
    match plan {
        Plan::Write { writes, .. } => writes.iter().map(storage::Write::dev).collect(),
        Plan::UseDatabase(Database::Tenant(dev)) => vec![*dev],
        _ => Vec::new(),
    }
}

proptest! {
    /// A correctly escaped value is a value and nothing else: the plan is the one that the same text gives as a bound
    /// parameter, whatever the text says.
    #[test]
    fn escaped_values_stay_values(
        template in prop::sample::select(vec![
            "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe', 'ev', ?)",
            "INSERT INTO pipes_messages (message, name, event) VALUES (?, 'pipe', ?)",
            "INSERT INTO users_data (id, data) VALUES (5, ?), (6, ?);",
            "INSERT INTO users_auth SET hash = ?, id = ?",
            "REPLACE INTO users_auth (id, hash) VALUES (?, ?)",
            "DELETE FROM users_auth WHERE id = ? AND id != ?",
            "DELETE FROM users_data WHERE id IN (5, ?) -- tail\n",
            "SELECT * FROM users_auth WHERE id IN (5, ?) AND hash = ?",
            "SELECT * FROM pipes WHERE name = ? OR name = ? LIMIT 5",
            "SHOW VARIABLES LIKE ?",
        ]),
        first in hostile_text(),
        second in hostile_text(),
        doubled: bool,
    ) {
        let prepared = prepare(template, StringEscapes::Mysql).unwrap();
        let texts = [&first, &second];
        let values: Vec<_> = texts.iter().take(prepared.placeholders()).map(|text| Value::Text((*text).clone().into())).collect();
        let bound = plan(&prepared.bind(&values).unwrap(), &session());
        let mut query = String::new();
        let mut literals = texts.iter().take(values.len()).map(|text| literal(text, doubled));
        for (at, piece) in template.split('?').enumerate() {
            if at > 0 {
                query.push_str(&literals.next().unwrap());
            }
            query.push_str(piece);
        }
        let written = run(&query);
        prop_assert_eq!(&written, &bound, "{}", query);
        if let Ok(plan) = &written {
            prop_assert!(tenants(plan).iter().all(|dev| *dev == DevId(7)));
        }
        // Leaving escapes in changes what values say, never where they end.
        if let Ok(plan) = run_with(&query, StringEscapes::Legacy) {
            prop_assert!(tenants(&plan).iter().all(|dev| *dev == DevId(7)));
        }
    }

    /// Plans of whatever can be parsed: no panic, no foreign tenant without USE, results as wide as their columns.
    #[test]
    fn plans_of_any_words(words in prop::collection::vec(
        prop::sample::select(vec![
            "SELECT", "*", "id", "hash", "name", "users", "COUNT(*)", "FROM", "users_auth", "pipes", "users_time", "pipes_messages", "WHERE",
            "id = 5", "id IN (5, 6)", "name = 'abc'", "AND", "OR", "NOT", "hash = 'h5'", "id > 4", "name LIKE 'a%'", "ORDER BY id", "LIMIT 1",
            "LIMIT 1, 2", "DELETE", "INSERT INTO", "(id, hash)", "(id, data)", "VALUES", "(5, 'x')", ",", "users_data", "SHOW", "TABLES",
            "STATUS", "GLOBAL", "VARIABLES", "LIKE", "'%'", "DESCRIBE", "SET", "db_8.users_auth", "1", "NOW()", "@@version", "AS x", ";",
        ]),
        1..14,
    )) {
        let query = words.join(" ");
        if query.len() < 4 {
            return Ok(());
        }
        match run(&query) {
            Err(error) => prop_assert!(!error.text.is_empty() && error.text.len() < 600),
            Ok(Plan::Reply(Reply::Rows(set))) => prop_assert!(set.rows.iter().all(|row| row.len() == set.columns.len())),
            Ok(Plan::Read { source, query }) => {
                let set = query.apply(fetch(&source)).unwrap();
                prop_assert!(set.rows.iter().all(|row| row.len() == set.columns.len()));
            }
            Ok(plan) => prop_assert!(tenants(&plan).iter().all(|dev| *dev == DevId(7))),
        }
    }

    /// LIKE against the obvious recursive definition.
    #[test]
    fn like_is_like(pattern in "[ab%_\\\\]{0,6}", text in "[ab%_]{0,7}") {
        fn slow(pattern: &[char], text: &[char]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                (['%', rest @ ..], _) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
                (['_', rest @ ..], [_, text @ ..]) => slow(rest, text),
                (['\\', wanted, rest @ ..] | [wanted, rest @ ..], [found, text @ ..]) => {
                    wanted == found && slow(rest, text)
                }
                _ => false,
            }
        }
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(like(&pattern, &text, false), slow(&letters(&pattern), &letters(&text)));
    }
}
