//! How long functions and files are, and how much of the server is pure.

use super::source::{Source, Token};
use std::collections::BTreeSet;

/// Lines of each function that has a body, its signature and its last brace counted.
pub(super) fn functions(source: &Source) -> Vec<usize> {
    let tokens = source.tokens();
    let begins = |index: &usize| tokens[*index].text == "fn" && is_name(tokens.get(index + 1));
    (0..tokens.len()).filter(begins).filter_map(|index| lines_of_function(tokens, index)).collect()
}

fn is_name(token: Option<&Token>) -> bool {
    token.is_some_and(|token| token.text.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

/// None for a function without a body.
fn lines_of_function(tokens: &[Token], start: usize) -> Option<usize> {
    let mut braces = 0_usize;
    let mut others = 0_usize;
    for token in &tokens[start..] {
        match token.text.as_str() {
            "(" | "[" => others += 1,
            ")" | "]" => others = others.saturating_sub(1),
            ";" if braces == 0 && others == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 && others == 0 {
                    return Some(token.line + 1 - tokens[start].line);
                }
            }
            _ => {}
        }
    }
    None
}

/// The length that so many of a hundred functions do not exceed.
pub(super) fn percentile(lengths: &mut [usize], percent: usize) -> usize {
    lengths.sort_unstable();
    let place = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
    lengths.get(place).copied().unwrap_or(0)
}

/// Lines on which there is code.
pub(super) fn code_lines(source: &Source) -> usize {
    source.tokens().iter().map(|token| token.line).collect::<BTreeSet<_>>().len()
}

/// A file that is longer than files may be, with the most lines that it may have.
pub(super) struct Long {
    pub path: &'static str,
    pub lines_max: usize,
}

/// Files, each with its lines, that are longer than `lines_max` and than their own row.
pub(super) fn too_long(files: &[(String, usize)], lines_max: usize, rows: &[Long]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, lines) in files {
        let max = rows.iter().find(|row| row.path == path).map_or(lines_max, |row| row.lines_max);
        if *lines > max {
            wrong.push(format!("{path}: {lines} lines, {max} at most"));
        }
    }
    wrong
}

#[test]
fn functions_are_measured_from_their_first_line_to_their_last() {
    let check =
        |text: &str, expected: &[usize]| assert_eq!(functions(&Source::of("src/x.rs", text)), expected, "{text}");
    check("fn a() {}\nfn b()\n{\n}\n", &[1, 3]);
    check("trait T { fn a(&self) -> [u8; 3]; fn b(&self) {\n\n} }", &[3]);
    check("fn a<const N: usize>(x: [u8; { N }])\n{ if x { } }", &[2]);
    check("fn a() {\n fn b() {\n }\n}", &[4, 2]);
    check("type F = fn(u8) -> u8; // fn c() {}", &[]);
}

#[test]
fn percentiles_are_lengths_that_occur() {
    let check = |lengths: &[usize], percent, expected| assert_eq!(percentile(&mut lengths.to_vec(), percent), expected);
    check(&[], 90, 0);
    check(&[7], 99, 7);
    check(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 90, 9);
    check(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 99, 10);
}

#[test]
fn lines_without_code_do_not_count() {
    assert_eq!(code_lines(&Source::of("src/x.rs", "//! a\n\nfn f() {\n    // b\n    g(1,\n      2)\n}\n")), 4);
}

#[test]
fn a_file_does_not_grow() {
    let check = |lines: usize, row: Option<usize>, expected: &[&str]| {
        let rows: Vec<Long> = row.map(|lines_max| Long { path: "a.rs", lines_max }).into_iter().collect();
        assert_eq!(too_long(&[("a.rs".to_owned(), lines)], 800, &rows), expected);
    };
    check(800, None, &[]);
    check(801, None, &["a.rs: 801 lines, 800 at most"]);
    check(900, Some(900), &[]);
    check(901, Some(900), &["a.rs: 901 lines, 900 at most"]);
}
