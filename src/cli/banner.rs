//! The few lines that a start prints: what listens where, and how to try it.

use super::password::Origin;
use encke::config::Tls;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

pub(crate) struct Facts<'a> {
    pub version: &'a str,
    pub browsers: SocketAddr,
    pub cometql: SocketAddr,
    pub tls: Tls,
    pub shards: usize,
    pub engine: &'a str,
    pub storage: &'a str,
    pub password: &'a Origin,
    pub conf: &'a Path,
    pub pasted: Pasted<'a>,
}

/// What a line needs that is pasted into a shell in any folder.
pub(crate) struct Pasted<'a> {
    /// The working directory, absolute; paths of the configuration begin there.
    pub folder: &'a Path,
    /// This program, absolute.
    pub program: &'a Path,
    /// Whether the configuration says the port of CometQL.
    pub port_is_known: bool,
    /// Whether the data folder begins at the working directory.
    pub data_is_here: bool,
}

/// The banner, each line ended. It never holds the password.
pub(crate) fn text(facts: &Facts<'_>) -> String {
    let mut text = format!("encke {}, configured by {}\n", facts.version, shown(facts.conf));
    let shards = if facts.shards == 1 { "1 shard".to_owned() } else { format!("{} shards", facts.shards) };
    row(&mut text, "browsers", format_args!("{} ({shards}, {})", facts.browsers, facts.engine));
    row(&mut text, "CometQL", format_args!("{} (the MySQL protocol{})", facts.cometql, tls(facts.tls)));
    row(&mut text, "storage", format_args!("{}", facts.storage));
    row(&mut text, "password", format_args!("{}", password(facts)));
    row(&mut text, "open", format_args!("http://{}/", reachable(facts.browsers)));
    row(&mut text, "publish", format_args!("{}", publish(facts)));
    row(&mut text, "connect", format_args!("{}", connect(facts)));
    if facts.tls == Tls::Off {
        row(
            &mut text,
            "",
            format_args!("a client that insists on TLS, such as MariaDB's from 11.4 on, needs --skip-ssl"),
        );
    }
    row(&mut text, "stop", format_args!("Ctrl-C, or SIGTERM"));
    text
}

fn row(text: &mut String, name: &str, value: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {name:<9} {value}");
}

fn tls(tls: Tls) -> &'static str {
    match tls {
        Tls::Off => "",
        Tls::On => ", TLS for those that ask",
        Tls::Required => ", TLS required",
    }
}

fn password(facts: &Facts<'_>) -> String {
    match facts.password {
        Origin::Configured => format!("[main] password of {}", shown(facts.conf)),
        Origin::Kept(path) => format!("in {}", facts.pasted.folder.join(plain(path)).display()),
        Origin::Generated(path) => {
            format!("in {}, generated just now", facts.pasted.folder.join(plain(path)).display())
        }
    }
}

/// A line to paste into a shell as it is. It needs no other program, and no password on it.
fn publish(facts: &Facts<'_>) -> String {
    let Pasted { folder, program, port_is_known, data_is_here } = facts.pasted;
    let mut line = String::new();
    let mut program = program.to_owned();
    if data_is_here {
        line = format!("cd {} && ", quoted(&folder.display().to_string()));
        if let Ok(within) = program.strip_prefix(folder) {
            program = if within.components().count() > 1 { within.to_owned() } else { Path::new(".").join(within) };
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(line, "{} publish ", quoted(&program.display().to_string()));
    if !(data_is_here && plain(facts.conf) == Path::new("config/comet.ini")) {
        let _ = write!(line, "--conf {} ", quoted(&folder.join(plain(facts.conf)).display().to_string()));
    }
    if !port_is_known {
        let _ = write!(line, "--port {} ", facts.cometql.port());
    }
    line + "simplechat newMessage '{\"text\":\"hello\"}'"
}

/// The same for a client of MySQL.
fn connect(facts: &Facts<'_>) -> String {
    let address = reachable(facts.cometql);
    // Without a value, -p makes the client ask.
    let password = match facts.password {
        Origin::Configured => "-p".to_owned(),
        Origin::Kept(path) | Origin::Generated(path) => {
            let path = facts.pasted.folder.join(plain(path)).display().to_string();
            format!("-p\"$(cat {})\"", quoted(&path))
        }
    };
    format!("mysql -h {} -P {} -u root {password} CometQL_v1", address.ip(), address.port())
}

/// An address that a program on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A path as people write it: no `./` in front.
pub(crate) fn plain(path: &Path) -> &Path {
    path.strip_prefix("./").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path)
}

pub(crate) fn shown(path: &Path) -> String {
    plain(path).display().to_string()
}

/// A word of a shell's command line; quoted only if it must be.
fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.starts_with('-')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    fn facts<'a>(browsers: &str, cometql: &str, password: &'a Origin) -> Facts<'a> {
        Facts {
            version: "1.2.3",
            browsers: browsers.parse().unwrap(),
            cometql: cometql.parse().unwrap(),
            tls: Tls::Off,
            shards: 2,
            engine: "io_uring",
            storage: "SQLite, data/encke.db",
            password,
            conf: Path::new("./config/comet.ini"),
            pasted: Pasted {
                folder: Path::new("/srv/encke"),
                program: Path::new("/srv/encke/target/trial/encke"),
                port_is_known: true,
                data_is_here: true,
            },
        }
    }

    #[test]
    fn a_first_start() {
        let generated = Origin::Generated(PathBuf::from("./data/cometql.password"));
        let expected = r#"encke 1.2.3, configured by config/comet.ini
  browsers  0.0.0.0:8087 (2 shards, io_uring)
  CometQL   127.0.0.1:3300 (the MySQL protocol)
  storage   SQLite, data/encke.db
  password  in /srv/encke/data/cometql.password, generated just now
  open      http://127.0.0.1:8087/
  publish   cd /srv/encke && target/trial/encke publish simplechat newMessage '{"text":"hello"}'
  connect   mysql -h 127.0.0.1 -P 3300 -u root -p"$(cat /srv/encke/data/cometql.password)" CometQL_v1
            a client that insists on TLS, such as MariaDB's from 11.4 on, needs --skip-ssl
  stop      Ctrl-C, or SIGTERM
"#;
        assert_eq!(text(&facts("0.0.0.0:8087", "127.0.0.1:3300", &generated)), expected);
    }

    #[test]
    fn addresses_that_can_be_reached() {
        let text = text(&Facts { shards: 1, ..facts("10.1.2.3:80", "0.0.0.0:3307", &Origin::Configured) });
        assert!(text.contains("\n  browsers  10.1.2.3:80 (1 shard, io_uring)\n"), "{text}");
        assert!(text.contains("\n  open      http://10.1.2.3:80/\n"), "{text}");
        assert!(text.contains("mysql -h 127.0.0.1 -P 3307 -u root -p CometQL_v1\n"), "{text}");
        assert!(text.contains("\n  password  [main] password of config/comet.ini\n"), "{text}");
        let text = super::text(&facts("[::]:8087", "[::1]:3300", &Origin::Configured));
        assert!(text.contains("\n  open      http://[::1]:8087/\n"), "{text}");
        assert!(text.contains("mysql -h ::1 -P 3300 "), "{text}");
    }

    #[test]
    fn plain_paths() {
        for (path, expected) in
            [("./data", "data"), ("data", "data"), (".", "."), ("./", "./"), ("../a", "../a"), ("/a", "/a")]
        {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    /// As a package is installed: everything has its own place, so the line needs no folder.
    #[test]
    fn an_installed_server_is_published_to_from_anywhere() {
        let configured = Origin::Configured;
        let mut facts = facts("0.0.0.0:8087", "127.0.0.1:3307", &configured);
        facts.conf = Path::new("/etc/encke/comet.ini");
        facts.pasted = Pasted {
            folder: Path::new("/"),
            program: Path::new("/usr/bin/encke"),
            port_is_known: false,
            data_is_here: false,
        };
        let expected = "/usr/bin/encke publish --conf /etc/encke/comet.ini --port 3307 simplechat newMessage '{\"text\":\"hello\"}'";
        assert_eq!(publish(&facts), expected);
    }

    /// What a shell makes of the lines is what the programs must get.
    #[test]
    fn the_lines_survive_a_shell() {
        let dir = std::env::temp_dir().join(format!("encke it's \"$(x)\" {}", std::process::id()));
        std::fs::create_dir_all(dir.join("data")).unwrap();
        std::fs::write(dir.join("data/cometql.password"), "secret$word").unwrap();
        let path = PathBuf::from("./data/cometql.password");
        for (shell, password, expected) in [
            ("sh", Origin::Kept(path.clone()), "-psecret$word"),
            ("bash", Origin::Generated(path.clone()), "-psecret$word"),
            ("bash", Origin::Configured, "-p"),
        ] {
            let mut facts = facts("0.0.0.0:8087", "127.0.0.1:3300", &password);
            facts.pasted.folder = &dir;
            let seen = |line: &str| {
                let output = Command::new(shell).args(["-c", line]).output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let line = connect(&facts).replacen("mysql", "printf '%s\\n'", 1);
            let arguments = ["-h", "127.0.0.1", "-P", "3300", "-u", "root", expected, "CometQL_v1"];
            assert_eq!(seen(&line), arguments.join("\n") + "\n");
            let line = publish(&facts).replacen("/srv/encke/target/trial/encke", "pwd; printf '%s\\n'", 1);
            let arguments = [&dir.display().to_string(), "publish", "simplechat", "newMessage", "{\"text\":\"hello\"}"];
            assert_eq!(seen(&line), arguments.join("\n") + "\n");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
