//! What clients ask about the server: `information_schema`, SHOW, DESCRIBE, variables, and functions without a table.
//!
//! Every graphical client, driver and ORM asks such things of a MySQL server when it connects. The room has one door:
//! [`ask`] takes a [`Question`] and gives an [`Answer`], [`evaluate`] and [`value_of`] give single values. What that takes is
//! counted against the [`Budget`](super::budget::Budget) of the session's view.
//!
//! Nothing here reads or writes the tables of a tenant, and nothing waits: figures that only the running server has are
//! named in the answer ([`Figures`]), and whoever carries it out supplies them.
//!
//! ```text
//!  sql::Show ────────> show ──> rows, or the figures that are wanted
//!  sql::Query ───────> query ─> Catalog ──answer(live figures)──> rows
//!  sql::Expression ──> expressions
//!                        │
//!            described, views, variables, scalars, moment: what all of them share
//! ```

mod answer;
mod described;
mod expressions;
mod figures;
mod help;
mod moment;
mod query;
mod scalars;
mod show;
mod variables;
mod view_rows;
mod views;

use super::errors::Error;
use super::session::SessionView;
use super::sql::catalog::Query;
use super::sql::{Show, ShowFilter, TableName};

pub use answer::Answer;
pub use expressions::{evaluate, value as value_of_word};
pub use figures::{Figures, LiveQuery, MEMORY_COLUMNS, PROCESS_COLUMNS};
pub use query::{Answered, Assignments, Catalog, value_of, value_of_scalar};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'q> {
    /// A SELECT about the server's own tables, or of what is computed without any.
    Query(&'q Query),
    Show(&'q Show),
    /// DESCRIBE of a table, or of those of its columns that the filter lets through.
    Describe {
        table: &'q TableName<'static>,
        filter: &'q ShowFilter,
    },
}

/// Errors: 15 and 1146 for tables that are not there, 14 for columns, 3 for what cannot stand where it stands, 11 for what
/// is too long, 18 and 19 for the size of a WHERE.
pub fn ask(question: Question<'_>, session: &SessionView<'_>) -> Result<Answer, Error> {
    match question {
        Question::Query(query) => query::prepare(query, session).map(|catalog| Answer::Catalog(Box::new(catalog))),
        Question::Show(question) => show::show(question, session),
        Question::Describe { table, filter } => show::describe(table, "DESCRIBE", filter),
    }
}
