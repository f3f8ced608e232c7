use super::*;
use crate::model::{DevId, UserId};

const ASKER: Asker = (ShardId(1), ConnId { index: 3, generation: 4 });
const SECOND: u64 = 1_000_000;

fn polls() -> (Polls, ConnId) {
    let mut polls = Polls::new(PollLimits { connections_max: 2, bytes_max: 1000 });
    let conn = polls.open(WireForm::Modern, 7, Time(0)).unwrap();
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
    let next = polls.open(WireForm::Legacy, 8, Time(151 * SECOND)).unwrap();
    assert!(next.index == conn.index && next.generation != conn.generation);
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(UNKNOWN)));
}

#[test]
fn what_nobody_fetches_has_a_maximum() {
    let (mut polls, conn) = polls();
    assert!(polls.push_json(conn, &[b'1'; 5000], Time(0)), "one is always taken");
    assert!(!polls.push_json(conn, b"2", Time(0)));
    assert_eq!(poll(&mut polls, conn, 0, Time(0)), Some(PollOutcome::Gone(OVERFLOW)));
    assert_eq!(polls.bytes, 0);

    let mut polls = Polls::new(PollLimits { connections_max: 2, bytes_max: 1_000_000 });
    let conn = polls.open(WireForm::Modern, 7, Time(0)).unwrap();
    for _ in 0..MESSAGES_MAX {
        assert!(polls.push_json(conn, b"1", Time(0)));
    }
    assert!(!polls.push_json(conn, b"1", Time(0)));
    assert!(polls.open(WireForm::Modern, 7, Time(0)).is_some());
    assert_eq!(polls.open(WireForm::Modern, 7, Time(0)), None, "one that is over has its place still");
}

#[test]
fn only_the_secret_opens_one() {
    let (mut polls, conn) = polls();
    for (conn, secret) in [(conn, 8), (ConnId { generation: 9, ..conn }, 7), (ConnId { index: 0, ..conn }, 7)] {
        polls.poll(conn, secret, ASKER, 0, Time(0));
        assert_eq!(answer(&mut polls), Some(PollOutcome::Gone(UNKNOWN)));
        polls.command(conn, Some(secret), Some(ASKER), "x".into());
        assert_eq!(answer(&mut polls), Some(PollOutcome::Gone(UNKNOWN)));
    }
}

#[test]
fn commands_wait_in_line() {
    let (mut polls, conn) = polls();
    for _ in 0..COMMANDS_MAX {
        polls.command(conn, Some(7), Some(ASKER), "x".into());
    }
    assert_eq!(answer(&mut polls), None);
    polls.command(conn, Some(7), Some(ASKER), "y".into());
    assert_eq!(answer(&mut polls), Some(PollOutcome::Busy));
    assert_eq!(polls.next_command(conn).as_deref(), Some("x"));
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
