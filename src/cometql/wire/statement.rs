//! The prepared statements of one session: how many parameters each has, the types bound last, and long data that
//! waits for an execution. What a statement says is the caller's; it keeps that under the same id.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::bytes::{Reader, grow};
use super::command::Refusal;
use super::parameter::{self, Parameter};
use super::{Limits, code};

const UNKNOWN: Refusal = Refusal { code: code::UNKNOWN_STATEMENT, text: "Unknown prepared statement" };
const WRONG_ARGUMENTS: Refusal = Refusal { code: code::WRONG_ARGUMENTS, text: "Incorrect arguments to EXECUTE" };
const TOO_LONG: Refusal =
    Refusal { code: code::TOO_LONG, text: "Parameter data of the prepared statement is too long" };

/// What one more parameter with long data is charged besides its bytes, so that empty pieces are not free.
const LONG_DATA_ENTRY: usize = 64;

/// All prepared statements of a session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    last: u32,
    all: BTreeMap<u32, Statement>,
    /// Bytes of types and long data of all of them together; the sum of every statement's `held`.
    held: usize,
}

#[derive(Debug, Default)]
struct Statement {
    parameters: u16,
    /// Type in the low byte, flags in the high one, as bound by the last execution that bound types.
    types: Option<Arc<[u16]>>,
    long_data: BTreeMap<u16, Vec<u8>>,
    /// Bytes charged for `long_data`.
    long_data_held: usize,
    /// Some long data was dropped, so the next execution would use wrong values.
    long_data_lost: bool,
}

impl Statements {
    /// Ids count from 1. The last id is never given: a client may use it to mean "the one prepared last".
    pub(super) fn add(&mut self, limits: &Limits, parameters: u16) -> Option<u32> {
        if self.all.len() >= limits.statements_max {
            return None;
        }
        let mut id = self.last;
        loop {
            id = id.checked_add(1).filter(|id| *id < u32::MAX).unwrap_or(1);
            if !self.all.contains_key(&id) {
                break;
            }
        }
        self.last = id;
        self.all.insert(id, Statement { parameters, ..Statement::default() });
        Some(id)
    }

    pub(super) fn remove(&mut self, id: u32) {
        if let Some(statement) = self.all.remove(&id) {
            release(&mut self.held, statement.held());
        }
    }

    pub(super) fn reset(&mut self, id: u32) -> Result<(), Refusal> {
        let statement = self.all.get_mut(&id).ok_or(UNKNOWN)?;
        release(&mut self.held, statement.take_long_data().held);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes charged against `Limits::long_data_max`.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Keeps one more piece of a parameter. There is no answer to this command: a piece that names nothing is
    /// ignored, one that does not fit makes the next execution fail.
    pub(super) fn append(&mut self, limits: &Limits, id: u32, parameter: u16, data: &[u8]) {
        let Some(statement) = self.all.get_mut(&id) else { return };
        if parameter >= statement.parameters || statement.long_data_lost {
            return;
        }
        let room = limits.long_data_max.saturating_sub(self.held);
        if let Some(charged) = statement.append(room, parameter, data) {
            self.held = self.held.saturating_add(charged);
        } else {
            release(&mut self.held, statement.take_long_data().held);
            statement.long_data_lost = true;
        }
    }

    /// A piece of this parameter was too long to be kept.
    pub(super) fn lose(&mut self, id: u32, parameter: u16) {
        let Some(statement) = self.all.get_mut(&id).filter(|statement| parameter < statement.parameters) else {
            return;
        };
        release(&mut self.held, statement.take_long_data().held);
        statement.long_data_lost = true;
    }

    /// Reads the body of `COM_STMT_EXECUTE` and uses up the statement's long data.
    ///
    /// Shape: id (4), cursor flags (1), iterations (4, unused); with parameters also a bitmap of NULLs, whether types
    /// follow (1), the types (2 each), the values.
    pub(super) fn execute<'a>(&mut self, limits: &Limits, body: Cow<'a, [u8]>) -> Result<Execute<'a>, Refusal> {
        let mut reader = Reader::new(&body);
        let id = reader.u32().ok_or(WRONG_ARGUMENTS)?;
        let statement = self.all.get_mut(&id).ok_or(UNKNOWN)?;
        let long_data = statement.take_long_data();
        release(&mut self.held, long_data.held);
        if long_data.lost {
            return Err(TOO_LONG);
        }
        reader.bytes(1 + 4).ok_or(WRONG_ARGUMENTS)?;
        let parameters = usize::from(statement.parameters);
        let nulls_at = body.len().saturating_sub(reader.len());
        if parameters > 0 {
            reader.bytes(parameters.div_ceil(8)).ok_or(WRONG_ARGUMENTS)?;
            if reader.u8().ok_or(WRONG_ARGUMENTS)? == 1 {
                let types = reader.bytes(parameters.saturating_mul(2)).ok_or(WRONG_ARGUMENTS)?;
                let charged = if statement.types.is_none() { types.len() } else { 0 };
                if self.held.saturating_add(charged) > limits.long_data_max {
                    return Err(TOO_LONG);
                }
                self.held = self.held.saturating_add(charged);
                statement.bind(types);
            }
        }
        let types = match &statement.types {
            Some(types) => Some(Arc::clone(types)),
            None if parameters == 0 => None,
            None => return Err(WRONG_ARGUMENTS),
        };
        let values_at = body.len().saturating_sub(reader.len());
        let execute = Execute { statement: id, body, nulls_at, values_at, types, long_data: long_data.values };
        if execute.parameters().count() == parameters { Ok(execute) } else { Err(WRONG_ARGUMENTS) }
    }
}

/// These bytes of one statement are held no more.
fn release(held: &mut usize, bytes: usize) {
    if bytes > *held {
        never!("what a statement holds is part of the sum");
    }
    *held = held.saturating_sub(bytes);
}

struct LongData {
    values: BTreeMap<u16, Vec<u8>>,
    held: usize,
    lost: bool,
}

impl Statement {
    fn held(&self) -> usize {
        let types = self.types.as_ref().map_or(0, |types| size_of_val(&**types));
        self.long_data_held.saturating_add(types)
    }

    fn take_long_data(&mut self) -> LongData {
        LongData {
            values: std::mem::take(&mut self.long_data),
            held: std::mem::take(&mut self.long_data_held),
            lost: std::mem::take(&mut self.long_data_lost),
        }
    }

    /// Drivers bind the same types again and again; an equal list is not allocated anew.
    fn bind(&mut self, types: &[u8]) {
        let (pairs, _) = types.as_chunks::<2>();
        let types = pairs.iter().copied().map(u16::from_le_bytes);
        if !self.types.as_ref().is_some_and(|bound| bound.iter().copied().eq(types.clone())) {
            self.types = Some(types.collect());
        }
    }

    /// Returns the bytes charged for it, or `None` if they would be more than `room`.
    fn append(&mut self, room: usize, parameter: u16, data: &[u8]) -> Option<usize> {
        let entry = if self.long_data.contains_key(&parameter) { 0 } else { LONG_DATA_ENTRY };
        let room = room.checked_sub(entry)?;
        if data.len() > room {
            return None;
        }
        let value = self.long_data.entry(parameter).or_default();
        let before = value.capacity();
        grow(value, data.len(), before.saturating_add(room));
        value.extend_from_slice(data);
        let charged = value.capacity().saturating_sub(before).saturating_add(entry);
        self.long_data_held = self.long_data_held.saturating_add(charged);
        Some(charged)
    }
}

/// One execution of a prepared statement, with all its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute<'a> {
    pub statement: u32,
    body: Cow<'a, [u8]>,
    /// Where in `body` the bitmap of NULLs begins.
    nulls_at: usize,
    values_at: usize,
    /// As many as the statement has parameters; `None` if it has none.
    types: Option<Arc<[u16]>>,
    long_data: BTreeMap<u16, Vec<u8>>,
}

impl Execute<'_> {
    /// The values in the order of the placeholders, as many as the statement has parameters.
    pub fn parameters(&self) -> Parameters<'_> {
        Parameters {
            types: self.types.as_deref().unwrap_or_default().iter(),
            nulls: self.body.get(self.nulls_at..).unwrap_or_default(),
            values: Reader::new(self.body.get(self.values_at..).unwrap_or_default()),
            long_data: &self.long_data,
            place: 0,
        }
    }

    /// Of the command and of long data.
    pub fn bytes(&self) -> usize {
        self.long_data.values().map(Vec::len).fold(self.body.len(), usize::saturating_add)
    }

    /// The execution without ties to the bytes it was read from.
    pub fn into_owned(self) -> Execute<'static> {
        Execute {
            statement: self.statement,
            body: Cow::Owned(self.body.into_owned()),
            nulls_at: self.nulls_at,
            values_at: self.values_at,
            types: self.types,
            long_data: self.long_data,
        }
    }
}

/// The values of an [`Execute`].
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    types: std::slice::Iter<'a, u16>,
    nulls: &'a [u8],
    values: Reader<'a>,
    long_data: &'a BTreeMap<u16, Vec<u8>>,
    place: u16,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Parameter<'a>> {
        let type_and_flags = *self.types.next()?;
        let place = self.place;
        self.place = place.saturating_add(1);
        // Long data comes first: drivers differ in whether they also mark such a parameter as NULL.
        if let Some(data) = self.long_data.get(&place) {
            return Some(Parameter::Bytes(data));
        }
        let bits = self.nulls.get(usize::from(place / 8))?;
        if bits & (1 << (place % 8)) != 0 {
            return Some(Parameter::Null);
        }
        parameter::read(&mut self.values, type_and_flags)
    }
}
