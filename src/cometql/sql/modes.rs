//! The modes of a session (`sql_mode`), and how its text is read therefore.
//!
//! A client that sets a mode quotes and escapes by it. So a mode that changes how text is read is either honoured, by
//! everything that reads, or refused; a mode about what this server does not have (dates, engines, strictness of
//! columns) is remembered and changes nothing.

use super::literal::StringEscapes;

/// A set of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes(u32);

/// What becomes of a mode that a client sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Text is read by it.
    Honoured,
    /// Nothing here depends on it.
    Remembered,
    /// It would change how text is read, or what is shown, in a way that is not built.
    Refused,
}

use Treatment::{Honoured, Refused, Remembered};

/// Every mode of MySQL 5.7, MySQL 8 and MariaDB 10, in the order in which MySQL lists them; the place is the bit.
const MODES: [(&str, Treatment); 32] = [
    ("REAL_AS_FLOAT", Remembered),
    ("PIPES_AS_CONCAT", Honoured),
    ("ANSI_QUOTES", Honoured),
    // A blank between the name of a function and its parenthesis is allowed anyway.
    ("IGNORE_SPACE", Honoured),
    ("ONLY_FULL_GROUP_BY", Remembered),
    ("NO_UNSIGNED_SUBTRACTION", Remembered),
    ("NO_DIR_IN_CREATE", Remembered),
    ("ANSI", Honoured),
    ("NO_AUTO_VALUE_ON_ZERO", Remembered),
    ("NO_BACKSLASH_ESCAPES", Honoured),
    ("STRICT_TRANS_TABLES", Remembered),
    ("STRICT_ALL_TABLES", Remembered),
    ("NO_ZERO_IN_DATE", Remembered),
    ("NO_ZERO_DATE", Remembered),
    ("ALLOW_INVALID_DATES", Remembered),
    ("ERROR_FOR_DIVISION_BY_ZERO", Remembered),
    ("TRADITIONAL", Remembered),
    ("NO_AUTO_CREATE_USER", Remembered),
    ("NO_ENGINE_SUBSTITUTION", Remembered),
    ("PAD_CHAR_TO_FULL_LENGTH", Remembered),
    ("TIME_TRUNCATE_FRACTIONAL", Remembered),
    ("TIME_ROUND_FRACTIONAL", Remembered),
    ("HIGH_NOT_PRECEDENCE", Refused),
    ("POSTGRESQL", Refused),
    ("ORACLE", Refused),
    ("MSSQL", Refused),
    ("DB2", Refused),
    ("MAXDB", Refused),
    ("MYSQL323", Refused),
    ("MYSQL40", Refused),
    ("EMPTY_STRING_IS_NULL", Refused),
    ("SIMULTANEOUS_ASSIGNMENT", Refused),
];

/// Modes that stand for several.
const COMBINATIONS: [(Modes, &[Modes]); 2] = [
    (
        Modes::ANSI,
        &[
            Modes::of("REAL_AS_FLOAT"),
            Modes::PIPES_AS_CONCAT,
            Modes::ANSI_QUOTES,
            Modes::of("IGNORE_SPACE"),
            Modes::of("ONLY_FULL_GROUP_BY"),
        ],
    ),
    (
        Modes::of("TRADITIONAL"),
        &[
            Modes::of("STRICT_TRANS_TABLES"),
            Modes::of("STRICT_ALL_TABLES"),
            Modes::of("NO_ZERO_IN_DATE"),
            Modes::of("NO_ZERO_DATE"),
            Modes::of("ERROR_FOR_DIVISION_BY_ZERO"),
            Modes::of("NO_ENGINE_SUBSTITUTION"),
        ],
    ),
];

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const _: () = {
    let mut bit = Modes::BITS as usize;
    while bit < MODES.len() {
        assert!(matches!(MODES[bit].1, Refused), "a mode that can be set has a bit that is not stored");
        bit += 1;
    }
    let mut place = 0;
    while place < COMBINATIONS.len() {
        let (combination, parts) = COMBINATIONS[place];
        assert!(combination.0 != 0, "a mode that is not in the table");
        let mut part = 0;
        while part < parts.len() {
            assert!(parts[part].0 != 0, "a mode that is not in the table");
            part += 1;
        }
        place += 1;
    }
    assert!(Modes::NO_BACKSLASH_ESCAPES.0 != 0 && Modes::DEFAULT.0.count_ones() == 2);
};

impl Modes {
    pub const NONE: Self = Self(0);
    /// Those of a session that set none.
    pub const DEFAULT: Self = Self::of("STRICT_TRANS_TABLES").with(Self::of("NO_ENGINE_SUBSTITUTION"));
    pub const PIPES_AS_CONCAT: Self = Self::of("PIPES_AS_CONCAT");
    pub const ANSI_QUOTES: Self = Self::of("ANSI_QUOTES");
    pub const NO_BACKSLASH_ESCAPES: Self = Self::of("NO_BACKSLASH_ESCAPES");
    const ANSI: Self = Self::of("ANSI");

    #[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed by the compiler")]
    const fn of(name: &str) -> Self {
        let mut bit = 0;
        while bit < MODES.len() {
            if same(MODES[bit].0, name) {
                return Self(1 << bit);
            }
            bit += 1;
        }
        // Checked below: no mode has no bit.
        Self::NONE
    }

    /// So many bits of [`Self::bits`] are used: what a session may set comes first in the table.
    pub const BITS: u32 = 22;

    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The modes of these bits; those beyond [`Self::BITS`] mean something else.
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Every mode and what becomes of it.
    pub fn all() -> impl Iterator<Item = (&'static str, Treatment)> {
        MODES.into_iter()
    }

    /// The modes that a list names, in any case, with those that each of them stands for. Error: the name that is unknown
    /// or refused.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let mut modes = Self::NONE;
        // A list may end with its separator, as those do that are put together of an empty one.
        for name in list.split(',').map(str::trim_ascii).filter(|name| !name.is_empty()) {
            let known = MODES.iter().position(|(known, _)| name.eq_ignore_ascii_case(known));
            match known.and_then(|bit| Some((bit, MODES.get(bit)?.1))) {
                Some((bit, Honoured | Remembered)) => modes = modes.with(Self(1 << bit)),
                _ => return Err(name),
            }
        }
        for (combination, parts) in COMBINATIONS {
            if modes.has(combination) {
                modes = parts.iter().fold(modes, |modes, part| modes.with(*part));
            }
        }
        Ok(modes)
    }
}

impl Default for Modes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// As `@@sql_mode` shows them.
impl std::fmt::Display for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (bit, (name, _)) in MODES.iter().enumerate() {
            if self.has(Self(1 << bit)) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed by the compiler")]
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// How the text of a session is read: what the configuration says of escapes, and the modes that the session has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub escapes: StringEscapes,
    pub modes: Modes,
}

impl Reading {
    /// Whether a backslash escapes between these quotes.
    pub(super) fn escapes_in(self, quote: u8) -> bool {
        !self.is_name_quote(quote) && !self.modes.has(Modes::NO_BACKSLASH_ESCAPES)
    }

    /// Whether what stands between these quotes is a name.
    pub(super) fn is_name_quote(self, quote: u8) -> bool {
        quote == b'`' || quote == b'"' && self.modes.has(Modes::ANSI_QUOTES)
    }

    /// Whether `||` joins texts; it is OR otherwise.
    pub(super) fn pipes_join(self) -> bool {
        self.modes.has(Modes::PIPES_AS_CONCAT)
    }
}

impl From<StringEscapes> for Reading {
    fn from(escapes: StringEscapes) -> Self {
        Self { escapes, modes: Modes::default() }
    }
}
