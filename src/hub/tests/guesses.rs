//! Somebody tries keys of users: over all shards, and what the others at the same address notice.

use super::*;
use crate::model::Network;

const A: [u8; 4] = [192, 0, 2, 1];
const B: [u8; 4] = [192, 0, 2, 2];
const PROXY: [u8; 4] = [10, 0, 0, 9];

fn watched(shards: u16, key_attempts_max: u32) -> Net {
    let limits =
        Limits { key_attempts_max, exempt: [Network::parse("10.0.0.0/8").unwrap()].into(), ..Limits::default() };
    let mut net = Net::with(shards, |config| config.limits = limits.clone());
    net.hashes.extend((5..50).map(|user| (user, "key")));
    net
}

/// What the page is told.
fn login_at(net: &mut Net, shard: u16, index: u32, user: u32, key: &str, address: [u8; 4]) -> &'static str {
    let details = Details { address: address.into(), ..Details::default() };
    let user = UserId::new(user).unwrap();
    net.input(
        shard,
        Input::Connected {
            conn: id(index),
            credentials: Credentials { dev: DevId(1), user, key: key.into(), details },
        },
    );
    net.settle();
    let seen = net.seen(shard, index);
    net.leave(shard, index);
    net.settle();
    let is_told = |wanted| {
        seen.iter()
            .any(|one| matches!(one, Seen::Answer(Answer::ServerInfo { authorised, .. }) if *authorised == wanted))
    };
    match seen.last() {
        Some(last) if *last == "closed: key_not_tried" => "later",
        _ if is_told(true) => "in",
        _ if is_told(false) => "wrong",
        _ => panic!("{seen:?}"),
    }
}

#[test]
pub(super) fn a_guesser_has_few_tries_whatever_the_shard_and_holds_up_one_user_only() {
    let mut net = watched(3, 4);
    let mut looked_at = 0;
    for number in 0..300 {
        let told = login_at(&mut net, (number % 3) as u16, number, 5, "guess", A);
        looked_at += u32::from(told == "wrong");
    }
    assert_eq!(looked_at, 8, "so many until the address is known, and as many of this user");
    assert_eq!(net.guessed, [4], "one warning a minute");
    assert_eq!(login_at(&mut net, 0, 1000, 5, "key", A), "later", "or guessing would go on");
    // A crowd behind the same address, and the same user elsewhere.
    for user in 6..50 {
        assert_eq!(login_at(&mut net, (user % 3) as u16, 2000 + user, user, "key", A), "in");
    }
    assert_eq!(login_at(&mut net, 1, 3000, 5, "key", B), "in");
    assert!(net.hubs.iter().all(|hub| !hub.owes_answers()));
}

#[test]
pub(super) fn what_is_no_guess_is_not_counted() {
    let claims = serde_json::json!({ "user_id": 7, "exp": 1 });
    let over = logins::token(&claims);
    let mut net = watched(2, 2);
    for number in 0..20 {
        assert_eq!(login_at(&mut net, 0, number, 7, &over, A), "wrong", "a token that is over");
        assert_eq!(login_at(&mut net, 1, number, 0, "", A), "wrong", "nobody");
        assert_eq!(login_at(&mut net, 1, number, 8, "guess", PROXY), "wrong", "an address that stands for all");
    }
    assert_eq!(login_at(&mut net, 0, 90, 7, "a.b.c", A), "wrong");
    assert_eq!(login_at(&mut net, 0, 91, 7, "a.b.c", A), "wrong");
    assert_eq!(
        (login_at(&mut net, 0, 92, 7, "a.b.c", A), login_at(&mut net, 1, 93, 7, "a.b.c", A)),
        ("wrong", "wrong")
    );
    assert_eq!(login_at(&mut net, 0, 94, 7, &over, A), "wrong", "and it is not held up");
    assert_eq!(login_at(&mut net, 0, 95, 7, "a.b.c", A), "later");
    let mut off = watched(2, 0);
    (0..100).for_each(|number| assert_eq!(login_at(&mut off, 0, number, 5, "guess", A), "wrong"));
}
