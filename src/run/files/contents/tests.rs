use super::*;
use crate::http::{HeadLimits, HeadStep, parse_head};
use crate::model::{ConnId, ShardId};
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

fn part(found: Option<Found>) -> Part {
    let Some(Found::File(_, Some(part))) = found else { panic!("{found:?}") };
    part
}

fn content(found: Option<Found>) -> SharedBytes {
    let Part { content, range } = part(found);
    assert_eq!(range, 0..content.len());
    content
}

/// Somebody of this address; each connection makes one request.
fn reader(address: u8, conn: u32) -> Reader {
    let address = IpAddr::from([192, 0, 2, address]);
    Reader { shard: ShardId(0), conn: ConnId { index: conn, generation: 1 }, number: 0, address }
}

impl Contents {
    fn find_plainly(&mut self, root: &Path, path: &str, conditions: &Conditions) -> Option<Found> {
        self.find(root, path, conditions, reader(1, 1), Instant::now())
    }

    fn pushed_out(&mut self) -> Vec<u32> {
        let mut conns: Vec<u32> = self.take_pushed_out().iter().map(|reader| reader.conn.index).collect();
        conns.sort_unstable();
        conns
    }
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
        contents.find_plainly(&inside, path, &conditions("GET / HTTP/1.1\r\nAccept-Encoding: gzip"))
    };
    assert_eq!(&*content(find("sub/a.js", 5)), b"12345");
    assert_eq!(find("sub/a.js", 4), None);
    assert_eq!(find("link.js", 100), None, "a link must not lead out");
    assert_eq!(find("sub", 100), None);
    assert_eq!(find("missing.js", 100), None);
    // Whoever opens these waits for a writer for ever, and so would all who want a file.
    for name in ["fifo.js", "sub/a.js.gz"] {
        let path = inside.join(name);
        let _ = fs::remove_file(&path);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR).unwrap();
        assert!(open_regular(&path).is_some(), "opening alone does not wait");
    }
    std::os::unix::fs::symlink("fifo.js", inside.join("to-fifo.js")).unwrap();
    std::os::unix::fs::symlink("sub/a.js", inside.join("to-file.js")).unwrap();
    std::os::unix::net::UnixListener::bind(inside.join("socket.js")).unwrap();
    for name in ["fifo.js", "to-fifo.js", "socket.js"] {
        assert_eq!(find(name, 100), None, "{name}");
    }
    assert_eq!(&*content(find("to-file.js", 5)), b"12345");
    assert!(open_regular(&inside.join("to-file.js")).is_none(), "a link that came meanwhile");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_content_is_there_once_and_all_have_a_maximum() {
    let root = folder("contents");
    let limits = FileLimits { bytes_max: 1000, contents_bytes_max: 2 * CONTENT_OVERHEAD + 1500 };
    let mut contents = Contents::new(limits);
    fs::write(root.join("a.js"), [b'a'; 1000]).unwrap();
    fs::write(root.join("b.js"), [b'b'; 600]).unwrap();
    let first = content(contents.find_plainly(&root, "a.js", &get()));
    let second = content(contents.find_plainly(&root, "a.js", &get()));
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(contents.find_plainly(&root, "b.js", &get()), Some(Found::Busy));
    let head = contents.find_plainly(&root, "b.js", &conditions("HEAD / HTTP/1.1"));
    let Some(Found::File(head, None)) = head else { panic!("a length needs no room: {head:?}") };
    assert_eq!((head.length, head.wanted), (600, Wanted::Whole));
    drop(first);
    assert_eq!(contents.find_plainly(&root, "b.js", &get()), Some(Found::Busy));
    drop(second);
    let sent = content(contents.find_plainly(&root, "b.js", &get()));
    assert_eq!(contents.bytes, CONTENT_OVERHEAD + 600);

    // A new version is another content, and the old one counts until it is sent.
    fs::write(root.join("c.js"), [b'c'; 700]).unwrap();
    fs::rename(root.join("c.js"), root.join("b.js")).unwrap();
    let renewed = content(contents.find_plainly(&root, "b.js", &get()));
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
    let three = content(contents.find_plainly(&root, "a.js", &conditions("GET / HTTP/1.1\r\nRange: bytes=2-4")));
    assert_eq!((&*three, contents.bytes), (&b"234"[..], CONTENT_OVERHEAD + 3));
    let whole = contents.find_plainly(&root, "a.js", &get());
    let Some(Found::File(head, _)) = &whole else { panic!("{whole:?}") };
    assert!(!head.gzip && !head.varies);
    let tag = head.validators.tag().to_owned();
    assert_eq!(&*content(whole), b"0123456789");
    let known = contents.find_plainly(&root, "a.js", &conditions(&format!("GET / HTTP/1.1\r\nIf-None-Match: {tag}")));
    assert!(matches!(&known, Some(Found::File(head, None)) if head.wanted == Wanted::Nothing), "{known:?}");

    fs::write(root.join("a.js.gz"), "packed").unwrap();
    let packed = contents.find_plainly(&root, "a.js", &conditions("GET / HTTP/1.1\r\nAccept-Encoding: gzip"));
    let Some(Found::File(head, Some(Part { content: bytes, .. }))) = &packed else { panic!("{packed:?}") };
    assert!(head.gzip && head.varies && head.validators.tag() != tag);
    assert_eq!(&**bytes, b"packed");
    let plain = contents.find_plainly(&root, "a.js", &get());
    assert!(matches!(&plain, Some(Found::File(head, Some(_))) if !head.gzip && head.varies), "{plain:?}");
    assert_eq!(contents.find_plainly(&root, "b.js", &get()), None, "a compressed file alone is not enough");
    fs::remove_dir_all(root).unwrap();
}

/// A folder with one file of this many bytes for each of these names.
fn folder_with(name: &str, files: &[&str], bytes: usize) -> PathBuf {
    let root = folder(name);
    for file in files {
        fs::write(root.join(file), vec![b'f'; bytes]).unwrap();
    }
    root
}

#[test]
fn all_parts_of_a_file_are_one_content() {
    let length = 400_000;
    let root = folder_with("slices", &["a.js"], length);
    let mut contents = Contents::new(FileLimits { bytes_max: 1_000_000, contents_bytes_max: 600_000 });
    let parts: Vec<Part> = (0..50)
        .map(|number| {
            let range = format!("GET / HTTP/1.1\r\nRange: bytes={number}-{}", 300_000 + number);
            part(contents.find(&root, "a.js", &conditions(&range), reader(1, number), Instant::now()))
        })
        .collect();
    assert!(parts.iter().all(|part| Arc::ptr_eq(&part.content, &parts[0].content)));
    assert_eq!(parts[7].range, 7..300_008);
    assert_eq!(contents.bytes, CONTENT_OVERHEAD + length);
    let short = part(contents.find_plainly(&root, "a.js", &conditions("GET / HTTP/1.1\r\nRange: bytes=5-9")));
    assert!(Arc::ptr_eq(&short.content, &parts[0].content) && short.range == (5..10));
    drop((parts, short));
    contents.drop_unused();
    assert!(contents.is_empty() && contents.bytes == 0 && contents.readers.is_empty());
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn whoever_holds_most_makes_room_for_others() {
    let files = ["a", "b", "c", "d", "e"];
    let root = folder_with("room", &files, 200_000);
    let mut contents = Contents::new(FileLimits { bytes_max: 1_000_000, contents_bytes_max: 4 * 201_000 });
    let now = Instant::now();
    let mut held: Vec<Part> = Vec::new();
    for (number, file) in (0..).zip(&files[..3]) {
        held.push(part(contents.find(&root, file, &get(), reader(1, number), now)));
    }
    held.push(part(contents.find(&root, "d", &get(), reader(2, 7), now)));
    // Somebody else: the oldest of the address that has most goes, and nobody else.
    let other = part(contents.find(&root, "e", &get(), reader(3, 9), now));
    assert_eq!((contents.pushed_out(), other.range.len()), (vec![0], 200_000));
    assert!(contents.bytes <= 4 * 201_000 && contents.leaving.len() == 1);
    // What has let go does not count any more.
    drop(held.remove(0));
    contents.drop_unused();
    assert!(contents.leaving.is_empty());
    // Whoever has most already, and wants more, has to give of its own.
    let more = part(contents.find(&root, "a", &get(), reader(1, 10), now));
    assert_eq!((contents.pushed_out(), more.range.len()), (vec![1], 200_000));
    // Whoever would hold more than the others then has to wait.
    assert_eq!(contents.find(&root, "b", &get(), reader(2, 11), now), Some(Found::Busy));
    assert!(contents.pushed_out().is_empty());
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_content_that_others_are_sent_too_is_no_ones_alone() {
    let root = folder_with("shared", &["a", "b", "c"], 200_000);
    let mut contents = Contents::new(FileLimits { bytes_max: 1_000_000, contents_bytes_max: 2 * 201_000 });
    let now = Instant::now();
    let popular: Vec<Part> =
        (0..10).map(|number| part(contents.find(&root, "a", &get(), reader(number, number.into()), now))).collect();
    let slow = part(contents.find(&root, "b", &get(), reader(0, 20), now));
    let other = part(contents.find(&root, "c", &get(), reader(11, 21), now));
    assert_eq!(contents.pushed_out(), [20], "not the one that ten are sent");
    assert_eq!([slow.range.len(), other.range.len(), popular.len()], [200_000, 200_000, 10]);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn who_is_being_sent_something_is_known_for_a_minute_and_of_a_bounded_number() {
    let root = folder_with("readers", &["a"], 200_000);
    let mut contents = Contents::new(FileLimits { bytes_max: 1_000_000, contents_bytes_max: 1_000_000 });
    let now = Instant::now();
    let kept = part(contents.find(&root, "a", &get(), reader(1, 0), now));
    let key = contents.readers[0].1.clone();
    for number in 0..READERS_MAX as u32 + 10 {
        contents.note_reader(key.clone(), reader(1, number), 200_000, now);
    }
    assert_eq!(contents.readers.len(), READERS_MAX);
    contents.note_reader(key, reader(1, 1), 200_000, now + READ_TIME_MAX + Duration::from_secs(1));
    assert_eq!((contents.readers.len(), kept.range.len()), (1, 200_000));
    fs::remove_dir_all(root).unwrap();
}
