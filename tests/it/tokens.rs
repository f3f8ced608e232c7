//! Tokens that are signed with a key of their own, from `comet.ini` to `serverInfo`.

use crate::server::{Folder, Server, Setup};
use crate::transports::Http;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;

#[test]
fn keys_of_the_server_and_of_a_tenant() {
    let folder = Folder::new();
    let (rsa, ed) = (pair(&rcgen::PKCS_RSA_SHA256), pair(&rcgen::PKCS_ED25519));
    let rsa_file = folder.path().join("rsa.pem");
    let ed_file = folder.path().join("ed.pem");
    fs::write(&rsa_file, rsa.public_key_pem()).unwrap();
    fs::write(&ed_file, ed.public_key_pem()).unwrap();
    let more = format!(
        "[jwt]\nalgorithm = EdDSA\npublic_key = {}\n[tenant 2]\njwt_algorithm = RS256\njwt_public_key = {}\n",
        ed_file.display(),
        rsa_file.display()
    );
    let password = "0123456789abcdef";
    let server = Server::start(&Setup { shards: 1, password: Some(password), more });
    let ed = EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).unwrap();
    let rsa = EncodingKey::from_rsa_pem(rsa.serialize_pem().as_bytes()).unwrap();
    let classic = |dev: u32| EncodingKey::from_secret(format!("{password}{dev}").as_bytes());
    let opens = |dev, algorithm, key: &EncodingKey| {
        let claims = json!({ "user_id": 5, "exp": 4_000_000_000_u64, "dev": dev });
        let token = encode(&Header::new(algorithm), &claims, key).unwrap();
        let (_, first) = server.browser_with_key(dev, "5", &token);
        first["authorized"] == true
    };
    assert!(opens(1, Algorithm::EdDSA, &ed));
    assert!(opens(2, Algorithm::RS256, &rsa));
    assert!(!opens(2, Algorithm::EdDSA, &ed), "the tenant has its own key");
    assert!(!opens(1, Algorithm::RS256, &rsa), "another tenant's key");
    assert!(!opens(1, Algorithm::HS256, &classic(1)) && !opens(2, Algorithm::HS256, &classic(2)));
}

/// One key of all tenants, and a token that says of which it is; or does not, as those of servers with one tenant.
#[test]
fn a_shared_key_opens_no_tenant_but_the_one_that_is_named() {
    let server = Server::start(&Setup { shards: 1, password: None, more: "[jwt]\nsecret = 0123456789abcdef\n".into() });
    let opens = |dev, more: Value| {
        let mut claims = json!({ "user_id": 5, "exp": 4_000_000_000_u64 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"0123456789abcdef")).unwrap();
        server.browser_with_key(dev, "5", &token).1["authorized"] == true
    };
    for (more, home) in [(json!({}), 0), (json!({ "dev": 7 }), 7), (json!({ "aud": ["site", "3"] }), 3)] {
        for dev in [0, 3, 7] {
            assert_eq!(opens(dev, more.clone()), dev == home, "{more} in {dev}");
        }
    }
}

/// Everybody can make a second good signature of a token with ES256 out of the first one.
#[test]
fn a_revoked_token_is_revoked_whatever_its_signature() {
    let folder = Folder::new();
    let pair = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let file = folder.file("ec.pem", &pair.public_key_pem());
    let more = format!("[jwt]\nalgorithm = ES256\npublic_key = {}\n", file.display());
    let server = Server::start(&Setup { shards: 2, password: None, more });
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let claims = json!({ "user_id": 5, "exp": 4_000_000_000_u64, "dev": 0 });
    let token = encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap();
    let twin = twin(&token);
    let (mut first, told) = server.browser_with_key(0, "5", &token);
    let (mut second, told_twin) = server.browser_with_key(0, "5", &twin);
    assert!(told["authorized"] == true && told_twin["authorized"] == true && token != twin);
    server.backend().execute(&format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')")).expect("revoked");
    assert!(first.is_dropped() && second.is_dropped());
    for text in [&token, &twin] {
        assert_eq!(server.browser_with_key(0, "5", text).1["authorized"], false);
    }
}

/// A private pipe is for those whose token names it, over each transport.
#[test]
fn tokens_name_the_private_pipes_of_their_bearer() {
    let more = "[ws]\nprivate_pipes = listed\n[jwt]\nsecret = 0123456789abcdef\n".into();
    let server = Server::start(&Setup { shards: 4, password: None, more });
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('private_a', 5), ('private_b', 5)").expect("OK");
    let publish = |backend: &mut loadtest::CometQl, text: &str| {
        let rows = ["private_a", "private_b"].map(|pipe| format!("('{pipe}', 'e', '{text}')")).join(", ");
        backend.execute(&format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows}")).expect("OK");
    };
    publish(&mut backend, "old");
    let token = |pipes: Value| {
        let claims = json!({ "user_id": 5, "exp": 4_000_000_000_u64, "dev": 0, "pipes": pipes });
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"0123456789abcdef")).unwrap()
    };
    let good = token(json!(["private_a"]));
    for (pipes, is_known) in [(json!(["private_a"]), true), (json!("private_a"), false), (json!(["private_*a"]), false)]
    {
        assert_eq!(server.browser_with_key(0, "5", &token(pipes)).1["authorized"], is_known);
    }
    let fields = format!("sesion={good}&myid=5&devid=0&api=js2&pipes=private_a,private_b&last=~1");
    let heard_all = |mut next: Box<dyn FnMut() -> Value + '_>, publish: &mut dyn FnMut()| {
        let mut heard = Vec::new();
        let (mut denied, mut is_published) = (0, false);
        while !heard.contains(&"new".to_owned()) {
            let message = next();
            assert_ne!(message["pipe"], "private_b", "{message}");
            denied += usize::from(message["event"] == "error" && message["data"]["code"] == "403");
            if message["pipe"] == "private_a" {
                heard.push(message["data"].as_str().unwrap().to_owned());
            }
            if message["event"] == "subscribed" && !is_published {
                is_published = true;
                publish();
            }
        }
        assert_eq!(denied, 1, "once, and in words");
        heard
    };
    let mut events = Http::connect(&server);
    events.send(&format!("GET /sse?{fields} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(events.head().status, 200);
    let heard = heard_all(Box::new(|| events.event().1), &mut || publish(&mut backend, "new"));
    assert_eq!(heard, ["old", "new"]);
    let (mut browser, _) = server.browser_with_key(0, "5", &good);
    for (pipe, is_named) in [("private_a", true), ("private_b", false)] {
        browser.send(&format!("pipe_log\n{pipe}\nm\n"));
        let answer = browser.receive();
        assert_eq!(answer["event"] == "e", is_named, "{answer}");
        if is_named {
            assert_eq!((&answer["data"], &browser.receive()["data"]), (&json!("old"), &json!("new")));
        }
    }
    let mut poll = Http::connect(&server);
    let signed: Value = serde_json::from_str(poll.get(&format!("/poll/sign?{fields}"), "").text()).unwrap();
    let (id, mut seq, mut waiting) = (signed["id"].as_str().unwrap().to_owned(), 0, VecDeque::new());
    let next = || loop {
        if let Some(message) = waiting.pop_front() {
            return message;
        }
        let answer: Value = serde_json::from_str(poll.get(&format!("/poll?id={id}&seq={seq}"), "").text()).unwrap();
        let messages = answer.as_array().unwrap().clone();
        seq += messages.len();
        waiting.extend(messages);
    };
    assert_eq!(heard_all(Box::new(next), &mut || publish(&mut backend, "new")), ["new"; 1]);
}

/// The same token with the signature (r, n - s), where n is the order of P-256.
fn twin(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = 0xffff_ffff_0000_0000_ffff_ffff_ffff_ffff_u128.to_be_bytes();
    let order = [order, 0xbce6_faad_a717_9e84_f3b9_cac2_fc63_2551_u128.to_be_bytes()].concat();
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(order).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(algorithm).unwrap()
}
