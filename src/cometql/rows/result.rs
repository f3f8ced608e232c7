//! Rows as they come from a source, and answers as clients get them.

use std::borrow::Cow;

use crate::cometql::errors::{Code, Error};
use crate::model::{PipeName, UserId};

/// A value in a row of an answer; `None` is NULL.
pub type Field = Option<Cow<'static, str>>;

/// One row of a source, as text in the source's column order.
pub type Row = Vec<Box<str>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    /// Whether clients may treat it as a number.
    pub number: bool,
}

/// A whole result; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<Vec<Option<Box<[u8]>>>>,
}

/// What a row takes in memory, about.
pub fn weight(row: &Row) -> usize {
    row.iter().fold(size_of::<Row>(), |sum, cell| sum.saturating_add(size_of::<Box<str>>()).saturating_add(cell.len()))
}

/// Error 11: what a statement asks for is more than one answer may hold.
pub fn too_large(bytes_max: usize) -> Error {
    let text = format!("The result is larger than {bytes_max} bytes, the configured maximum: ask for fewer rows");
    Error::new(Code::TooLong, text)
}

/// Rows of `pipes` from subscriber counts.
pub fn rows_of_counts(counts: impl IntoIterator<Item = (PipeName, u64)>) -> Vec<Row> {
    counts.into_iter().map(|(name, count)| vec![name.as_str().into(), count.to_string().into()]).collect()
}

/// Rows of `users_auth` or `users_data` from what storage has.
pub fn rows_of_texts(texts: impl IntoIterator<Item = (UserId, Box<str>)>) -> Vec<Row> {
    texts.into_iter().map(|(user, text)| vec![user.to_string().into(), text]).collect()
}

/// Rows of `users_time` from times: seconds since 1970, 0 online, -1 unknown.
pub fn rows_of_times(times: impl IntoIterator<Item = (UserId, i64)>) -> Vec<Row> {
    times.into_iter().map(|(user, time)| vec![user.to_string().into(), time.to_string().into()]).collect()
}
