//! What each read asks the database, and how the rows become an outcome.

use std::ops::ControlFlow::{self, Break, Continue};

use super::keys::{names, users};
use super::{Connection, Row, Value, first, of_name, values};
use crate::model::{DevId, EventName, MessageId, PipeClass, PipeKey, PipeName, UserId};
use crate::storage::begun;
use crate::storage::{Call, Outcome, Page, PipeSetting, Place, Read, Retention, StoredMessage};

/// `None` if the texts weigh more than `bytes_max`; lists that come in pages have pages no larger.
pub(super) fn run_read<C: Connection>(
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
                Some(signed) => is_any_revoked(db, *dev, signed)?,
                None => false,
            };
            Ok(Outcome::Login { hash, revoked })
        }
        Read::Queue { dev, user, after, page } => queue(db, *dev, *user, *after, page_of(page)),
        Read::History { pipe, after, page } => history(db, pipe, *after, page_of(page), retention),
        Read::NewestHistory { pipe, page } => newest_history(db, pipe, page_of(page), retention),
        Read::Missed { pipes, page } => begun::missed(db, pipes, page_of(page), retention),
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
        Read::Users { dev, table, after, rows } => users(db, *dev, *table, *after, *rows),
        Read::Names { dev, table, after, rows } => names(db, *dev, *table, after.as_deref(), *rows),
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

/// Whether a token with any signature behind this text is revoked. The key of the table answers it, because the column is
/// compared byte by byte, and the byte behind the dot is the slash.
fn is_any_revoked<C: Connection>(db: &mut C, dev: DevId, signed: &str) -> Result<bool, C::Error> {
    let sql = "SELECT 1 FROM revoked_tokens WHERE dev_id = ? AND token >= ? AND token < ? LIMIT 1";
    let (first_one, behind) = (format!("{signed}."), format!("{signed}/"));
    first(db, sql, values![dev, first_one.as_str(), behind.as_str()], |_| Some(())).map(|found| found.is_some())
}

/// Fills a page from rows; a row that is `None` is left out.
pub(in crate::storage) struct Filling<T> {
    page: Page,
    pub(in crate::storage) rows: Vec<T>,
    /// Rows of the result, those left out included.
    seen: i64,
    bytes: usize,
    pub(in crate::storage) more: bool,
}

/// Fills a page from a statement whose last parameter is the number of rows.
pub(in crate::storage) fn fill<C: Connection, T>(
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

/// Columns `id`, `time`, `event`, `message`, `user_id`, `expires`.
pub(in crate::storage) fn message(row: &dyn Row) -> Option<(StoredMessage, usize)> {
    let message = StoredMessage {
        id: row.id(0)?,
        time: row.int(1)?,
        event: EventName::new(row.text(2)?.as_bytes()).ok()?,
        message: row.text(3)?.into(),
        sender: UserId::new(u32::try_from(row.int(4)?).ok()?)?,
        expires: row.int(5)?,
    };
    let bytes = message.event.as_str().len() + message.message.len();
    Some((message, bytes))
}

/// The condition for messages that have not expired.
pub(in crate::storage) fn lasts<C: Connection>() -> String {
    format!("(expires = 0 OR expires > {})", C::NOW)
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
        "SELECT id, time, event, message, 0, expires FROM users_messages \
         WHERE dev_id = ? AND user_id = ? AND {} >= ? AND (time, id) > (?, ?) AND {} ORDER BY time, id LIMIT ?",
        C::TIME,
        lasts::<C>()
    );
    let Place { time, id } = after.unwrap_or(BEGINNING);
    let filling = fill(db, page, &sql, values![dev, user, time, time, id], message)?;
    Ok(Outcome::Messages { rows: filling.rows, more: filling.more })
}

/// The length set for a pipe.
pub(in crate::storage) fn setting<C: Connection>(
    db: &mut C,
    dev: DevId,
    name: &PipeName,
) -> Result<Option<u32>, C::Error> {
    let sql = format!("SELECT length FROM pipes_settings WHERE {}", of_name::<C>("name"));
    first(db, &sql, values![dev, name, name], |row| row.int(0).map(|length| length.clamp(0, u32::MAX.into()) as u32))
}

/// How many messages a pipe keeps.
pub(in crate::storage) fn length<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    retention: &Retention,
) -> Result<u32, C::Error> {
    let without = if pipe.name.class() == PipeClass::Trust { retention.trust_messages_max } else { 0 };
    setting(db, pipe.dev, &pipe.name).map(|length| length.unwrap_or(without))
}

/// The place of the newest message that is beyond the length.
pub(in crate::storage) fn last_beyond<C: Connection>(
    db: &mut C,
    pipe: &PipeKey,
    length: u32,
) -> Result<Option<Place>, C::Error> {
    let sql = format!(
        "SELECT time, id FROM pipe_messages WHERE {} ORDER BY time DESC, id DESC LIMIT 1 OFFSET ?",
        of_name::<C>("pipe_name")
    );
    first(db, &sql, values![pipe.dev, &pipe.name, &pipe.name, length], place)
}

/// Columns `time` and `id`.
pub(in crate::storage) fn place(row: &dyn Row) -> Option<Place> {
    Some(Place { time: row.int(0)?, id: row.id(1)? })
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
        "SELECT id, time, event, message, user_id, expires FROM pipe_messages \
         WHERE {} AND {} >= ? AND (time, id) > (?, ?) AND {} ORDER BY time, id LIMIT ?",
        of_name::<C>("pipe_name"),
        C::TIME,
        lasts::<C>()
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
            "SELECT id, time, event, message, user_id, expires FROM pipe_messages WHERE {} AND {} \
             ORDER BY time DESC, id DESC LIMIT ?",
            of_name::<C>("pipe_name"),
            lasts::<C>()
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

pub(in crate::storage) fn settings<C: Connection>(db: &mut C) -> Result<Vec<PipeSetting>, C::Error> {
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
