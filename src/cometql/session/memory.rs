//! What a session remembers between its statements: modes, the state of its transaction, what its last statement did,
//! and variables.
//!
//! Every idle session has one, so it is small: variables, which few sessions set, are apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::Field;
use crate::cometql::sql::{Modes, Transaction};

/// Variables of one session.
pub const VARIABLES_MAX: usize = 256;

/// Bytes of one variable's value.
pub const VARIABLE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a variable's name.
const NAME_BYTES_MAX: usize = 256;

/// Bytes of all variables of one session.
pub const VARIABLES_BYTES_MAX: usize = 256 * 1024;

/// What one more variable costs besides its texts, about.
const ENTRY_BYTES: usize = 96;

/// Modes and what else can be said in a bit together, since every idle session has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags(u32);

impl Flags {
    const NEW: Self = Self(Modes::DEFAULT.bits());
    /// BEGIN was said, or autocommit is off and something was done.
    const IN_TRANSACTION: Self = Self::nth(0);
    const NO_AUTOCOMMIT: Self = Self::nth(1);
    /// In the transaction something was written, which no ROLLBACK undoes.
    const WROTE: Self = Self::nth(2);
    /// The last statement was a ROLLBACK behind such writes.
    const WARNED: Self = Self::nth(3);
    const READ_ONLY: Self = Self::nth(4);
    const READ_ONLY_NOW: Self = Self::nth(5);
    const READ_ONLY_NEXT: Self = Self::nth(6);
    /// The last statement published what was published before.
    const REPEATED: Self = Self::nth(7);

    const fn nth(place: u32) -> Self {
        Self(1 << (Modes::BITS + place))
    }

    fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    fn put(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self::NEW
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    flags: Flags,
    /// Rows that the last statement changed, as `ROW_COUNT()` tells: -1 after an answer of rows and after an error.
    changed: i32,
    /// Rows of the last answer that had any, as `FOUND_ROWS()` tells.
    found: u32,
    /// The last insert id that an INSERT gave.
    insert_id: u32,
    kept: Option<Box<Kept>>,
}

/// Variables by name: with one sign those of the user, with two those of the session that were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    variables: BTreeMap<Box<str>, Variable>,
    bytes: usize,
}

/// The value of a variable; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    pub text: Option<Box<str>>,
    pub number: bool,
}

impl Variable {
    pub fn new(value: Field, number: bool) -> Self {
        let text = value.map(Cow::into_owned).map(String::into_boxed_str);
        Self { number: number && text.is_some(), text }
    }

    pub fn word(text: &str) -> Self {
        Self { text: Some(text.into()), number: false }
    }

    fn bytes(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }
}

impl Memory {
    /// A session that has done nothing yet.
    pub const NEW: Self = Self { flags: Flags::NEW, changed: 0, found: 0, insert_id: 0, kept: None };

    pub fn modes(&self) -> Modes {
        Modes::of_bits(self.flags.0)
    }

    pub fn set_modes(&mut self, modes: Modes) {
        self.flags.0 = self.flags.0 & !Modes::of_bits(u32::MAX).bits() | modes.bits();
    }

    // Variables

    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.kept.as_ref()?.variables.get(name)
    }

    /// What was set of a variable of the session, by its name without signs. Nothing is allocated for a session that set
    /// none.
    pub fn kept(&self, name: &str) -> Option<&str> {
        self.kept.as_ref()?.variables.get(&*format!("@@{name}"))?.text.as_deref()
    }

    /// Error: 11 beyond the bounds of one session.
    pub fn set_variable(&mut self, name: &str, value: Variable) -> Result<(), Error> {
        if name.len() > NAME_BYTES_MAX || value.bytes() > VARIABLE_BYTES_MAX {
            let text = format!("A variable holds {VARIABLE_BYTES_MAX} bytes at the most, its name {NAME_BYTES_MAX}");
            return Err(Error::new(Code::TooLong, text));
        }
        let kept = self.kept.get_or_insert_default();
        let cost = |variable: &Variable| ENTRY_BYTES + name.len() + variable.bytes();
        let before = kept.variables.get(name).map(cost);
        let bytes = kept.bytes - before.unwrap_or(0) + cost(&value);
        if before.is_none() && kept.variables.len() >= VARIABLES_MAX || bytes > VARIABLES_BYTES_MAX {
            let text = format!(
                "A session may have {VARIABLES_MAX} variables of {VARIABLES_BYTES_MAX} bytes together: set some to NULL"
            );
            return Err(Error::new(Code::TooLong, text));
        }
        kept.bytes = bytes;
        kept.variables.insert(name.into(), value);
        Ok(())
    }

    /// As if it had never been set.
    pub fn forget_variable(&mut self, name: &str) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(old) = kept.variables.remove(name) {
            kept.bytes -= ENTRY_BYTES + name.len() + old.bytes();
        }
        if kept.variables.is_empty() {
            self.kept = None;
        }
    }

    /// Bytes of all variables.
    pub fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    // What the last statement did

    /// An answer of so many rows.
    pub fn gave_rows(&mut self, rows: u64) {
        self.changed = -1;
        self.found = u32::try_from(rows).unwrap_or(u32::MAX);
    }

    pub fn changed_rows(&mut self, rows: u64, insert_id: u64) {
        self.changed = i32::try_from(rows).unwrap_or(i32::MAX);
        if insert_id > 0 {
            self.insert_id = u32::try_from(insert_id).unwrap_or(u32::MAX);
        }
    }

    pub fn failed(&mut self) {
        self.changed = -1;
    }

    /// The value of `ROW_COUNT()` and the like.
    pub fn told(&self, function: &str) -> Option<i64> {
        Some(match function {
            "ROW_COUNT" => self.changed.into(),
            "FOUND_ROWS" => self.found.into(),
            "LAST_INSERT_ID" => self.insert_id.into(),
            _ => return None,
        })
    }

    // Transactions

    pub fn in_transaction(&self) -> bool {
        self.flags.has(Flags::IN_TRANSACTION)
    }

    pub fn autocommits(&self) -> bool {
        !self.flags.has(Flags::NO_AUTOCOMMIT)
    }

    /// Whether the session said that it only reads, now or in general.
    pub fn only_reads(&self) -> bool {
        let next = Flags::READ_ONLY_NEXT;
        let flag = if self.in_transaction() { Flags::READ_ONLY_NOW } else { Flags::READ_ONLY };
        self.flags.has(flag) || !self.in_transaction() && self.flags.has(next)
    }

    /// The warning that the last statement left: its number, and what it says.
    pub fn warning(&self) -> Option<(u16, &'static str)> {
        let warnings = [(Flags::WARNED, NOT_ROLLED_BACK), (Flags::REPEATED, REPEATED)];
        warnings.into_iter().find(|(flag, _)| self.flags.has(*flag)).map(|(_, warning)| warning)
    }

    /// A statement begins that makes warnings of its own.
    pub fn forget_warning(&mut self) {
        self.flags.put(Flags::WARNED, false);
        self.flags.put(Flags::REPEATED, false);
    }

    /// A statement that publishes is answered.
    pub fn published(&mut self, is_repeated: bool) {
        self.flags.put(Flags::REPEATED, is_repeated);
    }

    /// A statement reads or writes tables: without autocommit a transaction begins with it.
    pub fn touches_tables(&mut self, writes: bool) {
        if !self.in_transaction() {
            if self.autocommits() {
                return self.flags.put(Flags::READ_ONLY_NEXT, false);
            }
            self.begin(None);
        }
        if writes {
            self.flags.put(Flags::WROTE, true);
        }
    }

    fn begin(&mut self, read_only: Option<bool>) {
        let said = self.flags.has(Flags::READ_ONLY) || self.flags.has(Flags::READ_ONLY_NEXT);
        self.flags.put(Flags::READ_ONLY_NOW, read_only.unwrap_or(said));
        self.flags.put(Flags::READ_ONLY_NEXT, false);
        self.flags.put(Flags::WROTE, false);
        self.flags.put(Flags::IN_TRANSACTION, true);
    }

    fn end(&mut self, chain: bool) {
        let read_only = self.flags.has(Flags::READ_ONLY_NOW);
        let chain = chain && self.in_transaction();
        for flag in [Flags::IN_TRANSACTION, Flags::WROTE, Flags::READ_ONLY_NOW] {
            self.flags.put(flag, false);
        }
        if chain {
            self.begin(Some(read_only));
        }
    }

    /// Carries a word about transactions out, as far as there is something to do: what was written stays. Whether the
    /// session is to end.
    pub fn carry_out(&mut self, transaction: Transaction) -> bool {
        match transaction {
            Transaction::Begin { read_only } => self.begin(read_only),
            Transaction::Commit { chain, release } => {
                self.end(chain);
                return release;
            }
            Transaction::Rollback { chain, release } => {
                let wrote = self.flags.has(Flags::WROTE);
                self.end(chain);
                self.flags.put(Flags::WARNED, wrote);
                return release;
            }
            Transaction::RollbackToSavepoint => {
                let wrote = self.flags.has(Flags::WROTE);
                self.flags.put(Flags::WARNED, wrote);
            }
            Transaction::Savepoint | Transaction::Unlock => {}
        }
        false
    }

    pub fn set_autocommit(&mut self, on: bool) {
        if on && !self.autocommits() {
            self.end(false);
        }
        self.flags.put(Flags::NO_AUTOCOMMIT, !on);
    }

    /// `next`: of the next transaction only.
    pub fn set_read_only(&mut self, on: bool, next: bool) {
        self.flags.put(if next { Flags::READ_ONLY_NEXT } else { Flags::READ_ONLY }, on);
    }

    pub fn is_read_only(&self) -> bool {
        self.flags.has(Flags::READ_ONLY)
    }

    /// The time of the session's zone is so many seconds ahead of UTC.
    pub fn zone_s(&self) -> i64 {
        let zone = self.variable("@@time_zone").and_then(|zone| zone.text.as_deref());
        zone.and_then(offset_s).unwrap_or(0)
    }

    /// Rows that a SELECT without LIMIT may give.
    pub fn select_limit(&self) -> Option<&str> {
        self.variable("@@sql_select_limit")?.text.as_deref()
    }
}

/// What MySQL warns of when a ROLLBACK undoes less than was written.
const NOT_ROLLED_BACK: (u16, &str) =
    (1196, "Nothing was undone: messages are out when they are published, and rows are kept at once");

/// As MySQL warns of a row whose key is there already, where that is no error.
const REPEATED: (u16, &str) =
    (1062, "Not published again: its pipe had a message with this idempotency_key in the last five minutes");

/// The distance from UTC that `+02:00`, `SYSTEM` and `UTC` stand for, in seconds; `None` for all other names, as the server
/// has no table of zones.
pub fn offset_s(zone: &str) -> Option<i64> {
    const MINUTES_MAX: i64 = 14 * 60;
    if ["SYSTEM", "UTC"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two_digits = |text: &str| {
        let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<i64>().ok() } else { None }
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes).filter(|minutes| *minutes < 60)?);
    let distance = hours * 60 + minutes;
    (distance <= MINUTES_MAX).then_some(sign * distance * 60)
}
