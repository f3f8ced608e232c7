//! Publications: who gets them, in which order, and what their publishers are told.

use super::*;

#[test]
pub(super) fn a_publication_reaches_the_subscribers_of_every_shard_and_nobody_else() {
    let mut net = Net::new(3);
    for (shard, index, pipe) in [(0, 1, "p_one"), (1, 1, "p_one"), (2, 1, "p_one"), (2, 2, "p_two")] {
        net.open(shard, index);
        net.subscribe(shard, index, &[pipe]);
        net.seen(shard, index);
    }
    net.insert("p_one", "hello", 9);
    net.settle();
    for shard in 0..3 {
        assert_eq!(net.seen(shard, 1), ["hello"]);
    }
    assert!(net.seen(2, 2).is_empty());
    assert_eq!(net.accepted, [StatementId { session: id(0), number: 9 }]);
    assert_eq!(net.ask_counts(&["p_one", "p_two", "p_none"]), [3, 1, 0]);
}

#[test]
fn the_publications_of_a_turn_are_joined_in_the_order_of_arrival() {
    let mut net = Net::new(1);
    for (index, pipes) in [(1, &["aa"][..]), (2, &["aa", "bb"]), (3, &["bb"]), (4, &["cc", "aa"])] {
        net.open(0, index);
        net.subscribe(0, index, pipes);
        net.seen(0, index);
    }
    for (number, (pipe, message)) in [("aa", "1"), ("bb", "2"), ("aa", "3")].into_iter().enumerate() {
        net.insert(pipe, message, number as u32);
    }
    net.settle();
    assert_eq!(net.seen(0, 1), ["1+3"]);
    assert_eq!(net.seen(0, 2), ["1+2+3"]);
    assert_eq!(net.seen(0, 3), ["2"]);
    assert_eq!(net.seen(0, 4), ["1+3"]);
}

#[test]
fn a_hub_says_when_publications_come_faster_than_they_leave() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    for number in 0..3 {
        assert!(!net.hubs[0].is_full());
        net.insert("aa", &"x".repeat(300), number);
        let (from, _, message) = net.rings.pop_front().unwrap();
        net.input(0, Input::Ring { from, message });
    }
    assert!(net.hubs[0].is_full());
    net.settle();
    assert!(!net.hubs[0].is_full());
}

#[test]
fn messages_without_content_fill_a_hub_as_well() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    let mut count = 0;
    while !net.hubs[0].is_full() {
        assert!(count < 100, "a thousand bytes are never reached");
        net.insert("aa", "", count);
        let (from, _, message) = net.rings.pop_front().unwrap();
        net.input(0, Input::Ring { from, message });
        count += 1;
    }
    net.settle();
    assert!(!net.hubs[0].is_full());
}

#[test]
fn more_pipes_than_a_round_holds_keep_their_order() {
    let mut net = Net::with(1, |config| (config.pipes_per_connection_max, config.pipes_max) = (200, 200));
    let names: Vec<String> = (0..150).map(|n| format!("pipe_{n}")).collect();
    net.open(0, 1);
    net.subscribe(0, 1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    net.seen(0, 1);
    for (number, name) in names.iter().enumerate() {
        net.insert(name, &number.to_string(), number as u32);
    }
    net.settle();
    let expected: Vec<String> = (0..150).map(|n| n.to_string()).collect();
    assert_eq!(net.words(0, 1).join("+"), expected.join("+"));
}

#[test]
pub(super) fn a_sender_gets_a_report_and_no_echo() {
    let mut net = Net::new(2);
    for (shard, index) in [(0, 1), (0, 2), (1, 1)] {
        net.open(shard, index);
        net.subscribe(shard, index, &["web_room"]);
        net.seen(shard, index);
    }
    net.publish(0, 1, "web_room", "hi", false);
    net.settle();
    assert_eq!(net.busy_moments, 1);
    assert_eq!(net.seen(0, 2), ["hi"]);
    assert_eq!(net.seen(1, 1), ["hi"]);
    let report =
        Answer::DeliveryReport { pipe: PipeName::new(b"web_room").unwrap(), message: "hi".into(), delivered: 2 };
    assert_eq!(net.seen(0, 1), [report]);
    assert!(!net.hubs[0].is_busy(id(1)));
}

#[test]
pub(super) fn a_report_without_subscribers_counts_nobody() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.seen(0, 1);
    net.publish(0, 1, "web_empty", "x", true);
    net.settle();
    let report =
        Answer::DeliveryReport { pipe: PipeName::new(b"web_empty").unwrap(), message: "x".into(), delivered: 0 };
    assert_eq!(net.seen(0, 1), [report]);
}

#[test]
fn two_senders_of_one_turn_each_get_the_others_message() {
    let mut net = Net::new(1);
    for index in 1..=3 {
        net.open(0, index);
        net.subscribe(0, index, &["web_room"]);
        net.seen(0, index);
    }
    net.publish(0, 1, "web_room", "one", false);
    net.publish(0, 2, "web_room", "two", false);
    net.settle();
    assert_eq!(net.seen(0, 3), ["one+two"]);
    assert!(net.seen(0, 1).iter().any(|seen| *seen == "two"));
    assert!(net.seen(0, 2).iter().any(|seen| *seen == "one"));
}

/// Each sender needs a buffer of its own, with everybody else's messages in it.
#[test]
fn many_senders_of_one_pipe_do_not_multiply_what_a_turn_builds() {
    for (senders, length) in [(300, 1024), (40, 50_000)] {
        let mut net = Net::with(1, |config| config.arrivals_bytes_max = usize::MAX);
        for index in 0..senders {
            net.open(0, index);
            net.subscribe(0, index, &["web_room"]);
        }
        let message = "x".repeat(length);
        (0..senders).for_each(|index| net.publish(0, index, "web_room", &message, false));
        let hub = &mut net.hubs[0];
        let (mut turns, mut received) = (0, vec![0; senders as usize]);
        while hub.has_arrivals() {
            turns += 1;
            hub.end_turn();
            let (mut built, mut largest) = (0, 0);
            while let Some(output) = hub.poll_output() {
                let Output::FanOut { publications, conns } = output else { continue };
                let bytes: usize = publications.iter().map(|publication| publication.message.len()).sum();
                built += bytes;
                largest = largest.max(bytes);
                for conn in conns {
                    received[conn.index as usize] += publications.len();
                }
            }
            assert!(largest <= 128 * 1024 + length, "{largest} bytes for one connection");
            assert!(built <= 17 * largest, "{built} bytes in one turn, {largest} of them for one connection");
        }
        assert!(turns >= senders / 16);
        assert!(received.iter().all(|count| *count == senders as usize - 1), "{received:?}");
    }
}

#[test]
fn what_a_browser_may_publish_depends_on_the_prefix() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.open(0, 1);
    net.login(0, 2, 5, "key");
    net.seen(0, 1);
    net.seen(0, 2);
    for (index, pipe, hide, allowed) in [
        (1, "web_a", false, true),
        (1, "web_a", true, true),
        (1, "webauth_a", false, false),
        (2, "webauth_a", false, true),
        (2, "webauth_a", true, false),
        (2, "plain", false, false),
        (2, "track_a", false, false),
    ] {
        net.publish(0, index, pipe, "m", hide);
        net.settle();
        let answers = net.seen(0, index);
        assert_eq!(answers.len(), 1, "{pipe}");
        assert_eq!(answers[0].is_report(), allowed, "{pipe} {hide}: {answers:?}");
    }
}

fn not_for(uuid: &str) -> Wishes {
    Wishes { except: Some(uuid.into()), ..Wishes::default() }
}

/// A backend that publishes for a page names its browser: whatever else comes in the same turn, whichever pipes its connections
/// are in and on whichever shards, they get all but that.
#[test]
fn what_is_not_for_a_browser_comes_to_all_others() {
    // Ids that are packed, and one that is not.
    for (ann, bob) in [("ann-at-work", "ann-at-home"), ("ann at work", "ann-at-work"), ("aaaa", "aaa"), ("ä", "é")] {
        let mut net = Net::new(2);
        for (shard, index, uuid, pipes) in [
            (0, 1, ann, &["aa"][..]),
            (0, 2, ann, &["aa", "bb"]),
            (0, 3, bob, &["aa"]),
            (0, 4, bob, &["aa", "bb"]),
            (1, 1, ann, &["aa"]),
            (1, 2, "", &["aa"]),
        ] {
            net.open_as(shard, index, uuid);
            net.subscribe(shard, index, pipes);
            net.seen(shard, index);
        }
        net.insert("aa", "1", 1);
        net.insert_with("aa", "2", 2, not_for(ann));
        net.insert("bb", "3", 3);
        net.insert_with("bb", "4", 4, not_for(bob));
        net.insert_with("aa", "5", 5, not_for("nobody"));
        net.settle();
        let joined = |net: &mut Net, shard, index| net.words(shard, index).join("+");
        for (shard, index, expected) in
            [(0, 1, "1+5"), (0, 2, "1+3+4+5"), (0, 3, "1+2+5"), (0, 4, "1+2+3+5"), (1, 1, "1+5"), (1, 2, "1+2+5")]
        {
            let mut words: Vec<String> = joined(&mut net, shard, index).split('+').map(str::to_owned).collect();
            // Two pipes may have two owners, and no order.
            words.sort();
            assert_eq!(words.join("+"), expected, "{ann}: {shard} {index}");
        }
        let deliveries: u64 = net.hubs.iter().map(|hub| hub.counters().deliveries).sum();
        assert_eq!(deliveries, 2 + 4 + 3 + 4 + 2 + 3, "who does not get it is not counted");
    }
}

/// Each browser that something is not for may need a buffer of its own.
#[test]
fn many_browsers_that_something_is_not_for_do_not_multiply_what_a_turn_builds() {
    let mut net = Net::with(1, |config| config.arrivals_bytes_max = usize::MAX);
    for index in 0..100 {
        net.open_as(0, index, &format!("page-{index}"));
        net.subscribe(0, index, &["room"]);
        net.seen(0, index);
    }
    for index in 0..100 {
        net.insert_with("room", &index.to_string(), index, not_for(&format!("page-{index}")));
    }
    while let Some((from, _, message)) = net.rings.pop_front() {
        net.hubs[0].handle(Input::Ring { from, message }, NOW);
    }
    let hub = &mut net.hubs[0];
    let mut received = vec![0; 100];
    while hub.has_arrivals() {
        hub.end_turn();
        let mut buffers = 0;
        while let Some(output) = hub.poll_output() {
            let Output::FanOut { publications, conns } = output else { continue };
            buffers += 1;
            for conn in conns {
                received[conn.index as usize] += publications.len();
            }
        }
        assert!(buffers <= 17, "{buffers} buffers");
    }
    assert!(received.iter().all(|count| *count == 99), "{received:?}");
}

/// What is held back while a subscriber waits for the owner's word is for it as far as it would be otherwise.
#[test]
fn a_newcomer_does_not_get_what_is_not_for_its_browser() {
    let mut net = Net::new(1);
    net.open_as(0, 1, "ann");
    net.seen(0, 1);
    let pipes = vec![(PipeName::new(b"room").unwrap(), Had::default())];
    net.input(0, Input::Resubscribe { conn: id(1), pipes });
    net.insert_with("room", "hers", 1, not_for("ann"));
    net.insert("room", "others", 2);
    while let Some((from, _, message)) = net.rings.pop_front() {
        net.hubs[0].handle(Input::Ring { from, message }, NOW);
    }
    net.settle();
    assert!(net.seen(0, 1).iter().all(|seen| *seen != "hers"));
}
