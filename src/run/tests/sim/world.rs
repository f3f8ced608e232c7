//! The simulated world: shards that take turns when something wakes them, rings that are full, storage that is slow,
//! clients that read late, send in pieces and vanish.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use shards::Mesh;

use crate::hub::{self};
use crate::metrics::Counters;
use crate::model::{CloseReason, Now, Publication, ShardId, Time, UnixTime};
use crate::ring::Placement;
use crate::run::browsers::Browsers;
use crate::run::host::{Board, token};
use crate::run::runtime::Runtime;
use crate::run::sessions::Sessions;
use crate::run::storage::{self, Given, StorageSetup};
use crate::storage::{Beginning, Trusted};

use super::browser::{BrowserClient, Told};
use super::database::Database;
use super::http::HttpClient;
use super::machine::{Host, Limits, Machine, Peer, Shard};
use super::page::Page;
use super::pages::PageSetup;
use super::people::{People, TRACKED, WATCHED};
use super::published::Published;
use super::session::{Owed, PASSWORD, SessionClient};
use super::setup::{browser_config, seeds, session_config};
use super::totals::Totals;
use super::{past::Past, random::Random, seen::Seen};

pub(super) const PIPES: [&str; 10] = [
    "web_one",
    "web_two",
    "p_three",
    "p_four",
    "private_five",
    "track_six",
    "p_seven",
    "p_eight",
    "trust_nine",
    "p_ten",
];
pub(super) const USERS: u32 = 4;

/// The bounds of a round of fan-outs, as ARCHITECTURE.md names them.
const PIPES_PER_ROUND: usize = 8;
const SENDERS_PER_ROUND: usize = 16;
const BYTES_PER_ROUND: usize = 128 * 1024;

/// Turns in which a shard must have looked at some input and taken some message while everybody is busy.
const PATIENCE: usize = 100;

/// How often everybody does something while a flood lasts: more often than patience lasts.
const FLOOD_ROUNDS: usize = 160;

/// Everything that may end a connection here without a fault of the server.
const EXPECTED_ENDS: [CloseReason; 10] = [
    CloseReason::KeyNotTried,
    CloseReason::TokenExpired,
    CloseReason::TokenRevoked,
    CloseReason::HashDeleted,
    CloseReason::HttpDone,
    CloseReason::PeerClosed,
    CloseReason::SlowConsumer,
    CloseReason::StorageUnavailable,
    CloseReason::TimedOut,
    CloseReason::NoRoom,
];

/// Whose socket it is.
#[derive(Clone, Copy)]
pub(super) enum Client {
    Browser(usize),
    Http(usize),
    Page,
}

pub(super) struct World {
    pub(super) random: Random,
    /// The CometQL shard is the last one.
    pub(super) shards: Vec<Shard>,
    pub(super) storage: StorageSetup,
    /// What storage was given and has not done.
    pub(super) jobs: VecDeque<Given>,
    pub(super) browsers: Vec<BrowserClient>,
    pub(super) pages: Vec<Page>,
    /// By shard and socket.
    pub(super) client_of: Vec<Vec<Client>>,
    pub(super) sessions: Vec<SessionClient>,
    pub(super) http: Vec<HttpClient>,
    pub(super) database: Database,
    pub(super) people: People,
    pub(super) past: Past,
    pub(super) record: Published,
    pub(super) setup: PageSetup,
    /// Somebody polled for a connection who will not do so any more.
    pub(super) is_haunted: bool,
    pub(super) storage_failure_percent: usize,
    /// Connections that got a message, by its text.
    pub(super) deliveries: HashMap<String, u64>,
    next_message: u64,
    pub(super) now: Now,
    /// Counts what happens, since time may stand still.
    pub(super) tick: u64,
    /// See [`World::crowd`].
    pub(super) crowded: bool,
    counts_addresses: bool,
    /// Nothing but questions is under way.
    pub(super) at_rest: bool,
    pub(super) totals: Totals,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let connection_shards = 1 + random.below(4) as u16;
        let placement = Placement::new(connection_shards, seeds(random.next()));
        let all_shards = connection_shards + 1;
        let queue_max = [1, 4, 1000, 1000, 1000][random.below(5)];
        let (storage, clients) = storage::channels(all_shards, queue_max);
        let board: Board = (0..all_shards).map(|_| Mutex::new(Counters::default())).collect();
        let now = clock(0);
        let endpoints = Mesh::new(all_shards, 1 + random.below(4));
        let arrivals_bytes_max = [100, 1000, 1_000_000][random.below(3)];
        let ping_interval = Duration::from_secs([0, 20][random.below(2)]);
        let browser_queue_max = if random.chance(20) { 2000 } else { 1_000_000 };
        // So generous that nobody is refused: what is asked and counted for it goes all the ways it can.
        let counts_addresses = random.chance(50);
        let count = if counts_addresses { 10_000 } else { 0 };
        let limits = hub::Limits {
            connections_per_address_max: count,
            connects_per_address_per_s: count,
            publications_per_user_per_s: count,
            key_attempts_max: count.min(8),
            exempt: Arc::default(),
        };
        let offline_grace = [0, 3_000_000][random.below(2)];
        let connections_max = if random.chance(20) { 3 } else { 1000 };
        let setup = PageSetup::new(&mut random, connections_max);
        let slice = 1 + random.below(8);
        let messages_per_turn = [2, 10, 4096][random.below(3)];
        let pipeline_max = 1 + random.below(8);
        let trusted = Some(Trusted::default()).filter(|_| random.chance(70));
        let beginning = Beginning { trusted, ..Beginning::default() };
        let mut shards = Vec::new();
        for ((number, endpoint), client) in (0..).zip(endpoints).zip(clients) {
            let is_browsers = number < connection_shards;
            let host = if is_browsers {
                let mut config =
                    browser_config(ShardId(number), &placement, arrivals_bytes_max, ping_interval, setup.bytes_max);
                (config.hub.limits, config.hub.offline_grace) = (limits.clone(), offline_grace);
                Host::Browsers(Box::new(Browsers::new(config, beginning.clone(), client, None)))
            } else {
                let config = session_config(&placement, pipeline_max);
                Host::Sessions(Box::new(Sessions::new(config, client, board.clone())))
            };
            let limits = Limits {
                queue_bytes_max: if is_browsers { browser_queue_max } else { 1_000_000 },
                unread_bytes_max: 100_000,
                connections_max: if is_browsers { connections_max } else { 1000 },
                slice,
                messages_per_turn,
            };
            let machine = Machine::new(limits, Random::new(random.next()), endpoint, now);
            shards.push(Shard::new(host, machine));
        }
        let mut world = Self {
            client_of: shards.iter().map(|_| Vec::new()).collect(),
            pages: Vec::new(),
            shards,
            storage,
            jobs: VecDeque::new(),
            browsers: Vec::new(),
            sessions: Vec::new(),
            http: Vec::new(),
            database: Database {
                hashes: (1..=USERS).map(|user| (user, format!("key{user}"))).collect(),
                ..Database::default()
            },
            people: People::default(),
            past: Past::default(),
            record: Published::default(),
            setup,
            is_haunted: false,
            crowded: random.chance(30),
            counts_addresses,
            at_rest: false,
            storage_failure_percent: if random.chance(30) { 20 } else { 0 },
            deliveries: HashMap::new(),
            next_message: 0,
            now,
            tick: 0,
            totals: Totals::default(),
            random,
        };
        world.open_session();
        world
    }

    pub(super) fn run(mut self) -> Totals {
        let rounds = 1 + self.random.below(2);
        for _ in 0..rounds {
            for _ in 0..40 + self.random.below(160) {
                self.step();
            }
            if self.random.chance(3) {
                self.flood();
            }
            self.settle();
            self.let_polls_end();
            self.check_everything_at_rest();
        }
        self.count_ends();
        self.stop();
        self.totals
    }

    fn step(&mut self) {
        self.tick += 1;
        let passed = self.random.below(1000) as u64;
        self.pass_time(passed);
        if self.crowded && self.random.chance(40) {
            return self.crowd();
        }
        match self.random.below(400 + self.setup.percent) {
            0..16 => self.open_browser(),
            16..22 => self.vanish(),
            22..24 => self.open_session(),
            24..28 => self.end_session(),
            28 => {
                let seconds = self.random.below(15) as u64;
                self.pass_time(1_000_000 * seconds);
            }
            29..64 => self.subscribe(),
            64..110 => self.publish_from_browser(),
            110..125 => self.ask(),
            125..160 => self.send_statements(),
            160..180 => self.storage_works(),
            180..230 => self.clients_read(),
            230..270 => self.clients_send(),
            400.. => self.page_step(),
            270..274 => self.open_http(),
            274..290 => self.publish_by_http(),
            _ => {
                let shard = self.random.below(self.shards.len());
                self.wake(shard);
            }
        }
    }

    /// Two users who come and go all the time and are written to meanwhile.
    fn crowd(&mut self) {
        match self.random.below(10) {
            0..2 => {
                let (shard, user) = (self.random.below(self.cometql()), 1 + self.random.below(2) as u32);
                self.open_browser_at(shard, user);
            }
            2 => self.vanish(),
            3..5 => {
                let at = self.random.below(self.sessions.len());
                let session = &self.sessions[at];
                if session.alive && session.ready && session.outstanding() < 20 {
                    let (sql, owed) = self.send_letters(at);
                    self.sessions[at].query(&sql, owed);
                }
            }
            5..7 => self.clients_send(),
            7 => self.clients_read(),
            _ => {
                let shard = self.random.below(self.shards.len());
                self.wake(shard);
            }
        }
    }

    pub(super) fn pass_time(&mut self, micros: u64) {
        self.now = clock(self.now.time.0 + micros);
    }

    // Clients

    pub(super) fn cometql(&self) -> usize {
        self.shards.len() - 1
    }

    pub(super) fn room(&mut self) -> usize {
        [20, 300, 5000][self.random.below(3)]
    }

    fn open_browser(&mut self) {
        let shard = self.random.below(self.cometql());
        let user = self.random.below(USERS as usize + 2) as u32;
        self.open_browser_at(shard, user);
    }

    fn open_browser_at(&mut self, shard: usize, user: u32) -> usize {
        let room = self.room();
        let (mut key, mut token) = (format!("key{user}"), None);
        match self.random.below(10) {
            0..2 => "wrong".clone_into(&mut key),
            2 if user > 0 => {
                let lasts = [3, 30, 1_000_000][self.random.below(3)];
                (key, token) = self.sign(user, self.now.unix.0 + lasts);
            }
            _ => {}
        }
        let socket = self.shards[shard].machine.connect(room);
        self.client_of[shard].push(Client::Browser(self.browsers.len()));
        let mut browser = BrowserClient::new(shard, socket, user, &key, self.browsers.len());
        browser.token = token;
        self.browsers.push(browser);
        self.browsers.len() - 1
    }

    /// A token, and what is to be remembered of it.
    fn sign(&mut self, user: u32, expires: i64) -> (String, Option<(String, i64)>) {
        // Two that are the same would be revoked together.
        let claims = json!({ "user_id": user, "exp": expires, "number": self.browsers.len() });
        let key = EncodingKey::from_secret(format!("{PASSWORD}1").as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
        (token.clone(), Some((token, expires)))
    }

    /// A statement that revokes the token of somebody who is here.
    fn revoke(&mut self) -> (String, Owed) {
        // Half of them while storage is asked about the login; some with another signature, which is the same token.
        let (is_new, more) = (self.random.chance(50), if self.random.chance(30) { "AA" } else { "" });
        let at =
            self.pick_browser(|browser| browser.alive && browser.token.is_some() && (!is_new || !browser.authorised));
        let token = at.and_then(|at| self.browsers[at].token.clone()).map_or("nobody's".to_owned(), |(token, _)| token);
        (format!("INSERT INTO revoked_tokens (token) VALUES ('{}{more}')", token.replace('\'', "''")), Owed::Stored)
    }

    fn pick_browser(&mut self, wanted: impl Fn(&BrowserClient) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.browsers.len()).filter(|at| wanted(&self.browsers[*at])).collect();
        self.random.pick(&fit).copied()
    }

    /// A browser goes away, whatever was under way, or says that it will say nothing more.
    fn vanish(&mut self) {
        let Some(at) = self.pick_browser(|browser| browser.alive && browser.speaks) else { return };
        let (shard, socket) = (self.browsers[at].shard, self.browsers[at].socket);
        self.browsers[at].speaks = false;
        self.browsers[at].left_at = Some(self.now.unix.0);
        if self.random.chance(30) {
            self.totals.half_closed += 1;
            self.shards[shard].machine.client_leaves(socket, Peer::HalfClosed);
        } else {
            self.totals.vanished += 1;
            self.browsers[at].alive = false;
            self.shards[shard].machine.client_leaves(socket, Peer::Gone);
        }
    }

    fn open_session(&mut self) {
        let (shard, room) = (self.cometql(), self.room());
        let socket = self.shards[shard].machine.connect(room);
        self.sessions.push(SessionClient::new(socket));
    }

    /// The first session stays.
    fn end_session(&mut self) {
        let alive: Vec<usize> = (1..self.sessions.len()).filter(|at| self.sessions[*at].alive).collect();
        if let Some(at) = self.random.pick(&alive).copied() {
            self.totals.vanished += 1;
            self.sessions[at].alive = false;
            self.session_ended(at);
            let (shard, socket) = (self.cometql(), self.sessions[at].socket);
            self.shards[shard].machine.client_leaves(socket, Peer::Gone);
        }
    }

    fn session_ended(&mut self, at: usize) {
        let owed: Vec<Owed> = self.sessions[at].take_owed().collect();
        for owed in owed {
            if let Owed::Length(pipe, length) = owed {
                self.length_settled(&pipe, length, None);
            }
        }
    }

    fn pick_speaker(&mut self) -> Option<usize> {
        self.pick_browser(|browser| browser.alive && browser.speaks && browser.outstanding() < 6)
    }

    fn subscribe(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        let percent = [0, 20, 50, 80][self.random.below(4)];
        let pipes: Vec<String> =
            PIPES.into_iter().chain(WATCHED).filter(|_| self.random.chance(percent)).map(ToOwned::to_owned).collect();
        self.browsers[at].subscribe(pipes);
    }

    fn publish_from_browser(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        let pipe = PIPES[self.random.below(2)];
        let (message, hide_sender) = (self.message(), self.random.chance(50));
        self.sent(pipe, &message);
        self.browsers[at].publish(pipe, message, hide_sender);
    }

    fn ask(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        match self.random.below(6) {
            0 => self.browsers[at].count(PIPES[0]),
            1 => self.browsers[at].track_users(TRACKED),
            2 => {
                let user = 1 + self.random.below(USERS as usize) as u32;
                self.browsers[at].status(user, None, PIPES[0]);
            }
            _ => self.ask_for_log(at),
        }
    }

    pub(super) fn message(&mut self) -> String {
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
            let user = 1 + self.random.below(USERS as usize);
            let (sql, owed) = match self.random.below(40) {
                0 => ("INSERT INTO nowhere (a) VALUES (1)".to_owned(), Owed::Error(15)),
                1 => ("garbage in here".to_owned(), Owed::Error(3)),
                2 => (format!("SELECT name, users FROM pipes WHERE name = '{pipe}'"), Owed::Rows(None)),
                3..6 => {
                    let sql = format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key{user}')");
                    (sql, Owed::Stored)
                }
                6 => {
                    let (first, second) = (self.message(), self.message());
                    self.sent(pipe, &first);
                    self.sent("web_one", &second);
                    let texts = (first.replace('\'', "''"), second.replace('\'', "\\'"));
                    let rows = format!("('{pipe}', 'e', '{}'), ('web_one', 'e', '{}')", texts.0, texts.1);
                    let sql = format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows}");
                    (sql, Owed::Published(vec![first, second]))
                }
                7 if self.random.chance(30) => (format!("DELETE FROM users_auth WHERE id = {user}"), Owed::Stored),
                8 if self.random.chance(20) => (format!("DELETE FROM users_messages WHERE id = {user}"), Owed::Stored),
                9 if self.random.chance(20) => {
                    (format!("DELETE FROM pipes_messages WHERE name = '{pipe}'"), Owed::Stored)
                }
                10 => (format!("SELECT id, message FROM users_messages WHERE id IN ({user}, 1)"), Owed::Rows(None)),
                11 => (format!("SELECT id, message FROM pipes_messages WHERE name = '{pipe}'"), Owed::Rows(None)),
                12..14 => self.set_length(),
                14..25 => self.send_letters(at),
                25..27 => self.revoke(),
                _ => self.insert(pipe),
            };
            self.sessions[at].query(&sql, owed);
        }
    }

    pub(super) fn insert(&mut self, pipe: &str) -> (String, Owed) {
        let message = self.message();
        self.sent(pipe, &message);
        let text = message.replace('\'', "''");
        let sql = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{pipe}', 'e', '{text}')");
        (sql, Owed::Published(vec![message]))
    }

    /// Some of what clients want to send arrives, cut anywhere.
    pub(super) fn clients_send(&mut self) {
        for at in 0..self.sessions.len() {
            let most = 1 + self.random.below(400);
            self.session_sends(at, most);
        }
        for at in 0..self.browsers.len() {
            let most = 1 + self.random.below(400);
            self.browser_sends(at, most);
        }
        for at in 0..self.pages.len() {
            let most = 1 + self.random.below(400);
            self.page_sends(at, most);
        }
        for at in 0..self.http.len() {
            let most = 1 + self.random.below(400);
            self.http_goes_on(at, most);
        }
    }

    /// Whether anything was sent.
    fn session_sends(&mut self, at: usize, most: usize) -> bool {
        let shard = self.cometql();
        let session = &mut self.sessions[at];
        let bytes = if session.alive { session.sends(most) } else { Vec::new() };
        let any = !bytes.is_empty();
        if any {
            self.shards[shard].machine.client_sends(session.socket, &bytes);
        }
        any
    }

    fn browser_sends(&mut self, at: usize, most: usize) -> bool {
        let browser = &mut self.browsers[at];
        let bytes = if browser.alive && browser.speaks { browser.sends(most) } else { Vec::new() };
        let any = !bytes.is_empty();
        if any {
            self.shards[browser.shard].machine.client_sends(browser.socket, &bytes);
        }
        any
    }

    fn clients_read(&mut self) {
        for at in 0..self.browsers.len() {
            if self.random.chance(50) {
                let most = self.random.below(3000);
                self.browser_reads(at, most);
            }
        }
        for at in 0..self.pages.len() {
            if self.random.chance(50) {
                let (most, forgets) = (self.random.below(3000), self.random.chance(15));
                self.page_reads(at, most, forgets);
            }
        }
        for at in 0..self.sessions.len() {
            if self.random.chance(50) {
                let most = self.random.below(3000);
                self.session_reads(at, most);
            }
        }
    }

    /// Whether there was anything to read.
    pub(super) fn browser_reads(&mut self, at: usize, most: usize) -> bool {
        if !self.browsers[at].alive {
            return false;
        }
        let (shard, socket) = (self.browsers[at].shard, self.browsers[at].socket);
        let bytes = self.shards[shard].machine.client_reads(socket, most);
        let before = self.browsers[at].received;
        for told in self.browsers[at].reads(&bytes) {
            self.told(told);
        }
        self.totals.received += self.browsers[at].received - before;
        if self.shards[shard].machine.client_sees_end(socket) {
            self.browsers[at].alive = false;
            self.shards[shard].machine.client_leaves(socket, Peer::Gone);
        }
        !bytes.is_empty()
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Report { message, connections } => self.reported(&message, connections),
            Told::NotStored { message } => self.not_stored(&message),
            Told::Log { ask, messages: Some(messages) } => self.check_log(&ask, &messages),
            Told::TrackUsers(users) => self.check_track_users(users),
            Told::Log { messages: None, .. } | Told::NoStatus => self.assert_that_storage_failed(),
        }
    }

    pub(super) fn reported(&mut self, message: &str, connections: u64) {
        self.totals.reports += 1;
        let delivered = self.deliveries.get(message).copied().unwrap_or(0);
        assert_eq!(connections, delivered, "a wrong delivery report for {message}");
        self.published(message, true);
    }

    pub(super) fn not_stored(&mut self, message: &str) {
        self.assert_that_storage_failed();
        self.published(message, false);
    }

    pub(super) fn answered(&mut self, owed: Owed, is_done: bool) {
        if !is_done {
            self.assert_that_storage_failed();
        }
        match owed {
            Owed::Published(messages) if is_done => {
                for message in &*messages {
                    self.published(message, true);
                }
            }
            Owed::Letters(texts) if is_done => self.letters_acknowledged(&texts),
            Owed::Length(pipe, length) => self.length_settled(&pipe, length, Some(is_done)),
            _ => {}
        }
    }

    pub(super) fn session_reads(&mut self, at: usize, most: usize) -> bool {
        if !self.sessions[at].alive {
            return false;
        }
        let (shard, socket) = (self.cometql(), self.sessions[at].socket);
        let bytes = self.shards[shard].machine.client_reads(socket, most);
        let before = self.sessions[at].answered;
        for (owed, is_done) in self.sessions[at].reads(&bytes) {
            self.answered(owed, is_done);
        }
        self.totals.answered += self.sessions[at].answered - before;
        !bytes.is_empty()
    }

    // Shards

    /// A turn of the shard, if the real one would not sleep on. Whether it took one.
    pub(super) fn wake(&mut self, shard: usize) -> bool {
        if !self.shards[shard].machine.would_turn(self.now) {
            return false;
        }
        let refusals = self.shards[shard].storage_refusals();
        for target in self.shards[shard].turn(self.now) {
            self.shards[usize::from(target)].machine.got_messages = true;
        }
        if self.shards[shard].storage_refusals() > refusals {
            self.record.storage_failed(self.now, self.tick);
        }
        for seen in std::mem::take(&mut self.shards[shard].machine.seen) {
            self.watch(shard, seen);
        }
        true
    }

    fn watch(&mut self, shard: usize, seen: Seen) {
        let socket = match &seen {
            Seen::Formed { publications } => return self.check_round(shard, publications),
            Seen::HandedToPolled { publications } => return self.handed(publications),
            Seen::Ended { socket } if shard == self.cometql() => {
                let at = self.sessions.iter().position(|session| session.socket == *socket);
                let at = at.expect("a session that was opened");
                self.sessions[at].alive = false;
                return self.session_ended(at);
            }
            Seen::Drained { .. } if shard == self.cometql() => return,
            Seen::Commands { socket, .. }
            | Seen::LetIn { socket }
            | Seen::Handed { socket, .. }
            | Seen::Ended { socket }
            | Seen::Letters { socket, .. }
            | Seen::Drained { socket } => *socket,
        };
        if let Seen::Handed { publications, .. } = &seen {
            self.totals.joined += publications.len() - 1;
            self.handed(publications);
        }
        let at = match self.client_of[shard][socket] {
            Client::Browser(at) => at,
            Client::Http(at) => {
                if matches!(seen, Seen::Ended { .. }) {
                    self.http[at].alive = false;
                }
                return;
            }
            Client::Page => return,
        };
        match seen {
            Seen::Ended { .. } => {
                self.browsers[at].alive = false;
                self.user_ended(at);
            }
            Seen::Letters { bytes, open, sent, .. } => self.letters_written(at, bytes, open, sent),
            Seen::Drained { .. } => self.letters_sent(at),
            Seen::LetIn { .. } => self.browsers[at].let_in(),
            Seen::Commands { count, .. } => (0..count).for_each(|_| self.browsers[at].carried_out()),
            Seen::Handed { publications, .. } => self.browsers[at].handed(&publications),
            Seen::Formed { .. } | Seen::HandedToPolled { .. } => {}
        }
    }

    /// The publications are on their way to one connection.
    fn handed(&mut self, publications: &[Arc<Publication>]) {
        for publication in publications {
            *self.deliveries.entry(publication.message.to_string()).or_default() += 1;
            self.record.publication(publication);
        }
    }

    fn check_round(&self, shard: usize, publications: &[Arc<Publication>]) {
        let mut publications = publications.to_vec();
        publications.sort_by_key(|publication| (publication.pipe.name.to_string(), publication.number));
        publications.dedup_by(|left, right| Arc::ptr_eq(left, right));
        let count = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        let pipes = count(publications.iter().map(|publication| publication.pipe.name.to_string()).collect());
        // Who is gone gets nothing, so it needs no write of its own.
        let machine = &self.shards[shard].machine;
        let is_here = |(origin, conn): &(ShardId, _)| usize::from(origin.0) == shard && machine.is_open(token(*conn));
        let local = publications.iter().filter_map(|publication| publication.origin.filter(is_here));
        let senders = count(local.map(|(_, conn)| format!("{conn:?}")).collect());
        let bytes: usize = publications.iter().skip(1).map(|publication| publication.message.len()).sum();
        assert!(pipes <= PIPES_PER_ROUND, "a turn joined {pipes} pipes");
        assert!(senders <= SENDERS_PER_ROUND, "a turn joined {senders} senders");
        assert!(bytes <= BYTES_PER_ROUND, "a turn joined {bytes} bytes");
    }

    /// Everybody does what there is to do, once. Whether anything happened.
    fn everybody(&mut self) -> bool {
        self.tick += 1;
        let mut any = false;
        for at in 0..self.sessions.len() {
            any |= self.session_sends(at, usize::MAX) | self.session_reads(at, usize::MAX);
        }
        for at in 0..self.browsers.len() {
            any |= self.browser_sends(at, usize::MAX) | self.browser_reads(at, usize::MAX);
        }
        for at in 0..self.pages.len() {
            any |= self.page_goes_on(at) | self.page_sends(at, usize::MAX) | self.page_reads(at, usize::MAX, false);
        }
        for at in 0..self.http.len() {
            any |= self.http_goes_on(at, usize::MAX);
        }
        while self.storage_works_once() {
            any = true;
        }
        for shard in 0..self.shards.len() {
            any |= self.wake(shard);
        }
        any
    }

    /// Many publish at once and without an end, and nobody's input is passed over for long. They are anonymous: so many
    /// logins at a time would be refused by a storage that is busy.
    fn flood(&mut self) {
        self.totals.floods += 1;
        let shard = self.random.below(self.cometql());
        let many: Vec<usize> = (0..SENDERS_PER_ROUND + 8).map(|_| self.open_browser_at(shard, 0)).collect();
        for at in &many {
            self.browsers[*at].subscribe(PIPES.map(ToOwned::to_owned).into());
        }
        for shard in &mut self.shards {
            (shard.machine.passed_over, shard.machine.messages_passed_over) = (0, 0);
            // With smaller ones a fan-out, and what fills the rings, takes so long that whoever caused it waits long and rightly.
            shard.machine.limits.slice = 8;
            shard.machine.limits.messages_per_turn = shard.machine.limits.messages_per_turn.max(10);
        }
        let percent = [20, 100][self.random.below(2)];
        for _ in 0..FLOOD_ROUNDS {
            let pipe = PIPES[self.random.below(PIPES.len())];
            while self.sessions[0].ready && self.sessions[0].outstanding() < 30 {
                let (sql, owed) = self.insert(pipe);
                self.sessions[0].query(&sql, owed);
            }
            for at in &many {
                if self.random.chance(percent) && self.browsers[*at].outstanding() == 0 {
                    let message = self.message();
                    self.sent(PIPES[0], &message);
                    self.browsers[*at].publish(PIPES[0], message, false);
                }
            }
            self.everybody();
            if self.shards.iter().any(|shard| shard.machine.polls()) {
                self.pass_time(1000);
            }
            for (number, shard) in self.shards.iter().enumerate() {
                let turns = shard.machine.messages_passed_over;
                assert!(turns < PATIENCE, "shard {number} has not taken a message for {turns} turns");
                let turns = shard.machine.passed_over;
                assert!(turns < PATIENCE, "shard {number} has not looked at input for {turns} turns");
            }
        }
    }

    // Rest

    /// Lets everything that is under way come to its end. Time passes only for shards that look for room in rings: a wake
    /// that was lost, or came with the next timeout only, leaves work undone.
    pub(super) fn settle(&mut self) {
        for round in 0..20_000 {
            if self.everybody() {
                // A full shard with a timeout that is overdue takes turns, but others look for room by the clock only.
                if round % 100 == 99 && self.shards.iter().any(|shard| shard.machine.polls()) {
                    self.pass_time(1000);
                }
                continue;
            }
            if self.shards.iter().any(|shard| shard.machine.polls()) {
                self.pass_time(1000);
                continue;
            }
            // What storage did not write is tried again after a time.
            // What a token waits for, which lasts for weeks, is no work.
            let dues = self.shards.iter().filter_map(|shard| shard.machine.work_due);
            if let Some(due) = dues.min().filter(|due| due.0 < self.now.time.0 + 100_000_000) {
                self.pass_time(due.0.saturating_sub(self.now.time.0).max(1));
                continue;
            }
            return self.assert_rest();
        }
        panic!("it never comes to rest");
    }

    fn assert_rest(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            assert!(shard.machine.is_at_rest(), "shard {number} sleeps with work left to do");
            if let Host::Browsers(browsers) = &shard.host {
                assert!(!browsers.has_work(), "the hub of shard {number} sleeps with work left to do");
            }
        }
        for (at, session) in self.sessions.iter().enumerate().filter(|(_, session)| session.alive) {
            assert!(session.is_at_rest(), "session {at} waits for an answer and everybody sleeps");
        }
        for client in self.http.iter().filter(|client| client.alive) {
            let is_kept_waiting = self.shards[client.shard].machine.is_kept_waiting(client.socket);
            assert!(client.is_at_rest() || is_kept_waiting, "somebody waits for an answer and everybody sleeps");
        }
        for (at, browser) in self.browsers.iter().enumerate().filter(|(_, browser)| browser.alive) {
            if self.shards[browser.shard].machine.is_kept_waiting(browser.socket) {
                continue;
            }
            assert!(browser.is_at_rest(), "browser {at} waits for something and everybody sleeps");
        }
        for (at, page) in self.pages.iter().enumerate() {
            let is_kept_waiting =
                page.lines.iter().any(|line| self.shards[line.shard].machine.is_kept_waiting(line.socket));
            assert!(is_kept_waiting || page.is_at_rest(), "page {at} waits for something and everybody sleeps");
        }
    }

    /// Nobody is counted who is not here, and everybody who is.
    fn check_counts(&self) {
        let shards = self.shards.iter().filter_map(|shard| match &shard.host {
            Host::Browsers(browsers) => Some(browsers.connections()),
            Host::Sessions(_) => None,
        });
        let (here, counted) = shards.fold((0, 0), |sum, shard| (sum.0 + shard.0, sum.1 + shard.1));
        assert_eq!(counted, if self.counts_addresses { here } else { 0 });
    }

    fn check_everything_at_rest(&mut self) {
        let failure_percent = std::mem::take(&mut self.storage_failure_percent);
        self.check_times();
        self.check_letters();
        self.check_presence();
        self.check_counts();
        self.settings_at_rest();
        self.check_pages();
        for shard in &mut self.shards {
            shard.machine.limits.queue_bytes_max = 1_000_000;
        }
        self.at_rest = true;
        self.ask_for_people();
        self.ask_for_past();
        self.settle();
        self.ask_browsers_for_people();
        self.settle();
        self.at_rest = false;
        let counts = PIPES.map(|pipe| {
            let subscribed = |browser: &&BrowserClient| browser.alive && browser.is_subscribed(pipe);
            let pages = self.pages.iter().filter(|page| page.is_subscribed(pipe)).count();
            vec![pipe.to_owned(), (self.browsers.iter().filter(subscribed).count() + pages).to_string()]
        });
        let names = PIPES.map(|pipe| format!("'{pipe}'")).join(", ");
        let sql = format!("SELECT name, users FROM pipes WHERE name IN ({names})");
        self.sessions[0].query(&sql, Owed::Rows(Some(counts.into())));
        let mut probes = Vec::new();
        for pipe in PIPES {
            let (sql, owed) = self.insert(pipe);
            if let Owed::Published(messages) = &owed {
                probes.extend(messages.clone());
            }
            self.sessions[0].query(&sql, owed);
        }
        self.settle();
        for (pipe, probe) in PIPES.into_iter().zip(probes) {
            for browser in self.browsers.iter().filter(|browser| browser.alive && browser.is_subscribed(pipe)) {
                assert_eq!(browser.last_message(pipe), Some(probe.as_str()), "{pipe} on shard {}", browser.shard);
            }
        }
        self.check_pages();
        self.storage_failure_percent = failure_percent;
    }

    fn count_ends(&mut self) {
        self.totals.departed = self.database.departed;
        for shard in &self.shards {
            let counters = shard.counters();
            let closed = |reason| counters.closed(reason) as usize;
            for reason in CloseReason::ALL.into_iter().filter(|reason| !EXPECTED_ENDS.contains(reason)) {
                assert_eq!(closed(reason), 0, "{reason:?} ended a connection");
            }
            self.totals.slow += closed(CloseReason::SlowConsumer);
            self.totals.hashes_deleted += closed(CloseReason::HashDeleted);
            self.totals.expired += closed(CloseReason::TokenExpired);
            self.totals.revoked += closed(CloseReason::TokenRevoked);
            self.totals.timed_out += closed(CloseReason::TimedOut);
            self.totals.made_room += closed(CloseReason::NoRoom);
            self.totals.held += shard.machine.held_turns;
            self.totals.sleeps += shard.machine.sleeps;
        }
    }
}

pub(super) fn clock(micros: u64) -> Now {
    let unix = UnixTime(1_700_000_000 + (micros / 1_000_000) as i64);
    Now { time: Time(micros), unix, micros: (micros % 1_000_000) as u32 }
}
