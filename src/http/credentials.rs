//! Who asks, where a request must prove it with a password. Source: RFC 6750 section 2.1, RFC 7617.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::head::Head;

/// What stands in `Authorization`. It has no `Debug`, so that no log can tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Only the basic scheme names one.
    pub user: Option<String>,
    pub password: Box<[u8]>,
}

/// `Bearer <password>`, or `Basic` with user and password; `None` without either, and for what is neither.
pub fn credentials(head: &Head<'_>) -> Option<Credentials> {
    let value = head.header("Authorization")?;
    let blank = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(blank)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Credentials { user: None, password: rest.into() });
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let mut parts = decoded.splitn(2, |byte| *byte == b':');
    let (user, password) = (parts.next()?, parts.next()?);
    Some(Credentials { user: Some(str::from_utf8(user).ok()?.to_owned()), password: password.into() })
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadStep, parse_head};
    use super::*;

    #[test]
    fn schemes() {
        let check = |value: &str, expected: Option<(Option<&str>, &str)>| {
            let text = format!("POST / HTTP/1.1\r\nAuthorization: {value}\r\n\r\n");
            let Ok(HeadStep::Head(head)) = parse_head(text.as_bytes(), &HeadLimits::default()) else {
                panic!("{text}")
            };
            let expected = expected.map(|(user, password)| Credentials {
                user: user.map(str::to_owned),
                password: password.as_bytes().into(),
            });
            assert!(credentials(&head) == expected, "{value}");
        };
        check("Bearer secret", Some((None, "secret")));
        check("bearer  a b c ", Some((None, "a b c")));
        check("Bearer", None);
        check("Basic NTp4OnnQsA==", Some((Some("5"), "x:yа")));
        check("basic Og==", Some((Some(""), "")));
        for value in ["Basic NTp4", "Basic !", "Basic eA==", "Digest x", ""] {
            check(value, if value == "Basic NTp4" { Some((Some("5"), "x")) } else { None });
        }
    }
}
