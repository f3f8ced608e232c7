//! What clients do in the simulated world: they come and go, say what they want to say in pieces, and read late.

use crate::storage::KEYS_KEPT_S;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::browser::{BrowserClient, Told};
use super::kernel::Peer;
use super::people::{TRACKED, WATCHED};
use super::session::{Keyed, Owed, PASSWORD, SessionClient};
use super::world::{Client, PIPES, USERS, World};

impl World {
    pub(super) fn room(&mut self) -> usize {
        [20, 300, 5000][self.random.below(3)]
    }

    pub(super) fn open_browser(&mut self) {
        let shard = self.random.below(self.cometql());
        let user = self.random.below(USERS as usize + 2) as u32;
        self.open_browser_at(shard, user);
    }

    pub(super) fn open_browser_at(&mut self, shard: usize, user: u32) -> usize {
        let (mut key, mut token) = (format!("key{user}"), None);
        match self.random.below(10) {
            0..2 => "wrong".clone_into(&mut key),
            2 if user > 0 => {
                let lasts = [3, 30, 1_000_000][self.random.below(3)];
                (key, token) = self.sign(user, self.now.unix.0 + lasts);
            }
            _ => {}
        }
        self.open_browser_with(shard, user, &key, token)
    }

    fn open_browser_with(&mut self, shard: usize, user: u32, key: &str, token: Option<(String, i64)>) -> usize {
        let room = self.room();
        let socket = self.shards[shard].kernel().connect(room);
        self.client_of[shard].push(Client::Browser(self.browsers.len()));
        let mut browser = BrowserClient::new(shard, socket, user, key, self.browsers.len());
        browser.token = token;
        self.browsers.push(browser);
        self.browsers.len() - 1
    }

    /// Somebody logs in, and somebody else sees to it that this key opens nothing any more: storage is asked for both at once.
    pub(super) fn race_a_login(&mut self) {
        let session = &self.sessions[0];
        if !session.ready || session.outstanding() > 20 {
            return;
        }
        let (shard, user) = (self.random.below(self.cometql()), 1 + self.random.below(USERS as usize) as u32);
        let (mut key, mut token) = (format!("key{user}"), None);
        let (mut sql, mut owed) = (format!("DELETE FROM users_auth WHERE id = {user}"), Owed::Stored);
        if self.random.chance(50) {
            (key, token) = self.sign(user, self.now.unix.0 + 1_000_000);
            (sql, owed) = revocation(&key);
        }
        let at = self.open_browser_with(shard, user, &key, token);
        self.browser_sends(at, usize::MAX);
        self.sessions[0].query(&sql, owed);
        self.session_sends(0, usize::MAX);
        let cometql = self.cometql();
        for _ in 0..3 {
            self.wake(shard);
            self.wake(cometql);
        }
        // Sometimes the other shard hears first of what storage has done, and says it before the login is heard of.
        if self.random.chance(30) {
            for _ in 0..3 {
                self.storage_works_once();
            }
            self.shards[cometql].bare().waker().wake();
            self.wake(cometql);
            self.wake(shard);
        }
    }

    /// A token, and what is to be remembered of it.
    pub(super) fn sign(&mut self, user: u32, expires: i64) -> (String, Option<(String, i64)>) {
        // Two that are the same would be revoked together.
        let claims = json!({ "user_id": user, "exp": expires, "number": self.browsers.len() });
        let key = EncodingKey::from_secret(format!("{PASSWORD}1").as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
        (token.clone(), Some((token, expires)))
    }

    /// A statement that revokes the token of somebody who is here.
    pub(super) fn revoke(&mut self) -> (String, Owed) {
        // Half of them while storage is asked about the login; some with another signature, which is the same token.
        let (is_new, more) = (self.random.chance(50), if self.random.chance(30) { "AA" } else { "" });
        let at =
            self.pick_browser(|browser| browser.alive && browser.token.is_some() && (!is_new || !browser.authorised));
        let token = at.and_then(|at| self.browsers[at].token.clone()).map_or("nobody's".to_owned(), |(token, _)| token);
        revocation(&format!("{token}{more}"))
    }

    pub(super) fn pick_browser(&mut self, wanted: impl Fn(&BrowserClient) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.browsers.len()).filter(|at| wanted(&self.browsers[*at])).collect();
        self.random.pick(&fit).copied()
    }

    /// A browser goes away, whatever was under way, or says that it will say nothing more.
    pub(super) fn vanish(&mut self) {
        let Some(at) = self.pick_browser(|browser| browser.alive && browser.speaks) else { return };
        let (shard, socket) = (self.browsers[at].shard, self.browsers[at].socket);
        self.browsers[at].speaks = false;
        self.browsers[at].left_at = Some(self.now.unix.0);
        if self.random.chance(30) {
            self.totals.half_closed += 1;
            self.shards[shard].kernel().client_leaves(socket, Peer::HalfClosed);
        } else {
            self.totals.vanished += 1;
            self.browsers[at].alive = false;
            self.shards[shard].kernel().client_leaves(socket, Peer::Gone);
        }
    }

    pub(super) fn open_session(&mut self) {
        let (shard, room) = (self.cometql(), self.room());
        let socket = self.shards[shard].kernel().connect(room);
        self.sessions.push(SessionClient::new(socket));
    }

    /// The first session stays.
    pub(super) fn end_session(&mut self) {
        let alive: Vec<usize> = (1..self.sessions.len()).filter(|at| self.sessions[*at].alive).collect();
        if let Some(at) = self.random.pick(&alive).copied() {
            self.totals.vanished += 1;
            self.sessions[at].alive = false;
            self.session_ended(at);
            let (shard, socket) = (self.cometql(), self.sessions[at].socket);
            self.shards[shard].kernel().client_leaves(socket, Peer::Gone);
        }
    }

    pub(super) fn session_ended(&mut self, at: usize) {
        let owed: Vec<Owed> = self.sessions[at].take_owed().collect();
        for owed in owed {
            if let Owed::Length(pipe, length) = owed {
                self.length_settled(&pipe, length, None);
            }
        }
    }

    pub(super) fn pick_speaker(&mut self) -> Option<usize> {
        self.pick_browser(|browser| browser.alive && browser.speaks && browser.outstanding() < 6)
    }

    pub(super) fn subscribe(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        let percent = [0, 20, 50, 80][self.random.below(4)];
        let pipes: Vec<String> =
            PIPES.into_iter().chain(WATCHED).filter(|_| self.random.chance(percent)).map(ToOwned::to_owned).collect();
        self.browsers[at].subscribe(pipes);
    }

    pub(super) fn publish_from_browser(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        let pipe = PIPES[self.random.below(2)];
        let (message, hide_sender) = (self.message(), self.random.chance(50));
        self.sent(pipe, &message);
        self.browsers[at].publish(pipe, message, hide_sender);
    }

    pub(super) fn ask(&mut self) {
        let Some(at) = self.pick_speaker() else { return };
        match self.random.below(6) {
            0 => self.browsers[at].count(PIPES[0]),
            1 => self.browsers[at].track_users(TRACKED),
            2 => {
                let user = 1 + self.random.below(USERS as usize) as u32;
                self.browsers[at].status(user, None, PIPES[0]);
            }
            _ => self.ask_for_log(at),
        }
    }

    pub(super) fn message(&mut self) -> String {
        self.next_message += 1;
        let padding = [0, 3, 40, 110, 300][self.random.below(5)];
        format!("{}{}", self.next_message, "\u{436}'".repeat(padding / 3))
    }

    pub(super) fn send_statements(&mut self) {
        let at = self.random.below(self.sessions.len());
        if !self.sessions[at].alive || !self.sessions[at].ready || self.sessions[at].outstanding() > 20 {
            return;
        }
        for _ in 0..=self.random.below(5) {
            let pipe = PIPES[self.random.below(PIPES.len())];
            let user = 1 + self.random.below(USERS as usize);
            let (sql, owed) = match self.random.below(40) {
                0 => ("INSERT INTO nowhere (a) VALUES (1)".to_owned(), Owed::Error(15)),
                1 => ("garbage in here".to_owned(), Owed::Error(3)),
                2 => (format!("SELECT name, users FROM pipes WHERE name = '{pipe}'"), Owed::Rows(None)),
                3..6 => {
                    let sql = format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key{user}')");
                    (sql, Owed::Stored)
                }
                6 => {
                    let (first, second) = (self.message(), self.message());
                    self.sent(pipe, &first);
                    self.sent("web_one", &second);
                    let texts = (first.replace('\'', "''"), second.replace('\'', "\\'"));
                    let rows = format!("('{pipe}', 'e', '{}'), ('web_one', 'e', '{}')", texts.0, texts.1);
                    let sql = format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows}");
                    (sql, Owed::Published(vec![first, second]))
                }
                7 if self.random.chance(30) => {
                    let user = self.somebody_logging_in().unwrap_or(user);
                    (format!("DELETE FROM users_auth WHERE id = {user}"), Owed::Stored)
                }
                8 if self.random.chance(20) => (format!("DELETE FROM users_messages WHERE id = {user}"), Owed::Stored),
                9 if self.random.chance(20) => {
                    (format!("DELETE FROM pipes_messages WHERE name = '{pipe}'"), Owed::Stored)
                }
                10 => (format!("SELECT id, message FROM users_messages WHERE id IN ({user}, 1)"), Owed::Rows(None)),
                11 => (format!("SELECT id, message FROM pipes_messages WHERE name = '{pipe}'"), Owed::Rows(None)),
                12..14 => self.set_length(),
                14..25 => self.send_letters(at),
                25..27 => self.revoke(),
                27..29 => self.insert_keyed(pipe),
                _ => self.insert(pipe),
            };
            self.sessions[at].query(&sql, owed);
        }
    }

    /// In half of all cases a user about whose hash storage may be asked now.
    fn somebody_logging_in(&mut self) -> Option<usize> {
        let is_known = |user: u32| (1..=USERS).contains(&user);
        let at = self.pick_browser(|browser| {
            browser.alive && browser.token.is_none() && !browser.authorised && is_known(browser.user)
        });
        at.filter(|_| self.random.chance(50)).map(|at| self.browsers[at].user as usize)
    }

    pub(super) fn insert(&mut self, pipe: &str) -> (String, Owed) {
        let message = self.message();
        self.sent(pipe, &message);
        let text = message.replace('\'', "''");
        let (mut columns, mut values) = (String::new(), String::new());
        if self.random.chance(20) && !self.pages.is_empty() {
            let page = self.random.below(self.pages.len());
            self.totals.spared += usize::from(self.pages[page].is_subscribed(pipe));
            self.pages[page].is_spared(&message);
            columns.push_str(", except_uuid");
            values = format!(", 'page{page}'");
        }
        let columns = format!("name, event, message{columns}");
        let sql = format!("INSERT INTO pipes_messages ({columns}) VALUES ('{pipe}', 'e', '{text}'{values})");
        (sql, Owed::Published(vec![message]))
    }

    /// Under one of a few keys, which this or another session may have used before.
    fn insert_keyed(&mut self, pipe: &str) -> (String, Owed) {
        let message = self.message();
        self.sent(pipe, &message);
        let text = message.replace('\'', "''");
        let key = self.random.below(4);
        let sql = format!(
            "INSERT INTO pipes_messages (name, event, message, idempotency_key) VALUES ('{pipe}', 'e', '{text}', 'key-{key}')"
        );
        let (pipe, written) = (pipe.to_owned(), self.now.unix.0);
        (sql, Owed::Keyed(Box::new(Keyed { pipe, key, message, written, is_repeated: false })))
    }

    /// What was acknowledged under a key is not published again in the next five minutes, nor is anything else said to be.
    fn keyed(&mut self, keyed: Keyed) {
        let Keyed { pipe, key, message, written, is_repeated } = keyed;
        if is_repeated {
            self.totals.repeated += 1;
            return self.repeated.push(message);
        }
        let before = self.keyed.get(&(pipe.clone(), key)).copied();
        let is_old = before.is_none_or(|before| self.now.unix.0 - before >= KEYS_KEPT_S);
        assert!(is_old, "{message} of {pipe} was published under key {key}, which was known");
        self.keyed.insert((pipe, key), written);
        self.published(&message, true);
    }

    /// Some of what clients want to send arrives, cut anywhere.
    pub(super) fn clients_send(&mut self) {
        for at in 0..self.sessions.len() {
            let most = 1 + self.random.below(400);
            self.session_sends(at, most);
        }
        for at in 0..self.browsers.len() {
            let most = 1 + self.random.below(400);
            self.browser_sends(at, most);
        }
        for at in 0..self.pages.len() {
            let most = 1 + self.random.below(400);
            self.page_sends(at, most);
        }
        for at in 0..self.http.len() {
            let most = 1 + self.random.below(400);
            self.http_goes_on(at, most);
        }
    }

    /// Whether anything was sent.
    pub(super) fn session_sends(&mut self, at: usize, most: usize) -> bool {
        let shard = self.cometql();
        let session = &mut self.sessions[at];
        let bytes = if session.alive { session.sends(most) } else { Vec::new() };
        let any = !bytes.is_empty();
        if any {
            self.shards[shard].kernel().client_sends(session.socket, &bytes);
        }
        any
    }

    pub(super) fn browser_sends(&mut self, at: usize, most: usize) -> bool {
        let browser = &mut self.browsers[at];
        let bytes = if browser.alive && browser.speaks { browser.sends(most) } else { Vec::new() };
        let any = !bytes.is_empty();
        if any {
            self.shards[browser.shard].kernel().client_sends(browser.socket, &bytes);
        }
        any
    }

    pub(super) fn clients_read(&mut self) {
        for at in 0..self.browsers.len() {
            if self.random.chance(50) {
                let most = self.random.below(3000);
                self.browser_reads(at, most);
            }
        }
        for at in 0..self.pages.len() {
            if self.random.chance(50) {
                let (most, forgets) = (self.random.below(3000), self.random.chance(15));
                self.page_reads(at, most, forgets);
            }
        }
        for at in 0..self.sessions.len() {
            if self.random.chance(50) {
                let most = self.random.below(3000);
                self.session_reads(at, most);
            }
        }
    }

    /// Whether there was anything to read.
    pub(super) fn browser_reads(&mut self, at: usize, most: usize) -> bool {
        if !self.browsers[at].alive {
            return false;
        }
        let (shard, socket) = (self.browsers[at].shard, self.browsers[at].socket);
        let bytes = self.shards[shard].kernel().client_reads(socket, most);
        let before = self.browsers[at].received;
        for told in self.browsers[at].reads(&bytes) {
            self.told(told);
        }
        self.totals.received += self.browsers[at].received - before;
        if self.shards[shard].kernel().client_sees_end(socket) {
            self.browsers[at].alive = false;
            self.shards[shard].kernel().client_leaves(socket, Peer::Gone);
        }
        !bytes.is_empty()
    }

    pub(super) fn told(&mut self, told: Told) {
        match told {
            Told::Report { message, connections } => self.reported(&message, connections),
            Told::NotStored { message } => self.not_stored(&message),
            Told::Log { ask, messages: Some(messages) } => self.check_log(&ask, &messages),
            Told::TrackUsers(users) => self.check_track_users(users),
            Told::Log { messages: None, .. } | Told::NoStatus => self.assert_that_storage_failed(),
        }
    }

    pub(super) fn reported(&mut self, message: &str, connections: u64) {
        self.totals.reports += 1;
        let delivered = self.deliveries.get(message).copied().unwrap_or(0);
        assert_eq!(connections, delivered, "a wrong delivery report for {message}");
        self.published(message, true);
    }

    pub(super) fn not_stored(&mut self, message: &str) {
        self.assert_that_storage_failed();
        self.published(message, false);
    }

    pub(super) fn answered(&mut self, owed: Owed, is_done: bool) {
        if !is_done {
            self.assert_that_storage_failed();
        }
        match owed {
            Owed::Published(messages) if is_done => {
                for message in &*messages {
                    self.published(message, true);
                }
            }
            Owed::Keyed(keyed) if is_done => self.keyed(*keyed),
            Owed::Letters(texts) if is_done => self.letters_acknowledged(&texts),
            Owed::Length(pipe, length) => self.length_settled(&pipe, length, Some(is_done)),
            _ => {}
        }
    }

    pub(super) fn session_reads(&mut self, at: usize, most: usize) -> bool {
        if !self.sessions[at].alive {
            return false;
        }
        let (shard, socket) = (self.cometql(), self.sessions[at].socket);
        let bytes = self.shards[shard].kernel().client_reads(socket, most);
        let before = self.sessions[at].answered;
        for (owed, is_done) in self.sessions[at].reads(&bytes) {
            self.answered(owed, is_done);
        }
        self.totals.answered += self.sessions[at].answered - before;
        !bytes.is_empty()
    }
}

/// A statement that revokes a token.
fn revocation(token: &str) -> (String, Owed) {
    (format!("INSERT INTO revoked_tokens (token) VALUES ('{}')", token.replace('\'', "''")), Owed::Stored)
}
