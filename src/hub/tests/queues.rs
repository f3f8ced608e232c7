//! Personal messages and the queues of users.

use super::*;

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
        assert_eq!(*seen.last().unwrap(), if has_another { "personal new" } else { "queued new" });
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
    assert_eq!(seen[301], "queued later");
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
    assert_eq!(*net.seen(0, 2).last().unwrap(), "personal held");
    assert_eq!(*net.seen(0, 3).last().unwrap(), "personal held");
}

fn stored(number: u64) -> StoredMessage {
    let id = MessageId::new(Position(number), 0);
    StoredMessage {
        id,
        time: 0,
        event: EventName::default(),
        message: "m".into(),
        sender: UserId::ANONYMOUS,
        expires: 0,
    }
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
    assert_eq!(*net.seen(0, 2000).last().unwrap(), "closed: limited");
    net.leave(0, 5);
    net.login(0, 2001, 7, "key");
    assert_eq!(net.seen(0, 2001).len(), 1);
}

/// Whatever a message waits for before it comes into the queue, its time has begun.
#[test]
fn a_message_expires_so_long_after_it_was_sent() {
    let mut net = Net::new(1);
    let send = |expires_in| {
        let personal = Arc::new(Personal::new(EventName::default(), "m".into()));
        let statement = StatementId { session: id(0), number: 0 };
        RingMessage::Send(Box::new(Send {
            dev: DevId(1),
            user: UserId::new(5).unwrap(),
            personal,
            expires_in,
            statement,
        }))
    };
    let cometql = net.hubs[0].config.placement.cometql_shard();
    for expires_in in [None, Some(60), Some(u32::MAX)] {
        net.input(0, Input::Ring { from: cometql, message: send(expires_in) });
    }
    net.settle();
    let ends: Vec<i64> = net.queue.iter().map(|(_, message)| message.expires).collect();
    assert_eq!(ends, [0, NOW.unix.0 + 60, i32::MAX.into()]);
    net.set_length("news", Some(5));
    net.insert_with("news", "m", 1, Wishes { expires_in: Some(60), ..Wishes::default() });
    net.settle();
    assert_eq!(net.history[0].1.expires, NOW.unix.0 + 60);
}
