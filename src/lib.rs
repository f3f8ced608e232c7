//! Encke: a comet server. The map, in reading order.
#![forbid(unsafe_code)]
// `print!` and its like panic when nobody reads what they print.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

// So that what unit tests and integration tests share finds the library under the same name.
#[cfg(test)]
extern crate self as encke;

/// Counts, for [`ledger`].
#[global_allocator]
static HEAP: shards::Counted = shards::Counted;

/// What cannot be, and what happens if it is.
#[macro_use]
pub mod never;

/// The shared words as types.
pub mod model;

/// A map whose entries stand in an order of time as well.
pub mod aged;

/// Connections that leave for another server, one after the other.
pub mod drain;

/// `comet.ini` to sections, sections to a checked `Config`.
pub mod config;

/// Percent-encoding, for all addresses.
pub mod percent;

/// RFC 6455 as pure functions on bytes.
pub mod ws;

/// Request heads, responses, static files' headers.
pub mod http;

/// The browser client's commands and the JSON it receives.
pub mod jsapi;

/// Storage: requests and completions as values, and the engines behind them.
pub mod storage;

/// How long whoever sends wrong passwords or keys has to wait.
pub mod back_off;

/// Warnings that repeat, told once a minute.
mod repeats;

/// JSON Web Tokens.
pub mod token;

/// What crosses from shard to shard.
pub mod ring;

/// What one shard knows and decides: subscriptions, pipes, fan-out.
pub mod hub;

/// The backend API over the MySQL protocol.
pub mod cometql;

/// The browsers of one shard: their bytes to inputs of the hub, its outputs to what they get.
mod browsers;

/// Counters per shard, their names and units.
pub mod metrics;

/// What memory is for, and what is let go of when there is too much of it.
pub mod ledger;

/// What the dashboard gets once a second.
pub mod figures;

/// What of a machine would hold the server up.
pub mod doctor;

/// The edge: readiness, rings, timers and completions become inputs, outputs become writes.
pub mod run;
