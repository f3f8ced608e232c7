//! Users, their queues and their presence; history and tokens.

use super::*;
use jsonwebtoken::{EncodingKey, Header};

impl Net {
    pub(super) fn send(&mut self, user: u32, message: &str) {
        self.post(user, message);
        self.settle();
    }

    /// The message is under way.
    fn post(&mut self, user: u32, message: &str) {
        let (dev, user) = (DevId(1), UserId::new(user).unwrap());
        let personal = Arc::new(Personal::new(EventName::default(), message.into()));
        let send = Send { dev, user, personal, statement: StatementId { session: id(0), number: 0 } };
        let placement = &self.hubs[0].config.placement;
        let (cometql, to) = (placement.cometql_shard(), placement.owner_of_user(dev, user));
        self.rings.push_back((cometql, to, RingMessage::Send(Box::new(send))));
    }

    /// The first message that is on a ring comes to its hub, and what follows from it is under way.
    fn pass(&mut self) {
        let (from, to, message) = self.rings.pop_front().unwrap();
        self.input(to.0, Input::Ring { from, message });
        self.drain();
    }

    fn set_length(&mut self, pipe: &str, length: Option<u32>) {
        self.change_length(pipe, length.map_or(LengthChange::Remove, LengthChange::Put));
    }

    fn change_length(&mut self, pipe: &str, change: LengthChange) {
        let pipe = PipeKey { dev: DevId(1), name: PipeName::new(pipe.as_bytes()).unwrap() };
        let placement = &self.hubs[0].config.placement;
        let (cometql, to) = (placement.cometql_shard(), placement.owner_of_pipe(&pipe));
        let set = SetLength { pipe, change, statement: StatementId { session: id(0), number: 1 } };
        self.rings.push_back((cometql, to, RingMessage::SetLength(Box::new(set))));
        self.settle();
    }

    fn pipe_log(&mut self, shard: u16, index: u32, pipe: &str) -> Vec<String> {
        let pipe = PipeName::new(pipe.as_bytes()).unwrap();
        self.input(shard, Input::ReadHistory { conn: id(index), pipe, marker: Marker::default() });
        self.settle();
        self.seen(shard, index)
    }

    pub(super) fn leave(&mut self, shard: u16, index: u32) {
        self.input(shard, Input::Disconnected { conn: id(index) });
        self.settle();
    }
}

pub(super) fn token(claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(b"secret1")).unwrap()
}

/// Somebody who shows no key.
pub(super) fn stranger() -> Credentials {
    Credentials { dev: DevId(1), user: UserId::ANONYMOUS, key: "".into(), details: Details::default() }
}

impl Net {
    /// Whether a token is revoked of which this is signed.
    pub(super) fn is_revoked(&self, signed: &str) -> bool {
        self.revoked.iter().any(|token| token.strip_prefix(signed).is_some_and(|rest| rest.starts_with('.')))
    }
}

#[test]
pub(super) fn what_waits_comes_first_and_once() {
    let mut net = Net::new(3);
    net.hashes.insert(7, "key");
    net.send(7, "one");
    net.send(7, "two");
    assert_eq!((net.accepted.len(), net.queue.len()), (2, 2));
    net.login(1, 1, 7, "key");
    net.send(7, "three");
    assert_eq!(net.seen(1, 1)[1..], ["queued one", "queued two", "personal three"]);
    assert!(net.queue.is_empty());
    net.login(2, 1, 7, "key");
    net.send(7, "four");
    assert_eq!(net.seen(1, 1), ["personal four"]);
    assert_eq!(net.seen(2, 1)[1..], ["personal four"]);
    // Beyond the limit of devices: here, but not heard until there is a place.
    net.login(0, 1, 7, "key");
    net.send(7, "five");
    assert_eq!(net.seen(0, 1).len(), 1);
    net.leave(1, 1);
    net.send(7, "six");
    assert_eq!(net.seen(0, 1), ["personal six"]);
    net.leave(0, 1);
    net.leave(2, 1);
    net.send(7, "seven");
    assert_eq!(net.queue.len(), 1);
    assert!(net.hubs.iter().all(|hub| hub.owned.has_no_users()));
}

/// What a connection that is gone did not take comes back, and must not come behind what is newer.
#[test]
pub(super) fn the_queue_is_not_read_before_it_is_known_what_is_put_into_it() {
    let mut net = Net::new(3);
    net.hashes.insert(7, "key");
    net.login(0, 1, 7, "key");
    net.gone.insert((0, id(1)));
    net.post(7, "one");
    // Its owner hears of it before it hears of the other connection, also if that is on the owner's own shard.
    net.pass();
    net.come(2, 1, 7, "key");
    net.post(7, "two");
    net.settle();
    assert_eq!(net.seen(2, 1)[1..], ["queued one", "personal two"]);
    assert!(net.queue.is_empty());
    assert!(net.seen(0, 1)[1..].is_empty());
    net.leave(0, 1);
    net.leave(2, 1);
    assert!(net.hubs.iter().all(|hub| hub.owned.has_no_users()));
}

/// A connection that is given the queue late is registered before, and gets the rest of it first all the same.
#[test]
fn nothing_new_comes_between_two_parts_of_the_queue() {
    for has_another in [false, true] {
        let mut net = Net::new(1);
        net.hashes.insert(7, "key");
        net.queue = (0..300).map(|number| (UserId::new(7).unwrap(), stored(number))).collect();
        net.queue_fails = true;
        net.login(0, 1, 7, "key");
        if has_another {
            net.login(0, 2, 7, "key");
        }
        (net.queue_fails, net.takes_queues) = (false, false);
        net.hubs[0].time_passed(later(1));
        net.settle();
        net.send(7, "new");
        let flush = net.untaken.pop().unwrap();
        net.takes_queues = true;
        net.input(0, Input::QueueWritten { flush: Box::new(flush), to: ShardId(0), taken: true });
        net.settle();
        let seen = net.seen(0, 1);
        assert_eq!(seen.len(), 302);
        assert_eq!(seen.last().map(String::as_str), Some(if has_another { "personal new" } else { "queued new" }));
        assert!(net.queue.is_empty());
    }
}

#[test]
fn a_message_that_cannot_be_stored_is_refused() {
    let mut net = Net::new(1);
    net.storage_fails = true;
    net.send(7, "lost");
    assert!(net.accepted.is_empty());
    assert!(matches!(net.refused[..], [Refusal::Storage(_)]));
    net.send(0, "to nobody");
    assert_eq!(net.accepted.len(), 1);
}

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
    assert_eq!(net.seen(0, 1)[0].matches("UserId(0)").count(), 2);
    net.leave(1, 1);
    assert_eq!(net.seen(0, 1), ["unsubscription 0 "]);
}

#[test]
pub(super) fn history_is_kept_where_it_is_wanted_and_acknowledged_when_it_holds() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.seen(0, 1);
    net.insert("news", "early", 0);
    net.set_length("news", Some(10));
    for (pipe, message) in [("news", "one"), ("trust_x", "two"), ("other", "three")] {
        net.insert(pipe, message, 0);
    }
    net.settle();
    assert_eq!(net.pipe_log(0, 1, "news"), ["history undefined one 0"]);
    assert_eq!(net.pipe_log(0, 1, "trust_x"), ["history undefined two 0"]);
    assert!(net.pipe_log(0, 1, "other").is_empty());
    assert_eq!(net.pipe_log(0, 1, "private_x").len(), 1, "an error");
    let places: Vec<_> = net.history.iter().map(|(_, message)| message.place()).collect();
    assert_eq!(net.history[0].1.id.position().map(|position| position.time().0), Some(places[0].time));

    net.storage_fails = true;
    net.accepted.clear();
    net.insert("news", "unkept", 0);
    net.insert("other", "unaffected", 1);
    net.settle();
    assert_eq!(net.accepted, [StatementId { session: id(0), number: 1 }]);
    assert_eq!(net.refused.len(), 1);
    net.storage_fails = false;
    net.set_length("news", None);
    assert!(net.pipe_log(0, 1, "news").is_empty());
    for name in ["aa", "bb", "cc", "dd", "ee", "ff", "gg"] {
        net.set_length(name, Some(1));
    }
    assert_eq!(net.refused.last(), Some(&Refusal::TooManySettings), "three for each of two shards");
}

#[test]
pub(super) fn a_setting_is_updated_only_where_there_is_one() {
    let mut net = Net::new(2);
    let key = PipeKey { dev: DevId(1), name: PipeName::new(b"news").unwrap() };
    let owner = net.hubs[0].config.placement.owner_of_pipe(&key);
    let has = |net: &Net| net.hubs[owner.0 as usize].owned.has_setting(&key);
    net.change_length("news", LengthChange::Update(5));
    assert_eq!((net.accepted.len(), has(&net)), (1, false));
    net.set_length("news", Some(1));
    net.change_length("news", LengthChange::Update(5));
    assert_eq!((net.accepted.len(), has(&net)), (3, true));
    net.set_length("news", None);
    net.change_length("news", LengthChange::Update(5));
    assert_eq!((net.accepted.len(), has(&net)), (5, false));
}

#[test]
pub(super) fn a_setting_that_is_there_stays_where_another_is_added() {
    let mut net = Net::new(2);
    let key = PipeKey { dev: DevId(1), name: PipeName::new(b"news").unwrap() };
    let owner = net.hubs[0].config.placement.owner_of_pipe(&key);
    let has = |net: &Net| net.hubs[owner.0 as usize].owned.has_setting(&key);
    net.change_length("news", LengthChange::Add(5));
    assert_eq!((net.accepted.len(), has(&net)), (1, true));
    net.set_length("news", Some(1));
    net.change_length("news", LengthChange::Add(5));
    assert_eq!((net.accepted.len(), has(&net)), (3, true));
}

#[test]
pub(super) fn a_publisher_is_told_when_the_history_does_not_have_it() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.set_length("web_x", Some(5));
    net.storage_fails = true;
    net.seen(0, 1);
    net.publish(0, 1, "web_x", "hello", false);
    net.settle();
    assert!(net.seen(0, 1)[0].contains("NotStored"));
}

#[test]
fn tokens_let_in_until_they_expire_or_are_revoked() {
    let good = token(&serde_json::json!({"exp": 1_700_000_060, "user_id": 7}));
    let mut net = Net::new(1);
    net.login(0, 1, 7, &good);
    assert!(net.seen(0, 1)[0].contains("authorised: true"));
    let others = [
        serde_json::json!({"exp": 1_699_999_999, "user_id": 7}),
        serde_json::json!({"exp": 1_700_000_060, "user_id": 8}),
        serde_json::json!({"exp": 1_700_000_060, "user_id": "7"}),
        serde_json::json!({"exp": "1700000060", "user_id": 7}),
        serde_json::json!({"user_id": 7}),
        serde_json::json!({"exp": 1_700_000_060, "user_id": 7, "nbf": 1_700_000_001}),
    ];
    for (index, claims) in (2..).zip(&others) {
        net.login(0, index, 7, &token(claims));
        assert!(net.seen(0, index)[0].contains("authorised: false"), "{claims}");
    }
    let fraction = token(&serde_json::json!({"exp": 1_700_000_000.5, "user_id": 7.0}));
    net.login(0, 20, 7, &fraction);
    assert!(net.seen(0, 20)[0].contains("authorised: true"));

    assert_eq!(net.hubs[0].next_deadline(), Some(NOW.time + 1_000_000));
    net.hubs[0].time_passed(later(1));
    net.drain();
    assert_eq!(net.seen(0, 20), ["closed: token_expired"]);
    net.input(
        0,
        Input::Ring { from: ShardId(1), message: RingMessage::EndToken { dev: DevId(2), token: good.as_str().into() } },
    );
    net.settle();
    assert!(net.seen(0, 1).is_empty(), "another tenant's token of the same text");
    net.revoked.insert(good.as_str().into());
    net.input(
        0,
        Input::Ring { from: ShardId(1), message: RingMessage::EndToken { dev: DevId(1), token: good.as_str().into() } },
    );
    net.settle();
    assert_eq!(net.seen(0, 1), ["closed: token_revoked"]);
    net.login(0, 21, 7, &good);
    assert!(net.seen(0, 21)[0].contains("authorised: false"));
    assert_eq!(revoked_until(&good), Some(1_700_000_060 + 3600));
    assert_eq!(revoked_until("17"), None);
}

#[test]
fn a_hash_serves_beside_a_token_and_is_not_told_for_one() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    net.login(0, 1, 7, &token(&serde_json::json!({"exp": 1_700_000_060, "user_id": 7})));
    let told = net.seen(0, 1)[0].clone();
    assert!(
        told.contains("authorised: true") && !told.contains(r#"key: "key""#) && !told.contains(r#"key: """#),
        "{told}"
    );
    net.login(0, 2, 7, "a.b.c");
    assert!(net.seen(0, 2)[0].contains(r#"authorised: false, key: """#));
    net.login(0, 3, 7, "key");
    assert!(net.seen(0, 3)[0].contains(r#"authorised: true, key: "key""#));
}

#[test]
fn who_takes_the_queue_slowly_holds_up_nobody() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    (0..300).for_each(|number| net.send(7, &number.to_string()));
    net.takes_queues = false;
    net.login(0, 1, 7, "key");
    net.accepted.clear();
    net.send(7, "later");
    assert_eq!(net.accepted.len(), 1, "it is in the queue, behind the others");
    let flush = net.untaken.pop().unwrap();
    net.takes_queues = true;
    net.input(0, Input::QueueWritten { flush: Box::new(flush), to: ShardId(0), taken: true });
    net.settle();
    let seen = net.seen(0, 1);
    assert_eq!(seen.len(), 302);
    assert_eq!(seen.last().map(String::as_str), Some("queued later"));
    assert!(net.queue.is_empty());
}

#[test]
fn beside_another_device_messages_wait_within_bounds() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    net.login(0, 1, 7, "key");
    net.leave(0, 1);
    (0..300).for_each(|number| net.send(7, &number.to_string()));
    net.login(0, 2, 7, "key");
    // There is a device, and another one comes while something waits in the queue again.
    net.queue = (0..300).map(|number| (UserId::new(7).unwrap(), stored(number))).collect();
    net.takes_queues = false;
    net.login(0, 3, 7, "key");
    net.accepted.clear();
    net.send(7, "held");
    assert!(net.accepted.is_empty() && net.refused.is_empty());
    net.send(7, &"x".repeat(9 * 1024 * 1024));
    assert_eq!(net.refused.len(), 1);
    let flush = net.untaken.pop().unwrap();
    net.takes_queues = true;
    net.input(0, Input::QueueWritten { flush: Box::new(flush), to: ShardId(0), taken: true });
    net.settle();
    assert_eq!(net.accepted.len(), 1);
    assert_eq!(net.seen(0, 2).last().map(String::as_str), Some("personal held"));
    assert_eq!(net.seen(0, 3).last().map(String::as_str), Some("personal held"));
}

fn stored(number: u64) -> StoredMessage {
    let id = MessageId::new(Position(number), 0);
    StoredMessage { id, time: 0, event: EventName::default(), message: "m".into(), sender: UserId::ANONYMOUS }
}

#[test]
fn a_queue_that_could_not_be_read_is_read_again() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    net.send(7, "waiting");
    net.queue_fails = true;
    net.login(0, 1, 7, "key");
    assert_eq!(net.seen(0, 1).len(), 1);
    net.queue_fails = false;
    assert_eq!(net.hubs[0].next_deadline(), Some(NOW.time + 1_000_000));
    net.hubs[0].time_passed(later(1));
    net.settle();
    assert_eq!(net.seen(0, 1), ["queued waiting"]);
}

#[test]
fn a_user_with_too_many_connections_gets_no_more_of_them() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    (1..=1024).for_each(|index| net.login(0, index, 7, "key"));
    net.login(0, 2000, 7, "key");
    assert_eq!(net.seen(0, 2000).last().map(String::as_str), Some("closed: limited"));
    net.leave(0, 5);
    net.login(0, 2001, 7, "key");
    assert_eq!(net.seen(0, 2001).len(), 1);
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
        assert_eq!(net.seen(1, 1), [format!("{:?}", Answer::UserStatus { user, last_seen })]);
        assert!(!net.hubs[1].is_busy(id(1)));
    }
}
