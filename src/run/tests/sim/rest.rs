//! What happens when everybody does all there is to do: a flood never ends, and everything else comes to rest. What must be
//! true then is checked here.

use crate::model::CloseReason;
use crate::run::host::Kind;

use super::browser::BrowserClient;
use super::session::Owed;
use super::shard::Shard;
use super::world::{PIPES, World};

/// Turns in which a shard must have looked at some input and taken some message while everybody is busy.
const PATIENCE: usize = 100;

/// How often everybody does something while a flood lasts: more often than patience lasts.
const FLOOD_ROUNDS: usize = 160;

/// Everything that may end a connection here without a fault of the server.
const EXPECTED_ENDS: [CloseReason; 11] = [
    CloseReason::Moved,
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

/// So many senders publish at once, and some more.
const SENDERS_IN_FLOOD: usize = 24;

impl World {
    /// Everybody does what there is to do, once. Whether anything happened.
    pub(super) fn everybody(&mut self) -> bool {
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
        self.storage_wakes(100);
        for shard in 0..self.shards.len() {
            any |= self.wake(shard);
        }
        any
    }

    /// Many publish at once and without an end, and nobody's input is passed over for long. They are anonymous: so many
    /// logins at a time would be refused by a storage that is busy.
    pub(super) fn flood(&mut self) {
        self.totals.floods += 1;
        let shard = self.random.below(self.cometql());
        let many: Vec<usize> = (0..SENDERS_IN_FLOOD).map(|_| self.open_browser_at(shard, 0)).collect();
        for at in &many {
            self.browsers[*at].subscribe(PIPES.map(ToOwned::to_owned).into());
        }
        self.shards.iter_mut().for_each(Shard::begin_flood);
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
            if self.shards.iter().any(Shard::polls) {
                self.pass_time(1000);
            }
            for (number, shard) in self.shards.iter().enumerate() {
                let turns = shard.messages_passed_over;
                assert!(turns < PATIENCE, "shard {number} has not taken a message for {turns} turns");
                let turns = shard.passed_over;
                assert!(turns < PATIENCE, "shard {number} has not looked at input for {turns} turns");
            }
        }
    }

    /// Lets everything that is under way come to its end. Time passes only for shards that look for room in rings: a wake
    /// that was lost, or came with the next timeout only, leaves work undone.
    pub(super) fn settle(&mut self) {
        for round in 0..20_000 {
            if self.everybody() {
                // A full shard with a timeout that is overdue takes turns, but others look for room by the clock only.
                if round % 100 == 99 && self.shards.iter().any(Shard::polls) {
                    self.pass_time(1000);
                }
                continue;
            }
            if self.shards.iter().any(Shard::polls) {
                self.pass_time(1000);
                continue;
            }
            // What storage did not write is tried again after a time.
            // What a token waits for, which lasts for weeks, is no work.
            let dues = self.shards.iter().filter_map(Shard::work_due);
            if let Some(due) = dues.min().filter(|due| due.0 < self.now.time.0 + 100_000_000) {
                self.pass_time(due.0.saturating_sub(self.now.time.0).max(1));
                continue;
            }
            return self.assert_rest();
        }
        let shards: Vec<_> =
            self.shards.iter().map(|shard| (shard.would_turn(self.now), shard.left_undone(self.now))).collect();
        panic!("it never comes to rest, who would turn and has what left: {shards:?}");
    }

    pub(super) fn assert_rest(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            assert_eq!(shard.left_undone(self.now), None, "shard {number} sleeps with work left to do");
            if let Kind::Browsers(browsers) = shard.edge() {
                assert!(!browsers.has_work(), "the hub of shard {number} sleeps with work left to do");
            }
        }
        for (at, session) in self.sessions.iter().enumerate().filter(|(_, session)| session.alive) {
            assert!(session.is_at_rest(), "session {at} waits for an answer and everybody sleeps");
        }
        for client in self.http.iter().filter(|client| client.alive) {
            let is_kept_waiting = self.shards[client.shard].is_kept_waiting(client.socket);
            assert!(client.is_at_rest() || is_kept_waiting, "somebody waits for an answer and everybody sleeps");
        }
        for (at, browser) in self.browsers.iter().enumerate().filter(|(_, browser)| browser.alive) {
            if self.shards[browser.shard].is_kept_waiting(browser.socket) {
                continue;
            }
            assert!(browser.is_at_rest(), "browser {at} waits for something and everybody sleeps");
        }
        for (at, page) in self.pages.iter().enumerate() {
            let is_kept_waiting = page.lines.iter().any(|line| self.shards[line.shard].is_kept_waiting(line.socket));
            assert!(is_kept_waiting || page.is_at_rest(), "page {at} waits for something and everybody sleeps");
        }
    }

    /// Nobody is counted who is not here, and everybody who is.
    pub(super) fn check_counts(&self) {
        let shards = self.shards.iter().filter_map(|shard| match shard.edge() {
            Kind::Browsers(browsers) => Some(browsers.connections()),
            Kind::Sessions(_) => None,
        });
        let (here, counted) = shards.fold((0, 0), |sum, shard| (sum.0 + shard.0, sum.1 + shard.1));
        assert_eq!(counted, if self.counts_addresses { here } else { 0 });
    }

    pub(super) fn check_everything_at_rest(&mut self) {
        let failure_percent = std::mem::take(&mut self.storage_failure_percent);
        self.check_times();
        self.check_letters();
        self.check_presence();
        self.check_counts();
        self.settings_at_rest();
        self.check_pages();
        self.shards.iter_mut().for_each(Shard::take_any_queue);
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

    pub(super) fn count_ends(&mut self) {
        self.totals.departed = self.database.departed;
        for shard in &mut self.shards {
            let counters = shard.counters();
            let closed = |reason| counters.closed(reason) as usize;
            for reason in CloseReason::ALL.into_iter().filter(|reason| !EXPECTED_ENDS.contains(reason)) {
                assert_eq!(closed(reason), 0, "{reason:?} ended a connection");
            }
            self.totals.moved += closed(CloseReason::Moved);
            self.totals.slow += closed(CloseReason::SlowConsumer);
            self.totals.hashes_deleted += closed(CloseReason::HashDeleted);
            self.totals.expired += closed(CloseReason::TokenExpired);
            self.totals.revoked += closed(CloseReason::TokenRevoked);
            self.totals.timed_out += closed(CloseReason::TimedOut);
            self.totals.made_room += closed(CloseReason::NoRoom);
            let turns = shard.bare().counters();
            self.totals.held += turns.congested_turns as usize;
            self.totals.sleeps += turns.sleeps as usize;
        }
    }
}
