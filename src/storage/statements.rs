//! What the SQL engines do for each request, in the SQL that all of them understand. An engine brings a [`Connection`];
//! transactions and groups are its own business.
//!
//! Tables and columns have the names of `db.sql`. A row that holds what this server would never have written - a name with
//! other characters, an id that is no UUID - is left out of what is read.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow::{self, Break, Continue};

use super::begun::{self, Begun};
use super::groups::{Results, weight};
use super::{
    Call, Job, Outcome, Page, PipeSetting, Place, Read, Request, Retention, StorageError, StoredMessage, Write,
};
use crate::model::{DevId, EventName, MessageId, PipeClass, PipeKey, PipeName, Position, UserId};

/// What stands for "never" in column `time` of `revoked_tokens`, as CppComet wrote it into every row.
pub(super) const NEVER: i64 = 9_999_999;
/// Times are 32 bits wide in `db.sql`.
const TIME_MAX: i64 = i32::MAX as i64;

/// Ids in one statement; a shorter list repeats its last one, so that few different statements are prepared.
const IDS_MAX: usize = 100;
/// Users whose queue lengths are remembered.
const LENGTHS_MAX: usize = 65_536;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    Id(MessageId),
}

impl From<DevId> for Value<'_> {
    fn from(dev: DevId) -> Self {
        Self::Int(dev.0.into())
    }
}

impl From<UserId> for Value<'_> {
    fn from(user: UserId) -> Self {
        Self::Int(user.get().into())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<Position> for Value<'_> {
    fn from(position: Position) -> Self {
        Self::Int(position.0.cast_signed())
    }
}

impl From<MessageId> for Value<'_> {
    fn from(id: MessageId) -> Self {
        Self::Id(id)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a PipeName> for Value<'a> {
    fn from(name: &'a PipeName) -> Self {
        Self::Text(name.as_str())
    }
}

macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$(Value::from($value)),*] };
}
pub(super) use values;

/// A row of a result; columns count from 0. `None` for NULL and for what has another type.
pub(super) trait Row {
    fn int(&self, column: usize) -> Option<i64>;
    fn text(&self, column: usize) -> Option<&str>;
    fn id(&self, column: usize) -> Option<MessageId>;
}

/// An open transaction, or a connection where none is needed.
pub(super) trait Connection {
    type Error;
    /// Ends an INSERT that leaves a row with the same key as it is, and then changes none.
    const OR_KEEP: &'static str;
    /// Column `time` where a condition on it must not keep the engine from searching by `(time, id)`.
    const TIME: &'static str;
    /// Unix seconds.
    const NOW: &'static str;
    /// Reads the time of the newest message in the histories, as far as an index tells it.
    const NEWEST: &'static str;
    /// Behind a text, has names compared with it byte by byte. Some tables compare without case.
    const EXACTLY: &'static str;
    /// Removes at most [`super::expiry::ROWS_MAX`] personal messages older than a time, the oldest first.
    const EXPIRE_QUEUED: &'static str;
    /// The same with revoked tokens of which the time is between two.
    const EXPIRE_TOKENS: &'static str;
    /// The same with the messages of a pipe - [`of_name`] - older than a time; the last parameter says how many.
    const EXPIRE_HISTORY: &'static str;
    /// Whether a message is found by its id alone.
    const ID_IS_KEY: bool;
    /// Whether a comparison of several columns at once is looked up in an index.
    const COMPARES_ROWS: bool;
    /// Whether a statement of many rows costs much less than many statements.
    const BATCHES: bool;
    /// Whether nobody else changes the tables.
    const ALONE: bool;

    /// Returns how many rows were changed. Parameters are `?`.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Self::Error>;

    /// Hands over row by row until `each` breaks.
    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// How many messages wait for users that were written to lately; saves counting them at each write. At least as many as
/// there are if nobody else removes them.
#[derive(Debug, Default)]
pub(super) struct QueueLengths(HashMap<(DevId, UserId), u64>);

impl QueueLengths {
    /// After a transaction that was not committed nothing is known.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn set(&mut self, dev: DevId, user: UserId, length: u64) {
        if self.0.len() >= LENGTHS_MAX {
            self.0.clear();
        }
        self.0.insert((dev, user), length);
    }
}

/// The condition for the rows of a name, which stands for two parameters. Tables that CppComet made take `News` for
/// `news`: their index finds the rows of both, and the second comparison leaves those that are meant.
pub(super) fn of_name<C: Connection>(column: &str) -> String {
    format!("dev_id = ? AND {column} = ? AND {column} = ? {}", C::EXACTLY)
}

/// The first row's value.
pub(super) fn first<C: Connection, T>(
    db: &mut C,
    sql: &str,
    values: &[Value<'_>],
    of: impl Fn(&dyn Row) -> Option<T>,
) -> Result<Option<T>, C::Error> {
    let mut found = None;
    db.query(sql, values, &mut |row| {
        found = of(row);
        Break(())
    })?;
    Ok(found)
}

/// The results of the first jobs, as many as the budget of bytes allows, and what is left of it then. `refusal`: what is
/// wrong with a job of writes that would fail, and the others with it.
pub(super) fn run_jobs<'jobs, C: Connection>(
    db: &mut C,
    jobs: &'jobs [Job],
    mut budget: usize,
    retention: &Retention,
    lengths: &mut QueueLengths,
    refusal: &dyn Fn(&Job) -> Option<StorageError>,
) -> Result<(Results, usize), C::Error> {
    let mut results = Results::with_capacity(jobs.len());
    let mut rest = jobs;
    while let Some(job) = rest.first()
        && budget > 0
    {
        if let Request::Read { read, bytes_max } = &job.request {
            let outcome = run_read(db, read, *bytes_max, retention)?;
            let result = outcome.ok_or(StorageError::TooLarge { bytes_max: *bytes_max });
            budget = budget.saturating_sub(result.as_ref().map_or(0, weight));
            results.push(result);
            rest = rest.get(1..).unwrap_or_default();
        } else {
            // All writes up to the next read, whosever they are.
            let of = |job: &'jobs Job| match &job.request {
                Request::Write(writes) => Some(refusal(job).map_or(Ok(writes.as_slice()), Err)),
                Request::Read { .. } => None,
            };
            let groups: Vec<Result<&[Write], StorageError>> = rest.iter().map_while(of).collect();
            let writes: Vec<&Write> = groups.iter().flatten().copied().flatten().collect();
            let mut rows = run_writes(db, &writes, retention, lengths)?.into_iter();
            rest = rest.get(groups.len()..).unwrap_or_default();
            let mut outcome = |group: &[Write]| Outcome::Written { rows: rows.by_ref().take(group.len()).sum() };
            results.extend(groups.into_iter().map(|group| group.map(&mut outcome)));
        }
    }
    Ok((results, budget))
}

// Reads

/// `None` if the texts weigh more than `bytes_max`; lists that come in pages have pages no larger.
fn run_read<C: Connection>(
    db: &mut C,
    read: &Read,
    bytes_max: usize,
    retention: &Retention,
) -> Result<Option<Outcome>, C::Error> {
    let page_of = |page: &Page| Page { rows: page.rows, bytes: page.bytes.min(bytes_max) };
    match read {
        Read::Hashes { dev, users } => return texts(db, HASH, *dev, users, bytes_max),
        Read::UserData { dev, users } => {
            let sql = "SELECT data FROM users_data WHERE dev_id = ? AND user_id = ?";
            return texts(db, sql, *dev, users, bytes_max);
        }
        Read::Calls { dev, names } => return calls(db, *dev, names, bytes_max),
        Read::LastSeen { dev, users } => {
            let sql = "SELECT time FROM users_time WHERE dev_id = ? AND user_id = ?";
            let mut rows = Vec::new();
            for user in users {
                let time = first(db, sql, values![*dev, *user], |row| row.int(0))?;
                rows.extend(time.map(|time| (*user, time)));
            }
            Ok(Outcome::Times(rows))
        }
        Read::Login { dev, user, token } => {
            let hash = first(db, HASH, values![*dev, *user], |row| row.text(0).map(Box::from))?;
            let revoked = match token {
                Some(token) => is_revoked(db, *dev, token)?,
                None => false,
            };
            Ok(Outcome::Login { hash, revoked })
        }
        Read::Queue { dev, user, after, page } => queue(db, *dev, *user, *after, page_of(page)),
        Read::History { pipe, after, page } => history(db, pipe, *after, page_of(page), retention),
        Read::NewestHistory { pipe, page } => newest_history(db, pipe, page_of(page), retention),
        Read::Missed { pipe, after, page } => begun::missed(db, pipe, *after, page_of(page), retention),
        Read::Settings { dev, pipes } => {
            let mut rows = Vec::new();
            for name in pipes {
                rows.extend(setting(db, *dev, name)?.map(|length| (name.clone(), length)));
            }
            Ok(Outcome::Lengths(rows))
        }
        Read::Revoked { dev, tokens } => {
            let mut rows = Vec::new();
            for token in tokens {
                if is_revoked(db, *dev, token)? {
                    rows.push(token.clone());
                }
            }
            Ok(Outcome::Tokens { rows, more: false })
        }
        Read::AllRevoked { dev, after, page } => all_revoked(db, *dev, after.as_deref(), page_of(page)),
    }
    .map(Some)
}

const HASH: &str = "SELECT hash FROM users_auth WHERE dev_id = ? AND user_id = ?";

fn texts<C: Connection>(
    db: &mut C,
    sql: &str,
    dev: DevId,
    users: &[UserId],
    bytes_max: usize,
) -> Result<Option<Outcome>, C::Error> {
    let (mut rows, mut left) = (Vec::new(), bytes_max);
    for user in users {
        // The length is looked at before the text is copied.
        let text = first(db, sql, values![dev, *user], |row| {
            let text = row.text(0)?;
            Some(left.checked_sub(text.len()).map(|left| (left, Box::from(text))))
        })?;
        match text {
            None => {}
            Some(None) => return Ok(None),
            Some(Some((still_left, text))) => {
                left = still_left;
                rows.push((*user, text));
            }
        }
    }
    Ok(Some(Outcome::Texts(rows)))
}

fn is_revoked<C: Connection>(db: &mut C, dev: DevId, token: &str) -> Result<bool, C::Error> {
    let sql = "SELECT 1 FROM revoked_tokens WHERE dev_id = ? AND token = ?";
    first(db, sql, values![dev, token], |_| Some(())).map(|found| found.is_some())
}

/// Fills a page from rows; a row that is `None` is left out.
pub(super) struct Filling<T> {
    page: Page,
    pub(super) rows: Vec<T>,
    /// Rows of the result, those left out included.
    seen: i64,
    bytes: usize,
    pub(super) more: bool,
}

/// Fills a page from a statement whose last parameter is the number of rows.
pub(super) fn fill<C: Connection, T>(
    db: &mut C,
    page: Page,
    sql: &str,
    values: &[Value<'_>],
    of: impl Fn(&dyn Row) -> Option<(T, usize)>,
) -> Result<Filling<T>, C::Error> {
    // One row more than the page has shows whether there are more.
    let mut limit = i64::from(page.rows.max(1)) + 1;
    loop {
        let mut filling = Filling { page, rows: Vec::new(), seen: 0, bytes: 0, more: false };
        let values: Vec<Value<'_>> = values.iter().copied().chain([limit.into()]).collect();
        db.query(sql, &values, &mut |row| filling.add(|| of(row)))?;
        // Rows that were left out have taken the places of others.
        let cut = filling.seen >= limit;
        filling.more |= cut;
        if !cut || !filling.rows.is_empty() {
            return Ok(filling);
        }
        // Without a row nobody could ask for what is behind it.
        limit = limit.saturating_mul(16);
    }
}

impl<T> Filling<T> {
    fn add(&mut self, row: impl FnOnce() -> Option<(T, usize)>) -> ControlFlow<()> {
        if self.rows.len() as u32 >= self.page.rows.max(1) || (self.bytes >= self.page.bytes && !self.rows.is_empty()) {
            self.more = true;
            return Break(());
        }
        self.seen += 1;
        if let Some((row, bytes)) = row() {
            self.bytes += bytes;
            self.rows.push(row);
        }
        Continue(())
    }
}

/// Columns `id`, `time`, `event`, `message`, `user_id`.
pub(super) fn message(row: &dyn Row) -> Option<(StoredMessage, usize)> {
    let message = StoredMessage {
        id: row.id(0)?,
        time: row.int(1)?,
        event: EventName::new(row.text(2)?.as_bytes()).ok()?,
        message: row.text(3)?.into(),
        sender: UserId::new(u32::try_from(row.int(4)?).ok()?)?,
    };
    let bytes = message.event.as_str().len() + message.message.len();
    Some((message, bytes))
}

/// Before all places.
const BEGINNING: Place = Place { time: i64::MIN, id: MessageId::NIL };

fn queue<C: Connection>(
    db: &mut C,
    dev: DevId,
    user: UserId,
    after: Option<Place>,
    page: Page,
) -> Result<Outcome, C::Error> {
    let sql = format!(
        "SELECT id, time, event, message, 0 FROM users_messages \
         WHERE dev_id = ? AND user_id = ? AND {} >= ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?",
        C::TIME
    );
    let Place { time, id } = after.unwrap_or(BEGINNING);
    let filling = fill(db, page, &sql, values![dev, user, time, time, id], message)?;
    Ok(Outcome::Messages { rows: filling.rows, more: filling.more })
}

/// The length set for a pipe.
pub(super) fn setting<C: Connection>(db: &mut C, dev: DevId, name: &PipeName) -> Result<Option<u32>, C::Error> {
    let sql = format!("SELECT length FROM pipes_settings WHERE {}", of_name::<C>("name"));
    first(db, &sql, values![dev, name, name], |row| row.int(0).map(|length| length.clamp(0, u32::MAX.into()) as u32))
}

/// How many messages a pipe keeps.
pub(super) fn length<C: Connection>(db: &mut C, pipe: &PipeKey, retention: &Retention) -> Result<u32, C::Error> {
    let without = if pipe.name.class() == PipeClass::Trust { retention.trust_messages_max } else { 0 };
    setting(db, pipe.dev, &pipe.name).map(|length| length.unwrap_or(without))
}

/// The place of the newest message that is beyond the length.
pub(super) fn last_beyond<C: Connection>(db: &mut C, pipe: &PipeKey, length: u32) -> Result<Option<Place>, C::Error> {
    let sql = format!(
        "SELECT time, id FROM pipe_messages WHERE {} ORDER BY time DESC, id DESC LIMIT 1 OFFSET ?",
        of_name::<C>("pipe_name")
    );
    let place = |row: &dyn Row| Some(Place { time: row.int(0)?, id: row.id(1)? });
    first(db, &sql, values![pipe.dev, &pipe.name, &pipe.name, length], place)
}

fn history<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    after: Option<Place>,
    page: Page,
    retention: &Retention,
) -> Result<Outcome, C::Error> {
    let length = length(db, pipe, retention)?;
    if length == 0 {
        return Ok(Outcome::Messages { rows: Vec::new(), more: false });
    }
    let sql = format!(
        "SELECT id, time, event, message, user_id FROM pipe_messages \
         WHERE {} AND {} >= ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?",
        of_name::<C>("pipe_name"),
        C::TIME
    );
    let Place { time, id } = after.max(last_beyond(db, pipe, length)?).unwrap_or(BEGINNING);
    let filling = fill(db, page, &sql, values![pipe.dev, &pipe.name, &pipe.name, time, time, id], message)?;
    Ok(Outcome::Messages { rows: filling.rows, more: filling.more })
}

fn newest_history<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    page: Page,
    retention: &Retention,
) -> Result<Outcome, C::Error> {
    let rows_max = length(db, pipe, retention)?.min(page.rows);
    let mut rows = Vec::new();
    if rows_max > 0 {
        let sql = format!(
            "SELECT id, time, event, message, user_id FROM pipe_messages WHERE {} ORDER BY time DESC, id DESC LIMIT ?",
            of_name::<C>("pipe_name")
        );
        let page = Page { rows: rows_max, ..page };
        rows = fill(db, page, &sql, values![pipe.dev, &pipe.name, &pipe.name], message)?.rows;
        rows.reverse();
    }
    Ok(Outcome::Messages { rows, more: false })
}

fn all_revoked<C: Connection>(db: &mut C, dev: DevId, after: Option<&str>, page: Page) -> Result<Outcome, C::Error> {
    let token = |row: &dyn Row| row.text(0).map(|token| (Box::from(token), token.len()));
    let filling = if let Some(after) = after {
        let sql = "SELECT token FROM revoked_tokens WHERE dev_id = ? AND token > ? ORDER BY token LIMIT ?";
        fill(db, page, sql, values![dev, after], token)?
    } else {
        let sql = "SELECT token FROM revoked_tokens WHERE dev_id = ? ORDER BY token LIMIT ?";
        fill(db, page, sql, values![dev], token)?
    };
    Ok(Outcome::Tokens { rows: filling.rows, more: filling.more })
}

fn calls<C: Connection>(
    db: &mut C,
    dev: DevId,
    names: &[Box<str>],
    bytes_max: usize,
) -> Result<Option<Outcome>, C::Error> {
    let sql = format!(
        "SELECT user_id, caller_id, message, profile, stream, node, time FROM conference WHERE {} ORDER BY user_id",
        of_name::<C>("name")
    );
    let user = |number: Option<i64>| UserId::new(u32::try_from(number?).ok()?);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for name in names {
        let call = |row: &dyn Row| {
            Some(Call {
                name: name.clone(),
                user: user(row.int(0))?,
                caller: user(row.int(1))?,
                message: row.text(2)?.into(),
                profile: row.text(3)?.into(),
                stream: row.text(4)?.into(),
                node: row.text(5)?.into(),
                time: row.int(6)?,
            })
        };
        db.query(&sql, values![dev, &**name, &**name], &mut |row| {
            let call = call(row);
            bytes += call.as_ref().map_or(0, |call| call.message.len());
            rows.extend(call);
            if bytes > bytes_max { Break(()) } else { Continue(()) }
        })?;
        if bytes > bytes_max {
            return Ok(None);
        }
    }
    Ok(Some(Outcome::Calls(rows)))
}

pub(super) fn settings<C: Connection>(db: &mut C) -> Result<Vec<PipeSetting>, C::Error> {
    let setting = |row: &dyn Row| {
        let dev = DevId(u32::try_from(row.int(0)?).ok()?);
        let name = PipeName::new(row.text(1)?.as_bytes()).ok()?;
        Some(PipeSetting { pipe: PipeKey { dev, name }, length: row.int(2)?.clamp(0, u32::MAX.into()) as u32 })
    };
    let mut settings = Vec::new();
    db.query("SELECT dev_id, name, length FROM pipes_settings", &[], &mut |row| {
        settings.extend(setting(row));
        Continue(())
    })?;
    Ok(settings)
}

// Writes

/// Returns for each write how many rows there are less or more, or have new values.
fn run_writes<C: Connection>(
    db: &mut C,
    writes: &[&Write],
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<Vec<u64>, C::Error> {
    let mut rows = Vec::with_capacity(writes.len());
    let mut rest = writes;
    while let Some(first) = rest.first() {
        let alike = if C::BATCHES { alike(rest) } else { 1 };
        let (batch, behind) = rest.split_at(alike.max(1));
        if batch.len() > 1 {
            // A message that was there already counts as well: only one that is sent again is.
            let is_kept = run_batch(db, batch, retention, lengths)?;
            rows.extend(is_kept.into_iter().map(u64::from));
        } else {
            rows.push(run_write(db, first, retention, lengths)?);
        }
        rest = behind;
    }
    Ok(rows)
}

/// Writes that one statement may carry out, and about how many bytes.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How many of the first of these writes can be one statement.
fn alike(writes: &[&Write]) -> usize {
    let kind = |write: &Write| match write {
        Write::PutHash { .. } => Some(0),
        Write::PutUserData { .. } => Some(1),
        Write::PutLastSeen { .. } => Some(2),
        Write::PutQueued { .. } => Some(3),
        Write::PutHistory { .. } => Some(4),
        _ => None,
    };
    let Some(first) = writes.first().and_then(|write| kind(write)) else { return 1 };
    let mut bytes = 0;
    let fits = |write: &&&Write| {
        bytes += write.bytes();
        kind(write) == Some(first) && bytes <= BATCH_BYTES_MAX
    };
    writes.iter().take(BATCH_MAX).take_while(fits).count()
}

/// What [`alike`] has found, two at least. Returns which of them changed a row.
fn run_batch<C: Connection>(
    db: &mut C,
    writes: &[&Write],
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<Vec<bool>, C::Error> {
    let lengths_of_pipes = lengths_of_pipes(db, writes, retention)?;
    let length = |pipe: &PipeKey| lengths_of_pipes.get(pipe).copied().unwrap_or_default();
    let values: Vec<Vec<Value<'_>>> = writes
        .iter()
        .filter_map(|write| match write {
            Write::PutHash { dev, user, hash: text } | Write::PutUserData { dev, user, data: text } => {
                Some(vec![(*dev).into(), (*user).into(), (&**text).into()])
            }
            Write::PutLastSeen { dev, user, time } => Some(vec![(*dev).into(), (*user).into(), (*time).into()]),
            Write::PutQueued { dev, user, message } => Some(queued_values(*dev, *user, message).to_vec()),
            Write::PutHistory { pipe, message, .. } if length(pipe) > 0 => Some(history_values(pipe, message).to_vec()),
            _ => None,
        })
        .collect();
    let (into, end) = match writes.first() {
        Some(Write::PutHash { .. }) => ("REPLACE INTO users_auth (dev_id, user_id, hash)", ""),
        Some(Write::PutUserData { .. }) => ("REPLACE INTO users_data (dev_id, user_id, data)", ""),
        Some(Write::PutLastSeen { .. }) => ("REPLACE INTO users_time (dev_id, user_id, time)", ""),
        Some(Write::PutHistory { .. }) => (INSERT_HISTORY, C::OR_KEEP),
        _ => (INSERT_QUEUED, C::OR_KEEP),
    };
    let mut rest = values.as_slice();
    while let Some(columns) = rest.first().map(Vec::len) {
        // Powers of two, so that few different statements are prepared.
        let (now, later) = rest.split_at(1 << rest.len().ilog2());
        let row = format!("({})", vec!["?"; columns].join(", "));
        let sql = format!("{into} VALUES {} {end}", vec![row.as_str(); now.len()].join(", "));
        db.execute(&sql, &now.concat())?;
        rest = later;
    }
    let mut trimmed = HashSet::new();
    for write in writes {
        match write {
            Write::PutQueued { dev, user, .. } => after_queued(db, *dev, *user, 1, retention, lengths)?,
            Write::PutHistory { pipe, trim: true, .. } if length(pipe) > 0 && trimmed.insert(pipe) => {
                trim(db, pipe, length(pipe))?;
            }
            _ => {}
        }
    }
    let is_kept = |write: &&Write| !matches!(write, Write::PutHistory { pipe, .. } if length(pipe) == 0);
    Ok(writes.iter().map(is_kept).collect())
}

/// Of the pipes that these writes put something into.
fn lengths_of_pipes<'a, C: Connection>(
    db: &mut C,
    writes: &[&'a Write],
    retention: &Retention,
) -> Result<HashMap<&'a PipeKey, u32>, C::Error> {
    let mut lengths = HashMap::new();
    for write in writes {
        if let Write::PutHistory { pipe, .. } = write
            && !lengths.contains_key(pipe)
        {
            lengths.insert(pipe, length(db, pipe, retention)?);
        }
    }
    Ok(lengths)
}

/// Returns how many rows there are less or more, or have new values.
fn run_write<C: Connection>(
    db: &mut C,
    write: &Write,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<u64, C::Error> {
    match write {
        Write::IfAbsent(write) if is_there(db, write)? => Ok(0),
        Write::IfAbsent(write) => run_write(db, write, retention, lengths),
        Write::PutHash { dev, user, hash } => {
            replace(db, "users_auth (dev_id, user_id, hash) VALUES (?, ?, ?)", values![*dev, *user, &**hash])
        }
        Write::UpdateHash { dev, user, hash } => update(db, "users_auth", "hash", *dev, *user, hash),
        Write::DeleteHash { dev, user } => {
            db.execute("DELETE FROM users_auth WHERE dev_id = ? AND user_id = ?", values![*dev, *user])
        }
        Write::PutUserData { dev, user, data } => {
            replace(db, "users_data (dev_id, user_id, data) VALUES (?, ?, ?)", values![*dev, *user, &**data])
        }
        Write::UpdateUserData { dev, user, data } => update(db, "users_data", "data", *dev, *user, data),
        Write::DeleteUserData { dev, user } => {
            db.execute("DELETE FROM users_data WHERE dev_id = ? AND user_id = ?", values![*dev, *user])
        }
        Write::PutLastSeen { dev, user, time } => {
            replace(db, "users_time (dev_id, user_id, time) VALUES (?, ?, ?)", values![*dev, *user, *time])
        }
        Write::PutQueued { dev, user, message } => put_queued(db, *dev, *user, message, retention, lengths),
        Write::DeleteQueue { dev, user } => {
            let deleted =
                db.execute("DELETE FROM users_messages WHERE dev_id = ? AND user_id = ?", values![*dev, *user])?;
            lengths.set(*dev, *user, 0);
            Ok(deleted)
        }
        Write::DeleteQueued { dev, user, ids } => {
            let sql = "DELETE FROM users_messages WHERE dev_id = ? AND user_id = ? AND id IN";
            let deleted = delete_ids(db, sql, values![*dev, *user], ids)?;
            if let Some(length) = lengths.0.get_mut(&(*dev, *user)) {
                *length = length.saturating_sub(deleted);
            }
            Ok(deleted)
        }
        Write::PutHistory { pipe, message, trim } => put_history(db, pipe, message, *trim, retention),
        Write::DeleteHistory { pipe } => {
            if let Some(newest) = last_beyond(db, pipe, 0)? {
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun::behind(newest))?;
            }
            delete_history(db, pipe)
        }
        Write::DeleteFromHistory { dev, pipes, ids } => delete_from_history(db, *dev, pipes.as_deref(), ids),
        Write::UpdateSetting { pipe, .. } if setting(db, pipe.dev, &pipe.name)?.is_none() => Ok(0),
        Write::PutSetting { pipe, length: wanted, begun } | Write::UpdateSetting { pipe, length: wanted, begun } => {
            let (length, before) = (wanted, length(db, pipe, retention)?);
            if let Some(begun) = interrupted(db, pipe, before, *length, *begun)? {
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), begun)?;
            }
            delete_setting(db, pipe)?;
            let insert = "INSERT INTO pipes_settings (dev_id, name, type, length) VALUES (?, ?, '0', ?)";
            db.execute(insert, values![pipe.dev, &pipe.name, *length])?;
            trim(db, pipe, *length)?;
            Ok(1)
        }
        Write::DeleteSetting { pipe, begun } => {
            delete_history(db, pipe)?;
            if pipe.name.class() == PipeClass::Trust {
                begun::raise(db, Begun::Pipe(pipe.dev, pipe.name.as_str()), *begun)?;
            } else {
                begun::forget(db, pipe)?;
            }
            delete_setting(db, pipe)
        }
        Write::PutRevoked { dev, token, expires } => {
            // One that is over already goes at the next look; one that outlives the column never does.
            let time = match expires {
                Some(time) if *time <= TIME_MAX => (*time).max(NEVER + 1),
                _ => NEVER,
            };
            replace(db, "revoked_tokens (dev_id, token, time) VALUES (?, ?, ?)", values![*dev, &**token, time])
        }
        Write::DeleteRevoked { dev, token } => {
            db.execute("DELETE FROM revoked_tokens WHERE dev_id = ? AND token = ?", values![*dev, &**token])
        }
        Write::PutCall { dev, call } => {
            let Call { name, user, caller, message, profile, stream, node, time } = call;
            delete_call(db, *dev, name, *user)?;
            let into = "INSERT INTO conference (dev_id, name, user_id, caller_id, message, profile, stream, node, time) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let values = values![*dev, &**name, *user, *caller, &**message, &**profile, &**stream, &**node, *time];
            db.execute(into, values)
        }
        Write::DeleteCall { dev, name, user } => delete_call(db, *dev, name, *user),
    }
}

// What has a name for its key is deleted and inserted, not replaced: where `News` and `news` are one key, the other one's
// row would go unasked. Now it is a duplicate, and refused.

fn delete_setting<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM pipes_settings WHERE {}", of_name::<C>("name"));
    db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name])
}

fn delete_call<C: Connection>(db: &mut C, dev: DevId, name: &str, user: UserId) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM conference WHERE {} AND user_id = ?", of_name::<C>("name"));
    db.execute(&sql, values![dev, name, name, user])
}

/// Behind which position a history is whole when its length changes, if that is not as before.
fn interrupted<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    before: u32,
    length: u32,
    begun: Position,
) -> Result<Option<Position>, C::Error> {
    if before == 0 {
        return Ok(Some(begun).filter(|_| length > 0));
    }
    // From now on it is not to be seen any more that it was full.
    let oldest = if length > before { last_beyond(db, pipe, before - 1)? } else { None };
    Ok(oldest.map(begun::behind))
}

/// Of these pipes only, if some are named.
fn delete_from_history<C: Connection>(
    db: &mut C,
    dev: DevId,
    pipes: Option<&[PipeName]>,
    ids: &[MessageId],
) -> Result<u64, C::Error> {
    let mut newest: HashMap<String, Position> = HashMap::new();
    for_ids(ids, |places, ids| {
        let sql = format!("SELECT pipe_name, time, id FROM pipe_messages WHERE dev_id = ? AND id IN {places}");
        let values: Vec<Value<'_>> = std::iter::once(dev.into()).chain(ids.map(Value::Id)).collect();
        db.query(&sql, &values, &mut |row| {
            let place = |row: &dyn Row| Some(Place { time: row.int(1)?, id: row.id(2)? });
            if let Some((name, place)) = row.text(0).zip(place(row)) {
                let position = newest.entry(name.to_owned()).or_default();
                *position = begun::behind(place).max(*position);
            }
            Continue(())
        })
    })?;
    let mut deleted = 0;
    for (name, position) in newest {
        if pipes.is_none_or(|pipes| pipes.iter().any(|pipe| pipe.as_str() == name)) {
            let sql = format!("DELETE FROM pipe_messages WHERE {} AND id IN", of_name::<C>("pipe_name"));
            deleted += delete_ids(db, &sql, values![dev, name.as_str(), name.as_str()], ids)?;
            begun::raise(db, Begun::Pipe(dev, &name), position)?;
        }
    }
    Ok(deleted)
}

/// A row that replaces the one with the same key counts once.
fn replace<C: Connection>(db: &mut C, into: &str, values: &[Value<'_>]) -> Result<u64, C::Error> {
    db.execute(&format!("REPLACE INTO {into}"), values)?;
    Ok(1)
}

/// Whether a row with the key of this write is there already.
fn is_there<C: Connection>(db: &mut C, write: &Write) -> Result<bool, C::Error> {
    let of_user = |table: &str| format!("SELECT 1 FROM {table} WHERE dev_id = ? AND user_id = ?");
    let found = match write {
        Write::PutHash { dev, user, .. } => first(db, &of_user("users_auth"), values![*dev, *user], |_| Some(()))?,
        Write::PutUserData { dev, user, .. } => first(db, &of_user("users_data"), values![*dev, *user], |_| Some(()))?,
        Write::PutSetting { pipe, .. } => setting(db, pipe.dev, &pipe.name)?.map(|_| ()),
        _ => None,
    };
    Ok(found.is_some())
}

/// How many rows there are is counted before: an engine may leave out those that stay as they are.
fn update<C: Connection>(
    db: &mut C,
    table: &str,
    column: &str,
    dev: DevId,
    user: UserId,
    text: &str,
) -> Result<u64, C::Error> {
    let of_user = "WHERE dev_id = ? AND user_id = ?";
    let found = first(db, &format!("SELECT 1 FROM {table} {of_user}"), values![dev, user], |_| Some(()))?;
    if found.is_some() {
        db.execute(&format!("UPDATE {table} SET {column} = ? {of_user}"), values![text, dev, user])?;
    }
    Ok(found.is_some().into())
}

fn delete_ids<C: Connection>(db: &mut C, sql: &str, key: &[Value<'_>], ids: &[MessageId]) -> Result<u64, C::Error> {
    let mut deleted = 0;
    for_ids(ids, |places, ids| {
        let values: Vec<Value<'_>> = key.iter().copied().chain(ids.map(Value::Id)).collect();
        deleted += db.execute(&format!("{sql} {places}"), &values)?;
        Ok(())
    })?;
    Ok(deleted)
}

/// Hands over the ids in portions, each with the places that a statement must have for it.
fn for_ids<E>(
    ids: &[MessageId],
    mut each: impl FnMut(&str, &mut dyn Iterator<Item = MessageId>) -> Result<(), E>,
) -> Result<(), E> {
    for ids in ids.chunks(IDS_MAX) {
        let places = if ids.len() == 1 { 1 } else { IDS_MAX };
        let last = ids.last().copied().into_iter();
        let mut padded = ids.iter().copied().chain(last.cycle()).take(places);
        each(&format!("({})", vec!["?"; places].join(", ")), &mut padded)?;
    }
    Ok(())
}

const INSERT_QUEUED: &str = "INSERT INTO users_messages (id, time, dev_id, user_id, event, message)";

fn queued_values(dev: DevId, user: UserId, message: &StoredMessage) -> [Value<'_>; 6] {
    let StoredMessage { id, time, event, message, .. } = message;
    [(*id).into(), (*time).into(), dev.into(), user.into(), event.as_str().into(), (&**message).into()]
}

fn put_queued<C: Connection>(
    db: &mut C,
    dev: DevId,
    user: UserId,
    message: &StoredMessage,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<u64, C::Error> {
    let sql = format!("{INSERT_QUEUED} VALUES (?, ?, ?, ?, ?, ?) {}", C::OR_KEEP);
    let inserted = db.execute(&sql, &queued_values(dev, user, message))?;
    after_queued(db, dev, user, inserted, retention, lengths)?;
    Ok(inserted)
}

/// Keeps the count of a queue that got messages, and its bound.
fn after_queued<C: Connection>(
    db: &mut C,
    dev: DevId,
    user: UserId,
    inserted: u64,
    retention: &Retention,
    lengths: &mut QueueLengths,
) -> Result<(), C::Error> {
    let count = |db: &mut C| {
        let sql = "SELECT COUNT(*) FROM users_messages WHERE dev_id = ? AND user_id = ?";
        let count = first(db, sql, values![dev, user], |row| row.int(0))?;
        Ok(count.unwrap_or_default().unsigned_abs())
    };
    let max = u64::from(retention.queue_messages_max);
    let mut length = match lengths.0.get(&(dev, user)) {
        Some(length) => length + inserted,
        None => count(db)?,
    };
    // What others did is found out only now and then; a few messages more are less harm than counting all at each write.
    let slack = if C::ALONE { 0 } else { max / 64 };
    if length > max + slack {
        if !C::ALONE {
            length = count(db)?;
        }
        if length > max {
            trim_queue(db, dev, user, length - max)?;
            length = max;
        }
    }
    lengths.set(dev, user, length);
    Ok(())
}

/// Removes so many of the oldest.
fn trim_queue<C: Connection>(db: &mut C, dev: DevId, user: UserId, surplus: u64) -> Result<(), C::Error> {
    let sql = "SELECT time, id FROM users_messages WHERE dev_id = ? AND user_id = ? \
         ORDER BY time, id LIMIT 1 OFFSET ?";
    let offset = Value::Int(surplus.saturating_sub(1) as i64);
    let last =
        first(db, sql, &[dev.into(), user.into(), offset], |row| Some(Place { time: row.int(0)?, id: row.id(1)? }))?;
    if let Some(Place { time, id }) = last {
        let sql = format!(
            "DELETE FROM users_messages WHERE dev_id = ? AND user_id = ? AND {} <= ? AND (time, id) <= (?, ?)",
            C::TIME
        );
        db.execute(&sql, values![dev, user, time, time, id])?;
    }
    Ok(())
}

const INSERT_HISTORY: &str = "INSERT INTO pipe_messages (id, time, dev_id, pipe_name, event, message, user_id)";

fn history_values<'a>(pipe: &'a PipeKey, message: &'a StoredMessage) -> [Value<'a>; 7] {
    let StoredMessage { id, time, event, message, sender } = message;
    let (dev, name, event) = (pipe.dev.into(), (&pipe.name).into(), event.as_str().into());
    [(*id).into(), (*time).into(), dev, name, event, (&**message).into(), (*sender).into()]
}

/// Into a pipe that keeps none a message does not get, so that none is left behind when a setting is deleted while
/// publications are on their way.
fn put_history<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    message: &StoredMessage,
    then_trim: bool,
    retention: &Retention,
) -> Result<u64, C::Error> {
    let length = length(db, pipe, retention)?;
    if length == 0 {
        return Ok(0);
    }
    let sql = format!("{INSERT_HISTORY} VALUES (?, ?, ?, ?, ?, ?, ?) {}", C::OR_KEEP);
    let inserted = db.execute(&sql, &history_values(pipe, message))?;
    if then_trim {
        trim(db, pipe, length)?;
    }
    Ok(inserted)
}

fn trim<C: Connection>(db: &mut C, pipe: &PipeKey, length: u32) -> Result<(), C::Error> {
    if length == 0 {
        delete_history(db, pipe)?;
    } else if let Some(Place { time, id }) = last_beyond(db, pipe, length)? {
        let sql = format!(
            "DELETE FROM pipe_messages WHERE {} AND {} <= ? AND (time, id) <= (?, ?)",
            of_name::<C>("pipe_name"),
            C::TIME
        );
        db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name, time, time, id])?;
    }
    Ok(())
}

fn delete_history<C: Connection>(db: &mut C, pipe: &PipeKey) -> Result<u64, C::Error> {
    let sql = format!("DELETE FROM pipe_messages WHERE {}", of_name::<C>("pipe_name"));
    db.execute(&sql, values![pipe.dev, &pipe.name, &pipe.name])
}
