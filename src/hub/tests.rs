//! Scripts for a few hubs that are joined by plain queues. The simulator does the same with real rings, full rings and a
//! hostile order of events; here each behaviour is told by one short script.

mod departures;
mod guesses;
mod histories;
mod limits;
mod lists;
mod logins;
mod net;
mod people;
mod placements;
mod presence;
mod publications;
mod queues;
mod recovery;
mod storm;
mod subscriptions;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::*;
use crate::model::{
    Answer, ApiError, DevId, EventName, Had, LastSeen, Marker, MessageId, Personal, PipeClass, PipeError, PipeName,
    Publication, PublicationKind, ShardId, SubscriptionError, TrackCursor, UnixTime, UserId, Wishes,
};
use crate::ring::*;
use crate::storage::{
    Beginning, Job, KEYS_KEPT_S, Missed, Outcome, Read, Request, Since, StorageError, StoredKey, StoredMessage, Ticket,
    Write,
};
use crate::token::{TokenKeys, revoked_until};

use net::{Net, Seen};

const NOW: Now = Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 };

fn later(seconds: i64) -> Now {
    Now { time: NOW.time + seconds as u64 * 1_000_000, unix: UnixTime(NOW.unix.0 + seconds), micros: 0 }
}

fn id(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

/// Somebody who shows no key.
fn stranger() -> Credentials {
    Credentials { dev: DevId(1), user: UserId::ANONYMOUS, key: "".into(), details: Details::default() }
}
