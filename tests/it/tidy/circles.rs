//! Which file needs which, and where that goes in a circle through several folders.
//!
//! A circle within one folder is one thing cut into files. A circle through two folders is two rooms that cannot be
//! understood, tested or moved one without the other. The file that declares a folder's modules, `name/mod.rs` or
//! `name.rs`, belongs to the folder `name`.

use super::imports::{Import, imports};
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Module path within the crate, as `cometql::exec`; empty for the file that declares the crate's modules.
pub(super) type Path = Vec<String>;

/// The folders of each circle of files that does not stay in one folder, and the files, in order.
pub(super) fn circles(sources: &[Source]) -> Vec<(BTreeSet<String>, Vec<String>)> {
    let graph = Graph::of(sources);
    let mut found = Vec::new();
    for circle in graph.circles() {
        let folders: BTreeSet<String> = circle.iter().map(|file| graph.folder(*file)).collect();
        if folders.len() > 1 {
            found.push((folders, circle.iter().map(|file| graph.files[*file].join("::")).collect()));
        }
    }
    found
}

struct Graph {
    files: Vec<Path>,
    needs: Vec<BTreeSet<usize>>,
}

impl Graph {
    fn of(sources: &[Source]) -> Self {
        let files: Vec<Path> = sources.iter().map(Source::module).collect();
        let places: BTreeMap<&[String], usize> = files.iter().enumerate().map(|(at, path)| (&path[..], at)).collect();
        let named: Vec<Vec<Path>> = sources.iter().map(names).collect();
        let needs = (0..files.len())
            .map(|file| {
                let found = named[file].iter().filter_map(|path| declaring(path, &places, &named));
                found.filter(|other| *other != file).collect()
            })
            .collect();
        Self { files, needs }
    }

    /// Where a module's file stands; the folder's own name for the file that declares its modules.
    fn folder(&self, file: usize) -> String {
        let path = &self.files[file];
        let declares = self.files.iter().any(|other| other.len() > path.len() && other.starts_with(path));
        let parts = if declares { &path[..] } else { &path[..path.len().saturating_sub(1)] };
        if parts.is_empty() { "src".to_owned() } else { parts.join("/") }
    }

    /// Groups of files each of which needs, over any number of others, all the others of its group.
    fn circles(&self) -> Vec<Vec<usize>> {
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|file| self.reached(file)).collect();
        let mut circles = Vec::new();
        for file in 0..self.files.len() {
            let circle: Vec<usize> = (0..self.files.len())
                .filter(|other| reached[file].contains(other) && reached[*other].contains(&file))
                .collect();
            if circle.len() > 1 && circle[0] == file {
                circles.push(circle);
            }
        }
        circles
    }

    fn reached(&self, file: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = vec![file];
        while let Some(next) = open.pop() {
            open.extend(self.needs[next].iter().filter(|other| found.insert(**other)));
        }
        found
    }
}

/// All that a file names of its crate, as paths from the crate.
fn names(source: &Source) -> Vec<Path> {
    let inside = source.module();
    let children = children(source);
    let mut roots = vec!["crate", "super", "self"];
    roots.extend(children.iter().map(String::as_str));
    let whole = |import: Import| {
        let first = import.segments.first().cloned().unwrap_or_default();
        let skipped = usize::from(first == "crate");
        let before = if skipped == 0 { &inside[..] } else { &[] };
        before.iter().chain(import.segments.iter().skip(skipped)).cloned().collect()
    };
    imports(source.tokens(), &roots, &inside).into_iter().map(whole).collect()
}

/// The modules that a file declares as files of their own.
fn children(source: &Source) -> Vec<String> {
    let declared = source.tokens().windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";");
    declared.map(|three| three[1].text.clone()).collect()
}

/// The file in which what a path names is written: names that a file only passes on are followed.
fn declaring(path: &[String], places: &BTreeMap<&[String], usize>, named: &[Vec<Path>]) -> Option<usize> {
    let mut path = path;
    // A chain of `pub use` is never longer than the path is deep.
    for _ in 0..8 {
        let (depth, file) =
            (0..=path.len()).rev().find_map(|depth| places.get(&path[..depth]).map(|file| (depth, *file)))?;
        let passed_on = path.get(depth).and_then(|name| {
            named[file].iter().find(|other| other.last() == Some(name) && other[..] != *path && other.len() > 1)
        });
        match passed_on {
            Some(other) if !other.starts_with(&path[..=depth]) => path = other,
            _ => return Some(file),
        }
    }
    None
}

#[test]
fn a_circle_through_two_folders_is_found() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::of(path, text)).collect();
        let found: Vec<String> = circles(&sources).into_iter().map(|(_, files)| files.join(" ")).collect();
        assert_eq!(found, expected, "{files:?}");
    };
    let declared = ("src/a/mod.rs", "mod x; mod y;");
    check(&[declared, ("src/a/x.rs", "use super::y::Y;"), ("src/a/y.rs", "use super::x::X;")], &[]);
    check(&[("src/a/x.rs", "use crate::b::y::Y;"), ("src/b/y.rs", "use crate::c::Z;"), ("src/c.rs", "")], &[]);
    check(&[("src/a/x.rs", "use crate::b::y::Y;"), ("src/b/y.rs", "fn f() { crate::a::x::g() }")], &["a::x b::y"]);
    // Through the file that declares the modules, and by a module's bare name.
    check(
        &[
            ("src/a/mod.rs", "mod b; fn f() { b::g() }"),
            ("src/a/b/mod.rs", "mod c; use super::F;"),
            ("src/a/b/c.rs", ""),
        ],
        &["a a::b"],
    );
    // What is only passed on does not make its own file a part of the circle.
    check(
        &[
            ("src/a/mod.rs", "mod x; pub use x::X;"),
            ("src/a/x.rs", "use crate::b::Y;"),
            ("src/b/mod.rs", "mod y; pub use y::Y;"),
            ("src/b/y.rs", "use crate::a::X;"),
        ],
        &["a::x b::y"],
    );
}
