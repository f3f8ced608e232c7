//! Figures that only the running server has.

use crate::cometql::rows::RowQuery;
use crate::cometql::sql::StatusFlag;

/// The columns of `SHOW FULL PROCESSLIST` as MySQL has them; `information_schema.PROCESSLIST` writes them large.
pub const PROCESS_COLUMNS: [&str; 8] = ["Id", "User", "Host", "db", "Command", "Time", "State", "Info"];

/// The columns of `SHOW MEMORY` and of the table `memory`.
pub const MEMORY_COLUMNS: [&str; 4] = ["kind", "shard", "bytes", "items"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQuery {
    pub figures: Figures,
    pub query: RowQuery,
}

/// Which figures, and the columns of their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// `Variable_name`, `Value`.
    Status(StatusFlag),
    /// `Line`: warnings and errors of the log, the oldest first. Not for everybody.
    Log,
    /// `ServiceName`, `id`, `status`, `count`.
    Processlist,
    /// The sessions that this one may see and its tenant's browser connections: [`PROCESS_COLUMNS`]. For
    /// [`Catalog::answer`](super::Catalog::answer) only; as they come in pieces, they are fetched before.
    Processes,
}
