//! What the server goes by at the moment: made at its start, and anew whenever its files are read anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use sha2::{Digest, Sha256};

use crate::cometql::session::Setting;
use crate::config::{self, Config, Explained, Places, Tls};
use crate::model::{DevId, TokenAlgorithm, UnixTime};
use crate::token::{NoPublicKey, TokenKey, TokenKeys};

use super::StartError;
use super::assemble::{names_of_certificate, place_of_certificate};
use super::certificate;
use super::clock::wall_clock_s;

/// Shards are handed all of it and take what concerns them.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) config: Config,
    /// The server's own.
    pub(super) password: Box<str>,
    /// What tokens are checked with, and by which mark these keys are told from others.
    pub(super) tokens: TokenKeys,
    pub(super) mark_of_tokens: [u8; 32],
    /// What TLS sessions of CometQL are made from; `None`: there are none.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// See [`Limits::counting`](crate::hub::Limits); and the last one there was.
    pub(super) counting: u16,
    pub(super) last_counting: u16,
    /// For who asks what is in force.
    pub(super) settings: Arc<[Setting]>,
}

impl InForce {
    /// Reads what the configuration names. `before`: what was in force until now.
    pub(super) fn load(config: Config, password: String, before: Option<&Self>) -> Result<Self, StartError> {
        let tls = match config.cometql.tls {
            Tls::Off => None,
            Tls::On | Tls::Required => {
                let place = place_of_certificate(&config);
                Some(certificate::load(&place, &names_of_certificate(&config)).map_err(StartError::Certificate)?)
            }
        };
        let (tokens, mark_of_tokens) = token_keys(&config, &password)?;
        let until = UnixTime(wall_clock_s() as i64 + i64::from(config.jwt.previous_s));
        let tokens = match before {
            Some(before) if before.mark_of_tokens == mark_of_tokens => tokens.same_as(&before.tokens),
            Some(before) => tokens.instead_of(&before.tokens, until),
            None => tokens,
        };
        let counts = |config: &Config| config.ws.connections_per_address_max > 0;
        let last = before.map_or(0, |before| before.last_counting);
        let goes_on = before.is_some_and(|before| {
            counts(&before.config) && before.config.ws.trusted_proxies == config.ws.trusted_proxies
        });
        let counting = match (counts(&config), goes_on) {
            (false, _) => 0,
            (true, true) => last,
            (true, false) => last.wrapping_add(1).max(1),
        };
        let last_counting = if counting > 0 { counting } else { last };
        let password = password.into();
        let settings = Arc::default();
        Ok(Self { config, password, tokens, mark_of_tokens, tls, counting, last_counting, settings })
    }

    /// Names what is in force. `file`: what the file says, which may wait for a restart.
    pub(super) fn with_settings(self, file: &Config, places: &Places) -> Self {
        let waits = config::changes(&self.config, file);
        let of = |explained: Explained| Setting {
            applies: if waits.iter().any(|change| change.is(&explained.section, &explained.key)) {
                "waits for a restart"
            } else {
                explained.applies.words()
            },
            variable: format!("encke_{}_{}", explained.section, explained.key).replace(['-', ' '], "_").into(),
            section: explained.section.into(),
            key: explained.key.into(),
            value: explained.value.unwrap_or_default().into(),
            line: explained.line,
        };
        let settings = config::explain(&self.config, places).into_iter().map(of).collect();
        Self { settings, ..self }
    }
}

/// What tokens are checked with, and a mark of all that goes into it; public keys are read from their files.
fn token_keys(config: &Config, password: &str) -> Result<(TokenKeys, [u8; 32]), StartError> {
    let mut mark = Sha256::new();
    let mut note = |part: &[u8]| {
        mark.update((part.len() as u64).to_le_bytes());
        mark.update(part);
    };
    note(password.as_bytes());
    let mut public = |algorithm: TokenAlgorithm, path: &Path| -> Result<TokenKey, StartError> {
        let pem = certificate::read(path).map_err(StartError::Certificate)?;
        note(algorithm.as_str().as_bytes());
        note(&pem);
        let refused = |NoPublicKey| StartError::TokenKey { path: path.to_owned(), algorithm };
        TokenKey::public(algorithm, &pem).map_err(refused)
    };
    let jwt = &config.jwt;
    let mut shared = None;
    if let Some(path) = &jwt.public_key {
        shared = Some(public(jwt.algorithm, path)?);
    }
    let mut tenants = BTreeMap::new();
    for (number, tenant) in &config.tenants.0 {
        if let Some((algorithm, path)) = tenant.public_key() {
            tenants.insert(DevId(*number), public(algorithm, Path::new(path))?);
        }
    }
    if let (None, Some(secret)) = (&shared, &jwt.secret) {
        note(b"shared");
        note(secret.as_bytes());
        shared = Some(TokenKey::secret(secret.as_bytes()));
    }
    for (number, tenant) in &config.tenants.0 {
        if let (None, Some(secret)) = (tenant.public_key(), &tenant.jwt_secret) {
            note(secret.as_bytes());
            tenants.insert(DevId(*number), TokenKey::secret(secret.as_bytes()));
        }
    }
    // Whose key is whose.
    for dev in tenants.keys() {
        note(&dev.0.to_le_bytes());
    }
    let keys = TokenKeys::new(password, tenants).with_shared(shared).with_leeway(jwt.leeway_s);
    let keys = keys.with_pipes(config.ws.private_pipes_listed);
    Ok((keys, mark.finalize().into()))
}
