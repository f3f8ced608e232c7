//! What browsers said of themselves when they came. It stands beside the connections, because only questions need it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ahash::RandomState;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use slab::Slab;

use crate::model::{ConnId, UnixTime};

use super::places::Places;
use crate::ring::Headers;

/// What a handshake said besides who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The browser's own id; what is beyond 32 bytes is cut off.
    pub uuid: Box<str>,
    pub address: IpAddr,
    pub headers: Headers,
    pub since: UnixTime,
}

impl Default for Details {
    fn default() -> Self {
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { uuid: Box::default(), address, headers: Headers::default(), since: UnixTime::default() }
    }
}

/// Small and in one piece: every connection has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Six bits for each character; or, if that cannot be, its place in the table of odd ones.
    uuid: Packed,
    /// Characters of the id; [`ODD`] for one in the table.
    uuid_length: u8,
    is_v6: bool,
    /// In the table of headers; [`NO_HEADERS`] for those that say nothing.
    headers: u32,
    /// Of version 4 as it is, of version 6 its place in the table of those.
    address: u32,
    /// Unix seconds; good until the year 2106.
    pub(super) since: u32,
}

const UUID_MAX: usize = 32;
type Packed = [u8; UUID_MAX / 4 * 3];
const ODD: u8 = u8::MAX;
const NO_HEADERS: u32 = u32::MAX;

const _: () = assert!(size_of::<Detail>() <= 40, "an idle connection must stay small");

impl Default for Detail {
    fn default() -> Self {
        Self { uuid: Packed::default(), uuid_length: 0, is_v6: false, headers: NO_HEADERS, address: 0, since: 0 }
    }
}

/// The id as the base64 text that nearly all of them could be, filled up; `None`: it holds another character.
fn pack(uuid: &str) -> Option<Packed> {
    let mut text = [b'A'; UUID_MAX];
    text.get_mut(..uuid.len())?.copy_from_slice(uuid.as_bytes());
    let mut packed = Packed::default();
    URL_SAFE_NO_PAD.decode_slice(text, &mut packed).ok()?;
    Some(packed)
}

fn unpack(packed: &Packed, length: u8) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(packed);
    text.truncate(length.into());
    text
}

/// A browser's id as details keep it, so that many connections are compared with it at little cost.
#[derive(Debug)]
pub(super) struct Sought {
    uuid: Box<str>,
    /// `None`: it stands in the table of odd ones.
    packed: Option<Packed>,
}

impl Sought {
    pub(super) fn new(uuid: &str) -> Self {
        Self { uuid: uuid.into(), packed: pack(uuid) }
    }

    pub(super) fn is(&self, uuid: &str) -> bool {
        *self.uuid == *uuid
    }
}

/// By the connection's place in the shard's slab, like the connections themselves.
#[derive(Debug)]
pub(super) struct AllDetails {
    places: Places<Detail>,
    /// Most browsers say one of a few things: each with the number of connections that say it.
    headers: Slab<(Arc<Headers>, u32)>,
    index: HashMap<Arc<Headers>, u32, RandomState>,
    none: Arc<Headers>,
    v6: Slab<Ipv6Addr>,
    /// Ids of no library.
    odd: Slab<Box<str>>,
    heap_bytes: usize,
}

impl AllDetails {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            places: Places::default(),
            headers: Slab::new(),
            index: HashMap::with_hasher(hasher),
            none: Arc::default(),
            v6: Slab::new(),
            odd: Slab::new(),
            heap_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes()
            + self.headers.capacity() * size_of::<(Arc<Headers>, u32)>()
            + self.index.capacity() * size_of::<(Arc<Headers>, u32)>()
            + self.v6.capacity() * (size_of::<Ipv6Addr>() + size_of::<usize>())
            + self.odd.capacity() * (size_of::<Box<str>>() + size_of::<usize>())
            + self.heap_bytes
    }

    /// What is kept for one of them beside its place.
    pub(super) fn held_bytes(&self, index: u32) -> usize {
        let Some(detail) = self.places.get(index) else { return 0 };
        let odd = match detail.uuid_length {
            ODD => self.odd.get(place_of_odd(detail)).map_or(0, |uuid| uuid.len() + size_of::<(usize, Box<str>)>()),
            _ => 0,
        };
        odd + if detail.is_v6 { size_of::<(usize, Ipv6Addr)>() } else { 0 }
    }

    pub(super) fn insert(&mut self, conn: ConnId, details: Details) {
        self.remove(conn);
        let whole = details.uuid.floor_char_boundary(UUID_MAX);
        let (uuid, uuid_length) = self.put_uuid(details.uuid.get(..whole).unwrap_or_default());
        let headers = if details.headers == *self.none { NO_HEADERS } else { self.intern(details.headers) };
        let (address, is_v6) = match details.address {
            IpAddr::V4(address) => (address.to_bits(), false),
            IpAddr::V6(address) => (self.v6.insert(address) as u32, true),
        };
        let since = u32::try_from(details.since.0).unwrap_or(0);
        if let Some(slot) = self.places.reach(conn.index) {
            *slot = Detail { uuid, uuid_length, is_v6, headers, address, since };
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(gone) = self.places.get_mut(conn.index).map(std::mem::take) else { return };
        if gone.is_v6 {
            self.v6.try_remove(gone.address as usize);
        }
        if gone.uuid_length == ODD {
            let uuid = self.odd.try_remove(place_of_odd(&gone));
            self.heap_bytes -= uuid.map_or(0, |uuid| uuid.len());
        }
        let Some((_, connections)) = self.headers.get_mut(gone.headers as usize) else { return };
        *connections -= 1;
        if *connections == 0 {
            let (headers, _) = self.headers.remove(gone.headers as usize);
            self.heap_bytes -= headers_bytes(&headers);
            self.index.remove(&headers);
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Detail> {
        self.places.get(index)
    }

    pub(super) fn headers(&self, detail: &Detail) -> Arc<Headers> {
        self.headers.get(detail.headers as usize).map_or_else(|| self.none.clone(), |(headers, _)| headers.clone())
    }

    pub(super) fn uuid(&self, detail: &Detail) -> Box<str> {
        if detail.uuid_length == ODD {
            let Some(uuid) = self.odd.get(place_of_odd(detail)) else {
                never!("an odd id stands in the table");
                return Box::default();
            };
            return uuid.clone();
        }
        unpack(&detail.uuid, detail.uuid_length).into()
    }

    /// Whether the connection in this place is of that browser.
    pub(super) fn is_of(&self, index: u32, sought: &Sought) -> bool {
        let Some(detail) = self.places.get(index) else { return false };
        match sought.packed {
            Some(packed) => usize::from(detail.uuid_length) == sought.uuid.len() && detail.uuid == packed,
            None if detail.uuid_length != ODD => false,
            None => self.odd.get(place_of_odd(detail)) == Some(&sought.uuid),
        }
    }

    fn put_uuid(&mut self, uuid: &str) -> (Packed, u8) {
        if let Some(packed) = pack(uuid) {
            return (packed, uuid.len() as u8);
        }
        self.heap_bytes += uuid.len();
        let mut place = Packed::default();
        let number = self.odd.insert(uuid.into()) as u32;
        place.iter_mut().zip(number.to_be_bytes()).for_each(|(to, byte)| *to = byte);
        (place, ODD)
    }

    pub(super) fn address(&self, detail: &Detail) -> IpAddr {
        if !detail.is_v6 {
            return IpAddr::V4(Ipv4Addr::from_bits(detail.address));
        }
        let Some(address) = self.v6.get(detail.address as usize) else {
            never!("an address of version 6 stands in the table");
            return IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        };
        IpAddr::V6(*address)
    }

    fn intern(&mut self, headers: Headers) -> u32 {
        if let Some(known) = self.index.get(&headers).copied() {
            if let Some((_, connections)) = self.headers.get_mut(known as usize) {
                *connections += 1;
            }
            return known;
        }
        let headers = Arc::new(headers);
        self.heap_bytes += headers_bytes(&headers);
        let place = self.headers.insert((headers.clone(), 1)) as u32;
        self.index.insert(headers, place);
        place
    }
}

fn place_of_odd(detail: &Detail) -> usize {
    let [a, b, c, d, ..] = detail.uuid;
    u32::from_be_bytes([a, b, c, d]) as usize
}

fn headers_bytes(headers: &Headers) -> usize {
    size_of::<Headers>() + headers.agent.len() + headers.origin.len() + headers.language.len()
}
