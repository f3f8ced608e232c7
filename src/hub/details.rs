//! What browsers said of themselves when they came. Kept beside the connections, because only questions need it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{ConnId, UnixTime};

use super::places::Places;
use super::ring::Headers;

/// What a handshake said besides who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The browser's own id; at most 32 bytes.
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

#[derive(Debug)]
pub(super) struct Detail {
    pub(super) uuid: Box<str>,
    pub(super) headers: Option<Arc<Headers>>,
    pub(super) address: Address,
    /// Unix seconds; good until the year 2106.
    pub(super) since: u32,
}

/// An address without the bytes that alignment would cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address([u8; 16]);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => Self(address.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Self::V6(address.0.into()).to_canonical()
    }
}

impl Default for Detail {
    fn default() -> Self {
        Self { uuid: Box::default(), headers: None, address: Address([0; 16]), since: 0 }
    }
}

const _: () = assert!(size_of::<Detail>() <= 48, "an idle connection must stay small");

/// By the connection's place in the shard's slab, like the connections themselves.
#[derive(Debug)]
pub(super) struct AllDetails {
    places: Places<Detail>,
    /// Most browsers say one of a few things.
    headers: HashSet<Arc<Headers>, RandomState>,
    none: Arc<Headers>,
    heap_bytes: usize,
}

impl AllDetails {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { places: Places::default(), headers: HashSet::with_hasher(hasher), none: Arc::default(), heap_bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes() + self.headers.capacity() * size_of::<Arc<Headers>>() + self.heap_bytes
    }

    pub(super) fn insert(&mut self, conn: ConnId, details: Details) {
        self.remove(conn);
        let headers = (details.headers != *self.none).then(|| self.intern(details.headers));
        if let Some(slot) = self.places.reach(conn.index) {
            self.heap_bytes += details.uuid.len();
            let since = u32::try_from(details.since.0).unwrap_or(0);
            *slot = Detail { uuid: details.uuid, headers, address: details.address.into(), since };
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(gone) = self.places.get_mut(conn.index).map(std::mem::take) else { return };
        self.heap_bytes -= gone.uuid.len();
        // The map's own and this one: nobody else says so any more. (An answer under way may hold another for a moment;
        // then it stays until the next one of its kind goes.)
        if let Some(headers) = gone.headers.filter(|headers| Arc::strong_count(headers) <= 2) {
            self.heap_bytes -= headers_bytes(&headers);
            self.headers.remove(&headers);
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Detail> {
        self.places.get(index)
    }

    pub(super) fn headers(&self, detail: &Detail) -> Arc<Headers> {
        detail.headers.clone().unwrap_or_else(|| self.none.clone())
    }

    fn intern(&mut self, headers: Headers) -> Arc<Headers> {
        if let Some(known) = self.headers.get(&headers) {
            return known.clone();
        }
        if self.headers.len() == self.headers.capacity() {
            // Before it grows: what an answer under way kept from going with its last connection goes now.
            self.headers.retain(|headers| {
                let used = Arc::strong_count(headers) > 1;
                self.heap_bytes -= if used { 0 } else { headers_bytes(headers) };
                used
            });
        }
        let headers = Arc::new(headers);
        self.heap_bytes += headers_bytes(&headers);
        self.headers.insert(headers.clone());
        headers
    }
}

fn headers_bytes(headers: &Headers) -> usize {
    size_of::<Headers>() + headers.agent.len() + headers.origin.len() + headers.language.len()
}
