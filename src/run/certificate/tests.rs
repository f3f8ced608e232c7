use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty folder of its own for each test, removed with its content at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("encke-certificate-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn place(&self, own: bool) -> Place {
        Place { certificate: self.0.join(CERTIFICATE_FILE), key: self.0.join(KEY_FILE), own }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into()
}

fn refusal(place: &Place) -> String {
    load(place, &names()).expect_err("refused").to_string()
}

#[test]
fn made_once_then_kept_for_the_owner_only() {
    let folder = Folder::new();
    let place = folder.place(true);
    load(&place, &names()).unwrap();
    assert_eq!(folder.names(), [CERTIFICATE_FILE, KEY_FILE]);
    let content = || [&place.certificate, &place.key].map(|path| fs::read_to_string(path).unwrap());
    let made = content();
    assert!(made[0].starts_with("-----BEGIN CERTIFICATE-----") && made[1].starts_with("-----BEGIN PRIVATE KEY-----"));
    for path in [&place.certificate, &place.key] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    load(&place, &names()).unwrap();
    assert_eq!(content(), made);
    // A start that was cut short between the two left the key; its certificate is made again.
    fs::remove_file(&place.certificate).unwrap();
    load(&place, &names()).unwrap();
    assert_eq!(content()[1], made[1]);
}

#[test]
fn what_cannot_be_used_is_said() {
    let folder = Folder::new();
    let place = folder.place(false);
    assert!(refusal(&place).contains("cometql.crt cannot be read"), "configured files are not made");
    load(&folder.place(true), &names()).unwrap();
    let key = fs::read_to_string(&place.key).unwrap();
    fs::write(&place.key, "no key").unwrap();
    assert!(refusal(&place).ends_with("cometql.key does not hold a private key in PEM."));
    fs::write(&place.key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let own = refusal(&folder.place(true));
    assert!(own.contains("cannot be used") && own.ends_with("; remove both and new ones are made."), "{own}");
    fs::write(&place.key, key).unwrap();
    fs::write(&place.certificate, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
    assert!(refusal(&place).ends_with("cometql.crt does not hold a certificate in PEM."));
    fs::write(&place.certificate, "x".repeat(2_000_000)).unwrap();
    assert!(refusal(&place).ends_with("is too large for a certificate or a key."));
}
