//! A browser's message: the command, and what is published or answered because of it, read back as JSON.

use std::sync::Arc;

use encke::jsapi::{Command, encode_answer, encode_publication, parse_command};
use encke::model::{Answer, DevId, PipeKey, Publication, UnixTime, UserId, WireForm};

fn check_answer(answer: &Answer) {
    for form in [WireForm::Modern, WireForm::Legacy, WireForm::Extended] {
        let mut json = Vec::new();
        encode_answer(answer, form, UnixTime(1_700_000_000), "Encke", &mut json);
        check_json(&json);
    }
}

fn check_json(json: &[u8]) -> serde_json::Value {
    assert!(!json.windows(2).any(|two| two == b"\\'"), "classic clients could not read this");
    serde_json::from_slice(json).expect("every message is JSON")
}

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(command) = parse_command(text) else { return };
    match command {
        Command::Subscription(list) => {
            let (names, errors) = list.collect(32);
            assert!(names.len() <= 32 && errors.len() <= 8);
            for error in errors {
                check_answer(&Answer::Error(error));
            }
        }
        Command::Subscription2(list) => {
            let (names, errors) = list.collect(32);
            assert!(names.len() <= 32 && errors.len() <= 8);
            for error in errors {
                check_answer(&Answer::Error(error));
            }
            for (pipe, had) in names {
                let position = had.position;
                check_answer(&Answer::Subscribed { pipe, position, recovered: position.map(|_| true) });
            }
        }
        Command::WebPipe2(Ok(message)) => {
            let pipe = Arc::new(PipeKey { dev: DevId(0), name: message.pipe });
            let mut publication = Publication::new(pipe, message.event, message.body.as_ref().into());
            publication.sender = Some(UserId::ANONYMOUS);
            for form in [WireForm::Modern, WireForm::Legacy] {
                let mut json = Vec::new();
                encode_publication(&publication, form, &mut json);
                assert_eq!(check_json(&json)["data"], *message.body);
            }
            let pipe = publication.pipe.name.clone();
            check_answer(&Answer::DeliveryReport { pipe, message: publication.message, delivered: 1 });
        }
        Command::WebPipe2(Err(error)) | Command::PipeCount(Err(error)) => check_answer(&Answer::Error(error)),
        Command::PipeCount(Ok(question)) => check_answer(&Answer::PipeCount { marker: question.marker, count: 1 }),
        Command::UserData(Ok(question)) => {
            check_answer(&Answer::UserData { marker: question.marker, user: question.user.get(), data: text.into() });
        }
        _ => {}
    }
}
