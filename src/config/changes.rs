//! What differs between two configurations, and when that takes effect.

use std::fmt;

use super::key::Applies;
use super::keys::{CONTENT_TYPE, keys};
use super::{Config, tenants};

/// A setting that another configuration has otherwise. It tells no values, since some are secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub section: String,
    /// Empty: the section as a whole.
    pub key: &'static str,
    pub applies: Applies,
}

impl Change {
    pub fn is(&self, section: &str, key: &str) -> bool {
        self.section == section && self.key == key
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.section)?;
        if self.key.is_empty() { Ok(()) } else { write!(f, " {}", self.key) }
    }
}

/// In the order of the sample file.
pub fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let keys = keys().filter(|key| key.text(before) != key.text(after)).map(|key| Change {
        section: key.section.to_owned(),
        key: key.name,
        applies: key.applies,
    });
    let mut changes: Vec<Change> = keys.collect();
    if before.content_types != after.content_types {
        changes.push(Change { section: CONTENT_TYPE.to_owned(), key: "", applies: Applies::Now });
    }
    let (old, new) = (&before.tenants.0, &after.tenants.0);
    let mut numbers: Vec<&u32> = old.keys().chain(new.keys()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let section = format!("tenant {number}");
        let of = |tenant: Option<&tenants::Tenant>, field: tenants::Field| field(&mut tenant?.clone()).take();
        for (key, field) in tenants::KEYS {
            if of(old.get(number), field) != of(new.get(number), field) {
                changes.push(Change { section: section.clone(), key, applies: Applies::Now });
            }
        }
    }
    changes
}

/// Puts back into `config` what takes effect at a start only.
pub fn keep_until_restart(config: &mut Config, in_force: &Config) {
    config.main.base_dir.clone_from(&in_force.main.base_dir);
    config.main.password_group.clone_from(&in_force.main.password_group);
    config.main.stop_grace_ms = in_force.main.stop_grace_ms;
    config.ws.ip = in_force.ws.ip;
    config.ws.port = in_force.ws.port;
    config.ws.private_pipes_listed = in_force.ws.private_pipes_listed;
    config.ws.thread_num = in_force.ws.thread_num;
    config.ws.send_engine = in_force.ws.send_engine;
    config.ws.pin_cores = in_force.ws.pin_cores;
    config.cometql.ip = in_force.cometql.ip;
    config.cometql.port = in_force.cometql.port;
    config.storage.dir.clone_from(&in_force.storage.dir);
    config.storage.queue_max = in_force.storage.queue_max;
    config.storage.durability = in_force.storage.durability;
    config.db.clone_from(&in_force.db);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Field, Key, parse, sample};

    /// Another value than the default.
    fn other(key: &Key) -> String {
        let default = key.text(&Config::default());
        match &key.field {
            Field::Number { min, max, .. } => {
                [min, max].into_iter().map(u64::to_string).find(|text| Some(text) != default.as_ref()).expect("two")
            }
            Field::Switch { .. } => if default.as_deref() == Some("true") { "false" } else { "true" }.to_owned(),
            Field::Address { .. } => "127.0.0.9".to_owned(),
            Field::Word { words, .. } | Field::Level { words, .. } => {
                (*words.iter().find(|word| Some(**word) != default.as_deref()).expect("two words")).to_owned()
            }
            Field::Text { .. } => "another-text-of-16".to_owned(),
            Field::Hosts { .. } => "a.example".to_owned(),
            Field::Networks { .. } => "10.0.0.0/8".to_owned(),
        }
    }

    #[test]
    fn each_key_is_a_change_that_waits_if_it_says_so() {
        for key in keys() {
            let (config, _) = parse(&format!("[{}]\n{} = {}\n", key.section, key.name, other(key)));
            let before = Config::default();
            let found = changes(&before, &config);
            let [change] = found.as_slice() else { panic!("{key:?}: {found:?}") };
            assert_eq!(change.to_string(), format!("[{}] {}", key.section, key.name));
            assert_eq!(change.applies, key.applies);
            let mut kept = config.clone();
            keep_until_restart(&mut kept, &before);
            let waits = key.applies == Applies::Restart;
            assert_eq!(kept == before, waits, "{}", key.name);
            assert_eq!(kept == config, !waits, "{}", key.name);
        }
        assert_eq!(changes(&Config::default(), &parse(&sample()).0), []);
    }

    #[test]
    fn sections_without_a_table_of_keys() {
        let of = |before: &str, after: &str| -> Vec<String> {
            changes(&parse(before).0, &parse(after).0).iter().map(Change::to_string).collect()
        };
        assert_eq!(of("", "[content-type]\nhtml = text/html\n"), ["[content-type]"]);
        let two = "[tenant 2]\npassword = a secret of 16 letters\n";
        assert_eq!(of("", two), ["[tenant 2] password"]);
        let three = "[tenant 3]\njwt_secret = another secret of them\n[tenant 2]\npassword = another of 16 letters\n";
        assert_eq!(of(two, three), ["[tenant 2] password", "[tenant 3] jwt_secret"]);
        assert_eq!(of(three, ""), ["[tenant 2] password", "[tenant 3] jwt_secret"]);
        assert_eq!(of(three, three), [""; 0]);
    }
}
