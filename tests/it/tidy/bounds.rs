//! `docs/bounds.md` is what the table of bounds and the sources say together.
//!
//! `ENCKE_WRITE_BOUNDS=1 cargo test --test it bounds` writes it anew.

mod table;
mod values;

use super::source::Source;
use super::{files, has_ending, sources_in};
use crate::tools::root;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use table::{BOUNDS, Bound, NO_BOUNDS};
use values::{Name, Sources};

const PAGE: &str = "docs/bounds.md";

const HEAD: &str = "\
# Bounds

Everything that grows has a maximum for each, a maximum for the sum, and a behaviour when it is full that does not favour
whoever filled it. This page is generated from the table in `tests/it/tidy/bounds/table.rs` and from the constants that it
names. Names in brackets, such as `[ws] queue_bytes_max`, are keys of `comet.ini`, see [Operating](operating.md).

Memory is counted in bytes by kind on every shard: `SHOW GLOBAL STATUS`, rows `encke_memory_*`.
";

#[test]
fn the_page_of_bounds_says_what_the_sources_say() {
    let page = page(BOUNDS, &sources()).unwrap_or_else(|error| panic!("the table of bounds: {error}"));
    let path = root().join(PAGE);
    if std::env::var_os("ENCKE_WRITE_BOUNDS").is_some() {
        fs::write(&path, &page).expect(PAGE);
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    assert!(
        page == written,
        "ENCKE_WRITE_BOUNDS=1 cargo test --test it bounds writes {PAGE} anew; the first line that differs: {differs:?}"
    );
}

/// A maximum that stands in no row is one about which nobody said what happens when it is reached.
#[test]
fn every_maximum_has_a_row() {
    let sources = sources();
    let named: BTreeSet<(String, &str)> = BOUNDS
        .iter()
        .flat_map(names)
        .chain(NO_BOUNDS.iter().flat_map(|(names, _)| names.iter().map(|name| Name::read(name))))
        .map(|name| {
            let file = sources.file(name).unwrap_or_else(|error| panic!("the table of bounds: {error}"));
            (file.name(), name.last)
        })
        .collect();
    let missing: Vec<String> = sources
        .maxima()
        .filter(|(source, name)| !named.contains(&(source.name(), name.text.as_str())))
        .map(|(source, name)| format!("{}:{}: {}", source.name(), name.line, name.text))
        .collect();
    assert!(missing.is_empty(), "no row of tests/it/tidy/bounds/table.rs names these:\n{}", missing.join("\n"));
}

/// What has tables of its own: the keys of `comet.ini`, the two crates of tools.
fn sources() -> Sources {
    let scripts = files(&root().join("web/client/src"), &|path| has_ending(path, &["ts"]));
    let all = sources_in("src").chain(sources_in("shards/src")).chain(scripts.into_iter().map(Source::read));
    Sources::new(all.collect())
}

fn page(bounds: &'static [Bound], sources: &Sources) -> Result<String, String> {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for bound in bounds {
        if bound.group != group {
            group = bound.group;
            let _ =
                write!(page, "\n## {group}\n\n| What | Maximum | When full | In the sources |\n|---|---|---|---|\n");
        }
        let mut places: Vec<String> = Vec::new();
        for name in names(bound) {
            let mark = if name.field { "." } else { "::" };
            let place = format!("`{}{mark}{}`", module(sources.file(name)?), name.last);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            filled(bound.what, sources)?,
            filled(bound.maximum, sources)?,
            filled(bound.full, sources)?,
            places.join(", ")
        );
    }
    Ok(page)
}

/// The last part of a module's path.
fn module(source: &Source) -> String {
    let name = source.name();
    let path = name.trim_end_matches(".rs").trim_end_matches(".ts").trim_end_matches("/mod");
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// The names in the braces of a row.
fn names(bound: &'static Bound) -> impl Iterator<Item = Name<'static>> {
    [bound.what, bound.maximum, bound.full].into_iter().flat_map(|text| {
        let braces = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        braces.map(|(inner, _)| Name::read(inner.split_once('|').map_or(inner, |(name, _)| name)))
    })
}

/// With values in place of `{NAME}` and `{NAME|unit}`.
fn filled(text: &str, sources: &Sources) -> Result<String, String> {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once('}').ok_or_else(|| format!("a brace is open in {text}"))?;
        let (name, unit) = inner.split_once('|').map_or((inner, None), |(name, unit)| (name, Some(unit)));
        filled.push_str(&sources.shown(Name::read(name), unit)?);
        filled.push_str(rest);
    }
    Ok(filled)
}

#[test]
fn a_row_shows_what_its_constants_are() {
    static ROW: [Bound; 1] = [Bound {
        group: "G",
        what: "Files",
        maximum: "{FILES_MAX}; {x::BYTES|bytes}",
        full: "closed after {x.wait|s}",
    }];
    let of = |text: &str| Sources::new(vec![Source::of("src/x.rs", text)]);
    let page = |text: &str| page(&ROW, &of(text));
    let found =
        page("const FILES_MAX: usize = 1_024; const BYTES: u64 = 2048; const W: W = W { wait: 5 };").expect("a page");
    assert!(
        found.ends_with("| Files | 1,024; 2 KiB | closed after 5 s | `x::FILES_MAX`, `x::BYTES`, `x.wait` |\n"),
        "{found}"
    );
    assert!(page("const FILES_MAX: usize = 1_024;").is_err(), "a name that is gone");
    assert_eq!(of("pub const A_MAX: u8 = 1; const B: u8 = 2; fn f(c_MAX: u8)").maxima().count(), 1);
}
