//! Text to sections: the syntax alone, with line numbers. What the names mean is decided in `read`.
//!
//! A line that begins with `;` or `#` is a comment. Whether they begin one behind a value depends on what the value is, so
//! values are whole here; see `values::before_comment`.

use super::problem::{Problem, ProblemKind};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    pub name: &'a str,
    /// Counted from 1.
    pub line: u32,
    pub entries: Vec<Entry<'a>>,
}

/// `key = value`, blanks around both removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub key: &'a str,
    pub value: &'a str,
    /// Written `key = []value`: one more item of a list.
    pub item: bool,
    pub line: u32,
}

/// The sections in their order. A section that appears twice appears twice here. Lines that are none of section,
/// key and comment become problems; the rest of the file is still read.
pub(super) fn parse(text: &str) -> (Vec<Section<'_>>, Vec<Problem>) {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut problems = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, raw) in text.lines().enumerate() {
        let line = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        match Line::of(raw.trim()) {
            Line::Nothing => {}
            Line::Section(name) => sections.push(Section { name, line, entries: Vec::new() }),
            Line::Entry { key, value, item } => match sections.last_mut() {
                Some(section) => section.entries.push(Entry { key, value, item, line }),
                None => problems.push(Problem { line, kind: ProblemKind::KeyOutsideSection }),
            },
            Line::UnclosedSection => problems.push(Problem { line, kind: ProblemKind::UnclosedSection }),
            Line::Unknown => problems.push(Problem { line, kind: ProblemKind::BadLine }),
        }
    }
    (sections, problems)
}

enum Line<'a> {
    Nothing,
    Section(&'a str),
    Entry { key: &'a str, value: &'a str, item: bool },
    UnclosedSection,
    Unknown,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        if line.is_empty() || line.starts_with([';', '#']) {
            return Self::Nothing;
        }
        if let Some(rest) = line.strip_prefix('[') {
            return rest.strip_suffix(']').map_or(Self::UnclosedSection, |name| Self::Section(name.trim()));
        }
        let Some((key, value)) = line.split_once('=') else { return Self::Unknown };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Self::Unknown;
        }
        match value.strip_prefix("[]") {
            Some(item) => Self::Entry { key, value: item.trim(), item: true },
            None => Self::Entry { key, value, item: false },
        }
    }
}
