//! The certificate and the key of CometQL's TLS: the configured ones, else self-signed ones that are made at the first
//! start and kept in the data folder.
//!
//! A self-signed certificate proves nothing by itself: a client that is to notice a stranger in between must be given
//! it as its CA. It holds no secret; its key does.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use super::kept;

/// Where certificate and key were found.
pub(super) struct Place {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Made by an earlier start or by this one.
    pub(super) own: bool,
}

/// The environment's fault; each is shown as one sentence.
#[derive(Debug)]
pub enum CertificateError {
    Unreadable { path: PathBuf, error: io::Error },
    TooLarge { path: PathBuf },
    NoCertificate { path: PathBuf },
    NoKey { path: PathBuf },
    Refused { certificate: PathBuf, key: PathBuf, own: bool, error: rustls::Error },
    NotMade(rcgen::Error),
    Unwritable { path: PathBuf, error: io::Error },
}

/// What every TLS session is made from. `names` are the host names and addresses that a certificate of our own is for.
pub(super) fn load(place: &Place, names: &[String]) -> Result<Arc<ServerConfig>, CertificateError> {
    if place.own {
        make_missing(place, names)?;
    }
    let certificates = read(&place.certificate)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificates)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|found: &Vec<_>| !found.is_empty())
        .ok_or_else(|| CertificateError::NoCertificate { path: place.certificate.clone() })?;
    let key = PrivateKeyDer::from_pem_slice(&read(&place.key)?)
        .map_err(|_| CertificateError::NoKey { path: place.key.clone() })?;
    let refused = |error| CertificateError::Refused {
        certificate: place.certificate.clone(),
        key: place.key.clone(),
        own: place.own,
        error,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(refused)?;
    // Backends keep their sessions; what lets others resume would cost every session memory and bytes.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The key comes first, so that a start which is cut short leaves no certificate that nobody can prove.
fn make_missing(place: &Place, names: &[String]) -> Result<(), CertificateError> {
    let keep = |path: &Path, content: &str| {
        // What another start put there a moment before is as good.
        kept::keep(path, content)
            .map(|_| ())
            .map_err(|error| CertificateError::Unwritable { path: path.to_owned(), error })
    };
    if !place.key.exists() {
        let key = rcgen::KeyPair::generate().map_err(CertificateError::NotMade)?;
        keep(&place.key, &key.serialize_pem())?;
    }
    if !place.certificate.exists() {
        let text = String::from_utf8(read(&place.key)?).unwrap_or_default();
        let key = rcgen::KeyPair::from_pem(&text).map_err(|_| CertificateError::NoKey { path: place.key.clone() })?;
        let mut parameters = rcgen::CertificateParams::new(names).map_err(CertificateError::NotMade)?;
        parameters.distinguished_name.push(rcgen::DnType::CommonName, COMMON_NAME);
        let certificate = parameters.self_signed(&key).map_err(CertificateError::NotMade)?;
        keep(&place.certificate, &certificate.pem())?;
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| CertificateError::Unreadable { path: path.to_owned(), error })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CertificateError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Files of our own in the data folder.
pub(super) const CERTIFICATE_FILE: &str = "cometql.crt";
pub(super) const KEY_FILE: &str = "cometql.key";
const COMMON_NAME: &str = "Encke CometQL";
/// A larger file is neither a chain of certificates nor a key.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(f, "{} cannot be read: {error}.", path.display()),
            Self::TooLarge { path } => write!(f, "{} is too large for a certificate or a key.", path.display()),
            Self::NoCertificate { path } => write!(f, "{} does not hold a certificate in PEM.", path.display()),
            Self::NoKey { path } => write!(f, "{} does not hold a private key in PEM.", path.display()),
            Self::Refused { certificate, key, own, error } => {
                write!(f, "{} and {} cannot be used: {error}", certificate.display(), key.display())?;
                f.write_str(if *own { "; remove both and new ones are made." } else { "." })
            }
            Self::NotMade(error) => write!(f, "No certificate can be made: {error}."),
            Self::Unwritable { path, error } => write!(f, "{} cannot be written: {error}.", path.display()),
        }
    }
}

impl std::error::Error for CertificateError {}

#[cfg(test)]
mod tests;
