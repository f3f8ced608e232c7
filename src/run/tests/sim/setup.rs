//! How the shards of the simulated world are set up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::browsers::{About, BatchConfig, BrowserConfig, MetricsConfig, Pages, PollLimits};
use crate::cometql::exec::{ExecConfig, Tell, Tenants, Tls};
use crate::cometql::session::{self, StatementLimits};
use crate::cometql::{sql, wire};
use crate::config::ByHttp;
use crate::http::HeadLimits;
use crate::hub::{self, GivenOut, HubConfig};
use crate::model::{RealIpHeader, ShardId};
use crate::ring::Placement;
use crate::run::board::Board;
use crate::run::figures::Watch;
use crate::run::front::{Ends, Front};
use crate::run::in_force::InForce;
use crate::run::notice::NoticeReader;
use crate::run::scrape::Scrape;
use crate::run::sessions::SessionsConfig;
use crate::run::storage::StorageClient;
use crate::storage::Beginning;
use crate::token::TokenKeys;
use crate::ws;

use super::session::PASSWORD;

pub(super) fn browser_config(
    shard: ShardId,
    placement: &Placement,
    arrivals_bytes_max: usize,
    ping_interval: Duration,
    page_bytes_max: usize,
) -> BrowserConfig {
    BrowserConfig {
        hub: HubConfig {
            shard,
            placement: placement.clone(),
            pipes_per_connection_max: 16,
            pipes_max: 100,
            arrivals_bytes_max,
            save_last_seen: true,
            announce_online: true,
            announce_offline: true,
            devices_max: 2,
            connections_per_user_max: 1_024,
            limits: hub::Limits::default(),
            offline_grace: 0,
            settings_max: 100,
            tenant_settings_max: 100,
            history_bytes_max: page_bytes_max,
            tokens: TokenKeys::new(PASSWORD, BTreeMap::new()),
            given_out: GivenOut::new([7; 32]),
            departed_max: 100,
        },
        deflate: false,
        commands_per_second_max: 0,
        frames: ws::Limits { frame_bytes_max: 10_000, message_bytes_max: 10_000 },
        heads: HeadLimits::default(),
        dev_max: 10,
        origins: Vec::new(),
        trusted_proxies: Arc::default(),
        real_ip_header: RealIpHeader::default(),
        handshake_timeout: Duration::from_secs(10),
        ping_interval,
        connection_age_max: Duration::ZERO,
        fragments_max: 10,
        fragments_bytes_max: 100_000,
        pages: Arc::new(Pages::new(
            Arc::new(OnceLock::new()),
            About { node_name: "simulated".to_owned(), ..About::default() },
            HashMap::new(),
        )),
        polls: PollLimits { connections_max: 100, bytes_max: page_bytes_max, bytes_of_all_max: 1 << 30 },
        batches: BatchConfig { allowed: ByHttp::On, body_bytes_max: 100_000 },
        metrics: MetricsConfig { allowed: ByHttp::On, token: None },
        figures: watch(placement).pipe(),
    }
}

fn watch(placement: &Placement) -> Watch {
    Watch::new(0, placement, Board::default(), String::new())
}

/// A connection shard's edge, of which nobody sees the figures.
pub(super) fn front(
    config: BrowserConfig,
    beginning: Beginning,
    storage: StorageClient,
    in_force: NoticeReader<InForce>,
    configure: Box<dyn Fn(&InForce) -> BrowserConfig>,
) -> Front {
    let watch = Arc::new(watch(&config.hub.placement));
    let scrape = Arc::new(Scrape::new("simulated", "simulated", Board::default()));
    let ends = Ends {
        shard: config.hub.shard,
        storage,
        files: None,
        in_force,
        configure,
        watch,
        board: Board::default(),
        scrape,
    };
    Front::new(config, beginning, ends)
}

pub(super) fn session_config(placement: &Placement, pipeline_max: usize) -> SessionsConfig {
    SessionsConfig {
        exec: ExecConfig {
            placement: placement.clone(),
            password: PASSWORD.into(),
            packets: wire::Limits::default(),
            statements: StatementLimits::default(),
            escapes: sql::StringEscapes::Mysql,
            server: session::Server {
                version: wire::SERVER_VERSION,
                host_name: "a-machine".into(),
                port: Arc::new(3306.into()),
                settings: Arc::default(),
            },
            method: wire::Method::Native,
            pipeline_max,
            tenant_sessions_max: 100,
            tenants_sessions_max: 100,
            held_bytes_max: 256 * 1024 * 1024,
            kept_bytes_max: usize::MAX,
            login_attempts_max: 5,
            tls: Tls::Off,
            tenants: Tenants::default(),
            delete_counts: true,
            tell: Tell::Nothing,
        },
        // The clock may leap before the first session has logged in, and that one has to stay.
        login_timeout: Duration::from_secs(100_000),
        idle_timeout: Duration::ZERO,
        tls: None,
    }
}

/// Of a placement, from one number.
pub(super) fn seeds(seed: u64) -> [u64; 4] {
    [seed, seed.rotate_left(17), !seed, seed.rotate_right(23)]
}
