//! The fields of an address: `name=value`, separated by `&`, values percent-encoded.

use crate::percent;

/// Borrows the address. Of a field that is there twice the first one counts.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    text: &'a str,
}

impl<'a> Query<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The decoded value; `None` without such a field, and for one that is no valid encoding of UTF-8. A plus sign is one:
    /// keys hold it, and names never hold a blank.
    pub fn value(&self, name: &str) -> Option<String> {
        self.raw(name).and_then(percent::decoded_text)
    }

    /// As it stands in the address; `None` without such a field.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.text.split(['&', '?']).find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn fields() {
        let query = Query::new("pipes=a%2Cb,c&v=4&empty=&bad=%zz&v=5&plus=a+b&sesion=?x=1");
        let check = |name, value: Option<&str>| assert_eq!(query.value(name).as_deref(), value, "{name}");
        check("pipes", Some("a,b,c"));
        check("v", Some("4"));
        check("empty", Some(""));
        check("plus", Some("a+b"));
        check("x", Some("1"));
        for name in ["bad", "pipe", "none", ""] {
            check(name, None);
        }
    }
}
