//! A Markdown file as far as its checks need it: fenced blocks, headings, links, and the text between.

use crate::tools;
use std::fs;

/// A fenced block. Its info string is a language and further words that say how it is run; see `run`.
pub(crate) struct Block {
    /// The file's path in the checkout.
    pub(crate) file: String,
    /// Where the fence opens, counted from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
    /// Blanks before each line, in a list.
    pub(crate) indent: usize,
}

impl Block {
    pub(crate) fn is(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) blocks: Vec<Block>,
    /// As GitHub names them in addresses.
    pub(crate) anchors: Vec<String>,
    /// Number of the line, and what stands in the parentheses.
    pub(crate) links: Vec<(usize, String)>,
    /// Everything outside of blocks.
    pub(crate) prose: Vec<(usize, String)>,
}

impl Document {
    pub(crate) fn read(file: &str) -> Self {
        let text = fs::read_to_string(tools::root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut document =
            Self { file: file.to_owned(), blocks: vec![], anchors: vec![], links: vec![], prose: vec![] };
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let indent = line.len() - line.trim_start().len();
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(info)) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    let language = words.next().unwrap_or_default();
                    let (file, words) = (file.to_owned(), words.collect());
                    open = Some(Block { file, line: number, language, words, text: String::new(), indent });
                }
                (Some(_), Some(_)) => document.blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line.get(block.indent..).unwrap_or_default());
                    block.text.push('\n');
                }
                (None, None) => document.line(number, line),
            }
        }
        assert!(open.is_none(), "{file}: a block is not closed");
        document
    }

    fn line(&mut self, number: usize, line: &str) {
        if let Some(heading) = line.strip_prefix('#') {
            let anchor = anchor(heading.trim_start_matches('#'));
            let again = self.anchors.iter().filter(|known| **known == anchor).count();
            self.anchors.push(if again == 0 { anchor } else { format!("{anchor}-{again}") });
        }
        let plain: String = line.split('`').step_by(2).collect();
        for (at, _) in plain.match_indices("](") {
            let target = plain[at + 2..].split(')').next().unwrap_or_default();
            self.links.push((number, target.to_owned()));
        }
        self.prose.push((number, line.to_owned()));
    }

    /// Code that is set in by blanks instead of a fence, which nothing would run.
    pub(crate) fn indented_code(&self) -> Option<usize> {
        let pairs = self.prose.iter().zip(self.prose.iter().skip(1));
        let mut found = pairs.filter(|((at, before), (_, line))| {
            *at > 0
                && before.trim().is_empty()
                && line.starts_with("    ")
                && !line.trim_start().starts_with(['*', '-'])
        });
        found.next().map(|(_, (number, _))| *number)
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

/// Whether the lines are as expected. Blanks count as one; in the expected ones `…` stands for any text of a line, alone
/// in a line for any number of lines; the width of tables does not count.
pub(crate) fn agrees(expected: &str, actual: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().map(plain).collect::<Vec<_>>();
    lines_agree(&lines(expected), &lines(actual))
}

fn plain(line: &str) -> String {
    if line.starts_with("+-") {
        return "+-".to_owned();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines_agree(expected: &[String], actual: &[String]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => (0..=actual.len()).any(|skip| lines_agree(rest, &actual[skip..])),
        (Some((first, rest)), Some((line, lines))) => line_agrees(first, line) && lines_agree(rest, lines),
        _ => false,
    }
}

fn line_agrees(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn anchors_are_those_of_github() {
    for (heading, expected) in [
        (" What `users_auth` holds", "what-users_auth-holds"),
        (" A, b: (c)?", "a-b-c"),
        (" Что дальше", "что-дальше"),
        (" Error 500 - storage", "error-500---storage"),
    ] {
        assert_eq!(anchor(heading), expected);
    }
}

#[test]
fn expected_lines_may_leave_something_open() {
    for (expected, actual, agree) in [
        ("a\nb", "a\nb\n", true),
        ("a", "a\nb", false),
        ("…\nb", "a\na\nb", true),
        ("a\n…", "a", true),
        ("| … | x |", "| 01a2   | x |", true),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("+---+\n| a |", "+------+\n| a    |", true),
        ("…", "", true),
    ] {
        assert_eq!(agrees(expected, actual), agree, "{expected:?} {actual:?}");
    }
}
