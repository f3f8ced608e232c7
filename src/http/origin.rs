//! Which pages may connect.

use std::net::IpAddr;

use super::head::Head;

/// Whether a page of this origin may connect. `hosts` is the configured list; without an entry, or with the entry
/// `*`, everybody may.
///
/// An entry is a host, or `*.` and a host for all its subdomains. Scheme, port and case of the origin do not matter,
/// everything else must be equal: no prefixes, so `example.com` does not admit `example.com.evil.net`. Clients that
/// are no browsers send no origin; `missing_allowed` says what becomes of them. An origin that is not a host (`null`,
/// say, of a page without one) is refused by every list.
pub fn origin_allowed<H: AsRef<str>>(hosts: &[H], missing_allowed: bool, origin: Option<&[u8]>) -> bool {
    let mut entries = hosts.iter().map(|entry| entry.as_ref().trim()).filter(|entry| !entry.is_empty()).peekable();
    if entries.peek().is_none() || hosts.iter().any(|entry| entry.as_ref().trim() == "*") {
        return true;
    }
    let Some(origin) = origin else { return missing_allowed };
    let Some(host) = std::str::from_utf8(origin).ok().and_then(host_of) else { return false };
    entries.any(|entry| match entry.strip_prefix("*.") {
        Some(domain) => is_subdomain(host, domain),
        None => host_of(entry).is_some_and(|entry| entry.eq_ignore_ascii_case(host)),
    })
}

/// Whether a request comes from a page of this very server, or from no page at all. Browsers say so themselves; those that do
/// not, because neither they nor the page are new or safe enough, name the page's origin, which must be the host asked.
pub fn same_origin(head: &Head<'_>) -> bool {
    if let Some(site) = head.header("Sec-Fetch-Site") {
        return matches!(site, b"same-origin" | b"none");
    }
    let Some(origin) = head.header("Origin") else { return true };
    let host = head.header("Host").unwrap_or_default();
    let authority = behind_scheme(origin);
    !host.is_empty() && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// What follows the scheme of an address; `None` if it has none.
pub(super) fn behind_scheme(address: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b"://";
    let at = address.windows(END.len()).position(|window| window == END)?;
    address.get(at..)?.strip_prefix(END)
}

/// Whether the request was addressed to this machine by its own name or number, or by none. A name of somebody else may lead
/// here as well, and the page that has it would count as one of this server.
fn is_for_loopback(head: &Head<'_>) -> bool {
    let Some(host) = head.header("Host") else { return true };
    let Some(host) = std::str::from_utf8(host).ok().and_then(host_of) else { return false };
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || name.ends_with(".localhost") || number.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether the client is a program on this machine, and not somebody for whom a proxy on it asks. `address`: the client's, as
/// far as it is known.
pub fn is_from_this_machine(head: &Head<'_>, address: IpAddr) -> bool {
    let is_passed_on =
        ["Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"].iter().any(|name| head.header(name).is_some());
    address.to_canonical().is_loopback() && is_for_loopback(head) && !is_passed_on
}

/// The host in `[scheme://]host[:port]`. The host may be an IPv6 address in brackets.
pub(super) fn host_of(origin: &str) -> Option<&str> {
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority).trim_end_matches('/');
    let after_host = if authority.starts_with('[') {
        authority.find(']')?.checked_add(1)?
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(after_host)?;
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let is_host = !host.is_empty() && !host.contains(['/', '@', ',', '?', '#', ' ']);
    (is_port && is_host).then_some(host)
}

fn is_subdomain(host: &str, domain: &str) -> bool {
    let Some(dot) = host.len().checked_sub(domain.len()).and_then(|length| length.checked_sub(1)) else { return false };
    let Some((below, above)) = host.split_at_checked(dot) else { return false };
    !below.is_empty() && above.strip_prefix('.').is_some_and(|above| above.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadStep, parse_head};
    use super::{is_for_loopback, same_origin};

    #[test]
    fn names_of_this_machine() {
        let check = |fields: &str, expected: bool| {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else {
                panic!("{text}")
            };
            assert_eq!(is_for_loopback(&head), expected, "{fields}");
        };
        check("", true);
        for host in [
            "localhost",
            "LOCALHOST:8087",
            "a.localhost",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:8087",
            "[::ffff:127.0.0.1]",
        ] {
            check(&format!("Host: {host}\r\n"), true);
        }
        for host in [
            "evil.example",
            "evil.example:8087",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.evil",
            "",
            "a b",
        ] {
            check(&format!("Host: {host}\r\n"), false);
        }
    }

    #[test]
    fn pages_of_this_server() {
        let check = |fields: &str, expected: bool| {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
            let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else {
                panic!("{text}")
            };
            assert_eq!(same_origin(&head), expected, "{fields}");
        };
        check("", true);
        check("Host: a.example\r\n", true);
        check("Host: a.example:87\r\nOrigin: http://A.example:87\r\n", true);
        for origin in ["http://a.example", "http://a.example:88", "http://b.example:87", "null", "a.example:87", ""] {
            check(&format!("Host: a.example:87\r\nOrigin: {origin}\r\n"), false);
        }
        check("Origin: http://\r\n", false);
        // A proxy may have changed the host, but not this.
        check("Host: inside\r\nOrigin: https://a.example\r\nSec-Fetch-Site: same-origin\r\n", true);
        check("Sec-Fetch-Site: none\r\n", true);
        for site in ["cross-site", "same-site", ""] {
            check(&format!("Host: a\r\nOrigin: http://a\r\nSec-Fetch-Site: {site}\r\n"), false);
        }
    }
}
