use super::*;
use crate::fake::{Behaviour, FakeServer};

fn plan(server: &FakeServer, connections: usize) -> ConnectPlan {
    ConnectPlan {
        target: server.ws,
        connections,
        opening: Opening::Browser { tenant: 0, pipes: Pipes::Shared("pipe".into()) },
        under_way_max: 4,
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
fn check_failure(behaviour: Behaviour, expected: &str) {
    let server = FakeServer::start(behaviour);
    let mut crowd = Crowd::start(2, None).unwrap();
    let plan = ConnectPlan { limit: Duration::from_millis(300), ..plan(&server, 6) };
    let error = crowd.connect(&plan).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_failed_opening_says_where_it_failed() {
    check_failure(Behaviour::NoWebSocket, "404 Not Found");
    check_failure(Behaviour::NoServerInfo, "where serverInfo was due");
    check_failure(Behaviour::Silent, "0 are open, 0 wait for TCP, 3 for the answer to the handshake, 0 for serverInfo");
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
