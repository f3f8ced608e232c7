//! Answers as clients get them: OK, errors, and result sets that go out bit by bit.

use crate::cometql::errors::{Code, Error};
use crate::cometql::plan::Reply;
use crate::cometql::rows::{ResultColumn, ResultSet, too_large};
use crate::cometql::wire::{self, Column, ColumnKind, Connection};
use crate::storage::StorageError;

use super::session::Session;
use super::stage::{Entry, Stage, Start, Stream};

impl Session {
    /// Writes rows that are known, so many at the most and until the client has enough to read; says how many. Columns go
    /// out before the first row: a statement that fails before has an error for its whole answer.
    pub(super) fn write_known(&mut self, start: Start, binary: bool, stream: &mut Stream, most: u32) -> u32 {
        let mut written = 0;
        while written < most
            && !self.is_held_up()
            && stream.failure.is_none()
            && let Some(row) = stream.rows.take_row()
        {
            written += 1;
            stream.count();
            if let Some(batch) = &mut self.batch {
                batch.write_row(&row, stream, &mut self.out);
                continue;
            }
            let mut writer = resume(&self.wire, &mut self.out, self.sequence, start, binary, stream);
            writer.row(row.iter().map(Option::as_deref));
            stream.paused = Some(writer.pause());
        }
        written
    }

    /// All rows are written, or an error tells that no more will come; the entry was taken from the front.
    pub(super) fn end_rows(&mut self, start: Start, more: bool, binary: bool, stream: &mut Stream) {
        match stream.failure {
            None => self.memory.gave_rows(stream.written),
            Some(_) => self.memory.failed(),
        }
        if let Some(batch) = &mut self.batch {
            batch.end_rows(stream, &mut self.out);
            self.popped();
            if stream.failure.is_some() {
                self.drop_continued();
            }
            return;
        }
        let Some(error) = stream.failure.take() else {
            self.popped();
            let writer = resume(&self.wire, &mut self.out, self.sequence, start, binary, stream);
            self.sequence = writer.end(more).sequence();
            return;
        };
        if stream.paused.is_none() {
            return self.answer(start, more, binary, Err(error));
        }
        self.popped();
        let writer = resume(&self.wire, &mut self.out, self.sequence, start, binary, stream);
        writer.error(error.code.number(), &error.text);
        self.drop_continued();
    }

    /// After an error nothing follows, whatever was announced.
    fn drop_continued(&mut self) {
        while self.queue.front().is_some_and(is_continued) {
            self.queue.pop_front();
            self.popped();
        }
    }

    /// Writes the answer to the entry that was taken from the front.
    pub(super) fn answer(&mut self, start: Start, more: bool, binary: bool, result: Result<Reply, Error>) {
        let sequence = start.sequence(self.sequence);
        self.remember_result(&result);
        self.popped();
        if let Some(batch) = &mut self.batch {
            if !batch.answer(result, self.memory.warning(), &mut self.out) {
                self.drop_continued();
            }
            return;
        }
        let mut reply = self.wire.reply(sequence, &mut self.out);
        self.sequence = match result {
            Ok(Reply::Ok { affected, insert_id }) => {
                reply.ok_warning(affected, insert_id, self.memory.warning().is_some().into(), more);
                reply.sequence()
            }
            Ok(Reply::Told(text)) => {
                reply.ok_told(&text, more);
                reply.sequence()
            }
            Ok(Reply::Rows(rows)) => write_rows(reply, &rows, more, binary),
            Err(error) => {
                reply.error(error.code.number(), &error.text);
                return self.drop_continued();
            }
        };
    }
}

/// Goes on with the result set, or begins it.
fn resume<'a>(
    wire: &Connection,
    out: &'a mut Vec<u8>,
    sequence: u8,
    start: Start,
    binary: bool,
    stream: &mut Stream,
) -> wire::RowWriter<'a> {
    if let Some(paused) = stream.paused.take() {
        return wire.resume(paused, out);
    }
    let columns = columns(&stream.rows.columns());
    let reply = wire.reply(start.sequence(sequence), out);
    if binary { reply.start_binary(&columns) } else { reply.start(&columns) }
}

fn is_continued(entry: &Entry) -> bool {
    entry.start == Start::Continued && !matches!(entry.stage, Stage::Ready(_))
}

/// For rows that are not known yet: their numbers are whole.
pub(super) fn columns(columns: &[ResultColumn]) -> Vec<Column> {
    let kind = |number| if number { ColumnKind::Integer } else { ColumnKind::Text };
    columns.iter().map(|column| Column::new(column.name.clone(), kind(column.number))).collect()
}

/// For rows that are known: what is told as a number holds nothing but numbers.
fn columns_of(rows: &ResultSet) -> Vec<Column> {
    let kind = |place: usize| {
        let cells = rows.rows.iter().filter_map(|row| row.get(place)?.as_deref());
        cells.map(kind_of).try_fold(ColumnKind::Integer, |kind, cell| match (kind, cell?) {
            (ColumnKind::Decimal(left), ColumnKind::Decimal(right)) => Some(ColumnKind::Decimal(left.max(right))),
            (ColumnKind::Integer, other) | (other, ColumnKind::Integer) => Some(other),
            _ => None,
        })
    };
    let columns = rows.columns.iter().enumerate();
    columns
        .map(|(place, column)| {
            let kind = if column.number { kind(place) } else { None };
            Column::new(column.name.clone(), kind.unwrap_or(ColumnKind::Text))
        })
        .collect()
}

/// `None`: no number that a column could be of.
fn kind_of(cell: &[u8]) -> Option<ColumnKind> {
    /// What MySQL's type has.
    const DIGITS_MAX: usize = 65;
    let text = std::str::from_utf8(cell).ok()?;
    if text.parse::<i64>().is_ok() {
        return Some(ColumnKind::Integer);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = [before, behind].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let short = !before.is_empty() && before.len() + behind.len() <= DIGITS_MAX && behind.len() <= 30;
    (decimal && short).then_some(ColumnKind::Decimal(behind.len() as u8))
}

fn write_rows(reply: wire::Reply<'_>, rows: &ResultSet, more: bool, binary: bool) -> u8 {
    let columns = columns_of(rows);
    let mut writer = if binary { reply.start_binary(&columns) } else { reply.start(&columns) };
    for row in &rows.rows {
        writer.row(row.iter().map(Option::as_deref));
    }
    writer.end(more).sequence()
}

pub(super) fn storage_failure(error: &StorageError) -> Error {
    match error {
        StorageError::TooLarge { bytes_max } => too_large(*bytes_max),
        StorageError::Unfit(text) => {
            Error::new(Code::Invalid, format!("The database does not take what the statement writes: {text}"))
        }
        StorageError::Full(text) => {
            Error::new(Code::Internal, format!("Nothing was written, because there is no room on the disk: {text}"))
        }
        StorageError::Failed(text) => Error::new(Code::Internal, format!("Storage failed: {text}")),
        StorageError::Overloaded => Error::new(Code::Internal, "Storage has too much to do: try again"),
        StorageError::Unavailable(text) => Error::new(Code::Internal, format!("Storage cannot be reached: {text}")),
    }
}
