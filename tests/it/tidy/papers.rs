//! What the pages for readers of the code name has to be there.

use super::{files, has_ending, shown};
use crate::tools::root;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const DECISIONS: &str = "docs/decisions";

/// What each decision says, in this order.
const PARTS: [&str; 4] = ["**Context.** ", "**Choice.** ", "**Price.** ", "**Measured.** "];

#[test]
fn paths_in_the_architecture_and_in_decisions_exist() {
    let mut pages = vec!["ARCHITECTURE.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    pages.extend(files(&root().join(DECISIONS), &|path| has_ending(path, &["md"])).iter().map(|path| shown(path)));
    let folders: BTreeSet<String> = fs::read_dir(root())
        .expect("the root")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(root().join(&page)).expect("a page");
        let folder = Path::new(&page).parent().map(|parent| root().join(parent)).unwrap_or_default();
        let gone = paths(&text, &folders).into_iter().filter(|path| !root().join(path).exists());
        wrong.extend(gone.map(|path| format!("{page}: {path}")));
        let broken = links(&text).into_iter().filter(|link| !folder.join(link).exists());
        wrong.extend(broken.map(|link| format!("{page}: leads to {link}")));
    }
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn decisions_are_listed_and_complete() {
    let pages: BTreeSet<String> =
        files(&root().join(DECISIONS), &|path| has_ending(path, &["md"])).iter().map(|path| shown(path)).collect();
    let index = fs::read_to_string(root().join(DECISIONS).join("README.md")).expect("the index");
    let listed: BTreeSet<String> = links(&index)
        .into_iter()
        .filter(|link| !link.contains('/'))
        .map(|link| format!("{DECISIONS}/{link}"))
        .chain([format!("{DECISIONS}/README.md")])
        .collect();
    assert_eq!(listed, pages, "docs/decisions/README.md lists the decisions");
    let wrong: Vec<String> = pages
        .iter()
        .filter(|page| !page.ends_with("README.md"))
        .filter_map(|page| {
            let text = fs::read_to_string(root().join(page)).expect("a decision");
            missing_part(&text).map(|part| format!("{page}: {part}"))
        })
        .collect();
    assert!(wrong.is_empty(), "a decision has four parts, in one order: {wrong:#?}");
}

/// A place that has changed would be noticed only by whoever runs the whole script.
#[test]
fn places_that_are_broken_on_purpose_exist() {
    let run = Command::new("python3").args(["scripts/mutate", "--places"]).current_dir(root()).output();
    let run = run.expect("Python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn missing_part(text: &str) -> Option<&'static str> {
    let mut rest = text;
    PARTS.into_iter().find(|part| match rest.split_once(&format!("\n\n{part}")) {
        Some((_, behind)) => {
            rest = behind;
            false
        }
        None => true,
    })
}

/// Words in a face of code that are paths from the root: they begin with one of its folders, or end like a source in a
/// folder. The bare name of a file is not one.
/// `{a,b}` and `*` stand for several and are passed over, what is behind `::` or a blank is left out.
fn paths(text: &str, folders: &BTreeSet<String>) -> Vec<String> {
    let code = text.split('`').skip(1).step_by(2).filter_map(|code| code.split([' ', ':', '#']).next());
    let is_path = |word: &&str| {
        let first = word.split_once('/').map(|(first, _)| first.trim_start_matches("./"));
        first.is_some_and(|first| folders.contains(first) || Path::new(word).extension().is_some_and(|end| end == "rs"))
    };
    let several = |word: &&str| word.contains(['*', '{', '<']) || word.starts_with("target/");
    code.filter(is_path).filter(|word| !several(word)).map(str::to_owned).collect()
}

/// Where a page leads within the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = targets.filter_map(|target| target.split('#').next()).filter(|file| !file.is_empty());
    inside.filter(|file| !file.contains("://")).map(str::to_owned).collect()
}

#[test]
fn paths_and_links_are_found() {
    let folders: BTreeSet<String> = ["src".to_owned(), "web".to_owned()].into();
    let text =
        "`src/a/`, `./src/b.rs 3`, `x/c.rs::f`, `d.rs`, `and/or`, `src/*.rs`, [x](y.md#z) and [z](https://e.org/a)";
    assert_eq!(paths(text, &folders), ["src/a/", "./src/b.rs", "x/c.rs"]);
    assert_eq!(links(text), ["y.md"]);
}

#[test]
fn a_part_that_is_missing_is_named() {
    let whole = "# T\n\n**Context.** a\n\n**Choice.** b\n\n**Price.** c\n\n**Measured.** d\n";
    assert_eq!(missing_part(whole), None);
    assert_eq!(missing_part(&whole.replace("**Price.** c\n\n", "")), Some("**Price.** "));
    assert_eq!(missing_part("# T\n\n**Choice.** b\n\n**Context.** a\n"), Some("**Choice.** "));
}
