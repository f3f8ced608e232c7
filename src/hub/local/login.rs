//! Who a connection is: hashes and tokens, and what ends them.

use std::net::IpAddr;

use crate::model::{Answer, CloseReason, ConnId, DevId, Now, Time, UserId, is_no_key};
use crate::ring::{AskId, AskKey, EndedUsers, KeyTried, RingMessage};
use crate::storage::Read;
use crate::token::{Grant, TokenProof, signed_part};

use super::super::Credentials;
use super::super::effects::Effects;
use super::Local;
use super::waiting::Waiting;

/// A login that storage has yet to confirm.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) conn: ConnId,
    user: UserId,
    key: Box<str>,
    /// The key is a token with a good signature, which grants this.
    token: Option<Box<Grant>>,
    guess: Guess,
    /// What storage is about to say was changed since it was asked, so it must be asked again.
    outdated: bool,
}

/// Whether a key can be somebody's try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    /// It was signed with the right key.
    None,
    Possible,
    /// It can, and the owner of the address was asked and has counted it.
    Asked,
}

impl Local {
    pub(in crate::hub) fn connected(
        &mut self,
        conn: ConnId,
        credentials: Credentials,
        now: Now,
        effects: &mut Effects,
    ) {
        let Credentials { dev, user, key, details } = credentials;
        self.conns.insert(conn, dev);
        self.details.insert(conn, details);
        if user.is_anonymous() || is_no_key(&key) {
            self.answer(conn, Answer::ServerInfo { authorised: false, key: "".into() }, effects);
            return;
        }
        let (token, guess) = match self.config.tokens.verify(dev, user, &key, now.unix) {
            TokenProof::Good(grant) => (Some(Box::new(grant)), Guess::None),
            TokenProof::Signed => (None, Guess::None),
            TokenProof::Nothing => (None, Guess::Possible),
        };
        self.try_key(Login { conn, user, key, token, guess, outdated: false }, now, effects);
    }

    /// Has the key looked at, at once or when the owner of its address says that it may be.
    fn try_key(&mut self, mut login: Login, now: Now, effects: &mut Effects) {
        let address = self.counted_for_keys(&login).filter(|_| login.guess != Guess::None);
        let (Some(address), Some(entry)) = (address, self.conn(login.conn)) else {
            return self.check_login(login, effects);
        };
        if !self.wary.has(address, now.time) {
            return self.check_login(login, effects);
        }
        let (dev, user) = (entry.dev, login.user);
        login.guess = Guess::Asked;
        let id = self.wait(login.conn, Waiting::Key(login), effects);
        let to = self.config.placement.owner_of_address(address);
        effects.send(to, RingMessage::AskKey(Box::new(AskKey { id, address, dev, user })));
    }

    /// As what the connection's address is counted, if keys are counted at all.
    fn counted_for_keys(&self, login: &Login) -> Option<IpAddr> {
        if self.config.limits.key_attempts_max == 0 {
            return None;
        }
        self.config.limits.counted(self.known_address(login.conn)?)
    }

    pub(in crate::hub) fn key_answered(&mut self, id: AskId, may_be_tried: bool, effects: &mut Effects) {
        let Some(Waiting::Key(login)) = self.waiting.remove(&id.0) else {
            return never!("an owner says once whether a key may be tried");
        };
        if may_be_tried {
            return self.check_login(login, effects);
        }
        effects.counters.logins_put_off += 1;
        effects.close(login.conn, CloseReason::KeyNotTried);
    }

    pub(in crate::hub) fn be_wary(&mut self, address: IpAddr, now: Time) {
        self.wary.add(address, now);
    }

    fn check_login(&mut self, login: Login, effects: &mut Effects) {
        let Some(dev) = self.conn(login.conn).map(|entry| entry.dev) else { return };
        let token = login.token.as_ref().map(|_| signed_part(&login.key).into());
        let (user, conn) = (login.user, login.conn);
        let waiting = Waiting::Login(Login { outdated: false, ..login });
        self.ask_storage(conn, waiting, Read::Login { dev, user, token }, effects);
    }

    pub(super) fn login_checked(
        &mut self,
        login: Login,
        hash: Option<Box<str>>,
        revoked: bool,
        now: Now,
        effects: &mut Effects,
    ) {
        if login.outdated {
            return self.check_login(login, effects);
        }
        let Some(dev) = self.conn(login.conn).map(|entry| entry.dev) else { return };
        let token = login.token.as_deref().filter(|grant| !revoked && grant.until >= now.unix);
        let hash = hash.unwrap_or_default();
        let authorised = token.is_some() || !hash.is_empty() && same_secret(&hash, &login.key);
        self.tell_key(&login, authorised, effects);
        let conn = login.conn;
        if authorised {
            self.let_in(dev, &login, token, hash, now, effects);
        } else {
            effects.counters.logins_refused += 1;
            self.answer(conn, Answer::ServerInfo { authorised, key: "".into() }, effects);
        }
        self.resume(conn, effects);
    }

    fn let_in(
        &mut self,
        dev: DevId,
        login: &Login,
        token: Option<&Grant>,
        hash: Box<str>,
        now: Now,
        effects: &mut Effects,
    ) {
        let Login { conn, user, ref key, .. } = *login;
        effects.counters.logins += 1;
        self.conns.authorise(conn, user);
        self.users.came(dev, user, conn);
        if let Some(Grant { until, pipes }) = token {
            let hash = self.token_hash(dev, key);
            self.tokens.insert(conn, hash, *until, now);
            if !pipes.is_empty() {
                self.rights.insert(conn, pipes, self.tokens.with(hash));
            }
        }
        // Whoever comes with a token gets no lasting secret for it, a stored one neither. Pages expect some text; this one
        // opens nothing.
        let key = if token.is_some() { self.config.given_out.key_of(self.config.shard, conn) } else { hash };
        self.answer(conn, Answer::ServerInfo { authorised: true, key }, effects);
        effects.send(self.config.placement.owner_of_user(dev, user), RingMessage::UserCame { dev, user, conn });
    }

    /// Tells the owner of the address what became of the key, if it has to know.
    fn tell_key(&mut self, login: &Login, was_right: bool, effects: &mut Effects) {
        if login.guess == Guess::None || was_right && login.guess == Guess::Possible {
            return;
        }
        let Some((address, entry)) = self.counted_for_keys(login).zip(self.conn(login.conn)) else { return };
        let tried = KeyTried { address, dev: entry.dev, user: login.user, was_right };
        effects.send(self.config.placement.owner_of_address(address), RingMessage::KeyTried(tried));
    }

    /// The users' hashes are gone.
    pub(in crate::hub) fn end_users(&mut self, ended: &EndedUsers, effects: &mut Effects) {
        for conn in ended.users().iter().flat_map(|user| self.users.connections(ended.dev, *user)) {
            effects.close(conn, CloseReason::HashDeleted);
        }
        self.outdate(ended.dev, |login| ended.contains(login.user));
    }

    pub(in crate::hub) fn end_token(&mut self, dev: DevId, token: &str, effects: &mut Effects) {
        let hash = self.token_hash(dev, token);
        for conn in self.tokens.with(hash) {
            effects.close(conn, CloseReason::TokenRevoked);
        }
        self.outdate(dev, |login| login.token.is_some() && signed_part(&login.key) == signed_part(token));
    }

    /// Closes the connections whose token is not valid any longer.
    pub(in crate::hub) fn end_expired(&mut self, now: Now, effects: &mut Effects) {
        while let Some(conn) = self.tokens.pop_expired(now) {
            effects.close(conn, CloseReason::TokenExpired);
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
