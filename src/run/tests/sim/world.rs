//! The simulated world: shards that take turns when something wakes them, rings that are full, storage that is slow,
//! clients that read late, send in pieces and vanish.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::browsers::BrowserConfig;
use crate::hub::{self, HubConfig};
use crate::model::{Now, ShardId};
use crate::ring::Placement;
use crate::run::board::Board;
use crate::run::control::ControlClient;
use crate::run::host::Kind;
use crate::run::in_force::InForce;
use crate::run::ledger::LedgerClient;
use crate::run::notice::Notice;
use crate::run::sessions::{Ends, Sessions};
use crate::run::storage::{self, Given, StorageClient, StorageSetup};
use crate::storage::{Beginning, Trusted};

use super::browser::BrowserClient;
use super::clock::clock;
use super::database::Database;
use super::http::HttpClient;
use super::page::Page;
use super::pages::PageSetup;
use super::people::People;
use super::published::Published;
use super::reloads;
use super::session::SessionClient;
use super::setup::{browser_config, front, seeds, session_config};
use super::shard::{Limits, Shard, shard_settings};
use super::totals::Totals;
use super::{past::Past, random::Random};

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
    /// Shards that storage has answered and not woken.
    pub(super) unwoken: BTreeSet<usize>,
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
    /// When the last message under a key was written that was published and acknowledged, by pipe and key.
    pub(super) keyed: HashMap<(String, usize), i64>,
    /// Messages that were not published, because their keys were known.
    pub(super) repeated: Vec<String>,
    /// Connections that got a message, by its text.
    pub(super) deliveries: HashMap<String, u64>,
    pub(super) next_message: u64,
    pub(super) now: Now,
    /// Counts what happens, since time may stand still.
    pub(super) tick: u64,
    /// See [`World::crowd`].
    pub(super) crowded: bool,
    pub(super) counts_addresses: bool,
    pub(super) is_draining: bool,
    /// Of a thousand steps, those that begin or end a drain.
    drains: usize,
    pub(super) notice: Notice<InForce>,
    pub(super) in_force: Arc<InForce>,
    /// Nothing but questions is under way.
    pub(super) at_rest: bool,
    pub(super) totals: Totals,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let connection_shards = 1 + random.below(4) as u16;
        let placement = Placement::new(connection_shards, seeds(random.next()));
        let queue_max = [1, 4, 1000, 1000, 1000][random.below(5)];
        let (storage, clients) = storage::channels(connection_shards + 1, queue_max);
        let connections_max = if random.chance(20) { 3 } else { 1000 };
        let setup = PageSetup::new(&mut random, connections_max);
        let counts_addresses = random.chance(50);
        let (notice, in_force) = (Notice::default(), reloads::at_first(counts_addresses));
        let edges = edges(&mut random, &placement, clients, &setup, &in_force, &notice);
        let limits = limits(&mut random, connection_shards, connections_max as u32);
        let now = clock(0);
        let shards = Shard::all(limits, edges, &mut random, now);
        let mut world = Self {
            client_of: shards.iter().map(|_| Vec::new()).collect(),
            pages: Vec::new(),
            shards,
            storage,
            jobs: VecDeque::new(),
            unwoken: BTreeSet::new(),
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
            is_draining: false,
            drains: [0, 0, 5, 30][random.below(4)],
            notice,
            in_force,
            at_rest: false,
            storage_failure_percent: if random.chance(30) { 20 } else { 0 },
            keyed: HashMap::new(),
            repeated: Vec::new(),
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
            self.end_drain();
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
        if self.random.below(1000) < self.drains {
            return self.drain_or_not();
        }
        if self.crowded && self.random.chance(60) {
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
            290 => self.reload(),
            _ => {
                let shard = self.random.below(self.shards.len());
                self.wake_perhaps(shard);
            }
        }
    }

    /// Two users who come and go all the time and are written to meanwhile.
    fn crowd(&mut self) {
        match self.random.below(12) {
            10 => self.storage_works(),
            11 if self.random.chance(20) => self.race_a_login(),
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
                self.wake_perhaps(shard);
            }
        }
    }

    pub(super) fn pass_time(&mut self, micros: u64) {
        self.now = clock(self.now.time.0 + micros);
    }

    /// The number of the CometQL shard.
    pub(super) fn cometql(&self) -> usize {
        self.shards.len() - 1
    }
}

/// So generous that nobody is refused: what is asked and counted for it goes all the ways it can.
pub(super) const COUNT_MAX: u32 = 10_000;

/// What lives on the shards, the CometQL shard's last.
fn edges(
    random: &mut Random,
    placement: &Placement,
    mut clients: Vec<StorageClient>,
    setup: &PageSetup,
    in_force: &InForce,
    notice: &Notice<InForce>,
) -> Vec<Kind> {
    let board = Board::new(placement.connection_shards());
    let arrivals_bytes_max = [100, 1000, 1_000_000][random.below(3)];
    let ping_interval = Duration::from_secs([0, 20][random.below(2)]);
    let offline_grace = [0, 3_000_000][random.below(2)];
    let trusted = Some(Trusted::default()).filter(|_| random.chance(70));
    let beginning = Beginning { trusted, ..Beginning::default() };
    let sessions = clients.pop().expect("one for each shard");
    let bytes_max = setup.bytes_max;
    let browsers = (0..).zip(clients).map(|(number, client)| {
        let placement = placement.clone();
        let configure = move |in_force: &InForce| {
            let mut config = browser_config(ShardId(number), &placement, arrivals_bytes_max, ping_interval, bytes_max);
            let ws = &in_force.config.ws;
            config.hub.limits = hub::Limits {
                connections_per_address_max: ws.connections_per_address_max,
                connects_per_address_per_s: ws.connects_per_address_per_s,
                publications_per_user_per_s: ws.publications_per_user_per_s,
                key_attempts_max: ws.key_attempts_max,
                exempt: ws.trusted_proxies.as_slice().into(),
                counting: in_force.counting,
                last_counting: in_force.last_counting,
            };
            config.hub.offline_grace = u64::from(in_force.config.main.offline_grace_s) * 1_000_000;
            config
        };
        let config =
            BrowserConfig { hub: HubConfig { offline_grace, ..configure(in_force).hub }, ..configure(in_force) };
        Kind::Browsers(Box::new(front(config, beginning.clone(), client, notice.reader(), Box::new(configure))))
    });
    let mut edges: Vec<Kind> = browsers.collect();
    let config = session_config(placement, 1 + random.below(8));
    let (placement, pipeline_max) = (placement.clone(), config.exec.pipeline_max);
    let ends = Ends {
        storage: sessions,
        control: ControlClient::nowhere(),
        ledger: LedgerClient::nowhere(),
        in_force: notice.reader(),
        configure: Box::new(move |_| session_config(&placement, pipeline_max)),
        board,
    };
    edges.push(Kind::Sessions(Box::new(Sessions::new(config, ends))));
    edges
}

const READ_BUFFER: usize = 64 * 1024;

fn limits(random: &mut Random, connection_shards: u16, connections_max: u32) -> Limits {
    let queue_bytes_max = if random.chance(20) { 2000 } else { 1_000_000 };
    // Heads and commands are read in many pieces or in one; in one where the next client would drive out who is still read.
    let read_buffer =
        if connections_max < 10 { READ_BUFFER } else { [1 + random.below(300), READ_BUFFER][random.below(2)] };
    let browsers = shard_settings(queue_bytes_max, connections_max, read_buffer);
    let mut shards = vec![browsers; usize::from(connection_shards)];
    shards.push(shard_settings(1_000_000, 1000, read_buffer));
    Limits {
        ring_capacity: 1 + random.below(4),
        slice: 1 + random.below(8),
        messages_per_turn: [2, 10, 4096][random.below(3)],
        tick: Duration::from_millis([100, 1000][random.below(2)]),
        shards,
    }
}
