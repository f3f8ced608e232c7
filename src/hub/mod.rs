//! The hub: what one connection shard knows and decides. Subscriptions of its own connections, the pipes and users it
//! owns, and the fan-outs of a turn.
//!
//! It lacks sockets, threads and clocks: the edge hands in [`Input`]s with the time, and carries out what
//! [`Hub::poll_output`] returns. Every shard has one; they speak to each other and to the CometQL shard in
//! [`RingMessage`]s only.
//!
//! A publication's way:
//!
//! ```text
//! origin (browser's shard or CometQL shard)
//!    | Publish
//!    v
//! owner of the pipe: gives position and time ----- Accepted / Fanned ----> origin
//!    | Deliver, to exactly the shards with subscribers
//!    v
//! each such shard: joins all publications of the turn, one write per connection --- Delivered ---> origin
//! ```

mod conns;
mod departed;
mod fan_out;
mod owner;
mod pipes;
mod placement;
mod ring;
mod users;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{
    Answer, ApiError, CloseReason, ConnId, DevId, EventName, LastSeen, Marker, Now, PipeClass, PipeError, PipeKey,
    PipeName, Publication, ShardId, SubscriptionError, Time, UserId,
};
use crate::storage::{Completion, Job, Outcome, Read, Request, Ticket};

use conns::{Conns, Membership};
use departed::Departed;
use fan_out::Arrivals;
use owner::Owned;
use pipes::Pipes;
pub use placement::Placement;
pub use ring::{Answered, Ask, AskId, EndedUsers, InterestId, Level, Question, Replies, RingMessage, StatementId};
use users::Users;

/// What a hub must know of the server around it.
#[derive(Clone, Debug)]
pub struct HubConfig {
    pub shard: ShardId,
    pub placement: Placement,
    /// Pipes one connection may subscribe to; the names beyond are refused with an error each command.
    pub pipes_per_connection_max: usize,
    /// Pipes with subscribers on this shard; beyond, new names are refused.
    pub pipes_max: usize,
    /// Bytes of messages that may wait for [`Hub::end_turn`]; with more the hub is full.
    pub arrivals_bytes_max: usize,
    /// Whether the time of a user's last connection is stored when it closes.
    pub save_last_seen: bool,
    /// Users whose time may wait for storage; beyond, it is lost and counted.
    pub departed_max: usize,
}

/// What a browser's handshake said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub dev: DevId,
    pub user: UserId,
    /// Empty when the page gave none.
    pub key: Box<str>,
}

#[derive(Debug)]
pub enum Input {
    /// A browser finished its handshake. The first answer is always [`Answer::ServerInfo`].
    Connected {
        conn: ConnId,
        credentials: Credentials,
    },
    /// The connection is gone, whoever ended it.
    Disconnected {
        conn: ConnId,
    },
    /// The complete set of pipes that the connection wants from now on.
    Subscribe {
        conn: ConnId,
        pipes: Vec<PipeName>,
    },
    Publish {
        conn: ConnId,
        pipe: PipeName,
        event: EventName,
        message: Box<str>,
        hide_sender: bool,
    },
    CountPipe {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    ReadUserData {
        conn: ConnId,
        user: UserId,
        marker: Marker,
    },
    ReadUserStatus {
        conn: ConnId,
        user: UserId,
    },
    Ring {
        from: ShardId,
        message: RingMessage,
    },
    Stored(Completion),
    /// The server stops: all connections are about to end.
    Stopping,
}

#[derive(Debug)]
pub enum Output {
    Answer {
        conn: ConnId,
        answer: Answer,
    },
    /// All of these publications, in this order, in one write to each of these connections.
    FanOut {
        publications: Arc<[Arc<Publication>]>,
        conns: Vec<ConnId>,
    },
    Ring {
        to: ShardId,
        message: RingMessage,
    },
    /// The same, but only once every fan-out polled before it was handed to the sockets; `to` may be this shard.
    RingAfterFanOut {
        to: ShardId,
        message: RingMessage,
    },
    Store(Job),
    Close {
        conn: ConnId,
        reason: CloseReason,
    },
    /// The connection is not busy any more: its next command may come.
    Resume {
        conn: ConnId,
    },
}

/// What a connection waits for. It has at most one of these, so none of the maps below outgrows the connections.
#[derive(Debug)]
enum Waiting {
    /// `outdated`: a hash of the user was deleted since storage was asked, so it must be asked again.
    Login {
        conn: ConnId,
        user: UserId,
        key: Box<str>,
        outdated: bool,
    },
    UserData {
        conn: ConnId,
        user: UserId,
        marker: Marker,
    },
    Count {
        conn: ConnId,
        marker: Marker,
    },
    Online {
        conn: ConnId,
        user: UserId,
    },
    LastSeen {
        conn: ConnId,
        user: UserId,
    },
}

/// A delivery report that is not complete yet.
#[derive(Debug, Default)]
struct Report {
    /// Known once the owner has said to how many shards the publication went.
    fanned: Option<(Arc<Publication>, u16)>,
    shards_heard: u16,
    delivered: u32,
}

/// Bytes that a hub holds, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubMemory {
    pub connections: usize,
    pub pipes: usize,
    pub owned_pipes: usize,
    pub users: usize,
    pub waiting: usize,
    pub arrivals: usize,
}

/// What a hub counts; all since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Publications that this shard accepted as their pipes' owner.
    pub publications: u64,
    /// Publications handed to connections of this shard, counted once per connection.
    pub deliveries: u64,
    pub logins: u64,
    pub logins_refused: u64,
    pub names_refused: u64,
    /// Users whose time of leaving could not be kept for storage.
    pub last_seen_lost: u64,
}

pub struct Hub {
    config: HubConfig,
    conns: Conns,
    pipes: Pipes,
    owned: Owned,
    users: Users,
    departed: Departed,
    /// Who goes now was noted already, and who is here does not matter any more.
    stopping: bool,
    arrivals: Arrivals,
    reports: HashMap<ConnId, Report, RandomState>,
    waiting: HashMap<u64, Waiting, RandomState>,
    next_ticket: u64,
    /// Ring messages to this very shard: handled before `handle` returns.
    local: VecDeque<RingMessage>,
    outputs: VecDeque<Output>,
    counters: HubCounters,
}

impl Hub {
    pub fn new(config: HubConfig) -> Self {
        let (pipes, owned, hasher) = (Pipes::new(&config), Owned::new(&config), config.placement.hasher());
        let departed = Departed::new(config.departed_max, hasher.clone());
        Self {
            config,
            conns: Conns::default(),
            pipes,
            owned,
            users: Users::new(hasher.clone()),
            departed,
            stopping: false,
            arrivals: Arrivals::default(),
            reports: HashMap::with_hasher(hasher.clone()),
            waiting: HashMap::with_hasher(hasher),
            next_ticket: 0,
            local: VecDeque::new(),
            outputs: VecDeque::new(),
            counters: HubCounters::default(),
        }
    }

    /// Takes in one thing that happened. Never blocks; inputs for connections that are gone change nothing.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Connected { conn, credentials } => self.connected(conn, credentials),
            Input::Disconnected { conn } => self.disconnected(conn),
            Input::Subscribe { conn, pipes } => self.subscribe(conn, pipes),
            Input::Publish { conn, pipe, event, message, hide_sender } => {
                self.publish(conn, pipe, event, message, hide_sender);
            }
            Input::CountPipe { conn, pipe, marker } => self.count_pipe(conn, pipe, marker),
            Input::ReadUserData { conn, user, marker } => self.read_user_data(conn, user, marker),
            Input::ReadUserStatus { conn, user } => self.read_user_status(conn, user),
            Input::Ring { from, message } => self.ring(from, message, now),
            Input::Stored(completion) => self.stored(completion, now),
            Input::Stopping => self.stopping(now),
        }
        while let Some(message) = self.local.pop_front() {
            self.ring(self.config.shard, message, now);
        }
    }

    /// Forms the fan-outs of everything that arrived since the last call. The edge calls it when the fan-outs of the
    /// last call are out: that is how the publications of a busy moment get joined into one write per connection.
    pub fn end_turn(&mut self) {
        let delivered = self.arrivals.form(&self.pipes, &self.conns, self.config.shard, &mut self.outputs);
        for (publication, connections) in delivered {
            self.counters.deliveries += u64::from(connections);
            if let (true, Some((to, conn))) = (publication.report, publication.origin) {
                let message = RingMessage::Delivered { conn, connections };
                self.outputs.push_back(Output::RingAfterFanOut { to, message });
            }
        }
    }

    /// Hands storage the users who have gone, if some have and storage is ready for more. To be called at the end of
    /// every turn and at [`Hub::next_deadline`].
    pub fn store_departed(&mut self, now: Now) {
        if self.departed.next_deadline().is_some() {
            let ticket = self.draw_ticket();
            self.outputs.extend(self.departed.hand_over(ticket, now).map(Output::Store));
        }
    }

    /// When [`Hub::store_departed`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        self.departed.next_deadline()
    }

    /// What storage must still be handed when this hub ends; nobody hears the answer.
    pub fn last_job(&mut self) -> Option<Job> {
        let writes = self.departed.take_waiting();
        let ticket = self.draw_ticket();
        (!writes.is_empty()).then_some(Job { ticket, request: Request::Write(writes) })
    }

    /// Users who have gone and of whom storage does not know it yet.
    pub fn departed(&self) -> usize {
        self.departed.len()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the connection waits for an answer. Its next command must not come before [`Output::Resume`]: that
    /// keeps answers in the order of the commands.
    pub fn is_busy(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|entry| entry.busy)
    }

    /// Pipes that the connection is subscribed to. A further [`Input::Subscribe`] costs as many steps, and one for each
    /// name in it; up to as many ring messages.
    pub fn subscriptions(&self, conn: ConnId) -> usize {
        self.conns.memberships(conn).len()
    }

    /// Whether publications wait for [`Hub::end_turn`].
    pub fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Whether so much waits for [`Hub::end_turn`] that the edge should take in nothing that adds to it: publications
    /// come faster than they leave. What is handed in all the same is kept.
    pub fn is_full(&self) -> bool {
        self.arrivals.message_bytes() >= self.config.arrivals_bytes_max
    }

    pub fn counters(&self) -> HubCounters {
        HubCounters { last_seen_lost: self.departed.lost(), ..self.counters }
    }

    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    pub fn memory(&self) -> HubMemory {
        HubMemory {
            connections: self.conns.bytes(),
            pipes: self.pipes.bytes(),
            owned_pipes: self.owned.pipe_bytes(),
            users: self.owned.user_bytes() + self.users.bytes() + self.departed.bytes(),
            waiting: self.waiting.capacity() * size_of::<(u64, Waiting)>()
                + self.reports.capacity() * size_of::<(ConnId, Report)>(),
            arrivals: self.arrivals.bytes(),
        }
    }

    // Connections

    fn connected(&mut self, conn: ConnId, credentials: Credentials) {
        let Credentials { dev, user, key } = credentials;
        self.conns.insert(conn, dev);
        if user.is_anonymous() || key.is_empty() {
            self.answer(conn, Answer::ServerInfo { authorised: false, key: "".into() });
            return;
        }
        self.check_login(conn, user, key);
    }

    fn check_login(&mut self, conn: ConnId, user: UserId, key: Box<str>) {
        let Some(dev) = self.conns.get(conn).map(|entry| entry.dev) else { return };
        let ticket = self.wait(conn, Waiting::Login { conn, user, key, outdated: false });
        self.store(ticket, Read::Hashes { dev, users: vec![user] });
    }

    fn disconnected(&mut self, conn: ConnId) {
        let Some(gone) = self.conns.remove(conn) else { return };
        for membership in gone.memberships() {
            self.leave(*membership);
        }
        self.reports.remove(&conn);
        if !gone.user.is_anonymous() {
            self.users.went(gone.dev, gone.user, conn);
            if !self.stopping {
                self.tell_owner_of_user(gone.dev, gone.user, false);
            }
        }
    }

    /// Everybody goes at once. That is noted here and now, and not by the owners: what is still on its way to them when
    /// the time for stopping is over would be lost. A user who was on several shards is noted by each.
    fn stopping(&mut self, now: Now) {
        self.stopping = true;
        if self.config.save_last_seen {
            for (dev, user) in self.users.all() {
                self.departed.add(dev, user, now.unix);
            }
        }
    }

    fn login_checked(&mut self, conn: ConnId, user: UserId, key: Box<str>, stored: Option<&str>) {
        let Some(dev) = self.conns.get(conn).map(|entry| entry.dev) else { return };
        let authorised = stored.is_some_and(|hash| !hash.is_empty() && same_secret(hash, &key));
        if authorised {
            self.counters.logins += 1;
            self.conns.authorise(conn, user);
            self.users.came(dev, user, conn);
            self.tell_owner_of_user(dev, user, true);
        } else {
            self.counters.logins_refused += 1;
        }
        self.answer(conn, Answer::ServerInfo { authorised, key: if authorised { key } else { "".into() } });
        self.resume(conn);
    }

    // Commands

    fn subscribe(&mut self, conn: ConnId, names: Vec<PipeName>) {
        let Some(entry) = self.conns.get(conn) else { return };
        let (dev, anonymous) = (entry.dev, entry.user.is_anonymous());
        let mut wanted: Vec<PipeName> = Vec::with_capacity(names.len().min(self.config.pipes_per_connection_max));
        let mut refused = None;
        for name in names {
            if name.class() == PipeClass::Private && anonymous {
                self.counters.names_refused += 1;
            } else if wanted.len() >= self.config.pipes_per_connection_max {
                self.counters.names_refused += 1;
                refused = Some(SubscriptionError::TooManyPipes);
            } else {
                wanted.push(name);
            }
        }
        wanted.sort_unstable();
        wanted.dedup();

        // Both lists are sorted by name: one pass over them tells what stays, what goes and what comes.
        let mut held = self.conns.memberships(conn).to_vec();
        held.sort_unstable_by(|left, right| self.pipes.key(left.pipe).name.cmp(&self.pipes.key(right.pipe).name));
        let mut held = held.into_iter().peekable();
        let mut memberships = Vec::with_capacity(wanted.len());
        let mut coming = Vec::new();
        for name in wanted {
            while let Some(gone) = held.next_if(|membership| self.pipes.key(membership.pipe).name < name) {
                self.leave(gone);
            }
            match held.next_if(|membership| self.pipes.key(membership.pipe).name == name) {
                Some(kept) => memberships.push(kept),
                None => coming.push(name),
            }
        }
        held.for_each(|gone| self.leave(gone));
        // After all leaving: a shard at its limit may exchange one pipe for another.
        for name in coming {
            let Some((membership, interest)) = self.pipes.join(PipeKey { dev, name }, conn.index) else {
                self.counters.names_refused += 1;
                refused = Some(SubscriptionError::TooManyPipes);
                continue;
            };
            memberships.push(membership);
            self.tell_interest(interest);
        }
        self.conns.replace(conn, memberships);
        if let Some(error) = refused {
            self.answer(conn, Answer::Error(ApiError::Subscription(error)));
        }
    }

    fn publish(&mut self, conn: ConnId, pipe: PipeName, event: EventName, message: Box<str>, hide_sender: bool) {
        let Some(entry) = self.conns.get(conn) else { return };
        let (dev, user) = (entry.dev, entry.user);
        let refused = match pipe.class() {
            PipeClass::WebAuthorised if hide_sender => Some(PipeError::WrongClass),
            PipeClass::WebAuthorised if user.is_anonymous() => Some(PipeError::NeedsAuthorisation),
            PipeClass::Web | PipeClass::WebAuthorised => None,
            _ => Some(PipeError::WrongClass),
        };
        if let Some(error) = refused {
            self.answer(conn, Answer::Error(ApiError::Pipe(error)));
            return;
        }
        let mut publication = Publication::new(Arc::new(PipeKey { dev, name: pipe }), event, message);
        publication.sender = Some(if hide_sender { UserId::ANONYMOUS } else { user });
        publication.origin = Some((self.config.shard, conn));
        publication.report = true;
        self.conns.set_busy(conn, true);
        self.reports.insert(conn, Report::default());
        let to = self.config.placement.owner_of_pipe(&publication.pipe);
        self.send(to, RingMessage::Publish { publication: Box::new(publication), statement: None });
    }

    fn count_pipe(&mut self, conn: ConnId, pipe: PipeName, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        let key = PipeKey { dev: entry.dev, name: pipe };
        if !matches!(key.name.class(), PipeClass::Web | PipeClass::Track) {
            self.answer(conn, Answer::Error(ApiError::Pipe(PipeError::WrongClass)));
            return;
        }
        let to = self.config.placement.owner_of_pipe(&key);
        let Ticket(ask) = self.wait(conn, Waiting::Count { conn, marker });
        let ask = Ask { id: AskId(ask), question: Question::PipeCounts(vec![key]) };
        self.send(to, RingMessage::Ask(Box::new(ask)));
    }

    fn read_user_data(&mut self, conn: ConnId, user: UserId, marker: Marker) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        let ticket = self.wait(conn, Waiting::UserData { conn, user, marker });
        self.store(ticket, Read::UserData { dev, users: vec![user] });
    }

    /// The owner knows who is here; only for the others storage is asked.
    fn read_user_status(&mut self, conn: ConnId, user: UserId) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        let to = self.config.placement.owner_of_user(dev, user);
        let Ticket(ask) = self.wait(conn, Waiting::Online { conn, user });
        let ask = Ask { id: AskId(ask), question: Question::Online(dev, vec![user]) };
        self.send(to, RingMessage::Ask(Box::new(ask)));
    }

    fn online_known(&mut self, conn: ConnId, user: UserId, online: bool) {
        let Some(entry) = self.conns.get(conn) else { return };
        let dev = entry.dev;
        if online {
            self.answer(conn, Answer::UserStatus { user, last_seen: LastSeen::Online });
            return self.resume(conn);
        }
        let ticket = self.wait(conn, Waiting::LastSeen { conn, user });
        self.store(ticket, Read::LastSeen { dev, users: vec![user] });
    }

    // What comes from elsewhere

    fn ring(&mut self, from: ShardId, message: RingMessage, now: Now) {
        match message {
            RingMessage::Publish { publication, statement } => {
                self.counters.publications += 1;
                let publication = self.owned.accept(publication, now.unix);
                let mut shards = 0;
                for (shard, interest) in self.owned.interested_shards(&publication.pipe) {
                    shards += 1;
                    let message = RingMessage::Deliver { publication: publication.clone(), interest };
                    send(&self.config, &mut self.local, &mut self.outputs, shard, message);
                }
                if let Some(statement) = statement {
                    self.send(from, RingMessage::Accepted { statement });
                }
                if let (true, Some((origin, conn))) = (publication.report, publication.origin) {
                    self.send(origin, RingMessage::Fanned { conn, publication, shards });
                }
            }
            RingMessage::Interest { pipe, subscribers, interest } => {
                self.owned.interest(&pipe, from, subscribers, interest);
            }
            RingMessage::UserCame { dev, user } => self.owned.user_came(dev, user),
            RingMessage::UserWent { dev, user } => {
                let last = self.owned.user_went(dev, user);
                if last && self.config.save_last_seen {
                    self.departed.add(dev, user, now.unix);
                }
            }
            RingMessage::EndUsers(ended) => {
                let reason = CloseReason::HashDeleted;
                let conns = ended.users().iter().flat_map(|user| self.users.connections(ended.dev, *user));
                self.outputs.extend(conns.map(|conn| Output::Close { conn, reason }));
                for waiting in self.waiting.values_mut() {
                    if let Waiting::Login { conn, user, outdated, .. } = waiting
                        && ended.contains(*user)
                        && self.conns.get(*conn).is_some_and(|entry| entry.dev == ended.dev)
                    {
                        *outdated = true;
                    }
                }
            }
            RingMessage::Ask(ask) => {
                let replies = match ask.question {
                    Question::PipeCounts(keys) => {
                        Replies::Counts(keys.iter().map(|key| self.owned.subscribers(key)).collect())
                    }
                    Question::Online(dev, users) => {
                        Replies::Online(users.iter().map(|user| self.owned.is_online(dev, *user)).collect())
                    }
                };
                self.send(from, RingMessage::Answered(Box::new(Answered { id: ask.id, replies })));
            }
            RingMessage::Deliver { publication, interest } => {
                if self.pipes.find(&publication.pipe, interest).is_some() {
                    self.arrivals.push(interest, publication);
                } else if let (true, Some((to, conn))) = (publication.report, publication.origin) {
                    // The last subscriber left while the publication was on its way.
                    self.send(to, RingMessage::Delivered { conn, connections: 0 });
                }
            }
            RingMessage::Fanned { conn, publication, shards } => {
                if let Some(report) = self.reports.get_mut(&conn) {
                    report.fanned = Some((publication, shards));
                    self.finish_report(conn);
                }
            }
            RingMessage::Delivered { conn, connections } => {
                if let Some(report) = self.reports.get_mut(&conn) {
                    report.shards_heard += 1;
                    report.delivered += connections;
                    self.finish_report(conn);
                }
            }
            RingMessage::Answered(answered) => match (self.waiting.remove(&answered.id.0), answered.replies) {
                (Some(Waiting::Count { conn, marker }), Replies::Counts(counts)) => {
                    let count = counts.first().copied().unwrap_or(0);
                    self.answer(conn, Answer::PipeCount { marker, count });
                    self.resume(conn);
                }
                (Some(Waiting::Online { conn, user }), Replies::Online(online)) => {
                    self.online_known(conn, user, online.first().copied().unwrap_or(false));
                }
                _ => {}
            },
            // Only the CometQL shard publishes for statements.
            RingMessage::Accepted { .. } => {}
        }
    }

    fn stored(&mut self, completion: Completion, now: Now) {
        if self.departed.answered(completion.ticket, completion.result.is_ok(), now) {
            return;
        }
        let Some(waiting) = self.waiting.remove(&completion.ticket.0) else { return };
        match (waiting, completion.result) {
            (Waiting::Login { conn, user, key, outdated: true }, Ok(_)) => self.check_login(conn, user, key),
            (Waiting::Login { conn, user, key, .. }, Ok(Outcome::Texts(rows))) => {
                self.login_checked(conn, user, key, rows.first().map(|(_, hash)| &**hash));
            }
            // No answer from storage is never a login; a drop makes the browser come back and ask again.
            (Waiting::Login { conn, .. }, _) => {
                self.outputs.push_back(Output::Close { conn, reason: CloseReason::StorageUnavailable });
            }
            (Waiting::UserData { conn, user, marker }, Ok(Outcome::Texts(mut rows))) => {
                let data = rows.pop().map(|(_, data)| data).unwrap_or_default();
                self.answer(conn, Answer::UserData { marker, user: user.get(), data });
                self.resume(conn);
            }
            (Waiting::LastSeen { conn, user }, Ok(Outcome::Times(rows))) => {
                // A stored 0 is what a crash left behind: nobody knows.
                let seen = rows.first().filter(|(_, time)| *time > 0);
                let ago = |time: i64| now.unix.0.saturating_sub(time).clamp(0, u32::MAX.into()) as u32;
                let last_seen = seen.map_or(LastSeen::Unknown, |(_, time)| LastSeen::SecondsAgo(ago(*time)));
                self.answer(conn, Answer::UserStatus { user, last_seen });
                self.resume(conn);
            }
            // The answer has no form for a failure, and the question may be asked again.
            (Waiting::LastSeen { conn, .. } | Waiting::Online { conn, .. }, _) => self.resume(conn),
            (Waiting::UserData { conn, marker, .. } | Waiting::Count { conn, marker }, _) => {
                self.answer(conn, Answer::Error(ApiError::Unavailable { marker }));
                self.resume(conn);
            }
        }
    }

    // Helpers

    fn finish_report(&mut self, conn: ConnId) {
        let complete = |report: &mut Report| {
            let (_, shards) = report.fanned.as_ref()?;
            (report.shards_heard == *shards).then(|| report.fanned.take())?
        };
        let Some(report) = self.reports.get_mut(&conn) else { return };
        let Some((publication, _)) = complete(report) else { return };
        let delivered = report.delivered;
        self.reports.remove(&conn);
        let (pipe, message) = (publication.pipe.name.clone(), publication.message.clone());
        self.answer(conn, Answer::DeliveryReport { pipe, message, delivered });
        self.resume(conn);
    }

    fn answer(&mut self, conn: ConnId, answer: Answer) {
        if self.conns.get(conn).is_some() {
            self.outputs.push_back(Output::Answer { conn, answer });
        }
    }

    fn resume(&mut self, conn: ConnId) {
        if self.conns.set_busy(conn, false) {
            self.outputs.push_back(Output::Resume { conn });
        }
    }

    fn wait(&mut self, conn: ConnId, waiting: Waiting) -> Ticket {
        self.conns.set_busy(conn, true);
        let ticket = self.draw_ticket();
        self.waiting.insert(ticket.0, waiting);
        ticket
    }

    fn draw_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn store(&mut self, ticket: Ticket, read: Read) {
        self.outputs.push_back(Output::Store(Job { ticket, request: Request::Read { read, bytes_max: ONE_ROW } }));
    }

    fn leave(&mut self, membership: Membership) {
        let interest = self.pipes.leave(membership, &mut self.conns);
        self.tell_interest(interest);
    }

    fn tell_interest(&mut self, interest: pipes::Interest) {
        let pipes::Interest { key: pipe, subscribers, id: interest } = interest;
        let to = self.config.placement.owner_of_pipe(&pipe);
        self.send(to, RingMessage::Interest { pipe, subscribers, interest });
    }

    fn tell_owner_of_user(&mut self, dev: DevId, user: UserId, came: bool) {
        let to = self.config.placement.owner_of_user(dev, user);
        let message = if came { RingMessage::UserCame { dev, user } } else { RingMessage::UserWent { dev, user } };
        self.send(to, message);
    }

    fn send(&mut self, to: ShardId, message: RingMessage) {
        send(&self.config, &mut self.local, &mut self.outputs, to, message);
    }
}

fn send(
    config: &HubConfig,
    local: &mut VecDeque<RingMessage>,
    outputs: &mut VecDeque<Output>,
    to: ShardId,
    message: RingMessage,
) {
    if to == config.shard {
        local.push_back(message);
    } else {
        outputs.push_back(Output::Ring { to, message });
    }
}

/// A hub reads single rows only, and what one may weigh was settled when it was written.
const ONE_ROW: usize = usize::MAX;

/// Compares two secrets in time that depends on their lengths only.
fn same_secret(left: &str, right: &str) -> bool {
    use subtle::ConstantTimeEq;
    left.as_bytes().ct_eq(right.as_bytes()).into()
}
