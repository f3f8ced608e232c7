//! Server-Sent Events: the head that begins a stream, and the lines around each message. Source: the HTML standard, section
//! 9.2.

use super::response::{Head, METHODS};
use super::terms::Terms;

/// A comment, so that what stands between server and page does not take the stream for dead.
pub const EVENTS_PING: &[u8] = b":\n\n";

/// The head of a stream, which goes on until the connection ends, and how soon a page shall come back then.
///
/// Nothing on the way may keep it, change it or wait for more of it.
pub fn events_head(terms: &Terms) -> Vec<u8> {
    let extra = [("Cache-Control", "no-cache, no-transform"), ("X-Accel-Buffering", "no")];
    let head = Head { status: 200, content_type: "text/event-stream", methods: METHODS, extra: &extra, length: None };
    let mut head = head.write(&Terms { persistent: false, ..terms.clone() });
    head.extend_from_slice(RETRY);
    head
}

/// As soon as the libraries for WebSocket do.
const RETRY: &[u8] = b"retry: 2000\n\n";

/// For a page whose stream ends now and which may come back at once: others do so at other times.
pub const RETRY_SOON: &[u8] = b"retry: 500\n\n";

/// Appends one event whose data is what `write` appends: one line, as all our JSON is. `id` is what a page that lost the
/// connection says it had last.
pub fn append_event(out: &mut Vec<u8>, id: Option<&str>, write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    write(out);
    debug_assert!(!out.get(start..).unwrap_or_default().contains(&b'\n'), "an event is one line");
    out.extend_from_slice(b"\n\n");
}

/// Appends the last event of a stream. It has a name of its own, so pages that only listen to messages are not told.
/// Shape: `{"code":1001,"reason":"..."}` with a code of RFC 6455, as in a WebSocket's close frame.
pub fn append_goodbye(out: &mut Vec<u8>, code: u16, reason: &str) {
    debug_assert!(!reason.contains(['"', '\\', '\n']), "a reason needs no escapes");
    out.extend_from_slice(format!("event: close\ndata: {{\"code\":{code},\"reason\":\"{reason}\"}}\n\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let mut out = Vec::new();
        append_event(&mut out, None, |out| out.extend_from_slice(b"{}"));
        append_event(&mut out, Some("a:7"), |out| out.extend_from_slice("{\"\u{44f}\":1}".as_bytes()));
        assert_eq!(String::from_utf8(out).unwrap(), "data: {}\n\nid: a:7\ndata: {\"\u{44f}\":1}\n\n");
        let head = String::from_utf8(events_head(&Terms { persistent: true, ..Terms::LAST })).unwrap();
        assert!(head.contains("\r\nContent-Type: text/event-stream; charset=UTF-8\r\n"), "{head}");
        assert!(head.contains("\r\nX-Accel-Buffering: no\r\n") && head.contains("\r\nConnection: close\r\n"));
        assert!(!head.contains("Content-Length") && head.ends_with("\r\n\r\nretry: 2000\n\n"));
    }
}
