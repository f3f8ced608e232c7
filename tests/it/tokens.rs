//! Tokens that are signed with a key of their own, from `comet.ini` to `serverInfo`.

use crate::server::{Folder, Server, Setup};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
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
        let token = encode(&Header::new(algorithm), &json!({ "user_id": 5, "exp": 4_000_000_000_u64 }), key).unwrap();
        let (_, first) = server.browser_with_key(dev, "5", &token);
        first["authorized"] == true
    };
    assert!(opens(1, Algorithm::EdDSA, &ed));
    assert!(opens(2, Algorithm::RS256, &rsa));
    assert!(!opens(2, Algorithm::EdDSA, &ed), "the tenant has its own key");
    assert!(!opens(1, Algorithm::RS256, &rsa), "another tenant's key");
    assert!(!opens(1, Algorithm::HS256, &classic(1)) && !opens(2, Algorithm::HS256, &classic(2)));
}

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(algorithm).unwrap()
}
