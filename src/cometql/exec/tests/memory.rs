//! What memory is for, as a session may see it.

use super::*;
use crate::ring::HeldByTenant;

fn row(cells: [&str; 4]) -> Row {
    cells.map(Box::from).into()
}

fn ledger(bench: &mut Bench) {
    let id = bench.ledger.remove(0);
    let rows = vec![
        row(["hub", "browsers-0", "100", "0"]),
        row(["polls", "browsers-0", "20", "2"]),
        row(["rss", "", "900", "0"]),
    ];
    bench.exec.ledger(id, rows);
    bench.turn();
}

fn held(dev: u32, connections: u32, bytes: u64) -> HeldByTenant {
    HeldByTenant { dev: DevId(dev), connections, bytes }
}

fn of_a_tenant() -> Bench {
    let mut bench = Bench::logged_in();
    let mut session = bench.exec.take(id(0)).unwrap();
    session.reach = Reach::Tenant;
    bench.exec.put_back(session);
    bench
}

#[test]
fn the_whole_process_is_told_when_it_is_known() {
    let mut bench = Bench::logged_in();
    bench.query("SHOW MEMORY");
    bench.query("SELECT 1");
    assert_eq!(bench.take(), Vec::<String>::new());
    ledger(&mut bench);
    let all = "rows kind,shard,bytes,items: hub,browsers-0,100,0 | polls,browsers-0,20,2 | rss,,900,0";
    assert_eq!(bench.take(), [all, "rows 1: 1"]);
    for (sql, expected) in [
        ("SELECT kind, bytes FROM memory WHERE bytes > 50 ORDER BY bytes DESC", "rows kind,bytes: rss,900 | hub,100"),
        ("SELECT COUNT(*) FROM memory", "rows COUNT(*): 3"),
        ("SHOW MEMORY LIKE 'p%'", "rows kind,shard,bytes,items: polls,browsers-0,20,2"),
        ("SHOW MEMORY WHERE kind = 'rss'", "rows kind,shard,bytes,items: rss,,900,0"),
    ] {
        bench.query(sql);
        ledger(&mut bench);
        assert_eq!(bench.take(), [expected], "{sql}");
    }
    bench.check("INSERT INTO memory (kind) VALUES ('x')", "error 10");
}

#[test]
fn a_session_that_goes_meanwhile_is_not_waited_for() {
    let mut bench = Bench::logged_in();
    bench.query("SHOW MEMORY");
    bench.next_client(HERE);
    ledger(&mut bench);
    assert_eq!(bench.take(), Vec::<String>::new());
}

#[test]
fn tenants_are_added_up_shard_by_shard() {
    let mut bench = Bench::logged_in();
    bench.query("SELECT * FROM tenants ORDER BY memory DESC LIMIT 2");
    let asked = |bench: &Bench| match bench.asked() {
        (to, Question::Held { dev, after }) => (to, *dev, *after),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&bench), (0, None, None));
    bench.answer(Replies::Held { held: vec![held(1, 2, 300), held(5, 1, 150), held(1, 1, 140)], next: Some(2_047) });
    assert_eq!(asked(&bench), (0, None, Some(2_047)));
    bench.answer(Replies::Held { held: vec![], next: None });
    assert_eq!(asked(&bench), (1, None, None));
    bench.answer(Replies::Held { held: vec![held(5, 10, 9_000), held(7, 1, 100)], next: None });
    assert_eq!(bench.take(), ["rows dev_id,connections,memory: 5,11,9150 | 1,3,440"]);
}

#[test]
fn a_tenant_sees_its_own_only() {
    let mut bench = of_a_tenant();
    for (sql, expected) in [
        ("SELECT * FROM tenants", "rows dev_id,connections,memory: 1,3,450"),
        ("SHOW MEMORY", "rows kind,shard,bytes,items: connections,browsers-0,150,1 | connections,browsers-1,300,2"),
        ("SELECT bytes FROM memory WHERE shard = 'browsers-1'", "rows bytes: 300"),
    ] {
        bench.query(sql);
        for (shard, told) in [(0, held(1, 1, 150)), (1, held(1, 2, 300))] {
            let (to, Question::Held { dev, .. }) = bench.asked() else { panic!("{sql}") };
            assert_eq!((to, *dev), (shard, Some(DevId(1))), "{sql}");
            bench.answer(Replies::Held { held: vec![told], next: None });
        }
        assert_eq!(bench.take(), [expected], "{sql}");
    }
    assert!(bench.ledger.is_empty());
}
