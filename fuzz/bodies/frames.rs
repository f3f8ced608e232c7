//! A client's bytes after the handshake: the first byte says where the stream is split in two reads. Both ways of
//! reading must see the same messages, and an incomplete frame must be left as it was.

use encke::ws::{Assembler, Limits, Step, Violation, next_frame, receive};

const LIMITS: Limits = Limits { frame_bytes_max: 4096, message_bytes_max: 1024 };

#[derive(Default)]
struct Reader {
    open: Option<Box<Assembler>>,
    unread: Vec<u8>,
    seen: Vec<String>,
    violation: Option<Violation>,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        while self.violation.is_none() {
            let before = self.unread[at..].to_vec();
            match next_frame(&LIMITS, &mut self.unread[at..]) {
                Ok(Step::Incomplete) => {
                    assert_eq!(self.unread[at..], before);
                    break;
                }
                Ok(Step::Frame { used, head, payload }) => {
                    assert_eq!(self.unread[at + used..], before[used..]);
                    match receive(&mut self.open, &LIMITS, head, &self.unread[at..][payload]) {
                        Ok(received) => self.seen.push(format!("{received:?}")),
                        Err(violation) => self.violation = Some(violation),
                    }
                    at += used;
                }
                Err(violation) => self.violation = Some(violation),
            }
        }
        self.unread.drain(..at);
        assert!(self.open.as_ref().is_none_or(|open| open.is_open() || self.violation.is_some()));
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let Some((split, bytes)) = bytes.split_first() else { return };
    let mut at_once = Reader::default();
    at_once.read(bytes);
    let mut in_two = Reader::default();
    let (first, second) = bytes.split_at(usize::from(*split).min(bytes.len()));
    in_two.read(first);
    in_two.read(second);
    assert_eq!((at_once.seen, at_once.violation), (in_two.seen, in_two.violation));
}
