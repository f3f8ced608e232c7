//! A query's whole way from bytes to a plan: nothing panics, both INSERT paths agree, no plan leaves its tenant, a
//! value stays a value however it is escaped, and reading takes time and memory in proportion to the text.

use encke::cometql::budget::Budget;
use encke::cometql::plan::{
    Plan, Reply, check_length, check_text, plan, plan_insert, result_columns, take_cluster_prefix,
};
use encke::cometql::session::{Database, Memory, Server, SessionView, StatementLimits, User, parse_database};
use encke::cometql::sql::{
    Meter, Modes, Names, Reading, Statement, StringEscapes, Value, fast, parse, parse_among, prepare_among, statements,
};
use encke::model::{DevId, UnixTime};

fn check_plan(plan: &Plan, uses: bool) {
    match plan {
        Plan::Reply(Reply::Rows(set)) => assert!(set.rows.iter().all(|row| row.len() == set.columns.len())),
        Plan::Write { writes, .. } | Plan::Update(writes) | Plan::Delete(writes) => {
            assert!(!writes.is_empty());
            assert!(writes.iter().all(|write| write.dev() == DevId(7)));
        }
        Plan::SetLengths { lengths, .. } => assert!(!lengths.is_empty()),
        Plan::UseDatabase(Database::Tenant(_)) => assert!(uses),
        _ => {}
    }
}

/// Steps that reading may take for so many bytes. A short text that can be read in many ways costs up to a millisecond.
fn steps_max(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(30).saturating_add(20_000)
}

/// What a text becomes is in proportion to it: nothing is taken out of it again and again.
fn check_size(statement: &impl std::fmt::Debug, query: &str) {
    let size = format!("{statement:?}").len();
    assert!(size <= 600 * query.len() + 100_000, "{size} bytes of statement for {} of text", query.len());
}

pub(crate) fn check(bytes: &[u8]) {
    let limits = StatementLimits::default();
    let budget = Budget::default();
    let server = Server {
        version: "8.0.35-encke",
        host_name: "a-machine".into(),
        port: std::sync::Arc::new(3310.into()),
        settings: std::sync::Arc::default(),
    };
    let session = SessionView {
        dev: DevId(7),
        database: None,
        user: User::Tenant(DevId(7)),
        connection: 1,
        unix: UnixTime(1_700_000_000),
        limits: &limits,
        tls: false,
        server: &server,
        budget: &budget,
        memory: &Memory::NEW,
        escapes: StringEscapes::Mysql,
    };
    let _ = check_length(bytes, &limits);
    let _ = parse_database(bytes, limits.dev_max);
    let _ = take_cluster_prefix(bytes, limits.dev_max);
    assert!(
        statements(bytes, StringEscapes::Mysql).filter_map(Result::ok).map(<[u8]>::len).sum::<usize>() <= bytes.len()
    );
    let Ok(query) = check_text(bytes) else {
        assert_eq!(fast::insert(bytes, StringEscapes::Mysql), None);
        return;
    };
    let modes =
        ["", "NO_BACKSLASH_ESCAPES", "ANSI,NO_BACKSLASH_ESCAPES"].map(|list| Modes::parse(list).expect("modes"));
    let readings = [StringEscapes::Mysql, StringEscapes::Legacy]
        .into_iter()
        .flat_map(|escapes| modes.map(|modes| Reading { escapes, modes }));
    for escapes in readings {
        let meter = Meter::default();
        let parsed = parse_among(query, escapes, Names::CometQl, &meter);
        assert!(meter.steps() <= steps_max(query.len()), "{} steps", meter.steps());
        check_size(&parsed, query);
        if let Some(insert) = fast::insert(bytes, escapes) {
            if let Ok(plan) = plan_insert(&insert, &session) {
                check_plan(&plan, false);
            }
            assert_eq!(parsed, Ok(Statement::Insert(insert.into_owned())));
        }
        let there = SessionView { database: Some("information_schema"), ..session };
        let meter = Meter::default();
        let among = parse_among(query, escapes, there.names(), &meter);
        assert!(meter.steps() <= steps_max(query.len()), "{} steps", meter.steps());
        if let Ok(statement) = among
            && let Ok(plan) = plan(&statement, &there)
        {
            check_plan(&plan, matches!(statement, Statement::Use(_)));
        }
        if let Ok(statement) = &parsed
            && let Ok(plan) = plan(statement, &session)
        {
            check_plan(&plan, matches!(statement, Statement::Use(_)));
        }
        let meter = Meter::default();
        let prepared = prepare_among(query, escapes, Names::CometQl, &meter);
        assert!(meter.steps() <= steps_max(query.len()), "{} steps", meter.steps());
        if let Ok(prepared) = prepared {
            let _ = result_columns(&prepared, &session);
            let values = vec![Value::Text("x' OR '1".into()); prepared.placeholders()];
            let bound = prepared.bind(&values).expect("as many values as placeholders");
            if let Ok(plan) = plan(&bound, &session) {
                check_plan(&plan, matches!(bound, Statement::Use(_)));
            }
        }
    }
    // Any text, escaped by MySQL's rules, is one value.
    let literal = query.replace('\\', "\\\\").replace('\'', "\\'");
    let written = parse(&format!("INSERT INTO t (a) VALUES ('{literal}')"), StringEscapes::Mysql);
    match written {
        Ok(Statement::Insert(insert)) => assert_eq!(insert.values, [Value::Text(query.into())]),
        other => panic!("{other:?}"),
    }
}
