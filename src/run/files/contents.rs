//! The contents that are being sent: each file once, whoever asked for it and for which part of it, and all of them
//! together have a maximum.
//!
//! Clients that ask and do not read keep what they asked for, so when all is taken whoever holds most makes room: a content
//! counts in equal shares for those who are being sent it, and of the address with the largest sum the content goes that is
//! most of it. A newcomer whose address would then hold most itself has to wait.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::browsers::{Found, Part};
use crate::http::{Conditions, FileHead, Validators, Wanted};
use crate::model::SharedBytes;

use super::{FileLimits, Reader};

/// How long a content may stay when nobody is being sent it any more, about.
pub(super) const KEPT_UNUSED_MAX: Duration = Duration::from_secs(1);

/// What a content costs beside itself.
const CONTENT_OVERHEAD: usize = 512;

/// A part of a file is read alone if the file is not here and the part is no longer; otherwise all of the file is read, so
/// that the parts of one file never take more than the file.
const LONE_PART_BYTES_MAX: u64 = 64 * 1024;

/// Contents of whom it is known who is being sent them. What is smaller is in the system's buffers at once.
const READ_BYTES_MIN: usize = 16 * 1024;

/// Those who are being sent something: of the last minute, which is as long as anybody may take, and at most so many.
const READ_TIME_MAX: Duration = Duration::from_mins(1);
const READERS_MAX: usize = 16_384;

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

/// A whole file, or a short part of one.
type Key = (Version, Range<u64>);

pub(super) struct Contents {
    limits: FileLimits,
    held: HashMap<Key, SharedBytes>,
    bytes: usize,
    readers: VecDeque<(Instant, Key, Reader)>,
    /// Contents that made room, until those who were being sent them have let go.
    leaving: Vec<SharedBytes>,
    pushed_out: Vec<Reader>,
    last_look: Option<Instant>,
}

impl Contents {
    pub(super) fn new(limits: FileLimits) -> Self {
        Self {
            limits,
            held: HashMap::new(),
            bytes: 0,
            readers: VecDeque::new(),
            leaving: Vec::new(),
            pushed_out: Vec::new(),
            last_look: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.leaving.is_empty()
    }

    /// Contents, and who is being sent them.
    pub(super) fn bytes(&self) -> usize {
        let leaving: usize = self.leaving.iter().map(weight).sum();
        self.bytes + leaving + self.readers.capacity() * size_of::<(Instant, Key, Reader)>()
    }

    /// Those who are to end because they made room.
    pub(super) fn take_pushed_out(&mut self) -> Vec<Reader> {
        std::mem::take(&mut self.pushed_out)
    }

    pub(super) fn find(
        &mut self,
        root: &Path,
        path: &str,
        conditions: &Conditions,
        reader: Reader,
        now: Instant,
    ) -> Option<Found> {
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
            Some(part) => match self.part(file, version, part, reader, now) {
                Ok(part) => Some(part),
                Err(why) => return Some(why),
            },
            None => None,
        };
        Some(Found::File(FileHead { wanted, length: metadata.len(), validators, gzip, varies }, content))
    }

    /// Links that lead out of the root are not followed; neither are files above the limit read.
    fn open(&self, root: &Path, path: &str) -> Option<(fs::File, fs::Metadata)> {
        let path = fs::canonicalize(root.join(path)).ok()?;
        if !path.starts_with(root) || !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let file = open_regular(&path)?;
        let metadata = file.metadata().ok()?;
        let is_still_inside = place_of(&file).is_none_or(|place| place.starts_with(root));
        (metadata.is_file() && metadata.len() <= self.limits.bytes_max && is_still_inside).then_some((file, metadata))
    }

    fn part(
        &mut self,
        file: fs::File,
        version: Version,
        part: Range<u64>,
        reader: Reader,
        now: Instant,
    ) -> Result<Part, Found> {
        let whole = (version.clone(), 0..version.length);
        let is_lone = part.end - part.start <= LONE_PART_BYTES_MAX && !self.held.contains_key(&whole);
        let key = if is_lone { (version, part.clone()) } else { whole };
        let begin = key.1.start;
        let content = match self.held.get(&key) {
            Some(content) => content.clone(),
            None => self.read(file, key.clone(), reader.address)?,
        };
        self.note_reader(key, reader, content.len(), now);
        let range = (part.start - begin) as usize..(part.end - begin) as usize;
        Ok(Part { content, range })
    }

    fn read(&mut self, mut file: fs::File, key: Key, newcomer: IpAddr) -> Result<SharedBytes, Found> {
        let Range { start, end } = key.1;
        let length = (end - start) as usize;
        if !self.has_room(length) {
            self.drop_unused();
            if !self.has_room(length) && !self.make_room(length, newcomer) {
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

    fn note_reader(&mut self, key: Key, reader: Reader, bytes: usize, now: Instant) {
        if bytes < READ_BYTES_MIN {
            return;
        }
        self.readers.push_back((now, key, reader));
        let is_over = |since: &Instant| now.saturating_duration_since(*since) > READ_TIME_MAX;
        while self.readers.front().is_some_and(|(since, ..)| is_over(since)) || self.readers.len() > READERS_MAX {
            self.readers.pop_front();
        }
    }

    fn has_room(&self, length: usize) -> bool {
        self.bytes + CONTENT_OVERHEAD + length <= self.limits.contents_bytes_max
    }

    /// Whether there is room now. What makes room is let go of by the shards in a moment; until then there is more in memory
    /// than the maximum, and never twice as much.
    fn make_room(&mut self, length: usize, newcomer: IpAddr) -> bool {
        while !self.has_room(length) {
            let (shares, counts) = self.shares();
            let own = shares.get(&newcomer).copied().unwrap_or_default();
            let most = shares.iter().max_by_key(|(address, share)| (**share, **address));
            let Some((address, most)) = most.map(|(address, share)| (*address, *share)) else { return false };
            let leaving: usize = self.leaving.iter().map(weight).sum();
            if leaving + length > self.limits.contents_bytes_max {
                return false;
            }
            let share = |key: &Key| self.held.get(key).map_or(0, |content| weight(content) / counts[key].max(1));
            // Every reader of it ends, or its memory would not be free; of contents of one size the oldest goes.
            let of_address = self.readers.iter().filter(|(.., reader)| reader.address == address);
            let Some(key) = of_address.map(|(_, key, _)| key).rev().max_by_key(|key| share(key)).cloned() else {
                return false;
            };
            // Whoever has something must not have more in the end than whoever gives; or the two would push out each other.
            let is_fair = own + length <= most.saturating_sub(share(&key)) || (own == 0 && length < most);
            if address != newcomer && !is_fair {
                return false;
            }
            self.push_out(&key);
        }
        true
    }

    /// What each address holds, and how many are being sent each content.
    fn shares(&self) -> (HashMap<IpAddr, usize>, HashMap<&Key, usize>) {
        let mut counts: HashMap<&Key, usize> = HashMap::new();
        for (_, key, _) in &self.readers {
            *counts.entry(key).or_default() += 1;
        }
        let mut shares = HashMap::new();
        for (_, key, reader) in &self.readers {
            if let Some(content) = self.held.get(key) {
                *shares.entry(reader.address).or_default() += weight(content) / counts[key].max(1);
            }
        }
        (shares, counts)
    }

    fn push_out(&mut self, key: &Key) {
        if let Some(content) = self.held.remove(key) {
            self.bytes -= weight(&content);
            self.leaving.push(content);
        }
        let pushed_out = &mut self.pushed_out;
        self.readers.retain(|(_, other, reader)| {
            let stays = other != key;
            if !stays {
                pushed_out.push(*reader);
            }
            stays
        });
    }

    pub(super) fn drop_unused_sometimes(&mut self, now: Instant) {
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
        self.leaving.retain(|content| Arc::strong_count(content) > 1);
        let held = &self.held;
        self.readers.retain(|(_, key, _)| held.contains_key(key));
    }
}

/// Opens a file that was a regular one a moment ago. If it is another thing by now, opening it must not wait for anybody, as
/// it would for whoever writes into a FIFO, and a link is not followed.
fn open_regular(path: &Path) -> Option<fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(fs::File::from)
}

/// Where an open file is, if the system tells: a folder on its way may have been replaced since its path was looked at.
fn place_of(file: &fs::File) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

fn weight(content: &SharedBytes) -> usize {
    CONTENT_OVERHEAD + content.len()
}

#[cfg(test)]
mod tests;
