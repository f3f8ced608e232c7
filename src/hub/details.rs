//! What browsers said of themselves when they came. Kept beside the connections, because only questions need it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ahash::RandomState;
use slab::Slab;

use crate::model::{ConnId, UnixTime};

use super::places::Places;
use super::ring::Headers;

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
    /// Filled up with zeros.
    uuid: [u8; UUID_MAX],
    /// In the table of headers; [`NO_HEADERS`] for those that say nothing.
    headers: u32,
    /// Of version 4 as it is, of version 6 its place in the table of those.
    address: u32,
    is_v6: bool,
    /// Unix seconds; good until the year 2106.
    pub(super) since: u32,
}

const UUID_MAX: usize = 32;
const NO_HEADERS: u32 = u32::MAX;

impl Default for Detail {
    fn default() -> Self {
        Self { uuid: [0; UUID_MAX], headers: NO_HEADERS, address: 0, is_v6: false, since: 0 }
    }
}

const _: () = assert!(size_of::<Detail>() <= 48, "an idle connection must stay small");

impl Detail {
    pub(super) fn uuid(&self) -> &str {
        let length = self.uuid.iter().position(|byte| *byte == 0).unwrap_or(UUID_MAX);
        self.uuid.get(..length).and_then(|uuid| std::str::from_utf8(uuid).ok()).unwrap_or_default()
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
            heap_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes()
            + self.headers.capacity() * size_of::<(Arc<Headers>, u32)>()
            + self.index.capacity() * size_of::<(Arc<Headers>, u32)>()
            + self.v6.capacity() * (size_of::<Ipv6Addr>() + size_of::<usize>())
            + self.heap_bytes
    }

    pub(super) fn insert(&mut self, conn: ConnId, details: Details) {
        self.remove(conn);
        let mut uuid = [0; UUID_MAX];
        let whole = details.uuid.floor_char_boundary(UUID_MAX);
        uuid.iter_mut().zip(details.uuid.bytes().take(whole)).for_each(|(to, byte)| *to = byte);
        let headers = if details.headers == *self.none { NO_HEADERS } else { self.intern(details.headers) };
        let (address, is_v6) = match details.address {
            IpAddr::V4(address) => (address.to_bits(), false),
            IpAddr::V6(address) => (self.v6.insert(address) as u32, true),
        };
        let since = u32::try_from(details.since.0).unwrap_or(0);
        if let Some(slot) = self.places.reach(conn.index) {
            *slot = Detail { uuid, headers, address, is_v6, since };
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(gone) = self.places.get_mut(conn.index).map(std::mem::take) else { return };
        if gone.is_v6 {
            self.v6.try_remove(gone.address as usize);
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

    pub(super) fn address(&self, detail: &Detail) -> IpAddr {
        let v6 = detail.is_v6.then(|| self.v6.get(detail.address as usize)).flatten();
        v6.map_or(IpAddr::V4(Ipv4Addr::from_bits(detail.address)), |address| IpAddr::V6(*address))
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

fn headers_bytes(headers: &Headers) -> usize {
    size_of::<Headers>() + headers.agent.len() + headers.origin.len() + headers.language.len()
}
