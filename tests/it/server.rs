//! The real program as a child process, with a folder of its own and ports that the system chose.

use crate::tools;
use loadtest::CometQl;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::WebSocket;

/// Longer than any start, stop or answer takes on a slow machine under load; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A folder that is removed at the end, unless the test fails and somebody may want to look.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in the folder and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file for the test");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// What differs between the servers of different tests.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub shards: u32,
    /// `None`: the server generates one.
    pub password: Option<&'static str>,
    /// Lines added at the end of the configuration.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self { shards: 2, password: Some("a password for the tests"), more: String::new() }
    }
}

/// A running server, killed at the end. Its working directory is its folder: configuration in `comet.ini`, data in
/// `data`, static files in `static`.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    folder: Option<Folder>,
    pub browsers: SocketAddr,
    pub cometql: SocketAddr,
    pub password: String,
    /// What must never stand in the log, besides the password.
    secrets: Vec<String>,
}

impl Server {
    pub(crate) fn start(setup: &Setup) -> Self {
        Self::start_in(Folder::new(), setup)
    }

    /// Starts in a folder that may hold the data of an earlier server.
    pub(crate) fn start_in(folder: Folder, setup: &Setup) -> Self {
        Self::start_by(folder, setup, Command::new(program()))
    }

    /// Starts by a command that ends in the program.
    pub(crate) fn start_by(folder: Folder, setup: &Setup, mut command: Command) -> Self {
        fs::create_dir_all(folder.path().join("static")).expect("a folder for static files");
        folder.file("comet.ini", &configuration(setup));
        let mut child = command
            .args(["--conf", "comet.ini"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        follow(&mut child, &log);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self {
            child,
            log,
            folder: Some(folder),
            browsers: nowhere,
            cometql: nowhere,
            password: setup.password.unwrap_or_default().to_owned(),
            secrets: secrets(&setup.more),
        };
        server.browsers = server.address("  browsers ");
        server.cometql = server.address("  CometQL ");
        // The last line of the banner, which stands there whatever becomes of the log.
        server.await_line(|line| line.starts_with("  stop "), "the end of the banner");
        if setup.password.is_none() {
            let file = server.folder().join("data/cometql.password");
            server.password = fs::read_to_string(file).expect("a password was generated");
        }
        server
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().map(Folder::path).expect("a running server has its folder")
    }

    /// Everything the server wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the running server take another configuration, as its command does; ports stay.
    pub(crate) fn reload(&self, setup: &Setup) -> tools::Finished {
        fs::write(self.folder().join("comet.ini"), configuration(setup)).expect("a configuration");
        self.command(&["reload"])
    }

    /// Carries out a command of the program in the server's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> tools::Finished {
        let mut command = Command::new(program());
        command.args(arguments).args(["--conf", "comet.ini"]).current_dir(self.folder());
        tools::run(&mut command, PATIENCE)
    }

    /// A line of the banner, as a user would paste it.
    pub(crate) fn banner_line(&self, name: &str) -> String {
        let name = format!("  {name} ");
        let line = self.await_line(|line| line.starts_with(&name), &name);
        line.strip_prefix(&name).map(str::trim).unwrap_or_default().to_owned()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it has now.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<usize>().ok()).expect("kilobytes") * 1024
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is there");
    }

    /// Asks for the end, as a service manager does, and waits for it.
    pub(crate) fn stop(mut self) -> (ExitStatus, Folder) {
        self.signal(Signal::TERM);
        let status = tools::wait(&mut self.child, PATIENCE);
        let folder = self.folder.take().expect("a running server has its folder");
        (status.unwrap_or_else(|| panic!("no end after SIGTERM\n{}", self.log())), folder)
    }

    /// Ends it as a crash does, without a chance to put anything in order.
    pub(crate) fn crash(mut self) -> Folder {
        self.signal(Signal::KILL);
        self.wait();
        self.folder.take().expect("a running server has its folder")
    }

    /// Waits for the end that something else causes.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        tools::wait(&mut self.child, PATIENCE).unwrap_or_else(|| panic!("no end\n{}", self.log()))
    }

    /// A browser that is connected and has read its first message, `serverInfo`.
    pub(crate) fn browser(&self) -> Browser {
        self.browser_of("js")
    }

    /// With another library.
    pub(crate) fn browser_of(&self, api: &str) -> Browser {
        self.connect("", "", 0, api).0
    }

    /// A user of a tenant, with a key, and the first message.
    pub(crate) fn browser_with_key(&self, dev: u32, user: &str, key: &str) -> (Browser, serde_json::Value) {
        self.connect(key, user, dev, "js")
    }

    fn connect(&self, key: &str, user: &str, dev: u32, api: &str) -> (Browser, serde_json::Value) {
        let stream = TcpStream::connect(self.browsers).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let who = format!("sesion={key}&myid={user}&devid={dev}");
        let url = format!("ws://{}/ws/{who}&v=4.09&uuid=it0123456789abcdef&api={api}", self.browsers);
        let (socket, _) = tungstenite::client(url, stream).expect("the handshake succeeds");
        let mut browser = Browser(socket);
        let first = browser.receive();
        assert_eq!(first["event"], "serverInfo", "{first}");
        (browser, first)
    }

    /// A backend's session as tenant 0.
    pub(crate) fn backend(&self) -> CometQl {
        let session = CometQl::connect(self.cometql, "root", &self.password, Some("CometQL_v1"));
        let mut session = session.expect("the login succeeds");
        session.set_limit(PATIENCE);
        session
    }

    /// Waits until this many connections are subscribed to the pipe: a subscription has no answer of its own.
    pub(crate) fn await_subscribers(&self, pipe: &str, count: u32) {
        let mut backend = self.backend();
        let query = format!("SELECT users FROM pipes WHERE name = '{pipe}'");
        let expected = vec![vec![Some(count.to_string())]];
        let mut seen = Vec::new();
        let found = tools::until(PATIENCE, || {
            seen = backend.rows(&query).expect("the number of subscribers");
            (seen == expected).then_some(())
        });
        assert!(found.is_some(), "{pipe} should have {count} subscribers: {seen:?}");
    }

    fn address(&self, prefix: &str) -> SocketAddr {
        let line = self.await_line(|line| line.starts_with(prefix), prefix);
        let address = line[prefix.len()..].split_whitespace().next().unwrap_or_default();
        address.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub(crate) fn await_line(&self, is_it: impl Fn(&str) -> bool, what: &str) -> String {
        let found = tools::until(PATIENCE, || self.log().lines().find(|line| is_it(line)).map(str::to_owned));
        found.unwrap_or_else(|| panic!("the server did not say: {what}\n{}", self.log()))
    }
}

impl Drop for Server {
    /// Every test holds the server to it that no secret of the configuration, and no key in [`KEYS`], is in its log.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            return eprintln!("the server said:\n{}", self.log());
        }
        let log = self.log();
        let secrets = self.secrets.iter().chain([&self.password]).map(String::as_str).chain(KEYS);
        let told: Vec<_> = secrets.filter(|secret| !secret.is_empty() && log.contains(secret)).collect();
        assert!(told.is_empty(), "the log tells {told:?}:\n{log}");
    }
}

/// Keys of users that tests take.
const KEYS: [&str; 1] = ["key-of-a-user"];

/// The values of keys that are nobody's business.
fn secrets(sections: &str) -> Vec<String> {
    let names = ["password", "secret", "jwt_secret", "metrics_token"];
    let lines = sections.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim().to_owned()).collect()
}

/// One browser's connection.
pub(crate) struct Browser(WebSocket<TcpStream>);

impl Browser {
    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(text.into()).expect("the connection takes a message");
    }

    /// Whether the server ends the connection instead of saying anything.
    pub(crate) fn is_dropped(&mut self) -> bool {
        self.0.read().is_err()
    }

    /// The next message, as JSON; pings are answered on the way, and do not make it wait for ever.
    pub(crate) fn receive(&mut self) -> serde_json::Value {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "no message");
            let message = self.0.read().expect("the connection gives a message");
            if message.is_text() {
                let text = message.into_text().expect("a text is UTF-8");
                return serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            }
            assert!(message.is_ping() || message.is_pong(), "{message:?}");
        }
    }
}

/// The program under test.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_encke")
}

fn configuration(setup: &Setup) -> String {
    let password = setup.password.map(|password| format!("password = {password}\n")).unwrap_or_default();
    format!(
        "[main]\nnode_name = it\n{password}base_dir = static\n\
         [ws]\nip = 127.0.0.1\nport = 0\nthread_num = {}\npin_cores = false\n\
         [cometql]\nip = 127.0.0.1\nport = 0\n\
         [storage]\ndir = data\n\
         [content-type]\njs = application/javascript\n{}",
        setup.shards, setup.more
    )
}

fn follow(child: &mut Child, log: &Arc<Mutex<String>>) {
    let pipe = child.stderr.take().expect("standard error is a pipe");
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
        }
    });
}
