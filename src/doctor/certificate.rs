//! The certificate of backends' TLS: whether it can be used, for whom it is and how long it is good.
//!
//! Of X.509 (RFC 5280) only what is told is read: issuer, names, times, the kind of key. Whether the key belongs to it was
//! tried by whoever gathered it.

use super::{Case, Finding, error, ok, warning};
use crate::config::Tls;

/// Days before the end from which it is told, and from which it is urgent.
const DAYS_GOOD: i64 = 14;
const DAYS_LEAST: i64 = 3;
const DAY_S: i64 = 86_400;

/// Names that are repeated in a report.
const NAMES_SHOWN: usize = 4;

/// A certificate and its key as they were found.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// The server makes one of its own at its next start.
    NotYet,
    /// A sentence without its end.
    Unusable(String),
    Usable {
        /// The file of the chain.
        file: String,
        /// Made by the server itself.
        own: bool,
        /// In DER, the server's first.
        chain: Vec<Vec<u8>>,
    },
}

pub(super) fn certificate(case: &Case<'_>) -> Finding {
    if case.config.cometql.tls == Tls::Off {
        return ok("none is needed: TLS is off");
    }
    let (file, own, chain) = match &case.system.certificate {
        None => return ok("it was not looked at"),
        Some(Certificate::NotYet) => return ok("the first start makes one"),
        Some(Certificate::Unusable(why)) => return error(why, "see [cometql] tls_cert and tls_key"),
        Some(Certificate::Usable { file, own, chain }) => (file, *own, chain),
    };
    let Some(identity) = chain.first().and_then(|der| Identity::read(der).ok()) else {
        return error(format!("{file} does not begin with a certificate"), "see [cometql] tls_cert");
    };
    let Identity { names, begins, ends, issued_by_itself, key } = identity;
    let now = case.system.now;
    let days = ends.saturating_sub(now).div_euclid(DAY_S);
    let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let said = format!("for {shown}{more}, {key}, {days} days left");
    let renew = if own {
        format!("remove {file} and the key beside it; the next start makes new ones, and clients need the new file")
    } else {
        "renew it, as with: certbot renew; then restart the server".to_owned()
    };
    if begins > now {
        return error(format!("{file} is not good yet: the certificate or the clock is wrong"), "timedatectl");
    }
    if ends <= now {
        return error(format!("{file} has ended {} days ago", -days), renew);
    }
    if days < DAYS_LEAST {
        return error(said, renew);
    }
    if names.is_empty() {
        return warning(format!("{file} names no host, so clients that compare names refuse it"), renew);
    }
    if days < DAYS_GOOD {
        return warning(said, renew);
    }
    if chain.len() == 1 && !issued_by_itself {
        return warning(
            format!(
                "{file} holds one certificate and not those between it and its authority: some clients refuse that"
            ),
            "name the full chain, fullchain.pem of certbot",
        );
    }
    ok(said)
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    /// Hosts and addresses.
    names: Vec<String>,
    /// Seconds since 1970, of both ends.
    begins: i64,
    ends: i64,
    issued_by_itself: bool,
    key: &'static str,
}

/// These bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotPem;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OBJECT: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const KEYS: [(&[u8], &str); 3] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], "ECDSA"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
];

impl Identity {
    fn read(der: &[u8]) -> Result<Self, NotPem> {
        let mut parts = Der(Der(der).take(SEQUENCE)?);
        let mut fields = Der(parts.take(SEQUENCE)?);
        if fields.next_is(VERSION) {
            fields.any()?;
        }
        let (_serial, _signature) = (fields.any()?, fields.any()?);
        let (_, issuer) = fields.any()?;
        let mut validity = Der(fields.take(SEQUENCE)?);
        let (begins, ends) = (time(validity.any()?)?, time(validity.any()?)?);
        let (_, subject) = fields.any()?;
        let algorithm = Der(Der(fields.take(SEQUENCE)?).take(SEQUENCE)?).take(OBJECT)?;
        let key =
            KEYS.iter().find(|(object, _)| *object == algorithm).map_or("a key of another kind", |(_, name)| name);
        let mut names = Vec::new();
        while let Ok((tag, content)) = fields.any() {
            if tag == EXTENSIONS {
                names = alternative_names(content)?;
            }
        }
        Ok(Self { names, begins, ends, issued_by_itself: issuer == subject, key })
    }
}

fn alternative_names(extensions: &[u8]) -> Result<Vec<String>, NotPem> {
    let mut extensions = Der(Der(extensions).take(SEQUENCE)?);
    while !extensions.0.is_empty() {
        let mut extension = Der(extensions.take(SEQUENCE)?);
        if extension.take(OBJECT)? != SUBJECT_ALTERNATIVE_NAMES {
            continue;
        }
        if extension.next_is(BOOLEAN) {
            extension.any()?;
        }
        let mut found = Der(Der(extension.take(OCTETS)?).take(SEQUENCE)?);
        let mut names = Vec::new();
        while !found.0.is_empty() {
            match found.any()? {
                (DNS_NAME, name) => names.push(String::from_utf8_lossy(name).into_owned()),
                (IP_ADDRESS, address) => names.extend(ip(address)),
                _ => {}
            }
        }
        return Ok(names);
    }
    Ok(Vec::new())
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
}

/// What is left of a value in DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// Content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], NotPem> {
        if self.next_is(tag) { self.any().map(|(_, content)| content) } else { Err(NotPem) }
    }

    /// Tag and content of the next element.
    fn any(&mut self) -> Result<(u8, &'a [u8]), NotPem> {
        let (&tag, rest) = self.0.split_first().ok_or(NotPem)?;
        let (&first, rest) = rest.split_first().ok_or(NotPem)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Lengths of up to four bytes; more is more than any file holds.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80)).ok_or(NotPem)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(NotPem),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(NotPem)?;
        self.0 = rest;
        Ok((tag, content))
    }
}

/// `YYMMDDhhmmssZ` with years until 2049, or `YYYYMMDDhhmmssZ`.
fn time((tag, digits): (u8, &[u8])) -> Result<i64, NotPem> {
    let digits = std::str::from_utf8(digits).map_err(|_| NotPem)?.strip_suffix('Z').ok_or(NotPem)?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = pair(digits)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (century, rest) = pair(digits)?;
            let (year, rest) = pair(rest)?;
            (century * 100 + year, rest)
        }
        _ => return Err(NotPem),
    };
    let (month, rest) = pair(rest)?;
    let (day, rest) = pair(rest)?;
    let (hour, rest) = pair(rest)?;
    let (minute, rest) = pair(rest)?;
    let (second, _) = pair(rest)?;
    Ok(days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

fn pair(digits: &str) -> Result<(i64, &str), NotPem> {
    let (two, rest) = digits.split_at_checked(2).ok_or(NotPem)?;
    two.parse::<u8>().map(|number| (i64::from(number), rest)).map_err(|_| NotPem)
}

/// Days since 1970 in the calendar of today, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, expected) in [
            ((1970, 1, 1), 0),
            ((1970, 3, 1), 59),
            ((2000, 2, 29), 11_016),
            ((2026, 12, 1), 20_788),
            ((2400, 12, 31), 157_419),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
        assert_eq!(time((UTC_TIME, b"260101000000Z")), time((GENERALIZED_TIME, b"20260101000000Z")));
        for broken in [&b""[..], b"Z", b"2601010000Z", b"260101000000", b"26010100000\xc3Z"] {
            assert_eq!(time((UTC_TIME, broken)), Err(NotPem), "{broken:?}");
        }
    }

    /// Written by the crate that makes the server's own certificates.
    #[test]
    fn a_certificate_tells_who_it_is_for_and_how_long() {
        let names = ["comet.example", "*.comet.example", "192.0.2.7", "2001:db8::7"].map(str::to_owned);
        let mut parameters = rcgen::CertificateParams::new(names.clone()).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 2);
        parameters.not_after = rcgen::date_time_ymd(2127, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        let own = parameters.self_signed(&key).unwrap();
        let identity = Identity::read(own.der()).unwrap();
        let day = |year, month, day| days(year, month, day) * DAY_S;
        let (begins, ends) = (day(2026, 1, 2), day(2127, 3, 4));
        assert_eq!(identity, Identity { names: names.into(), begins, ends, issued_by_itself: true, key: "ECDSA" });
        // Whatever is cut off or changed is an error or another certificate, never a panic.
        for end in 0..own.der().len() {
            assert_eq!(Identity::read(&own.der()[..end]), Err(NotPem), "{end}");
        }
        for (at, byte) in own.der().iter().enumerate() {
            let mut broken = own.der().to_vec();
            broken[at] = byte.wrapping_add(0x7f);
            let _ = Identity::read(&broken);
        }
    }
}
