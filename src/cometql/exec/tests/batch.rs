//! Batches that come by HTTP: who may, what is answered when, and what they may take of the server.

use std::collections::BTreeMap;

use super::*;
use crate::cometql::exec::batch::BATCHES_MAX;
use crate::ring::{Batch, BatchAnswer, BatchDone, BatchWish, Replies};
use serde_json::{Value as Json, json};

const SHARD: ShardId = ShardId(1);

fn text(sql: &str) -> BatchWish {
    BatchWish::Text(sql.as_bytes().into())
}

fn statements(statements: &[(&str, Json)]) -> BatchWish {
    let statements: Json = statements.iter().map(|(sql, values)| json!({ "sql": sql, "params": values })).collect();
    BatchWish::Json(statements.to_string().into_bytes().into())
}

impl Bench {
    fn batch_as(&mut self, user: &str, password: &str, database: Option<&str>, wish: BatchWish) {
        let batch = Batch {
            asker: id(70),
            address: HERE,
            user: user.into(),
            database: database.map(Into::into),
            password: password.as_bytes().into(),
            wish,
        };
        self.exec.begin_batch(SHARD, batch, self.now, &live);
        self.turn();
    }

    fn batch(&mut self, wish: BatchWish) {
        self.batch_as("1", PASSWORD, None, wish);
    }

    /// What was answered since the last call; each to the connection that asked.
    fn done(&mut self) -> Vec<BatchAnswer> {
        while self.exec.next_finished() {}
        self.turn();
        let mut answers = Vec::new();
        self.rings.retain(|(to, message)| match message {
            RingMessage::BatchDone(done) => {
                let BatchDone { asker, answer } = &**done;
                assert_eq!((*to, *asker), (SHARD, id(70)));
                answers.push(answer.clone());
                false
            }
            _ => true,
        });
        answers
    }

    /// The results of the one batch that is done.
    fn results(&mut self) -> Json {
        let answers = self.done();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!((answers[0].status, answers[0].retry_after), (200, None));
        let answer: Json = serde_json::from_slice(&answers[0].body).expect("JSON");
        answer["results"].clone()
    }

    fn status(&mut self) -> (u16, Option<u64>) {
        let answers = self.done();
        assert_eq!(answers.len(), 1, "{answers:?}");
        (answers[0].status, answers[0].retry_after)
    }
}

fn error_of(result: &Json) -> u64 {
    result["error"]["number"].as_u64().unwrap_or_default()
}

#[test]
fn results_come_together_when_everything_is_done() {
    let mut bench = Bench::greeted();
    bench.batch(text(&format!("{INSERT}; SELECT 1 AS one; {INSERT}")));
    assert_eq!(bench.done(), [], "the owner has not spoken");
    bench.accept(0);
    assert_eq!(bench.done(), [], "the third statement has begun");
    let RingMessage::Publish { publication, .. } = &bench.rings[1].1 else { panic!("no publication") };
    assert_eq!(publication.pipe.dev, DevId(1));
    bench.accept(1);
    let ok = json!({ "affected": 0, "insert_id": 0 });
    let one = json!({ "columns": [{ "name": "one", "type": "number" }], "rows": [["1"]] });
    assert_eq!(bench.results(), json!([ok, one, ok]));
    // The session is gone, and only the one with a socket is left.
    assert_eq!(bench.exec.sessions(), 1);
    assert_eq!(bench.exec.connections.len(), 1);
}

#[test]
fn values_are_bound_and_never_read_as_sql() {
    let mut bench = Bench::greeted();
    let hostile = "'); DELETE FROM pipes_settings; -- \\";
    bench.batch(statements(&[
        ("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", json!(["abc", "e", hostile])),
        ("SELECT ? AS x", json!([18_446_744_073_709_551_615_u64])),
    ]));
    let RingMessage::Publish { publication, .. } = &bench.rings[0].1 else { panic!("no publication") };
    assert_eq!(&*publication.message, hostile);
    bench.accept(0);
    let results = bench.results();
    assert_eq!(results.as_array().map(Vec::len), Some(2), "{results}");
    for (sql, values, expected) in [
        ("SELECT ?", json!([]), 1210),
        ("SELECT 1", json!([null]), 1210),
        ("SELECT 1; SELECT 2", json!([]), 3),
        ("", json!([]), 17),
    ] {
        bench.batch(statements(&[(sql, values)]));
        assert_eq!(error_of(&bench.results()[0]), expected, "{sql}");
    }
}

#[test]
fn behind_an_error_nothing_is_carried_out() {
    for wish in [
        text(&format!("SELECT 1; SELECT nothing FROM nowhere; {INSERT}")),
        statements(&[("SELECT 1", json!([])), ("SELECT nothing FROM nowhere", json!([])), (INSERT, json!([]))]),
    ] {
        let mut bench = Bench::greeted();
        bench.batch(wish);
        let results = bench.results();
        assert_eq!(results.as_array().map(Vec::len), Some(2));
        assert_eq!(error_of(&results[1]), 15);
        assert!(bench.rings.is_empty());
    }
    let mut bench = Bench::greeted();
    bench.batch(text(&format!("{INSERT}; SELECT 1")));
    bench.refuse(0, Refusal::Storage(StorageError::Failed("disk full".into())));
    let results = bench.results();
    assert_eq!((results.as_array().map(Vec::len), error_of(&results[0])), (Some(1), 500));
}

#[test]
fn the_user_and_the_database_choose_the_tenant() {
    for (user, database, expected) in [
        ("1", None, Ok(1)),
        ("root", None, Ok(0)),
        ("root", Some("CometQL_v1"), Ok(0)),
        ("1", Some("db_7"), Ok(7)),
        ("1", Some("db_10"), Err(403)),
        ("10", None, Err(403)),
        ("bob", None, Err(403)),
    ] {
        let mut bench = Bench::greeted();
        bench.batch_as(user, PASSWORD, database, text(INSERT));
        match expected {
            Ok(dev) => {
                let RingMessage::Publish { publication, .. } = &bench.rings[0].1 else { panic!("no publication") };
                assert_eq!(publication.pipe.dev, DevId(dev), "{user} {database:?}");
            }
            Err(status) => assert_eq!(bench.status(), (status, None), "{user} {database:?}"),
        }
    }
    let mut bench = Bench::greeted();
    bench.batch(text(&format!("USE db_3; {INSERT}")));
    let RingMessage::Publish { publication, .. } = &bench.rings[0].1 else { panic!("no publication") };
    assert_eq!(publication.pipe.dev, DevId(3));
}

#[test]
fn a_tenants_password_opens_the_tenant_only() {
    let mut bench = Bench::greeted();
    let passwords = BTreeMap::from([(DevId(5), "battery staple".into())]);
    bench.exec.config.tenants = Tenants { passwords: Arc::new(passwords), own_only: false };
    bench.batch_as("5", "battery staple", None, text("SELECT 1; USE db_6"));
    assert_eq!(error_of(&bench.results()[1]), 16);
    bench.batch_as("5", "battery staple", Some("db_6"), text("SELECT 1"));
    assert_eq!(bench.status(), (403, None));
    bench.batch_as("5", "battery staple", None, BatchWish::Password);
    assert_eq!(bench.status(), (403, None), "the figures are those of all tenants");
    bench.batch_as("root", PASSWORD, None, BatchWish::Password);
    assert_eq!(bench.status(), (200, None));
    // Its sessions have a maximum, and batches count among them.
    bench.batch_as("5", "battery staple", None, text(INSERT));
    bench.batch_as("5", "battery staple", None, text(INSERT));
    bench.batch_as("5", "battery staple", None, text(INSERT));
    assert_eq!(bench.status(), (503, Some(1)));
    bench.accept(0);
    bench.accept(1);
    assert_eq!(bench.done().len(), 2);
    bench.batch_as("5", "battery staple", None, text("SELECT 1"));
    assert_eq!(bench.status(), (200, None));
}

#[test]
fn wrong_passwords_make_their_address_wait_by_http_and_nowhere_else() {
    let mut bench = Bench::greeted();
    for _ in 0..3 {
        bench.batch_as("1", "wrong", None, text("SELECT 1"));
        assert_eq!(bench.status(), (401, None));
    }
    assert_eq!(bench.held_off, [HERE]);
    // Whether this one is right is not told.
    for password in [PASSWORD, "wrong", ""] {
        bench.batch_as("1", password, None, text("SELECT 1"));
        assert_eq!(bench.status(), (429, Some(1)));
    }
    // What pages and proxies do holds off no backend.
    bench.log_in("1", PASSWORD, None);
    assert_eq!(bench.take(), ["ok 0 0"]);
    bench.now.time = bench.now.time + 1_000_000;
    bench.batch(text("SELECT 1"));
    assert_eq!(bench.status(), (200, None));
    bench.batch_as("1", "wrong", None, text("SELECT 1"));
    assert_eq!(bench.status(), (401, None), "it begins anew");
}

#[test]
fn no_more_batches_than_there_may_be() {
    let mut bench = Bench::greeted();
    (0..BATCHES_MAX).for_each(|_| bench.batch(text(INSERT)));
    assert_eq!(bench.done(), []);
    bench.batch(text("SELECT 1"));
    assert_eq!(bench.status(), (503, Some(1)));
    (0..BATCHES_MAX).for_each(|nth| bench.accept(nth));
    assert_eq!(bench.done().len(), BATCHES_MAX);
    bench.batch(text("SELECT 1"));
    assert_eq!(bench.status(), (200, None));
}

#[test]
fn a_batch_can_be_killed() {
    let mut bench = Bench::logged_in();
    bench.batch(text(&format!("SELECT 1; {INSERT}")));
    bench.query("SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE ID = 2");
    for _ in 0..2 {
        bench.answer(Replies::Connections { connections: vec![], next: None });
    }
    assert_eq!(bench.take(), ["rows ID,HOST: 2,127.0.0.1"]);
    bench.query("KILL 2");
    assert_eq!(bench.take(), ["ok 0 0"]);
    let results = bench.results();
    assert_eq!((results.as_array().map(Vec::len), error_of(&results[1])), (Some(2), 500));
    bench.accept(0);
    assert_eq!(bench.done(), [], "nobody waits for it");
    assert_eq!(bench.exec.sessions(), 1);
}

#[test]
fn an_answer_that_is_too_large_is_an_error() {
    let mut bench = Bench::greeted();
    bench.batch(text("SELECT 1 AS one; SELECT data FROM users_data WHERE id IN (1, 2, 3, 4, 5); SELECT 1"));
    let row = |user| (UserId::new(user).unwrap(), "x".repeat(1024 * 1024).into());
    while !bench.jobs.is_empty() {
        let Request::Read { read: Read::UserData { users, .. }, .. } = &bench.jobs[0].request else {
            panic!("no such read")
        };
        let rows = users.iter().map(|user| row(user.get())).collect();
        bench.complete(Ok(Outcome::Texts(rows)));
    }
    let results = bench.results();
    assert_eq!((results.as_array().map(Vec::len), error_of(&results[1])), (Some(2), 11), "{results:.300}");
    assert_eq!(bench.exec.held, 0);
}

#[test]
fn the_password_of_a_batch_is_not_shown() {
    let batch = Batch {
        asker: id(0),
        address: HERE,
        user: "1".into(),
        database: None,
        password: PASSWORD.as_bytes().into(),
        wish: text("SELECT 1"),
    };
    let shown = format!("{batch:?}");
    assert!(shown.contains("wish") && !shown.contains(&format!("{:?}", PASSWORD.as_bytes())), "{shown}");
}
