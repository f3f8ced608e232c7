//! Figures of the sources that may get better and must not get worse. Whoever makes one better writes the new figure
//! here, in the same commit.

use super::sizes::{Long, code_lines, functions, percentile, too_long};
use super::source::Source;
use super::{circles, exported, files, has_ending, owner, root, shown, sources_in, sources_of_the_server};
use std::collections::BTreeSet;
use std::fs;

/// No file has more lines; one that grows so far holds two ideas.
const LINES_MAX: usize = 800;

/// Files that are longer than that, and do not grow.
const LONG: &[Long] = &[];

/// How many lines the functions of the server and its runtime have at most: nine in ten of them, all but one in a
/// hundred, the longest one. Tests do not count.
const FUNCTION_LINES_MAX: [(usize, usize); 3] = [(90, 22), (99, 54), (100, 116)];

/// Lines of code in pure modules for each hundred in the others, at least. It was 560 before the program became a client of
/// its own server, which is sockets, a terminal and nothing else; and 480 before it had to ask the system for its memory and to serve
/// service managers and drains.
const PURE_PER_HUNDRED: usize = 445;

/// Folders through which files import each other in a circle; `docs/decisions/circles.md` says why.
const CIRCLES: &[&[&str]] = &[
    &["cometql/sql", "cometql/sql/tree"],
    &["config", "config/keys"],
    &["hub", "hub/owned"],
    &["storage", "storage/statements"],
];

/// Public names that nobody uses and that stay all the same.
const UNUSED: &[&str] = &[
    // What `/metrics` is to answer.
    "TOO_MANY_STATEMENTS",
    "buffered",
];

#[test]
fn no_file_is_long_or_grows() {
    let lines = files(root(), &|path| has_ending(path, &["rs"])).into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("a source");
        (shown(&path), text.lines().count())
    });
    let wrong = too_long(&lines.collect::<Vec<_>>(), LINES_MAX, LONG);
    assert!(wrong.is_empty(), "see tests/it/tidy/ratchets.rs:\n{}", wrong.join("\n"));
}

#[test]
fn functions_are_short() {
    let mut lengths: Vec<usize> =
        sources_of_the_server().chain(sources_in("shards/src")).flat_map(|source| functions(&source)).collect();
    let found = FUNCTION_LINES_MAX.map(|(percent, _)| (percent, percentile(&mut lengths, percent)));
    println!("{} functions, lines of so many of a hundred at most: {found:?}", lengths.len());
    for ((percent, lines), (_, max)) in found.into_iter().zip(FUNCTION_LINES_MAX) {
        assert!(lines <= max, "{percent} of 100 functions have up to {lines} lines, {max} were the most before");
    }
}

#[test]
fn most_of_the_server_is_pure() {
    let (pure, edge): (Vec<Source>, Vec<Source>) = sources_of_the_server().partition(|source| owner(source).pure);
    let lines = |sources: &[Source]| sources.iter().map(code_lines).sum::<usize>();
    let found = lines(&pure) * 100 / lines(&edge);
    println!("{} lines of pure code, {} of others: {found} for each hundred", lines(&pure), lines(&edge));
    assert!(
        found >= PURE_PER_HUNDRED,
        "{found} lines of pure code for each hundred of others, {PURE_PER_HUNDRED} before"
    );
}

#[test]
fn no_circle_goes_through_several_folders() {
    let explained: Vec<BTreeSet<String>> =
        CIRCLES.iter().map(|row| row.iter().map(|folder| (*folder).to_owned()).collect()).collect();
    let found = circles::circles(&sources_of_the_server().collect::<Vec<_>>());
    let new = found.iter().filter(|(folders, _)| !explained.iter().any(|row| folders.is_subset(row)));
    let new: Vec<String> = new.map(|(folders, files)| format!("{folders:?}: {}", files.join(", "))).collect();
    assert!(new.is_empty(), "files of different folders import each other in a circle:\n{}", new.join("\n"));
    let filled = |row: &BTreeSet<String>| found.iter().any(|(folders, _)| folders == row);
    let stale: Vec<_> = explained.iter().filter(|row| !filled(row)).collect();
    assert!(stale.is_empty(), "no circle goes through these any more: {stale:?}");
}

#[test]
fn nothing_is_public_for_nobody() {
    let (server, runtime): (Vec<Source>, Vec<Source>) =
        (sources_of_the_server().collect(), sources_in("shards/src").collect());
    // Whoever is outside of a crate uses it as a stranger would. The simulator is such a user of the runtime.
    let others = ["loadtest", "fuzz", "shards/benches", "shards/examples", "shards/tests", "tests/bench"];
    let others: Vec<Source> = others.into_iter().flat_map(outside).collect();
    let simulator = outside("src/run/tests");
    let both = || server.iter().chain(&runtime).chain(&others);
    let mut found = exported::unused(&server, both());
    found.extend(exported::unused(&runtime, both().chain(&simulator)));
    let named = |line: &String, name: &str| line.ends_with(&format!(": {name}"));
    let wrong: Vec<&String> = found.iter().filter(|line| !UNUSED.iter().any(|name| named(line, name))).collect();
    assert!(wrong.is_empty(), "public, and nobody uses it: {wrong:#?}");
    let stale: Vec<_> = UNUSED.iter().filter(|name| !found.iter().any(|line| named(line, name))).collect();
    assert!(stale.is_empty(), "used or gone, so not to be listed: {stale:?}");
}

fn outside(folder: &str) -> Vec<Source> {
    let folder = root().join(folder);
    if !folder.exists() {
        return Vec::new();
    }
    files(&folder, &|path| has_ending(path, &["rs"])).into_iter().map(Source::read).collect()
}
