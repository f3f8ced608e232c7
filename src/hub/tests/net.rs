//! A few hubs joined by plain queues; the edge is played by [`Net::settle`], storage by a few lists.

use super::*;

/// How something looks to a browser: an answer of the server, or, in a few words, what else was written to it or done with
/// it. Publications that came in one write are joined with a plus.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    Answer(Answer),
    Words(String),
}

impl Seen {
    fn words(words: &str) -> Self {
        Self::Words(words.to_owned())
    }

    pub(super) fn is_report(&self) -> bool {
        matches!(self, Self::Answer(Answer::DeliveryReport { .. }))
    }

    pub(super) fn is_too_fast(&self) -> bool {
        matches!(self, Self::Answer(Answer::Error(ApiError::TooFast { .. })))
    }
}

impl PartialEq<&str> for Seen {
    fn eq(&self, other: &&str) -> bool {
        matches!(self, Self::Words(words) if words == other)
    }
}

impl PartialEq<Answer> for Seen {
    fn eq(&self, other: &Answer) -> bool {
        matches!(self, Self::Answer(answer) if answer == other)
    }
}

/// What connections and the CometQL shard have seen.
pub(super) struct Net {
    pub(super) hubs: Vec<Hub>,
    pub(super) rings: VecDeque<(ShardId, ShardId, RingMessage)>,
    pub(super) hashes: BTreeMap<u32, &'static str>,
    pub(super) times: BTreeMap<u32, i64>,
    pub(super) storage_fails: bool,
    pub(super) writes: Vec<Write>,
    pub(super) queue: Vec<(UserId, StoredMessage)>,
    pub(super) history: Vec<(PipeKey, StoredMessage)>,
    pub(super) revoked: BTreeSet<Box<str>>,
    pub(super) refused: Vec<Refusal>,
    /// Whether sockets take what waited for a user; what they did not.
    pub(super) takes_queues: bool,
    pub(super) untaken: Vec<Flush>,
    /// Connections by shard that take nothing any more, before their hubs know.
    pub(super) gone: BTreeSet<(u16, ConnId)>,
    /// Whether only the readings of queues fail.
    pub(super) queue_fails: bool,
    pub(super) seen: BTreeMap<(u16, u32), Vec<Seen>>,
    pub(super) accepted: Vec<StatementId>,
    pub(super) repeated: Vec<StatementId>,
    /// Whether only the readings of histories fail.
    pub(super) history_fails: bool,
    /// Storage answers later.
    pub(super) storage_is_slow: bool,
    pub(super) jobs: Vec<(u16, Job)>,
    pub(super) guessed: Vec<u32>,
    pub(super) answered: Vec<Replies>,
    pub(super) busy_moments: usize,
}

impl Net {
    pub(super) fn new(shards: u16) -> Self {
        Self::with(shards, |_| {})
    }

    /// Hubs of which something is configured otherwise.
    pub(super) fn with(shards: u16, change: impl Fn(&mut HubConfig)) -> Self {
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
            accepted: Vec::new(),
            repeated: Vec::new(),
            history_fails: false,
            storage_is_slow: false,
            jobs: Vec::new(),
            guessed: Vec::new(),
            answered: Vec::new(),
            busy_moments: 0,
        }
    }

    pub(super) fn input(&mut self, shard: u16, input: Input) {
        self.hubs[shard as usize].handle(input, NOW);
    }

    pub(super) fn open(&mut self, shard: u16, index: u32) {
        self.login(shard, index, 0, "");
    }

    pub(super) fn login(&mut self, shard: u16, index: u32, user: u32, key: &str) {
        self.come(shard, index, user, key);
        self.settle();
    }

    /// What follows from the login is under way.
    pub(super) fn come(&mut self, shard: u16, index: u32, user: u32, key: &str) {
        let credentials = Credentials {
            dev: DevId(1),
            user: UserId::new(user).unwrap(),
            key: key.into(),
            details: Details::default(),
        };
        self.input(shard, Input::Connected { conn: id(index), credentials });
        self.drain();
    }

    pub(super) fn subscribe(&mut self, shard: u16, index: u32, pipes: &[&str]) {
        let pipes = pipes.iter().map(|name| PipeName::new(name.as_bytes()).unwrap()).collect();
        self.input(shard, Input::Subscribe { conn: id(index), pipes });
        self.settle();
    }

    /// Somebody nameless with a browser's id.
    pub(super) fn open_as(&mut self, shard: u16, index: u32, uuid: &str) {
        let details = Details { uuid: uuid.into(), ..Details::default() };
        self.input(shard, Input::Connected { conn: id(index), credentials: Credentials { details, ..stranger() } });
        self.settle();
    }

    /// A backend's publication, without settling: several of them make one turn.
    pub(super) fn insert(&mut self, pipe: &str, message: &str, number: u32) {
        self.insert_with(pipe, message, number, Wishes::default());
    }

    pub(super) fn insert_with(&mut self, pipe: &str, message: &str, number: u32, wishes: Wishes) {
        let pipe = Arc::new(PipeKey { dev: DevId(1), name: PipeName::new(pipe.as_bytes()).unwrap() });
        let cometql = self.hubs[0].config.placement.cometql_shard();
        let to = self.hubs[0].config.placement.owner_of_pipe(&pipe);
        let mut publication = Box::new(Publication::new(pipe, EventName::default(), message.into()));
        publication.wishes = Some(Box::new(wishes));
        let statement = Some(StatementId { session: id(0), number });
        self.rings.push_back((cometql, to, RingMessage::Publish { publication, statement }));
    }

    pub(super) fn publish(&mut self, shard: u16, index: u32, pipe: &str, message: &str, hide_sender: bool) {
        let pipe = PipeName::new(pipe.as_bytes()).unwrap();
        let event = EventName::default();
        self.input(shard, Input::Publish { conn: id(index), pipe, event, message: message.into(), hide_sender });
        self.busy_moments += usize::from(self.hubs[shard as usize].is_busy(id(index)));
    }

    pub(super) fn ask_counts(&mut self, pipes: &[&str]) -> Vec<u32> {
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
    pub(super) fn settle(&mut self) {
        self.carry_on();
        self.end_windows();
    }

    /// Carries everything to its end that needs no time.
    pub(super) fn carry_on(&mut self) {
        loop {
            while let Some((from, to, message)) = self.rings.pop_front() {
                match (self.hubs.get_mut(to.0 as usize), message) {
                    (Some(hub), message) => hub.handle(Input::Ring { from, message }, NOW),
                    (None, RingMessage::Accepted { statement, .. }) => self.accepted.push(statement),
                    (None, RingMessage::Repeated { statement }) => self.repeated.push(statement),
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

    pub(super) fn drain(&mut self) {
        for shard in 0..self.hubs.len() {
            while let Some(output) = self.hubs[shard].poll_output() {
                self.carry_out(shard as u16, output);
            }
        }
    }

    pub(super) fn carry_out(&mut self, shard: u16, output: Output) {
        match output {
            Output::Admitted { conn, wait_s: None, .. } => self.saw(shard, conn, Seen::words("admitted")),
            Output::Admitted { conn, wait_s: Some(wait_s), .. } => {
                self.saw(shard, conn, Seen::Words(format!("not admitted for {wait_s} s")));
            }
            Output::Answer { conn, answer } => self.saw(shard, conn, Seen::Answer(answer)),
            Output::FanOut { publications, conns } => {
                let joined: Vec<String> = publications.iter().map(|publication| text_of(publication)).collect();
                for conn in conns {
                    self.saw(shard, conn, Seen::Words(joined.join("+")));
                }
            }
            Output::Queue { flush, to } if self.gone.contains(&(shard, flush.conn)) => {
                self.input(shard, Input::QueueWritten { flush, to, taken: false });
            }
            Output::Queue { flush, to } => {
                for message in &flush.messages {
                    self.saw(shard, flush.conn, Seen::Words(format!("queued {}", message.message)));
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
                    self.saw(shard, *conn, Seen::Words(format!("personal {}", personal.message)));
                }
                self.input(shard, Input::PersonalWritten { ask, to, connections: conns.len() as u32 });
            }
            Output::Subscribed(subscribed) => {
                let Subscribed { conn, missed, answer, live, .. } = *subscribed;
                for message in missed {
                    self.saw(shard, conn, Seen::Words(format!("missed {}", message.message)));
                }
                self.saw(shard, conn, Seen::Answer(answer));
                for publication in live {
                    self.saw(shard, conn, Seen::Words(text_of(&publication)));
                }
            }
            Output::History { conn, messages, .. } => {
                for message in messages {
                    let text = format!("history {} {} {}", message.event.as_str(), message.message, message.sender);
                    self.saw(shard, conn, Seen::Words(text));
                }
            }
            Output::Ring { to, message } | Output::RingAfterFanOut { to, message } => {
                self.rings.push_back((ShardId(shard), to, message));
            }
            Output::Store(job) | Output::Ask { job, .. } if self.storage_is_slow => self.jobs.push((shard, job)),
            Output::Store(job) | Output::Ask { job, .. } => {
                let result = self.store(job.request);
                self.hubs[shard as usize].handle(Input::Stored(Completion { ticket: job.ticket, result }), NOW);
            }
            Output::Close { conn, reason } => {
                self.saw(shard, conn, Seen::Words(format!("closed: {}", reason.as_str())));
                self.input(shard, Input::Disconnected { conn });
            }
            Output::KeysGuessed { wrong, .. } => self.guessed.push(wrong),
            Output::Resume { conn } => assert!(!self.hubs[shard as usize].is_busy(conn)),
        }
    }

    /// Storage does what it was asked for.
    pub(super) fn answer_jobs(&mut self) {
        for (shard, job) in std::mem::take(&mut self.jobs) {
            self.carry_out(shard, Output::Store(job));
        }
    }

    pub(super) fn saw(&mut self, shard: u16, conn: ConnId, what: Seen) {
        self.seen.entry((shard, conn.index)).or_default().push(what);
    }

    /// What the connection saw since the last look.
    pub(super) fn seen(&mut self, shard: u16, index: u32) -> Vec<Seen> {
        std::mem::take(self.seen.entry((shard, index)).or_default())
    }
    /// The same, of a connection that was not answered anything.
    pub(super) fn words(&mut self, shard: u16, index: u32) -> Vec<String> {
        let words = |seen| match seen {
            Seen::Words(words) => words,
            Seen::Answer(answer) => panic!("answered {answer:?}"),
        };
        self.seen(shard, index).into_iter().map(words).collect()
    }

    /// Whether the connection was told that it is authorised.
    pub(super) fn is_let_in(&mut self, shard: u16, index: u32) -> bool {
        let seen = self.seen(shard, index);
        let told = seen.iter().find_map(|one| match one {
            Seen::Answer(Answer::ServerInfo { authorised, .. }) => Some(*authorised),
            _ => None,
        });
        told.unwrap_or_else(|| panic!("it was told nothing: {seen:?}"))
    }
}

/// What backends and browsers do, all the way to its end.
impl Net {
    pub(super) fn send(&mut self, user: u32, message: &str) {
        self.post(user, message);
        self.settle();
    }

    /// The message is under way.
    pub(super) fn post(&mut self, user: u32, message: &str) {
        let (dev, user) = (DevId(1), UserId::new(user).unwrap());
        let personal = Arc::new(Personal::new(EventName::default(), message.into()));
        let send = Send { dev, user, personal, expires_in: None, statement: StatementId { session: id(0), number: 0 } };
        let placement = &self.hubs[0].config.placement;
        let (cometql, to) = (placement.cometql_shard(), placement.owner_of_user(dev, user));
        self.rings.push_back((cometql, to, RingMessage::Send(Box::new(send))));
    }

    /// The first message that is on a ring comes to its hub, and what follows from it is under way.
    pub(super) fn pass(&mut self) {
        let (from, to, message) = self.rings.pop_front().unwrap();
        self.input(to.0, Input::Ring { from, message });
        self.drain();
    }

    pub(super) fn set_length(&mut self, pipe: &str, length: Option<u32>) {
        self.change_length(pipe, length.map_or(LengthChange::Remove, LengthChange::Put));
    }

    pub(super) fn change_length(&mut self, pipe: &str, change: LengthChange) {
        let pipe = PipeKey { dev: DevId(1), name: PipeName::new(pipe.as_bytes()).unwrap() };
        let placement = &self.hubs[0].config.placement;
        let (cometql, to) = (placement.cometql_shard(), placement.owner_of_pipe(&pipe));
        let set = SetLength { pipe, change, statement: StatementId { session: id(0), number: 1 } };
        self.rings.push_back((cometql, to, RingMessage::SetLength(Box::new(set))));
        self.settle();
    }

    pub(super) fn pipe_log(&mut self, shard: u16, index: u32, pipe: &str) -> Vec<Seen> {
        let pipe = PipeName::new(pipe.as_bytes()).unwrap();
        self.input(shard, Input::ReadHistory { conn: id(index), pipe, marker: Marker::default() });
        self.settle();
        self.seen(shard, index)
    }

    pub(super) fn leave(&mut self, shard: u16, index: u32) {
        self.input(shard, Input::Disconnected { conn: id(index) });
        self.settle();
    }
}

fn text_of(publication: &Publication) -> String {
    match &publication.kind {
        PublicationKind::Message | PublicationKind::Figures => publication.message.to_string(),
        PublicationKind::Presence => format!("{} {}", publication.pipe.name, publication.event.as_str()),
        PublicationKind::Track { user, uuid } => format!("{} {user} {uuid}", publication.event.as_str()),
    }
}
