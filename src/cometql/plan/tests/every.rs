//! SELECT without a key, where the server allows it.

use super::*;

fn source(query: &str, limits: &StatementLimits) -> Result<Source, u16> {
    let statement = parse(query, StringEscapes::Mysql).unwrap();
    match plan(&statement, &SessionView { limits, ..session() }) {
        Ok(Plan::Read { source, .. }) => Ok(source),
        Ok(other) => panic!("{query}: {other:?}"),
        Err(error) => Err(error.code.number()),
    }
}

#[test]
fn tables_can_be_looked_through() {
    let limits = StatementLimits { lists_tables: true, ..LIMITS };
    for (table, every) in [
        ("pipes", Every::PipeCounts),
        ("users_auth", Every::Hashes),
        ("users_data", Every::UserData),
        ("users_time", Every::LastSeen),
        ("users_messages", Every::Queues),
        ("pipes_messages", Every::Histories),
        ("pipes_settings", Every::Lengths),
    ] {
        for query in
            ["SELECT * FROM # LIMIT 50", "SELECT COUNT(*) FROM #", "SELECT * FROM # WHERE NOT 1 = 2 ORDER BY 1"]
        {
            let query = query.replace('#', table).replace("NOT 1 = 2 ORDER BY 1", "name_or_id LIKE '%a%'");
            let query = query.replace("name_or_id", if table.starts_with("pipes") { "name" } else { "id" });
            assert_eq!(source(&query, &limits), Ok(Source::Every(every)), "{query}");
            assert_eq!(source(&query, &LIMITS), Err(13), "{query}");
        }
    }
    // A key that is named is looked up, and what was refused for another reason still is.
    let by_key = Source::UserData(vec![UserId::new(5).unwrap()]);
    assert_eq!(source("SELECT * FROM users_data WHERE id = 5", &limits), Ok(by_key));
    assert_eq!(source("SELECT * FROM users_data WHERE id = 5 OR data = 'x'", &limits), Err(2));
    assert_eq!(source("SELECT * FROM users_in_pipes", &limits), Err(13));
    for query in ["DELETE FROM users_data", "UPDATE users_data SET data = 'x'"] {
        assert_eq!(source(query, &limits), Err(13), "{query}");
    }
}
