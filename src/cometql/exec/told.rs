//! What the log is told of statements, if the configuration wants it: who asked from where, what for, what came of it and
//! how long that took.
//!
//! A statement holds data: passwords of users, messages, tokens. So told is the word that it begins with and the table that
//! it names; its text only if the configuration wants texts, and only of statements about messages.

use std::net::IpAddr;

use crate::cometql::errors::Error;
use crate::cometql::plan::Reply;
use crate::cometql::tables::{Table, TableId};
use crate::model::{DevId, Time};

use super::session::Session;
use super::{Exec, Output, Peer};

/// What is told of statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tell {
    #[default]
    Nothing,
    Statements,
    /// Also the texts of statements about messages.
    Texts,
}

/// A statement that was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The number of the session that clients know.
    pub session: u32,
    pub user: String,
    /// `None`: a process of this machine, by the server's socket.
    pub address: Option<IpAddr>,
    pub tenant: DevId,
    pub label: Label,
    pub begun: Time,
    /// Rows that it gave or changed, or the number of its error.
    pub outcome: Result<u64, u16>,
    pub text: Option<Box<str>>,
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub verb: &'static str,
    pub table: Option<&'static str>,
}

/// A statement that is to be told when it is answered.
#[derive(Debug)]
pub(super) struct Note {
    label: Label,
    begun: Time,
    text: Option<Box<str>>,
}

/// Bytes of a text that are told; the rest is left out.
const TEXT_BYTES_MAX: usize = 1024;

/// Bytes in which the table of a statement is looked for.
const LOOKED_AT_MAX: usize = 256;

const VERBS: [&str; 20] = [
    "INSERT", "SELECT", "DELETE", "UPDATE", "REPLACE", "SET", "SHOW", "USE", "BEGIN", "START", "COMMIT", "ROLLBACK",
    "KILL", "FLUSH", "DESCRIBE", "DESC", "EXPLAIN", "HELP", "ALTER", "SHUTDOWN",
];

impl Label {
    pub(super) fn of(text: &[u8]) -> Self {
        let looked_at = text.get(..LOOKED_AT_MAX).unwrap_or(text);
        // What is quoted is data, which may name a table as well.
        let mut parts = looked_at.split(|byte| matches!(byte, b'\'' | b'"'));
        let bare = parts.next().unwrap_or_default();
        let words =
            || bare.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|word| !word.is_empty());
        let first = words().next().unwrap_or_default();
        let verb = VERBS.into_iter().find(|verb| verb.as_bytes().eq_ignore_ascii_case(first)).unwrap_or("other");
        let table = words().skip(1).find_map(|word| Table::find(str::from_utf8(word).ok()?));
        Self { verb, table: table.map(|table| table.name) }
    }

    /// Whether a text with this label holds nothing more secret than messages.
    fn is_about_messages(self) -> bool {
        let table = self.table.and_then(Table::find).map(|table| table.id);
        matches!(table, Some(TableId::PipesMessages | TableId::UsersMessages | TableId::PipesSettings))
    }
}

impl Exec {
    /// For a statement whose text begins now; `None` if nothing is told.
    pub(super) fn note(&self, text: &[u8], begun: Time) -> Option<Box<Note>> {
        let label = || Label::of(text);
        match self.config.tell {
            Tell::Nothing => None,
            Tell::Statements => Some(Box::new(Note { label: label(), begun, text: None })),
            Tell::Texts => {
                let label = label();
                let text = label.is_about_messages().then(|| shortened(text));
                Some(Box::new(Note { label, begun, text }))
            }
        }
    }

    /// The same for a prepared statement, whose text is not kept.
    pub(super) fn note_prepared(&self, session: &Session, id: u32, begun: Time) -> Option<Box<Note>> {
        let label = session.prepared_label(id).filter(|_| self.config.tell != Tell::Nothing)?;
        Some(Box::new(Note { label, begun, text: None }))
    }

    /// The statement is answered.
    pub(super) fn tell(&mut self, session: &Session, note: Option<Box<Note>>, outcome: Result<u64, u16>) {
        let Some(note) = note else { return };
        let Note { label, begun, text } = *note;
        let address = match session.peer {
            Peer::Address(address) => Some(address),
            Peer::Trusted => None,
        };
        self.outputs.push_back(Output::Told(Box::new(Told {
            session: session.wire.id(),
            user: session.user.to_string(),
            address,
            tenant: session.dev,
            label,
            begun,
            outcome,
            text,
        })));
    }
}

/// Of a reply that is known.
pub(super) fn outcome(result: &Result<Reply, Error>) -> Result<u64, u16> {
    match result {
        Ok(Reply::Ok { affected, .. }) => Ok(*affected),
        Ok(Reply::Rows(rows)) => Ok(rows.rows.len() as u64),
        Ok(Reply::Told(_)) => Ok(0),
        Err(error) => Err(error.code.number()),
    }
}

fn shortened(text: &[u8]) -> Box<str> {
    let shown = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
    let mut shown = String::from_utf8_lossy(shown).into_owned();
    if text.len() > TEXT_BYTES_MAX {
        shown.push('…');
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_first_word_and_the_table() {
        let label = |text: &str| {
            let Label { verb, table } = Label::of(text.as_bytes());
            (verb, table)
        };
        assert_eq!(
            label("insert into pipes_messages (name, event, message) values ('users_auth', 'e', 'm')"),
            ("INSERT", Some("pipes_messages"))
        );
        assert_eq!(label("SELECT * FROM `CometQL_v1`.`users_auth` WHERE id = 1"), ("SELECT", Some("users_auth")));
        assert_eq!(label("SELECT 'users_auth'"), ("SELECT", None));
        assert_eq!(label("  \n;"), ("other", None));
        assert_eq!(label("GRANT ALL ON users_auth TO x"), ("other", Some("users_auth")));
    }

    #[test]
    fn texts_that_may_hold_keys_are_no_messages() {
        let about = |text: &str| Label::of(text.as_bytes()).is_about_messages();
        assert!(about("INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'm')"));
        assert!(!about("INSERT INTO users_auth (id, hash) VALUES (1, 'secret')"));
        assert!(!about("INSERT INTO revoked_tokens (token) VALUES ('secret')"));
        assert!(!about("SET @x = 'secret'"));
    }

    #[test]
    fn long_texts_are_cut() {
        let text = format!("SELECT * FROM pipes_messages {}", "x".repeat(2 * TEXT_BYTES_MAX));
        assert_eq!(shortened(text.as_bytes()).chars().count(), TEXT_BYTES_MAX + 1);
    }
}
