//! What a backend may say of a message besides pipe, event and text, on both engines and with one shard and four.

use crate::mariadb::{MariaDb, section};
use crate::server::{Server, Setup};
use crate::transports::Http;
use loadtest::CometQl;
use serde_json::Value;
use std::collections::VecDeque;

fn on_every_engine(test: &str, check: impl Fn(&Setup)) {
    let database = MariaDb::shared(&format!("publishing::{test}"));
    let sections = database.map(|database| section(&database.database()));
    for (shards, more) in [1, 4].into_iter().cycle().zip(std::iter::once(String::new()).chain(sections)) {
        check(&Setup { shards, more, ..Setup::default() });
    }
}

fn cell(backend: &mut CometQl, sql: &str) -> Option<String> {
    backend.rows(sql).expect("rows").pop().and_then(|row| row[0].clone())
}

#[test]
fn keys_are_known_after_a_restart() {
    on_every_engine("keys_are_known_after_a_restart", |setup| {
        let again = |server: &Server, pipe: &str| {
            let mut backend = server.backend();
            let columns = "name, event, message, idempotency_key";
            let insert = format!("INSERT INTO pipes_messages ({columns}) VALUES ('{pipe}', 'e', 'hello', 'a-key')");
            backend.execute(&insert).expect("OK");
            cell(&mut backend, "SELECT @@warning_count")
        };
        let server = Server::start(setup);
        server.backend().execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 1)").expect("OK");
        let is = |warnings: &str| Some(warnings.to_owned());
        assert_eq!((again(&server, "kept"), again(&server, "kept")), (is("0"), is("1")));
        assert_eq!((again(&server, "other"), again(&server, "other")), (is("0"), is("1")));
        // The message itself goes before its key does.
        let more =
            "INSERT INTO pipes_messages (name, event, message) VALUES ('kept', 'e', 'newer'), ('kept', 'e', 'newest')";
        server.backend().execute(more).expect("OK");
        let (_, folder) = server.stop();
        let server = Server::start_in(folder, setup);
        assert_eq!((again(&server, "kept"), again(&server, "other")), (is("1"), is("0")));
        let count = cell(&mut server.backend(), "SELECT COUNT(*) FROM pipes_messages WHERE name = 'kept'");
        assert_eq!(count, is("1"));
    });
}

/// What a page hears of pipe `score` until it is subscribed.
fn score(messages: impl Iterator<Item = Value>) -> (Vec<String>, Value) {
    let mut heard = Vec::new();
    for message in messages {
        if message["event"] == "subscribed" {
            return (heard, message["data"]["recovered"].clone());
        }
        if message["pipe"] == "score" {
            assert_eq!(message["fromQueue"], true, "{message}");
            heard.push(message["data"].as_str().expect("a text").to_owned());
        }
    }
    panic!("nothing more comes: {heard:?}");
}

#[test]
fn the_newest_come_first_on_every_transport() {
    on_every_engine("the_newest_come_first_on_every_transport", |setup| {
        let server = Server::start(setup);
        let mut backend = server.backend();
        backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('score', 3)").expect("OK");
        let publish =
            "INSERT INTO pipes_messages (name, event, message) VALUES ('score', 'e', '1'), ('score', 'e', '2')";
        backend.execute(publish).expect("OK");
        let expected = (vec!["2".to_owned()], Value::Null);

        let mut browser = server.browser_of("js2");
        browser.send("subscription2\nscore ~1");
        assert_eq!(score(std::iter::repeat_with(|| browser.receive())), expected);
        backend.execute("INSERT INTO pipes_messages (name, event, message) VALUES ('score', 'e', '3')").expect("OK");
        assert_eq!(browser.receive()["data"], "3");

        let mut events = Http::connect(&server);
        events.send("GET /sse?api=js2&pipes=score&last=score:~2 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(events.head().status, 200);
        let heard = score(std::iter::repeat_with(|| events.event().1));
        assert_eq!(heard, (vec!["2".to_owned(), "3".to_owned()], Value::Null));

        let mut poll = Http::connect(&server);
        let mut get = |target: &str| -> Value {
            serde_json::from_str(poll.get(target, "").text()).unwrap_or_else(|error| panic!("{target}: {error}"))
        };
        let signed = get("/poll/sign?api=js2&pipes=score&last=~1");
        let (id, mut seq, mut waiting) = (signed["id"].as_str().expect("an id").to_owned(), 0, VecDeque::new());
        let next = || loop {
            if let Some(message) = waiting.pop_front() {
                return message;
            }
            let answer = get(&format!("/poll?id={id}&seq={seq}"));
            let messages = answer.as_array().expect("a list");
            seq += messages.len();
            waiting.extend(messages.clone());
        };
        assert_eq!(score(std::iter::repeat_with(next)), (vec!["3".to_owned()], Value::Null));
    });
}
