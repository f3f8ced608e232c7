//! The Russian pages render the English ones of the same name: the same blocks of code, word for word, and as many headings.
//! Whoever changes an English page sees here which Russian page has to follow, and where.
//!
//! `ENCKE_WRITE_DOCS=1` copies blocks that differ into a Russian page that has as many. The text is for people.

use super::markdown::{Block, Document};
use crate::tools;
use std::fs;

/// The English page that this one renders. The overview has none: it is a page of its own.
pub(super) fn original(file: &str) -> Option<String> {
    let name = file.strip_prefix("docs/ru/").filter(|name| *name != "README.md")?;
    Some(format!("docs/{name}"))
}

#[test]
fn russian_pages_have_the_code_and_headings_of_the_english_ones() {
    let entries = fs::read_dir(tools::root().join("docs/ru")).expect("the Russian pages");
    let mut files: Vec<String> =
        entries.flatten().map(|entry| format!("docs/ru/{}", entry.file_name().display())).collect();
    files.sort();
    let mut stale = Vec::new();
    for file in &files {
        let Some(original) = original(file) else { continue };
        let (page, english) = (Document::read(file), Document::read(&original));
        let text = fs::read_to_string(tools::root().join(file)).expect("the page");
        if !text.starts_with(&format!("<!-- Renders {original} as of commit ")) {
            stale.push(format!("{file}: the first line does not say which commit of {original} it renders"));
        }
        let different = blocks_that_differ(&page, &english);
        if !different.is_empty() && page.blocks.len() == english.blocks.len() {
            write_blocks(file, &page, &english);
        }
        stale.extend(different);
        stale.extend(headings_that_differ(&page, &english));
    }
    assert!(stale.is_empty(), "Russian pages do not follow the English ones:\n{}", stale.join("\n"));
}

fn blocks_that_differ(page: &Document, english: &Document) -> Vec<String> {
    let mut found = Vec::new();
    for (number, (ours, theirs)) in page.blocks.iter().zip(&english.blocks).enumerate() {
        if let Some(difference) = difference(ours, theirs) {
            found.push(format!(
                "{}: block {} is not that of {}:\n{difference}",
                ours.place(),
                number + 1,
                theirs.place()
            ));
        }
    }
    let (ours, theirs) = (page.blocks.len(), english.blocks.len());
    if ours != theirs {
        // All behind one that is missing differ, so the first tells the most.
        found.truncate(1);
        found.push(format!("{} has {ours} blocks of code, {} has {theirs}", page.file, english.file));
    }
    found
}

/// The first line that is another one.
fn difference(ours: &Block, theirs: &Block) -> Option<String> {
    let lines = |block: &Block| -> Vec<String> {
        let fence = format!("```{} {}", block.language, block.words.join(" "));
        std::iter::once(fence).chain(block.text.lines().map(str::to_owned)).collect()
    };
    let (ours, theirs) = (lines(ours), lines(theirs));
    let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))?;
    let shown = |lines: &[String]| lines.get(at).map_or("(the block ends here)", String::as_str).to_owned();
    Some(format!("  Russian: {}\n  English: {}", shown(&ours), shown(&theirs)))
}

fn headings_that_differ(page: &Document, english: &Document) -> Vec<String> {
    let headings = |document: &Document| -> Vec<(usize, usize, String)> {
        let lines = document.prose.iter().filter(|(_, line)| line.starts_with('#'));
        lines
            .map(|(number, line)| (*number, line.bytes().take_while(|byte| *byte == b'#').count(), line.clone()))
            .collect()
    };
    let (ours, theirs) = (headings(page), headings(english));
    let level = |heading: Option<&(usize, usize, String)>| heading.map(|(_, level, _)| *level);
    let Some(at) = (0..ours.len().max(theirs.len())).find(|at| level(ours.get(*at)) != level(theirs.get(*at))) else {
        return Vec::new();
    };
    let shown = |document: &Document, heading: Option<&(usize, usize, String)>| match heading {
        Some((line, _, text)) => format!("{}:{line}: {text}", document.file),
        None => format!("{} has no further one", document.file),
    };
    let (russian, original) = (shown(page, ours.get(at)), shown(english, theirs.get(at)));
    vec![format!("heading {} is of another level:\n  Russian: {russian}\n  English: {original}", at + 1)]
}

fn write_blocks(file: &str, page: &Document, english: &Document) {
    if std::env::var_os("ENCKE_WRITE_DOCS").is_none() {
        return;
    }
    let path = tools::root().join(file);
    let text = fs::read_to_string(&path).expect("the page");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From behind, so that the numbers of lines hold.
    for (ours, theirs) in page.blocks.iter().zip(&english.blocks).rev() {
        let indent = " ".repeat(ours.indent);
        let words: Vec<&str> = std::iter::once(&theirs.language).chain(&theirs.words).map(String::as_str).collect();
        let inside = theirs.text.lines().map(|line| format!("{indent}{line}").trim_end().to_owned());
        let block = std::iter::once(format!("{indent}```{}", words.join(" "))).chain(inside);
        let first = ours.line - 1;
        lines.splice(first..=first + ours.text.lines().count(), block);
    }
    fs::write(&path, lines.join("\n") + "\n").expect("the page");
}

#[test]
fn a_stale_page_is_told_with_the_line_that_differs() {
    let block = |text: &str, line| Block {
        file: "docs/ru/x.md".to_owned(),
        line,
        language: "sql".to_owned(),
        words: vec![],
        text: text.to_owned(),
        indent: 0,
    };
    assert_eq!(difference(&block("a\nb\n", 1), &block("a\nb\n", 9)), None);
    let expected = "  Russian: b\n  English: c".to_owned();
    assert_eq!(difference(&block("a\nb\n", 1), &block("a\nc\n", 1)), Some(expected));
    let expected = "  Russian: (the block ends here)\n  English: b".to_owned();
    assert_eq!(difference(&block("a\n", 1), &block("a\nb\n", 1)), Some(expected));
}
