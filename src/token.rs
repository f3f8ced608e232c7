//! JSON Web Tokens: what a page may show instead of a stored hash.
//!
//! The key of a tenant is its own, if it was given one, else the one for all, else a secret: the server's password followed
//! by the tenant's number, as CppComet has it. With each key one algorithm is accepted, whatever a token says of itself.
//!
//! A key that only one tenant has says by itself whose token it is. With a key that several tenants have, the token must name
//! its tenant; a token that names none is one of tenant 0, and of no other.
//!
//! A token is known by what is signed, never by its signature: of some signatures there are several that are good.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, dangerous};
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::model::{DevId, Rights, TOKEN_LEEWAY_S_MAX, TokenAlgorithm, UnixTime, UserId};

/// What the tokens of one tenant, or of all that have nothing of their own, are checked with. Signs nothing. Never shown.
#[derive(Clone)]
pub struct TokenKey {
    /// The only one that is accepted: a key is never used with another, so a public key is no secret of HS256.
    algorithm: Algorithm,
    key: DecodingKey,
    /// Several tenants have it, so a token must say whose it is.
    is_shared: bool,
}

/// The text is no public key in PEM for this algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPublicKey;

impl TokenKey {
    /// HS256.
    pub fn secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret), is_shared: false }
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
        key.map(|key| Self { algorithm, key, is_shared: false }).map_err(|_| NoPublicKey)
    }

    /// Whether a token that one of them admits is admitted by the other one too.
    fn is_same(&self, other: &Self) -> bool {
        let same_bytes = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(left), DecodingKeyKind::SecretOrDer(right)) => left == right,
            _ => false,
        };
        self.algorithm == other.algorithm && same_bytes
    }

    /// The tenant whose secret this would be if nothing were configured.
    fn is_classic_of(&self, password: &str) -> Option<DevId> {
        let DecodingKeyKind::SecretOrDer(secret) = self.key.kind() else { return None };
        let rest = secret.strip_prefix(password.as_bytes()).filter(|_| self.algorithm == Algorithm::HS256)?;
        let number: u32 = std::str::from_utf8(rest).ok()?.parse().ok()?;
        (number.to_string().as_bytes() == rest).then_some(DevId(number))
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
    /// Tenants whose classic secret was given to another tenant.
    classic_shared: Arc<BTreeSet<DevId>>,
    leeway_s: u32,
    /// Whether tokens say which private pipes are for whoever brings them. Otherwise their claim `pipes` is not looked at: it may
    /// be one of the application.
    names_pipes: bool,
    /// Keys that were replaced, the latest first, and until when what they have signed is good.
    previous: Arc<[(TokenKeys, UnixTime)]>,
}

/// Of so many replacements; older ones are forgotten.
const PREVIOUS_MAX: usize = 4;

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
    /// `dev` and `aud` may be of any type here, because they are looked at only where they matter.
    dev: Option<Value>,
    aud: Option<Value>,
    pipes: Option<Value>,
}

impl Claims {
    /// Whether the token names this tenant: by the number `dev`, or by numbers in `aud`, which is one text or a list of them.
    /// A token without either is one of tenant 0.
    fn name(&self, dev: DevId) -> bool {
        if let Some(named) = &self.dev {
            return named.as_u64() == Some(dev.0.into());
        }
        let audiences = match &self.aud {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let mut named = audiences.iter().filter_map(tenant_number).peekable();
        if named.peek().is_none() { dev.0 == 0 } else { named.any(|number| number == u64::from(dev.0)) }
    }
}

/// What the claim `pipes` says: a list of names and beginnings of names. `None`: it cannot be read.
fn rights(claim: Option<&Value>) -> Option<Rights> {
    let entries = match claim {
        None => &[],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(_) => return None,
    };
    let entries: Option<Vec<&str>> = entries.iter().map(Value::as_str).collect();
    Rights::parse(entries?).ok()
}

/// The tenant that an entry of `aud` names. Entries that are no numbers are for others and name none.
fn tenant_number(entry: &Value) -> Option<u64> {
    match entry {
        // A number that no tenant can have names one all the same, which is not there.
        Value::Number(number) => Some(number.as_u64().unwrap_or(u64::MAX)),
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(text.parse().unwrap_or(u64::MAX))
        }
        _ => None,
    }
}

/// What a token shows of whoever brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenProof {
    /// Whoever brings the token is that user.
    Good(Grant),
    /// The token was signed with the right key and proves nothing: it is over, or for another user or tenant, or names pipes in
    /// a way that cannot be read.
    Signed,
    /// The text is no token, or somebody made it up.
    Nothing,
}

/// What a good token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The last second of it.
    pub until: UnixTime,
    /// Private pipes that it names, where tokens do that.
    pub pipes: Rights,
}

impl TokenKeys {
    /// `password`: the server's. A key that stands at several tenants counts as shared.
    pub fn new(password: &str, mut tenants: BTreeMap<DevId, TokenKey>) -> Self {
        let keys: Vec<TokenKey> = tenants.values().cloned().collect();
        let mut classic_shared = BTreeSet::new();
        for (dev, key) in &mut tenants {
            let is_classic_of = key.is_classic_of(password).filter(|other| other != dev);
            classic_shared.extend(is_classic_of);
            let same = keys.iter().filter(|other| key.is_same(other)).count();
            key.is_shared = same > 1 || is_classic_of.is_some();
        }
        Self {
            password: password.into(),
            shared: None,
            tenants: Arc::new(tenants),
            classic_shared: Arc::new(classic_shared),
            leeway_s: 0,
            names_pipes: false,
            previous: Arc::default(),
        }
    }

    /// Instead of these, whose tokens are good until that time.
    #[must_use]
    pub fn instead_of(self, before: &Self, until: UnixTime) -> Self {
        let replaced = Self { previous: Arc::default(), ..before.clone() };
        let older = before.previous.iter().cloned();
        Self { previous: [(replaced, until)].into_iter().chain(older).take(PREVIOUS_MAX).collect(), ..self }
    }

    /// The same keys as these, which have replaced others.
    #[must_use]
    pub fn same_as(self, before: &Self) -> Self {
        Self { previous: before.previous.clone(), ..self }
    }

    /// For all tenants that have no key of their own.
    #[must_use]
    pub fn with_shared(mut self, shared: Option<TokenKey>) -> Self {
        if let Some(shared) = &shared {
            for key in Arc::make_mut(&mut self.tenants).values_mut() {
                key.is_shared |= key.is_same(shared);
            }
        }
        Self { shared: shared.map(|shared| Arc::new(TokenKey { is_shared: true, ..shared })), ..self }
    }

    /// So much may the clocks of whoever signs differ from this one.
    #[must_use]
    pub fn with_leeway(self, leeway_s: u32) -> Self {
        Self { leeway_s, ..self }
    }

    /// Whether tokens name the private pipes that are for whoever brings them.
    #[must_use]
    pub fn with_pipes(self, names_pipes: bool) -> Self {
        Self { names_pipes, ..self }
    }

    pub fn name_pipes(&self) -> bool {
        self.names_pipes
    }

    /// What the token shows of this user now.
    pub fn verify(&self, dev: DevId, user: UserId, token: &str, now: UnixTime) -> TokenProof {
        if !looks_like_one(token) {
            return TokenProof::Nothing;
        }
        let previous = self.previous.iter().filter(|(_, until)| now.0 <= until.0).map(|(keys, _)| keys);
        let mut found = TokenProof::Nothing;
        for keys in std::iter::once(self).chain(previous) {
            match keys.verify_by_own(dev, user, token, now) {
                good @ TokenProof::Good(_) => return good,
                TokenProof::Signed => found = TokenProof::Signed,
                TokenProof::Nothing => {}
            }
        }
        found
    }

    fn verify_by_own(&self, dev: DevId, user: UserId, token: &str, now: UnixTime) -> TokenProof {
        let classic;
        let key = match (self.tenants.get(&dev), &self.shared) {
            (Some(own), _) => own,
            (None, Some(shared)) => shared,
            (None, None) => {
                let secret = format!("{}{dev}", self.password);
                let is_shared = self.classic_shared.contains(&dev);
                classic = TokenKey { is_shared, ..TokenKey::secret(secret.as_bytes()) };
                &classic
            }
        };
        match jsonwebtoken::decode::<Value>(token, &key.key, &validation(key.algorithm)) {
            Err(_) => TokenProof::Nothing,
            Ok(signed) => self.granted(dev, user, key, signed.claims, now).map_or(TokenProof::Signed, TokenProof::Good),
        }
    }

    /// What claims that were signed grant that user; `None` if they do not now.
    fn granted(&self, dev: DevId, user: UserId, key: &TokenKey, claims: Value, now: UnixTime) -> Option<Grant> {
        let claims: Claims = serde_json::from_value(claims).ok()?;
        let leeway = f64::from(self.leeway_s);
        let (expires, now) = (claims.exp.as_f64()? + leeway, now.0 as f64);
        let begins = claims.nbf.as_ref().map_or(Some(0.0), Number::as_f64)?;
        #[expect(clippy::float_cmp, reason = "both are whole numbers, or it is another user")]
        let same_user = claims.user_id.as_f64()? == f64::from(user.get());
        let same_tenant = !key.is_shared || claims.name(dev);
        let valid = now <= expires && begins <= now + leeway && same_user && same_tenant;
        // A number too large for a date means never, and so does the largest date.
        let pipes = if self.names_pipes { rights(claims.pipes.as_ref())? } else { Rights::default() };
        valid.then_some(Grant { until: UnixTime(expires as i64), pipes })
    }
}

/// Until when it must be remembered that a token was revoked, by what the token says of itself: as long as any server would
/// take it. `None` for ever, and for what is no token.
pub fn revoked_until(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Expiry {
        exp: Number,
    }
    if !looks_like_one(token) {
        return None;
    }
    let expires = dangerous::insecure_decode::<Expiry>(token).ok()?.claims.exp.as_f64()? as i64;
    Some(expires.saturating_add(TOKEN_LEEWAY_S_MAX.into()))
}

/// What is signed of a token: all before the last dot. That is the token; behind it may stand any of the signatures that are
/// good, in any of their encodings. A text that is no token stands for itself.
pub fn signed_part(text: &str) -> &str {
    if looks_like_one(text) { text.rsplit_once('.').map_or(text, |(signed, _)| signed) } else { text }
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
        let holds = |dev: u32, token: &str| {
            secrets.verify(DevId(dev), five, token, UnixTime(1_700_000_000)) != TokenProof::Nothing
        };
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

    fn claims() -> Value {
        serde_json::from_str(FIVE).unwrap()
    }

    fn holds(keys: &TokenKeys, dev: u32, token: &str) -> bool {
        matches!(keys.verify(DevId(dev), UserId::new(5).unwrap(), token, UnixTime(1_700_000_000)), TokenProof::Good(_))
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
                assert_eq!(holds(&shared, 0, &token), algorithm == other, "{algorithm:?} {other:?}");
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
        let until = |keys: &TokenKeys, now| keys.verify(DevId(0), UserId::new(5).unwrap(), &token, UnixTime(now));
        let granted = |time| Grant { until: UnixTime(time), pipes: Rights::default() };
        let good = |time| TokenProof::Good(granted(time));
        let over = || TokenProof::Signed;
        assert_eq!((until(&keys, 999), until(&keys, 2000), until(&keys, 2001)), (over(), good(2000), over()));
        let keys = keys.with_leeway(60);
        assert_eq!((until(&keys, 939), until(&keys, 940)), (over(), good(2060)));
        assert_eq!((until(&keys, 2060), until(&keys, 2061)), (good(2060), over()));
        // A revocation that went before would let the token in again.
        assert!(revoked_until(&token).unwrap() >= 2000 + i64::from(TOKEN_LEEWAY_S_MAX));
    }
    fn signed(secret: &str, claims: &str) -> String {
        let claims: Value = serde_json::from_str(claims).unwrap();
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    /// One key, and a boundary between tenants that it must not open.
    #[test]
    fn with_a_key_of_several_tenants_a_token_says_whose_it_is() {
        let keys = TokenKeys::new("password", BTreeMap::new()).with_shared(Some(TokenKey::secret(b"shared")));
        for (more, admitted) in [
            ("", &[0][..]),
            (r#","dev":7"#, &[7]),
            (r#","dev":0"#, &[0]),
            (r#","aud":"7""#, &[7]),
            (r#","aud":["site",7,"8"]"#, &[7, 8]),
            (r#","aud":"site""#, &[0]),
            (r#","aud":["site"]"#, &[0]),
            (r#","dev":null"#, &[0]),
            (r#","dev":7,"aud":"8""#, &[7]),
            // What cannot be read as a tenant's number opens none, tenant 0 neither.
            (r#","dev":"7""#, &[]),
            (r#","dev":true"#, &[]),
            (r#","dev":7.5"#, &[]),
            (r#","aud":"99999999999999999999""#, &[]),
            (r#","aud":-7"#, &[]),
        ] {
            let token = signed("shared", &format!(r#"{{"user_id":5,"exp":2000000000{more}}}"#));
            let found: Vec<u32> = (0..10).filter(|dev| holds(&keys, *dev, &token)).collect();
            assert_eq!(found, admitted, "{more}");
        }
    }

    /// Where the key names the tenant the claims need not, and mean whatever the application wants.
    #[test]
    fn a_key_of_one_tenant_is_enough() {
        let keys = TokenKeys::new("password", BTreeMap::from([(DevId(7), TokenKey::secret(b"own"))]));
        for more in ["", r#","dev":3"#, r#","dev":"x""#, r#","aud":"3""#] {
            let claims = format!(r#"{{"user_id":5,"exp":2000000000{more}}}"#);
            assert!(holds(&keys, 7, &signed("own", &claims)), "{more}");
            assert!(holds(&keys, 8, &signed("password8", &claims)), "{more}");
            assert!(!holds(&keys, 8, &signed("own", &claims)) && !holds(&keys, 7, &signed("password8", &claims)));
        }
    }

    /// A key becomes shared by standing in two places, whatever the places are.
    #[test]
    fn a_key_that_stands_at_two_tenants_is_shared() {
        let secret = |text: &str| TokenKey::secret(text.as_bytes());
        let two = BTreeMap::from([(DevId(6), secret("same")), (DevId(7), secret("same")), (DevId(8), secret("own"))]);
        let keys = TokenKeys::new("password", two);
        let named = |dev: u32| format!(r#"{{"user_id":5,"exp":2000000000,"dev":{dev}}}"#);
        assert!(!holds(&keys, 6, &signed("same", FIVE)) && !holds(&keys, 7, &signed("same", &named(6))));
        assert!(holds(&keys, 6, &signed("same", &named(6))) && holds(&keys, 8, &signed("own", FIVE)));

        let keys = TokenKeys::new("password", BTreeMap::from([(DevId(6), secret("same"))]));
        let keys = keys.with_shared(Some(secret("same")));
        assert!(!holds(&keys, 6, &signed("same", FIVE)) && holds(&keys, 6, &signed("same", &named(6))));

        // The secret of another tenant, as CppComet makes it.
        let keys = TokenKeys::new("password", BTreeMap::from([(DevId(6), secret("password7"))]));
        for (dev, other) in [(6, 7), (7, 6)] {
            assert!(
                !holds(&keys, dev, &signed("password7", FIVE))
                    && !holds(&keys, dev, &signed("password7", &named(other)))
            );
            assert!(holds(&keys, dev, &signed("password7", &named(dev))));
        }
        let keys = TokenKeys::new("password", BTreeMap::from([(DevId(6), secret("password6"))]));
        assert!(holds(&keys, 6, &signed("password6", FIVE)) && holds(&keys, 7, &signed("password7", FIVE)));
    }

    /// Of a signature with ES256 everybody can make a second one that is good as well.
    #[test]
    fn a_token_is_known_by_what_is_signed() {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (algorithm, name, signer, public) = signers().swap_remove(1);
        let key = TokenKey::public(algorithm, public.as_bytes()).unwrap();
        let keys = TokenKeys::new("", BTreeMap::from([(DevId(7), key)]));
        let token = encode(&Header::new(name), &claims(), &signer).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        subtract_from_order(&mut signature[32..]);
        let twin = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert!(twin != token && holds(&keys, 7, &token) && holds(&keys, 7, &twin));
        for same in [&twin, &format!("{token}="), &format!("{signed}."), &format!("{signed}.x")] {
            assert_eq!(signed_part(same), signed_part(&token));
        }
        for other in ["", "17", "a.b", "a.b.c.d", "a.b."] {
            assert_ne!(signed_part(other), signed_part(&token));
            assert!(other == "a.b." || signed_part(other) == other);
        }
    }

    /// Replaces `s` by `n - s`, with the order of the curve P-256.
    fn subtract_from_order(s: &mut [u8]) {
        let order = 0xffff_ffff_0000_0000_ffff_ffff_ffff_ffff_u128.to_be_bytes();
        let order = [order, 0xbce6_faad_a717_9e84_f3b9_cac2_fc63_2551_u128.to_be_bytes()].concat();
        let mut borrow = 0;
        for (byte, order) in s.iter_mut().zip(order).rev() {
            let difference = i16::from(order) - i16::from(*byte) - borrow;
            borrow = i16::from(difference < 0);
            *byte = difference.rem_euclid(256) as u8;
        }
    }

    /// Where tokens name private pipes, one whose claim cannot be read opens nothing; elsewhere the claim may be anything, because it
    /// may be one of the application.
    #[test]
    fn tokens_name_pipes_where_they_are_to() {
        let keys = TokenKeys::new("password", BTreeMap::new());
        let signed = |pipes: Option<Value>| {
            let mut claims = claims();
            if let Some(pipes) = pipes {
                claims["pipes"] = pipes;
            }
            encode(&Header::default(), &claims, &EncodingKey::from_secret(b"password1")).unwrap()
        };
        let granted = |keys: &TokenKeys, pipes: Option<Value>| {
            let user = UserId::new(5).unwrap();
            match keys.verify(DevId(1), user, &signed(pipes), UnixTime(1_700_000_000)) {
                TokenProof::Good(Grant { pipes, .. }) => Some(pipes),
                _ => None,
            }
        };
        let named = keys.clone().with_pipes(true);
        let json = |text: &str| Some(serde_json::from_str::<Value>(text).unwrap());
        let rights = |entries: &[&str]| Some(Rights::parse(entries.iter().copied()).unwrap());
        for (claim, expected) in [
            (None, rights(&[])),
            (json("[]"), rights(&[])),
            (json(r#"["private_a", "private_room_*"]"#), rights(&["private_a", "private_room_*"])),
            (json(r#"["*"]"#), rights(&["*"])),
        ] {
            assert_eq!(granted(&named, claim.clone()), expected);
            assert_eq!(granted(&keys, claim), rights(&[]));
        }
        let many = Some(Value::from(vec!["a"; 10_000]));
        for claim in [
            json("null"),
            json(r#""private_a""#),
            json("{}"),
            json("[1]"),
            json(r#"["a*b"]"#),
            json(r#"["a b"]"#),
            many,
        ] {
            let is_null = claim == Some(Value::Null);
            assert_eq!(granted(&named, claim.clone()), rights(&[]).filter(|_| is_null), "{claim:?}");
            assert_eq!(granted(&keys, claim), rights(&[]));
        }
    }
}
