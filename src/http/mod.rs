//! HTTP on the browsers' port: request heads, where they lead, the answers around them.
//!
//! Owned here: which path means what, the handshake's head, which part of a content is wanted, whether a connection
//! stays, and every header that is sent. Deliberately absent: reading files, and what is said after a handshake (`ws`,
//! `jsapi`).
//!
//! The answer to a handshake contains an accept key, which `ws` makes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod head;

mod assets;

mod docs;

mod frame;

mod route;

mod origin;

mod page;

mod credentials;

mod terms;

mod date;

mod conditional;

mod query;

mod events;

mod body;

mod chunked;

mod client;

mod jsonp;

mod upgrade;

mod response;

#[cfg(test)]
mod tests;

pub use assets::made_bytes;
pub use body::{Body, BodyError, body};
pub use chunked::Chunked;
pub use client::{Proxies, client_address};
pub use conditional::{Conditions, Validators, Wanted};
pub use credentials::{Credentials, credentials};
pub use events::{EVENTS_PING, RETRY_SOON, append_event, append_goodbye, events_head};
pub use frame::Site;
pub use head::{Head, HeadError, HeadLimits, HeadStep, Method, parse_head};
pub use jsonp::{is_callback, jsonp};
pub use origin::{is_from_this_machine, origin_allowed, same_origin};
pub use page::{Door, page_allowed};
pub use query::Query;
pub use response::{
    CONTINUE, FileHead, KEEP_ALIVE_S, content_type, file_head, not_this_name, plain_answer, response, response_on,
    start_page,
};
pub use route::{PollAddress, Route, WithPassword, route};
pub use terms::{Cors, Terms};
pub use upgrade::{RefusedUpgrade, UpgradeAnswer, upgrade, upgrade_with_deflate};
