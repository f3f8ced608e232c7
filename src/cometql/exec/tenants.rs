//! Who may log in as which tenant, and what a session that is bound to one may not do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::cometql::errors::{Code, Error};
use crate::cometql::session::Database;
use crate::cometql::wire::Verdict;
use crate::model::DevId;

use super::ExecConfig;
use super::session::{Phase, Session};

/// The passwords of tenants that have their own.
#[derive(Clone, Default)]
pub struct Tenants {
    pub passwords: Arc<BTreeMap<DevId, Box<str>>>,
    /// Whether the server's password opens these tenants no more.
    pub own_only: bool,
}

/// Without the passwords.
impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passwords, own_only } = self;
        f.debug_struct("Tenants").field("passwords", &passwords.len()).field("own_only", own_only).finish()
    }
}

/// How far a login reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// It proved the server's password.
    #[default]
    Everywhere,
    /// It proved the tenant's own.
    Tenant,
}

/// How many sessions are logged in with the passwords of tenants, so that those cannot take all places.
#[derive(Debug, Default)]
pub(super) struct BoundSessions {
    /// Tenants without any are not in here.
    tenants: BTreeMap<DevId, usize>,
    all: usize,
}

impl BoundSessions {
    /// Error: 16, when there are as many as there may be.
    pub(super) fn enter(&mut self, session: &mut Session, config: &ExecConfig) -> Result<(), Error> {
        if session.reach == Reach::Everywhere {
            return Ok(());
        }
        let of_tenant = self.tenants.get(&session.dev).copied().unwrap_or_default();
        if of_tenant >= config.tenant_sessions_max || self.all >= config.tenants_sessions_max {
            let text = "Too many sessions are logged in with the passwords of tenants: close some first";
            return Err(Error::new(Code::Authentication, text));
        }
        self.tenants.insert(session.dev, of_tenant + 1);
        self.all += 1;
        session.bound_to = Some(session.dev);
        Ok(())
    }

    /// The session has ended, or logs in anew.
    pub(super) fn leave(&mut self, session: &mut Session) {
        let Some(dev) = session.bound_to.take() else { return };
        self.all -= 1;
        if let Some(count) = self.tenants.get_mut(&dev) {
            *count -= 1;
            if *count == 0 {
                self.tenants.remove(&dev);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.tenants.len() * size_of::<(DevId, usize)>()
    }
}

impl Tenants {
    /// Whether a login as this tenant is right, by one of the passwords that count for it. Two are tried whatever there
    /// is, so that the time taken does not tell which tenants have their own.
    pub(super) fn verdict(
        &self,
        dev: Option<DevId>,
        servers: &str,
        check: impl Fn(&[u8]) -> Verdict,
    ) -> (Verdict, Reach) {
        let own = dev.and_then(|dev| self.passwords.get(&dev));
        let by_own = check(own.map_or(servers, |own| own).as_bytes());
        let by_servers = check(servers.as_bytes());
        match (own, by_own, by_servers) {
            (Some(_), Verdict::Accepted(method), _) => (Verdict::Accepted(method), Reach::Tenant),
            (Some(_), _, Verdict::Accepted(_)) if self.own_only => (Verdict::Wrong, Reach::Tenant),
            (_, _, verdict) => (verdict, Reach::Everywhere),
        }
    }
}

impl Session {
    /// Error: 16, for another tenant than the one that this session is bound to.
    pub(super) fn may_enter(&self, database: Database) -> Result<(), Error> {
        match database {
            Database::Tenant(dev) if self.reach == Reach::Tenant && dev != self.dev => {
                let text =
                    format!("This session logged in with the password of tenant {} and cannot leave it", self.dev);
                Err(Error::new(Code::Authentication, text))
            }
            Database::Tenant(_) | Database::CometQl | Database::Schema => Ok(()),
        }
    }

    /// Whether it may know of another session, and end it: one of the same tenant, or any for tenant 0, those included that
    /// have not logged in; for a session that is bound to its tenant, only those that are as well.
    pub(super) fn sees(&self, other: &Self) -> bool {
        let ready = other.phase == Phase::Ready;
        match self.reach {
            Reach::Everywhere => self.dev == DevId(0) || other.dev == self.dev && ready,
            Reach::Tenant => other.dev == self.dev && ready && other.reach == Reach::Tenant,
        }
    }

    /// What KILL says of a number that is no session's or connection's, or not of one that this session sees.
    pub(super) fn no_connection(&self, number: u64) -> Error {
        match self.reach {
            Reach::Everywhere => {
                Error::new(Code::UnknownConnection, format!("There is no connection with the id {number}"))
            }
            // Not even whether there is one.
            Reach::Tenant => {
                let text = "This session may end sessions and connections of its own tenant only";
                Error::new(Code::Authentication, text)
            }
        }
    }
}
