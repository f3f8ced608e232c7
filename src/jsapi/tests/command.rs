use proptest::prelude::*;

use crate::jsapi::{Command, PipeCount, PipeLog, TrackPipeUsers, Unknown, UserData, WebPipe2, parse_command};
use crate::model::{
    ApiError, EventName, Had, Marker, PipeError, PipeName, Position, ShardId, SubscriptionError, TrackCursor, UserId,
};

fn pipe(name: &str) -> PipeName {
    PipeName::new(name.as_bytes()).unwrap()
}

fn label(text: &str) -> EventName {
    Marker::new(text.as_bytes()).unwrap()
}

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

#[test]
fn keywords() {
    for text in ["statistics", "statistics\n", "statistics\n{\"url\":\"x\",\"dev_id\":1}"] {
        assert_eq!(parse_command(text), Ok(Command::Statistics), "{text}");
    }
    assert_eq!(parse_command("cgi_call\na\nb"), Ok(Command::CgiCall));
    assert_eq!(parse_command("CometQL_call\nmk\ntoken"), Ok(Command::CometQlCall));
    for text in [
        "",
        "\n",
        "ping",
        "nonsense\nabc",
        "unsubscription\na1",
        "web_pipe\nweb_a\ne\n*\nx",
        "restart",
        "subscriptionXaaa",
        "subscription \naa",
        "subscription\r\naa",
        "Subscription\naa",
        "statistics{}",
        "cometql_call\na",
        "user_data\0\na\n1",
    ] {
        assert_eq!(parse_command(text), Err(Unknown), "{text}");
    }
}

fn check_subscription(text: &str, expected: &[&str], expected_errors: &[SubscriptionError]) {
    let Ok(Command::Subscription(list)) = parse_command(text) else { panic!("{text}") };
    let (names, errors) = list.collect(4);
    assert_eq!(names, expected.iter().map(|name| pipe(name)).collect::<Vec<_>>(), "{text}");
    assert_eq!(errors, expected_errors.iter().map(|e| ApiError::Subscription(*e)).collect::<Vec<_>>(), "{text}");
}

#[test]
fn subscriptions_with_positions() {
    use SubscriptionError::{BadName, NameTooLong, TooManyPipes};
    let check = |arguments: &str, expected: &[(&str, Option<u64>)], expected_errors: &[SubscriptionError]| {
        let text = format!("subscription2\n{arguments}");
        let Ok(Command::Subscription2(list)) = parse_command(&text) else { panic!("{text}") };
        let (names, errors) = list.collect(3);
        let expected: Vec<_> =
            expected.iter().map(|(name, position)| (pipe(name), Had::from(position.map(Position)))).collect();
        assert_eq!(names, expected, "{text}");
        assert_eq!(errors, expected_errors.iter().map(|e| ApiError::Subscription(*e)).collect::<Vec<_>>(), "{text}");
    };
    check("", &[], &[]);
    check("web_a", &[("web_a", None)], &[]);
    check("web_a 7\r\nb1\n\n", &[("web_a", Some(7)), ("b1", None)], &[]);
    check("b1 1152921504606846975", &[("b1", Some(u64::MAX >> 4))], &[]);
    // The first line of a name counts; what is no number is a gap.
    check("b1 5\nb1 6\nb2 \nb3 -1", &[("b1", Some(5)), ("b2", Some(0)), ("b3", Some(0))], &[]);
    check("b1 18446744073709551616", &[("b1", Some(0))], &[]);
    check("b\nb1;b2\nb3", &[("b3", None)], &[BadName, BadName]);
    check(&format!("{}\nb3 1", "n".repeat(65)), &[("b3", Some(1))], &[NameTooLong]);
    check("b1\nb2\nb3\nb1\nb4\nb5", &[("b1", None), ("b2", None), ("b3", None)], &[TooManyPipes]);
    check(&"x\n".repeat(20), &[], &[BadName; 8]);
    let Ok(Command::Subscription2(list)) = parse_command("subscription2\nb1 ~1\nb2 7~20") else { panic!() };
    let had = |position: Option<u64>, newest| Had { position: position.map(Position), newest };
    assert_eq!(list.collect(3).0, [(pipe("b1"), had(None, 1)), (pipe("b2"), had(Some(7), 20))]);
}

#[test]
fn subscriptions() {
    check_subscription("subscription", &[], &[]);
    let check = |arguments: &str, expected: &[&str], expected_errors: &[SubscriptionError]| {
        check_subscription(&format!("subscription\n{arguments}"), expected, expected_errors);
    };
    check("", &[], &[]);
    check("p_1", &["p_1"], &[]);
    check("zz\np_1\n", &["zz", "p_1"], &[]);
    check("p1 p2", &["p1", "p2"], &[]);
    check("\n\na1.b2,,c3\r\n", &["a1", "b2", "c3"], &[]);
    check("q\np_1", &["p_1"], &[]);
    check("@web_x\n#web_y", &["web_x", "web_y"], &[]);
    check("p-1_x\n-a\n_b", &["p-1_x", "-a", "_b"], &[]);
    check("a1\na1\nb1\na1", &["a1", "b1"], &[]);
    check("имя я a1é b1", &["a1", "b1"], &[]);
    let (longest, too_long) = ("n".repeat(64), "n".repeat(65));
    check(&format!("{too_long}\n{longest}\naa"), &[&longest, "aa"], &[SubscriptionError::NameTooLong]);
    check("a1 a2 a3 a4 a1", &["a1", "a2", "a3", "a4"], &[]);
    check("a1 a2 a3 a4 a5 a6", &["a1", "a2", "a3", "a4"], &[SubscriptionError::TooManyPipes]);
    check(&format!("{too_long} ").repeat(20), &[], &[SubscriptionError::NameTooLong; 8]);
}

#[test]
fn publishing() {
    let check = |text: &str, expected: Result<(bool, &str, &str, &str), ApiError>| {
        let expected = expected.map(|(hide_sender, name, event, body)| WebPipe2 {
            hide_sender,
            pipe: pipe(name),
            event: label(event),
            body: body.into(),
        });
        assert_eq!(parse_command(&format!("web_pipe2\n{text}")), Ok(Command::WebPipe2(expected)), "{text}");
    };
    check("web_a\nev\n*\n\"hello\"", Ok((false, "web_a", "ev", "\"hello\"")));
    check("@web_a\nev\n*\nx", Ok((true, "web_a", "ev", "x")));
    check("webauth_a\nev\n*\nx", Ok((false, "webauth_a", "ev", "x")));
    check("web_\n\n*\n", Ok((false, "web_", "", "")));
    check("web_a\nev\n*", Ok((false, "web_a", "ev", "")));
    check("web_a\nev\n?\nl1\nl2\n", Ok((false, "web_a", "ev", "l1\nl2\n")));
    check(&format!("web_a\n{}\n*\nx", "e".repeat(64)), Ok((false, "web_a", &"e".repeat(64), "x")));
    // A page must not speak for user 5 by writing the libraries' old prefix.
    check("web_a\nev\n*\nA::5;{\"t\":1}", Ok((false, "web_a", "ev", r#""A::5;{\"t\":1}""#)));
    check("web_a\nev\n*\nA:5;", Ok((false, "web_a", "ev", "A:5;")));

    let pipe_error = |error| Err(ApiError::Pipe(error));
    for name in ["p_a", "@webauth_a", "trust_a", "my_web_a", "", "@@web_a", "track_a", "WEB_a"] {
        check(&format!("{name}\nev\n*\nx"), pipe_error(PipeError::WrongClass));
    }
    check("", pipe_error(PipeError::WrongClass));
    check("web_bad name\nev\n*\nx", pipe_error(PipeError::BadName));
    check("web_é\nev\n*\nx", pipe_error(PipeError::BadName));
    check(&format!("web_{}\nev\n*\nx", "n".repeat(61)), pipe_error(PipeError::BadName));
    check("web_a\nbad ev\n*\nx", Err(ApiError::EventName));
    check(&format!("web_a\n{}\n*\nx", "e".repeat(65)), Err(ApiError::EventName));
    check("web_a\nev\nabc\nx", pipe_error(PipeError::BadFlag));
    check("web_a\nev\n\nx", pipe_error(PipeError::BadFlag));
    check("web_a\nev\n\u{e9}\nx", pipe_error(PipeError::BadFlag));
    check("web_a\nev", pipe_error(PipeError::BadFlag));
    check("web_a", pipe_error(PipeError::BadFlag));
}

#[test]
fn counting() {
    let check = |text: &str, expected: Result<(&str, &str), PipeError>| {
        let expected = expected.map(|(name, marker)| PipeCount { pipe: pipe(name), marker: label(marker) });
        let command = Command::PipeCount(expected.map_err(ApiError::Pipe));
        assert_eq!(parse_command(&format!("pipe_count\n{text}")), Ok(command), "{text}");
    };
    check("web_a\nmark5\n", Ok(("web_a", "mark5")));
    check("track_a\nmark5", Ok(("track_a", "mark5")));
    check("web_a", Ok(("web_a", "")));
    check("web_a\nm\nmore\n", Ok(("web_a", "m")));
    check("p_a\nmark5\n", Err(PipeError::WrongClass));
    check("webauth_a\nmark5\n", Err(PipeError::WrongClass));
    check("\nmark5\n", Err(PipeError::BadName));
    check("web_a b\nmark5\n", Err(PipeError::BadName));
    check("web_a\nmark 5\n", Err(PipeError::BadMarker));
    check(&format!("web_a\n{}", "m".repeat(65)), Err(PipeError::BadMarker));
}

#[test]
fn asking_for_history() {
    let check = |text: &str, expected: Result<(&str, &str), PipeError>| {
        let expected = expected
            .map(|(name, marker)| PipeLog { pipe: pipe(name), marker: label(marker) })
            .map_err(|error| [ApiError::Pipe(error), ApiError::Pipe(error)]);
        assert_eq!(parse_command(&format!("pipe_log\n{text}")), Ok(Command::PipeLog(expected)), "{text}");
    };
    check("p_a\nmark1\n", Ok(("p_a", "mark1")));
    check("private_a\n\n", Ok(("private_a", "")));
    check("bad name\nmark1\n", Err(PipeError::BadName));
    check("p_a\nbad mark\n", Err(PipeError::BadMarker));
}

#[test]
fn asking_who_is_there() {
    let check = |text: &str, expected: Option<(&str, &str)>| {
        let expected = expected
            .map(|(name, marker)| TrackPipeUsers { pipe: pipe(name), marker: label(marker) })
            .ok_or(ApiError::NotATrackPipe);
        assert_eq!(
            parse_command(&format!("track_pipe_users\n{text}")),
            Ok(Command::TrackPipeUsers(expected)),
            "{text}"
        );
    };
    check("track_a\nmark9", Some(("track_a", "mark9")));
    check(" track_a mark9 more", Some(("track_a", "mark9")));
    check("track_a\n", Some(("track_a", "")));
    check("p_a\nmark9", None);
    check("", None);
    check(&format!("track_{}\nmark9", "n".repeat(59)), None);
    check("track_a\nm\u{e9}", None);
}

#[test]
fn asking_for_user_data() {
    let check = |text: &str, expected: Option<(&str, u32)>| {
        let expected =
            expected.map(|(marker, id)| UserData { marker: label(marker), user: user(id) }).ok_or(ApiError::UserData);
        assert_eq!(parse_command(&format!("user_data\n{text}")), Ok(Command::UserData(expected)), "{text}");
    };
    check("M\n7", Some(("M", 7)));
    check("mark77\n999999999", Some(("mark77", 999_999_999)));
    check("\n0", Some(("", 0)));
    check("m\n \t+7abc", Some(("m", 7)));
    check("m\n2147483647\n", Some(("m", 2_147_483_647)));
    check("m\n2147483648", None);
    check("m\n99999999999999999999999", None);
    check("m\n-7", None);
    check("m\nabc", None);
    check("m\n", None);
    check("m", None);
    check("bad mark\n7", None);
}

#[test]
fn asking_for_a_status() {
    for (text, id) in [("7", 7), ("7x", 7), ("", 0), ("x7", 0), ("2147483648", 0), ("99999999999999999999", 0)] {
        assert_eq!(parse_command(&format!("user_status\n{text}")), Ok(Command::UserStatus(user(id))), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_ends_in_a_value(
        keyword in "(subscription|user_status|pipe_count|web_pipe2|pipe_log|track_pipe_users|user_data|)",
        arguments in "\\PC{0,80}|([@a-z_0-9 ]{0,70}\n){0,6}|(@?(web|webauth|track)_[a-z]{0,3}\n){1,4}",
        names_max in 0..6_usize,
    ) {
        let text = format!("{keyword}\n{arguments}");
        if let Ok(Command::Subscription(list)) = parse_command(&text) {
            let (names, errors) = list.collect(names_max);
            let mut different = names.clone();
            different.sort();
            different.dedup();
            prop_assert_eq!(different.len(), names.len());
            prop_assert!(names.len() <= names_max && errors.len() <= 8);
        }
        prop_assert_eq!(parse_command(&text).is_err(), keyword.is_empty());
    }
}

#[test]
fn pages_of_a_list() {
    let page = |arguments: &str| match parse_command(&format!("track_pipe_page\n{arguments}")) {
        Ok(Command::TrackPipePage(page)) => page.map(|page| page.cursor),
        other => panic!("{other:?}"),
    };
    let cursor = |shard, before| Ok(TrackCursor { shard: ShardId(shard), before });
    for begin in ["track_a", "track_a\nm", "track_a\nm\n"] {
        assert_eq!(page(begin), cursor(0, None), "{begin}");
    }
    assert_eq!(page("track_a\nm\n2-"), cursor(2, None));
    assert_eq!(page("track_a\nm\n2-4096\nmore"), cursor(2, Some(4096)));
    for shown in ["0-", "1-512"] {
        assert_eq!(TrackCursor::parse(shown).unwrap().to_string(), shown);
    }
    for bad in ["2", "-", "-1", "a-b", "1-2-3", "70000-1", "1-99999999999", "+1-2"] {
        assert_eq!(page(&format!("track_a\nm\n{bad}")), Err(ApiError::BadCursor), "{bad}");
    }
    assert_eq!(page("web_a\nm\n"), Err(ApiError::NotATrackPipe));
    assert_eq!(page("track_a\n!"), Err(ApiError::Pipe(PipeError::BadMarker)));
}
