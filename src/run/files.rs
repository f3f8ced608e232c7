//! Static files: read on a thread of their own, so that a slow disk holds up nobody but those who asked for a file.
//!
//! A content that is being sent is in memory once, whoever asked for it, and all of them together have a maximum:
//! clients that ask and do not read keep what they asked for, but can neither multiply it nor take more than that.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use shards::Waker;

use crate::http::{Conditions, FileHead, Terms, Validators, Wanted};
use crate::model::{ConnId, ShardId, SharedBytes};

/// Requests that may wait; beyond, a browser is told to come again.
const QUEUE_MAX: usize = 1024;

struct FileRequest {
    shard: ShardId,
    asker: Box<Asker>,
}

/// Who asked for what.
pub(super) struct Asker {
    pub(super) conn: ConnId,
    pub(super) path: String,
    pub(super) conditions: Conditions,
    pub(super) terms: Terms,
}

pub(super) struct FileAnswer {
    pub(super) asker: Box<Asker>,
    pub(super) found: Found,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What of the file is wanted, unless nothing of it is.
    File(FileHead, Option<SharedBytes>),
    /// Not a readable file below the root, or too large a one.
    Missing,
    /// Too many contents are being sent.
    Busy,
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
) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("files".into()).spawn(move || {
        let mut contents = Contents::new(limits);
        loop {
            let request = if contents.is_empty() {
                setup.requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                setup.requests.recv_timeout(KEPT_UNUSED_MAX)
            };
            contents.drop_unused_sometimes(Instant::now());
            let FileRequest { shard, asker } = match request {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let found = contents.find(&root, &asker.path, &asker.conditions).unwrap_or(Found::Missing);
            let shard = shard.0 as usize;
            let answer = FileAnswer { asker, found };
            if let (Some(sender), Some(waker)) = (setup.answers.get(shard), wakers.get(shard))
                && sender.send(answer).is_ok()
            {
                waker.wake();
            }
        }
    })
}

/// How long a content may stay when nobody is being sent it any more, about.
const KEPT_UNUSED_MAX: Duration = Duration::from_secs(1);

/// What a content costs beside itself.
const CONTENT_OVERHEAD: usize = 512;

/// One state of one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Version {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Version {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The contents that are being sent, whole files and parts of them: those that somebody beside this list refers to.
struct Contents {
    limits: FileLimits,
    held: HashMap<(Version, Range<u64>), SharedBytes>,
    bytes: usize,
    last_look: Option<Instant>,
}

impl Contents {
    fn new(limits: FileLimits) -> Self {
        Self { limits, held: HashMap::new(), bytes: 0, last_look: None }
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn find(&mut self, root: &Path, path: &str, conditions: &Conditions) -> Option<Found> {
        let root = fs::canonicalize(root).ok()?;
        let plain = self.open(&root, path)?;
        let packed = self.open(&root, &format!("{path}.gz"));
        let varies = packed.is_some();
        let (file, metadata, gzip) = match packed {
            Some((file, metadata)) if conditions.accepts_gzip => (file, metadata, true),
            _ => (plain.0, plain.1, false),
        };
        let version = Version::of(&metadata);
        let (seconds, nanos) = version.modified;
        let validators = Validators::of_file(version.length, seconds, nanos, version.inode);
        let wanted = conditions.decide(&validators, version.length);
        let part = match &wanted {
            _ if !conditions.with_body => None,
            Wanted::Whole => Some(0..version.length),
            Wanted::Part(part) => Some(part.clone()),
            Wanted::Nothing | Wanted::Unsatisfiable => None,
        };
        let content = match part {
            Some(part) => match self.content(file, version, part) {
                Ok(content) => Some(content),
                Err(why) => return Some(why),
            },
            None => None,
        };
        Some(Found::File(FileHead { wanted, length: metadata.len(), validators, gzip, varies }, content))
    }

    /// Links that lead out of the root are not followed; neither are files above the limit read.
    fn open(&self, root: &Path, path: &str) -> Option<(fs::File, fs::Metadata)> {
        let path = fs::canonicalize(root.join(path)).ok()?;
        if !path.starts_with(root) {
            return None;
        }
        let file = fs::File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && metadata.len() <= self.limits.bytes_max).then_some((file, metadata))
    }

    fn content(&mut self, mut file: fs::File, version: Version, part: Range<u64>) -> Result<SharedBytes, Found> {
        let key = (version, part);
        if let Some(content) = self.held.get(&key) {
            return Ok(content.clone());
        }
        let Range { start, end } = key.1;
        let length = (end - start) as usize;
        if !self.has_room(length) {
            self.drop_unused();
            if !self.has_room(length) {
                return Err(Found::Busy);
            }
        }
        // Not more than was counted and said, even if the file grows meanwhile; one that shrinks cannot be sent.
        let mut content = Vec::with_capacity(length);
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(end - start).read_to_end(&mut content));
        if read.is_err() || content.len() != length {
            return Err(Found::Missing);
        }
        let content: SharedBytes = content.into();
        self.bytes += weight(&content);
        self.held.insert(key, content.clone());
        Ok(content)
    }

    fn has_room(&self, length: usize) -> bool {
        self.bytes + CONTENT_OVERHEAD + length <= self.limits.contents_bytes_max
    }

    fn drop_unused_sometimes(&mut self, now: Instant) {
        if self.last_look.is_none_or(|look| now.saturating_duration_since(look) >= KEPT_UNUSED_MAX) {
            self.last_look = Some(now);
            self.drop_unused();
        }
    }

    fn drop_unused(&mut self) {
        self.held.retain(|_, content| {
            let is_used = Arc::strong_count(content) > 1;
            if !is_used {
                self.bytes -= weight(content);
            }
            is_used
        });
    }
}

fn weight(content: &SharedBytes) -> usize {
    CONTENT_OVERHEAD + content.len()
}

#[cfg(test)]
mod tests {
    use super::{Arc, CONTENT_OVERHEAD, Conditions, Contents, FileLimits, Found, SharedBytes, Wanted};
    use crate::http::{HeadLimits, HeadStep, parse_head};
    use std::fs;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("encke-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        root
    }

    fn conditions(request: &str) -> Conditions {
        let text = format!("{request}\r\n\r\n");
        let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else { panic!("{text}") };
        Conditions::of(&head)
    }

    fn get() -> Conditions {
        conditions("GET / HTTP/1.1")
    }

    fn content(found: Option<Found>) -> SharedBytes {
        let Some(Found::File(_, Some(content))) = found else { panic!("{found:?}") };
        content
    }

    #[test]
    fn only_files_below_the_root_and_within_the_limit_are_read() {
        let root = folder("root");
        let inside = root.join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(root.join("secret.js"), "secret").unwrap();
        fs::write(inside.join("sub/a.js"), "12345").unwrap();
        std::os::unix::fs::symlink(root.join("secret.js"), inside.join("link.js")).unwrap();
        std::os::unix::fs::symlink(root.join("secret.js"), inside.join("sub/a.js.gz")).unwrap();
        let find = |path, bytes_max| {
            let mut contents = Contents::new(FileLimits { bytes_max, contents_bytes_max: 10_000 });
            contents.find(&inside, path, &conditions("GET / HTTP/1.1\r\nAccept-Encoding: gzip"))
        };
        assert_eq!(&*content(find("sub/a.js", 5)), b"12345");
        assert_eq!(find("sub/a.js", 4), None);
        assert_eq!(find("link.js", 100), None, "a link must not lead out");
        assert_eq!(find("sub", 100), None);
        assert_eq!(find("missing.js", 100), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_content_is_there_once_and_all_have_a_maximum() {
        let root = folder("contents");
        let limits = FileLimits { bytes_max: 1000, contents_bytes_max: 2 * CONTENT_OVERHEAD + 1500 };
        let mut contents = Contents::new(limits);
        fs::write(root.join("a.js"), [b'a'; 1000]).unwrap();
        fs::write(root.join("b.js"), [b'b'; 600]).unwrap();
        let first = content(contents.find(&root, "a.js", &get()));
        let second = content(contents.find(&root, "a.js", &get()));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(contents.find(&root, "b.js", &get()), Some(Found::Busy));
        let head = contents.find(&root, "b.js", &conditions("HEAD / HTTP/1.1"));
        let Some(Found::File(head, None)) = head else { panic!("a length needs no room: {head:?}") };
        assert_eq!((head.length, head.wanted), (600, Wanted::Whole));
        drop(first);
        assert_eq!(contents.find(&root, "b.js", &get()), Some(Found::Busy));
        drop(second);
        let sent = content(contents.find(&root, "b.js", &get()));
        assert_eq!(contents.bytes, CONTENT_OVERHEAD + 600);

        // A new version is another content, and the old one counts until it is sent.
        fs::write(root.join("c.js"), [b'c'; 700]).unwrap();
        fs::rename(root.join("c.js"), root.join("b.js")).unwrap();
        let renewed = content(contents.find(&root, "b.js", &get()));
        assert_eq!((sent.len(), renewed.len()), (600, 700));
        assert_eq!(contents.bytes, 2 * CONTENT_OVERHEAD + 1300);
        drop((sent, renewed));
        contents.drop_unused();
        assert!(contents.is_empty() && contents.bytes == 0);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn parts_and_compressed_files_are_contents_too() {
        let root = folder("parts");
        let mut contents = Contents::new(FileLimits { bytes_max: 1000, contents_bytes_max: 10_000 });
        fs::write(root.join("a.js"), "0123456789").unwrap();
        let part = content(contents.find(&root, "a.js", &conditions("GET / HTTP/1.1\r\nRange: bytes=2-4")));
        assert_eq!((&*part, contents.bytes), (&b"234"[..], CONTENT_OVERHEAD + 3));
        let whole = contents.find(&root, "a.js", &get());
        let Some(Found::File(head, _)) = &whole else { panic!("{whole:?}") };
        assert!(!head.gzip && !head.varies);
        let tag = head.validators.tag().to_owned();
        assert_eq!(&*content(whole), b"0123456789");
        let known = contents.find(&root, "a.js", &conditions(&format!("GET / HTTP/1.1\r\nIf-None-Match: {tag}")));
        assert!(matches!(&known, Some(Found::File(head, None)) if head.wanted == Wanted::Nothing), "{known:?}");

        fs::write(root.join("a.js.gz"), "packed").unwrap();
        let packed = contents.find(&root, "a.js", &conditions("GET / HTTP/1.1\r\nAccept-Encoding: gzip"));
        let Some(Found::File(head, Some(bytes))) = &packed else { panic!("{packed:?}") };
        assert!(head.gzip && head.varies && head.validators.tag() != tag);
        assert_eq!(&**bytes, b"packed");
        let plain = contents.find(&root, "a.js", &get());
        assert!(matches!(&plain, Some(Found::File(head, Some(_))) if !head.gzip && head.varies), "{plain:?}");
        assert_eq!(contents.find(&root, "b.js", &get()), None, "a compressed file alone is not enough");
        fs::remove_dir_all(root).unwrap();
    }
}
