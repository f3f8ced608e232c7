//! The programs of `examples`, run as their own words say; the chats in PHP are in `web/e2e/users.test.mjs`, what connects
//! browsers with each other is in `web/e2e/examples.test.mjs`.

use crate::docs::markdown::{Block, Document};
use crate::nginx::{self, Nginx, await_bytes, connect};
use crate::php::have_php;
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a publisher might get wrong: quotes, backslashes, other letters, line ends.
const MESSAGE: &str = "{\"text\":\"It's \\\"quoted\\\" \\\\ \\n Привет 😀\"}";

#[test]
fn the_publisher_in_python() {
    let test = "the_publisher_in_python";
    let folder = tools::root().join(".test-deps/venv/bin");
    let import = ["-c", "import pymysql"];
    if !folder.join("python3").is_file()
        || !tools::run(Command::new(folder.join("python3")).args(import), PATIENCE).status.success()
    {
        return tools::skip(test, "pymysql", "PyMySQL is not installed");
    }
    publishes("python", Some(&folder));
}

#[test]
fn the_publisher_in_node() {
    let test = "the_publisher_in_node";
    if tools::need(test, &["node"]).is_none() {
        return;
    }
    if !modules_of_node().join("mysql2").is_dir() {
        return tools::skip(test, "node-mysql2", "mysql2 is not installed");
    }
    publishes("node", None);
}

#[test]
fn the_publisher_in_a_shell() {
    let test = "the_publisher_in_a_shell";
    if tools::need(test, &["mysql"]).is_none() || tools::need(test, &["bash"]).is_none() {
        return;
    }
    publishes("shell", None);
}

#[test]
fn the_publisher_in_java() {
    let test = "the_publisher_in_java";
    let Some(java) = tools::need(test, &["java"]) else { return };
    if !Path::new(CONNECTOR_J).is_file() {
        return tools::skip(test, "connector-j", &format!("there is no {CONNECTOR_J}"));
    }
    let modules = tools::run(Command::new(java).arg("--list-modules"), PATIENCE).stdout;
    if !modules.lines().any(|line| line.starts_with("jdk.compiler")) {
        return tools::skip(test, "connector-j", "this java cannot run a source file");
    }
    publishes("java", None);
}

#[test]
fn the_publisher_in_go() {
    let test = "the_publisher_in_go";
    if tools::need(test, &["go"]).is_none() {
        return;
    }
    if !Path::new("/usr/share/gocode/src/github.com/go-sql-driver/mysql").is_dir() {
        return tools::skip(test, "go-mysql", "golang-github-go-sql-driver-mysql-dev is not installed");
    }
    publishes("go", None);
}

#[test]
fn the_publisher_in_ruby() {
    let test = "the_publisher_in_ruby";
    let Some(ruby) = tools::need(test, &["ruby"]) else { return };
    if !tools::run(Command::new(ruby).args(["-e", "require 'mysql2'"]), PATIENCE).status.success() {
        return tools::skip(test, "ruby-mysql2", "ruby-mysql2 is not installed");
    }
    publishes("ruby", None);
}

#[test]
fn the_publisher_in_perl() {
    let test = "the_publisher_in_perl";
    let Some(perl) = tools::need(test, &["perl"]) else { return };
    if !tools::run(Command::new(perl).args(["-MDBD::MariaDB", "-e", "1"]), PATIENCE).status.success() {
        return tools::skip(test, "perl-mariadb", "libdbd-mariadb-perl is not installed");
    }
    publishes("perl", None);
}

/// The line of its README, in the server's folder; then what it says of a server that it cannot reach by MySQL, of one with TLS, and of
/// a wrong password.
#[test]
fn the_check_of_a_hosting() {
    let test = "the_check_of_a_hosting";
    if !have_php(test) {
        return;
    }
    let said = |server: &Server, options: &str, variables: &[(&str, &str)]| {
        let folder = server.folder().join("examples");
        copy(&tools::root().join("examples"), &folder);
        let before = files(&folder);
        let readme = Document::read("examples/php-check/README.md");
        let line = readme.blocks.iter().find(|block| block.language == "sh").expect("a line").text.clone();
        let mut command = Command::new("bash");
        command.args(["-c", &line.replace("php examples", &format!("php {options} examples"))]);
        command.env("COMET_PORT", server.cometql.port().to_string());
        command.env("COMET_URL", format!("http://{}", server.browsers)).envs(variables.iter().copied());
        let finished = tools::run(command.current_dir(server.folder()), PATIENCE);
        assert_eq!(files(&folder), before, "it leaves something behind");
        assert!(!finished.stdout.contains(&server.password), "{}", finished.stdout);
        assert!(
            !finished.stdout.contains("Warning: ") && finished.stderr.is_empty(),
            "{}{}",
            finished.stdout,
            finished.stderr
        );
        finished.stdout
    };
    let server = Server::start(&Setup { password: None, ..Setup::default() });
    let fine = said(&server, "", &[]);
    for words in [
        "ok    mysqli   ",
        "ok    PDO   ",
        "-     mysqli with TLS ",
        "ok    POST /cometql ",
        "\n\nPublish with PDO: host 127.0.0.1",
    ] {
        assert!(fine.contains(words), "{words} in\n{fine}");
    }
    // Without the extensions, as on the smallest hostings.
    let bare = said(&server, "-n", &[]);
    assert!(
        bare.contains("no    mysqli   ")
            && bare.contains("MySQL sessions do not work from here. Publish with POST http"),
        "{bare}"
    );
    let closed = said(&server, "", &[("COMET_PORT", "1")]);
    assert!(closed.contains("no    TCP ") && closed.contains("[cometql] ip"), "{closed}");
    let with_tls =
        Server::start(&Setup { password: None, more: "[cometql]\ntls = required\n".to_owned(), ..Setup::default() });
    let required = said(&with_tls, "", &[]);
    assert!(required.contains("ok    mysqli with TLS ") && required.contains("TLS only"), "{required}");
    let closed_to_others =
        Server::start(&Setup { password: None, more: "[ws]\ncometql = off\n".to_owned(), ..Setup::default() });
    let no_way = said(&closed_to_others, "-n", &[]);
    assert!(no_way.contains("No way works yet"), "{no_way}");
}

/// Where Debian has its Java libraries.
const CONNECTOR_J: &str = "/usr/share/java/mariadb-java-client.jar";

fn modules_of_node() -> PathBuf {
    tools::root().join(".test-deps/node/node_modules")
}

/// Runs what the README of an example says, word for word, in the folder of a server that generated its password; then
/// the first line of it with an awkward message and another password. `programs` is looked into before the PATH.
fn publishes(name: &str, programs: Option<&Path>) {
    let readme = Document::read(&format!("examples/{name}/README.md"));
    assert!(readme.indented_code().is_none(), "{name}: code in a README stands in a fence, so that it is run");
    // What installs something is marked.
    let blocks: Vec<&Block> =
        readme.blocks.iter().filter(|block| block.language == "sh" && !block.is("install")).collect();
    let (mut arguments, generated) = (String::new(), Server::start(&Setup { password: None, ..Setup::default() }));
    for block in &blocks {
        // The message is the last argument, and in SQL the last value.
        let line = block.text.trim_end();
        let message = line.rsplit('\'').nth(1).expect("a message in quotes");
        run_beside(&generated, &block.text, &[], programs, message);
        if arguments.is_empty() {
            line.split_once(" simplechat ").expect("a pipe").0.clone_into(&mut arguments);
        }
    }
    let other = Server::start(&Setup::default());
    let line = format!("export COMET_PASSWORD='{}'\n{arguments} \"$@\"", other.password);
    run_beside(&other, &line, &["simplechat", "newMessage", MESSAGE], programs, MESSAGE);
}

/// Runs a line of a README in the server's folder, where the examples are as in a checkout. It must publish this message,
/// and leave nothing behind.
fn run_beside(server: &Server, line: &str, arguments: &[&str], programs: Option<&Path>, message: &str) {
    let folder = server.folder().join("examples");
    copy(&tools::root().join("examples"), &folder);
    // As its README installs them.
    let modules = folder.join("node/node_modules");
    let _ = std::fs::remove_file(&modules);
    std::os::unix::fs::symlink(modules_of_node(), modules).expect("a link");
    let before = files(&folder);
    let mut browser = server.browser();
    browser.send("subscription\nsimplechat");
    server.await_subscribers("simplechat", 1);
    let port = server.cometql.port().to_string();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c"]).arg(line.replace("-P 3300", &format!("-P {port}")));
    command.arg("bash").args(arguments).current_dir(server.folder()).env_remove("COMET_PASSWORD");
    // As the terminal of whoever types letters that are not English.
    command.env("COMET_PORT", port).env("LC_ALL", "C.UTF-8");
    if let Some(programs) = programs {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs.display()));
    }
    let finished = tools::run(&mut command, PATIENCE);
    assert!(finished.status.success(), "{line}\n{}{}", finished.stdout, finished.stderr);
    let received = browser.receive();
    assert_eq!((&received["event"], &received["data"]), (&"newMessage".into(), &message.into()), "{line}: {received}");
    assert_eq!(files(&folder), before, "{line} leaves something behind");
    drop(browser);
    server.await_subscribers("simplechat", 0);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_name() == "node_modules" {
            // What somebody installed in the checkout.
        } else if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() && !entry.path().is_symlink() {
            found.extend(files(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

/// A publisher that no test runs would rot.
#[test]
fn every_example_is_run() {
    let known = [
        "go",
        "java",
        "nginx",
        "node",
        "perl",
        "php-chat",
        "php-check",
        "python",
        "ruby",
        "shell",
        "webrtc-signalling",
    ];
    let index = Document::read("examples/README.md");
    let mut names: Vec<String> = std::fs::read_dir(example(""))
        .expect("the examples")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().display().to_string())
        .collect();
    names.sort();
    assert_eq!(names, known, "a new example needs a test here or in web/e2e");
    for name in &names {
        assert!(index.links.iter().any(|(_, target)| target == name), "examples/README.md does not lead to {name}");
    }
}

#[test]
fn nginx_in_front() {
    let test = "nginx_in_front";
    let Some(program) = nginx::find(test) else { return };
    let server = Server::start(&Setup::default());
    let text = std::fs::read_to_string(example("nginx/encke.conf")).expect("the example");
    let nginx = Nginx::start(&program, &server, &text);

    // Its own words pass: WebSocket, with what was published at once.
    let stream = connect(nginx.address);
    let url = format!("ws://{}/comet-server/ws/sesion=&myid=&devid=0&v=4.09&uuid=nginx&api=js", nginx.address);
    let (mut socket, _) = tungstenite::client(url, stream).expect("the handshake succeeds");
    socket.send("subscription\nproxied".into()).expect("sent");
    // Server-Sent Events, which nginx must not keep back.
    let mut events = connect(nginx.address);
    events.write_all(b"GET /comet-server/sse?v=4&pipes=proxied HTTP/1.1\r\nHost: example.com\r\n\r\n").expect("sent");
    server.await_subscribers("proxied", 2);
    let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('proxied', 'e', 'through nginx')";
    server.backend().execute(insert).expect("accepted");
    assert!(socket.read().expect("serverInfo").to_string().contains("serverInfo"));
    assert!(socket.read().expect("the message").to_string().contains("through nginx"));
    await_bytes(&mut events, "through nginx");

    // Long polling, the library, the demo pages.
    for (target, inside) in [
        ("poll/sign?pipes=proxied", "\"seq\":0"),
        ("encke.js", "export"),
        ("encke-http.js", "export"),
        ("demo/", "<h1>Demos</h1>"),
        ("demo", "Location: demo/"),
        ("info", "\"status\":\"ok\""),
    ] {
        let mut stream = connect(nginx.address);
        let request = format!("GET /comet-server/{target} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        await_bytes(&mut stream, inside);
    }
}

fn example(path: &str) -> PathBuf {
    tools::root().join("examples").join(path)
}
