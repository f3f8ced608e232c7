//! Makes the parts of the server from its configuration, and starts them: storage first, because the shards begin with what
//! it holds, the shards last.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use shards::{EngineChoice, KeepAlive, Settings, ShardSettings};
use tracing::{info, warn};

use crate::browsers::{About, BODIES_BYTES_MAX, BatchConfig, BrowserConfig, MetricsConfig, Pages, PollLimits};
use crate::cometql::exec::{self, ExecConfig};
use crate::cometql::session::{self, StatementLimits};
use crate::cometql::{sql, wire};
use crate::config::{self, AuthPlugin, Config, LogStatements, SendEngine, StringEscapes, Tenant, Tls};
use crate::drain::Drain;
use crate::http::HeadLimits;
use crate::hub::{self, GivenOut, HubConfig};
use crate::model::{DevId, ShardId};
use crate::ring::Placement;
use crate::storage::Beginning;
use crate::token::{NoPublicKey, TokenKey, TokenKeys};
use crate::ws;

use super::board::Board;
use super::certificate::{self, Place};
use super::control::{self, Control, ControlClient};
use super::door::{self, Socket};
use super::draining::Draining;
use super::figures::Watch;
use super::files::{self, FileLimits};
use super::front::{self, Front};
use super::host::{self, Host};
use super::in_force::InForce;
use super::ledger::{self, LedgerClient};
use super::notice::Notice;
use super::pulse::{self, Pulse};
use super::scrape::Scrape;
use super::sessions::{self, Sessions, SessionsConfig};
use super::storage::{self, StorageThread};
use super::{Running, StartError, bounds, clock, engine_name, kept, past};

/// Largest static file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Contents of static files that are being sent, each counted once.
const FILE_CONTENTS_BYTES_MAX: usize = 128 * 1024 * 1024;
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
/// How long a stopping server waits: half of it for answers that are under way, the rest for what is still being sent and
/// for peers to close. Far enough below the two seconds in which it has to end that a busy machine makes no difference.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Resolution of timeouts. Coarse, so that eight hours of silence can be told in 16 bits of ticks.
const TICK: Duration = Duration::from_secs(1);
const _: () = assert!(config::TIMEOUT_S_MAX < shards::TIMEOUT_TICKS_MAX as u64, "else the wheel would cut them");

/// Opens everything and returns when the server accepts connections.
///
/// A database that does not answer is waited for; `give_up` is asked meanwhile whether to go on. `beat`: how often somebody
/// looks whether all parts still turn, if anybody does.
pub fn start(
    config: Config,
    password: String,
    beat: Option<Duration>,
    give_up: &mut dyn FnMut() -> bool,
) -> Result<Running, StartError> {
    clock::start();
    let connection_shards = match config.ws.thread_num {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(usize::from(u16::MAX)) as u16),
        number => number,
    };
    let all_shards = connection_shards + 1;
    let (mut seeds, mut key, mut secret) = ([[0; 8]; 4], [0; 32], [0; 16]);
    let random = [seeds.as_flattened_mut(), &mut key, &mut secret];
    random.into_iter().try_for_each(getrandom::fill).map_err(StartError::Random)?;
    let placement = Placement::new(connection_shards, seeds.map(u64::from_le_bytes));
    let given_out = GivenOut::new(key);

    let tls = config.cometql.tls;
    let (in_force, configuration) = shards::weighed(|| InForce::load(config.clone()));
    let in_force = Arc::new(in_force?);
    if in_force.tls.is_some() {
        info!(certificate = %place_of_certificate(&config).certificate.display(), "CometQL has TLS");
    }

    let tokens = token_keys(&config, &password)?;

    let door = door::place(&config.storage.dir)
        .map_err(|door::Taken| StartError::SocketInUse(config.storage.dir.join(door::SOCKET_FILE)))?;
    let prepared = shards::prepare(settings(&config, connection_shards, door.clone())).map_err(StartError::Shards)?;
    let (engine, wakers) = (prepared.engine(), prepared.wakers());
    let (desk, instructions) = control::desk();
    let notice = Notice::default();
    let (drains, board) = (Notice::default(), Board::new(connection_shards));
    let pulse = Pulse::new(all_shards, beat);
    let draining = Draining::new(drains.clone(), wakers.clone(), board.clone());
    let watch = pulse::Watch::new(pulse.clone(), wakers.clone());
    let control = Control::new(desk, wakers.clone(), notice.clone(), in_force.clone(), draining, watch);

    kept::guard(&config.storage.dir);
    let mut store = storage::open(&config, give_up).map_err(StartError::Storage)?.ok_or(StartError::GivenUp)?;
    let storage_description = store.describe();
    let beginnings = store.beginning().map_err(StartError::Settings)?;
    if beginnings.ahead_s > 0 {
        let seconds = beginnings.ahead_s;
        warn!(
            seconds,
            "stored messages are from the future: the clock was ahead, or is behind; new ones go behind them"
        );
    }
    let beginnings =
        beginnings.split(usize::from(connection_shards), |pipe| usize::from(placement.owner_of_pipe(pipe).0));
    let cometql_shard = placement.cometql_shard();
    board.of_process(|process| process.memory_configuration = configuration as u64);
    let (storage_setup, storage_clients) = storage::channels(all_shards, config.storage.queue_max);
    let asker = wakers.get(usize::from(cometql_shard.0)).cloned();
    let ledger = ledger::start(board.clone(), storage_setup.answers.watched(), asker).map_err(StartError::Thread)?;
    let retry = Duration::from_secs(u64::from(config.storage.retry_s));
    let storage_thread =
        StorageThread::start(storage_setup, store, wakers.clone(), board.clone(), pulse.clone(), retry)
            .map_err(StartError::Thread)?;

    let (file_thread, file_clients) = start_files(&config, connection_shards, wakers, board.clone())?;

    let cometql_port = Arc::new(OnceLock::new());
    let scrape = Arc::new(Scrape::new(engine_name(engine), storage_name(&config), board.clone()));
    let ends = Ends {
        storage: Mutex::new(storage_clients.into_iter().map(Some).collect()),
        files: Mutex::new(file_clients.into_iter().map(Some).collect()),
        beginnings: Mutex::new(beginnings.into_iter().map(Some).collect()),
        control: Mutex::new(Some(instructions)),
        notice,
        ledger: Mutex::new(Some(ledger)),
        drains,
        pulse,
        tls: in_force.tls.clone(),
        tokens,
        cometql_port: cometql_port.clone(),
        scrape: scrape.clone(),
        watch: Arc::new(Watch::new(
            u128::from_le_bytes(secret),
            &placement,
            board.clone(),
            config.main.node_name.clone(),
        )),
    };
    past::start(&ends.watch.kept, &config, board.clone()).map_err(StartError::Thread)?;
    let make = move |shard: u16| make_host(shard, &config, &password, &given_out, &placement, &board, &ends);
    let running = prepared.start(make).map_err(StartError::Shards)?;
    scrape.set_shards_have_tables(running.own_descriptor_tables());
    let socket = door.and_then(|path| opened_door(path, running.door_failed()));
    let addresses = running.addresses();
    let address = |shard: u16| addresses.get(usize::from(shard)).copied().flatten().unwrap_or(NO_ADDRESS);
    let (browsers, cometql) = (address(0), address(cometql_shard.0));
    let _ = cometql_port.set(cometql.port());
    Ok(Running {
        control: Some(control),
        socket,
        browsers,
        cometql,
        tls,
        shards: running,
        connection_shards: usize::from(connection_shards),
        engine,
        storage: storage_description,
        storage_thread,
        file_thread,
    })
}

/// A server without its socket is as good as any, but for those who look after it.
fn opened_door(path: PathBuf, failed: Option<&std::io::Error>) -> Option<Socket> {
    let shown = path.display().to_string();
    let opened = match failed {
        Some(error) => Err(error.to_string()),
        None => Socket::at(path).map_err(|error| error.to_string()),
    };
    opened.map_err(|error| warn!(path = shown, error, "no socket: it cannot be made there")).ok()
}

/// The thread of static files, if there are any, and the shards' ends.
fn start_files(
    config: &Config,
    connection_shards: u16,
    wakers: Vec<shards::Waker>,
    board: Board,
) -> Result<(Option<JoinHandle<()>>, Vec<files::FileClient>), StartError> {
    let Some(root) = &config.main.base_dir else { return Ok((None, Vec::new())) };
    let (setup, clients) = files::channels(connection_shards);
    let limits = FileLimits { bytes_max: FILE_BYTES_MAX, contents_bytes_max: FILE_CONTENTS_BYTES_MAX };
    let thread = files::start(setup, root.clone(), limits, wakers, board).map_err(StartError::Thread)?;
    Ok((Some(thread), clients))
}

fn storage_name(config: &Config) -> &'static str {
    if config.db.name.is_some() { "mysql" } else { "sqlite" }
}

/// The connection shards' listener is service 0.
const COMETQL_SERVICE: u16 = 1;

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

/// Stands for a listener that does not exist.
const NO_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The shards' ends of channels, each taken once, in its shard's thread; what TLS sessions are made from; and the port
/// of CometQL, which pages tell once it is known.
struct Ends {
    storage: Mutex<Vec<Option<storage::StorageClient>>>,
    files: Mutex<Vec<Option<files::FileClient>>>,
    beginnings: Mutex<Vec<Option<Beginning>>>,
    control: Mutex<Option<ControlClient>>,
    notice: Notice<InForce>,
    ledger: Mutex<Option<LedgerClient>>,
    drains: Notice<Option<Drain>>,
    pulse: Pulse,
    tls: Option<Arc<rustls::ServerConfig>>,
    tokens: TokenKeys,
    cometql_port: Arc<OnceLock<u16>>,
    watch: Arc<Watch>,
    scrape: Arc<Scrape>,
}

fn settings(config: &Config, connection_shards: u16, door: Option<PathBuf>) -> Settings {
    let browsers = SocketAddr::new(config.ws.ip, config.ws.port);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let waiting = bounds::Waiting::of_a_shard(&config.ws, connection_shards);
    let mut shards: Vec<ShardSettings> = (0..connection_shards)
        .map(|shard| ShardSettings {
            // The names of the threads, under which the dashboard shows them.
            name: format!("browsers-{shard}"),
            connections_max: config.ws.connections_max as u32,
            queue_bytes_max: config.ws.queue_bytes_max,
            waiting_bytes_max: waiting.sockets,
            unsent_low_water: Some(bounds::UNSENT_LOW_WATER),
            // A frame with its head, and as much again of what follows it.
            unread_bytes_max: (2 * config.ws.message_bytes_max).max(UNREAD_BYTES_MIN),
            pin_to_core: config.ws.pin_cores.then(|| usize::from(shard) % cores),
            ..ShardSettings::new(format!("browsers-{shard}"), Some(browsers))
        })
        .collect();
    shards.push(ShardSettings {
        name: "cometql".to_owned(),
        connections_max: config.cometql.sessions_max as u32,
        queue_bytes_max: config.cometql.packet_bytes_max,
        waiting_bytes_max: bounds::SESSIONS_WAITING_BYTES_MAX.max(4 * config.cometql.packet_bytes_max),
        unsent_low_water: Some(bounds::SESSIONS_UNSENT_LOW_WATER),
        unread_bytes_max: wire::BORROWED_MAX * 2,
        service: COMETQL_SERVICE,
        door,
        keep_alive: Some(SESSION_KEEP_ALIVE),
        ..ShardSettings::new("cometql", Some(SocketAddr::new(config.cometql.ip, config.cometql.port)))
    });
    Settings {
        shards,
        engine: match config.ws.send_engine {
            SendEngine::Auto => EngineChoice::Auto,
            SendEngine::IoUring => EngineChoice::IoUring,
            SendEngine::Plain => EngineChoice::Plain,
        },
        tick: TICK,
        busy_poll: Duration::from_micros(u64::from(config.ws.busy_poll_us)),
        stop_grace: STOP_GRACE,
        ..Settings::default()
    }
}

/// A backend whose machine is gone, or behind a firewall that forgot it, is noticed after two minutes and a half: its session
/// may be silent for hours.
const SESSION_KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_mins(1), interval: Duration::from_secs(30), probes: 3 };

/// A request head of the largest size must fit.
const UNREAD_BYTES_MIN: usize = 64 * 1024;

fn make_host(
    shard: u16,
    config: &Config,
    password: &str,
    given_out: &GivenOut,
    placement: &Placement,
    board: &Board,
    ends: &Ends,
) -> Host {
    let storage = take(&ends.storage, shard).unwrap_or_else(storage::StorageClient::nowhere);
    let seen = host::Ends { board: board.clone(), drains: ends.drains.reader(), pulse: ends.pulse.clone() };
    if ShardId(shard) == placement.cometql_shard() {
        let config = SessionsConfig {
            exec: exec_config(config, password, placement, ends.cometql_port.clone()),
            login_timeout: Duration::from_millis(u64::from(config.cometql.login_timeout_ms)),
            idle_timeout: Duration::from_secs(u64::from(config.cometql.idle_timeout_s)),
            tls: ends.tls.clone(),
        };
        let session_ends = sessions::Ends {
            storage,
            control: ends
                .control
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_else(ControlClient::nowhere),
            ledger: ends
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .unwrap_or_else(LedgerClient::nowhere),
            in_force: ends.notice.reader(),
            board: board.clone(),
        };
        return Host::sessions(Sessions::new(config, session_ends), seen);
    }
    let beginning = take(&ends.beginnings, shard).unwrap_or_default();
    let config = browser_config(ShardId(shard), config, given_out, placement, ends);
    let ends = front::Ends {
        shard: ShardId(shard),
        storage,
        files: take(&ends.files, shard),
        watch: ends.watch.clone(),
        board: board.clone(),
        scrape: ends.scrape.clone(),
    };
    Host::browsers(Front::new(config, beginning, ends), seen)
}

fn browser_config(
    shard: ShardId,
    config: &Config,
    given_out: &GivenOut,
    placement: &Placement,
    ends: &Ends,
) -> BrowserConfig {
    let content_types: HashMap<String, String> = match config.main.base_dir {
        Some(_) => config.content_types.0.clone().into_iter().collect(),
        None => HashMap::new(),
    };
    let frame_bytes_max = config.ws.message_bytes_max;
    BrowserConfig {
        hub: hub_config(shard, config, given_out, placement, ends),
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
            ends.cometql_port.clone(),
            About::new(config, password_file(config)),
            content_types,
        )),
        polls: PollLimits {
            connections_max: POLLED_PER_SHARD_MAX,
            bytes_max: config.ws.queue_bytes_max,
            bytes_of_all_max: bounds::Waiting::of_a_shard(&config.ws, placement.connection_shards()).polled,
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
        figures: ends.watch.pipe(),
    }
}

fn hub_config(shard: ShardId, config: &Config, given_out: &GivenOut, placement: &Placement, ends: &Ends) -> HubConfig {
    HubConfig {
        shard,
        placement: placement.clone(),
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
        },
        offline_grace: u64::from(config.main.offline_grace_s) * 1_000_000,
        settings_max: SETTINGS_PER_SHARD_MAX,
        tenant_settings_max: SETTINGS_PER_SHARD_MAX / 4,
        history_bytes_max: config.ws.queue_bytes_max / 2,
        tokens: ends.tokens.clone(),
        given_out: given_out.clone(),
        departed_max: DEPARTED_MAX,
    }
}

/// One of their secrets, of the tenants that have it.
fn secrets(config: &Config, of: impl Fn(&Tenant) -> Option<&str>) -> BTreeMap<DevId, Box<str>> {
    let tenants = config.tenants.0.iter();
    tenants.filter_map(|(number, tenant)| Some((DevId(*number), of(tenant)?.into()))).collect()
}

/// What tokens are checked with; public keys are read from their files.
fn token_keys(config: &Config, password: &str) -> Result<TokenKeys, StartError> {
    let public = |algorithm, path: &Path| -> Result<TokenKey, StartError> {
        let pem = certificate::read(path).map_err(StartError::Certificate)?;
        let refused = |NoPublicKey| StartError::TokenKey { path: path.to_owned(), algorithm };
        TokenKey::public(algorithm, &pem).map_err(refused)
    };
    let jwt = &config.jwt;
    let shared = match (&jwt.public_key, &jwt.secret) {
        (Some(path), _) => Some(public(jwt.algorithm, path)?),
        (None, secret) => secret.as_ref().map(|secret| TokenKey::secret(secret.as_bytes())),
    };
    let mut tenants = BTreeMap::new();
    for (number, tenant) in &config.tenants.0 {
        let key = match (tenant.public_key(), &tenant.jwt_secret) {
            (Some((algorithm, path)), _) => public(algorithm, Path::new(path))?,
            (None, Some(secret)) => TokenKey::secret(secret.as_bytes()),
            (None, None) => continue,
        };
        tenants.insert(DevId(*number), key);
    }
    Ok(TokenKeys::new(password, tenants).with_shared(shared).with_leeway(jwt.leeway_s))
}

fn exec_config(config: &Config, password: &str, placement: &Placement, port: Arc<OnceLock<u16>>) -> ExecConfig {
    let query_bytes_max = config.cometql.query_bytes_max;
    ExecConfig {
        placement: placement.clone(),
        password: password.into(),
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
            port,
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

/// What clients of this machine may compare the certificate of CometQL with.
pub fn certificate_file(config: &Config) -> PathBuf {
    place_of_certificate(config).certificate
}

/// The configured files, else our own in the data folder.
pub(super) fn place_of_certificate(config: &Config) -> Place {
    let own = |name| config.storage.dir.join(name);
    match (&config.cometql.tls_cert, &config.cometql.tls_key) {
        (Some(certificate), Some(key)) => Place { certificate: certificate.clone(), key: key.clone(), own: false },
        _ => Place { certificate: own(certificate::CERTIFICATE_FILE), key: own(certificate::KEY_FILE), own: true },
    }
}

/// Where clients of this machine and of others may find CometQL, for a certificate of our own.
pub(super) fn names_of_certificate(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !config.cometql.ip.is_unspecified() && !config.cometql.ip.is_loopback() {
        names.push(config.cometql.ip.to_string());
    }
    let host = rustix::system::uname();
    let host = host.nodename().to_str().unwrap_or_default();
    let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if is_name && host != "localhost" {
        names.push(host.to_owned());
    }
    names
}

fn take<T>(ends: &Mutex<Vec<Option<T>>>, shard: u16) -> Option<T> {
    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
    ends.get_mut(usize::from(shard)).and_then(Option::take)
}
