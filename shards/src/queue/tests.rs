use proptest::prelude::*;

use super::{JOINED_MAX, Queue, SHARED_MIN};
use crate::host::SharedBytes;
use crate::shares::Shares;

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
    let mut shares = Shares::default();
    let mut queue = Queue::default();
    queue.push_shared(&large, 10..large.len(), &mut shares);
    queue.push_shared(&small, 0..small.len(), &mut shares);
    assert_eq!((SharedBytes::strong_count(&large), SharedBytes::strong_count(&small)), (2, 1));
    assert_eq!(queue.len(), SHARED_MIN + SHARED_MIN - 1);
    queue.advance(SHARED_MIN, &mut shares);
    assert_eq!(SharedBytes::strong_count(&large), 1);
    assert_eq!(front(&queue), vec![2; SHARED_MIN - 1]);
    queue.push_shared(&large, 5..large.len(), &mut shares);
    assert_eq!(SharedBytes::strong_count(&large), 2, "a later chunk may begin anywhere too");
    assert_eq!(queue.len(), SHARED_MIN - 1 + SHARED_MIN + 5);
}

#[test]
fn an_empty_queue_holds_no_bytes() {
    let mut shares = Shares::default();
    let mut queue = Queue::default();
    queue.push_shared(&vec![1; 2000].into(), 0..2000, &mut shares);
    queue.push(&[2; 2000]);
    let (owned, shared) = queue.memory();
    assert!(owned >= 2000 && shared == 2000);
    queue.advance(4000, &mut shares);
    assert!(queue.is_empty() && front(&queue).is_empty());
    let (owned, shared) = queue.memory();
    assert!(owned < 2000 && shared == 0);
}

#[test]
fn a_part_of_shared_bytes_ends_where_it_ends() {
    let bytes: SharedBytes = (0..4_000_u32).map(|number| number as u8).collect();
    let mut shares = Shares::default();
    let mut queue = Queue::default();
    queue.push_shared(&bytes, 1_007..3_000, &mut shares);
    queue.push(b"behind");
    assert_eq!(queue.len(), 1_993 + 6);
    assert_eq!(front(&queue), [&bytes[1_007..3_000], b"behind"].concat());
    queue.advance(1_992, &mut shares);
    assert_eq!(front(&queue), [&bytes[2_999..3_000], b"behind"].concat());
    queue.advance(1, &mut shares);
    assert_eq!((SharedBytes::strong_count(&bytes), front(&queue)), (1, b"behind".to_vec()));
}

#[test]
fn what_is_shared_is_held_in_part() {
    let bytes: SharedBytes = vec![1; 10_000].into();
    let mut shares = Shares::default();
    let mut queues: Vec<Queue> = (0..100).map(|_| Queue::default()).collect();
    for queue in &mut queues {
        queue.push_shared(&bytes, 0..10_000, &mut shares);
    }
    let held: usize = queues.iter().map(Queue::held).sum();
    assert!((10_000..100_000).contains(&held), "{held}");
    let alone: SharedBytes = vec![1; 10_000].into();
    let mut queue = Queue::default();
    queue.push_shared(&alone, 0..10_000, &mut shares);
    assert!(queue.held() >= 10_000);
    queue.advance(10_000, &mut shares);
    assert!(queue.held() < 500, "{}", queue.held());
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
        let mut shares = Shares::default();
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
                    queue.push_shared(&bytes, offset..bytes.len(), &mut shares);
                    naive.extend(&bytes[offset..]);
                }
                Step::Send(count) => {
                    let count = count.min(front(&queue).len());
                    queue.advance(count, &mut shares);
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
