//! What sessions remember, within a bound for all of them together.
//!
//! Every session may keep a little whatever the others do; beyond that they share what there is, so one that fills it up
//! takes nothing from those that set a few variables.

use crate::cometql::budget::Budget;
use crate::cometql::errors::{Code, Error};
use crate::cometql::introspection::Assignments;
use crate::cometql::plan::{self, Plan, Reply};
use crate::cometql::session::Memory;
use crate::cometql::sql::{Modes, Statement, Transaction};
use crate::cometql::wire::StatusFlags;
use crate::model::CloseReason;

use super::Exec;
use super::session::Session;
use super::stage::Stage;
use super::tenants::Reach;

/// Bytes of variables that each session has for itself.
const OWN_BYTES: usize = 1024;

/// Bytes of variables beyond these, of all sessions; those that logged in with a tenant's own password get half.
const SHARED_BYTES_MAX: usize = 16 * 1024 * 1024;

fn shared(memory: &Memory) -> usize {
    memory.bytes().saturating_sub(OWN_BYTES)
}

impl Exec {
    /// The session remembers this instead of what it did. Error: 11 when all sessions together would hold too much.
    fn remember(&mut self, session: &mut Session, memory: Memory) -> Result<(), Error> {
        let (before, after) = (shared(&session.memory), shared(&memory));
        let most = if session.reach == Reach::Tenant { SHARED_BYTES_MAX / 2 } else { SHARED_BYTES_MAX };
        if after > before && self.remembered - before + after > most {
            let text = "The sessions hold too many variables together: set some to shorter values";
            return Err(Error::new(Code::TooLong, text));
        }
        self.remembered = self.remembered - before + after;
        session.memory = memory;
        session.tell_status();
        Ok(())
    }

    /// As it was when it logged in.
    pub(super) fn forget_memory(&mut self, session: &mut Session) {
        self.remembered -= shared(&session.memory);
        session.memory = Memory::NEW;
        session.tell_status();
    }

    /// Plans a statement that waited for those before it.
    pub(super) fn plan_later(&mut self, session: &mut Session, statement: &Statement) -> Result<Plan, Error> {
        let budget = Budget::default();
        let planned = plan::plan(statement, &session.view(session.heard, &self.config, &budget));
        self.spend(session, budget.spent());
        planned
    }

    pub(super) fn begin_set(&mut self, session: &mut Session, memory: Memory) -> Stage {
        Stage::Done(self.remember(session, memory).map(|()| Reply::Ok { affected: 0, insert_id: 0 }))
    }

    /// A query has set these.
    pub(super) fn keep_assigned(&mut self, session: &mut Session, assigned: Assignments) -> Result<(), Error> {
        if assigned.is_empty() {
            return Ok(());
        }
        let mut memory = session.memory.clone();
        for (name, value) in assigned {
            memory.set_variable(&name, value)?;
        }
        self.remember(session, memory)
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.remembered
    }
}

impl Session {
    pub(super) fn carry_out(&mut self, transaction: Transaction) -> Stage {
        if self.memory.carry_out(transaction) {
            self.close_when_answered(CloseReason::Quit);
        }
        self.tell_status();
        Stage::Done(Ok(Reply::Ok { affected: 0, insert_id: 0 }))
    }

    /// A plan that reads or writes tables begins.
    pub(super) fn touches(&mut self, plan: &Plan) {
        match plan {
            // Answers that are known, those about warnings among them.
            Plan::Reply(Reply::Rows(_)) | Plan::Transaction(_) | Plan::Later(_) => return,
            Plan::Publish(_)
            | Plan::Send(_)
            | Plan::SetLengths { .. }
            | Plan::UpdateLengths(_)
            | Plan::Write { .. }
            | Plan::Delete(_)
            | Plan::Update(_) => self.memory.touches_tables(true),
            Plan::Read { .. } => self.memory.touches_tables(false),
            _ => {}
        }
        self.memory.forget_warning();
        self.tell_status();
    }

    /// A lone publication or personal message goes out.
    pub(super) fn writes(&mut self) {
        self.memory.touches_tables(true);
        self.memory.forget_warning();
        self.tell_status();
    }

    /// What the status of every answer says from now on.
    fn tell_status(&mut self) {
        let memory = &self.memory;
        let mut status = StatusFlags::default();
        status.put(StatusFlags::AUTOCOMMIT, memory.autocommits());
        status.put(StatusFlags::IN_TRANSACTION, memory.in_transaction());
        status.put(StatusFlags::NO_BACKSLASH_ESCAPES, memory.modes().has(Modes::NO_BACKSLASH_ESCAPES));
        status.put(StatusFlags::ANSI_QUOTES, memory.modes().has(Modes::ANSI_QUOTES));
        self.wire.set_status(status);
    }

    /// What the statement that is answered now did.
    pub(super) fn remember_result(&mut self, result: &Result<Reply, Error>) {
        match result {
            Ok(Reply::Ok { affected, insert_id }) => self.memory.changed_rows(*affected, *insert_id),
            Ok(Reply::Told(_)) => self.memory.changed_rows(0, 0),
            Ok(Reply::Rows(rows)) => self.memory.gave_rows(rows.rows.len() as u64),
            Err(_) => self.memory.failed(),
        }
    }
}
