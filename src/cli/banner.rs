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
        Origin::Kept(path) => format!("in {}", shown(path)),
        Origin::Generated(path) => format!("in {}, generated just now", shown(path)),
    }
}

/// A line to paste into a shell as it is.
fn publish(facts: &Facts<'_>) -> String {
    let address = reachable(facts.cometql);
    // Without a value, -p makes the client ask.
    let password = match facts.password {
        Origin::Configured => "-p".to_owned(),
        Origin::Kept(path) | Origin::Generated(path) => format!("-p\"$(cat {})\"", quoted(&shown(path))),
    };
    format!(
        "mysql -h {} -P {} -u root {password} CometQL_v1 -e \"INSERT INTO pipes_messages (name, event, message) \
         VALUES ('simplechat', 'newMessage', '{{\\\"text\\\":\\\"hello\\\"}}')\"",
        address.ip(),
        address.port()
    )
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

    fn banner(browsers: &str, cometql: &str, password: &Origin, shards: usize) -> String {
        text(&Facts {
            version: "1.2.3",
            browsers: browsers.parse().unwrap(),
            cometql: cometql.parse().unwrap(),
            tls: Tls::Off,
            shards,
            engine: "io_uring",
            storage: "SQLite, data/encke.db",
            password,
            conf: Path::new("./config/comet.ini"),
        })
    }

    #[test]
    fn a_first_start() {
        let generated = Origin::Generated(PathBuf::from("./data/cometql.password"));
        let expected = r#"encke 1.2.3, configured by config/comet.ini
  browsers  0.0.0.0:8087 (2 shards, io_uring)
  CometQL   127.0.0.1:3300 (the MySQL protocol)
  storage   SQLite, data/encke.db
  password  in data/cometql.password, generated just now
  open      http://127.0.0.1:8087/
  publish   mysql -h 127.0.0.1 -P 3300 -u root -p"$(cat data/cometql.password)" CometQL_v1 -e "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '{\"text\":\"hello\"}')"
  stop      Ctrl-C, or SIGTERM
"#;
        assert_eq!(banner("0.0.0.0:8087", "127.0.0.1:3300", &generated, 2), expected);
    }

    #[test]
    fn addresses_that_can_be_reached() {
        let text = banner("10.1.2.3:80", "0.0.0.0:3307", &Origin::Configured, 1);
        assert!(text.contains("\n  browsers  10.1.2.3:80 (1 shard, io_uring)\n"), "{text}");
        assert!(text.contains("\n  open      http://10.1.2.3:80/\n"), "{text}");
        assert!(text.contains("mysql -h 127.0.0.1 -P 3307 -u root -p CometQL_v1 -e "), "{text}");
        assert!(text.contains("\n  password  [main] password of config/comet.ini\n"), "{text}");
        let text = banner("[::]:8087", "[::1]:3300", &Origin::Configured, 1);
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

    /// What `sh` makes of the line is what the server must get.
    #[test]
    fn the_line_survives_a_shell() {
        let dir = std::env::temp_dir().join(format!("encke it's \"$(x)\" {}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("cometql.password");
        std::fs::write(&path, "secret$word").unwrap();
        for (shell, password, expected) in [
            ("sh", Origin::Kept(path.clone()), "-psecret$word"),
            ("bash", Origin::Generated(path.clone()), "-psecret$word"),
            ("bash", Origin::Configured, "-p"),
        ] {
            let text = banner("0.0.0.0:8087", "127.0.0.1:3300", &password, 2);
            let line = text.lines().find_map(|line| line.strip_prefix("  publish   mysql ")).unwrap();
            let output =
                std::process::Command::new(shell).args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
            let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '{\"text\":\"hello\"}')";
            let arguments = ["-h", "127.0.0.1", "-P", "3300", "-u", "root", expected, "CometQL_v1", "-e", insert];
            assert_eq!(String::from_utf8(output.stdout).unwrap(), arguments.join("\n") + "\n");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
