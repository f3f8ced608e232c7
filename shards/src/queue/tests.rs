use proptest::prelude::*;

use super::{JOINED_MAX, Queue, SHARED_MIN};
use crate::host::SharedBytes;

/// What the kernel would be given next.
fn front(queue: &Queue) -> Vec<u8> {
    let (slices, count) = queue.slices();
    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn small_writes_are_joined_and_large_ones_are_not() {
    let mut queue = Queue::default();
    for _ in 0..100 {
        queue.push(b"0123456789");
    }
    assert_eq!((queue.slices().1, queue.len()), (1, 1000));
    queue.push(&vec![1; JOINED_MAX]);
    assert_eq!(queue.slices().1, 2);
    queue.push(b"");
    assert_eq!((queue.slices().1, queue.len()), (2, 1000 + JOINED_MAX));
}

#[test]
fn shared_bytes_are_referred_to_and_small_ones_copied() {
    let large: SharedBytes = vec![1; SHARED_MIN + 10].into();
    let small: SharedBytes = vec![2; SHARED_MIN - 1].into();
    let mut queue = Queue::default();
    queue.push_shared(&large, 10);
    queue.push_shared(&small, 0);
    assert_eq!((SharedBytes::strong_count(&large), SharedBytes::strong_count(&small)), (2, 1));
    assert_eq!(queue.len(), SHARED_MIN + SHARED_MIN - 1);
    queue.advance(SHARED_MIN);
    assert_eq!(SharedBytes::strong_count(&large), 1);
    assert_eq!(front(&queue), vec![2; SHARED_MIN - 1]);
    queue.push_shared(&large, 20);
    assert_eq!(SharedBytes::strong_count(&large), 1, "an offset into a later chunk is copied");
}

#[test]
fn an_empty_queue_holds_no_bytes() {
    let mut queue = Queue::default();
    queue.push_shared(&vec![1; 2000].into(), 0);
    queue.push(&[2; 2000]);
    let (owned, shared) = queue.memory();
    assert!(owned >= 2000 && shared == 2000);
    queue.advance(4000);
    assert!(queue.is_empty() && front(&queue).is_empty());
    let (owned, shared) = queue.memory();
    assert!(owned < 2000 && shared == 0);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Share(usize, usize),
    Send(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3000_usize).prop_map(Step::Push),
        (0..3000_usize, 0..3000_usize).prop_map(|(len, offset)| Step::Share(len, offset)),
        (0..6000_usize).prop_map(Step::Send),
    ];
    proptest::collection::vec(step, 1..100)
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_vector(steps in steps()) {
        let mut queue = Queue::default();
        let mut naive: Vec<u8> = Vec::new();
        for (seed, step) in (0_u8..).zip(steps) {
            match step {
                Step::Push(len) => {
                    let bytes: Vec<u8> = (0..len).map(|at| seed.wrapping_mul(7) ^ at as u8).collect();
                    queue.push(&bytes);
                    naive.extend(&bytes);
                }
                Step::Share(len, offset) => {
                    let bytes: SharedBytes = (0..len).map(|at| seed.wrapping_mul(5) ^ at as u8).collect();
                    let offset = if queue.is_empty() { offset.min(len) } else { 0 };
                    queue.push_shared(&bytes, offset);
                    naive.extend(&bytes[offset..]);
                }
                Step::Send(count) => {
                    let count = count.min(front(&queue).len());
                    queue.advance(count);
                    naive.drain(..count);
                }
            }
            prop_assert_eq!(queue.len(), naive.len());
            prop_assert_eq!(queue.is_empty(), naive.is_empty());
            let front = front(&queue);
            prop_assert_eq!(front.is_empty(), naive.is_empty());
            prop_assert!(naive.starts_with(&front));
        }
    }
}
