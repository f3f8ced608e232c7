use std::sync::{Arc, Mutex};

use crate::run::pulse::Pulse;

use super::*;
use crate::model::UserId;
use crate::storage::{Beginning, Outcome, Removal, Write};

/// A database that can go away and come back. It ends each group after three jobs, as an engine does whose results are
/// large.
#[derive(Default)]
struct Database {
    away: bool,
    /// Whether the next commit is carried out, but cut off before it is acknowledged.
    cut_off: bool,
    /// Times, in the order in which they were written.
    written: Vec<i64>,
    pieces: u64,
    /// There is no room on its disk.
    full: bool,
    failed_probes: u64,
    pieces_removed: u64,
    /// Pieces that each removal takes.
    pieces_each: u64,
}

struct Link(Arc<Mutex<Database>>);

fn full() -> StorageError {
    StorageError::Full("no room".into())
}

fn unavailable() -> StorageError {
    StorageError::Unavailable("gone".into())
}

impl Store for Link {
    fn run(&mut self, jobs: &[Job]) -> Vec<Completion> {
        let mut database = self.0.lock().unwrap();
        let mut run = |job: &Job| match &job.request {
            _ if database.away => Err(unavailable()),
            Request::Write(_) if database.full => Err(full()),
            Request::Read { .. } => Ok(Outcome::Texts(Vec::new())),
            Request::Write(writes) => {
                let times = writes.iter().map(|write| match write {
                    Write::PutLastSeen { time, .. } => *time,
                    other => panic!("{other:?}"),
                });
                database.written.extend(times);
                Ok(Outcome::Written { rows: 1 })
            }
        };
        let jobs = jobs.get(..3).unwrap_or(jobs);
        let results: Vec<_> = jobs.iter().map(&mut run).collect();
        let cut_off = std::mem::take(&mut database.cut_off);
        let told = |result| if cut_off { Err(unavailable()) } else { result };
        jobs.iter().zip(results).map(|(job, result)| Completion { ticket: job.ticket, result: told(result) }).collect()
    }

    fn keep(&mut self, _: Retention) -> Result<(), StorageError> {
        Ok(())
    }

    fn beginning(&mut self) -> Result<Beginning, StorageError> {
        Ok(Beginning::default())
    }

    fn remove(&mut self, removals: &mut [Removal]) -> Result<(), StorageError> {
        let mut database = self.0.lock().unwrap();
        if database.away {
            return Err(unavailable());
        }
        database.pieces_removed += 1;
        if database.pieces_removed.is_multiple_of(database.pieces_each.max(1)) {
            removals.iter_mut().for_each(Removal::finish);
        }
        Ok(())
    }

    fn note_clock(&mut self, _now: i64) -> Result<(), StorageError> {
        let mut database = self.0.lock().unwrap();
        database.failed_probes += u64::from(database.full);
        if database.full { Err(full()) } else { Ok(()) }
    }

    fn expire(&mut self, _now: i64) -> Result<Expired, StorageError> {
        let pieces = &mut self.0.lock().unwrap().pieces;
        *pieces += 1;
        Ok(Expired { queued: 1, more: *pieces < 3, ..Expired::default() })
    }

    fn describe(&self) -> String {
        String::new()
    }
}

struct Bench {
    database: Arc<Mutex<Database>>,
    client: StorageClient,
    board: Board,
    thread: StorageThread,
}

impl Bench {
    fn new(retry: Duration) -> Self {
        let database = Arc::new(Mutex::new(Database::default()));
        let (setup, mut clients) = channels(1, 1024);
        let board = Board::default();
        let store = Box::new(Link(database.clone()));
        let pulse = Pulse::new(0, None);
        let thread =
            StorageThread::start(setup, store, Vec::new(), board.clone(), pulse, retry, Box::new(|| None)).unwrap();
        Self { database, client: clients.remove(0), board, thread }
    }

    fn write(&mut self, time: i64) {
        let write = Write::PutLastSeen { dev: DevId(0), user: UserId::default(), time };
        self.client.send(Job { ticket: Ticket(time as u64), request: Request::Write(vec![write]) }, None).unwrap();
    }

    fn read(&mut self) -> Result<Outcome, StorageError> {
        let read = Read::Hashes { dev: DevId(0), users: Vec::new() };
        self.client.send(Job { ticket: Ticket(0), request: Request::Read { read, bytes_max: 1 } }, None).unwrap();
        let completion = self.receive();
        assert_eq!(completion.ticket, Ticket(0));
        completion.result
    }

    fn receive(&mut self) -> Completion {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(completion) = self.client.poll() {
                return completion;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no answer");
    }

    fn figures(&self) -> Counters {
        self.board.storage()
    }

    /// The board is written behind what it tells of.
    fn await_figures(&self, is_it: impl Fn(&Counters) -> bool) -> Counters {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let figures = self.figures();
            if is_it(&figures) {
                return figures;
            }
            assert!(Instant::now() < end, "{figures:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn set(&self, change: impl FnOnce(&mut Database)) {
        change(&mut self.database.lock().unwrap());
    }

    fn end(self) -> Vec<i64> {
        drop(self.client);
        self.thread.join();
        std::mem::take(&mut self.database.lock().unwrap().written)
    }
}

#[test]
fn writes_wait_for_the_database_in_their_order_and_reads_do_not() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.write(1);
    assert_eq!(bench.receive().ticket, Ticket(1));
    bench.set(|database| database.away = true);
    for time in 2..100 {
        bench.write(time);
    }
    assert_eq!(bench.read(), Err(unavailable()));
    assert_eq!(bench.client.poll(), None);
    let figures = bench.await_figures(|figures| (figures.storage_down, figures.storage_waiting) == (1, 98));
    assert!(figures.storage_waiting_bytes > 98 * 16);
    bench.set(|database| database.away = false);
    for time in 2..100 {
        assert_eq!(bench.receive(), Completion { ticket: Ticket(time), result: Ok(Outcome::Written { rows: 1 }) });
    }
    bench.write(100);
    assert_eq!(bench.receive().ticket, Ticket(100));
    assert!(bench.read().is_ok());
    let figures = bench.await_figures(|figures| figures.storage_down == 0);
    assert_eq!((figures.storage_waiting, figures.storage_waiting_bytes), (0, 0));
    assert!(figures.storage_retries > 0);
    assert_eq!(bench.end(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_database_that_nobody_writes_to_is_found_again() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.away = true);
    assert_eq!(bench.read(), Err(unavailable()));
    bench.set(|database| database.away = false);
    let end = Instant::now() + Duration::from_secs(30);
    while bench.read().is_err() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    bench.end();
}

#[test]
fn writes_that_waited_too_long_are_answered() {
    let mut bench = Bench::new(Duration::from_millis(50));
    bench.set(|database| database.away = true);
    bench.write(1);
    let completion = bench.receive();
    assert_eq!((completion.ticket, completion.result), (Ticket(1), Err(unavailable())));
    bench.await_figures(|figures| figures.storage_given_up == 1);
    assert!(bench.end().is_empty());
}

/// A database that hangs is found out late.
#[test]
fn the_time_that_writes_wait_counts_from_when_they_were_given() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.away = true);
    let write = Write::PutLastSeen { dev: DevId(0), user: UserId::default(), time: 1 };
    let job = Job { ticket: Ticket(1), request: Request::Write(vec![write]) };
    let since = Instant::now().checked_sub(Duration::from_mins(1)).expect("the machine runs for longer");
    bench.client.send_as_of(job, since);
    assert_eq!(bench.receive(), Completion { ticket: Ticket(1), result: Err(unavailable()) });
    assert!(bench.end().is_empty());
}

#[test]
fn a_commit_that_was_cut_off_is_tried_again() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.cut_off = true);
    bench.write(1);
    assert_eq!(bench.receive(), Completion { ticket: Ticket(1), result: Ok(Outcome::Written { rows: 1 }) });
    assert_eq!(bench.end(), [1, 1]);
}

#[test]
fn what_waits_at_the_end_is_tried_once_more() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.away = true);
    bench.write(1);
    assert_eq!(bench.read(), Err(unavailable()));
    bench.set(|database| database.away = false);
    assert_eq!(bench.end(), [1]);
}

#[test]
fn what_may_wait_has_a_bound() {
    let mut waiting = Waiting::default();
    let data: Box<str> = "x".repeat(WAITING_BYTES_MAX / 4).into();
    let job = |data: &str| {
        let write = Write::PutUserData { dev: DevId(0), user: UserId::default(), data: data.into() };
        let job = Job { ticket: Ticket(0), request: Request::Write(vec![write]) };
        Given { shard: ShardId(0), since: Instant::now(), whose: Whose::Write, job }
    };
    for _ in 0..3 {
        assert!(waiting.push(job(&data)).is_none());
    }
    assert!(waiting.push(job(&data)).is_some());
    waiting.pop();
    assert!(waiting.push(job(&data)).is_none());
    while waiting.pop().is_some() {}
    assert_eq!(waiting.bytes, 0);
    for _ in 0..WAITING_JOBS_MAX {
        assert!(waiting.push(job("")).is_none());
    }
    assert!(waiting.push(job("")).is_some());
}

#[test]
fn what_a_group_leaves_over_runs_in_the_next() {
    let mut bench = Bench::new(Duration::from_mins(1));
    for time in 0..10 {
        bench.write(time);
    }
    let tickets: Vec<u64> = (0..10).map(|_| bench.receive().ticket.0).collect();
    assert_eq!(tickets, (0..10).collect::<Vec<_>>());
    assert_eq!(bench.client.waiting(), 0);
    bench.end();
}

#[test]
fn what_is_too_old_is_removed_piece_by_piece() {
    let bench = Bench::new(Duration::from_mins(1));
    let end = Instant::now() + Duration::from_secs(30);
    while bench.figures().storage_expired < 3 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(EXPIRE_PAUSE * 4);
    assert_eq!(bench.figures().storage_expired, 3);
    bench.end();
}

#[test]
fn browsers_that_ask_leave_room_for_logins_writes_and_backends() {
    let (setup, mut clients) = channels(3, 16);
    let read = |read| Job { ticket: Ticket(0), request: Request::Read { read, bytes_max: 1 } };
    let login = || read(Read::Login { dev: DevId(0), user: UserId::default(), token: None });
    let ask = || read(Read::UserData { dev: DevId(0), users: Vec::new() });
    let write = || {
        let write = Write::PutLastSeen { dev: DevId(0), user: UserId::default(), time: 1 };
        Job { ticket: Ticket(0), request: Request::Write(vec![write]) }
    };
    let sent = |client: &mut StorageClient, job: &dyn Fn() -> Job| {
        (0..100).take_while(|_| client.send(job(), None).is_ok()).count()
    };
    let [first, second, backends] = &mut clients[..] else { panic!("three shards") };
    assert_eq!((sent(first, &ask), sent(second, &ask)), (6, 0), "three eighths of it, whoever asks");
    assert_eq!((sent(second, &login), sent(first, &login)), (6, 0));
    assert_eq!(sent(second, &write), 4);
    assert_eq!((sent(backends, &ask), sent(first, &write)), (0, 0));
    // What was answered is under way until the shard has taken the answer.
    let mut given: Vec<Given> = setup.jobs.try_iter().collect();
    let mut answer = |client: &mut StorageClient, shard: u16| {
        let at = given.iter().position(|given| given.shard == ShardId(shard)).unwrap();
        let Given { whose, job, .. } = given.remove(at);
        let completion = Completion { ticket: job.ticket, result: Ok(Outcome::Written { rows: 0 }) };
        assert!(setup.answers.send(ShardId(shard), whose, completion));
        assert!(client.poll().is_some());
    };
    (0..6).for_each(|_| answer(first, 0));
    assert_eq!((sent(second, &login), sent(first, &ask)), (0, 6));
    (0..6).for_each(|_| answer(second, 1));
    assert_eq!(sent(backends, &ask), 6);
}

/// A write that fails says nothing about reads, and what does not fit says nothing at all.
#[test]
fn only_failures_of_storage_make_it_fail() {
    let mut health = Health::default();
    let mut counters = Counters::default();
    let mut shown = |is_write, result: Result<Outcome, StorageError>| {
        health.note(is_write, &result, &mut counters);
        health.show(&mut counters);
        (counters.storage_full, counters.storage_write_fails, counters.storage_read_fails)
    };
    let done = || Ok(Outcome::Written { rows: 1 });
    assert_eq!(shown(false, Err(StorageError::TooLarge { bytes_max: 1 })), (0, 0, 0));
    assert_eq!(shown(true, Err(StorageError::Unfit("error 1366".into()))), (0, 0, 0));
    assert_eq!(shown(true, Err(StorageError::Failed("disk".into()))), (0, 1, 0));
    assert_eq!(shown(false, done()), (0, 1, 0), "a read does not show that something can be written");
    assert_eq!(shown(true, Err(full())), (1, 0, 0));
    assert_eq!(shown(true, done()), (1, 0, 0), "one small write does not show that the next one is taken");
    assert_eq!(shown(false, Err(StorageError::Failed("disk".into()))), (1, 0, 1));
    assert_eq!((counters.storage_failures, counters.storage_unfit), (3, 1));
}

/// Nobody writes any more, and it is found out all the same that there is room again.
#[test]
fn a_full_disk_is_seen_and_so_is_its_end() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.full = true);
    bench.write(1);
    assert_eq!(bench.receive().result, Err(full()));
    assert!(bench.read().is_ok());
    bench.await_figures(|figures| figures.storage_full == 1);
    bench.set(|database| database.full = false);
    bench.await_figures(|figures| figures.storage_full == 0);
    assert_eq!(bench.figures().storage_failures, 1 + bench.database.lock().unwrap().failed_probes);
    bench.end();
}

/// Others' jobs run between the pieces; what follows a removal, follows all of it.
#[test]
fn others_run_between_the_pieces_of_a_removal() {
    let mut bench = Bench::new(Duration::from_mins(1));
    bench.set(|database| database.pieces_each = u64::MAX);
    let delete = Write::DeleteQueue { dev: DevId(0), user: UserId::default() };
    bench.client.send(Job { ticket: Ticket(7), request: Request::Write(vec![delete]) }, None).unwrap();
    for time in 100..110 {
        bench.write(time);
        assert_eq!(bench.receive().ticket, Ticket(time as u64));
        bench.read().unwrap();
    }
    assert!(bench.database.lock().unwrap().pieces_removed > 0);
    bench.set(|database| database.pieces_each = 1);
    assert_eq!(bench.receive().ticket, Ticket(7));
    bench.end();
}

#[test]
fn a_clock_that_is_set_is_seen() {
    let at = Instant::now();
    let [before, later, ahead, back] = [(1_000, 0), (1_060, 60), (8_260, 60), (500, 60)]
        .map(|(unix, passed)| Clocks { unix, at: at + Duration::from_secs(passed) });
    let jumps = [later, ahead, back].map(|now| now.jumped_since(before));
    assert_eq!(jumps, [0, 7_200, -560]);
}

/// Else a server that is set up for a database would begin to write somewhere else.
#[cfg(not(feature = "mysql"))]
#[test]
fn a_program_without_mysql_does_not_start_for_a_database() {
    let mut config = crate::config::Config::default();
    config.db.name = Some("comet".to_owned());
    let Err(error) = open(&config, &mut || false) else { panic!("it opens something") };
    assert!(error.to_string().contains("without MySQL"), "{error}");
}
