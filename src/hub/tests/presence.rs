//! What the server says by itself of who comes and goes has a pace, whatever peers do.

use super::*;

impl Net {
    /// Lets the time come at which what waits for its pace is told.
    pub(super) fn end_windows(&mut self) {
        while let Some(time) = self.hubs.iter().filter_map(|hub| hub.owned.window_end()).min() {
            for hub in &mut self.hubs {
                hub.owned.end_windows(Now { time, ..NOW }, &mut hub.effects);
                hub.carry_on(NOW);
            }
            self.drain();
            self.carry_on();
        }
    }
}

/// Joins and leaves a pipe over and over, within one moment.
fn come_and_go(net: &mut Net, shard: u16, index: u32, times: usize) {
    for _ in 0..times {
        for pipes in [vec![PipeName::new(b"track_x").unwrap()], Vec::new()] {
            net.input(shard, Input::Subscribe { conn: id(index), pipes });
            net.carry_on();
        }
    }
}

#[test]
pub(super) fn coming_and_going_all_the_time_tells_the_members_next_to_nothing() {
    let mut net = Net::new(3);
    for shard in 0..3 {
        net.open(shard, 1);
        net.subscribe(shard, 1, &["track_x"]);
        net.open(shard, 2);
    }
    (0..3).for_each(|shard| drop(net.seen(shard, 1)));
    for shard in 0..3 {
        come_and_go(&mut net, shard, 2, 500);
    }
    net.settle();
    for shard in 0..3 {
        let seen = net.words(shard, 1).join("+");
        let (came, went) = (seen.matches("unsubscription").count(), seen.matches("+subscription").count());
        assert!(came + went <= 2 * 3 + 1, "1,000 changes of each of three connections were told as {seen}");
        assert!(seen.ends_with("unsubscription 0 "), "the last that is heard is true: {seen}");
    }
    assert_eq!(net.ask_counts(&["track_x"]), [3]);
}

#[test]
pub(super) fn logging_in_and_out_all_the_time_tells_who_watches_next_to_nothing() {
    let mut net = Net::new(2);
    net.hashes.insert(7, "key");
    net.open(0, 1);
    net.subscribe(0, 1, &["user_status_7"]);
    net.seen(0, 1);
    for _ in 0..300 {
        net.come(1, 2, 7, "key");
        net.carry_on();
        net.input(1, Input::Disconnected { conn: id(2) });
        net.carry_on();
    }
    net.settle();
    assert_eq!(net.seen(0, 1), ["user_status_7 online", "user_status_7 offline"]);
    for _ in 0..4 {
        net.come(1, 2, 7, "key");
        net.carry_on();
        net.input(1, Input::Disconnected { conn: id(2) });
        net.carry_on();
    }
    net.come(1, 2, 7, "key");
    net.settle();
    assert_eq!(net.seen(0, 1), ["user_status_7 online"], "the last state wins");
}

#[test]
pub(super) fn a_change_counts_as_a_publication_of_its_user() {
    let mut net = Net::with(2, |config| config.limits.publications_per_user_per_s = 3);
    net.hashes.insert(7, "key");
    net.login(0, 1, 7, "key");
    net.subscribe(0, 1, &["track_x", "track_y"]);
    net.seen(0, 1);
    net.publish(0, 1, "web_room", "one", false);
    net.settle();
    assert!(net.seen(0, 1)[0].is_report());
    net.publish(0, 1, "web_room", "two", false);
    net.settle();
    assert!(net.seen(0, 1)[0].is_too_fast(), "two changes and a message are three publications");
    net.subscribe(0, 1, &[]);
    assert_eq!(net.ask_counts(&["track_x", "track_y"]), [0, 0], "a change is never refused");
}
