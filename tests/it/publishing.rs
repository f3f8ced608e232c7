//! What a backend may say of a message besides pipe, event and text, on both engines and with one shard and four.

use crate::mariadb::{MariaDb, section};
use crate::server::{Server, Setup};
use loadtest::CometQl;

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
