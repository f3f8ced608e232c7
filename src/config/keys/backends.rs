//! Keys of what backends connect to: `[cometql]`.

use std::path::PathBuf;

use super::super::key::{Applies, Field, Key};
use super::super::{AuthPlugin, StringEscapes, Tls};
use super::{AUTH_PLUGINS, KIB, MIB, ON_OFF, STRING_ESCAPES, TIMEOUT_S_MAX, TLS_MODES};

pub(super) const COMETQL: &[Key] = &[
    Key {
        section: "cometql",
        name: "ip",
        shipped: true,
        applies: Applies::Restart,
        doc: "Address to listen on. Whoever reaches it and knows the password can publish; see tls below.",
        without_effect: None,
        field: Field::Address { get: |config| config.cometql.ip, set: |config, ip| config.cometql.ip = ip },
    },
    Key {
        section: "cometql",
        name: "port",
        shipped: true,
        applies: Applies::Restart,
        doc: "TCP port; 0 takes a free one.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 65_535,
            get: |config| config.cometql.port.into(),
            set: |config, number| config.cometql.port = number as u16,
        },
    },
    Key {
        section: "cometql",
        name: "query_bytes_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Longest statement in bytes; a longer one is refused with error 11 (CppComet: 8,999).",
        without_effect: None,
        field: Field::Number {
            min: 4 * KIB,
            max: 64 * MIB,
            get: |config| config.cometql.query_bytes_max as u64,
            set: |config, number| config.cometql.query_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "packet_bytes_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Longest packet in bytes; a longer one ends its session.",
        without_effect: None,
        field: Field::Number {
            min: 4 * KIB,
            max: 1024 * MIB,
            get: |config| config.cometql.packet_bytes_max as u64,
            set: |config, number| config.cometql.packet_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "result_bytes_max",
        shipped: false,
        applies: Applies::Now,
        doc: "What the rows of one answer may weigh in bytes where they have to be held together, as for ORDER BY; a statement that asks for more is refused with error 11. Other answers are sent as their rows come (CppComet dropped those beyond 1,000,000 bytes).",
        without_effect: None,
        field: Field::Number {
            min: 64 * KIB,
            max: 1024 * MIB,
            get: |config| config.cometql.result_bytes_max as u64,
            set: |config, number| config.cometql.result_bytes_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "sessions_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Sessions at the same time; more are refused.",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.cometql.sessions_max as u64,
            set: |config, number| config.cometql.sessions_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "tenant_sessions_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Sessions of one tenant at the same time that logged in with its own password, see [tenant N] at the end; more are refused with error 16. All such sessions together leave a tenth of sessions_max to the password of [main].",
        without_effect: None,
        field: Field::Number {
            min: 1,
            max: 1_000_000,
            get: |config| config.cometql.tenant_sessions_max as u64,
            set: |config, number| config.cometql.tenant_sessions_max = number as usize,
        },
    },
    Key {
        section: "cometql",
        name: "login_timeout_ms",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "Milliseconds from accept to a complete login.",
        without_effect: None,
        field: Field::Number {
            min: 100,
            max: 600_000,
            get: |config| config.cometql.login_timeout_ms.into(),
            set: |config, number| config.cometql.login_timeout_ms = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "login_attempts_max",
        shipped: false,
        applies: Applies::Now,
        doc: "Wrong passwords from one address after which its logins are refused with error 16, for 1 second at first and 60 at last; a right one ends that, unless it is a tenant's own. 0 never refuses.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: 1_000,
            get: |config| config.cometql.login_attempts_max.into(),
            set: |config, number| config.cometql.login_attempts_max = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "master_password_for_tenants",
        shipped: false,
        applies: Applies::Now,
        doc: "Whether the password of [main] also logs in tenants that have one of their own, see [tenant N] at the end. With off they use theirs only.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.cometql.master_password_for_tenants { "on" } else { "off" },
            set: |config, word| config.cometql.master_password_for_tenants = word == "on",
        },
    },
    Key {
        section: "cometql",
        name: "idle_timeout_s",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "Seconds without a statement after which a session ends; 0 never.",
        without_effect: None,
        field: Field::Number {
            min: 0,
            max: TIMEOUT_S_MAX,
            get: |config| config.cometql.idle_timeout_s.into(),
            set: |config, number| config.cometql.idle_timeout_s = number as u32,
        },
    },
    Key {
        section: "cometql",
        name: "select_without_key",
        shipped: false,
        applies: Applies::Now,
        doc: "Whether a SELECT that names no key gets all rows of its table, a page at a time. CppComet refused it with error 13, and with off it is refused here.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.cometql.select_without_key { "on" } else { "off" },
            set: |config, word| config.cometql.select_without_key = word == "on",
        },
    },
    Key {
        section: "cometql",
        name: "delete_counts",
        shipped: false,
        applies: Applies::Now,
        doc: "Report as affected rows of a DELETE how many are gone; CppComet always said 0.",
        without_effect: None,
        field: Field::Word {
            words: ON_OFF,
            get: |config| if config.cometql.delete_counts { "on" } else { "off" },
            set: |config, word| config.cometql.delete_counts = word == "on",
        },
    },
    Key {
        section: "cometql",
        name: "string_escapes",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "How backslashes in string literals are read: mysql decodes them, legacy leaves them in the text as CppComet did.",
        without_effect: None,
        field: Field::Word {
            words: STRING_ESCAPES,
            get: |config| match config.cometql.string_escapes {
                StringEscapes::Mysql => "mysql",
                StringEscapes::Legacy => "legacy",
            },
            set: |config, word| {
                config.cometql.string_escapes = match word {
                    "legacy" => StringEscapes::Legacy,
                    _ => StringEscapes::Mysql,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "auth_plugin",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "Method of logging in that is offered first; the other one is taken too. Old PHP knows the first only.",
        without_effect: None,
        field: Field::Word {
            words: AUTH_PLUGINS,
            get: |config| match config.cometql.auth_plugin {
                AuthPlugin::Native => "mysql_native_password",
                AuthPlugin::CachingSha2 => "caching_sha2_password",
            },
            set: |config, word| {
                config.cometql.auth_plugin = match word {
                    "caching_sha2_password" => AuthPlugin::CachingSha2,
                    _ => AuthPlugin::Native,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "tls",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "TLS for backends: on offers it to those that ask, required refuses logins without it with error 16.",
        without_effect: None,
        field: Field::Word {
            words: TLS_MODES,
            get: |config| match config.cometql.tls {
                Tls::Off => "off",
                Tls::On => "on",
                Tls::Required => "required",
            },
            set: |config, word| {
                config.cometql.tls = match word {
                    "on" => Tls::On,
                    "required" => Tls::Required,
                    _ => Tls::Off,
                }
            },
        },
    },
    Key {
        section: "cometql",
        name: "tls_cert",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "Certificate in PEM, with those that lead to its CA behind it, relative to the working directory. Without it a self-signed one is made at the first start with TLS and kept as cometql.crt in the data folder, its key as cometql.key.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.cometql.tls_cert.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.cometql.tls_cert = Some(PathBuf::from(text)),
        },
    },
    Key {
        section: "cometql",
        name: "tls_key",
        shipped: false,
        applies: Applies::NewConnections,
        doc: "Private key of tls_cert in PEM, relative to the working directory.",
        without_effect: None,
        field: Field::Text {
            bytes_max: 4096,
            secret: false,
            get: |config| config.cometql.tls_key.as_ref().map(|path| path.display().to_string()),
            set: |config, text| config.cometql.tls_key = Some(PathBuf::from(text)),
        },
    },
];
