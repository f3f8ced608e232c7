//! From settings to running threads, and what can go wrong on the way.
//!
//! Shards are started one after the other: each opens all that it needs in its own thread and reports, and only when
//! all have done so does any of them begin to turn. So a start either succeeds as a whole or leaves nothing behind.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::core::Core;
use crate::host::Host;
use crate::linux::{EventFd, Linux};
use crate::listen;
use crate::mesh::{Endpoint, Mesh};
use crate::sender::{self, Sender};
use crate::settings::{
    EngineChoice, FAN_OUT_SLICE_MAX, READ_BUFFER_MAX, READ_BUFFER_MIN, SHARDS_MAX, Settings, TICK_MIN,
};
use crate::shard::{EVENTS_MAX, Shard};
use crate::stats::Engine;
use crate::stop::{Leaving, Stop, Stopping};
use crate::table;
use crate::waker::Waker;

/// Why the runtime could not be started.
#[derive(Debug)]
pub enum StartError {
    /// Configuration: these settings make no sense.
    Settings(&'static str),
    /// Environment: somebody else listens there.
    AddressInUse(SocketAddr),
    /// Environment: this port needs a right that the process does not have.
    PermissionDenied(SocketAddr),
    /// Configuration: no network interface of this machine has this address.
    AddressNotAvailable(SocketAddr),
    /// Environment: any other failure to listen.
    Listen(SocketAddr, io::Error),
    /// Environment: `io_uring` was demanded, and the system refuses it.
    IoUringRefused(io::Error),
    /// Configuration: the core to bind a shard to does not exist, or may not be used.
    CannotPin(usize, io::Error),
    /// Environment: the system refused a thread, a poll or an eventfd.
    System(io::Error),
    /// Our or the host's bug: the thread of this shard ended while it was starting.
    Panicked(u16),
}

impl StartError {
    pub(crate) fn of_address(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(address),
            io::ErrorKind::AddrNotAvailable => Self::AddressNotAvailable(address),
            _ => Self::Listen(address, error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(what) => write!(f, "the settings are wrong: {what}"),
            Self::AddressInUse(address) => write!(f, "another process already listens at {address}"),
            Self::PermissionDenied(address) => write!(f, "this process may not listen at {address}"),
            Self::AddressNotAvailable(address) => write!(f, "this machine has no such address: {address}"),
            Self::Listen(address, error) => write!(f, "cannot listen at {address}: {error}"),
            Self::IoUringRefused(error) => write!(f, "io_uring is demanded but does not work here: {error}"),
            Self::CannotPin(core, error) => write!(f, "cannot bind a shard to core {core}: {error}"),
            Self::System(error) => write!(f, "the system refused what a shard needs: {error}"),
            Self::Panicked(shard) => write!(f, "shard {shard} failed while it was starting"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) | Self::IoUringRefused(error) | Self::CannotPin(_, error) | Self::System(error) => {
                Some(error)
            }
            _ => None,
        }
    }
}

/// A shard ended by a bug or because the system's poll failed, and all others were stopped because of it.
#[derive(Debug)]
pub struct Panicked {
    pub shard: u16,
    /// What it said.
    pub text: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} failed: {}", self.shard, self.text)
    }
}

impl std::error::Error for Panicked {}

/// Checks the settings and the ports, makes the wakers and tries the engine. Opens nothing else and starts nothing.
pub fn prepare(settings: Settings) -> Result<Prepared, StartError> {
    check(&settings)?;
    let mut addresses: Vec<SocketAddr> = settings.shards.iter().filter_map(|shard| shard.listen).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.into_iter().try_for_each(listen::probe)?;
    let engine = match settings.engine {
        EngineChoice::Plain => Engine::Plain,
        EngineChoice::Auto => sender::probe().map_or(Engine::Plain, |()| Engine::IoUring),
        EngineChoice::IoUring => {
            sender::probe().map_err(StartError::IoUringRefused)?;
            Engine::IoUring
        }
    };
    let wakers: io::Result<Vec<Waker>> = settings.shards.iter().map(|_| Waker::new()).collect();
    Ok(Prepared { wakers: wakers.map_err(StartError::System)?, settings, engine })
}

fn check(settings: &Settings) -> Result<(), StartError> {
    let rules = [
        (settings.shards.is_empty(), "at least one shard is needed"),
        (settings.shards.len() > SHARDS_MAX, "there are more than 512 shards"),
        (settings.ring_capacity == 0, "the rings hold no message"),
        (settings.tick < TICK_MIN, "the tick is shorter than a millisecond"),
        (settings.messages_per_turn == 0, "a turn takes no message"),
        (!(1..=FAN_OUT_SLICE_MAX).contains(&settings.fan_out_slice), "the fan-out slice is not within 1 to 4096"),
    ];
    let shard_rules = settings.shards.iter().flat_map(|shard| {
        let buffer = READ_BUFFER_MIN..=READ_BUFFER_MAX;
        [
            (!buffer.contains(&shard.read_buffer), "a read buffer is not within 4 KiB to 16 MiB"),
            (shard.name.contains('\0'), "a shard's name contains a zero byte"),
        ]
    });
    match rules.into_iter().chain(shard_rules).find(|(broken, _)| *broken) {
        Some((_, text)) => Err(StartError::Settings(text)),
        None => Ok(()),
    }
}

/// Everything that is made before the first thread.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    wakers: Vec<Waker>,
    engine: Engine,
}

impl Prepared {
    /// One per shard, in their order. May be used before the start: the shard finds the call when it begins.
    pub fn wakers(&self) -> Vec<Waker> {
        self.wakers.clone()
    }

    /// How fan-outs will be sent.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Starts all shards. `make` makes the host of a shard in its thread.
    pub fn start<H, F>(self, make: F) -> Result<Running, StartError>
    where
        F: Fn(u16) -> H + Send + Sync + 'static,
        H: Host<Kernel = Linux> + 'static,
    {
        let stopping = Stopping::new(self.wakers.clone());
        let count = self.settings.shards.len() as u16;
        let plan = Arc::new(Plan { settings: self.settings, wakers: self.wakers, engine: self.engine, make });
        let mut joined_ports = HashMap::new();
        let mut shards: Vec<Started> = Vec::with_capacity(usize::from(count));
        let endpoints = Mesh::new::<H::Message>(count, plan.settings.ring_capacity);
        for (number, endpoint) in (0..count).zip(endpoints) {
            let shard = &plan.settings.shards[usize::from(number)];
            let (configured, service) = (shard.listen, shard.service);
            let address = configured.map(|address| *joined_ports.get(&(service, address)).unwrap_or(&address));
            match launch(number, endpoint, address, &plan, &stopping) {
                Ok(started) => {
                    if let (Some(configured), Some(local)) = (configured, started.report.address) {
                        joined_ports.insert((service, configured), SocketAddr::new(configured.ip(), local.port()));
                    }
                    shards.push(started);
                }
                Err(error) => {
                    // Those that have started wait for the word to go. Dropping it ends them.
                    for Started { go, thread, .. } in shards {
                        drop(go);
                        let _ = thread.join();
                    }
                    return Err(error);
                }
            }
        }
        let mut running = Running {
            addresses: shards.iter().map(|shard| shard.report.address).collect(),
            door_failed: shards.iter_mut().find_map(|shard| shard.report.door_failed.take()),
            own_descriptor_tables: shards.iter().all(|shard| shard.report.own_table),
            threads: Vec::with_capacity(shards.len()),
            stopping,
        };
        for Started { go, thread, .. } in shards {
            // A shard that is gone already is found by `join`.
            let _ = go.send(());
            running.threads.push(thread);
        }
        Ok(running)
    }
}

/// What all threads are started from.
struct Plan<F> {
    settings: Settings,
    wakers: Vec<Waker>,
    engine: Engine,
    make: F,
}

struct Started {
    report: Report,
    go: mpsc::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

/// What a shard tells when it has opened everything.
struct Report {
    address: Option<SocketAddr>,
    door_failed: Option<io::Error>,
    own_table: bool,
}

/// Starts one thread and waits until its shard is ready to turn.
fn launch<H, F>(
    number: u16,
    endpoint: Endpoint<H::Message>,
    address: Option<SocketAddr>,
    plan: &Arc<Plan<F>>,
    stopping: &Arc<Stopping<EventFd>>,
) -> Result<Started, StartError>
where
    F: Fn(u16) -> H + Send + Sync + 'static,
    H: Host<Kernel = Linux> + 'static,
{
    let (report_sender, report) = mpsc::channel();
    let (go, go_receiver) = mpsc::channel();
    let (plan, stopping) = (Arc::clone(plan), Arc::clone(stopping));
    let name = plan.settings.shards[usize::from(number)].name.clone();
    let body = move || {
        let leaving = Leaving { shard: number, stopping };
        let own_table = plan.settings.own_descriptor_table && table::split().is_ok();
        let opened = open(number, endpoint, address, &plan, &leaving.stopping);
        drop(plan);
        let (mut shard, address, door_failed) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let _ = report_sender.send(Err(error));
                return Ok(());
            }
        };
        if report_sender.send(Ok(Report { address, door_failed, own_table })).is_err() || go_receiver.recv().is_err() {
            return Ok(());
        }
        shard.run()
    };
    let thread = std::thread::Builder::new().name(name).spawn(body).map_err(StartError::System)?;
    match report.recv() {
        Ok(Ok(report)) => Ok(Started { report, go, thread }),
        Ok(Err(error)) => {
            let _ = thread.join();
            Err(error)
        }
        Err(_) => {
            let _ = thread.join();
            Err(StartError::Panicked(number))
        }
    }
}

/// A shard, where it listens, and why it has no door.
type Opened<H> = (Shard<H>, Option<SocketAddr>, Option<io::Error>);

/// Opens everything that a shard needs, in its thread and after the split of its table.
fn open<H, F>(
    number: u16,
    endpoint: Endpoint<H::Message>,
    address: Option<SocketAddr>,
    plan: &Plan<F>,
    stopping: &Arc<Stopping<EventFd>>,
) -> Result<Opened<H>, StartError>
where
    F: Fn(u16) -> H,
    H: Host<Kernel = Linux>,
{
    let settings = plan.settings.shards[usize::from(number)].clone();
    if let Some(core) = settings.pin_to_core {
        pin(core)?;
    }
    let (listener, address) = match address {
        Some(address) => listen::open(address, &settings).map(|(listener, local)| (Some(listener), Some(local)))?,
        None => (None, None),
    };
    let (door, door_failed) = match settings.door.as_deref().map(listen::open_door) {
        Some(Ok(door)) => (Some(door), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let sender = match plan.engine {
        Engine::Plain => Sender::Plain,
        Engine::IoUring => Sender::new(plan.settings.engine).map_err(StartError::IoUringRefused)?,
    };
    let kernel = Linux::new(sender).map_err(StartError::System)?;
    let mut core = Core::new(number, settings, plan.settings.tick, plan.settings.budgets(), kernel, endpoint);
    core.buffer_bytes += EVENTS_MAX * size_of::<mio::event::Event>();
    let stop = Stop::new(Arc::clone(stopping), plan.settings.stop_grace);
    let mut shard = Shard::new((plan.make)(number), core, listener, plan.wakers.clone(), stop);
    shard.door.listener = door;
    shard.core.busy_poll = plan.settings.busy_poll;
    shard.register().map_err(StartError::System)?;
    Ok((shard, address, door_failed))
}

fn pin(core: usize) -> Result<(), StartError> {
    if core >= rustix::thread::CpuSet::MAX_CPU {
        return Err(StartError::CannotPin(core, io::ErrorKind::InvalidInput.into()));
    }
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).map_err(|errno| StartError::CannotPin(core, errno.into()))
}

/// The running shards. Dropping it leaves them running without anyone to join them.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<Option<SocketAddr>>,
    door_failed: Option<io::Error>,
    own_descriptor_tables: bool,
    threads: Vec<JoinHandle<io::Result<()>>>,
    stopping: Arc<Stopping<EventFd>>,
}

impl Running {
    /// Where each shard listens, with the real port.
    pub fn addresses(&self) -> &[Option<SocketAddr>] {
        &self.addresses
    }

    /// Why there is no door where one was wanted.
    pub fn door_failed(&self) -> Option<&io::Error> {
        self.door_failed.as_ref()
    }

    /// Whether every shard has a descriptor table of its own.
    pub fn own_descriptor_tables(&self) -> bool {
        self.own_descriptor_tables
    }

    /// Asks all shards to stop and returns at once. Asking again changes nothing.
    pub fn stop(&self) {
        self.stopping.request();
    }

    /// Waits until all shards have ended. If one failed, the others were stopped, and the first failure is told.
    pub fn join(self) -> Result<(), Panicked> {
        let mut result = Ok(());
        for (shard, thread) in (0..).zip(self.threads) {
            let text = match thread.join() {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(payload) => match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
                    (Some(text), _) => (*text).to_owned(),
                    (_, Some(text)) => text.clone(),
                    _ => "no text".to_owned(),
                },
            };
            if result.is_ok() {
                result = Err(Panicked { shard, text });
            }
        }
        result
    }
}
