//! Fan-outs that are not sent to their end yet.
//!
//! How many there are is bounded by the host, which forms new ones only while none is pending.

use std::collections::VecDeque;

use crate::host::{SharedBytes, Token};

#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) conns: Vec<Token>,
    /// The first of them that has not been looked at.
    pub(crate) next: usize,
    pub(crate) bytes: SharedBytes,
}

/// In the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct FanOuts {
    jobs: VecDeque<FanOut>,
    bytes: usize,
}

impl FanOuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(crate) fn push(&mut self, conns: Vec<Token>, bytes: SharedBytes) {
        if conns.is_empty() || bytes.is_empty() {
            return;
        }
        let job = FanOut { conns, next: 0, bytes };
        self.bytes += job.memory();
        self.jobs.push_back(job);
    }

    pub(crate) fn jobs_mut(&mut self) -> &mut VecDeque<FanOut> {
        &mut self.jobs
    }

    /// Drops the jobs at the front that are done.
    pub(crate) fn drop_done(&mut self) {
        while let Some(job) = self.jobs.pop_front_if(|job| job.next >= job.conns.len()) {
            self.bytes -= job.memory();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.jobs.capacity() * size_of::<FanOut>()
    }
}

impl FanOut {
    fn memory(&self) -> usize {
        self.conns.capacity() * size_of::<Token>() + self.bytes.len()
    }
}
