//! Keys of what is kept, and where: `[storage]`, `[db]`.

use std::path::PathBuf;

use super::super::Durability;
use super::super::key::{Applies, Field, Key};
use super::DURABILITIES;

pub(super) const STORAGE: &[Key] = &[
    Key {
        section: "storage",
        name: "dir",
        shipped: true,
        applies: Applies::Restart,
        doc: "Data folder, relative to the working directory; made if it is missing.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| Some(config.storage.dir.display().to_string()),
            set: |config, text| config.storage.dir = PathBuf::from(text),
        },
    },
    Key {
        section: "storage",
        name: "queue_max",
        shipped: false,
        applies: Applies::Restart,
        doc: "Requests under way to the database; more are refused. A quarter is kept for writes and backends, three eighths for logins.",
        without_effect: None,
        field: Field::Number {
            min: 16,
            max: 16_000_000,
            get: |config| config.storage.queue_max as u64,
            set: |config, number| config.storage.queue_max = number as usize,
        },
    },
    Key {
        section: "storage",
        name: "durability",
        shipped: false,
        applies: Applies::Restart,
        doc: "When an answer says that something is stored: full, when it is on disk; lazy, when the system has it, which is faster, but a power cut may take the last seconds. The MySQL engine has settings of its own for this.",
        without_effect: None,
        field: Field::Word {
            words: DURABILITIES,
            get: |config| match config.storage.durability {
                Durability::Full => "full",
                Durability::Lazy => "lazy",
            },
            set: |config, word| {
                config.storage.durability = match word {
                    "lazy" => Durability::Lazy,
                    _ => Durability::Full,
                }
            },
        },
    },
    Key {
        section: "storage",
        name: "retry_s",
        shipped: false,
        applies: Applies::Now,
        doc: "Seconds that writes wait for a database that cannot be reached, before they fail.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 3600,
            get: |config| config.storage.retry_s.into(),
            set: |config, number| config.storage.retry_s = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "queue_days",
        shipped: false,
        applies: Applies::Now,
        doc: "Days that a personal message waits for its user; 0 for ever (CppComet: for ever).",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 36500,
            get: |config| config.storage.queue_days.into(),
            set: |config, number| config.storage.queue_days = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "queue_messages_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Personal messages that wait for one user; of more the oldest go.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.storage.queue_messages_max.into(),
            set: |config, number| config.storage.queue_messages_max = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "trust_days",
        shipped: false,
        applies: Applies::Now,
        doc: "Days that messages of trust_ pipes without a setting are kept; 0 for ever.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 36500,
            get: |config| config.storage.trust_days.into(),
            set: |config, number| config.storage.trust_days = number as u32,
        },
    },
    Key {
        section: "storage",
        name: "trust_messages_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Messages kept of one trust_ pipe without a setting; of more the oldest go.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.storage.trust_messages_max.into(),
            set: |config, number| config.storage.trust_messages_max = number as u32,
        },
    },
];

pub(super) const DB: &[Key] = &[
    Key {
        section: "db",
        name: "host",
        shipped: false,
        applies: Applies::Restart,
        doc: "Host of the MySQL or MariaDB server.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 255,
            secret: false,
            get: |config| Some(config.db.host.clone()),
            set: |config, text| text.clone_into(&mut config.db.host),
        },
    },
    Key {
        section: "db",
        name: "port",
        shipped: false,
        applies: Applies::Restart,
        doc: "TCP port of the server.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 65535,
            get: |config| config.db.port.into(),
            set: |config, number| config.db.port = number as u16,
        },
    },
    Key {
        section: "db",
        name: "socket",
        shipped: false,
        applies: Applies::Restart,
        doc: "Its socket file, used instead of host and port.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 100,
            secret: false,
            get: |config| config.db.socket.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.db.socket = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "db",
        name: "user",
        shipped: false,
        applies: Applies::Restart,
        doc: "User to log in as.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 80,
            secret: false,
            get: |config| Some(config.db.user.clone()),
            set: |config, text| text.clone_into(&mut config.db.user),
        },
    },
    Key {
        section: "db",
        name: "password",
        shipped: false,
        applies: Applies::Restart,
        doc: "Password of this user. The link is not enciphered.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.db.password.clone(),
            set: |config, text| config.db.password = Some(text.to_owned()),
        },
    },
    Key {
        section: "db",
        name: "name",
        shipped: false,
        applies: Applies::Restart,
        doc: "Name of the database. Without it data is kept in SQLite, see [storage].",
        without_effect: None,
        field: Field::Text {
            bytes_max: 64,
            secret: false,
            get: |config| config.db.name.clone(),
            set: |config, text| config.db.name = Some(text.to_owned()),
        },
    },
    Key {
        section: "db",
        name: "connection_attempts",
        shipped: false,
        applies: Applies::Restart,
        doc: "How often a start tries to connect, every 5 seconds.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1000,
            get: |config| config.db.connection_attempts.into(),
            set: |config, number| config.db.connection_attempts = number as u32,
        },
    },
];
