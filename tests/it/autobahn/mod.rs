//! The Autobahn test suite against the codec: hundreds of clients that hold to RFC 6455 or break it.
//!
//! By default the sections run that take seconds; `ENCKE_AUTOBAHN` names others, as `scripts/autobahn` does. The suite
//! is found in `.test-deps/autobahn` or on the path as `wstest`; `scripts/autobahn` installs it.

mod echo;

use crate::tools;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, fragments of a megabyte's message.
const QUICK: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

/// The largest sections take a quarter of an hour on a small machine.
const RUN_LIMIT: Duration = Duration::from_hours(1);

/// What the suite calls right. `NON-STRICT`: right, but later than it could be said; `INFORMATIONAL`: both ways are.
const FINE: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

#[test]
fn foreign_clients_that_break_the_protocol() {
    let Some(wstest) = find("foreign_clients_that_break_the_protocol") else { return };
    let wanted = std::env::var("ENCKE_AUTOBAHN").unwrap_or_default();
    let cases: Vec<&str> = if wanted.is_empty() { QUICK.to_vec() } else { wanted.split_whitespace().collect() };
    let _alone = tools::alone();
    let folder = tools::root().join("target/autobahn");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let server = echo::start();
    let address = server.addresses()[0].expect("a listener");
    let spec = json!({
        "outdir": folder.join("reports"),
        "servers": [{ "agent": AGENT, "url": format!("ws://{address}/ws/") }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let spec_file = folder.join("spec.json");
    fs::write(&spec_file, spec.to_string()).unwrap();
    let mut command = Command::new(wstest);
    command.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec_file).current_dir(&folder);
    let finished = tools::run(&mut command, RUN_LIMIT);
    server.stop();
    server.join().expect("no panic in the codec");
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);

    let index = fs::read_to_string(folder.join("reports/index.json")).expect("the suite's report");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let results = index[AGENT].as_object().expect("cases");
    for (case, result) in results {
        let judged = |what: &str| result[what].as_str().unwrap_or("absent").to_owned();
        let (behavior, closing) = (judged("behavior"), judged("behaviorClose"));
        *counts.entry(FINE.iter().find(|fine| **fine == behavior).copied().unwrap_or("FAILED")).or_default() += 1;
        if !FINE.contains(&&*behavior) || !FINE.contains(&&*closing) {
            wrong.push(format!("{case}: {behavior}, closing {closing}"));
        } else if behavior == "NON-STRICT" {
            println!("{case}: not strict");
        }
    }
    println!("{} cases: {counts:?}", results.len());
    assert!(!results.is_empty() && wrong.is_empty(), "reports are in {}:\n{}", folder.display(), wrong.join("\n"));
}

const AGENT: &str = "Encke";

fn find(test: &str) -> Option<PathBuf> {
    let installed = tools::root().join(".test-deps/autobahn/bin/wstest");
    let found = Some(installed).filter(|file| file.is_file()).or_else(|| tools::find(&["wstest"]));
    if found.is_none() {
        tools::skip(test, "autobahn", "the Autobahn test suite is not installed, see scripts/autobahn");
    }
    found
}
