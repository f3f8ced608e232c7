//! What browsers are told of other users and of the past: comings and goings, presence, personal messages, history.
//!
//! All functions append one JSON object to `out`; [`crate::ws::append_text_frame`] makes a frame of it.

use crate::model::{EventName, LastSeen, Marker, PipeName, Position, TrackCursor, UnixTime, UserId, WireForm};

use super::json::{Data, Envelope, Name, Value};

/// The marker of a version 3 page that did not ask for one. Sent back, it would hide the answer from that page.
const NO_MARKER: &str = "undefined";

/// Who is in a `track_` pipe: one entry per connection.
///
/// Shape: `data` is a list of `{"user_id":<id or 0>,"uuid":<the browser's id>}`. Version 3 listens on the pipe itself.
pub fn encode_track_users<'a>(
    pipe: &PipeName,
    marker: &Marker,
    subscribers: impl IntoIterator<Item = (UserId, &'a str)>,
    now: UnixTime,
    form: WireForm,
    out: &mut Vec<u8>,
) {
    let envelope = Envelope {
        info: Some("answer for track_pipe_users"),
        data: Data::List(&mut subscribers.into_iter().map(|(user, uuid)| subscriber(user, uuid))),
        event: Name("", "answer"),
        marker: Some(marker.as_str()).filter(|marker| form != WireForm::Legacy || *marker != NO_MARKER),
        time: Some(now),
        pipe: match form {
            WireForm::Modern | WireForm::Extended => Name("", "_answer"),
            WireForm::Legacy => Name("", pipe.as_str()),
        },
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// A part of that list, and where the next part begins.
///
/// Shape: as the whole list; `data` is `{"next":<a text, or null at the end>,"users":[...]}`.
pub(super) fn encode_track_page<'a>(
    marker: &Marker,
    subscribers: impl IntoIterator<Item = (UserId, &'a str)>,
    next: Option<TrackCursor>,
    now: UnixTime,
    form: WireForm,
    out: &mut Vec<u8>,
) {
    let next = next.map(|next| next.to_string());
    let envelope = Envelope {
        data: Data::Page(
            next.as_deref().map_or(Value::Null, Value::Text),
            &mut subscribers.into_iter().map(|(user, uuid)| subscriber(user, uuid)),
        ),
        event: Name("", "track_page"),
        marker: Some(marker.as_str()),
        time: Some(now),
        pipe: Name("", "_answer"),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// The connection is to be replaced by another one, to whichever server is found then, and is ended when this time is over.
///
/// Shape: `data` is `{"within_ms":<milliseconds>}`.
pub fn encode_moving(within_ms: u64, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Object(&[("within_ms", Value::Number(within_ms as i64))]),
        event: Name("", "moving"),
        pipe: Name("", "sys"),
        ..Envelope::default()
    };
    envelope.write(WireForm::Extended, out);
}

pub(super) fn subscriber(user: UserId, uuid: &str) -> [(&'static str, Value<'_>); 2] {
    [("user_id", Value::Number(user.get().into())), ("uuid", Value::Text(uuid))]
}

/// The answer to `user_status`. Shape: `data` holds the seconds twice, 0 when online, -1 when unknown.
pub fn encode_user_status(user: UserId, last_seen: LastSeen, now: UnixTime, form: WireForm, out: &mut Vec<u8>) {
    let seconds = match last_seen {
        LastSeen::Online => 0,
        LastSeen::Unknown => -1,
        LastSeen::SecondsAgo(seconds) => seconds.into(),
    };
    let envelope = Envelope {
        data: Data::Object(&[("data", Value::Number(seconds)), ("last_online_time", Value::Number(seconds))]),
        event: Name("user_status_", &user.to_string()),
        time: Some(now),
        pipe: Name("", "_answer_user_status"),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// A personal message. `queued` is when it was put into the offline queue; a live one has no time.
pub fn encode_personal(event: &EventName, message: &str, queued: Option<UnixTime>, form: WireForm, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Text(message),
        event: Name("", event.as_str()),
        from_queue: queued.is_some(),
        time: queued,
        pipe: Name("", "msg"),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// A publication of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry<'a> {
    pub pipe: &'a PipeName,
    pub event: &'a str,
    pub message: &'a str,
    /// Anonymous for backends.
    pub sender: UserId,
    pub time: UnixTime,
    /// `None` for what CppComet wrote.
    pub position: Option<Position>,
}

/// One message of the answer to `pipe_log`, where `marker` came. Version 3 needs the marker back for its callback;
/// version 4 throws away messages with the marker of another page, so it gets none.
pub fn encode_history(entry: &HistoryEntry<'_>, marker: &Marker, form: WireForm, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Text(entry.message),
        event: Name("", entry.event),
        from_queue: true,
        history: true,
        marker: Some(marker.as_str()).filter(|marker| form == WireForm::Legacy && *marker != NO_MARKER),
        time: Some(entry.time),
        pipe: Name("", entry.pipe.as_str()),
        position: entry.position,
        user: Some(entry.sender.get()),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// One message that a client missed: as it came to the others, and `fromQueue`. The history does not tell backends
/// from nameless browsers, so user 0 is left out.
pub fn encode_missed(entry: &HistoryEntry<'_>, form: WireForm, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Text(entry.message),
        event: Name("", entry.event),
        from_queue: true,
        time: Some(entry.time),
        pipe: Name("", entry.pipe.as_str()),
        position: entry.position,
        user: Some(entry.sender.get()).filter(|user| *user > 0),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// What begins a connection that is polled for. Shape: `data` is `{"id":<its id>,"seq":0}`.
pub fn encode_poll_begin(id: &str, form: WireForm, out: &mut Vec<u8>) {
    let envelope = Envelope {
        data: Data::Object(&[("id", Value::Text(id)), ("seq", Value::Number(0))]),
        event: Name("", "poll"),
        pipe: Name("", "sys"),
        ..Envelope::default()
    };
    envelope.write(form, out);
}

/// Why a poll has no messages. Shape: `data` is `{"code":"<HTTP status>","error":<text>}`.
pub fn encode_poll_error(status: u16, text: &str, out: &mut Vec<u8>) {
    let code = status.to_string();
    let envelope = Envelope {
        data: Data::Object(&[("code", Value::Text(&code)), ("error", Value::Text(text))]),
        event: Name("", "error"),
        pipe: Name("", "sys"),
        ..Envelope::default()
    };
    envelope.write(WireForm::Modern, out);
}
