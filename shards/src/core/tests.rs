use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Core, Expired};
use crate::entry::{Flags, TIMEOUT_TICKS_MAX};
use crate::host::{End, Host, Token};
use crate::io::Io;
use crate::linux::Linux;
use crate::mesh::Mesh;
use crate::sender::Sender;
use crate::settings::{Budgets, ShardSettings};
use crate::wheel::Wheel;

const TICK: Duration = Duration::from_millis(100);

/// Never called: these tests do what the loop does.
struct Nobody;

impl Host for Nobody {
    type Kernel = Linux;
    type Message = ();
    type State = u64;

    fn accepted(&mut self, _: &mut Io<'_, Self>, _: Token) {}

    fn received(&mut self, _: &mut Io<'_, Self>, _: Token, bytes: &mut [u8]) -> usize {
        bytes.len()
    }

    fn ended(&mut self, _: &mut Io<'_, Self>, _: Token, _: End) {}

    fn timed_out(&mut self, _: &mut Io<'_, Self>, _: Token) {}

    fn message(&mut self, _: &mut Io<'_, Self>, _: u16, (): ()) {}

    fn woken(&mut self, _: &mut Io<'_, Self>) {}

    fn turn_ended(&mut self, _: &mut Io<'_, Self>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn farewell(&mut self, _: &mut Io<'_, Self>) {}
}

fn core() -> Core<Nobody> {
    let endpoint = Mesh::new(1, 1).remove(0);
    let budgets = Budgets { fan_out_slice: 1, messages: 1 };
    Core::new(0, ShardSettings::default(), TICK, budgets, Linux::new(Sender::Plain).unwrap(), endpoint)
}

fn socket() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

impl Core<Nobody> {
    /// Lets so many ticks pass and returns whose timeout has passed.
    fn pass(&mut self, ticks: u32) -> Vec<Token> {
        self.turn_time += TICK * ticks;
        self.advance_wheel();
        let mut expired = Vec::new();
        while let Some(conn) = self.due.pop_front() {
            match self.expire(conn) {
                Expired::No => {}
                Expired::Yes => expired.push(conn),
                Expired::Closing => self.end(conn, End::Local),
            }
        }
        expired
    }

    /// A connection whose first idle interval is not cut short.
    fn connect(&mut self) -> Token {
        let conn = self.slab.insert(socket()).unwrap();
        self.slab.get_mut(conn).unwrap().flags.set(Flags::SPREAD);
        conn
    }

    /// What the loop does after the host was told.
    fn forget_ended(&mut self) -> Vec<(Token, End)> {
        let ended: Vec<_> = self.endings.drain(..).collect();
        for (conn, _) in &ended {
            let _ = self.slab.remove(*conn);
        }
        ended
    }
}

#[test]
fn a_deadline_passes_once_and_never_early() {
    for ticks in [0, 1, 2, 1000, 1023, 1024, 5000, u32::from(TIMEOUT_TICKS_MAX) - 1] {
        let mut core = core();
        core.pass(77);
        let conn = core.connect();
        core.deadline_after(conn, TICK * ticks);
        assert_eq!(core.pass(ticks), [], "{ticks} begun ticks may be less than {ticks} whole ones");
        core.touch(conn);
        assert_eq!(core.pass(1), [conn], "{ticks}");
        assert_eq!(core.pass(40_000), []);
    }
}

#[test]
fn a_part_of_a_tick_counts_as_a_whole_one() {
    let mut core = core();
    let conn = core.connect();
    core.deadline_after(conn, TICK + Duration::from_nanos(1));
    assert_eq!(core.pass(2), []);
    assert_eq!(core.pass(1), [conn]);
}

#[test]
fn a_timeout_beyond_the_range_is_cut() {
    let mut core = core();
    let conn = core.connect();
    core.deadline_after(conn, Duration::from_hours(1000));
    assert_eq!(core.pass(u32::from(TIMEOUT_TICKS_MAX) - 1), []);
    assert_eq!(core.pass(1), [conn]);
}

#[test]
fn an_idle_timeout_is_moved_by_activity_and_comes_again() {
    let mut core = core();
    let conn = core.connect();
    core.idle_timeout(conn, TICK * 10);
    for _ in 0..20 {
        assert_eq!(core.pass(9), []);
        core.touch(conn);
    }
    assert_eq!(core.pass(10), []);
    assert_eq!(core.pass(1), [conn]);
    assert_eq!(core.pass(10), []);
    assert_eq!(core.pass(1), [conn]);
    core.no_timeout(conn);
    assert_eq!(core.pass(1000), []);
}

#[test]
fn the_first_idle_intervals_are_spread_and_the_next_ones_are_whole() {
    let mut core = core();
    let conns: Vec<Token> = (0..1000).map(|_| core.slab.insert(socket()).unwrap()).collect();
    for conn in &conns {
        core.idle_timeout(*conn, TICK * 100);
    }
    let mut first = BTreeMap::new();
    for tick in 1..=101_u32 {
        let expired = core.pass(1);
        assert!(expired.len() < 60, "{} at once", expired.len());
        for conn in expired {
            assert!(tick > 50 && first.insert(conn, tick).is_none());
        }
    }
    assert_eq!(first.len(), conns.len());
    assert!(core.pass(50).iter().all(|conn| first[conn] <= 50 + 1));
}

#[test]
fn a_place_used_again_is_visited_for_its_new_deadline() {
    let mut core = core();
    let first = core.connect();
    core.deadline_after(first, TICK * 900);
    core.end(first, End::Local);
    assert_eq!(core.forget_ended(), [(first, End::Local)]);
    let second = core.connect();
    assert_eq!(second.index, first.index);
    core.deadline_after(second, TICK * 5);
    assert_eq!(core.pass(5), []);
    assert_eq!(core.pass(1), [second]);
    assert_eq!(core.pass(2000), [], "the record of the first one is stale");
    assert_eq!(core.wheel.ticks_to_next(), None);
}

#[test]
fn a_shard_that_slept_long_counts_from_now() {
    let mut core = core();
    assert_eq!(core.pass(1_000_000), []);
    let conn = core.connect();
    core.deadline_after(conn, TICK * 3);
    assert_eq!(core.pass(3), []);
    assert_eq!(core.pass(200_000), [conn], "however late the visit comes");
}

#[test]
fn an_end_is_told_once_and_closing_keeps_its_reason() {
    let mut core = core();
    let conns: Vec<Token> = (0..3).map(|_| core.connect()).collect();
    core.end(conns[0], End::SlowConsumer);
    core.end(conns[0], End::Reset);
    core.slab.get_mut(conns[1]).unwrap().flags.set(Flags::CLOSING);
    core.end(conns[1], End::Reset);
    core.slab.get_mut(conns[2]).unwrap().flags.set(Flags::CLOSING | Flags::ENDED_BY_PEER);
    core.end(conns[2], End::Reset);
    assert!(conns.iter().all(|conn| !core.is_open(*conn) && core.state(*conn).is_some()));
    let expected = [(conns[0], End::SlowConsumer), (conns[1], End::Local), (conns[2], End::PeerClosed)];
    assert_eq!(core.forget_ended(), expected);
    assert!(conns.iter().all(|conn| core.state(*conn).is_none()));
}

#[test]
fn a_connection_is_listed_once() {
    let mut core = core();
    let conn = core.connect();
    core.list_reader(conn);
    core.list_reader(conn);
    core.pause(conn);
    core.resume(conn);
    core.list_flusher(conn);
    core.list_flusher(conn);
    assert_eq!((core.readers.len(), core.flushers.len()), (1, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Connect,
    End(usize),
    Deadline(usize, u32),
    Idle(usize, u32),
    None(usize),
    Touch(usize),
    Pass(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..8_usize;
    let step = prop_oneof![
        Just(Step::Connect),
        which.clone().prop_map(Step::End),
        (which.clone(), 0..3000_u32).prop_map(|(which, ticks)| Step::Deadline(which, ticks)),
        (which.clone(), 1..3000_u32).prop_map(|(which, ticks)| Step::Idle(which, ticks)),
        which.clone().prop_map(Step::None),
        which.prop_map(Step::Touch),
        (0..50_u32).prop_map(Step::Pass),
        (0..3000_u32).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A connection as a naive list of timers sees it.
#[derive(Clone, Copy)]
struct Naive {
    conn: Token,
    base: u64,
    timeout: Option<u64>,
    is_deadline: bool,
}

proptest! {
    #[test]
    fn timeouts_agree_with_a_naive_list(steps in steps()) {
        let mut core = core();
        let mut naive: Vec<Naive> = Vec::new();
        let mut now = 0_u64;
        for step in steps {
            match step {
                Step::Connect if naive.len() < 8 => {
                    let conn = core.connect();
                    naive.push(Naive { conn, base: now, timeout: None, is_deadline: false });
                }
                Step::End(which) if which < naive.len() => {
                    let ended = naive.swap_remove(which);
                    core.end(ended.conn, End::Local);
                    core.forget_ended();
                }
                Step::Deadline(which, ticks) if which < naive.len() => {
                    let conn = naive[which].conn;
                    core.deadline_after(conn, TICK * ticks);
                    naive[which] = Naive { conn, base: now, timeout: Some(u64::from(ticks) + 1), is_deadline: true };
                }
                Step::Idle(which, ticks) if which < naive.len() => {
                    let conn = naive[which].conn;
                    core.idle_timeout(conn, TICK * ticks);
                    naive[which] = Naive { conn, base: now, timeout: Some(u64::from(ticks) + 1), is_deadline: false };
                }
                Step::None(which) if which < naive.len() => {
                    core.no_timeout(naive[which].conn);
                    naive[which].timeout = None;
                    naive[which].is_deadline = false;
                }
                Step::Touch(which) if which < naive.len() => {
                    core.touch(naive[which].conn);
                    if !naive[which].is_deadline {
                        naive[which].base = now;
                    }
                }
                Step::Pass(ticks) => {
                    now += u64::from(ticks);
                    let mut expired = core.pass(ticks);
                    let mut expected = Vec::new();
                    for naive in &mut naive {
                        if naive.timeout.is_some_and(|timeout| naive.base + timeout <= now) {
                            expected.push(naive.conn);
                            naive.base = now;
                            naive.timeout = naive.timeout.filter(|_| !naive.is_deadline);
                            naive.is_deadline = false;
                        }
                    }
                    expired.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(expired, expected);
                }
                _ => {}
            }
            // Places listed more than once come from deadlines moved ahead; they are bounded by the slots.
            prop_assert!(core.wheel.bytes() < 1024 * 24 + 8 * 4 * 1024 && core.wheel.ticks_to_next() <= Some(Wheel::AHEAD_MAX + 1));
        }
    }
}
