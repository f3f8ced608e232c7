//! Reading a text takes time in proportion to its length, whatever is nested in it.

use sqlparser::dialect::MySqlDialect;
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::Parser;

use super::*;

/// Steps for a text of so many bytes. What is read again of a short text costs up to a millisecond.
fn most(bytes: usize) -> u32 {
    30 * bytes as u32 + 20_000
}

fn check(query: &str) -> u32 {
    let meter = Meter::default();
    // Here a text is read the most often.
    let statement = parse_among(query, StringEscapes::Mysql, Names::Schema, &meter);
    assert!(meter.steps() <= most(query.len()), "{} steps for {query:.300}", meter.steps());
    // What a statement holds is made from the text once, not again and again.
    let size = statement.map_or(0, |statement| format!("{statement:?}").len());
    assert!(size <= 600 * query.len() + 100_000, "{size} bytes of statement for {query:.300}");
    meter.steps()
}

/// The attack that this is about, and how it was: each level doubled the time.
#[test]
fn nested_positions_are_read_a_bounded_number_of_times() {
    let nested = |levels: usize| format!("SELECT {}1{}", "POSITION(".repeat(levels), ")".repeat(levels));
    assert_eq!(parse(&nested(15), StringEscapes::Mysql), Err(SyntaxError::TooMuchToRead));
    let steps: Vec<u32> = (1..=15).map(|levels| check(&nested(levels))).collect();
    let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
    assert!(most - least < 20_000, "{steps:?}");
}

/// Which words lead sqlparser into two readings changes with its releases, so all of them are tried, in all shapes in
/// which they can be nested.
#[test]
fn whatever_is_nested_takes_time_in_proportion_to_the_text() {
    const SHAPES: [(&str, &str, &str); 12] = [
        ("SELECT {}1{}", "# ", ""),
        ("SELECT {}1{}", "#(", ")"),
        ("SELECT {}1{} FROM t WHERE id = 1", "#(", ")"),
        ("SELECT {}1{}", "# (", ") a"),
        ("SELECT {}1{}", "1 # (", ")"),
        ("SELECT {}1{}", "#(1, ", ", 1)"),
        ("SELECT {}1{}", "# 1 # (SELECT ", ")"),
        ("SELECT * FROM {}t{}", "# (", ") a"),
        ("SELECT * FROM {}t{}", "(( SELECT * FROM # ", ") a)"),
        ("SELECT id FROM t WHERE id {}1{}", "IN (# ", ", 2)"),
        ("DELETE FROM t WHERE {}1{}", "#(", ")"),
        ("INSERT INTO t (a) VALUES ({}1{})", "#(", ")"),
    ];
    for word in ALL_KEYWORDS {
        for (around, open, close) in SHAPES {
            let parentheses = open.matches('(').count();
            let levels = 15_usize.checked_div(parentheses).unwrap_or(30);
            let nested = |part: &str| part.replace('#', word).repeat(levels);
            let query = around.replacen("{}", &nested(open), 1).replacen("{}", &nested(close), 1);
            check(&query);
        }
    }
}

/// The same with two constructs in turn, and with long lists within.
#[test]
fn mixed_nesting_takes_time_in_proportion_to_the_text() {
    let parts = [
        ("POSITION(", ")"),
        ("1 IN ((", "), 1)"),
        ("(SELECT * FROM ((SELECT ", ") a) b)"),
        ("CASE ", " WHEN 1 THEN 1 END"),
        ("INTERVAL ", " DAY"),
        ("INTERVAL ", ""),
        ("CASE ", ""),
        ("IF(CURRENT_TIME(", "))"),
        ("BINARY ", ""),
        ("CONVERT(", ", CHAR)"),
        ("CAST(", " AS CHAR)"),
        ("NOT EXISTS (SELECT ", ")"),
        ("EXTRACT(DAY FROM ", ")"),
        ("TRIM(BOTH FROM ", ")"),
        ("x.", ""),
        ("a BETWEEN ", " AND 1"),
    ];
    let list = vec!["1"; 20_000].join(",");
    for (left_open, left_close) in parts {
        for (right_open, right_close) in parts {
            for levels in [3, 8] {
                let open = format!("{left_open}{right_open}").repeat(levels);
                let close = format!("{right_close}{left_close}").repeat(levels);
                check(&format!("SELECT {open}1{close}"));
            }
        }
        check(&format!("SELECT {}({list}){}", left_open.repeat(8), left_close.repeat(8)));
    }
    let branches = " WHEN 1 THEN 1".repeat(60);
    check(&format!("SELECT CASE f({list}){branches} END"));
    check(&format!("SELECT ({list}){}", " DIV 1".repeat(150)));
}

/// Long statements that are read once are not refused.
#[test]
fn long_statements_are_read() {
    let rows = vec!["('name','event','message')"; 1000].join(",");
    let ids = (1..=4000).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let columns = (0..5000).map(|at| format!("'text {at}'")).collect::<Vec<_>>().join(",");
    for query in [
        format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows} ON DUPLICATE KEY UPDATE event = 'x'"),
        format!("SELECT * FROM users_auth WHERE id IN ({ids})"),
        format!("SELECT IF(1 IN ({columns}), CONCAT({columns}), COALESCE({columns}))"),
        "SELECT a.b FROM (SELECT TABLE_NAME b FROM information_schema.TABLES WHERE TABLE_NAME IN (SELECT TABLE_NAME FROM \
         (SELECT TABLE_NAME FROM information_schema.TABLES WHERE (((1 = 1)) AND (2 IN (1, (2))))) c)) a"
            .to_owned(),
    ] {
        check(&query);
        assert!(parse(&query, StringEscapes::Mysql).is_ok(), "{query:.100}");
    }
}

/// The dialect that counts is MySQL's.
#[test]
fn the_counting_dialect_reads_as_mysql_does() {
    use super::super::tree::metered::Metered;
    let tools = include_str!("../../../../tests/it/clients/tools.sql");
    let lines = tools.lines().filter(|line| line.starts_with("SELECT"));
    let more = [
        "SELECT BINARY 'a' LIKE 'b' ESCAPE '|', 'a' 'b', 1 << 2, a && b, INTERVAL 1 + 1 DAY FROM t LIMIT 1, 2",
        "SELECT SQL_CALC_FOUND_ROWS a FROM t USE INDEX (x) IGNORE INDEX (y) STRAIGHT_JOIN u CROSS JOIN v ON 1",
        "INSERT INTO t SET a = 1, b = 2 ON DUPLICATE KEY UPDATE a = VALUES(a)",
        "UPDATE t SET a = 1 WHERE b = 2 ORDER BY c LIMIT 1",
        "SELECT CAST(a AS SIGNED INTEGER), MATCH (a) AGAINST ('b') FROM t GROUP BY a WITH ROLLUP",
    ];
    let mut read = 0;
    for text in lines.chain(more) {
        let by_mysql = Parser::parse_sql(&MySqlDialect {}, text);
        let counted = Parser::parse_sql(&Metered::new(10_000), text);
        assert_eq!(counted, by_mysql, "{text}");
        read += usize::from(counted.is_ok());
    }
    assert!(read > 20, "{read}");
}
