//! Rows, and what a query makes of them: filter, order, window, projection, whether all of them are at hand or still come.
//!
//! Nothing here knows tables, tenants or sessions. What is looked for in rows - LIKE, long conditions, sorting - is counted
//! in steps, so that whoever owns the rows can stop and go on later.

mod columns;
mod condition;
pub mod like;
pub mod numbers;
mod query;
mod result;
mod sorted;
mod stream;

pub use columns::{Columns, SourceColumn, Values};
pub use condition::{Test, compile, pattern};
pub use like::Effort;
pub use query::{Cell, Projected, RowQuery};
pub use result::{
    Field, ResultColumn, ResultSet, Row, rows_of_counts, rows_of_texts, rows_of_times, too_large, weight,
};
pub use stream::RowStream;
