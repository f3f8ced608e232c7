//! Who a connection is: hashes and tokens, and what ends them.

use std::collections::BTreeSet;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{Answer, CloseReason, ConnId, DevId, Now, Time, UnixTime, UserId};
use crate::storage::Read;

use super::super::{Credentials, Hub, Output, Waiting};
use crate::ring::{EndedUsers, RingMessage};
use crate::token::{TokenProof, signed_part};

/// A login that storage has yet to confirm.
#[derive(Debug)]
pub(in crate::hub) struct Login {
    pub(in crate::hub) conn: ConnId,
    pub(in crate::hub) user: UserId,
    key: Box<str>,
    /// The key is a token with a good signature, until then.
    token: Option<UnixTime>,
    pub(in crate::hub) guess: Guess,
    /// What storage is about to say was changed since it was asked, so it must be asked again.
    outdated: bool,
}

/// Whether a key can be somebody's try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Guess {
    /// It was signed with the right key.
    None,
    Possible,
    /// It can, and the owner of the address was asked and has counted it.
    Asked,
}

/// Connections that a token let in.
#[derive(Debug)]
pub(in crate::hub) struct Tokens {
    /// By the last second in which each is valid; and the token's hash.
    conns: Aged<ConnId, u64, UnixTime>,
    by_token: BTreeSet<(u64, ConnId)>,
    /// When the first of them expires, or earlier.
    due: Option<Time>,
}

impl Tokens {
    pub(in crate::hub) fn new(hasher: RandomState) -> Self {
        Self { conns: Aged::new(hasher), by_token: BTreeSet::new(), due: None }
    }

    pub(in crate::hub) fn bytes(&self) -> usize {
        self.conns.bytes() + self.by_token.len() * 2 * size_of::<(u64, ConnId)>()
    }

    pub(in crate::hub) fn due(&self) -> Option<Time> {
        self.due
    }

    fn insert(&mut self, conn: ConnId, token: u64, expires: UnixTime, now: Now) {
        if let Some(before) = self.conns.insert(conn, expires, token) {
            self.by_token.remove(&(before, conn));
        }
        self.by_token.insert((token, conn));
        self.set_due(now);
    }

    /// A token is good through the second that it names.
    fn set_due(&mut self, now: Now) {
        // A token may name any second; whoever signs one that lies beyond all clocks has it last as long as they do.
        let seconds = self.conns.next_moment().map(|expires| expires.0.saturating_sub(now.unix.0).saturating_add(1));
        self.due = seconds.map(|seconds| now.time + u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000));
    }

    pub(in crate::hub) fn remove(&mut self, conn: ConnId) {
        if let Some(token) = self.conns.remove(&conn) {
            self.by_token.remove(&(token, conn));
        }
    }

    fn with(&self, token: u64) -> impl Iterator<Item = ConnId> {
        let last = ConnId { index: u32::MAX, generation: u32::MAX };
        self.by_token.range((token, ConnId::default())..=(token, last)).map(|(_, conn)| *conn)
    }

    fn pop_expired(&mut self, now: UnixTime) -> Option<ConnId> {
        let (conn, token) = self.conns.pop_due(UnixTime(now.0.saturating_sub(1)))?;
        self.by_token.remove(&(token, conn));
        Some(conn)
    }
}

impl Hub {
    pub(in crate::hub) fn connected(&mut self, conn: ConnId, credentials: Credentials, now: Now) {
        let Credentials { dev, user, key, details } = credentials;
        self.conns.insert(conn, dev);
        self.details.insert(conn, details);
        if user.is_anonymous() || key.is_empty() {
            self.answer(conn, Answer::ServerInfo { authorised: false, key: "".into() });
            return;
        }
        let (token, guess) = match self.config.tokens.verify(dev, user, &key, now.unix) {
            TokenProof::Good(expires) => (Some(expires), Guess::None),
            TokenProof::Signed => (None, Guess::None),
            TokenProof::Nothing => (None, Guess::Possible),
        };
        self.try_key(Login { conn, user, key, token, guess, outdated: false }, now);
    }

    pub(in crate::hub) fn check_login(&mut self, login: Login) {
        let Some(dev) = self.conns.get(login.conn).map(|entry| entry.dev) else { return };
        let token = login.token.map(|_| signed_part(&login.key).into());
        let user = login.user;
        let conn = login.conn;
        let ticket = self.wait(conn, Waiting::Login(Login { outdated: false, ..login }));
        self.ask_storage(conn, ticket, Read::Login { dev, user, token });
    }

    pub(in crate::hub) fn login_checked(&mut self, login: Login, hash: Option<Box<str>>, revoked: bool, now: Now) {
        if login.outdated {
            return self.check_login(login);
        }
        let Some(dev) = self.conns.get(login.conn).map(|entry| entry.dev) else { return };
        let token = login.token.filter(|expires| !revoked && *expires >= now.unix);
        let hash = hash.unwrap_or_default();
        let authorised = token.is_some() || !hash.is_empty() && same_secret(&hash, &login.key);
        self.tell_key(&login, authorised);
        let Login { conn, user, key, .. } = login;
        if authorised {
            self.counters.logins += 1;
            self.conns.authorise(conn, user);
            self.users.came(dev, user, conn);
            if let Some(expires) = token {
                self.tokens.insert(conn, self.token_hash(dev, &key), expires, now);
            }
        } else {
            self.counters.logins_refused += 1;
        }
        let key = match authorised {
            false => "".into(),
            // Whoever comes with a token gets no lasting secret for it, a stored one neither. Pages expect some text; this one
            // opens nothing.
            true if token.is_some() => self.config.given_out.key_of(self.config.shard, conn),
            true => hash,
        };
        self.answer(conn, Answer::ServerInfo { authorised, key });
        if authorised {
            let to = self.config.placement.owner_of_user(dev, user);
            self.send(to, RingMessage::UserCame { dev, user, conn });
        }
        self.resume(conn);
    }

    /// The users' hashes are gone.
    pub(in crate::hub) fn end_users(&mut self, ended: &EndedUsers) {
        let reason = CloseReason::HashDeleted;
        let conns = ended.users().iter().flat_map(|user| self.users.connections(ended.dev, *user));
        self.outputs.extend(conns.map(|conn| Output::Close { conn, reason }));
        self.outdate(ended.dev, |login| ended.contains(login.user));
    }

    pub(in crate::hub) fn end_token(&mut self, dev: DevId, token: &str) {
        let reason = CloseReason::TokenRevoked;
        let hash = self.token_hash(dev, token);
        self.outputs.extend(self.tokens.with(hash).map(|conn| Output::Close { conn, reason }));
        self.outdate(dev, |login| login.token.is_some() && signed_part(&login.key) == signed_part(token));
    }

    /// Closes the connections whose token is not valid any longer.
    pub(in crate::hub) fn end_expired(&mut self, now: Now) {
        if self.tokens.due.is_some_and(|due| due <= now.time) {
            while let Some(conn) = self.tokens.pop_expired(now.unix) {
                self.outputs.push_back(Output::Close { conn, reason: CloseReason::TokenExpired });
            }
            self.tokens.set_due(now);
        }
    }

    fn outdate(&mut self, dev: DevId, concerns: impl Fn(&Login) -> bool) {
        for waiting in self.waiting.values_mut() {
            if let Waiting::Login(login) = waiting
                && concerns(login)
                && self.conns.get(login.conn).is_some_and(|entry| entry.dev == dev)
            {
                login.outdated = true;
            }
        }
    }

    /// The same for every signature of one token.
    fn token_hash(&self, dev: DevId, token: &str) -> u64 {
        self.config.placement.hasher().hash_one((dev, signed_part(token)))
    }
}

/// Compares two secrets in time that depends on their lengths only.
fn same_secret(left: &str, right: &str) -> bool {
    use subtle::ConstantTimeEq;
    left.as_bytes().ct_eq(right.as_bytes()).into()
}
