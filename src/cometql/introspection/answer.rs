//! Answers, as far as they are known without the running server.

use super::figures::LiveQuery;
use super::query::Catalog;
use crate::cometql::rows::{ResultSet, RowQuery};
use crate::model::UnixTime;

/// What is known of the answer, and what is needed for the rest.
#[derive(Debug)]
pub enum Answer {
    /// All of it.
    Rows(ResultSet),
    /// The query makes it of figures.
    Live(LiveQuery),
    /// The query makes it of the list of sessions and connections at this time, whose rows have [`PROCESS_COLUMNS`](super::PROCESS_COLUMNS) and
    /// come in pieces.
    Processes(UnixTime, RowQuery),
    /// The query makes it of what memory is for, in rows of [`MEMORY_COLUMNS`](super::MEMORY_COLUMNS), which take the server a
    /// while to find out.
    Memory(RowQuery),
    /// To be carried out with [`Catalog::answer`] when its turn has come. If it says [`Catalog::processes`], their rows are
    /// fetched first.
    Catalog(Box<Catalog>),
}
