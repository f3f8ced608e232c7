//! What conditions cost, and answers that come in pieces.

use super::*;
use crate::cometql::rows::{Effort, like, rows_of_times};

pub(super) fn like(pattern: &str, text: &str, ignore_case: bool) -> bool {
    like::like(pattern, text, ignore_case, &mut Effort::default())
}

fn row_query(query: &str) -> RowQuery {
    match run(query) {
        Ok(Plan::Read { query, .. }) => query,
        other => panic!("{query:.100}: {other:?}"),
    }
}

/// Long lists are searched, not walked, for every row; LIKE gives up before it holds the shard for long.
#[test]
fn expensive_conditions() {
    let ids = (1..=4000).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let query = row_query(&format!("SELECT id FROM users_time WHERE id IN ({ids}) AND id != 7"));
    let rows = rows_of_times((1..=4000).filter_map(UserId::new).map(|user| (user, -1)));
    assert_eq!(query.apply(rows).unwrap().rows.len(), 3999);

    let row = |text: String| vec![vec![Box::from("5"), text.into_boxed_str()]];
    let many = row_query(&format!("SELECT id FROM users_data WHERE id = 5 AND data LIKE '%{}b'", "a%".repeat(100)));
    assert_eq!(many.apply(row("a".repeat(1000) + "b")).unwrap().rows.len(), 1);
    let slow = row_query(&format!("SELECT id FROM users_data WHERE id = 5 AND data LIKE '%{}b'", "a".repeat(200)));
    assert_eq!(slow.apply(row("a".repeat(500_000))).unwrap_err().code, Code::TooLong);
}

/// Rows that come bit by bit make the same answer as all of them at once, whatever the query.
#[test]
fn answers_in_pieces() {
    let rows = rows_of_times((1..=100).filter_map(UserId::new).map(|user| (user, i64::from(user.get() * 37 % 101))));
    for (tail, held) in [
        ("", false),
        ("AND time > 50", false),
        ("LIMIT 10", false),
        ("LIMIT 10 OFFSET 95", false),
        ("AND time > 50 LIMIT 5, 7", false),
        ("LIMIT 200, 1", false),
        ("ORDER BY time", true),
        ("AND id < 90 ORDER BY time DESC LIMIT 3 OFFSET 2", true),
    ] {
        for columns in ["id", "time, id, 1", "COUNT(*)"] {
            let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
            let query = row_query(&format!("SELECT {columns} FROM users_time WHERE id IN ({ids}) {tail}"));
            let whole = query.clone().apply(rows.clone()).unwrap();
            let mut stream = query.stream();
            let mut pieces = Vec::new();
            let mut early = false;
            for piece in rows.chunks(7) {
                if !stream.wants_more() {
                    early = true;
                    break;
                }
                stream.push(piece.to_vec());
                stream.look(u32::MAX).unwrap();
                if !held {
                    pieces.extend(std::iter::from_fn(|| stream.take_row()));
                    assert!(stream.bytes() < 2_000, "{tail}");
                }
            }
            stream.finish();
            stream.look(u32::MAX).unwrap();
            pieces.extend(std::iter::from_fn(|| stream.take_row()));
            assert_eq!(pieces, whole.rows, "{columns} {tail}");
            let short = ["LIMIT 10", "AND time > 50 LIMIT 5, 7"].contains(&tail) && columns != "COUNT(*)";
            assert_eq!(early, short, "{columns} {tail}");
        }
    }
    // Only those that wait for their order are limited.
    let ids = (1..=100).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let mut query = row_query(&format!("SELECT id FROM users_time WHERE id IN ({ids}) ORDER BY id"));
    query.bytes_max = 1_000;
    let look = |query: RowQuery| {
        let mut stream = query.stream();
        stream.push(rows.clone());
        stream.look(u32::MAX)
    };
    assert_eq!(look(query.clone()).unwrap_err().code, Code::TooLong);
    query.order.clear();
    look(query).unwrap();
}

#[test]
fn like_patterns() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("%", "", true),
        ("a%", "abc", true),
        ("%c", "abc", true),
        ("%b%", "abc", true),
        ("a_c", "abc", true),
        ("a_c", "ac", false),
        ("_", "ж", true),
        ("%a%b", "xaxab", true),
        ("%a%b", "xaxba", false),
        ("a\\%", "a%", true),
        ("a\\%", "ab", false),
        ("a\\_c", "a_c", true),
        ("a\\", "a\\", true),
        ("A", "a", false),
    ] {
        assert_eq!(like(pattern, text, false), expected, "{pattern} {text}");
    }
    assert!(like("LoWer_%", "lower_case", true));
    let long = format!("SHOW VARIABLES LIKE '{}'", "a".repeat(257));
    assert_eq!(show(run(&long)), "error 11");
}
