//! How an engine comes from a batch of jobs to one result for each, whatever goes wrong with some of them.

use super::{Completion, GROUP_BYTES_MAX, Job, Outcome, Request, StorageError};

/// One per job.
pub(super) type Results = Vec<Result<Outcome, StorageError>>;

pub(super) trait Groups {
    type Error;

    /// The results of the first jobs, as many as the budget of bytes allows, but one at least; committed together. After
    /// an error nothing of them is kept, unless the commit itself was cut off: then nobody knows.
    fn run_group(&mut self, jobs: &[Job], budget: &mut usize) -> Result<Results, Self::Error>;

    /// What an error means for the jobs of its group.
    fn failure(&mut self, error: Self::Error) -> Failure;
}

pub(super) enum Failure {
    /// One of the jobs is at fault; the others can be carried out without it.
    Job(StorageError),
    /// Somebody keeps every writer waiting; reads can be carried out.
    Writes(StorageError),
    /// The database is away; there is no use in trying the rest.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "the embedded engine is never away"))]
    All(StorageError),
}

pub(super) fn run<G: Groups>(engine: &mut G, jobs: &[Job]) -> Vec<Completion> {
    let results = if jobs.is_empty() { Results::new() } else { run_jobs(engine, jobs, &mut { GROUP_BYTES_MAX }) };
    jobs.iter().zip(results).map(|(job, result)| Completion { ticket: job.ticket, result }).collect()
}

/// Runs the jobs as one group, or if that cannot be as two, and so on: a job that fails alone has failed, and takes
/// nothing with it. A failure is rare, so it may cost some groups more; savepoints would cost every write.
fn run_jobs<G: Groups>(engine: &mut G, jobs: &[Job], budget: &mut usize) -> Results {
    let error = match engine.run_group(jobs, budget) {
        Ok(results) => return results,
        Err(error) => error,
    };
    match engine.failure(error) {
        Failure::All(failed) => vec![Err(failed); jobs.len()],
        Failure::Job(failed) | Failure::Writes(failed) if jobs.len() <= 1 => vec![Err(failed)],
        // One wait for the lock is enough.
        Failure::Writes(failed) => run_reads(engine, jobs, &failed, budget),
        Failure::Job(_) => {
            let (first, rest) = jobs.split_at(jobs.len() / 2);
            let mut results = run_jobs(engine, first, budget);
            if let (true, Some(Err(StorageError::Unavailable(_)))) = (results.len() == first.len(), results.last()) {
                let failed = results.last().cloned();
                results.extend(std::iter::repeat_n(failed, rest.len()).flatten());
            } else if results.len() == first.len() && *budget > 0 {
                results.extend(run_jobs(engine, rest, budget));
            }
            results
        }
    }
}

/// The reads of these jobs; no write is tried.
fn run_reads<G: Groups>(engine: &mut G, jobs: &[Job], failed: &StorageError, budget: &mut usize) -> Results {
    let mut results = Results::new();
    for job in jobs {
        if *budget == 0 {
            break;
        }
        match job.request {
            Request::Read { .. } => results.extend(run_jobs(engine, std::slice::from_ref(job), budget)),
            Request::Write(_) => results.push(Err(failed.clone())),
        }
    }
    results
}

/// What a result weighs: its texts, as its budget counts them, and its places.
pub(super) fn weight(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Written { .. } | Outcome::Login { .. } => 0,
        Outcome::Texts(rows) => rows.iter().map(|(_, text)| size_of_val(text) + text.len()).sum(),
        Outcome::Times(rows) => size_of_val(rows.as_slice()),
        Outcome::Messages { rows, .. } => rows.iter().map(super::StoredMessage::bytes).sum(),
        Outcome::Missed(pipes) => {
            let rows = pipes.iter().flat_map(|missed| &missed.rows);
            size_of_val(pipes.as_slice()) + rows.map(super::StoredMessage::bytes).sum::<usize>()
        }
        Outcome::Lengths(rows) => size_of_val(rows.as_slice()),
        Outcome::Tokens { rows, .. } => rows.iter().map(|token| size_of_val(token) + token.len()).sum(),
        Outcome::Users { rows, .. } => size_of_val(rows.as_slice()),
        Outcome::Names { rows, .. } => rows.iter().map(|name| size_of_val(name) + name.as_str().len()).sum(),
        Outcome::Calls(rows) => rows.iter().map(super::Call::bytes).sum(),
    }
}
