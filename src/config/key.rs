//! What a key is: its type, and where its value lives. The keys themselves stand in [`keys`](super::keys).

use super::Config;
use crate::model::Network;
use core::net::IpAddr;

/// One key of `comet.ini`.
#[derive(Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    /// Whether the shipped file sets it; the others stand there as comments.
    pub shipped: bool,
    /// When a change of it takes effect that the file has while the server runs.
    pub applies: Applies,
    /// One or two sentences: meaning, unit, what CppComet did if that differs.
    pub doc: &'static str,
    /// Set while the key is read but nothing acts on it: what has to come first.
    pub without_effect: Option<&'static str>,
    pub field: Field,
}

/// When a change takes effect that is made while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At a reload, for everybody.
    Now,
    /// At a reload, for connections and sessions that begin from then on.
    NewConnections,
    /// At the next start.
    Restart,
}

impl Applies {
    pub fn words(self) -> &'static str {
        match self {
            Self::Now => "at a reload",
            Self::NewConnections => "at a reload, for new connections",
            Self::Restart => "at a restart",
        }
    }
}

/// A key's type, and where in [`Config`] it lives.
#[derive(Debug)]
pub enum Field {
    Number {
        min: u64,
        max: u64,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64),
    },
    Switch {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Address {
        get: fn(&Config) -> IpAddr,
        set: fn(&mut Config, IpAddr),
    },
    /// One of a few words; `set` is called with one of them.
    Word {
        words: &'static [&'static str],
        get: fn(&Config) -> &'static str,
        set: fn(&mut Config, &str),
    },
    /// As a word, and CppComet's numbers besides. Behind it parts of the server with levels of their own: `info, storage=debug`.
    Level {
        words: &'static [&'static str],
        parts: &'static [&'static str],
        get: fn(&Config) -> String,
        set: fn(&mut Config, &str),
        set_part: fn(&mut Config, &'static str, &str),
    },
    /// Any text on one line. A secret is never shown.
    Text {
        bytes_max: usize,
        secret: bool,
        get: fn(&Config) -> Option<String>,
        set: fn(&mut Config, &str),
    },
    /// Host names, separated by commas or one by one.
    Hosts {
        get: fn(&Config) -> &[String],
        set: fn(&mut Config, Vec<String>),
    },
    /// Addresses and ranges of them, separated by commas or one by one.
    Networks {
        get: fn(&Config) -> &[Network],
        set: fn(&mut Config, Vec<Network>),
    },
}

impl Key {
    /// The value as `comet.ini` writes it; `None` while it is not set.
    pub fn text(&self, config: &Config) -> Option<String> {
        match &self.field {
            Field::Number { get, .. } => Some(get(config).to_string()),
            Field::Switch { get, .. } => Some(get(config).to_string()),
            Field::Address { get, .. } => Some(get(config).to_string()),
            Field::Word { get, .. } => Some(get(config).to_owned()),
            Field::Level { get, .. } => Some(get(config)),
            Field::Text { get, .. } => get(config),
            Field::Hosts { get, .. } => {
                Some(if get(config).is_empty() { "*".to_owned() } else { get(config).join(", ") })
            }
            Field::Networks { get, .. } => {
                let texts: Vec<String> = get(config).iter().map(Network::to_string).collect();
                (!texts.is_empty()).then(|| texts.join(", "))
            }
        }
    }

    /// When a change of it takes effect, for the sample file and the manual; empty where that is at a reload.
    pub fn when(&self) -> &'static str {
        match self.applies {
            Applies::Now => "",
            Applies::NewConnections => " (After a reload: for new connections.)",
            Applies::Restart => " (After a restart.)",
        }
    }

    /// Whether its values may be given one by one.
    pub fn is_list(&self) -> bool {
        matches!(self.field, Field::Hosts { .. } | Field::Networks { .. })
    }

    pub fn is_secret(&self) -> bool {
        matches!(self.field, Field::Text { secret: true, .. })
    }

    /// What may stand there, for the sample file; `None` where the meaning says it already.
    pub fn values(&self) -> Option<String> {
        match &self.field {
            Field::Number { min, max, .. } => Some(format!("{min} to {max}")),
            Field::Switch { .. } => Some("true or false".to_owned()),
            Field::Word { words, .. } => Some(words.join(", ")),
            Field::Level { words, parts, .. } => Some(format!(
                "{}; for a part ({}) behind it, such as storage=debug",
                words.join(", "),
                parts.join(", ")
            )),
            Field::Address { .. } | Field::Text { .. } | Field::Hosts { .. } | Field::Networks { .. } => None,
        }
    }
}
