//! The paths that a file names, groups of `use` taken apart and `super` resolved.

use super::source::Token;

/// One path that the file names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// Begins with a root, `crate` for everything within the crate.
    pub segments: Vec<String>,
    pub line: usize,
}

impl Import {
    pub(super) fn path(&self) -> String {
        self.segments.join("::")
    }
}

/// All paths that begin with one of `roots`, but those that only limit a visibility. `file` is the module of the
/// file, by which `super` and `self` become paths from `crate`; modules within the file are followed.
pub(super) fn imports(tokens: &[Token], roots: &[&str], file: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    // Modules within the file that are open, each with the depth of its braces.
    let mut open: Vec<(usize, String)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                open.retain(|(outer, _)| *outer < depth);
            }
            "mod" if text(tokens, index + 2) == "{" => open.push((depth, text(tokens, index + 1).to_owned())),
            root if roots.contains(&root) && text(tokens, index + 1) == "::" && begins_a_path(tokens, index) => {
                let inside: Vec<String> = file.iter().chain(open.iter().map(|(_, name)| name)).cloned().collect();
                let first = found.len();
                Reader { tokens, at: index, found: &mut found }.path(&[]);
                for import in found.iter_mut().skip(first) {
                    resolve(import, &inside);
                }
            }
            _ => {}
        }
    }
    found
}

/// Neither in the middle of a path nor in `pub(in ...)`.
fn begins_a_path(tokens: &[Token], index: usize) -> bool {
    let before = |back: usize| index.checked_sub(back).map_or("", |place| text(tokens, place));
    before(1) != "::" && !(before(1) == "in" && before(2) == "(")
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: &'a mut Vec<Import>,
}

impl Reader<'_> {
    /// Reads one path or group behind `before` and leaves `at` behind it.
    fn path(&mut self, before: &[String]) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut segments = before.to_vec();
        loop {
            match text(self.tokens, self.at) {
                "{" => return self.group(&segments),
                name if is_name(name) || name == "*" => segments.push(name.to_owned()),
                _ => break,
            }
            self.at += 1;
            if text(self.tokens, self.at) != "::" {
                break;
            }
            self.at += 1;
        }
        self.found.push(Import { segments, line });
    }

    fn group(&mut self, before: &[String]) {
        self.at += 1;
        while !matches!(text(self.tokens, self.at), "}" | "") {
            self.path(before);
            // A new name, as in `a as b`, up to the next path.
            while !matches!(text(self.tokens, self.at), "," | "}" | "") {
                self.at += 1;
            }
            if text(self.tokens, self.at) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

fn resolve(import: &mut Import, inside: &[String]) {
    let mut base = match import.segments.first().map(String::as_str) {
        Some("super" | "self") => inside.to_vec(),
        _ => return,
    };
    let ups = import.segments.iter().take_while(|segment| *segment == "super" || *segment == "self");
    let mut skipped = 0;
    for up in ups {
        skipped += 1;
        if up == "super" {
            base.pop();
        }
    }
    let rest = import.segments.split_off(skipped);
    import.segments = std::iter::once("crate".to_owned()).chain(base).chain(rest).collect();
}

fn text(tokens: &[Token], index: usize) -> &str {
    tokens.get(index).map_or("", |token| token.text.as_str())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[test]
fn paths_are_found_wherever_they_stand() {
    use super::source::tokens;
    let check = |text: &str, expected: &[&str]| {
        let inside = ["cometql".to_owned(), "exec".to_owned()];
        let found = imports(&tokens(text), &["crate", "super", "self"], &inside);
        let found: Vec<String> = found.iter().map(Import::path).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::model::DevId;", &["crate::model::DevId"]);
    check("let x = crate::hub::f::<u8>(1);", &["crate::hub::f"]);
    check(
        "use crate::{model::{DevId, UserId as U}, hub};",
        &["crate::model::DevId", "crate::model::UserId", "crate::hub"],
    );
    check("use super::wire::*; use super::super::hub::H;", &["crate::cometql::wire::*", "crate::hub::H"]);
    check("use self::part::P; pub(crate) fn f(self) {}", &["crate::cometql::exec::part::P"]);
    check(
        "use super::{wire, sql::{Statement, self}};",
        &["crate::cometql::wire", "crate::cometql::sql::Statement", "crate::cometql::sql::self"],
    );
    check(
        "mod part { use super::other::O; mod deep { use super::super::P; } } use super::Q;",
        &["crate::cometql::exec::other::O", "crate::cometql::exec::P", "crate::cometql::Q"],
    );
    check("pub(in super::super) const A: u8 = 1; pub(in crate::cometql) mod m;", &[]);
    check("// crate::hub\n\"crate::hub\" other::crate::x", &[]);
}
