//! What a command costs must grow with the command and not with its square. Time says little in a test, so the entries of
//! lists that are written are counted.

use super::*;

/// Entries that were written until a connection was a member of so many pipes, all named by one command with positions.
fn work_of_a_recovery(names: usize) -> usize {
    let mut net = Net::with(1, |config| (config.pipes_per_connection_max, config.pipes_max) = (names, names));
    net.open(0, 1);
    let name = |number: usize| PipeName::new(format!("plain_{number:05}").as_bytes()).unwrap();
    let pipes = (0..names).map(|number| (name(number), Some(Position(1)).into())).collect();
    net.input(0, Input::Resubscribe { conn: id(1), pipes });
    net.settle();
    assert_eq!(net.hubs[0].subscriptions(id(1)), names);
    assert!(!net.hubs[0].is_busy(id(1)), "every pipe was answered");
    assert_eq!(net.hubs[0].local.all_subscribers(), names);
    net.hubs[0].local.work()
}

#[test]
fn a_recovery_costs_a_few_steps_for_each_name() {
    for names in [1, 2, 3, 100, 4_000] {
        let work = work_of_a_recovery(names);
        assert!(work <= 4 * names, "{work} entries written for {names} names");
    }
}

#[test]
fn a_connection_that_goes_amid_a_recovery_leaves_nothing_behind() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["news"]);
    let pipes =
        ["other", "third", "news"].map(|name| (PipeName::new(name.as_bytes()).unwrap(), Some(Position(1)).into()));
    net.input(0, Input::Resubscribe { conn: id(1), pipes: pipes.into() });
    assert!(net.hubs[0].is_busy(id(1)));
    net.input(0, Input::Disconnected { conn: id(1) });
    net.settle();
    assert!(net.hubs[0].local.has_no_pipes() && net.hubs[0].local.is_at_rest());
    assert_eq!(net.ask_counts(&["news", "other", "third"]), [0, 0, 0]);
}
