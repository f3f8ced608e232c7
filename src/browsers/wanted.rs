//! What plain requests want of a connection: which pipes from where on, or to publish something.

use std::collections::HashMap;

use crate::model::{Position, is_name_byte};

/// What a page wants, until its connection has the answer to what it wanted before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// These are its subscriptions from now on; `last` is for [`Last::parse`].
    Subscribe { pipes: Box<str>, last: Box<str> },
    /// The pipe may have `@` before it.
    Publish { pipe: Box<str>, event: Box<str>, message: Box<str> },
}

/// The position up to which a page has what was published, of some pipes or of all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Last<'a> {
    of_pipe: HashMap<&'a str, u64>,
    of_others: Option<u64>,
}

/// How far apart in time publications of two pipes may arrive in another order than that of their positions, and more.
const DISORDER_S: u64 = 2;

/// A position that is never given, so nothing is known of what came behind it.
const NEVER: u64 = u64::MAX;

fn readable(position: &str) -> u64 {
    position.parse().unwrap_or(NEVER)
}

impl<'a> Last<'a> {
    /// Shape: `<pipe>:<position>`, several separated by commas; or one bare position, for the other pipes. What cannot be read
    /// means that something was had, and nobody knows what: it is answered by a gap, as a position that never was.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut last = Self::default();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            match item.split_once(':') {
                Some((pipe, position)) => drop(last.of_pipe.insert(pipe, readable(position))),
                None => last.of_others = Some(readable(item)),
            }
        }
        last
    }

    /// From the one id that an `EventSource` sends back. What it had of other pipes is not known: what came about then is
    /// sent again rather than not at all.
    pub(super) fn of_event(id: &'a str) -> Self {
        let mut last = Self::parse(id);
        let margin = Position::default().next(DISORDER_S * 1_000_000).0;
        match last.of_pipe.values().next() {
            Some(&NEVER) => last.of_others = Some(NEVER),
            Some(position) => last.of_others = Some(position.saturating_sub(margin)),
            None => {}
        }
        last
    }

    fn of(&self, pipe: &str) -> Option<u64> {
        self.of_pipe.get(pipe).copied().or(self.of_others)
    }
}

/// These pipes, whose names may be separated by anything that no name contains, each with the position up to which its
/// page has it.
pub(super) fn wanted<'a>(pipes: &'a str, last: &Last<'_>) -> impl Iterator<Item = (&'a str, Option<Position>)> {
    let names = pipes.split(|c: char| !u8::try_from(c).is_ok_and(is_name_byte)).filter(|name| !name.is_empty());
    names.map(|name| (name, last.of(name).map(Position)))
}

#[cfg(test)]
mod tests {
    use super::{Last, NEVER, wanted};

    #[test]
    fn positions_of_pipes() {
        let check = |last: &Last<'_>, expected: [Option<u64>; 2]| {
            let pipes: Vec<_> = wanted("aa,bb", last).map(|(pipe, position)| (pipe, position.map(|at| at.0))).collect();
            assert_eq!(pipes, [("aa", expected[0]), ("bb", expected[1])]);
        };
        check(&Last::default(), [None, None]);
        check(&Last::parse("aa:5"), [Some(5), None]);
        check(&Last::parse("bb:6,7,aa:5"), [Some(5), Some(6)]);
        check(&Last::parse("7,bb:x"), [Some(7), Some(NEVER)]);
        check(&Last::parse("x"), [Some(NEVER); 2]);
        let id = format!("bb:{}", 3 * 4_096_000);
        check(&Last::of_event(&id), [Some(4_096_000), Some(12_288_000)]);
        check(&Last::of_event(""), [None, None]);
        for id in ["x", "bb", "bb:", "bb:-1", "bb:1 2\n3", "cc:99999999999999999999", "undefined"] {
            check(&Last::of_event(id), [Some(NEVER); 2]);
        }
    }

    #[test]
    fn names_end_where_no_name_goes_on() {
        let names = |pipes| wanted(pipes, &Last::default()).map(|(pipe, _)| pipe).collect::<Vec<_>>();
        assert_eq!(names("aa\nweb_pipe2\nbb 5,,cc\u{e9}"), ["aa", "web_pipe2", "bb", "5", "cc"]);
        assert_eq!(names(", \n"), Vec::<&str>::new());
    }
}
