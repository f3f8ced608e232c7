//! JSON Web Tokens: what a page may show instead of a stored hash.
//!
//! The secret of a tenant is its own, if it was given one, else the server's password followed by the tenant's number, as
//! CppComet has it. One algorithm is accepted, whatever a token says of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use serde::Deserialize;
use serde_json::Number;

use crate::model::{DevId, UnixTime, UserId};

/// Signs nothing, checks only. Never shown.
#[derive(Clone, Default)]
pub struct TokenSecret {
    password: Box<str>,
    /// Of tenants that have their own.
    tenants: Arc<BTreeMap<DevId, Box<str>>>,
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: Number,
    user_id: Number,
    nbf: Option<Number>,
}

impl TokenSecret {
    /// `password`: the server's.
    pub fn new(password: &str, tenants: BTreeMap<DevId, Box<str>>) -> Self {
        Self { password: password.into(), tenants: Arc::new(tenants) }
    }

    /// Until when this is a proof of being that user, in unix seconds; `None` if it is none now.
    pub fn verify(&self, dev: DevId, user: UserId, token: &str, now: UnixTime) -> Option<UnixTime> {
        if !looks_like_one(token) {
            return None;
        }
        let key = match self.tenants.get(&dev) {
            Some(own) => DecodingKey::from_secret(own.as_bytes()),
            None => DecodingKey::from_secret(format!("{}{dev}", self.password).as_bytes()),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation()).ok()?.claims;
        let (expires, now) = (claims.exp.as_f64()?, now.0 as f64);
        let begins = claims.nbf.map_or(Some(0.0), |begins| begins.as_f64())?;
        #[expect(clippy::float_cmp, reason = "both are whole numbers, or it is another user")]
        let same_user = claims.user_id.as_f64()? == f64::from(user.get());
        let valid = now <= expires && begins <= now && same_user;
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
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
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
        let secrets = TokenSecret::new("password", BTreeMap::from([(DevId(7), "own secret".into())]));
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
}
