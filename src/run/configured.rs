//! What the parts of the server are told, made from what is in force: at their start, and again whenever that is another.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shards::Changeable;

use crate::browsers::{About, BODIES_BYTES_MAX, BatchConfig, BrowserConfig, MetricsConfig, Pages, PollLimits};
use crate::cometql::exec::{self, ExecConfig};
use crate::cometql::session::{self, StatementLimits};
use crate::cometql::{sql, wire};
use crate::config::{AuthPlugin, Config, LogStatements, StringEscapes, Tenant, Tls};
use crate::http::HeadLimits;
use crate::hub::{self, GivenOut, HubConfig};
use crate::model::{DevId, PipeKey, ShardId};
use crate::ring::Placement;
use crate::ws;

use super::in_force::InForce;
use super::sessions::SessionsConfig;
use super::{bounds, kept};

/// Pipes with subscribers on one shard.
const PIPES_PER_SHARD_MAX: usize = 10_000_000;

/// Users of one shard whose time of leaving may wait for storage.
const DEPARTED_MAX: usize = 1_000_000;

/// Fragmented messages that may be open on one shard at a time.
const FRAGMENTS_MAX: usize = 1024;

/// What they may hold together; two messages of the largest size fit in any case.
const FRAGMENTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Pipes with a setting that one shard owns.
const SETTINGS_PER_SHARD_MAX: usize = 1_000_000;

/// Connections of one shard that are polled for.
const POLLED_PER_SHARD_MAX: usize = 65_536;

/// Statements of one session under way.
const PIPELINE_MAX: usize = 1024;

/// What sessions hold of what their clients sent and is not complete yet.
const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Rows that all sessions hold, most of them for ORDER BY; two of the longest answers at least.
const HELD_ROWS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A request head of the largest size must fit.
const UNREAD_BYTES_MIN: usize = 64 * 1024;

/// What does not change while the server runs.
pub(super) struct Fixed {
    pub(super) placement: Placement,
    pub(super) given_out: GivenOut,
    /// Where the server's figures go.
    pub(super) figures: Arc<PipeKey>,
    /// Known once every shard listens.
    pub(super) cometql_port: Arc<OnceLock<u16>>,
}

impl Fixed {
    /// A connection shard's.
    pub(super) fn browsers(&self, shard: ShardId, in_force: &InForce) -> BrowserConfig {
        let config = &in_force.config;
        let content_types: HashMap<String, String> = match config.main.base_dir {
            Some(_) => config.content_types.0.clone().into_iter().collect(),
            None => HashMap::new(),
        };
        let frame_bytes_max = config.ws.message_bytes_max;
        BrowserConfig {
            hub: self.hub(shard, in_force),
            frames: ws::Limits { frame_bytes_max, message_bytes_max: frame_bytes_max },
            deflate: config.ws.deflate,
            commands_per_second_max: config.ws.messages_per_connection_per_s,
            heads: HeadLimits::default(),
            dev_max: config.main.dev_index_size,
            origins: config.ws.hosts.clone(),
            trusted_proxies: config.ws.trusted_proxies.as_slice().into(),
            real_ip_header: config.ws.real_ip_header,
            handshake_timeout: Duration::from_millis(u64::from(config.ws.handshake_timeout_ms)),
            ping_interval: Duration::from_secs(u64::from(config.ws.ping_interval_s)),
            connection_age_max: Duration::from_secs(u64::from(config.ws.connection_age_max_s)),
            fragments_max: FRAGMENTS_MAX,
            // An assembler grows by doubling.
            fragments_bytes_max: FRAGMENTS_BYTES_MAX.max(frame_bytes_max.saturating_mul(4)),
            pages: Arc::new(Pages::new(
                self.cometql_port.clone(),
                About::new(config, password_file(config)),
                content_types,
            )),
            polls: PollLimits {
                connections_max: POLLED_PER_SHARD_MAX,
                bytes_max: config.ws.queue_bytes_max,
                bytes_of_all_max: bounds::Waiting::of_a_shard(&config.ws, self.placement.connection_shards()).polled,
            },
            metrics: MetricsConfig {
                allowed: config.ws.metrics,
                token: config.ws.metrics_token.as_deref().map(Into::into),
            },
            batches: BatchConfig {
                allowed: config.ws.cometql,
                // As a text in JSON a statement may be twice as long.
                body_bytes_max: (2 * config.cometql.query_bytes_max).clamp(UNREAD_BYTES_MIN, BODIES_BYTES_MAX),
            },
            figures: self.figures.clone(),
        }
    }

    fn hub(&self, shard: ShardId, in_force: &InForce) -> HubConfig {
        let config = &in_force.config;
        HubConfig {
            shard,
            placement: self.placement.clone(),
            pipes_per_connection_max: config.ws.pipes_max,
            pipes_max: PIPES_PER_SHARD_MAX,
            // A joined write is far below what makes a consumer slow.
            arrivals_bytes_max: config.ws.queue_bytes_max / 8,
            save_last_seen: config.main.save_users_last_online_time,
            announce_online: config.main.send_user_online_events,
            announce_offline: config.main.send_user_offline_events,
            devices_max: config.ws.devices_max,
            connections_per_user_max: config.ws.connections_per_user_max,
            limits: hub::Limits {
                connections_per_address_max: config.ws.connections_per_address_max,
                connects_per_address_per_s: config.ws.connects_per_address_per_s,
                publications_per_user_per_s: config.ws.publications_per_user_per_s,
                key_attempts_max: config.ws.key_attempts_max,
                exempt: config.ws.trusted_proxies.as_slice().into(),
                counting: in_force.counting,
                last_counting: in_force.last_counting,
            },
            offline_grace: u64::from(config.main.offline_grace_s) * 1_000_000,
            settings_max: SETTINGS_PER_SHARD_MAX,
            tenant_settings_max: SETTINGS_PER_SHARD_MAX / 4,
            history_bytes_max: config.ws.queue_bytes_max / 2,
            tokens: in_force.tokens.clone(),
            given_out: self.given_out.clone(),
            departed_max: DEPARTED_MAX,
        }
    }

    /// The sessions' shard's.
    pub(super) fn sessions(&self, in_force: &InForce) -> SessionsConfig {
        let config = &in_force.config.cometql;
        SessionsConfig {
            exec: self.exec(in_force),
            login_timeout: Duration::from_millis(u64::from(config.login_timeout_ms)),
            idle_timeout: Duration::from_secs(u64::from(config.idle_timeout_s)),
            tls: in_force.tls.clone(),
        }
    }

    fn exec(&self, in_force: &InForce) -> ExecConfig {
        let config = &in_force.config;
        let query_bytes_max = config.cometql.query_bytes_max;
        ExecConfig {
            placement: self.placement.clone(),
            password: in_force.password.clone(),
            tenants: exec::Tenants {
                passwords: Arc::new(secrets(config, |tenant| tenant.password.as_deref())),
                own_only: !config.cometql.master_password_for_tenants,
            },
            packets: wire::Limits {
                packet_max: config.cometql.packet_bytes_max,
                query_max: config.cometql.query_bytes_max,
                ..wire::Limits::default()
            },
            statements: StatementLimits {
                query_bytes_max,
                message_bytes_max: query_bytes_max,
                user_data_bytes_max: query_bytes_max,
                result_bytes_max: config.cometql.result_bytes_max,
                dev_max: config.main.dev_index_size.saturating_sub(1),
                sessions_max: config.cometql.sessions_max,
                lists_tables: config.cometql.select_without_key,
                // MySQL has no never; this is the longest that it has.
                idle_s: if config.cometql.idle_timeout_s == 0 { 31_536_000 } else { config.cometql.idle_timeout_s },
            },
            escapes: match config.cometql.string_escapes {
                StringEscapes::Mysql => sql::StringEscapes::Mysql,
                StringEscapes::Legacy => sql::StringEscapes::Legacy,
            },
            server: session::Server {
                version: wire::SERVER_VERSION,
                host_name: rustix::system::uname().nodename().to_string_lossy().into(),
                port: self.cometql_port.clone(),
                settings: in_force.settings.clone(),
            },
            method: match config.cometql.auth_plugin {
                AuthPlugin::Native => wire::Method::Native,
                AuthPlugin::CachingSha2 => wire::Method::CachingSha2,
            },
            pipeline_max: PIPELINE_MAX,
            tenant_sessions_max: config.cometql.tenant_sessions_max,
            // The rest is for whoever has the server's password, also when tenants want all they can get.
            tenants_sessions_max: (config.cometql.sessions_max - config.cometql.sessions_max / 10).max(1),
            kept_bytes_max: KEPT_BYTES_MAX.max(config.cometql.packet_bytes_max.saturating_mul(2)),
            held_bytes_max: HELD_ROWS_BYTES_MAX.max(config.cometql.result_bytes_max.saturating_mul(2)),
            login_attempts_max: config.cometql.login_attempts_max,
            delete_counts: config.cometql.delete_counts,
            tell: match config.log.statements {
                LogStatements::Off => exec::Tell::Nothing,
                LogStatements::On => exec::Tell::Statements,
                LogStatements::Texts => exec::Tell::Texts,
            },
            tls: match config.cometql.tls {
                Tls::Off => exec::Tls::Off,
                Tls::On => exec::Tls::Offered,
                Tls::Required => exec::Tls::Required,
            },
        }
    }
}

/// The runtime of a connection shard, of so many.
pub(super) fn of_browsers(config: &Config, connection_shards: u16) -> Changeable {
    Changeable {
        connections_max: config.ws.connections_max as u32,
        queue_bytes_max: config.ws.queue_bytes_max,
        waiting_bytes_max: bounds::Waiting::of_a_shard(&config.ws, connection_shards).sockets,
        // A frame with its head, and as much again of what follows it.
        unread_bytes_max: (2 * config.ws.message_bytes_max).max(UNREAD_BYTES_MIN),
        busy_poll: busy_poll(config),
    }
}

/// The runtime of the sessions' shard.
pub(super) fn of_sessions(config: &Config) -> Changeable {
    Changeable {
        connections_max: config.cometql.sessions_max as u32,
        queue_bytes_max: config.cometql.packet_bytes_max,
        waiting_bytes_max: bounds::SESSIONS_WAITING_BYTES_MAX.max(4 * config.cometql.packet_bytes_max),
        unread_bytes_max: wire::BORROWED_MAX * 2,
        busy_poll: busy_poll(config),
    }
}

fn busy_poll(config: &Config) -> Duration {
    Duration::from_micros(u64::from(config.ws.busy_poll_us))
}

/// Where pages tell people to look for the password. Only a plain path from the server's folder: a configured password is
/// nowhere to be read, and other paths are not for everybody to know.
fn password_file(config: &Config) -> String {
    let dir = config.storage.dir.strip_prefix("./").unwrap_or(&config.storage.dir);
    let file = dir.join(kept::PASSWORD_FILE);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match file.to_str() {
        Some(file) if config.main.password.is_none() && dir.is_relative() && file.bytes().all(is_plain) => {
            file.to_owned()
        }
        _ => String::new(),
    }
}

/// One of their secrets, of the tenants that have it.
fn secrets(config: &Config, of: impl Fn(&Tenant) -> Option<&str>) -> BTreeMap<DevId, Box<str>> {
    let tenants = config.tenants.0.iter();
    tenants.filter_map(|(number, tenant)| Some((DevId(*number), of(tenant)?.into()))).collect()
}
