//! The documents say what is: their blocks run, their links lead somewhere, and what they name is there.
//!
//! `ENCKE_WRITE_DOCS=1` writes what blocks print into the results that differ; read them before you keep them.

pub(crate) mod markdown;
mod run;
mod sql;
mod surroundings;
mod translations;

use crate::server::{Folder, PATIENCE, program};
use crate::tools;
use encke::cometql::errors::{Code, SQLSTATE};
use encke::cometql::tables::{Access, TABLES};
use encke::config::keys;
use encke::metrics::METRICS;
use encke::model::CloseReason;
use markdown::{Block, Document};
use run::{Outcome, Runner};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of a hundred blocks of code so many are run, at the least. Most of the others install on the machine, what
/// `scripts/check-packages` carries out, or end the server.
const RUN_PERCENT_MIN: usize = 88;

/// What the documents for users are made of.
fn documents() -> Vec<Document> {
    let mut files = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/ru"] {
        let entries = fs::read_dir(tools::root().join(folder)).expect("a folder of documents");
        let names = entries.flatten().map(|entry| format!("{folder}/{}", entry.file_name().display()));
        files.extend(names.filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "md")));
    }
    files.sort();
    files.iter().map(|file| Document::read(file)).collect()
}

#[test]
fn every_block_of_the_documents_runs() {
    let _alone = tools::alone();
    let mut failures = Vec::new();
    let mut missing = BTreeSet::new();
    let (mut ran, mut left_out) = (0, 0);
    let only = std::env::var("ENCKE_DOCS").unwrap_or_default();
    for document in documents() {
        if let Some(line) = document.indented_code() {
            failures.push(format!("{}:{line}: code that is set in by blanks is not run: use a fence", document.file));
        }
        // What a page renders is run as that.
        let is_translation = translations::original(&document.file).is_some();
        if document.blocks.is_empty() || is_translation || !document.file.contains(&only) {
            continue;
        }
        let mut runner = Runner::new();
        let mut results = Vec::new();
        for (index, block) in document.blocks.iter().enumerate() {
            let compared = document.blocks.get(index + 1).is_some_and(|next| next.is("result"));
            match runner.run(block, compared) {
                Outcome::NoCode => {}
                Outcome::Ran => ran += 1,
                Outcome::NotRun => left_out += 1,
                Outcome::Skipped(program) => _ = missing.insert(program),
                Outcome::Failed(text) => failures.push(format!("{}: {}: {text}", block.place(), block.language)),
                Outcome::Differs(output) => {
                    failures.push(format!("{}: what comes is\n{output}", block.place()));
                    results.push((block, output));
                }
            }
        }
        if std::env::var_os("ENCKE_WRITE_DOCS").is_some() {
            write_results(&document.file, &results);
        }
    }
    for program in missing {
        tools::skip("every_block_of_the_documents_runs", program, &format!("nothing here runs its blocks ({program})"));
    }
    println!("{ran} blocks ran, {left_out} are marked no-run");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let share = ran * 100 / (ran + left_out).max(1);
    assert!(share >= RUN_PERCENT_MIN || !only.is_empty(), "only {share} % of the blocks are run");
}

fn write_results(file: &str, results: &[(&Block, String)]) {
    let path = tools::root().join(file);
    let text = fs::read_to_string(&path).expect("the document");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From behind, so that the numbers of lines hold.
    for (block, output) in results.iter().rev() {
        let first = block.line;
        let last = first + block.text.lines().count();
        lines.splice(first..last, output.trim_end().lines().map(|line| format!("{}{line}", " ".repeat(block.indent))));
    }
    fs::write(&path, lines.join("\n") + "\n").expect("the document");
}

#[test]
fn links_lead_somewhere() {
    let root = tools::root();
    let mut files = Vec::new();
    find_markdown(root, &mut files);
    assert!(files.iter().any(|file| file == "README.md"), "{files:?}");
    let mut broken = Vec::new();
    for document in files.iter().map(|file| Document::read(file)) {
        for (line, target) in &document.links {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&document.file).parent().unwrap_or(Path::new(""));
            let file = if path.is_empty() { Path::new(&document.file).to_owned() } else { folder.join(path) };
            let leads = root.join(&file).exists()
                && (anchor.is_empty()
                    || file
                        .to_str()
                        .is_some_and(|file| Document::read(file).anchors.iter().any(|known| known == anchor)));
            if !leads {
                broken.push(format!("{}:{line}: {target}", document.file));
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

/// All Markdown files of the checkout.
fn find_markdown(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let foreign = name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules";
        if path.is_dir() && !path.is_symlink() && !foreign {
            find_markdown(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "md")
            && let Ok(file) = path.strip_prefix(tools::root())
        {
            files.push(file.display().to_string());
        }
    }
}

#[test]
fn the_index_leads_to_every_document() {
    let index = Document::read("docs/README.md");
    for document in documents() {
        let Some(name) = document.file.strip_prefix("docs/").filter(|name| *name != "README.md") else { continue };
        assert!(index.links.iter().any(|(_, target)| target == name), "docs/README.md does not lead to {name}");
    }
}

#[test]
fn the_reference_has_every_table_and_error() {
    let reference = fs::read_to_string(tools::root().join("docs/cometql.md")).expect("the reference");
    for table in TABLES.iter().filter(|table| table.select == Access::Allowed) {
        let heading = format!("### {}\n", table.name);
        let (_, behind) = reference.split_once(&heading).unwrap_or_else(|| panic!("no section {}", table.name));
        let section = behind.split("\n### ").next().unwrap_or_default();
        for column in table.columns {
            let row = format!("| `{}` | {} |", column.name, column.sql_type);
            assert!(section.contains(&row), "{}: no row {row}", table.name);
        }
    }
    for code in Code::ALL {
        assert!(reference.contains(&format!("\n| {} | ", code.number())), "no row for error {}", code.number());
    }
    assert!(reference.contains(SQLSTATE));
}

/// Of MySQL's clients and of the protocol.
fn is_foreign(error: u16) -> bool {
    error == 1045 || (2000..3000).contains(&error)
}

#[test]
fn what_the_documents_name_is_there() {
    let keys: BTreeSet<(&str, &str)> = keys().map(|key| (key.section, key.name)).collect();
    let mut metrics: BTreeSet<String> = METRICS.iter().map(|metric| format!("encke_{}", metric.name)).collect();
    metrics.extend(CloseReason::ALL.iter().map(|reason| format!("encke_closed_{}", reason.as_str())));
    metrics.insert("encke_storage_state".to_owned());
    let known_error = |number: u16| Code::ALL.iter().any(|code| code.number() == number);
    let mut wrong = Vec::new();
    for document in documents() {
        let blocks = document.blocks.iter().flat_map(|block| block.text.lines().map(|line| (block.line, line)));
        let prose = document.prose.iter().map(|(number, line)| (*number, line.as_str()));
        for (number, line) in prose.chain(blocks) {
            let mut report = |what: &str| wrong.push(format!("{}:{number}: {what}", document.file));
            for part in line.split("`[").skip(1) {
                let Some((section, name)) = part.split('`').next().and_then(|code| code.split_once("] ")) else {
                    continue;
                };
                let name = name.split([' ', '=']).next().unwrap_or_default();
                if !section.starts_with("tenant") && !keys.contains(&(section, name)) {
                    report(&format!("no key [{section}] {name}"));
                }
            }
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                if word.starts_with("encke_") && !word.ends_with('_') && !metrics.contains(word) {
                    report(&format!("no figure {word}"));
                }
            }
            for part in line.to_lowercase().split("error ").skip(1) {
                let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(error) = digits.parse()
                    && !known_error(error)
                    && !is_foreign(error)
                {
                    report(&format!("no error {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "the documents name what is not there:\n{}", wrong.join("\n"));
}

/// Clients that no test can run must at least say what the tested one says, and look at the same fields.
#[test]
fn clients_of_other_languages_use_the_words_of_the_tested_one() {
    let page = Document::read("docs/apps-in-40-lines.md");
    let tested = page.blocks.iter().find(|block| block.is("file=comet.py")).expect("the tested client");
    let words = [
        "/ws/",
        "sesion=",
        "&myid=",
        "&devid=",
        "&v=4.10&uuid=",
        "&api=js2",
        "sys",
        "serverInfo",
        "subscription2",
        "subscribed",
        "recovered",
        "position",
        "pipe",
        "event",
        "data",
        "fromQueue",
    ];
    let others: Vec<&Block> = page.blocks.iter().filter(|block| block.is("no-run")).collect();
    assert_eq!(others.len(), 3);
    for word in words {
        for block in others.iter().copied().chain([tested]) {
            // One language joins two texts within the address.
            let text = block.text.replace("'\n            '", "");
            assert!(text.contains(word), "{}: {} does not say {word:?}", block.place(), block.language);
        }
    }
}

/// What `docs/operating.md` installs.
#[test]
fn the_service_unit_is_sound() {
    let Some(analyze) = tools::need("the_service_unit_is_sound", &["systemd-analyze"]) else { return };
    let unit = fs::read_to_string(tools::root().join("config/encke.service")).expect("the unit");
    for line in ["ExecStart=/usr/bin/encke --conf", "ExecReload=/usr/bin/encke reload --conf"] {
        assert!(unit.contains(&format!("\n{line} ")), "{line}: {unit}");
    }
    let folder = Folder::new();
    // The program need not be installed here.
    let file = folder.file("encke.service", &unit.replace("/usr/bin/encke", program()));
    let finished = tools::run(Command::new(analyze).args(["verify", "--man=no"]).arg(file), PATIENCE);
    // It may have something to say of the machine's own units.
    let said: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("encke")).collect();
    assert!(finished.status.success() && said.is_empty(), "{}", finished.stderr);
}
