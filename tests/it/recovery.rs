//! A client of `api=js2` that comes back gets what it missed, or is told that it cannot.

use crate::server::{Browser, PATIENCE, Server, Setup};
use crate::tools;
use loadtest::CometQl;
use loadtest::bench::report::{Record, Report};
use loadtest::bench::{Target, storm};
use serde_json::{Value, json};

/// A client that remembers what it saw, over all its connections.
struct Client {
    browser: Browser,
    last: Option<String>,
    seen: Vec<String>,
}

impl Client {
    /// Comes to a pipe; returns what the server said about the time before.
    fn come(&mut self, pipe: &str) -> Value {
        let position = self.last.as_ref().map(|last| format!(" {last}")).unwrap_or_default();
        self.browser.send(&format!("subscription2\n{pipe}{position}\n"));
        loop {
            let message = self.browser.receive();
            if message["event"] == "subscribed" {
                let data = message["data"].clone();
                assert_eq!((message["pipe"].as_str(), data["pipe"].as_str()), (Some("sys"), Some(pipe)));
                self.last = data["position"].as_str().map(str::to_owned);
                return data["recovered"].clone();
            }
            assert_eq!(message["fromQueue"], true, "{message}");
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let number = |text: &str| text.parse::<u64>().expect("a position is a number");
        let position = message["position"].as_str().unwrap_or_else(|| panic!("without position: {message}"));
        assert!(self.last.as_ref().is_none_or(|last| number(position) > number(last)), "{message}");
        self.last = Some(position.to_owned());
        self.seen.push(message["data"].as_str().expect("a text").to_owned());
    }

    fn read(&mut self, count: usize) {
        for _ in 0..count {
            let message = self.browser.receive();
            self.note(&message);
        }
    }
}

fn publish(backend: &mut CometQl, pipe: &str, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let values = format!("('{pipe}', 'say', '{number}')");
        backend.execute(&format!("INSERT INTO pipes_messages (name, event, message) VALUES {values}")).expect("an OK");
    }
}

fn texts(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed() {
    let _alone = tools::alone();
    let setup = Setup { shards: 2, ..Setup::default() };
    let server = Server::start(&setup);
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 10)").expect("an OK");
    publish(&mut backend, "kept", 1..=3);

    let mut client = Client { browser: server.browser_of("js2"), last: None, seen: Vec::new() };
    let mut classic = server.browser();
    classic.send("subscription\nkept\n");
    server.await_subscribers("kept", 1);
    assert_eq!(client.come("kept"), Value::Null, "it did not ask for the past");
    publish(&mut backend, "kept", 4..=5);
    client.read(2);
    assert_eq!(client.seen, texts(4..=5));
    for number in 4..=5 {
        let message = classic.receive();
        assert_eq!(message["data"], number.to_string());
        assert_eq!(message.get("position"), None, "classic clients see nothing of it");
    }

    // Away for a while.
    client.browser = server.browser_of("js2");
    publish(&mut backend, "kept", 6..=9);
    assert_eq!(client.come("kept"), true);
    publish(&mut backend, "kept", 10..=10);
    client.read(1);
    assert_eq!(client.seen, texts(4..=10));
    // Nothing was missed.
    client.browser = server.browser_of("js2");
    assert_eq!(client.come("kept"), true);

    // Over a restart of the server.
    drop((backend, classic));
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    let server = Server::start_in(folder, &setup);
    let mut backend = server.backend();
    publish(&mut backend, "kept", 11..=13);
    client.browser = server.browser_of("js2");
    assert_eq!(client.come("kept"), true);
    publish(&mut backend, "kept", 14..=14);
    client.read(1);
    assert_eq!(client.seen, texts(4..=14));

    // More than the pipe keeps.
    client.browser = server.browser_of("js2");
    publish(&mut backend, "kept", 15..=30);
    assert_eq!(client.come("kept"), false);
    publish(&mut backend, "kept", 31..=31);
    client.read(1);
    assert_eq!(client.seen.split_off(11), texts(31..=31), "what is told to be lost is not given in part");
}

#[test]
fn a_gap_is_told_and_other_pipes_are_not_harmed() {
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 10)").expect("an OK");
    let mut browser = server.browser_of("js2");
    browser.send("subscription2\nplain 5\nkept 7\ntrust_a\nprivate_a\nx\n");
    let mut answers: Vec<Value> = (0..5).map(|_| browser.receive()["data"].clone()).collect();
    let errors: Vec<Value> = answers.extract_if(.., |data| !data["error"].is_null()).collect();
    assert_eq!(errors.iter().map(|data| &data["code"]).collect::<Vec<_>>(), ["403", "403"]);
    answers.sort_by_key(|data| data["pipe"].to_string());
    let [kept, plain, trusted] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((&kept["pipe"], &kept["recovered"]), (&json!("kept"), &json!(false)));
    assert!(kept["position"].is_string());
    assert_eq!(*plain, json!({ "pipe": "plain", "position": null, "recovered": false }));
    assert_eq!((&trusted["pipe"], trusted.get("recovered")), (&json!("trust_a"), None));
    assert!(trusted["position"].is_string());
    // Subscribed they are all the same.
    publish(&mut backend, "plain", 1..=1);
    let message = browser.receive();
    assert_eq!((&message["data"], message.get("position")), (&json!("1"), None));
    publish(&mut backend, "kept", 2..=2);
    assert!(browser.receive()["position"].is_string());

    let mut classic = server.browser();
    classic.send("subscription2\nkept\n");
    assert!(classic.is_dropped(), "a classic client does not know the command");
}

/// The load generator judges: everything that is lost, doubled or out of order fails its record.
#[test]
fn everybody_who_is_dropped_at_once_comes_back_to_what_was_missed() {
    let server = Server::start(&Setup { shards: 3, ..Setup::default() });
    let target = Target {
        ws: server.browsers,
        cometql: server.cometql,
        user: "root".into(),
        password: server.password.clone(),
        tenant: 0,
        server_pid: None,
        client_core: None,
        limit_seconds: PATIENCE.as_secs(),
        json: None,
    };
    let options = storm::Options { clients: 300, missed: 5, rate: 50.0, size: 128, under_way: 100, rounds: 3 };
    let mut report = Report::default();
    storm::run(&target, &options, &mut report).expect("a storm");
    let failed: Vec<String> = report.records().iter().filter(|it| it.is_failed()).map(Record::line).collect();
    assert!(failed.is_empty() && report.records().len() == 5, "{failed:?}");
    assert!(report.records().iter().all(|record| record.value("delivered").is_some_and(|count| count >= 300.0)));
}
