//! The browser client's side of the server: the address a browser connects to, the commands it sends, the JSON it
//! receives.
//!
//! Owned here: every byte of those three, in both wire forms. Deliberately absent: who may do what (`hub`), frames on
//! the wire beyond their heads (`ws`), HTTP (`http`).
//!
//! Frames come out of here whole, so this core uses the frame heads of `ws`.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod hello;

mod command;

mod json;

mod publication;

mod answer;

mod notice;

mod old_clients;

#[cfg(test)]
mod tests;

pub use answer::{encode_answer, frame_answer};
pub use command::{
    Command, PipeCount, PipeLog, RecoveryList, SubscriptionList, TrackPipePage, TrackPipeUsers, Unknown, UserData,
    WebPipe2, collect_recovery, parse_command,
};
pub use hello::{Hello, HelloError, HelloFields, parse_hello};
pub use notice::{
    HistoryEntry, encode_history, encode_missed, encode_moving, encode_personal, encode_poll_begin, encode_poll_error,
    encode_track_users, encode_user_status,
};
pub use old_clients::{ccomet_messages, ccomet_word, icomet_messages, icomet_noop, icomet_sign, icomet_word};
pub use publication::{encode_publication, frame_personal, frame_publication};
