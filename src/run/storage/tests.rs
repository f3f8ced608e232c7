use std::time::{Duration, Instant};

use super::*;
use crate::model::{DevId, UserId};
use crate::storage::{Outcome, Read, Request, Ticket};

/// Ends each group after three jobs, as an engine does whose results are large.
struct ThreeAtATime;

impl Store for ThreeAtATime {
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion> {
        assert!(!jobs.is_empty());
        let done = |job: &Job| Completion { ticket: job.ticket, result: Ok(Outcome::Written) };
        jobs.iter().take(3).map(done).collect()
    }

    fn describe(&self) -> String {
        String::new()
    }
}

fn job(number: u64) -> Job {
    let read = Read::LastSeen { dev: DevId(0), users: vec![UserId::ANONYMOUS] };
    Job { ticket: Ticket(number), request: Request::Read { read, bytes_max: 0 } }
}

#[test]
fn what_a_group_leaves_over_runs_in_the_next() {
    let (setup, mut clients) = channels(1, 100);
    let mut client = clients.remove(0);
    for number in 0..10 {
        client.send(job(number)).unwrap();
    }
    let thread = StorageThread::start(setup, Box::new(ThreeAtATime), Vec::new()).unwrap();
    let mut tickets = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while tickets.len() < 10 && Instant::now() < end {
        tickets.extend(client.poll().map(|completion| completion.ticket.0));
    }
    assert!(tickets.iter().copied().eq(0..10), "{tickets:?}");
    assert_eq!(client.waiting, 0);
    drop(client);
    thread.join();
}

#[test]
fn a_read_that_asks_for_too_much_is_no_failure_of_storage() {
    let completion = |result| Completion { ticket: Ticket(1), result };
    let mut failing = false;
    report_health(&[completion(Err(StorageError::TooLarge { bytes_max: 1 }))], &mut failing);
    assert!(!failing);
    report_health(&[completion(Err(StorageError::Failed("disk".into())))], &mut failing);
    assert!(failing);
}
