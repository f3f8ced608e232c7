//! `[tenant N]`: what one tenant has of its own. Sections of this kind have their number in their name, so their keys
//! stand here and not in the table.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::TokenAlgorithm;

/// Sections of this kind. A file of the largest size has room for not many more.
pub const TENANTS_MAX: usize = 10_000;
/// Bytes of a password or a secret.
pub(super) const SECRET_BYTES_MAX: usize = 1024;

/// By number, from 1 on; tenant 0 is whoever knows the password of `[main]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants(pub BTreeMap<u32, Tenant>);

/// Password and secret are hidden by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tenant {
    /// A session that proved it may not leave the tenant. `None`: the tenant logs in with the one of `[main]`.
    pub password: Option<String>,
    /// What the tenant's JSON Web Tokens are signed with. `None`: the password of `[main]` and the tenant's number.
    pub jwt_secret: Option<String>,
    /// The name of a token algorithm; `None`: HS256 with a secret of its own, else the one of `[jwt]`.
    pub jwt_algorithm: Option<String>,
    /// File with the public key in PEM.
    pub jwt_public_key: Option<String>,
}

impl Tenant {
    /// The tenant's algorithm and the file of its public key, if it has one.
    pub fn public_key(&self) -> Option<(TokenAlgorithm, &str)> {
        let algorithm = TokenAlgorithm::from_name(self.jwt_algorithm.as_deref()?)?;
        Some((algorithm, self.jwt_public_key.as_deref()?))
    }

    /// A key that is given, and what it cannot be without.
    pub(super) fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let hs256 = TokenAlgorithm::Hs256.as_str();
        let is_public = self.jwt_algorithm.as_deref().is_some_and(|algorithm| algorithm != hs256);
        match (is_public, &self.jwt_secret, &self.jwt_public_key) {
            (true, _, None) => Some((ALGORITHM, "jwt_public_key")),
            (true, Some(_), _) => Some(("jwt_secret", "jwt_algorithm = HS256")),
            (false, _, Some(_)) => Some(("jwt_public_key", "jwt_algorithm = RS256, ES256 or EdDSA")),
            (false, None, None) if self.jwt_algorithm.is_some() => Some((ALGORITHM, "jwt_secret")),
            _ => None,
        }
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { password, jwt_secret, jwt_algorithm, jwt_public_key } = self;
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        f.debug_struct("Tenant")
            .field("password", &hidden(password))
            .field("jwt_secret", &hidden(jwt_secret))
            .field("jwt_algorithm", jwt_algorithm)
            .field("jwt_public_key", jwt_public_key)
            .finish()
    }
}

/// Where a key of such a section lives.
pub(super) type Field = fn(&mut Tenant) -> &mut Option<String>;

/// The keys of such a section.
pub(super) const KEYS: [(&str, Field); 4] = [
    ("password", |tenant| &mut tenant.password),
    ("jwt_secret", |tenant| &mut tenant.jwt_secret),
    (ALGORITHM, |tenant| &mut tenant.jwt_algorithm),
    ("jwt_public_key", |tenant| &mut tenant.jwt_public_key),
];
pub(super) const ALGORITHM: &str = "jwt_algorithm";
/// Keys whose values must be hard to guess: whoever guesses one is the tenant.
pub(super) const SECRETS: [&str; 2] = ["password", "jwt_secret"];

/// What the sample file says of them.
pub(super) const ABOUT: &str = "One section for each tenant that has a password of its own: [tenant 1], [tenant 2] and so \
     on. Backends log in with the tenant's number as user name. A session that logged in with the tenant's password \
     cannot leave the tenant: other databases, cluster prefixes and other sessions are refused with error 16. \
     jwt_secret signs the tenant's JSON Web Tokens; without it that is the password of [main], followed by the tenant's \
     number. Instead of it the tenant may have a public key: jwt_algorithm = RS256, ES256 or EdDSA, and jwt_public_key is its \
     file in PEM.";

/// The number in the name of a section; `None` if it is no section of this kind, an error if the number is none.
pub(super) fn number(section: &str) -> Option<Result<u32, ()>> {
    let rest = section.strip_prefix("tenant")?;
    let digits = rest.trim_ascii();
    if rest.len() == digits.len() && !rest.is_empty() {
        return None;
    }
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    Some(number.filter(|number| *number > 0).ok_or(()))
}
