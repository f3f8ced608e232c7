//! Who is subscribed to what, after any lists and ends.

use super::*;

#[test]
pub(super) fn a_new_list_replaces_the_old_one_and_only_differences_count() {
    let mut net = Net::new(2);
    net.open(1, 1);
    net.subscribe(1, 1, &["aa", "bb", "aa"]);
    assert_eq!(net.ask_counts(&["aa", "bb"]), [1, 1]);
    net.subscribe(1, 1, &["bb", "cc", "dd", "ee"]);
    assert_eq!(net.ask_counts(&["aa", "bb", "cc", "dd", "ee"]), [0, 1, 1, 1, 1]);
    net.seen(1, 1);
    net.subscribe(1, 1, &["aa", "bb", "cc", "dd", "ee"]);
    assert_eq!(net.seen(1, 1), [Answer::Error(ApiError::Subscription(SubscriptionError::TooManyPipes))]);
    net.subscribe(1, 1, &[]);
    assert_eq!(net.ask_counts(&["aa", "bb", "cc", "dd", "ee"]), [0; 5]);
    assert_eq!(net.hubs[1].local.pipes_bytes(), 0);
}

#[test]
pub(super) fn only_the_differences_of_a_new_list_are_told() {
    let mut net = Net::new(2);
    net.open(0, 1);
    let key =
        |number: u32| PipeKey { dev: DevId(1), name: PipeName::new(format!("pipe_{number}").as_bytes()).unwrap() };
    let placement = net.hubs[0].config.placement.clone();
    let elsewhere: Vec<PipeName> =
        (0..).map(key).filter(|key| placement.owner_of_pipe(key) == ShardId(1)).map(|key| key.name).take(6).collect();
    for (list, messages) in [(&[0, 1, 2][..], 3), (&[2, 0, 1, 0], 0), (&[3, 0, 2], 2), (&[4, 5, 1], 6), (&[], 3)] {
        let pipes = list.iter().map(|number: &usize| elsewhere[*number].clone()).collect();
        net.input(0, Input::Subscribe { conn: id(1), pipes });
        let told: Vec<usize> = std::iter::from_fn(|| net.hubs[0].poll_output())
            .filter_map(|output| match output {
                Output::Ring { message: RingMessage::Interest { .. }, .. } => Some(1),
                Output::Ring { message: RingMessage::Interests(interests), .. } => Some(interests.len()),
                _ => None,
            })
            .collect();
        assert_eq!(told.iter().sum::<usize>(), messages, "{list:?}");
        assert!(told.len() <= 1, "one message says it all");
        assert_eq!(net.hubs[0].subscriptions(id(1)), list.len().min(3));
    }
}

/// Whatever lists follow each other: every member knows its slot, and the slot knows its member.
#[test]
fn members_and_slots_agree_after_any_lists() {
    let mut net = Net::with(1, |config| config.pipes_per_connection_max = 20);
    let names: Vec<String> = (0..20).map(|number| format!("pipe_{number}")).collect();
    (0..8).for_each(|index| net.open(0, index));
    let mut bits = 1_u64;
    for round in 0..500 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
        let wanted: Vec<&str> =
            names.iter().enumerate().filter(|(at, _)| bits >> (20 + at) & 1 == 1).map(|(_, name)| &**name).collect();
        net.subscribe(0, (bits >> 50) as u32 % 8, &wanted);
        let hub = &net.hubs[0];
        let members = hub.local.checked_memberships((0..8).map(id));
        let counted: u32 = names
            .iter()
            .map(|name| PipeKey { dev: DevId(1), name: PipeName::new(name.as_bytes()).unwrap() })
            .map(|key| hub.owned.count_subscribers(&key))
            .sum();
        assert_eq!(counted as usize, members);
    }
}

#[test]
fn private_pipes_are_skipped_for_anonymous_connections_only() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.open(0, 1);
    net.login(0, 2, 5, "key");
    for index in 1..=2 {
        net.subscribe(0, index, &["private_a", "open"]);
    }
    assert_eq!(net.ask_counts(&["private_a", "open"]), [1, 2]);
}

#[test]
pub(super) fn a_connection_that_left_in_the_middle_costs_nothing() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.open(1, 1);
    net.subscribe(0, 1, &["web_a"]);
    net.subscribe(1, 1, &["web_a"]);
    net.publish(0, 1, "web_a", "m", false);
    net.input(0, Input::Disconnected { conn: id(1) });
    net.input(1, Input::Disconnected { conn: id(1) });
    net.settle();
    assert_eq!(net.ask_counts(&["web_a"]), [0]);
    assert!(!net.hubs.iter().any(Hub::owes_answers));
    assert!(net.hubs.iter().all(|hub| hub.connections() == 0));
}

#[test]
fn a_place_that_was_taken_again_is_another_connection() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    net.input(0, Input::Disconnected { conn: id(1) });
    let second = ConnId { index: 1, generation: 2 };
    net.input(0, Input::Connected { conn: second, credentials: stranger() });
    net.subscribe(0, 1, &["aa"]);
    assert_eq!(net.ask_counts(&["aa"]), [0], "a stale id changes nothing");
    net.input(0, Input::Subscribe { conn: second, pipes: vec![PipeName::new(b"aa").unwrap()] });
    net.settle();
    assert_eq!(net.ask_counts(&["aa"]), [1]);
}
