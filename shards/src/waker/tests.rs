use std::sync::mpsc;

use super::Waker;
use crate::table;

/// How often the eventfd was written since the last look.
fn written(waker: &Waker) -> u64 {
    let mut count = [0; 8];
    let read = rustix::io::read(waker.signal().descriptor().unwrap(), &mut count);
    read.map_or(0, |_| u64::from_ne_bytes(count))
}

#[test]
fn only_a_sleeping_shard_costs_a_write() {
    let waker = Waker::new().unwrap();
    waker.wake();
    assert!(!waker.wake_for_messages());
    assert_eq!(written(&waker), 0);
    assert!(waker.parking().take_notified());
    assert!(waker.parking().announce());
    waker.wake();
    waker.wake();
    assert_eq!(written(&waker), 1);
    assert!(waker.parking().take_notified());
    assert!(waker.parking().announce());
    assert!(waker.wake_for_messages());
    assert!(!waker.wake_for_messages());
    assert_eq!(written(&waker), 1);
}

#[test]
fn a_waker_works_across_tables_made_later_and_survives_them() {
    let waker = Waker::new().unwrap();
    let far = waker.clone();
    assert!(waker.parking().announce());
    let shard = std::thread::spawn(move || {
        let _ = table::split();
        far.wake();
    });
    shard.join().unwrap();
    assert_eq!(written(&waker), 1);
    // The last owner is in a foreign table: it must not close whatever has the number there.
    let shard = std::thread::spawn(move || {
        let own_table = table::split().is_ok();
        let number = std::os::fd::AsRawFd::as_raw_fd(&waker.signal().descriptor().unwrap());
        drop(waker);
        let is_open = std::fs::exists(format!("/proc/thread-self/fd/{number}")).unwrap();
        assert_eq!(is_open, own_table);
    });
    shard.join().unwrap();
}

#[test]
fn a_waker_made_later_stops_the_thread_instead_of_writing_elsewhere() {
    let (sender, wakers) = mpsc::channel::<Waker>();
    let (is_split, split) = mpsc::channel();
    let shard = std::thread::spawn(move || {
        is_split.send(table::split().is_ok()).unwrap();
        wakers.recv().unwrap().wake();
    });
    let own_table = split.recv().unwrap();
    let waker = Waker::new().unwrap();
    assert!(waker.parking().announce());
    sender.send(waker.clone()).unwrap();
    assert_eq!(shard.join().is_err(), own_table);
    assert_eq!(written(&waker), u64::from(!own_table));
}
