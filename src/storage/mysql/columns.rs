//! What the text columns of a database take, so that a write which does not fit is refused before it can make the group
//! fail that it is in. In CppComet's tables that is every message with an emoji.
//!
//! The check is an estimate from above: a write that passes it may still be refused by the database.

use std::collections::HashMap;

use crate::storage::{Call, Job, Request, StorageError, Write};

/// Of all text columns, by `table.column`.
#[derive(Debug, Default)]
pub(super) struct Columns(HashMap<String, Column>);

#[derive(Debug)]
struct Column {
    charset: Charset,
    characters_max: usize,
    bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Ascii,
    /// UTF-8 without what needs four bytes.
    ThreeBytes,
    /// UTF-8, or bytes as they are.
    Any,
    /// One that we do not know: nothing is said of bytes.
    Other,
}

impl Columns {
    /// The names in small letters; lengths as `information_schema.columns` tells them.
    pub(super) fn add(&mut self, column: String, charset: Option<&str>, characters_max: u64, bytes_max: u64) {
        let charset = match charset {
            None | Some("utf8mb4") => Charset::Any,
            Some("utf8" | "utf8mb3") => Charset::ThreeBytes,
            Some("ascii") => Charset::Ascii,
            Some(_) => Charset::Other,
        };
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = Column { charset, characters_max: number(characters_max), bytes_max: number(bytes_max) };
        self.0.insert(column, limits);
    }

    /// Why a job cannot be carried out, in the words of the database.
    pub(super) fn refusal(&self, job: &Job) -> Option<StorageError> {
        let Request::Write(writes) = &job.request else { return None };
        let refused = |(column, text): (&str, &str)| self.0.get(column)?.refusal(column, text);
        writes.iter().flat_map(texts).find_map(refused).map(StorageError::Unfit)
    }
}

impl Column {
    fn refusal(&self, name: &str, text: &str) -> Option<String> {
        let name = name.rsplit('.').next().unwrap_or(name);
        let is_foreign = |character: &char| match self.charset {
            Charset::Ascii => !character.is_ascii(),
            Charset::ThreeBytes => character.len_utf8() > 3,
            Charset::Any | Charset::Other => false,
        };
        // Such a character begins with a byte as high as no other has.
        let lowest = if self.charset == Charset::Ascii { 0x80 } else { 0xf0 };
        if text.bytes().any(|byte| byte >= lowest)
            && let Some(foreign) = text.chars().find(is_foreign)
        {
            let bytes: Vec<String> = foreign.to_string().bytes().map(|byte| format!("\\x{byte:02X}")).collect();
            let bytes = bytes.concat();
            return Some(format!("error 1366 (22007): Incorrect string value: '{bytes}' for column '{name}'"));
        }
        // Spaces at the end are cut without asking.
        let text = text.trim_end_matches(' ');
        let is_too_long = self.charset != Charset::Other && text.len() > self.bytes_max
            || text.len() > self.characters_max && text.chars().count() > self.characters_max;
        is_too_long.then(|| format!("error 1406 (22001): Data too long for column '{name}'"))
    }
}

/// Column and text of all that a write would store.
fn texts(write: &Write) -> Vec<(&'static str, &str)> {
    match write {
        Write::IfAbsent(write) => texts(write),
        Write::PutHash { hash, .. } | Write::UpdateHash { hash, .. } => vec![("users_auth.hash", hash)],
        Write::PutUserData { data, .. } | Write::UpdateUserData { data, .. } => vec![("users_data.data", data)],
        Write::PutQueued { message, .. } => {
            vec![("users_messages.event", message.event.as_str()), ("users_messages.message", &message.message)]
        }
        Write::PutHistory { pipe, message, .. } => vec![
            ("pipe_messages.pipe_name", pipe.name.as_str()),
            ("pipe_messages.event", message.event.as_str()),
            ("pipe_messages.message", &message.message),
        ],
        Write::PutKey { pipe, key, .. } => {
            vec![("pipes_keys.name", pipe.name.as_str()), ("pipes_keys.idempotency_key", key)]
        }
        Write::PutSetting { pipe, .. } | Write::UpdateSetting { pipe, .. } => {
            vec![("pipes_settings.name", pipe.name.as_str())]
        }
        Write::PutRevoked { token, .. } => vec![("revoked_tokens.token", token)],
        Write::PutCall { call: Call { name, message, profile, stream, node, .. }, .. } => vec![
            ("conference.name", name),
            ("conference.message", message),
            ("conference.profile", profile),
            ("conference.stream", stream),
            ("conference.node", node),
        ],
        Write::DeleteHash { .. }
        | Write::DeleteUserData { .. }
        | Write::PutLastSeen { .. }
        | Write::DeleteQueue { .. }
        | Write::DeleteQueued { .. }
        | Write::DeleteHistory { .. }
        | Write::DeleteFromHistory { .. }
        | Write::DeleteSetting { .. }
        | Write::DeleteRevoked { .. }
        | Write::DeleteCall { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, UserId};
    use crate::storage::Ticket;

    #[test]
    fn what_does_not_fit_is_known() {
        let data = |text: &str| {
            let write = Write::PutUserData { dev: DevId(0), user: UserId::default(), data: text.into() };
            let delete = Write::DeleteHash { dev: DevId(0), user: UserId::default() };
            Job { ticket: Ticket(0), request: Request::Write(vec![delete, write]) }
        };
        let mut columns = Columns::default();
        assert_eq!(columns.refusal(&data("\u{1f600}")), None, "nothing is known of it");
        for (charset, characters_max, bytes_max, text, refused) in [
            (Some("utf8mb3"), 5, 15, "жжжжж", None),
            (Some("utf8mb3"), 5, 15, "жжжжж   ", None),
            (Some("utf8mb3"), 5, 15, "жжжжжж", Some("1406")),
            (Some("utf8mb3"), 15, 15, "\u{ffff}\u{ffff}\u{ffff}\u{ffff}\u{ffff}", None),
            (Some("utf8mb3"), 15, 15, "\u{ffff}\u{ffff}\u{ffff}\u{ffff}\u{ffff}a", Some("1406")),
            (Some("utf8"), 5, 15, "a\u{1f600}", Some("1366 (22007): Incorrect string value: '\\xF0\\x9F\\x98\\x80'")),
            (Some("utf8mb4"), 5, 20, "a\u{1f600}", None),
            (Some("ascii"), 5, 5, "ж", Some("1366")),
            (Some("ascii"), 5, 5, "abcdef", Some("1406")),
            (Some("latin1"), 5, 5, "жжжжж", None),
            (Some("latin1"), 5, 5, "жжжжжж", Some("1406")),
            (None, 5, 5, "\u{1f600}", None),
            (None, 5, 5, "\u{1f600}ж", Some("1406")),
        ] {
            columns.add("users_data.data".into(), charset, characters_max, bytes_max);
            match (columns.refusal(&data(text)), refused) {
                (None, None) => {}
                (Some(StorageError::Unfit(why)), Some(said)) => assert!(why.contains(said), "{why}"),
                (found, _) => panic!("{charset:?} {text}: {found:?}"),
            }
        }
    }
}
