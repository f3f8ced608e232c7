//! Static files: read on a thread of their own, so that a slow disk holds up nobody but those who asked for a file.
//!
//! What is being sent is in memory once, see `contents`.

mod contents;

use std::net::IpAddr;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use shards::Waker;

use crate::browsers::{Asker, FileAnswer, Found};
use crate::model::{ConnId, ShardId};

use super::board::Board;
use contents::{Contents, KEPT_UNUSED_MAX};

/// Requests that may wait; beyond, a browser is told to come again.
const QUEUE_MAX: usize = 1024;

struct FileRequest {
    shard: ShardId,
    asker: Box<Asker>,
}

/// Who is being sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reader {
    shard: ShardId,
    conn: ConnId,
    number: u8,
    address: IpAddr,
}

pub(super) struct FileClient {
    shard: ShardId,
    requests: Sender<FileRequest>,
    answers: Receiver<FileAnswer>,
}

impl FileClient {
    /// False if too many requests wait already.
    #[must_use]
    pub(super) fn request(&self, asker: Asker) -> bool {
        let request = FileRequest { shard: self.shard, asker: Box::new(asker) };
        !matches!(self.requests.try_send(request), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }

    pub(super) fn poll(&self) -> Option<FileAnswer> {
        self.answers.try_recv().ok()
    }
}

pub(super) struct FileSetup {
    requests: Receiver<FileRequest>,
    answers: Vec<Sender<FileAnswer>>,
}

pub(super) fn channels(shards: u16) -> (FileSetup, Vec<FileClient>) {
    let (request_sender, requests) = bounded(QUEUE_MAX);
    let mut answers = Vec::new();
    let clients = (0..shards)
        .map(|shard| {
            let (sender, receiver) = unbounded();
            answers.push(sender);
            FileClient { shard: ShardId(shard), requests: request_sender.clone(), answers: receiver }
        })
        .collect();
    (FileSetup { requests, answers }, clients)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FileLimits {
    /// Of one file.
    pub(super) bytes_max: u64,
    /// Of all contents that are being sent, with what it takes to know them.
    pub(super) contents_bytes_max: usize,
}

/// Ends by itself when the last [`FileClient`] is gone.
pub(super) fn start(
    setup: FileSetup,
    root: PathBuf,
    limits: FileLimits,
    wakers: Vec<Waker>,
    board: Board,
) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("files".into()).spawn(move || {
        let mut contents = Contents::new(limits);
        loop {
            let request = if contents.is_empty() {
                setup.requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                setup.requests.recv_timeout(KEPT_UNUSED_MAX)
            };
            let now = Instant::now();
            contents.drop_unused_sometimes(now);
            board.of_process(|process| process.memory_files = contents.bytes() as u64);
            let FileRequest { shard, asker } = match request {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let reader = Reader { shard, conn: asker.conn, number: asker.number, address: asker.address };
            let found = contents.find(&root, &asker.path, &asker.conditions, reader, now).unwrap_or(Found::Missing);
            let tell = |shard: ShardId, answer| {
                let shard = shard.0 as usize;
                if let (Some(sender), Some(waker)) = (setup.answers.get(shard), wakers.get(shard))
                    && sender.send(answer).is_ok()
                {
                    waker.wake();
                }
            };
            for Reader { shard, conn, number, .. } in contents.take_pushed_out() {
                tell(shard, FileAnswer::MakeRoom { conn, number });
            }
            board.of_process(|process| process.memory_files = contents.bytes() as u64);
            tell(shard, FileAnswer::Found { asker, found });
        }
    })
}
