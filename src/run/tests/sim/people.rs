//! Users as a naive model has them: personal messages and where they are, who is here, who is in a pipe.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::token::signed_part;

use super::browser;
use super::session::Owed;
use super::world::{USERS, World};

/// A pipe that tells who comes and goes.
pub(super) const TRACKED: &str = "track_six";

/// Where browsers hear of users.
pub(super) const WATCHED: [&str; USERS as usize] = ["user_status_1", "user_status_2", "user_status_3", "user_status_4"];

pub(super) struct Letter {
    user: u32,
    session: usize,
    /// Personal messages that the session had sent before.
    number: usize,
    /// The backend was told that it is in good hands.
    acknowledged: bool,
    /// A connection has it, and the server knows.
    taken: bool,
    /// A page that polls has it, and the server may not know.
    read: bool,
}

#[derive(Default)]
pub(super) struct People {
    letters: BTreeMap<String, Letter>,
    /// By browser and session: the last one's number.
    last: BTreeMap<(usize, usize), usize>,
    /// The same by page, its connection and session.
    last_polled: BTreeMap<(usize, usize, usize), usize>,
    /// A connection of the user that was polled for ended: what was on its way to it live is lost with it.
    pub(super) bereft: [bool; USERS as usize + 2],
    /// When a connection of a user ended last.
    gone_at: BTreeMap<u32, i64>,
}

impl World {
    // Personal messages

    pub(super) fn send_letters(&mut self, session: usize) -> (String, Owed) {
        let mut rows = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..=self.random.below(3) {
            let users = if self.crowded { 2 } else { USERS as usize };
            let (user, text) = (1 + self.random.below(users) as u32, self.message());
            rows.push(format!("({user}, 'e', '{}')", text.replace('\'', "''")));
            let number = self.people.letters.len();
            let letter = Letter { user, session, number, acknowledged: false, taken: false, read: false };
            self.people.letters.insert(text.clone(), letter);
            texts.push(text);
        }
        (format!("INSERT INTO users_messages (id, event, message) VALUES {}", rows.join(", ")), Owed::Letters(texts))
    }

    pub(super) fn letters_acknowledged(&mut self, texts: &[String]) {
        for text in texts {
            self.people.letters.get_mut(text).expect("a letter that was sent").acknowledged = true;
        }
        self.totals.letters += texts.len();
    }

    /// Personal messages were written to a connection, which is there after that or not.
    pub(super) fn letters_written(&mut self, at: usize, bytes: Vec<u8>, open: bool, sent: bool) {
        let mut bytes = VecDeque::from(bytes);
        while let Some((_, json)) = browser::next_frame(&mut bytes) {
            let value: Value = serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error}"));
            let text = value["data"].as_str().expect("a text");
            let waited = value["fromQueue"].as_bool() == Some(true);
            let storage_failed = self.storage_failed();
            let receiver = &mut self.browsers[at];
            let letter = self.people.letters.get_mut(text).expect("a letter that was sent");
            assert!(receiver.authorised && receiver.user == letter.user, "{text} is for somebody else");
            receiver.written(text);
            let before = self.people.last.insert((at, letter.session), letter.number);
            // Whoever comes and goes: what a connection did not take comes to the next one before what is newer.
            assert!(storage_failed || before < Some(letter.number), "{text} comes too late");
            if waited {
                self.totals.from_queues += 1;
            }
            if open && (sent || !waited) {
                letter.taken = true;
            } else if open {
                receiver.unsent_letters.push(text.to_owned());
            }
        }
    }

    /// A page that polls has read one.
    pub(super) fn letter_read(&mut self, at: usize, text: &str, waited: bool) {
        let storage_failed = self.storage_failed();
        let page = &self.pages[at];
        let letter = self.people.letters.get_mut(text).expect("a letter that was sent");
        assert_eq!(letter.user, page.user(), "{text} is for somebody else");
        let before = self.people.last_polled.insert((at, page.signed, letter.session), letter.number);
        assert!(storage_failed || before < Some(letter.number), "{text} comes too late to a page");
        if waited {
            letter.read = true;
            self.totals.polled_from_queues += 1;
        } else {
            letter.taken = true;
        }
    }

    pub(super) fn letters_sent(&mut self, at: usize) {
        for text in self.browsers[at].unsent_letters.drain(..) {
            self.totals.half_written += 1;
            self.people.letters.get_mut(&text).expect("a letter that was sent").taken = true;
        }
    }

    pub(super) fn user_ended(&mut self, at: usize) {
        let browser = &self.browsers[at];
        if browser.authorised {
            let gone_at = self.people.gone_at.entry(browser.user).or_default();
            *gone_at = browser.left_at.unwrap_or(self.now.unix.0).max(*gone_at);
        }
    }

    // At rest

    pub(super) fn check_letters(&self) {
        let queued = |user| self.database.queues.get(&user).into_iter().flat_map(|queue| queue.values());
        let texts = |user| queued(user).map(|message| message.message.to_string());
        for user in 1..=USERS {
            for text in texts(user) {
                let letter = self.people.letters.get(&text).expect("a letter that was sent");
                assert_eq!(letter.user, user, "{text} waits for somebody else");
                assert!(self.storage_failed() || !letter.taken, "{text} was taken and waits still");
                assert!(self.storage_failed() || !self.is_online(user), "{text} waits, and user {user} is here");
            }
        }
        let is_with_somebody = |letter: &Letter| letter.taken || letter.read || !letter.acknowledged;
        for (text, letter) in self.people.letters.iter().filter(|(_, letter)| !is_with_somebody(letter)) {
            if self.people.bereft[letter.user as usize] && !self.database.queued.contains(text) {
                continue;
            }
            let waits = || texts(letter.user).any(|other| other == *text);
            assert!(waits() || self.database.thrown_away.contains(text), "{text} is lost");
        }
    }

    /// Of whoever went, and is not back, storage knows when.
    pub(super) fn check_times(&self) {
        for (user, gone_at) in &self.people.gone_at {
            if !self.is_online(*user) {
                let told = self.database.times.get(user);
                assert!(told.is_some_and(|told| told >= gone_at), "user {user} went at {gone_at}, not {told:?}");
            }
        }
    }

    pub(super) fn is_online(&self, user: u32) -> bool {
        self.pages.iter().any(|page| page.is_here_as(user))
            || self.browsers.iter().any(|browser| browser.alive && browser.authorised && browser.user == user)
    }

    /// What was heard last of who is here and who is in the pipe is true.
    pub(super) fn check_presence(&self) {
        for browser in self.browsers.iter().filter(|browser| browser.alive) {
            for (user, pipe) in (1..).zip(WATCHED) {
                if let Some(word) = browser.last_message(pipe).filter(|word| !word.is_empty()) {
                    assert_eq!(word == "online", self.is_online(user), "{pipe}: {word}");
                }
            }
            for (uuid, is_in) in browser.is_in(TRACKED).into_iter().flatten() {
                let is_subscribed = self.track_users().iter().any(|(_, other)| other == uuid);
                assert_eq!(*is_in, is_subscribed, "{uuid} is not where it was heard to be");
            }
        }
        for browser in self.browsers.iter().filter(|browser| browser.alive && browser.authorised) {
            let user = browser.user;
            if let Some((token, expires)) = &browser.token {
                assert!(*expires >= self.now.unix.0, "the token of user {user} has expired");
                assert!(!self.database.is_revoked(signed_part(token)), "the token of user {user} was revoked");
                continue;
            }
            assert!(self.database.hashes.contains_key(&user), "user {user} has no hash any more and is here");
        }
    }

    /// User and browser of each subscriber, sorted.
    fn track_users(&self) -> Vec<(u32, String)> {
        let subscribed = self.browsers.iter().filter(|browser| browser.alive && browser.is_subscribed(TRACKED));
        let user = |browser: &browser::BrowserClient| if browser.authorised { browser.user } else { 0 };
        let mut users: Vec<_> = subscribed.map(|browser| (user(browser), browser.uuid.clone())).collect();
        users.sort_unstable();
        users
    }

    pub(super) fn check_track_users(&mut self, mut told: Vec<(u32, String)>) {
        told.sort_unstable();
        if self.at_rest {
            assert_eq!(told, self.track_users());
            self.totals.lists += 1;
        }
    }

    /// Backends ask who is where and what waits for whom.
    pub(super) fn ask_for_people(&mut self) {
        let rows = self.track_users().into_iter().map(|(user, uuid)| vec![user.to_string(), uuid]).collect();
        let sql = format!("SELECT user_id, user_uuid FROM users_in_pipes WHERE name = '{TRACKED}'");
        self.sessions[0].query(&sql, Owed::Bag(rows));
        let time = |user| if self.is_online(user) { 0 } else { self.database.times.get(&user).copied().unwrap_or(-1) };
        let rows = (1..=USERS).map(|user| vec![user.to_string(), time(user).to_string()]).collect();
        self.sessions[0].query("SELECT id, time FROM users_time WHERE id IN (1, 2, 3, 4)", Owed::Bag(rows));
        let mut rows = Vec::new();
        for (user, queue) in &self.database.queues {
            rows.extend(queue.values().map(|message| vec![user.to_string(), message.message.to_string()]));
        }
        self.sessions[0]
            .query("SELECT id, message FROM users_messages WHERE id IN (1, 2, 3, 4)", Owed::Rows(Some(rows)));
    }

    /// Everybody who can ask asks who is where.
    pub(super) fn ask_browsers_for_people(&mut self) {
        for at in 0..self.browsers.len() {
            if self.browsers[at].can_ask() {
                let user = 1 + self.random.below(USERS as usize) as u32;
                let is_here = self.is_online(user);
                self.browsers[at].track_users(TRACKED);
                self.browsers[at].status(user, Some(is_here), TRACKED);
            }
        }
    }
}
