use super::*;
use crate::model::{DevId, UserId};

const ASKER: Asker = (ShardId(1), ConnId { index: 3, generation: 4 });
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const SECOND: u64 = 1_000_000;

fn polls() -> (Polls, ConnId) {
    let mut polls = Polls::new(PollLimits { connections_max: 2, bytes_max: 1000, bytes_of_all_max: 1_000_000 });
    let conn = polls.open(WireForm::Modern, 7, ADDRESS, Time(0)).unwrap();
    (polls, conn)
}

fn poll(polls: &mut Polls, conn: ConnId, sequence: u64, now: Time) -> Option<PollOutcome> {
    polls.poll(conn, 7, ASKER, sequence, now);
    polls.answer_ready(now);
    answer(polls)
}

fn answer(polls: &mut Polls) -> Option<PollOutcome> {
    let (asker, outcome) = polls.next_answer()?;
    assert_eq!(asker, ASKER);
    Some(outcome)
}

fn order(pipes: &str) -> Order {
    Order::Subscribe { pipes: pipes.into(), last: Box::default() }
}

fn messages(text: &str) -> PollOutcome {
    PollOutcome::Messages(text.as_bytes().into())
}

#[test]
fn messages_stay_until_they_are_acknowledged() {
    let (mut polls, conn) = polls();
    let now = Time(0);
    assert!(polls.push_json(conn, b"1", now) && polls.push_frame(conn, &ws::text_frame(b"2"), now));
    assert_eq!(poll(&mut polls, conn, 0, now), Some(messages("[1,2]")));
    // The answer was lost.
    assert_eq!(poll(&mut polls, conn, 0, now), Some(messages("[1,2]")));
    assert_eq!(poll(&mut polls, conn, 1, now), Some(messages("[2]")));
    assert_eq!(poll(&mut polls, conn, 0, now), Some(PollOutcome::OutOfOrder));
    assert_eq!(poll(&mut polls, conn, 3, now), Some(PollOutcome::OutOfOrder));
    assert_eq!(poll(&mut polls, conn, 2, now), None, "nothing is there, so it waits");
    assert!(polls.push_json(conn, b"3", now));
    assert_eq!(answer(&mut polls), None, "all of a turn go together");
    assert!(polls.push_json(conn, b"4", now));
    polls.answer_ready(now);
    assert_eq!(answer(&mut polls), Some(messages("[3,4]")));
    assert_eq!((poll(&mut polls, conn, 4, now), polls.queued_bytes(conn)), (None, 0));
    // A second poll sends the first one home.
    assert_eq!(poll(&mut polls, conn, 4, now), Some(messages("[]")));
}

#[test]
fn polls_wait_half_a_minute_and_connections_a_minute() {
    let (mut polls, conn) = polls();
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), None);
    polls.time_passed(Time(29 * SECOND));
    assert_eq!(answer(&mut polls), None);
    assert_eq!(polls.next_deadline(), Some(Time(30 * SECOND)));
    polls.time_passed(Time(30 * SECOND));
    assert_eq!(answer(&mut polls), Some(messages("[]")));
    polls.time_passed(Time(89 * SECOND));
    assert_eq!(polls.form(conn), Some(WireForm::Modern));
    polls.time_passed(Time(90 * SECOND));
    assert_eq!((polls.form(conn), polls.push_json(conn, b"1", Time(90 * SECOND))), (None, false));
    assert_eq!(poll(&mut polls, conn, 0, Time(90 * SECOND)), Some(PollOutcome::Gone(IDLE)));
    // The place waits for the hub.
    polls.time_passed(Time(150 * SECOND));
    assert_eq!(polls.len(), 1);
    assert_eq!(polls.next_over().map(|(conn, flush)| (conn, flush.is_none())), Some((conn, true)));
    polls.time_passed(Time(151 * SECOND));
    assert_eq!((polls.len(), polls.next_deadline()), (0, None));
    let next = polls.open(WireForm::Legacy, 8, ADDRESS, Time(151 * SECOND)).unwrap();
    assert!(next.index == conn.index && next.generation != conn.generation);
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(UNKNOWN)));
}

#[test]
fn what_nobody_fetches_has_a_maximum() {
    let (mut polls, conn) = polls();
    assert!(polls.push_json(conn, &[b'1'; 5000], Time(0)), "one is always taken");
    assert!(!polls.push_json(conn, b"2", Time(0)));
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(OVERFLOW)));
    assert_eq!(polls.held, 0);

    let mut polls = Polls::new(PollLimits { connections_max: 2, bytes_max: 1_000_000, bytes_of_all_max: 10_000_000 });
    let conn = polls.open(WireForm::Modern, 7, ADDRESS, Time(0)).unwrap();
    for _ in 0..MESSAGES_MAX {
        assert!(polls.push_json(conn, b"1", Time(0)));
    }
    assert!(!polls.push_json(conn, b"1", Time(0)));
    assert!(polls.open(WireForm::Modern, 7, ADDRESS, Time(0)).is_some());
    assert_eq!(polls.len(), 2, "one that is over has its place still");
}

#[test]
fn only_the_secret_opens_one() {
    let (mut polls, conn) = polls();
    for (conn, secret) in [(conn, 8), (ConnId { generation: 9, ..conn }, 7), (ConnId { index: 0, ..conn }, 7)] {
        polls.poll(conn, secret, ASKER, 0, Time(0));
        assert_eq!(answer(&mut polls), Some(PollOutcome::Gone(UNKNOWN)));
        polls.command(conn, Some(secret), Some(ASKER), order("x"));
        assert_eq!(answer(&mut polls), Some(PollOutcome::Gone(UNKNOWN)));
    }
}

#[test]
fn commands_wait_in_line() {
    let (mut polls, conn) = polls();
    for _ in 0..COMMANDS_MAX {
        polls.command(conn, Some(7), Some(ASKER), order("x"));
    }
    assert_eq!(answer(&mut polls), None);
    polls.command(conn, Some(7), Some(ASKER), order("y"));
    assert_eq!(answer(&mut polls), Some(PollOutcome::Busy));
    assert_eq!(polls.next_command(conn), Some(order("x")));
    assert_eq!(answer(&mut polls), Some(PollOutcome::Begun));
    polls.end(conn, IDLE, Time(0));
    assert_eq!(answer(&mut polls), Some(PollOutcome::Gone(IDLE)));
    assert_eq!(polls.next_command(conn), None);
}

/// A part of somebody's queue, in one message.
fn keep_flush(polls: &mut Polls, conn: ConnId, now: Time) {
    let (dev, user, messages) = (DevId(1), UserId::new(5).unwrap(), Vec::new());
    let flush = Flush { dev, user, conn, messages, register: true, end: None };
    assert!(polls.push_json(conn, b"1", now));
    assert!(polls.keep_flush(conn, Box::new(flush), ShardId(2), now).is_ok());
}

#[test]
fn a_part_of_the_queue_is_taken_when_it_is_acknowledged() {
    let (mut polls, conn) = polls();
    assert!(polls.push_json(conn, b"0", Time(0)));
    keep_flush(&mut polls, conn, Time(0));
    assert!(polls.poll(conn, 7, ASKER, 0, Time(0)).is_none());
    polls.answer_ready(Time(0));
    assert_eq!(answer(&mut polls), Some(messages("[0,1]")));
    assert!(polls.poll(conn, 7, ASKER, 1, Time(0)).is_none(), "not this one yet");
    polls.answer_ready(Time(0));
    let taken = polls.poll(conn, 7, ASKER, 2, Time(SECOND));
    assert_eq!(taken.map(|(flush, to)| (flush.conn, to)), Some((conn, ShardId(2))));
    // What was taken holds nobody up, however long the page is silent then.
    assert_eq!(polls.next_deadline(), Some(Time(31 * SECOND)));
}

#[test]
fn whoever_polls_and_never_acknowledges_a_part_of_the_queue_loses_it() {
    for polls_on in [true, false] {
        let (mut polls, conn) = polls();
        keep_flush(&mut polls, conn, Time(0));
        for second in 0..30 {
            polls.time_passed(Time(second * SECOND));
            if polls_on {
                assert_eq!(poll(&mut polls, conn, 0, Time(second * SECOND)), Some(messages("[1]")));
            }
            assert_eq!(polls.next_deadline(), Some(Time(30 * SECOND)));
        }
        polls.time_passed(Time(30 * SECOND));
        assert_eq!(polls.form(conn), None);
        let (_, part) = polls.next_over().unwrap();
        assert!(part.is_some(), "the hub is told that it was not taken");
        assert_eq!(poll(&mut polls, conn, 1, Time(30 * SECOND)), Some(PollOutcome::Gone(UNTAKEN)));
        polls.time_passed(Time(90 * SECOND));
        assert_eq!(polls.len(), 0);
    }
}

/// The hub has heard of all that are over.
fn tell_hub(polls: &mut Polls) -> usize {
    std::iter::from_fn(|| polls.next_over()).count()
}

#[test]
fn a_flood_of_connections_that_nobody_polls_for_keeps_nobody_out() {
    let most = 100;
    let mut polls = Polls::new(PollLimits { connections_max: most, bytes_max: 1000, bytes_of_all_max: 1_000_000 });
    let page = polls.open(WireForm::Modern, 7, IpAddr::from([192, 0, 2, 9]), Time(0)).unwrap();
    assert_eq!(poll(&mut polls, page, 0, Time(1)), None);
    for round in 0..50 {
        for number in 0..100 {
            let now = Time(round * 100 + number);
            assert!(polls.open(WireForm::Modern, 7, ADDRESS, now).is_some(), "there is always room for a newcomer");
            assert!(polls.len() <= most + 100, "places that the hub must still hear of");
        }
        tell_hub(&mut polls);
        assert!(polls.len() <= most && polls.places.len() <= most + 100);
    }
    let newcomer = polls.open(WireForm::Modern, 7, IpAddr::from([192, 0, 2, 10]), Time(9_000)).unwrap();
    assert!(polls.form(page).is_some() && polls.form(newcomer).is_some());
    assert!(polls.push_json(page, b"1", Time(9_000)));
    polls.answer_ready(Time(9_000));
    assert_eq!(answer(&mut polls), Some(messages("[1]")));
    // All of them go by themselves.
    polls.time_passed(Time(100 * SECOND));
    tell_hub(&mut polls);
    polls.time_passed(Time(200 * SECOND));
    assert_eq!((polls.len(), polls.leaving, polls.next_deadline()), (0, 0, None));
    assert_eq!((polls.room.bytes(), polls.held), (0, 0));
}

#[test]
fn one_that_made_room_is_told_to_the_hub_and_its_queue_waits_for_another() {
    let (mut polls, conn) = polls();
    keep_flush(&mut polls, conn, Time(0));
    polls.open(WireForm::Modern, 8, ADDRESS, Time(0)).unwrap();
    polls.open(WireForm::Modern, 9, ADDRESS, Time(0)).unwrap();
    assert_eq!((polls.form(conn), polls.len()), (None, 3));
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(PUSHED_OUT)));
    let (over, part) = polls.next_over().unwrap();
    assert!(over == conn && part.is_some());
    assert_eq!((polls.len(), polls.leaving), (2, 0));
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(UNKNOWN)));
}

#[test]
fn whoever_holds_most_of_what_waits_for_all_makes_room() {
    let limits = PollLimits { connections_max: 1000, bytes_max: 1_000_000, bytes_of_all_max: 1_000_000 };
    let mut polls = Polls::new(limits);
    let mut open = || polls.open(WireForm::Modern, 7, ADDRESS, Time(0)).unwrap();
    let (small, large, other) = (open(), open(), open());
    assert!(polls.push_json(small, &[b'1'; 10_000], Time(0)));
    assert!(polls.push_json(large, &vec![b'1'; 600_000], Time(0)));
    assert!(polls.push_json(other, &vec![b'1'; 300_000], Time(0)));
    assert!(polls.push_json(other, &vec![b'1'; 200_000], Time(0)), "whoever brings it about is not whoever pays");
    assert_eq!([small, large, other].map(|conn| polls.form(conn).is_some()), [true, false, true]);
    assert_eq!(poll(&mut polls, large, 0, Time(0)), Some(PollOutcome::Gone(CROWDED)));
    assert!(!polls.push_json(other, &vec![b'1'; 499_999], Time(0)), "unless it holds most");
    assert_eq!([small, large, other].map(|conn| polls.form(conn).is_some()), [true, false, false]);
    assert!(polls.held < 11_000);
}

#[test]
fn what_many_wait_for_counts_about_once_for_all_of_them() {
    let limits = PollLimits { connections_max: 1000, bytes_max: 1_000_000, bytes_of_all_max: 1_000_000 };
    let mut polls = Polls::new(limits);
    let history: SharedBytes = vec![b'1'; 100_000].into();
    let conns: Vec<ConnId> = (0..1000).map(|_| polls.open(WireForm::Modern, 7, ADDRESS, Time(0)).unwrap()).collect();
    for conn in &conns {
        assert!(polls.push_shared(*conn, &history, Time(0)), "100 MB, if each had its own");
    }
    assert!(polls.held > 100_000 && polls.bytes() < 2_000_000, "{}", polls.bytes());
    assert_eq!(polls.queued_bytes(conns[0]), size_of::<Message>() + 100_000);
    for conn in &conns {
        polls.poll(*conn, 7, ASKER, 0, Time(0));
        polls.answer_ready(Time(0));
        polls.poll(*conn, 7, ASKER, 1, Time(0));
    }
    assert_eq!((polls.held, polls.holders.len()), (0, 0));
    assert_eq!(SharedBytes::strong_count(&history), 1);
}

#[test]
fn a_page_may_count_from_where_it_is_or_take_one_answer() {
    let (mut polls, conn) = polls();
    let now = Time(0);
    polls.set_manner(conn, Manner::Uncounted);
    assert!(!polls.takes_answers(conn));
    assert!(polls.push_json(conn, b"1", now) && polls.push_json(conn, b"2", now));
    assert_eq!(poll(&mut polls, conn, 17, now), Some(messages("[1,2]")), "17 is what it calls the first");
    assert_eq!(poll(&mut polls, conn, 18, now), Some(messages("[2]")));
    assert_eq!(poll(&mut polls, conn, 16, now), Some(PollOutcome::OutOfOrder));
    assert_eq!(poll(&mut polls, conn, 20, now), Some(PollOutcome::OutOfOrder));
    assert_eq!(poll(&mut polls, conn, 19, now), None);
    polls.time_passed(Time(25 * SECOND));
    assert_eq!(answer(&mut polls), Some(messages("[]")), "before its script gives up");

    let (mut polls, far) = self::polls();
    polls.set_manner(far, Manner::Uncounted);
    assert!(polls.push_json(far, b"1", now));
    assert_eq!(poll(&mut polls, far, u64::MAX, now), Some(PollOutcome::OutOfOrder), "there is room to count on");
    assert_eq!(poll(&mut polls, far, u64::MAX / 2, now), Some(messages("[1]")));

    let once = polls.open(WireForm::Extended, 7, ADDRESS, now).unwrap();
    polls.set_manner(once, Manner::Once);
    assert_eq!(poll(&mut polls, once, 0, now), None);
    assert!(polls.push_json(once, b"1", now));
    polls.answer_ready(now);
    assert_eq!(answer(&mut polls), Some(messages("[1]")));
    assert_eq!((polls.form(once), polls.next_over().map(|(conn, _)| conn)), (None, Some(once)));
    assert_eq!(answer(&mut polls), None);
}
