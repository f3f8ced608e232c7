//! What a message between shards costs, and how long a sleeping shard takes to get one.
//!
//! `cargo bench -p shards`. Prints nanoseconds per message and percentiles of the time from `send` to `message`.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program that prints and may give up")]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use shards::{End, Host, Io, Level, Linux, Mesh, Settings, ShardSettings, Token, prepare};

const MESSAGES: u64 = 10_000_000;
const WAKES: usize = 2000;

fn main() {
    println!("one thread, send and receive:  {:6.1} ns per message", one_thread());
    println!("two threads, one ring:         {:6.1} ns per message", two_threads());
    for busy_poll in [Duration::ZERO, Duration::from_millis(2)] {
        let mut times = wakes(busy_poll);
        times.sort_unstable();
        let percentile = |share: usize| times[times.len() * share / 1000].as_nanos() as f64 / 1000.0;
        println!(
            "wake-up, busy poll {busy_poll:>7.0?}:    p50 {:.1} us, p90 {:.1} us, p99 {:.1} us, p99.9 {:.1} us",
            percentile(500),
            percentile(900),
            percentile(990),
            percentile(999),
        );
    }
}

fn one_thread() -> f64 {
    let mut mesh = Mesh::new(2, 1024);
    let begun = Instant::now();
    let mut sum = 0;
    for first in (0..MESSAGES).step_by(512) {
        for number in first..first + 512 {
            mesh[0].send(Level::Deliver, 1, [number, number]);
        }
        mesh[0].take_targets(|_| ());
        while let Some((_, [number, _])) = mesh[1].receive() {
            sum += number;
        }
    }
    let elapsed = begun.elapsed();
    assert!(sum > MESSAGES);
    elapsed.as_nanos() as f64 / MESSAGES as f64
}

fn two_threads() -> f64 {
    let mut mesh = Mesh::new::<[u64; 2]>(2, 1024);
    let mut far = mesh.pop().expect("there are two");
    let mut near = mesh.pop().expect("there are two");
    let begun = Instant::now();
    let receiver = std::thread::spawn(move || {
        let mut next = 0;
        while next < MESSAGES {
            if let Some((_, [number, _])) = far.receive() {
                assert_eq!(number, next);
                next += 1;
            } else {
                std::thread::yield_now();
            }
        }
    });
    for number in 0..MESSAGES {
        near.send(Level::Deliver, 1, [number, number]);
        while near.congested() && !near.flush() {
            std::thread::yield_now();
        }
    }
    receiver.join().expect("the receiver has counted");
    begun.elapsed().as_nanos() as f64 / MESSAGES as f64
}

/// One shard sends every millisecond, the other sleeps in between.
struct Pinger {
    next: Option<Instant>,
    times: mpsc::Sender<Duration>,
}

impl Host for Pinger {
    type Kernel = Linux;
    type Message = Instant;
    type State = ();

    fn accepted(&mut self, _: &mut Io<'_, Self>, _: Token) {}

    fn received(&mut self, _: &mut Io<'_, Self>, _: Token, bytes: &mut [u8]) -> usize {
        bytes.len()
    }

    fn ended(&mut self, _: &mut Io<'_, Self>, _: Token, _: End) {}

    fn timed_out(&mut self, _: &mut Io<'_, Self>, _: Token) {}

    fn message(&mut self, _: &mut Io<'_, Self>, _: u16, sent: Instant) {
        // Nobody listens any more at the very end.
        let _ = self.times.send(sent.elapsed());
    }

    fn woken(&mut self, _: &mut Io<'_, Self>) {}

    fn turn_ended(&mut self, io: &mut Io<'_, Self>) {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Duration::from_millis(1));
            io.send(Level::Deliver, 1, Instant::now());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn farewell(&mut self, _: &mut Io<'_, Self>) {
        self.next = None;
    }
}

fn wakes(busy_poll: Duration) -> Vec<Duration> {
    // On one core the sender's busy poll would keep the receiver from running.
    let mut shards = vec![ShardSettings::new("sends", None), ShardSettings::new("sleeps", None)];
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        shards[0].pin_to_core = Some(0);
        shards[1].pin_to_core = Some(1);
    }
    let prepared = prepare(Settings { shards, busy_poll, ..Settings::default() }).expect("the settings are right");
    let (times, received) = mpsc::channel();
    let make = move |shard| Pinger { next: (shard == 0).then(Instant::now), times: times.clone() };
    let running = prepared.start(make).expect("two threads can be had");
    let times = received.iter().take(WAKES).collect();
    running.stop();
    running.join().expect("no shard broke");
    times
}
