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
        if session.reach != Reach::Everywhere || session.dev != DevId(0) {
            return Stage::Failed(Error::new(Code::NotAllowed, NOT_ALLOWED));
        }
        let number = self.draw_number();
        self.instructed.insert(number, session.id);
        self.outputs.push_back(Output::Instruct { number, instruction });
        Stage::Instructing
    }
}

impl Session {
    pub(super) fn carried_out(&mut self, result: Result<Box<str>, Error>) {
        // Gone: the statement of a batch that was ended by KILL.
        let Some(Entry { stage: Stage::Instructing, .. }) = self.queue.front() else { return };
        self.begun(Stage::Done(result.map(Reply::Told)));
    }
}

const NOT_ALLOWED: &str = "This concerns the whole server: it is for tenant 0 (user root) with the server's password, and for \
                           whoever uses its socket";
