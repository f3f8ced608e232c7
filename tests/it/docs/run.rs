//! Runs the blocks of one document, in their order, against a server of its own.
//!
//! Every language has its program: `sql` a session as `root`, `sh` bash, `php`, `python`, `js` Node, `js browser` and
//! `html` a page of the server in Chromium, `ini` `encke check-config`, `nginx` `nginx -t`. The words behind the language:
//!
//! * `text result` is what the block before it prints, as the `mysql` client shows it if that is SQL;
//! * `text console` is what the last page logs, now or soon, and `text page` what it shows;
//! * `ini restart` is a configuration that holds from here on: the server is started anew with it;
//! * `sh stopped` is run while the server is down;
//! * `file=NAME` puts the block into the server's folder under that name, and `in=NAME` runs it in its own surroundings,
//!   such as a framework: `surroundings` says more;
//! * `no-run` is not run, and counted.
//!
//! What a reader replaces by his own is replaced here: `8087` and `3300` by the server's ports, `comet.example` by
//! its address, and `https` and `wss` before that by what it speaks without a proxy. Programs start in the server's
//! folder, where its password is in `data/cometql.password`. `comet@127.0.0.1:3306/comet`, and a section `[db]` that is
//! restarted with, are a database in MariaDB as CppComet made it. A statement with `-- error N` is refused with N.

use super::markdown::{Block, agrees};
use super::sql::{shown, statements};
use super::surroundings::has_sqlite;
use crate::browser::{BROWSERS, Page};
use crate::mariadb::{MariaDb, PASSWORD, make_old, section};
use crate::server::{PATIENCE, Server, Setup, program};
use crate::tools;
use encke::storage::mysql::Place;
use mysql::{Conn, OptsBuilder};
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is data, or what another block prints.
    NoCode,
    Ran,
    NotRun,
    /// Its program is missing here.
    Skipped(&'static str),
    Failed(String),
    /// Another output than the block says.
    Differs(String),
}

pub(super) struct Runner {
    server: Option<Server>,
    pub(super) folder: PathBuf,
    browsers: SocketAddr,
    cometql: SocketAddr,
    session: Option<Conn>,
    /// Made when a document names it.
    database: Option<Place>,
    /// Behind the configuration of all tests.
    more: String,
    output: String,
    /// Its first tab is empty; it takes a while to start.
    browser: Option<Page>,
    page: Option<Page>,
    files: u32,
}

impl Runner {
    pub(super) fn new() -> Self {
        // The configuration ends within [content-type].
        let more = "html = text/html\njson = application/json\ntxt = text/plain\n".to_owned();
        let server = Server::start(&Setup { password: None, more: more.clone(), ..Setup::default() });
        // As in a checkout and as installed.
        let folder = server.folder().to_owned();
        for place in ["bin", "target/release", "target/trial", "config"] {
            fs::create_dir_all(folder.join(place)).expect("a folder");
        }
        for place in ["bin/encke", "target/release/encke", "target/trial/encke"] {
            symlink(program(), folder.join(place)).expect("the program");
        }
        fs::copy(tools::root().join("config/comet.ini"), folder.join("config/comet.ini")).expect("the configuration");
        let modules = tools::root().join(".test-deps/node/node_modules");
        symlink(modules, folder.join("node_modules")).expect("the modules");
        Self {
            folder,
            browsers: server.browsers,
            cometql: server.cometql,
            server: Some(server),
            session: None,
            database: None,
            more,
            output: String::new(),
            browser: None,
            page: None,
            files: 0,
        }
    }

    /// `compared`: its output is judged by the next block, errors of statements as well.
    pub(super) fn run(&mut self, block: &Block, compared: bool) -> Outcome {
        if block.is("no-run") {
            return Outcome::NotRun;
        }
        if let Some(outcome) = self.surrounded(block) {
            return outcome;
        }
        let ran = match block.language.as_str() {
            "text" if block.is("result") => return self.compare(&block.text),
            "text" if block.is("console") => {
                return self.await_page(&block.text, "[...docLog, ...docErrors].join('\\n')");
            }
            "text" if block.is("page") => return self.await_page(&block.text, "document.body.innerText"),
            "text" | "http" => return Outcome::NoCode,
            "json" => {
                let mut values = serde_json::Deserializer::from_str(&block.text).into_iter::<serde_json::Value>();
                let bad = values.find_map(Result::err);
                return bad.map_or(Outcome::NoCode, |error| Outcome::Failed(error.to_string()));
            }
            "sql" => self.sql(&block.text, compared),
            "sh" if block.is("stopped") => self.stopped(|this| this.shell(&block.text)),
            "sh" => self.shell(&block.text),
            "php" if block.text.contains("sqlite:") && !has_sqlite() => Err(Outcome::Skipped("php-sqlite")),
            "php" => {
                let opened = if block.text.starts_with("<?php") { "" } else { "<?php\n" };
                let script = format!("{opened}{}", block.text);
                self.program(tools::find(&["php"]).ok_or("php"), &["-d", "display_errors=stderr"], "php", &script)
            }
            "python" => {
                let python = tools::root().join(".test-deps/venv/bin/python");
                self.program(Some(python).filter(|file| file.is_file()).ok_or("pymysql"), &[], "py", &block.text)
            }
            "html" => self.browse(&block.text, "document.readyState", "complete"),
            "js" if block.is("browser") => {
                let page = format!("<script type=\"module\">\n{}window.docDone = true;\n</script>", block.text);
                self.browse(&page, "String(docErrors.length > 0 || window.docDone)", "true")
            }
            "js" => {
                let have = self.folder.join("node_modules/mysql2").is_dir();
                self.program(tools::find(&["node"]).filter(|_| have).ok_or("node-mysql2"), &[], "mjs", &block.text)
            }
            "ini" => self.configure(block),
            "nginx" => self.nginx(&block.text),
            other => Err(Outcome::Failed(format!("nobody knows how to run {other:?}"))),
        };
        ran.map_or_else(|outcome| outcome, |()| Outcome::Ran)
    }

    /// Runs something while the server is down, and starts it again on the ports that it had.
    fn stopped<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let server = self.server.take().expect("the server runs");
        self.session = None;
        self.close_page();
        let (_, folder) = server.stop();
        let result = run(self);
        let (browsers, cometql) = (self.browsers.port(), self.cometql.port());
        let more = format!("{}[ws]\nport = {browsers}\n[cometql]\nport = {cometql}\n", self.more);
        self.server = Some(Server::start_in(folder, &Setup { password: None, more, ..Setup::default() }));
        result
    }

    /// `None` without MariaDB.
    fn database(&mut self) -> Option<&Place> {
        if self.database.is_none() {
            let mariadb = MariaDb::shared("every_block_of_the_documents_runs")?;
            let place = mariadb.database();
            make_old(&mut mariadb.session(&place));
            self.database = Some(place);
        }
        self.database.as_ref()
    }

    pub(super) fn localised(&self, text: &str) -> String {
        let Self { browsers, cometql, .. } = self;
        let text = replace_number(text, "8087", &browsers.port().to_string());
        let text = replace_number(&text, "3300", &cometql.port().to_string());
        let text = text
            .replace("https://comet.example", &format!("http://{browsers}"))
            .replace("wss://comet.example", &format!("ws://{browsers}"))
            .replace("comet.example", &browsers.ip().to_string())
            // The shipped configuration that they read has the usual port.
            .replace("encke publish ", &format!("encke publish --port {} ", cometql.port()))
            .replace("encke sql ", &format!("encke sql --port {} ", cometql.port()));
        let Some(Place { host, port, user, name, .. }) = &self.database else { return text };
        text.replace(DATABASE, &format!("{user}@{host}:{port}/{name}"))
    }

    fn compare(&self, expected: &str) -> Outcome {
        let output = self.localised_back(&self.output);
        if agrees(expected, &output) || agrees(&self.localised(expected), &self.output) {
            Outcome::NoCode
        } else {
            Outcome::Differs(output)
        }
    }

    /// As the document has it: the ports of an output are the test's.
    fn localised_back(&self, text: &str) -> String {
        let Self { browsers, cometql, .. } = self;
        let text = replace_number(text, &browsers.port().to_string(), "8087");
        replace_number(&text, &cometql.port().to_string(), "3300")
    }

    fn sql(&mut self, text: &str, compared: bool) -> Result<(), Outcome> {
        let text = self.localised(text);
        if self.session.is_none() {
            let password = &self.server.as_ref().expect("the server runs").password;
            let options = OptsBuilder::new()
                .ip_or_hostname(Some(self.cometql.ip().to_string()))
                .tcp_port(self.cometql.port())
                .user(Some("root"))
                .pass(Some(password))
                .db_name(Some("CometQL_v1"))
                .prefer_socket(false);
            let session = Conn::new(options).map_err(|error| Outcome::Failed(format!("login: {error}")))?;
            self.session = Some(session);
        }
        let session = self.session.as_mut().expect("a session");
        self.output.clear();
        for (statement, error) in statements(&text) {
            let (output, code) = shown(session, &statement);
            if code != error && (error.is_some() || !compared) {
                return Err(Outcome::Failed(format!("{statement}\n{output}")));
            }
            self.output.push_str(&output);
        }
        Ok(())
    }

    fn shell(&mut self, text: &str) -> Result<(), Outcome> {
        if let Some(missing) =
            SHELL_PROGRAMS.iter().find(|name| text.contains(**name) && tools::find(&[name]).is_none())
        {
            return Err(Outcome::Skipped(missing));
        }
        if text.contains(DATABASE) && self.database().is_none() {
            return Err(Outcome::Skipped("mariadbd"));
        }
        self.program(Ok("bash".into()), &["-euo", "pipefail"], "sh", text)
    }

    pub(super) fn script(&mut self, ending: &str, text: &str) -> PathBuf {
        self.files += 1;
        let file = self.folder.join(format!("block{}.{ending}", self.files));
        fs::write(&file, text).expect("a file for the block");
        file
    }

    fn program(
        &mut self,
        program: Result<PathBuf, &'static str>,
        arguments: &[&str],
        ending: &str,
        text: &str,
    ) -> Result<(), Outcome> {
        let program = program.map_err(Outcome::Skipped)?;
        let file = self.script(ending, &self.localised(text));
        self.start(Command::new(program).args(arguments).arg(file))
    }

    /// In the server's folder, to its end.
    pub(super) fn start(&mut self, command: &mut Command) -> Result<(), Outcome> {
        let folder = self.folder.clone();
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        // Temporary files go with the folder.
        command.current_dir(&folder).env("TMPDIR", folder).env("PATH", path).env("MYSQL_PWD", PASSWORD);
        let finished = tools::run(command, PATIENCE);
        if !finished.status.success() {
            let text = format!("{}\n{}{}", finished.status, finished.stdout, finished.stderr);
            return Err(Outcome::Failed(text));
        }
        self.output = finished.stdout;
        Ok(())
    }

    /// Opens a page and waits until a script in it has this value and nothing has failed.
    fn browse(&mut self, html: &str, script: &str, value: &str) -> Result<(), Outcome> {
        let Some(program) = tools::find(&BROWSERS) else { return Err(Outcome::Skipped("chromium")) };
        let file = self.script("html", &format!("<!doctype html>\n{RECORDER}{}", self.localised(html)));
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        fs::rename(&file, self.folder.join("static").join(&name)).expect("a page");
        let url = format!("http://{}/{name}", self.browsers);
        self.close_page();
        let browser = self.browser.get_or_insert_with(|| Page::open(&program, "about:blank"));
        let page = self.page.insert(browser.another(&url));
        page.await_value("String(Boolean(window.docLog) && location.protocol === 'http:')", "true");
        page.await_value(script, value);
        let errors = page.evaluate("docErrors.join('\\n')");
        if errors.is_empty() { Ok(()) } else { Err(Outcome::Failed(errors)) }
    }

    fn close_page(&mut self) {
        if let Some(mut page) = self.page.take() {
            page.close_target();
        }
    }

    fn await_page(&mut self, expected: &str, script: &str) -> Outcome {
        let Some(page) = self.page.as_mut() else { return Outcome::Skipped("chromium") };
        let mut logged = String::new();
        // An empty one is about to be written.
        let patience = if expected.trim().is_empty() { Duration::from_secs(2) } else { PATIENCE };
        let found = tools::until(patience, || {
            logged = page.evaluate(script);
            agrees(expected, &logged).then_some(())
        });
        found.map_or_else(|| Outcome::Differs(logged), |()| Outcome::NoCode)
    }

    fn configure(&mut self, block: &Block) -> Result<(), Outcome> {
        let file = self.script("ini", &block.text);
        let mut command = Command::new(program());
        command.args(["check-config", "--conf"]).arg(&file).current_dir(&self.folder);
        let finished = tools::run(&mut command, PATIENCE);
        if !finished.status.success() || !finished.stdout.contains("0 warnings") {
            return Err(Outcome::Failed(format!("{}{}", finished.stdout, finished.stderr)));
        }
        if block.is("restart") {
            let database = block.text.contains("[db]");
            if database && self.database().is_none() {
                return Err(Outcome::Skipped("mariadbd"));
            }
            self.more.push_str(&match &self.database {
                Some(place) if database => section(place),
                _ => block.text.clone(),
            });
            self.stopped(|_| ());
        }
        Ok(())
    }

    /// A part of the section `http`. Certificates are not here, so it gets one.
    fn nginx(&mut self, text: &str) -> Result<(), Outcome> {
        let place = Path::new("/usr/sbin/nginx");
        let nginx = tools::find(&["nginx"]).or_else(|| place.is_file().then(|| place.to_owned()));
        let Some(nginx) = nginx else { return Err(Outcome::Skipped("nginx")) };
        let made = rcgen::generate_simple_self_signed(vec!["comet.example".to_owned()]).expect("a certificate");
        let certificate = self.script("crt", &made.cert.pem());
        let key = self.script("key", &made.signing_key.serialize_pem());
        let mut lines = String::new();
        for line in text.lines() {
            let path = match line.split_whitespace().next() {
                Some("ssl_certificate") => format!("ssl_certificate {};", certificate.display()),
                Some("ssl_certificate_key") => format!("ssl_certificate_key {};", key.display()),
                _ => line.to_owned(),
            };
            let _ = writeln!(lines, "{path}");
        }
        let folder = self.folder.display().to_string();
        let whole = format!("pid {folder}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{lines}}}\n");
        let file = self.script("conf", &whole);
        let mut command = Command::new(nginx);
        let finished = tools::run(command.args(["-t", "-e", "stderr", "-p", &folder, "-c"]).arg(file), PATIENCE);
        if finished.status.success() { Ok(()) } else { Err(Outcome::Failed(finished.stderr)) }
    }
}

const DATABASE: &str = "comet@127.0.0.1:3306/comet";

/// What blocks for the shell need besides the shell itself.
const SHELL_PROGRAMS: [&str; 5] = ["mysql", "mariadb", "curl", "openssl", "sqlite3"];

/// What pages log and fail at. `show` is what examples do with a message.
const RECORDER: &str = "<script>
window.docLog = []; window.docErrors = [];
const text = (value) => typeof value === 'object' ? JSON.stringify(value) : String(value);
console.log = window.show = (...values) => docLog.push(values.map(text).join(' '));
addEventListener('error', (event) => docErrors.push(String(event.message)));
addEventListener('unhandledrejection', (event) => docErrors.push(String(event.reason)));
</script>
";

fn replace_number(text: &str, number: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(number) {
        let (before, behind) = (&rest[..at], &rest[at + number.len()..]);
        let inside = |c: char| c.is_ascii_digit();
        let whole = !before.ends_with(inside) && !behind.starts_with(inside);
        out.push_str(before);
        out.push_str(if whole { by } else { number });
        rest = behind;
    }
    out + rest
}
