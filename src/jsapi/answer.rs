//! What a single browser is told: answers to its commands, delivery reports and errors.

use crate::model::{Answer, ApiError, PipeError, SubscriptionError, UnixTime, WireForm};
use crate::ws;

use super::json::{Data, Envelope, Member, Name, Value};
use super::notice::{encode_track_page, encode_track_users, encode_user_status};

/// Appends one answer. `server` is the product text for `serverInfo`.
pub fn encode_answer(answer: &Answer, form: WireForm, now: UnixTime, server: &str, out: &mut Vec<u8>) {
    let dated = Envelope { time: Some(now), ..Envelope::default() };
    match answer {
        Answer::ServerInfo { authorised, key } => Envelope {
            authorised: Some(*authorised),
            data: Data::Text(key),
            event: Name("", "serverInfo"),
            pipe: Name("", "sys"),
            server: Some(server),
            ..dated
        }
        .write(form, out),
        Answer::DeliveryReport { pipe, message, delivered } => Envelope {
            // Pages of CppComet's time show it, and would show `undefined`.
            data: Data::Object(&[
                ("error", Value::Text("")),
                ("message", Value::Text(message)),
                ("number_messages", Value::Number((*delivered).into())),
            ]),
            event: Name("", "answer"),
            pipe: Name("_answer_to_", pipe.as_str()),
            ..dated
        }
        .write(form, out),
        Answer::PipeCount { marker, count } => Envelope {
            data: Data::Object(&[("user_in_pipe", Value::Number((*count).into()))]),
            event: Name("", "user_in_pipe"),
            marker: Some(marker.as_str()),
            pipe: Name("", "_answer_pipe_count"),
            ..dated
        }
        .write(form, out),
        Answer::UserData { marker, user, data } => Envelope {
            data: Data::Object(&[("user_data", Value::Text(data)), ("user_id", Value::Number((*user).into()))]),
            event: Name("", "answer"),
            marker: Some(marker.as_str()),
            pipe: Name("", "_answer"),
            ..dated
        }
        .write(form, out),
        Answer::UserStatus { user, last_seen } => encode_user_status(*user, *last_seen, now, form, out),
        Answer::TrackUsers { pipe, marker, subscribers } => {
            let subscribers = subscribers.iter().map(|(user, uuid)| (*user, &**uuid));
            encode_track_users(pipe, marker, subscribers, now, form, out);
        }
        Answer::TrackPage { marker, subscribers, next } => {
            let subscribers = subscribers.iter().map(|(user, uuid)| (*user, &**uuid));
            encode_track_page(marker, subscribers, *next, now, form, out);
        }
        Answer::Subscribed { pipe, position, recovered } => {
            let position = position.map_or(Value::Null, Value::Position);
            let pipe = ("pipe", Value::Text(pipe.as_str()));
            let members = [pipe, ("position", position), ("recovered", Value::Truth(recovered.unwrap_or_default()))];
            let told = if recovered.is_some() { 3 } else { 2 };
            Envelope {
                data: Data::Object(members.get(..told).unwrap_or_default()),
                event: Name("", "subscribed"),
                pipe: Name("", "sys"),
                ..dated
            }
            .write(form, out);
        }
        Answer::Error(error) => encode_error(error, form, now, out),
    }
}

/// Appends one answer as a whole text frame.
pub fn frame_answer(answer: &Answer, form: WireForm, now: UnixTime, server: &str, out: &mut Vec<u8>) {
    ws::append_text_frame(out, |out| encode_answer(answer, form, now, server, out));
}

fn encode_error(error: &ApiError, form: WireForm, now: UnixTime, out: &mut Vec<u8>) {
    let mut sys = |data: &[Member<'_>], fatal, marker| {
        let envelope = Envelope {
            data: Data::Object(data),
            error: fatal,
            event: Name("", "error"),
            marker,
            time: Some(now),
            pipe: Name("", "sys"),
            ..Envelope::default()
        };
        envelope.write(form, out);
    };
    match error {
        ApiError::Handshake(code) => {
            let text = Value::Numbered("Error code ", *code, handshake_text(*code));
            let members =
                [("error", text), ("error_code", Value::Number((*code).into())), ("info", Value::Text(HANDSHAKE_INFO))];
            sys(&members, Some(*code), None);
        }
        ApiError::Subscription(error) => {
            sys(&[("code", Value::Text("403")), ("error", Value::Text(subscription_text(*error)))], None, None);
        }
        ApiError::Pipe(error) => {
            sys(&[("error", Value::Text(pipe_text(*error))), ("number_messages", Value::Number(-1))], None, None);
        }
        ApiError::EventName => {
            sys(&[("error", Value::Text("The event has at most 64 characters of A-Z a-z 0-9 _ -"))], None, None);
        }
        ApiError::NotATrackPipe => {
            let text = "Only pipes whose name begins with track_ can tell who is in them";
            sys(&[("error", Value::Text(text)), ("user_id", Value::Number(-1))], None, None);
        }
        ApiError::BadCursor => {
            let text = "The list goes on from the cursor of the last answer, and begins without one";
            sys(&[("error", Value::Text(text)), ("user_id", Value::Number(-1))], None, None);
        }
        ApiError::TooFast { wait_ms } => {
            let text = "Too many messages in a second; this one was not published";
            let members = [
                ("error", Value::Text(text)),
                ("number_messages", Value::Number(-1)),
                ("retry_after_ms", Value::Number((*wait_ms).into())),
            ];
            sys(&members, None, None);
        }
        ApiError::UserData => {
            let text = "Needed: a marker of at most 64 characters of A-Z a-z 0-9 _ -, then the number of a user";
            let members =
                [("error", Value::Text(text)), ("user_data", Value::Text("")), ("user_id", Value::Number(-1))];
            sys(&members, None, None);
        }
        ApiError::Unavailable { marker } => {
            let text = "The server cannot answer this at the moment, please ask again later";
            sys(&[("error", Value::Text(text))], None, Some(marker.as_str()));
        }
    }
}

/// Recorded from the wire with its wording: unlike the error texts it is compared by the conformance cases.
const HANDSHAKE_INFO: &str = "Closed due to error. See last message.";

fn handshake_text(code: u16) -> &'static str {
    match code {
        401 => "(the address to connect to names no key or no user)",
        406 => "(the address to connect to names no tenant)",
        418 => "(the address to connect to has no readable version of the library)",
        423 => "(pages of this origin may not connect)",
        _ => "(the connection cannot be served)",
    }
}

fn subscription_text(error: SubscriptionError) -> &'static str {
    match error {
        SubscriptionError::NameTooLong => {
            "The name of a pipe has at most 64 characters; the other pipes are subscribed"
        }
        SubscriptionError::BadName => {
            "The name of a pipe has 2 to 64 characters of A-Z a-z 0-9 _ -; the other pipes are subscribed"
        }
        SubscriptionError::TooManyPipes => "Too many pipes for one connection; the first ones are subscribed",
        SubscriptionError::NeedsAuthorisation => "Pipes that begin with private_ are for authorised users only",
        SubscriptionError::NotNamed => NOT_NAMED,
    }
}

fn pipe_text(error: PipeError) -> &'static str {
    match error {
        PipeError::BadName => "The name of a pipe has 2 to 64 characters of A-Z a-z 0-9 _ -",
        PipeError::BadMarker => "A marker has at most 64 characters of A-Z a-z 0-9 _ -",
        PipeError::WrongClass => {
            "This is possible only for pipes whose name begins with web_ or another fitting prefix"
        }
        PipeError::NeedsAuthorisation => "This is for authorised users only",
        PipeError::NotNamed => NOT_NAMED,
        PipeError::NotStored => "The subscribers got the message, but the server could not keep it in the history",
        PipeError::BadFlag => "The line after the event must be exactly one byte",
    }
}

const NOT_NAMED: &str = "Pipes that begin with private_ are for those whose token names them";
