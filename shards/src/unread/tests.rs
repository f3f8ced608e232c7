use super::Unread;

fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

#[test]
fn a_rest_taken_in_small_pieces_is_moved_a_few_times_only() {
    const LEN: usize = 1 << 20;
    let mut unread = Unread::default();
    unread.push(&numbered(LEN));
    let (mut moved, mut at) = (0, 0);
    while !unread.is_empty() {
        let rest = unread.rest_mut();
        assert_eq!(rest[0], at as u8);
        let expected = rest.as_ptr().wrapping_add(7);
        unread.advance(7);
        at += 7;
        if unread.rest_mut().as_ptr() != expected {
            moved += unread.len();
        }
    }
    assert!(moved <= 2 * LEN, "{moved} bytes were moved");
    assert!(unread.memory() <= super::SHRINK_MIN, "little is kept for an empty rest");
}

#[test]
fn what_comes_later_follows_the_rest() {
    let mut unread = Unread::default();
    unread.push(b"one two");
    unread.advance(2);
    unread.push(b" three");
    assert_eq!(unread.rest_mut(), b"e two three");
    assert_eq!(unread.len(), 11);
    unread.advance(100);
    assert!(unread.is_empty());
}
