//! Makes the parts of the server from its configuration, and starts them: storage first, because the shards begin with what
//! it holds, the shards last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use shards::{Changeable, EngineChoice, KeepAlive, Settings, ShardSettings};
use tracing::{info, warn};

use crate::config::{self, Config, Places, SendEngine};
use crate::drain::Drain;
use crate::hub::GivenOut;
use crate::model::ShardId;
use crate::ring::Placement;
use crate::storage::Beginning;

use super::board::Board;
use super::certificate::{self, Place};
use super::configured::{self, Fixed};
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
use super::sessions::{self, Sessions};
use super::storage::{self, StorageThread};
use super::{Running, StartError, bounds, clock, engine_name, kept, past};

/// Largest static file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Contents of static files that are being sent, each counted once.
const FILE_CONTENTS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Resolution of timeouts. Coarse, so that eight hours of silence can be told in 16 bits of ticks.
const TICK: Duration = Duration::from_secs(1);
const _: () = assert!(config::TIMEOUT_S_MAX < shards::TIMEOUT_TICKS_MAX as u64, "else the wheel would cut them");

/// Opens everything and returns when the server accepts connections.
///
/// A database that does not answer is waited for; `give_up` is asked meanwhile whether to go on. `beat`: how often somebody
/// looks whether all parts still turn, if anybody does.
pub fn start(
    config: &Config,
    places: &Places,
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
    let load = || InForce::load(config.clone(), password, None);
    let (in_force, configuration) = shards::weighed(load);
    let in_force = Arc::new(in_force?.with_settings(config, places));
    if in_force.tls.is_some() {
        info!(certificate = %place_of_certificate(config).certificate.display(), "CometQL has TLS");
    }

    let door = door::place(&config.storage.dir)
        .map_err(|door::Taken| StartError::SocketInUse(config.storage.dir.join(door::SOCKET_FILE)))?;
    let prepared = shards::prepare(settings(config, connection_shards, door.clone())).map_err(StartError::Shards)?;
    let (engine, wakers) = (prepared.engine(), prepared.wakers());
    let (desk, instructions) = control::desk();
    let notice = Notice::default();
    let (drains, board) = (Notice::default(), Board::new(connection_shards));
    let pulse = Pulse::new(all_shards, beat);
    let draining = Draining::new(drains.clone(), wakers.clone(), board.clone());
    let turning = pulse::Watch::new(pulse.clone(), wakers.clone());

    kept::guard(&config.storage.dir, config.main.shares_password());
    let mut store = storage::open(config, give_up).map_err(StartError::Storage)?.ok_or(StartError::GivenUp)?;
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
    let mut news = notice.reader();
    let told = Box::new(move || news.news().map(|in_force: Arc<InForce>| storage::Told::of(&in_force.config)));
    let retry = storage::retry(config);
    let storage_thread =
        StorageThread::start(storage_setup, store, wakers.clone(), board.clone(), pulse.clone(), retry, told)
            .map_err(StartError::Thread)?;

    let (file_thread, file_clients) = start_files(config, connection_shards, wakers.clone(), board.clone())?;

    let cometql_port = Arc::new(OnceLock::new());
    let scrape = Arc::new(Scrape::new(engine_name(engine), storage_name(config), board.clone()));
    let node_name = config.main.node_name.clone();
    let watch = Arc::new(Watch::new(u128::from_le_bytes(secret), &placement, board.clone(), node_name));
    let ends = Ends {
        storage: Mutex::new(storage_clients.into_iter().map(Some).collect()),
        files: Mutex::new(file_clients.into_iter().map(Some).collect()),
        beginnings: Mutex::new(beginnings.into_iter().map(Some).collect()),
        control: Mutex::new(Some(instructions)),
        notice: notice.clone(),
        ledger: Mutex::new(Some(ledger)),
        drains,
        pulse,
        scrape: scrape.clone(),
        watch: watch.clone(),
        board: board.clone(),
    };
    past::start(&watch.kept, config, board).map_err(StartError::Thread)?;
    let figures = watch.pipe();
    let fixed = Arc::new(Fixed { placement, given_out, figures, cometql_port: cometql_port.clone() });
    let control = Control::new(desk, wakers, notice, in_force.clone(), watch, draining, turning);
    let make = move |shard: u16| make_host(shard, &in_force, &fixed, &ends);
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
    watch: Arc<Watch>,
    scrape: Arc<Scrape>,
    board: Board,
}

fn settings(config: &Config, connection_shards: u16, door: Option<PathBuf>) -> Settings {
    let browsers = SocketAddr::new(config.ws.ip, config.ws.port);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Changeable { connections_max, queue_bytes_max, unread_bytes_max, waiting_bytes_max, busy_poll } =
        configured::of_browsers(config, connection_shards);
    let of_sessions = configured::of_sessions(config);
    let mut shards: Vec<ShardSettings> = (0..connection_shards)
        .map(|shard| ShardSettings {
            // The names of the threads, under which the dashboard shows them.
            name: format!("browsers-{shard}"),
            connections_max,
            queue_bytes_max,
            waiting_bytes_max,
            unsent_low_water: Some(bounds::UNSENT_LOW_WATER),
            unread_bytes_max,
            pin_to_core: config.ws.pin_cores.then(|| usize::from(shard) % cores),
            ..ShardSettings::new(format!("browsers-{shard}"), Some(browsers))
        })
        .collect();
    shards.push(ShardSettings {
        name: "cometql".to_owned(),
        connections_max: of_sessions.connections_max,
        queue_bytes_max: of_sessions.queue_bytes_max,
        waiting_bytes_max: of_sessions.waiting_bytes_max,
        unsent_low_water: Some(bounds::SESSIONS_UNSENT_LOW_WATER),
        unread_bytes_max: of_sessions.unread_bytes_max,
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
        busy_poll,
        stop_grace: Duration::from_millis(config.main.stop_grace_ms.into()),
        ..Settings::default()
    }
}

/// A backend whose machine is gone, or behind a firewall that forgot it, is noticed after two minutes and a half: its session
/// may be silent for hours.
const SESSION_KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_mins(1), interval: Duration::from_secs(30), probes: 3 };

fn make_host(shard: u16, in_force: &InForce, fixed: &Arc<Fixed>, ends: &Ends) -> Host {
    let storage = take(&ends.storage, shard).unwrap_or_else(storage::StorageClient::nowhere);
    let (shards, is_of_sessions) =
        (fixed.placement.connection_shards(), ShardId(shard) == fixed.placement.cometql_shard());
    let seen = host::Ends {
        board: ends.board.clone(),
        drains: ends.drains.reader(),
        pulse: ends.pulse.clone(),
        news: ends.notice.reader(),
        of_runtime: if is_of_sessions {
            Box::new(|in_force| configured::of_sessions(&in_force.config))
        } else {
            Box::new(move |in_force| configured::of_browsers(&in_force.config, shards))
        },
    };
    let fixed = fixed.clone();
    if is_of_sessions {
        let control = ends.control.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ledger = ends.ledger.lock().unwrap_or_else(PoisonError::into_inner).take();
        let config = fixed.sessions(in_force);
        let ends = sessions::Ends {
            storage,
            control: control.unwrap_or_else(ControlClient::nowhere),
            ledger: ledger.unwrap_or_else(LedgerClient::nowhere),
            in_force: ends.notice.reader(),
            configure: Box::new(move |in_force| fixed.sessions(in_force)),
            board: seen.board.clone(),
        };
        return Host::sessions(Sessions::new(config, ends), seen);
    }
    let beginning = take(&ends.beginnings, shard).unwrap_or_default();
    let config = fixed.browsers(ShardId(shard), in_force);
    let ends = front::Ends {
        shard: ShardId(shard),
        storage,
        files: take(&ends.files, shard),
        in_force: ends.notice.reader(),
        configure: Box::new(move |in_force| fixed.browsers(ShardId(shard), in_force)),
        watch: ends.watch.clone(),
        board: seen.board.clone(),
        scrape: ends.scrape.clone(),
    };
    Host::browsers(Front::new(config, beginning, ends), seen)
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
