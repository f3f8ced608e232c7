use super::*;
use crate::fake::{Behaviour, FakeServer};
use socket2::{Domain, Socket, Type};
use std::net::TcpListener;

fn plan(server: &FakeServer, connections: usize) -> ConnectPlan {
    ConnectPlan {
        target: server.ws,
        connections,
        opening: Opening::Browser { tenant: 0, pipes: Pipes::Shared("pipe".into()), second: None },
        under_way_max: 4,
        receive_bytes: None,
        limit: Duration::from_secs(20),
    }
}

#[test]
fn connections_are_spread_and_closed() {
    let server = FakeServer::start(Behaviour::Honest);
    let mut crowd = Crowd::start(3, None).unwrap();
    let summary = crowd.connect(&plan(&server, 20)).unwrap();
    assert_eq!((crowd.connections(), summary.handshake_us.len()), (20, 20));
    crowd.connect(&plan(&server, 1)).unwrap();
    assert_eq!(crowd.connections(), 21);
    let shape = Arc::new(PublicationShape::new("pipe", "e", 10).unwrap());
    let silence = crowd.listen(&shape, 0, Duration::from_millis(50)).unwrap();
    assert!(silence.tally.is_exact(0), "{:?}", silence.tally);
    crowd.close().unwrap();
    assert_eq!(crowd.connections(), 0);
    crowd.connect(&plan(&server, 5)).unwrap();
}

#[track_caller]
fn check_failure(behaviour: Behaviour, limit: Duration, expected: &str) {
    let server = FakeServer::start(behaviour);
    let mut crowd = Crowd::start(2, None).unwrap();
    let plan = ConnectPlan { limit, ..plan(&server, 6) };
    let error = crowd.connect(&plan).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_failed_opening_says_where_it_failed() {
    let long = Duration::from_secs(20);
    check_failure(Behaviour::NoWebSocket, long, "404 Not Found");
    check_failure(Behaviour::NoServerInfo, long, "where serverInfo was due");
    let expected = "0 are open, 0 wait for TCP, 2 for the answer to the handshake, 0 for serverInfo";
    check_failure(Behaviour::Silent, Duration::from_secs(2), expected);
}

#[test]
fn too_many_for_the_descriptors() {
    let server = FakeServer::start(Behaviour::Honest);
    let mut crowd = Crowd::start(1, None).unwrap();
    let error = crowd.connect(&plan(&server, 1 << 40)).unwrap_err();
    assert!(matches!(error, Error::Usage { .. }), "{error}");
}

#[test]
fn pipe_names() {
    assert_eq!(Pipes::Shared("a".into()).name(7), "a");
    assert_eq!(Pipes::Distinct("a".into()).name(7), "a_0000007");
}

#[test]
fn latency_is_from_the_stamp() {
    let times = PublishTimes::new(1);
    let stamp = times.epoch + Duration::from_millis(5);
    times.stamp(0, stamp);
    times.stamp(1, stamp);
    assert_eq!(times.latency_us(0, stamp + Duration::from_micros(70)), Some(70));
    assert_eq!(times.latency_us(0, stamp), Some(0));
    assert_eq!(times.latency_us(1, stamp), None);
}

/// Accepts `connections` connections in a thread with a descriptor table of its own, and holds them.
fn acceptor(connections: usize) -> SocketAddr {
    let (sender, address) = channel();
    std::thread::spawn(move || {
        system::own_descriptor_table().unwrap();
        // The standard library's backlog of 128 would drop requests, each of which is repeated a second later.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(4096).unwrap();
        let listener = TcpListener::from(socket);
        sender.send(listener.local_addr().unwrap()).unwrap();
        let held: Vec<_> = listener.incoming().take(connections).collect();
        // Until the crowd closes: then reading ends.
        for mut stream in held.into_iter().flatten() {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    address.recv().unwrap()
}

/// More connections than one table, or one source address, has room for. Takes some seconds and gigabytes of kernel
/// memory: only with `ENCKE_LARGE_TESTS=1`.
#[test]
fn seventy_thousand_connections() {
    if std::env::var_os("ENCKE_LARGE_TESTS").is_none() {
        return;
    }
    system::raise_descriptor_limit();
    let mut crowd = Crowd::start(4, None).unwrap();
    for _ in 0..5 {
        let plan = ConnectPlan {
            target: acceptor(14_000),
            connections: 14_000,
            opening: Opening::Bare,
            under_way_max: 100,
            receive_bytes: None,
            limit: Duration::from_mins(1),
        };
        crowd.connect(&plan).unwrap();
    }
    assert_eq!(crowd.connections(), 70_000);
    crowd.close().unwrap();
}
