//! The names by which a session says who it is and where it wants to be.

use std::fmt;

use crate::cometql::errors::{Code, Error};
use crate::cometql::sql::SCHEMA;
use crate::cometql::tables::DATABASE;
use crate::model::DevId;

/// As whom a session logged in; that selects its tenant. Small, as every idle session keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// Before the login.
    #[default]
    Nobody,
    Root,
    Tenant(DevId),
}

impl User {
    /// `root`, or the digits of a tenant's number. Error: 16 for every other name.
    pub fn parse(name: &[u8], dev_max: u32) -> Result<Self, Error> {
        if name == b"root" {
            return Ok(Self::Root);
        }
        tenant(name, dev_max).map(Self::Tenant).ok_or_else(|| {
            Error::new(Code::Authentication, "Authentication failed: the user is root or the number of a tenant")
        })
    }

    pub fn dev(self) -> DevId {
        if let Self::Tenant(dev) = self { dev } else { DevId::default() }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => Ok(()),
            Self::Root => f.write_str("root"),
            Self::Tenant(dev) => dev.fmt(f),
        }
    }
}

/// What a database name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// `CometQL_v1`: the session stays with its tenant.
    CometQl,
    /// `db_<N>`: the session moves to this tenant, if it may.
    Tenant(DevId),
    /// `information_schema`: the session stays with its tenant, and names without a database are looked up there.
    Schema,
}

impl Database {
    /// What a session that chooses it has then: its tenant, and the name that `SELECT DATABASE()` tells.
    pub fn choose(self, dev: &mut DevId, name: &mut Option<&'static str>) {
        match self {
            Self::CometQl => *name = Some(DATABASE),
            Self::Schema => *name = Some(SCHEMA),
            Self::Tenant(chosen) => {
                *dev = chosen;
                // There names are those of CometQL.
                *name = name.filter(|name| *name != SCHEMA);
            }
        }
    }
}

/// A database name at login, in USE or in `COM_INIT_DB`: `CometQL_v1`, `db_<N>` with N up to `dev_max` inclusive, or
/// `information_schema` in any case. Errors: 15 for every other name.
pub fn parse_database(name: &[u8], dev_max: u32) -> Result<Database, Error> {
    if name == DATABASE.as_bytes() {
        return Ok(Database::CometQl);
    }
    if name.eq_ignore_ascii_case(SCHEMA.as_bytes()) {
        return Ok(Database::Schema);
    }
    name.strip_prefix(b"db_")
        .and_then(|digits| tenant(digits, dev_max))
        .map(Database::Tenant)
        .ok_or_else(|| Error::new(Code::NotFound, "Unknown database: use CometQL_v1, or db_ and a tenant's number"))
}

fn tenant(digits: &[u8], dev_max: u32) -> Option<DevId> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let dev = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (dev <= dev_max).then_some(DevId(dev))
}
