//! Keys of what browsers connect to: `[ws]`.

use crate::model::RealIpHeader;

use super::super::key::{Field, Key};
use super::super::{ByHttp, SendEngine};
use super::{BY_HTTP, KIB, MIB, ON_OFF, REAL_IP_HEADERS, SEND_ENGINES, TIMEOUT_S_MAX};

pub(super) const WS: &[Key] = &[
    Key {
        section: "ws",
        name: "ip",
        shipped: true,
        doc: "Address to listen on.",
        without_effect: None,
        field: Field::Address { get: |config| config.ws.ip, set: |config, ip| config.ws.ip = ip },
    },
    Key {
        section: "ws",
        name: "port",
        shipped: true,
        doc: "TCP port; 0 takes a free one.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 65_535,
            get: |config| config.ws.port.into(),
            set: |config, number| config.ws.port = number as u16,
        },
    },
    Key {
        section: "ws",
        name: "thread_num",
        shipped: true,
        doc: "Connection shards, one thread each; 0 is one per core (CppComet: no service).",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 256,
            get: |config| config.ws.thread_num.into(),
            set: |config, number| config.ws.thread_num = number as u16,
        },
    },
    Key {
        section: "ws",
        name: "host",
        shipped: false,
        doc: "Pages that may connect, by the host of their Origin, and the names by which the server is asked where a request has no Origin: separated by commas, *.example.com for all subdomains, * for every page (CppComet did not enforce it).",
        without_effect: None,
        field: Field::Hosts { get: |config| &config.ws.hosts, set: |config, hosts| config.ws.hosts = hosts },
    },
    Key {
        section: "ws",
        name: "ping_interval_s",
        shipped: false,
        doc: "Seconds of silence before a connection is asked whether it lives; 0 never asks.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TIMEOUT_S_MAX,
            get: |config| config.ws.ping_interval_s.into(),
            set: |config, number| config.ws.ping_interval_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "handshake_timeout_ms",
        shipped: false,
        doc: "Milliseconds from accept to a complete request head.",
        without_effect: None,
        field: Field::Number {
            min: 100,
            max: 600_000,
            get: |config| config.ws.handshake_timeout_ms.into(),
            set: |config, number| config.ws.handshake_timeout_ms = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "message_bytes_max",
        shipped: false,
        doc: "Longest message from a browser, in bytes; a longer one ends its connection.",
        without_effect: None,
        field: Field::Number {
            min: 1_024,
            max: 16 * MIB,
            get: |config| config.ws.message_bytes_max as u64,
            set: |config, number| config.ws.message_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "pipes_max",
        shipped: false,
        doc: "Pipes that one connection may be subscribed to (CppComet: 32).",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 65_535,
            get: |config| config.ws.pipes_max as u64,
            set: |config, number| config.ws.pipes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "devices_max",
        shipped: false,
        doc: "Connections of one user that get personal messages; further ones stay and wait for a place.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 10_000,
            get: |config| config.ws.devices_max as u64,
            set: |config, value| config.ws.devices_max = value as usize,
        },
    },
    Key {
        section: "ws",
        name: "connections_max",
        shipped: false,
        doc: "Connections per shard; more are refused.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 16_000_000,
            get: |config| config.ws.connections_max as u64,
            set: |config, number| config.ws.connections_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "queue_bytes_max",
        shipped: false,
        doc: "Unsent bytes at which a connection counts as slow and is closed.",
        without_effect: None,
        field: Field::Number {
            min: 64 * KIB,
            max: 1024 * MIB,
            get: |config| config.ws.queue_bytes_max as u64,
            set: |config, number| config.ws.queue_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "waiting_bytes_max",
        shipped: false,
        doc: "Unsent and unread bytes of all browser connections together; with more, whoever holds most is closed. What many wait for counts about once.",
        without_effect: None,
        field: Field::Number {
            min: 16 * MIB,
            max: 1024 * 1024 * MIB,
            get: |config| config.ws.waiting_bytes_max as u64,
            set: |config, number| config.ws.waiting_bytes_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "messages_per_connection_per_s",
        shipped: false,
        doc: "Commands of one connection in a second; those beyond wait in its socket until the next one, and nobody is closed for it. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1_000_000,
            get: |config| u64::from(config.ws.messages_per_connection_per_s),
            set: |config, value| config.ws.messages_per_connection_per_s = value as u32,
        },
    },
    Key {
        section: "ws",
        name: "connections_per_user_max",
        shipped: false,
        doc: "Connections of one user, also those beyond devices_max; further ones are ended.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 100_000,
            get: |config| config.ws.connections_per_user_max as u64,
            set: |config, number| config.ws.connections_per_user_max = number as usize,
        },
    },
    Key {
        section: "ws",
        name: "connections_per_address_max",
        shipped: false,
        doc: "Connections of one address (an IPv6 address stands for its /64), over all shards; further ones are answered 429 with Retry-After. Browsers share addresses: a company or a mobile network may have thousands behind one. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 16_000_000,
            get: |config| config.ws.connections_per_address_max as u64,
            set: |config, number| config.ws.connections_per_address_max = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "connects_per_address_per_s",
        shipped: false,
        doc: "Connections that one address begins in a second, as many at once; further ones are answered 429 with Retry-After. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.connects_per_address_per_s as u64,
            set: |config, number| config.ws.connects_per_address_per_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "publications_per_user_per_s",
        shipped: false,
        doc: "Messages that one user publishes in a second over all connections, as many at once; whoever is anonymous counts by address. Those beyond are not published, and their sender gets an error with retry_after_ms. 0: no limit.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.publications_per_user_per_s as u64,
            set: |config, number| config.ws.publications_per_user_per_s = number as u32,
        },
    },
    Key {
        section: "ws",
        name: "key_attempts_max",
        shipped: false,
        doc: "Wrong keys of users from one address after which each user whose keys go on being wrong has to wait there, for 1 second at first and 60 at last; its connections are closed meanwhile. Others at the address are not held up, and a right key ends the wait. 0 never waits.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1000,
            get: |config| u64::from(config.ws.key_attempts_max),
            set: |config, value| config.ws.key_attempts_max = value as u32,
        },
    },
    Key {
        section: "ws",
        name: "trusted_proxies",
        shipped: false,
        doc: "Proxies in front of the server, such as 127.0.0.1, 10.0.0.0/8: their requests count for the browser that real_ip_header names, in users_in_pipes and for the limits by address, and they themselves are not limited. Without this key behind a proxy all browsers have its address.",
        without_effect: None,
        field: Field::Networks {
            get: |config| &config.ws.trusted_proxies,
            set: |config, networks| config.ws.trusted_proxies = networks,
        },
    },
    Key {
        section: "ws",
        name: "real_ip_header",
        shipped: false,
        doc: "Where trusted proxies name the browser. They must set X-Real-IP whatever the browser sent, or add to X-Forwarded-For.",
        without_effect: None,
        field: Field::Word {
            words: REAL_IP_HEADERS,
            get: |config| config.ws.real_ip_header.as_str(),
            set: |config, word| {
                config.ws.real_ip_header = match word {
                    "X-Forwarded-For" => RealIpHeader::XForwardedFor,
                    _ => RealIpHeader::XRealIp,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "deflate",
        shipped: false,
        doc: "Compress messages (permessage-deflate) for clients that offer it: publications from 128 bytes, each once for all its receivers, and nothing else. Saves traffic and costs time of the cores; behind a proxy that compresses leave it off.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.ws.deflate { "on" } else { "off" },
            set: |config, word| config.ws.deflate = word == "on",
        },
    },
    Key {
        section: "ws",
        name: "cometql",
        shipped: false,
        doc: "CometQL by HTTP (POST /cometql), for hosts without MySQL connections, and with it the console and the dashboard. local: for this machine only, and not for those whom a proxy on it tells of. on: for everybody; without a proxy with TLS in front the password crosses the network unenciphered.",
        without_effect: None,
        field: Field::Word {
            words: BY_HTTP,
            get: |config| match config.ws.cometql {
                ByHttp::Off => "off",
                ByHttp::Local => "local",
                ByHttp::On => "on",
            },
            set: |config, word| {
                config.ws.cometql = match word {
                    "off" => ByHttp::Off,
                    "on" => ByHttp::On,
                    _ => ByHttp::Local,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "metrics",
        shipped: false,
        doc: "The figures for Prometheus (GET /metrics). local: for this machine only, and not for those whom a proxy on it tells of. on: for whoever knows metrics_token as well.",
        without_effect: None,
        field: Field::Word {
            words: BY_HTTP,
            get: |config| match config.ws.metrics {
                ByHttp::Off => "off",
                ByHttp::Local => "local",
                ByHttp::On => "on",
            },
            set: |config, word| {
                config.ws.metrics = match word {
                    "off" => ByHttp::Off,
                    "on" => ByHttp::On,
                    _ => ByHttp::Local,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "metrics_token",
        shipped: false,
        doc: "What a scraper from elsewhere sends as Authorization: Bearer. Generate it: openssl rand -hex 16.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 256,
            secret: true,
            get: |config| config.ws.metrics_token.clone(),
            set: |config, text| config.ws.metrics_token = Some(text.to_owned()),
        },
    },
    Key {
        section: "ws",
        name: "send_engine",
        shipped: false,
        doc: "How publications reach the sockets: auto takes io_uring where the kernel allows it.",
        without_effect: None,
        field: Field::Word {
            words: SEND_ENGINES,
            get: |config| match config.ws.send_engine {
                SendEngine::Auto => "auto",
                SendEngine::IoUring => "io_uring",
                SendEngine::Plain => "plain",
            },
            set: |config, word| {
                config.ws.send_engine = match word {
                    "io_uring" => SendEngine::IoUring,
                    "plain" => SendEngine::Plain,
                    _ => SendEngine::Auto,
                }
            },
        },
    },
    Key {
        section: "ws",
        name: "pin_cores",
        shipped: false,
        doc: "Keep each shard's thread on one core.",
        without_effect: None,
        field: Field::Switch { get: |config| config.ws.pin_cores, set: |config, on| config.ws.pin_cores = on },
    },
    Key {
        section: "ws",
        name: "busy_poll_us",
        shipped: false,
        doc: "Microseconds a shard looks for work before it sleeps: lower delay, more processor time. 0 sleeps at once.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 10_000,
            get: |config| config.ws.busy_poll_us.into(),
            set: |config, number| config.ws.busy_poll_us = number as u32,
        },
    },
];
