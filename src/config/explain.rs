//! A configuration key by key: value, where it comes from, and when a change of it takes effect.

use std::fmt::Write;

use super::key::Applies;
use super::keys::{CONTENT_TYPE, SECTIONS, keys};
use super::read::Places;
use super::{Config, tenants};

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub section: String,
    pub key: String,
    /// `None`: it has none. Of a secret it says only that there is one.
    pub value: Option<String>,
    /// Where it was given; `None`: it is the default.
    pub line: Option<u32>,
    pub applies: Applies,
}

/// In the order of the sample file.
pub fn explain(config: &Config, places: &Places) -> Vec<Explained> {
    const HIDDEN: &str = "(hidden)";
    let mut all = Vec::new();
    for (section, _) in SECTIONS {
        all.extend(keys().filter(|key| key.section == section).map(|key| Explained {
            section: section.to_owned(),
            key: key.name.to_owned(),
            value: key.text(config).map(|text| if key.is_secret() { HIDDEN.to_owned() } else { text }),
            line: places.line(section, key.name),
            applies: key.applies,
        }));
        if section == CONTENT_TYPE {
            all.extend(config.content_types.0.iter().map(|(extension, kind)| Explained {
                section: section.to_owned(),
                key: extension.clone(),
                value: Some(kind.clone()),
                line: places.line(section, extension),
                applies: Applies::Now,
            }));
        }
    }
    for (number, tenant) in &config.tenants.0 {
        let section = format!("tenant {number}");
        let mut tenant = tenant.clone();
        for (key, field) in tenants::KEYS {
            let Some(value) = field(&mut tenant).take() else { continue };
            all.push(Explained {
                section: section.clone(),
                key: key.to_owned(),
                value: Some(if tenants::SECRETS.contains(&key) { HIDDEN.to_owned() } else { value }),
                line: places.line(&section, key),
                applies: Applies::Now,
            });
        }
    }
    all
}

/// The same for people. `file`: what the configuration is called.
pub fn explained_text(all: &[Explained], file: &str) -> String {
    const SETTING: usize = 52;
    let mut text = String::new();
    let mut section = "";
    for Explained { section: own, key, value, line, applies } in all {
        // Writing to a String cannot fail.
        if section != own {
            let _ = writeln!(text, "[{own}]");
            section = own;
        }
        let setting = value.as_ref().map_or_else(|| format!("{key} is not set"), |value| format!("{key} = {value}"));
        let place = line.map_or_else(|| "default".to_owned(), |line| format!("{file}:{line}"));
        let _ = writeln!(text, "  {setting:<SETTING$} {place:<24} {}", applies.words());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::read::{Read, read};
    use super::*;

    #[test]
    fn each_key_says_whence_and_when() {
        let text = "[main]\npassword = a secret of the tests\n[ws]\nport = 1\nhost = []a.example\nhost = []b.example\n\
                    [content-type]\ntxt = text/plain\n[tenant 7]\npassword = another secret here\n";
        let Read { config, places, .. } = read(text);
        let all = explain(&config, &places);
        assert_eq!(all.len(), keys().count() + 2);
        let shown = explained_text(&all, "comet.ini");
        let secrets = ["a secret of the tests", "another secret here"];
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
        for (start, end) in [
            ("  password = (hidden) ", " comet.ini:2              at a reload"),
            ("  port = 1 ", " comet.ini:4              at a restart"),
            ("  host = a.example, b.example ", " comet.ini:6              at a reload"),
            ("  deflate = off ", " default                  at a reload, for new connections"),
            ("  base_dir is not set ", " default                  at a restart"),
            ("  txt = text/plain ", " comet.ini:8              at a reload"),
            ("  password = (hidden) ", " comet.ini:10             at a reload"),
        ] {
            assert!(shown.lines().any(|line| line.starts_with(start) && line.ends_with(end)), "{start}: {shown}");
        }
    }
}
