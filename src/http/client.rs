//! Whose request it is: the peer's, or that of the browser whom a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use crate::model::{Network, RealIpHeader};

use super::head::Head;

/// Which peers are believed, and where they say it.
#[derive(Clone, Copy, Debug)]
pub struct Proxies<'a> {
    pub trusted: &'a [Network],
    pub header: RealIpHeader,
}

/// The browser's address. From anybody but a trusted proxy the header means nothing; without it, or with nothing that
/// can be read there, the proxy's own address counts.
///
/// Of a list the last entry counts that is no trusted proxy itself: whatever stands before it was sent by the browser.
pub fn client_address(peer: IpAddr, head: &Head<'_>, proxies: &Proxies<'_>) -> IpAddr {
    // A socket for both versions shows addresses of version 4 in those of version 6.
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| proxies.trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut client = peer;
    let entries: Vec<&[u8]> = head.list(proxies.header.as_str()).collect();
    for entry in entries.into_iter().rev() {
        let Some(address) = address(entry) else { break };
        client = address;
        if proxies.header == RealIpHeader::XRealIp || !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address; some proxies write a port behind it, brackets around one of version 6, or quotes around all of it.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    let text = bare.unwrap_or(text);
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))?;
    Some(address.to_canonical())
}
