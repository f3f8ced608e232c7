//! Compressed messages, with a client library that judges them by itself.

use crate::server::{Server, Setup};
use crate::tools;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

const PIPE: &str = "compressed";
const ON: &str = "[ws]\ndeflate = on\n";
const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn clients_that_inflate_and_clients_that_do_not_get_the_same() {
    let Some(python) = find_python("clients_that_inflate_and_clients_that_do_not_get_the_same") else { return };
    let server = Server::start(&Setup { shards: 2, password: None, more: ON.to_owned() });
    let large = "what is said again and again ".repeat(300);
    let medium = "again and again, ".repeat(20);
    let messages = ["short", medium.as_str(), large.as_str()];
    let clients = ["full", "small", "plain", "full", "full"];
    let seen: Vec<Value> = thread::scope(|scope| {
        let waiting: Vec<_> = clients
            .iter()
            .map(|client| {
                let python = python.clone();
                let server = &server;
                scope.spawn(move || run(&python, server, client, "api=js2", messages.len(), false))
            })
            .collect();
        server.await_subscribers(PIPE, clients.len() as u32);
        let mut backend = server.backend();
        for message in messages {
            let insert =
                format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{PIPE}', 'e', '{message}')");
            backend.execute(&insert).expect("published");
        }
        waiting.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    for (client, seen) in clients.iter().zip(&seen) {
        assert_eq!(seen["received"], json!(messages), "{client}");
        let extensions = seen["extensions"].as_array().map_or(0, Vec::len);
        // With a window of 512 bytes the largest one comes as it is.
        let expected = match *client {
            "full" => (1, json!(2)),
            "small" => (1, json!(1)),
            _ => (0, json!(0)),
        };
        assert_eq!((extensions, seen["compressed"].clone()), expected, "{client}: {seen}");
    }
}

#[test]
fn a_bomb_ends_its_connection_only() {
    let Some(python) = find_python("a_bomb_ends_its_connection_only") else { return };
    let server = Server::start(&Setup { shards: 1, password: None, more: ON.to_owned() });
    let modern = run(&python, &server, "full", "api=js2", 0, true);
    assert_eq!(modern["end"], 1009, "{modern}");
    // A classic client is dropped without a word.
    let classic = run(&python, &server, "full", "api=js", 0, true);
    assert_eq!(classic["end"], Value::Null, "{classic}");
    server.browser();
}

#[test]
fn nothing_is_compressed_by_default() {
    let Some(python) = find_python("nothing_is_compressed_by_default") else { return };
    let server = Server::start(&Setup { shards: 1, password: None, more: String::new() });
    let seen = run(&python, &server, "full", "api=js2", 0, false);
    assert_eq!(seen["extensions"], json!([]), "{seen}");
}

fn run(python: &PathBuf, server: &Server, client: &str, api: &str, messages: usize, bomb: bool) -> Value {
    let url = format!("ws://{}/ws/sesion=&myid=&devid=0&v=4.09&uuid=it&{api}", server.browsers);
    let job = json!({ "url": url, "client": client, "pipe": PIPE, "messages": messages, "bomb": bomb });
    let mut command = Command::new(python);
    command.arg(tools::root().join("tests/it/deflate/client.py"));
    let finished = tools::run_with_input(&mut command, &format!("{job}\n"), LIMIT);
    let last = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{}{}", finished.stdout, finished.stderr))
}

fn find_python(test: &str) -> Option<PathBuf> {
    let own = tools::root().join(".test-deps/venv/bin/python");
    let python = if own.is_file() { own } else { tools::need(test, &["python3"])? };
    let has = Command::new(&python).args(["-c", "import websockets.sync.client"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    tools::skip(test, "websockets", "the Python library websockets is not installed");
    None
}
