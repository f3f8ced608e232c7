//! A few hubs joined by plain queues; the edge is played by `Net::settle`. The simulator does the same with real
//! rings, full rings and a hostile order of events; here each behaviour is told by one short script.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::*;
use crate::model::{
    Answer, ApiError, DevId, EventName, LastSeen, Marker, MessageId, Personal, PipeClass, PipeName, Publication,
    PublicationKind, ShardId, TrackCursor, UnixTime, UserId,
};
use crate::ring::*;
use crate::storage::{Outcome, Read, Request, StoredMessage, Ticket, Write};
use crate::token::{TokenKeys, revoked_until};

const NOW: Now = Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 };

/// What connections and the CometQL shard have seen.
struct Net {
    hubs: Vec<Hub>,
    rings: VecDeque<(ShardId, ShardId, RingMessage)>,
    hashes: BTreeMap<u32, &'static str>,
    times: BTreeMap<u32, i64>,
    storage_fails: bool,
    writes: Vec<Write>,
    queue: Vec<(UserId, StoredMessage)>,
    history: Vec<(PipeKey, StoredMessage)>,
    revoked: BTreeSet<Box<str>>,
    refused: Vec<Refusal>,
    /// Whether sockets take what waited for a user; what they did not.
    takes_queues: bool,
    untaken: Vec<Flush>,
    /// Connections by shard that take nothing any more, before their hubs know.
    gone: BTreeSet<(u16, ConnId)>,
    /// Whether only the readings of queues fail.
    queue_fails: bool,
    seen: BTreeMap<(u16, u32), Vec<String>>,
    last_answer: Option<Answer>,
    accepted: Vec<StatementId>,
    guessed: Vec<u32>,
    answered: Vec<Replies>,
    busy_moments: usize,
}

impl Net {
    fn new(shards: u16) -> Self {
        Self::with(shards, |_| {})
    }

    /// Hubs of which something is configured otherwise.
    fn with(shards: u16, change: impl Fn(&mut HubConfig)) -> Self {
        let placement = placements::placement(shards);
        let plain = |shard| HubConfig {
            shard: ShardId(shard),
            placement: placement.clone(),
            pipes_per_connection_max: 4,
            pipes_max: 100,
            arrivals_bytes_max: 1000,
            save_last_seen: true,
            announce_online: true,
            announce_offline: true,
            devices_max: 2,
            connections_per_user_max: 1_024,
            limits: Limits::default(),
            offline_grace: 0,
            settings_max: 4,
            tenant_settings_max: 3,
            history_bytes_max: 1_000_000,
            tokens: TokenKeys::new("secret", BTreeMap::new()),
            given_out: GivenOut::new([7; 32]),
            departed_max: 100,
        };
        let config = |shard| {
            let mut config = plain(shard);
            change(&mut config);
            config
        };
        Self {
            hubs: (0..shards).map(|shard| Hub::new(config(shard))).collect(),
            rings: VecDeque::new(),
            hashes: BTreeMap::new(),
            times: BTreeMap::new(),
            storage_fails: false,
            writes: Vec::new(),
            queue: Vec::new(),
            history: Vec::new(),
            revoked: BTreeSet::new(),
            refused: Vec::new(),
            takes_queues: true,
            untaken: Vec::new(),
            gone: BTreeSet::new(),
            queue_fails: false,
            seen: BTreeMap::new(),
            last_answer: None,
            accepted: Vec::new(),
            guessed: Vec::new(),
            answered: Vec::new(),
            busy_moments: 0,
        }
    }

    fn input(&mut self, shard: u16, input: Input) {
        self.hubs[shard as usize].handle(input, NOW);
    }

    fn open(&mut self, shard: u16, index: u32) {
        self.login(shard, index, 0, "");
    }

    fn login(&mut self, shard: u16, index: u32, user: u32, key: &str) {
        self.come(shard, index, user, key);
        self.settle();
    }

    /// What follows from the login is under way.
    fn come(&mut self, shard: u16, index: u32, user: u32, key: &str) {
        let credentials = Credentials {
            dev: DevId(1),
            user: UserId::new(user).unwrap(),
            key: key.into(),
            details: Details::default(),
        };
        self.input(shard, Input::Connected { conn: id(index), credentials });
        self.drain();
    }

    fn subscribe(&mut self, shard: u16, index: u32, pipes: &[&str]) {
        let pipes = pipes.iter().map(|name| PipeName::new(name.as_bytes()).unwrap()).collect();
        self.input(shard, Input::Subscribe { conn: id(index), pipes });
        self.settle();
    }

    /// A backend's publication, without settling: several of them make one turn.
    fn insert(&mut self, pipe: &str, message: &str, number: u32) {
        let pipe = Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(pipe.as_bytes()).unwrap() });
        let cometql = self.hubs[0].config.placement.cometql_shard();
        let to = self.hubs[0].config.placement.owner_of_pipe(&pipe);
        let publication = Box::new(Publication::new(pipe, EventName::default(), message.into()));
        let statement = Some(StatementId { session: id(0), number });
        self.rings.push_back((cometql, to, RingMessage::Publish { publication, statement }));
    }

    fn publish(&mut self, shard: u16, index: u32, pipe: &str, message: &str, hide_sender: bool) {
        let pipe = PipeName::new(pipe.as_bytes()).unwrap();
        let event = EventName::default();
        self.input(shard, Input::Publish { conn: id(index), pipe, event, message: message.into(), hide_sender });
        self.busy_moments += usize::from(self.hubs[shard as usize].is_busy(id(index)));
    }

    fn ask_counts(&mut self, pipes: &[&str]) -> Vec<u32> {
        let cometql = self.hubs[0].config.placement.cometql_shard();
        for name in pipes {
            let key = PipeKey { dev: DevId(1), name: PipeName::new(name.as_bytes()).unwrap() };
            let to = self.hubs[0].config.placement.owner_of_pipe(&key);
            let ask = Ask { id: AskId(1), question: Question::PipeCounts(vec![key]) };
            self.rings.push_back((cometql, to, RingMessage::Ask(Box::new(ask))));
            self.settle();
        }
        std::mem::take(&mut self.answered)
            .into_iter()
            .flat_map(|replies| if let Replies::Counts(counts) = replies { counts } else { panic!("not counts") })
            .collect()
    }

    /// Carries everything to its end, the windows of presence included.
    fn settle(&mut self) {
        self.carry_on();
        self.end_windows();
    }

    /// Carries everything to its end that needs no time.
    fn carry_on(&mut self) {
        loop {
            while let Some((from, to, message)) = self.rings.pop_front() {
                match (self.hubs.get_mut(to.0 as usize), message) {
                    (Some(hub), message) => hub.handle(Input::Ring { from, message }, NOW),
                    (None, RingMessage::Accepted { statement, .. }) => self.accepted.push(statement),
                    (None, RingMessage::Refused { refusal, .. }) => self.refused.push(*refusal),
                    (None, RingMessage::Answered(answered)) => self.answered.push(answered.replies),
                    (None, other) => panic!("the CometQL shard got {other:?}"),
                }
                self.drain();
            }
            for hub in &mut self.hubs {
                hub.end_turn();
                hub.time_passed(NOW);
            }
            self.drain();
            if self.rings.is_empty() && !self.hubs.iter().any(Hub::has_arrivals) {
                return;
            }
        }
    }

    fn drain(&mut self) {
        for shard in 0..self.hubs.len() {
            while let Some(output) = self.hubs[shard].poll_output() {
                self.carry_out(shard as u16, output);
            }
        }
    }

    fn carry_out(&mut self, shard: u16, output: Output) {
        match output {
            Output::Admitted { conn, wait_s: None, .. } => self.saw(shard, conn, "admitted".to_owned()),
            Output::Admitted { conn, wait_s: Some(wait_s), .. } => {
                self.saw(shard, conn, format!("not admitted for {wait_s} s"));
            }
            Output::Answer { conn, answer } => {
                self.saw(shard, conn, format!("{answer:?}"));
                self.last_answer = Some(answer);
            }
            Output::FanOut { publications, conns } => {
                let joined: Vec<String> = publications.iter().map(|publication| text_of(publication)).collect();
                for conn in conns {
                    self.saw(shard, conn, joined.join("+"));
                }
            }
            Output::Queue { flush, to } if self.gone.contains(&(shard, flush.conn)) => {
                self.input(shard, Input::QueueWritten { flush, to, taken: false });
            }
            Output::Queue { flush, to } => {
                for message in &flush.messages {
                    self.saw(shard, flush.conn, format!("queued {}", message.message));
                }
                if self.takes_queues {
                    self.input(shard, Input::QueueWritten { flush, to, taken: true });
                } else {
                    self.untaken.push(*flush);
                }
            }
            Output::Personal { personal, mut conns, ask, to } => {
                conns.retain(|conn| !self.gone.contains(&(shard, *conn)));
                for conn in &conns {
                    self.saw(shard, *conn, format!("personal {}", personal.message));
                }
                self.input(shard, Input::PersonalWritten { ask, to, connections: conns.len() as u32 });
            }
            Output::Subscribed(subscribed) => {
                let Subscribed { conn, missed, answer, live, .. } = *subscribed;
                for message in missed {
                    self.saw(shard, conn, format!("missed {}", message.message));
                }
                self.saw(shard, conn, format!("{answer:?}"));
                for publication in live {
                    self.saw(shard, conn, text_of(&publication));
                }
            }
            Output::History { conn, messages, .. } => {
                for message in messages {
                    let text = format!("history {} {} {}", message.event.as_str(), message.message, message.sender);
                    self.saw(shard, conn, text);
                }
            }
            Output::Ring { to, message } | Output::RingAfterFanOut { to, message } => {
                self.rings.push_back((ShardId(shard), to, message));
            }
            Output::Store(job) | Output::Ask { job, .. } => {
                let result = self.store(job.request);
                self.hubs[shard as usize].handle(Input::Stored(Completion { ticket: job.ticket, result }), NOW);
            }
            Output::Close { conn, reason } => {
                self.saw(shard, conn, format!("closed: {}", reason.as_str()));
                self.input(shard, Input::Disconnected { conn });
            }
            Output::KeysGuessed { wrong, .. } => self.guessed.push(wrong),
            Output::Resume { conn } => assert!(!self.hubs[shard as usize].is_busy(conn)),
        }
    }

    fn store(&mut self, request: Request) -> Result<Outcome, crate::storage::StorageError> {
        if self.storage_fails {
            return Err(crate::storage::StorageError::Failed("gone".into()));
        }
        match request {
            Request::Write(writes) => {
                let mut rows = writes.len() as u64;
                for write in &writes {
                    match write {
                        Write::IfAbsent(absent) => {
                            let Write::PutSetting { pipe, .. } = &**absent else { panic!("{absent:?}") };
                            let is_there = self.writes.iter().any(|write| match write {
                                Write::PutSetting { pipe: known, .. } => known == pipe,
                                _ => false,
                            });
                            rows = u64::from(!is_there);
                        }
                        Write::UpdateSetting { pipe, .. } => {
                            let last = self.writes.iter().rev().find_map(|write| match write {
                                Write::PutSetting { pipe: known, .. } => (known == pipe).then_some(1),
                                Write::DeleteSetting { pipe: known, .. } => (known == pipe).then_some(0),
                                _ => None,
                            });
                            rows = last.unwrap_or(0);
                        }
                        Write::PutQueued { user, message, .. } => self.queue.push((*user, message.clone())),
                        Write::DeleteQueued { ids, .. } => self.queue.retain(|(_, message)| !ids.contains(&message.id)),
                        Write::PutHistory { pipe, message, .. } => self.history.push((pipe.clone(), message.clone())),
                        Write::DeleteSetting { pipe, .. } => self.history.retain(|(kept, _)| kept != pipe),
                        _ => {}
                    }
                }
                self.writes.extend(writes);
                Ok(Outcome::Written { rows })
            }
            Request::Read { read: Read::Hashes { users, .. } | Read::UserData { users, .. }, .. } => {
                Ok(Outcome::Texts(
                    users.iter().filter_map(|user| Some((*user, (*self.hashes.get(&user.get())?).into()))).collect(),
                ))
            }
            Request::Read { read: Read::LastSeen { users, .. }, .. } => Ok(Outcome::Times(
                users.iter().filter_map(|user| Some((*user, *self.times.get(&user.get())?))).collect(),
            )),
            Request::Read { read: Read::Login { user, token, .. }, .. } => Ok(Outcome::Login {
                hash: self.hashes.get(&user.get()).map(|hash| (*hash).into()),
                revoked: token.is_some_and(|signed| self.is_revoked(&signed)),
            }),
            Request::Read { read: Read::Queue { .. }, .. } if self.queue_fails => {
                Err(crate::storage::StorageError::Overloaded)
            }
            Request::Read { read: Read::Queue { user, after, page, .. }, .. } => {
                let mut rows: Vec<StoredMessage> = (self.queue.iter())
                    .filter(|(of, message)| *of == user && after.is_none_or(|after| message.place() > after))
                    .map(|(_, message)| message.clone())
                    .collect();
                rows.sort_by_key(StoredMessage::place);
                let more = rows.len() > page.rows as usize;
                rows.truncate(page.rows as usize);
                Ok(Outcome::Messages { rows, more })
            }
            Request::Read { read: Read::NewestHistory { pipe, .. }, .. } => {
                let rows = self.history.iter().filter(|(of, _)| *of == pipe).map(|(_, message)| message.clone());
                Ok(Outcome::Messages { rows: rows.collect(), more: false })
            }
            Request::Read { read, .. } => unreachable!("{read:?}"),
        }
    }

    fn saw(&mut self, shard: u16, conn: ConnId, what: String) {
        self.seen.entry((shard, conn.index)).or_default().push(what);
    }

    /// What the connection saw since the last look.
    fn seen(&mut self, shard: u16, index: u32) -> Vec<String> {
        std::mem::take(self.seen.entry((shard, index)).or_default())
    }
}

fn text_of(publication: &Publication) -> String {
    match &publication.kind {
        PublicationKind::Message | PublicationKind::Figures => publication.message.to_string(),
        PublicationKind::Presence => format!("{} {}", publication.pipe.name, publication.event.as_str()),
        PublicationKind::Track { user, uuid } => format!("{} {user} {uuid}", publication.event.as_str()),
    }
}

fn id(index: u32) -> ConnId {
    ConnId { index, generation: 1 }
}

#[test]
fn a_publication_reaches_the_subscribers_of_every_shard_and_nobody_else() {
    let mut net = Net::new(3);
    for (shard, index, pipe) in [(0, 1, "p_one"), (1, 1, "p_one"), (2, 1, "p_one"), (2, 2, "p_two")] {
        net.open(shard, index);
        net.subscribe(shard, index, &[pipe]);
        net.seen(shard, index);
    }
    net.insert("p_one", "hello", 9);
    net.settle();
    for shard in 0..3 {
        assert_eq!(net.seen(shard, 1), ["hello"]);
    }
    assert!(net.seen(2, 2).is_empty());
    assert_eq!(net.accepted, [StatementId { session: id(0), number: 9 }]);
    assert_eq!(net.ask_counts(&["p_one", "p_two", "p_none"]), [3, 1, 0]);
}

#[test]
fn the_publications_of_a_turn_are_joined_in_the_order_of_arrival() {
    let mut net = Net::new(1);
    for (index, pipes) in [(1, &["aa"][..]), (2, &["aa", "bb"]), (3, &["bb"]), (4, &["cc", "aa"])] {
        net.open(0, index);
        net.subscribe(0, index, pipes);
        net.seen(0, index);
    }
    for (number, (pipe, message)) in [("aa", "1"), ("bb", "2"), ("aa", "3")].into_iter().enumerate() {
        net.insert(pipe, message, number as u32);
    }
    net.settle();
    assert_eq!(net.seen(0, 1), ["1+3"]);
    assert_eq!(net.seen(0, 2), ["1+2+3"]);
    assert_eq!(net.seen(0, 3), ["2"]);
    assert_eq!(net.seen(0, 4), ["1+3"]);
}

#[test]
fn a_hub_says_when_publications_come_faster_than_they_leave() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    for number in 0..3 {
        assert!(!net.hubs[0].is_full());
        net.insert("aa", &"x".repeat(300), number);
        let (from, _, message) = net.rings.pop_front().unwrap();
        net.input(0, Input::Ring { from, message });
    }
    assert!(net.hubs[0].is_full());
    net.settle();
    assert!(!net.hubs[0].is_full());
}

#[test]
fn messages_without_content_fill_a_hub_as_well() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    let mut count = 0;
    while !net.hubs[0].is_full() {
        assert!(count < 100, "a thousand bytes are never reached");
        net.insert("aa", "", count);
        let (from, _, message) = net.rings.pop_front().unwrap();
        net.input(0, Input::Ring { from, message });
        count += 1;
    }
    net.settle();
    assert!(!net.hubs[0].is_full());
}

#[test]
fn more_pipes_than_a_round_holds_keep_their_order() {
    let mut net = Net::with(1, |config| (config.pipes_per_connection_max, config.pipes_max) = (200, 200));
    let names: Vec<String> = (0..150).map(|n| format!("pipe_{n}")).collect();
    net.open(0, 1);
    net.subscribe(0, 1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    net.seen(0, 1);
    for (number, name) in names.iter().enumerate() {
        net.insert(name, &number.to_string(), number as u32);
    }
    net.settle();
    let expected: Vec<String> = (0..150).map(|n| n.to_string()).collect();
    assert_eq!(net.seen(0, 1).join("+"), expected.join("+"));
}

#[test]
fn a_sender_gets_a_report_and_no_echo() {
    let mut net = Net::new(2);
    for (shard, index) in [(0, 1), (0, 2), (1, 1)] {
        net.open(shard, index);
        net.subscribe(shard, index, &["web_room"]);
        net.seen(shard, index);
    }
    net.publish(0, 1, "web_room", "hi", false);
    net.settle();
    assert_eq!(net.busy_moments, 1);
    assert_eq!(net.seen(0, 2), ["hi"]);
    assert_eq!(net.seen(1, 1), ["hi"]);
    let report =
        Answer::DeliveryReport { pipe: PipeName::new(b"web_room").unwrap(), message: "hi".into(), delivered: 2 };
    assert_eq!(net.seen(0, 1), [format!("{report:?}")]);
    assert!(!net.hubs[0].is_busy(id(1)));
}

#[test]
fn a_report_without_subscribers_counts_nobody() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.seen(0, 1);
    net.publish(0, 1, "web_empty", "x", true);
    net.settle();
    let report =
        Answer::DeliveryReport { pipe: PipeName::new(b"web_empty").unwrap(), message: "x".into(), delivered: 0 };
    assert_eq!(net.seen(0, 1), [format!("{report:?}")]);
}

#[test]
fn two_senders_of_one_turn_each_get_the_others_message() {
    let mut net = Net::new(1);
    for index in 1..=3 {
        net.open(0, index);
        net.subscribe(0, index, &["web_room"]);
        net.seen(0, index);
    }
    net.publish(0, 1, "web_room", "one", false);
    net.publish(0, 2, "web_room", "two", false);
    net.settle();
    assert_eq!(net.seen(0, 3), ["one+two"]);
    assert!(net.seen(0, 1).contains(&"two".to_owned()));
    assert!(net.seen(0, 2).contains(&"one".to_owned()));
}

/// Each sender needs a buffer of its own, with everybody else's messages in it.
#[test]
fn many_senders_of_one_pipe_do_not_multiply_what_a_turn_builds() {
    for (senders, length) in [(300, 1024), (40, 50_000)] {
        let mut net = Net::with(1, |config| config.arrivals_bytes_max = usize::MAX);
        for index in 0..senders {
            net.open(0, index);
            net.subscribe(0, index, &["web_room"]);
        }
        let message = "x".repeat(length);
        (0..senders).for_each(|index| net.publish(0, index, "web_room", &message, false));
        let hub = &mut net.hubs[0];
        let (mut turns, mut received) = (0, vec![0; senders as usize]);
        while hub.has_arrivals() {
            turns += 1;
            hub.end_turn();
            let (mut built, mut largest) = (0, 0);
            while let Some(output) = hub.poll_output() {
                let Output::FanOut { publications, conns } = output else { continue };
                let bytes: usize = publications.iter().map(|publication| publication.message.len()).sum();
                built += bytes;
                largest = largest.max(bytes);
                for conn in conns {
                    received[conn.index as usize] += publications.len();
                }
            }
            assert!(largest <= 128 * 1024 + length, "{largest} bytes for one connection");
            assert!(built <= 17 * largest, "{built} bytes in one turn, {largest} of them for one connection");
        }
        assert!(turns >= senders / 16);
        assert!(received.iter().all(|count| *count == senders as usize - 1), "{received:?}");
    }
}

#[test]
fn what_a_browser_may_publish_depends_on_the_prefix() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.open(0, 1);
    net.login(0, 2, 5, "key");
    net.seen(0, 1);
    net.seen(0, 2);
    for (index, pipe, hide, allowed) in [
        (1, "web_a", false, true),
        (1, "web_a", true, true),
        (1, "webauth_a", false, false),
        (2, "webauth_a", false, true),
        (2, "webauth_a", true, false),
        (2, "plain", false, false),
        (2, "track_a", false, false),
    ] {
        net.publish(0, index, pipe, "m", hide);
        net.settle();
        let answers = net.seen(0, index);
        assert_eq!(answers.len(), 1, "{pipe}");
        assert_eq!(answers[0].starts_with("DeliveryReport"), allowed, "{pipe} {hide}: {answers:?}");
    }
}

#[test]
fn a_new_list_replaces_the_old_one_and_only_differences_count() {
    let mut net = Net::new(2);
    net.open(1, 1);
    net.subscribe(1, 1, &["aa", "bb", "aa"]);
    assert_eq!(net.ask_counts(&["aa", "bb"]), [1, 1]);
    net.subscribe(1, 1, &["bb", "cc", "dd", "ee"]);
    assert_eq!(net.ask_counts(&["aa", "bb", "cc", "dd", "ee"]), [0, 1, 1, 1, 1]);
    net.seen(1, 1);
    net.subscribe(1, 1, &["aa", "bb", "cc", "dd", "ee"]);
    assert_eq!(net.seen(1, 1), ["Error(Subscription(TooManyPipes))"]);
    net.subscribe(1, 1, &[]);
    assert_eq!(net.ask_counts(&["aa", "bb", "cc", "dd", "ee"]), [0; 5]);
    assert_eq!(net.hubs[1].local.pipes_bytes(), 0);
}

#[test]
fn only_the_differences_of_a_new_list_are_told() {
    let mut net = Net::new(2);
    net.open(0, 1);
    let key =
        |number: u32| PipeKey { dev: DevId(1), name: PipeName::new(format!("pipe_{number}").as_bytes()).unwrap() };
    let placement = net.hubs[0].config.placement.clone();
    let elsewhere: Vec<PipeName> =
        (0..).map(key).filter(|key| placement.owner_of_pipe(key) == ShardId(1)).map(|key| key.name).take(6).collect();
    for (list, messages) in [(&[0, 1, 2][..], 3), (&[2, 0, 1, 0], 0), (&[3, 0, 2], 2), (&[4, 5, 1], 6), (&[], 3)] {
        let pipes = list.iter().map(|number: &usize| elsewhere[*number].clone()).collect();
        net.input(0, Input::Subscribe { conn: id(1), pipes });
        let told: Vec<usize> = std::iter::from_fn(|| net.hubs[0].poll_output())
            .filter_map(|output| match output {
                Output::Ring { message: RingMessage::Interest { .. }, .. } => Some(1),
                Output::Ring { message: RingMessage::Interests(interests), .. } => Some(interests.len()),
                _ => None,
            })
            .collect();
        assert_eq!(told.iter().sum::<usize>(), messages, "{list:?}");
        assert!(told.len() <= 1, "one message says it all");
        assert_eq!(net.hubs[0].subscriptions(id(1)), list.len().min(3));
    }
}

/// Whatever lists follow each other: every member knows its slot, and the slot knows its member.
#[test]
fn members_and_slots_agree_after_any_lists() {
    let mut net = Net::with(1, |config| config.pipes_per_connection_max = 20);
    let names: Vec<String> = (0..20).map(|number| format!("pipe_{number}")).collect();
    (0..8).for_each(|index| net.open(0, index));
    let mut bits = 1_u64;
    for round in 0..500 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
        let wanted: Vec<&str> =
            names.iter().enumerate().filter(|(at, _)| bits >> (20 + at) & 1 == 1).map(|(_, name)| &**name).collect();
        net.subscribe(0, (bits >> 50) as u32 % 8, &wanted);
        let hub = &net.hubs[0];
        let members = hub.local.checked_memberships((0..8).map(id));
        let counted: u32 = names
            .iter()
            .map(|name| PipeKey { dev: DevId(1), name: PipeName::new(name.as_bytes()).unwrap() })
            .map(|key| hub.owned.count_subscribers(&key))
            .sum();
        assert_eq!(counted as usize, members);
    }
}

#[test]
fn private_pipes_are_skipped_for_anonymous_connections_only() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.open(0, 1);
    net.login(0, 2, 5, "key");
    for index in 1..=2 {
        net.subscribe(0, index, &["private_a", "open"]);
    }
    assert_eq!(net.ask_counts(&["private_a", "open"]), [1, 2]);
}

#[test]
fn a_key_is_checked_against_storage() {
    let server_info = |authorised, key: &str| vec![format!("{:?}", Answer::ServerInfo { authorised, key: key.into() })];
    let mut net = Net::new(2);
    net.hashes.insert(5, "key");
    net.hashes.insert(6, "");
    for (index, (user, key, authorised)) in
        [(5, "key", true), (5, "kez", false), (5, "", false), (0, "key", false), (6, "", false), (7, "key", false)]
            .into_iter()
            .enumerate()
    {
        net.login(0, index as u32, user, key);
        assert_eq!(
            net.seen(0, index as u32),
            server_info(authorised, if authorised { key } else { "" }),
            "{user} {key}"
        );
    }
}

#[test]
fn a_deleted_hash_ends_the_users_connections_on_every_shard() {
    let mut net = Net::new(2);
    net.hashes.extend([(5, "key"), (6, "key"), (7, "key")]);
    for (shard, index, user) in [(0, 1, 5), (0, 2, 5), (1, 1, 5), (1, 2, 6), (0, 3, 7)] {
        net.login(shard, index, user, "key");
        net.seen(shard, index);
    }
    let cometql = net.hubs[0].config.placement.cometql_shard();
    let end = |net: &mut Net| {
        for shard in 0..2 {
            let users = [9, 5, 7, 5].map(|id| UserId::new(id).unwrap()).to_vec();
            let message = RingMessage::EndUsers(Arc::new(EndedUsers::new(DevId(1), users)));
            net.rings.push_back((cometql, ShardId(shard), message));
        }
        net.settle();
    };
    end(&mut net);
    for (shard, index) in [(0, 1), (0, 2), (1, 1), (0, 3)] {
        assert_eq!(net.seen(shard, index), ["closed: hash_deleted"]);
    }
    assert!(net.seen(1, 2).is_empty());
    assert!(!net.hubs.iter().any(|hub| hub.local.has_connections_of(DevId(1), UserId::new(5).unwrap())));

    // A login whose answer from storage is older than the deletion does not slip through.
    let credentials =
        Credentials { dev: DevId(1), user: UserId::new(5).unwrap(), key: "key".into(), details: Details::default() };
    net.input(0, Input::Connected { conn: id(7), credentials });
    let Some(Output::Ask { job, .. }) = net.hubs[0].poll_output() else { panic!("storage is asked") };
    let result = net.store(job.request);
    net.hashes.remove(&5);
    end(&mut net);
    net.input(0, Input::Stored(Completion { ticket: job.ticket, result }));
    net.settle();
    assert_eq!(net.seen(0, 7), [format!("{:?}", Answer::ServerInfo { authorised: false, key: "".into() })]);
}

#[test]
fn storage_that_fails_never_logs_anybody_in() {
    let mut net = Net::new(1);
    net.hashes.insert(5, "key");
    net.storage_fails = true;
    net.login(0, 1, 5, "key");
    assert_eq!(net.seen(0, 1), ["closed: storage_unavailable"]);
    net.open(0, 2);
    net.seen(0, 2);
    let marker = Marker::new(b"m1").unwrap();
    net.input(0, Input::ReadUserData { conn: id(2), user: UserId::new(5).unwrap(), marker: marker.clone() });
    net.settle();
    assert_eq!(net.seen(0, 2), [format!("{:?}", Answer::Error(ApiError::Unavailable { marker }))]);
    assert!(!net.hubs[0].is_busy(id(2)));
}

#[test]
fn a_user_is_seen_last_when_the_last_connection_closes() {
    let mut net = Net::new(3);
    net.hashes.insert(5, "key");
    net.login(0, 1, 5, "key");
    net.login(1, 1, 5, "key");
    net.input(0, Input::Disconnected { conn: id(1) });
    net.settle();
    assert!(net.writes.is_empty());
    net.input(1, Input::Disconnected { conn: id(1) });
    net.settle();
    assert_eq!(net.writes, [Write::PutLastSeen { dev: DevId(1), user: UserId::new(5).unwrap(), time: NOW.unix.0 }]);
}

/// What a hub asks storage to write, without an answer.
fn written(hub: &mut Hub) -> Vec<(Ticket, Vec<Write>)> {
    std::iter::from_fn(|| hub.poll_output())
        .filter_map(|output| match output {
            Output::Store(Job { ticket, request: Request::Write(writes) }) => Some((ticket, writes)),
            _ => None,
        })
        .collect()
}

fn later(seconds: i64) -> Now {
    Now { time: NOW.time + seconds as u64 * 1_000_000, unix: UnixTime(NOW.unix.0 + seconds), micros: 0 }
}

fn user_went(hub: &mut Hub, user: u32, now: Now) {
    let (dev, user) = (DevId(1), UserId::new(user).unwrap());
    hub.handle(Input::Ring { from: ShardId(0), message: RingMessage::UserCame { dev, user, conn: id(1) } }, now);
    hub.handle(Input::Ring { from: ShardId(0), message: RingMessage::UserWent { dev, user, conn: id(1) } }, now);
}

fn seen_at(user: u32, now: Now) -> Write {
    Write::PutLastSeen { dev: DevId(1), user: UserId::new(user).unwrap(), time: now.unix.0 }
}

#[test]
fn users_who_go_together_are_one_job() {
    let mut net = Net::new(1);
    let hub = &mut net.hubs[0];
    (1..=50).for_each(|user| user_went(hub, user, NOW));
    assert_eq!(hub.next_deadline(), Some(Time(0)));
    hub.time_passed(NOW);
    let jobs = written(hub);
    assert_eq!(jobs.iter().map(|(_, writes)| writes.len()).collect::<Vec<_>>(), [50]);
    // Who goes meanwhile waits for the answer.
    user_went(hub, 60, NOW);
    assert_eq!((hub.next_deadline(), hub.departed()), (None, 51));
    hub.time_passed(NOW);
    assert!(written(hub).is_empty());
    hub.handle(Input::Stored(Completion { ticket: jobs[0].0, result: Ok(Outcome::Written { rows: 1 }) }), NOW);
    hub.time_passed(NOW);
    let jobs = written(hub);
    assert_eq!(jobs[0].1, [seen_at(60, NOW)]);
    hub.handle(Input::Stored(Completion { ticket: jobs[0].0, result: Ok(Outcome::Written { rows: 1 }) }), NOW);
    assert_eq!((hub.next_deadline(), hub.departed(), hub.last_job()), (None, 0, None));
}

#[test]
fn storage_that_refuses_a_departure_is_asked_again_with_the_latest_time() {
    use crate::storage::StorageError;
    let mut net = Net::new(1);
    let hub = &mut net.hubs[0];
    user_went(hub, 5, NOW);
    user_went(hub, 6, NOW);
    hub.time_passed(NOW);
    let (ticket, _) = written(hub).pop().unwrap();
    user_went(hub, 5, later(1));
    hub.handle(Input::Stored(Completion { ticket, result: Err(StorageError::Overloaded) }), later(1));
    hub.time_passed(later(1));
    assert!(written(hub).is_empty(), "not at once again");
    assert_eq!(hub.next_deadline(), Some(later(2).time));
    hub.time_passed(later(2));
    let (ticket, mut writes) = written(hub).pop().unwrap();
    writes.sort_by_key(|write| format!("{write:?}"));
    assert_eq!(writes, [seen_at(5, later(1)), seen_at(6, NOW)]);

    // As many as may wait do; the rest is counted.
    (100..250).for_each(|user| user_went(hub, user, NOW));
    hub.handle(Input::Stored(Completion { ticket, result: Err(StorageError::Failed("gone".into())) }), NOW);
    assert_eq!((hub.departed(), hub.counters().last_seen_lost), (100, 52));
}

#[test]
fn a_server_that_stops_has_seen_everybody() {
    let mut net = Net::new(2);
    net.hashes.extend([(5, "key"), (6, "key"), (7, "key")]);
    for (shard, index, user) in [(0, 1, 5), (0, 2, 5), (0, 3, 6), (0, 4, 0), (1, 1, 7)] {
        net.login(shard, index, user, "key");
    }
    let hub = &mut net.hubs[0];
    hub.handle(Input::Stopping, later(9));
    (1..=4).for_each(|index| hub.handle(Input::Disconnected { conn: id(index) }, later(10)));
    let told = std::iter::from_fn(|| hub.poll_output())
        .filter(|output| matches!(output, Output::Ring { message: RingMessage::UserWent { .. }, .. }));
    assert_eq!(told.count(), 0, "nobody needs to hear it from the owner");
    let Some(Request::Write(mut writes)) = hub.last_job().map(|job| job.request) else { panic!("nobody was seen") };
    writes.sort_by_key(|write| format!("{write:?}"));
    assert_eq!(writes, [seen_at(5, later(9)), seen_at(6, later(9))]);
}

#[test]
fn a_connection_that_left_in_the_middle_costs_nothing() {
    let mut net = Net::new(2);
    net.open(0, 1);
    net.open(1, 1);
    net.subscribe(0, 1, &["web_a"]);
    net.subscribe(1, 1, &["web_a"]);
    net.publish(0, 1, "web_a", "m", false);
    net.input(0, Input::Disconnected { conn: id(1) });
    net.input(1, Input::Disconnected { conn: id(1) });
    net.settle();
    assert_eq!(net.ask_counts(&["web_a"]), [0]);
    assert!(!net.hubs.iter().any(Hub::owes_answers));
    assert!(net.hubs.iter().all(|hub| hub.connections() == 0));
}

#[test]
fn a_place_that_was_taken_again_is_another_connection() {
    let mut net = Net::new(1);
    net.open(0, 1);
    net.subscribe(0, 1, &["aa"]);
    net.input(0, Input::Disconnected { conn: id(1) });
    let second = ConnId { index: 1, generation: 2 };
    net.input(0, Input::Connected { conn: second, credentials: people::stranger() });
    net.subscribe(0, 1, &["aa"]);
    assert_eq!(net.ask_counts(&["aa"]), [0], "a stale id changes nothing");
    net.input(0, Input::Subscribe { conn: second, pipes: vec![PipeName::new(b"aa").unwrap()] });
    net.settle();
    assert_eq!(net.ask_counts(&["aa"]), [1]);
}

mod guesses;
mod limits;
mod people;
mod placements;
mod presence;
mod recovery;
mod storm;
mod work;
