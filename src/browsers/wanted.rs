//! Which pipes a plain request wants, and from where on, as a command of the browser protocol.

use std::collections::HashMap;

use crate::model::{Position, WireForm, is_name_byte};

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

/// A command for these pipes, whose names may be separated by anything that no name contains.
pub(super) fn subscription(form: WireForm, pipes: &str, last: &Last<'_>) -> String {
    if form != WireForm::Extended {
        return format!("subscription\n{pipes}");
    }
    let mut command = "subscription2".to_owned();
    for pipe in pipes.split(|c: char| !u8::try_from(c).is_ok_and(is_name_byte)).filter(|pipe| !pipe.is_empty()) {
        command.push('\n');
        command.push_str(pipe);
        if let Some(position) = last.of(pipe) {
            command.push(' ');
            command.push_str(&position.to_string());
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::{Last, NEVER, WireForm, subscription};

    #[test]
    fn commands() {
        let check = |form, last: &Last<'_>, expected: &str| assert_eq!(subscription(form, "aa,bb", last), expected);
        check(WireForm::Modern, &Last::parse("aa:5"), "subscription\naa,bb");
        check(WireForm::Extended, &Last::default(), "subscription2\naa\nbb");
        check(WireForm::Extended, &Last::parse("aa:5"), "subscription2\naa 5\nbb");
        check(WireForm::Extended, &Last::parse("bb:6,7,aa:5"), "subscription2\naa 5\nbb 6");
        check(WireForm::Extended, &Last::parse("7,bb:x"), &format!("subscription2\naa 7\nbb {NEVER}"));
        check(WireForm::Extended, &Last::parse("x"), &format!("subscription2\naa {NEVER}\nbb {NEVER}"));
        let id = format!("bb:{}", 3 * 4_096_000);
        check(WireForm::Extended, &Last::of_event(&id), "subscription2\naa 4096000\nbb 12288000");
        check(WireForm::Extended, &Last::of_event(""), "subscription2\naa\nbb");
        for id in ["x", "bb", "bb:", "bb:-1", "bb:1 2\n3", "cc:99999999999999999999", "undefined"] {
            check(WireForm::Extended, &Last::of_event(id), &format!("subscription2\naa {NEVER}\nbb {NEVER}"));
        }
    }
}
