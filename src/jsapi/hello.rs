//! What a browser says of itself in the path it connects to.
//!
//! Shape: `/ws/sesion=<key>&myid=<user>&devid=<tenant>&v=<major>.<minor>&uuid=<id>&api=<api>`. Each value is percent-decoded
//! once, here, for all addresses; what is no valid encoding stays as it is. CppComet decoded nothing, but no key that it took
//! has a percent sign.
//! Classic clients write the first four fields in this order and under these names. A field is looked for by its
//! name first and by its place second, because the predecessor knew only places.

use std::borrow::Cow;

use crate::model::{DevId, UserId, WireForm};
use crate::percent;

/// The paths under which browsers connect; two slashes come from a page whose `node` ends in one.
const PREFIXES: [&[u8]; 4] = [b"/ws/", b"//ws/", b"/comet-server/ws/", b"//comet-server/ws/"];

/// Longest key that is looked at: a JWT of the largest supported size.
const KEY_BYTES_MAX: usize = 600;
const UUID_BYTES_MAX: usize = 32;
const NUMBER_DIGITS_MAX: usize = 18;
const VERSION_DIGITS_MAX: usize = 9;
/// The first major version that receives the modern form.
const MODERN_MAJOR: u32 = 4;

/// A browser's own words about itself; nothing of it is proved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The stored hash or JWT that shall prove `user`, at most 600 bytes; empty if absent or longer.
    pub key: Box<str>,
    /// Anonymous if the field is not a number of at most 18 digits or no user can have it.
    pub user: UserId,
    /// 0 if the field is not such a number or not below the configured number of tenants.
    pub dev: DevId,
    /// How this version of the library wants its messages.
    pub form: WireForm,
    /// Major and minor version of the library.
    pub version: (u32, u32),
    /// The browser's id as other users see it: at most 32 bytes of printable ASCII without blanks, or empty.
    pub uuid: Box<str>,
    /// Whether this is a library of the predecessor (`api` absent or `js`): it must never get a close frame.
    pub classic: bool,
}

/// Why a browser cannot be served: always the peer's fault. It is told in a message of the form `form`, after a
/// successful WebSocket handshake, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloError {
    /// 401 without key or user field, 406 without tenant field, 418 without a readable version.
    pub code: u16,
    pub form: WireForm,
}

impl HelloError {
    const NO_USER: Self = Self::legacy(401);
    const NO_DEV: Self = Self::legacy(406);
    const NO_VERSION: Self = Self::legacy(418);

    /// As long as no version was read, the client is taken for an old one.
    const fn legacy(code: u16) -> Self {
        Self { code, form: WireForm::Legacy }
    }
}

/// The fields of an address one by one, as they stand in it: percent-encoded. Who has them by their names need not write them
/// into a target first. One that is absent is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HelloFields<'a> {
    pub key: &'a [u8],
    pub user: &'a [u8],
    pub dev: &'a [u8],
    pub version: &'a [u8],
    pub uuid: &'a [u8],
    /// Absent is not the same as empty: see [`Hello::classic`].
    pub api: Option<&'a [u8]>,
}

impl Hello {
    /// `dev_max` is the number of tenants: the first id that does not exist. The error is a version that cannot be read.
    pub fn of(fields: &HelloFields<'_>, dev_max: u32) -> Result<Self, HelloError> {
        let version = parse_version(&decoded(fields.version))?;
        let api = fields.api.map(decoded);
        let api = api.as_deref();
        Ok(Self {
            key: parse_key(&decoded(fields.key)),
            user: parse_number(&decoded(fields.user)).and_then(UserId::new).unwrap_or(UserId::ANONYMOUS),
            dev: DevId(parse_number(&decoded(fields.dev)).filter(|dev| *dev < dev_max).unwrap_or(0)),
            form: if api == Some(b"js2".as_slice()) { WireForm::Extended } else { form_of(version.0) },
            version,
            uuid: parse_uuid(&decoded(fields.uuid)),
            classic: api.is_none_or(|api| api == b"js"),
        })
    }
}

/// Reads a connection's target (with or without its prefix up to `/ws/`). `dev_max` is the number of tenants: the
/// first id that does not exist.
pub fn parse_hello(target: &[u8], dev_max: u32) -> Result<Hello, HelloError> {
    let fields = Fields { text: without_prefix(target) };
    match fields.count() {
        _ if !fields.text.contains(&b'=') => return Err(HelloError::NO_USER),
        0 | 1 => return Err(HelloError::NO_USER),
        2 => return Err(HelloError::NO_DEV),
        3 => return Err(HelloError::NO_VERSION),
        _ => {}
    }
    let fields = HelloFields {
        key: fields.value(b"sesion=", 0),
        user: fields.value(b"myid=", 1),
        dev: fields.value(b"devid=", 2),
        version: fields.value(b"v=", 3),
        uuid: fields.named(b"uuid=").unwrap_or_default(),
        api: fields.named(b"api="),
    };
    Hello::of(&fields, dev_max)
}

fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    let decoded = value.contains(&b'%').then(|| percent::decoded(value)).flatten();
    decoded.map_or(Cow::Borrowed(value), Cow::Owned)
}

fn without_prefix(target: &[u8]) -> &[u8] {
    PREFIXES.iter().find_map(|prefix| target.strip_prefix(*prefix)).unwrap_or(target)
}

/// The text behind the prefix, seen as fields separated by `&`.
struct Fields<'a> {
    text: &'a [u8],
}

impl<'a> Fields<'a> {
    const NAMES: [&'static [u8]; 6] = [b"sesion=", b"myid=", b"devid=", b"v=", b"uuid=", b"api="];

    fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.text.split(|byte| *byte == b'&')
    }

    fn count(&self) -> usize {
        self.iter().count()
    }

    fn named(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find_map(|field| field.strip_prefix(name))
    }

    /// The value of the field called `name`, else of the field in its place if that one has a name of its own making.
    fn value(&self, name: &[u8], place: usize) -> &'a [u8] {
        self.named(name).or_else(|| self.unnamed(place)).unwrap_or_default()
    }

    fn unnamed(&self, place: usize) -> Option<&'a [u8]> {
        let field = self.iter().nth(place).filter(|field| !Self::NAMES.iter().any(|name| field.starts_with(name)))?;
        field.splitn(2, |byte| *byte == b'=').nth(1)
    }
}

fn parse_key(value: &[u8]) -> Box<str> {
    let key = if value.len() <= KEY_BYTES_MAX { value } else { b"" };
    std::str::from_utf8(key).unwrap_or_default().into()
}

fn parse_number(value: &[u8]) -> Option<u32> {
    parse_digits(value, NUMBER_DIGITS_MAX).and_then(|number| u32::try_from(number).ok())
}

/// A number of 1 to `digits_max` decimal digits, which is at most 18.
fn parse_digits(value: &[u8], digits_max: usize) -> Option<u64> {
    if value.is_empty() || value.len() > digits_max || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn parse_version(value: &[u8]) -> Result<(u32, u32), HelloError> {
    let dot = value.iter().position(|byte| *byte == b'.').ok_or(HelloError::NO_VERSION)?;
    let (major, minor) = value.split_at(dot);
    let major = version_number(major).ok_or(HelloError::NO_VERSION)?;
    // From here on the client's form is known, so it gets an error that it can read.
    let unreadable = HelloError { form: form_of(major), ..HelloError::NO_VERSION };
    let minor = minor.get(1..).and_then(version_number).ok_or(unreadable)?;
    Ok((major, minor))
}

fn version_number(value: &[u8]) -> Option<u32> {
    parse_digits(value, VERSION_DIGITS_MAX).and_then(|number| u32::try_from(number).ok())
}

fn form_of(major: u32) -> WireForm {
    if major >= MODERN_MAJOR { WireForm::Modern } else { WireForm::Legacy }
}

fn parse_uuid(value: &[u8]) -> Box<str> {
    let value = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let value = value.get(..UUID_BYTES_MAX).unwrap_or(value);
    let uuid = if value.iter().all(u8::is_ascii_graphic) { value } else { b"" };
    std::str::from_utf8(uuid).unwrap_or_default().into()
}
