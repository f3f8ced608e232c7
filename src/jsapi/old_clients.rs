//! Messages as the pages of two other comet servers read them, icomet and `CComet`. Source: icomet's `docs/README.md`, and what
//! the scripts of both read of an answer.
//!
//! A page of icomet counts what it got from 0 on. One of `CComet` comes with the number behind the last one that it saw; here
//! numbers are positions in a history, which grow and leave gaps.

use serde_json::{Value, json};

/// Shape: `[{"type":"data","cname":<pipe>,"seq":"<number>","content":<text>}, ...]`; the first one has the number `seq`.
pub fn icomet_messages(cname: &str, seq: u64, messages: &[u8]) -> Vec<u8> {
    let numbered = (seq..).zip(parsed(messages)).map(|(seq, message)| {
        json!({ "type": "data", "cname": cname, "seq": seq.to_string(), "content": text_of(&message) })
    });
    bytes(&numbered.collect())
}

/// Shape: `{"type":"noop","cname":<pipe>,"seq":"<number>"}`, with the number that the page told.
pub fn icomet_noop(cname: &str, noop: i64) -> Vec<u8> {
    bytes(&json!({ "type": "noop", "cname": cname, "seq": noop.to_string() }))
}

/// Shape: `{"type":"sign","cname":<pipe>,"seq":0,"token":<text>,"expires":60,"sub_timeout":<seconds>}`.
pub fn icomet_sign(cname: &str, token: &str, sub_timeout_s: u64) -> Vec<u8> {
    bytes(&json!({
        "type": "sign", "cname": cname, "seq": 0, "token": token, "expires": 60, "sub_timeout": sub_timeout_s,
    }))
}

/// What has nothing but a type: `ok`, or the number of an error.
pub fn icomet_word(word: &str) -> Vec<u8> {
    bytes(&json!({ "type": word }))
}

/// Shape: `[{"type":"MSG","msg":<text>,"sname":<who>,"seqid":"<position>","channel":<pipe>}, ...]`, as a text in JSON. Who sent a
/// message is its event. Without a position the page goes on with what comes next.
pub fn ccomet_messages(channel: &str, messages: &[u8]) -> Vec<u8> {
    let messages = parsed(messages).map(|message| {
        let position = message.get("position").map_or_else(|| "-1".to_owned(), plain);
        let sname = message.get("event").and_then(Value::as_str).unwrap_or_default();
        json!({ "type": "MSG", "msg": text_of(&message), "sname": sname, "seqid": position, "channel": channel })
    });
    in_text(&messages.collect())
}

/// `CComet`'s answer without a message, which is one word: `SIGN`, which a page takes for nothing new, `pub`, or the number
/// of an error.
pub fn ccomet_word(word: &str) -> Vec<u8> {
    in_text(&json!([{ "type": word }]))
}

/// Only messages of pipes are there: such pages get nothing else.
fn parsed(messages: &[u8]) -> impl Iterator<Item = Value> {
    serde_json::from_slice::<Vec<Value>>(messages).unwrap_or_default().into_iter()
}

fn text_of(message: &Value) -> String {
    message.get("data").map(plain).unwrap_or_default()
}

/// A text as it is, all else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn in_text(value: &Value) -> Vec<u8> {
    bytes(&Value::String(value.to_string()))
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &[u8] = br#"[{"data":"it's \"so\"","event":"ann","pipe":"web_a","position":"17"},{"data":{"a":1},"event":"","pipe":"web_a"}]"#;

    #[test]
    fn answers() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let found: Value = serde_json::from_slice(&icomet_messages("web_a", 7, MESSAGES)).unwrap();
        let expected = json!([
            { "type": "data", "cname": "web_a", "seq": "7", "content": "it's \"so\"" },
            { "type": "data", "cname": "web_a", "seq": "8", "content": "{\"a\":1}" },
        ]);
        assert_eq!(found, expected);
        let inside: String = serde_json::from_slice(&ccomet_messages("web_a", MESSAGES)).unwrap();
        let found: Value = serde_json::from_str(&inside).unwrap();
        let expected = json!([
            { "type": "MSG", "msg": "it's \"so\"", "sname": "ann", "seqid": "17", "channel": "web_a" },
            { "type": "MSG", "msg": "{\"a\":1}", "sname": "", "seqid": "-1", "channel": "web_a" },
        ]);
        assert_eq!(found, expected);
        assert_eq!(text(icomet_word("ok")), r#"{"type":"ok"}"#);
        assert_eq!(text(ccomet_word("SIGN")), r#""[{\"type\":\"SIGN\"}]""#);
        assert_eq!(text(icomet_messages("web_a", 7, b"nonsense")), "[]");
    }
}
