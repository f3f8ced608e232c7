//! What plain requests want of a connection: which pipes from where on, or to publish something.

use std::collections::HashMap;

use crate::model::{Had, Position, is_name_byte};

/// What a page wants, until its connection has the answer to what it wanted before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// These are its subscriptions from now on; `last` is for [`Last::parse`].
    Subscribe { pipes: Box<str>, last: Box<str> },
    /// The pipe may have `@` before it.
    Publish { pipe: Box<str>, event: Box<str>, message: Box<str> },
}

/// What a page has of what was published, in some pipes or in all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Last<'a> {
    of_pipe: HashMap<&'a str, Had>,
    of_others: Had,
}

/// How far apart in time publications of two pipes may arrive in another order than that of their positions, and more.
const DISORDER_S: u64 = 2;

/// A position that is never given, so nothing is known of what came behind it.
const NEVER: Position = Position(u64::MAX);

fn readable(text: &str) -> Had {
    if text.is_empty() { Some(NEVER).into() } else { Had::parse(text, NEVER) }
}

impl<'a> Last<'a> {
    /// Shape: `<pipe>:<had>`, several separated by commas; or one without a pipe, for the other pipes; [`Had::parse`] says
    /// what stands there. What cannot be read means that something was had, and nobody knows what: it is answered by a gap, as
    /// a position that never was.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut last = Self::default();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            match item.split_once(':') {
                Some((pipe, had)) => drop(last.of_pipe.insert(pipe, readable(had))),
                None => last.of_others = readable(item),
            }
        }
        last
    }

    /// From the one id that an `EventSource` sends back. What it had of other pipes is not known: what came about then is
    /// sent again rather than not at all.
    pub(super) fn of_event(id: &'a str) -> Self {
        let mut last = Self::parse(id);
        let margin = Position::default().next(DISORDER_S * 1_000_000).0;
        if let Some(had) = last.of_pipe.values().next() {
            let earlier = |position: Position| {
                if position == NEVER { NEVER } else { Position(position.0.saturating_sub(margin)) }
            };
            last.of_others = had.position.map(earlier).into();
        }
        last
    }

    fn of(&self, pipe: &str) -> Had {
        self.of_pipe.get(pipe).copied().unwrap_or(self.of_others)
    }
}

/// These pipes, whose names may be separated by anything that no name contains, each with what its page has of it.
pub(super) fn wanted<'a>(pipes: &'a str, last: &Last<'_>) -> impl Iterator<Item = (&'a str, Had)> {
    let names = pipes.split(|c: char| !u8::try_from(c).is_ok_and(is_name_byte)).filter(|name| !name.is_empty());
    names.map(|name| (name, last.of(name)))
}

#[cfg(test)]
mod tests {
    use super::{Had, Last, NEVER, Position, wanted};

    #[test]
    fn positions_of_pipes() {
        let check = |last: &Last<'_>, expected: [Option<u64>; 2]| {
            let pipes: Vec<_> = wanted("aa,bb", last).collect();
            let had = expected.map(|position| Had::from(position.map(Position)));
            assert_eq!(pipes, [("aa", had[0]), ("bb", had[1])]);
        };
        let never = Some(NEVER.0);
        check(&Last::default(), [None, None]);
        check(&Last::parse("aa:5"), [Some(5), None]);
        check(&Last::parse("bb:6,7,aa:5"), [Some(5), Some(6)]);
        check(&Last::parse("7,bb:x"), [Some(7), never]);
        check(&Last::parse("x"), [never; 2]);
        let id = format!("bb:{}", 3 * 4_096_000);
        check(&Last::of_event(&id), [Some(4_096_000), Some(12_288_000)]);
        check(&Last::of_event(""), [None, None]);
        for id in ["x", "bb", "bb:", "bb:-1", "bb:1 2\n3", "cc:99999999999999999999", "undefined"] {
            check(&Last::of_event(id), [never; 2]);
        }
        let newest =
            |text| wanted("aa,bb", &Last::parse(text)).map(|(_, had)| (had.position, had.newest)).collect::<Vec<_>>();
        assert_eq!(newest("aa:~1,bb:5~3"), [(None, 1), (Some(Position(5)), 3)]);
        assert_eq!(newest("~2,bb:5"), [(None, 2), (Some(Position(5)), 0)]);
    }

    #[test]
    fn names_end_where_no_name_goes_on() {
        let names = |pipes| wanted(pipes, &Last::default()).map(|(pipe, _)| pipe).collect::<Vec<_>>();
        assert_eq!(names("aa\nweb_pipe2\nbb 5,,cc\u{e9}"), ["aa", "web_pipe2", "bb", "5", "cc"]);
        assert_eq!(names(", \n"), Vec::<&str>::new());
    }
}
