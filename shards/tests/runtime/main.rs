//! The runtime with real sockets, driven through a small host that understands lines.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests, too")]

mod closing;
mod fan_out;
mod input;
mod limits;
mod messages;
mod output;
mod starting;
mod support;
mod waiting;
