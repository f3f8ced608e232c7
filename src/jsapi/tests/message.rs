use std::sync::Arc;

use proptest::prelude::*;

use crate::jsapi::{
    HistoryEntry, encode_answer, encode_history, encode_missed, encode_personal, encode_publication,
    encode_track_users, encode_user_status, frame_answer, frame_publication, json,
};
use crate::model::{
    Answer, ApiError, DevId, EventName, LastSeen, Marker, PipeError, PipeKey, PipeName, Position, Publication,
    PublicationKind, SubscriptionError, UnixTime, UserId, WireForm,
};
use crate::ws;

const NOW: UnixTime = UnixTime(1_700_000_000);
const FORMS: [WireForm; 3] = [WireForm::Modern, WireForm::Legacy, WireForm::Extended];

fn pipe(name: &str) -> PipeName {
    PipeName::new(name.as_bytes()).unwrap()
}

fn label(text: &str) -> EventName {
    EventName::new(text.as_bytes()).unwrap()
}

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

fn publication(sender: Option<u32>, message: &str) -> Publication {
    let mut publication = publication_in("web_room", "say", message);
    publication.sender = sender.map(user);
    publication
}

fn publication_in(name: &str, event: &str, message: &str) -> Publication {
    let key = PipeKey { dev: DevId(1), name: pipe(name) };
    let mut publication = Publication::new(Arc::new(key), label(event), message.into());
    publication.time = NOW;
    publication
}

/// What a function wrote, after a look at the rules for every message: it parses, its keys are sorted at every level,
/// nothing is escaped that need not be, and no backslash stands before an apostrophe.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    let json = text.strip_prefix("before").unwrap();
    assert!(!json.contains("\\'"), "{json}");
    // serde_json keeps objects sorted, so writing what it read must give the same text.
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let again = serde_json::to_string(&value).unwrap();
    assert_eq!(json, again.replace("\\'", "\\\\u0027"));
    json.into()
}

fn answered(answer: &Answer, form: WireForm) -> String {
    let json = written(|out| encode_answer(answer, form, NOW, "Encke 0.1", out));
    let framed = {
        let mut out = Vec::new();
        frame_answer(answer, form, NOW, "Encke 0.1", &mut out);
        out
    };
    assert_eq!(framed, *ws::text_frame(json.as_bytes()));
    json
}

/// Checks a message in the modern form; in the legacy form it must say the same, but with texts where version 3
/// wants texts.
fn check(expected: &str, mut write: impl FnMut(WireForm, &mut Vec<u8>)) {
    assert_eq!(written(|out| write(WireForm::Modern, out)), expected);
    let modern: serde_json::Value = serde_json::from_str(expected).unwrap();
    let legacy = written(|out| write(WireForm::Legacy, out));
    let legacy: serde_json::Value = serde_json::from_str(&legacy).unwrap();
    assert!(legacy["api_data"].is_string());
    assert_eq!(legacy["event_name"], modern["event"]);
    for (key, value) in modern.as_object().unwrap() {
        let same = match key.as_str() {
            "data" if !value.is_string() => {
                serde_json::from_str::<serde_json::Value>(legacy[key].as_str().unwrap()).unwrap()
            }
            "authorized" => serde_json::from_str(legacy[key].as_str().unwrap()).unwrap(),
            "pipe" if value == "_answer" && modern.get("_info").is_some() => value.clone(),
            _ => legacy[key].clone(),
        };
        assert_eq!(&same, value, "{key}");
    }
}

fn check_answer(answer: &Answer, expected: &str) {
    check(expected, |form, out| out.extend_from_slice(answered(answer, form).as_bytes()));
}

#[test]
fn server_info() {
    check_answer(
        &Answer::ServerInfo { authorised: true, key: "key1".into() },
        r#"{"authorized":true,"data":"key1","event":"serverInfo","message_send_time":1700000000,"pipe":"sys","server":"Encke 0.1"}"#,
    );
    let stranger = Answer::ServerInfo { authorised: false, key: "".into() };
    check_answer(
        &stranger,
        r#"{"authorized":false,"data":"","event":"serverInfo","message_send_time":1700000000,"pipe":"sys","server":"Encke 0.1"}"#,
    );
    assert_eq!(
        answered(&stranger, WireForm::Legacy),
        r#"{"api_data":"Encke, form for clients before version 4","authorized":"false","data":"","event":"serverInfo","event_name":"serverInfo","message_send_time":1700000000,"pipe":"sys","server":"Encke 0.1"}"#,
    );
}

#[test]
fn vector_c_and_d() {
    let publication = publication(Some(7), r#"{"t":"it's"}"#);
    check(
        r#"{"data":"{\"t\":\"it's\"}","event":"say","message_send_time":1700000000,"pipe":"web_room","user_id":7}"#,
        |form, out| encode_publication(&publication, form, out),
    );
    check_answer(
        &Answer::DeliveryReport { pipe: pipe("web_room"), message: r#"{"t":"it's"}"#.into(), delivered: 1 },
        r#"{"data":{"error":"","message":"{\"t\":\"it's\"}","number_messages":1},"event":"answer","message_send_time":1700000000,"pipe":"_answer_to_web_room"}"#,
    );
    assert_eq!(
        written(|out| encode_publication(&publication, WireForm::Legacy, out)),
        r#"{"api_data":"Encke, form for clients before version 4","data":"{\"t\":\"it's\"}","event":"say","event_name":"say","message_send_time":1700000000,"pipe":"web_room","user_id":7}"#,
    );
}

#[test]
fn publications() {
    check(r#"{"data":"hello","event":"say","message_send_time":1700000000,"pipe":"web_room"}"#, |form, out| {
        encode_publication(&publication(None, "hello"), form, out);
    });
    check(
        r#"{"data":"42","event":"say","message_send_time":1700000000,"pipe":"web_room","user_id":0}"#,
        |form, out| encode_publication(&publication(Some(0), "42"), form, out),
    );
    // Frames around the lengths that the predecessor broke, and of every form of length.
    for length in [0, 1, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 1000, 65_500, 70_000] {
        let publication = publication(None, &"x".repeat(length));
        for form in FORMS {
            let json = written(|out| encode_publication(&publication, form, out));
            assert!(frame_publication(&publication, form) == ws::text_frame(json.as_bytes()), "{length}");
        }
    }
}

#[test]
fn marked_answers() {
    check_answer(
        &Answer::PipeCount { marker: label("mark5"), count: 2 },
        r#"{"data":{"user_in_pipe":2},"event":"user_in_pipe","marker":"mark5","message_send_time":1700000000,"pipe":"_answer_pipe_count"}"#,
    );
    check_answer(
        &Answer::UserData { marker: label("M"), user: 7, data: r#"{"a":"it\'s"}"#.into() },
        r#"{"data":{"user_data":"{\"a\":\"it\\\u0027s\"}","user_id":7},"event":"answer","marker":"M","message_send_time":1700000000,"pipe":"_answer"}"#,
    );
    assert_eq!(
        answered(&Answer::UserData { marker: label(""), user: 7, data: r"\'".into() }, WireForm::Legacy),
        r#"{"api_data":"Encke, form for clients before version 4","data":"{\"user_data\":\"\\\\\\u0027\",\"user_id\":7}","event":"answer","event_name":"answer","marker":"","message_send_time":1700000000,"pipe":"_answer"}"#,
    );
}

#[test]
fn handshake_errors() {
    for code in [401, 406, 418, 423, 500] {
        let error = Answer::Error(ApiError::Handshake(code));
        let json = answered(&error, WireForm::Modern);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(value["data"]["error"].as_str().unwrap().starts_with(&format!("Error code {code}(")), "{json}");
        assert_eq!((&value["data"]["error_code"], &value["error"]), (&code.into(), &code.into()));
        check_answer(&error, &json);
    }
    assert_eq!(
        answered(&Answer::Error(ApiError::Handshake(406)), WireForm::Modern),
        r#"{"data":{"error":"Error code 406(the address to connect to names no tenant)","error_code":406,"info":"Closed due to error. See last message."},"error":406,"event":"error","message_send_time":1700000000,"pipe":"sys"}"#,
    );
}

#[test]
fn command_errors() {
    use SubscriptionError::{NameTooLong, NeedsAuthorisation, NotNamed, TooManyPipes};
    // The keys of `data` besides the wording, and the marker.
    let check = |error: ApiError, data: &str, marker: Option<&str>| {
        let json = answered(&Answer::Error(error.clone()), WireForm::Modern);
        check_answer(&Answer::Error(error), &json);
        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let text = value["data"].as_object_mut().unwrap().remove("error").unwrap();
        assert!(!text.as_str().unwrap().is_empty());
        assert_eq!(value["data"].to_string(), data);
        assert_eq!((&value["event"], &value["pipe"]), (&"error".into(), &"sys".into()));
        assert_eq!(value["message_send_time"], 1_700_000_000);
        assert_eq!(value.get("marker").and_then(|marker| marker.as_str()), marker);
        assert!(value.get("error").is_none(), "only handshake errors are fatal");
    };
    for error in [NameTooLong, TooManyPipes, NeedsAuthorisation, NotNamed] {
        check(ApiError::Subscription(error), r#"{"code":"403"}"#, None);
    }
    for error in [
        PipeError::BadName,
        PipeError::BadMarker,
        PipeError::WrongClass,
        PipeError::NeedsAuthorisation,
        PipeError::NotNamed,
        PipeError::BadFlag,
    ] {
        check(ApiError::Pipe(error), r#"{"number_messages":-1}"#, None);
    }
    check(ApiError::EventName, "{}", None);
    check(ApiError::NotATrackPipe, r#"{"user_id":-1}"#, None);
    check(ApiError::UserData, r#"{"user_data":"","user_id":-1}"#, None);
    check(ApiError::Unavailable { marker: label("M") }, "{}", Some("M"));
}

#[test]
fn comings_and_goings() {
    for word in ["subscription", "unsubscription"] {
        let mut publication = publication_in("track_x", word, "");
        publication.kind = PublicationKind::Track { user: user(5), uuid: "u-1".into() };
        let expected = format!(
            r#"{{"data":{{"user_id":5,"uuid":"u-1"}},"event":"{word}","message_send_time":1700000000,"pipe":"track_x"}}"#
        );
        check(&expected, |form, out| {
            encode_publication(&publication, form, out);
        });
    }
}

#[test]
fn who_is_there() {
    let write = |subscribers: &[(UserId, &'static str)], marker: &str, form, out: &mut Vec<u8>| {
        encode_track_users(&pipe("track_x"), &label(marker), subscribers.iter().copied(), NOW, form, out);
    };
    check(
        r#"{"_info":"answer for track_pipe_users","data":[],"event":"answer","marker":"mark9","message_send_time":1700000000,"pipe":"_answer"}"#,
        |form, out| write(&[], "mark9", form, out),
    );
    let subscribers = [(user(5), "u1"), (UserId::ANONYMOUS, "\"")];
    check(
        r#"{"_info":"answer for track_pipe_users","data":[{"user_id":5,"uuid":"u1"},{"user_id":0,"uuid":"\""}],"event":"answer","marker":"mark9","message_send_time":1700000000,"pipe":"_answer"}"#,
        |form, out| write(&subscribers, "mark9", form, out),
    );
    let legacy = written(|out| write(&subscribers, "mark9", WireForm::Legacy, out));
    assert!(legacy.contains(r#""marker":"mark9""#) && legacy.contains(r#""pipe":"track_x""#), "{legacy}");
    assert!(!written(|out| write(&[], "undefined", WireForm::Legacy, out)).contains("marker"));
}

#[test]
fn statuses() {
    for (last_seen, seconds) in [(LastSeen::Online, 0), (LastSeen::Unknown, -1), (LastSeen::SecondsAgo(9), 9)] {
        let expected = format!(
            r#"{{"data":{{"data":{seconds},"last_online_time":{seconds}}},"event":"user_status_7","message_send_time":1700000000,"pipe":"_answer_user_status"}}"#
        );
        check(&expected, |form, out| encode_user_status(user(7), last_seen, NOW, form, out));
    }
    for word in ["online", "offline"] {
        let mut publication = publication_in("user_status_7", word, word);
        publication.kind = PublicationKind::Presence;
        let expected = format!(r#"{{"data":"{word}","event":"{word}","pipe":"user_status_7"}}"#);
        check(&expected, |form, out| encode_publication(&publication, form, out));
    }
}

#[test]
fn personal_messages() {
    check(r#"{"data":"{\"a\":1}","event":"ev","pipe":"msg"}"#, |form, out| {
        encode_personal(&label("ev"), "{\"a\":1}", None, form, out);
    });
    check(r#"{"data":"m","event":"","fromQueue":true,"message_send_time":1600000000,"pipe":"msg"}"#, |form, out| {
        encode_personal(&label(""), "m", Some(UnixTime(1_600_000_000)), form, out);
    });
}

#[test]
fn history() {
    let name = pipe("p_a");
    let entry = HistoryEntry {
        pipe: &name,
        event: "ev",
        message: "m",
        sender: UserId::ANONYMOUS,
        time: NOW,
        position: Some(Position(1 << 59)),
    };
    let write = |marker: &str, form, out: &mut Vec<u8>| {
        encode_history(&entry, &Marker::new(marker.as_bytes()).unwrap(), form, out);
    };
    check(
        r#"{"data":"m","event":"ev","fromQueue":true,"history":true,"message_send_time":1700000000,"pipe":"p_a","user_id":0}"#,
        |form, out| write("mark1", form, out),
    );
    assert!(written(|out| write("mark1", WireForm::Legacy, out)).contains(r#""marker":"mark1""#));
    assert!(!written(|out| write("undefined", WireForm::Legacy, out)).contains("marker"));
    assert_eq!(
        written(|out| write("mark1", WireForm::Extended, out)),
        r#"{"data":"m","event":"ev","fromQueue":true,"history":true,"message_send_time":1700000000,"pipe":"p_a","position":"576460752303423488","user_id":0}"#
    );
    assert_eq!(
        written(|out| encode_missed(&entry, WireForm::Extended, out)),
        r#"{"data":"m","event":"ev","fromQueue":true,"message_send_time":1700000000,"pipe":"p_a","position":"576460752303423488"}"#
    );
}

#[test]
fn positions_are_told_in_the_extended_form_only() {
    let mut kept = publication(Some(7), "m");
    (kept.kept, kept.position) = (true, Position(u64::MAX >> 4));
    let write = |publication: &Publication, form| written(|out| encode_publication(publication, form, out));
    assert_eq!(
        write(&kept, WireForm::Extended),
        r#"{"data":"m","event":"say","message_send_time":1700000000,"pipe":"web_room","position":"1152921504606846975","user_id":7}"#
    );
    let passing = publication(Some(7), "m");
    for form in [WireForm::Modern, WireForm::Legacy] {
        assert_eq!(write(&kept, form), write(&passing, form));
    }
    assert_eq!(write(&passing, WireForm::Extended), write(&passing, WireForm::Modern));
    // Two forms that are the same are made once.
    let frame = |publication: &Publication, form| publication.frame(form, |p| frame_publication(p, form)).as_ptr();
    assert_eq!(frame(&passing, WireForm::Extended), frame(&passing, WireForm::Modern));
    assert_ne!(frame(&kept, WireForm::Extended), frame(&kept, WireForm::Modern));
}

#[test]
fn subscribed() {
    for (position, recovered, data) in [
        (None, None, r#"{"pipe":"web_a","position":null}"#),
        (Some(Position(5)), None, r#"{"pipe":"web_a","position":"5"}"#),
        (None, Some(false), r#"{"pipe":"web_a","position":null,"recovered":false}"#),
        (Some(Position(5)), Some(true), r#"{"pipe":"web_a","position":"5","recovered":true}"#),
    ] {
        let answer = Answer::Subscribed { pipe: pipe("web_a"), position, recovered };
        let expected = format!(r#"{{"data":{data},"event":"subscribed","message_send_time":1700000000,"pipe":"sys"}}"#);
        assert_eq!(answered(&answer, WireForm::Extended), expected);
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    json::write_string(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn escaped_by_another(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace("\\'", "\\\\u0027")
}

#[test]
fn escapes() {
    for (text, expected) in [
        ("", r#""""#),
        ("it's", r#""it's""#),
        ("\\'", r#""\\\u0027""#),
        ("\\''\\\\'", r#""\\\u0027'\\\\\u0027""#),
        ("\"'", r#""\"'""#),
        ("\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}/", "\"\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}/\""),
        ("привет 😀\u{2028}", "\"привет 😀\u{2028}\""),
    ] {
        assert_eq!(escaped(text), expected);
        assert_eq!(escaped_by_another(text), expected);
    }
    // A special byte at every place around the blocks that are passed at once.
    for length in 0..100 {
        for special in ["\"", "\n", "\\'", "\u{1f}"] {
            let text = format!("{}{special}{}", "a".repeat(length), "б".repeat(20));
            assert_eq!(escaped(&text), escaped_by_another(&text));
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_escaped_as_another_would(text in "(\\PC|[\\\\'\"\u{0}-\u{1f}a]){0,200}") {
        prop_assert_eq!(escaped(&text), escaped_by_another(&text));
    }

    #[test]
    fn any_message_arrives(message in "(\\PC|[\\\\'\"\u{0}-\u{1f}]){0,80}", sender in proptest::option::of(0..100_u32)) {
        let publication = publication(sender, &message);
        for form in FORMS {
            let value: serde_json::Value =
                serde_json::from_str(&written(|out| encode_publication(&publication, form, out))).unwrap();
            prop_assert_eq!(value["data"].as_str(), Some(message.as_str()));
        }
        let answer = Answer::DeliveryReport { pipe: pipe("web_a"), message: message.as_str().into(), delivered: 1 };
        let value: serde_json::Value = serde_json::from_str(&answered(&answer, WireForm::Legacy)).unwrap();
        let data: serde_json::Value = serde_json::from_str(value["data"].as_str().unwrap()).unwrap();
        prop_assert_eq!(data["message"].as_str(), Some(message.as_str()));
    }
}
