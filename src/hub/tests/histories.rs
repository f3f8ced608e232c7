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
