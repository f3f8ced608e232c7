#[cfg(not(loom))]
mod plain {
    use crate::park::Parking;

    #[test]
    fn a_producer_wakes_only_an_announced_sleeper_and_only_once() {
        let parking = Parking::new();
        assert!(!parking.unpark());
        assert!(parking.announce());
        assert!(parking.unpark());
        assert!(!parking.unpark());
    }

    #[test]
    fn a_notified_shard_does_not_sleep_before_it_took_the_notice() {
        let parking = Parking::new();
        assert!(!parking.notify());
        assert!(!parking.announce());
        assert!(!parking.unpark(), "a refused sleep must leave no mark");
        assert!(parking.take_notified());
        assert!(!parking.take_notified());
        assert!(parking.announce());
        assert!(parking.notify());
        assert!(!parking.notify(), "the second notice finds the eventfd written");
    }

    #[test]
    fn a_withdrawn_sleep_needs_no_wake() {
        let parking = Parking::new();
        assert!(parking.announce());
        parking.withdraw();
        assert!(!parking.unpark());
        assert!(!parking.notify());
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p shards --lib --release loom_`.
///
/// The ring is a counter written with release and read with acquire, as the tail of the real one. The eventfd is a
/// mutex with a condition variable: a lost wake leaves the sleeper waiting for ever, which loom reports as deadlock.
#[cfg(loom)]
mod model {
    use crate::park::Parking;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    struct Shard {
        parking: Parking,
        rings: [AtomicUsize; 2],
        channel: AtomicUsize,
        eventfd: Mutex<bool>,
        written: Condvar,
    }

    impl Shard {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                parking: Parking::new(),
                rings: [AtomicUsize::new(0), AtomicUsize::new(0)],
                channel: AtomicUsize::new(0),
                eventfd: Mutex::new(false),
                written: Condvar::new(),
            })
        }

        fn write_eventfd(&self) {
            *self.eventfd.lock().unwrap() = true;
            self.written.notify_one();
        }

        fn produce(&self, ring: usize) {
            // A store as in the ring itself, which has one producer; a read-modify-write would order more.
            let tail = self.rings[ring].load(Ordering::Relaxed);
            self.rings[ring].store(tail + 1, Ordering::Release);
            if self.parking.unpark() {
                self.write_eventfd();
            }
        }

        fn call_from_outside(&self) {
            self.channel.store(1, Ordering::Relaxed);
            if self.parking.notify() {
                self.write_eventfd();
            }
        }

        fn ring_messages(&self) -> usize {
            self.rings.iter().map(|ring| ring.load(Ordering::Acquire)).sum()
        }

        /// Turns until all messages have been seen and, if one is expected, a call from outside was taken.
        fn run(&self, messages: usize, mut call_expected: bool) {
            loop {
                if self.parking.take_notified() {
                    assert_eq!(self.channel.load(Ordering::Relaxed), 1, "what came before the notice must be visible");
                    call_expected = false;
                }
                let seen = self.ring_messages();
                if seen == messages && !call_expected {
                    return;
                }
                if !self.parking.announce() {
                    continue;
                }
                if self.ring_messages() == seen {
                    let mut written = self.eventfd.lock().unwrap();
                    while !*written {
                        written = self.written.wait(written).unwrap();
                    }
                    *written = false;
                }
                self.parking.withdraw();
            }
        }
    }

    /// All interleavings of three threads are too many: those with up to three preemptions are gone through.
    fn three_threads(body: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(body);
    }

    #[test]
    fn loom_no_message_is_slept_over() {
        loom::model(|| {
            let shard = Shard::new();
            let producer = thread::spawn({
                let shard = Arc::clone(&shard);
                move || {
                    shard.produce(0);
                    shard.produce(0);
                }
            });
            shard.run(2, false);
            producer.join().unwrap();
        });
    }

    #[test]
    fn loom_two_producers_share_one_wake() {
        three_threads(|| {
            let shard = Shard::new();
            let producers = [0, 1].map(|ring| {
                let shard = Arc::clone(&shard);
                thread::spawn(move || shard.produce(ring))
            });
            shard.run(2, false);
            for producer in producers {
                producer.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_no_call_from_outside_is_slept_over() {
        loom::model(|| {
            let shard = Shard::new();
            let outside = thread::spawn({
                let shard = Arc::clone(&shard);
                move || shard.call_from_outside()
            });
            shard.run(0, true);
            outside.join().unwrap();
        });
    }

    #[test]
    fn loom_messages_and_calls_together() {
        three_threads(|| {
            let shard = Shard::new();
            let producer = thread::spawn({
                let shard = Arc::clone(&shard);
                move || shard.produce(0)
            });
            let outside = thread::spawn({
                let shard = Arc::clone(&shard);
                move || shard.call_from_outside()
            });
            shard.run(1, true);
            producer.join().unwrap();
            outside.join().unwrap();
        });
    }
}
