//! The start page in a real browser: headless Chromium, driven over its own debugging protocol.
//!
//! The protocol is JSON over a WebSocket, so tungstenite is all it takes; no driver has to be installed.

use crate::server::{Folder, PATIENCE, Server, Setup};
use crate::tools;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tungstenite::WebSocket;

pub(crate) const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

#[test]
fn the_start_page_shows_what_is_inserted() {
    let Some(program) = tools::need("the_start_page_shows_what_is_inserted", &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/", server.browsers));
    server.await_subscribers("simplechat", 1);

    let mut backend = server.backend();
    // Markup must arrive as text, and the script in it must not run.
    let message = r#"{"text":"hello <img src=x onerror=\"window.struck=1\"> \u0434\u0430"}"#;
    let insert = format!(
        "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '{}')",
        message.replace('\\', "\\\\")
    );
    backend.execute(&insert).expect("the INSERT is accepted");
    page.await_text("hello <img src=x");
    assert_eq!(page.evaluate("String(window.struck)"), "undefined", "a message was taken for markup");

    // A second one needs no new subscription.
    backend
        .execute(
            "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', 'second message')",
        )
        .expect("the INSERT is accepted");
    page.await_text("second message");
    drop(page);
    server.await_subscribers("simplechat", 0);
}

/// One tab of a headless browser; the browser ends with its first one.
pub(crate) struct Page {
    /// Other tabs of the same browser leave its end to this one.
    browser: Option<Child>,
    socket: WebSocket<TcpStream>,
    address: (u16, String),
    target: Value,
    session: String,
    last_id: u64,
    /// Kept as long as the browser runs.
    profile: Option<Folder>,
}

impl Page {
    pub(crate) fn open(program: &Path, url: &str) -> Self {
        let profile = Folder::new();
        // Its helper processes join its group, so that all of them can be ended together.
        let browser = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the browser starts");
        let address = debugging_address(profile.path());
        let mut page = Self::tab(address, url);
        (page.browser, page.profile) = (Some(browser), Some(profile));
        page
    }

    /// One more tab of the same browser.
    pub(crate) fn another(&self, url: &str) -> Self {
        Self::tab(self.address.clone(), url)
    }

    fn tab(address: (u16, String), url: &str) -> Self {
        let (port, path) = &address;
        let stream = TcpStream::connect(("127.0.0.1", *port)).expect("the browser accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (socket, _) =
            tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).expect("the handshake succeeds");
        let (session, target) = (String::new(), Value::Null);
        let mut page = Self { browser: None, socket, address, target, session, last_id: 0, profile: None };
        let target = page.call("Target.createTarget", &json!({ "url": url }));
        page.target = target["targetId"].clone();
        let attach = json!({ "targetId": page.target, "flatten": true });
        let session = page.call("Target.attachToTarget", &attach);
        session["sessionId"].as_str().expect("a session").clone_into(&mut page.session);
        page
    }

    /// Closes the tab, as its user does; the browser stays.
    pub(crate) fn close_target(&mut self) {
        self.session.clear();
        let target = json!({ "targetId": self.target });
        self.call("Target.closeTarget", &target);
    }

    /// Whether the page has a network.
    pub(crate) fn offline(&mut self, offline: bool) {
        self.call("Network.enable", &json!({}));
        let conditions = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.call("Network.emulateNetworkConditions", &conditions);
    }

    /// The value of a script in the page, as text; of a promise what it becomes.
    pub(crate) fn evaluate(&mut self, script: &str) -> String {
        let answer = self.call("Runtime.evaluate", &json!({ "expression": script, "awaitPromise": true }));
        answer["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows this text.
    pub(crate) fn await_text(&mut self, text: &str) {
        let mut shown = String::new();
        let found = tools::until(PATIENCE, || {
            shown = self.evaluate("document.body ? document.body.innerText : ''");
            shown.contains(text).then_some(())
        });
        assert!(found.is_some(), "the page does not show {text:?} but\n{shown}");
    }

    /// Waits until a script in the page has this value.
    pub(crate) fn await_value(&mut self, script: &str, expected: &str) {
        let mut value = String::new();
        let found = tools::until(PATIENCE, || {
            value = self.evaluate(script);
            (value == expected).then_some(())
        });
        assert!(found.is_some(), "{script} is not {expected:?} but {value:?}");
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        loop {
            let answer = self.try_call(method, parameters);
            // Of a script that met the page while it was loaded anew.
            if answer["error"]["message"] == "Inspected target navigated or closed" {
                continue;
            }
            assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return answer["result"].clone();
        }
    }

    fn try_call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.as_str().into();
        }
        self.socket.send(request.to_string().into()).expect("the browser takes a request");
        loop {
            let message = self.socket.read().expect("the browser answers");
            let Ok(text) = message.into_text() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            // Events of the browser come in between.
            if answer["id"] == id {
                return answer;
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let Some(browser) = &mut self.browser else { return };
        let _ = kill_process_group(Pid::from_child(browser), Signal::KILL);
        let _ = browser.wait();
        self.profile = None;
    }
}

/// Port and path where the browser wants to be driven, which it writes into its profile.
fn debugging_address(profile: &Path) -> (u16, String) {
    let file = profile.join("DevToolsActivePort");
    let address = tools::until(PATIENCE, || {
        let text = fs::read_to_string(&file).ok()?;
        let (port, path) = text.split_once('\n')?;
        let path = path.trim();
        (!path.is_empty()).then_some((port.parse().ok()?, path.to_owned()))
    });
    address.expect("the browser says where it can be driven")
}
