//! The storage thread: takes jobs of all shards, runs them in groups, hands completions back and wakes who asked.

use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use shards::Waker;
use tracing::{error, info};

use crate::model::ShardId;
use crate::storage::{Completion, Job, StorageError, Store};

/// Jobs in one group, that is, behind one fsync.
const GROUP_MAX: usize = 4096;

/// A shard's end: jobs out, completions in. Completions never outnumber the jobs sent, and those are bounded by the
/// queue.
pub(super) struct StorageClient {
    shard: ShardId,
    jobs: Sender<(ShardId, Job)>,
    completions: Receiver<Completion>,
    /// Jobs sent and not yet answered.
    waiting: usize,
    waiting_max: usize,
}

impl StorageClient {
    /// Without storage: every job is refused.
    pub(super) fn nowhere() -> Self {
        let (jobs, _) = bounded(0);
        let (_, completions) = bounded(0);
        Self { shard: ShardId::default(), jobs, completions, waiting: 0, waiting_max: 0 }
    }

    /// Hands a job over, or gives back the completion that says why not.
    pub(super) fn send(&mut self, job: Job) -> Result<(), Completion> {
        let refused = |job: Job| Completion { ticket: job.ticket, result: Err(StorageError::Overloaded) };
        if self.waiting >= self.waiting_max {
            return Err(refused(job));
        }
        match self.jobs.try_send((self.shard, job)) {
            Ok(()) => {
                self.waiting += 1;
                Ok(())
            }
            Err(TrySendError::Full((_, job)) | TrySendError::Disconnected((_, job))) => Err(refused(job)),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Completion> {
        let completion = self.completions.try_recv().ok()?;
        self.waiting -= 1;
        Some(completion)
    }
}

/// Made before the shards, because they get their ends; the thread starts when the wakers exist.
pub(super) struct StorageSetup {
    pub(super) jobs: Receiver<(ShardId, Job)>,
    pub(super) completions: Vec<Sender<Completion>>,
}

/// `queue_max`: jobs that may wait; beyond, they are refused as overloaded.
pub(super) fn channels(shards: u16, queue_max: usize) -> (StorageSetup, Vec<StorageClient>) {
    let (job_sender, jobs) = bounded(queue_max);
    let mut completions = Vec::new();
    let clients = (0..shards)
        .map(|shard| {
            let (sender, receiver) = unbounded();
            completions.push(sender);
            StorageClient {
                shard: ShardId(shard),
                jobs: job_sender.clone(),
                completions: receiver,
                waiting: 0,
                waiting_max: queue_max,
            }
        })
        .collect();
    (StorageSetup { jobs, completions }, clients)
}

/// Ends by itself, after the last job, when the last [`StorageClient`] is gone.
pub(super) struct StorageThread {
    handle: JoinHandle<()>,
}

impl StorageThread {
    pub(super) fn start(
        setup: StorageSetup,
        mut store: Box<dyn Store + Send>,
        wakers: Vec<Waker>,
    ) -> std::io::Result<Self> {
        let handle = Builder::new().name("storage".into()).spawn(move || {
            let mut group = Vec::new();
            let mut failing = false;
            while let Ok(first) = setup.jobs.recv() {
                group.push(first);
                group.extend(setup.jobs.try_iter().take(GROUP_MAX - 1));
                let (shards, jobs): (Vec<ShardId>, Vec<Job>) = group.drain(..).unzip();
                let completions = store.run(&jobs);
                report_health(&completions, &mut failing);
                let mut woken = vec![false; wakers.len()];
                for (shard, completion) in shards.into_iter().zip(completions) {
                    let shard = shard.0 as usize;
                    // A shard that is gone needs no answer.
                    let sent = setup.completions.get(shard).is_some_and(|sender| sender.send(completion).is_ok());
                    if let (true, Some(woken)) = (sent, woken.get_mut(shard)) {
                        *woken = true;
                    }
                }
                wakers.iter().zip(woken).filter(|(_, woken)| *woken).for_each(|(waker, _)| waker.wake());
            }
        })?;
        Ok(Self { handle })
    }

    pub(super) fn join(self) {
        if self.handle.join().is_err() {
            error!("the storage thread ended by a fault of its own");
        }
    }
}

/// One line when storage begins to fail and one when it works again.
fn report_health(completions: &[Completion], failing: &mut bool) {
    let failure = completions.iter().find_map(|completion| completion.result.as_ref().err());
    if let Some(error) = failure {
        if !*failing {
            error!(?error, "storage fails; what needs it is refused until it works again");
        }
    } else if *failing {
        info!("storage works again");
    }
    *failing = failure.is_some();
}
