//! Clients that come back with their last positions, under a hostile order of events: rings that pass in any order among
//! them, storage that answers late, refuses or fails, histories that are cut, cleared, switched off and on.
//!
//! What holds: in everything a client saw of a pipe, over all its connections, no publication is missing and none comes
//! twice, unless it was told of a gap; and what it saw is never older than where it was told to be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::storage::{PipeSetting, Trusted, go_on};

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

const SHARDS: u16 = 3;
const PIPES: [&str; 3] = ["news", "trust_a", "plain"];

fn key(pipe: usize) -> PipeKey {
    PipeKey { dev: DevId(1), name: PipeName::new(PIPES[pipe].as_bytes()).unwrap() }
}

fn pipe_of(key: &PipeKey) -> usize {
    PIPES.iter().position(|name| *name == key.name.as_str()).unwrap()
}

/// On its way to the sockets.
type FanOut = (Arc<[Arc<Publication>]>, Vec<ConnId>);

const WITNESS: ConnId = ConnId { index: 0, generation: 7 };

fn nobody() -> Credentials {
    Credentials { dev: DevId(1), user: UserId::ANONYMOUS, key: "".into(), details: Details::default() }
}

/// What a client knows of one pipe.
#[derive(Default)]
struct View {
    last: Option<Position>,
    /// Places in the pipe's order, or where a new count begins.
    seen: Vec<Seen>,
    /// It was left and joined again by the same connection, so an old message may still come.
    rejoined: bool,
    /// Whether a position was named when it was joined last.
    asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Message(Position),
    /// From here on.
    From(Option<Position>),
}

/// A browser over all its connections.
#[derive(Default)]
struct Client {
    /// Its connection, and whether it is still there. The server may not know yet that it is not.
    conn: Option<(u16, ConnId)>,
    alive: bool,
    views: BTreeMap<usize, View>,
    wants: Vec<usize>,
    /// Pipes that are not answered yet.
    unanswered: Vec<usize>,
}

/// What storage has.
#[derive(Default)]
struct Kept {
    length: Option<u32>,
    rows: VecDeque<StoredMessage>,
    begun: Position,
    /// All that ever was in it.
    stored: BTreeSet<Position>,
}

struct Sea {
    random: Random,
    hubs: Vec<Hub>,
    rings: BTreeMap<(u16, u16, Level), VecDeque<RingMessage>>,
    staged: Vec<VecDeque<FanOut>>,
    jobs: VecDeque<(u16, Job)>,
    completions: Vec<VecDeque<Completion>>,
    kept: Vec<Kept>,
    /// The positions of all publications of each pipe, kept or not.
    order: Vec<BTreeSet<Position>>,
    clients: Vec<Client>,
    gone: Vec<(u16, ConnId)>,
    conns: u32,
    published: u32,
    failures: bool,
    rejoins: bool,
    now: Now,
    /// When storage noted the time last, and where positions went on when they were ahead of it.
    noted: i64,
    behind: i64,
    /// What was published before a restart and never stored, by pipe. Nobody was told that it is kept.
    unstored: Vec<BTreeSet<Position>>,
    /// The largest position that anybody was told.
    largest: Position,
    restarts: usize,
    recovered: [usize; 2],
    missed: usize,
}

impl Sea {
    fn new(seed: u64) -> Self {
        Self::with(seed, placements::hubs(SHARDS, seed))
    }

    fn with(seed: u64, hubs: Vec<Hub>) -> Self {
        let mut kept: Vec<Kept> = PIPES.iter().map(|_| Kept::default()).collect();
        kept[0].length = Some(20);
        let mut sea = Self {
            random: Random(seed),
            hubs,
            rings: BTreeMap::new(),
            staged: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            jobs: VecDeque::new(),
            completions: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            kept,
            order: vec![BTreeSet::new(); PIPES.len()],
            clients: (0..3).map(|_| Client::default()).collect(),
            gone: Vec::new(),
            conns: 1,
            published: 0,
            failures: seed.is_multiple_of(3),
            rejoins: seed.is_multiple_of(2),
            now: NOW,
            noted: NOW.unix.0,
            behind: 0,
            unstored: vec![BTreeSet::new(); PIPES.len()],
            largest: Position::default(),
            restarts: 0,
            recovered: [0; 2],
            missed: 0,
        };
        sea.begin(seed);
        sea.settle();
        sea
    }

    /// The hubs hear what storage has, and the witness comes.
    fn begin(&mut self, seed: u64) {
        let newest = self.kept.iter().filter_map(|kept| kept.rows.back()).map(|row| row.time).max().unwrap_or_default();
        let now = self.now.unix.0;
        let behind = go_on(now, newest.max(self.noted), self.noted, self.behind);
        if behind >= now {
            self.behind = behind;
        }
        self.noted = self.noted.max(now);
        let behind = Position::last_of(UnixTime(behind));
        // All that was told so far; of the second that is not over yet a part.
        assert!(self.largest <= behind || self.largest < Position::default().next(self.now.unix_micros()));
        for shard in 0..SHARDS {
            let pipes = (0..PIPES.len()).filter(|pipe| self.owner(*pipe) == shard);
            let setting = |pipe: usize| self.kept[pipe].length.map(|length| PipeSetting { pipe: key(pipe), length });
            let settings = pipes.clone().filter_map(setting).collect();
            // The owners know of no history, or of none that there is not.
            let has_history = |pipe: &usize| !self.kept[*pipe].rows.is_empty() || self.kept[*pipe].begun.0 > 0;
            let trusted = Trusted { pipes: pipes.filter(has_history).map(key).collect(), ..Trusted::default() };
            let trusted = Some(trusted).filter(|_| !seed.is_multiple_of(5));
            self.input(shard, Input::Begin(Box::new(Beginning { settings, behind, trusted, ..Beginning::default() })));
        }
        // Sees everything from the beginning.
        self.input(1, Input::Connected { conn: WITNESS, credentials: nobody() });
        self.input(1, Input::Subscribe { conn: WITNESS, pipes: (0..PIPES.len()).map(|pipe| key(pipe).name).collect() });
    }

    /// The server is killed and starts again, and somebody may set the clock meanwhile.
    fn restart(&mut self) {
        self.restarts += 1;
        for _ in 0..self.random.below(10) {
            self.carry_out_job();
        }
        self.jobs.clear();
        self.rings.clear();
        self.gone.clear();
        self.staged.iter_mut().for_each(VecDeque::clear);
        self.completions.iter_mut().for_each(VecDeque::clear);
        for client in &mut self.clients {
            (client.conn, client.alive) = (None, false);
            client.unanswered.clear();
        }
        for (pipe, kept) in self.kept.iter().enumerate() {
            let unstored = self.order[pipe].iter().filter(|position| !kept.stored.contains(position));
            self.unstored[pipe].extend(unstored);
        }
        let hours = [0, 0, -1, 1, -2, 24, -24][self.random.below(7)];
        // No start takes no time.
        let seconds = self.random.below(100).max(1) as i64;
        self.pass_time(3_600 * hours + seconds);
        self.hubs = placements::hubs(SHARDS, self.random.below(1_000_000) as u64);
        let seed = self.random.below(10) as u64;
        self.begin(seed);
    }

    /// The clock goes on, or somebody sets it, which storage hears of.
    fn pass_time(&mut self, seconds: i64) {
        self.now.unix.0 += seconds;
        if self.now.unix.0 >= self.noted + 540 {
            self.noted = self.now.unix.0;
        }
    }

    fn owner(&self, pipe: usize) -> u16 {
        self.hubs[0].config.placement.owner_of_pipe(&key(pipe)).0
    }

    fn input(&mut self, shard: u16, input: Input) {
        self.hubs[usize::from(shard)].handle(input, self.now);
        self.drain(shard);
    }

    fn drain(&mut self, shard: u16) {
        while let Some(output) = self.hubs[usize::from(shard)].poll_output() {
            self.carry_out(shard, output);
        }
    }

    fn carry_out(&mut self, shard: u16, output: Output) {
        match output {
            Output::Ring { to, message } | Output::RingAfterFanOut { to, message } => {
                self.rings.entry((shard, to.0, message.level())).or_default().push_back(message);
            }
            Output::FanOut { publications, conns } => {
                for publication in publications.iter() {
                    self.order[pipe_of(&publication.pipe)].insert(publication.position);
                }
                self.staged[usize::from(shard)].push_back((publications, conns));
            }
            Output::Store(job) | Output::Ask { job, .. } => {
                if let Request::Write(writes) = &job.request
                    && let [Write::PutHistory { pipe, message, .. }] = writes.as_slice()
                {
                    self.order[pipe_of(pipe)].insert(message.id.position().unwrap());
                }
                if self.failures && self.random.below(20) == 0 {
                    let result = Err(StorageError::Overloaded);
                    self.hubs[usize::from(shard)]
                        .handle(Input::Stored(Completion { ticket: job.ticket, result }), self.now);
                } else {
                    self.jobs.push_back((shard, job));
                }
            }
            Output::Subscribed(subscribed) => self.subscribed(shard, *subscribed),
            Output::Answer { .. } => {}
            Output::Resume { conn } => {
                if let Some(client) = self.client(shard, conn) {
                    assert_eq!(client.unanswered, [] as [usize; 0], "not all pipes were answered");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whose connection it is, if it is still there.
    fn client(&mut self, shard: u16, conn: ConnId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.alive && client.conn == Some((shard, conn)))
    }

    fn subscribed(&mut self, shard: u16, subscribed: Subscribed) {
        let Subscribed { conn, key, missed, answer, live } = subscribed;
        if let Answer::Subscribed { position: Some(position), .. } = answer {
            self.largest = self.largest.max(position);
        }
        let pipe = pipe_of(&key);
        // Nobody but a newcomer may have been there.
        self.order[pipe].extend(live.iter().map(|publication| publication.position));
        let Some(client) = self.client(shard, conn) else { return };
        let Answer::Subscribed { position, recovered, .. } = answer else { panic!("{answer:?}") };
        let place = client.unanswered.iter().position(|unanswered| *unanswered == pipe).expect("answered once");
        client.unanswered.swap_remove(place);
        let view = client.views.entry(pipe).or_default();
        assert_eq!(recovered.is_some(), view.asked);
        assert!(recovered == Some(true) || missed.is_empty());
        let missed: Vec<Position> = missed.iter().map(|message| message.id.position().unwrap()).collect();
        for position in &missed {
            view.got(*position);
        }
        if recovered != Some(true) {
            view.seen.push(Seen::From(position));
        }
        view.last = position;
        for publication in &live {
            view.got_live(publication);
        }
        if let Some(recovered) = recovered {
            self.recovered[usize::from(recovered)] += 1;
        }
        self.missed += missed.len();
    }

    fn step(&mut self) {
        match self.random.below(32) {
            7 if self.random.below(60) == 0 => self.restart(),
            7 => {
                let seconds = if self.random.below(20) == 0 { 3_600 * (self.random.below(7) as i64 - 3) } else { 1 };
                self.pass_time(seconds);
            }
            0 | 1 => self.come(),
            2 => {
                let at = self.random.below(self.clients.len());
                self.vanish(at);
            }
            3 => self.notice_end(),
            4 if self.rejoins => self.change(),
            5 | 6 => {
                let pipe = self.random.below(PIPES.len());
                self.publish(pipe);
            }
            8 if self.random.below(15) == 0 => self.set_length(),
            8 if self.random.below(20) == 0 => {
                let pipe = self.random.below(2);
                let job =
                    Job { ticket: Ticket(0), request: Request::Write(vec![Write::DeleteHistory { pipe: key(pipe) }]) };
                self.jobs.push_back((SHARDS, job));
            }
            9..=12 => {
                self.carry_out_job();
            }
            13..=16 => {
                self.complete();
            }
            17..=19 => {
                self.write();
            }
            20..=23 => {
                self.end_turn();
            }
            _ => {
                self.pass();
            }
        }
    }

    fn come(&mut self) {
        let at = self.random.below(self.clients.len());
        if self.clients[at].alive {
            return;
        }
        let (shard, conn) = (self.random.below(usize::from(SHARDS)) as u16, id(self.conns));
        self.conns += 1;
        (self.clients[at].conn, self.clients[at].alive) = (Some((shard, conn)), true);
        self.clients[at].wants.clear();
        for view in self.clients[at].views.values_mut() {
            view.rejoined = false;
        }
        self.input(shard, Input::Connected { conn, credentials: nobody() });
        self.subscribe(at);
    }

    /// Another set for a connection that is there.
    fn change(&mut self) {
        let at = self.random.below(self.clients.len());
        let Client { conn: Some((shard, conn)), alive: true, .. } = self.clients[at] else { return };
        if !self.hubs[usize::from(shard)].is_busy(conn) {
            self.subscribe(at);
        }
    }

    fn subscribe(&mut self, at: usize) {
        let wants: Vec<usize> = (0..PIPES.len()).filter(|_| self.random.below(3) > 0).collect();
        let client = &mut self.clients[at];
        let Some((shard, conn)) = client.conn else { return };
        let new: Vec<usize> = wants.iter().copied().filter(|pipe| !client.wants.contains(pipe)).collect();
        for pipe in &client.wants {
            client.views.entry(*pipe).or_default().rejoined = true;
        }
        for pipe in &new {
            let view = client.views.entry(*pipe).or_default();
            view.asked = view.last.is_some();
        }
        let pipes =
            wants.iter().map(|pipe| (key(*pipe).name, client.views.get(pipe).and_then(|view| view.last).into()));
        let input = Input::Resubscribe { conn, pipes: pipes.collect() };
        (client.wants, client.unanswered) = (wants, new);
        self.input(shard, input);
    }

    fn vanish(&mut self, at: usize) {
        if std::mem::take(&mut self.clients[at].alive) {
            let conn = self.clients[at].conn.take();
            self.gone.extend(conn);
        }
    }

    fn notice_end(&mut self) {
        if !self.gone.is_empty() {
            let at = self.random.below(self.gone.len());
            let (shard, conn) = self.gone.swap_remove(at);
            self.input(shard, Input::Disconnected { conn });
        }
    }

    fn publish(&mut self, pipe: usize) {
        self.published += 1;
        let publication =
            Publication::new(Arc::new(key(pipe)), EventName::default(), self.published.to_string().into());
        let statement = Some(StatementId { session: id(0), number: self.published });
        let ring = (SHARDS, self.owner(pipe), Level::Request);
        let message = RingMessage::Publish { publication: Box::new(publication), statement };
        self.rings.entry(ring).or_default().push_back(message);
    }

    fn publish_to_news(&mut self, count: usize) {
        for _ in 0..count {
            self.publish(0);
        }
    }

    fn set_length(&mut self) {
        let pipe = self.random.below(2);
        // Two backends may do it at once.
        for _ in 0..=self.random.below(2) {
            let length = [None, Some(0), Some(2), Some(9), Some(30)][self.random.below(5)];
            let set = SetLength {
                pipe: key(pipe),
                change: length.map_or(LengthChange::Remove, LengthChange::Put),
                statement: StatementId { session: id(0), number: 0 },
            };
            let ring = (SHARDS, self.owner(pipe), Level::Request);
            self.rings.entry(ring).or_default().push_back(RingMessage::SetLength(Box::new(set)));
        }
    }

    fn pass(&mut self) -> bool {
        let full: Vec<_> = self.rings.iter().filter(|(_, ring)| !ring.is_empty()).map(|(key, _)| *key).collect();
        if full.is_empty() {
            return false;
        }
        let key @ (from, to, level) = full[self.random.below(full.len())];
        let Some(message) = self.rings.get_mut(&key).and_then(VecDeque::pop_front) else { return false };
        if to < SHARDS {
            let before = self.ring_lengths(to, level);
            self.input(to, Input::Ring { from: ShardId(from), message });
            assert_eq!(before, self.ring_lengths(to, level), "a message caused one that is not of a later level");
        }
        true
    }

    /// Messages on the rings that this shard fills, up to a level.
    fn ring_lengths(&self, from: u16, level: Level) -> usize {
        let of = |(sender, _, of): &(u16, u16, Level)| *sender == from && *of <= level;
        self.rings.iter().filter(|(key, _)| of(key)).map(|(_, ring)| ring.len()).sum()
    }

    /// The edge forms fan-outs only when the last ones are out.
    fn end_turn(&mut self) -> bool {
        let shard = self.random.below(usize::from(SHARDS));
        if !self.staged[shard].is_empty() || !self.hubs[shard].has_arrivals() {
            return false;
        }
        self.hubs[shard].end_turn();
        self.drain(shard as u16);
        true
    }

    fn write(&mut self) -> bool {
        let shard = self.random.below(usize::from(SHARDS));
        let Some((publications, conns)) = self.staged[shard].pop_front() else { return false };
        for conn in conns {
            let Some(client) = self.client(shard as u16, conn) else { continue };
            for publication in publications.iter() {
                // What is still on its way when a pipe is left is not for the client any more.
                let pipe = pipe_of(&publication.pipe);
                if client.wants.contains(&pipe) && (publication.kept || !client.unanswered.contains(&pipe)) {
                    client.views.entry(pipe).or_default().got_live(publication);
                }
            }
        }
        true
    }

    /// Storage carries out a job: writes in their order, and no read before a write that it was given earlier.
    fn carry_out_job(&mut self) -> bool {
        let is_write = |(_, job): &(u16, Job)| matches!(job.request, Request::Write(_));
        let first_write = self.jobs.iter().position(is_write);
        let may_be_next = first_write.map_or(self.jobs.len(), |write| write + 1);
        if may_be_next == 0 {
            return false;
        }
        let at = self.random.below(may_be_next);
        let Some((shard, job)) = self.jobs.remove(at) else { return false };
        let fails = self.failures && self.random.below(10) == 0;
        let result = if fails { Err(StorageError::Failed("no".into())) } else { Ok(self.store(job.request)) };
        if shard < SHARDS {
            self.completions[usize::from(shard)].push_back(Completion { ticket: job.ticket, result });
        }
        true
    }

    /// As the engines do it, but without any cleverness: whatever goes leaves its position.
    fn store(&mut self, request: Request) -> Outcome {
        let (writes, read) = match request {
            Request::Write(writes) => (writes, None),
            Request::Read { read, .. } => (Vec::new(), Some(read)),
        };
        for write in writes {
            match write {
                Write::PutHistory { pipe, message, .. } => {
                    let kept = &mut self.kept[pipe_of(&pipe)];
                    if kept.limit(&pipe) > 0 {
                        let last = kept.rows.back().map(StoredMessage::place);
                        assert!(last < Some(message.place()), "a message stands before an older one");
                        kept.stored.extend(message.id.position());
                        kept.rows.push_back(message);
                    }
                    kept.cut(&pipe);
                }
                Write::DeleteHistory { pipe } => self.kept[pipe_of(&pipe)].clear(),
                Write::PutSetting { pipe, length, begun } => {
                    let kept = &mut self.kept[pipe_of(&pipe)];
                    if kept.limit(&pipe) == 0 {
                        kept.begun = begun;
                    }
                    kept.length = Some(length);
                    kept.cut(&pipe);
                }
                Write::DeleteSetting { pipe, begun } => {
                    let kept = &mut self.kept[pipe_of(&pipe)];
                    kept.clear();
                    (kept.length, kept.begun) = (None, begun);
                }
                other => panic!("{other:?}"),
            }
        }
        match read {
            None => Outcome::Written { rows: 1 },
            Some(Read::Missed { pipes, .. }) => {
                let missed = |Since { pipe, after, until, .. }: Since| {
                    let after = after.expect("a position");
                    let kept = &self.kept[pipe_of(&pipe)];
                    let complete = kept.limit(&pipe) > 0 && after >= kept.begun;
                    let is_missed = |row: &&StoredMessage| {
                        let position = row.id.position();
                        complete && position > Some(after) && position <= Some(until)
                    };
                    Missed { rows: kept.rows.iter().filter(is_missed).cloned().collect(), complete }
                };
                Outcome::Missed(pipes.into_iter().map(missed).collect())
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn complete(&mut self) -> bool {
        let shard = self.random.below(usize::from(SHARDS));
        let Some(completion) = self.completions[shard].pop_front() else { return false };
        self.input(shard as u16, Input::Stored(completion));
        true
    }

    fn settle(&mut self) {
        while !self.gone.is_empty() {
            self.notice_end();
        }
        let mut quiet = 0;
        while quiet < 100 {
            let busy = self.pass() | self.carry_out_job() | self.complete() | self.write() | self.end_turn();
            quiet = if busy { 0 } else { quiet + 1 };
        }
    }

    fn check(&self) {
        for client in &self.clients {
            for (pipe, view) in &client.views {
                self.check_view(*pipe, view, client.alive && client.wants.contains(pipe));
            }
            assert!(!client.alive || client.unanswered.is_empty(), "a pipe was not answered");
        }
        for hub in &self.hubs {
            assert!(!hub.owes_answers(), "something is waited for in vain");
            assert!(!hub.has_arrivals() && hub.local.is_at_rest());
        }
    }

    fn check_view(&self, pipe: usize, view: &View, is_subscribed: bool) {
        let order: Vec<Position> = self.order[pipe].difference(&self.unstored[pipe]).copied().collect();
        // The place in the order that has to come next; nothing is known before the first beginning.
        let mut next = None;
        for seen in &view.seen {
            next = match seen {
                Seen::From(None) => None,
                Seen::From(Some(begin)) => Some(order.partition_point(|position| position <= begin)),
                Seen::Message(position) if self.unstored[pipe].contains(position) => next,
                Seen::Message(position) => {
                    let place = order.binary_search(position).expect("published");
                    assert!(next.is_none_or(|next| next == place), "{}: {:?} {next:?}", PIPES[pipe], view.seen);
                    Some(place + 1)
                }
            };
        }
        let all = next.is_none_or(|next| next == order.len());
        assert!(all || !is_subscribed, "{}: the last ones are missing: {:?}", PIPES[pipe], view.seen);
    }
}

impl View {
    fn got_live(&mut self, publication: &Publication) {
        if publication.kept {
            self.got(publication.position);
        } else {
            self.seen.push(Seen::Message(publication.position));
        }
    }

    fn got(&mut self, position: Position) {
        if self.last.is_some_and(|last| position <= last) {
            assert!(self.rejoined, "a message came twice or too late: {position} after {:?}", self.seen);
            return;
        }
        self.last = Some(position);
        self.seen.push(Seen::Message(position));
    }
}

impl Kept {
    fn limit(&self, pipe: &PipeKey) -> usize {
        let without = if pipe.name.class() == PipeClass::Trust { 6 } else { 0 };
        self.length.map_or(without, |length| length as usize)
    }

    fn cut(&mut self, pipe: &PipeKey) {
        while self.rows.len() > self.limit(pipe) {
            let oldest = self.rows.pop_front().and_then(|row| row.id.position()).unwrap();
            self.begun = self.begun.max(oldest);
        }
    }

    fn clear(&mut self) {
        let newest = self.rows.back().and_then(|row| row.id.position()).unwrap_or_default();
        self.begun = self.begun.max(newest);
        self.rows.clear();
    }
}

#[test]
fn whoever_comes_back_gets_what_it_missed_once_or_is_told_of_a_gap() {
    let (mut recovered, mut missed, mut restarts) = ([0; 2], 0, 0);
    let seeds = std::env::var("ENCKE_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(0).max(1_000);
    for seed in 0..seeds {
        let mut sea = Sea::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..1_200 {
                sea.step();
            }
            sea.settle();
            sea.check();
            // Nothing is left of those who have gone.
            for at in 0..sea.clients.len() {
                sea.vanish(at);
            }
            sea.input(1, Input::Disconnected { conn: WITNESS });
            sea.settle();
            assert!(sea.hubs.iter().all(|hub| hub.local.has_no_pipes() && hub.connections() == 0));
        }));
        assert!(result.is_ok(), "seed {seed}");
        recovered = [0, 1].map(|at| recovered[at] + sea.recovered[at]);
        missed += sea.missed;
        restarts += sea.restarts;
    }
    assert!(restarts > 200, "{restarts}");
    assert!(recovered.iter().all(|count| *count > 1_500) && missed > 2_000, "{recovered:?} {missed}: the sea is calm");
}

/// A sea without failures with one client that has just come back to `news`, having seen nothing of what was published
/// since; its history is not read yet.
fn come_back(length: u32) -> Sea {
    let mut sea = Sea::with(1, Net::new(SHARDS).hubs);
    sea.kept[0].length = Some(length);
    sea.clients.truncate(1);
    sea.come_to_news();
    sea.settle();
    sea.publish(0);
    sea.settle();
    sea.vanish(0);
    sea.settle();
    sea.publish_to_news(3);
    sea.settle();
    sea.come_to_news();
    sea
}

impl Sea {
    /// The first client comes, to this pipe alone.
    fn come_to_news(&mut self) {
        let conn = id(self.conns);
        self.conns += 1;
        let client = &mut self.clients[0];
        (client.conn, client.alive) = (Some((0, conn)), true);
        (client.wants, client.unanswered) = (vec![0], vec![0]);
        let view = client.views.entry(0).or_default();
        let last = view.last;
        view.asked = last.is_some();
        self.input(0, Input::Connected { conn, credentials: nobody() });
        self.input(0, Input::Resubscribe { conn, pipes: vec![(key_of_news(), last.into())] });
    }
}

fn key_of_news() -> PipeName {
    key(0).name
}

fn seen_of_news(sea: &Sea) -> (usize, usize) {
    let seen = &sea.clients[0].views[&0].seen;
    let messages = seen.iter().filter(|seen| matches!(seen, Seen::Message(_))).count();
    (messages, seen.len() - messages)
}

#[test]
pub(super) fn what_is_published_while_storage_reads_comes_behind_what_was_missed() {
    let mut sea = come_back(10);
    while sea.pass() {}
    sea.publish_to_news(5);
    while sea.pass() {}
    sea.settle();
    sea.check();
    assert_eq!((seen_of_news(&sea), sea.recovered, sea.missed), ((9, 1), [0, 1], 3));
}

#[test]
pub(super) fn more_than_is_kept_for_a_newcomer_is_a_gap() {
    let mut sea = come_back(10);
    while sea.pass() {}
    sea.publish_to_news(1_500);
    while sea.pass() {}
    sea.settle();
    sea.check();
    assert_eq!((seen_of_news(&sea), sea.recovered, sea.missed), ((1 + 1_024, 2), [1, 0], 0));
}

#[test]
pub(super) fn a_position_that_was_never_given_is_a_gap() {
    let mut sea = come_back(10);
    sea.vanish(0);
    sea.settle();
    let view = sea.clients[0].views.get_mut(&0).unwrap();
    (view.last, view.seen) = (Some(Position(u64::MAX)), Vec::new());
    sea.come_to_news();
    sea.settle();
    assert_eq!(sea.recovered, [1, 0]);
}
