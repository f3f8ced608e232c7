//! Static files: read on a thread of their own, so that a slow disk holds up nobody but those who asked for a file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use shards::Waker;

use crate::model::{ConnId, ShardId, SharedBytes};

/// Requests that may wait; beyond, a browser is told to come again.
const QUEUE_MAX: usize = 1024;

struct FileRequest {
    shard: ShardId,
    conn: ConnId,
    path: String,
    with_body: bool,
}

pub(super) struct FileAnswer {
    pub(super) conn: ConnId,
    /// The content, or `None` for everything that is not a readable file below the root.
    pub(super) content: Option<SharedBytes>,
    pub(super) path: String,
    /// As asked: false for HEAD.
    pub(super) with_body: bool,
}

pub(super) struct FileClient {
    shard: ShardId,
    requests: Sender<FileRequest>,
    answers: Receiver<FileAnswer>,
}

impl FileClient {
    /// False if too many requests wait already.
    #[must_use]
    pub(super) fn request(&self, conn: ConnId, path: String, with_body: bool) -> bool {
        let request = FileRequest { shard: self.shard, conn, path, with_body };
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

/// Ends by itself when the last [`FileClient`] is gone.
pub(super) fn start(
    setup: FileSetup,
    root: PathBuf,
    size_max: u64,
    wakers: Vec<Waker>,
) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("files".into()).spawn(move || {
        while let Ok(FileRequest { shard, conn, path, with_body }) = setup.requests.recv() {
            let content = read(&root, &path, size_max);
            let shard = shard.0 as usize;
            let answer = FileAnswer { conn, content, path, with_body };
            if let (Some(sender), Some(waker)) = (setup.answers.get(shard), wakers.get(shard))
                && sender.send(answer).is_ok()
            {
                waker.wake();
            }
        }
    })
}

/// Links that lead out of the root are not followed; neither are files above the limit read.
fn read(root: &Path, path: &str, size_max: u64) -> Option<SharedBytes> {
    let root = fs::canonicalize(root).ok()?;
    let path = fs::canonicalize(root.join(path)).ok()?;
    if !path.starts_with(&root) {
        return None;
    }
    let file = fs::File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > size_max {
        return None;
    }
    let mut content = Vec::with_capacity(metadata.len() as usize);
    file.take(size_max).read_to_end(&mut content).ok()?;
    Some(content.into())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn only_files_below_the_root_and_within_the_limit_are_read() {
        let root = std::env::temp_dir().join(format!("encke-files-{}", std::process::id()));
        let inside = root.join("inside");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(root.join("secret.js"), "secret").unwrap();
        std::fs::write(inside.join("sub/a.js"), "12345").unwrap();
        std::os::unix::fs::symlink(root.join("secret.js"), inside.join("link.js")).unwrap();
        let check =
            |path, limit| read(&inside, path, limit).map(|content| String::from_utf8(content.to_vec()).unwrap());
        assert_eq!(check("sub/a.js", 5), Some("12345".into()));
        assert_eq!(check("sub/a.js", 4), None);
        assert_eq!(check("link.js", 100), None, "a link must not lead out");
        assert_eq!(check("sub", 100), None);
        assert_eq!(check("missing.js", 100), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}
