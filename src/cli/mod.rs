//! What the program says and does besides serving: its arguments, the password file, the banner; and the
//! commands that are clients of a running server.

pub(crate) mod args;
pub(crate) mod banner;
pub(crate) mod client;
pub(crate) mod conf;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod fault;
#[cfg_attr(not(feature = "mysql"), path = "no_import.rs")]
pub(crate) mod import;
pub(crate) mod keeper;
pub(crate) mod manual;
pub(crate) mod password;
pub(crate) mod signals;
pub(crate) mod sql;
pub(crate) mod status;

use std::sync::LazyLock;

/// The version, and where `scripts/release` built the program the commit and the kind of build behind it.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        with_build(env!("CARGO_PKG_VERSION"), option_env!("ENCKE_COMMIT"), option_env!("ENCKE_BUILD"))
    });
    &VERSION
}

fn with_build(version: &str, commit: Option<&str>, build: Option<&str>) -> String {
    let known: Vec<&str> = commit.into_iter().chain(build).collect();
    if known.is_empty() { version.to_owned() } else { format!("{version} ({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::with_build;

    #[test]
    fn a_version_tells_what_is_known_of_the_build() {
        assert_eq!(with_build("1.2.3", None, None), "1.2.3");
        assert_eq!(with_build("1.2.3", Some("1a2b3c4"), None), "1.2.3 (1a2b3c4)");
        assert_eq!(with_build("1.2.3", Some("1a2b3c4"), Some("static")), "1.2.3 (1a2b3c4, static)");
    }
}
