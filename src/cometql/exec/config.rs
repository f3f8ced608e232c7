//! What the sessions' core is told once, when it begins.

use std::fmt;

use crate::cometql::session::{Server, StatementLimits};
use crate::cometql::sql::StringEscapes;
use crate::cometql::wire::{self, Method};
use crate::ring::Placement;

use super::tenants::Tenants;
use super::told::Tell;

#[derive(Clone)]
pub struct ExecConfig {
    pub placement: Placement,
    /// The server's password. It opens all tenants, but those of `tenants` only if that says so.
    pub password: Box<str>,
    pub tenants: Tenants,
    pub packets: wire::Limits,
    pub statements: StatementLimits,
    pub escapes: StringEscapes,
    /// What the server tells of itself.
    pub server: Server,
    /// How the greeting asks for the password.
    pub method: Method,
    /// Statements of one session under way; a session with so many is not read.
    pub pipeline_max: usize,
    /// Sessions of one tenant, and of all, that logged in with a tenant's own password.
    pub tenant_sessions_max: usize,
    pub tenants_sessions_max: usize,
    /// Bytes of rows that all sessions may hold together, of which those with a tenant's password get half. Beyond it an
    /// ORDER BY gets error 11; other answers hold a page, which has its own bound.
    pub held_bytes_max: usize,
    /// Bytes that all sessions, also before their login, may hold together of what their clients sent: what is unread,
    /// packets of which a part has come, long data. Beyond it the session that holds most ends.
    pub kept_bytes_max: usize,
    /// Wrong passwords from one address after which its logins have to wait; 0: never.
    pub login_attempts_max: u32,
    pub tls: Tls,
    /// Whether DELETE tells how many rows are gone; CppComet always said 0.
    pub delete_counts: bool,
    /// What the log is told of statements.
    pub tell: Tell,
}

/// All but the password, so that no log and no panic can tell it.
impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart, so that a new field is either shown or hidden on purpose.
        let Self {
            placement,
            password: _,
            tenants,
            packets,
            statements,
            escapes,
            server,
            method,
            pipeline_max,
            tenant_sessions_max,
            tenants_sessions_max,
            held_bytes_max,
            kept_bytes_max,
            login_attempts_max,
            tls,
            delete_counts,
            tell,
        } = self;
        f.debug_struct("ExecConfig")
            .field("placement", placement)
            .field("tenants", tenants)
            .field("packets", packets)
            .field("statements", statements)
            .field("escapes", escapes)
            .field("server", server)
            .field("method", method)
            .field("pipeline_max", pipeline_max)
            .field("tenant_sessions_max", tenant_sessions_max)
            .field("tenants_sessions_max", tenants_sessions_max)
            .field("held_bytes_max", held_bytes_max)
            .field("kept_bytes_max", kept_bytes_max)
            .field("login_attempts_max", login_attempts_max)
            .field("tls", tls)
            .field("delete_counts", delete_counts)
            .field("tell", tell)
            .finish_non_exhaustive()
    }
}

/// Whether sessions are enciphered. The edge does it; here it is offered and demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    /// For clients that ask for it.
    Offered,
    /// Nobody logs in without it.
    Required,
}
