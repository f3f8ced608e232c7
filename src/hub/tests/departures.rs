//! When users were seen last, and how storage gets to know it.

use super::*;

#[test]
pub(super) fn a_user_is_seen_last_when_the_last_connection_closes() {
    let mut net = Net::new(3);
    net.hashes.insert(5, "key");
    net.login(0, 1, 5, "key");
    net.login(1, 1, 5, "key");
    net.input(0, Input::Disconnected { conn: id(1) });
    net.settle();
    assert!(net.writes.is_empty());
    net.input(1, Input::Disconnected { conn: id(1) });
    net.settle();
    assert_eq!(net.writes, [Write::PutLastSeen { dev: DevId(1), user: UserId::new(5).unwrap(), time: NOW.unix.0 }]);
}

/// What a hub asks storage to write, without an answer.
fn written(hub: &mut Hub) -> Vec<(Ticket, Vec<Write>)> {
    std::iter::from_fn(|| hub.poll_output())
        .filter_map(|output| match output {
            Output::Store(Job { ticket, request: Request::Write(writes) }) => Some((ticket, writes)),
            _ => None,
        })
        .collect()
}

fn user_went(hub: &mut Hub, user: u32, now: Now) {
    let (dev, user) = (DevId(1), UserId::new(user).unwrap());
    hub.handle(Input::Ring { from: ShardId(0), message: RingMessage::UserCame { dev, user, conn: id(1) } }, now);
    hub.handle(Input::Ring { from: ShardId(0), message: RingMessage::UserWent { dev, user, conn: id(1) } }, now);
}

fn seen_at(user: u32, now: Now) -> Write {
    Write::PutLastSeen { dev: DevId(1), user: UserId::new(user).unwrap(), time: now.unix.0 }
}

#[test]
fn users_who_go_together_are_one_job() {
    let mut net = Net::new(1);
    let hub = &mut net.hubs[0];
    (1..=50).for_each(|user| user_went(hub, user, NOW));
    assert_eq!(hub.next_deadline(), Some(Time(0)));
    hub.time_passed(NOW);
    let jobs = written(hub);
    assert_eq!(jobs.iter().map(|(_, writes)| writes.len()).collect::<Vec<_>>(), [50]);
    // Who goes meanwhile waits for the answer.
    user_went(hub, 60, NOW);
    assert_eq!((hub.next_deadline(), hub.departed()), (None, 51));
    hub.time_passed(NOW);
    assert!(written(hub).is_empty());
    hub.handle(Input::Stored(Completion { ticket: jobs[0].0, result: Ok(Outcome::Written { rows: 1 }) }), NOW);
    hub.time_passed(NOW);
    let jobs = written(hub);
    assert_eq!(jobs[0].1, [seen_at(60, NOW)]);
    hub.handle(Input::Stored(Completion { ticket: jobs[0].0, result: Ok(Outcome::Written { rows: 1 }) }), NOW);
    assert_eq!((hub.next_deadline(), hub.departed(), hub.last_job()), (None, 0, None));
}

#[test]
fn storage_that_refuses_a_departure_is_asked_again_with_the_latest_time() {
    use crate::storage::StorageError;
    let mut net = Net::new(1);
    let hub = &mut net.hubs[0];
    user_went(hub, 5, NOW);
    user_went(hub, 6, NOW);
    hub.time_passed(NOW);
    let (ticket, _) = written(hub).pop().unwrap();
    user_went(hub, 5, later(1));
    hub.handle(Input::Stored(Completion { ticket, result: Err(StorageError::Overloaded) }), later(1));
    hub.time_passed(later(1));
    assert!(written(hub).is_empty(), "not at once again");
    assert_eq!(hub.next_deadline(), Some(later(2).time));
    hub.time_passed(later(2));
    let (ticket, mut writes) = written(hub).pop().unwrap();
    writes.sort_by_key(|write| format!("{write:?}"));
    assert_eq!(writes, [seen_at(5, later(1)), seen_at(6, NOW)]);

    // As many as may wait do; the rest is counted.
    (100..250).for_each(|user| user_went(hub, user, NOW));
    hub.handle(Input::Stored(Completion { ticket, result: Err(StorageError::Failed("gone".into())) }), NOW);
    assert_eq!((hub.departed(), hub.counters().last_seen_lost), (100, 52));
}

#[test]
pub(super) fn a_server_that_stops_has_seen_everybody() {
    let mut net = Net::new(2);
    net.hashes.extend([(5, "key"), (6, "key"), (7, "key")]);
    for (shard, index, user) in [(0, 1, 5), (0, 2, 5), (0, 3, 6), (0, 4, 0), (1, 1, 7)] {
        net.login(shard, index, user, "key");
    }
    let hub = &mut net.hubs[0];
    hub.handle(Input::Stopping, later(9));
    (1..=4).for_each(|index| hub.handle(Input::Disconnected { conn: id(index) }, later(10)));
    let told = std::iter::from_fn(|| hub.poll_output())
        .filter(|output| matches!(output, Output::Ring { message: RingMessage::UserWent { .. }, .. }));
    assert_eq!(told.count(), 0, "nobody needs to hear it from the owner");
    let Some(Request::Write(mut writes)) = hub.last_job().map(|job| job.request) else { panic!("nobody was seen") };
    writes.sort_by_key(|write| format!("{write:?}"));
    assert_eq!(writes, [seen_at(5, later(9)), seen_at(6, later(9))]);
}
