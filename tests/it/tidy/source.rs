//! A source file as names and marks with their lines, without comments and literals.

use std::fs;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// A name, a number, `::` or one other mark.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

pub(super) struct Source {
    pub path: PathBuf,
    tokens: Vec<Token>,
}

impl Source {
    pub(super) fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, tokens: tokens(&text) }
    }

    /// A file that is not there, for tests of the rules.
    pub(super) fn of(path: &str, text: &str) -> Self {
        Self { path: crate::tools::root().join(path), tokens: tokens(text) }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The file without its `#[cfg(test)]` items, which may use what they like.
    pub(super) fn without_tests(mut self) -> Self {
        let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
        while let Some(start) = find(&self.tokens, &mark) {
            let end = end_of_item(&self.tokens, start + mark.len());
            self.tokens.drain(start..end);
        }
        self
    }
}

fn find(tokens: &[Token], mark: &[&str]) -> Option<usize> {
    tokens.windows(mark.len()).position(|window| window.iter().zip(mark).all(|(token, text)| token.text == *text))
}

/// The first place behind the item that begins at `start`: behind its `;`, or behind its closed braces.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Enough of Rust's lexical rules to tell names from text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut index = 0;
    while index < chars.len() {
        let start = index;
        let first = at(index);
        if first == '/' && at(index + 1) == '/' {
            while index < chars.len() && at(index) != '\n' {
                index += 1;
            }
        } else if first == '/' && at(index + 1) == '*' {
            index = end_of_comment(&chars, index);
        } else if let Some(end) = end_of_literal(&chars, index) {
            index = end;
        } else if first.is_alphanumeric() || first == '_' {
            while at(index).is_alphanumeric() || at(index) == '_' {
                index += 1;
            }
            tokens.push(Token { text: chars[start..index].iter().collect(), line });
        } else if first == ':' && at(index + 1) == ':' {
            index += 2;
            tokens.push(Token { text: "::".to_owned(), line });
        } else {
            index += 1;
            if !first.is_whitespace() {
                tokens.push(Token { text: first.to_string(), line });
            }
        }
        line += chars[start..index].iter().filter(|char| **char == '\n').count();
    }
    tokens
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = start;
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

/// Where the literal that begins at `start` ends: strings, raw strings, byte strings, characters.
fn end_of_literal(chars: &[char], start: usize) -> Option<usize> {
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let before = start.checked_sub(1).map_or('\0', at);
    let in_name = before.is_alphanumeric() || before == '_';
    let mut index = start;
    if !in_name && matches!(at(index), 'b' | 'c') && matches!(at(index + 1), '"' | '\'' | 'r') {
        index += 1;
    }
    if !in_name && at(index) == 'r' && matches!(at(index + 1), '"' | '#') {
        let hashes = chars[index + 1..].iter().take_while(|char| **char == '#').count();
        if at(index + 1 + hashes) == '"' {
            let mut end: Vec<char> = vec!['"'];
            end.extend(std::iter::repeat_n('#', hashes));
            let body = index + 2 + hashes;
            let found = chars[body..].windows(end.len()).position(|window| window == end);
            return Some(found.map_or(chars.len(), |found| body + found + end.len()));
        }
        return None;
    }
    match at(index) {
        '"' => Some(end_of_quoted(chars, index, '"')),
        // 'a' and '\n' are characters, 'a alone is a lifetime.
        '\'' if at(index + 1) == '\\' || at(index + 2) == '\'' => Some(end_of_quoted(chars, index, '\'')),
        _ => None,
    }
}

fn end_of_quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut index = start + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            char if char == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

#[test]
fn tokens_leave_out_what_is_not_code() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = tokens(text).into_iter().map(|token| token.text).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("a::b{c}", &["a", "::", "b", "{", "c", "}"]);
    check("x // y\nz /* u /* v */ w */ q", &["x", "z", "q"]);
    check(
        r#"f("a \" b", 'c', '\'', b'd', 'e: &'f g)"#,
        &["f", "(", ",", ",", ",", ",", "'", "e", ":", "&", "'", "f", "g", ")"],
    );
    check(r##"r"a\" b r#"c " d"# e br"f" g"##, &["b", "e", "g"]);
    check("r#type raw br", &["r", "#", "type", "raw", "br"]);
    let lines: Vec<usize> = tokens("a\n\"x\ny\"\nb").iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 4]);
}

#[test]
fn items_for_tests_are_left_out() {
    let check = |text: &str, expected: &str| {
        let source = Source::of("src/x.rs", text).without_tests();
        let found: Vec<&str> = source.tokens().iter().map(|token| token.text.as_str()).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    };
    check("a; #[cfg(test)] mod tests; b;", "a ; b ;");
    check("#[cfg(test)] mod tests { fn f() { x } } b;", "b ;");
    check("#[cfg(test)] #[allow(x)] fn f(a: [u8; 3]) -> u8 { 1 } b", "b");
    check("#[cfg(not(test))] a", "# [ cfg ( not ( test ) ) ] a");
}
