//! What an address or a user may do, over all shards; and users who come back before they count as gone.

use super::*;
use crate::model::Network;

fn limited(shards: u16, limits: &Limits) -> Net {
    Net::with(shards, |config| config.limits = limits.clone())
}

fn admit(net: &mut Net, shard: u16, index: u32, address: [u8; 4]) -> String {
    net.input(shard, Input::Admit { conn: id(index), address: address.into() });
    net.drain();
    net.settle();
    net.words(shard, index).concat()
}

fn open_at(net: &mut Net, shard: u16, index: u32, address: [u8; 4]) {
    let details = Details { address: address.into(), ..Details::default() };
    let credentials = Credentials { dev: DevId(1), user: UserId::ANONYMOUS, key: "".into(), details };
    net.input(shard, Input::Connected { conn: id(index), credentials });
    net.settle();
    net.seen(shard, index);
}

const A: [u8; 4] = [192, 0, 2, 1];
const B: [u8; 4] = [192, 0, 2, 2];
const PROXY: [u8; 4] = [10, 0, 0, 9];

#[test]
pub(super) fn an_address_has_its_connections_on_whatever_shard() {
    let exempt = [Network::parse("10.0.0.0/8").unwrap()].into();
    let mut net = limited(3, &Limits { connections_per_address_max: 3, exempt, counting: 1, ..Limits::default() });
    for shard in 0..3 {
        assert_eq!(admit(&mut net, shard, 1, A), "admitted");
        open_at(&mut net, shard, 1, A);
    }
    for shard in 0..3 {
        assert_eq!(admit(&mut net, shard, 2, A), "not admitted for 5 s");
        assert_eq!(admit(&mut net, shard, 3, PROXY), "admitted", "proxies are not limited");
    }
    assert_eq!(admit(&mut net, 0, 4, B), "admitted");
    net.leave(1, 1);
    net.settle();
    assert_eq!(admit(&mut net, 2, 5, A), "admitted");
    assert_eq!(admit(&mut net, 2, 6, A), "not admitted for 5 s");
    // Somebody who was admitted and never came.
    net.input(2, Input::Release { address: A.into() });
    net.drain();
    net.settle();
    assert_eq!(admit(&mut net, 0, 7, A), "admitted");
}

#[test]
pub(super) fn an_address_begins_so_many_connections_in_a_second() {
    let mut net = limited(2, &Limits { connects_per_address_per_s: 2, ..Limits::default() });
    let seen: Vec<String> = (0..4).map(|number| admit(&mut net, number % 2, 1, A)).collect();
    assert_eq!(seen, ["admitted", "admitted", "not admitted for 1 s", "not admitted for 1 s"]);
    assert_eq!(admit(&mut net, 0, 1, B), "admitted");
    // Nobody counts what lasts.
    open_at(&mut net, 0, 1, B);
    net.leave(0, 1);
    net.settle();
    assert!(net.hubs.iter().all(|hub| hub.counted_connections() == 0));
}

#[test]
pub(super) fn a_user_publishes_so_much_in_a_second_and_is_told_of_the_rest() {
    let mut net = limited(3, &Limits { publications_per_user_per_s: 3, ..Limits::default() });
    net.hashes.insert(7, "key");
    for shard in 0..3 {
        net.login(shard, 1, 7, "key");
        open_at(&mut net, shard, 2, A);
        net.seen(shard, 1);
    }
    net.open(0, 9);
    net.subscribe(0, 9, &["web_room"]);
    net.seen(0, 9);
    // The connections of a user count together, and so do those of an address that are nobody's.
    for index in [1, 2] {
        for number in 0..5 {
            net.publish(number % 3, index, "web_room", &number.to_string(), number == 1);
            net.settle();
        }
        assert_eq!(net.seen(0, 9), ["0", "1", "2"]);
        for (shard, reports) in [(0, 1), (1, 1), (2, 1)] {
            let seen = net.seen(shard, index);
            assert_eq!(seen.iter().filter(|seen| seen.is_report()).count(), reports, "{seen:?}");
            let too_fast = Answer::Error(ApiError::TooFast { wait_ms: 334 });
            let refused = seen.iter().filter(|seen| **seen == too_fast).count();
            assert_eq!(refused, usize::from(shard < 2), "{seen:?}");
            assert!(!net.hubs[shard as usize].is_busy(id(index)));
        }
    }
    let counted = |count: fn(HubCounters) -> u64| net.hubs.iter().map(|hub| count(hub.counters())).sum::<u64>();
    assert_eq!((counted(|it| it.publications), counted(|it| it.publications_refused)), (6, 4));
}

/// Lets the time come at which graces are over.
fn pass(net: &mut Net, seconds: i64) {
    for hub in &mut net.hubs {
        hub.tell_presence(later(seconds));
    }
    net.drain();
    net.settle();
}

fn with_grace() -> Net {
    let mut net = Net::with(3, |config| config.offline_grace = 5_000_000);
    net.hashes.insert(7, "key");
    net.open(0, 1);
    net.subscribe(0, 1, &["user_status_7"]);
    net.seen(0, 1);
    net
}

#[test]
pub(super) fn who_comes_back_in_time_was_never_away() {
    let mut net = with_grace();
    for shard in 0..3 {
        net.login(shard, 2, 7, "key");
        net.leave(shard, 2);
        net.settle();
        pass(&mut net, 4);
    }
    assert_eq!(net.seen(0, 1), ["user_status_7 online"]);
    assert!(net.hubs.iter().any(|hub| hub.owned.is_online((DevId(1), UserId::new(7).unwrap()))));
    assert!(!net.writes.iter().any(|write| matches!(write, Write::PutLastSeen { .. })));
    // Personal messages are queued meanwhile, as for anybody without a connection.
    net.send(7, "meanwhile");
    assert_eq!(net.queue.len(), 1);

    // The time that is kept is that of going.
    pass(&mut net, 5);
    assert_eq!(net.seen(0, 1), ["user_status_7 offline"]);
    let seen: Vec<i64> = (net.writes.iter())
        .filter_map(|write| if let Write::PutLastSeen { time, .. } = write { Some(*time) } else { None })
        .collect();
    assert_eq!(seen, [NOW.unix.0]);
    assert!(net.hubs.iter().all(|hub| hub.presence_deadline().is_none()));
    pass(&mut net, 60);
    assert!(net.seen(0, 1).is_empty());
    net.login(1, 3, 7, "key");
    assert_eq!(net.seen(0, 1), ["user_status_7 online"]);
}

#[test]
pub(super) fn a_server_that_stops_notes_who_was_about_to_be_gone() {
    let mut net = with_grace();
    net.login(2, 2, 7, "key");
    net.leave(2, 2);
    net.settle();
    for hub in &mut net.hubs {
        hub.handle(Input::Stopping, later(3));
    }
    let jobs = net.hubs.iter_mut().filter_map(Hub::last_job);
    let times: Vec<Request> = jobs.map(|job| job.request).collect();
    let expected = Write::PutLastSeen { dev: DevId(1), user: UserId::new(7).unwrap(), time: NOW.unix.0 };
    assert_eq!(times, [Request::Write(vec![expected])]);
}

#[test]
pub(super) fn a_list_in_pages_names_everybody_who_stays() {
    let mut net = Net::new(3);
    net.open(0, 1);
    let mut next = Some(TrackCursor::default());
    for index in 2..=1_302 {
        let uuid = format!("browser{index}").into();
        let credentials = Credentials {
            dev: DevId(1),
            user: UserId::ANONYMOUS,
            key: "".into(),
            details: Details { uuid, ..Details::default() },
        };
        let shard = if index % 4 == 0 { 2 } else { 1 };
        net.input(shard, Input::Connected { conn: id(index), credentials });
        let pipes = vec![PipeName::new(b"track_all").unwrap()];
        net.input(shard, Input::Subscribe { conn: id(index), pipes });
    }
    net.settle();
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    while let Some(cursor) = next {
        let (pipe, marker) = (PipeName::new(b"track_all").unwrap(), Marker::default());
        net.seen(0, 1);
        net.input(0, Input::PageTrackUsers { conn: id(1), pipe, marker, cursor });
        net.settle();
        let Some(Seen::Answer(Answer::TrackPage { subscribers, next: more, .. })) = net.seen(0, 1).pop() else {
            panic!("no page")
        };
        assert!(subscribers.len() <= 512);
        seen.extend(subscribers.into_iter().map(|(_, uuid)| uuid));
        next = more;
        pages += 1;
        // Some leave meanwhile, and others take their places.
        for index in [pages * 10 + 2, pages * 10 + 3, pages * 100 + 4] {
            net.leave(if index % 4 == 0 { 2 } else { 1 }, index);
        }
        net.settle();
    }
    assert_eq!(pages, 1 + 2 + 1, "one of each shard at least, and 512 at most in one");
    let left: BTreeSet<u32> = (1..=pages).flat_map(|page| [page * 10 + 2, page * 10 + 3, page * 100 + 4]).collect();
    let missing: Vec<u32> = (2..=1_302)
        .filter(|index| !left.contains(index) && !seen.contains(format!("browser{index}").as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let cursor = TrackCursor { shard: ShardId(3), before: None };
    let (pipe, marker) = (PipeName::new(b"track_all").unwrap(), Marker::default());
    net.input(0, Input::PageTrackUsers { conn: id(1), pipe, marker, cursor });
    net.settle();
    assert_eq!(*net.seen(0, 1).last().unwrap(), Answer::Error(ApiError::BadCursor));
}
