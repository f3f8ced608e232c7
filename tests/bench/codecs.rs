//! What the codecs and the hub cost per message, in nanoseconds: `cargo bench --bench codecs`.
//!
//! Each figure is the best of several batches, which other work on the machine blurs least. The rings' are in
//! `shards/benches`.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use encke::cometql::sql::{self, StringEscapes};
use encke::hub::{Credentials, Details, GivenOut, Hub, HubConfig, Input, Limits};
use encke::model::{
    ConnId, DevId, EventName, Now, PipeKey, PipeName, Publication, ShardId, Time, UnixTime, UserId, WireForm,
};
use encke::ring::{Ask, AskId, Placement, Question, RingMessage, StatementId};
use encke::token::TokenKeys;
use encke::{http, jsapi, ws};

const BATCHES: usize = 15;
const NOW: Now = Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 };
const COMMAND: &str = "subscription\nsimplechat\nuser_status_15\nweb_room";
const MESSAGE: &str =
    r#"{"name":"Bob","text":"a message of usual length, as chats have them, with nothing in it to escape"}"#;
const HANDSHAKE: &str = "GET /ws/sesion=&myid=&devid=0&v=4.09&uuid=abcdefghijklmnopqrstuvwxyz012345&api=js HTTP/1.1\r\n\
    Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: https://example.com\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn main() {
    let insert =
        format!("INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '{MESSAGE}')");
    let escaped = insert.replace('"', "\\\"");
    let mysql = StringEscapes::Mysql;
    report("sql: plain INSERT, fast path", 20_000, || {
        black_box(sql::fast::insert(black_box(insert.as_bytes()), mysql)).unwrap();
    });
    report("sql: the same with its quotes escaped, fast path", 20_000, || {
        black_box(sql::fast::insert(black_box(escaped.as_bytes()), mysql)).unwrap();
    });
    report("sql: the plain one through the general parser", 2_000, || {
        black_box(sql::parse(black_box(&insert), mysql)).unwrap();
    });
    report("jsapi: a publication to a frame", 20_000, || {
        black_box(jsapi::frame_publication(&publication(MESSAGE), WireForm::Modern));
    });
    let frame = masked_text(COMMAND.as_bytes());
    let limits = ws::Limits::default();
    report("ws: a masked command to text", 20_000, || {
        let mut bytes = frame.clone();
        let Ok(ws::Step::Frame { head, payload, .. }) = ws::next_frame(&limits, &mut bytes) else { unreachable!() };
        black_box(ws::receive(&mut None, &limits, head, &bytes[payload])).unwrap();
    });
    report("jsapi: a subscription to three pipes", 20_000, || {
        black_box(jsapi::parse_command(black_box(COMMAND))).unwrap();
    });
    report("http: a handshake to its answer", 20_000, || {
        let parsed = http::parse_head(black_box(HANDSHAKE.as_bytes()), &http::HeadLimits::default()).unwrap();
        let http::HeadStep::Head(head) = parsed else { unreachable!() };
        black_box(http::upgrade(&head)).unwrap();
    });
    hub();
    presence();
}

/// A hub whose pipe has so many members.
fn hub_with(members: u32, pipe: &PipeName) -> Hub {
    let mut hub = Hub::new(HubConfig {
        shard: ShardId(0),
        placement: Placement::new(1, [7, 8, 9, 10]),
        pipes_per_connection_max: 10,
        pipes_max: 1000,
        arrivals_bytes_max: usize::MAX,
        save_last_seen: false,
        announce_online: true,
        announce_offline: true,
        devices_max: 16,
        connections_per_user_max: 1_024,
        limits: Limits::default(),
        offline_grace: 0,
        settings_max: 100,
        tenant_settings_max: 100,
        history_bytes_max: 1 << 20,
        tokens: TokenKeys::default(),
        given_out: GivenOut::new([7; 32]),
        departed_max: 0,
    });
    for index in 0..members {
        let conn = ConnId { index, generation: 1 };
        let credentials =
            Credentials { dev: DevId(0), user: UserId::ANONYMOUS, key: "".into(), details: Details::default() };
        hub.handle(Input::Connected { conn, credentials }, NOW);
        hub.handle(Input::Subscribe { conn, pipes: vec![pipe.clone()] }, NOW);
    }
    while hub.poll_output().is_some() {}
    hub
}

/// From the ring to the finished fan-out, without the sockets.
fn hub() {
    let mut hub = hub_with(1000, &PipeName::new(b"simplechat").unwrap());
    let statement = Some(StatementId { session: ConnId::default(), number: 0 });
    report("hub: a publication to its fan-out of 1,000", 200, || {
        let message = RingMessage::Publish { publication: Box::new(publication("hello")), statement };
        hub.handle(Input::Ring { from: ShardId(1), message }, NOW);
        hub.end_turn();
        while let Some(output) = hub.poll_output() {
            black_box(output);
        }
    });
}

/// What a pipe with very many members is asked, without the ring: a count must not depend on how many they are.
fn presence() {
    for members in [1_000, 100_000] {
        let name = PipeName::new(b"track_all").unwrap();
        let mut hub = hub_with(members, &name);
        let mut ask = |question| {
            let ask = Ask { id: AskId(1), question };
            hub.handle(Input::Ring { from: ShardId(1), message: RingMessage::Ask(Box::new(ask)) }, NOW);
            while let Some(output) = hub.poll_output() {
                black_box(output);
            }
        };
        let pipe = || PipeKey { dev: DevId(0), name: name.clone() };
        report(&format!("hub: a count of {members} members"), 20_000, || ask(Question::PipeCounts(vec![pipe()])));
        report(&format!("hub: a page of 512 of {members} members"), 200, || {
            ask(Question::Members { pipe: pipe(), before: None, rows: 512 });
        });
    }
}

fn publication(message: &str) -> Publication {
    let pipe = Arc::new(PipeKey { dev: DevId(0), name: PipeName::new(b"simplechat").unwrap() });
    Publication::new(pipe, EventName::new(b"newMessage").unwrap(), message.into())
}

fn masked_text(text: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | text.len() as u8];
    frame.extend(mask);
    frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn report(what: &str, count: usize, mut run: impl FnMut()) {
    let mut batch = || {
        let start = Instant::now();
        (0..count).for_each(|_| run());
        start.elapsed().as_nanos() as f64 / count as f64
    };
    let best = (0..BATCHES).map(|_| batch()).fold(f64::INFINITY, f64::min);
    println!("{what:<55} {best:>10.0} ns");
}
