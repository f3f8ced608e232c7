//! The simulated machine: shards that take turns, rings that are full, storage that is slow, clients that vanish.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use encke::cometql::exec::{Exec, ExecConfig, Output as ExecOutput, Tls};
use encke::cometql::plan::{Figures, Row, StatementLimits};
use encke::cometql::sql::StringEscapes;
use encke::cometql::wire;
use encke::hub::{Credentials, Details, Hub, HubConfig, Input, Level, Output, Placement, RingMessage, TokenSecret};
use encke::jsapi;
use encke::model::{ConnId, DevId, EventName, Now, PipeName, Publication, ShardId, Time, UnixTime, UserId, WireForm};
use encke::storage::{Completion, Job, Outcome, Read, Request, StorageError, Write};
use shards::{Endpoint, Mesh};

use super::browser::BrowserClient;
use super::random::Random;
use super::session::{Owed, PASSWORD, SessionClient};

const DEV: DevId = DevId(1);
const PIPES: [&str; 6] = ["web_one", "web_two", "p_three", "p_four", "private_five", "track_six"];
const USERS: u32 = 4;

/// What a run has exercised.
#[derive(Debug, Default)]
pub(super) struct Totals {
    received: usize,
    answered: usize,
    reports: usize,
    vanished: usize,
    slow: usize,
    backlogs: usize,
    held: usize,
    joined: usize,
    storage_failures: usize,
    departed: usize,
}

impl Totals {
    pub(super) fn add(&mut self, run: &Self) {
        self.received += run.received;
        self.answered += run.answered;
        self.reports += run.reports;
        self.vanished += run.vanished;
        self.slow += run.slow;
        self.backlogs += run.backlogs;
        self.held += run.held;
        self.joined += run.joined;
        self.storage_failures += run.storage_failures;
        self.departed += run.departed;
    }

    /// A simulation in which nothing bad happens proves nothing.
    pub(super) fn assert_that_everything_was_exercised(&self) {
        let Self { received, answered, reports, vanished, slow, backlogs, held, joined, storage_failures, departed } =
            self;
        for (what, count) in [
            ("publications received", received),
            ("statements answered", answered),
            ("delivery reports", reports),
            ("vanished clients", vanished),
            ("slow consumers", slow),
            ("full rings", backlogs),
            ("full hubs", held),
            ("joined publications", joined),
            ("storage failures", storage_failures),
            ("users seen last", departed),
        ] {
            assert!(*count > 0, "no {what} in the whole run");
        }
    }
}

pub(super) struct World {
    random: Random,
    hubs: Vec<Hub>,
    exec: Exec,
    endpoints: Vec<Endpoint<RingMessage>>,
    deferred: Vec<VecDeque<(ShardId, RingMessage)>>,
    browsers: Vec<BrowserClient>,
    sessions: Vec<SessionClient>,
    /// By shard: places that are free, with the generation they had.
    free: Vec<Vec<ConnId>>,
    next_index: Vec<u32>,
    jobs: VecDeque<(usize, Job)>,
    hashes: BTreeMap<u32, String>,
    /// When users were seen last, as storage was told.
    times: BTreeMap<u32, i64>,
    storage_failure_percent: usize,
    /// Connections that got a message, by its text.
    deliveries: HashMap<String, u64>,
    queue_bytes_max: usize,
    next_message: u64,
    now: Now,
    totals: Totals,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let shards = 1 + random.below(4) as u16;
        let placement = Placement::new(shards, random.next());
        let arrivals_bytes_max = [100, 1000, 1_000_000][random.below(3)];
        let hub = |shard| {
            Hub::new(HubConfig {
                shard: ShardId(shard),
                placement: placement.clone(),
                pipes_per_connection_max: 16,
                pipes_max: 100,
                arrivals_bytes_max,
                save_last_seen: true,
                announce_online: true,
                announce_offline: true,
                devices_max: 2,
                settings_max: 100,
                history_bytes_max: 1_000_000,
                tokens: TokenSecret::default(),
                seed: u64::from(shard),
                departed_max: 100,
            })
        };
        let exec = ExecConfig {
            tenants: encke::cometql::exec::Tenants::default(),
            placement: placement.clone(),
            password: PASSWORD.into(),
            packets: wire::Limits::default(),
            statements: StatementLimits::default(),
            escapes: StringEscapes::Mysql,
            pipeline_max: 1 + random.below(8),
            login_attempts_max: 5,
            delete_counts: false,
            tls: Tls::Off,
        };
        let capacity = 1 + random.below(4);
        let mut world = Self {
            hubs: (0..shards).map(hub).collect(),
            exec: Exec::new(exec),
            endpoints: Mesh::new(shards + 1, capacity),
            deferred: (0..shards).map(|_| VecDeque::new()).collect(),
            browsers: Vec::new(),
            sessions: Vec::new(),
            free: (0..=shards).map(|_| Vec::new()).collect(),
            next_index: vec![0; usize::from(shards) + 1],
            jobs: VecDeque::new(),
            hashes: (1..=USERS).map(|user| (user, format!("key{user}"))).collect(),
            times: BTreeMap::new(),
            storage_failure_percent: if random.chance(30) { 20 } else { 0 },
            deliveries: HashMap::new(),
            queue_bytes_max: if random.chance(20) { 2000 } else { 1_000_000 },
            next_message: 0,
            now: Now { time: Time(0), unix: UnixTime(1_700_000_000), micros: 0 },
            totals: Totals::default(),
            random,
        };
        world.open_session();
        world
    }

    pub(super) fn run(mut self) -> Totals {
        let rounds = 1 + self.random.below(3);
        for _ in 0..rounds {
            for _ in 0..50 + self.random.below(250) {
                self.step();
            }
            self.settle();
            self.check_everything_at_rest();
        }
        self.totals
    }

    fn step(&mut self) {
        self.now.time = self.now.time + self.random.below(1000) as u64;
        self.now.unix.0 += self.random.below(2) as i64;
        match self.random.below(100) {
            0..4 => self.open_browser(),
            4..6 => self.vanish(),
            6 => self.open_session(),
            7 => self.end_session(),
            8..16 => self.subscribe(),
            16..26 => self.publish_from_browser(),
            26..40 => self.send_statements(),
            40..46 => self.storage_works(),
            46..60 => self.read_some(),
            60..64 => self.feed_sessions(),
            _ => {
                let shard = self.random.below(self.endpoints.len());
                let most = self.random.below(6);
                let pending = self.random.chance(30);
                self.turn(shard, most, pending);
            }
        }
    }

    // Clients

    fn open_place(&mut self, shard: usize) -> ConnId {
        if self.random.chance(80)
            && let Some(ConnId { index, generation }) = self.free[shard].pop()
        {
            return ConnId { index, generation: generation + 1 };
        }
        let index = self.next_index[shard];
        self.next_index[shard] += 1;
        ConnId { index, generation: 1 }
    }

    fn open_browser(&mut self) {
        let shard = self.random.below(self.hubs.len());
        if self.endpoints[shard].congested() {
            return;
        }
        let id = self.open_place(shard);
        let user = UserId::new(self.random.below(USERS as usize + 2) as u32).unwrap();
        let key = if self.random.chance(80) { format!("key{user}") } else { "wrong".to_owned() };
        self.browsers.push(BrowserClient::new(id, shard, user));
        let credentials = Credentials { dev: DEV, user, key: key.into(), details: Details::default() };
        self.hub_input(shard, Input::Connected { conn: id, credentials });
    }

    /// A browser goes away, whatever was under way.
    fn vanish(&mut self) {
        let alive: Vec<usize> = (0..self.browsers.len()).filter(|at| self.browsers[*at].alive).collect();
        if let Some(at) = self.random.pick(&alive) {
            self.totals.vanished += 1;
            self.disconnect(*at);
        }
    }

    fn disconnect(&mut self, at: usize) {
        let (shard, id) = (self.browsers[at].shard, self.browsers[at].id);
        if std::mem::replace(&mut self.browsers[at].alive, false) {
            self.free[shard].push(id);
            self.hub_input(shard, Input::Disconnected { conn: id });
        }
    }

    fn open_session(&mut self) {
        let shard = self.hubs.len();
        let id = self.open_place(shard);
        self.sessions.push(SessionClient::new(id));
        self.exec.opened(id, IpAddr::V4(Ipv4Addr::LOCALHOST), [7; 20]);
    }

    fn end_session(&mut self) {
        let alive: Vec<usize> = (1..self.sessions.len()).filter(|at| self.sessions[*at].alive).collect();
        if let Some(at) = self.random.pick(&alive).copied() {
            self.totals.vanished += 1;
            self.sessions[at].alive = false;
            let id = self.sessions[at].id;
            self.free[self.hubs.len()].push(id);
            self.exec.closed(id);
        }
    }

    /// A browser whose next command may come: alive, greeted by the model's account, not busy.
    fn ready_browser(&mut self) -> Option<usize> {
        let ready: Vec<usize> = (0..self.browsers.len())
            .filter(|at| {
                let browser = &self.browsers[*at];
                browser.alive
                    && !self.hubs[browser.shard].is_busy(browser.id)
                    && !self.endpoints[browser.shard].congested()
            })
            .collect();
        self.random.pick(&ready).copied()
    }

    fn subscribe(&mut self) {
        let Some(at) = self.ready_browser() else { return };
        let percent = [0, 20, 50, 80][self.random.below(4)];
        let names: Vec<&str> = PIPES.into_iter().filter(|_| self.random.chance(percent)).collect();
        let (shard, conn) = (self.browsers[at].shard, self.browsers[at].id);
        let pipes: Vec<PipeName> = names.iter().map(|name| PipeName::new(name.as_bytes()).unwrap()).collect();
        self.hubs[shard].handle(Input::Subscribe { conn, pipes }, self.now);
        // The model asks the hub only whether the user was let in, which decides about private pipes.
        let allowed: Vec<String> = names
            .into_iter()
            .filter(|name| !name.starts_with("private_") || self.browsers[at].authorised)
            .map(ToOwned::to_owned)
            .collect();
        self.browsers[at].subscribe(&allowed);
        self.carry_out_hub(shard);
    }

    fn publish_from_browser(&mut self) {
        let Some(at) = self.ready_browser() else { return };
        let pipe = PIPES[self.random.below(2)];
        let message = self.message();
        let (shard, conn) = (self.browsers[at].shard, self.browsers[at].id);
        self.browsers[at].publishes(pipe, &message);
        let input = Input::Publish {
            conn,
            pipe: PipeName::new(pipe.as_bytes()).unwrap(),
            event: EventName::new(b"said").unwrap(),
            message: message.into(),
            hide_sender: self.random.chance(50),
        };
        self.hub_input(shard, input);
    }

    fn message(&mut self) -> String {
        self.next_message += 1;
        let padding = [0, 3, 40, 110, 300][self.random.below(5)];
        format!("{}{}", self.next_message, "\u{436}'".repeat(padding / 3))
    }

    fn send_statements(&mut self) {
        let at = self.random.below(self.sessions.len());
        if !self.sessions[at].alive || !self.sessions[at].ready || self.sessions[at].outstanding() > 20 {
            return;
        }
        for _ in 0..=self.random.below(5) {
            let pipe = PIPES[self.random.below(PIPES.len())];
            let (sql, owed) = match self.random.below(20) {
                0 => ("INSERT INTO nowhere (a) VALUES (1)".to_owned(), Owed::Error(15)),
                1 => ("garbage in here".to_owned(), Owed::Error(3)),
                2 => (format!("SELECT name, users FROM pipes WHERE name = '{pipe}'"), Owed::Rows(None)),
                3 => {
                    let user = 1 + self.random.below(USERS as usize);
                    let sql = format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key{user}')");
                    (sql, Owed::Stored)
                }
                4 => {
                    let (first, second) = (self.message().replace('\'', "''"), self.message().replace('\'', "\\'"));
                    let rows = format!("('{pipe}', 'e', '{first}'), ('web_one', 'e', '{second}')");
                    (format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows}"), Owed::Ok)
                }
                _ => {
                    let message = self.message().replace('\'', "''");
                    let row = format!("('{pipe}', 'e', '{message}')");
                    (format!("INSERT INTO pipes_messages (name, event, message) VALUES {row}"), Owed::Ok)
                }
            };
            self.sessions[at].query(&sql, owed);
        }
    }

    /// Some of what sessions have sent arrives, cut anywhere.
    fn feed_sessions(&mut self) {
        let shard = self.hubs.len();
        for at in 0..self.sessions.len() {
            let session = &mut self.sessions[at];
            if !session.alive || session.paused || self.endpoints[shard].congested() {
                continue;
            }
            let count = 1 + self.random.below(400);
            let count = count.min(session.to_server.len());
            session.unread.extend(session.to_server.drain(..count));
            if session.unread.is_empty() {
                continue;
            }
            let received = self.exec.receive(session.id, &session.unread, self.now, &no_figures);
            session.unread.drain(..received.used);
            session.paused = received.pause;
            self.carry_out_exec();
        }
    }

    fn read_some(&mut self) {
        for at in 0..self.browsers.len() {
            if self.browsers[at].alive && self.random.chance(50) {
                let most = self.random.below(3000);
                self.read(at, most);
            }
        }
    }

    fn read(&mut self, at: usize, most: usize) {
        let before = self.browsers[at].received;
        for (message, told) in self.browsers[at].read(most) {
            self.totals.reports += 1;
            let delivered = self.deliveries.get(&message).copied().unwrap_or(0);
            assert_eq!(told, delivered, "a wrong delivery report for {message}");
        }
        self.totals.received += self.browsers[at].received - before;
    }

    // Storage

    fn storage_works(&mut self) {
        for _ in 0..self.random.below(4) {
            let Some((shard, job)) = self.jobs.pop_front() else { return };
            let result = if self.random.chance(self.storage_failure_percent) {
                self.totals.storage_failures += 1;
                Err(StorageError::Failed("simulated".into()))
            } else {
                Ok(self.store(job.request))
            };
            let completion = Completion { ticket: job.ticket, result };
            if shard < self.hubs.len() {
                self.hub_input(shard, Input::Stored(completion));
            } else {
                self.exec.stored(completion);
                self.carry_out_exec();
            }
        }
    }

    fn store(&mut self, request: Request) -> Outcome {
        match request {
            Request::Write(writes) => {
                let rows = writes.len() as u64;
                for write in writes {
                    match write {
                        Write::PutHash { user, hash, .. } => {
                            self.hashes.insert(user.get(), hash.into());
                        }
                        Write::PutLastSeen { user, time, .. } => {
                            let before = self.times.insert(user.get(), time);
                            assert!(before.is_none_or(|before| before <= time), "an earlier time came later");
                            self.totals.departed += 1;
                        }
                        _ => {}
                    }
                }
                Outcome::Written { rows }
            }
            Request::Read { read: Read::Hashes { users, .. }, .. } => Outcome::Texts(
                users
                    .into_iter()
                    .filter_map(|user| Some((user, self.hashes.get(&user.get())?.as_str().into())))
                    .collect(),
            ),
            Request::Read { read: Read::UserData { .. }, .. } => Outcome::Texts(Vec::new()),
            Request::Read { read: Read::LastSeen { .. }, .. } => Outcome::Times(Vec::new()),
            Request::Read { read: Read::Login { user, .. }, .. } => {
                Outcome::Login { hash: self.hashes.get(&user.get()).map(|hash| hash.as_str().into()), revoked: false }
            }
            Request::Read { read: Read::Queue { .. }, .. } => Outcome::Messages { rows: Vec::new(), more: false },
            Request::Read { read, .. } => unreachable!("{read:?}"),
        }
    }

    // Shards

    fn turn(&mut self, shard: usize, most: usize, fan_out_pending: bool) {
        self.endpoints[shard].flush();
        for _ in 0..most {
            let Some((from, message)) = self.endpoints[shard].receive() else { break };
            if shard < self.hubs.len() {
                self.hub_input(shard, Input::Ring { from: ShardId(from), message });
            } else {
                self.exec.ring(message);
                self.carry_out_exec();
            }
        }
        self.totals.backlogs += usize::from(self.endpoints[shard].backlog_len() > 0);
        if shard == self.hubs.len() {
            while !self.endpoints[shard].congested() && self.exec.go_on(&no_figures) {
                self.carry_out_exec();
            }
            self.exec.end_turn();
            self.carry_out_exec();
        } else if !fan_out_pending {
            for (to, message) in std::mem::take(&mut self.deferred[shard]) {
                self.send(shard, to, message);
            }
            self.hubs[shard].end_turn();
            self.carry_out_hub(shard);
            self.endpoints[shard].hold(false);
        }
        if shard < self.hubs.len() {
            self.hubs[shard].time_passed(self.now);
            self.carry_out_hub(shard);
        }
        self.endpoints[shard].take_targets(|_| {});
    }

    fn hub_input(&mut self, shard: usize, input: Input) {
        self.hubs[shard].handle(input, self.now);
        self.carry_out_hub(shard);
        if self.hubs[shard].is_full() {
            self.totals.held += 1;
            self.endpoints[shard].hold(true);
        }
    }

    fn carry_out_hub(&mut self, shard: usize) {
        let mut slow = Vec::new();
        while let Some(output) = self.hubs[shard].poll_output() {
            match output {
                Output::Answer { conn, answer } => {
                    if let Some(at) = self.browser_at(shard, conn) {
                        let mut bytes = Vec::new();
                        jsapi::frame_answer(&answer, WireForm::Modern, self.now.unix, "simulated", &mut bytes);
                        self.browsers[at].answered(&answer);
                        self.browsers[at].written(&bytes);
                    }
                }
                Output::FanOut { publications, conns } => {
                    self.totals.joined += publications.len() - 1;
                    for conn in conns {
                        let at = self.browser_at(shard, conn).expect("fan-outs go to living connections");
                        self.hand(at, &publications);
                        if self.browsers[at].unread_bytes() > self.queue_bytes_max {
                            slow.push(at);
                        }
                    }
                }
                Output::Queue { flush, to } => {
                    let input = Input::QueueWritten { flush, to, taken: true };
                    self.hubs[shard].handle(input, self.now);
                }
                Output::Personal { conns, ask, to, .. } => {
                    let input = Input::PersonalWritten { ask, to, connections: conns.len() as u32 };
                    self.hubs[shard].handle(input, self.now);
                }
                Output::History { .. } => {}
                Output::Ring { to, message } => self.send(shard, to, message),
                Output::RingAfterFanOut { to, message } => self.deferred[shard].push_back((to, message)),
                Output::Store(job) => self.jobs.push_back((shard, job)),
                Output::Close { conn, .. } => slow.extend(self.browser_at(shard, conn)),
                Output::Resume { conn } => assert!(!self.hubs[shard].is_busy(conn)),
            }
        }
        for at in slow {
            self.totals.slow += 1;
            self.disconnect(at);
        }
    }

    fn hand(&mut self, at: usize, publications: &[Arc<Publication>]) {
        for publication in publications {
            *self.deliveries.entry(publication.message.to_string()).or_default() += 1;
            self.browsers[at].handed(publication);
            let frame = publication
                .frame(WireForm::Modern, |publication| jsapi::frame_publication(publication, WireForm::Modern));
            self.browsers[at].written(frame);
        }
    }

    fn carry_out_exec(&mut self) {
        let shard = self.hubs.len();
        while let Some(output) = self.exec.poll_output() {
            match output {
                ExecOutput::Write { session, bytes } => {
                    if let Some(at) = self.session_at(session) {
                        let before = self.sessions[at].answered;
                        self.sessions[at].receive(&bytes);
                        self.totals.answered += self.sessions[at].answered - before;
                    }
                }
                ExecOutput::Ring { to, message } => self.send(shard, to, message),
                ExecOutput::Store(job) => self.jobs.push_back((shard, job)),
                ExecOutput::Close { session, reason } => panic!("session {session:?} was closed: {reason:?}"),
                ExecOutput::Resume { session } => {
                    if let Some(at) = self.session_at(session) {
                        self.sessions[at].paused = false;
                    }
                }
                ExecOutput::TellWhenDrained { session } => self.exec.drained(session),
                ExecOutput::LoggedIn { .. } | ExecOutput::HeldOff { .. } => {}
            }
        }
    }

    fn send(&mut self, from: usize, to: ShardId, message: RingMessage) {
        let level = match message.level() {
            Level::Request => shards::Level::Request,
            Level::Announce => shards::Level::Announce,
            Level::Report => shards::Level::Report,
            Level::Deliver => shards::Level::Deliver,
            Level::Reply => shards::Level::Reply,
        };
        self.endpoints[from].send(level, to.0, message);
    }

    fn browser_at(&self, shard: usize, conn: ConnId) -> Option<usize> {
        self.browsers.iter().position(|browser| browser.alive && browser.shard == shard && browser.id == conn)
    }

    fn session_at(&self, id: ConnId) -> Option<usize> {
        self.sessions.iter().position(|session| session.alive && session.id == id)
    }

    // Rest

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            // What storage refused is tried again after its time.
            self.now.time = self.now.time + 1_000_000;
            for shard in 0..self.endpoints.len() {
                self.turn(shard, 100, false);
            }
            self.feed_sessions();
            while !self.jobs.is_empty() {
                self.storage_works();
            }
            for at in 0..self.browsers.len() {
                if self.browsers[at].alive {
                    self.read(at, usize::MAX);
                }
            }
            if self.is_at_rest() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn is_at_rest(&self) -> bool {
        let quiet = self.endpoints.iter().all(|endpoint| !endpoint.can_receive() && !endpoint.congested());
        let idle = self.hubs.iter().all(|hub| !hub.has_arrivals() && hub.departed() == 0);
        let empty = self.deferred.iter().all(VecDeque::is_empty) && idle;
        let answered = self.sessions.iter().filter(|session| session.alive).all(|session| {
            session.ready && session.owes_nothing() && session.to_server.is_empty() && session.unread.is_empty()
        });
        let read = self.browsers.iter().filter(|browser| browser.alive).all(BrowserClient::has_read_everything);
        quiet && empty && answered && read && self.jobs.is_empty()
    }

    fn check_everything_at_rest(&mut self) {
        for browser in self.browsers.iter().filter(|browser| browser.alive) {
            assert!(!self.hubs[browser.shard].is_busy(browser.id), "busy at rest");
        }
        let authorised = || self.browsers.iter().filter(|browser| browser.authorised);
        for gone in authorised().filter(|browser| !browser.alive) {
            let is_online = authorised().any(|browser| browser.alive && browser.user == gone.user);
            assert!(is_online || self.times.contains_key(&gone.user.get()), "nobody knows when {} went", gone.user);
        }
        // One statement per pipe, so that each is answered while nothing else happens.
        let mut probes = Vec::new();
        for pipe in PIPES {
            let subscribers =
                self.browsers.iter().filter(|browser| browser.alive && browser.is_subscribed(pipe)).count();
            let expected = vec![vec![pipe.to_owned(), subscribers.to_string()]];
            let sql = format!("SELECT name, users FROM pipes WHERE name = '{pipe}'");
            self.sessions[0].query(&sql, Owed::Rows(Some(expected)));
            let probe = format!("probe{}", self.message());
            let sql = format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('{pipe}', 'e', '{}')",
                probe.replace('\'', "''")
            );
            self.sessions[0].query(&sql, Owed::Ok);
            probes.push(probe);
        }
        self.queue_bytes_max = 1_000_000;
        self.settle();
        for (pipe, probe) in PIPES.into_iter().zip(probes) {
            for browser in self.browsers.iter().filter(|browser| browser.alive && browser.is_subscribed(pipe)) {
                assert_eq!(browser.last_message(pipe), Some(probe.as_str()), "{pipe} on shard {}", browser.shard);
            }
        }
    }
}

fn no_figures(_: Figures, _: DevId) -> Vec<Row> {
    Vec::new()
}
