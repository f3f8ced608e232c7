//! Who is here: what those hear who watch, and what can be asked.

use super::*;

#[test]
pub(super) fn who_watches_hears_of_the_first_and_the_last_connection() {
    let mut net = Net::new(2);
    net.hashes.insert(7, "key");
    net.open(0, 1);
    net.subscribe(0, 1, &["user_status_7"]);
    net.seen(0, 1);
    net.login(1, 1, 7, "key");
    net.login(0, 2, 7, "key");
    assert_eq!(net.seen(0, 1), ["user_status_7 online"]);
    net.leave(1, 1);
    assert!(net.seen(0, 1).is_empty());
    net.leave(0, 2);
    assert_eq!(net.seen(0, 1), ["user_status_7 offline"]);
    let times = net.writes.iter().filter(|write| matches!(write, Write::PutLastSeen { time: 1_700_000_000, .. }));
    assert_eq!(times.count(), 1);
}

#[test]
pub(super) fn track_pipes_tell_of_real_changes_only() {
    let mut net = Net::new(2);
    for (shard, index) in [(0, 1), (1, 1)] {
        net.open(shard, index);
        net.subscribe(shard, index, &["track_x"]);
    }
    net.seen(1, 1);
    assert_eq!(net.seen(0, 1)[1..], ["subscription 0 "]);
    net.subscribe(1, 1, &["track_x", "other"]);
    assert!(net.seen(0, 1).is_empty());
    net.input(
        0,
        Input::ListTrackUsers { conn: id(1), pipe: PipeName::new(b"track_x").unwrap(), marker: Marker::default() },
    );
    net.settle();
    let Seen::Answer(Answer::TrackUsers { subscribers, .. }) = &net.seen(0, 1)[0] else { panic!("no list") };
    assert_eq!(subscribers.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [UserId::ANONYMOUS; 2]);
    net.leave(1, 1);
    assert_eq!(net.seen(0, 1), ["unsubscription 0 "]);
}

#[test]
fn lists_of_connections_look_at_a_bounded_number_of_places() {
    let mut net = Net::new(1);
    for index in [1, 5_000, 9_000] {
        net.open(0, index);
    }
    let (mut found, mut after, mut questions) = (Vec::new(), None, 0);
    loop {
        let Replies::Connections { connections, next } = net.hubs[0].local.list_connections(DevId(1), after, 10) else {
            panic!("not connections");
        };
        found.extend(connections.into_iter().map(|connection| connection.conn.index));
        questions += 1;
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!((found, questions), (vec![1, 5_000, 9_000], 3));
}

#[test]
fn what_a_browser_said_of_itself_is_kept_small_and_told_whole() {
    let mut net = Net::new(1);
    let headers = Headers { agent: "agent".into(), origin: "https://a.example".into(), language: "ru".into() };
    let said = [
        ("::1", "short"),
        ("192.0.2.7", "0123456789abcdefGHIJKLMNOPQRST-_"),
        ("192.0.2.8", "{odd: id}"),
        ("2001:db8::1", ""),
    ];
    for (index, (address, uuid)) in (1..).zip(said) {
        let address = address.parse().unwrap();
        let details = Details { uuid: uuid.into(), address, headers: headers.clone(), since: NOW.unix };
        let credentials = Credentials { dev: DevId(1), user: UserId::ANONYMOUS, key: "".into(), details };
        net.input(0, Input::Connected { conn: id(index), credentials });
        net.subscribe(0, index, &["p_one"]);
    }
    let pipe = PipeKey { dev: DevId(1), name: PipeName::new(b"p_one").unwrap() };
    let Replies::Members { members, .. } = net.hubs[0].local.members(&pipe, None, 10) else { panic!("not members") };
    let told: Vec<_> = members.iter().rev().map(|one| (one.address.to_string(), one.uuid.to_string())).collect();
    assert_eq!(told, said.map(|(address, uuid)| (address.to_owned(), uuid.to_owned())));
    assert!(members.iter().all(|member| *member.details == headers));
    let full = net.hubs[0].memory().connections;
    (1..=4).for_each(|index| net.leave(0, index));
    assert!(net.hubs[0].memory().connections < full, "texts go with the last who said them");
}

#[test]
fn a_users_status_comes_from_the_owner_or_from_storage() {
    let mut net = Net::new(2);
    net.hashes.insert(5, "key");
    net.login(0, 1, 5, "key");
    net.open(1, 1);
    net.times.insert(6, NOW.unix.0 - 90);
    net.times.insert(7, 0);
    // Gone within this second, which is not the same as being here.
    net.times.insert(9, NOW.unix.0);
    // By a clock that was ahead, and by another one that is a little.
    net.times.insert(10, NOW.unix.0 + 7_200);
    net.times.insert(11, NOW.unix.0 + 5);
    for (user, last_seen) in [
        (5, LastSeen::Online),
        (6, LastSeen::SecondsAgo(90)),
        (7, LastSeen::Unknown),
        (8, LastSeen::Unknown),
        (9, LastSeen::SecondsAgo(1)),
        (10, LastSeen::Unknown),
        (11, LastSeen::SecondsAgo(1)),
    ] {
        net.seen(1, 1);
        let user = UserId::new(user).unwrap();
        net.input(1, Input::ReadUserStatus { conn: id(1), user });
        net.settle();
        assert_eq!(net.seen(1, 1), [Answer::UserStatus { user, last_seen }]);
        assert!(!net.hubs[1].is_busy(id(1)));
    }
}
