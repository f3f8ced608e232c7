//! The scenarios of `web/e2e`: the demo pages, the library and the examples in Chromium, against the running program.
//!
//! They are written in JavaScript, because Playwright drives several browsers at once and waits for what a page shows.

use crate::browser;
use crate::php;
use crate::server;
use crate::tools;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Of all scenarios of a file, each with a server and a browser of its own.
const LIMIT: Duration = Duration::from_mins(10);

#[test]
fn chats_lose_nothing() {
    run("chats_lose_nothing", "chat");
}

#[test]
fn users_and_private_messages() {
    run("users_and_private_messages", "users");
}

#[test]
fn transports_one_by_one() {
    run("transports_one_by_one", "transports");
}

#[test]
fn pages_that_are_sent_to_another_server() {
    run("pages_that_are_sent_to_another_server", "drain");
}

#[test]
fn tabs_that_stand_still() {
    run("tabs_that_stand_still", "tabs");
}

#[test]
fn the_classic_functions_in_a_page() {
    run("the_classic_functions_in_a_page", "classic");
}

#[test]
fn browsers_that_a_pipe_connects() {
    run("browsers_that_a_pipe_connects", "examples");
}

/// Leaves pictures of the pages in `target/screenshots`.
#[test]
fn pages_fit_their_screens() {
    run("pages_fit_their_screens", "pages");
}

/// Every page of the server, empty, used, with an error and without its server, has no fault that axe finds.
#[test]
fn the_servers_pages_are_for_everybody() {
    run("the_servers_pages_are_for_everybody", "server_pages");
}

fn run(test: &str, scenarios: &str) {
    let Some(node) = tools::need(test, &["node"]) else { return };
    // The pages show lines for a shell with `mysql` in it.
    if tools::need(test, &browser::BROWSERS).is_none()
        || tools::need(test, &["mysql"]).is_none()
        || !php::have_php(test)
    {
        return;
    }
    let installed = tools::root().join(".test-deps");
    for (need, package) in [
        ("playwright", "web/node_modules/playwright-core"),
        ("playwright", "web/node_modules/axe-core"),
        ("node-mysql2", "node/node_modules/mysql2"),
    ] {
        if !installed.join(package).is_dir() {
            return tools::skip(test, need, &format!("{package} is not installed"));
        }
    }
    let _alone = tools::alone();
    // Beside the folder for temporary files, where a build with another target folder has it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let mut command = Command::new(node);
    command.args(["--test", "--test-reporter=spec"]).arg(format!("web/e2e/{scenarios}.test.mjs"));
    command.current_dir(tools::root()).env("ENCKE_PROGRAM", server::program());
    command.env("ENCKE_SCREENSHOTS", target.join("screenshots"));
    let finished = tools::run(&mut command, LIMIT);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    // What a scenario measured, past the test runner's capture.
    for line in finished.stdout.lines().filter(|line| line.contains("medians: ")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
