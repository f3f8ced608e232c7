//! Histories of pipes: what is put into them, and the settings that say so.

use super::*;

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
    assert_eq!(net.seen(0, 1), [Answer::Error(ApiError::Pipe(PipeError::NotStored))]);
}

/// A backend that did not hear the answer publishes again, and its subscribers get the message once.
#[test]
fn under_one_key_a_pipe_has_one_message() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.subscribe(0, 1, &["orders", "other"]);
    net.set_length("orders", Some(5));
    net.seen(0, 1);
    net.accepted.clear();
    let under = |key: &str| Wishes { key: Some(key.into()), ..Wishes::default() };
    for (pipe, message, key) in [("orders", "1", "a"), ("orders", "2", "a"), ("orders", "3", "b"), ("other", "4", "a")]
    {
        net.insert_with(pipe, message, message.parse().unwrap(), under(key));
        net.settle();
    }
    net.insert_with("other", "5", 5, under("a"));
    net.settle();
    assert_eq!(net.words(0, 1).join("+"), "1+3+4");
    let numbers = |statements: &[StatementId]| statements.iter().map(|statement| statement.number).collect::<Vec<_>>();
    assert_eq!((numbers(&net.accepted), numbers(&net.repeated)), (vec![1, 3, 4], vec![2, 5]));
    assert_eq!(net.history.len(), 2);
    let counted: u64 = net.hubs.iter().map(|hub| hub.counters().publications).sum();
    assert_eq!(counted, 3);

    // What is not in the history may be tried again.
    net.storage_fails = true;
    net.insert_with("orders", "6", 6, under("c"));
    net.settle();
    net.storage_fails = false;
    net.insert_with("orders", "7", 7, under("c"));
    net.settle();
    assert_eq!((net.refused.len(), numbers(&net.accepted)), (1, vec![1, 3, 4, 7]));
}

/// Nothing is acknowledged before it holds, also if it was published before.
#[test]
fn who_repeats_what_storage_has_not_answered_waits_with_it() {
    for fails in [false, true] {
        let mut net = Net::new(1);
        net.set_length("orders", Some(5));
        net.accepted.clear();
        net.storage_is_slow = true;
        for number in 1..=3 {
            net.insert_with("orders", "hello", number, Wishes { key: Some("a".into()), ..Wishes::default() });
        }
        net.settle();
        assert_eq!((net.accepted.len(), net.repeated.len(), net.jobs.len()), (0, 0, 1));
        net.storage_is_slow = false;
        net.storage_fails = fails;
        net.answer_jobs();
        net.settle();
        let told = (net.accepted.len(), net.repeated.len(), net.refused.len());
        assert_eq!(told, if fails { (0, 0, 3) } else { (1, 2, 0) });
    }
}

#[test]
fn keys_of_before_a_restart_are_known() {
    let mut net = Net::new(2);
    let pipe = PipeKey { dev: DevId(1), name: PipeName::new(b"orders").unwrap() };
    let stored = |key: &str, time| StoredKey { pipe: pipe.clone(), key: key.into(), time };
    let keys = vec![stored("new", NOW.unix.0 - 10), stored("old", NOW.unix.0 - KEYS_KEPT_S)];
    let placement = net.hubs[0].config.placement.clone();
    let parts = Beginning { keys, ..Beginning::default() }.split(2, |pipe| placement.owner_of_pipe(pipe).0.into());
    for (shard, part) in (0..).zip(parts) {
        net.input(shard, Input::Begin(Box::new(part)));
    }
    for (number, key) in (0..).zip(["new", "old"]) {
        net.insert_with("orders", "hello", number, Wishes { key: Some(key.into()), ..Wishes::default() });
    }
    net.settle();
    assert_eq!((net.accepted.len(), net.repeated.len()), (1, 1));
}

/// Who comes wants to see how it is, and not only what changes.
#[test]
fn a_newcomer_gets_the_newest_if_it_wants_them() {
    let mut net = Net::new(2);
    net.set_length("prices", Some(5));
    for number in 1..=3 {
        net.insert("prices", &number.to_string(), number);
        net.settle();
    }
    let come = |net: &mut Net, index, had: Had| {
        net.open(0, index);
        net.seen(0, index);
        let pipes = ["prices", "other"].map(|name| (PipeName::new(name.as_bytes()).unwrap(), had));
        net.input(0, Input::Resubscribe { conn: id(index), pipes: pipes.into() });
        net.insert("prices", "live", 9);
        net.settle();
        let of_prices = |seen: Seen| match seen {
            Seen::Words(words) => Some(words),
            Seen::Answer(Answer::Subscribed { pipe, recovered, position }) if pipe.as_str() == "prices" => {
                Some(format!("subscribed {recovered:?} {}", position.is_some()))
            }
            Seen::Answer(_) => None,
        };
        net.seen(0, index).into_iter().filter_map(of_prices).collect::<Vec<_>>()
    };
    let newest = |newest| Had { position: None, newest };
    assert_eq!(come(&mut net, 1, newest(0)), ["subscribed None true", "live"]);
    assert_eq!(come(&mut net, 2, newest(2)), ["missed 3", "missed live", "subscribed None true", "live"]);
    // A position from another server: nothing is known of it, but how it is now.
    let unknown = Had { position: Some(Position(u64::MAX)), newest: 1 };
    assert_eq!(come(&mut net, 3, unknown), ["missed live", "subscribed Some(false) true", "live"]);
    // Who cannot be told is told that.
    net.history_fails = true;
    assert_eq!(come(&mut net, 4, newest(1)), ["subscribed Some(false) true", "live"]);
}
