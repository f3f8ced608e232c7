//! What the fuzz targets check, in the ordinary run and without libFuzzer: every committed seed, and some thousand
//! mutations of the seeds that are the same on every machine.
//!
//! The bodies are the targets' own, so a parser cannot change without its fuzz target.

#[path = "../../fuzz/bodies/commands.rs"]
mod commands;
#[path = "../../fuzz/bodies/config.rs"]
mod config;
#[path = "../../fuzz/bodies/frames.rs"]
mod frames;
#[path = "../../fuzz/bodies/head.rs"]
mod head;
#[path = "../../fuzz/bodies/packets.rs"]
mod packets;
#[path = "../../fuzz/bodies/sql.rs"]
mod sql;

use crate::random::Random;
use crate::tools::root;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;

type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 6] = [
    ("commands", commands::check),
    ("config", config::check),
    ("frames", frames::check),
    ("head", head::check),
    ("packets", packets::check),
    ("sql", sql::check),
];

/// Mutations per target, a fraction of a second in a debug build.
const MUTATIONS: u64 = 5000;
/// No mutation is longer: what matters at greater lengths has tests of its own.
const BYTES_MAX: usize = 4096;

#[test]
fn browsers_commands() {
    check("commands");
}

#[test]
fn configurations() {
    check("config");
}

#[test]
fn websocket_frames() {
    check("frames");
}

#[test]
fn request_heads() {
    check("head");
}

#[test]
fn mysql_packets() {
    check("packets");
}

#[test]
fn sql_statements() {
    check("sql");
}

/// A target that one of the places forgets would never run there.
#[test]
fn every_target_is_everywhere() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["bodies", "fuzz_targets", "corpus"] {
        let found: BTreeSet<String> = files(&root().join("fuzz").join(folder)).map(|(name, _)| name).collect();
        assert_eq!(found, expected, "in fuzz/{folder}");
    }
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let declared: BTreeSet<String> = paths.filter_map(|rest| rest.strip_suffix(".rs\"")).map(str::to_owned).collect();
    assert_eq!(declared, expected, "in fuzz/Cargo.toml");
}

fn check(name: &str) {
    let (_, body) = *TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let mut seeds: Vec<(String, Vec<u8>)> = files(&root().join("fuzz/corpus").join(name)).collect();
    // The folder's order differs between machines; the mutations must not.
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for (seed, bytes) in &seeds {
        run(name, body, bytes, &format!("seed {seed}"));
    }
    for number in 0..MUTATIONS {
        let bytes = mutation(&mut Random::new(number), &seeds);
        run(name, body, &bytes, &format!("mutation {number}"));
    }
}

/// Keeps the input of a failure where the fuzzer can take it up.
fn run(name: &str, body: Body, bytes: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(|| body(bytes)) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-failed"));
        fs::write(&file, bytes).unwrap();
        eprintln!("{name} fails with {what}, kept in {}", file.display());
        resume_unwind(panic);
    }
}

/// A seed with one to four changes.
fn mutation(random: &mut Random, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = random.pick(seeds).unwrap().1.clone();
    for _ in 0..=random.below(4) {
        let range = range(random, bytes.len());
        match random.below(8) {
            0 => bytes.iter_mut().skip(range.start).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => bytes.iter_mut().skip(range.start).take(1).for_each(|byte| *byte = any_byte(random)),
            2 => drop(bytes.drain(range)),
            3 => bytes.truncate(range.start),
            4 => {
                let again = bytes[range.clone()].to_vec();
                insert(&mut bytes, range.start, &again);
            }
            5 => {
                let new: Vec<u8> = (0..=random.below(8)).map(|_| any_byte(random)).collect();
                insert(&mut bytes, range.start, &new);
            }
            // Long enough for the two-byte lengths of both protocols.
            6 => insert(&mut bytes, range.start, &vec![any_byte(random); random.below(300)]),
            _ => {
                let other = &random.pick(seeds).unwrap().1;
                let tail = self::range(random, other.len()).start;
                bytes.truncate(range.start);
                bytes.extend_from_slice(&other[tail..]);
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

/// A short piece of so many bytes, empty at their end.
fn range(random: &mut Random, length: usize) -> Range<usize> {
    let start = random.below(length + 1);
    start..length.min(start + random.below(32))
}

/// Any byte, half of the time one that means something to one of the parsers.
fn any_byte(random: &mut Random) -> u8 {
    const TELLING: &[u8] =
        b"\x00\x01\x7e\x7f\x80\x81\x88\x89\xc3\xe2\xf0\xfb\xfc\xfd\xfe\xff\r\n\t '\"\\`;,=#[](){}/?&%-_*:09azAZ";
    if random.chance(50) { *random.pick(TELLING).unwrap() } else { random.below(256) as u8 }
}

/// Name without its ending, and content, of every file in a folder; a folder in it has no content.
fn files(folder: &Path) -> impl Iterator<Item = (String, Vec<u8>)> {
    fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).map(|entry| {
        let path = entry.unwrap().path();
        let content = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        (path.file_stem().unwrap().to_string_lossy().into_owned(), content)
    })
}
