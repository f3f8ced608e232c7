//! Texts to statements: literals, comments, splitting, bounds, parameters.

use proptest::prelude::*;

use super::*;

mod work;

/// A literal as MySQL's client library writes it, plus the doubled quote, which it also accepts.
fn escaped(text: &str, quote: char, doubled: bool) -> String {
    let mut literal = String::from(quote);
    for character in text.chars() {
        match character {
            '\0' => literal.push_str("\\0"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\u{1a}' => literal.push_str("\\Z"),
            '\\' => literal.push_str("\\\\"),
            _ if character == quote && doubled => literal.extend([quote, quote]),
            '\'' | '"' => literal.extend(['\\', character]),
            _ => literal.push(character),
        }
    }
    literal.push(quote);
    literal
}

fn selected(query: &str, escapes: StringEscapes) -> String {
    match parse(query, escapes) {
        Ok(Statement::Select(Select { items, .. })) => match items.as_slice() {
            [Item::One { expression: Expression::Value(Value::Text(text)), .. }] => text.clone().into_owned(),
            items => panic!("{query}: {items:?}"),
        },
        other => panic!("{query}: {other:?}"),
    }
}

/// An application builds all of its statements with a quote behind the semicolon, and CppComet ignored it.
#[test]
fn one_unpaired_quote_at_the_very_end_is_ignored() {
    let whole = "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', 'hi')";
    let expected = parse(whole, StringEscapes::Mysql);
    for end in [";'", "; '", "'", " ' \n", ";\"", ";;' "] {
        assert_eq!(parse(&format!("{whole}{end}"), StringEscapes::Mysql), expected, "{end}");
    }
    let pieces: Vec<&[u8]> = statements(b"SELECT 1; SELECT 2;'", StringEscapes::Mysql).map(Result::unwrap).collect();
    assert_eq!(pieces, [&b"SELECT 1"[..], b" SELECT 2"]);
    // A text that was cut off within a value, a second quote, or anything behind the quote is a mistake.
    for text in [
        "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', '",
        "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', 'hi",
        "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', 'hi');'x",
        "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', 'hi');''",
        "INSERT INTO users_messages (id, event, message) VALUES ('5', 'e', 'hi');`",
        "DELETE FROM users_data WHERE id = '",
        "DELETE FROM users_data WHERE id IN (1, 2, '",
        "UPDATE users_data SET data = 'x' WHERE id = 5 OR '",
        "/*!50000 SELECT 1 '",
    ] {
        assert!(parse(text, StringEscapes::Mysql).is_err(), "{text}");
    }
}

#[test]
fn string_literals() {
    for (literal, mysql, legacy) in [
        (r"'plain'", "plain", "plain"),
        (r"'it''s'", "it's", r"it\'s"),
        (r"'it\'s'", "it's", r"it\'s"),
        (r#"'say "hi"'"#, r#"say "hi""#, r#"say "hi""#),
        (r#"'say ""hi""'"#, r#"say ""hi"""#, r#"say ""hi"""#),
        (r#""say ""hi""""#, r#"say "hi""#, r#"say \"hi\""#),
        (r#""it's""#, "it's", "it's"),
        (r#"'{\"a\":1}'"#, r#"{"a":1}"#, r#"{\"a\":1}"#),
        (r"'line\nline'", "line\nline", r"line\nline"),
        (r"'a\tb\rc\bd\0e\Zf'", "a\tb\rc\u{8}d\0e\u{1a}f", r"a\tb\rc\bd\0e\Zf"),
        (r"'\u043f \/ \f \% \_'", r"\u043f \/ \f \% \_", r"\u043f \/ \f \% \_"),
        (r"'foo\\'", r"foo\", r"foo\\"),
        (r"'C:\\\\dir'", r"C:\\dir", r"C:\\\\dir"),
        (r"'\ж'", r"\ж", r"\ж"),
        (r"''", "", ""),
        (r"''''", "'", r"\'"),
        ("'raw\nnewline\0'", "raw\nnewline\0", "raw\nnewline\0"),
        (r"_utf8mb4'x\'y'", "x'y", r"x\'y"),
        (r"N'x'", "x", "x"),
        (r"x'4d4E'", "MN", "MN"),
        (r"X''", "", ""),
    ] {
        let query = format!("SELECT {literal}");
        assert_eq!(selected(&query, StringEscapes::Mysql), mysql, "{query}");
        assert_eq!(selected(&query, StringEscapes::Legacy), legacy, "{query}");
    }
}

#[test]
fn comments_and_hints() {
    for query in [
        "SELECT 'x' -- rest 'of line",
        "SELECT 'x' --",
        "SELECT 'x' # rest ' of line",
        "-- first\nSELECT 'x'",
        "# first\r\nSELECT 'x'",
        "/* first ' ; */ SELECT /**/ 'x' /* last */",
        "/*!50000 SELECT */ 'x'",
        "/*! SELECT 'x' */;",
        "SELECT 'x' /*!999999 , 'y' */",
        " ;; SELECT 'x' ; ; ",
        "SELECT\u{b}'x'\u{c}",
    ] {
        assert_eq!(selected(query, StringEscapes::Mysql), "x", "{query}");
    }
    for (query, error) in [
        ("SELECT 'x", SyntaxError::UnclosedQuote),
        (r"SELECT 'x\'", SyntaxError::UnclosedQuote),
        ("SELECT `x", SyntaxError::UnclosedQuote),
        ("SELECT 1 /* x", SyntaxError::UnclosedComment),
        ("SELECT 1 /*! x", SyntaxError::UnclosedComment),
        ("SELECT 1; SELECT 2", SyntaxError::SeveralStatements),
        ("SELECT \0", SyntaxError::UnexpectedByte(0)),
        ("SELECT [1]", SyntaxError::UnexpectedByte(b'[')),
        ("SELECT 5abc", SyntaxError::UnexpectedByte(b'a')),
        ("SELECT 0x4d", SyntaxError::UnexpectedByte(b'x')),
        ("SELECT x'4'", SyntaxError::BadHexadecimal),
        ("SELECT x'4g'", SyntaxError::BadHexadecimal),
        ("SELECT x'ff'", SyntaxError::BadHexadecimal),
        ("SELECT a FROM b UNION SELECT 2", SyntaxError::Unsupported("a combination of queries")),
        ("SELECT 1 INTERSECT SELECT 2", SyntaxError::Unsupported("this combination of queries")),
        ("SELECT a FROM b GROUP BY a", SyntaxError::Unsupported("GROUP BY")),
    ] {
        assert_eq!(parse(query, StringEscapes::Mysql), Err(error), "{query}");
    }
}

#[test]
fn splitting() {
    for (query, expected) in [
        ("SELECT 1", &["SELECT 1"][..]),
        ("SELECT 1; SELECT 2;", &["SELECT 1", " SELECT 2"]),
        (";; ;SELECT ';' ; /* ; */ ; `;`", &["SELECT ';' ", " `;`"]),
        ("a -- ;\n; b # ;", &["a -- ;\n", " b # ;"]),
        (r"'\';' ; ''';' ;", &[r"'\';' ", r" ''';' "]),
        ("", &[]),
        (";", &[]),
    ] {
        let got: Vec<_> = statements(query.as_bytes(), StringEscapes::Mysql)
            .map(|slice| std::str::from_utf8(slice.unwrap()).unwrap())
            .collect();
        assert_eq!(got, expected, "{query}");
    }
    let mut unclosed = statements(b"a; 'b", StringEscapes::Mysql);
    assert_eq!(unclosed.next(), Some(Ok(&b"a"[..])));
    assert_eq!(unclosed.next(), Some(Err(SyntaxError::UnclosedQuote)));
    assert_eq!(unclosed.next(), None);
}

#[test]
fn cluster_prefixes() {
    let dev = |query: &'static str| cluster_prefix(query.as_bytes()).map(|prefix| (prefix.dev, prefix.rest));
    assert_eq!(dev("cometqlcluster_v1 set dev_id=12;SELECT 1"), Some((Some(12), &b"SELECT 1"[..])));
    assert_eq!(dev("cometqlcluster_v1 set dev_id=;SELECT 1"), Some((None, &b"SELECT 1"[..])));
    assert_eq!(dev("cometqlcluster_v1 set dev_id=+1;x"), Some((None, &b"x"[..])));
    assert_eq!(dev("cometqlcluster_v1 set dev_id=99999999999;x"), Some((None, &b"x"[..])));
    assert_eq!(dev("cometqlcluster_v1 set dev_id=12"), Some((None, &b""[..])));
    assert_eq!(dev(" cometqlcluster_v1 set dev_id=12;x"), None);
    assert_eq!(dev("COMETQLCLUSTER_V1 set dev_id=12;x"), None);
}

#[test]
fn parameters() {
    let parse = |query| parse(query, StringEscapes::Mysql).unwrap();
    let text = |text: &'static str| Value::Text(text.into());
    for (prepared, values, written) in [
        (
            "INSERT INTO t (a, b) VALUES (?, 'x'), (5, ?)",
            vec![text("it's"), text("?")],
            "INSERT INTO t (a, b) VALUES ('it''s', 'x'), (5, '?')",
        ),
        (
            "SELECT a, ? AS y FROM t WHERE a IN (?, 2) AND b LIKE ? ORDER BY a LIMIT ?, ?",
            vec![Value::Number("1".into()), text("2"), text("%"), Value::Number("3".into()), Value::Number("4".into())],
            "SELECT a, 1 AS y FROM t WHERE a IN ('2', 2) AND b LIKE '%' ORDER BY a LIMIT 3, 4",
        ),
        (
            "DELETE FROM t WHERE NOT a = ? OR ? < b LIMIT ?",
            vec![text("a"), Value::Number("2".into()), Value::Number("3".into())],
            "DELETE FROM t WHERE NOT a = 'a' OR b > 2 LIMIT 3",
        ),
        ("UPDATE t SET a = ? WHERE b = ?", vec![text("a"), text("b")], "UPDATE t SET a = 'a' WHERE b = 'b'"),
        ("SHOW VARIABLES LIKE ?", vec![text("a%")], "SHOW VARIABLES LIKE 'a%'"),
        ("SHOW STATUS WHERE Value = ?", vec![text("a")], "SHOW STATUS WHERE Value = 'a'"),
        ("SET a = ?", vec![text("x")], "SET a = 'x'"),
        ("KILL ?", vec![Value::Number("5".into())], "KILL 5"),
    ] {
        let statement = prepare(prepared, StringEscapes::Mysql).unwrap();
        assert_eq!(statement.placeholders(), values.len(), "{prepared}");
        assert_eq!(super::parse(prepared, StringEscapes::Mysql), Err(SyntaxError::Placeholder));
        assert_eq!(statement.bind(&values), Ok(parse(written)), "{prepared}");
        let given = values.len() - 1;
        let short = SyntaxError::WrongParameters { given, wanted: values.len() };
        assert_eq!(statement.bind(&values[..given]), Err(short));
    }
    // A NULL parameter is a value that is not there.
    let insert = prepare("INSERT INTO t (a) VALUES (?)", StringEscapes::Mysql).unwrap().bind(&[Value::Null]).unwrap();
    let Statement::Insert(insert) = insert else { panic!() };
    assert_eq!(insert.values, [Value::Null]);
}

/// Texts built to exhaust the stack or the clock of a recursive parser, on a stack of half of what a thread gets.
#[test]
fn hostile_nesting() {
    let many = 40_000;
    let refused = [
        format!("SELECT {}1{}", "(".repeat(many), ")".repeat(many)),
        format!("SELECT {}1", "(".repeat(15)),
        format!("SELECT {}1", "NOT ".repeat(many)),
        format!("SELECT {}1", "- ".repeat(many)),
        format!("SELECT {}1", "! ".repeat(300)),
        format!("SELECT {}1", "1 + ".repeat(many)),
        format!("SELECT a FROM t WHERE {}a = 1", "a = 1 AND ".repeat(many / 4)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(190)),
        format!("SELECT {}", "CASE ".repeat(300)),
        format!("SELECT {}", "CASE WHEN ".repeat(190)),
        format!("SELECT {}1", "CASE WHEN 1 + 1 + 1 THEN 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + ".repeat(90)),
        format!("SELECT 1{}", ", 'x' AS y".repeat(9_000)),
        format!("SELECT {}", "INTERVAL ".repeat(300)),
        format!("SELECT {}", "CAST(".repeat(15)),
        format!("SELECT {}", "IF(current_time(".repeat(7)),
        format!("SELECT a{}", ".a".repeat(many)),
        format!("SELECT {}", "SELECT (".repeat(15)),
        format!("SELECT * FROM {}", "(SELECT * FROM ".repeat(15)),
        format!("SELECT * FROM {}t", "(".repeat(15)),
        format!("SELECT 1 {}", "DIV 1 ".repeat(190)),
        format!("SELECT 1 {}", "+ 1 - 1 ".repeat(95)),
        format!("SELECT 1 FROM mysql.t WHERE {}1 = 1", "a < 1 = ".repeat(95)),
        format!("SELECT {}1 FROM mysql.t", "NOT ".repeat(30)),
        format!("SELECT * FROM mysql.t WHERE a IN {}", "(SELECT a FROM mysql.t WHERE a IN ".repeat(15)),
        format!("INSERT INTO t VALUES ({}1", "(".repeat(15)),
        format!("SHOW STATUS WHERE {}1", "(".repeat(15)),
        "'".repeat(many + 1),
        "/*! ".repeat(many),
    ];
    let accepted = [
        format!("SELECT {}1{}", "f(".repeat(15), ")".repeat(15)),
        format!("SELECT a FROM t WHERE {}a = 1", "a = 1 OR ".repeat(90)),
        format!("SELECT 1 FROM mysql.t WHERE {}a = 1", "a = 1 OR ".repeat(90)),
        format!("SELECT 1 FROM mysql.t WHERE {}1{}", "(".repeat(15), ")".repeat(15)),
        format!("SELECT 1 {}", "+ 1 ".repeat(190)),
        // What is listed side by side is not deep.
        format!("SELECT 1{}", " UNION SELECT 1".repeat(120)),
        format!("SELECT 'a' AS a, - 1 AS b{}", " UNION ALL SELECT 'x' AS y, NULL AS z".repeat(100)),
        format!("SELECT 1{}", ", 'x' AS y".repeat(1_000)),
        format!("SELECT CASE 'x' {} ELSE 0 END AS c", "WHEN 'y' THEN @d := 1 + 2 ".repeat(500)),
        format!("SELECT 1 FROM mysql.t WHERE a IN (1{})", ", 1 + 1".repeat(1_000)),
        format!("SET @x = 1{}", ", @y = 2".repeat(200)),
        format!("INSERT INTO t VALUES {}(1)", "(1),".repeat(many / 4)),
        format!("INSERT INTO t VALUES ({}1)", "1,".repeat(many)),
        format!("DELETE FROM t WHERE a IN ({}1)", "'x',".repeat(many)),
        ";".repeat(many),
    ];
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            for (texts, expected) in [(&refused[..], false), (&accepted[..], true)] {
                for text in texts {
                    let result = parse(text, StringEscapes::Mysql);
                    assert_eq!(result.is_ok(), expected, "{text:.60}: {result:.200?}");
                }
            }
        })
        .unwrap()
        .join()
        .unwrap();
    let tokens = format!("INSERT INTO t VALUES ({}1)", "1,".repeat(lexer::TOKENS_MAX));
    assert_eq!(parse(&tokens, StringEscapes::Mysql), Err(SyntaxError::TooManyTokens));
}

#[test]
fn fast_path_is_taken() {
    let insert = |query: &'static str| fast::insert(query.as_bytes(), StringEscapes::Mysql);
    for query in [
        "INSERT INTO pipes_messages (name, event, message) VALUES ('p', 'e', 'm')",
        " insert\tinto`t`(`a`)values(1),(-2) ; ",
        "INSERT INTO 't' (\"a\") VALUES (word)",
    ] {
        assert!(insert(query).is_some(), "{query}");
    }
    let plain = insert("INSERT INTO t (a) VALUES ('plain')").unwrap();
    assert!(matches!(&plain.values[..], [Value::Text(std::borrow::Cow::Borrowed("plain"))]));
    for query in [
        "INSERT INTO t VALUES (1)",
        "INSERT IGNORE INTO t (a) VALUES (1)",
        "REPLACE INTO t (a) VALUES (1)",
        "INSERT INTO t SET a = 1",
        "INSERT INTO d.t (a) VALUES (1)",
        "INSERT INTO t (a) VALUES (?)",
        "INSERT INTO t (a) VALUES (f())",
        "INSERT INTO t (a) VALUES ('a' 'b')",
        "INSERT INTO t (a) VALUES (_utf8'a')",
        "INSERT INTO t (a) VALUES (x'41')",
        "INSERT INTO t (a) VALUES (0x41)",
        "INSERT INTO t (a) VALUES (1.5)",
        "INSERT INTO t (a) VALUES (1), (1, 2)",
        "INSERT INTO t (a, b) VALUES (1, 2) ON DUPLICATE KEY UPDATE a = b + 1",
        "INSERT INTO t (a) VALUES (1); SELECT 1",
        "INSERT INTO t (a) VALUES (1) -- x",
        "INSERT INTO t (a) VALUES ()",
        "INSERT INTO t (a) VALUES (1",
        "INSERT INTO t (a) VALUES ('1",
        "INSERT INTO t (a) VALUESx (1)",
        "INSERT INTOt (a) VALUES (1)",
        "INSERT INTO t (1a) VALUES (1)",
        "INSERT INTO t (a)",
        "",
    ] {
        assert_eq!(insert(query), None, "{query}");
    }
    assert_eq!(fast::insert(b"INSERT INTO t (a) VALUES ('\xff')", StringEscapes::Mysql), None);
}

/// Any text, rich in what matters to a lexer.
fn spiky_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "'", "\"", "`", "\\", "''", "\\'", "\\\\", ";", "--", "-- ", "#", "/*", "*/", "/*!", "(", ")", ",", "%", "_", "?",
            "\0", "\n", "\u{1a}", " OR 1=1", "ж", "😀", "@@x", "0", "-", "=",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A sequence of what statements are made of, mostly no statement.
fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "SELECT",
        "INSERT",
        "INTO",
        "VALUES",
        "DELETE",
        "FROM",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "BETWEEN",
        "IS",
        "NULL",
        "ORDER BY",
        "LIMIT",
        "OFFSET",
        "SHOW",
        "STATUS",
        "GLOBAL",
        "VARIABLES",
        "TABLES",
        "SET",
        "USE",
        "KILL",
        "DESCRIBE",
        "REPLACE",
        "UPDATE",
        "COUNT(*)",
        "NOW()",
        "CASE",
        "WHEN",
        "INTERVAL",
        "CAST(",
        "AS",
        "EXISTS",
        "UNION",
        "JOIN",
        "users_auth",
        "pipes",
        "pipes_messages",
        "id",
        "hash",
        "name",
        "event",
        "message",
        "index",
        "@@version",
        "?",
        "(",
        ")",
        ",",
        ",",
        "=",
        "<",
        ">=",
        "!=",
        "*",
        ".",
        ";",
        "-",
        "+",
        "'x'",
        "\"id\"",
        "`id`",
        "5",
        "1.5",
        "/*",
        "*/",
        "-- ",
        "#",
        "\n",
        "'",
        "_utf8'x'",
    ]);
    prop::collection::vec(word, 0..25).prop_map(|words| words.join(" "))
}

fn value_literal() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        (spiky_text(), prop::sample::select(vec!['\'', '"']), any::<bool>())
            .prop_map(|(text, quote, doubled)| (escaped(&text, quote, doubled), text)),
        "-?[0-9]{1,12}".prop_map(|digits| (digits.clone(), digits)),
        "[A-Za-z_][A-Za-z0-9_]{0,9}".prop_map(|word| (word.clone(), word)),
    ]
}

proptest! {
    #[test]
    fn any_escaped_text_comes_back(text in spiky_text(), quote in prop::sample::select(vec!['\'', '"']), doubled: bool) {
        let query = format!("SELECT {}", escaped(&text, quote, doubled));
        prop_assert_eq!(selected(&query, StringEscapes::Mysql), text);
    }

    /// Whatever quote and style: the literal ends where it was meant to end, also when escapes are left in.
    #[test]
    fn legacy_escapes_move_no_borders(text in spiky_text(), doubled: bool) {
        let literal = escaped(&text, '\'', doubled);
        let query = format!("SELECT {literal}");
        let expected = literal[1..literal.len() - 1].replace("''", "\\'");
        prop_assert_eq!(selected(&query, StringEscapes::Legacy), expected);
    }

    /// A client that set this mode doubles quotes and leaves backslashes alone.
    #[test]
    fn without_escapes_a_backslash_is_a_character(text in spiky_text(), legacy: bool) {
        let escapes = if legacy { StringEscapes::Legacy } else { StringEscapes::Mysql };
        let reading = Reading { escapes, modes: Modes::NO_BACKSLASH_ESCAPES };
        let literal = format!("'{}'", text.replace('\'', "''"));
        let query = format!("INSERT INTO t (a, b) VALUES ({literal}, 'behind')");
        let fast = fast::insert(query.as_bytes(), reading);
        let texts: Vec<_> = fast.iter().flat_map(|insert| &insert.values).filter_map(Value::text).collect();
        prop_assert_eq!(texts, [text.as_str(), "behind"]);
        let parsed = parse(&query, reading).map(|statement| matches!(statement, Statement::Insert(_)));
        prop_assert_eq!(parsed, Ok(true));
        let two = format!("SELECT {literal}; SELECT 1");
        prop_assert_eq!(statements(two.as_bytes(), reading).count(), 2);
    }

    #[test]
    fn both_paths_agree_on_inserts(
        rows in (1_usize..4).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(value_literal(), width), 1..4)),
        quote in prop::sample::select(vec!["", "`", "\"", "'"]),
        blank in prop::sample::select(vec!["", " ", "\n\t "]),
        end in prop::sample::select(vec!["", ";", " ; ", ";\n"]),
    ) {
        let columns: Vec<_> = (0..rows[0].len()).map(|at| format!("{blank}{quote}c{at}{quote}{blank}")).collect();
        let tuples: Vec<_> = rows
            .iter()
            .map(|row| format!("({})", row.iter().map(|(literal, _)| format!("{blank}{literal}{blank}")).collect::<Vec<_>>().join(",")))
            .collect();
        let query = format!(
            "Insert into {quote}t{quote}{blank}({}){blank}vAlues{blank}{}{end}",
            columns.join(","),
            tuples.join(&format!("{blank},{blank}")),
        );
        let fast = fast::insert(query.as_bytes(), StringEscapes::Mysql);
        let fast = fast.ok_or_else(|| TestCaseError::fail(format!("not taken: {query}")))?;
        let texts: Vec<_> = fast.values.iter().filter_map(Value::text).collect();
        let expected: Vec<_> = rows.iter().flatten().map(|(_, text)| text.as_str()).collect();
        prop_assert_eq!(texts, expected);
        for escapes in [StringEscapes::Mysql, StringEscapes::Legacy] {
            let fast = fast::insert(query.as_bytes(), escapes).map(|insert| Statement::Insert(insert.into_owned()));
            prop_assert_eq!(fast, parse(&query, escapes).ok());
            // In another mode the same text may be another one, with a quote too many, which the fast path leaves alone.
            for modes in ["NO_BACKSLASH_ESCAPES", "ANSI"].map(|list| Modes::parse(list).unwrap()) {
                let reading = Reading { escapes, modes };
                if let Some(fast) = fast::insert(query.as_bytes(), reading) {
                    prop_assert_eq!(Ok(Statement::Insert(fast.into_owned())), parse(&query, reading));
                }
            }
        }
    }

    /// The fast path never takes what the parser refuses, nor reads it otherwise.
    #[test]
    fn the_fast_path_says_nothing_of_its_own(rest in spiky_text(), cut in 0_usize..80) {
        let mut query = format!("INSERT INTO t (a, b) VALUES (1, 'x{rest}'), (2, {rest});");
        if let Some((at, _)) = query.char_indices().nth(cut) {
            query.truncate(at);
            query.push_str(&rest);
        }
        if let Some(fast) = fast::insert(query.as_bytes(), StringEscapes::Mysql) {
            prop_assert_eq!(parse(&query, StringEscapes::Mysql), Ok(Statement::Insert(fast.into_owned())));
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![soup(), spiky_text(), ".{0,60}"]) {
        for escapes in [StringEscapes::Mysql, StringEscapes::Legacy] {
            if let Ok(prepared) = prepare(&text, escapes) {
                let values = vec![Value::Null; prepared.placeholders()];
                prop_assert!(prepared.bind(&values).is_ok());
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = fast::insert(&bytes, StringEscapes::Mysql);
        let _ = cluster_prefix(&bytes);
        let joined: usize = statements(&bytes, StringEscapes::Mysql).filter_map(Result::ok).map(<[u8]>::len).sum();
        prop_assert!(joined <= bytes.len());
    }

    /// Statements joined by semicolons come apart again.
    #[test]
    fn joined_statements_come_apart(texts in prop::collection::vec(spiky_text(), 1..5), doubled: bool) {
        let written: Vec<_> = texts.iter().map(|text| format!("SELECT {}", escaped(text, '\'', doubled))).collect();
        let query = written.join(";");
        let slices: Vec<_> = statements(query.as_bytes(), StringEscapes::Mysql).map(|slice| slice.unwrap().to_vec()).collect();
        let expected: Vec<_> = written.iter().map(|text| text.as_bytes().to_vec()).collect();
        prop_assert_eq!(slices, expected);
    }
}
