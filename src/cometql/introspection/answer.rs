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
    /// To be carried out with [`Catalog::answer`] when its turn has come. If it says [`Catalog::processes`], their rows are
    /// fetched first.
    Catalog(Box<Catalog>),
}
