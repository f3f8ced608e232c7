//! Whether the page that asks may ask, where a list says which pages may.
//!
//! Browsers name the page in `Origin` wherever it can read the answer or speak for long, and not where one script or image of
//! another site is fetched, nor where a page asks its own server. So a missing `Origin` proves nothing: a script tag has
//! none, and neither has a page whose name was made to lead to this server. What is known then is the `Referer`, what the
//! browser says in `Sec-Fetch-Site`, and the name in `Host` by which the server was asked.

use std::net::IpAddr;

use super::head::Head;
use super::origin::{behind_scheme, host_of, origin_allowed};

/// What is asked for. Pages can ask for some things in ways that tell less of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A connection, a message for one, or what needs a password.
    Connection,
    /// The same, with an answer that is a script: every page can load it.
    Script,
    /// A page or a file. Pages of other sites may lead to it or show it.
    Content,
}

/// Whether the request may come in. `hosts` is the configured list, as in [`origin_allowed`]; without one everything may.
///
/// Programs that are no browsers name no page, so they are asked for nothing but the right `Host`.
pub fn page_allowed<H: AsRef<str>>(hosts: &[H], head: &Head<'_>, door: Door) -> bool {
    if origin_allowed(hosts, false, None) {
        return true;
    }
    let is_listed = |origin: &[u8]| origin_allowed(hosts, false, Some(origin));
    let referer = head.header("Referer").map(origin_of);
    match (head.header("Origin"), door) {
        (Some(origin), Door::Connection | Door::Script) => return is_listed(origin),
        (Some(origin), Door::Content) if is_listed(origin) => return true,
        _ if referer.is_some_and(is_listed) => return true,
        (None, Door::Script) => return false,
        _ => {}
    }
    let host = head.header("Host");
    let is_own_name = host.is_none_or(|host| is_listed(host) || is_no_foreign_name(host));
    is_own_name && (door == Door::Content || !is_of_another_site(head, referer, host))
}

/// Whether a page of another site asks, as far as the browser tells.
fn is_of_another_site(head: &Head<'_>, referer: Option<&[u8]>, host: Option<&[u8]>) -> bool {
    if let Some(site) = head.header("Sec-Fetch-Site") {
        return !matches!(site, b"same-origin" | b"none");
    }
    let same = |origin: &[u8]| {
        let page = behind_scheme(origin).unwrap_or_default();
        host.is_some_and(|host| host.eq_ignore_ascii_case(page))
    };
    referer.is_some_and(|origin| !same(origin))
}

/// Whether nobody outside can have made this name lead here: it is a number, or has no dot and so is a name of this machine
/// or its network.
fn is_no_foreign_name(host: &[u8]) -> bool {
    let Some(host) = std::str::from_utf8(host).ok().and_then(host_of) else { return false };
    let is_number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_number || !host.contains('.') || host.to_ascii_lowercase().ends_with(".localhost")
}

/// The origin in a whole address.
fn origin_of(address: &[u8]) -> &[u8] {
    let Some(behind) = behind_scheme(address) else { return address };
    let host = behind.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(behind.len());
    let path = behind.get(host..).unwrap_or_default();
    address.strip_suffix(path).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadStep, parse_head};
    use super::Door::{Connection, Content, Script};
    use super::*;

    fn allowed(hosts: &[&str], fields: &str, door: Door) -> bool {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else { panic!("{text}") };
        page_allowed(hosts, &head, door)
    }

    /// What is missing in a request must not be taken for a proof.
    #[test]
    fn what_a_request_does_not_say_lets_nobody_in() {
        let check = |fields: &str, expected: [bool; 3]| {
            let found = [Connection, Script, Content].map(|door| allowed(&["a.example", "*.b.example"], fields, door));
            assert_eq!(found, expected, "{fields}");
            for hosts in [&[][..], &["*"]] {
                assert!([Connection, Script, Content].iter().all(|door| allowed(hosts, fields, *door)));
            }
        };
        let (every, none) = ([true; 3], [false; 3]);
        // A listed page of another site than the server's.
        let comet = "Host: comet.example\r\n";
        check(&format!("{comet}Origin: https://a.example\r\nSec-Fetch-Site: cross-site\r\n"), every);
        check(&format!("{comet}Origin: https://x.b.example:444\r\n"), every);
        check(&format!("{comet}Referer: https://a.example/page?x\r\nSec-Fetch-Site: cross-site\r\n"), every);
        check(&format!("{comet}Referer: http://x.b.example\r\n"), every);
        // A foreign page, with a script tag, an image, or a name that was made to lead here.
        check(&format!("{comet}Origin: https://evil.example\r\n"), none);
        check(&format!("{comet}Origin: null\r\n"), none);
        check(&format!("{comet}Referer: https://evil.example/a.example\r\nSec-Fetch-Site: cross-site\r\n"), none);
        check(&format!("{comet}Referer: https://a.example.evil.example/\r\n"), none);
        check("Host: evil.example\r\nSec-Fetch-Site: same-origin\r\n", none);
        check("Host: evil.example\r\nReferer: http://evil.example/\r\n", none);
        check("Host: evil.example\r\n", none);
        check("Host: a.example.evil.example\r\n", none);
        // The names of the server itself.
        for host in ["a.example", "A.example:87", "x.b.example", "10.0.0.1:8087", "[::1]:8087", "localhost", "comet"] {
            check(&format!("Host: {host}\r\n"), [true, false, true]);
            check(&format!("Host: {host}\r\nSec-Fetch-Site: same-origin\r\n"), [true, false, true]);
            check(&format!("Host: {host}\r\nSec-Fetch-Site: none\r\n"), [true, false, true]);
            let is_listed = host.ends_with("example") || host.contains("example:");
            check(&format!("Host: {host}\r\nReferer: http://{host}/page\r\n"), [true, is_listed, true]);
            check(&format!("Host: {host}\r\nSec-Fetch-Site: cross-site\r\n"), [false, false, true]);
            check(&format!("Host: {host}\r\nSec-Fetch-Site: same-site\r\n"), [false, false, true]);
            check(&format!("Host: {host}\r\nReferer: http://evil.example/\r\n"), [false, false, true]);
            check(&format!("Host: {host}\r\nOrigin: http://evil.example\r\n"), [false, false, true]);
        }
        // A program that says nothing at all.
        check("", [true, false, true]);
    }
}
