//! What is public and nobody uses. The compiler cannot see it, because somebody outside of the library might.

use super::source::{Source, Token};
use std::collections::BTreeMap;

/// Public items of `sources` whose names stand nowhere in `users` but where they are declared. `users` has to contain
/// `sources`; tests of one's own are no users, so what is written, tested and never called is found.
pub(super) fn unused<'a>(sources: &[Source], users: impl Iterator<Item = &'a Source>) -> Vec<String> {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for token in users.flat_map(Source::tokens) {
        *named.entry(&token.text).or_default() += 1;
    }
    let mut declared: BTreeMap<&str, Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources {
        for token in items(source.tokens()) {
            declared.entry(&token.text).or_default().push((source, token.line));
        }
    }
    let dead = declared.iter().filter(|(name, places)| named.get(**name).copied().unwrap_or(0) <= places.len());
    dead.flat_map(|(name, places)| places.iter().map(move |(source, line)| format!("{}:{line}: {name}", source.name())))
        .collect()
}

/// The names of the items that are declared with a visibility.
fn items(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let public = (0..tokens.len()).filter(|index| tokens[*index].text == "pub");
    public.filter_map(|index| name_of_item(tokens, index + 1))
}

fn name_of_item(tokens: &[Token], mut at: usize) -> Option<&Token> {
    let text = |index: usize| tokens.get(index).map_or("", |token: &Token| token.text.as_str());
    if text(at) == "(" {
        at += tokens.get(at..)?.iter().position(|token| token.text == ")")? + 1;
    }
    while matches!((text(at), text(at + 1)), ("async" | "const" | "unsafe", "fn" | "async" | "unsafe")) {
        at += 1;
    }
    matches!(text(at), "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static")
        .then(|| tokens.get(at + 1))?
}

#[test]
fn what_nobody_names_is_found() {
    let check = |text: &str, elsewhere: &str, expected: &[&str]| {
        let sources = [Source::of("src/a.rs", text), Source::of("src/b.rs", elsewhere)];
        assert_eq!(unused(&sources[..1], sources.iter()), expected, "{text} {elsewhere}");
    };
    check("pub fn f() {}", "", &["src/a.rs:1: f"]);
    check("pub fn f() {}", "// f\nuse crate::a::f;", &[]);
    check("pub fn f() {} fn g() { f() }", "", &[]);
    check("\npub(in crate::x) const fn f() {}", "g()", &["src/a.rs:2: f"]);
    check("pub struct S; impl S { pub const N: u8 = 1; pub field: u8 }", "S", &["src/a.rs:1: N"]);
    check("impl A { pub fn f() {} } impl B { pub fn f() {} }", "", &["src/a.rs:1: f", "src/a.rs:1: f"]);
    check("fn f() {} pub use x::f; pub mod m;", "", &[]);
}
