//! JSON Web Tokens: what a page may show instead of a stored hash.
//!
//! The key of a tenant is its own, if it was given one, else the one for all, else a secret: the server's password followed
//! by the tenant's number, as CppComet has it. With each key one algorithm is accepted, whatever a token says of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use serde::Deserialize;
use serde_json::Number;

use crate::model::{DevId, TokenAlgorithm, UnixTime, UserId};

/// What the tokens of one tenant, or of all that have nothing of their own, are checked with. Signs nothing. Never shown.
#[derive(Clone)]
pub struct TokenKey {
    /// The only one that is accepted: a key is never used with another, so a public key is no secret of HS256.
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The text is no public key in PEM for this algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPublicKey;

impl TokenKey {
    /// HS256.
    pub fn secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// Any other algorithm. The label must say that this is a public key: a private one has no business here.
    pub fn public(algorithm: TokenAlgorithm, pem: &[u8]) -> Result<Self, NoPublicKey> {
        if memchr::memmem::find(pem, b"PUBLIC KEY-----").is_none() {
            return Err(NoPublicKey);
        }
        let (algorithm, key) = match algorithm {
            TokenAlgorithm::Hs256 => return Err(NoPublicKey),
            TokenAlgorithm::Rs256 => (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            TokenAlgorithm::Es256 => (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
            TokenAlgorithm::EdDsa => (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        };
        key.map(|key| Self { algorithm, key }).map_err(|_| NoPublicKey)
    }
}

/// The keys of all tenants. Never shown.
#[derive(Clone, Default)]
pub struct TokenKeys {
    password: Box<str>,
    /// Of all tenants without their own; `None`: the server's password and the tenant's number.
    shared: Option<Arc<TokenKey>>,
    /// Of tenants that have their own.
    tenants: Arc<BTreeMap<DevId, TokenKey>>,
    leeway_s: u32,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys")
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: Number,
    user_id: Number,
    nbf: Option<Number>,
}

impl TokenKeys {
    /// `password`: the server's.
    pub fn new(password: &str, tenants: BTreeMap<DevId, TokenKey>) -> Self {
        Self { password: password.into(), shared: None, tenants: Arc::new(tenants), leeway_s: 0 }
    }

    /// For all tenants that have no key of their own.
    #[must_use]
    pub fn with_shared(self, shared: Option<TokenKey>) -> Self {
        Self { shared: shared.map(Arc::new), ..self }
    }

    /// So much may the clocks of whoever signs differ from this one.
    #[must_use]
    pub fn with_leeway(self, leeway_s: u32) -> Self {
        Self { leeway_s, ..self }
    }

    /// Until when this is a proof of being that user, in unix seconds; `None` if it is none now.
    pub fn verify(&self, dev: DevId, user: UserId, token: &str, now: UnixTime) -> Option<UnixTime> {
        if !looks_like_one(token) {
            return None;
        }
        let classic;
        let key = match (self.tenants.get(&dev), &self.shared) {
            (Some(own), _) => own,
            (None, Some(shared)) => shared,
            (None, None) => {
                classic = TokenKey::secret(format!("{}{dev}", self.password).as_bytes());
                &classic
            }
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &validation(key.algorithm)).ok()?.claims;
        let leeway = f64::from(self.leeway_s);
        let (expires, now) = (claims.exp.as_f64()? + leeway, now.0 as f64);
        let begins = claims.nbf.map_or(Some(0.0), |begins| begins.as_f64())?;
        #[expect(clippy::float_cmp, reason = "both are whole numbers, or it is another user")]
        let same_user = claims.user_id.as_f64()? == f64::from(user.get());
        let valid = now <= expires && begins <= now + leeway && same_user;
        // A number too large for a date means never, and so does the largest date.
        valid.then_some(UnixTime(expires as i64))
    }
}

/// The time that a token says it is good until; nothing of it is proved.
pub fn claimed_expiry(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Expiry {
        exp: Number,
    }
    if !looks_like_one(token) {
        return None;
    }
    Some(dangerous::insecure_decode::<Expiry>(token).ok()?.claims.exp.as_f64()? as i64)
}

fn looks_like_one(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Times are compared here, with the time of the turn.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.leeway = 0;
    validation
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};

    #[test]
    fn a_tenant_may_have_a_secret_of_its_own() {
        let five = UserId::new(5).unwrap();
        let secrets = TokenKeys::new("password", BTreeMap::from([(DevId(7), TokenKey::secret(b"own secret"))]));
        let claims = serde_json::json!({ "user_id": 5, "exp": 2_000_000_000 });
        let signed =
            |secret: &str| encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        let holds = |dev: u32, token: &str| secrets.verify(DevId(dev), five, token, UnixTime(1_700_000_000)).is_some();
        assert!(holds(7, &signed("own secret")));
        assert!(!holds(7, &signed("password7")), "the server's password signs no more for this tenant");
        assert!(!holds(7, &signed("own secret7")));
        assert!(holds(8, &signed("password8")));
        assert!(!holds(8, &signed("own secret")));
        assert!(!format!("{secrets:?}").contains("secret"));
    }

    /// One key for each algorithm: the private half signs the tests' tokens.
    fn signers() -> Vec<(TokenAlgorithm, Algorithm, EncodingKey, String)> {
        let pair = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap();
        let rsa = pair(&rcgen::PKCS_RSA_SHA256);
        let ec = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let ed = pair(&rcgen::PKCS_ED25519);
        let private = |pair: &rcgen::KeyPair| pair.serialize_pem().into_bytes();
        let public = |pair: &rcgen::KeyPair| pair.public_key_pem();
        let signer = |from: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>, pem: &[u8]| from(pem).unwrap();
        vec![
            (TokenAlgorithm::Rs256, Algorithm::RS256, signer(EncodingKey::from_rsa_pem, &private(&rsa)), public(&rsa)),
            (TokenAlgorithm::Es256, Algorithm::ES256, signer(EncodingKey::from_ec_pem, &private(&ec)), public(&ec)),
            (TokenAlgorithm::EdDsa, Algorithm::EdDSA, signer(EncodingKey::from_ed_pem, &private(&ed)), public(&ed)),
        ]
    }

    const FIVE: &str = r#"{"user_id":5,"exp":2000000000}"#;

    fn claims() -> serde_json::Value {
        serde_json::from_str(FIVE).unwrap()
    }

    fn holds(keys: &TokenKeys, dev: u32, token: &str) -> bool {
        keys.verify(DevId(dev), UserId::new(5).unwrap(), token, UnixTime(1_700_000_000)).is_some()
    }

    #[test]
    fn each_algorithm_opens_to_its_own_tokens_only() {
        let signers = signers();
        for (algorithm, _, _, public) in &signers {
            let key = TokenKey::public(*algorithm, public.as_bytes()).unwrap();
            let own = TokenKeys::new("password", BTreeMap::from([(DevId(7), key.clone())]));
            let shared = TokenKeys::new("password", BTreeMap::new()).with_shared(Some(key));
            for (other, name, signer, _) in &signers {
                let token = encode(&Header::new(*name), &claims(), signer).unwrap();
                assert_eq!(holds(&own, 7, &token), algorithm == other, "{algorithm:?} {other:?}");
                assert_eq!(holds(&shared, 8, &token), algorithm == other, "{algorithm:?} {other:?}");
                assert!(!holds(&own, 8, &token), "another tenant's key");
                let (signed, signature) = token.rsplit_once('.').unwrap();
                assert!(!holds(&own, 7, &format!("{signed}.")) && !holds(&own, 7, &format!("{signed}.A{signature}")));
            }
        }
    }

    /// Everybody knows a public key, so it must not serve as a secret; nor may a token say that it needs none.
    #[test]
    fn a_token_does_not_choose_its_algorithm() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        for (algorithm, _, _, public) in signers() {
            let key = TokenKey::public(algorithm, public.as_bytes()).unwrap();
            let keys = TokenKeys::new("password", BTreeMap::from([(DevId(7), key)]));
            let der: String = public.lines().filter(|line| !line.starts_with('-')).collect();
            let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
            for secret in [public.as_bytes(), public.trim_end().as_bytes(), &der, b"password7", b""] {
                let token = encode(&Header::default(), &claims(), &EncodingKey::from_secret(secret)).unwrap();
                assert!(!holds(&keys, 7, &token), "{algorithm:?}");
            }
            for none in ["none", "None", "NONE", ""] {
                let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"JWT","alg":"{none}"}}"#));
                let token = format!("{header}.{}.", URL_SAFE_NO_PAD.encode(FIVE));
                assert!(!holds(&keys, 7, &token) && !holds(&TokenKeys::new("", BTreeMap::new()), 7, &token));
            }
        }
    }

    #[test]
    fn a_key_must_be_public_and_fit() {
        let signers = signers();
        for (algorithm, _, _, public) in &signers {
            for (other, ..) in signers.iter().filter(|(other, ..)| other != algorithm) {
                assert!(TokenKey::public(*other, public.as_bytes()).is_err(), "{algorithm:?} for {other:?}");
            }
            assert!(TokenKey::public(TokenAlgorithm::Hs256, public.as_bytes()).is_err());
            let private = public.replace("PUBLIC", "PRIVATE");
            assert!(TokenKey::public(*algorithm, private.as_bytes()).is_err());
        }
        assert!(TokenKey::public(TokenAlgorithm::Rs256, b"").is_err());
    }

    #[test]
    fn clocks_may_differ_by_the_leeway() {
        let keys = TokenKeys::new("", BTreeMap::new()).with_shared(Some(TokenKey::secret(b"shared")));
        let claims = serde_json::json!({ "user_id": 5, "nbf": 1000, "exp": 2000 });
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"shared")).unwrap();
        let until = |keys: &TokenKeys, now| keys.verify(DevId(3), UserId::new(5).unwrap(), &token, UnixTime(now));
        assert_eq!((until(&keys, 999), until(&keys, 2000), until(&keys, 2001)), (None, Some(UnixTime(2000)), None));
        let keys = keys.with_leeway(60);
        assert_eq!((until(&keys, 939), until(&keys, 940)), (None, Some(UnixTime(2060))));
        assert_eq!((until(&keys, 2060), until(&keys, 2061)), (Some(UnixTime(2060)), None));
    }
}
