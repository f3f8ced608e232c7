//! Instructions: what a session asks of the server as a whole. Whoever keeps the server's files carries them out; here is
//! decided who may ask.

use crate::cometql::errors::{Code, Error};
use crate::cometql::plan::Reply;
use crate::cometql::sql::Instruction;
use crate::model::DevId;

use super::session::Session;
use super::stage::{Entry, Stage};
use super::tenants::Reach;
use super::{Exec, Output};

impl Exec {
    pub(super) fn instruct(&mut self, session: &Session, instruction: Instruction) -> Stage {
        if !session.may_instruct() {
            return Stage::Failed(not_allowed());
        }
        let number = self.draw_number();
        self.instructed.insert(number, session.id);
        self.outputs.push_back(Output::Instruct { number, instruction });
        Stage::Instructing
    }
}

impl Session {
    /// Whether it may ask for what concerns the whole server.
    pub(super) fn may_instruct(&self) -> bool {
        self.reach == Reach::Everywhere && self.dev == DevId(0)
    }

    pub(super) fn carried_out(&mut self, result: Result<Box<str>, Error>) {
        // Gone: the statement of a batch that was ended by KILL.
        let Some(Entry { stage: Stage::Instructing, .. }) = self.queue.front() else { return };
        self.begun(Stage::Done(result.map(Reply::Told)));
    }
}

pub(super) fn not_allowed() -> Error {
    Error::new(Code::NotAllowed, NOT_ALLOWED)
}

const NOT_ALLOWED: &str = "This concerns the whole server: it is for tenant 0 (user root) with the server's password, and for \
                           whoever uses its socket";
