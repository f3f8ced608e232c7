//! What the server goes by at the moment: made at its start, and anew whenever its files are read anew.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::{Config, Tls};

use super::StartError;
use super::assemble::{names_of_certificate, place_of_certificate};
use super::certificate;

/// Shards are handed all of it and take what concerns them.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) config: Config,
    /// What TLS sessions of CometQL are made from; `None`: there are none.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

impl InForce {
    /// Reads what the configuration names.
    pub(super) fn load(config: Config) -> Result<Self, StartError> {
        let tls = match config.cometql.tls {
            Tls::Off => None,
            Tls::On | Tls::Required => {
                let place = place_of_certificate(&config);
                Some(certificate::load(&place, &names_of_certificate(&config)).map_err(StartError::Certificate)?)
            }
        };
        Ok(Self { config, tls })
    }
}
