//! Batches of statements that come by HTTP: sessions without a socket, which end when everything is answered.
//!
//! A batch is logged in and carried out as the statements of any session; only its answers are JSON, are collected, and
//! leave as one [`RingMessage::BatchDone`].

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::json::{self, Parameter};
use crate::cometql::plan::Reply;
use crate::cometql::session::User;
use crate::cometql::sql::{Meter, Value};
use crate::cometql::wire::{Connection, Method, Verdict};
use crate::model::{CloseReason, ConnId, Now, ShardId};
use crate::ring::{Batch, BatchAnswer, BatchDone, BatchWish, RingMessage};

use super::login::{WRONG_PASSWORD, count_wrong_password};
use super::script::{Read, Script};
use super::session::{Asked, BatchState, Phase, Session};
use super::stage::{Start, Stream};
use super::tenants::Reach;
use super::{Exec, LiveRows, Output, Peer};

/// Batches under way at a time; those with the passwords of tenants get half of them.
pub const BATCHES_MAX: usize = 64;

/// Bytes of all results of a batch; the one that goes beyond is an error instead.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a batch is not begun.
enum Denied {
    /// Its address must wait so many seconds.
    Wait(u64),
    WrongPassword,
    /// The password is right, but not for this.
    Forbidden(Error),
    Busy(Error),
    /// So is the password, but the body is not what it should be.
    Unreadable(Error),
}

impl Exec {
    /// Begins a batch from another shard: work from outside. Its answer follows as [`Output::Ring`], at once or after
    /// [`Exec::next_finished`].
    pub fn begin_batch(&mut self, from: ShardId, batch: Batch, now: Now, live: LiveRows<'_>) {
        let asker = batch.asker;
        if let Err(denied) = self.try_begin_batch(from, batch, now, live) {
            self.counters.session_logins_refused += u64::from(!matches!(denied, Denied::Unreadable(_)));
            self.counters.session_logins_held_off += u64::from(matches!(denied, Denied::Wait(_)));
            self.answer_batch(from, asker, denied.answer());
        }
    }

    fn try_begin_batch(&mut self, from: ShardId, batch: Batch, now: Now, live: LiveRows<'_>) -> Result<(), Denied> {
        let Batch { asker, address, user, database, password, wish } = batch;
        // Whether the password is right is not told, or guessing would go on.
        if let Some(left) = self.back_off_by_http.wait(address, now.time) {
            return Err(Denied::Wait(left.div_ceil(1_000_000)));
        }
        let given = Sha256::digest(&password);
        let dev = User::parse(user.as_bytes(), self.config.statements.dev_max).ok().map(User::dev);
        let (verdict, reach) = self.config.tenants.verdict(dev, &self.config.password, |known| {
            let is_right = bool::from(given.as_slice().ct_eq(Sha256::digest(known).as_slice()));
            if is_right { Verdict::Accepted(Method::Native) } else { Verdict::Wrong }
        });
        if !matches!(verdict, Verdict::Accepted(_)) {
            self.outputs.extend(count_wrong_password(&mut self.back_off_by_http, address, now.time));
            return Err(Denied::WrongPassword);
        }
        if reach == Reach::Everywhere {
            self.back_off_by_http.succeeded(address);
        }
        if wish == BatchWish::Password {
            if reach == Reach::Tenant {
                let text = "This is for the server's password: that of a tenant does not open it";
                return Err(Denied::Forbidden(Error::new(Code::AccessDenied, text)));
            }
            self.answer_batch(from, asker, BatchAnswer { status: 200, retry_after: None, body: Box::default() });
            return Ok(());
        }
        let place = self.place_for_batch(reach)?;
        let (meter, budget) = (Meter::default(), Budget::default());
        let (text, statements) = match wish {
            BatchWish::Text(text) => (Some(text), Vec::new()),
            BatchWish::Json(body) => {
                meter.searched(body.len());
                let unreadable = |text| Denied::Unreadable(Error::new(Code::Invalid, text));
                (None, json::statements(&body).map_err(unreadable)?)
            }
            BatchWish::Password => (None, Vec::new()),
        };
        self.last_batch = self.last_batch.wrapping_add(1);
        let id = ConnId { index: ConnId::POLLED_FIRST + place as u32, generation: self.last_batch };
        let connection = self.draw_connection(id);
        let mut session = Box::new(Session::new(id, Peer::Address(address), Connection::without_client(connection)));
        let database = database.map(|name| name.as_bytes().into());
        session.asked = Some(Box::new(Asked { user: user.as_bytes().into(), database }));
        let admitted = self.admit(&mut session, reach).map_err(Denied::Forbidden);
        let entered = admitted.and_then(|()| self.bound.enter(&mut session, &self.config).map_err(Denied::Busy));
        if let Err(denied) = entered {
            self.connections.remove(&connection);
            return Err(denied);
        }
        session.escapes = self.config.escapes;
        session.phase = Phase::Ready;
        session.heard = now.unix;
        session.batch = Some(Box::new(BatchState { from, asker, results: json::Results::default() }));
        self.open += 1;
        self.counters.batches += 1;
        let note = text.as_deref().and_then(|text| self.note(text, now.time));
        let read = match text {
            Some(text) => self.read(&mut session, &text, now, &meter, &budget),
            None => Ok(Read::Several(Script::of_bound(statements, now))),
        };
        self.spend_on_reading(&mut session, &meter, &budget);
        self.push_read(&mut session, read, Start::Continued, note);
        self.advance(&mut session, live);
        self.touch(&mut session);
        self.put_back(session);
        Ok(())
    }

    /// The first free place, if there is one for this password.
    fn place_for_batch(&mut self, reach: Reach) -> Result<usize, Denied> {
        let of_tenants = self.batches.iter().flatten().filter(|session| session.reach == Reach::Tenant).count();
        let free = self.batches.iter().position(Option::is_none).unwrap_or(self.batches.len());
        if free >= BATCHES_MAX || reach == Reach::Tenant && of_tenants >= BATCHES_MAX / 2 {
            let text = "Too many requests are being carried out: ask again in a second";
            return Err(Denied::Busy(Error::new(Code::Internal, text)));
        }
        if free == self.batches.len() {
            self.batches.push(None);
        }
        Ok(free)
    }

    /// A batch whose queue is empty is done.
    pub(super) fn end_turn_of_batch(&mut self, id: ConnId) {
        let Some(session) = self.place(id).and_then(Option::as_mut).filter(|session| session.id == id) else { return };
        session.touched = false;
        if session.queue.is_empty() {
            self.finished.push_back(id);
        }
    }

    /// Sends the answer of one batch that is done; false: there is none. To be called until then at the end of each turn,
    /// after [`Exec::end_turn`], but not while the rings are congested.
    pub fn next_finished(&mut self) -> bool {
        let Some(id) = self.finished.pop_front() else { return false };
        if let Some(mut session) = self.take(id) {
            let mut body = std::mem::take(&mut session.out);
            if let Some(BatchState { from, asker, results }) = session.batch.as_deref_mut() {
                results.end(&mut body);
                let answer = BatchAnswer { status: 200, retry_after: None, body: body.into() };
                self.answer_batch(*from, *asker, answer);
            }
            self.forget(session);
        }
        true
    }

    /// Ends a batch before it is done.
    pub(super) fn kill_batch(&mut self, id: ConnId) {
        let Some(mut session) = self.take(id) else { return };
        let Session { out, queue, batch, .. } = &mut *session;
        queue.clear();
        if let Some(batch) = batch {
            batch.results.error(&Error::new(Code::Internal, "The statement was ended by KILL"), out);
        }
        session.close_when_answered(CloseReason::Killed);
        self.touch(&mut session);
        self.put_back(session);
    }

    fn answer_batch(&mut self, to: ShardId, asker: ConnId, answer: BatchAnswer) {
        let done = Box::new(BatchDone { asker, answer });
        self.outputs.push_back(Output::Ring { to, message: RingMessage::BatchDone(done) });
    }
}

impl Denied {
    fn answer(&self) -> BatchAnswer {
        let wait;
        let wrong;
        let (status, retry_after, error) = match self {
            Self::Wait(seconds) => {
                let text = format!("Too many wrong passwords from this address: wait {seconds} s and ask again");
                wait = Error::new(Code::Authentication, text);
                (429, Some(*seconds), &wait)
            }
            Self::WrongPassword => {
                wrong = Error::new(Code::Authentication, WRONG_PASSWORD);
                (401, None, &wrong)
            }
            Self::Forbidden(error) => (403, None, error),
            Self::Busy(error) => (503, Some(1), error),
            Self::Unreadable(error) => (400, None, error),
        };
        BatchAnswer { status, retry_after, body: json::failure(error).into() }
    }
}

impl BatchState {
    pub(super) fn write_row(&mut self, row: &[Option<Box<[u8]>>], stream: &mut Stream, out: &mut Vec<u8>) {
        if !self.results.has_columns() {
            self.results.columns(&stream.rows.columns(), out);
        }
        self.results.row(row.iter().map(Option::as_deref), out);
        if out.len() > ANSWER_BYTES_MAX {
            stream.rows.abandon();
            stream.failure = Some(too_large());
        }
    }

    /// All rows are written, or an error tells that no more will come.
    pub(super) fn end_rows(&mut self, stream: &Stream, out: &mut Vec<u8>) {
        if let Some(error) = &stream.failure {
            return self.results.error(error, out);
        }
        if !self.results.has_columns() {
            self.results.columns(&stream.rows.columns(), out);
        }
        self.results.end_rows(out);
    }

    /// Whether what follows is carried out.
    pub(super) fn answer(
        &mut self,
        result: Result<Reply, Error>,
        warning: Option<(u16, &str)>,
        out: &mut Vec<u8>,
    ) -> bool {
        let failure = match result {
            Ok(Reply::Ok { affected, insert_id }) => {
                self.results.ok(affected, insert_id, warning, out);
                return true;
            }
            Ok(Reply::Told(text)) => {
                self.results.told(&text, out);
                return true;
            }
            Ok(Reply::Rows(rows)) => {
                self.results.columns(&rows.columns, out);
                let mut rows = rows.rows.iter();
                while out.len() <= ANSWER_BYTES_MAX
                    && let Some(row) = rows.next()
                {
                    self.results.row(row.iter().map(Option::as_deref), out);
                }
                if out.len() <= ANSWER_BYTES_MAX {
                    self.results.end_rows(out);
                    return true;
                }
                too_large()
            }
            Err(error) => error,
        };
        self.results.error(&failure, out);
        false
    }
}

fn too_large() -> Error {
    let text =
        format!("The answer is larger than {ANSWER_BYTES_MAX} bytes: ask for fewer rows, or by the MySQL protocol");
    Error::new(Code::TooLong, text)
}

pub(super) fn value_of(parameter: Parameter) -> Value<'static> {
    match parameter {
        Parameter::Null => Value::Null,
        Parameter::Number(digits) => Value::Number(String::from(digits).into()),
        Parameter::Text(text) => Value::Text(String::from(text).into()),
    }
}
