//! Tables that are looked through: keys are looked for a page at a time, and then their rows.

use super::*;
use crate::cometql::exec::tests::tables::message;
use crate::model::PipeName;
use crate::storage::{PipeTable, UserTable};

fn bench() -> Bench {
    let mut bench = Bench::logged_in();
    bench.exec.config.statements.lists_tables = true;
    bench
}

fn users(ids: &[u32]) -> Vec<UserId> {
    ids.iter().map(|id| UserId::new(*id).unwrap()).collect()
}

fn read(bench: &Bench) -> Read {
    match &bench.jobs[0].request {
        Request::Read { read, .. } => read.clone(),
        other @ Request::Write(_) => panic!("{other:?}"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what storage answers")]
fn keys(ids: &[u32], after: Option<u32>) -> Result<Outcome, StorageError> {
    Ok(Outcome::Users { rows: users(ids), after: after.and_then(UserId::new) })
}

#[expect(clippy::unnecessary_wraps, reason = "what storage answers")]
fn texts(ids: &[u32]) -> Result<Outcome, StorageError> {
    Ok(Outcome::Texts(users(ids).into_iter().map(|user| (user, format!("t{user}").into())).collect()))
}

#[test]
fn users_come_a_page_at_a_time() {
    let mut bench = bench();
    bench.query("SELECT * FROM users_auth");
    let Read::Users { table: UserTable::Hashes, after: Some(UserId::ANONYMOUS), .. } = read(&bench) else { panic!() };
    bench.complete(keys(&[3, 5], Some(5)));
    assert_eq!(read(&bench), Read::Hashes { dev: DevId(1), users: users(&[3, 5]) });
    bench.complete(texts(&[3, 5]));
    let Read::Users { after, .. } = read(&bench) else { panic!() };
    assert_eq!(after, UserId::new(5));
    // Between the two somebody has deleted the row of user 8.
    bench.complete(keys(&[8, 9], None));
    bench.complete(texts(&[9]));
    assert!(bench.jobs.is_empty());
    assert_eq!(bench.take(), ["rows id,hash: 3,t3 | 5,t5 | 9,t9"]);
}

#[test]
fn nothing_is_looked_for_behind_a_limit() {
    let mut bench = bench();
    bench.query("SELECT id FROM users_data LIMIT 2");
    bench.complete(keys(&[3, 5, 6], Some(6)));
    bench.complete(texts(&[3, 5, 6]));
    assert!(bench.jobs.is_empty());
    assert_eq!(bench.take(), ["rows id: 3 | 5"]);
    bench.query("SELECT COUNT(*) FROM users_data WHERE data LIKE '%5'");
    bench.complete(keys(&[3, 5], Some(5)));
    bench.complete(texts(&[3, 5]));
    bench.complete(keys(&[15], None));
    bench.complete(texts(&[15]));
    assert_eq!(bench.take(), ["rows COUNT(*): 2"]);
    bench.query("SELECT * FROM users_data");
    bench.complete(keys(&[], None));
    assert_eq!(bench.take(), ["rows id,data: "]);
    bench.query("SELECT * FROM users_data");
    bench.complete(Err(StorageError::Overloaded));
    assert_eq!(bench.take(), ["error 500"]);
}

/// The numbers of a history's rows go on from page to page.
#[test]
fn histories_are_read_pipe_by_pipe() {
    let mut bench = bench();
    bench.query("SELECT name, `index` FROM pipes_messages");
    let Read::Names { table: PipeTable::Histories, after: None, .. } = read(&bench) else { panic!() };
    let names = |names: &[&str], after: Option<&str>| {
        let rows = names.iter().map(|name| PipeName::new(name.as_bytes()).unwrap()).collect();
        Ok(Outcome::Names { rows, after: after.map(Box::from) })
    };
    bench.complete(names(&["abc"], Some("abd")));
    bench.complete(Ok(Outcome::Messages { rows: vec![message(1, "a"), message(2, "b")], more: false }));
    let Read::Names { after, .. } = read(&bench) else { panic!() };
    assert_eq!(after.as_deref(), Some("abd"));
    bench.complete(names(&["abe"], None));
    bench.complete(Ok(Outcome::Messages { rows: vec![message(3, "c")], more: false }));
    assert_eq!(bench.take(), ["rows name,index: abc,0 | abc,1 | abe,2"]);
}

/// Each shard names its own; the owner tells which of them were named by a shard before.
#[test]
fn pipes_with_subscribers_are_named_once() {
    let mut bench = bench();
    bench.query("SELECT * FROM pipes");
    for (shard, after, next) in [(0, None, Some(7)), (0, Some(7), None), (1, None, None)] {
        let (to, question) = bench.asked();
        let Question::Pipes { dev: DevId(1), after: from, .. } = question else { panic!("{question:?}") };
        assert_eq!((to, *from), (shard, after));
        if after.is_some() {
            // A page in which all places belonged to others.
            bench.answer(Replies::Pipes { names: Vec::new(), next });
            continue;
        }
        bench.answer(Replies::Pipes { names: vec![PipeName::new(b"abc").unwrap()], next });
        let (_, question) = bench.asked();
        let Question::PipeCountsFrom { shard: ShardId(from), pipes } = question else { panic!("{question:?}") };
        assert_eq!((*from, pipes.len()), (shard, 1));
        bench.answer(Replies::Counts(vec![if shard == 0 { 4 } else { 0 }]));
    }
    assert_eq!(bench.take(), ["rows name,users: abc,4"]);
}
