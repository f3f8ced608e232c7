//! What is asked of the running server as a whole, by statements.

use crate::server::{PATIENCE, Server, Setup};
use loadtest::{Answer, CometQl};

/// The number, state and text of an error.
fn refusal(session: &mut CometQl, sql: &str) -> (u16, String, String) {
    match session.query(sql).expect("an answer") {
        Answer::Error { code, sqlstate, text } => (code, sqlstate, text),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn the_level_of_the_log_is_changed_while_it_is_written() {
    let server = Server::start(&Setup { more: "[log]\nlevel = error\n".into(), ..Setup::default() });
    let mut session = server.backend();
    session.execute("FLUSH LOGS").unwrap();
    session.execute("SET GLOBAL log_level = 'info, storage=debug'").unwrap();
    server.await_line(|line| line.contains("log_level is set"), "that there is another level");
    assert!(!server.log().contains("opened anew"), "{}", server.log());
    session.execute("FLUSH LOGS").unwrap();
    server.await_line(|line| line.contains("no file that could be opened anew"), "a line of the new level");
    for wrong in ["'loud'", "'info, nothing=debug'", "''"] {
        let (code, _, text) = refusal(&mut session, &format!("SET GLOBAL log_level = {wrong}"));
        assert_eq!(code, 3, "{text}");
    }
}

#[test]
fn a_statement_stops_the_server_and_is_answered() {
    let mut server =
        Server::start(&Setup { more: "[tenant 5]\npassword = another one for 5\n".into(), ..Setup::default() });
    let mut tenant = CometQl::connect(server.cometql, "5", "another one for 5", None).unwrap();
    for sql in ["SHUTDOWN", "FLUSH LOGS", "FLUSH SETTINGS", "ALTER INSTANCE RELOAD TLS", "SET GLOBAL log_level = trace"]
    {
        let (code, state, text) = refusal(&mut tenant, sql);
        assert_eq!((code, &*state), (1227, "42000"), "{sql}: {text}");
    }
    let mut session = server.backend();
    session.set_limit(PATIENCE);
    assert_eq!(session.query("SHUTDOWN").unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    server.await_line(|line| line.ends_with(" stopped"), "stopped");
}
