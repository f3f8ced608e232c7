//! INSERT and REPLACE to plans. All rows of a statement are checked before any is carried out.

use super::upsert::check_replaces;
use super::{Draft, Letter, Plan, Reply, check_name, user_id};
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::numbers;
use crate::cometql::session::SessionView;
use crate::cometql::sql::{Insert, Value};
use crate::cometql::tables::{
    CALL_NAME_MAX, COLUMNS_MAX, EXPIRES_IN_MAX_S, HASH_MAX, HISTORY_MAX, KEY_MAX, Key, PIPE_NAME_MIN, ROWS_MAX,
    TOKEN_MAX, Table, TableId, UUID_MAX, find_table,
};
use crate::model::{EventName, NameError, PipeName, UserId, Wishes, is_no_key};
use crate::storage::Write;
use crate::token::revoked_until;

const VERB: &str = "INSERT";

/// The pipe of the server's own messages to a browser; a backend that wrote there could imitate the server.
const SERVER_PIPE: &str = "sys";

/// The plan for an INSERT, whether the fast path or the parser recognised it. In order, the errors are: 15 and 10 for
/// the table, 21 and 19 for sizes, 14 and 13 for the columns, then 12, 11 and 17 for the fields of each row.
pub fn plan_insert(insert: &Insert<'_>, session: &SessionView<'_>) -> Result<Plan, Error> {
    check_name(&insert.table, session)?;
    let table = find_table(&insert.table, VERB, |table| table.insert)?;
    if !insert.ignore {
        return plan_rows(insert, table, session);
    }
    check_replaces(table, "INSERT IGNORE")?;
    plan_rows(insert, table, session).map(only_if_absent)
}

/// INSERT IGNORE leaves a row that is there as it is, and tells how many were not. What no row can be is a mistake all the
/// same: MySQL would store something else in its place.
fn only_if_absent(plan: Plan) -> Plan {
    match plan {
        Plan::Write { writes, .. } if writes.iter().any(|write| !matches!(write, Write::PutRevoked { .. })) => {
            Plan::Update(writes.into_iter().map(|write| Write::IfAbsent(Box::new(write))).collect())
        }
        Plan::SetLengths { lengths, .. } => {
            Plan::AddLengths(lengths.into_iter().filter_map(|(pipe, length)| Some((pipe, length?))).collect())
        }
        // A token that is revoked stays revoked.
        other => other,
    }
}

fn plan_rows(insert: &Insert<'_>, table: &'static Table, session: &SessionView<'_>) -> Result<Plan, Error> {
    let places = places(insert, table)?;
    let rows = insert.rows().map(|values| Fields { table, places: &places, values });
    match table.id {
        TableId::PipesMessages => rows.map(|row| draft(&row, session)).collect::<Result<_, _>>().map(Plan::Publish),
        TableId::UsersAuth => write(rows, |row, user| {
            let hash = row.hash("hash")?.into();
            Ok(Write::PutHash { dev: session.dev, user, hash })
        }),
        TableId::UsersData => write(rows, |row, user| {
            let data = row.bounded("data", session.limits.user_data_bytes_max)?.into();
            Ok(Write::PutUserData { dev: session.dev, user, data })
        }),
        TableId::UsersMessages => rows.map(|row| letter(&row, session)).collect::<Result<_, _>>().map(Plan::Send),
        TableId::PipesSettings => {
            let lengths: Vec<_> = rows.map(|row| length(&row)).collect::<Result<_, _>>()?;
            let affected = lengths.len() as u64;
            Ok(Plan::SetLengths { lengths, reply: Reply::Ok { affected, insert_id: 0 } })
        }
        TableId::RevokedTokens => {
            let writes: Vec<_> = rows.map(|row| revocation(&row, session)).collect::<Result<_, _>>()?;
            let affected = writes.len() as u64;
            Ok(Plan::Write { writes, reply: Reply::Ok { affected, insert_id: 1 } })
        }
        TableId::Conference => {
            for row in rows {
                row.check_required()?;
                row.bounded("name", CALL_NAME_MAX)?;
                row.user("user_id")?;
                row.bounded("message", session.limits.message_bytes_max)?;
            }
            Err(Error::new(Code::Internal, "There is no media server for calls: none is configured"))
        }
        // All others refuse it before.
        _ => Err(Error::new(Code::ReadOnly, format!("Table `{}` is read only", table.name))),
    }
}

fn letter(row: &Fields<'_, '_>, session: &SessionView<'_>) -> Result<Letter, Error> {
    row.check_required()?;
    let user = row.user("id")?;
    let event = row.event("event")?;
    let message = row.bounded("message", session.limits.message_bytes_max)?.into();
    Ok(Letter { user, event, message, expires_in: row.expires_in()? })
}

fn length(row: &Fields<'_, '_>) -> Result<(PipeName, Option<u32>), Error> {
    row.check_required()?;
    Ok((row.pipe("name")?, Some(history_length(row.text("length").unwrap_or_default()))))
}

/// From 0 to [`HISTORY_MAX`], whatever is written: the digits up to the first other byte, nothing and less count as 0.
fn history_length(text: &str) -> u32 {
    let digits = text.trim_ascii().bytes().map_while(|byte| byte.is_ascii_digit().then(|| u32::from(byte - b'0')));
    digits.fold(0, |length: u32, digit| length.saturating_mul(10).saturating_add(digit)).min(HISTORY_MAX)
}

/// Any text: applications revoke what is no token, too.
fn revocation(row: &Fields<'_, '_>, session: &SessionView<'_>) -> Result<Write, Error> {
    row.check_required()?;
    let token = row.bounded("token", TOKEN_MAX)?;
    Ok(Write::PutRevoked { dev: session.dev, token: token.into(), expires: revoked_until(token) })
}

fn draft(row: &Fields<'_, '_>, session: &SessionView<'_>) -> Result<Draft, Error> {
    row.check_required()?;
    let pipe = row.pipe("name")?;
    if pipe.as_str() == SERVER_PIPE {
        return Err(Error::new(Code::Invalid, "The pipe `sys` belongs to the server: choose another name"));
    }
    let event = row.event("event")?;
    let message = row.bounded("message", session.limits.message_bytes_max)?.into();
    Ok(Draft { pipe, event, message, wishes: wishes(row)? })
}

/// Nothing at all for nearly every message.
fn wishes(row: &Fields<'_, '_>) -> Result<Option<Box<Wishes>>, Error> {
    let except = row.unless_empty("except_uuid", UUID_MAX)?.map(Box::from);
    let key = row.unless_empty("idempotency_key", KEY_MAX)?;
    if key.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        let text = "The field `idempotency_key` can hold only visible characters of ASCII";
        return Err(Error::new(Code::Invalid, text));
    }
    let wishes = Wishes { except, key: key.map(Box::from), expires_in: row.expires_in()? };
    Ok((wishes != Wishes::default()).then(|| Box::new(wishes)))
}

/// Writes keyed by user: 1 affected row each, the insert id is the first user's.
fn write<'r, 'a: 'r>(
    rows: impl Iterator<Item = Fields<'r, 'a>>,
    fields: impl Fn(&Fields<'r, 'a>, UserId) -> Result<Write, Error>,
) -> Result<Plan, Error> {
    let mut writes = Vec::with_capacity(rows.size_hint().0);
    let mut first = None;
    for row in rows {
        row.check_required()?;
        let user = row.user("id")?;
        first.get_or_insert(user);
        writes.push(fields(&row, user)?);
    }
    let affected = writes.len() as u64;
    let insert_id = first.map_or(0, |user| u64::from(user.get()));
    Ok(Plan::Write { writes, reply: Reply::Ok { affected, insert_id } })
}

type Places = [Option<usize>; COLUMNS_MAX];

/// Where in a row the value of each column of the table stands.
fn places(insert: &Insert<'_>, table: &Table) -> Result<Places, Error> {
    let names = insert.columns.as_deref();
    if let Some(names) = names.filter(|names| names.len() > COLUMNS_MAX) {
        let text = format!("{} column names: at most {COLUMNS_MAX} are allowed", names.len());
        return Err(Error::new(Code::TooManyNames, text));
    }
    if insert.width > COLUMNS_MAX {
        let text = format!("{} values in a row: at most {COLUMNS_MAX} are allowed", insert.width);
        return Err(Error::new(Code::TooManyValues, text));
    }
    if insert.rows().len() > ROWS_MAX {
        let text = format!("{} rows: at most {ROWS_MAX} are allowed in one INSERT", insert.rows().len());
        return Err(Error::new(Code::TooManyValues, text));
    }
    let wanted = names.map_or(table.columns.len(), <[_]>::len);
    if insert.uneven || insert.width != wanted {
        let text = format!("Each row must have {wanted} values, one for each column");
        return Err(Error::new(Code::Columns, text));
    }
    let mut places: Places = [None; COLUMNS_MAX];
    for place in 0..wanted {
        let column = match names.and_then(|names| names.get(place)) {
            Some(name) => table.written_place(name)?,
            None => place,
        };
        match places.get_mut(column) {
            Some(free @ None) => *free = Some(place),
            _ => return Err(Error::new(Code::Where, "A column is named twice in the INSERT")),
        }
    }
    Ok(places)
}

/// One row, by column.
struct Fields<'r, 'a> {
    table: &'static Table,
    places: &'r Places,
    values: &'r [Value<'a>],
}

impl<'r> Fields<'r, '_> {
    /// What was written for a column; `None` when it was not named or is NULL.
    fn text(&self, column: &str) -> Option<&'r str> {
        let column = self.table.written().position(|known| known.name == column)?;
        let place = (*self.places.get(column)?)?;
        self.values.get(place)?.text()
    }

    /// A required column's text; [`Self::check_required`] has seen that it is there.
    fn required(&self, column: &str) -> &'r str {
        self.text(column).unwrap_or_default()
    }

    fn check_required(&self) -> Result<(), Error> {
        let missing = self.table.columns.iter().find(|column| column.required && self.text(column.name).is_none());
        missing
            .map_or(Ok(()), |column| Err(Error::new(Code::Invalid, format!("The field `{}` is required", column.name))))
    }

    fn user(&self, column: &str) -> Result<UserId, Error> {
        let least = if let Key::User { least } = self.table.key { least } else { 0 };
        user_id(self.required(column)).filter(|user| user.get() >= least).ok_or_else(|| {
            let text = format!("The field `{column}` must be a whole number from {least} to {}", UserId::MAX);
            Error::new(Code::Invalid, text)
        })
    }

    fn pipe(&self, column: &str) -> Result<PipeName, Error> {
        let name = self.required(column);
        if name.len() < PIPE_NAME_MIN {
            return Err(name_error(column, NameError::TooShort));
        }
        PipeName::new(name.as_bytes()).map_err(|error| name_error(column, error))
    }

    fn event(&self, column: &str) -> Result<EventName, Error> {
        EventName::new(self.required(column).as_bytes()).map_err(|error| name_error(column, error))
    }

    /// Characters are checked before the length, as always; the empty hash is one.
    fn hash(&self, column: &str) -> Result<&'r str, Error> {
        let hash = self.required(column);
        if !hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_".contains(&byte)) {
            let text = format!("The field `{column}` can hold only the characters A-Za-z0-9+/=_");
            return Err(Error::new(Code::Invalid, text));
        }
        if !hash.is_empty() && is_no_key(hash) {
            let text = format!("The field `{column}` cannot be {hash}: that is what clients without a key send");
            return Err(Error::new(Code::Invalid, text));
        }
        self.bounded(column, HASH_MAX)
    }

    /// The text of a column that may be missing. Empty is as good, which forms send, and so is a bare NULL, which is a word
    /// like others here.
    fn unless_empty(&self, column: &str, bytes_max: usize) -> Result<Option<&'r str>, Error> {
        let is_there = |text: &&str| !text.is_empty() && !text.eq_ignore_ascii_case("NULL");
        self.bounded(column, bytes_max).map(|text| Some(text).filter(is_there))
    }

    fn expires_in(&self) -> Result<Option<u32>, Error> {
        let Some(text) = self.unless_empty("expires_in", usize::MAX)? else { return Ok(None) };
        let seconds = numbers::whole(text).and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| (1..=EXPIRES_IN_MAX_S).contains(seconds));
        seconds.map(Some).ok_or_else(|| {
            let text = format!("The field `expires_in` must be a whole number of seconds from 1 to {EXPIRES_IN_MAX_S}");
            Error::new(Code::Invalid, text)
        })
    }

    /// Empty if it is missing.
    fn bounded(&self, column: &str, bytes_max: usize) -> Result<&'r str, Error> {
        let text = self.required(column);
        if text.len() > bytes_max {
            let text = format!("The field `{column}` is longer than {bytes_max} bytes");
            return Err(Error::new(Code::TooLong, text));
        }
        Ok(text)
    }
}

fn name_error(column: &str, error: NameError) -> Error {
    let most = PipeName::LENGTH_MAX;
    match error {
        NameError::TooLong => Error::new(Code::TooLong, format!("The field `{column}` is longer than {most} bytes")),
        NameError::TooShort => {
            Error::new(Code::TooShort, format!("The field `{column}` is shorter than {PIPE_NAME_MIN} bytes"))
        }
        NameError::BadCharacter => {
            Error::new(Code::Invalid, format!("The field `{column}` can hold only the characters A-Za-z0-9_-"))
        }
    }
}
