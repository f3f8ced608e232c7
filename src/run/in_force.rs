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
    note(&mut mark, password.as_bytes());
    let jwt = &config.jwt;
    note(&mut mark, b"shared");
    let shared = match (&jwt.public_key, &jwt.secret) {
        (Some(path), _) => Some(public_key(jwt.algorithm, path, &mut mark)?),
        (None, secret) => secret.as_ref().map(|secret| secret_key(secret, &mut mark)),
    };
    let mut tenants = BTreeMap::new();
    for (number, tenant) in &config.tenants.0 {
        let key = match (tenant.public_key(), &tenant.jwt_secret) {
            (Some((algorithm, path)), _) => public_key(algorithm, Path::new(path), &mut mark)?,
            (None, Some(secret)) => secret_key(secret, &mut mark),
            (None, None) => continue,
        };
        // Whose key it is.
        note(&mut mark, &number.to_le_bytes());
        tenants.insert(DevId(*number), key);
    }
    let keys = TokenKeys::new(password, tenants).with_shared(shared).with_leeway(jwt.leeway_s);
    let keys = keys.with_pipes(config.ws.private_pipes_listed);
    Ok((keys, mark.finalize().into()))
}

fn note(mark: &mut Sha256, part: &[u8]) {
    mark.update((part.len() as u64).to_le_bytes());
    mark.update(part);
}

fn public_key(algorithm: TokenAlgorithm, path: &Path, mark: &mut Sha256) -> Result<TokenKey, StartError> {
    let pem = certificate::read(path).map_err(StartError::Certificate)?;
    note(mark, algorithm.as_str().as_bytes());
    note(mark, &pem);
    let refused = |NoPublicKey| StartError::TokenKey { path: path.to_owned(), algorithm };
    TokenKey::public(algorithm, &pem).map_err(refused)
}

fn secret_key(secret: &str, mark: &mut Sha256) -> TokenKey {
    note(mark, secret.as_bytes());
    TokenKey::secret(secret.as_bytes())
}
