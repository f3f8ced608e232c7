//! Text that comes line by line, cut into statements at semicolons that stand in no quotes and no comment.

/// One statement without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub text: Vec<u8>,
    /// In which line it begins, from 1.
    pub line: usize,
    /// It ended with `\G`.
    pub vertical: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    /// Text or a name in these quotes; a doubled quote ends and begins it.
    Quotes(u8),
    /// To the end of the line.
    Line,
    /// `/* ... */`
    Comment,
}

/// What has been fed and is no whole statement yet.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    held: Vec<u8>,
    /// How much of it was looked at.
    seen: usize,
    within: Within,
    /// Bytes of it that are no comment and no blank.
    words: usize,
    /// Line ends fed so far, and those before the statement.
    lines: usize,
    begun: usize,
}

impl Splitter {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.within == Within::Nothing
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn begun_at(&self) -> usize {
        self.begun + 1
    }

    /// Takes more of the text, and puts statements that it ends behind `found`.
    pub(super) fn feed(&mut self, text: &[u8], found: &mut Vec<Statement>) {
        for byte in text {
            self.take(*byte, found);
        }
    }

    /// What is left at the end of the text needs no semicolon.
    pub(super) fn rest(&mut self) -> Option<Statement> {
        self.within = Within::Nothing;
        self.statement(0, false)
    }

    fn take(&mut self, byte: u8, found: &mut Vec<Statement>) {
        if byte == b'\n' {
            self.lines += 1;
        }
        if self.held.is_empty() && byte.is_ascii_whitespace() {
            self.begun = self.lines;
            return;
        }
        self.held.push(byte);
        if matches!(self.within, Within::Nothing | Within::Quotes(_)) && !byte.is_ascii_whitespace() {
            self.words += 1;
        }
        let fresh = self.held.get(self.seen..).unwrap_or_default();
        // Two bytes decide of a comment and of what is escaped.
        let before = fresh.len().checked_sub(2).and_then(|at| fresh.get(at)).copied();
        match (self.within, byte) {
            (Within::Nothing, b';') => {
                self.within = Within::Nothing;
                found.extend(self.statement(1, false));
            }
            (Within::Nothing, b'G') if before == Some(b'\\') => found.extend(self.statement(2, true)),
            (Within::Nothing, b'\'' | b'"' | b'`') => self.enter(Within::Quotes(byte)),
            (Within::Nothing, b'#') => self.begin_comment(Within::Line, 1),
            (Within::Nothing, b'*') if before == Some(b'/') => self.begin_comment(Within::Comment, 2),
            (Within::Nothing, b' ' | b'\t' | b'\n')
                if self.held.get(..self.held.len() - 1).is_some_and(ends_in_dashes) =>
            {
                self.begin_comment(if byte == b'\n' { Within::Nothing } else { Within::Line }, 2);
            }
            (Within::Quotes(quote), _) if quote != b'`' && before == Some(b'\\') => self.seen = self.held.len(),
            (Within::Quotes(quote), _) if byte == quote => self.enter(Within::Nothing),
            (Within::Line, b'\n') => self.enter(Within::Nothing),
            (Within::Comment, b'/') if before == Some(b'*') => self.enter(Within::Nothing),
            _ => {}
        }
    }

    fn enter(&mut self, within: Within) {
        self.within = within;
        self.seen = self.held.len();
    }

    /// Its first bytes were taken for words.
    fn begin_comment(&mut self, within: Within, bytes: usize) {
        self.words = self.words.saturating_sub(bytes);
        self.enter(within);
    }

    /// Takes what is held, less the bytes of its end; `None` if there is nothing but comments in it.
    fn statement(&mut self, end: usize, vertical: bool) -> Option<Statement> {
        let mut text = std::mem::take(&mut self.held);
        text.truncate(text.len().saturating_sub(end));
        let (line, words) = (self.begun + 1, std::mem::take(&mut self.words));
        (self.seen, self.begun) = (0, self.lines);
        text.truncate(text.trim_ascii_end().len());
        (words > end).then_some(Statement { text, line, vertical })
    }
}

/// `--` begins a comment only in front of a blank.
fn ends_in_dashes(text: &[u8]) -> bool {
    text.ends_with(b"--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        for size in 1..=text.len().max(1) {
            let mut splitter = Splitter::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                splitter.feed(piece, &mut found);
            }
            found.extend(splitter.rest());
            let texts: Vec<_> = found.iter().map(|found| String::from_utf8_lossy(&found.text).into_owned()).collect();
            assert_eq!(texts, expected, "{text} by {size}");
        }
    }

    #[test]
    fn semicolons_end_statements() {
        check("", &[]);
        check(" ; ;\n", &[]);
        check("a", &["a"]);
        check("a; b ;c", &["a", "b", "c"]);
        check("a\n b;\n", &["a\n b"]);
    }

    #[test]
    fn but_not_in_quotes_and_comments() {
        check("a ';' b; c", &["a ';' b", "c"]);
        check("a 'it''s;' ; c", &["a 'it''s;'", "c"]);
        check(r"a 'it\'s;' ; c", &[r"a 'it\'s;'", "c"]);
        check(r"a '\\'; c", &[r"a '\\'", "c"]);
        check(r"a `\`; c", &[r"a `\`", "c"]);
        check("a \"x;\" ; `y;`", &["a \"x;\"", "`y;`"]);
        check("a -- x;\n b; c", &["a -- x;\n b", "c"]);
        check("a --1; c", &["a --1", "c"]);
        check("a # x;\n; c", &["a # x;", "c"]);
        check("a /* ; */ b; c", &["a /* ; */ b", "c"]);
        check("a /*/ ; */ b", &["a /*/ ; */ b"]);
        check("a - - b; c", &["a - - b", "c"]);
        check("-- only\n; # this\n /* and that */", &[]);
        check("a; -- the end", &["a"]);
    }

    #[test]
    fn lines_are_counted_and_g_is_an_end() {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        splitter.feed(b"\n\na;\nb\nc\\G d;", &mut found);
        let seen: Vec<_> = found.iter().map(|found| (found.line, found.vertical, found.text.as_slice())).collect();
        assert_eq!(seen, [(3, false, &b"a"[..]), (4, true, b"b\nc"), (5, false, b"d")]);
        assert!(splitter.is_empty());
        splitter.feed(b"'x", &mut found);
        assert!(!splitter.is_empty());
    }
}
