//! The pages of the server in a real browser: what the start page tells to paste, the SQL console, the dashboard.

use crate::browser::{BROWSERS, Page};
use crate::php::have_php;
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Fills in the form and sends it.
fn sign_in(page: &mut Page, password: &str) {
    page.await_value("String(document.getElementById('sign-in')?.hidden)", "false");
    page.evaluate(&format!(
        "(() => {{
            const form = document.getElementById('sign-in');
            form.elements.password.value = '{password}';
            form.requestSubmit();
        }})()"
    ));
}

/// Types a statement and presses a key with it.
fn press(page: &mut Page, key: &str, ctrl: bool) {
    page.evaluate(&format!(
        "document.getElementById('sql').dispatchEvent(
            new KeyboardEvent('keydown', {{ key: '{key}', ctrlKey: {ctrl}, bubbles: true, cancelable: true }}))"
    ));
}

fn run(page: &mut Page, sql: &str) {
    page.evaluate(&format!("document.getElementById('sql').value = `{sql}`; ''"));
    press(page, "Enter", true);
}

/// What the newest result says.
const NEWEST: &str = "document.querySelector('.result')?.innerText ?? ''";

fn await_newest(page: &mut Page, text: &str) {
    page.await_value(&format!("String(({NEWEST}).includes(`{text}`)) + ({NEWEST}).slice(0, 0)"), "true");
}

/// Each is run as it stands there, in the server's folder.
#[test]
fn the_snippets_of_the_start_page_publish() {
    let test = "the_snippets_of_the_start_page_publish";
    let Some(program) = tools::need(test, &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup { password: None, ..Setup::default() });
    let mut page = Page::open(&program, &format!("http://{}/", server.browsers));
    server.await_subscribers("simplechat", 1);
    let deps = tools::root().join(".test-deps");
    let python = deps.join("venv/bin/python");
    let node_modules = deps.join("node/node_modules");
    let mut received = 0;
    for (tab, file, run) in [
        ("shell", "snippet.sh", tools::need(test, &["mysql"]).and(tools::find(&["bash"]))),
        ("php", "snippet.php", tools::find(&["php"]).filter(|_| have_php(test))),
        ("python", "snippet.py", Some(python).filter(|python| python.is_file())),
        ("node", "snippet.mjs", tools::need(test, &["node"]).filter(|_| node_modules.join("mysql2").is_dir())),
        ("curl", "snippet.sh", tools::need(test, &["curl"]).and(tools::find(&["bash"]))),
    ] {
        page.evaluate(&format!("document.getElementById('tab-{tab}').click()"));
        let snippet = page.evaluate("document.getElementById('publisher').textContent");
        let Some(run) = run else {
            tools::skip(test, tab, &format!("what the {tab} snippet needs is not here"));
            continue;
        };
        fs::write(server.folder().join(file), &snippet).expect("a file for the test");
        if tab == "node" {
            symlink(&node_modules, server.folder().join("node_modules")).expect("the libraries");
        }
        let finished = tools::run(Command::new(run).arg(file).current_dir(server.folder()), PATIENCE);
        assert!(finished.status.success(), "{snippet}\n{}{}", finished.stdout, finished.stderr);
        received += 1;
        let count = if received == 1 { "1 message".to_owned() } else { format!("{received} messages") };
        page.await_value("document.getElementById('count').textContent", &count);
    }
}

#[test]
fn a_configured_password_is_not_looked_for_in_a_file() {
    let test = "a_configured_password_is_not_looked_for_in_a_file";
    let Some(program) = tools::need(test, &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/", server.browsers));
    server.await_subscribers("simplechat", 1);
    for (tab, inside) in
        [("shell", " -p CometQL_v1 "), ("php", "getenv("), ("python", "os.environ"), ("curl", "$COMETQL_PASSWORD")]
    {
        page.evaluate(&format!("document.getElementById('tab-{tab}').click()"));
        let snippet = page.evaluate("document.getElementById('publisher').textContent");
        assert!(snippet.contains(inside) && !snippet.contains("cometql.password"), "{snippet}");
    }
}

#[test]
fn the_console_runs_statements_and_explains_errors() {
    let Some(program) = tools::need("the_console_runs_statements_and_explains_errors", &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/console", server.browsers));
    sign_in(&mut page, "wrong");
    page.await_text("wrong user name or password");
    assert_eq!(page.evaluate("String(document.getElementById('main').hidden)"), "true");
    sign_in(&mut page, &server.password);
    page.await_text("users_in_pipes");

    // A click on a table runs a statement that it takes.
    page.evaluate("[...document.querySelectorAll('#tables button')].find((b) => b.textContent === 'pipes').click()");
    assert_eq!(
        page.evaluate("document.getElementById('sql').value"),
        "SELECT name, users FROM pipes WHERE name = 'simplechat'"
    );
    await_newest(&mut page, "1 row");
    let cells =
        "JSON.stringify([...document.querySelector('.result tbody').rows[0].cells].map((cell) => cell.innerText))";
    assert_eq!(page.evaluate(cells), r#"["simplechat","0"]"#);
    let tables = page.evaluate("String(document.querySelectorAll('#tables button').length)");
    for table in 0..tables.parse().unwrap_or(0) {
        page.evaluate(&format!(
            "document.querySelectorAll('.result').forEach((r) => r.remove());
             document.querySelectorAll('#tables button')[{table}].click(); ''"
        ));
        page.await_value("String(document.querySelectorAll('.result').length)", "1");
        let said = page.evaluate(NEWEST);
        assert!(!said.contains("ERROR") || said.contains("not implemented"), "{said}");
    }

    // Markup is text, and NULL is told from a text of this name.
    run(&mut page, "SELECT NULL AS nothing, 'NULL' AS text, '<b>bold</b>' AS markup");
    await_newest(&mut page, "<b>bold</b>");
    assert_eq!(page.evaluate("String(document.querySelectorAll('.result td .null').length)"), "1");
    run(&mut page, "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'e', 'it''s; (one)')");
    await_newest(&mut page, "OK, published to 0.");
    run(&mut page, "INSERT INTO users_data (id, data) VALUES (7, 'x'); SELECT * FROM nowhere; SELECT 1");
    await_newest(&mut page, "OK, 1 row affected, insert id 7");
    await_newest(&mut page, "ERROR 15 (HY000)");
    await_newest(&mut page, "There is no such table");

    // What ran before, with the keys; and after the page was loaded again, without another password.
    (0..3).for_each(|_| press(&mut page, "ArrowUp", false));
    let shown = page.evaluate("document.getElementById('sql').value");
    assert!(shown.starts_with("SELECT NULL"), "{shown}");
    press(&mut page, "ArrowDown", false);
    let shown = page.evaluate("document.getElementById('sql').value");
    assert!(shown.starts_with("INSERT"), "{shown}");
    page.evaluate("location.reload()");
    page.await_value("String(document.querySelectorAll('.result').length)", "0");
    page.await_text("users_in_pipes");
    press(&mut page, "ArrowUp", false);
    assert!(page.evaluate("document.getElementById('sql').value").starts_with("INSERT"));
    assert_eq!(page.evaluate("String(JSON.stringify(localStorage).includes('Basic'))"), "false");
}

#[test]
fn the_numbers_of_the_dashboard_move() {
    let Some(program) = tools::need("the_numbers_of_the_dashboard_move", &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/dashboard", server.browsers));
    sign_in(&mut page, "wrong");
    page.await_text("wrong user name or password");
    sign_in(&mut page, &server.password);
    let tile = |name: &str| format!("document.querySelector('[data-tile=\"{name}\"]').textContent");
    page.await_value(&tile("Connections"), "1");
    page.await_value(&tile("Publications / s"), "0");

    let mut browsers = [server.browser(), server.browser()];
    for browser in &mut browsers {
        browser.send("subscription\nbusy");
    }
    server.await_subscribers("busy", 2);
    page.await_value(&tile("Connections"), "3");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut backend = server.backend();
            while !stop.load(Ordering::Relaxed) {
                let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('busy', 'e', 'm')";
                backend.execute(insert).expect("an OK");
            }
        });
        let moves = |name: &str| format!("String(/[1-9]/.test({}))", tile(name));
        for name in ["Publications / s", "Deliveries / s", "Latency, 99 %", "Sent / s"] {
            page.await_value(&moves(name), "true");
        }
        let first_row = |id: &str| {
            format!(
                "[...(document.querySelector('#{id} tbody')?.rows[0]?.cells ?? [])].map((c) => c.textContent)[0] ?? ''"
            )
        };
        page.await_value(&first_row("busiest"), "busy");
        page.await_value(&first_row("largest"), "busy");
        page.await_value(&first_row("shards"), "browsers-0");
        page.await_value("String(document.querySelectorAll('#latency progress').length > 0)", "true");
        // Each figure of a graph is told as text as well.
        let told = "document.querySelectorAll('.chart .plot')[2].getAttribute('aria-label')";
        page.await_value(&format!("String(/at most [1-9]/.test({told}))"), "true");
        page.await_value("String(document.querySelectorAll('.chart canvas').length > 9)", "true");
        stop.store(true, Ordering::Relaxed);
    });
    page.await_value(&tile("Publications / s"), "0");

    // The server restarts: the pipe has another name, and the page finds it.
    let ports = format!("[ws]\nport = {}\n[cometql]\nport = {}\n", server.browsers.port(), server.cometql.port());
    drop(browsers);
    let (_, folder) = server.stop();
    let server = Server::start_in(folder, &Setup { more: ports, ..Setup::default() });
    let _browsers = [server.browser(), server.browser(), server.browser(), server.browser()];
    page.await_value(&tile("Connections"), "5");
}

/// The dashboard does not begin with nothing: an hour is kept, and the configuration is told without its secrets.
#[test]
fn the_past_and_the_configuration_are_for_who_knows_the_password() {
    let server = Server::start(&Setup::default());
    let mut http = Http::connect(&server);
    let mut ask = |what: &str, password: &str| {
        http.send(&format!(
            "POST /dashboard/{what} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {password}\r\nContent-Length: 0\r\n\r\n"
        ));
        let response = http.response();
        (response.status, response.text().to_owned())
    };
    assert_eq!(ask("past", "wrong").0, 401);
    let (status, text) = ask("past", &server.password);
    assert_eq!(status, 200);
    assert!(!text.contains(&server.password), "the password is told");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let names = told["past"]["names"].as_array().expect("names");
    let points = told["past"]["points"].as_array().expect("points");
    assert!(points.iter().all(|point| point.as_array().map(Vec::len) == Some(names.len())), "{told}");
    let keys = told["about"]["configuration"].as_array().expect("keys");
    assert!(keys.iter().any(|key| key["key"] == "connections_max" && key["is_default"] == true), "{keys:?}");
    let (status, text) = ask("log", &server.password);
    let log: Value = serde_json::from_str(&text).expect("JSON");
    assert!(status == 200 && log["lines"].is_array(), "{log}");
}

#[test]
fn the_console_explains_every_error() {
    let script = fs::read_to_string(tools::root().join("web/pages/console.js")).expect("the console");
    for code in encke::cometql::errors::Code::ALL {
        assert!(script.contains(&format!("\n  {}: [\"", code.number())), "{code:?} is not explained");
    }
}

/// Nothing is told while nobody looks, and who does not know the password cannot look.
#[test]
fn the_figures_are_for_who_knows_the_password() {
    let server = Server::start(&Setup::default());
    let mut http = Http::connect(&server);
    let mut key = |password: &str| {
        http.send(&format!(
            "POST /dashboard/key HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {password}\r\nContent-Length: 0\r\n\r\n"
        ));
        let response = http.response();
        (response.status, response.text().to_owned())
    };
    assert_eq!(key("wrong").0, 401);
    let (status, text) = key(&server.password);
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let pipe = answer["pipe"].as_str().expect("a pipe");
    assert!(pipe.len() > 32 && pipe.starts_with("sys_figures_"), "{pipe}");
    let mut browser = server.browser();
    browser.send(&format!("subscription\n{pipe}"));
    // What is told may be a moment old.
    let told = tools::until(PATIENCE, || {
        let message = browser.receive();
        assert_eq!((&message["pipe"], &message["event"]), (&pipe.into(), &"figures".into()));
        let figures: Value = serde_json::from_str(message["data"].as_str()?).expect("JSON");
        assert_eq!(figures["shards"].as_array().map(Vec::len), Some(3));
        assert_eq!(figures["largest"], json!([]), "the pipe itself is none of them");
        assert_eq!(figures["all"]["deliveries"], 0, "who looks changes nothing");
        (figures["all"]["connections"] == 1).then_some(())
    });
    assert!(told.is_some(), "the connection is not counted");
    // A browser cannot publish there.
    browser.send(&format!("web_pipe2\n{pipe}\nfigures\n*\nforged"));
    loop {
        let message = browser.receive();
        assert_ne!(message["data"], "forged");
        if message["event"] == "error" {
            break;
        }
    }
}
