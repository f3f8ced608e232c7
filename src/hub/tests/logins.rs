//! Who is let in, with a hash or a token, and what ends it.

use super::*;
use jsonwebtoken::{EncodingKey, Header};

pub(super) fn token(claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(b"secret1")).unwrap()
}

#[test]
pub(super) fn a_key_is_checked_against_storage() {
    let server_info = |authorised, key: &str| [Answer::ServerInfo { authorised, key: key.into() }];
    let mut net = Net::new(2);
    net.hashes.insert(5, "key");
    net.hashes.insert(6, "");
    // Of a backend whose client wrote that there is none, before this was refused.
    net.hashes.insert(8, "NULL");
    for (index, (user, key, authorised)) in [
        (5, "key", true),
        (5, "kez", false),
        (5, "", false),
        (0, "key", false),
        (6, "", false),
        (7, "key", false),
        (8, "NULL", false),
    ]
    .into_iter()
    .enumerate()
    {
        net.login(0, index as u32, user, key);
        assert_eq!(
            net.seen(0, index as u32),
            server_info(authorised, if authorised { key } else { "" }),
            "{user} {key}"
        );
    }
}

#[test]
pub(super) fn a_deleted_hash_ends_the_users_connections_on_every_shard() {
    let mut net = Net::new(2);
    net.hashes.extend([(5, "key"), (6, "key"), (7, "key")]);
    for (shard, index, user) in [(0, 1, 5), (0, 2, 5), (1, 1, 5), (1, 2, 6), (0, 3, 7)] {
        net.login(shard, index, user, "key");
        net.seen(shard, index);
    }
    let cometql = net.hubs[0].config.placement.cometql_shard();
    let end = |net: &mut Net| {
        for shard in 0..2 {
            let users = [9, 5, 7, 5].map(|id| UserId::new(id).unwrap()).to_vec();
            let message = RingMessage::EndUsers(Arc::new(EndedUsers::new(DevId(1), users)));
            net.rings.push_back((cometql, ShardId(shard), message));
        }
        net.settle();
    };
    end(&mut net);
    for (shard, index) in [(0, 1), (0, 2), (1, 1), (0, 3)] {
        assert_eq!(net.seen(shard, index), ["closed: hash_deleted"]);
    }
    assert!(net.seen(1, 2).is_empty());
    assert!(!net.hubs.iter().any(|hub| hub.local.has_connections_of(DevId(1), UserId::new(5).unwrap())));

    // A login whose answer from storage is older than the deletion does not slip through.
    let credentials =
        Credentials { dev: DevId(1), user: UserId::new(5).unwrap(), key: "key".into(), details: Details::default() };
    net.input(0, Input::Connected { conn: id(7), credentials });
    let Some(Output::Ask { job, .. }) = net.hubs[0].poll_output() else { panic!("storage is asked") };
    let result = net.store(job.request);
    net.hashes.remove(&5);
    end(&mut net);
    net.input(0, Input::Stored(Completion { ticket: job.ticket, result }));
    net.settle();
    assert_eq!(net.seen(0, 7), [Answer::ServerInfo { authorised: false, key: "".into() }]);
}

#[test]
fn storage_that_fails_never_logs_anybody_in() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.storage_fails = true;
    net.login(0, 1, 5, "key");
    assert_eq!(net.seen(0, 1), ["closed: storage_unavailable"]);
    net.open(0, 2);
    net.seen(0, 2);
    let marker = Marker::new(b"m1").unwrap();
    net.input(0, Input::ReadUserData { conn: id(2), user: UserId::new(5).unwrap(), marker: marker.clone() });
    net.settle();
    assert_eq!(net.seen(0, 2), [Answer::Error(ApiError::Unavailable { marker })]);
    assert!(!net.hubs[0].is_busy(id(2)));
}

#[test]
fn tokens_let_in_until_they_expire_or_are_revoked() {
    let good = token(&serde_json::json!({"exp": 1_700_000_060, "user_id": 7}));
    let mut net = Net::new(1);
    net.login(0, 1, 7, &good);
    assert!(net.is_let_in(0, 1));
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
        assert!(!net.is_let_in(0, index), "{claims}");
    }
    let fraction = token(&serde_json::json!({"exp": 1_700_000_000.5, "user_id": 7.0}));
    net.login(0, 20, 7, &fraction);
    assert!(net.is_let_in(0, 20));

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
    assert!(!net.is_let_in(0, 21));
    assert_eq!(revoked_until(&good), Some(1_700_000_060 + 3600));
    assert_eq!(revoked_until("17"), None);
}

#[test]
fn a_hash_serves_beside_a_token_and_is_not_told_for_one() {
    let mut net = Net::new(1);
    net.hashes.insert(7, "key");
    net.login(0, 1, 7, &token(&serde_json::json!({"exp": 1_700_000_060, "user_id": 7})));
    let Seen::Answer(Answer::ServerInfo { authorised: true, key }) = &net.seen(0, 1)[0] else { panic!("not let in") };
    assert!(!["", "key"].contains(&&**key), "{key}");
    net.login(0, 2, 7, "a.b.c");
    assert_eq!(net.seen(0, 2), [Answer::ServerInfo { authorised: false, key: "".into() }]);
    net.login(0, 3, 7, "key");
    assert_eq!(net.seen(0, 3), [Answer::ServerInfo { authorised: true, key: "key".into() }]);
}

/// Each private pipe is for those whose token names it, by whichever command, and for no one else.
#[test]
fn private_pipes_are_for_tokens_that_name_them() {
    let mut net = Net::with(1, |config| config.tokens = config.tokens.clone().with_pipes(true));
    net.hashes.insert(7, "key");
    let token = |pipes: serde_json::Value| {
        token(&serde_json::json!({ "user_id": 5, "exp": NOW.unix.0 + 10, "dev": 1, "pipes": pipes }))
    };
    let of_room = token(serde_json::json!(["private_a", "private_room_*"]));
    net.login(0, 1, 5, &of_room);
    net.login(0, 2, 5, &of_room);
    net.login(0, 3, 5, &token(serde_json::json!([])));
    net.login(0, 4, 7, "key");
    net.open(0, 5);
    for index in 1..=5 {
        net.seen(0, index);
    }
    let refused = |error| Seen::Answer(Answer::Error(ApiError::Subscription(error)));
    let named = [(1, true), (2, true), (3, false), (4, false), (5, false)];
    for (index, is_named) in named {
        let error = if index == 5 { SubscriptionError::NeedsAuthorisation } else { SubscriptionError::NotNamed };
        for pipe in ["private_a", "private_room_9"] {
            net.subscribe(0, index, &[pipe, "plain"]);
            assert!(net.seen(0, index).is_empty(), "classic clients are not told");
            assert_eq!(net.hubs[0].subscriptions(id(index)), if is_named { 2 } else { 1 });
            net.insert(pipe, "secret", 1);
            net.insert("plain", "open", 2);
            net.settle();
            let heard = net.words(0, index).join("+");
            assert_eq!(heard, if is_named { "secret+open" } else { "open" }, "{index} {pipe}");
            for other in 1..=5 {
                net.seen(0, other);
            }
            let log = net.pipe_log(0, index, pipe);
            assert_eq!(log.is_empty(), is_named, "{log:?}");
        }
        for (pipe, is_named) in [("private_a", is_named), ("private_b", false)] {
            net.subscribe(0, index, &[]);
            let pipes = vec![(PipeName::new(pipe.as_bytes()).unwrap(), Had::default())];
            net.input(0, Input::Resubscribe { conn: id(index), pipes });
            net.settle();
            let seen = net.seen(0, index);
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert_eq!(seen[0] == refused(error), !is_named, "{index} {pipe}: {seen:?}");
        }
        net.subscribe(0, index, &["private_a"]);
    }
    let shared = net.hubs[0].local.rights_bytes();
    net.login(0, 6, 5, &of_room);
    assert!(net.hubs[0].local.rights_bytes() - shared <= 64, "connections of one token share what it says");
    net.input(0, Input::Disconnected { conn: id(6) });
    // With the token go its rights, and nothing is left of them.
    net.input(
        0,
        Input::Ring {
            from: ShardId(1),
            message: RingMessage::EndToken { dev: DevId(1), token: of_room.as_str().into() },
        },
    );
    net.settle();
    assert!((1..=2).all(|index| net.seen(0, index).iter().any(|seen| *seen == "closed: token_revoked")));
    net.insert("private_a", "after", 3);
    net.settle();
    assert!((1..=5).all(|index| !net.seen(0, index).iter().any(|seen| *seen == "after")));
    assert!(net.hubs[0].local.has_no_rights());
}
