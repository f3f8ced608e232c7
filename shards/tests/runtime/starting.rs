//! Starts that succeed, and every way of failing that can be had without special rights.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use shards::{Engine, EngineChoice, Settings, ShardSettings, StartError, prepare};

use crate::support::{Client, Server, engines, settings};

fn refused(settings: Settings) -> StartError {
    prepare(settings).unwrap_err()
}

#[test]
fn a_busy_port_is_found_although_ports_are_shared() {
    let server = Server::start(settings(2));
    let mut second = settings(1);
    second.shards[0].listen = Some(server.address());
    let error = refused(second);
    assert!(matches!(error, StartError::AddressInUse(address) if address == server.address()), "{error:?}");
    assert_eq!(error.to_string(), format!("another process already listens at {}", server.address()));

    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut third = settings(1);
    third.shards[0].listen = Some(foreign.local_addr().unwrap());
    assert!(matches!(refused(third), StartError::AddressInUse(_)));
}

#[test]
fn a_port_can_be_used_again_after_a_stop() {
    let mut first = settings(1);
    first.shards[0].close_time_max = Duration::from_millis(50);
    let server = Server::start(first);
    let address = server.address();
    let mut client = server.connect();
    client.send("echo first\n");
    client.expect("first\n");
    server.stop();
    let mut again = settings(1);
    again.shards[0].listen = Some(address);
    let server = Server::start(again);
    let mut client = server.connect();
    client.send("echo second\n");
    client.expect("second\n");
}

#[test]
fn shards_share_one_port_and_the_last_has_its_own() {
    let mut settings = settings(3);
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], 0));
    settings.shards.push(ShardSettings::new("elsewhere", Some(elsewhere)));
    settings.shards.push(ShardSettings::new("deaf", None));
    let server = Server::start(settings);
    let addresses = server.running().addresses().to_vec();
    assert_eq!(addresses[0], addresses[1]);
    assert_eq!(addresses[0], addresses[2]);
    assert_ne!(addresses[0].unwrap().port(), 0);
    assert_eq!(addresses[3].unwrap().ip(), elsewhere.ip());
    assert_eq!(addresses[4], None);
    let mut client = Client::connect(addresses[3].unwrap());
    client.send("echo here\n");
    client.expect("here\n");
}

#[test]
fn failures_have_their_own_errors() {
    let mut foreign = settings(1);
    foreign.shards[0].listen = Some(SocketAddr::from(([192, 0, 2, 1], 0)));
    assert!(matches!(refused(foreign), StartError::AddressNotAvailable(_)));
    assert!(matches!(refused(Settings::default()), StartError::Settings(_)));
    let mut unnamed = settings(1);
    unnamed.shards[0].name = "a\0b".to_owned();
    assert!(matches!(refused(unnamed), StartError::Settings(_)));
    let mut nowhere = settings(2);
    nowhere.shards[1].pin_to_core = Some(1023);
    let log = std::sync::Arc::new(crate::support::Log::default());
    let started = prepare(nowhere).unwrap().start(move |shard| crate::support::Lines::new(shard, log.clone()));
    assert!(matches!(started.unwrap_err(), StartError::CannotPin(1023, _)));
    let started = prepare(settings(2)).unwrap().start(|shard| -> crate::support::Lines { panic!("no host {shard}") });
    assert!(matches!(started.unwrap_err(), StartError::Panicked(0)));
}

#[test]
fn the_engine_is_what_was_asked_for() {
    for engine in engines() {
        let mut settings = settings(1);
        settings.engine = engine;
        let expected = if engine == EngineChoice::Plain { Engine::Plain } else { Engine::IoUring };
        assert_eq!(prepare(settings).unwrap().engine(), expected);
    }
}

#[test]
fn shards_can_share_the_table_of_the_process_and_be_bound_to_a_core() {
    let mut settings = settings(2);
    settings.own_descriptor_table = false;
    settings.shards[0].pin_to_core = Some(0);
    let server = Server::start(settings);
    assert!(!server.running().own_descriptor_tables());
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("echo shared\n");
        client.expect("shared\n");
    }
}
