//! JSON Web Tokens: what a page may show instead of a stored hash.
//!
//! The secret of a tenant is the server's password followed by the tenant's number, as CppComet has it. One algorithm is
//! accepted, whatever a token says of itself.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use serde::Deserialize;
use serde_json::Number;

use crate::model::{DevId, UnixTime, UserId};

/// Signs nothing, checks only. Never shown.
#[derive(Clone, Default)]
pub struct TokenSecret {
    password: Box<str>,
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
    pub fn new(password: &str) -> Self {
        Self { password: password.into() }
    }

    /// Until when this is a proof of being that user, in unix seconds; `None` if it is none now.
    pub fn verify(&self, dev: DevId, user: UserId, token: &str, now: UnixTime) -> Option<UnixTime> {
        if !looks_like_one(token) {
            return None;
        }
        let key = DecodingKey::from_secret(format!("{}{dev}", self.password).as_bytes());
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation()).ok()?.claims;
        let (expires, now) = (claims.exp.as_f64()?, now.0 as f64);
        let begins = claims.nbf.map_or(Some(0.0), |begins| begins.as_f64())?;
        let valid = now <= expires && begins <= now && claims.user_id.as_f64()? == f64::from(user.get());
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
