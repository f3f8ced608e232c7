use super::*;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty folder of its own for each test, removed with its content at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("encke-password-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        make_folder(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join(kept::PASSWORD_FILE)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_configured_password_wins_and_nothing_is_written() {
    let folder = Folder::new();
    let found = load_or_generate(Some("from the file"), &folder.0).unwrap();
    assert_eq!(found, ("from the file".to_owned(), Origin::Configured));
    assert!(folder.names().is_empty());
}

#[test]
fn generated_once_then_kept() {
    let folder = Folder::new();
    let (generated, origin) = load_or_generate(None, &folder.0).unwrap();
    assert_eq!(origin, Origin::Generated(folder.file()));
    assert_eq!(generated.len(), 64);
    assert!(generated.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), generated);
    assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!is_open_to_others(&folder.file(), false));
    assert_eq!(folder.names(), [kept::PASSWORD_FILE]);
    assert_eq!(load_or_generate(None, &folder.0).unwrap(), (generated, Origin::Kept(folder.file())));
}

#[test]
fn the_folder_is_for_its_owner_only() {
    let folder = Folder::new();
    assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_password_that_is_there_is_never_replaced() {
    let folder = Folder::new();
    let (generated, _) = load_or_generate(None, &folder.0).unwrap();
    // What a start does that found no file a moment before another one put it there.
    assert!(!kept::keep(&folder.file(), "another password, also long").unwrap());
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), generated);
    assert_eq!(folder.names(), [kept::PASSWORD_FILE]);
}

#[test]
fn what_a_killed_start_left_is_no_obstacle() {
    let folder = Folder::new();
    let draft = folder.0.join(format!("{}.{}.new", kept::PASSWORD_FILE, std::process::id()));
    fs::write(&draft, "half").unwrap();
    let (generated, _) = load_or_generate(None, &folder.0).unwrap();
    assert_eq!(generated.len(), 64);
    assert_eq!(folder.names(), [kept::PASSWORD_FILE]);
}

#[test]
fn files_as_editors_leave_them() {
    for (content, good) in [
        ("0123456789abcdef", true),
        ("0123456789abcdef\n", true),
        ("0123456789abcdef\r\n", true),
        ("with blanks and \u{e9}\u{e8}\u{e7}", true),
        ("", false),
        ("\n", false),
        ("0123456789abcde", false),
        ("0123456789abcdef\n0123456789abcdef\n", false),
        ("0123456789abcdef\u{0}", false),
    ] {
        let folder = Folder::new();
        fs::write(folder.file(), content).unwrap();
        let result = load_or_generate(None, &folder.0);
        assert_eq!(result.is_ok(), good, "{content:?}");
        if let Err(error) = result {
            let text = error.to_string();
            assert!(text.contains("cometql.password") && !text.contains("0123"), "{text}");
        }
        // Whatever is wrong with it, the file is left as it is.
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
    }
    let folder = Folder::new();
    fs::write(folder.file(), [0xff; 64]).unwrap();
    assert!(matches!(load_or_generate(None, &folder.0), Err(PasswordError::NotAPassword { .. })));
    fs::write(folder.file(), "x".repeat(2000)).unwrap();
    assert!(matches!(load_or_generate(None, &folder.0), Err(PasswordError::NotAPassword { .. })));
}

#[test]
fn a_file_in_place_of_the_folder() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(make_folder(&file.join("data")), Err(PasswordError::Folder { .. })));
    fs::create_dir(folder.file()).unwrap();
    assert!(matches!(load_or_generate(None, &folder.0), Err(PasswordError::Unreadable { .. })));
}

#[test]
fn unfair_bytes_are_generated_again() {
    let mut rounds = 0;
    let mut fill = |bytes: &mut [u8]| -> Result<(), ()> {
        rounds += 1;
        // The first round gives only bytes that would make the first letters likelier.
        bytes.fill(if rounds == 1 { 255 } else { 61 });
        Ok(())
    };
    assert_eq!(generate(&mut fill), Ok("9".repeat(64)));
    assert_eq!(rounds, 2);
    assert_eq!(generate(&mut |_: &mut [u8]| Err("none")), Err("none"));
}

#[test]
fn a_group_is_named_or_numbered() {
    let known = "root:x:0:\nweb:x:33:www-data,ann\nbroken:x\n77:x:5:\nempty:x::\n";
    let check = |group: &str, expected| assert_eq!(number_of(group, known), expected, "{group}");
    check("root", Some(0));
    check("web", Some(33));
    check("77", Some(5));
    check("78", Some(78));
    check("ann", None);
    check("broken", None);
    check("empty", None);
    check("", None);
    check("-1", None);
}

#[test]
fn a_group_may_read_the_password_and_pass_through_the_folder() {
    let folder = Folder::new();
    let (_, origin) = load_or_generate(None, &folder.0).unwrap();
    // The group that this process has; every user is a member of one.
    let group = fs::metadata(&folder.0).unwrap().gid();
    give(&group.to_string(), &origin, &folder.0).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.file())), (0o710, 0o640));
    assert_eq!(fs::metadata(folder.file()).unwrap().gid(), group);
    assert!(!is_open_to_others(&folder.file(), true));
    assert!(is_open_to_others(&folder.file(), false));
    let missing = give("no such group", &origin, &folder.0).unwrap_err().to_string();
    assert!(missing.contains("groupadd"), "{missing}");
    give("root", &Origin::Configured, &folder.0).unwrap();
}
