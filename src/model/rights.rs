//! Which pipes a token names.

/// Names of pipes, and beginnings of names. Sorted, so that a look costs steps and not a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    names: Box<[Box<str>]>,
    /// None of them begins with another one.
    beginnings: Box<[Box<str>]>,
}

/// An entry is no name, and no beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRight;

impl Rights {
    /// Entries of one token: more than fit into one that a browser can show.
    pub const ENTRIES_MAX: usize = 256;

    /// An entry is a name, or a beginning of names and `*`.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadRight> {
        let (mut names, mut beginnings) = (Vec::new(), Vec::new());
        for entry in entries {
            if names.len() + beginnings.len() >= Self::ENTRIES_MAX {
                return Err(BadRight);
            }
            let (list, name) = match entry.strip_suffix('*') {
                Some(beginning) => (&mut beginnings, beginning),
                None if entry.is_empty() => return Err(BadRight),
                None => (&mut names, entry),
            };
            if name.len() > super::PipeName::LENGTH_MAX || !name.bytes().all(super::is_name_byte) {
                return Err(BadRight);
            }
            list.push(Box::from(name));
        }
        names.sort_unstable();
        names.dedup();
        beginnings.sort_unstable();
        // What begins with the one before is said by it.
        beginnings.dedup_by(|later, first: &mut Box<str>| later.starts_with(&**first));
        Ok(Self { names: names.into(), beginnings: beginnings.into() })
    }

    pub fn name(&self, pipe: &str) -> bool {
        if self.names.binary_search_by(|name| (**name).cmp(pipe)).is_ok() {
            return true;
        }
        // The beginning of this name, if there is one, is the last that is not behind it.
        let behind = self.beginnings.partition_point(|beginning| **beginning <= *pipe);
        behind
            .checked_sub(1)
            .and_then(|at| self.beginnings.get(at))
            .is_some_and(|beginning| pipe.starts_with(&**beginning))
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.beginnings.is_empty()
    }

    pub fn bytes(&self) -> usize {
        let texts = self.names.iter().chain(&self.beginnings);
        size_of::<Self>() + texts.map(|text| size_of::<Box<str>>() + text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_right_is_refused() {
        for entry in ["", "a b", "a*b", "**", "a**", "ä", "a.b", &"n".repeat(65)] {
            assert_eq!(Rights::parse([entry]), Err(BadRight), "{entry}");
        }
        assert!(Rights::parse([]).unwrap().is_empty());
        assert!(Rights::parse(vec!["a"; Rights::ENTRIES_MAX]).is_ok());
        assert_eq!(Rights::parse(vec!["a"; 10_000]), Err(BadRight));
        assert!(Rights::parse(["*"]).unwrap().name("private_x"));
    }

    proptest! {
        /// Says what a walk over all entries says.
        #[test]
        fn a_look_says_what_a_walk_says(entries in vec("[ab]{1,4}\\*?", 0..12), name in "[ab]{2,6}") {
            let rights = Rights::parse(entries.iter().map(String::as_str)).unwrap();
            let expected = entries.iter().any(|entry| match entry.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => *entry == name,
            });
            prop_assert_eq!(rights.name(&name), expected);
        }
    }
}
