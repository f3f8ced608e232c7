//! Personal messages under a hostile order of events: rings of three levels per pair of shards, delivered in any order
//! among them, storage that answers late, connections that come and go between any two steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// A browser as it sees itself.
struct Client {
    shard: u16,
    conn: ConnId,
    user: u32,
    alive: bool,
    seen: Vec<u32>,
}

struct Storm {
    random: Random,
    hubs: Vec<Hub>,
    rings: BTreeMap<(u16, u16, Level), VecDeque<RingMessage>>,
    jobs: VecDeque<(u16, Job)>,
    queue: BTreeMap<(u32, Place), StoredMessage>,
    clients: Vec<Client>,
    accepted: BTreeSet<u32>,
    sent: u32,
    vanished: usize,
    /// Storage did not take messages off a queue when it should have.
    undeleted: bool,
}

use crate::storage::{Place, StorageError};

const USERS: usize = 2;
const SHARDS: u16 = 3;

impl Storm {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            hubs: placements::hubs(SHARDS, seed),
            rings: BTreeMap::new(),
            jobs: VecDeque::new(),
            queue: BTreeMap::new(),
            clients: Vec::new(),
            accepted: BTreeSet::new(),
            sent: 0,
            vanished: 0,
            undeleted: false,
        }
    }

    fn input(&mut self, shard: u16, input: Input) {
        self.hubs[usize::from(shard)].handle(input, NOW);
        while let Some(output) = self.hubs[usize::from(shard)].poll_output() {
            self.carry_out(shard, output);
        }
    }

    fn carry_out(&mut self, shard: u16, output: Output) {
        match output {
            Output::Ring { to, message } | Output::RingAfterFanOut { to, message } => {
                self.rings.entry((shard, to.0, message.level())).or_default().push_back(message);
            }
            Output::Store(job) | Output::Ask { job, .. } => self.jobs.push_back((shard, job)),
            Output::Queue { flush, to } => {
                let numbers: Vec<u32> = flush.messages.iter().map(|m| m.message.parse().unwrap()).collect();
                let taken = self.write(shard, flush.conn, &numbers);
                self.input(shard, Input::QueueWritten { flush, to, taken });
            }
            Output::Personal { personal, conns, ask, to } => {
                let number = personal.message.parse().unwrap();
                let connections = conns.iter().filter(|conn| self.write(shard, **conn, &[number])).count() as u32;
                self.input(shard, Input::PersonalWritten { ask, to, connections });
            }
            _ => {}
        }
    }

    /// Whether the connection took it; one in a while ends by it.
    fn write(&mut self, shard: u16, conn: ConnId, numbers: &[u32]) -> bool {
        let breaks = self.vanished < 8 && self.random.below(10) == 0;
        let Some(client) = self.clients.iter_mut().find(|client| (client.shard, client.conn) == (shard, conn)) else {
            return false;
        };
        if breaks && client.alive {
            client.alive = false;
            self.vanished += 1;
        }
        if client.alive {
            client.seen.extend(numbers);
        }
        client.alive
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 if self.clients.iter().filter(|client| client.alive).count() < 6 => self.come(),
            1 if self.vanished < 8 => {
                let at = self.random.below(self.clients.len().max(1));
                if let Some(client) = self.clients.get_mut(at).filter(|client| client.alive) {
                    client.alive = false;
                    self.vanished += 1;
                }
            }
            2 | 3 if self.sent < 30 => self.send(),
            4 => self.notice_end(),
            5..=7 => {
                self.complete();
            }
            _ => {
                self.pass();
            }
        }
    }

    fn come(&mut self) {
        let (shard, user) = (self.random.below(usize::from(SHARDS)) as u16, 1 + self.random.below(USERS) as u32);
        let conn = id(self.clients.len() as u32);
        self.clients.push(Client { shard, conn, user, alive: true, seen: Vec::new() });
        let (dev, user) = (DevId(1), UserId::new(user).unwrap());
        self.input(
            shard,
            Input::Connected {
                conn,
                credentials: Credentials { dev, user, key: "key".into(), details: Details::default() },
            },
        );
    }

    /// A hub hears of a connection that is gone.
    fn notice_end(&mut self) {
        let at = self.random.below(self.clients.len().max(1));
        if let Some((shard, conn)) =
            self.clients.get(at).filter(|client| !client.alive).map(|client| (client.shard, client.conn))
        {
            self.input(shard, Input::Disconnected { conn });
        }
    }

    fn send(&mut self) {
        let user = 1 + self.random.below(USERS) as u32;
        // The number tells the user too.
        let number = self.sent * USERS as u32 + user - 1;
        self.sent += 1;
        let (dev, user) = (DevId(1), UserId::new(user).unwrap());
        let personal = Arc::new(Personal::new(EventName::default(), number.to_string().into()));
        let send = Send { dev, user, personal, expires_in: None, statement: StatementId { session: id(0), number } };
        let to = self.hubs[0].config.placement.owner_of_user(dev, user);
        let ring = (SHARDS, to.0, Level::Request);
        self.rings.entry(ring).or_default().push_back(RingMessage::Send(Box::new(send)));
    }

    /// One message of one ring arrives; whether there was one.
    fn pass(&mut self) -> bool {
        let full: Vec<_> = self.rings.iter().filter(|(_, ring)| !ring.is_empty()).map(|(key, _)| *key).collect();
        if full.is_empty() {
            return false;
        }
        let key @ (from, to, _) = full[self.random.below(full.len())];
        let Some(message) = self.rings.get_mut(&key).and_then(VecDeque::pop_front) else { return false };
        match message {
            RingMessage::Accepted { statement, .. } => {
                assert!(self.accepted.insert(statement.number), "accepted twice");
            }
            RingMessage::Refused { .. } => {}
            message if to < SHARDS => {
                let level = message.level();
                let before: Vec<usize> = self.ring_lengths(to, level);
                self.input(to, Input::Ring { from: ShardId(from), message });
                assert_eq!(before, self.ring_lengths(to, level), "a message caused one that is not of a later level");
            }
            other => panic!("the CometQL shard got {other:?}"),
        }
        true
    }

    /// Of the rings that this shard fills, up to a level.
    fn ring_lengths(&self, from: u16, level: Level) -> Vec<usize> {
        let mut lengths = vec![0; 16];
        for ((sender, to, of), ring) in &self.rings {
            if *sender == from && *of <= level && *to != from {
                lengths[*of as usize] += ring.len();
            }
        }
        lengths
    }

    /// Storage answers its oldest job; whether there was one.
    fn complete(&mut self) -> bool {
        let Some((shard, job)) = self.jobs.pop_front() else { return false };
        let result = match job.request {
            Request::Read { read: Read::Login { .. }, .. } => {
                Ok(Outcome::Login { hash: Some("key".into()), revoked: false })
            }
            Request::Read { read: Read::Queue { user, after, page, .. }, .. } => {
                let of_user = self
                    .queue
                    .iter()
                    .filter(|((of, place), _)| *of == user.get() && after.is_none_or(|after| *place > after));
                let mut rows: Vec<StoredMessage> = of_user.map(|(_, message)| message.clone()).collect();
                let limit = (page.rows as usize).min(3);
                let more = rows.len() > limit;
                rows.truncate(limit);
                Ok(Outcome::Messages { rows, more })
            }
            Request::Write(writes) if self.random.below(20) == 0 => {
                self.undeleted |= has_deletion(&writes);
                Err(StorageError::Overloaded)
            }
            Request::Write(writes) => {
                for write in writes {
                    match write {
                        Write::PutQueued { user, message, .. } => {
                            self.queue.insert((user.get(), message.place()), message);
                        }
                        Write::DeleteQueued { ids, .. } => self.queue.retain(|_, message| !ids.contains(&message.id)),
                        _ => {}
                    }
                }
                Ok(Outcome::Written { rows: 1 })
            }
            Request::Read { read, .. } => unreachable!("{read:?}"),
        };
        self.input(shard, Input::Stored(Completion { ticket: job.ticket, result }));
        true
    }

    fn settle(&mut self) {
        loop {
            for at in 0..self.clients.len() {
                if !self.clients[at].alive {
                    let (shard, conn) = (self.clients[at].shard, self.clients[at].conn);
                    self.input(shard, Input::Disconnected { conn });
                }
            }
            for shard in 0..SHARDS {
                self.hubs[usize::from(shard)].end_turn();
                while let Some(output) = self.hubs[usize::from(shard)].poll_output() {
                    self.carry_out(shard, output);
                }
            }
            let mut busy = false;
            while self.pass() || self.complete() {
                busy = true;
            }
            if !busy {
                return;
            }
        }
    }

    fn check(&self) {
        let mut delivered = BTreeSet::new();
        for client in &self.clients {
            let unique: BTreeSet<u32> = client.seen.iter().copied().collect();
            assert_eq!(unique.len(), client.seen.len(), "a connection got a message twice: {:?}", client.seen);
            assert!(
                client.seen.iter().all(|number| number % USERS as u32 + 1 == client.user),
                "another user's message"
            );
            assert!(client.seen.is_sorted(), "out of order: {:?}", client.seen);
            delivered.extend(unique);
        }
        let queued: BTreeSet<u32> = self.queue.values().map(|message| message.message.parse().unwrap()).collect();
        for number in &self.accepted {
            let (was_delivered, is_queued) = (delivered.contains(number), queued.contains(number));
            assert!(was_delivered || is_queued, "{number} was accepted and is gone");
        }
        // A deletion that failed is tried again when the queue is read the next time.
        let is_gone = queued.iter().all(|number| !delivered.contains(number));
        assert!(is_gone || self.undeleted, "what was taken is still in the queue");
        // Whoever is there has been given what waits.
        for client in self.clients.iter().filter(|client| client.alive) {
            let waits = |number: &u32| number % USERS as u32 + 1 == client.user && !delivered.contains(number);
            let waits = queued.iter().any(waits);
            assert!(!waits, "user {} is here and something waits", client.user);
        }
        assert_eq!(self.jobs.len(), 0);
        assert!(!self.hubs.iter().any(Hub::owes_answers), "something is waited for in vain");
    }
}

fn has_deletion(writes: &[Write]) -> bool {
    writes.iter().any(|write| matches!(write, Write::DeleteQueued { .. }))
}

#[test]
fn nothing_accepted_is_lost_and_nothing_comes_twice() {
    let (mut accepted, mut vanished) = (0, 0);
    for seed in 0..3_000 {
        let mut storm = Storm::new(seed);
        if seed % 4 == 0 {
            storm.vanished = usize::MAX / 2;
        }
        for _ in 0..400 {
            storm.step();
        }
        storm.settle();
        if seed % 4 == 0 {
            storm.vanished = 0;
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| storm.check()));
        assert!(result.is_ok(), "seed {seed}");
        accepted += storm.accepted.len();
        vanished += storm.vanished;
    }
    assert!(accepted > 50_000 && vanished > 5_000, "{accepted} {vanished}: the storm is a calm");
}
