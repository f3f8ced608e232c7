//! The thread-per-core runtime of the server: sockets, timers, batched sends and the mesh of rings.
//!
//! A *shard* is one thread with its own connections, listener, timers, memory and, where the system allows it, its own
//! table of descriptors. On each lives a [`Host`], which is called with what happens and answers through [`Io`].
//! Shards share nothing but the rings of the [`mesh`]; none ever waits for another. Sockets are watched edge-triggered
//! through epoll; fan-outs are sent in batches through `io_uring` where the kernel allows it.
//!
//! The crate knows nothing of what the bytes mean. In reading order:
//!
//! * [`host`]: what a server implements; [`io`]: what it can do.
//! * `settings`, `start`, `stop`: from settings to running threads and back.
//! * `shard`: the loop; `turn`: the order in it; `read`, `unread`: input; `output`, `queue`, `fan_out`, `sender`: output.
//! * `core`: connections, their timers and ends; `slab`, `entry`: where they live; `wheel`: their timers; `holders`: who holds
//!   most of what waits; `shares`: what many hold, counted once.
//! * [`mesh`]: the rings, usable alone; `park`, `waker`: sleeping and waking.
//! * [`kernel`]: what a shard asks of the system; `linux`: the system; [`bare`]: shards without threads, on a simulated one.
//! * `listen`, `table`: ports and descriptor tables. `trial`: whether the system allows them. `heap`: an allocator that counts,
//!   and giving free memory back. `stats`: what a shard tells about itself.
//!
//! # Invariants
//!
//! * `ended` is called exactly once for every `accepted`; a token never names a second connection.
//! * The host is never called from inside a call of its own.
//! * No message is lost while its receiver runs, and order holds per level, sender and receiver.
//! * No batch holds two sends of one connection, and no send outlives the call that submitted it.
//! * Descriptors are opened, used and closed by one thread, except the eventfds of wakers.
//! * An idle connection costs its entry of 32 bytes and 4 bytes in the wheel; an idle shard costs no time.

pub mod bare;
pub mod host;
pub mod io;

mod core;
mod entry;
mod fan_out;
mod heap;
mod holders;
pub mod kernel;
mod linux;
mod listen;
pub mod mesh;
mod output;
mod park;
mod queue;
mod read;
mod sender;
mod settings;
mod shard;
mod shares;
mod slab;
mod start;
mod stats;
mod stop;
mod table;
mod trial;
mod turn;
mod unread;
mod waker;
mod wheel;

pub use entry::TIMEOUT_TICKS_MAX;
#[cfg(feature = "sqlite")]
pub use heap::sqlite_bytes;
pub use heap::{Counted, Heap, give_back_memory, heap, stacks, weighed};
pub use holders::{Holders, Place};
pub use host::{End, Host, SharedBytes, Token};
pub use io::Io;
pub use linux::{EventFd, Linux};
pub use mesh::{Endpoint, Level, Mesh};
pub use settings::{Budgets, Changeable, EngineChoice, KeepAlive, SHARDS_MAX, Settings, ShardSettings};
pub use shares::Shares;
pub use start::{Panicked, Prepared, Running, StartError, prepare};
pub use stats::{Counters, Engine, Memory};
pub use trial::{clock_is_synchronised, try_address, try_io_uring, try_own_table};
pub use waker::Waker;
