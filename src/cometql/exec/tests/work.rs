//! Work that a peer causes is charged to its session, and is never done where answers of others arrive.

use super::tables::message;
use super::*;
use crate::cometql::exec::stage::Stage;
use crate::cometql::exec::turns::STATEMENT_WORK;
use crate::ring::{Batch, BatchWish, Replies};

impl Bench {
    /// Hands in commands and carries out one turn; whether the session rests behind it.
    fn first_turn(&mut self, commands: &[Vec<u8>]) -> bool {
        for body in commands {
            let length = body.len().to_le_bytes();
            self.input.extend([length[0], length[1], length[2], 0]);
            self.input.extend(body);
        }
        let received = self.exec.receive(id(0), &self.input, NOW, &live);
        self.input.drain(..received.used);
        self.paused = received.pause;
        self.rest_of_turn()
    }

    /// Whether the session goes on in the next turn.
    fn rest_of_turn(&mut self) -> bool {
        while self.exec.go_on(&live) {}
        self.end_turn();
        self.exec.session(id(0)).unwrap().rests
    }
}

fn query(sql: &str) -> Vec<u8> {
    [3].into_iter().chain(sql.bytes()).collect()
}

/// All statements of a query were parsed before the first of them began.
#[test]
fn the_statements_of_a_query_are_read_in_their_turns() {
    let list = (0..900).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let long = format!("SELECT * FROM users_auth WHERE id IN ({list}) LIMIT 0");
    let mut bench = Bench::logged_in();
    bench.exec.config.statements.query_bytes_max = 1_000_000;
    let rests = bench.first_turn(&[query(&vec![long.as_str(); 200].join(";"))]);
    assert!(rests, "it rests before the end");
    let begun = bench.exec.counters().statements;
    assert!((2..60).contains(&begun), "{begun} statements in one turn");
    assert!(bench.exec.session(id(0)).unwrap().bytes() > 100_000, "what is left is counted");
    // Another session is answered between them.
    bench.exec.next_turn();
    let mut turns = 1;
    while bench.rest_of_turn() {
        turns += 1;
        bench.exec.next_turn();
    }
    bench.paused = false;
    assert_eq!(bench.take(), vec!["rows id,hash: "; 200]);
    assert!((4..100).contains(&turns), "{turns}");
}

/// The same for a batch by HTTP, whose statements are bound.
#[test]
fn the_statements_of_a_batch_are_read_in_their_turns() {
    let mut bench = Bench::greeted();
    let statements: Vec<_> = (0..1_000).map(|at| serde_json::json!({ "sql": "SELECT ?", "params": [at] })).collect();
    let wish = BatchWish::Json(serde_json::Value::from(statements).to_string().into_bytes().into());
    let (user, password) = ("1".into(), PASSWORD.as_bytes().into());
    let batch = Batch { asker: id(70), address: HERE, user, database: None, password, wish };
    bench.exec.begin_batch(ShardId(1), batch, NOW, &live);
    let begun = bench.exec.counters().statements;
    assert!((10..=64).contains(&begun), "{begun} statements in one turn");
    bench.turn();
    assert_eq!(bench.exec.counters().statements, 1_000);
}

/// The price of a statement was the same whatever its length, whether it was read, prepared, bound or refused.
#[test]
fn reading_is_charged_by_what_it_takes() {
    let ids = (0..3_500).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let values = vec!["(1,'e','message')"; 900].join(",");
    let marks = vec!["?"; 4_000].join(",");
    let mut execute = vec![0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0];
    execute.extend(vec![0xff; 500]);
    execute.push(1);
    execute.extend([8, 0].repeat(4_000));
    for (name, before, command, least) in [
        ("a list", None, query(&format!("SELECT * FROM users_auth WHERE 1 = 0 AND id IN ({ids})")), 40_000),
        (
            "a mistake at the end",
            None,
            query(&format!("SELECT * FROM users_auth WHERE id IN ({ids}) nonsense (")),
            40_000,
        ),
        ("rows", None, query(&format!("INSERT INTO users_messages (id, event, message) VALUES {values}")), 300_000),
        ("a long value", None, query(&format!("SELECT '{}'", "x".repeat(900_000))), 10_000),
        ("a preparation", None, [&[0x16], format!("SELECT 1 IN ({ids})").as_bytes()].concat(), 40_000),
        ("an execution", Some(format!("\x16SELECT id FROM users_auth WHERE id IN ({marks})")), execute, 8_000),
    ] {
        let mut bench = Bench::logged_in();
        bench.exec.config.statements.query_bytes_max = 1_000_000;
        if let Some(before) = before {
            bench.packet(0, before.as_bytes());
        }
        bench.exec.next_turn();
        bench.first_turn(&[command]);
        let session = bench.exec.session(id(0)).unwrap();
        let work = session.work - STATEMENT_WORK.min(session.work);
        assert!(work >= least, "{name}: {work}");
    }
}

/// LIKE was computed where completions arrive, and charged to nobody.
#[test]
fn rows_are_looked_at_in_turns_of_the_session_that_asked() {
    let mut bench = Bench::logged_in();
    bench.exec.config.statements.result_bytes_max = usize::MAX;
    bench.exec.config.held_bytes_max = usize::MAX;
    let pattern = format!("%{}b", "a".repeat(200));
    bench.query(&format!("SELECT id FROM pipes_messages WHERE name = 'pipe' AND NOT message LIKE '{pattern}'"));
    // About nine million characters to compare, of which one row has a third.
    let texts = ["a".repeat(15_000), "a".repeat(15_000), "a".repeat(14_000)];
    let rows = texts.iter().zip(1..).map(|(text, at)| message(at, text)).collect();
    let job = bench.jobs.remove(0);
    let before = bench.exec.session(id(0)).unwrap().work;
    bench.exec.stored(Completion { ticket: job.ticket, result: Ok(Outcome::Messages { rows, more: false }) });
    let session = bench.exec.session(id(0)).unwrap();
    let Some(Stage::Streaming(stream)) = session.queue.front().map(|front| &front.stage) else { panic!("no rows") };
    assert!(stream.rows.is_looking() && session.work == before, "nothing is done where it arrives");
    let mut turns = 0;
    loop {
        bench.exec.next_turn();
        let rests = bench.rest_of_turn();
        turns += 1;
        let work = bench.exec.session(id(0)).unwrap().work;
        assert!(work <= 2 * turns::ROWS_WORK, "{work} steps in one turn");
        if !rests {
            break;
        }
    }
    assert!(turns > 10, "{turns}");
    assert_eq!(bench.take().len(), 1);
}

/// Sorting what ORDER BY holds was one step, however much it was.
#[test]
fn rows_are_sorted_and_skipped_in_turns() {
    let mut bench = Bench::logged_in();
    bench.exec.config.statements.result_bytes_max = usize::MAX;
    bench.exec.config.held_bytes_max = usize::MAX;
    bench.query("SELECT time FROM pipes_messages WHERE name = 'pipe' ORDER BY event, id DESC LIMIT 3 OFFSET 19996");
    let mut turns = 0;
    let mut page = 0;
    loop {
        bench.exec.next_turn();
        let rests = bench.rest_of_turn();
        turns += 1;
        assert!(bench.exec.session(id(0)).unwrap().work <= 2 * turns::ROWS_WORK);
        if let Some(job) = bench.jobs.pop() {
            let rows = (page * 1000..(page + 1) * 1000).map(|at| message(at, "m")).collect();
            page += 1;
            let result = Ok(Outcome::Messages { rows, more: page < 20 });
            bench.exec.stored(Completion { ticket: job.ticket, result });
        } else if !rests {
            break;
        }
    }
    assert!(turns > 25, "{turns}");
    assert_eq!(bench.take(), ["rows time: 1600000000 | 1600000000 | 1600000000"]);
}

/// Whoever was put off because others looked at many rows comes first in the next turn.
#[test]
fn sessions_that_look_at_rows_take_turns() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT name FROM pipes WHERE name = 'pipe'");
    let answer = bench.rings.pop();
    assert!(answer.is_some());
    bench.exec.turn = Turn::used_up();
    let number = *bench.exec.asks.keys().next().unwrap();
    let replies = Replies::Counts(vec![7]);
    bench.exec.ring(RingMessage::Answered(Box::new(Answered { id: AskId(number), replies })));
    assert!(bench.rest_of_turn());
    assert!(bench.take().is_empty(), "nothing is looked at");
    bench.turn();
    assert_eq!(bench.take(), ["rows name: pipe"]);
}

/// 30 queries in one packet held up the INSERTs of others for eight seconds.
#[test]
fn a_session_does_no_more_in_a_turn_than_its_share() {
    let mut bench = Bench::logged_in();
    let feed = |bench: &mut Bench, sql: &str, count: usize| {
        let body: Vec<u8> = [3].into_iter().chain(sql.bytes()).collect();
        for _ in 0..count {
            bench.input.extend([body.len().to_le_bytes()[0], body.len().to_le_bytes()[1], 0, 0]);
            bench.input.extend(&body);
        }
        let received = bench.exec.receive(id(0), &bench.input, NOW, &live);
        bench.input.drain(..received.used);
        bench.paused = received.pause;
        while bench.exec.go_on(&live) {}
        received.pause
    };
    let long = "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b";
    for (sql, count, answer, begun) in [
        ("SELECT 1", 200, "rows 1: 1", 64),
        ("SELECT FROM", 200, "error 3", 64),
        (long, 30, "error 11", 2),
        ("SELECT COUNT(*) FROM information_schema.ENGINES", 20, "rows COUNT(*): 1", 20),
    ] {
        let statements = bench.exec.counters().statements;
        let paused = feed(&mut bench, sql, count);
        let first = (bench.exec.counters().statements - statements) as usize;
        assert_eq!(paused, begun < count, "{sql}");
        assert!(first.abs_diff(begun) <= 1, "{sql}: {first}");
        // Others are heard meanwhile, and the rest follows in its order.
        bench.turn();
        assert_eq!(bench.take(), vec![answer; count], "{sql}");
        assert!(bench.input.is_empty(), "{sql}");
    }
}

/// However many sessions ask.
#[test]
fn queries_of_all_sessions_together_are_bounded_in_a_turn() {
    let mut bench = Bench::logged_in();
    bench.packet(0, &[27, 0, 0]);
    bench.take();
    let one = "SELECT 1 FROM information_schema.COLUMNS a, information_schema.COLUMNS b";
    let body: Vec<u8> = [3].into_iter().chain(format!("{one}; {one}").bytes()).collect();
    let head = [body.len().to_le_bytes()[0], body.len().to_le_bytes()[1], 0, 0];
    let input: Vec<u8> = head.into_iter().chain(body).collect();
    bench.exec.turn = Turn::used_up();
    let received = bench.exec.receive(id(0), &input, NOW, &live);
    assert!(received.pause && received.used == input.len());
    while bench.exec.go_on(&live) {}
    bench.exec.end_turn();
    assert!(bench.exec.poll_output().is_none(), "nothing is begun");
    assert!(bench.exec.next_turn());
    bench.paused = true;
    bench.turn();
    assert_eq!(bench.take(), ["error 11"]);
    assert!(!bench.paused);
}
