//! The shared words as types. Everything else in the server speaks in these.
//!
//! A value of one of these types is valid by construction: whoever holds a [`PipeName`] need not check it again.
//! This module knows nothing of bytes on a wire, of threads or of clocks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::{Add, Sub};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

mod had;
mod rights;
mod track_cursor;
mod wishes;

pub use had::Had;
pub use rights::{BadRight, Rights};
pub use track_cursor::TrackCursor;
pub use wishes::Wishes;

/// Bytes that many connections share: one encoded frame, written to all its receivers.
pub type SharedBytes = Arc<[u8]>;

/// A tenant, on the wire `dev_id`. Keys of every map begin with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevId(pub u32);

impl fmt::Display for DevId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tenant's numbered person; 0 is anonymous. At most [`UserId::MAX`], the largest id that storage can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(u32);

impl UserId {
    pub const ANONYMOUS: Self = Self(0);
    pub const MAX: u32 = i32::MAX as u32;

    pub fn new(id: u32) -> Option<Self> {
        (id <= Self::MAX).then_some(Self(id))
    }

    pub fn get(self) -> u32 {
        self.0
    }

    pub fn is_anonymous(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of addresses: `10.0.0.0/8`, or a single one. IPv4 addresses count as IPv6 ones that contain them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Bits behind the prefix are zero.
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// `None`: neither an address nor an address, `/` and the length of a prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok()).filter(|bits| *bits <= bits_max)?;
        let address = match address {
            IpAddr::V4(address) => {
                IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into())
            }
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & prefix(bits)).into()),
        };
        Some(Self { address, bits })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = if self.address.is_ipv4() { self.bits + 96 } else { self.bits };
        (wide(self.address) ^ wide(address)) & prefix(bits) == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = if self.address.is_ipv4() { 32 } else { 128 };
        self.address.fmt(f)?;
        if self.bits < single { write!(f, "/{}", self.bits) } else { Ok(()) }
    }
}

fn prefix(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// What counts as one address where something is counted by address: an IPv4 address, also inside an IPv6 one; else the
/// network of 64 bits, because whoever has one IPv6 address has all of its network.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix(64))),
        address @ IpAddr::V4(_) => address,
    }
}

/// The field in which proxies name the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RealIpHeader {
    /// One address, which the proxy sets whatever the browser sent.
    #[default]
    XRealIp,
    /// A list that each proxy adds to at its end.
    XForwardedFor,
}

impl RealIpHeader {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XRealIp => "X-Real-IP",
            Self::XForwardedFor => "X-Forwarded-For",
        }
    }
}

/// Why a text is not a name. Each side of the server has its own code for each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    TooShort,
    TooLong,
    BadCharacter,
}

/// Whether `byte` may stand in a pipe name, an event name or a marker: `A-Z a-z 0-9 _ -`.
pub const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn check_name(text: &[u8], shortest: usize) -> Result<&str, NameError> {
    if text.len() > PipeName::LENGTH_MAX {
        return Err(NameError::TooLong);
    }
    if text.len() < shortest {
        return Err(NameError::TooShort);
    }
    if !text.iter().copied().all(is_name_byte) {
        return Err(NameError::BadCharacter);
    }
    std::str::from_utf8(text).map_err(|_| NameError::BadCharacter)
}

/// The name of a pipe: 2 to 64 name characters. (A backend's INSERT asks for 3; see `cometql`.)
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipeName(Box<str>);

impl PipeName {
    pub const LENGTH_MIN: usize = 2;
    pub const LENGTH_MAX: usize = 64;

    pub fn new(text: &[u8]) -> Result<Self, NameError> {
        check_name(text, Self::LENGTH_MIN).map(|name| Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn class(&self) -> PipeClass {
        PipeClass::of(&self.0)
    }
}

impl fmt::Debug for PipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a pipe name's prefix grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeClass {
    /// `web_`: every browser may publish.
    Web,
    /// `webauth_`: authorised users may publish.
    WebAuthorised,
    /// `track_`: reports who comes and goes.
    Track,
    /// `private_`: only authorised users may subscribe.
    Private,
    /// `trust_`: keeps history without a setting.
    Trust,
    /// `user_status_`: reports a user's presence.
    UserStatus,
    Ordinary,
}

impl PipeClass {
    pub fn of(name: &str) -> Self {
        const PREFIXES: [(&str, PipeClass); 6] = [
            ("web_", PipeClass::Web),
            ("webauth_", PipeClass::WebAuthorised),
            ("track_", PipeClass::Track),
            ("private_", PipeClass::Private),
            ("trust_", PipeClass::Trust),
            ("user_status_", PipeClass::UserStatus),
        ];
        PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(Self::Ordinary, |(_, class)| *class)
    }
}

/// A pipe's identity in the whole server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipeKey {
    pub dev: DevId,
    pub name: PipeName,
}

/// The label a publication carries within its pipe: 0 to 64 name characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventName(Box<str>);

impl EventName {
    pub fn new(text: &[u8]) -> Result<Self, NameError> {
        check_name(text, 0).map(|name| Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a browser sends along with a question to recognise the answer: 0 to 64 name characters.
pub type Marker = EventName;

/// A connection or CometQL session on its shard: place in the slab and the generation of that place. A place is
/// used again, a pair never is while anything can still name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    pub index: u32,
    pub generation: u32,
}

impl ConnId {
    /// The first place of connections that have no socket of their own, which are those that are polled for. No slab
    /// reaches so far.
    pub const POLLED_FIRST: u32 = 1 << 25;

    pub fn is_polled(self) -> bool {
        self.index >= Self::POLLED_FIRST
    }
}

/// A shard's number: connection shards are 0 to n-1, the CometQL shard is n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Monotonic time, in microseconds since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Add<u64> for Time {
    type Output = Self;
    fn add(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl Sub for Time {
    type Output = u64;
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Seconds since 1970, as they travel on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

/// A place in the order of a pipe or of a user's queue, unique and growing there: the time in 4096ths of a millisecond, or
/// one more than the last one if that is later. 60 bits, enough until the year 10889.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    const UNITS_PER_MILLI: u64 = 4096;

    /// The next position after this one at a time, in microseconds since 1970.
    #[must_use]
    pub fn next(self, unix_micros: u64) -> Self {
        let now = unix_micros / 1000 * Self::UNITS_PER_MILLI + unix_micros % 1000 * Self::UNITS_PER_MILLI / 1000;
        Self(now.max(self.0 + 1))
    }

    /// The time that the position stands for, in seconds: when it was made, but never before an earlier position's.
    pub fn time(self) -> UnixTime {
        UnixTime((self.0 / (Self::UNITS_PER_MILLI * 1000)) as i64)
    }

    /// The time that the position stands for, in microseconds since 1970.
    pub fn micros(self) -> u64 {
        let (millis, units) = (self.0 / Self::UNITS_PER_MILLI, self.0 % Self::UNITS_PER_MILLI);
        millis * 1000 + units * 1000 / Self::UNITS_PER_MILLI
    }

    /// The last one that stands for this time; the first of all for times before 1970.
    pub fn last_of(time: UnixTime) -> Self {
        let seconds = u64::try_from(time.0).unwrap_or(0);
        Self(seconds.saturating_add(1).saturating_mul(Self::UNITS_PER_MILLI * 1000).saturating_sub(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored message's name: a UUID. Ours are of version 7 and hold the [`Position`], so their order is the order of the
/// messages; those of a database that CppComet wrote may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Before all others.
    pub const NIL: Self = Self(Uuid::nil());

    /// `random` tells apart what was sent to different pipes at the same time.
    pub fn new(position: Position, random: u64) -> Self {
        let (millis, fraction) = (position.0 >> 12, position.0 & 0xfff);
        let high = millis << 16 | 0x7000 | fraction;
        let low = random >> 2 | 1 << 63;
        Self(Uuid::from_u64_pair(high, low))
    }

    /// Errors: `None` for what is not a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// In the order of ids.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The place that was given to it, if it is one of ours.
    pub fn position(self) -> Option<Position> {
        let (high, _) = self.0.as_u64_pair();
        (self.0.get_version_num() == 7).then_some(Position(high >> 16 << 12 | high & 0xfff))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Both clocks at the start of a turn: one reading serves all inputs of the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub time: Time,
    pub unix: UnixTime,
    /// Microseconds of the second that has begun.
    pub micros: u32,
}

impl Now {
    /// Since 1970.
    pub fn unix_micros(self) -> u64 {
        u64::try_from(self.unix.0).unwrap_or(0) * 1_000_000 + u64::from(self.micros)
    }
}

/// How a browser's messages are written, by the version of its library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WireForm {
    /// Version 4 and later.
    #[default]
    Modern,
    /// Before version 4: `event_name` and `api_data` added, objects in `data` as text.
    Legacy,
    /// `api=js2`: as `Modern`, and what is kept in a history tells its position.
    Extended,
}

/// What a publication is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PublicationKind {
    /// Somebody's message.
    #[default]
    Message,
    /// A user came or went; the event says which. Has no time.
    Presence,
    /// A connection came into a `track_` pipe or left it; the event says which.
    Track { user: UserId, uuid: Box<str> },
    /// The server's own figures, of which it does not count itself.
    Figures,
}

/// A message accepted into a pipe. Immutable once its owner has given it time and position; encoded at most once
/// per wire form and shared by all its receivers.
#[derive(Debug)]
pub struct Publication {
    pub pipe: Arc<PipeKey>,
    pub kind: PublicationKind,
    pub event: EventName,
    /// The payload, valid UTF-8 of at most the configured size.
    pub message: Box<str>,
    /// The browser's user who sent it; `None` when a backend published it.
    pub sender: Option<UserId>,
    /// The connection that sent it and gets no echo of it.
    pub origin: Option<(ShardId, ConnId)>,
    /// When the owner accepted it; zero before.
    pub time: UnixTime,
    /// Place in the pipe's order; zero before its owner accepted it.
    pub position: Position,
    /// Counted by the owner from 1, without gaps, for as long as the pipe has subscribers: a receiver that misses one can
    /// be told so. Zero before it was accepted, and where nobody hears it.
    pub number: u64,
    pub wishes: Option<Box<Wishes>>,
    /// Whether the origin awaits a count of deliveries.
    pub report: bool,
    /// Whether the owner has sent it into the pipe's history; false before it was accepted.
    pub kept: bool,
    /// Encoded frames by wire form, made by the first shard that needs one.
    frames: [OnceLock<SharedBytes>; 3],
    /// The compressed frames, made by the first shard that has a receiver for one; `None` where it is not worth it.
    deflated: [OnceLock<Option<Deflated>>; 3],
}

/// A compressed frame.
#[derive(Clone, Debug)]
pub struct Deflated {
    /// Of the payload once it is inflated.
    pub payload_bytes: usize,
    pub frame: SharedBytes,
}

impl Publication {
    pub fn new(pipe: Arc<PipeKey>, event: EventName, message: Box<str>) -> Self {
        Self {
            pipe,
            kind: PublicationKind::Message,
            event,
            message,
            sender: None,
            origin: None,
            time: UnixTime::default(),
            position: Position::default(),
            number: 0,
            wishes: None,
            report: false,
            kept: false,
            frames: [const { OnceLock::new() }; 3],
            deflated: [const { OnceLock::new() }; 3],
        }
    }

    /// The encoded frame in this form; `encode` makes it the first time.
    pub fn frame(&self, form: WireForm, encode: impl FnOnce(&Self) -> SharedBytes) -> &SharedBytes {
        // Without a position to tell, two forms are one.
        let form = if form == WireForm::Extended && !self.kept { WireForm::Modern } else { form };
        self.frames[form as usize].get_or_init(|| encode(self))
    }

    /// The compressed frame in this form, if it is worth it; `deflate` finds that out the first time.
    pub fn deflated(&self, form: WireForm, deflate: impl FnOnce() -> Option<Deflated>) -> Option<&Deflated> {
        self.deflated[form as usize].get_or_init(deflate).as_ref()
    }

    /// The browser whose connections do not get it.
    pub fn except(&self) -> Option<&str> {
        self.wishes.as_ref()?.except.as_deref()
    }

    /// Bytes that this publication holds, for the accounting of memory.
    pub fn bytes(&self) -> usize {
        let frames: usize = self.frames.iter().filter_map(OnceLock::get).map(|frame| frame.len()).sum();
        let deflated = self.deflated.iter().filter_map(|deflated| deflated.get()?.as_ref());
        let frames = frames + deflated.map(|deflated| deflated.frame.len()).sum::<usize>();
        let wishes = self.wishes.as_ref().map_or(0, |wishes| wishes.bytes());
        size_of::<Self>() + self.event.as_str().len() + self.message.len() + wishes + frames
    }
}

/// A message to all devices of one user. Encoded at most once per wire form and shared by them.
#[derive(Debug)]
pub struct Personal {
    pub event: EventName,
    /// Valid UTF-8 of at most the configured size.
    pub message: Box<str>,
    frames: [OnceLock<SharedBytes>; 2],
}

impl Personal {
    pub fn new(event: EventName, message: Box<str>) -> Self {
        Self { event, message, frames: [OnceLock::new(), OnceLock::new()] }
    }

    /// The encoded frame in this form; `encode` makes it the first time.
    pub fn frame(&self, form: WireForm, encode: impl FnOnce(&Self) -> SharedBytes) -> &SharedBytes {
        let form = if form == WireForm::Extended { WireForm::Modern } else { form };
        self.frames[form as usize].get_or_init(|| encode(self))
    }
}

/// Whether a key is what drivers and pages write where there is none: stored as a hash, it would let in whoever has none.
pub fn is_no_key(key: &str) -> bool {
    ["", "null", "undefined", "none", "default"].iter().any(|word| key.eq_ignore_ascii_case(word))
}

/// What a browser connection is told besides publications. `jsapi` writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first message of every connection. `key` is the user's stored hash, empty when not authorised.
    ServerInfo {
        authorised: bool,
        key: Box<str>,
    },
    /// To a publisher: how many connections got its message.
    DeliveryReport {
        pipe: PipeName,
        message: Box<str>,
        delivered: u32,
    },
    PipeCount {
        marker: Marker,
        count: u32,
    },
    /// A user's public text, empty if there is none.
    UserData {
        marker: Marker,
        user: u32,
        data: Box<str>,
    },
    UserStatus {
        user: UserId,
        last_seen: LastSeen,
    },
    /// Who is in a `track_` pipe, one entry per connection with its own id.
    TrackUsers {
        pipe: PipeName,
        marker: Marker,
        subscribers: Vec<(UserId, Box<str>)>,
    },
    /// A part of that list, and the cursor that names the next one, if there is one.
    TrackPage {
        marker: Marker,
        subscribers: Vec<(UserId, Box<str>)>,
        next: Option<TrackCursor>,
    },
    /// The pipe is subscribed: what has a larger position than this one comes from now on. No position: the pipe keeps
    /// no history. `recovered`: whether everything behind the position that the client named came before this; `None` if
    /// it named none.
    Subscribed {
        pipe: PipeName,
        position: Option<Position>,
        recovered: Option<bool>,
    },
    Error(ApiError),
}

/// When a user was last here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSeen {
    Online,
    Unknown,
    SecondsAgo(u32),
}

/// Why a browser's command failed; always the peer's fault except where said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// The handshake cannot be served; the connection ends after it. The number is the protocol's.
    Handshake(u16),
    /// `subscription`: code "403".
    Subscription(SubscriptionError),
    /// `web_pipe2`, `pipe_log`, `pipe_count`: answered with `number_messages: -1`.
    Pipe(PipeError),
    /// A bad event name in `web_pipe2`: answered with the text alone.
    EventName,
    /// `track_pipe_users`: the pipe is not a `track_` pipe.
    NotATrackPipe,
    /// `track_pipe_page`: the place to go on from is none of those that were told.
    BadCursor,
    /// `web_pipe2`: the user publishes faster than is allowed. The message is not published, and may be again by then.
    TooFast { wait_ms: u32 },
    /// `user_data`: bad marker or id.
    UserData,
    /// Ours: storage could not answer; the browser may ask again.
    Unavailable { marker: Marker },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    NameTooLong,
    /// `subscription2` only; in a `subscription` such characters separate names.
    BadName,
    TooManyPipes,
    NeedsAuthorisation,
    /// Private pipes are for tokens that name them.
    NotNamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeError {
    BadName,
    BadMarker,
    /// The name's prefix does not allow this command.
    WrongClass,
    NeedsAuthorisation,
    /// Private pipes are for tokens that name them.
    NotNamed,
    /// The third line of `web_pipe2` must be one byte.
    BadFlag,
    /// Ours: subscribers got the message, but it is not in the history.
    NotStored,
}

/// Most seconds by which the clocks of whoever signs tokens may differ from this one.
pub const TOKEN_LEEWAY_S_MAX: u32 = 3600;

/// What the tokens of a tenant are signed with. Never what a token says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// A secret that both sides know.
    #[default]
    Hs256,
    /// The others: a key that only the tenant's backend has; the server has its public half.
    Rs256,
    Es256,
    EdDsa,
}

impl TokenAlgorithm {
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// As JSON Web Tokens name it, RFC 7518 and RFC 8037.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// Why a connection or CometQL session ended. Each has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed the connection or broke it.
    PeerClosed,
    /// A classic client's close frame, or a closing handshake completed.
    CloseFrame,
    /// An answer to a plain HTTP request was sent whole.
    HttpDone,
    /// The request was not HTTP, or larger than its cap.
    BadRequest,
    /// The handshake carried an error of section 1.5 of the browser protocol.
    HandshakeError,
    /// A frame against RFC 6455, or text that is not UTF-8.
    ProtocolError,
    /// An unknown browser command.
    UnknownCommand,
    /// A message or packet above its cap.
    TooLarge,
    /// The peer did not read fast enough.
    SlowConsumer,
    /// The head, the login or the answer to a ping did not come in time.
    TimedOut,
    /// A wrong CometQL password, user or database.
    LoginRefused,
    /// COM_QUIT.
    Quit,
    /// The user's hash was deleted.
    HashDeleted,
    /// The token that let it in was revoked.
    TokenRevoked,
    /// The token that let it in is not valid any longer.
    TokenExpired,
    /// Another CometQL session asked for its end.
    Killed,
    /// There was no place for the connection or for what it asked for: a limit that all connections of a shard share was
    /// reached. Or the connection was half-open and made room for the next one.
    NoRoom,
    /// The address of the connection has, or makes, as many connections as it may; or its user has.
    Limited,
    /// Keys of its user are guessed from its address, so the key was not looked at. The browser comes back by itself.
    KeyNotTried,
    /// Storage could not say who the browser is. The browser comes back by itself.
    StorageUnavailable,
    /// The server stops.
    ShuttingDown,
    /// Connections go elsewhere, or this one is as old as it may get, and it did not move by itself.
    Moved,
}

impl CloseReason {
    pub const ALL: [Self; 22] = [
        Self::PeerClosed,
        Self::CloseFrame,
        Self::HttpDone,
        Self::BadRequest,
        Self::HandshakeError,
        Self::ProtocolError,
        Self::UnknownCommand,
        Self::TooLarge,
        Self::SlowConsumer,
        Self::TimedOut,
        Self::LoginRefused,
        Self::Quit,
        Self::HashDeleted,
        Self::TokenRevoked,
        Self::TokenExpired,
        Self::Killed,
        Self::NoRoom,
        Self::Limited,
        Self::KeyNotTried,
        Self::StorageUnavailable,
        Self::ShuttingDown,
        Self::Moved,
    ];

    /// The name it has in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::CloseFrame => "close_frame",
            Self::HttpDone => "http_done",
            Self::BadRequest => "bad_request",
            Self::HandshakeError => "handshake_error",
            Self::ProtocolError => "protocol_error",
            Self::UnknownCommand => "unknown_command",
            Self::TooLarge => "too_large",
            Self::SlowConsumer => "slow_consumer",
            Self::TimedOut => "timed_out",
            Self::LoginRefused => "login_refused",
            Self::Quit => "quit",
            Self::HashDeleted => "hash_deleted",
            Self::TokenRevoked => "token_revoked",
            Self::TokenExpired => "token_expired",
            Self::Killed => "killed",
            Self::NoRoom => "no_room",
            Self::Limited => "limited",
            Self::KeyNotTried => "key_not_tried",
            Self::StorageUnavailable => "storage_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::Moved => "moved",
        }
    }
}
