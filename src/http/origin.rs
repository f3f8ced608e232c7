//! Which pages may connect.

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

/// The host in `[scheme://]host[:port]`. The host may be an IPv6 address in brackets.
fn host_of(origin: &str) -> Option<&str> {
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
