//! HTTP on the browsers' port: request heads, where they lead, the answers around them.
//!
//! Owned here: which path means what, the handshake's head, and every header that is sent. Deliberately absent:
//! reading files, request bodies (never read), keep-alive (every plain answer is followed by a close), and what is
//! said after a handshake (`ws`, `jsapi`).
//!
//! The answer to a handshake contains an accept key, which `ws` makes.

mod head;

mod route;

mod origin;

mod upgrade;

mod response;

#[cfg(test)]
mod tests;

pub use head::{Head, HeadError, HeadLimits, HeadStep, Method, parse_head};
pub use origin::origin_allowed;
pub use response::{Site, content_type, plain_answer, response, response_head, start_page, static_head};
pub use route::{Route, route};
pub use upgrade::{RefusedUpgrade, UpgradeAnswer, upgrade, upgrade_with_deflate};
