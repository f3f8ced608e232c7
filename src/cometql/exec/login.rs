//! Logins: whether a password is right, as whom it lets in, and who has to wait after wrong ones.

use std::net::IpAddr;

use crate::back_off::{self, BackOff};
use crate::cometql::errors::{Code, Error};
use crate::cometql::session::{User, parse_database};
use crate::cometql::wire::{Connection, Login, Verdict};
use crate::model::{CloseReason, Time};

use super::session::{Asked, Phase, Session};
use super::stage::Entry;
use super::tenants::Reach;
use super::{Exec, Output, Peer, Tls};

impl Exec {
    pub(super) fn login(&mut self, session: &mut Session, login: &Login<'_>, now: Time) {
        session.asked = Some(Box::new(Asked { user: login.user.into(), database: login.database.map(Into::into) }));
        let verdict = match session.peer {
            Peer::Trusted => (session.wire.verdict_unasked(login), Reach::Everywhere),
            Peer::Address(_) => self.verdict(session, |wire, password| wire.verdict(login, password)),
        };
        self.judge(session, verdict, now);
    }

    /// Whether the login of the session's user is right, and how far it reaches.
    pub(super) fn verdict(&self, session: &Session, check: impl Fn(&Connection, &[u8]) -> Verdict) -> (Verdict, Reach) {
        let user = session.asked.as_ref().map_or(&[] as &[u8], |asked| &asked.user);
        let dev = User::parse(user, self.config.statements.dev_max).ok().map(User::dev);
        self.config.tenants.verdict(dev, &self.config.password, |password| check(&session.wire, password))
    }

    pub(super) fn judge(&mut self, session: &mut Session, (verdict, reach): (Verdict, Reach), now: Time) {
        let address = match session.peer {
            Peer::Address(address) => Some(address),
            Peer::Trusted => None,
        };
        let method = match verdict {
            // A probe tries no password, so it neither waits nor makes anybody wait; nor has it anything to encipher.
            Verdict::Empty if session.asked.as_ref().is_some_and(|asked| asked.user.starts_with(b"haproxy_check")) => {
                session.asked = None;
                session.phase = Phase::Probe;
                return answer_login(session, Connection::accept_unproved);
            }
            _ if self.config.tls == Tls::Required && !session.wire.is_tls() && address.is_some() => {
                return self.refuse(session, &Error::new(Code::Authentication, TLS_REQUIRED));
            }
            Verdict::SwitchPlugin(method) => {
                return answer_login(session, |wire, answer| wire.switch_plugin(method, answer));
            }
            // Whether the password is right is not told, or guessing would go on.
            _ if let Some(left) = address.and_then(|address| self.back_off.wait(address, now)) => {
                self.counters.session_logins_held_off += 1;
                let seconds = left.div_ceil(1_000_000);
                let text = format!("Too many wrong passwords from this address: wait {seconds} s and log in again");
                return self.refuse(session, &Error::new(Code::Authentication, text));
            }
            Verdict::Accepted(method) => method,
            Verdict::Empty | Verdict::Wrong => {
                let told = address.and_then(|address| count_wrong_password(&mut self.back_off, address, now));
                self.outputs.extend(told);
                return self.refuse(session, &Error::new(Code::Authentication, WRONG_PASSWORD));
            }
        };
        self.bound.leave(session);
        self.forget_memory(session);
        match self
            .go_elsewhere(session)
            .and_then(|()| self.admit(session, reach))
            .and_then(|()| self.bound.enter(session, &self.config))
        {
            Ok(()) => {
                // A tenant's own password proves nothing of the server's: or whoever knows one could guess the other.
                if let (Reach::Everywhere, Some(address)) = (reach, address) {
                    self.back_off.succeeded(address);
                }
                self.counters.session_logins += 1;
                session.phase = Phase::Ready;
                answer_login(session, |wire, answer| wire.accept(method, answer));
                self.outputs.push_back(Output::LoggedIn { session: session.id });
            }
            Err(error) => self.refuse(session, &error),
        }
    }

    /// The user name selects the tenant; a database named at login may change it.
    pub(super) fn admit(&self, session: &mut Session, reach: Reach) -> Result<(), Error> {
        let Asked { user, database } = session.asked.take().map(|asked| *asked).unwrap_or_default();
        session.user = match User::parse(&user, self.config.statements.dev_max) {
            // Clients show the name that the process has on its machine.
            Err(_) if session.peer == Peer::Trusted => User::Root,
            user => user?,
        };
        session.dev = session.user.dev();
        session.reach = reach;
        session.database = None;
        session.forget_all();
        if let Some(name) = database {
            let database = parse_database(&name, self.config.statements.dev_max)?;
            session.may_enter(database)?;
            session.use_database(database);
        }
        Ok(())
    }

    fn refuse(&mut self, session: &mut Session, error: &Error) {
        self.counters.session_logins_refused += 1;
        answer_login(session, |wire, answer| wire.refuse(error.code.number(), &error.text, answer));
        session.close_when_answered(CloseReason::LoginRefused);
    }
}

/// A wrong password counts against its address. The output tells that the address has to wait from now on; a further
/// mistake while it waits is not told again.
pub(super) fn count_wrong_password(back_off: &mut BackOff, address: IpAddr, now: Time) -> Option<Output> {
    (back_off.failed(address, now) == Some(back_off::WAIT_MIN)).then_some(Output::HeldOff { address })
}

/// The answer to a login stands behind the answers to what came before: a change of user may follow publications that are still under way.
fn answer_login(session: &mut Session, write: impl FnOnce(&mut Connection, &mut Vec<u8>)) {
    let mut answer = Vec::new();
    write(&mut session.wire, &mut answer);
    session.push(Entry::ready(answer));
}

const TLS_REQUIRED: &str = "Logins are accepted over TLS only: connect with --ssl (mysql) or MYSQLI_CLIENT_SSL (PHP)";

pub(super) const WRONG_PASSWORD: &str = "Authentication failed: wrong user name or password";
