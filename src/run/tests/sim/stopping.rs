//! The stop of the server amid publications, with the barriers of the real one: what was acknowledged or reported before the
//! goodbye has reached whoever was subscribed.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shards::stop::{Step, Stop, Stopping, View};

use crate::run::runtime::Runtime;

use super::machine::{Host, Shard};
use super::page::{Page, Transport};
use super::world::{PIPES, World};

/// It lasts as long as it takes: what does not come to its end is a fault here.
const GRACE: Duration = Duration::from_hours(1);

/// Turns in which it must have come to its end.
const TURNS_MAX: usize = 200_000;

/// One shard's part.
struct Part {
    stop: Stop,
    said_farewell: bool,
    over: bool,
}

impl World {
    /// Nothing is under way, and then everybody publishes and the server stops.
    pub(super) fn stop(&mut self) {
        if !self.random.chance(40) {
            return;
        }
        self.totals.stops += 1;
        self.storage_failure_percent = 0;
        for shard in &mut self.shards {
            shard.machine.limits.queue_bytes_max = 1_000_000;
        }
        let subscribers: HashMap<&str, RangeInclusive<u64>> = PIPES.map(|pipe| (pipe, self.subscribers(pipe))).into();
        self.tick += 1;
        let begun = self.tick;
        let said = self.publish_much();
        self.stop_all_shards();
        self.hear_the_rest();
        let acknowledged: Vec<(String, String)> =
            self.record.acknowledged_since(begun).map(|(pipe, text)| (pipe.to_owned(), text.to_owned())).collect();
        self.totals.acknowledged_at_stops += acknowledged.len();
        // What browsers publish does not come back to them; how many got it is compared with their reports.
        for (pipe, message) in acknowledged.into_iter().filter(|(_, message)| !said.contains(message)) {
            let delivered = self.deliveries.get(&message).copied().unwrap_or(0);
            let expected = &subscribers[pipe.as_str()];
            assert!(expected.contains(&delivered), "{message} of {pipe} came to {delivered} of {expected:?}");
        }
        for (at, browser) in self.browsers.iter().enumerate().filter(|(_, browser)| browser.stopped_with) {
            assert!(browser.has_all(), "browser {at} was not sent what it was handed");
        }
    }

    /// At least so many connections get what is published, and at most. A page that does not poll meanwhile may be left
    /// with more than it may be.
    fn subscribers(&self, pipe: &str) -> RangeInclusive<u64> {
        let browsers = self.browsers.iter().filter(|browser| browser.alive && browser.is_subscribed(pipe)).count();
        let pages = || self.pages.iter().filter(|page| page.is_subscribed(pipe));
        let may_overflow = |page: &&Page| page.transport == Transport::Polling && self.setup.bytes_max < 10_000;
        let all = (browsers + pages().count()) as u64;
        all - pages().filter(may_overflow).count() as u64..=all
    }

    /// Returns what browsers want to publish.
    fn publish_much(&mut self) -> HashSet<String> {
        let mut said = HashSet::new();
        for browser in &mut self.browsers {
            browser.stopped_with = browser.alive;
        }
        for at in 0..self.sessions.len() {
            for _ in 0..self.random.below(15) {
                let session = &self.sessions[at];
                if session.alive && session.ready && session.outstanding() < 30 {
                    let pipe = PIPES[self.random.below(PIPES.len())];
                    let (sql, owed) = self.insert(pipe);
                    self.sessions[at].query(&sql, owed);
                }
            }
        }
        for at in 0..self.browsers.len() {
            if self.browsers[at].alive && self.browsers[at].outstanding() == 0 && self.random.chance(50) {
                let message = self.message();
                self.sent(PIPES[0], &message);
                said.insert(message.clone());
                self.browsers[at].publish(PIPES[0], message, false);
            }
        }
        for _ in 0..self.random.below(80) {
            self.clients_send();
            let shard = self.random.below(self.shards.len());
            self.wake(shard);
            if self.random.chance(30) {
                self.storage_works_once();
            }
        }
        said
    }

    fn stop_all_shards(&mut self) {
        let (stopping, now) = (Stopping::<shards::EventFd>::without_wakers(self.shards.len()), Instant::now());
        let part = || Part { stop: Stop::new(Arc::clone(&stopping), GRACE), said_farewell: false, over: false };
        let mut parts: Vec<Part> = self.shards.iter().map(|_| part()).collect();
        for turn in 0.. {
            if parts.iter().all(|part| part.over) {
                return;
            }
            assert!(
                turn < TURNS_MAX,
                "the stop never ends: {:?}",
                parts.iter().map(|part| &part.stop).collect::<Vec<_>>()
            );
            let number = self.random.below(self.shards.len());
            let part = &mut parts[number];
            if part.over {
                continue;
            }
            self.shards[number].machine.notified = true;
            self.wake(number);
            self.shards[number].follow_stop(number as u16, part, now);
            match self.random.below(3) {
                0 => {
                    self.storage_works_once();
                }
                1 => self.somebody_reads(),
                _ => {}
            }
            // Nobody's time is over before the goodbye, and then whoever never closes is closed after some.
            let is_half_over = parts.iter().all(|part| part.said_farewell);
            self.pass_time(if is_half_over { 1000 } else { 10 });
        }
    }

    fn somebody_reads(&mut self) {
        let most = 1 + self.random.below(2000);
        match self.random.below(3) {
            0 => self.sessions_read(most),
            1 => self.browsers_read(most),
            _ => {
                for at in 0..self.pages.len() {
                    self.page_reads(at, most, false);
                }
            }
        }
    }

    fn sessions_read(&mut self, most: usize) {
        for at in 0..self.sessions.len() {
            self.session_reads(at, most);
        }
    }

    fn browsers_read(&mut self, most: usize) {
        for at in 0..self.browsers.len() {
            self.browser_reads(at, most);
        }
    }

    /// The sockets are closed, and what was sent before is read.
    fn hear_the_rest(&mut self) {
        self.sessions_read(usize::MAX);
        self.browsers_read(usize::MAX);
    }
}

impl Shard {
    /// As the real shard does at the end of each of its turns.
    fn follow_stop(&mut self, number: u16, part: &mut Part, now: Instant) {
        if !self.machine.stopping {
            self.machine.stopping = true;
            part.stop.begin(now);
            if let Host::Browsers(browsers) = &mut self.host {
                browsers.stopping();
            }
        }
        let endpoint = &self.machine.endpoint;
        let is_empty = !self.machine.fan_out_pending() && !endpoint.congested() && !endpoint.can_receive();
        let (has_work, owes_answers) = match &self.host {
            Host::Browsers(browsers) => (browsers.has_work(), browsers.owes_answers()),
            Host::Sessions(sessions) => (false, sessions.owes_answers()),
        };
        let connections = self.machine.connections() as u32;
        match part.stop.step(number, View { now, settled: is_empty && !has_work, answered: !owes_answers, connections })
        {
            Step::Farewell => {
                assert!(!part.said_farewell, "it is said once");
                part.said_farewell = true;
                match &mut self.host {
                    Host::Browsers(browsers) => browsers.farewell(&mut self.machine),
                    Host::Sessions(sessions) => sessions.farewell(&mut self.machine),
                }
            }
            Step::Over => part.over = true,
            Step::Wait | Step::Again => {}
            Step::EndAll => panic!("the time is not over"),
        }
    }
}
