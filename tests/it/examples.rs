//! The programs of `examples`, run as their own words say; the chats in PHP are in `web/e2e/users.test.mjs`.

use crate::nginx::{self, Nginx, await_bytes, connect};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a publisher might get wrong: quotes, backslashes, other letters, line ends.
const MESSAGE: &str = "{\"text\":\"It's \\\"quoted\\\" \\\\ \\n Привет 😀\"}";

#[test]
fn the_publisher_in_python() {
    let test = "the_publisher_in_python";
    let python = tools::root().join(".test-deps/venv/bin/python");
    if !python.is_file() || !tools::run(Command::new(&python).args(["-c", "import pymysql"]), PATIENCE).status.success()
    {
        return tools::skip(test, "pymysql", "PyMySQL is not installed");
    }
    publishes(Command::new(&python).arg(example("python/publish.py")));
    as_written("python", &[("PyMySQL", None)], &[("python", &python)]);
}

#[test]
fn the_publisher_in_node() {
    let test = "the_publisher_in_node";
    let Some(node) = tools::need(test, &["node"]) else { return };
    let modules = tools::root().join(".test-deps/node/node_modules");
    if !modules.join("mysql2").is_dir() {
        return tools::skip(test, "node-mysql2", "mysql2 is not installed");
    }
    // A module is looked for beside the script that wants it.
    let folder = crate::server::Folder::new();
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).expect("a link");
    let script = folder.path().join("publish.mjs");
    std::fs::copy(example("node/publish.mjs"), &script).expect("a copy");
    publishes(Command::new(node).arg(script));
    as_written("node", &[("mysql2", Some(&modules))], &[]);
}

#[test]
fn the_publisher_in_a_shell() {
    let test = "the_publisher_in_a_shell";
    if tools::need(test, &["mysql"]).is_none() || tools::need(test, &["bash"]).is_none() {
        return;
    }
    publishes(&mut Command::new(example("shell/publish.sh")));
    as_written("shell", &[], &[]);
}

/// Runs the lines of an example's README in a folder like the one that it speaks of: the server's, with `examples` in it and
/// the password where the server keeps it. Each line but those that install something publishes one message.
///
/// `installed` is what such lines name, and where it is; `programs` stand in for those of the search path.
fn as_written(name: &str, installed: &[(&str, Option<&Path>)], programs: &[(&str, &Path)]) {
    let server = Server::start(&Setup { password: None, ..Setup::default() });
    let folder = server.folder();
    let copied = Command::new("cp").arg("-r").arg(example("")).arg(folder.join("examples")).status();
    assert!(copied.expect("cp runs").success());
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    for (program, place) in programs {
        // A script and no link, because Python finds its packages from where it is.
        let script = bin.join(program);
        std::fs::write(&script, format!("#!/bin/sh\nexec '{}' \"$@\"\n", place.display())).expect("a script");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).expect("a search path");
    let port = server.cometql.port().to_string();
    let mut browser = server.browser();
    browser.send("subscription\nsimplechat");
    server.await_subscribers("simplechat", 1);
    let mut wanted = installed.to_vec();
    let readme = std::fs::read_to_string(example(name).join("README.md")).expect("the README");
    for line in readme.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some((_, what)) = line.split_once(" install ") {
            let place = wanted.iter().position(|(name, _)| *name == what).expect("a package that the tests have");
            if let (_, Some(modules)) = wanted.remove(place) {
                std::os::unix::fs::symlink(modules, folder.join("node_modules")).expect("a link");
            }
            continue;
        }
        let mut command = Command::new("bash");
        // Another port, and nothing else.
        command.arg("-c").arg(line.replace("3300", &port)).env("COMET_PORT", &port);
        command.current_dir(folder).env("PATH", &path).env_remove("COMET_PASSWORD").env_remove("COMET_PASSWORD_FILE");
        let finished = tools::run(&mut command, PATIENCE);
        assert!(finished.status.success(), "{line}\n{}{}", finished.stdout, finished.stderr);
        assert_eq!(browser.receive()["event"], "newMessage", "{line}");
    }
    assert!(wanted.is_empty() && readme.contains("\n    "), "{readme}");
}

/// With the password of the environment, then with the one that the server generated and keeps in a file.
fn publishes(command: &mut Command) {
    command.args(["simplechat", "newMessage", MESSAGE]);
    for password in [Setup::default().password, None] {
        let server = Server::start(&Setup { password, ..Setup::default() });
        let mut browser = server.browser();
        browser.send("subscription\nsimplechat");
        server.await_subscribers("simplechat", 1);
        command.current_dir(server.folder()).env("COMET_PORT", server.cometql.port().to_string());
        match password {
            Some(password) => command.env("COMET_PASSWORD", password),
            None => command.env_remove("COMET_PASSWORD"),
        };
        let finished = tools::run(command, PATIENCE);
        assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
        let message = browser.receive();
        assert_eq!((&message["event"], &message["data"]), (&"newMessage".into(), &MESSAGE.into()), "{message}");
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
