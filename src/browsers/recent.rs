//! What was made of histories a moment ago, so that many who ask for the same at the same time share it: a page that
//! everybody loads, everybody who comes back after a restart.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ahash::RandomState;

use crate::model::{DevId, Marker, MessageId, PipeName, SharedBytes, Time, WireForm};
use crate::storage::StoredMessage;

/// How long something is kept for others.
const KEPT_MAX: Duration = Duration::from_secs(5);

/// Bytes kept on a shard; beyond, the oldest go.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an entry costs beside its bytes, about.
const ENTRY_BYTES: usize = 256;

/// What makes two answers the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Made {
    pub(super) dev: DevId,
    pub(super) pipe: PipeName,
    pub(super) form: WireForm,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    pub(super) messages: Messages,
}

/// What the messages are told for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Missed,
    /// `pipe_log`, with the marker where the form has one.
    Log(Option<Marker>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// The JSON alone.
    Json,
    Frames,
    Events,
}

/// Which messages of a pipe. Ids grow with time and none is used again, so between two of them there is one set of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Messages {
    first: MessageId,
    last: MessageId,
    count: usize,
}

impl Messages {
    /// `None` for none.
    pub(super) fn of(messages: &[StoredMessage]) -> Option<Self> {
        let (first, last) = (messages.first()?, messages.last()?);
        Some(Self { first: first.id, last: last.id, count: messages.len() })
    }
}

#[derive(Debug)]
pub(super) struct Recent {
    made: HashMap<Made, SharedBytes, RandomState>,
    order: VecDeque<(Time, Made)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { made: HashMap::with_hasher(hasher), order: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&mut self, made: Made, now: Time, make: impl FnOnce() -> SharedBytes) -> SharedBytes {
        if let Some(bytes) = self.made.get(&made) {
            return bytes.clone();
        }
        let bytes = make();
        if weight(&bytes) <= BYTES_MAX / 8 {
            self.bytes += weight(&bytes);
            self.made.insert(made.clone(), bytes.clone());
            self.order.push_back((now, made));
        }
        self.forget(now);
        bytes
    }

    /// Lets go of what is too old or too much.
    pub(super) fn forget(&mut self, now: Time) {
        let kept = KEPT_MAX.as_micros() as u64;
        while let Some((_, made)) = self.order.pop_front_if(|(at, _)| *at + kept <= now || self.bytes > BYTES_MAX) {
            self.bytes -= self.made.remove(&made).map_or(0, |bytes| weight(&bytes));
        }
        if self.order.is_empty() {
            self.order.shrink_to_fit();
            self.made.shrink_to_fit();
        }
    }

    /// When there is something to let go of.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.order.front().map(|(at, _)| *at + KEPT_MAX.as_micros() as u64)
    }
}

fn weight(bytes: &SharedBytes) -> usize {
    ENTRY_BYTES + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventName, Position, UserId};
    use std::sync::Arc;

    fn message(number: u64) -> StoredMessage {
        let (id, event) = (MessageId::new(Position(number), 7), EventName::default());
        StoredMessage { id, time: 1, event, message: "m".into(), sender: UserId::ANONYMOUS, expires: 0 }
    }

    fn made(messages: &[u64], kind: Kind) -> Made {
        let messages: Vec<_> = messages.iter().copied().map(message).collect();
        Made {
            dev: DevId(1),
            pipe: PipeName::new(b"news").unwrap(),
            form: WireForm::Modern,
            kind,
            shape: Shape::Json,
            messages: Messages::of(&messages).unwrap(),
        }
    }

    #[test]
    fn the_same_is_made_once_for_a_while() {
        let mut recent = Recent::new(RandomState::with_seeds(1, 2, 3, 4));
        let mut times = 0;
        let mut get = |recent: &mut Recent, made: Made, seconds: u64| {
            recent.get(made, Time(seconds * 1_000_000), || {
                times += 1;
                vec![times; 100].into()
            })
        };
        let first = get(&mut recent, made(&[1, 2], Kind::Missed), 0);
        assert!(Arc::ptr_eq(&first, &get(&mut recent, made(&[1, 2], Kind::Missed), 4)));
        for other in [
            made(&[1, 2, 3], Kind::Missed),
            made(&[1], Kind::Missed),
            made(&[1, 2], Kind::Log(None)),
            made(&[1, 2], Kind::Log(Some(Marker::default()))),
            Made { dev: DevId(2), ..made(&[1, 2], Kind::Missed) },
            Made { form: WireForm::Legacy, ..made(&[1, 2], Kind::Missed) },
            Made { shape: Shape::Events, ..made(&[1, 2], Kind::Missed) },
        ] {
            assert!(!Arc::ptr_eq(&first, &get(&mut recent, other, 4)));
        }
        assert_eq!(recent.next_deadline(), Some(Time(5_000_000)));
        recent.forget(Time(5_000_000));
        assert!(!Arc::ptr_eq(&first, &get(&mut recent, made(&[1, 2], Kind::Missed), 5)));
        recent.forget(Time(10_000_000));
        assert_eq!((recent.bytes(), recent.made.len(), recent.next_deadline()), (0, 0, None));
        assert_eq!(times, 9);
    }

    #[test]
    fn what_is_kept_has_a_maximum() {
        let mut recent = Recent::new(RandomState::with_seeds(1, 2, 3, 4));
        for number in 0..100 {
            recent.get(made(&[number], Kind::Missed), Time(0), || vec![0; 500_000].into());
            assert!(recent.bytes() <= BYTES_MAX && recent.made.len() == recent.order.len());
        }
        let bytes = recent.bytes();
        recent.get(made(&[1_000], Kind::Missed), Time(0), || vec![0; BYTES_MAX].into());
        assert_eq!(recent.bytes(), bytes, "what is very long would push out all the rest");
    }
}
