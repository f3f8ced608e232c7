//! Keys of the server as a whole: `[main]`, `[jwt]`, `[log]`.

use std::path::PathBuf;

use crate::model::{TOKEN_LEEWAY_S_MAX, TokenAlgorithm};

use super::super::key::{Applies, Field, Key};
use super::super::{LogFormat, LogLevel, LogStatements};
use super::{LOG_FORMATS, LOG_LEVELS, LOG_PARTS, LOG_STATEMENTS, TOKEN_ALGORITHMS};

pub(super) const MAIN: &[Key] = &[
    Key {
        section: "main",
        name: "node_name",
        shipped: true,
        applies: Applies::Now,
        doc: "Name of this server, told by /info (its first 10 characters).",
        without_effect: None,
        field: Field::Text {
            bytes_max: 64,
            secret: false,
            get: |config| Some(config.main.node_name.clone()),
            set: |config, text| text.clone_into(&mut config.main.node_name),
        },
    },
    Key {
        section: "main",
        name: "password",
        shipped: false,
        applies: Applies::Now,
        doc: "The CometQL password. Without it one of 64 characters is generated at the first start and kept in cometql.password in the data folder.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.main.password.clone(),
            set: |config, text| config.main.password = Some(text.to_owned()),
        },
    },
    Key {
        section: "main",
        name: "password_group",
        shipped: false,
        applies: Applies::Restart,
        doc: "A group, by name or number, that may read the generated password: the file gets mode 640 and the data folder 710, which lets the group pass and see nothing else. The server must be a member of it.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 64,
            secret: false,
            get: |config| config.main.password_group.clone(),
            set: |config, text| config.main.password_group = Some(text.to_owned()),
        },
    },
    Key {
        section: "main",
        name: "base_dir",
        shipped: false,
        applies: Applies::Restart,
        doc: "Folder of static files, relative to the working directory. Without it none are served.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.main.base_dir.as_ref().map(|dir| dir.display().to_string()),
            set: |config, text| config.main.base_dir = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "main",
        name: "dev_index_size",
        shipped: false,
        applies: Applies::Now,
        doc: "Number of tenants (dev_id); they are numbered from 0.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: i32::MAX as u64,
            get: |config| config.main.dev_index_size.into(),
            set: |config, number| config.main.dev_index_size = number as u32,
        },
    },
    Key {
        section: "main",
        name: "send_user_online_events",
        shipped: false,
        applies: Applies::Now,
        doc: "Publish `online` in user_status_<id> when a user's first connection comes.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.send_user_online_events,
            set: |config, on| config.main.send_user_online_events = on,
        },
    },
    Key {
        section: "main",
        name: "send_user_offline_events",
        shipped: false,
        applies: Applies::Now,
        doc: "Publish `offline` in user_status_<id> when a user's last connection goes.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.send_user_offline_events,
            set: |config, on| config.main.send_user_offline_events = on,
        },
    },
    Key {
        section: "main",
        name: "save_users_last_online_time",
        shipped: false,
        applies: Applies::Now,
        doc: "Keep the time at which a user's last connection went, for table users_time.",
        without_effect: None,
        field: Field::Switch {
            get: |config| config.main.save_users_last_online_time,
            set: |config, on| config.main.save_users_last_online_time = on,
        },
    },
    Key {
        section: "main",
        name: "offline_grace_s",
        shipped: false,
        applies: Applies::Now,
        doc: "Seconds that a user counts as online after the last connection went: whoever is back by then was never away for others, so a page that is loaded anew does not blink. The time that is kept is the one of going.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 3_600,
            get: |config| config.main.offline_grace_s.into(),
            set: |config, number| config.main.offline_grace_s = number as u32,
        },
    },
    Key {
        section: "main",
        name: "stop_drain_s",
        shipped: false,
        applies: Applies::Now,
        doc: "Seconds that SIGTERM gives connections to leave for another server, one after the other, before this one stops; a second SIGTERM stops it at once. 0 stops it at once.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 32_400,
            get: |config| config.main.stop_drain_s.into(),
            set: |config, number| config.main.stop_drain_s = number as u32,
        },
    },
    Key {
        section: "main",
        name: "stop_grace_ms",
        shipped: false,
        applies: Applies::Restart,
        doc: "Milliseconds that a stop waits at most: half of them for answers that are under way, the rest until peers have read what was written to them and have closed. A stop takes no longer than its peers need; whoever never closes holds it up for so long.",
        without_effect: None,
        field: Field::Number {
            min: 100,
            max: 60_000,
            get: |config| config.main.stop_grace_ms.into(),
            set: |config, number| config.main.stop_grace_ms = number as u32,
        },
    },
];

pub(super) const JWT: &[Key] = &[
    Key {
        section: "jwt",
        name: "algorithm",
        shipped: false,
        applies: Applies::Now,
        doc: "What tokens are signed with; whatever else a token says of itself is refused. With HS256 the server knows the secret, with the others a public key only.",
        without_effect: None,
        field: Field::Word {
            words: TOKEN_ALGORITHMS,
            get: |config| config.jwt.algorithm.as_str(),
            set: |config, word| config.jwt.algorithm = TokenAlgorithm::from_name(word).unwrap_or_default(),
        },
    },
    Key {
        section: "jwt",
        name: "secret",
        shipped: false,
        applies: Applies::Now,
        doc: "Secret of HS256, the same for all tenants: whoever knows it can sign for each. A token must name its tenant, by the number dev or a number in aud; one that names none is good in tenant 0 only. Without it the secret of a tenant is the password of [main], followed by the tenant's number (as in CppComet).",
        without_effect: None,
        field: Field::Text {
            bytes_max: 1024,
            secret: true,
            get: |config| config.jwt.secret.clone(),
            set: |config, text| config.jwt.secret = Some(text.to_owned()),
        },
    },
    Key {
        section: "jwt",
        name: "public_key",
        shipped: false,
        applies: Applies::Now,
        doc: "File with the public key in PEM, for RS256, ES256 and EdDSA, relative to the working directory. A token must name its tenant, as with secret. Browsers can show tokens of 600 bytes, so RSA keys have 3,072 bits at most.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.jwt.public_key.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.jwt.public_key = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "jwt",
        name: "leeway_s",
        shipped: false,
        applies: Applies::Now,
        doc: "Seconds by which the clocks of whoever signs may differ: a token is good so much earlier and longer than it says.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TOKEN_LEEWAY_S_MAX as u64,
            get: |config| u64::from(config.jwt.leeway_s),
            set: |config, value| config.jwt.leeway_s = value as u32,
        },
    },
    Key {
        section: "jwt",
        name: "previous_s",
        shipped: false,
        applies: Applies::Now,
        doc: "Seconds for which tokens are good still that the keys before have signed, after a reload that brings other keys (this one, those of tenants, or the password of [main] where it is the key). 0: not at all, for a key that others know.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 31 * 24 * 3_600,
            get: |config| config.jwt.previous_s.into(),
            set: |config, number| config.jwt.previous_s = number as u32,
        },
    },
];

pub(super) const LOG: &[Key] = &[
    Key {
        section: "log",
        name: "level",
        shipped: false,
        applies: Applies::Now,
        doc: "Lines less important than this are left out (CppComet's 200, 300, 400, 500 and 600 are read as these words).",
        without_effect: None,
        field: Field::Level {
            words: LOG_LEVELS,
            parts: LOG_PARTS,
            get: |config| {
                let part = |(part, level): &(&str, LogLevel)| format!(", {part}={}", level.word());
                config.log.level.word().to_owned() + &config.log.parts.iter().map(part).collect::<String>()
            },
            set: |config, word| config.log.level = LogLevel::of_word(word),
            set_part: |config, part, word| {
                config.log.parts.retain(|(known, _)| *known != part);
                config.log.parts.push((part, LogLevel::of_word(word)));
            },
        },
    },
    Key {
        section: "log",
        name: "format",
        shipped: false,
        applies: Applies::Now,
        doc: "text: lines for people. json: an object a line, with ts, level, target, msg and what the line tells besides.",
        without_effect: None,
        field: Field::Word {
            words: LOG_FORMATS,
            get: |config| match config.log.format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            },
            set: |config, word| config.log.format = if word == "json" { LogFormat::Json } else { LogFormat::Text },
        },
    },
    Key {
        section: "log",
        name: "file",
        shipped: false,
        applies: Applies::Now,
        doc: "File that lines are appended to, relative to the working directory; SIGUSR1 opens it anew after a rotation. Without it they go to standard error.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.log.file.as_ref().map(|file| file.display().to_string()),
            set: |config, text| config.log.file = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "log",
        name: "statements",
        shipped: false,
        applies: Applies::Now,
        doc: "on: a line of level info for each statement of a backend: who, from where, about which table, what came of it, how many microseconds it took. texts: also the text of statements about messages and pipes, never of others, which may hold keys.",
        without_effect: None,
        field: Field::Word {
            words: LOG_STATEMENTS,
            get: |config| match config.log.statements {
                LogStatements::Off => "off",
                LogStatements::On => "on",
                LogStatements::Texts => "texts",
            },
            set: |config, word| {
                config.log.statements = match word {
                    "on" => LogStatements::On,
                    "texts" => LogStatements::Texts,
                    _ => LogStatements::Off,
                };
            },
        },
    },
];
