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

mod config;
mod counters;
mod few;
mod given_out;
mod input;
mod local;
mod output;
mod owned;
mod stored;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{
    Answer, ApiError, CloseReason, ConnId, DevId, EventName, Marker, MessageId, Now, PipeClass, PipeError, PipeKey,
    PipeName, Position, Publication, PublicationKind, ShardId, Time, UserId,
};
use crate::ring::{Answered, Flush, Question, Replies, RingMessage, StatementId};
use crate::storage::{Job, Request, Ticket};

pub use config::HubConfig;
pub use counters::{HubCounters, HubMemory};
pub use given_out::GivenOut;
pub use input::{Credentials, Input};
use local::conns::Conns;
use local::details::AllDetails;
pub use local::details::Details;
use local::fan_out::{Arrivals, NEWCOMERS_BYTES_PER_ROUND};
use local::interests::Interests;
use local::login::{Login, Tokens};
use local::pipes::Pipes;
use local::report::{Fanned, Report};
use local::users::Users;
use local::watch::Watch;
pub use local::watch::{TOP_MAX, Top, Tops};
pub use output::{Output, Subscribed};
use owned::departed::Departed;
use owned::guesses::Guesses;
use owned::limits::Counts;
pub use owned::limits::Limits;
use owned::pace::Pace;
use owned::pipes::Owned;
use owned::recovering::Recovering;
use owned::recovery::Missing;
use owned::users::Mailboxes;

/// What storage or other shards were asked for. A connection waits for one thing at a time, a user's owner reads one
/// queue at a time, and the others are as many as statements are under way.
#[derive(Debug)]
enum Waiting {
    /// For the owner of its address, whether its key may be tried.
    Key(Login),
    Login(Login),
    /// For a user that this shard owns.
    Queue {
        dev: DevId,
        user: UserId,
    },
    Queued {
        dev: DevId,
        user: UserId,
        sender: (ShardId, StatementId),
    },
    TakenOff {
        dev: DevId,
        user: UserId,
        ids: Vec<MessageId>,
    },
    Kept(Box<Kept>),
    Missed(Box<Missing>),
    Length {
        pipe: PipeKey,
        length: Option<u32>,
        sender: (ShardId, StatementId),
    },
    History {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    HasHistory {
        conn: ConnId,
        pipe: PipeName,
        marker: Marker,
    },
    TrackUsers(Box<TrackUsers>),
    TrackPage {
        conn: ConnId,
        marker: Marker,
        shard: ShardId,
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

/// A publication on its way into the history, and who waits for that.
#[derive(Debug)]
struct Kept {
    /// Of one that storage was handed.
    pipe: Option<Arc<PipeKey>>,
    position: Position,
    statement: Option<(ShardId, StatementId)>,
    /// The publishing browser's shard and connection, and the shards that got it.
    report: Option<(ShardId, ConnId, Arc<Publication>, u16)>,
}

/// An answer that shards are still adding to.
#[derive(Debug)]
struct TrackUsers {
    conn: ConnId,
    pipe: PipeName,
    marker: Marker,
    subscribers: Vec<(UserId, Box<str>)>,
    shards_left: u16,
}

pub struct Hub {
    config: HubConfig,
    conns: Conns,
    pipes: Pipes,
    owned: Owned,
    users: Users,
    details: AllDetails,
    tokens: Tokens,
    mailboxes: Mailboxes,
    counts: Counts,
    pace: Pace,
    recovering: Recovering,
    guesses: Guesses,
    departed: Departed,
    /// Who goes now was noted already, and who is here does not matter any more.
    stopping: bool,
    arrivals: Arrivals,
    /// In how many pipes a connection is a newcomer still.
    expected: HashMap<ConnId, usize, RandomState>,
    reports: HashMap<ConnId, Report, RandomState>,
    /// New subscribers that wait for what they missed, by the tickets of their readings; `None`: one that has to wait.
    missing: HashMap<(ShardId, ConnId), Option<u64>, RandomState>,
    waiting: HashMap<u64, Waiting, RandomState>,
    next_ticket: u64,
    /// Ring messages to this very shard: handled before `handle` returns.
    local: VecDeque<RingMessage>,
    outputs: VecDeque<Output>,
    interests: Interests,
    /// Of what the last rounds of fan-outs hold.
    formed: Vec<Position>,
    /// While somebody looks.
    watch: Option<Box<Watch>>,
    counters: HubCounters,
}

impl Hub {
    pub fn new(config: HubConfig) -> Self {
        let (pipes, owned, hasher) = (Pipes::new(&config), Owned::new(&config), config.placement.hasher());
        let departed = Departed::new(config.departed_max, hasher.clone());
        let counts = Counts::new(&config.limits, hasher.clone());
        let guesses = Guesses::new(config.limits.key_attempts_max, &hasher);
        Self {
            config,
            conns: Conns::default(),
            pipes,
            owned,
            users: Users::new(hasher.clone()),
            details: AllDetails::new(hasher.clone()),
            tokens: Tokens::new(hasher.clone()),
            mailboxes: Mailboxes::new(hasher.clone()),
            counts,
            pace: Pace::new(hasher.clone()),
            recovering: Recovering::default(),
            guesses,
            departed,
            stopping: false,
            arrivals: Arrivals::default(),
            expected: HashMap::with_hasher(hasher.clone()),
            reports: HashMap::with_hasher(hasher.clone()),
            missing: HashMap::with_hasher(hasher.clone()),
            waiting: HashMap::with_hasher(hasher),
            next_ticket: 0,
            local: VecDeque::new(),
            outputs: VecDeque::new(),
            interests: Interests::default(),
            formed: Vec::new(),
            watch: None,
            counters: HubCounters::default(),
        }
    }

    /// Takes in one thing that happened. Never blocks; inputs for connections that are gone change nothing.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Admit { conn, address } => self.ask_admission(conn, address),
            Input::Release { address } => self.release(address),
            Input::Connected { conn, credentials } => self.connected(conn, credentials, now),
            Input::Disconnected { conn } => self.disconnected(conn),
            Input::Subscribe { conn, pipes } => self.subscribe(conn, pipes),
            Input::Resubscribe { conn, pipes } => self.resubscribe(conn, pipes),
            Input::Publish { conn, pipe, event, message, hide_sender } => {
                self.publish(conn, pipe, event, message, hide_sender);
            }
            Input::CountPipe { conn, pipe, marker } => self.count_pipe(conn, pipe, marker),
            Input::ReadUserData { conn, user, marker } => self.read_user_data(conn, user, marker),
            Input::ReadUserStatus { conn, user } => self.read_user_status(conn, user),
            Input::ReadHistory { conn, pipe, marker } => self.read_history(conn, pipe, marker),
            Input::ListTrackUsers { conn, pipe, marker } => self.list_track_users(conn, pipe, marker),
            Input::PageTrackUsers { conn, pipe, marker, cursor } => self.page_track_users(conn, pipe, marker, cursor),
            Input::QueueWritten { flush, to, taken } => self.send(to, RingMessage::Flushed { flush, taken }),
            Input::PersonalWritten { ask, to, connections } => {
                self.send(to, RingMessage::PersonalTaken { ask, connections });
            }
            Input::Begin(beginning) => self.owned.begin(*beginning),
            Input::Ring { from, message } => self.ring(from, message, now),
            Input::Stored(completion) => self.stored(completion, now),
            Input::Announce { publication } => self.publish_owned(publication, None, now),
            Input::Stopping => self.stopping(now),
        }
        self.handle_local(now);
    }

    fn handle_local(&mut self, now: Now) {
        while let Some(message) = self.local.pop_front() {
            self.ring(self.config.shard, message, now);
        }
    }

    /// Forms the fan-outs of everything that arrived since the last call. The edge calls it when the fan-outs of the
    /// last call are out: that is how the publications of a busy moment get joined into one write per connection. Returns
    /// about how many bytes newcomers were given; when they are many, the rest waits for the next call.
    pub fn end_turn(&mut self) -> usize {
        let mut given = 0;
        while given < NEWCOMERS_BYTES_PER_ROUND
            && let Some(newcomer) = self.arrivals.pop_newcomer()
        {
            given += newcomer.bytes();
            self.admit(newcomer);
        }
        let delivered = self.arrivals.form(&self.pipes, &self.conns, self.config.shard, &mut self.outputs);
        for (publication, connections) in delivered {
            if publication.kind == PublicationKind::Figures {
                continue;
            }
            self.counters.deliveries += u64::from(connections);
            if connections > 0 && self.formed.len() < FORMED_MAX {
                self.formed.push(publication.position);
            }
            if let (true, Some((to, conn))) = (publication.report, publication.origin) {
                let message = RingMessage::Delivered { conn, connections };
                self.outputs.push_back(Output::RingAfterFanOut { to, message });
            }
        }
        given
    }

    /// The positions of what the fan-outs formed since the last call hold, so that the edge can say how long it took.
    pub fn formed(&mut self) -> impl Iterator<Item = Position> {
        self.formed.drain(..)
    }

    /// Does what has its time: closes connections whose tokens have expired, and hands storage the users who have gone, if
    /// some have and storage is ready for more. To be called at the end of every turn and at [`Hub::next_deadline`].
    pub fn time_passed(&mut self, now: Now) {
        self.end_expired(now);
        self.retry_queues(now);
        if self.departed.next_deadline().is_some() {
            let ticket = self.draw_ticket();
            self.outputs.extend(self.departed.hand_over(ticket, now).map(Output::Store));
        }
    }

    /// When [`Hub::time_passed`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        [self.departed.next_deadline(), self.tokens.due(), self.mailboxes.next_deadline()].into_iter().flatten().min()
    }

    /// Connections that this shard counts by their addresses.
    #[cfg(test)]
    pub fn counted_connections(&self) -> usize {
        self.counts.connections()
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
        self.outputs.pop_front().or_else(|| self.interests.pop())
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

    /// Whether publications or new subscribers wait for [`Hub::end_turn`].
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
            connections: self.conns.bytes() + self.details.bytes() + self.tokens.bytes(),
            pipes: self.pipes.bytes(),
            owned_pipes: self.owned.bytes(),
            users: self.mailboxes.bytes()
                + self.users.bytes()
                + self.departed.bytes()
                + self.counts.bytes()
                + self.pace.bytes()
                + self.guesses.bytes(),
            waiting: self.waiting.capacity() * size_of::<(u64, Waiting)>()
                + self.missing.capacity() * size_of::<((ShardId, ConnId), Option<u64>)>()
                + self.reports.capacity() * size_of::<(ConnId, Report)>()
                + self.recovering.bytes()
                + self.expected.capacity() * size_of::<(ConnId, usize)>(),
            arrivals: self.arrivals.bytes(),
        }
    }

    // Connections

    fn disconnected(&mut self, conn: ConnId) {
        let Some(gone) = self.conns.remove(conn) else { return };
        self.reports.remove(&conn);
        self.tokens.remove(conn);
        if !gone.user.is_anonymous() {
            let (dev, user) = (gone.dev, gone.user);
            self.users.went(dev, user, conn);
            if !self.stopping {
                let to = self.config.placement.owner_of_user(dev, user);
                self.send(to, RingMessage::UserWent { dev, user, conn });
            }
        }
        for membership in gone.memberships() {
            self.leave(conn, gone.user, *membership);
        }
        self.give_up(conn);
        if let Some(address) = self.details.get(conn.index).map(|detail| self.details.address(detail)) {
            self.release(address);
        }
        self.details.remove(conn);
    }

    /// Everybody goes at once. That is noted here and now, and not by the owners: what is still on its way to them when
    /// the time for stopping is over would be lost. A user who was on several shards is noted by each.
    fn stopping(&mut self, now: Now) {
        self.stopping = true;
        if self.config.save_last_seen {
            for (dev, user, since) in self.mailboxes.leaving.all() {
                self.departed.add(dev, user, since);
            }
            for (dev, user) in self.users.all() {
                self.departed.add(dev, user, now.unix);
            }
        }
    }

    // Commands

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
        self.submit(conn, user, Box::new(publication));
    }

    // What comes from elsewhere

    fn ring(&mut self, from: ShardId, message: RingMessage, now: Now) {
        match message {
            RingMessage::Publish { publication, statement } => {
                self.count_publication(&publication);
                match statement {
                    Some(statement) => self.publish_owned(publication, Some((from, statement)), now),
                    None => self.paced(publication, now),
                }
            }
            RingMessage::Submit(submit) => self.submitted(from, *submit, now),
            RingMessage::Admit { address, conn } => self.decide_admission(from, conn, address, now),
            RingMessage::AddressLeft { address } => self.address_left(address),
            RingMessage::Announce { publication } => {
                self.count_publication(&publication);
                self.paced(publication, now);
            }
            RingMessage::Count { publisher } => self.count(publisher, now),
            RingMessage::Interest { pipe, subscribers, interest } => {
                self.owned.interest(&pipe, from, subscribers, interest);
                self.note_comer(&pipe);
            }
            RingMessage::Interests(interests) => {
                for (pipe, subscribers, interest) in interests {
                    self.owned.interest(&pipe, from, subscribers, interest);
                    self.note_comer(&pipe);
                }
            }
            RingMessage::Recover(recover) => self.recover(from, *recover, now),
            RingMessage::StopRecovering { conn } => self.stop_recovering(from, conn),
            RingMessage::SetLength(set) => self.set_length(from, *set, now),
            RingMessage::UserCame { dev, user, conn } => self.user_came(dev, user, from, conn),
            RingMessage::UserWent { dev, user, conn } => self.user_went(dev, user, from, conn, now),
            RingMessage::Send(send) => self.send_personal(from, *send, now),
            RingMessage::EndUsers(ended) => self.end_users(&ended),
            RingMessage::EndToken { dev, token } => self.end_token(dev, &token),
            RingMessage::Ask(ask) => {
                let replies = match ask.question {
                    Question::PipeCounts(keys) => {
                        Replies::Counts(keys.iter().map(|key| self.owned.subscribers(key)).collect())
                    }
                    Question::HasHistory(pipe) => Replies::HasHistory(self.owned.may_have_history(&pipe)),
                    Question::Online(dev, users) => {
                        Replies::Online(users.iter().map(|user| self.mailboxes.is_online(dev, *user)).collect())
                    }
                    Question::Members { pipe, before, rows } => self.members(&pipe, before, rows),
                    Question::Connections { dev, after, rows } => self.list_connections(dev, after, rows),
                    Question::Kill { dev, conn } => {
                        let found = self.conns.get(conn).is_some_and(|entry| entry.dev == dev);
                        if found {
                            self.outputs.push_back(Output::Close { conn, reason: CloseReason::Killed });
                        }
                        Replies::Killed(found)
                    }
                };
                self.send(from, RingMessage::Answered(Box::new(Answered { id: ask.id, replies })));
            }
            RingMessage::Deliver { publication, interest } => {
                if let Some(pipe) = self.pipes.find(&publication.pipe, interest) {
                    self.pipes.keep(pipe, &publication);
                    self.arrivals.push(interest, publication);
                } else if let (true, Some((to, conn))) = (publication.report, publication.origin) {
                    // The last subscriber left while the publication was on its way.
                    self.send(to, RingMessage::Delivered { conn, connections: 0 });
                }
            }
            RingMessage::Recovered(recovered) => recovered.into_iter().for_each(|one| self.recovered(one)),
            RingMessage::Personal { dev, user, personal, ask } => {
                let conns: Vec<ConnId> = self.users.registered(dev, user).collect();
                if conns.is_empty() {
                    self.send(from, RingMessage::PersonalTaken { ask, connections: 0 });
                } else {
                    self.outputs.push_back(Output::Personal { personal, conns, ask, to: from });
                }
            }
            RingMessage::Flush(flush) => self.flush(from, flush),
            RingMessage::PersonalTaken { ask, connections } => self.personal_taken(ask, connections),
            RingMessage::Flushed { flush, taken } => self.flushed(from, *flush, taken),
            RingMessage::Fanned { conn, publication, shards, stored } => {
                self.fanned(conn, Fanned { publication, shards, stored });
            }
            RingMessage::Delivered { conn, connections } => self.delivered(conn, connections),
            RingMessage::KeyTried(tried) => self.key_tried(&tried, now),
            RingMessage::AskKey(ask) => self.key_asked(from, &ask, now),
            RingMessage::KeyAnswer { id, may_be_tried } => self.key_answered(id, may_be_tried),
            RingMessage::Wary { address } => self.guesses.watch(address, now.time),
            RingMessage::Admitted { address, conn, wait_s } => {
                self.outputs.push_back(Output::Admitted { conn, address, wait_s });
            }
            RingMessage::NotPublished { conn, wait_ms } => self.not_published(conn, wait_ms),
            RingMessage::Answered(answered) => match (self.waiting.remove(&answered.id.0), answered.replies) {
                (Some(Waiting::Count { conn, marker }), Replies::Counts(counts)) => {
                    let count = counts.first().copied().unwrap_or(0);
                    self.answer(conn, Answer::PipeCount { marker, count });
                    self.resume(conn);
                }
                (Some(Waiting::HasHistory { conn, pipe, marker }), Replies::HasHistory(has_history)) => {
                    self.history_looked_for(conn, pipe, marker, has_history);
                }
                (Some(Waiting::Online { conn, user }), Replies::Online(online)) => {
                    self.online_known(conn, user, online.first().copied().unwrap_or(false));
                }
                (Some(Waiting::TrackUsers(list)), Replies::Members { members, .. }) => {
                    self.track_users_known(answered.id.0, list, members);
                }
                (Some(Waiting::TrackPage { conn, marker, shard }), Replies::Members { members, next }) => {
                    self.track_page_known(conn, marker, shard, members, next);
                }
                _ => {}
            },
            // Only the CometQL shard publishes for statements; polls and batches are the edge's.
            RingMessage::Accepted { .. }
            | RingMessage::Refused { .. }
            | RingMessage::Poll(_)
            | RingMessage::Polled(_)
            | RingMessage::Batch(_)
            | RingMessage::BatchDone(_) => {}
        }
    }

    // Helpers

    /// A part of the queue of one of this shard's users.
    fn flush(&mut self, from: ShardId, flush: Box<Flush>) {
        let here = self.conns.get(flush.conn).is_some();
        if let Some(reason) = flush.end {
            self.outputs.extend(here.then_some(Output::Close { conn: flush.conn, reason }));
            return;
        }
        if here && flush.register {
            self.users.register(flush.dev, flush.user, flush.conn);
        }
        match (flush.messages.is_empty(), here) {
            (true, _) => {}
            (false, true) => self.outputs.push_back(Output::Queue { flush, to: from }),
            (false, false) => self.send(from, RingMessage::Flushed { flush, taken: false }),
        }
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

/// Positions that wait for [`Hub::formed`]; those of further publications are left out.
const FORMED_MAX: usize = 4096;
