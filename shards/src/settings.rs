//! What the runtime can be told, with defaults for all of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which way of sending fan-outs is wanted.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
pub enum EngineChoice {
    /// `io_uring` where the kernel allows it, plain sends elsewhere.
    #[default]
    Auto,
    /// Refuse to start without `io_uring`.
    IoUring,
    Plain,
}

/// The whole runtime.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One per shard, in the order of their numbers; at least one, at most [`SHARDS_MAX`].
    pub shards: Vec<ShardSettings>,
    /// Messages per ring. Default 1,024. There are 5 rings for every ordered pair of shards, allocated at the start; the
    /// system gives them memory only as far as they are ever filled.
    pub ring_capacity: usize,
    /// Default [`EngineChoice::Auto`].
    pub engine: EngineChoice,
    /// Resolution of deadlines and idle timeouts; default 100 ms, at least 1 ms. No timeout can be longer than 32,766
    /// ticks (54 minutes by default); longer ones are cut to that.
    pub tick: Duration,
    /// Sends of a fan-out between two looks at readiness, rings and accepts; default 256, 1 to 4,096.
    pub fan_out_slice: usize,
    /// Messages handed in per turn; default 4,096, at least 1.
    pub messages_per_turn: usize,
    /// How long a shard looks for input before it sleeps; default 0. Costs a core, saves the time of a wake-up.
    pub busy_poll: Duration,
    /// Whether each shard gets a descriptor table of its own, so that the limit of descriptors holds per shard and the
    /// kernel's lock on the table is not shared; default true. Where the system forbids it (some containers), shards
    /// share the table of the process instead; [`Running::own_descriptor_tables`](crate::Running::own_descriptor_tables)
    /// tells.
    pub own_descriptor_table: bool,
    /// How long a stopping server waits: half of it for answers that are under way, and the rest for its connections.
    /// Default 10 s.
    pub stop_grace: Duration,
}

/// What a shard does in one turn before it looks around again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Sends of fan-outs.
    pub fan_out_slice: usize,
    /// Messages handed in.
    pub messages: usize,
}

impl Settings {
    pub(crate) fn budgets(&self) -> Budgets {
        Budgets { fan_out_slice: self.fan_out_slice, messages: self.messages_per_turn }
    }
}

/// More shards than any machine has cores, and a bound for the number of rings.
pub const SHARDS_MAX: usize = 512;

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: Vec::new(),
            ring_capacity: 1024,
            engine: EngineChoice::Auto,
            tick: Duration::from_millis(100),
            fan_out_slice: 256,
            messages_per_turn: 4096,
            busy_poll: Duration::ZERO,
            own_descriptor_table: true,
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// One shard.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The thread's name; the system shows 15 bytes of it.
    pub name: String,
    /// Shards of one service with the same address share its port. Port 0: the first such shard gets any free port, the
    /// others join it. `None`: no listener.
    pub listen: Option<SocketAddr>,
    /// A Unix socket at which the shard listens as well, for processes of this user; it takes the place of whatever socket is
    /// there. Where the system refuses it, the shard does without: [`Running::door_failed`](crate::Running::door_failed).
    pub door: Option<PathBuf>,
    /// Which service the listener belongs to; default 0. Keeps two services apart that both asked for port 0.
    pub service: u16,
    /// Connections that may wait for accept; default 4,096 (the system's own limit may be lower).
    pub backlog: u32,
    /// More are not accepted until one ends, but a few at the door; default 1,000,000.
    pub connections_max: u32,
    /// Unsent bytes per connection, above which it ends as [`End::SlowConsumer`](crate::End::SlowConsumer); default 1 MiB.
    /// A single write may be larger while nothing else waits.
    pub queue_bytes_max: usize,
    /// Bytes per connection that the host may leave unused, above which it ends as
    /// [`End::TooMuchUnread`](crate::End::TooMuchUnread); default 1 MiB. Does not hold for a paused connection, which
    /// keeps what was read before at most.
    pub unread_bytes_max: usize,
    /// Bytes that wait for all connections together, unsent and unread ones; default 1 GiB. With more, whoever holds most ends
    /// as [`End::NoRoom`](crate::End::NoRoom). What connections share counts about once, and for each that the system takes
    /// no more bytes of, [`unsent_low_water`](Self::unsent_low_water) counts as well.
    pub waiting_bytes_max: usize,
    /// Unsent bytes above which the system takes no more of a connection (`TCP_NOTSENT_LOWAT`), whatever is under way;
    /// default: as many as its send buffer holds, which may be megabytes for a peer that does not read.
    pub unsent_low_water: Option<u32>,
    /// Which core the thread is bound to; default none.
    pub pin_to_core: Option<usize>,
    /// Size of the one read buffer, in bytes; default 64 KiB, at least 4 KiB, at most 16 MiB.
    pub read_buffer: usize,
    /// The kernel's send buffer per connection (`SO_SNDBUF`); default: the system's choice, which adapts itself.
    pub send_buffer: Option<usize>,
    /// Probes on silent connections; default none.
    pub keep_alive: Option<KeepAlive>,
    /// How long `close_after_flush` may take, flushing and waiting for the peer together; default 5 s.
    pub close_time_max: Duration,
}

/// When the kernel looks whether a silent peer is still there.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe, in whole seconds.
    pub idle: Duration,
    /// Between probes, in whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection is broken.
    pub probes: u32,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            name: "shard".to_owned(),
            listen: None,
            door: None,
            service: 0,
            backlog: 4096,
            connections_max: 1_000_000,
            queue_bytes_max: 1024 * 1024,
            unread_bytes_max: 1024 * 1024,
            waiting_bytes_max: 1024 * 1024 * 1024,
            unsent_low_water: None,
            pin_to_core: None,
            read_buffer: 64 * 1024,
            send_buffer: None,
            keep_alive: None,
            close_time_max: Duration::from_secs(5),
        }
    }
}

/// What can be another while a shard runs. Lowered maxima end nobody; they hold for what comes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Changeable {
    pub connections_max: u32,
    pub queue_bytes_max: usize,
    pub unread_bytes_max: usize,
    pub waiting_bytes_max: usize,
    pub busy_poll: Duration,
}

impl ShardSettings {
    /// The defaults under this name at this address.
    pub fn new(name: impl Into<String>, listen: Option<SocketAddr>) -> Self {
        Self { name: name.into(), listen, ..Self::default() }
    }

    /// Places for connections, those included that only the door may take.
    pub(crate) fn places(&self) -> u32 {
        self.connections_max.saturating_add(if self.door.is_some() { DOOR_PLACES } else { 0 })
    }

    /// What the system keeps unsent of a connection that it takes no more bytes of, about.
    pub(crate) fn unsent_in_kernel(&self) -> usize {
        self.unsent_low_water.map_or(0, |bytes| bytes as usize)
    }
}

/// Connections beyond the maximum that the door still lets in: whoever looks after the server has to get in when it is full.
const DOOR_PLACES: u32 = 8;

pub(crate) const READ_BUFFER_MIN: usize = 4 * 1024;
pub(crate) const READ_BUFFER_MAX: usize = 16 * 1024 * 1024;
pub(crate) const FAN_OUT_SLICE_MAX: usize = 4096;
pub(crate) const TICK_MIN: Duration = Duration::from_millis(1);
