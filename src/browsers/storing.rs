//! What the hub wants of storage, and the answers.

use std::net::IpAddr;

use crate::hub::Input;
use crate::storage::Job;

use super::Browsers;
use super::effects::Effects;

impl Browsers {
    /// `address`: of the browser that wants it.
    pub(super) fn store(&mut self, io: &mut impl Effects, job: Job, address: Option<IpAddr>) {
        if let Err(refused) = io.store(job, address) {
            self.counters.storage_refusals += 1;
            self.refused.push_back(refused);
        }
    }

    /// Completions may cause messages, so they wait as bytes do while the rings are congested. That holds for refusals too:
    /// one that came while a message is handled must not let that message cause what it may not.
    pub(super) fn take_completions(&mut self, io: &mut impl Effects) {
        while !io.congested()
            && let Some(completion) = self.refused.pop_front().or_else(|| io.completion())
        {
            self.input(io, Input::Stored(completion));
        }
    }
}
