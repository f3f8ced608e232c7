//! What a connection may do in a second.

use crate::server::{Server, Setup};

#[test]
fn who_sends_too_many_commands_is_read_more_slowly_and_loses_nothing() {
    let more = "[ws]\nmessages_per_connection_per_s = 4\n".to_owned();
    let server = Server::start(&Setup { shards: 2, password: None, more });
    let (mut hasty, mut calm) = (server.browser(), server.browser());
    for number in 0..12 {
        hasty.send(&format!("pipe_count\nweb_room\nmark{number}"));
    }
    calm.send("pipe_count\nweb_room\ncalm");
    assert_eq!(calm.receive()["marker"], "calm");
    for number in 0..12 {
        assert_eq!(hasty.receive()["marker"], format!("mark{number}"));
    }
    let rows = server.backend().rows("SHOW GLOBAL STATUS").expect("figures");
    let slowed = rows.iter().find(|row| row[0].as_deref() == Some("encke_commands_slowed"));
    assert!(slowed.is_some_and(|row| row[1].as_deref() != Some("0")), "{rows:?}");
}
