//! A request's bytes, as far as they are answered without a file or a hub: head, route, upgrade, hello.

use encke::http::{
    Conditions, Cors, HeadLimits, HeadStep, Query, Route, Site, Terms, Validators, Wanted, credentials, origin_allowed,
    parse_head, plain_answer, route, same_origin, upgrade,
};
use encke::jsapi::parse_hello;

pub(crate) fn check(bytes: &[u8]) {
    let limits = HeadLimits { head_bytes_max: 2048 };
    let Ok(HeadStep::Head(head)) = parse_head(bytes, &limits) else { return };
    // One byte less is not yet a head: nothing is answered before the empty line.
    assert!(matches!(parse_head(&bytes[..head.used - 1], &limits), Ok(HeadStep::Incomplete)));
    origin_allowed(&["a.example", "*.b.example"], false, head.header("Origin"));
    if let Ok(answer) = upgrade(&head) {
        assert!(answer.bytes.starts_with(b"HTTP/1.1 101 ") && answer.bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(answer.bytes.windows(4).filter(|four| *four == b"\r\n\r\n").count(), 1);
    }
    match route(&head) {
        Route::WebSocket(target) => {
            if let Ok(hello) = parse_hello(target.as_bytes(), 100) {
                assert!(hello.dev.0 < 100 && hello.key.len() <= 600 && hello.uuid.len() <= 32);
            }
        }
        Route::Static(path) => {
            assert!(path.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.')));
            assert!(!path.contains(['\\', '\0', '\n', '\r']));
        }
        Route::Health => {}
        Route::Events(fields) | Route::Poll(_, fields) => drop(Query::new(fields).value("pipes")),
        Route::WithPassword(_, fields) => {
            drop(Query::new(fields).value("database"));
            let _ = (same_origin(&head), credentials(&head));
            assert_eq!(Terms::of(&head, &route(&head), &["a.example"]).cors, Cors::Nobody);
            let _ = encke::cometql::json::statements(&bytes[head.used..]);
        }
        plain => {
            let terms = Terms::of(&head, &plain, &["a.example"]);
            let site = Site {
                start_page: "",
                cometql_port: 3300,
                password_file: "",
                node_name: "n",
                cometql_host: "",
                sign_in: "on",
            };
            let answer = plain_answer(&plain, &Conditions::of(&head), &site, &terms).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 "));
        }
    }
    if let Wanted::Part(part) = Conditions::of(&head).decide(&Validators::of_content(b""), 100) {
        assert!(!part.is_empty() && part.end <= 100);
    }
}
