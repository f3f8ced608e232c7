use super::*;

#[test]
fn the_accept_value_of_the_rfc() {
    assert_eq!(accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(key(1).len(), 24);
    assert_ne!(key(1), key(2));
}

#[test]
fn a_request_has_the_standard_headers_once() {
    let hello = Hello::anonymous(7, "u").with_header("Origin", "http://a").with_header("upgrade", "WebSocket");
    let text = String::from_utf8(hello.encode("h:1", "k")).unwrap();
    assert_eq!(
        text,
        "GET /ws/sesion=&myid=&devid=7&v=4.09&uuid=u&api=js2 HTTP/1.1\r\nHost: h:1\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: k\r\nOrigin: http://a\r\nupgrade: WebSocket\r\n\r\n"
    );
}

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";

#[test]
fn an_upgrade_is_recognised_at_any_split() {
    let end = ANSWER.len() - 2;
    for cut in 0..end {
        assert_eq!(parse_response(&ANSWER[..cut]), Ok(None));
    }
    let head = parse_response(ANSWER).unwrap().unwrap();
    assert_eq!((head.status, head.bytes), (101, end));
    assert!(is_upgrade(&head, "dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(!is_upgrade(&head, "another key"));
}

#[test]
fn other_answers() {
    let check = |text: &str, expected: Result<Option<u16>, HeadError>| {
        assert_eq!(parse_response(text.as_bytes()).map(|head| head.map(|head| head.status)), expected, "{text}");
    };
    check("HTTP/1.1 404 Not Found\r\n\r\n", Ok(Some(404)));
    check("HTTP/1.1 404\r\n\r\n", Ok(Some(404)));
    check("SSH-2.0\r\n\r\n", Err(HeadError::NotHttp));
    check("HTTP/1.1 abc\r\n\r\n", Err(HeadError::NotHttp));
    check("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Err(HeadError::BadHeader));
    assert_eq!(parse_response(b"HTTP/1.1 200 \xff\r\n\r\n"), Err(HeadError::NotUtf8));
    assert_eq!(parse_response(&vec![b'a'; HEAD_BYTES_MAX + 1]), Err(HeadError::TooLong));
    assert_eq!(parse_response(&vec![b'a'; HEAD_BYTES_MAX]), Ok(None));
}
