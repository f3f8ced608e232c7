//! `SHOW MEMORY`: the books of the server against what its allocator and the system say.

use crate::hostile::{UPGRADE, await_status, connect, masked, status};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use loadtest::CometQl;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

fn rows(backend: &mut CometQl, sql: &str) -> Vec<Vec<String>> {
    let rows = backend.rows(sql).expect("rows").into_iter();
    rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

/// Bytes by kind.
fn memory(backend: &mut CometQl) -> BTreeMap<String, i64> {
    let mut kinds = BTreeMap::new();
    for row in rows(backend, "SHOW MEMORY") {
        let [kind, _, bytes, _] = row.as_slice() else { panic!("{row:?}") };
        *kinds.entry(kind.clone()).or_default() += bytes.parse::<i64>().expect("a number");
    }
    kinds
}

/// What no book knows is small, and the rows add up.
fn check(backend: &mut CometQl, situation: &str) -> BTreeMap<String, i64> {
    let kinds = memory(backend);
    let last = ["accounted", "allocator_overhead", "program", "stacks", "not_resident", "unexplained"];
    assert_eq!(last.iter().map(|kind| kinds[*kind]).sum::<i64>(), kinds["rss"], "{situation}: {kinds:?}");
    let bound = (kinds["rss"] * 3 / 100).max(512 * 1024);
    assert!(kinds["unexplained"].abs() <= bound, "{situation}: {kinds:#?}");
    kinds
}

fn subscriber(server: &Server, pipe: &str) -> TcpStream {
    let mut stream = connect(server.browsers);
    // The system must not take for a reader what the server would have to keep.
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).expect("a small buffer");
    stream.write_all(UPGRADE.as_bytes()).expect("a head");
    stream.write_all(&masked(0x81, format!("subscription\n{pipe}").as_bytes())).expect("a command");
    stream
}

fn poll(server: &Server, count: usize) {
    let mut http = Http::connect(server);
    for number in 0..count {
        if number % 50 == 0 {
            http = Http::connect(server);
        }
        http.send(&format!(
            "GET /poll/sign?api=js2&uuid=p{number}&pipes=news HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.browsers
        ));
        assert_eq!(http.response().status, 200);
    }
}

#[test]
fn all_memory_is_explained() {
    const CROWD: usize = 2_000;
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    check(&mut backend, "nobody is here");
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| subscriber(&server, "news")).collect();
    server.await_subscribers("news", CROWD as u32);
    await_status(&mut backend, "encke_connections", CROWD as u64);
    let idle = check(&mut backend, "a crowd that is idle");
    let tenants = rows(&mut backend, "SELECT * FROM tenants");
    let [row] = tenants.as_slice() else { panic!("{tenants:?}") };
    assert_eq!(row[..2], ["0".to_owned(), CROWD.to_string()]);
    let held: i64 = row[2].parse().expect("a number");
    // Beside them there are places that nobody has taken, and tables that belong to no connection.
    assert!(held > 0 && held <= idle["connections"] + idle["hub"], "{held}: {idle:?}");
    let each = rows(&mut backend, "SELECT memory FROM connections");
    let sum: i64 = each.iter().map(|row| row[0].parse::<i64>().expect("a number")).sum();
    assert_eq!((each.len(), sum), (CROWD, held), "one by one, and all of the tenant");

    poll(&server, CROWD);
    await_status(&mut backend, "encke_polled", CROWD as u64);
    check(&mut backend, "as many that are polled for");

    let text = "y".repeat(60_000);
    for _ in 0..6 {
        let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', '{text}')");
        backend.execute(&insert).expect("OK");
    }
    await_status(&mut backend, "encke_queued_bytes", 100 * 60_000);
    check(&mut backend, "nobody reads");

    drop(crowd);
    await_status_below(&mut backend, "encke_connections", 1);
    check(&mut backend, "all sockets have gone");
}

fn await_status_below(backend: &mut CometQl, name: &str, value: u64) {
    let below = tools::until(PATIENCE, || (status(backend, name) < value).then_some(()));
    assert!(below.is_some(), "{name} stays at {value} or above");
}

#[test]
fn rows_that_are_held_for_an_order_are_explained() {
    const ROWS: usize = 800;
    let more = "[cometql]\nresult_bytes_max = 100000000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut backend = server.backend();
    let text = "x".repeat(30_000);
    for begin in (1..=ROWS).step_by(20) {
        let rows: Vec<String> = (begin..begin + 20).map(|user| format!("({user}, '{text}')")).collect();
        let insert = format!("INSERT INTO users_data (id, data) VALUES {}", rows.join(","));
        backend.execute(&insert).expect("OK");
    }
    let mut sorter = server.backend();
    sorter.send_query("SELECT id, data FROM users_data ORDER BY data, id DESC").expect("sent");
    await_status(&mut backend, "encke_memory_sessions", (ROWS * 30_000 / 2) as u64);
    check(&mut backend, "an ORDER BY of much");
}
