//! Storage: requests and completions as values. The engines behind them run on the storage thread only.
//!
//! A shard hands over a [`Job`] and goes on; the answer comes back as a [`Completion`] with the same ticket. A write
//! is acknowledged only when it is committed.

use crate::model::{DevId, EventName, MessageId, PipeKey, PipeName, Position, UnixTime, UserId};

/// Chosen by whoever asks; comes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub ticket: Ticket,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `bytes_max`: what the rows may weigh together, texts only; beyond it: [`StorageError::TooLarge`].
    Read { read: Read, bytes_max: usize },
    /// All of them in one transaction.
    Write(Vec<Write>),
}

/// Rows come back in the order of the keys asked for; keys without a row are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// [`Outcome::Texts`].
    Hashes { dev: DevId, users: Vec<UserId> },
    /// [`Outcome::Texts`].
    UserData { dev: DevId, users: Vec<UserId> },
    /// [`Outcome::Times`].
    LastSeen { dev: DevId, users: Vec<UserId> },
    /// What a login needs: [`Outcome::Login`]. Of a token it is what is signed, which is all before its last dot: revoked
    /// is every token that begins so, whatever signature the row has.
    Login { dev: DevId, user: UserId, token: Option<Box<str>> },
    /// The personal messages that wait for a user, oldest first, from behind a place on: [`Outcome::Messages`].
    Queue { dev: DevId, user: UserId, after: Option<Place>, page: Page },
    /// A pipe's history, oldest first, from behind a place on; at most as many as its setting says:
    /// [`Outcome::Messages`].
    History { pipe: PipeKey, after: Option<Place>, page: Page },
    /// The newest of a pipe's history, oldest first among them: [`Outcome::Messages`]. Beyond the page's bytes the oldest
    /// are left out.
    NewestHistory { pipe: PipeKey, page: Page },
    /// What was put into histories behind a position, of each pipe all of it or nothing; a page for each: [`Outcome::Missed`].
    Missed { pipes: Vec<Since>, page: Page },
    /// The configured lengths of these pipes: [`Outcome::Lengths`].
    Settings { dev: DevId, pipes: Vec<PipeName> },
    /// Which of these tokens are revoked: [`Outcome::Tokens`].
    Revoked { dev: DevId, tokens: Vec<Box<str>> },
    /// All revoked tokens of a tenant in their order, from behind one on: [`Outcome::Tokens`].
    AllRevoked { dev: DevId, after: Option<Box<str>>, page: Page },
    /// The invitations to these calls: [`Outcome::Calls`].
    Calls { dev: DevId, names: Vec<Box<str>> },
    /// Users of a tenant who have a row there, in their order, from behind one on; so many at most: [`Outcome::Users`].
    Users { dev: DevId, table: UserTable, after: Option<UserId>, rows: u32 },
    /// Pipes of a tenant that have a row there, in the order of their names, from behind one on; so many at most:
    /// [`Outcome::Names`].
    Names { dev: DevId, table: PipeTable, after: Option<Box<str>>, rows: u32 },
}

/// Tables whose rows belong to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserTable {
    Hashes,
    Times,
    Data,
    Queues,
}

/// Tables whose rows belong to pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeTable {
    Settings,
    Histories,
}

impl Read {
    /// How much work the read is, about: one for each row that is looked up by its key, some for a page.
    pub fn steps(&self) -> usize {
        const PAGE: usize = 16;
        match self {
            Self::Hashes { users, .. } | Self::UserData { users, .. } | Self::LastSeen { users, .. } => users.len(),
            Self::Login { .. } => 2,
            Self::Queue { .. } | Self::History { .. } | Self::NewestHistory { .. } | Self::AllRevoked { .. } => PAGE,
            // Each of them may be a search of its own.
            Self::Users { rows, .. } | Self::Names { rows, .. } => *rows as usize,
            Self::Missed { pipes, .. } => 4 * pipes.len(),
            Self::Settings { pipes, .. } => pipes.len(),
            Self::Revoked { tokens, .. } => tokens.len(),
            Self::Calls { names, .. } => names.len(),
        }
    }

    /// Whose rows it wants.
    pub fn dev(&self) -> DevId {
        match self {
            Self::Hashes { dev, .. }
            | Self::UserData { dev, .. }
            | Self::LastSeen { dev, .. }
            | Self::Login { dev, .. }
            | Self::Queue { dev, .. }
            | Self::Settings { dev, .. }
            | Self::Revoked { dev, .. }
            | Self::AllRevoked { dev, .. }
            | Self::Calls { dev, .. }
            | Self::Users { dev, .. }
            | Self::Names { dev, .. } => *dev,
            Self::History { pipe, .. } | Self::NewestHistory { pipe, .. } => pipe.dev,
            Self::Missed { pipes, .. } => pipes.first().map(|since| since.pipe.dev).unwrap_or_default(),
        }
    }
}

/// How much of a long list is read at once: as many rows and about as many bytes of text, but one row at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub rows: u32,
    pub bytes: usize,
}

/// What a client has of a pipe, and up to where it gets the rest from the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub pipe: PipeKey,
    pub after: Option<Position>,
    pub until: Position,
    /// So many of the newest it gets in any case.
    pub newest: u32,
}

/// Where a message stands in its queue or history. Rows that CppComet wrote have ids without order, so the time comes
/// first; ids of ours are in the order of their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Unix seconds.
    pub time: i64,
    pub id: MessageId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// One of those that put a hash, user data or a setting, if there is no row with its key yet.
    IfAbsent(Box<Write>),
    PutHash {
        dev: DevId,
        user: UserId,
        hash: Box<str>,
    },
    /// Of a user who has one. Counts the row also if it is as before.
    UpdateHash {
        dev: DevId,
        user: UserId,
        hash: Box<str>,
    },
    DeleteHash {
        dev: DevId,
        user: UserId,
    },
    PutUserData {
        dev: DevId,
        user: UserId,
        data: Box<str>,
    },
    /// As with a hash.
    UpdateUserData {
        dev: DevId,
        user: UserId,
        data: Box<str>,
    },
    DeleteUserData {
        dev: DevId,
        user: UserId,
    },
    /// When the last connection of a user ended, in unix seconds.
    PutLastSeen {
        dev: DevId,
        user: UserId,
        time: i64,
    },
    /// A personal message that no connection took goes into its user's queue. Beyond the configured number the oldest
    /// messages go.
    PutQueued {
        dev: DevId,
        user: UserId,
        message: StoredMessage,
    },
    /// Removes all personal messages that wait for a user.
    DeleteQueue {
        dev: DevId,
        user: UserId,
    },
    /// Removes the personal messages that a connection of the user has taken.
    DeleteQueued {
        dev: DevId,
        user: UserId,
        ids: Vec<MessageId>,
    },
    /// Puts a publication into its pipe's history. A pipe without a setting keeps nothing, unless it is a `trust_` pipe; nor
    /// does one of length 0. `trim` also removes what is beyond the pipe's length: only now and then, because reads never
    /// give more than the length anyway.
    PutHistory {
        pipe: PipeKey,
        message: StoredMessage,
        trim: bool,
    },
    /// Remembers that a publication with this key was put into the history of its pipe, at this time in unix seconds.
    PutKey {
        pipe: PipeKey,
        key: Box<str>,
        time: i64,
    },
    DeleteHistory {
        pipe: PipeKey,
    },
    /// Removes these messages from all histories of the tenant, or from those of the pipes that are named.
    DeleteFromHistory {
        dev: DevId,
        pipes: Option<Vec<PipeName>>,
        ids: Vec<MessageId>,
    },
    /// Sets how many publications a pipe keeps; a shorter length takes effect at once. `begun`: behind which position the
    /// history is whole, if none was kept before.
    PutSetting {
        pipe: PipeKey,
        length: u32,
        begun: Position,
    },
    /// Sets the length of a pipe provided that it has a setting already; `begun` as for [`Write::PutSetting`].
    UpdateSetting {
        pipe: PipeKey,
        length: u32,
        begun: Position,
    },
    /// Removes the setting of a pipe and its history. `begun`: behind which position the history of a `trust_` pipe is whole,
    /// because such a pipe goes on to keep one.
    DeleteSetting {
        pipe: PipeKey,
        begun: Position,
    },
    /// `expires`: unix seconds after which the token is worth nothing anyway; `None` keeps it for ever.
    PutRevoked {
        dev: DevId,
        token: Box<str>,
        expires: Option<i64>,
    },
    DeleteRevoked {
        dev: DevId,
        token: Box<str>,
    },
    PutCall {
        dev: DevId,
        call: Call,
    },
    DeleteCall {
        dev: DevId,
        name: Box<str>,
        user: UserId,
    },
}

impl Request {
    /// Bytes that it holds, for the accounting of memory.
    pub fn bytes(&self) -> usize {
        let inside = match self {
            Self::Read { .. } => 0,
            Self::Write(writes) => writes.iter().map(Write::bytes).sum(),
        };
        size_of::<Job>() + inside
    }
}

impl Write {
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::IfAbsent(write) => write.bytes(),
            Self::PutHash { hash: text, .. }
            | Self::UpdateHash { hash: text, .. }
            | Self::PutUserData { data: text, .. }
            | Self::UpdateUserData { data: text, .. }
            | Self::PutRevoked { token: text, .. }
            | Self::DeleteRevoked { token: text, .. }
            | Self::PutKey { key: text, .. }
            | Self::DeleteCall { name: text, .. } => text.len(),
            Self::PutQueued { message, .. } | Self::PutHistory { message, .. } => message.bytes(),
            Self::PutCall { call, .. } => call.bytes(),
            Self::DeleteQueued { ids, .. } | Self::DeleteFromHistory { ids, .. } => size_of_val(ids.as_slice()),
            Self::DeleteHash { .. }
            | Self::DeleteUserData { .. }
            | Self::PutLastSeen { .. }
            | Self::DeleteQueue { .. }
            | Self::DeleteHistory { .. }
            | Self::PutSetting { .. }
            | Self::UpdateSetting { .. }
            | Self::DeleteSetting { .. } => 0,
        };
        size_of::<Self>() + texts
    }

    /// Whose rows it touches.
    pub fn dev(&self) -> DevId {
        match self {
            Self::IfAbsent(write) => write.dev(),
            Self::PutHash { dev, .. }
            | Self::UpdateHash { dev, .. }
            | Self::DeleteHash { dev, .. }
            | Self::PutUserData { dev, .. }
            | Self::UpdateUserData { dev, .. }
            | Self::DeleteUserData { dev, .. }
            | Self::PutLastSeen { dev, .. }
            | Self::PutQueued { dev, .. }
            | Self::DeleteQueue { dev, .. }
            | Self::DeleteQueued { dev, .. }
            | Self::DeleteFromHistory { dev, .. }
            | Self::PutRevoked { dev, .. }
            | Self::DeleteRevoked { dev, .. }
            | Self::PutCall { dev, .. }
            | Self::DeleteCall { dev, .. } => *dev,
            Self::PutHistory { pipe, .. }
            | Self::PutKey { pipe, .. }
            | Self::DeleteHistory { pipe }
            | Self::PutSetting { pipe, .. }
            | Self::UpdateSetting { pipe, .. }
            | Self::DeleteSetting { pipe, .. } => pipe.dev,
        }
    }
}

/// A message in a queue or in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub id: MessageId,
    /// Unix seconds.
    pub time: i64,
    pub event: EventName,
    pub message: Box<str>,
    /// Anonymous for backends, and always in a queue.
    pub sender: UserId,
    /// Unix seconds from which on nobody is given it; 0: never.
    pub expires: i64,
}

impl StoredMessage {
    pub fn place(&self) -> Place {
        Place { time: self.time, id: self.id }
    }

    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.event.as_str().len() + self.message.len()
    }
}

/// A user's invitation to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: Box<str>,
    pub user: UserId,
    pub caller: UserId,
    pub message: Box<str>,
    pub profile: Box<str>,
    pub stream: Box<str>,
    pub node: Box<str>,
    /// Unix seconds.
    pub time: i64,
}

impl Call {
    pub fn bytes(&self) -> usize {
        let texts = [&self.name, &self.message, &self.profile, &self.stream, &self.node];
        size_of::<Self>() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub ticket: Ticket,
    pub result: Result<Outcome, StorageError>,
}

impl Completion {
    /// Bytes that it holds, for the accounting of memory.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &mut dyn Iterator<Item = &Box<str>>| -> usize {
            texts.map(|text| size_of::<(UserId, Box<str>)>() + text.len()).sum()
        };
        let messages = |rows: &[StoredMessage]| rows.iter().map(StoredMessage::bytes).sum::<usize>();
        let rows = match &self.result {
            Ok(Outcome::Texts(rows)) => texts(&mut rows.iter().map(|(_, text)| text)),
            Ok(Outcome::Tokens { rows, .. }) => texts(&mut rows.iter()),
            Ok(Outcome::Messages { rows, .. }) => messages(rows),
            Ok(Outcome::Missed(missed)) => {
                missed.iter().map(|missed| size_of::<Missed>() + messages(&missed.rows)).sum()
            }
            Ok(Outcome::Times(rows)) => size_of_val(rows.as_slice()),
            Ok(Outcome::Lengths(rows)) => size_of_val(rows.as_slice()),
            Ok(Outcome::Calls(calls)) => calls.iter().map(Call::bytes).sum(),
            Ok(Outcome::Users { rows, .. }) => size_of_val(rows.as_slice()),
            Ok(Outcome::Names { rows, .. }) => size_of_val(rows.as_slice()),
            Ok(Outcome::Login { .. } | Outcome::Written { .. }) | Err(_) => 0,
        };
        size_of::<Self>() + rows
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// How many rows there are less or more, or have new values. What goes along - a trimmed history, that of a deleted
    /// setting - does not count.
    Written {
        rows: u64,
    },
    Texts(Vec<(UserId, Box<str>)>),
    Times(Vec<(UserId, i64)>),
    Login {
        hash: Option<Box<str>>,
        revoked: bool,
    },
    /// `more`: further rows follow behind the last one.
    Messages {
        rows: Vec<StoredMessage>,
        more: bool,
    },
    /// Of each pipe that was asked for, in the same order.
    Missed(Vec<Missed>),
    Lengths(Vec<(PipeName, u32)>),
    /// `more`: further rows follow behind the last one.
    Tokens {
        rows: Vec<Box<str>>,
        more: bool,
    },
    Calls(Vec<Call>),
    /// `after`: where to go on, if there may be more.
    Users {
        rows: Vec<UserId>,
        after: Option<UserId>,
    },
    /// The same with pipes. Names that no pipe can have are left out.
    Names {
        rows: Vec<PipeName>,
        after: Option<Box<str>>,
    },
}

/// What was missed of one pipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// In their order.
    pub rows: Vec<StoredMessage>,
    /// Nothing that was put into the history behind the position is missing; without it there are the newest rows, if they
    /// were wanted.
    pub complete: bool,
}

/// What a hub has to know of a pipe with history when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeSetting {
    pub pipe: PipeKey,
    /// Publications kept.
    pub length: u32,
}

/// When what is sent now and lasts so many seconds expires.
pub fn expires(now: UnixTime, expires_in: Option<u32>) -> i64 {
    // Columns are 32 bits wide.
    expires_in.map_or(0, |seconds| now.0.saturating_add(seconds.into()).min(i32::MAX.into()))
}

/// A key under which something was published, when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub pipe: PipeKey,
    pub key: Box<str>,
    /// Unix seconds.
    pub time: i64,
}

/// Seconds for which the key of a publication is remembered.
pub const KEYS_KEPT_S: i64 = 5 * 60;

/// What one piece of the retention's work has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub queued: u64,
    pub history: u64,
    pub tokens: u64,
    /// Whether there is more to look at; the next call goes on.
    pub more: bool,
}

/// What storage keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Personal messages older than this are removed. Zero: never.
    pub queue_seconds: u64,
    /// Personal messages of one user; with more the oldest are removed.
    pub queue_messages_max: u32,
    /// History of `trust_` pipes without a setting: older messages are removed. Zero: never.
    pub trust_seconds: u64,
    /// Messages of one such pipe; with more the oldest are removed.
    pub trust_messages_max: u32,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { queue_seconds: 7 * DAY, queue_messages_max: 1_000, trust_seconds: 30 * DAY, trust_messages_max: 10_000 }
    }
}

/// When a commit counts as done, in the embedded engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: what was acknowledged survives a power cut.
    #[default]
    Full,
    /// When the system has it: what was acknowledged survives the end of the process, but a power cut may take the last
    /// of it.
    Lazy,
}

/// The text is for the log and the backend, never for browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// Peer: the rows of a read weigh more than it may have. What was read of them is dropped.
    TooLarge { bytes_max: usize },
    /// Peer: the database does not take what a write holds, which is longer than its column, has characters that the column
    /// lacks, or breaks a rule of the table. Other writes are not concerned.
    Unfit(String),
    /// Environment: there is no room on the disk. Nothing was written; what is there can be read.
    Full(String),
    /// Environment: the engine refused or lost the request.
    Failed(String),
    /// Environment: too many requests wait already; nothing was done.
    Overloaded,
    /// The database cannot be reached at the moment; nothing was done, and nothing may be known.
    Unavailable(String),
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => write!(f, "the answer is larger than {bytes_max} bytes"),
            Self::Unfit(text) | Self::Full(text) | Self::Failed(text) | Self::Unavailable(text) => f.write_str(text),
            Self::Overloaded => f.write_str("too many requests wait"),
        }
    }
}

/// What the results of one group may weigh before it ends; the last result comes on top.
pub const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

mod beginning;
mod begun;
mod expiry;
mod groups;
#[cfg(feature = "mysql")]
pub mod mysql;
mod removal;
pub mod sqlite;
mod statements;
pub mod transfer;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use beginning::go_on;
pub use beginning::{Beginning, Trusted};
pub use removal::Removal;

/// An engine, on the storage thread. It may block; nobody waits for it but those who asked.
pub trait Store {
    /// Carries out jobs in order and commits them as one group: every [`Outcome::Written`] among the completions is
    /// on disk when this returns. A job that fails leaves nothing behind and does not harm the others. A group ends early when its results weigh [`GROUP_BYTES_MAX`]: there are completions
    /// for the first jobs then, for one at least, and the others are to be handed in again.
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion>;

    /// What the server has to know at its start; to be asked once.
    fn beginning(&mut self) -> Result<Beginning, StorageError>;

    /// Carries out one piece of these, in their order, and commits it; the first are done before the last are begun. After an
    /// error all of them are as they were.
    fn remove(&mut self, removals: &mut [Removal]) -> Result<(), StorageError>;

    /// From now on this is how long and how much is kept. After an error it is as before.
    fn keep(&mut self, retention: Retention) -> Result<(), StorageError>;

    /// Writes down what time it is, unix seconds. Besides, it shows whether anything can be written.
    fn note_clock(&mut self, now: i64) -> Result<(), StorageError>;

    /// Removes what is too old at `now`, unix seconds. A bounded piece of it per call; what it returns says whether there
    /// is more.
    fn expire(&mut self, now: i64) -> Result<Expired, StorageError>;

    /// For the banner and `SHOW STATUS`: engine and place.
    fn describe(&self) -> String;
}
