//! What pages that come back do in the simulated world, and what becomes of their connections.

use std::collections::BTreeSet;

use super::kernel::Peer;
use super::page::{Page, Transport};
use super::random::Random;
use super::world::{Client, PIPES, USERS, World};

/// Pages of one run.
const PAGES: usize = 4;

/// Pipes that pages want: those with settings that change, one that keeps everything, and one that never keeps anything.
const WANTED: [&str; 6] = [PIPES[0], PIPES[1], PIPES[2], PIPES[3], "trust_nine", "p_ten"];

/// Time after which the server gives up a connection that nobody polls for, in microseconds, and a little more.
const POLLS_END: u64 = 61_000_000;

/// Chosen once for a run.
pub(super) struct PageSetup {
    /// How much pages do, compared with everybody else.
    pub(super) percent: usize,
    transports: Vec<Transport>,
    /// Histories were switched on.
    keeps: bool,
    /// What is kept for a page at most.
    pub(super) bytes_max: usize,
}

impl PageSetup {
    pub(super) fn new(random: &mut Random, connections_max: usize) -> Self {
        let mut transports = vec![Transport::WebSocket, Transport::Events, Transport::Polling, Transport::Polling];
        // Where there is hardly a place, a page does not know whether somebody polls for its connection.
        transports.truncate(if connections_max < 10 { 2 } else { 4 });
        Self {
            percent: [0, 100, 100, 300][random.below(4)],
            transports,
            keeps: false,
            bytes_max: if random.chance(20) { 3000 } else { 1_000_000 },
        }
    }
}

impl World {
    pub(super) fn page_step(&mut self) {
        if self.pages.is_empty() || self.pages.len() < PAGES && self.random.chance(10) {
            return self.open_page();
        }
        let at = self.random.below(self.pages.len());
        if self.random.below(400) == 0 {
            // Somebody's computer slept.
            self.pass_time(POLLS_END);
        }
        match self.random.below(40) {
            0..3 => self.page_loses_line(at),
            3 => self.page_goes(at),
            // While it is away there is something to miss.
            4..8 => self.publish_to_pages(),
            8..10 => self.page_changes(at),
            10..13 => self.page_publishes(at),
            13..16 if self.pages[at].home().is_some() => {
                if !self.pages[at].has_to_poll() {
                    self.totals.rival_polls += 1;
                }
                self.page_polls(at, None);
            }
            16..26 => {
                self.page_sends(at, usize::MAX);
            }
            26..30 => {
                let forgets = self.random.chance(15);
                self.page_reads(at, usize::MAX, forgets);
            }
            _ => {
                // It is away for a while.
                if !self.pages[at].is_away() || self.random.chance(30) {
                    self.page_goes_on(at);
                }
            }
        }
    }

    fn publish_to_pages(&mut self) {
        let session = &self.sessions[0];
        if session.alive && session.ready && session.outstanding() < 20 {
            if !std::mem::replace(&mut self.setup.keeps, true) {
                // Long enough for all that comes, until somebody changes it.
                for pipe in [PIPES[0], PIPES[2]] {
                    let (sql, owed) = self.set_length_of(pipe, 200);
                    self.sessions[0].query(&sql, owed);
                }
            }
            for _ in 0..=self.random.below(3) {
                let pipe = WANTED[self.random.below(5)];
                let (sql, owed) = self.insert(pipe);
                self.sessions[0].query(&sql, owed);
            }
        }
    }

    fn open_page(&mut self) {
        let transport = *self.random.pick(&self.setup.transports).expect("a transport");
        let extended = transport == Transport::WebSocket || self.random.chance(85);
        let by_event_id = extended && transport == Transport::Events && self.random.chance(60);
        let is_user = transport == Transport::Polling && self.random.chance(50);
        let user = if is_user { 1 + self.random.below(USERS as usize) as u32 } else { 0 };
        let mut page = Page::new(self.pages.len(), transport, extended, by_event_id, user);
        page.wants = self.some_pipes();
        self.pages.push(page);
    }

    fn some_pipes(&mut self) -> BTreeSet<&'static str> {
        let some: BTreeSet<_> = WANTED.into_iter().filter(|_| self.random.chance(60)).collect();
        if some.is_empty() { BTreeSet::from(["trust_nine"]) } else { some }
    }

    /// Comes back or polls again, if it waits for nothing. Whether it did.
    pub(super) fn page_goes_on(&mut self, at: usize) -> bool {
        if std::mem::take(&mut self.pages[at].goes) {
            self.page_leaves(at);
        }
        let page = &self.pages[at];
        if page.has_quit {
            return false;
        }
        if page.transport == Transport::Polling {
            let has_to_poll = page.has_to_poll();
            if has_to_poll {
                self.page_polls(at, None);
            }
            return has_to_poll;
        }
        let is_away = page.is_away();
        if is_away {
            let (shard, socket) = self.page_connects();
            self.totals.returns += usize::from(!self.pages[at].views.is_empty());
            self.totals.event_ids += usize::from(self.pages[at].names_event_id());
            self.pages[at].connect(shard, socket, self.tick);
        }
        is_away
    }

    fn page_connects(&mut self) -> (usize, usize) {
        let (shard, room) = (self.random.below(self.cometql()), self.room());
        let socket = self.shards[shard].kernel().connect(room);
        self.client_of[shard].push(Client::Page);
        (shard, socket)
    }

    /// A line for a request: a new one, or one on which nothing is under way.
    fn page_line(&mut self, at: usize) -> usize {
        let idle = self.pages[at].idle_line();
        if let Some(line) = idle.filter(|_| self.pages[at].lines.len() > 2 || self.random.chance(60)) {
            return line;
        }
        let (shard, socket) = self.page_connects();
        self.pages[at].add_line(shard, socket)
    }

    fn page_polls(&mut self, at: usize, wants: Option<BTreeSet<&'static str>>) {
        let line = self.page_line(at);
        let is_elsewhere = self.pages[at].home().is_some_and(|home| home != self.pages[at].lines[line].shard);
        self.totals.elsewhere += usize::from(is_elsewhere);
        self.totals.returns += usize::from(self.pages[at].home().is_none() && !self.pages[at].views.is_empty());
        self.pages[at].poll(line, wants, self.now.time.0, self.tick);
    }

    fn page_publishes(&mut self, at: usize) {
        if self.pages[at].may_publish() {
            let (line, pipe, message) = (self.page_line(at), PIPES[self.random.below(2)], self.message());
            self.sent(pipe, &message);
            self.pages[at].publish(line, pipe, message, self.now.time.0);
        }
    }

    fn page_changes(&mut self, at: usize) {
        if !self.pages[at].may_change() {
            return;
        }
        self.totals.changes += 1;
        let wants = self.some_pipes();
        if self.pages[at].transport == Transport::Polling {
            self.page_polls(at, Some(wants));
        } else {
            self.pages[at].subscribe(wants, self.tick);
        }
    }

    /// A connection breaks, whatever was under way.
    fn page_loses_line(&mut self, at: usize) {
        let lines = self.pages[at].lines.len();
        if lines == 0 {
            return;
        }
        let line = self.random.below(lines);
        self.totals.lost_requests += usize::from(self.pages[at].has_request());
        self.page_line_is_gone(at, line);
    }

    fn page_line_is_gone(&mut self, at: usize, line: usize) {
        let (shard, socket) = (self.pages[at].lines[line].shard, self.pages[at].lines[line].socket);
        if self.pages[at].lose_line(line) {
            self.is_haunted = true;
            self.people.bereft[self.pages[at].user() as usize] = true;
        }
        self.shards[shard].kernel().client_leaves(socket, Peer::Gone);
    }

    /// The page is loaded anew, and knows its positions still; or it is closed.
    fn page_goes(&mut self, at: usize) {
        self.page_leaves(at);
        self.pages[at].has_quit |= self.random.chance(20);
    }

    fn page_leaves(&mut self, at: usize) {
        while !self.pages[at].lines.is_empty() {
            self.page_line_is_gone(at, 0);
        }
        let is_abandoned = self.pages[at].abandon();
        self.totals.abandoned += usize::from(is_abandoned);
        self.is_haunted |= is_abandoned;
        self.people.bereft[self.pages[at].user() as usize] |= is_abandoned;
    }

    pub(super) fn page_sends(&mut self, at: usize, most: usize) -> bool {
        let mut any = false;
        for line in 0..self.pages[at].lines.len() {
            let bytes = self.pages[at].sends(line, most);
            let (shard, socket) = (self.pages[at].lines[line].shard, self.pages[at].lines[line].socket);
            if !bytes.is_empty() {
                self.shards[shard].kernel().client_sends(socket, &bytes);
                any = true;
            }
        }
        any
    }

    pub(super) fn page_reads(&mut self, at: usize, most: usize, forgets: bool) -> bool {
        let mut any = false;
        for line in (0..self.pages[at].lines.len()).rev() {
            let (shard, socket) = (self.pages[at].lines[line].shard, self.pages[at].lines[line].socket);
            let bytes = self.shards[shard].kernel().client_reads(socket, most);
            any |= !bytes.is_empty();
            for heard in self.pages[at].reads(line, &bytes, forgets, self.tick) {
                self.page_heard(at, heard);
            }
            if self.shards[shard].kernel().client_sees_end(socket) {
                self.page_line_is_gone(at, line);
                any = true;
            }
        }
        any
    }

    /// A poll was told that there is nothing more to poll for. `heard_at`: when it was asked for what was
    /// answered last.
    pub(super) fn poll_is_over(&mut self, at: usize, why: &str, heard_at: u64) {
        let user = self.pages[at].user();
        self.people.bereft[user as usize] = true;
        let has_waited = self.now.time.0 - heard_at >= 60_000_000;
        match why.split_once([';', ' ']).map_or(why, |(first, _)| first) {
            "nobody" => {
                assert!(has_waited, "somebody polled");
                self.totals.idle_polls += 1;
            }
            "too" => {
                assert!(self.setup.bytes_max < 10_000 || self.totals.floods > 0, "{why}");
                self.totals.overflows += 1;
            }
            "this" => assert!(self.totals.drains > 0, "{why}"),
            "there" => assert!(has_waited, "{why}"),
            "the" if why.starts_with("the server stops") => {}
            // Its hash was deleted, or storage could not say whose it is.
            "the" => assert!(user > 0, "{why}"),
            _ => panic!("{why}"),
        }
    }

    /// Lets time pass until connections that nobody polls for have ended: a minute without a poll, after one that was under
    /// way has had its time.
    pub(super) fn let_polls_end(&mut self) {
        while std::mem::take(&mut self.is_haunted) {
            for _ in 0..2 {
                self.pass_time(POLLS_END);
                self.settle();
            }
        }
    }
}
