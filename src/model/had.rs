//! What a client has of a pipe, and what it wants of the past.

use super::Position;

/// What a client says of a pipe that it wants from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Had {
    /// It has everything up to here, and wants what came behind; `None`: nothing is said.
    pub position: Option<Position>,
    /// In any case it wants so many of the newest messages.
    pub newest: u32,
}

impl Had {
    /// Most messages that are told of the past without a position.
    pub const NEWEST_MAX: u32 = 100;

    /// Shape: `[<position>][~<number>]`. A position that cannot be read is the one that is given for it, a number is none.
    pub fn parse(text: &str, unreadable: Position) -> Self {
        let (position, newest) = text.split_once('~').unwrap_or((text, ""));
        let newest = newest.bytes().try_fold(0_u32, |number, byte| {
            byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
        });
        let position = (!position.is_empty()).then(|| position.parse().map_or(unreadable, Position));
        Self { position, newest: newest.unwrap_or_default().min(Self::NEWEST_MAX) }
    }

    /// Whether histories have to be asked for it.
    pub fn wants_past(&self) -> bool {
        self.position.is_some() || self.newest > 0
    }
}

impl From<Option<Position>> for Had {
    fn from(position: Option<Position>) -> Self {
        Self { position, newest: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_numbers() {
        let check = |text: &str, position: Option<u64>, newest| {
            assert_eq!(Had::parse(text, Position(7)), Had { position: position.map(Position), newest }, "{text}");
        };
        check("", None, 0);
        check("5", Some(5), 0);
        check("~1", None, 1);
        check("5~20", Some(5), 20);
        check("~101", None, 100);
        check("~99999999999999999999", None, 100);
        for text in ["~", "~x", "~-1", "~+1", "~1~1", "~1 "] {
            check(text, None, 0);
        }
        for text in ["x", "-5", "1.5", "18446744073709551616", "5x~"] {
            check(text, Some(7), 0);
        }
    }
}
