//! The stop of the server amid publications, with the barriers of the real one: what was acknowledged or reported before the
//! goodbye has reached whoever was subscribed.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::page::{Page, Transport};
use super::shard::Shard;
use super::world::{PIPES, World};

/// Turns in which it must have come to its end.
const TURNS_MAX: usize = 200_000;

/// So often clients may read before something happens again.
const STILL_MAX: usize = 5000;

impl World {
    /// Nothing is under way, and then everybody publishes and the server stops.
    pub(super) fn stop(&mut self) {
        if !self.random.chance(40) {
            return;
        }
        self.totals.stops += 1;
        self.storage_failure_percent = 0;
        self.shards.iter_mut().for_each(Shard::take_any_queue);
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
            let (least, most) = subscribers[pipe.as_str()].clone().into_inner();
            // The page that it was published for may be one of them.
            let spared = self.pages.iter().filter(|page| page.has_own(&message)).count() as u64;
            let expected = least.saturating_sub(spared)..=most;
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
            self.wake_perhaps(shard);
            if self.random.chance(30) {
                self.storage_works();
            }
        }
        said
    }

    /// Nobody sees to it that shards take a turn but they themselves, by their wakes and the clock.
    fn stop_all_shards(&mut self) {
        self.shards[0].bare().stop_all();
        let is_over = |shard: &Shard| shard.bare().is_over();
        let has_said_farewell = |shard: &Shard| shard.bare().host().watch.farewells == 1;
        // A shard that wakes up for no reason would do by itself what nobody woke it for.
        let wakes_by_itself = self.random.chance(50);
        let (mut turns, mut still) = (0, 0);
        while !self.shards.iter().all(is_over) {
            turns += 1;
            assert!(turns < TURNS_MAX, "the stop never ends");
            let number = self.random.below(self.shards.len());
            if wakes_by_itself {
                self.wake_perhaps(number);
            } else {
                self.wake(number);
            }
            match self.random.below(3) {
                0 if self.storage_works_once() => {}
                0 => self.storage_wakes(50),
                1 => self.somebody_reads(),
                _ => {}
            }
            // Nobody's time is over before the goodbye, and then whoever never closes is closed after some. Browsers read in time.
            let is_half_over = self.shards.iter().all(has_said_farewell);
            if is_half_over && self.random.chance(30) {
                self.browsers_read(usize::MAX);
            }
            let is_still = !self.shards.iter().any(|shard| shard.would_turn(self.now)) && !self.storage_has_work();
            still = if is_still && !is_half_over { still + 1 } else { 0 };
            assert!(still < STILL_MAX, "a stop waits for nothing but the clock");
            self.pass_time(if is_half_over { 1000 } else { 10 });
        }
        for (number, shard) in self.shards.iter().enumerate() {
            assert!(has_said_farewell(shard), "shard {number} says farewell once");
            let endpoint = shard.bare().endpoint();
            let is_left = endpoint.can_receive() || endpoint.backlog_len() > 0;
            assert!(!is_left && endpoint.undeliverable() == 0, "shard {number} left messages behind");
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
