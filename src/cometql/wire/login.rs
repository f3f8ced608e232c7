//! Logging in: the salt, the client's response, and whether it proves a password.
//!
//! The responses of both methods are checked against one salt whatever the greeting advertised, because clients send
//! the method they prefer. The clear-text password is the caller's; with it the fast answer of
//! `caching_sha2_password` can be checked at once, so the slow path (RSA or TLS) never arises.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::bytes::Reader;
use super::capabilities::Capabilities;
use super::charsets;

/// What the password is scrambled with: 20 bytes in 1 to 127, none of them `$`. Some clients treat it as text and
/// stop at a NUL; `$` separates the fields of stored `caching_sha2_password` hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt([u8; Salt::LENGTH]);

impl Salt {
    pub const LENGTH: usize = 20;

    /// Maps random bytes into the allowed set. They must come from a cryptographic source: a salt that returns lets
    /// a recorded login be replayed.
    pub fn from_random(random: [u8; Self::LENGTH]) -> Self {
        Self(random.map(|byte| {
            // The values from 1 to 127 without `$`.
            let place = byte % 126;
            if place < b'$' - 1 { place.saturating_add(1) } else { place.saturating_add(2) }
        }))
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// How a password is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `mysql_native_password`: a response of 20 bytes.
    #[default]
    Native,
    /// `caching_sha2_password`: a response of 32 bytes; success is announced by an extra packet before the OK.
    CachingSha2,
}

impl Method {
    /// The plugin name on the wire.
    pub fn plugin(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
        }
    }

    fn of_plugin(name: &[u8]) -> Option<Self> {
        [Self::Native, Self::CachingSha2].into_iter().find(|method| method.plugin().as_bytes() == name)
    }

    fn response(self, password: &[u8], salt: &Salt) -> Vec<u8> {
        match self {
            Self::Native => native_response(password, salt).to_vec(),
            Self::CachingSha2 => sha2_response(password, salt).to_vec(),
        }
    }
}

/// `SHA1(password) XOR SHA1(salt, SHA1(SHA1(password)))`.
fn native_response(password: &[u8], salt: &Salt) -> [u8; 20] {
    let once: [u8; 20] = Sha1::digest(password).into();
    let twice: [u8; 20] = Sha1::digest(once).into();
    let mask: [u8; 20] = Sha1::new().chain_update(salt.bytes()).chain_update(twice).finalize().into();
    both(once, mask)
}

/// `SHA256(password) XOR SHA256(SHA256(SHA256(password)), salt)`.
fn sha2_response(password: &[u8], salt: &Salt) -> [u8; 32] {
    let once: [u8; 32] = Sha256::digest(password).into();
    let twice: [u8; 32] = Sha256::digest(once).into();
    let mask: [u8; 32] = Sha256::new().chain_update(twice).chain_update(salt.bytes()).finalize().into();
    both(once, mask)
}

fn both<const LENGTH: usize>(mut left: [u8; LENGTH], right: [u8; LENGTH]) -> [u8; LENGTH] {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}

/// Whether a response proves the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It does. Go on with `Connection::accept` if the user and the database are right too.
    Accepted(Method),
    /// The client speaks another method than it was told, or one that is not ours: ask it again with
    /// `Connection::switch_plugin`. Happens once per login at most.
    SwitchPlugin(Method),
    /// No response at all. A health probe does that; everybody else is refused.
    Empty,
    /// The response proves nothing.
    Wrong,
}

/// How a client is let in that needs no password: as it would be told that its response was right.
pub(super) fn method_of(response: &[u8]) -> Method {
    if response.len() == 32 { Method::CachingSha2 } else { Method::Native }
}

/// Which check a response of this length asks for.
pub(super) fn check(response: &[u8], salt: &Salt, password: &[u8]) -> Verdict {
    let method = match response {
        // A client of the second method writes an empty password as one NUL.
        [] | [0] => return Verdict::Empty,
        _ if response.len() == 20 => Method::Native,
        _ if response.len() == 32 => Method::CachingSha2,
        _ => return Verdict::Wrong,
    };
    let equal: bool = method.response(password, salt).ct_eq(response).into();
    if equal { Verdict::Accepted(method) } else { Verdict::Wrong }
}

/// A client's wish to be somebody, at login or by `COM_CHANGE_USER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    pub user: &'a [u8],
    /// The response to the salt.
    pub auth: &'a [u8],
    /// The plugin that made the response, if the client said so.
    pub plugin: Option<&'a [u8]>,
    /// `None` also for an empty name.
    pub database: Option<&'a [u8]>,
    /// The number of the packet that carried it.
    pub sequence: u8,
    /// Of the character set that the client writes in, if it said so.
    pub(super) collation: Option<u16>,
    pub(super) capabilities: Capabilities,
    pub(super) change: bool,
}

impl<'a> Login<'a> {
    /// Reads the response to the greeting.
    ///
    /// Shape: flags (4), packet maximum (4), character set (1), 23 unused, user NUL, response (length-encoded, or one
    /// length byte, or up to NUL), database NUL, plugin NUL, attributes. What follows is not looked at.
    ///
    /// Before protocol 4.1 - a health probe's form that old load balancers send - it is: flags (2), packet maximum
    /// (3), user NUL, response NUL.
    pub(super) fn read(payload: &'a [u8], sequence: u8) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let low = reader.u16()?;
        if !Capabilities(u32::from(low)).has(Capabilities::PROTOCOL_41) {
            reader.bytes(3)?;
            return Some(Self {
                user: reader.until_nul()?,
                auth: reader.until_nul_or_end(),
                plugin: None,
                database: None,
                sequence,
                collation: None,
                capabilities: Capabilities(u32::from(low)),
                change: false,
            });
        }
        let capabilities = Capabilities(u32::from(low) | u32::from(reader.u16()?) << 16);
        reader.bytes(4)?;
        let collation = reader.u8().map(u16::from);
        reader.bytes(23)?;
        let user = reader.until_nul()?;
        let auth = if capabilities.has(Capabilities::LENGTH_ENCODED_AUTH) {
            reader.length_encoded_bytes()?
        } else if capabilities.has(Capabilities::SECURE_CONNECTION) {
            short_bytes(&mut reader)?
        } else {
            reader.until_nul_or_end()
        };
        let database = read_name(&mut reader, capabilities, Capabilities::CONNECT_WITH_DB);
        let plugin = read_name(&mut reader, capabilities, Capabilities::PLUGIN_AUTH);
        Some(Self { user, auth, plugin, database, sequence, collation, capabilities, change: false })
    }

    /// Reads the body of `COM_CHANGE_USER`.
    ///
    /// Shape: user NUL, response (one length byte), database NUL, character set (2), plugin NUL, attributes; the
    /// character set and all after it may be missing.
    pub(super) fn read_change(body: &'a [u8], sequence: u8, capabilities: Capabilities) -> Option<Self> {
        let mut reader = Reader::new(body);
        let user = reader.until_nul()?;
        let auth = if capabilities.has(Capabilities::SECURE_CONNECTION) {
            short_bytes(&mut reader)?
        } else {
            reader.until_nul()?
        };
        let database = Some(reader.until_nul_or_end()).filter(|name| !name.is_empty());
        let collation = reader.u16();
        let plugin = collation.and_then(|_| read_name(&mut reader, capabilities, Capabilities::PLUGIN_AUTH));
        Some(Self { user, auth, plugin, database, sequence, collation, capabilities, change: true })
    }

    /// Whether the client will compress whatever follows its login. One that looks at what is offered does not ask.
    pub(super) fn compresses(&self) -> bool {
        self.capabilities.has(Capabilities::COMPRESS) || self.capabilities.has(Capabilities::COMPRESS_ZSTD)
    }

    /// Whether the client would quote by rules that are not those by which its text is read.
    pub(super) fn quotes_otherwise(&self) -> bool {
        self.collation.is_some_and(charsets::quotes_otherwise)
    }

    /// See `Connection::verdict`.
    pub(super) fn verdict(&self, advertised: Method, salt: &Salt, password: &[u8]) -> Verdict {
        if !self.capabilities.has(Capabilities::PROTOCOL_41) {
            return if self.auth.is_empty() { Verdict::Empty } else { Verdict::Wrong };
        }
        if !self.capabilities.has(Capabilities::SECURE_CONNECTION) {
            return Verdict::Wrong;
        }
        match self.plugin.map(Method::of_plugin) {
            // Whatever it sent was not made for us.
            Some(None) => Verdict::SwitchPlugin(self.method_beside()),
            // It holds a salt back that was meant for another method, and waits for one of its own.
            Some(Some(method)) if self.auth.is_empty() && self.waits_for_salt(method, advertised) => {
                Verdict::SwitchPlugin(method)
            }
            _ => check(self.auth, salt, password),
        }
    }

    /// A method that a client knows besides the one it tried, which is none of ours. Those of MySQL's own newer methods have
    /// perhaps dropped the oldest one; all others have it.
    fn method_beside(&self) -> Method {
        const NEWER: [&[u8]; 3] = [b"sha256_password", b"authentication_", b"mysql_clear_password"];
        let newer = self.plugin.is_some_and(|name| NEWER.iter().any(|known| name.starts_with(known)));
        if newer { Method::CachingSha2 } else { Method::Native }
    }

    fn waits_for_salt(&self, method: Method, advertised: Method) -> bool {
        method != advertised || (self.change && method == Method::CachingSha2)
    }
}

fn short_bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::from(reader.u8()?);
    reader.bytes(length)
}

fn read_name<'a>(reader: &mut Reader<'a>, capabilities: Capabilities, flag: Capabilities) -> Option<&'a [u8]> {
    if capabilities.has(flag) { Some(reader.until_nul_or_end()).filter(|name| !name.is_empty()) } else { None }
}

/// An SSL request is the first 32 bytes of a login, with the flag for TLS.
pub(super) fn is_tls_request(payload: &[u8]) -> bool {
    let flags = Reader::new(payload).u32().map(Capabilities);
    payload.len() == 32 && flags.is_some_and(|flags| flags.has(Capabilities::SSL.with(Capabilities::PROTOCOL_41)))
}
