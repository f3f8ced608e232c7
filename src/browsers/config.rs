//! How the connection shards are set up.

use std::sync::Arc;
use std::time::Duration;

use crate::http;
use crate::hub::HubConfig;
use crate::model::{Network, PipeKey, RealIpHeader};
use crate::ws;

use super::{BatchConfig, MetricsConfig, Pages, PollLimits};

pub(crate) struct BrowserConfig {
    pub(crate) hub: HubConfig,
    pub(crate) frames: ws::Limits,
    /// Commands of one connection; what is beyond waits for the next second. Zero: no limit.
    pub(crate) commands_per_second_max: u32,
    /// Whether messages are compressed for clients that offer it.
    pub(crate) deflate: bool,
    pub(crate) heads: http::HeadLimits,
    /// Tenants are 0 to this minus one.
    pub(crate) dev_max: u32,
    /// Hosts whose pages may connect; empty: all.
    pub(crate) origins: Vec<String>,
    /// Peers that name the browser whose request they pass on, and where they do.
    pub(crate) trusted_proxies: Arc<[Network]>,
    pub(crate) real_ip_header: RealIpHeader,
    pub(crate) handshake_timeout: Duration,
    /// Zero: never ping.
    pub(crate) ping_interval: Duration,
    /// Connections that are older are asked to move; zero: none are.
    pub(crate) connection_age_max: Duration,
    /// Fragmented messages open at the same time; with a further one the oldest ends its connection.
    pub(crate) fragments_max: usize,
    /// Bytes of all of them; with more the same happens.
    pub(crate) fragments_bytes_max: usize,
    pub(crate) pages: Arc<Pages>,
    pub(crate) polls: PollLimits,
    pub(crate) batches: BatchConfig,
    pub(crate) metrics: MetricsConfig,
    /// Where the server's figures go.
    pub(crate) figures: Arc<PipeKey>,
}
