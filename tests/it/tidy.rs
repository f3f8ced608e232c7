//! Holds the sources in shape: who may import whom, what a pure module must not name, what no file may contain.
//!
//! The table below is the architecture. Changing the architecture means changing it in the same commit. What is only to
//! get better and never worse, such as the length of files, is held by the figures in `ratchets`.

mod bounds;
mod circles;
mod exported;
mod imports;
mod papers;
mod proofs;
mod ratchets;
mod sizes;
mod source;

use crate::tools::root;
use imports::{Import, imports};
use source::{Source, Token};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module of the server and what it may import of the others.
struct Module {
    /// Path in `src`, a folder or a file without its ending.
    name: &'static str,
    imports: &'static [&'static str],
    /// Pure: no sockets, files, threads, clocks, random sources nor logging.
    pure: bool,
}

const fn pure(name: &'static str, imports: &'static [&'static str]) -> Module {
    Module { name, imports, pure: true }
}

const fn edge(name: &'static str, imports: &'static [&'static str]) -> Module {
    Module { name, imports, pure: false }
}

const MODULES: &[Module] = &[
    pure("model", &[]),
    pure("never", &[]),
    pure("aged", &["model"]),
    pure("drain", &["model"]),
    pure("config", &["model"]),
    pure("ws", &["model"]),
    // Of `ws` these take what makes one thing in one place: the accept key of an upgrade, the head of a frame.
    pure("percent", &[]),
    pure("http", &["model", "ws", "percent"]),
    pure("jsapi", &["model", "ws", "percent"]),
    pure("metrics", &["model"]),
    pure("storage", &["model"]),
    // The engines, on the storage thread only.
    edge("storage/sqlite", &["model", "storage"]),
    edge("storage/mysql", &["model", "storage"]),
    pure("back_off", &["model", "aged"]),
    pure("repeats", &["model"]),
    pure("token", &["model"]),
    pure("ring", &["model", "storage"]),
    pure("hub", &["model", "aged", "metrics", "storage", "back_off", "ring", "token"]),
    pure("cometql/wire", &["model"]),
    pure("cometql/sql", &[]),
    pure("cometql/errors", &["cometql/sql"]),
    pure("cometql/tables", &["cometql/sql", "cometql/errors"]),
    pure("cometql/rows", &["model", "cometql/sql", "cometql/errors", "cometql/tables"]),
    // Of `rows` it takes what LIKE has looked at.
    pure("cometql/budget", &["cometql/errors", "cometql/rows"]),
    pure(
        "cometql/session",
        &["model", "cometql/sql", "cometql/errors", "cometql/tables", "cometql/rows", "cometql/budget"],
    ),
    pure(
        "cometql/introspection",
        &[
            "model",
            "cometql/sql",
            "cometql/errors",
            "cometql/tables",
            "cometql/rows",
            "cometql/budget",
            "cometql/session",
        ],
    ),
    // Of `token` it takes how long a token that is revoked would have been good.
    pure(
        "cometql/plan",
        &[
            "model",
            "storage",
            "token",
            "cometql/sql",
            "cometql/errors",
            "cometql/tables",
            "cometql/rows",
            "cometql/budget",
            "cometql/session",
            "cometql/introspection",
        ],
    ),
    pure("cometql/json", &["cometql/errors", "cometql/rows", "cometql/sql"]),
    pure(
        "cometql/exec",
        &[
            "model",
            "metrics",
            "storage",
            "ring",
            "back_off",
            "cometql/wire",
            "cometql/sql",
            "cometql/errors",
            "cometql/rows",
            "cometql/budget",
            "cometql/session",
            "cometql/introspection",
            "cometql/plan",
            "cometql/json",
            "cometql/tables",
        ],
    ),
    pure("figures", &["hub", "metrics"]),
    pure("ledger", &["metrics"]),
    // Declares its parts; what it offers is what they offer.
    pure("cometql", &[]),
    pure(
        "browsers",
        &[
            "model",
            "aged",
            "drain",
            "config",
            "ws",
            "http",
            "jsapi",
            "storage",
            "ring",
            "hub",
            "cometql/errors",
            "cometql/exec",
            "cometql/json",
            "ledger",
            "metrics",
        ],
    ),
    pure("doctor", &["config"]),
    edge(
        "run",
        &[
            "model",
            "never",
            "drain",
            "config",
            "doctor",
            "ws",
            "http",
            "storage",
            "storage/sqlite",
            "storage/mysql",
            "ring",
            "token",
            "hub",
            "browsers",
            "cometql/wire",
            "cometql/sql",
            "cometql/errors",
            "cometql/tables",
            "cometql/rows",
            "cometql/session",
            "cometql/introspection",
            "cometql/exec",
            "metrics",
            "figures",
            "ledger",
            "run/notice",
            "repeats",
        ],
    ),
    pure("run/notice", &[]),
    // The program. It names the library by its crate, so what it takes from there is `encke::...`.
    edge("main", &["cli", "cli/args", "config", "run"]),
    edge("cli", &["config", "doctor", "drain", "run"]),
    pure("cli/args", &[]),
    pure("cli/client/packets", &[]),
    pure("cli/sql/split", &[]),
    pure("cli/status/screen", &[]),
    // Declares the modules.
    pure("lib", &[]),
];

/// Modules of the program, where `crate` is not the library.
const PROGRAM: [&str; 2] = ["main", "cli"];

/// Paths that a pure module must not name.
const IMPURE_PATHS: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::sync::mpsc",
];

/// Exceptions from the lists above and below: addresses are values, not sockets; what the compiler knows is a constant; and
/// who holds how much is a list of places.
const PURE_PATHS: &[&str] = &[
    "std::env::consts",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "shards::Holders",
    "shards::Shares",
    // Counts, and changes nothing.
    "shards::Counted",
    "shards::Place",
];

/// Crates that a pure module must not name.
const IMPURE_CRATES: &[&str] = &[
    "rand",
    "getrandom",
    "tracing",
    "shards",
    "mio",
    "rustix",
    "socket2",
    "io_uring",
    "rusqlite",
    "mysql_common",
    "crossbeam_channel",
    "signal_hook",
];

/// Macros that a pure module must not call.
const IMPURE_MACROS: &[&str] = &["println", "eprintln", "print", "eprint"];

#[test]
fn modules_import_what_the_table_allows() {
    let mut wrong = Vec::new();
    for source in sources_of_the_server() {
        let module = owner(&source);
        for import in imports_of(&source) {
            let Some(target) = target(&import) else { continue };
            if target != module.name && !module.imports.contains(&target) {
                wrong.push(format!("{}:{}: {} imports {target}", source.name(), import.line, module.name));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of tests/it/tidy.rs:\n{}", wrong.join("\n"));
}

/// A permission that nobody uses is a door that nobody watches.
#[test]
fn the_table_allows_nothing_that_nobody_imports() {
    let mut used = BTreeSet::new();
    for source in sources_of_the_server() {
        let module = owner(&source).name;
        used.extend(imports_of(&source).iter().filter_map(target).map(|target| (module, target)));
    }
    let wrong = unused_permissions(MODULES, &used);
    assert!(wrong.is_empty(), "nobody uses these rows of tests/it/tidy.rs:\n{}", wrong.join("\n"));
}

#[test]
fn a_permission_without_an_import_is_found() {
    let table = [pure("a", &["b", "c"]), pure("b", &["c"])];
    let used = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect();
    assert_eq!(unused_permissions(&table, &used(&[("a", "b"), ("a", "c"), ("b", "c")])), [""; 0]);
    assert_eq!(unused_permissions(&table, &used(&[("a", "b"), ("b", "c")])), ["a: c"]);
    assert_eq!(unused_permissions(&table, &used(&[("a", "b"), ("a", "c"), ("c", "c")])), ["b: c"]);
}

fn unused_permissions(table: &[Module], used: &BTreeSet<(&'static str, &'static str)>) -> Vec<String> {
    let allowed = table.iter().flat_map(|module| module.imports.iter().map(|target| (module.name, *target)));
    allowed.filter(|pair| !used.contains(pair)).map(|(module, target)| format!("{module}: {target}")).collect()
}

#[test]
fn pure_modules_name_nothing_impure() {
    let mut wrong = Vec::new();
    for source in sources_of_the_server().filter(|source| owner(source).pure) {
        let paths = imports(source.tokens(), &["std"], &[]).into_iter().filter(|import| {
            let path = import.path();
            IMPURE_PATHS.iter().any(|name| is_below(&path, name))
        });
        for import in paths.chain(imports(source.tokens(), IMPURE_CRATES, &[])) {
            let path = import.path();
            if !PURE_PATHS.iter().any(|name| is_below(&path, name)) {
                wrong.push(format!("{}:{}: {path}", source.name(), import.line));
            }
        }
        for three in source.tokens().windows(3) {
            let [before, name, next] = [0, 1, 2].map(|place| three[place].text.as_str());
            // With a path behind it the crate is among the imports above.
            let names_crate = IMPURE_CRATES.contains(&name) && before == "use" && next != "::";
            if names_crate || IMPURE_MACROS.contains(&name) && next == "!" {
                wrong.push(format!("{}:{}: {before} {name} {next}", source.name(), three[1].line));
            }
        }
    }
    assert!(wrong.is_empty(), "named in a pure module:\n{}", wrong.join("\n"));
}

fn is_below(path: &str, name: &str) -> bool {
    path == name || path.starts_with(&format!("{name}::"))
}

#[test]
fn unsafe_code_has_its_proof() {
    let mut wrong = Vec::new();
    for path in files(&root().join("shards"), &|path| has_ending(path, &["rs"])) {
        let text = fs::read_to_string(&path).expect("a source");
        wrong.extend(proofs::unproven(&text).into_iter().map(|line| format!("{}:{line}", shown(&path))));
    }
    assert!(wrong.is_empty(), "no comment proves these:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_shards_only() {
    let mut wrong = Vec::new();
    for source in rust_sources().into_iter().filter(|source| !source.path.starts_with(root().join("shards"))) {
        wrong.extend(source.lines_naming(&["unsafe"]));
    }
    assert!(wrong.is_empty(), "unsafe outside shards:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let mut wrong = Vec::new();
    for source in rust_sources() {
        wrong.extend(source.lines_naming(&["todo", "unimplemented", "dbg"]));
        let ignored = source
            .tokens()
            .windows(3)
            .filter(|three| three[0].text == "#" && three[1].text == "[" && three[2].text == "ignore");
        wrong.extend(ignored.map(|three| format!("{}:{}: ignored test", source.name(), three[0].line)));
    }
    assert!(wrong.is_empty(), "left for later:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_clean() {
    let mut wrong = Vec::new();
    for path in files(root(), &|path| has_ending(path, &TEXT_ENDINGS)) {
        let Ok(text) = fs::read_to_string(&path) else {
            wrong.push(format!("{}: not UTF-8", shown(&path)));
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            if line.contains('\t') || line.ends_with([' ', '\r']) {
                wrong.push(format!("{}:{}: tab, carriage return or blank at the end", shown(&path), index + 1));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            wrong.push(format!("{}: must end with one line end", shown(&path)));
        }
    }
    assert!(wrong.is_empty(), "not clean:\n{}", wrong.join("\n"));
}

/// Whoever follows the README runs what the machines run.
#[test]
fn the_readme_names_the_command_that_ci_runs() {
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    let commands: Vec<&str> = ci
        .lines()
        .map(str::trim)
        .filter(|line| {
            !line.is_empty() && !line.starts_with('#') && !line.starts_with("cd ") && !line.starts_with("set ")
        })
        .collect();
    assert_eq!(commands, ["exec ./scripts/test"]);
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(readme.lines().any(|line| line.trim() == "./scripts/test"), "README.md does not show ./scripts/test");
    assert!(readme.lines().any(|line| line.trim() == "./scripts/run"), "README.md does not show ./scripts/run");
}

#[test]
fn every_file_of_the_server_has_an_owner() {
    let used: BTreeSet<&str> = sources_of_the_server().map(|source| owner(&source).name).collect();
    // At least the parts without which this test would check nothing.
    for name in ["model", "config", "main", "cli", "lib", "hub", "metrics"] {
        assert!(used.contains(name), "{name} has no files");
    }
}

/// The files of `src` but their tests, which may use what they like.
fn sources_of_the_server() -> impl Iterator<Item = Source> {
    sources_in("src")
}

/// The files of a folder but its tests.
fn sources_in(folder: &str) -> impl Iterator<Item = Source> {
    let is_test = |path: &Path| {
        path.strip_prefix(root())
            .is_ok_and(|path| path.ends_with("tests.rs") || path.iter().any(|part| part == "tests"))
    };
    let all = files(&root().join(folder), &|path| has_ending(path, &["rs"]) && !is_test(path));
    let all: Vec<Source> = all.into_iter().map(Source::read).collect();
    let for_tests: BTreeSet<Vec<String>> = all.iter().flat_map(modules_for_tests).collect();
    let all = all.into_iter().filter(move |source| !for_tests.contains(&source.module()));
    all.map(Source::without_tests)
}

/// The modules that a file declares for tests only.
fn modules_for_tests(source: &Source) -> Vec<Vec<String>> {
    const MARK: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let windows = source.tokens().windows(MARK.len() + 1);
    let marked = windows.filter(|window| window.iter().zip(MARK).all(|(token, text)| token.text == text));
    marked.map(|window| [source.module(), vec![window[MARK.len()].text.clone()]].concat()).collect()
}

fn rust_sources() -> Vec<Source> {
    files(root(), &|path| has_ending(path, &["rs"])).into_iter().map(Source::read).collect()
}

/// The module whose table entry covers this file: the longest name that fits.
fn owner(source: &Source) -> &'static Module {
    let path = source.path.strip_prefix(root().join("src")).expect("a file of src").with_extension("");
    MODULES
        .iter()
        .filter(|module| path.starts_with(module.name))
        .max_by_key(|module| module.name.len())
        .unwrap_or_else(|| panic!("{} belongs to no module of the table in tests/it/tidy.rs", source.name()))
}

/// What a file takes from the library's other modules, each as a path within the library.
fn imports_of(source: &Source) -> Vec<Import> {
    let inside = source.module();
    if PROGRAM.contains(&owner(source).name) {
        let mut found = imports(source.tokens(), &["encke", "cli"], &[]);
        for import in found.iter_mut().filter(|import| import.segments[0] == "cli") {
            import.segments.insert(0, "crate".to_owned());
        }
        return found;
    }
    imports(source.tokens(), &["crate", "super", "self"], &inside)
}

/// The module that a path within the library leads to: the longest name that fits; none for the library itself.
fn target(import: &Import) -> Option<&'static str> {
    let path: PathBuf = import.segments.iter().skip(1).collect();
    MODULES.iter().map(|module| module.name).filter(|name| path.starts_with(name)).max_by_key(|name| name.len())
}

const TEXT_ENDINGS: [&str; 18] = [
    "rs", "toml", "md", "ini", "json", "sql", "yml", "html", "js", "mjs", "ts", "sh", "service", "xml", "css", "php",
    "py", "conf",
];

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let name = path.extension().and_then(|ending| ending.to_str());
    // The scripts have no ending; neither has anything else in these folders.
    let is_script = name.is_none() && ["scripts", ".ci"].iter().any(|dir| path.starts_with(root().join(dir)));
    name.is_some_and(|name| endings.contains(&name)) || (is_script && endings.contains(&"sh"))
}

/// All files below `dir` that `wanted` accepts, in order, without what builds and runs leave behind.
fn files(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 8] =
        ["target", "data", ".git", "node_modules", ".test-deps", "corpus", "artifacts", "found"];
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !LEFT_OUT.contains(&name) {
                    folders.push(path);
                }
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

impl Source {
    fn name(&self) -> String {
        shown(&self.path)
    }

    /// Module path of the file within the crate, for example `cometql`, `exec`.
    fn module(&self) -> Vec<String> {
        let path = self.path.strip_prefix(root().join("src")).unwrap_or(&self.path).with_extension("");
        let mut parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
            parts.pop();
        }
        parts
    }

    fn lines_naming(&self, names: &[&str]) -> Vec<String> {
        let named = self.tokens().iter().filter(|token: &&Token| names.contains(&token.text.as_str()));
        named.map(|token| format!("{}:{}: {}", self.name(), token.line, token.text)).collect()
    }
}
