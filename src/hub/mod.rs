//! The hub: what one connection shard knows and decides. Subscriptions of its own connections, the pipes and users it
//! owns, and the fan-outs of a turn.
//!
//! It lacks sockets, threads and clocks: the edge hands in [`Input`]s with the time, and carries out what
//! [`Hub::poll_output`] returns. Every shard has one; they speak to each other and to the CometQL shard in
//! [`RingMessage`]s only.
//!
//! It has two wings, which know nothing of each other: `local`, its own connections, and `owned`, what it owns for all
//! shards. Each gets the [`Effects`] that it may have on the world. What is said here is who hears of what.
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
mod effects;
mod few;
mod given_out;
mod input;
mod interests;
mod local;
mod messages;
mod output;
mod owned;
mod readings;
mod tops;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{ConnId, DevId, Now, PipeKey, Position, Time, UnixTime};
use crate::ring::RingMessage;
use crate::storage::{Completion, Job};

pub use config::HubConfig;
pub use counters::{HubCounters, HubMemory};
use effects::{Asker, Effects};
pub use given_out::GivenOut;
pub use input::{Credentials, Input};
pub use local::Details;
use local::{BrowserMessage, Local};
pub use output::{Output, Subscribed};
pub use owned::Limits;
use owned::Owned;
use readings::Reading;
pub use tops::{TOP_MAX, Top, Tops};

pub struct Hub {
    config: Arc<HubConfig>,
    local: Local,
    owned: Owned,
    effects: Effects,
}

impl Hub {
    pub fn new(config: HubConfig) -> Self {
        let config = Arc::new(config);
        Self {
            local: Local::new(config.clone()),
            owned: Owned::new(config.clone()),
            effects: Effects::new(config.shard),
            config,
        }
    }

    /// Takes in one thing that happened. Never blocks; inputs for connections that are gone change nothing.
    pub fn handle(&mut self, input: Input, now: Now) {
        let Self { local, owned, effects, .. } = self;
        match input {
            Input::Admit { conn, address } => local.ask_admission(conn, address, effects),
            Input::Release { address } => local.release(address, effects),
            Input::Connected { conn, credentials } => local.connected(conn, credentials, now, effects),
            Input::Disconnected { conn } => local.disconnected(conn, effects),
            Input::Subscribe { conn, pipes } => local.subscribe(conn, pipes, effects),
            Input::Resubscribe { conn, pipes } => local.resubscribe(conn, pipes, effects),
            Input::Publish { conn, pipe, event, message, hide_sender } => {
                local.publish(conn, BrowserMessage { pipe, event, message, hide_sender }, effects);
            }
            Input::CountPipe { conn, pipe, marker } => local.count_pipe(conn, pipe, marker, effects),
            Input::ReadUserData { conn, user, marker } => local.read_user_data(conn, user, marker, effects),
            Input::ReadUserStatus { conn, user } => local.read_user_status(conn, user, effects),
            Input::ReadHistory { conn, pipe, marker } => local.read_history(conn, pipe, marker, effects),
            Input::ListTrackUsers { conn, pipe, marker } => local.list_track_users(conn, pipe, marker, effects),
            Input::PageTrackUsers { conn, pipe, marker, cursor } => {
                local.page_track_users(conn, pipe, marker, cursor, effects);
            }
            Input::QueueWritten { flush, to, taken } => effects.send(to, RingMessage::Flushed { flush, taken }),
            Input::PersonalWritten { ask, to, connections } => {
                effects.send(to, RingMessage::PersonalTaken { ask, connections });
            }
            Input::Reconfigured { config, admitted } => self.reconfigure(*config, &admitted),
            Input::Begin(beginning) => owned.begin(*beginning),
            Input::Announce { publication } => owned.announce(publication, now, effects),
            Input::Stopping => owned.stopping(local.stopping(), now, effects),
            Input::Ring { from, message } => self.ring(from, message, now),
            Input::Stored(completion) => self.stored(completion, now),
        }
        self.carry_on(now);
    }

    fn reconfigure(&mut self, config: HubConfig, admitted: &[IpAddr]) {
        let config = Arc::new(config);
        self.owned.reconfigure(config.clone());
        self.local.reconfigure(config.clone(), admitted);
        self.config = config;
    }

    fn stored(&mut self, completion: Completion, now: Now) {
        match Asker::of(completion.ticket) {
            Some(Asker::Local) => self.local.stored(completion, now, &mut self.effects),
            Some(asker) => self.owned.stored(asker, completion, now, &mut self.effects),
            None => never!("storage answers what it was asked"),
        }
    }

    /// What follows at once: histories whose turn it is, and messages for this very shard.
    fn carry_on(&mut self, now: Now) {
        loop {
            if let Some(reading) = self.effects.readings.next() {
                self.begin_reading(reading, now);
            } else if let Some(message) = self.effects.pop_here() {
                self.ring(self.config.shard, message, now);
            } else {
                return;
            }
        }
    }

    fn begin_reading(&mut self, reading: Reading, now: Now) {
        match reading {
            Reading::Recovery(missing) => self.owned.begin_reading(missing, now, &mut self.effects),
            Reading::Log { conn, pipe, marker } => self.local.begin_reading(conn, pipe, marker, &mut self.effects),
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.effects.poll()
    }

    // Turns and time

    /// Forms the fan-outs of everything that arrived since the last call. The edge calls it when the fan-outs of the
    /// last call are out: that is how the publications of a busy moment get joined into one write per connection. Returns
    /// about how many bytes newcomers were given; when they are many, the rest waits for the next call.
    pub fn end_turn(&mut self) -> usize {
        self.local.end_turn(&mut self.effects)
    }

    /// The positions of what the fan-outs formed since the last call hold, so that the edge can say how long it took.
    pub fn formed(&mut self) -> impl Iterator<Item = Position> {
        self.local.formed()
    }

    /// Does what has its time: closes connections whose tokens have expired, and hands storage the users who have gone, if
    /// some have and storage is ready for more. To be called at the end of every turn and at [`Hub::next_deadline`].
    pub fn time_passed(&mut self, now: Now) {
        self.local.end_expired(now, &mut self.effects);
        self.owned.time_passed(now, &mut self.effects);
    }

    /// When [`Hub::time_passed`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        self.owned.next_deadline().into_iter().chain(self.local.next_deadline()).min()
    }

    /// Tells of connections that were there before they were counted, of users whose grace is over, and of those who came and went while a pipe had its pace; of some at a time. This
    /// causes ring messages, so it is not to be called while a ring is full; `presence_deadline` says when there is something
    /// to do.
    pub fn tell_presence(&mut self, now: Now) {
        self.local.report_addresses(&mut self.effects);
        self.owned.tell_presence(now, &mut self.effects);
        self.carry_on(now);
    }

    pub fn presence_deadline(&self) -> Option<Time> {
        self.owned.presence_deadline().into_iter().chain(self.local.report_due()).min()
    }

    /// What storage must still be handed when this hub ends; nobody hears the answer.
    pub fn last_job(&mut self) -> Option<Job> {
        self.owned.last_job(&mut self.effects)
    }

    // What the edge has to know

    /// Whether the connection waits for an answer. Its next command must not come before [`Output::Resume`]: that
    /// keeps answers in the order of the commands.
    pub fn is_busy(&self, conn: ConnId) -> bool {
        self.local.is_busy(conn)
    }

    /// When it came; `None` if it has gone.
    pub fn since(&self, conn: ConnId) -> Option<UnixTime> {
        self.local.since(conn)
    }

    /// Pipes that the connection is subscribed to. A further [`Input::Subscribe`] costs as many steps, and one for each
    /// name in it; up to as many ring messages.
    pub fn subscriptions(&self, conn: ConnId) -> usize {
        self.local.subscriptions(conn)
    }

    /// Whether publications or new subscribers wait for [`Hub::end_turn`].
    pub fn has_arrivals(&self) -> bool {
        self.local.has_arrivals()
    }

    /// Whether so much waits for [`Hub::end_turn`] that the edge should take in nothing that adds to it: publications
    /// come faster than they leave. What is handed in all the same is not lost.
    pub fn is_full(&self) -> bool {
        self.local.is_full()
    }

    /// Whether storage or other shards were asked for something that is not there yet: an answer, a delivery report.
    pub fn owes_answers(&self) -> bool {
        self.local.owes_answers() || self.owned.owes_answers()
    }

    // Figures

    pub fn counters(&self) -> HubCounters {
        self.effects.counters
    }

    pub fn connections(&self) -> usize {
        self.local.connections()
    }

    /// Connections that this shard counts by their addresses.
    #[cfg(test)]
    pub fn counted_connections(&self) -> usize {
        self.owned.counted_connections()
    }

    /// Users who have gone and of whom storage does not know it yet.
    pub fn departed(&self) -> usize {
        self.owned.departed()
    }

    pub fn memory(&self) -> HubMemory {
        let mut memory = HubMemory { waiting: self.effects.readings.bytes(), ..HubMemory::default() };
        self.local.add_memory(&mut memory);
        self.owned.add_memory(&mut memory);
        memory
    }

    /// Hands the connections in some places, from behind one on, to `visit`: whose it is, its name, and the bytes that it takes
    /// here. Returns where to go on, if there are more.
    pub fn visit_held(&self, after: Option<u32>, visit: &mut dyn FnMut(DevId, ConnId, usize)) -> Option<u32> {
        self.local.visit_held(after, visit)
    }

    /// Says from now on, by [`Hub::watchers`], how many subscribers this pipe has. Its owner is this shard.
    pub fn watch_subscribers(&mut self, pipe: Arc<PipeKey>) {
        self.owned.watch(pipe);
    }

    pub fn watchers(&self) -> u32 {
        self.owned.watchers()
    }

    /// Begins or ends the counting for [`Hub::take_tops`].
    pub fn count_tops(&mut self, on: bool) {
        self.owned.count_busiest(on);
        self.local.search_largest(on);
    }

    /// To be called about once a second while they are counted.
    pub fn take_tops(&mut self) -> Tops {
        Tops { busiest: self.owned.take_busiest(), largest: self.local.largest() }
    }
}
